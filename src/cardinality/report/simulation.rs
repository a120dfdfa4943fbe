//! What a relabel configuration would do, for people and for machines.

use std::io::Write;

use serde::Serialize;

use super::table::{blank, line};
use super::wording::thousands;
use crate::cardinality::analyze::gate::listed;
use crate::cardinality::analyze::simulate::{Harm, Idle, RuleEffect, Simulation};
use crate::cardinality::relabel::Unfilled;
use crate::error::{Error, Result};
use crate::output::{Align, Output, Paint, Table, count, escape};

/// Pairs of series that become one, in the table.
const EXAMPLES: usize = 2;
/// Metrics that go whole, named in the table.
const GONE: usize = 10;

pub fn write(simulation: &Simulation, out: &mut Output) -> Result<()> {
    blank(out)?;
    let mut table = Table::new(&[
        ("RULE AT LINE", Align::Right),
        ("ACTION", Align::Left),
        ("SERIES", Align::Right),
        ("MATCHED", Align::Right),
        ("CHANGED", Align::Right),
        ("DROPPED", Align::Right),
        ("MERGED", Align::Right),
        ("", Align::Shrink),
    ]);
    for rule in &simulation.rules {
        table.row([
            rule.line.to_string(),
            rule.action.as_str().to_owned(),
            thousands(rule.series_in),
            thousands(rule.matched),
            thousands(rule.changed),
            thousands(rule.dropped),
            thousands(rule.merged),
            rule.idle.as_ref().map(|idle| idle_text(idle, rule)).unwrap_or_default(),
        ]);
    }
    table.write(out)?;
    harms(simulation, out)?;
    gone(simulation, out)?;
    let total = &simulation.total;
    let left = format!("{} of {} series left", thousands(total.series_left), thousands(total.series_in));
    let refused = if total.refused > 0 { format!(", {} refused", thousands(total.refused)) } else { String::new() };
    let lost = format!("{} dropped, {} lost by merging{refused}", thousands(total.dropped), thousands(total.merged));
    line(out, &format!("{left}: {lost}; {}", verdict(simulation, out)))
}

fn verdict(simulation: &Simulation, out: &Output) -> String {
    let (gone, poorer) = (simulation.gone().len(), simulation.poorer());
    let lost = [(gone, "goes", "go", "whole"), (poorer, "answers", "answer", "less")];
    let lost: Vec<String> = lost
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(number, one, several, how)| format!("{} {} {how}", count(number as u64, "metric"), if number == 1 { one } else { several }))
        .collect();
    let (paint, text) = match () {
        () if !simulation.is_harmless() => (Paint::Bad, "do not use it as it is".to_owned()),
        () if simulation.total.series_in > 0 && simulation.total.series_left == 0 => (Paint::Bad, "nothing is left".to_owned()),
        () if lost.is_empty() => (Paint::Good, "nothing merges, nothing breaks".to_owned()),
        () => (Paint::Warning, format!("nothing merges; {}", lost.join(", "))),
    };
    out.style().paint(paint, &text)
}

/// Metrics of which nothing is left, by name.
fn gone(simulation: &Simulation, out: &mut Output) -> Result<()> {
    let gone = simulation.gone();
    if gone.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = gone.iter().take(GONE).map(|family| family.name.as_str()).collect();
    let more = match gone.len() - names.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let text = format!("gone whole: {}{more}", escape(&names.join(", ")));
    line(out, &out.style().paint(Paint::Warning, &text))
}

fn harms(simulation: &Simulation, out: &mut Output) -> Result<()> {
    for family in &simulation.families {
        for harmed in &family.harms {
            let paint = if harmed.harm.is_wrong() { Paint::Bad } else { Paint::Warning };
            let name = out.style().paint(paint, &escape(&family.name));
            let children = thousands(harmed.children);
            line(out, &format!("{name}: {} (children: {children}, such as {})", harm_text(harmed.harm), escape(&harmed.example)))?;
        }
    }
    for collision in simulation.collisions.iter().take(EXAMPLES) {
        let rule = simulation.rules.get(collision.rule).map_or(0, |rule| rule.line);
        let (kept, lost, result) = (escape(&collision.kept), escape(&collision.lost), escape(&collision.result));
        writeln!(out, "line {rule}: {lost}\n    is lost to {kept}\n    both become {result}").map_err(Error::write)?;
    }
    if let Some(refusal) = &simulation.refused {
        let (series, result, count) = (escape(&refusal.series), escape(&refusal.result), thousands(simulation.total.invalid));
        let text = format!("the server would refuse the whole scrape because of {count} series such as {series}, which becomes {result}");
        line(out, &out.style().paint(Paint::Bad, &text))?;
    }
    Ok(())
}

fn harm_text(harm: Harm) -> &'static str {
    match harm {
        Harm::InfGone => "its +Inf bucket goes and others stay: histogram_quantile answers NaN",
        Harm::BucketsUneven => "children are left with different buckets: sums by le are wrong",
        Harm::BoundLost => "buckets or quantiles lose their bound",
        Harm::Split => "the series of one child no longer belong together",
        Harm::CountersMerged => "counters become one: rates are wrong",
        Harm::HistogramsMerged => "histograms or summaries become one: rates and quantiles are wrong",
        Harm::SeriesMerged => "series become one; which is seen is chance",
        Harm::BucketsFewer => "fewer buckets: quantiles are coarser",
        Harm::BucketsGone => "no buckets are left: averages only",
        Harm::SumOrCountGone => "_sum or _count goes: no averages",
    }
}

fn idle_text(idle: &Idle, rule: &RuleEffect) -> String {
    match idle {
        Idle::ForTargets => "does nothing to samples: relabel_configs are for targets".to_owned(),
        Idle::NotReached => "nothing is left for it".to_owned(),
        Idle::TargetLabel { label } => format!("{label} exists before the scrape only"),
        Idle::ServerLabel { label } => format!("{label} is added by the server; not known here"),
        Idle::LabelAbsent { label } => format!("no series has the label {label}"),
        Idle::Anchored { value } => format!("has to match the whole value, such as {value}"),
        Idle::Canonical { written, stored } => format!("the server has {}, not {}", all_of(stored), all_of(written)),
        Idle::MetricName { name } => format!("{} is about names of labels; {name} is that of a metric", rule.action.as_str()),
        Idle::Unfilled(Unfilled { written, meant: Some(meant) }) => format!("no group is called {}; write {meant}", &written[1..]),
        Idle::Unfilled(Unfilled { written, meant: None }) => {
            format!("no group is called {}: {written} is empty", written[1..].trim_matches(['{', '}']))
        }
        Idle::TakesName => "takes the name of the metric, too: it is the label __name__".to_owned(),
        Idle::NoChange => "everything is so already".to_owned(),
        Idle::NoMatch => "nothing matches".to_owned(),
    }
}

fn all_of(texts: &[String]) -> String {
    listed(&texts.iter().map(String::as_str).collect::<Vec<&str>>())
}

#[derive(Serialize)]
pub struct SimulationBody<'a> {
    harmless: bool,
    series_before: u64,
    series_after: u64,
    dropped: u64,
    merged: u64,
    /// All that is left, where the server refuses the whole scrape.
    refused: u64,
    label_bytes_before: u64,
    label_bytes_after: u64,
    metrics_gone: u64,
    rules: Vec<RuleRow>,
    families: Vec<FamilyRow<'a>>,
    collisions: Vec<CollisionRow<'a>>,
}

#[derive(Serialize)]
struct RuleRow {
    line: u64,
    action: &'static str,
    series: u64,
    matched: u64,
    changed: u64,
    dropped: u64,
    merged: u64,
    idle: Option<String>,
}

#[derive(Serialize)]
struct FamilyRow<'a> {
    metric: &'a str,
    series: u64,
    dropped: u64,
    changed: u64,
    merged: u64,
    /// No series of it is left.
    gone: bool,
    harms: Vec<HarmRow<'a>>,
}

#[derive(Serialize)]
struct HarmRow<'a> {
    harm: &'static str,
    wrong: bool,
    children: u64,
    example: &'a str,
    rule: usize,
}

#[derive(Serialize)]
struct CollisionRow<'a> {
    rule: usize,
    kept: &'a str,
    lost: &'a str,
    result: &'a str,
}

impl<'a> SimulationBody<'a> {
    pub fn new(simulation: &'a Simulation) -> Self {
        let total = &simulation.total;
        SimulationBody {
            harmless: simulation.is_harmless(),
            series_before: total.series_in,
            series_after: total.series_left,
            dropped: total.dropped,
            merged: total.merged,
            refused: total.refused,
            label_bytes_before: total.label_bytes_in,
            label_bytes_after: total.label_bytes_left,
            metrics_gone: simulation.gone().len() as u64,
            rules: simulation.rules.iter().map(rule_row).collect(),
            families: simulation.families.iter().map(family_row).collect(),
            collisions: simulation.collisions.iter().map(collision_row).collect(),
        }
    }
}

fn rule_row(rule: &RuleEffect) -> RuleRow {
    RuleRow {
        line: rule.line,
        action: rule.action.as_str(),
        series: rule.series_in,
        matched: rule.matched,
        changed: rule.changed,
        dropped: rule.dropped,
        merged: rule.merged,
        idle: rule.idle.as_ref().map(|idle| idle_text(idle, rule)),
    }
}

fn family_row(family: &crate::cardinality::analyze::simulate::FamilyEffect) -> FamilyRow<'_> {
    let harm = |harmed: &'_ crate::cardinality::analyze::simulate::Harmed| (harm_text(harmed.harm), harmed.harm.is_wrong());
    FamilyRow {
        metric: &family.name,
        series: family.series_in,
        dropped: family.dropped,
        changed: family.changed,
        merged: family.merged,
        gone: family.is_gone(),
        harms: family
            .harms
            .iter()
            .map(|harmed| {
                let (harm, wrong) = harm(harmed);
                HarmRow { harm, wrong, children: harmed.children, example: &harmed.example, rule: harmed.rule }
            })
            .collect(),
    }
}

fn collision_row(collision: &crate::cardinality::analyze::simulate::Collision) -> CollisionRow<'_> {
    CollisionRow { rule: collision.rule, kept: &collision.kept, lost: &collision.lost, result: &collision.result }
}
