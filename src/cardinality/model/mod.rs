//! Plain data of a scrape: each family of metrics as a table, a row for each child, a column for each label.
//!
//! A child is a set of label values, and has one series (gauge, counter) or several (the buckets, sum and count of a histogram). `le`
//! and `quantile` of histograms and summaries are not columns: they are part of the [`Member`]s.

mod baseline;
mod budget;
mod strings;

use std::sync::Arc;

use crate::formats::exposition::{Format, MetricType, NativeHistogram, Problem};

pub use baseline::{Baseline, MetricSketch, Sketch};
pub use budget::{Budget, MetricBudget, Pattern, Waiver};
pub use strings::{Id, Strings};

/// All that one endpoint, or several, serve at one moment.
#[derive(Debug, Clone, Default)]
pub struct Scrape {
    pub strings: Strings,
    /// In the order in which they first appear.
    pub families: Vec<Family>,
    pub quality: Quality,
}

/// What was read, and what of it was not understood.
#[derive(Debug, Clone, Default)]
pub struct Quality {
    pub format: Option<Format>,
    /// Of the body, decompressed.
    pub bytes: u64,
    /// In the body, as a server would count them: `scrape_samples_scraped`.
    pub samples: u64,
    /// Samples of a series that was there already; a server keeps the first.
    pub duplicates: u64,
    /// The first [`DUPLICATES_KEPT`] of the series that these are of.
    pub duplicate_series: Vec<String>,
    /// Samples of metrics with so many labels that no more of it can be kept.
    pub left_out: u64,
    /// Samples with a timestamp of their own.
    pub timestamped: u64,
    /// The first [`PROBLEMS_KEPT`].
    pub problems: Vec<Found>,
    pub errors: u64,
    pub warnings: u64,
}

impl Quality {
    /// Adds what was seen further behind in the same body, or in another one.
    pub fn add(&mut self, other: Quality) {
        self.bytes += other.bytes;
        self.samples += other.samples;
        self.add_duplicates(other.duplicates, other.duplicate_series);
        self.left_out += other.left_out;
        self.timestamped += other.timestamped;
        self.problems.extend(other.problems);
        self.problems.truncate(PROBLEMS_KEPT);
        self.errors += other.errors;
        self.warnings += other.warnings;
    }

    pub fn add_duplicates(&mut self, count: u64, series: Vec<String>) {
        self.duplicates += count;
        self.duplicate_series.extend(series);
        let mut seen = rustc_hash::FxHashSet::default();
        self.duplicate_series.retain(|series| seen.insert(series.clone()));
        self.duplicate_series.truncate(DUPLICATES_KEPT);
    }
}

/// A problem, and where it is.
#[derive(Debug, Clone)]
pub struct Found {
    /// The name of the body, as it is shown.
    pub source: Arc<str>,
    pub problem: Problem,
}

pub const PROBLEMS_KEPT: usize = 1000;
pub const DUPLICATES_KEPT: usize = 10;

/// Series that belong together: those of one `# TYPE`, or of one name that none was given for.
///
/// The rows are children; no two have the same labels.
#[derive(Debug, Clone, Default)]
pub struct Family {
    pub name: Id,
    pub kind: MetricType,
    pub help: Option<Id>,
    pub unit: Option<Id>,
    /// In the order in which the labels first appear.
    pub columns: Vec<Column>,
    /// The distinct sets of members that children have.
    pub layouts: Vec<Vec<Member>>,
    /// For each child, an index into `layouts`.
    pub layout: Vec<u32>,
    /// For each child, where its values begin in `values`; one for each member, in the order of the layout.
    pub first_value: Vec<u32>,
    pub values: Vec<f64>,
    pub exemplars: Vec<Exemplar>,
    /// Native histograms: the child, and the histogram.
    pub native: Vec<(u32, NativeHistogram)>,
    /// How much of the body it takes, samples and comments.
    pub bytes: u64,
}

#[derive(Debug, Clone, Default)]
pub struct Column {
    pub name: Id,
    /// For each child the value, [`Id::EMPTY`] where it does not have the label.
    pub cells: Vec<Id>,
}

/// One series of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    pub role: Role,
    /// The value of `le` or `quantile`; empty where the role has none.
    pub bound: Id,
}

/// What a series is within its family; decides the end of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Has the name of the family.
    Plain,
    /// `_total`
    Total,
    /// `_bucket`, with `le`
    Bucket,
    /// Has the name of the family, with `quantile`.
    Quantile,
    /// `_sum`
    Sum,
    /// `_count`
    Count,
    /// `_gsum`
    GaugeSum,
    /// `_gcount`
    GaugeCount,
    /// `_created`
    Created,
    /// `_info`
    Info,
    /// A native histogram, whole in one series; has the name of the family.
    Native,
}

impl Role {
    pub fn suffix(self) -> &'static str {
        match self {
            Role::Plain | Role::Quantile | Role::Native => "",
            Role::Total => "_total",
            Role::Bucket => "_bucket",
            Role::Sum => "_sum",
            Role::Count => "_count",
            Role::GaugeSum => "_gsum",
            Role::GaugeCount => "_gcount",
            Role::Created => "_created",
            Role::Info => "_info",
        }
    }

    /// The label that tells series of this role in one child apart.
    pub fn bound_label(self) -> Option<&'static str> {
        match self {
            Role::Bucket => Some("le"),
            Role::Quantile => Some("quantile"),
            _ => None,
        }
    }
}

/// One exemplar of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exemplar {
    pub child: u32,
    pub member: Member,
    /// Of its label names and values, in characters: what the limit of OpenMetrics 1.0 counts.
    pub characters: u32,
    /// The same in bytes.
    pub bytes: u32,
    pub timestamped: bool,
}

impl Family {
    pub fn children(&self) -> usize {
        self.layout.len()
    }

    /// The series of one child.
    pub fn members(&self, child: usize) -> &[Member] {
        &self.layouts[self.layout[child] as usize]
    }

    /// The values of one child, one for each of `members`.
    pub fn values(&self, child: usize) -> &[f64] {
        let first = self.first_value[child] as usize;
        &self.values[first..first + self.members(child).len()]
    }

    /// Name and value of the labels that a child has.
    pub fn labels(&self, child: usize) -> impl Iterator<Item = (Id, Id)> + '_ {
        self.columns.iter().map(move |column| (column.name, column.cells[child])).filter(|(_, value)| *value != Id::EMPTY)
    }

    pub fn series(&self) -> u64 {
        self.values.len() as u64
    }

    /// A series as an endpoint writes it, without its value.
    pub fn series_text(&self, strings: &Strings, child: usize, member: Member) -> String {
        let escape = |id: Id| strings.get(id).replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let mut labels: Vec<String> =
            self.labels(child).map(|(name, value)| format!("{}=\"{}\"", strings.get(name), escape(value))).collect();
        labels.extend(member.role.bound_label().map(|label| format!("{label}=\"{}\"", escape(member.bound))));
        let name = format!("{}{}", strings.get(self.name), member.role.suffix());
        if labels.is_empty() { name } else { format!("{name}{{{}}}", labels.join(",")) }
    }

    /// How often something was counted in a child: the value of a counter, the count of a histogram or summary.
    pub fn events(&self, child: usize) -> Option<f64> {
        let wanted = |role: Role| match self.kind {
            MetricType::Counter => matches!(role, Role::Plain | Role::Total),
            MetricType::Histogram | MetricType::Summary => matches!(role, Role::Count | Role::Native),
            _ => false,
        };
        let member = self.members(child).iter().position(|member| wanted(member.role))?;
        Some(self.values(child)[member])
    }
}

impl Scrape {
    pub fn series(&self) -> u64 {
        self.families.iter().map(Family::series).sum()
    }

    pub fn text(&self, id: Id) -> &str {
        self.strings.get(id)
    }

    pub fn series_text(&self, family: &Family, child: usize, member: Member) -> String {
        family.series_text(&self.strings, child, member)
    }

    /// The full name of a series.
    pub fn series_name(&self, family: &Family, role: Role) -> String {
        format!("{}{}", self.text(family.name), role.suffix())
    }
}

/// The finalizer of SplitMix64: every bit of the result depends on every bit of `x`.
pub fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}
