//! One point of a child: the samples with the same labels and timestamp.

use std::collections::HashSet;

use super::family::{Bound, Role};
use super::{Findings, Part, RawSample, found, hash_of};
use crate::formats::exposition::MetricType;

#[derive(Debug, Default)]
pub(super) struct Point {
    /// Hashes of role and bound.
    seen: HashSet<u64>,
    last_bucket: Option<Bucket>,
    negative_buckets: bool,
    sum: Option<f64>,
    count: Option<f64>,
    total: bool,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    le: f64,
    value: f64,
}

impl Point {
    pub fn add(&mut self, kind: MetricType, role: Role, bound: Option<Bound<'_>>, sample: &RawSample<'_>, findings: &mut Findings) {
        match (role, bound) {
            (Role::Bucket, Some(le)) => return self.bucket(le.number, sample.value, findings),
            (Role::Sum, _) => self.sum = Some(sample.value),
            (Role::Count, _) => self.count = Some(sample.value),
            (Role::Total, _) => self.total = true,
            _ => {}
        }
        let key = match (role, bound) {
            (Role::Quantile, Some(quantile)) => quantile.number.to_string(),
            (_, Some(bound)) => bound.text.to_owned(),
            (_, None) => String::new(),
        };
        let again = !self.seen.insert(hash_of([sample.name, &key].into_iter()));
        // Several points of one value may have the same timestamp.
        let one_value = !matches!(kind, MetricType::Histogram | MetricType::GaugeHistogram | MetricType::Summary);
        if again && !(one_value && sample.timestamp.is_some()) {
            found(findings, Part::Name, "this series is there twice");
        }
    }

    fn bucket(&mut self, le: f64, value: f64, findings: &mut Findings) {
        if let Some(last) = self.last_bucket {
            if le == last.le {
                found(findings, Part::Name, "this bucket is there twice");
            } else if le < last.le {
                found(findings, Part::Name, "buckets stand in the order of le, the lowest first");
            } else if value < last.value {
                found(findings, Part::Value, "a bucket counts the ones below it too, so it must not be lower than these");
            }
        }
        self.negative_buckets |= le < 0.0;
        self.last_bucket = Some(Bucket { le, value });
    }

    /// Looks for what is missing.
    pub fn finish(self, kind: MetricType, family: &str, findings: &mut Findings) {
        let mut wrong = |message: String| found(findings, Part::PointBefore, message);
        let (sum, count) = match kind {
            MetricType::Counter if !self.total => return wrong(format!("a counter lacks its {family}_total")),
            MetricType::Histogram => ("_sum", "_count"),
            MetricType::GaugeHistogram => ("_gsum", "_gcount"),
            _ => return,
        };
        let all = self.last_bucket.filter(|bucket| bucket.le == f64::INFINITY).map(|bucket| bucket.value);
        if all.is_none() {
            wrong(format!("the last bucket of {family} must be le=\"+Inf\""));
        }
        if self.sum.is_some() != self.count.is_some() {
            let (there, missing) = if self.sum.is_some() { (sum, count) } else { (count, sum) };
            wrong(format!("{family}{there} is there, and {family}{missing} is not: both or neither"));
        }
        if let (Some(all), Some(counted)) = (all, self.count)
            && all != counted
        {
            wrong(format!("{family}{count} is {counted}, and the bucket le=\"+Inf\" is {all}: these must be equal"));
        }
        if kind == MetricType::Histogram && self.negative_buckets && self.sum.is_some() {
            wrong(format!("{family} has buckets below 0, so it must not have a sum"));
        }
        if kind == MetricType::GaugeHistogram && !self.negative_buckets && self.sum.is_some_and(|sum| sum < 0.0) {
            wrong(format!("{family}{sum} is negative without buckets below 0"));
        }
    }
}
