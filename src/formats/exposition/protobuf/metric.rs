//! One `io.prometheus.client.Metric`, read into parts that borrow from the body. Field numbers are those of
//! `prompb/io/prometheus/client/metrics.proto` of Prometheus.

use std::mem;

use super::super::{Exemplar, Label};
use super::wire::{Field, Reader, Result, TOO_MANY};

/// Of labels, of exemplars, of buckets of each kind in a metric.
const MOST: usize = 1 << 20;

/// All kinds at once, as the message has them: the type of the family says which one counts. Kept for the next metric, so that its
/// vectors are.
#[derive(Debug, Default)]
pub struct Metric<'a> {
    pub labels: Vec<Label<'a>>,
    pub timestamp_ms: i64,
    pub gauge: f64,
    pub untyped: f64,
    pub counter: f64,
    pub counter_exemplar: Option<ExemplarParts>,
    pub counter_start_ms: Option<i64>,
    pub summary: Summary,
    pub histogram: Histogram,
    exemplar_labels: Vec<Label<'a>>,
    /// Where an exemplar was left out since its labels are not UTF-8, which the server does not look at.
    pub exemplar_not_utf8: Option<usize>,
}

#[derive(Debug, Default)]
pub struct Summary {
    pub count: u64,
    pub sum: f64,
    /// Quantile and value.
    pub quantiles: Vec<(f64, f64)>,
    pub start_ms: Option<i64>,
}

#[derive(Debug, Default)]
pub struct Histogram {
    count: u64,
    count_float: f64,
    pub sum: f64,
    pub buckets: Vec<Bucket>,
    pub schema: i32,
    pub zero_threshold: f64,
    zero_count: u64,
    zero_count_float: f64,
    pub negative: Side,
    pub positive: Side,
    pub start_ms: Option<i64>,
    pub exemplars: Vec<ExemplarParts>,
}

#[derive(Debug)]
pub struct Bucket {
    cumulative: u64,
    cumulative_float: f64,
    pub upper: f64,
    pub exemplar: Option<ExemplarParts>,
}

/// The exponential buckets on one side of zero.
#[derive(Debug, Default)]
pub struct Side {
    /// Offset and length.
    pub spans: Vec<(i32, u32)>,
    pub deltas: Vec<i64>,
    pub counts: Vec<f64>,
}

/// An exemplar; its labels are a range of those of all exemplars of the metric.
#[derive(Debug, Clone, Copy)]
pub struct ExemplarParts {
    labels: (usize, usize),
    value: f64,
    pub timestamp_ms: Option<i64>,
}

impl<'a> Metric<'a> {
    pub fn read(&mut self, mut message: Reader<'a>) -> Result<()> {
        self.clear();
        while let Some(field) = message.next()? {
            match field.number {
                1 => {
                    let label = label(message.message(&field)?)?;
                    push(&mut self.labels, label, &field)?;
                }
                2 => only_value(message.message(&field)?, &mut self.gauge)?,
                3 => self.counter(message.message(&field)?)?,
                4 => self.summary.read(message.message(&field)?)?,
                5 => only_value(message.message(&field)?, &mut self.untyped)?,
                6 => self.timestamp_ms = message.uint(&field)? as i64,
                7 => self.histogram(message.message(&field)?)?,
                _ => message.skip(&field)?,
            }
        }
        Ok(())
    }

    pub fn exemplar(&self, at: &ExemplarParts) -> Exemplar<'_> {
        Exemplar { labels: &self.exemplar_labels[at.labels.0..at.labels.1], value: at.value, timestamp_ms: at.timestamp_ms }
    }

    fn clear(&mut self) {
        self.labels.clear();
        self.exemplar_labels.clear();
        (self.timestamp_ms, self.gauge, self.untyped, self.counter) = (0, 0.0, 0.0, 0.0);
        (self.counter_exemplar, self.counter_start_ms, self.exemplar_not_utf8) = (None, None, None);
        self.summary = Summary { quantiles: cleared(&mut self.summary.quantiles), ..Summary::default() };
        let Histogram { buckets, negative, positive, exemplars, .. } = &mut self.histogram;
        self.histogram = Histogram {
            buckets: cleared(buckets),
            negative: negative.cleared(),
            positive: positive.cleared(),
            exemplars: cleared(exemplars),
            ..Histogram::default()
        };
    }

    fn counter(&mut self, mut message: Reader<'a>) -> Result<()> {
        while let Some(field) = message.next()? {
            match field.number {
                1 => self.counter = message.double(&field)?,
                2 => self.counter_exemplar = self.read_exemplar(message.message(&field)?)?,
                3 => self.counter_start_ms = Some(timestamp(message.message(&field)?)?),
                _ => message.skip(&field)?,
            }
        }
        Ok(())
    }

    fn histogram(&mut self, mut message: Reader<'a>) -> Result<()> {
        while let Some(field) = message.next()? {
            match field.number {
                1 => self.histogram.count = message.uint(&field)?,
                2 => self.histogram.sum = message.double(&field)?,
                3 => {
                    let bucket = self.bucket(message.message(&field)?)?;
                    push(&mut self.histogram.buckets, bucket, &field)?;
                }
                4 => self.histogram.count_float = message.double(&field)?,
                5 => self.histogram.schema = message.sint32(&field)?,
                6 => self.histogram.zero_threshold = message.double(&field)?,
                7 => self.histogram.zero_count = message.uint(&field)?,
                8 => self.histogram.zero_count_float = message.double(&field)?,
                9 => self.histogram.negative.span(message.message(&field)?, &field)?,
                10 => message.sint64s(&field, &mut |delta| push_bounded(&mut self.histogram.negative.deltas, delta))?,
                11 => message.doubles(&field, &mut |count| push_bounded(&mut self.histogram.negative.counts, count))?,
                12 => self.histogram.positive.span(message.message(&field)?, &field)?,
                13 => message.sint64s(&field, &mut |delta| push_bounded(&mut self.histogram.positive.deltas, delta))?,
                14 => message.doubles(&field, &mut |count| push_bounded(&mut self.histogram.positive.counts, count))?,
                15 => self.histogram.start_ms = Some(timestamp(message.message(&field)?)?),
                16 => {
                    if let Some(exemplar) = self.read_exemplar(message.message(&field)?)? {
                        push(&mut self.histogram.exemplars, exemplar, &field)?;
                    }
                }
                _ => message.skip(&field)?,
            }
        }
        Ok(())
    }

    fn bucket(&mut self, mut message: Reader<'a>) -> Result<Bucket> {
        let mut bucket = Bucket { cumulative: 0, cumulative_float: 0.0, upper: 0.0, exemplar: None };
        while let Some(field) = message.next()? {
            match field.number {
                1 => bucket.cumulative = message.uint(&field)?,
                2 => bucket.upper = message.double(&field)?,
                3 => bucket.exemplar = self.read_exemplar(message.message(&field)?)?,
                4 => bucket.cumulative_float = message.double(&field)?,
                _ => message.skip(&field)?,
            }
        }
        Ok(bucket)
    }

    /// `None` when its labels are not UTF-8.
    fn read_exemplar(&mut self, mut message: Reader<'a>) -> Result<Option<ExemplarParts>> {
        let first = self.exemplar_labels.len();
        let at = message.position();
        let (mut value, mut timestamp_ms, mut utf8) = (0.0, None, true);
        while let Some(field) = message.next()? {
            match field.number {
                1 => match exemplar_label(message.message(&field)?)? {
                    Some(label) => push(&mut self.exemplar_labels, label, &field)?,
                    None => utf8 = false,
                },
                2 => value = message.double(&field)?,
                3 => timestamp_ms = Some(timestamp(message.message(&field)?)?),
                _ => message.skip(&field)?,
            }
        }
        if !utf8 {
            self.exemplar_not_utf8.get_or_insert(at);
            return Ok(None);
        }
        Ok(Some(ExemplarParts { labels: (first, self.exemplar_labels.len()), value, timestamp_ms }))
    }
}

impl Summary {
    fn read(&mut self, mut message: Reader<'_>) -> Result<()> {
        while let Some(field) = message.next()? {
            match field.number {
                1 => self.count = message.uint(&field)?,
                2 => self.sum = message.double(&field)?,
                3 => {
                    let mut quantile = message.message(&field)?;
                    let (mut of, mut value) = (0.0, 0.0);
                    while let Some(field) = quantile.next()? {
                        match field.number {
                            1 => of = quantile.double(&field)?,
                            2 => value = quantile.double(&field)?,
                            _ => quantile.skip(&field)?,
                        }
                    }
                    push(&mut self.quantiles, (of, value), &field)?;
                }
                4 => self.start_ms = Some(timestamp(message.message(&field)?)?),
                _ => message.skip(&field)?,
            }
        }
        Ok(())
    }
}

impl Histogram {
    /// Without any of these it is a classic one: an empty native histogram has a span of length 0.
    pub fn is_native(&self) -> bool {
        !self.positive.spans.is_empty() || !self.negative.spans.is_empty() || self.zero_threshold > 0.0 || self.zero_count > 0
    }

    /// Whether the counts of its native part are floats.
    pub fn is_float(&self) -> bool {
        self.count_float > 0.0 || self.zero_count_float > 0.0 || !self.positive.counts.is_empty() || !self.negative.counts.is_empty()
    }

    pub fn native_count(&self) -> f64 {
        if self.is_float() { self.count_float } else { self.count as f64 }
    }

    pub fn native_zero_count(&self) -> f64 {
        if self.is_float() { self.zero_count_float } else { self.zero_count as f64 }
    }

    pub fn classic_count(&self) -> f64 {
        if self.count_float == 0.0 { self.count as f64 } else { self.count_float }
    }
}

impl Bucket {
    pub fn count(&self) -> f64 {
        if self.cumulative_float == 0.0 { self.cumulative as f64 } else { self.cumulative_float }
    }
}

impl Side {
    fn cleared(&mut self) -> Side {
        Side { spans: cleared(&mut self.spans), deltas: cleared(&mut self.deltas), counts: cleared(&mut self.counts) }
    }

    fn span(&mut self, mut message: Reader<'_>, of: &Field) -> Result<()> {
        let mut span = (0, 0);
        while let Some(field) = message.next()? {
            match field.number {
                1 => span.0 = message.sint32(&field)?,
                2 => span.1 = message.uint(&field)? as u32,
                _ => message.skip(&field)?,
            }
        }
        push(&mut self.spans, span, of)
    }

    /// Index and absolute count of each bucket that is not empty; an error says how many counts there should have been.
    pub fn expand(&self, float: bool, into: &mut Vec<(i32, f64)>) -> std::result::Result<(), String> {
        into.clear();
        let expected: u64 = self.spans.iter().map(|(_, length)| u64::from(*length)).sum();
        let found = if float { self.counts.len() } else { self.deltas.len() };
        if expected != found as u64 {
            return Err(format!("its spans have {expected} buckets, but {found} counts follow"));
        }
        let (mut index, mut bucket, mut count) = (0i32, 0, 0i64);
        for (offset, length) in &self.spans {
            index = index.wrapping_add(*offset);
            for _ in 0..*length {
                let value = if float {
                    self.counts[bucket]
                } else {
                    count = count.wrapping_add(self.deltas[bucket]);
                    count as f64
                };
                if value != 0.0 {
                    into.push((index, value));
                }
                bucket += 1;
                index = index.wrapping_add(1);
            }
        }
        Ok(())
    }
}

/// The vector without what is in it.
fn cleared<T>(of: &mut Vec<T>) -> Vec<T> {
    of.clear();
    mem::take(of)
}

fn push<T>(into: &mut Vec<T>, value: T, field: &Field) -> Result<()> {
    if push_bounded(into, value) {
        return Ok(());
    }
    Err(field.fault(TOO_MANY))
}

fn push_bounded<T>(into: &mut Vec<T>, value: T) -> bool {
    let fits = into.len() < MOST;
    if fits {
        into.push(value);
    }
    fits
}

/// A Gauge or an Untyped.
fn only_value(mut message: Reader<'_>, value: &mut f64) -> Result<()> {
    while let Some(field) = message.next()? {
        match field.number {
            1 => *value = message.double(&field)?,
            _ => message.skip(&field)?,
        }
    }
    Ok(())
}

/// A label without any name is taken, as by the server; one with an empty name is not.
fn label(mut message: Reader<'_>) -> Result<Label<'_>> {
    let mut label = Label { name: "", value: "" };
    while let Some(field) = message.next()? {
        match field.number {
            1 => match message.text(&field)? {
                Some(name) if !name.is_empty() => label.name = name,
                Some(_) => return Err(field.fault("a label has an empty name")),
                None => return Err(field.fault("the name of a label is not UTF-8")),
            },
            2 => match message.text(&field)? {
                Some(value) => label.value = value,
                None => return Err(field.fault("the value of a label is not UTF-8")),
            },
            _ => message.skip(&field)?,
        }
    }
    Ok(label)
}

/// `None` when it is not UTF-8.
fn exemplar_label(mut message: Reader<'_>) -> Result<Option<Label<'_>>> {
    let (mut name, mut value) = (Some(""), Some(""));
    while let Some(field) = message.next()? {
        match field.number {
            1 => name = message.text(&field)?,
            2 => value = message.text(&field)?,
            _ => message.skip(&field)?,
        }
    }
    Ok(name.zip(value).map(|(name, value)| Label { name, value }))
}

/// In milliseconds; what is beyond their range wraps around, as in `StartTimestamp` of protobufparse.go.
fn timestamp(mut message: Reader<'_>) -> Result<i64> {
    let (mut seconds, mut nanos) = (0i64, 0i32);
    while let Some(field) = message.next()? {
        match field.number {
            1 => seconds = message.uint(&field)? as i64,
            2 => nanos = message.uint(&field)? as i32,
            _ => message.skip(&field)?,
        }
    }
    Ok(seconds.wrapping_mul(1000).wrapping_add(i64::from(nanos / 1_000_000)))
}
