//! Length-delimited `io.prometheus.client.MetricFamily` messages, as `model/textparse/protobufparse.go` of Prometheus reads them.
//!
//! Messages are walked field by field and never decoded whole: one family may have a million metrics, and an element that takes two
//! bytes in the body would take a hundred in memory.
//!
//! A classic histogram or a summary comes as the series that the server stores. What it does with a histogram that has both kinds of
//! buckets is [`NativeHistograms`]; one that has classic buckets only is classic in any case.

mod metric;
mod wire;

use std::borrow::Cow;

use self::metric::{ExemplarParts, Metric};
use self::wire::{Fault, LONGEST_VARINT32, Reader, Varint};
use super::{Exemplar, Item, LONGEST_LINE, Label, MetricType, NativeHistogram, NativeHistograms, Problem, Sample, Severity, Value};
use super::{labels, number};

#[derive(Debug, Default)]
pub struct Parser {
    native: NativeHistograms,
    /// Of the body, how much was read.
    offset: u64,
    /// How many messages began.
    messages: u64,
    /// Where the last one begins in the body.
    message_at: u64,
    /// What is left of a message that is passed over.
    skip: u64,
    /// The length of a message was unreadable: where the next one begins is unknown.
    lost: bool,
    scratch: Scratch,
}

/// Kept from one metric to the next for what is allocated.
#[derive(Debug, Default)]
struct Scratch {
    native: NativeHistogram,
    /// Upper bounds or quantiles of the metric before, as bits, and what their labels are: those of the next metric are mostly the same.
    bounds: Vec<(u64, String)>,
}

/// What stands before the metrics of a family, wherever it is in the message.
struct Family<'a> {
    name: &'a str,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Summary,
    Untyped,
    Histogram,
    GaugeHistogram,
}

impl Parser {
    pub fn new(native: NativeHistograms) -> Self {
        Parser { native, ..Parser::default() }
    }

    /// As [`super::Parser::parse`].
    pub fn parse(&mut self, input: &[u8], last: bool, each: &mut impl FnMut(Item<'_>)) -> usize {
        let mut at = 0;
        let mut metric = Metric::default();
        while at < input.len() && !self.lost {
            let rest = &input[at..];
            if self.skip > 0 {
                let skipped = self.skip.min(rest.len() as u64);
                self.skip -= skipped;
                at += skipped as usize;
                continue;
            }
            self.message_at = self.offset + at as u64;
            let (length, head) = match wire::varint(rest) {
                Varint::Whole(length, head) if head <= LONGEST_VARINT32 => (length, head),
                Varint::Cut if rest.len() < LONGEST_VARINT32 && !last => break,
                _ => {
                    self.lost = true;
                    self.messages += 1;
                    self.error(Fault { at: 0, what: "this is not the length of a message: the rest cannot be read".into() }, each);
                    break;
                }
            };
            if length > LONGEST_LINE as u64 {
                self.messages += 1;
                let what = format!("a message of {length} bytes; the longest that is read has {LONGEST_LINE}");
                self.error(Fault { at: 0, what: what.into() }, each);
                self.skip = length + head as u64;
                continue;
            }
            match rest.get(head..head + length as usize) {
                Some(message) => {
                    self.messages += 1;
                    self.message_at += head as u64;
                    self.family(message, &mut metric, each);
                    at += head + length as usize;
                }
                None if !last => break,
                None => {
                    self.messages += 1;
                    let what = format!("the body ends {} bytes into a message of {length}", rest.len() - head);
                    self.error(Fault { at: 0, what: what.into() }, each);
                    at = input.len();
                }
            }
        }
        if self.lost {
            at = input.len();
        }
        self.offset += at as u64;
        at
    }

    fn family<'a>(&mut self, message: &'a [u8], metric: &mut Metric<'a>, each: &mut impl FnMut(Item<'_>)) {
        let family = match self.head(message, each) {
            Ok(Some(family)) => family,
            Ok(None) => return,
            Err(fault) => return self.error(fault, each),
        };
        let mut reader = Reader::new(message);
        while let Ok(Some(field)) = reader.next() {
            if field.number != 4 {
                if reader.skip(&field).is_err() {
                    return;
                }
                continue;
            }
            let Ok(content) = reader.message(&field) else { return };
            let place = Place { offset: self.message_at + field.start as u64, length: (reader.position() - field.start) as u32 };
            if let Err(fault) = metric.read(content) {
                self.error(fault, each);
                continue;
            }
            if let Some(at) = metric.exemplar_not_utf8 {
                let problem = self.problem(Fault { at, what: "the labels of this exemplar are not UTF-8: it is left out".into() });
                each(Item::Problem(&Problem { severity: Severity::Warning, ..problem }));
            }
            let labels = labels::stored(&mut metric.labels);
            if let Err(what) = labels.and_then(|()| self.metric(&family, metric, place, each)) {
                self.error(Fault { at: field.start, what: format!("{}: {what}", family.name).into() }, each);
            }
        }
    }

    /// Reads all of a family but its metrics, and hands out its metadata. `None` if it has no metric: the server passes over such a
    /// family, whatever its name.
    fn head<'a>(&self, message: &'a [u8], each: &mut impl FnMut(Item<'_>)) -> wire::Result<Option<Family<'a>>> {
        let mut reader = Reader::new(message);
        let (mut name, mut help, mut unit, mut kind, mut metrics) = (Some(""), Some(""), Some(""), 0, 0u64);
        while let Some(field) = reader.next()? {
            match field.number {
                1 => name = reader.text(&field)?,
                2 => help = reader.text(&field)?,
                3 => kind = reader.uint(&field)? as i32,
                4 => {
                    reader.message(&field)?;
                    metrics += 1;
                }
                5 => unit = reader.text(&field)?,
                _ => reader.skip(&field)?,
            }
        }
        if metrics == 0 {
            return Ok(None);
        }
        let fault = |what: Cow<'static, str>| Err(Fault { at: 0, what });
        let Some(name) = name else { return fault("the name of this metric family is not UTF-8".into()) };
        if name.is_empty() {
            return fault("a metric family without a name".into());
        }
        let Some(help) = help else { return fault(format!("the help text of {name} is not UTF-8").into()) };
        let kind = match kind {
            0 => Kind::Counter,
            1 => Kind::Gauge,
            2 => Kind::Summary,
            3 => Kind::Untyped,
            4 => Kind::Histogram,
            5 => Kind::GaugeHistogram,
            _ => return fault(format!("{name} has the unknown metric type {kind}").into()),
        };
        if !help.is_empty() {
            each(Item::Help { name, text: help });
        }
        match unit {
            Some("") => {}
            Some(unit) => each(Item::Unit { name, unit }),
            None => {
                let problem = self.problem(Fault { at: 0, what: format!("the unit of {name} is not UTF-8: it is left out").into() });
                each(Item::Problem(&Problem { severity: Severity::Warning, ..problem }));
            }
        }
        each(Item::Type { name, kind: kind.metric_type() });
        Ok(Some(Family { name, kind }))
    }

    fn metric(&mut self, family: &Family<'_>, metric: &Metric<'_>, place: Place, each: &mut impl FnMut(Item<'_>)) -> Result<(), String> {
        let mut series = Series { metric, place, start_ms: None };
        match family.kind {
            Kind::Gauge => series.hand_out(family.name, &metric.labels, Value::Float(metric.gauge), &[], each),
            Kind::Untyped => series.hand_out(family.name, &metric.labels, Value::Float(metric.untyped), &[], each),
            Kind::Counter => {
                series.start_ms = metric.counter_start_ms;
                let exemplar = metric.counter_exemplar.as_ref().map(|exemplar| metric.exemplar(exemplar));
                series.hand_out(family.name, &metric.labels, Value::Float(metric.counter), exemplar.as_slice(), each);
            }
            Kind::Summary => {
                series.start_ms = metric.summary.start_ms;
                if !metric.summary.quantiles.is_empty() {
                    reserved("quantile", metric)?;
                }
                self.summary(family.name, &mut series, each);
            }
            Kind::Histogram | Kind::GaugeHistogram => {
                series.start_ms = metric.histogram.start_ms;
                let native = self.native != NativeHistograms::Classic && metric.histogram.is_native();
                if native {
                    self.native(family.name, &mut series, each)?;
                }
                if !native || self.native == NativeHistograms::Both && !metric.histogram.buckets.is_empty() {
                    reserved("le", metric)?;
                    self.classic(family.name, &mut series, each);
                }
            }
        }
        Ok(())
    }

    fn summary(&mut self, name: &str, series: &mut Series<'_>, each: &mut impl FnMut(Item<'_>)) {
        let Metric { labels, summary, .. } = series.metric;
        series.hand_out(&format!("{name}_count"), labels, Value::Float(summary.count as f64), &[], each);
        series.hand_out(&format!("{name}_sum"), labels, Value::Float(summary.sum), &[], each);
        self.scratch.write_bounds(summary.quantiles.iter().map(|(quantile, _)| *quantile));
        let mut labels = with_room(labels);
        for ((_, value), (_, quantile)) in summary.quantiles.iter().zip(&self.scratch.bounds) {
            labels.push(Label { name: "quantile", value: quantile });
            series.hand_out(name, &labels, Value::Float(*value), &[], each);
            labels.pop();
        }
    }

    fn native(&mut self, name: &str, series: &mut Series<'_>, each: &mut impl FnMut(Item<'_>)) -> Result<(), String> {
        let Metric { labels, histogram, .. } = series.metric;
        let float = histogram.is_float();
        let native = &mut self.scratch.native;
        histogram.negative.expand(float, &mut native.negative).map_err(|what| format!("negative buckets: {what}"))?;
        histogram.positive.expand(float, &mut native.positive).map_err(|what| format!("positive buckets: {what}"))?;
        native.schema = histogram.schema;
        native.zero_threshold = histogram.zero_threshold;
        native.zero_count = histogram.native_zero_count();
        native.count = histogram.native_count();
        native.sum = histogram.sum;
        // The server takes the exemplars of the classic buckets where there are no others, and none without a timestamp.
        let timed = |exemplar: &&ExemplarParts| exemplar.timestamp_ms.is_some();
        let exemplars: Vec<Exemplar<'_>> = if histogram.exemplars.is_empty() {
            let of_buckets = histogram.buckets.iter().filter_map(|bucket| bucket.exemplar.as_ref());
            of_buckets.filter(timed).map(|exemplar| series.metric.exemplar(exemplar)).collect()
        } else {
            histogram.exemplars.iter().filter(timed).map(|exemplar| series.metric.exemplar(exemplar)).collect()
        };
        series.hand_out(name, labels, Value::Native(native), &exemplars, each);
        Ok(())
    }

    /// All of it that is not native; with the bucket `+Inf`, which may be missing in the message, and without any after that.
    fn classic(&mut self, name: &str, series: &mut Series<'_>, each: &mut impl FnMut(Item<'_>)) {
        let Metric { labels, histogram, .. } = series.metric;
        let count = histogram.classic_count();
        series.hand_out(&format!("{name}_count"), labels, Value::Float(count), &[], each);
        series.hand_out(&format!("{name}_sum"), labels, Value::Float(histogram.sum), &[], each);
        let name = format!("{name}_bucket");
        self.scratch.write_bounds(histogram.buckets.iter().map(|bucket| bucket.upper));
        let mut labels = with_room(labels);
        for (bucket, (_, le)) in histogram.buckets.iter().zip(&self.scratch.bounds) {
            labels.push(Label { name: "le", value: le });
            let exemplar = bucket.exemplar.as_ref().map(|exemplar| series.metric.exemplar(exemplar));
            series.hand_out(&name, &labels, Value::Float(bucket.count()), exemplar.as_slice(), each);
            labels.pop();
            if bucket.upper == f64::INFINITY {
                return;
            }
        }
        labels.push(Label { name: "le", value: "+Inf" });
        series.hand_out(&name, &labels, Value::Float(count), &[], each);
    }

    fn error(&self, fault: Fault, each: &mut impl FnMut(Item<'_>)) {
        each(Item::Problem(&self.problem(fault)));
    }

    fn problem(&self, fault: Fault) -> Problem {
        Problem {
            offset: self.message_at + fault.at as u64,
            line: self.messages,
            column: fault.at as u64 + 1,
            message: fault.what.into_owned(),
            excerpt: String::new(),
            caret: 0,
            severity: Severity::Error,
        }
    }
}

/// Where a metric is in the body, in bytes.
#[derive(Debug, Clone, Copy)]
struct Place {
    offset: u64,
    length: u32,
}

/// What the samples of one metric have in common.
struct Series<'a> {
    metric: &'a Metric<'a>,
    place: Place,
    start_ms: Option<i64>,
}

impl Series<'_> {
    fn hand_out(
        &mut self,
        name: &str,
        labels: &[Label<'_>],
        value: Value<'_>,
        exemplars: &[Exemplar<'_>],
        each: &mut impl FnMut(Item<'_>),
    ) {
        // To the server, 0 is an unset timestamp.
        let timestamp_ms = Some(self.metric.timestamp_ms).filter(|at| *at != 0);
        let start_ms = self.start_ms.filter(|at| *at != 0);
        let Place { offset, length } = self.place;
        each(Item::Sample(Sample { name, labels, value, timestamp_ms, start_ms, exemplars, offset, length }));
        self.place.length = 0;
    }
}

impl Scratch {
    fn write_bounds(&mut self, bounds: impl Iterator<Item = f64>) {
        for (index, bound) in bounds.enumerate() {
            let bits = bound.to_bits();
            match self.bounds.get_mut(index) {
                Some((known, _)) if *known == bits => {}
                Some(entry) => *entry = (bits, number::openmetrics(bound)),
                None => self.bounds.push((bits, number::openmetrics(bound))),
            }
        }
    }
}

/// A label that the server adds must not be there yet.
fn reserved(name: &str, metric: &Metric<'_>) -> Result<(), String> {
    match metric.labels.iter().any(|label| label.name == name) {
        true => Err(format!("the label {name} is there twice")),
        false => Ok(()),
    }
}

/// A copy to which one more label can be added.
fn with_room<'a>(labels: &[Label<'a>]) -> Vec<Label<'a>> {
    let mut copy = Vec::with_capacity(labels.len() + 1);
    copy.extend_from_slice(labels);
    copy
}

impl Kind {
    fn metric_type(self) -> MetricType {
        match self {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Summary => MetricType::Summary,
            Kind::Untyped => MetricType::Unknown,
            Kind::Histogram => MetricType::Histogram,
            Kind::GaugeHistogram => MetricType::GaugeHistogram,
        }
    }
}
