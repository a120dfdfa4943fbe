//! What could be tidied up without saving a series: labels that say nothing, and names that hold what a label should.

use std::collections::BTreeMap;

use super::{Edit, Risk, rules};
use crate::cardinality::analyze::memory::{GARBAGE, LABEL_PAIR_BYTES};
use crate::cardinality::analyze::metrics::Metric;
use crate::cardinality::analyze::simulate::simulate;
use crate::cardinality::analyze::without::Label;
use crate::cardinality::model::{Id, Scrape};
use crate::cardinality::relabel::Config;
use crate::formats::exposition::MetricType;

/// Fewer names than this are no pattern.
const FEWEST_NAMES: usize = 4;
const MOST_FOLDS: usize = 5;
const LABEL: &str = "part";

/// `rules` are those of the plan. Each edit is proven beside these and the edits before it: of two labels that say the same either can go,
/// and not both.
pub fn tidy(scrape: &Scrape, metrics: &[Metric], rules: &str) -> Vec<Edit> {
    let mut taken: Vec<Edit> = Vec::new();
    let mut changed = changed_by(scrape, rules).unwrap_or_default();
    for edit in labels(scrape, metrics).into_iter().chain(folds(scrape)) {
        let all: String = std::iter::once(rules).chain(taken.iter().chain([&edit]).map(|edit| edit.yaml.as_str())).collect();
        if let Some(now) = changed_by(scrape, &all).filter(|now| *now > changed) {
            changed = now;
            taken.push(edit);
        }
    }
    taken
}

/// How many labels of series all of these rules change; `None` if they do harm.
fn changed_by(scrape: &Scrape, all: &str) -> Option<u64> {
    let config = Config::parse(&rules::document(std::iter::once(all)), None).ok()?;
    let simulation = simulate(scrape, &config);
    simulation.is_harmless().then(|| simulation.rules.iter().map(|rule| rule.changed).sum())
}

/// A rule drops a label from all metrics: those of which no metric that has it needs it.
fn labels(scrape: &Scrape, metrics: &[Metric]) -> Vec<Edit> {
    let mut needed: BTreeMap<Id, (bool, u64)> = BTreeMap::new();
    for metric in metrics {
        for label in &metric.without.labels {
            let entry = needed.entry(label.name).or_default();
            entry.0 |= metric.children < 2 || !says_nothing(label) || label.series_without < metric.series;
            entry.1 += metric.series - label.absent;
        }
    }
    let mut free: Vec<(Id, u64)> =
        needed.into_iter().filter(|(_, (needed, _))| !needed).map(|(name, (_, series))| (name, series)).collect();
    free.sort_by_key(|(_, series)| std::cmp::Reverse(*series));
    let edit = |(name, series): (Id, u64)| {
        let label = scrape.text(name);
        Edit {
            risk: Risk::Code,
            what: format!(
                "the label {label} tells no two series of a metric apart; dropping it saves bytes on {series} series, and no series"
            ),
            metric: String::new(),
            label: Some(label.to_owned()),
            series_saved: 0,
            bytes_saved: series * LABEL_PAIR_BYTES * GARBAGE,
            yaml: rules::drop_label(label),
            hint: None,
        }
    };
    let worth = scrape.series() / 100;
    free.into_iter().filter(|(_, series)| *series > worth).take(MOST_FOLDS).map(edit).collect()
}

fn says_nothing(label: &Label) -> bool {
    label.absent == 0 && (label.constant && label.values == 1 || !label.mirrored.is_empty())
}

/// Names that differ in one word, of metrics that have the same type and labels: `x_get_total`, `x_put_total`.
fn folds(scrape: &Scrape) -> Vec<Edit> {
    let mut groups: BTreeMap<(String, String, Vec<Id>), Vec<&str>> = BTreeMap::new();
    for family in &scrape.families {
        let name = scrape.text(family.name);
        let words: Vec<&str> = name.split('_').collect();
        let mut labels: Vec<Id> = family.columns.iter().map(|column| column.name).collect();
        labels.sort_unstable();
        let plain = matches!(family.kind, MetricType::Counter | MetricType::Gauge);
        // Neither the first word, which says whose metric it is, nor the last, which is a unit.
        for at in 1..words.len().saturating_sub(1) {
            if plain && !words[at].is_empty() {
                let around = format!("{}_*_{}", words[..at].join("_"), words[at + 1..].join("_"));
                groups.entry((around, family.kind.as_str().to_owned(), labels.clone())).or_default().push(words[at]);
            }
        }
    }
    let mut groups: Vec<_> = groups.into_iter().filter(|(_, words)| words.len() >= FEWEST_NAMES).collect();
    groups.sort_by_key(|(_, words)| std::cmp::Reverse(words.len()));
    let labelled = scrape.families.iter().flat_map(|family| &family.columns).any(|column| scrape.text(column.name) == LABEL);
    let is_free = |name: &str| !labelled && !scrape.families.iter().any(|family| scrape.text(family.name) == name);
    let edit = |((around, ..), words): ((String, String, Vec<Id>), Vec<&str>)| {
        let (before, after) = around.split_once('*')?;
        let folded = format!("{}{}", before.trim_end_matches('_'), after);
        let regex = format!(
            "{}{}{}",
            regex::escape(before),
            format_args!("({})", rules::any_of(&words).trim_matches(['(', ')'])),
            regex::escape(after)
        );
        is_free(&folded).then(|| Edit {
            risk: Risk::Code,
            what: format!("{} names {around} could be one, {folded}, with the label {LABEL}, if they are parts of one thing", words.len()),
            metric: folded.clone(),
            label: Some(LABEL.to_owned()),
            series_saved: 0,
            bytes_saved: 0,
            yaml: rules::fold(&regex, LABEL, "$1", &folded),
            hint: None,
        })
    };
    groups.into_iter().filter_map(edit).take(MOST_FOLDS).collect()
}
