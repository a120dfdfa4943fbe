//! What is wrong with the names, help texts and units of metrics.
//!
//! The rules of promlint (client_golang `prometheus/testutil/promlint`), each once for a metric, and those of the data model and of
//! OpenMetrics that it does not have. `# HELP` without a text counts as none, as in expfmt.
//!
//! Differences from promlint, all of them wanted:
//! - children with equal labels are counted when the scrape is read (`Quality::duplicates`), which is linear; promlint compares all pairs;
//! - in a counter named without `_total` whose samples have it (OpenMetrics), nothing is missing;
//! - a gauge histogram may have `_bucket` and `le`;
//! - the rules from [`Rule::UnitMismatch`] on have no counterpart.

pub mod units;

use crate::cardinality::model::{Family, Role, Scrape};
use crate::formats::exposition::MetricType;

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Name of the family, as in `# TYPE`.
    pub metric: String,
    pub rule: Rule,
    pub severity: Severity,
    /// What is wrong and what to do, in one sentence.
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// A matter of habit.
    Info,
    /// Against the conventions of Prometheus.
    Warning,
    /// Some reader refuses it, renames it, or takes it for something else.
    Error,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    Help,
    CounterTotal,
    NonCounterTotal,
    BaseUnit,
    TypeInName,
    ReservedSuffix,
    ReservedLabel,
    Colon,
    MetricCase,
    LabelCase,
    UnitAbbreviation,
    /// `# UNIT` is not the end of the name.
    UnitMismatch,
    UnitPosition,
    /// The name needs quotes: only readers that know UTF-8 names take it unchanged.
    MetricName,
    LabelName,
    /// A label that the server sets itself.
    TargetLabel,
}

impl Rule {
    /// Stable, for machines.
    pub fn id(self) -> &'static str {
        match self {
            Rule::Help => "help",
            Rule::CounterTotal => "counter-total",
            Rule::NonCounterTotal => "non-counter-total",
            Rule::BaseUnit => "base-unit",
            Rule::TypeInName => "type-in-name",
            Rule::ReservedSuffix => "reserved-suffix",
            Rule::ReservedLabel => "reserved-label",
            Rule::Colon => "colon",
            Rule::MetricCase => "metric-case",
            Rule::LabelCase => "label-case",
            Rule::UnitAbbreviation => "unit-abbreviation",
            Rule::UnitMismatch => "unit-mismatch",
            Rule::UnitPosition => "unit-position",
            Rule::MetricName => "metric-name",
            Rule::LabelName => "label-name",
            Rule::TargetLabel => "target-label",
        }
    }

    pub fn severity(self) -> Severity {
        match self {
            Rule::UnitPosition | Rule::TargetLabel => Severity::Info,
            Rule::ReservedLabel | Rule::UnitMismatch | Rule::MetricName | Rule::LabelName => Severity::Error,
            _ => Severity::Warning,
        }
    }
}

/// All findings, in the order of the families; in a family in the order of the rules.
pub fn lint(scrape: &Scrape) -> Vec<Finding> {
    let mut findings = Vec::new();
    for family in scrape.families.iter().filter(|family| family.children() > 0) {
        let mut found: Vec<(Rule, String)> = Vec::new();
        meta(scrape, family, &mut found);
        name(scrape.text(family.name), family.kind, &mut found);
        labels(scrape, family, &mut found);
        found.sort();
        let metric = scrape.text(family.name);
        findings.extend(found.into_iter().map(|(rule, text)| Finding { metric: metric.to_owned(), rule, severity: rule.severity(), text }));
    }
    findings
}

/// Help, unit, and `_total`, which may stand in the samples alone.
fn meta(scrape: &Scrape, family: &Family, found: &mut Vec<(Rule, String)>) {
    let name = scrape.text(family.name);
    if family.help.is_none_or(|help| scrape.text(help).is_empty()) {
        found.push((Rule::Help, "there is no help text".to_owned()));
    }
    let total = name.ends_with("_total") || family.layouts.iter().flatten().any(|member| member.role == Role::Total);
    match family.kind {
        MetricType::Counter if !total => found.push((Rule::CounterTotal, "the name of a counter should end in `_total`".to_owned())),
        MetricType::Counter | MetricType::Unknown => {}
        _ if name.ends_with("_total") => {
            found.push((Rule::NonCounterTotal, format!("a {} should not end in `_total`: that is for counters", family.kind.as_str())));
        }
        _ => {}
    }
    if let Some(unit) = family.unit.map(|unit| scrape.text(unit)).filter(|unit| !unit.is_empty()) {
        let bare = name.strip_suffix("_total").unwrap_or(name);
        if !bare.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')) {
            found.push((
                Rule::UnitMismatch,
                format!("the unit is `{unit}`, but the name does not end in `_{unit}`; OpenMetrics demands it"),
            ));
        }
    }
}

fn name(name: &str, kind: MetricType, found: &mut Vec<(Rule, String)>) {
    if let Some((unit, base, position)) = units::first_unit(name) {
        if unit != base {
            found.push((Rule::BaseUnit, format!("use the base unit `{base}` instead of `{unit}`")));
        }
        if !ends_well(name, position) {
            found.push((Rule::UnitPosition, format!("the unit `{unit}` belongs at the end of the name")));
        }
    }
    let lower = name.to_ascii_lowercase();
    if kind != MetricType::Unknown && type_words(kind).iter().any(|word| has_words(&lower, word)) {
        found.push((Rule::TypeInName, format!("the name should not include the type, {}", kind.as_str())));
    }
    if let Some(suffix) = reserved_suffix(name, kind) {
        found.push((
            Rule::ReservedSuffix,
            format!("a {} should not end in `{suffix}`: that is for histograms and summaries", kind.as_str()),
        ));
    }
    if name.contains(':') {
        found.push((Rule::Colon, "a colon is for the names of recording rules".to_owned()));
    }
    if is_camel_case(name) {
        found.push((Rule::MetricCase, "the name should be in snake_case".to_owned()));
    }
    if let Some(word) = name.split('_').skip(1).find(|word| units::is_abbreviation(word)) {
        found.push((Rule::UnitAbbreviation, format!("the unit `{word}` should be spelled out")));
    }
    if !is_legacy_name(name, true) {
        found.push((Rule::MetricName, "the name needs quotes; readers that do not know UTF-8 names refuse or rename it".to_owned()));
    }
}

/// Each label once, however many children have it.
fn labels(scrape: &Scrape, family: &Family, found: &mut Vec<(Rule, String)>) {
    let kind = family.kind.as_str();
    for label in family.columns.iter().map(|column| scrape.text(column.name)) {
        let histogram = matches!(family.kind, MetricType::Histogram | MetricType::GaugeHistogram | MetricType::Unknown);
        if label == "le" && !histogram {
            found.push((Rule::ReservedLabel, format!("a {kind} should not have the label `le`: that is for histograms")));
        }
        if label == "quantile" && !matches!(family.kind, MetricType::Summary | MetricType::Unknown) {
            found.push((Rule::ReservedLabel, format!("a {kind} should not have the label `quantile`: that is for summaries")));
        }
        if is_camel_case(label) {
            found.push((Rule::LabelCase, format!("the label `{label}` should be in snake_case")));
        }
        if !is_legacy_name(label, false) {
            found.push((
                Rule::LabelName,
                format!("the label `{label}` needs quotes; readers that do not know UTF-8 names refuse or rename it"),
            ));
        } else if label.starts_with("__") {
            found.push((Rule::LabelName, format!("the label `{label}` begins with `__`, which is reserved for the server")));
        }
        if matches!(label, "job" | "instance") {
            let text = format!("the server sets `{label}` itself, and stores this one as `exported_{label}` unless honor_labels is on");
            found.push((Rule::TargetLabel, text));
        }
    }
}

/// Behind a unit may stand what a type or a convention adds, or what it is related to: `bytes_per_second`, `seconds_since_start`.
fn ends_well(name: &str, position: usize) -> bool {
    const ENDINGS: [&str; 11] = ["total", "sum", "count", "bucket", "created", "info", "ratio", "max", "min", "gsum", "gcount"];
    let mut behind = name.split('_').skip(position + 1).peekable();
    matches!(behind.peek(), Some(&("per" | "since" | "until")))
        || behind.all(|word| ENDINGS.contains(&word) || units::base_of(word).is_some())
}

fn type_words(kind: MetricType) -> &'static [&'static str] {
    match kind {
        MetricType::GaugeHistogram => &["gaugehistogram", "gauge_histogram"],
        MetricType::Counter => &["counter"],
        MetricType::Gauge => &["gauge"],
        MetricType::Histogram => &["histogram"],
        MetricType::Summary => &["summary"],
        MetricType::Info => &["info"],
        MetricType::StateSet => &["stateset"],
        MetricType::Unknown => &[],
    }
}

/// `words`, behind an underscore, up to the next one or the end.
fn has_words(name: &str, words: &str) -> bool {
    name.match_indices(words).any(|(at, _)| {
        let behind = name.as_bytes().get(at + words.len());
        at > 0 && name.as_bytes()[at - 1] == b'_' && behind.is_none_or(|byte| *byte == b'_')
    })
}

fn reserved_suffix(name: &str, kind: MetricType) -> Option<&'static str> {
    let allowed: &[&str] = match kind {
        MetricType::Unknown | MetricType::Histogram => return None,
        MetricType::GaugeHistogram => &["_bucket"],
        MetricType::Summary => &["_count", "_sum"],
        _ => &[],
    };
    ["_bucket", "_count", "_sum"].into_iter().find(|suffix| name.ends_with(suffix) && !allowed.contains(suffix))
}

fn is_camel_case(name: &str) -> bool {
    name.as_bytes().windows(2).any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase())
}

/// What Prometheus before version 3 took for a name.
fn is_legacy_name(name: &str, colon: bool) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || (colon && byte == b':');
    name.bytes().all(fits) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

#[cfg(test)]
mod tests;
