//! Whether a scrape keeps to its budget, and which metric and label does not.

use std::time::SystemTime;

use super::metrics::Metric;
use crate::cardinality::model::{Budget, Scrape, Waiver};

/// Which limit was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// There is no series at all: an endpoint that lost its metrics keeps every other limit.
    Empty,
    Series,
    SeriesPerMetric,
    LabelValues,
    /// Growth since a baseline.
    Growth,
    /// The same of a metric that was not there.
    New,
}

impl Rule {
    pub fn as_str(self) -> &'static str {
        match self {
            Rule::Empty => "no-series",
            Rule::Series => "max-series",
            Rule::SeriesPerMetric => "max-series-per-metric",
            Rule::LabelValues => "max-label-values",
            Rule::Growth | Rule::New => "baseline",
        }
    }
}

/// One limit that is passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub rule: Rule,
    /// The culprit; of a limit on all series, the biggest metric.
    pub metric: String,
    /// The label that makes the most of it.
    pub label: Option<String>,
    pub limit: u64,
    pub seen: u64,
    pub waiver: Option<Waived>,
}

/// That a finding was known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waived {
    pub until: String,
    pub reason: String,
    /// It counts again.
    pub expired: bool,
}

impl Finding {
    /// Whether it fails the gate.
    pub fn counts(&self) -> bool {
        self.waiver.as_ref().is_none_or(|waiver| waiver.expired)
    }
}

/// All limits that are passed, those of the whole scrape first.
pub fn check(scrape: &Scrape, metrics: &[Metric], budget: &Budget, now: SystemTime) -> Vec<Finding> {
    let name = |metric: &Metric| scrape.text(scrape.families[metric.family].name).to_owned();
    let mut findings = Vec::new();
    if scrape.series() == 0 {
        findings.push(Finding { rule: Rule::Empty, metric: String::new(), label: None, limit: 1, seen: 0, waiver: None });
    }
    if let Some(limit) = budget.total_series
        && scrape.series() > limit
    {
        let biggest = metrics.first();
        findings.push(Finding {
            rule: Rule::Series,
            metric: biggest.map(name).unwrap_or_default(),
            label: biggest.and_then(|metric| culprit(scrape, metric)),
            limit,
            seen: scrape.series(),
            waiver: None,
        });
    }
    for metric in metrics {
        let metric_name = name(metric);
        let allowed = budget.of(&metric_name);
        let finding = |rule, label, limit, seen| Finding { rule, metric: metric_name.clone(), label, limit, seen, waiver: None };
        if let Some(limit) = allowed.series.filter(|limit| metric.series > *limit) {
            findings.push(finding(Rule::SeriesPerMetric, culprit(scrape, metric), limit, metric.series));
        }
        let bounds = metric.without.bounds.iter().map(|bound| (bound.name, bound.values));
        let labels = metric.without.labels.iter().map(|label| (scrape.text(label.name), label.values));
        for (label, values) in labels.chain(bounds) {
            let limit = allowed.labels.iter().find(|(name, _)| name == label).map(|(_, limit)| *limit).or(allowed.label_values);
            if let Some(limit) = limit.filter(|limit| values > *limit) {
                findings.push(finding(Rule::LabelValues, Some(label.to_owned()), limit, values));
            }
        }
    }
    for finding in &mut findings {
        waive(finding, &budget.waivers, now);
    }
    findings
}

/// The label that makes most of the series; several, where only all of them together do.
pub fn culprit(scrape: &Scrape, metric: &Metric) -> Option<String> {
    let (labels, _) = metric.without.culprit()?;
    let names = labels.iter().map(|label| scrape.text(metric.without.labels[*label].name));
    Some(listed(&names.collect::<Vec<&str>>()))
}

/// `a, b and c`
pub fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// A waiver of a metric holds for its series and all its labels, one of a label for that alone. None holds for the whole scrape.
pub fn waive(finding: &mut Finding, waivers: &[Waiver], now: SystemTime) {
    let applies = |waiver: &&Waiver| {
        waiver.metric.matches(&finding.metric)
            && match &waiver.label {
                None => true,
                Some(label) => finding.rule == Rule::LabelValues && finding.label.as_ref() == Some(label),
            }
    };
    if matches!(finding.rule, Rule::Empty | Rule::Series) {
        return;
    }
    let applying = waivers.iter().filter(applies).max_by_key(|waiver| waiver.ends);
    finding.waiver =
        applying.map(|waiver| Waived { until: waiver.until.clone(), reason: waiver.reason.clone(), expired: waiver.ends <= now });
}
