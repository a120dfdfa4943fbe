//! What to change, for people and for machines.

use std::io::Write;

use serde::Serialize;

use super::table::{blank, line};
use super::wording::thousands;
use crate::cardinality::analyze::gate::listed;
use crate::cardinality::analyze::suggest::{Edit, MOST_DROPPED, Plan, Risk};
use crate::error::{Error, Result};
use crate::output::{self, Output, Paint, escape};

pub fn write(plan: &Plan, out: &mut Output) -> Result<()> {
    blank(out)?;
    let (before, after) = (thousands(plan.series_before), thousands(plan.series_after));
    let head = match (plan.edits.len(), plan.budget) {
        (0, Some(budget)) if plan.reached() => format!("Plan: nothing to do, {before} series are within {}", thousands(budget)),
        (0, _) => "Plan: nothing that saves series without losing some".to_owned(),
        (_, Some(budget)) if plan.reached() => format!("Plan: from {before} to {after} series, within {}", thousands(budget)),
        (_, Some(budget)) => {
            let goal = thousands(budget);
            format!(
                "Plan: from {before} to {after} series; it ends there, with {} metrics dropped, and not at {goal}",
                thousands(MOST_DROPPED as u64)
            )
        }
        (_, None) => format!("Plan: from {before} to {after} series"),
    };
    line(out, &out.style().paint(Paint::Heading, &head))?;
    for (number, edit) in plan.edits.iter().enumerate() {
        let subject = if edit.metric.is_empty() { String::new() } else { format!("{}: ", edit.metric) };
        let saved = format!("saves {} series, about {} in a server", thousands(edit.series_saved), output::bytes(edit.bytes_saved));
        line(out, &format!("{:>3}. {}", number + 1, escape(&format!("{subject}{}", edit.what))))?;
        line(out, &format!("     {saved}; {}", out.style().paint(paint(edit.risk), edit.risk.text())))?;
        if let Some(hint) = &edit.hint {
            line(out, &format!("     {}", escape(hint)))?;
        }
    }
    if !plan.yaml.is_empty() {
        blank(out)?;
        out.write_all(plan.yaml.as_bytes()).map_err(Error::write)?;
        line(out, &proof(plan))?;
    }
    if !plan.tidy.is_empty() {
        blank(out)?;
        line(out, "Tidier, without fewer series (proven to merge nothing):")?;
    }
    for edit in &plan.tidy {
        line(out, &format!("  {}", escape(&edit.what)))?;
        for rule in edit.yaml.lines() {
            line(out, &format!("    {}", escape(rule)))?;
        }
    }
    Ok(())
}

/// What the rules do, as a comment behind them.
fn proof(plan: &Plan) -> String {
    let Some(simulation) = &plan.proof else { return "# not proven: these rules could not be run".to_owned() };
    let left = thousands(simulation.total.series_left);
    let harmless = format!("# run over this scrape: {left} series left, none merged, no histogram broken");
    let code: Vec<String> =
        plan.edits.iter().zip(1..).filter(|(edit, _)| edit.yaml.is_empty()).map(|(_, number)| number.to_string()).collect();
    let code: Vec<&str> = code.iter().map(String::as_str).collect();
    let after = thousands(plan.series_after);
    match (simulation.is_harmless(), code.as_slice()) {
        (true, []) => harmless,
        (true, [one]) => format!("{harmless}; {after} once the code has edit {one}, too"),
        (true, several) => format!("{harmless}; {after} once the code has edits {}, too", listed(several)),
        (false, _) => {
            format!("# run over this scrape: {left} series left, {} MERGED: look at it with --simulate", thousands(simulation.total.merged))
        }
    }
}

fn paint(risk: Risk) -> Paint {
    match risk {
        Risk::None | Risk::Coarser => Paint::Good,
        Risk::Pattern | Risk::Code => Paint::Accent,
        Risk::WholeLabel | Risk::NoQuantiles | Risk::Lost => Paint::Warning,
        Risk::MetricLost => Paint::Bad,
    }
}

#[derive(Serialize)]
pub struct PlanBody<'a> {
    budget: Option<u64>,
    reached: bool,
    series_before: u64,
    series_after: u64,
    edits: Vec<EditRow<'a>>,
    tidy: Vec<EditRow<'a>>,
    /// `metric_relabel_configs` of all edits; empty without rules.
    yaml: &'a str,
    /// Series left after those rules alone, counted by running them.
    series_after_rules: Option<u64>,
    harmless: Option<bool>,
}

#[derive(Serialize)]
struct EditRow<'a> {
    kind: &'static str,
    what: &'a str,
    metric: Option<&'a str>,
    label: Option<&'a str>,
    series_saved: u64,
    server_memory_bytes_saved: u64,
    risk: &'static str,
    yaml: &'a str,
    hint: Option<&'a str>,
}

impl<'a> PlanBody<'a> {
    pub fn new(plan: &'a Plan) -> Self {
        PlanBody {
            budget: plan.budget,
            reached: plan.reached(),
            series_before: plan.series_before,
            series_after: plan.series_after,
            edits: plan.edits.iter().map(row).collect(),
            tidy: plan.tidy.iter().map(row).collect(),
            yaml: &plan.yaml,
            series_after_rules: plan.proof.as_ref().map(|proof| proof.total.series_left),
            harmless: plan.proof.as_ref().map(|proof| proof.is_harmless()),
        }
    }
}

fn row(edit: &Edit) -> EditRow<'_> {
    EditRow {
        kind: if edit.yaml.is_empty() { "code" } else { "relabel" },
        what: &edit.what,
        metric: Some(edit.metric.as_str()).filter(|metric| !metric.is_empty()),
        label: edit.label.as_deref(),
        series_saved: edit.series_saved,
        server_memory_bytes_saved: edit.bytes_saved,
        risk: edit.risk.text(),
        yaml: &edit.yaml,
        hint: edit.hint.as_deref(),
    }
}
