//! What was asked about names that the scrape does not have: most often a typing error, and then a limit that never holds.

use crate::cardinality::model::{Budget, Family, MetricBudget, Pattern, Role, Scrape};

/// Entries of a budget that are about nothing, a sentence each.
pub fn entries(scrape: &Scrape, budget: &Budget) -> Vec<String> {
    let mut told = Vec::new();
    let every = Pattern::new("*");
    let entries = std::iter::once((&every, &budget.default)).chain(budget.metrics.iter().map(|(pattern, metric)| (pattern, metric)));
    for (pattern, MetricBudget { labels, .. }) in entries {
        let labels: Vec<&str> = labels.iter().map(|(label, _)| label.as_str()).collect();
        told.extend(missing(scrape, "the budget", pattern, &labels));
    }
    for waiver in &budget.waivers {
        told.extend(missing(scrape, "a waiver", &waiver.metric, waiver.label.as_deref().as_slice()));
    }
    told
}

/// Of a metric that is not there, its labels are not worth a word.
fn missing(scrape: &Scrape, place: &str, pattern: &Pattern, labels: &[&str]) -> Vec<String> {
    let name = pattern.as_str();
    let matching: Vec<&Family> = scrape.families.iter().filter(|family| pattern.matches(scrape.text(family.name))).collect();
    if matching.is_empty() && name != "*" {
        let booked = SUFFIXES.iter().filter_map(|suffix| name.strip_suffix(suffix));
        let booked = booked.map(Pattern::new).find(|whole| scrape.families.iter().any(|family| whole.matches(scrape.text(family.name))));
        let hint = booked.map(|whole| format!(" (such series are a part of '{}')", whole.as_str())).unwrap_or_default();
        return vec![format!("{place}: no metric is called '{name}'{hint}")];
    }
    let unknown = labels.iter().filter(|label| !matching.iter().any(|family| has_label(scrape, family, label)));
    unknown.map(|label| format!("{place}: no metric called '{name}' has a label '{label}'")).collect()
}

const SUFFIXES: [&str; 6] = ["_bucket", "_sum", "_count", "_total", "_created", "_info"];

fn has_label(scrape: &Scrape, family: &Family, label: &str) -> bool {
    let bounds = || family.layouts.iter().flatten().filter_map(|member| member.role.bound_label());
    family.columns.iter().any(|column| scrape.text(column.name) == label) || bounds().any(|bound| bound == label)
}

/// Those of the bounds that are the `le` of no bucket.
pub fn buckets(scrape: &Scrape, wanted: &[f64]) -> Vec<f64> {
    let members = || scrape.families.iter().flat_map(|family| family.layouts.iter().flatten());
    let bounds =
        || members().filter(|member| member.role == Role::Bucket).filter_map(|member| scrape.text(member.bound).parse::<f64>().ok());
    wanted.iter().copied().filter(|wanted| !bounds().any(|bound| bound == *wanted)).collect()
}
