//! What the limits say, for people and for machines.

use serde::Serialize;

use super::table::{blank, line};
use super::wording::{finding_text, thousands};
use crate::cardinality::analyze::baseline::Change;
use crate::cardinality::analyze::gate::Finding;
use crate::cardinality::profile::Gate;
use crate::error::Result;
use crate::output::{Align, Output, Paint, Table, escape};

pub fn write(gate: &Gate, limit: usize, out: &mut Output) -> Result<()> {
    if let Some(changes) = &gate.changes {
        changed(changes, &gate.findings, limit, out)?;
    }
    blank(out)?;
    if gate.findings.is_empty() {
        return line(out, &out.style().paint(Paint::Good, "within all limits"));
    }
    for finding in &gate.findings {
        let (paint, note) = match &finding.waiver {
            None => (Paint::Bad, String::new()),
            Some(waiver) if waiver.expired => (Paint::Bad, format!("  (waived until {}, which is over: {})", waiver.until, waiver.reason)),
            Some(waiver) => (Paint::Dim, format!("  (waived until {}: {})", waiver.until, waiver.reason)),
        };
        let rule = out.style().paint(paint, finding.rule.as_str());
        line(out, &format!("{rule}  {}{}", escape(&finding_text(finding)), escape(&note)))?;
    }
    Ok(())
}

/// Those of a finding are shown whatever the limit.
fn changed(changes: &[Change], findings: &[Finding], limit: usize, out: &mut Output) -> Result<()> {
    blank(out)?;
    if changes.is_empty() {
        return line(out, "the same series as in the baseline");
    }
    let mut table = Table::new(&[
        ("SINCE THE BASELINE", Align::Name),
        ("BEFORE", Align::Right),
        ("NOW", Align::Right),
        ("NEW", Align::Right),
        ("GONE", Align::Right),
        ("NEW VALUES", Align::Left),
    ]);
    let is_found = |change: &Change| findings.iter().any(|finding| finding.metric == change.metric);
    let shown: Vec<&Change> =
        changes.iter().enumerate().filter(|(at, change)| *at < limit || is_found(change)).map(|(_, change)| change).collect();
    for change in &shown {
        let about = if change.exact { "" } else { "~" };
        let label = change.label.as_ref().map(|label| format!("{} ({about}{})", label.name, thousands(label.new)));
        table.row([
            change.metric.clone(),
            thousands(change.before),
            thousands(change.now),
            format!("{about}{}", thousands(change.new)),
            format!("{about}{}", thousands(change.gone)),
            label.unwrap_or_default(),
        ]);
    }
    if !shown.is_empty() {
        table.write(out)?;
    }
    match changes.len() - shown.len() {
        0 => Ok(()),
        more => line(out, &format!("... and {more} more that changed")),
    }
}

#[derive(Serialize)]
pub struct GateBody<'a> {
    passed: bool,
    findings: Vec<FindingRow<'a>>,
    /// Entries of the budget file that are about nothing that is there.
    unmatched: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Vec<ChangeRow<'a>>>,
}

#[derive(Serialize)]
struct FindingRow<'a> {
    rule: &'static str,
    metric: &'a str,
    label: Option<&'a str>,
    limit: u64,
    seen: u64,
    message: String,
    waived_until: Option<&'a str>,
    expired: Option<bool>,
}

#[derive(Serialize)]
struct ChangeRow<'a> {
    metric: &'a str,
    before: u64,
    now: u64,
    new: u64,
    gone: u64,
    exact: bool,
    label: Option<&'a str>,
    new_label_values: Option<u64>,
}

impl<'a> GateBody<'a> {
    pub fn new(gate: &'a Gate) -> Self {
        GateBody {
            passed: !gate.findings.iter().any(Finding::counts),
            findings: gate.findings.iter().map(finding_row).collect(),
            unmatched: &gate.unmatched,
            changes: gate.changes.as_ref().map(|changes| changes.iter().map(change_row).collect()),
        }
    }
}

fn finding_row(finding: &Finding) -> FindingRow<'_> {
    FindingRow {
        rule: finding.rule.as_str(),
        metric: &finding.metric,
        label: finding.label.as_deref(),
        limit: finding.limit,
        seen: finding.seen,
        message: finding_text(finding),
        waived_until: finding.waiver.as_ref().map(|waiver| waiver.until.as_str()),
        expired: finding.waiver.as_ref().map(|waiver| waiver.expired),
    }
}

fn change_row(change: &Change) -> ChangeRow<'_> {
    ChangeRow {
        metric: &change.metric,
        before: change.before,
        now: change.now,
        new: change.new,
        gone: change.gone,
        exact: change.exact,
        label: change.label.as_ref().map(|label| label.name.as_str()),
        new_label_values: change.label.as_ref().map(|label| label.new),
    }
}
