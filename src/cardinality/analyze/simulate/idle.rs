//! Why a rule does nothing, or not what it seems to say, as far as the scrape and the rule itself tell.

use rustc_hash::FxHashSet;

use super::{RuleEffect, bounds};
use crate::cardinality::model::{Id, Role, Scrape};
use crate::cardinality::relabel::{Action, Applies, Config, NameEffect, Regexp, Rule, Unfilled};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Idle {
    /// `relabel_configs` are run over the labels of targets; samples are the business of `metric_relabel_configs`.
    ForTargets,
    /// Rules before it have dropped everything.
    NotReached,
    /// It reads a label that only targets have, before they are scraped.
    TargetLabel { label: String },
    /// It reads a label that the server adds, so it is in no scrape; what the rule does on the server is not known here.
    ServerLabel { label: String },
    /// It reads a label that no series of the scrape has.
    LabelAbsent { label: String },
    /// The expression matches a part of this value. It has to match all of it.
    Anchored { value: String },
    /// The expression fits bounds as they are `written`; the server has them as `stored`.
    Canonical { written: Vec<String>, stored: Vec<String> },
    /// The expression matches the name of a metric; the action looks at the names of labels.
    MetricName { name: String },
    /// A variable of its replacement or target label that no group fills.
    Unfilled(Unfilled),
    /// It is about names of labels, and takes that of the metric away: `__name__` is a label, too.
    TakesName,
    /// It applies, and everything is already as it makes it.
    NoChange,
    /// No value matches.
    NoMatch,
}

/// None for a rule that did what it says.
pub(super) fn why(scrape: &Scrape, config: &Config, index: usize, effect: &RuleEffect) -> Option<Idle> {
    let did_something = effect.changed + effect.dropped > 0;
    let idle = told(scrape, config, index, effect);
    let of_any_rule = matches!(idle, Idle::Unfilled(_) | Idle::TakesName | Idle::Canonical { .. });
    let of_this = !did_something || effect.matched == 0 && !matches!(idle, Idle::NoMatch | Idle::NoChange);
    (of_any_rule || of_this).then_some(idle)
}

fn told(scrape: &Scrape, config: &Config, index: usize, effect: &RuleEffect) -> Idle {
    let rule = &config.rules[index];
    if config.applies == Applies::Targets {
        return Idle::ForTargets;
    }
    if effect.series_in == 0 {
        return Idle::NotReached;
    }
    if let Some(unfilled) = unfilled(rule).filter(|_| effect.matched > 0) {
        return Idle::Unfilled(unfilled);
    }
    if rule.action.is_about_names() {
        return about_names(scrape, rule, effect);
    }
    // Labels that an earlier rule may have made are not looked for in the scrape.
    let earlier = &config.rules[..index];
    let made = |label: &str| {
        earlier.iter().any(|rule| rule.action == Action::LabelMap || rule.target_label == label || rule.target_label.contains('$'))
    };
    let absent = rule.source_labels.iter().find(|label| !has_label(scrape, label) && !made(label));
    if let Some(label) = absent.cloned() {
        return match label.as_str() {
            "job" | "instance" => Idle::ServerLabel { label },
            name if is_of_targets(name) => Idle::TargetLabel { label },
            _ => Idle::LabelAbsent { label },
        };
    }
    if !rule.source_labels.iter().any(|label| made(label)) {
        let missed = bounds::missed(scrape, rule);
        if !missed.is_empty() {
            let (written, stored) = missed.into_iter().unzip();
            return Idle::Canonical { written, stored };
        }
    }
    if effect.matched > 0 {
        return Idle::NoChange;
    }
    match rule.source_labels.as_slice() {
        [label] if !made(label) && !matches!(rule.action, Action::KeepEqual | Action::DropEqual) => near_miss(scrape, rule, label),
        _ => Idle::NoMatch,
    }
}

fn unfilled(rule: &Rule) -> Option<Unfilled> {
    match rule.action {
        Action::Replace => rule.regex.unfilled(&rule.replacement).or_else(|| rule.regex.unfilled(&rule.target_label)),
        Action::LabelMap => rule.regex.unfilled(&rule.replacement),
        _ => None,
    }
}

fn about_names(scrape: &Scrape, rule: &Rule, effect: &RuleEffect) -> Idle {
    if effect.changed > 0 && rule.name_effect("__name__") == NameEffect::Remove {
        return Idle::TakesName;
    }
    if effect.matched > 0 || rule.action == Action::LabelKeep {
        return Idle::NoChange;
    }
    let metrics = values(scrape, "__name__");
    if let Some(name) = metrics.iter().find(|name| rule.regex.is_match(name)) {
        return Idle::MetricName { name: name.clone() };
    }
    let mut labels: Vec<&str> = scrape.families.iter().flat_map(|family| &family.columns).map(|column| scrape.text(column.name)).collect();
    labels.sort_unstable();
    labels.dedup();
    part_of(&rule.regex, labels.into_iter()).unwrap_or(Idle::NoMatch)
}

/// A value that would match, were the expression read as people often read it.
fn near_miss(scrape: &Scrape, rule: &Rule, label: &str) -> Idle {
    let values = values(scrape, label);
    part_of(&rule.regex, values.iter().map(String::as_str)).unwrap_or(Idle::NoMatch)
}

fn part_of<'v>(regex: &Regexp, mut values: impl Iterator<Item = &'v str>) -> Option<Idle> {
    let anywhere = regex.unanchored()?;
    let found = values.find(|value| anywhere.is_match(value.as_bytes()))?;
    Some(Idle::Anchored { value: found.to_owned() })
}

/// Those that `relabel_configs` see, and nothing after them: labels that begin with `__` are removed once a target is chosen.
fn is_of_targets(label: &str) -> bool {
    label.starts_with("__meta_")
        || label.starts_with("__param_")
        || matches!(label, "__address__" | "__scheme__" | "__metrics_path__" | "__scrape_interval__" | "__scrape_timeout__")
}

fn has_label(scrape: &Scrape, label: &str) -> bool {
    let roles = || scrape.families.iter().flat_map(|family| &family.layouts).flatten().map(|member| member.role);
    let column = || {
        let id = scrape.strings.find(label)?;
        scrape.families.iter().flat_map(|family| &family.columns).find(|column| column.name == id)
    };
    label == "__name__" || roles().any(|role: Role| role.bound_label() == Some(label)) || column().is_some()
}

/// The distinct values of a label, ordered.
fn values(scrape: &Scrape, label: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut ids: FxHashSet<Id> = FxHashSet::default();
    for family in &scrape.families {
        let members = || family.layouts.iter().flatten();
        if label == "__name__" {
            let roles: FxHashSet<Role> = members().map(|member| member.role).collect();
            found.extend(roles.into_iter().map(|role| scrape.series_name(family, role)));
        }
        ids.extend(members().filter(|member| member.role.bound_label() == Some(label)).map(|member| member.bound));
        ids.extend(family.columns.iter().filter(|column| scrape.text(column.name) == label).flat_map(|column| &column.cells));
    }
    found.extend(ids.into_iter().filter(|id| *id != Id::EMPTY).map(|id| scrape.text(id).to_owned()));
    found.sort_unstable();
    found.dedup();
    found
}
