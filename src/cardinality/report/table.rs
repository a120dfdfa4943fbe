//! `--format table`: for people.

use std::io::Write;

use super::wording::{dependency, format_name, ids_keep_coming, percent, shape_name, thousands, verdict, verdict_name};
use super::{View, details, findings, growth, plan, simulation};
use crate::cardinality::analyze::gate::listed;
use crate::cardinality::analyze::metrics::Metric;
use crate::cardinality::analyze::outlook::{Outlook, Verdict};
use crate::cardinality::analyze::shapes::Bounded;
use crate::cardinality::model::{Found, Scrape};
use crate::cardinality::profile::Profile;
use crate::error::{Error, Result};
use crate::formats::exposition::{PROMETHEUS, Rules};
use crate::output::{self, Align, Output, Paint, Table};

pub fn write(profile: &Profile, view: View, out: &mut Output) -> Result<()> {
    metrics(profile, view, out)?;
    for metric in profile.metrics.iter().take(view.detailed) {
        labels(profile, metric, out)?;
    }
    details::write(profile, view.limit, out)?;
    if let Some(growing) = &profile.growth {
        growth::write(growing, view.limit, out)?;
    }
    if let Some(simulated) = &profile.simulation {
        simulation::write(simulated, out)?;
    }
    if let Some(suggested) = &profile.plan {
        plan::write(suggested, out)?;
    }
    if let Some(gate) = &profile.gate {
        findings::write(gate, view.limit, out)?;
    }
    problems(profile, out)?;
    duplicates(&profile.scrape, out)?;
    totals(profile, out)
}

/// Labels of one metric; documents have all of them.
const MOST_LABELS: usize = 30;

fn metrics(profile: &Profile, view: View, out: &mut Output) -> Result<()> {
    let mut table = Table::new(&[
        ("METRIC", Align::Name),
        ("TYPE", Align::Left),
        ("SERIES", Align::Right),
        ("SHARE", Align::Right),
        ("CHILDREN", Align::Right),
        ("BODY", Align::Right),
        ("OUTLOOK", Align::Left),
        ("EXPLODES BY", Align::Shrink),
    ])
    .spare(&["BODY", "CHILDREN", "OUTLOOK", "TYPE", "SHARE"]);
    for metric in profile.metrics.iter().take(view.limit) {
        let family = &profile.scrape.families[metric.family];
        table.row([
            profile.scrape.text(family.name).to_owned(),
            family.kind.as_str().to_owned(),
            thousands(metric.series),
            percent(metric.share),
            thousands(metric.children),
            output::bytes(metric.bytes),
            outlook(profile, metric),
            explodes_by(&profile.scrape, metric),
        ]);
    }
    if !table.is_empty() {
        table.write(out)?;
    }
    let rest = &profile.metrics[profile.metrics.len().min(view.limit)..];
    if !rest.is_empty() {
        let series: u64 = rest.iter().map(|metric| metric.series).sum();
        dim(out, &format!("... and {} of {} series", output::count(rest.len() as u64, "more metric"), thousands(series)))?;
    }
    Ok(())
}

/// Nothing for what can't be told: most metrics are no counters, and have no ids.
fn outlook(profile: &Profile, metric: &Metric) -> String {
    match verdict(&profile.outlooks[metric.family], &metric.shapes) {
        Verdict::Unknown if ids_keep_coming(&metric.shapes) => "new ids".to_owned(),
        Verdict::Unknown => String::new(),
        told => verdict_name(told).to_owned(),
    }
}

/// What costs most: a label and its values, or several labels.
fn explodes_by(scrape: &Scrape, metric: &Metric) -> String {
    let Some((labels, _)) = metric.without.culprit() else { return String::new() };
    let name = |label: &usize| scrape.text(metric.without.labels[*label].name);
    match labels.as_slice() {
        [one] => format!("{} ({} values)", name(one), thousands(metric.without.labels[*one].values)),
        several => several_labels(&several.iter().map(name).collect::<Vec<&str>>()),
    }
}

/// All of up to four, the first three of more.
fn several_labels(names: &[&str]) -> String {
    match names {
        [first @ .., _, _] if names.len() > 4 => {
            let shown = &first[..3];
            format!("{} and {} more", shown.join(", "), names.len() - shown.len())
        }
        few => listed(few),
    }
}

fn labels(profile: &Profile, metric: &Metric, out: &mut Output) -> Result<()> {
    let scrape = &profile.scrape;
    let (family, without) = (&scrape.families[metric.family], &metric.without);
    if without.labels.is_empty() && without.bounds.is_empty() {
        return Ok(());
    }
    blank(out)?;
    let head = out.style().paint(Paint::Heading, &output::escape(scrape.text(family.name)));
    line(out, &format!("{head}  {} series, {}", thousands(metric.series), children(metric.children)))?;
    let mut table = Table::new(&[
        ("  LABEL", Align::Name),
        ("VALUES", Align::Right),
        ("SERIES WITHOUT IT", Align::Right),
        ("", Align::Yield(16)),
        ("SHAPE", Align::Yield(12)),
        ("TOP VALUES (SERIES)", Align::Shrink),
    ])
    .spare(&["", "SHAPE"]);
    // So that more than one is seen.
    let room = out.style().width.map_or(usize::MAX, |width| usize::from(width) / 6);
    let mut labels: Vec<_> = without.labels.iter().zip(&metric.shapes).collect();
    labels.sort_by_key(|(label, _)| (label.series_without, std::cmp::Reverse(label.values)));
    let more = labels.len().saturating_sub(MOST_LABELS);
    labels.truncate(MOST_LABELS);
    for (label, shape) in &labels {
        let top: Vec<String> = label
            .top
            .iter()
            .map(|value| format!("{} ({})", output::shorten(scrape.text(value.value), room), thousands(value.series)))
            .collect();
        table.row([
            format!("  {}", scrape.text(label.name)),
            thousands(label.values),
            thousands(label.series_without),
            dependency(scrape, without, label).unwrap_or_default(),
            shape_name(shape),
            top.join(", "),
        ]);
    }
    for bound in &without.bounds {
        let why = format!("breaks the {}", family.kind.as_str());
        table.row([
            format!("  {}", bound.name),
            thousands(bound.values),
            thousands(bound.series_without),
            why,
            String::new(),
            String::new(),
        ]);
    }
    table.write(out)?;
    if more > 0 {
        dim(out, &format!("  ... and {} that tell less", output::count(more as u64, "more label")))?;
    }
    pairs(scrape, metric, out)?;
    for (label, shape) in labels.iter().filter(|(label, shape)| shape.bounded == Bounded::Unbounded && label.series_without < metric.series)
    {
        let name = output::escape(scrape.text(label.name)).into_owned();
        line(out, &format!("  {}: {}", out.style().paint(Paint::Warning, &name), shape.advice.text()))?;
    }
    to_come(&profile.outlooks[metric.family], out)
}

/// What the counts of a metric say of children to come.
fn to_come(outlook: &Outlook, out: &mut Output) -> Result<()> {
    let (Verdict::Growing, Some(counts)) = (outlook.verdict, &outlook.counts) else { return Ok(()) };
    let more = (counts.chao1.value - outlook.children as f64).max(0.0).round() as u64;
    let chance = percent(counts.next_opens);
    line(out, &format!("  growing: {chance} of the next events open a new child; at least {} more children are to come", thousands(more)))
}

fn children(count: u64) -> String {
    if count == 1 { "1 child".to_owned() } else { format!("{} children", thousands(count)) }
}

/// Pairs that say more than their labels alone.
fn pairs(scrape: &Scrape, metric: &Metric, out: &mut Output) -> Result<()> {
    const SHOWN: usize = 3;
    let labels = &metric.without.labels;
    let best_alone = |pair: [usize; 2]| pair.map(|label| labels[label].series_without).into_iter().min().unwrap_or(metric.series);
    let mut pairs: Vec<_> = metric.without.pairs.iter().filter(|pair| pair.series_without < best_alone(pair.labels)).collect();
    pairs.sort_by_key(|pair| pair.series_without);
    for pair in pairs.into_iter().take(SHOWN) {
        let names = pair.labels.map(|label| output::escape(scrape.text(labels[label].name)).into_owned());
        line(out, &format!("  {} series without {} and {}", thousands(pair.series_without), names[0], names[1]))?;
    }
    if let Some(more) = &metric.without.together {
        let names: Vec<&str> = more.labels.iter().map(|label| scrape.text(labels[*label].name)).collect();
        line(out, &format!("  {} series without {}", thousands(more.series_without), output::escape(&listed(&names))))?;
    }
    Ok(())
}

fn problems(profile: &Profile, out: &mut Output) -> Result<()> {
    const SHOWN: usize = 10;
    let quality = &profile.scrape.quality;
    let several = profile.sources.len() > 1;
    if quality.problems.is_empty() {
        return Ok(());
    }
    blank(out)?;
    for Found { source, problem } in quality.problems.iter().take(SHOWN) {
        let place = if several { format!("{source}: ") } else { String::new() };
        line(out, &output::escape(&format!("{place}{problem}")))?;
        // Of bytes that are no text, hardly any would be shown as they are.
        let garbled = problem.excerpt.chars().filter(|c| c.is_control() || *c == char::REPLACEMENT_CHARACTER).count();
        let is_text = garbled < 4 || garbled * 4 < problem.excerpt.chars().count();
        if !problem.excerpt.is_empty() && is_text {
            // Escapes take more room than what they stand for.
            let before: String = problem.excerpt.chars().take(problem.caret).collect();
            line(out, &format!("    {}", output::escape(&problem.excerpt)))?;
            line(out, &format!("    {}{}", " ".repeat(output::escape(&before).chars().count()), out.style().paint(Paint::Bad, "^")))?;
        }
    }
    let more = (quality.errors + quality.warnings).saturating_sub(SHOWN as u64);
    if more > 0 {
        dim(out, &format!("... and {}", output::count(more, "more problem")))?;
    }
    Ok(())
}

fn duplicates(scrape: &Scrape, out: &mut Output) -> Result<()> {
    const SHOWN: usize = 3;
    let twice = &scrape.quality.duplicate_series;
    if !twice.is_empty() {
        blank(out)?;
    }
    for series in twice.iter().take(SHOWN) {
        let text = out.style().paint(Paint::Warning, "in there more than once");
        line(out, &format!("{text}: {}", output::escape(series)))?;
    }
    if twice.len() > SHOWN { dim(out, "... and more of that kind") } else { Ok(()) }
}

fn totals(profile: &Profile, out: &mut Output) -> Result<()> {
    let quality = &profile.scrape.quality;
    let format = quality.format.map_or("no format", format_name);
    let mut parts = vec![
        format!("{} series", thousands(profile.scrape.series())),
        output::count(profile.metrics.len() as u64, "metric"),
        format!("{} of {format}", output::bytes(quality.bytes)),
    ];
    parts.push(format!("about {} in a server (model)", output::bytes(profile.memory.total.memory_bytes)));
    if quality.duplicates > 0 {
        parts.push(output::count(quality.duplicates, "duplicate sample"));
    }
    if quality.left_out > 0 {
        parts.push(format!("{} of metrics with too many labels LEFT OUT", output::count(quality.left_out, "sample")));
    }
    let reader = match profile.rules {
        Rules::Prometheus => format!("to Prometheus {PROMETHEUS}"),
        Rules::Strict => "by the strict rules".to_owned(),
    };
    parts.push(format!("{} {reader}", output::count(quality.errors, "error")));
    if quality.warnings > 0 {
        parts.push(output::count(quality.warnings, "warning"));
    }
    if !profile.metrics.is_empty() {
        blank(out)?;
    }
    dim(out, &parts.join(", "))
}

pub fn line(out: &mut Output, text: &str) -> Result<()> {
    writeln!(out, "{text}").map_err(Error::write)
}

pub fn blank(out: &mut Output) -> Result<()> {
    line(out, "")
}

fn dim(out: &mut Output, text: &str) -> Result<()> {
    let text = out.style().paint(Paint::Dim, text);
    line(out, &text)
}
