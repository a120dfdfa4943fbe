//! What changed between two snapshots: `diff` and `--watch`.

use std::io::{self, Write};

use serde::{Serialize, Serializer};

use super::schema::{Counts, Location, Quality, Stack};
use super::stack::write_stack;
use super::wording::{created_by, nanos, place_text};
use crate::error::{Error, Result};
use crate::goroutines::analyze::counts;
use crate::goroutines::analyze::diff::{Change, Diff, Entry, Growth, Moves};
use crate::goroutines::model::{self, Snapshot, TargetFacts};
use crate::output::Page;
use crate::output::{Align, Envelope, Paint, Style, Table, count, timestamp};
use crate::target::frames::Place;

/// The whole document; `target`, `quality` and `captured_at` are those of the later snapshot.
pub fn diff_document<'a>(diff: &'a Diff<'a>) -> impl Serialize + 'a {
    let after = diff.after;
    Envelope::new("goroutines-diff", after.captured_at, &after.target, Quality::of(&after.quality), Body::of(diff))
}

/// The first line of jsonl: of the first snapshot there is.
pub fn diff_header(first: &Snapshot) -> impl Serialize + '_ {
    let (target, quality) = (&first.target, Quality::of(&first.quality));
    Envelope::new("goroutines-diff", first.captured_at, target, quality, Nothing {}).header()
}

/// A line of jsonl; `--watch` writes one for each snapshot after the first.
pub fn diff_line<'a>(diff: &'a Diff<'a>) -> impl Serialize + 'a {
    let captured_at = timestamp(diff.after.captured_at);
    Line { kind: "diff", captured_at, quality: Quality::of(&diff.after.quality), body: Body::of(diff) }
}

/// The last line of jsonl, after so many diffs.
pub fn diff_summary(diffs: u64) -> impl Serialize {
    Summary { kind: "summary", diffs }
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct Summary {
    #[serde(rename = "type")]
    kind: &'static str,
    diffs: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    captured_at: String,
    quality: Quality<'a>,
    #[serde(flatten)]
    body: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    interval_ns: Option<u64>,
    same_process: bool,
    before: Side<'a>,
    after: Side<'a>,
    goroutines: Option<Changes>,
    #[serde(serialize_with = "by_stack")]
    by_stack: &'a Diff<'a>,
    #[serde(serialize_with = "by_site")]
    by_site: &'a Diff<'a>,
    #[serde(serialize_with = "stacks")]
    stacks: &'a Diff<'a>,
}

#[derive(Serialize)]
struct Side<'a> {
    captured_at: String,
    counts: Counts,
    target: &'a TargetFacts,
}

#[derive(Serialize)]
struct Changes {
    new: u64,
    gone: u64,
    stuck: u64,
}

#[derive(Serialize)]
struct StackRow {
    change: &'static str,
    before: u64,
    after: u64,
    delta: i64,
    stuck: Option<u64>,
    stack: usize,
}

#[derive(Serialize)]
struct SiteRow<'a> {
    change: &'static str,
    before: u64,
    after: u64,
    delta: i64,
    stuck: Option<u64>,
    created_by: Option<Location<'a>>,
}

impl<'a> Body<'a> {
    fn of(diff: &'a Diff<'a>) -> Self {
        let side = |snapshot: &'a Snapshot, matched| Side {
            captured_at: timestamp(snapshot.captured_at),
            counts: Counts::of(&counts(snapshot), matched),
            target: &snapshot.target,
        };
        Body {
            interval_ns: diff.interval.and_then(|interval| u64::try_from(interval.as_nanos()).ok()),
            same_process: diff.moves.is_some(),
            before: side(diff.before, diff.goroutines.0),
            after: side(diff.after, diff.goroutines.1),
            goroutines: diff.moves.map(|Moves { new, gone, stuck }| Changes { new, gone, stuck }),
            by_stack: diff,
            by_site: diff,
            stacks: diff,
        }
    }
}

/// `by_stack` and `stacks` are in the same order, so that the number of a row is the number of its stack.
fn by_stack<S: Serializer>(diff: &Diff<'_>, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_seq(diff.stacks.iter().enumerate().map(|(stack, entry)| StackRow {
        change: entry.change().as_str(),
        before: entry.before,
        after: entry.after,
        delta: entry.delta(),
        stuck: stuck(diff, entry),
        stack,
    }))
}

fn by_site<S: Serializer>(diff: &Diff<'_>, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_seq(diff.sites.iter().map(|entry| SiteRow {
        change: entry.change().as_str(),
        before: entry.before,
        after: entry.after,
        delta: entry.delta(),
        stuck: stuck(diff, entry),
        created_by: entry.of.map(Location::of),
    }))
}

fn stacks<S: Serializer>(diff: &Diff<'_>, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_seq(diff.stacks.iter().map(|entry| Stack::of(entry.of)))
}

/// Unknown across processes.
fn stuck<T>(diff: &Diff<'_>, entry: &Entry<T>) -> Option<u64> {
    diff.moves.map(|_| entry.stuck)
}

/// Creation sites, then the stacks that changed; `limit` cuts both.
pub fn write_diff_table(diff: &Diff<'_>, limit: Option<usize>, out: &mut impl Write, style: Style) -> Result<()> {
    write(diff, limit.unwrap_or(usize::MAX), &mut Page { out, style }).map_err(Error::write)
}

fn write(diff: &Diff<'_>, limit: usize, page: &mut Page<'_, impl Write>) -> io::Result<()> {
    let knows = diff.moves.is_some();
    let mut columns = vec![("DELTA", Align::Right), ("BEFORE", Align::Right), ("AFTER", Align::Right)];
    if knows {
        columns.push(("STUCK", Align::Right));
    }
    columns.extend([("CHANGE", Align::Left), ("CREATED BY", Align::Shrink), ("PLACE", Align::Left)]);
    let mut table = Table::new(&columns);
    let changed = diff.sites.iter().filter(|entry| entry.change() != Change::Same).count();
    let limit_sites = limit.min(changed + UNCHANGED_SITES);
    for entry in diff.sites.iter().take(limit_sites) {
        let mut row = vec![signed(entry.delta()), entry.before.to_string(), entry.after.to_string()];
        row.extend(stuck(diff, entry).map(|n| n.to_string()));
        row.push(entry.change().as_str().to_owned());
        row.extend(created_by(entry.of, page.style));
        table.row(row);
    }
    if !table.is_empty() {
        table.write_to(page.out, page.style)?;
        more(diff.sites.len(), limit_sites, "creation site", page)?;
        page.blank()?;
    }
    let changed: Vec<_> = diff.stacks.iter().filter(|entry| entry.change() != Change::Same).collect();
    let digits = changed.iter().map(|entry| signed(entry.delta()).len()).max().unwrap_or(0).max(5);
    for entry in changed.iter().take(limit) {
        write_entry(diff, entry, digits, page)?;
    }
    if more(changed.len(), limit, "changed stack", page)? {
        page.blank()?;
    }
    page.sentence(&summary(diff))
}

/// They come after those that changed, biggest first.
const UNCHANGED_SITES: usize = 10;

fn write_entry(diff: &Diff<'_>, entry: &Entry<&model::Stack>, digits: usize, page: &mut Page<'_, impl Write>) -> io::Result<()> {
    let mut facts = vec![entry.change().as_str().to_owned()];
    if !matches!(entry.change(), Change::New | Change::Gone) {
        facts.push(format!("{} to {}", entry.before, entry.after));
    }
    if entry.stuck > 0 {
        facts.push(format!("{} stuck", entry.stuck));
    }
    page.head(&format!("{:>digits$}  ", signed(entry.delta())), &facts)?;
    write_stack(entry.of, diff.runtime_frames, None, digits + 2, &[], page)
}

fn more(all: usize, limit: usize, what: &str, page: &mut Page<'_, impl Write>) -> io::Result<bool> {
    let hidden = all.saturating_sub(limit);
    if hidden > 0 {
        page.line(&format!("... and {}", count(hidden as u64, &format!("more {what}"))), Paint::Dim)?;
    }
    Ok(hidden > 0)
}

fn summary(diff: &Diff<'_>) -> Vec<String> {
    let (before, after) = diff.goroutines;
    let time = match diff.interval {
        Some(interval) => format!("{} later", nanos(interval.as_nanos().try_into().unwrap_or(u64::MAX))),
        None => "the clock went back".to_owned(),
    };
    let mut parts = vec![format!("{} before", count(before, "goroutine")), format!("{after} after ({time})")];
    parts.push(match diff.moves {
        Some(Moves { new, gone, stuck }) => format!("goroutines: {new} new {gone} gone {stuck} stuck"),
        None => "not known to be the same process, so goroutines are not matched".to_owned(),
    });
    let changes = |change: Change| {
        let n = diff.stacks.iter().filter(|entry| entry.change() == change).count();
        format!("{n} {}", change.as_str())
    };
    let all = [Change::New, Change::Gone, Change::Grown, Change::Shrunk, Change::Same];
    parts.push(format!("stacks: {}", all.map(changes).join(" ")));
    let torn = diff.before.quality.torn + diff.after.quality.torn;
    let skipped = diff.before.quality.skipped + diff.after.quality.skipped;
    parts.push(format!("{torn} torn, {skipped} skipped"));
    parts
}

fn signed(delta: i64) -> String {
    if delta > 0 { format!("+{delta}") } else { delta.to_string() }
}

/// What `--fail-on-growth` found: a line for each creation site.
pub fn growth_lines(growth: &[Growth], limit: u64) -> Vec<String> {
    let line = |growth: &Growth| {
        let site = match &growth.site {
            Some(site) => {
                let place = Place::new(&site.function, &site.file, site.line);
                format!("{}  {}", place.name(), place_text(place))
            }
            None => "an unknown creation site".to_owned(),
        };
        format!("{} more goroutines (limit {limit}, {} to {}): {site}", growth.after - growth.before, growth.before, growth.after)
    };
    growth.iter().map(line).collect()
}
