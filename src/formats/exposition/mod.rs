//! What a /metrics endpoint serves: the Prometheus exposition formats, bytes in, items out.
//!
//! A [`Parser`] takes the body in blocks, so that it never has to be in memory whole, and hands out an [`Item`] for each line or message.
//! It goes on after an error: a body that a server would refuse can still be profiled, and each error has its place.

mod labels;
mod number;
pub mod openmetrics;
pub mod openmetrics2;
mod problem;
pub mod protobuf;
mod series;
mod sniff;
mod strict;
pub mod text;

use std::fmt;

pub use sniff::sniff;

/// The release of the Prometheus server that [`Rules::Prometheus`] follows, and that the tests compare with.
pub const PROMETHEUS: &str = "3.16.0";

/// Of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Prometheus text 0.0.4 and 1.0.0; these differ in names only.
    Text,
    OpenMetrics1,
    OpenMetrics2,
    /// Length-delimited `io.prometheus.client.MetricFamily` messages.
    Protobuf,
}

/// What is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rules {
    /// What the Prometheus server takes, and what it refuses.
    #[default]
    Prometheus,
    /// What the specification of OpenMetrics demands.
    Strict,
}

/// What becomes of a histogram that has exponential buckets (native) and maybe classic ones too. In Prometheus that is up to
/// `scrape_native_histograms` and `always_scrape_classic_histograms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NativeHistograms {
    /// One series; its classic buckets are passed over.
    #[default]
    Native,
    /// That one, and the series of the classic buckets if there are any.
    Both,
    /// The series of the classic buckets, at least `+Inf`; exponential ones are passed over.
    Classic,
}

/// As in `# TYPE`. OpenMetrics calls `untyped` unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum MetricType {
    Counter,
    Gauge,
    Histogram,
    GaugeHistogram,
    Summary,
    Info,
    StateSet,
    #[default]
    Unknown,
}

impl MetricType {
    pub fn as_str(self) -> &'static str {
        match self {
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
            MetricType::Histogram => "histogram",
            MetricType::GaugeHistogram => "gaugehistogram",
            MetricType::Summary => "summary",
            MetricType::Info => "info",
            MetricType::StateSet => "stateset",
            MetricType::Unknown => "unknown",
        }
    }
}

/// What a parser hands out, in the order of the body.
#[derive(Debug, Clone, Copy)]
pub enum Item<'a> {
    Type { name: &'a str, kind: MetricType },
    Help { name: &'a str, text: &'a str },
    Unit { name: &'a str, unit: &'a str },
    Sample(Sample<'a>),
    Problem(&'a Problem),
}

/// One sample as a server would store it: a composite value of OpenMetrics 2.0 or a histogram of protobuf comes as several
/// (`x_bucket` for each `le`, `x_count`, `x_sum`), a native histogram as one.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// Also where it was written as the label `__name__`.
    pub name: &'a str,
    /// In the order of the body, without `__name__` and those with an empty value, which no server stores; unescaped, `le` and `quantile` in the
    /// form in which Prometheus stores them.
    pub labels: &'a [Label<'a>],
    pub value: Value<'a>,
    pub timestamp_ms: Option<i64>,
    pub start_ms: Option<i64>,
    pub exemplars: &'a [Exemplar<'a>],
    /// Where the line or message begins in the body, in bytes.
    pub offset: u64,
    /// Its length in the body, in bytes; 0 for all but the first of several samples that one line or message stands for.
    pub length: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label<'a> {
    pub name: &'a str,
    pub value: &'a str,
}

#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    Float(f64),
    Native(&'a NativeHistogram),
}

#[derive(Debug, Clone, Copy)]
pub struct Exemplar<'a> {
    pub labels: &'a [Label<'a>],
    pub value: f64,
    pub timestamp_ms: Option<i64>,
}

/// A histogram with exponential buckets, in one series.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NativeHistogram {
    pub schema: i32,
    pub zero_threshold: f64,
    pub zero_count: f64,
    pub count: f64,
    pub sum: f64,
    /// Index of the bucket and its absolute count, lowest first.
    pub negative: Vec<(i32, f64)>,
    pub positive: Vec<(i32, f64)>,
}

/// Something in the body that a reader of the format refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// In the body, in bytes.
    pub offset: u64,
    /// From 1; 0 for what is wrong with all of the body. In a binary format, the number of the message.
    pub line: u64,
    /// From 1, in characters. In a binary format, the byte in the message.
    pub column: u64,
    /// What is wrong, and what was expected.
    pub message: String,
    /// The line, or the part of it around the column; empty in a binary format.
    pub excerpt: String,
    /// Where the column is in `excerpt`, in characters from 0.
    pub caret: usize,
    pub severity: Severity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The server keeps the scrape, but this is lost or not as meant.
    Warning,
    /// The server refuses the whole scrape.
    Error,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.message),
            line => write!(f, "{line}:{}: {}", self.column, self.message),
        }
    }
}

/// A line or message longer than this is a problem, and is passed over: a parser holds one at a time.
pub const LONGEST_LINE: usize = 16 << 20;

/// Of one body, in any format.
pub enum Parser {
    Text(text::Parser),
    OpenMetrics(Box<openmetrics::Parser>),
    OpenMetrics2(Box<openmetrics2::Parser>),
    Protobuf(protobuf::Parser),
}

impl Parser {
    pub fn new(format: Format, rules: Rules) -> Self {
        Self::with_native(format, rules, NativeHistograms::default())
    }

    pub fn with_native(format: Format, rules: Rules, native: NativeHistograms) -> Self {
        match format {
            Format::OpenMetrics1 => Parser::OpenMetrics(Box::new(openmetrics::Parser::new(rules))),
            Format::Protobuf => Parser::Protobuf(protobuf::Parser::new(native)),
            Format::OpenMetrics2 => Parser::OpenMetrics2(Box::new(openmetrics2::Parser::new(native))),
            Format::Text if rules == Rules::Strict => Parser::Text(text::Parser::strict()),
            Format::Text => Parser::Text(text::Parser::new()),
        }
    }

    /// Reads the whole lines or messages of `input` and returns how many bytes those are; the caller hands in the rest again, with more
    /// behind it. With `last`, nothing more comes and all of it is read.
    pub fn parse(&mut self, input: &[u8], last: bool, each: &mut impl FnMut(Item<'_>)) -> usize {
        match self {
            Parser::Text(parser) => parser.parse(input, last, each),
            Parser::OpenMetrics(parser) => parser.parse(input, last, each),
            Parser::OpenMetrics2(parser) => parser.parse(input, last, each),
            Parser::Protobuf(parser) => parser.parse(input, last, each),
        }
    }
}
