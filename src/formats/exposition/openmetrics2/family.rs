//! What must hold in a metric family of OpenMetrics 2.0, beyond the grammar of its lines: section "Data Model" of the specification.

use std::hash::{Hash, Hasher};

use rustc_hash::{FxHashSet, FxHasher};

use super::composite::{Composite, Content};
use super::line::{Exemplar, Sample, Value};
use crate::formats::exposition::{Label, MetricType};

/// The families of a body; one is open.
#[derive(Debug, Default)]
pub struct Families {
    name: String,
    pub kind: MetricType,
    has: Has,
    unit: bool,
    /// Hashes of the label sets of the open family, and the last one with its timestamp.
    metrics: FxHashSet<u64>,
    last: Option<(u64, Option<f64>)>,
    closed: FxHashSet<String>,
}

/// What the open family has had.
#[derive(Debug, Default)]
struct Has {
    kind: bool,
    unit: bool,
    help: bool,
    samples: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metadata {
    Type(MetricType),
    /// Whether it is empty.
    Unit(bool),
    Help,
}

type Rule = Result<(), String>;

impl Families {
    /// The family of this line; an error if it was closed before.
    fn enter(&mut self, name: &str) -> Rule {
        if self.name == name && (!name.is_empty()) {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.name, name.to_owned());
        self.closed.insert(before);
        (self.kind, self.has, self.unit, self.last) = (MetricType::Unknown, Has::default(), false, None);
        self.metrics.clear();
        match self.closed.contains(name) {
            true => Err(format!("the metric family {name} was there before: families must not be interleaved")),
            false => Ok(()),
        }
    }

    pub fn metadata(&mut self, name: &str, line: Metadata) -> Rule {
        let entered = self.enter(name);
        let samples = self.has.samples;
        let (twice, what) = match line {
            Metadata::Type(kind) => {
                self.kind = kind;
                (std::mem::replace(&mut self.has.kind, true), "TYPE")
            }
            Metadata::Unit(empty) => {
                self.unit |= !empty;
                (std::mem::replace(&mut self.has.unit, true), "UNIT")
            }
            Metadata::Help => (std::mem::replace(&mut self.has.help, true), "HELP"),
        };
        entered?;
        if twice {
            return Err(format!("a second {what} of {name}"));
        }
        if samples {
            return Err(format!("{what} of {name} comes after samples of it"));
        }
        if self.unit && matches!(self.kind, MetricType::Info | MetricType::StateSet) {
            return Err(format!("{name} has a unit, and the type {}, which has none", self.kind.as_str()));
        }
        if line == Metadata::Type(MetricType::Info) && !name.ends_with("_info") {
            return Err(format!("the name {name} of an info does not end with _info"));
        }
        Ok(())
    }

    /// `labels`: those of the sample that are not empty.
    pub fn sample(&mut self, sample: &Sample<'_>, labels: &[Label<'_>]) -> Rule {
        self.enter(&sample.name)?;
        self.has.samples = true;
        self.order(sample, labels)?;
        match &sample.value {
            Value::Number(value) => self.number(*value, labels),
            Value::Composite(value) => self.composite(value, labels),
        }
    }

    /// The samples of a metric stand together, and their timestamps rise.
    fn order(&mut self, sample: &Sample<'_>, labels: &[Label<'_>]) -> Rule {
        let hash = labels.iter().fold(0u64, |sum, label| {
            let mut hasher = FxHasher::default();
            (label.name, label.value).hash(&mut hasher);
            sum.wrapping_add(hasher.finish())
        });
        let last = self.last.replace((hash, sample.timestamp));
        match last {
            Some((same, before)) if same == hash => match before.zip(sample.timestamp) {
                Some((before, now)) if before < now => Ok(()),
                _ => Err("these labels are there a second time, without a later timestamp".to_owned()),
            },
            _ if self.metrics.insert(hash) => Ok(()),
            _ => Err("these labels were there before: metrics must not be interleaved".to_owned()),
        }
    }

    fn number(&self, value: f64, labels: &[Label<'_>]) -> Rule {
        let rule = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
        match self.kind {
            MetricType::Histogram | MetricType::GaugeHistogram | MetricType::Summary => {
                Err(format!("a {} has a composite value", self.kind.as_str()))
            }
            MetricType::Counter => rule(value >= 0.0, "a counter is neither negative nor NaN"),
            MetricType::Info => rule(value == 1.0, "the value of an info is 1"),
            MetricType::StateSet if !labels.iter().any(|label| label.name == self.name) => {
                Err(format!("a state set has a label with its own name, {}", self.name))
            }
            MetricType::StateSet => rule(value == 0.0 || value == 1.0, "the value of a state is 0 or 1"),
            MetricType::Gauge | MetricType::Unknown => Ok(()),
        }
    }

    fn composite(&self, value: &Composite, labels: &[Label<'_>]) -> Rule {
        let fits = match self.kind {
            MetricType::Summary => matches!(value.content, Content::Summary(_)),
            MetricType::Histogram => matches!(value.content, Content::Histogram { .. }) && !value.gauge,
            MetricType::GaugeHistogram => value.gauge,
            MetricType::Unknown => true,
            _ => false,
        };
        if !fits {
            return Err(format!("this is not the value of a {}", self.kind.as_str()));
        }
        if !value.gauge && (value.count < 0.0 || value.count.is_nan()) {
            return Err("the count is negative or NaN".to_owned());
        }
        let has_label = |name: &str| labels.iter().any(|label| label.name == name);
        match &value.content {
            Content::Summary(_) if has_label("quantile") => Err("a summary has no label quantile".to_owned()),
            Content::Histogram { classic: Some(_), .. } if has_label("le") => {
                Err("a histogram with classic buckets has no label le".to_owned())
            }
            Content::Summary(quantiles) => summary(value, quantiles),
            Content::Histogram { native, classic } => {
                if let Some(buckets) = classic {
                    classic_buckets(value, buckets)?;
                }
                match native {
                    Some(native) => {
                        let buckets = || native.negative.iter().chain(&native.positive).map(|(_, count)| *count);
                        native_buckets(value, native.zero_count, buckets)
                    }
                    None => Ok(()),
                }
            }
        }
    }
}

fn summary(value: &Composite, quantiles: &[(f64, f64)]) -> Rule {
    if value.count.fract() != 0.0 {
        return Err("the count of a summary is not a whole number".to_owned());
    }
    if value.sum < 0.0 || value.sum.is_nan() {
        return Err("the sum of a summary is negative or NaN".to_owned());
    }
    match quantiles.iter().find(|(quantile, value)| !(0.0..=1.0).contains(quantile) || *value < 0.0) {
        Some((quantile, _)) if (0.0..=1.0).contains(quantile) => Err(format!("the value of the quantile {quantile} is negative")),
        Some((quantile, _)) => Err(format!("the quantile {quantile} is not one from 0 to 1")),
        None => Ok(()),
    }
}

fn classic_buckets(value: &Composite, buckets: &[(f64, f64)]) -> Rule {
    if !value.gauge {
        if buckets.iter().any(|(_, count)| *count < 0.0) {
            return Err("the count of a bucket is negative".to_owned());
        }
        if buckets.windows(2).any(|pair| pair[0].1 > pair[1].1) {
            return Err("a bucket holds less than the one before, though it counts all that is below".to_owned());
        }
    }
    match buckets.last() {
        Some((_, infinite)) if *infinite != value.count && !infinite.is_nan() => {
            Err(format!("the bucket +Inf has {infinite}, but the count is {}", value.count))
        }
        _ => Ok(()),
    }
}

/// What floats above this are exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

fn native_buckets<I: Iterator<Item = f64>>(value: &Composite, zero_count: f64, buckets: impl Fn() -> I) -> Rule {
    if value.gauge {
        return Ok(());
    }
    if zero_count < 0.0 || buckets().any(|count| count < 0.0) {
        return Err("the count of a bucket is negative".to_owned());
    }
    let total = zero_count + buckets().sum::<f64>();
    let whole = [value.count, zero_count].into_iter().chain(buckets()).all(|count| count.fract() == 0.0 && count < EXACT);
    // NaN is in no bucket, but makes the sum NaN.
    if whole && (total > value.count || total < value.count && !value.sum.is_nan()) {
        return Err(format!("the buckets hold {total}, but the count is {}", value.count));
    }
    Ok(())
}

/// Which classic bucket each exemplar falls in, in the order of the buckets, which have upper bounds as given.
pub fn of_buckets(exemplars: &[Exemplar<'_>], buckets: &[(f64, f64)]) -> Vec<(usize, usize)> {
    let bucket = |exemplar: &Exemplar<'_>| match exemplar.value.is_nan() {
        true => buckets.len().saturating_sub(1),
        false => buckets.partition_point(|(upper, _)| *upper < exemplar.value),
    };
    let mut places: Vec<_> = exemplars.iter().enumerate().map(|(index, exemplar)| (bucket(exemplar), index)).collect();
    places.sort_unstable();
    places
}
