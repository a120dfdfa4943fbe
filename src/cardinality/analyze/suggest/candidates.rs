//! What could be done to each metric.

use super::pattern::{Patterns, patterns};
use super::{Candidate, Change, Edit, Risk, rules};
use crate::cardinality::analyze::buckets::Buckets;
use crate::cardinality::analyze::gate::listed;
use crate::cardinality::analyze::metrics::Metric;
use crate::cardinality::analyze::shapes::{Bounded, Shape};
use crate::cardinality::analyze::without::Label;
use crate::cardinality::model::{Id, Role, Scrape};
use crate::cardinality::relabel::Regexp;
use crate::formats::exposition::MetricType;

/// A label with fewer values is no explosion.
const FEW_VALUES: u64 = 10;

/// All but dropping whole metrics.
pub fn all(scrape: &Scrape, metrics: &[Metric], buckets: &[(usize, Buckets)]) -> Vec<Candidate> {
    let mut all: Vec<Candidate> = created(scrape, metrics).into_iter().collect();
    for (family, buckets) in buckets {
        all.extend(fewer_buckets(scrape, *family, buckets));
    }
    for metric in metrics {
        let columns = &scrape.families[metric.family].columns;
        let endless = |at: usize| is_endless(&metric.without.labels[at], &metric.shapes[at]);
        let patterns: Vec<Option<Patterns>> =
            (0..columns.len()).map(|at| patterns(scrape, &columns[at], &metric.shapes[at]).filter(|_| endless(at))).collect();
        all.extend(labels(scrape, metric, &patterns));
        all.extend(together(scrape, metric, &patterns));
        all.extend(matching(scrape, metric));
        all.extend(no_buckets(scrape, metric));
    }
    all
}

fn edit(risk: Risk, what: String, metric: &str) -> Edit {
    let (yaml, metric) = (String::new(), metric.to_owned());
    Edit { risk, what, metric, label: None, series_saved: 0, bytes_saved: 0, yaml, hint: None }
}

fn name<'a>(scrape: &'a Scrape, metric: &Metric) -> &'a str {
    scrape.text(scrape.families[metric.family].name)
}

fn has(metric: &Metric, role: Role) -> bool {
    metric.roles.iter().any(|(found, _)| *found == role)
}

/// All `_created` series at once: they tell when a counter began, which the server stores as just another series.
fn created(scrape: &Scrape, metrics: &[Metric]) -> Option<Candidate> {
    let with: Vec<&Metric> = metrics.iter().filter(|metric| has(metric, Role::Created)).collect();
    let names: Vec<&str> = with.iter().map(|metric| name(scrape, metric)).collect();
    (!with.is_empty()).then(|| Candidate {
        edit: Edit {
            yaml: rules::drop_names(&[format!("{}_created", rules::any_of(&names))]),
            ..edit(Risk::None, "drop the _created series, which only tell when counting began".to_owned(), "")
        },
        changes: with.iter().map(|metric| (metric.family, Change::WithoutRole(Role::Created))).collect(),
    })
}

fn fewer_buckets(scrape: &Scrape, family: usize, buckets: &Buckets) -> Option<Candidate> {
    let advice = buckets.selection.as_ref()?.advice.as_ref()?;
    let metric = scrape.text(scrape.families[family].name);
    let error = advice.choice.error.max(advice.unusual_error.unwrap_or(0.0)) * 100.0;
    let what = format!("keep {} of its buckets: p50, p90 and p99 stay within {error:.1} %", advice.choice.bounds.len() + 1);
    Some(Candidate {
        edit: Edit {
            label: Some("le".to_owned()),
            yaml: rules::drop_bounds(metric, &advice.le_regex),
            hint: Some(format!("or in the code: {}", advice.go_line)),
            ..edit(Risk::Coarser, what, metric)
        },
        changes: vec![(family, Change::WithoutBounds(advice.dropped.clone()))],
    })
}

/// Whose values never end.
fn is_endless(label: &Label, shape: &Shape) -> bool {
    shape.bounded == Bounded::Unbounded && label.values >= FEW_VALUES
}

/// Endless labels, each alone: their pattern stays, where they have one, or nothing.
fn labels(scrape: &Scrape, metric: &Metric, patterns: &[Option<Patterns>]) -> Vec<Candidate> {
    let labels = &metric.without.labels;
    let endless = (0..labels.len()).filter(|at| is_endless(&labels[*at], &metric.shapes[*at]));
    let candidates = |at: usize| {
        let (label, shape, patterns) = (&labels[at], &metric.shapes[at], &patterns[at]);
        let text = scrape.text(label.name);
        let candidate = |risk, what, code: &str, change| Candidate {
            edit: Edit {
                label: Some(text.to_owned()),
                hint: Some(hint(scrape, metric, text, code)),
                ..edit(risk, what, name(scrape, metric))
            },
            changes: vec![(metric.family, change)],
        };
        let away = format!("take the label {text} away: {} values, {}", label.values, shape.kind.id());
        let gone = Change::WithoutLabel(label.name);
        match patterns {
            None => vec![candidate(Risk::Code, away, code(shape), gone)],
            Some(patterns) => {
                let kept = Change::WithValues(label.name, patterns.same.clone());
                let pattern = candidate(Risk::Pattern, patterns.what(text), code(shape), kept);
                vec![pattern, candidate(Risk::WholeLabel, away, TAKE_AWAY, gone)]
            }
        }
    };
    endless.flat_map(candidates).collect()
}

/// Labels that each tell the others: only all of them together can go, or keep no more than their patterns.
fn together(scrape: &Scrape, metric: &Metric, patterns: &[Option<Patterns>]) -> Vec<Candidate> {
    let labels = &metric.without.labels;
    let saved = |left: u64| metric.series - left;
    let alone = |set: &[usize]| set.iter().map(|at| saved(labels[*at].series_without)).sum::<u64>();
    let pairs = metric.without.pairs.iter().map(|pair| (pair.labels.to_vec(), pair.series_without));
    let more = metric.without.together.iter().map(|more| (more.labels.clone(), more.series_without));
    let endless = |at: &usize| is_endless(&labels[*at], &metric.shapes[*at]);
    let found = pairs.chain(more).filter(|(set, left)| saved(*left) > 2 * alone(set) && set.iter().any(endless));
    found.flat_map(|(set, _)| together_of(scrape, metric, &set, patterns)).collect()
}

fn together_of(scrape: &Scrape, metric: &Metric, set: &[usize], patterns: &[Option<Patterns>]) -> Vec<Candidate> {
    let id = |at: usize| metric.without.labels[at].name;
    let label = |at: usize| scrape.text(id(at));
    let names: Vec<&str> = set.iter().map(|at| label(*at)).collect();
    let all = names.join(", ");
    let why = format!("together: each follows from the {}", if set.len() > 2 { "others" } else { "other" });
    let candidate = |risk, what: String, code: &str, changes: Vec<Change>| Candidate {
        edit: Edit { label: Some(all.clone()), hint: Some(hint(scrape, metric, &all, code)), ..edit(risk, what, name(scrape, metric)) },
        changes: changes.into_iter().map(|change| (metric.family, change)).collect(),
    };
    let has_pattern = set.iter().any(|at| patterns[*at].is_some());
    let code_of = |at: usize| {
        let advice = metric.shapes[at].advice.text();
        (!advice.is_empty()).then(|| format!("{}: {advice}", label(at)))
    };
    let code: Vec<String> = set.iter().filter_map(|at| code_of(*at)).collect();
    let away = format!("take the labels {} away {why}", listed(&names));
    let gone = set.iter().map(|at| Change::WithoutLabel(id(*at))).collect();
    if !has_pattern {
        return vec![candidate(Risk::Code, away, &code.join("; "), gone)];
    }
    let rest: Vec<&str> = set.iter().filter(|at| patterns[**at].is_none()).map(|at| label(*at)).collect();
    let kept = set.iter().filter_map(|at| patterns[*at].as_ref().map(|patterns| patterns.what(label(*at))));
    let rest = match rest.as_slice() {
        [] => None,
        [one] => Some(format!("take the label {one} away")),
        several => Some(format!("take the labels {} away", listed(several))),
    };
    let parts: Vec<String> = rest.into_iter().chain(kept).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let change = |at: &usize| match &patterns[*at] {
        Some(patterns) => Change::WithValues(id(*at), patterns.same.clone()),
        None => Change::WithoutLabel(id(*at)),
    };
    let pattern = candidate(Risk::Pattern, format!("{}, {why}", listed(&parts)), &code.join("; "), set.iter().map(change).collect());
    vec![pattern, candidate(Risk::WholeLabel, away, TAKE_AWAY, gone)]
}

/// Series whose label holds an id, in labels of which other values do not.
fn matching(scrape: &Scrape, metric: &Metric) -> Vec<Candidate> {
    let family = &scrape.families[metric.family];
    let mixed = |(_, shape): &(&Label, &Shape)| shape.bounded == Bounded::Unbounded && shape.mixed && shape.looked_at == shape.values;
    let found = metric.without.labels.iter().zip(&metric.shapes).filter(mixed);
    let candidate = |(label, shape): (&Label, &Shape)| {
        let varying: Vec<&str> =
            shape.templates.iter().filter(|template| template.varies).map(|template| template.regex.as_str()).collect();
        let regex = varying.join("|");
        let matches = Regexp::new(&regex).ok().filter(|_| !varying.is_empty())?;
        let column = family.columns.iter().find(|column| column.name == label.name)?;
        let mut values = column.cells.clone();
        values.sort_unstable();
        values.dedup();
        values.retain(|value| *value != Id::EMPTY && matches.is_match(scrape.text(*value)));
        let (metric_name, text) = (name(scrape, metric), scrape.text(label.name));
        let names = rules::names_of(metric_name, metric.roles.iter().map(|(role, _)| *role));
        let what = format!("drop the series whose {text} holds an id: {} of {} values", values.len(), label.values);
        Some(Candidate {
            edit: Edit {
                label: Some(text.to_owned()),
                yaml: rules::drop_values(&names, text, &regex),
                ..edit(Risk::Lost, what, metric_name)
            },
            changes: vec![(metric.family, Change::WithoutValues(label.name, values))],
        })
    };
    found.filter_map(candidate).collect()
}

const TAKE_AWAY: &str = "take it away in the code";

/// What to do in the code.
fn code(shape: &Shape) -> &'static str {
    match shape.advice.text() {
        "" => TAKE_AWAY,
        advice => advice,
    }
}

/// What to do in the code, and what to do until then.
fn hint(scrape: &Scrape, metric: &Metric, label: &str, code: &str) -> String {
    let family = &scrape.families[metric.family];
    let name = scrape.text(family.name);
    // Of the series that there are: OpenMetrics names a counter's family without `_total`.
    let counted = [Role::Bucket, Role::Count, Role::Total].into_iter().find(|role| has(metric, *role));
    let query = match (counted, family.kind) {
        (Some(role), _) => format!("sum without ({label}) (rate({name}{}[5m]))", role.suffix()),
        (None, MetricType::Counter | MetricType::Histogram) => format!("sum without ({label}) (rate({name}[5m]))"),
        _ => format!("sum without ({label}) ({name})"),
    };
    format!("{code}; until then record {query} and keep the raw series for a short time only")
}

fn no_buckets(scrape: &Scrape, metric: &Metric) -> Option<Candidate> {
    let metric_name = name(scrape, metric);
    (has(metric, Role::Bucket) && has(metric, Role::Count)).then(|| Candidate {
        edit: Edit {
            label: Some("le".to_owned()),
            yaml: rules::drop_names(&[format!("{}_bucket", rules::any_of(&[metric_name]))]),
            ..edit(Risk::NoQuantiles, "drop all its buckets, keep sum and count".to_owned(), metric_name)
        },
        changes: vec![(metric.family, Change::WithoutRole(Role::Bucket))],
    })
}

/// The whole family.
pub fn dropped(scrape: &Scrape, family: usize) -> Candidate {
    let names = series_names(scrape, family);
    let metric_name = scrape.text(scrape.families[family].name);
    Candidate {
        edit: Edit { yaml: rules::drop_names(&names), ..edit(Risk::MetricLost, "drop the metric".to_owned(), metric_name) },
        changes: vec![(family, Change::Nothing)],
    }
}

/// Several whole families by one rule.
pub fn all_dropped(scrape: &Scrape, families: &[usize]) -> Candidate {
    const SHOWN: usize = 3;
    let names: Vec<String> = families.iter().flat_map(|family| series_names(scrape, *family)).collect();
    let shown: Vec<&str> = families.iter().take(SHOWN).map(|family| scrape.text(scrape.families[*family].name)).collect();
    let more = match families.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let what = format!("drop {} whole metrics with few series each: {}{more}", families.len(), shown.join(", "));
    Candidate {
        edit: Edit { yaml: rules::drop_names(&names), ..edit(Risk::MetricLost, what, "") },
        changes: families.iter().map(|family| (*family, Change::Nothing)).collect(),
    }
}

fn series_names(scrape: &Scrape, family: usize) -> Vec<String> {
    let family = &scrape.families[family];
    rules::names_of(scrape.text(family.name), family.layouts.iter().flatten().map(|member| member.role))
}
