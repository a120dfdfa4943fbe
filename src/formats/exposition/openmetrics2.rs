//! OpenMetrics 2.0, by its specification of March 2026 (2.0.0-rc0, `docs/specs/om/open_metrics_spec_2_0.md` of prometheus/docs): what that
//! forbids is an error under all [`super::Rules`].
//!
//! Prometheus reads it with the feature `openmetrics2` only, and then takes more: fields of composite values in any order, families that
//! are interleaved, counters below zero. What it refuses beyond the specification is a composite value without a `# TYPE`, and negative
//! counts in a native gauge histogram.

mod composite;
mod family;
mod line;

use std::borrow::Cow;

use self::composite::{Composite, Content};
use self::family::{Families, Metadata};
use self::line::{Cursor, Fault, Pair};
use super::problem::Line;
use super::{Exemplar, Item, LONGEST_LINE, Label, MetricType, NativeHistograms, PROMETHEUS, Sample, Severity, Value, labels, number};

#[derive(Debug, Default)]
pub struct Parser {
    native: NativeHistograms,
    families: Families,
    /// Of the body, how much was read, and how many lines that is.
    offset: u64,
    lines: u64,
    /// How much of the line that begins here is known to have no end.
    searched: usize,
    /// Of the line that is read: 0 at the end of a body without one.
    line_feed: u32,
    /// Within a line that is too long.
    skipping: bool,
    ended: bool,
    finished: bool,
}

impl Parser {
    pub fn new(native: NativeHistograms) -> Self {
        Parser { native, ..Parser::default() }
    }

    /// As [`super::Parser::parse`].
    pub fn parse(&mut self, input: &[u8], last: bool, each: &mut impl FnMut(Item<'_>)) -> usize {
        if self.offset == 0 && self.lines == 0 && !input.is_empty() && !self.skipping {
            let place = Line { bytes: b"", number: 1, offset: 0 };
            let message = format!("Prometheus {PROMETHEUS} refuses OpenMetrics 2.0, unless it runs with --enable-feature=openmetrics2");
            each(Item::Problem(&place.problem(0, Severity::Warning, message)));
            self.lines = 1;
        }
        let mut at = 0;
        while at < input.len() {
            let rest = &input[at..];
            let from = std::mem::take(&mut self.searched).min(rest.len());
            let (length, whole) = match memchr::memchr(b'\n', &rest[from..]) {
                Some(newline) => (from + newline, 1),
                None if self.skipping || last || rest.len() > LONGEST_LINE => (rest.len(), 0),
                None => {
                    self.searched = rest.len();
                    return at;
                }
            };
            let line = Line { bytes: &rest[..length], number: self.lines, offset: self.offset };
            self.line_feed = whole as u32;
            if self.skipping {
                self.skipping = whole == 0;
            } else if length > LONGEST_LINE {
                self.skipping = whole == 0;
                let message = format!("a line of over {LONGEST_LINE} bytes is passed over");
                each(Item::Problem(&Line { bytes: b"", ..line }.problem(0, Severity::Error, message)));
            } else if let Err(fault) = self.line(line, each) {
                each(Item::Problem(&line.problem(fault.at, Severity::Error, fault.message)));
            }
            self.lines += whole as u64;
            self.offset += (length + whole) as u64;
            at += length + whole;
        }
        if last && !self.ended && !std::mem::replace(&mut self.finished, true) {
            let place = Line { bytes: b"", number: self.lines.max(1), offset: self.offset };
            each(Item::Problem(&place.problem(0, Severity::Error, "the body does not end with # EOF".to_owned())));
        }
        at
    }

    fn line(&mut self, line: Line<'_>, each: &mut impl FnMut(Item<'_>)) -> Result<(), Fault> {
        let fault = |at: usize, message: &str| Err(Fault { at, message: message.to_owned() });
        if self.ended {
            return fault(0, "nothing may follow # EOF");
        }
        if line.bytes.ends_with(b"\r") {
            return fault(line.bytes.len() - 1, "a line ends with a carriage return");
        }
        let text = match std::str::from_utf8(line.bytes) {
            Ok(text) => text,
            Err(error) => return fault(error.valid_up_to(), "this is not UTF-8"),
        };
        match text.strip_prefix("# ") {
            Some("EOF") => self.ended = true,
            Some(_) => return self.metadata(text, each),
            None if text.is_empty() => return fault(0, "an empty line"),
            None if text.starts_with('#') => return fault(1, COMMENT),
            None => {
                let sample = Cursor::new(text).sample()?;
                return self.sample(line, &sample, each);
            }
        }
        Ok(())
    }

    fn metadata(&mut self, text: &str, each: &mut impl FnMut(Item<'_>)) -> Result<(), Fault> {
        let mut cursor = Cursor::new(text);
        let word = ["# TYPE ", "# HELP ", "# UNIT "].into_iter().find(|word| cursor.eat(word));
        let Some(word) = word else { return cursor.fault(COMMENT) };
        let name = cursor.metric_name()?;
        cursor.expect(" ", "a blank after the name")?;
        let at = cursor.at;
        let content = cursor.rest();
        let (line, item) = match word {
            "# TYPE " => match metric_type(content) {
                Some(kind) => (Metadata::Type(kind), Some(Item::Type { name: &name, kind })),
                None => return cursor.fault("expected a type of OpenMetrics"),
            },
            "# UNIT " => {
                let part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
                if !content.bytes().all(part) {
                    return cursor.fault("expected a unit of letters, digits and underscores");
                }
                (Metadata::Unit(content.is_empty()), (!content.is_empty()).then_some(Item::Unit { name: &name, unit: content }))
            }
            _ => (Metadata::Help, None),
        };
        let rule = self.families.metadata(&name, line);
        match item {
            Some(item) => each(item),
            None if line == Metadata::Help && !content.is_empty() => {
                let text = if content.contains('\\') { Cow::Owned(line::unescape(content)) } else { Cow::Borrowed(content) };
                each(Item::Help { name: &name, text: &text });
            }
            None => {}
        }
        rule.map_err(|message| Fault { at, message })
    }

    fn sample(&mut self, line: Line<'_>, sample: &line::Sample<'_>, each: &mut impl FnMut(Item<'_>)) -> Result<(), Fault> {
        let mut set = borrow(&sample.labels);
        labels::stored(&mut set).map_err(|message| Fault { at: 0, message })?;
        let exemplar_labels: Vec<Vec<Label<'_>>> = sample.exemplars.iter().map(|exemplar| borrow(&exemplar.labels)).collect();
        let exemplars: Vec<Exemplar<'_>> = sample
            .exemplars
            .iter()
            .zip(&exemplar_labels)
            .map(|(exemplar, labels)| Exemplar {
                labels,
                value: exemplar.value,
                timestamp_ms: Some(number::milliseconds(exemplar.timestamp)),
            })
            .collect();
        let mut series = Series {
            name: &sample.name,
            labels: &set,
            timestamp_ms: sample.timestamp.map(number::milliseconds),
            start_ms: sample.start.map(number::milliseconds),
            offset: line.offset,
            length: line.bytes.len() as u32 + self.line_feed,
        };
        let rule = self.families.sample(sample, &set);
        match &sample.value {
            line::Value::Number(value) => series.hand_out("", None, Value::Float(*value), &exemplars, each),
            line::Value::Composite(composite) => self.composite(&mut series, composite, sample, &exemplars, each),
        }
        rule.map_err(|message| Fault { at: sample.value_at, message })
    }

    fn composite(
        &self,
        series: &mut Series<'_>,
        composite: &Composite,
        sample: &line::Sample<'_>,
        exemplars: &[Exemplar<'_>],
        each: &mut impl FnMut(Item<'_>),
    ) {
        let (count, sum) = if composite.gauge { ("_gcount", "_gsum") } else { ("_count", "_sum") };
        let whole = |series: &mut Series<'_>, each: &mut _| {
            series.hand_out(count, None, Value::Float(composite.count), &[], each);
            series.hand_out(sum, None, Value::Float(composite.sum), &[], each);
        };
        match &composite.content {
            Content::Summary(quantiles) => {
                whole(series, each);
                for (quantile, value) in quantiles {
                    let quantile = number::openmetrics(*quantile);
                    series.hand_out("", Some(Label { name: "quantile", value: &quantile }), Value::Float(*value), &[], each);
                }
            }
            Content::Histogram { native, classic } => {
                let native = native.as_ref().filter(|_| self.native != NativeHistograms::Classic);
                if let Some(native) = native {
                    series.hand_out("", None, Value::Native(native), exemplars, each);
                }
                let infinite = [(f64::INFINITY, composite.count)];
                let buckets = match (native, classic) {
                    (Some(_), _) if self.native == NativeHistograms::Native => return,
                    (Some(_), None) => return,
                    (None, None) => &infinite[..],
                    (_, Some(buckets)) => buckets,
                };
                whole(series, each);
                let places = family::of_buckets(&sample.exemplars, buckets);
                let mut places = places.as_slice();
                for (index, (upper, count)) in buckets.iter().enumerate() {
                    let here = places.partition_point(|(bucket, _)| *bucket <= index);
                    let inside: Vec<_> = places[..here].iter().filter_map(|(_, exemplar)| exemplars.get(*exemplar).copied()).collect();
                    places = &places[here..];
                    let le = number::openmetrics(*upper);
                    series.hand_out("_bucket", Some(Label { name: "le", value: &le }), Value::Float(*count), &inside, each);
                }
            }
        }
    }
}

const COMMENT: &str = "lines that begin with # are TYPE, HELP, UNIT or EOF only";

/// What the samples that one line stands for have in common.
struct Series<'a> {
    name: &'a str,
    labels: &'a [Label<'a>],
    timestamp_ms: Option<i64>,
    start_ms: Option<i64>,
    offset: u64,
    length: u32,
}

impl Series<'_> {
    fn hand_out(
        &mut self,
        suffix: &str,
        more: Option<Label<'_>>,
        value: Value<'_>,
        exemplars: &[Exemplar<'_>],
        each: &mut impl FnMut(Item<'_>),
    ) {
        let name = if suffix.is_empty() { Cow::Borrowed(self.name) } else { Cow::Owned(format!("{}{suffix}", self.name)) };
        let labels = if more.is_none() { Cow::Borrowed(self.labels) } else { Cow::Owned([self.labels, more.as_slice()].concat()) };
        let Series { timestamp_ms, start_ms, offset, length, .. } = *self;
        each(Item::Sample(Sample { name: &name, labels: &labels, value, timestamp_ms, start_ms, exemplars, offset, length }));
        self.length = 0;
    }
}

fn borrow<'a>(pairs: &'a [Pair<'_>]) -> Vec<Label<'a>> {
    pairs.iter().map(|(name, value)| Label { name, value }).collect()
}

fn metric_type(text: &str) -> Option<MetricType> {
    Some(match text {
        "counter" => MetricType::Counter,
        "gauge" => MetricType::Gauge,
        "histogram" => MetricType::Histogram,
        "gaugehistogram" => MetricType::GaugeHistogram,
        "summary" => MetricType::Summary,
        "info" => MetricType::Info,
        "stateset" => MetricType::StateSet,
        "unknown" => MetricType::Unknown,
        _ => return None,
    })
}
