//! What a parser of expositions hands out, kept, and in the form in which the oracle answers.

use goscope::formats::exposition::{Item, NativeHistogram, Parser, Problem, Severity, Value};

use crate::common::oracle::{Bucket, Entry, Exemplar, Native, Series};

/// All of one body.
#[derive(Debug, PartialEq, Default)]
pub struct Items {
    pub entries: Vec<Entry>,
    /// Each with the number of entries before it.
    pub problems: Vec<(usize, Problem)>,
    /// Offset and length of each sample.
    pub places: Vec<(u64, u32)>,
}

impl Items {
    /// `blocks`: the lengths in which the body comes; the rest comes at the end.
    pub fn read(parser: &mut Parser, body: &[u8], blocks: &[usize]) -> Items {
        let mut items = Items::default();
        let (mut start, mut end) = (0, 0);
        for length in blocks.iter().copied().chain([body.len()]) {
            end = body.len().min(end + length);
            start += parser.parse(&body[start..end], end == body.len(), &mut |item| items.keep(item));
        }
        assert_eq!(start, body.len(), "not all was read");
        items
    }

    fn keep(&mut self, item: Item<'_>) {
        let kept = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        match item {
            Item::Type { name, kind } => self.entries.push(Entry::Type { name: kept(name), text: kept(kind.as_str()) }),
            Item::Help { name, text } => self.entries.push(Entry::Help { name: kept(name), text: kept(text) }),
            Item::Unit { name, unit } => self.entries.push(Entry::Unit { name: kept(name), text: kept(unit) }),
            Item::Problem(problem) => self.problems.push((self.entries.len(), problem.clone())),
            Item::Sample(sample) => {
                self.places.push((sample.offset, sample.length));
                let mut labels: Vec<(String, String)> =
                    sample.labels.iter().map(|label| (label.name.to_owned(), label.value.to_owned())).collect();
                labels.push(("__name__".to_owned(), sample.name.to_owned()));
                labels.sort();
                let exemplars = sample.exemplars.iter().map(|exemplar| {
                    let mut labels: Vec<(String, String)> =
                        exemplar.labels.iter().map(|label| (label.name.to_owned(), label.value.to_owned())).collect();
                    labels.sort();
                    Exemplar { labels, value: go_number(exemplar.value), timestamp: exemplar.timestamp_ms }
                });
                self.entries.push(Entry::Series(Series {
                    labels,
                    value: if let Value::Float(value) = sample.value { Some(go_number(value)) } else { None },
                    timestamp: sample.timestamp_ms,
                    start: sample.start_ms,
                    histogram: if let Value::Native(histogram) = sample.value { Some(native(histogram)) } else { None },
                    exemplars: exemplars.collect(),
                }));
            }
        }
    }

    /// Where the server gives up: all before this error.
    pub fn first_error(&self) -> Option<&(usize, Problem)> {
        self.problems.iter().find(|(_, problem)| problem.severity == Severity::Error)
    }

    /// Those that the server takes in before it refuses the scrape; all where it does not.
    pub fn taken(&self) -> &[Entry] {
        &self.entries[..self.first_error().map_or(self.entries.len(), |(before, _)| *before)]
    }
}

fn native(histogram: &NativeHistogram) -> Native {
    let buckets = |buckets: &[(i32, f64)]| buckets.iter().map(|&(index, count)| Bucket { index, count: go_number(count) }).collect();
    Native {
        schema: histogram.schema,
        zero_threshold: go_number(histogram.zero_threshold),
        zero_count: go_number(histogram.zero_count),
        count: go_number(histogram.count),
        sum: go_number(histogram.sum),
        negative: buckets(&histogram.negative),
        positive: buckets(&histogram.positive),
        custom_values: Vec::new(),
    }
}

/// As `strconv.FormatFloat(value, 'g', -1, 64)`.
pub fn go_number(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let shortest = format!("{value:e}");
    let (digits, exponent) = shortest.split_once('e').unwrap();
    let exponent: i32 = exponent.parse().unwrap();
    if value != 0.0 && !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    value.to_string()
}
