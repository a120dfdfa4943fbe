//! Sections of the table that are printed on request: buckets, exemplars, lint.

use super::table::{blank, line};
use super::wording::{percent, thousands};
use crate::cardinality::analyze::buckets::{Buckets, Refused};
use crate::cardinality::analyze::exemplars::{Exemplars, Figures, LONGEST};
use crate::cardinality::analyze::lint::{self, Severity};
use crate::cardinality::model::Scrape;
use crate::cardinality::profile::Profile;
use crate::error::Result;
use crate::output::{self, Align, Output, Paint, Table, count, escape};

pub fn write(profile: &Profile, limit: usize, out: &mut Output) -> Result<()> {
    let mut buckets: Vec<&(usize, Buckets)> = profile.buckets.iter().collect();
    buckets.sort_by_key(|(_, buckets)| std::cmp::Reverse(buckets.cost.classic_series));
    for (family, buckets) in buckets.into_iter().take(limit) {
        histogram(&profile.scrape, *family, buckets, out)?;
    }
    if let Some(found) = &profile.exemplars {
        exemplars(&profile.scrape, found, limit, out)?;
    }
    if let Some(findings) = &profile.lint {
        lint(findings, out)?;
    }
    Ok(())
}

fn histogram(scrape: &Scrape, family: usize, buckets: &Buckets, out: &mut Output) -> Result<()> {
    blank(out)?;
    let name = out.style().paint(Paint::Heading, &escape(scrape.text(scrape.families[family].name)));
    let cost = &buckets.cost;
    let head = [
        format!("{} in {}", count(buckets.bounds.len() as u64, "bucket"), count(buckets.children, "child")),
        format!("{} series as a classic histogram, {} as a native one", thousands(cost.classic_series), thousands(cost.native_series)),
    ];
    line(out, &format!("{name}  {}", head.join(", ")))?;
    let idle: Vec<&str> = buckets.idle().filter_map(|bucket| bucket.le.first()).map(|le| scrape.text(*le)).collect();
    if !idle.is_empty() {
        line(out, &format!("  separate nothing: le {} ({} series)", escape(&idle.join(", ")), thousands(buckets.idle_series())))?;
    }
    if let Some(refused) = refused(&buckets.refused) {
        line(out, &format!("  left out: {refused}"))?;
    }
    let Some(selection) = &buckets.selection else { return line(out, "  too few observations to choose buckets by") };
    match &selection.advice {
        None => line(out, "  all buckets are needed to keep p50, p90 and p99"),
        Some(advice) => {
            let error = percent(advice.choice.error.max(advice.unusual_error.unwrap_or(0.0)));
            let kept = count(advice.choice.bounds.len() as u64 + 1, "bucket");
            line(out, &format!("  {kept} keep p50, p90 and p99 within {error}; saves {} series", thousands(advice.series_saved)))?;
            line(out, &format!("    {}", escape(&advice.go_line)))?;
            line(out, &format!("    drop le =~ {}", escape(&advice.le_regex)))
        }
    }
}

fn refused(refused: &Refused) -> Option<String> {
    let reasons = [
        (refused.no_infinity, "without +Inf"),
        (refused.not_a_number, "with values that are no counts"),
        (refused.not_cumulative, "whose buckets do not add up"),
        (refused.repeated, "with a bound twice"),
    ];
    let parts: Vec<String> = reasons.iter().filter(|(number, _)| *number > 0).map(|(number, why)| format!("{number} {why}")).collect();
    (!parts.is_empty()).then(|| format!("children {}", parts.join(", ")))
}

fn exemplars(scrape: &Scrape, found: &Exemplars, limit: usize, out: &mut Output) -> Result<()> {
    blank(out)?;
    if found.families.is_empty() {
        return line(out, "no exemplars");
    }
    let mut table = Table::new(&[
        ("EXEMPLARS OF", Align::Name),
        ("EXEMPLARS", Align::Right),
        ("SERIES", Align::Right),
        ("IN A SERVER", Align::Right),
        ("TOO LONG", Align::Right),
        ("10 % MOST ACTIVE", Align::Right),
        ("THEIR EVENTS", Align::Right),
    ]);
    let mut row = |name: &str, all: &Figures, sampled: &Figures, events: Option<f64>| {
        table.row([
            name.to_owned(),
            thousands(all.exemplars),
            thousands(all.series),
            output::bytes(all.stored_bytes),
            thousands(all.too_long),
            format!("{} in {} series", thousands(sampled.exemplars), thousands(sampled.series)),
            events.map_or_else(|| "unknown".to_owned(), percent),
        ]);
    };
    for family in found.families.iter().take(limit) {
        row(scrape.text(scrape.families[family.family].name), &family.all, &family.sampled, family.events);
    }
    row("all", &found.total, &found.sampled, None);
    table.write(out)?;
    let limit = match found.sampling.series {
        None => String::new(),
        Some(most) => format!(", in at most {} series of all metrics", thousands(most)),
    };
    line(out, &format!("  the last columns: what is left when only the most active tenth of the children keep theirs{limit}"))?;
    if found.total.too_long > 0 {
        let text = format!("{} longer than {LONGEST} characters, which OpenMetrics 1.0 refuses", count(found.total.too_long, "exemplar"));
        line(out, &out.style().paint(Paint::Warning, &text))?;
    }
    Ok(())
}

fn lint(findings: &[lint::Finding], out: &mut Output) -> Result<()> {
    blank(out)?;
    if findings.is_empty() {
        return line(out, "lint: nothing found");
    }
    let mut table = Table::new(&[("LINT", Align::Name), ("SEVERITY", Align::Left), ("RULE", Align::Left), ("WHAT", Align::Shrink)]);
    for finding in findings {
        table.row([finding.metric.clone(), severity(finding.severity).to_owned(), finding.rule.id().to_owned(), finding.text.clone()]);
    }
    table.write(out)
}

pub fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}
