//! `sched diff` for people.

use std::io::{self, Write};
use std::time::Duration;

use super::table::{MAIN, bound, label, time, write_frames};
use crate::error::{Error, Result};
use crate::output::{Align, Page, Paint, Style, Table, count, duration, timestamp};
use crate::sched::analyze::diff::{Amount, Change, Diff, Limit, Place, QueueChange, StateChange, Verdict};
use crate::sched::model::{Tier, Waits, Window};

/// Reasons, and stacks that grew and that shrank, unless told otherwise.
const ROWS: usize = 5;

const NOISE: &str = "not resolvable";

/// Shares of the states, queues, reasons, and the stacks that changed most.
pub fn write_diff_table(diff: &Diff<'_>, limit: Option<usize>, out: &mut impl Write, style: Style) -> Result<()> {
    write(diff, limit.unwrap_or(ROWS), &mut Page { out, style }).map_err(Error::write)
}

/// One limit of `--fail-on` that was passed.
pub fn passed_line(limit: &Limit, change: &StateChange) -> String {
    let plain = |share: f64| format!("{:.1}", 100.0 * share);
    let state = change.name().replace('_', "-");
    let what = format!("the share of `{state}` grew by {} points, more than {}", plain(change.delta()), plain(limit.growth));
    match change.is_resolvable() {
        true => what,
        false => format!("{what}; from so few observations that is not resolvable (+-{}): record for longer", plain(change.margin())),
    }
}

fn write(diff: &Diff<'_>, limit: usize, page: &mut Page<'_, impl Write>) -> io::Result<()> {
    side("BEFORE", diff.before, page)?;
    side("AFTER", diff.after, page)?;
    for note in &diff.notes {
        page.line(&format!("note: {note}"), Paint::Warning)?;
    }
    page.blank()?;
    states(diff, page)?;
    queues(&diff.queues, page)?;
    reasons(diff, limit, page)?;
    run_latency(diff, limit, page)?;
    blocked(diff, limit, page)?;
    stacks("STACKS THAT GREW MOST", diff, limit, |delta| delta > 0.0, page)?;
    stacks("STACKS THAT SHRANK MOST", diff, limit, |delta| delta < 0.0, page)?;
    page.blank()?;
    page.sentence(&totals(diff))
}

fn side(name: &str, window: &Window, page: &mut Page<'_, impl Write>) -> io::Result<()> {
    let target = &window.target;
    let mut parts = vec![
        format!("{name:6}  {}", timestamp(window.captured_at)),
        format!("{} ({})", target.exe.rsplit('/').next().unwrap_or_default(), target.pid),
        target.go_version.clone(),
        format!("tier {}", window.tier.number()),
        duration(Duration::from_nanos(window.length_ns)),
    ];
    if window.tier > Tier::Counters {
        parts.push(count(window.samples, "sample"));
        parts.push(format!("{} of {} lost", window.quality.lost(), count(window.quality.sent(), "event")));
    }
    parts.push(count(window.quality.walks, "walk"));
    page.sentence(&parts)
}

fn states(diff: &Diff<'_>, page: &mut Page<'_, impl Write>) -> io::Result<()> {
    page.line("SHARES OF THE TIME THAT WAS NOT WAITING, AND GOROUTINES IN EACH STATE (N)", Paint::Accent)?;
    let mut table = Table::new(&[
        ("STATE", Align::Shrink),
        ("% BEFORE", Align::Right),
        ("% AFTER", Align::Right),
        ("POINTS", Align::Right),
        ("+-", Align::Right),
        ("N BEFORE", Align::Right),
        ("N AFTER", Align::Right),
    ])
    .spare(&["N BEFORE", "N AFTER", "+-"]);
    for change in &diff.states {
        let name = match change.class {
            Some(class) if change.before.of_busy.is_none() => format!("{} (% of all)", label(class)),
            Some(class) => label(class).to_owned(),
            None => "not observed".to_owned(),
        };
        let delta = match change.is_resolvable() {
            true => points(change.delta()),
            false if change.delta() == 0.0 => "0.0".to_owned(),
            false => NOISE.to_owned(),
        };
        let goroutines = |amount: &Amount| format!("{:.2}", amount.rate / 1e9);
        table.row([
            name,
            format!("{:.1}", 100.0 * change.before.value()),
            format!("{:.1}", 100.0 * change.after.value()),
            delta,
            format!("{:.1}", 100.0 * change.margin()),
            goroutines(&change.before.amount),
            goroutines(&change.after.amount),
        ]);
    }
    table.write_to(page.out, page.style)
}

fn queues(queues: &[QueueChange], page: &mut Page<'_, impl Write>) -> io::Result<()> {
    if queues.is_empty() {
        return Ok(());
    }
    page.blank()?;
    page.line("HOW LONG WHAT COULD RUN HAD TO WAIT", Paint::Accent)?;
    let columns =
        [("WHO WAITS", Align::Shrink), ("", Align::Left), ("BEFORE", Align::Right), ("AFTER", Align::Right), ("CHANGE", Align::Left)];
    let mut table = Table::new(&columns);
    for change in queues {
        let who = if change.queue == "run_queue" { "goroutine for a P" } else { "thread for a CPU" };
        let [before, after] = [change.before, change.after].map(|side| side.as_ref().map_or("-".to_owned(), bound));
        let verdict = match change.verdict {
            Verdict::NotResolvable => NOISE,
            known => known.as_str(),
        };
        table.row([who.to_owned(), change.quantile.to_owned(), before, after, verdict.to_owned()]);
    }
    table.write_to(page.out, page.style)
}

fn reasons(diff: &Diff<'_>, limit: usize, page: &mut Page<'_, impl Write>) -> io::Result<()> {
    let about = About {
        title: "BY REASON: GOROUTINE TIME PER SECOND",
        what: "reason",
        columns: &[("STATE", Align::Left), ("REASON", Align::Shrink)],
        spare: &["+-", "STATE"],
    };
    about.write(&diff.reasons, limit, page, |of| vec![label(of.class).to_owned(), of.reason.to_owned()])
}

fn run_latency(diff: &Diff<'_>, limit: usize, page: &mut Page<'_, impl Write>) -> io::Result<()> {
    let about = About {
        title: "RUNNABLE BEFORE IT RAN, BY WHO CREATED THE GOROUTINE: TIME PER SECOND",
        what: "creator",
        columns: &[("P99 BEFORE", Align::Right), ("P99 AFTER", Align::Right), ("CREATED BY", Align::Shrink)],
        spare: &["P99 BEFORE", "P99 AFTER", "+-"],
    };
    let p99 = |waits: &Option<Waits>| waits.as_ref().map_or("-".to_owned(), |waits| bound(&waits.p99));
    about.write(&diff.run_latency, limit, page, |of| vec![p99(&of.before), p99(&of.after), of.creator.unwrap_or(MAIN).to_owned()])
}

fn blocked(diff: &Diff<'_>, limit: usize, page: &mut Page<'_, impl Write>) -> io::Result<()> {
    let about = About {
        title: "WAITS THAT ENDED, BY REASON: TIME PER SECOND",
        what: "reason",
        columns: &[("REASON", Align::Shrink)],
        spare: &["+-"],
    };
    about.write(&diff.blocked, limit, page, |of| vec![of.unwrap_or("not known").to_owned()])
}

/// A table of changes of one kind.
struct About {
    title: &'static str,
    /// What is not shown, in the singular.
    what: &'static str,
    /// Beside the figures.
    columns: &'static [(&'static str, Align)],
    spare: &'static [&'static str],
}

impl About {
    fn write<T>(
        &self,
        changes: &[Change<T>],
        limit: usize,
        page: &mut Page<'_, impl Write>,
        cells: impl Fn(&T) -> Vec<String>,
    ) -> io::Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        page.blank()?;
        page.line(self.title, Paint::Accent)?;
        let (shown, noise): (Vec<_>, Vec<_>) = changes.iter().partition(|change| change.is_resolvable());
        let figures = [("BEFORE", Align::Right), ("AFTER", Align::Right), ("CHANGE", Align::Right), ("+-", Align::Right)];
        let mut table = Table::new(&[&figures, self.columns].concat()).spare(self.spare);
        for change in shown.iter().take(limit) {
            let figures = [rate(change.before.rate), rate(change.after.rate), signed(change.delta()), rate(change.margin())];
            table.row(figures.into_iter().chain(cells(&change.of)));
        }
        if !table.is_empty() {
            table.write_to(page.out, page.style)?;
        }
        rest(shown.len().saturating_sub(limit), noise.len(), self.what, page)
    }
}

fn stacks(title: &str, diff: &Diff<'_>, limit: usize, wanted: impl Fn(f64) -> bool, page: &mut Page<'_, impl Write>) -> io::Result<()> {
    let changed: Vec<&Change<Place<'_>>> = diff.stacks.iter().filter(|change| wanted(change.delta())).collect();
    if changed.is_empty() || limit == 0 {
        return Ok(());
    }
    page.blank()?;
    page.line(title, Paint::Accent)?;
    let (shown, noise): (Vec<_>, Vec<_>) = changed.into_iter().partition(|change| change.is_resolvable());
    for change in shown.iter().take(limit) {
        let Place { class, reason, stack } = change.of;
        let mut about = vec![label(class).to_owned()];
        about.extend(reason.map(str::to_owned));
        about.push(format!("{} to {} per second", rate(change.before.rate), rate(change.after.rate)));
        page.line(&format!("{:>9}  {}", signed(change.delta()), about.join(", ")), Paint::Plain)?;
        write_frames(stack, page)?;
    }
    rest(shown.len().saturating_sub(limit), noise.len(), "stack", page)
}

/// What is not shown, and why.
fn rest(hidden: usize, noise: usize, what: &str, page: &mut Page<'_, impl Write>) -> io::Result<()> {
    let mut parts = Vec::new();
    if hidden > 0 {
        parts.push(count(hidden as u64, &format!("more {what}")));
    }
    if noise > 0 {
        parts.push(format!("{} {NOISE}", count(noise as u64, what)));
    }
    if parts.is_empty() { Ok(()) } else { page.line(&format!("... and {}", parts.join(", ")), Paint::Dim) }
}

fn totals(diff: &Diff<'_>) -> Vec<String> {
    let time = match diff.interval {
        Some(interval) => format!("{} later", duration(interval)),
        None => "the clock went back".to_owned(),
    };
    let same = if diff.same_process { "the same process" } else { "not known to be the same process" };
    let tell = |all: usize, resolvable: usize, what: &str| format!("{resolvable} of {} changed beyond noise", count(all as u64, what));
    let states = diff.states.iter().filter(|change| change.is_resolvable()).count();
    let stacks = diff.stacks.iter().filter(|change| change.is_resolvable()).count();
    vec![
        time,
        same.to_owned(),
        tell(diff.states.len(), states, "state"),
        tell(diff.stacks.len(), stacks, "stack"),
        "noise: what 95 % of all differences by chance stay within".to_owned(),
    ]
}

fn points(share: f64) -> String {
    format!("{:+.1}", 100.0 * share).replace("-0.0", "0.0")
}

fn rate(ns: f64) -> String {
    time(ns as u64)
}

fn signed(ns: f64) -> String {
    format!("{}{}", if ns < 0.0 { "-" } else { "+" }, rate(ns.abs()))
}
