//! Words that the formats share.

use crate::cardinality::analyze::gate::{Finding, Rule};
use crate::cardinality::analyze::outlook::{Outlook, Verdict};
use crate::cardinality::analyze::shapes::{Bounded, Shape};
use crate::cardinality::analyze::without::{Label, Without};
use crate::cardinality::model::{Role, Scrape};
use crate::formats::exposition::Format;

pub fn format_name(format: Format) -> &'static str {
    match format {
        Format::Text => "text",
        Format::OpenMetrics1 => "openmetrics-1.0",
        Format::OpenMetrics2 => "openmetrics-2.0",
        Format::Protobuf => "protobuf",
    }
}

/// Of a series in a histogram, a summary or a counter; empty for those with the name of the family.
pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::Plain => "plain",
        Role::Total => "total",
        Role::Bucket => "bucket",
        Role::Quantile => "quantile",
        Role::Sum | Role::GaugeSum => "sum",
        Role::Count | Role::GaugeCount => "count",
        Role::Created => "created",
        Role::Info => "info",
        Role::Native => "native",
    }
}

/// `1234567` as `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub fn percent(share: f64) -> String {
    match share * 100.0 {
        all if all >= 99.95 => "100 %".to_owned(),
        tiny if tiny > 0.0 && tiny < 0.05 => "< 0.1 %".to_owned(),
        share => format!("{share:.1} %"),
    }
}

/// What leaving a label out would do, where that is not a plain number. A label that has another value in each child tells all others, which
/// says something of those only that do the same.
pub fn dependency(scrape: &Scrape, found: &Without, label: &Label) -> Option<String> {
    let name = |index: &usize| scrape.text(found.labels[*index].name);
    let is_key = |label: &Label| label.values + u64::from(label.absent > 0) == found.children;
    let telling = label.determined_by.iter().find(|other| is_key(label) || !is_key(&found.labels[**other]));
    match (label.constant, label.mirrored.first(), telling) {
        (true, ..) => Some("the same everywhere".to_owned()),
        (_, Some(other), _) => Some(format!("equal to {}", name(other))),
        (_, _, Some(other)) => Some(format!("follows from {}", name(other))),
        _ => None,
    }
}

/// `uuid`, `path_with_ids /users/:id and 3 more`, `91 % uuid` where not all values are of the kind.
pub fn shape_name(shape: &Shape) -> String {
    let mut text = shape.kind.id().to_owned();
    if shape.mixed {
        text = format!("{} {text}", percent(shape.share));
    }
    if let Some(template) = shape.templates.iter().find(|template| template.varies) {
        text = format!("{text} {}", template.text);
        // Values that are their own template are among them.
        if shape.templates.len() > 1 {
            text = format!("{text} and {} more", shape.templates.len() - 1);
        }
    }
    text
}

pub fn bounded_name(bounded: Bounded) -> &'static str {
    match bounded {
        Bounded::Bounded => "bounded",
        Bounded::Unbounded => "unbounded",
        Bounded::Unknown => "unknown",
    }
}

pub fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Bounded => "bounded",
        Verdict::Growing => "growing",
        Verdict::Unknown => "unknown",
    }
}

/// What is to come of a metric. Ids that are used in bunches look bounded by their counts: there the shape of the values is right.
pub fn verdict(outlook: &Outlook, shapes: &[Shape]) -> Verdict {
    match outlook.verdict {
        Verdict::Bounded if ids_keep_coming(shapes) => Verdict::Unknown,
        verdict => verdict,
    }
}

/// Where the counts do not tell, the values of a label may: new ids come for ever, even where old ones go.
pub fn ids_keep_coming(shapes: &[Shape]) -> bool {
    shapes.iter().any(|shape| shape.bounded == Bounded::Unbounded)
}

/// One line: the limit, what was seen, and who makes it.
pub fn finding_text(finding: &Finding) -> String {
    let label = |before: &str| finding.label.as_ref().map(|label| format!("{before}{label}")).unwrap_or_default();
    // Several are listed as `a, b and c`.
    let by =
        || label(if finding.label.as_ref().is_some_and(|label| label.contains(" and ")) { ", by its labels " } else { ", by its label " });
    let (metric, seen, limit) = (&finding.metric, thousands(finding.seen), thousands(finding.limit));
    match finding.rule {
        Rule::Empty => "there is no series at all: nothing says that limits are kept".to_owned(),
        Rule::Series => format!("{seen} series, more than {limit}; the biggest metric is {metric}{}", by()),
        Rule::SeriesPerMetric => format!("{metric} has {seen} series, more than {limit}{}", by()),
        Rule::LabelValues => format!("{metric} has {seen} values of{}, more than {limit}", label(" ")),
        Rule::New => format!("{metric} is new and has {seen} series, more than {limit}{}", by()),
        Rule::Growth => format!("{metric} has grown to {seen} series, more than {limit}{}", by()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(["0", "999", "1,000", "12,345,678"], [0, 999, 1000, 12_345_678].map(thousands).each_ref().map(String::as_str));
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.0001), "< 0.1 %");
        assert_eq!(percent(0.0), "0.0 %");
        assert_eq!(percent(0.1234), "12.3 %");
    }
}
