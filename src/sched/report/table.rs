//! `--format table`: for people.

use std::io::{self, Write};
use std::time::Duration;

use super::{before, wakes};
use crate::error::{Error, Result};
use crate::output::{Align, Page, Paint, Style, Table, count, two_digits};
use crate::sched::analyze::wakes::trees;
use crate::sched::analyze::{Account, By, Group, Observations, Share, by_reason, grouped, measures, observations, shares, waiting};
use crate::sched::model::{Bound, Class, Frame, Row, Source, Stack, Stop, StopKind, Tier, Transitions, Waits, Window};
use crate::target::frames;

/// Stacks shown of each class.
const STACKS: usize = 3;
/// Frames shown of each stack.
const FRAMES: usize = 8;
/// A window of which shares are told.
const SHORTEST_NS: u64 = 50_000_000;
/// Of a stack's frames.
const INDENT: usize = 11;

/// Whose creator nobody is: it has no `go` statement.
pub(super) const MAIN: &str = "the main goroutine";

/// The account, queues, Ps, threads and the top stacks of each class.
pub fn write_table(window: &Window, limit: Option<usize>, out: &mut impl Write, style: Style) -> Result<()> {
    let mut report = Report { page: Page { out, style } };
    report.sched(window, limit.unwrap_or(STACKS)).map_err(Error::write)
}

/// How a profile's table is made.
pub struct Profile<'a> {
    pub title: &'a str,
    pub by: &'a By,
    pub limit: Option<usize>,
    pub hide_runtime: bool,
}

/// Functions by their own and their callees' time, or goroutines by what they have in common.
pub fn write_profile_table(window: &Window, rows: &[&Row], profile: &Profile<'_>, out: &mut impl Write, style: Style) -> Result<()> {
    let mut report = Report { page: Page { out, style } };
    report.profile(window, rows, profile).map_err(Error::write)
}

struct Report<'a, W: Write> {
    page: Page<'a, W>,
}

impl<W: Write> Report<'_, W> {
    fn sched(&mut self, window: &Window, limit: usize) -> io::Result<()> {
        let account = Account::of(window);
        if let Some((trigger, seen)) = &window.trigger {
            let seen = if trigger.metric.is_duration() { time(*seen as u64) } else { format!("{seen:.0}") };
            self.heading(&format!("{}: SEEN {seen}, AFTER THESE SECONDS", trigger.text))?;
            self.table(&before::table(&window.before)?)?;
            self.blank()?;
        }
        self.account(window, &account)?;
        self.queues(window)?;
        self.runtime(window)?;
        self.threads(window)?;
        for class in [Class::OnCpu, Class::NoCpu, Class::Runnable, Class::Syscall, Class::GcAssist, Class::Waiting, Class::Scheduler] {
            self.stacks(window, class, limit)?;
        }
        if let Some(stops) = &window.stops {
            self.stops(window, stops, limit)?;
        }
        if let Some(transitions) = &window.transitions {
            self.transitions(window, transitions, limit)?;
        }
        self.totals(window)
    }

    fn stops(&mut self, window: &Window, stops: &[Stop], limit: usize) -> io::Result<()> {
        for (kind, title) in [(StopKind::World, "THE WORLD WAS STOPPED"), (StopKind::Collection, "COLLECTIONS")] {
            let of_kind: Vec<&Stop> = stops.iter().filter(|stop| stop.kind == kind).collect();
            if of_kind.is_empty() {
                continue;
            }
            self.blank()?;
            self.heading(title)?;
            for stop in of_kind.iter().take(limit) {
                let asked = match stop.goid {
                    0 => "asked for by the runtime".to_owned(),
                    goid => format!("asked for by goroutine {goid}"),
                };
                self.line(&format!("{:>9}  {asked}", time(stop.ns)))?;
                if let Some(stack) = stop.stack {
                    self.frames(window, stack)?;
                }
                if let Some(last) = stop.last.as_ref().filter(|last| last.goid != 0) {
                    self.line(&format!("{:>9}  until goroutine {} gave up its P", time(last.ns), last.goid))?;
                    last.stack.map_or(Ok(()), |stack| self.frames(window, stack))?;
                }
            }
            if of_kind.len() > limit {
                let rest: u64 = of_kind.iter().skip(limit).map(|stop| stop.ns).sum();
                self.dim(&format!("{:>9}  in {} more", time(rest), of_kind.len() - limit))?;
            }
        }
        Ok(())
    }

    fn transitions(&mut self, window: &Window, transitions: &Transitions, limit: usize) -> io::Result<()> {
        self.blank()?;
        self.heading("RUNNABLE BEFORE IT RAN, BY WHO CREATED THE GOROUTINE")?;
        let mut table = Table::new(&[
            ("P50", Align::Right),
            ("P90", Align::Right),
            ("P99", Align::Right),
            ("MAX", Align::Right),
            ("TIMES", Align::Right),
            ("TOTAL", Align::Right),
            ("CREATED BY", Align::Shrink),
        ]);
        for latency in transitions.run_latency.iter().take(limit.max(10)) {
            let Waits { count, p50, p90, p99, max, .. } = latency.waits;
            let [p50, p90, p99, max] = [p50, p90, p99, max].map(|bound| time(bound.high_ns.unwrap_or(bound.low_ns)));
            let name = latency.creator.as_deref().unwrap_or(MAIN);
            let creator = latency.place.as_ref().map_or(name.to_owned(), |(file, line)| format!("{name} {}:{line}", base(file)));
            table.row([p50, p90, p99, max, count.to_string(), time(latency.total_ns), creator]);
        }
        self.table(&table)?;
        self.blank()?;
        self.heading("BLOCKED, BY WHERE AND WHY: WAITS THAT BEGAN AND ENDED IN THE WINDOW")?;
        for blocked in transitions.blocked.iter().take(limit) {
            let reason = blocked.reason.as_deref().unwrap_or("not known");
            let text = format!("{:>9}  {}, {}", time(blocked.ns), count(blocked.count, "time"), reason);
            self.line(&text)?;
            self.frames(window, blocked.stack)?;
        }
        let table = wakes::table(&trees(&transitions.wakes, &window.stacks), limit);
        if table.is_empty() {
            return Ok(());
        }
        self.blank()?;
        self.heading("WHO ENDED THE WAITS")?;
        self.table(&table)
    }

    fn account(&mut self, window: &Window, account: &Account) -> io::Result<()> {
        self.heading("WHERE GOROUTINE TIME WENT")?;
        let busy = account.total_ns - account.waiting_ns;
        let mut table = Table::new(&[
            ("STATE", Align::Left),
            ("TIME", Align::Right),
            ("% OF ALL", Align::Right),
            ("% OF NOT WAITING", Align::Right),
            ("FROM", Align::Left),
            ("MOST BY REASON", Align::Shrink),
        ])
        .spare(&["FROM"]);
        let seen = observations(window);
        for (name, ns) in account.parts() {
            let class = Class::ALL.into_iter().find(|class| label(*class) == name);
            let reasons = class.map(|class| by_reason(window, class)).unwrap_or_default();
            let reasons: Vec<String> = reasons
                .iter()
                .filter(|(reason, _)| !matches!(reason.as_str(), "" | "-"))
                .take(3)
                .map(|(reason, ns)| format!("{reason} {}", time(*ns)))
                .collect();
            if class.is_some_and(|class| !measures(window, class)) {
                table.row([name.to_owned(), "-".into(), "-".into(), "-".into(), "not measured".into(), String::new()]);
                continue;
            }
            let of_busy = if name == "waiting" { String::new() } else { share(ns, busy) };
            let from = class.map(|class| from(window, &seen, class)).unwrap_or_default();
            table.row([name.to_owned(), time(ns), share(ns, account.total_ns), of_busy, from, reasons.join(", ")]);
        }
        self.table(&table)?;
        let mut words = vec![format!("{} goroutine-seconds in {}", seconds(account.total_ns), time(window.length_ns))];
        if measures(window, Class::Scheduler) {
            words.push(format!("beside them the scheduler was {} on a CPU", time(account.scheduler_ns)));
        }
        self.page.sentence(&words)
    }

    fn queues(&mut self, window: &Window) -> io::Result<()> {
        let queues = [("goroutine for a P", &window.run_queue), ("thread for a CPU", &window.cpu_queue)];
        if queues.iter().all(|(_, waits)| waits.is_none()) {
            return Ok(());
        }
        self.blank()?;
        self.heading("HOW LONG WHAT COULD RUN HAD TO WAIT")?;
        let columns = [
            ("WHO WAITS", Align::Left),
            ("P50", Align::Right),
            ("P90", Align::Right),
            ("P99", Align::Right),
            ("MAX", Align::Right),
            ("SEEN", Align::Right),
            ("FROM", Align::Left),
        ];
        let mut table = Table::new(&columns);
        for (who, waits) in queues {
            if let Some(Waits { count, p50, p90, p99, max, source }) = waits {
                let bounds = [p50, p90, p99, max].map(bound);
                let [p50, p90, p99, max] = bounds;
                table.row([who.to_owned(), p50, p90, p99, max, count.to_string(), (*source).to_owned()]);
            }
        }
        self.table(&table)
    }

    fn runtime(&mut self, window: &Window) -> io::Result<()> {
        let counters = &window.counters;
        let per_second = |n: u64| format!("{:.0}/s", n as f64 / Duration::from_nanos(window.length_ns.max(1)).as_secs_f64());
        let mut facts = Vec::new();
        facts.extend(counters.gomaxprocs.map(|n| count(u64::from(n), "P")));
        facts.extend(counters.idle_ps.map(|n| format!("{n:.1} idle")));
        facts.extend(counters.time_slices.map(|n| format!("{} time slices", per_second(n))));
        facts.extend(counters.syscalls.map(|n| format!("{} system calls", per_second(n))));
        facts.extend(counters.created.map(|n| format!("{} new goroutines", per_second(n))));
        facts.extend(counters.spinning_ms.map(|n| format!("{n:.1} spinning Ms")));
        facts.extend(counters.global_queue.map(|n| format!("{n:.1} in the global queue")));
        if let Some(cycles) = counters.gc_cycles {
            let pauses: Vec<u64> = counters.gc_pauses.iter().map(|pause| pause.pause_ns).collect();
            let longest = pauses.iter().max().map(|ns| format!(", longest pause {}", time(*ns))).unwrap_or_default();
            facts.push(format!("{}{longest}", count(cycles, "GC cycle")));
        }
        if let Some(throttled) = counters.throttled.filter(|t| t.periods > 0) {
            facts.push(format!(
                "cgroup throttled in {} of {} periods, {}",
                throttled.throttled_periods,
                throttled.periods,
                time(throttled.throttled_ns)
            ));
        }
        if facts.is_empty() {
            return Ok(());
        }
        self.blank()?;
        self.heading("RUNTIME")?;
        self.page.sentence(&facts)?;
        if counters.ps.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(&[
            ("P", Align::Right),
            ("TIME SLICES", Align::Right),
            ("SYSCALLS", Align::Right),
            ("QUEUE MEAN", Align::Right),
            ("QUEUE MAX", Align::Right),
        ]);
        let mut ps: Vec<_> = counters.ps.iter().collect();
        ps.sort_by(|a, b| b.queue_mean.total_cmp(&a.queue_mean).then(a.id.cmp(&b.id)));
        for p in ps.iter().take(8) {
            table.row([
                p.id.to_string(),
                p.time_slices.to_string(),
                p.syscalls.to_string(),
                format!("{:.2}", p.queue_mean),
                p.queue_max.to_string(),
            ]);
        }
        self.table(&table)?;
        let hidden = ps.len().saturating_sub(8);
        if hidden > 0 { self.dim(&format!("... and {}", count(hidden as u64, "more P"))) } else { Ok(()) }
    }

    fn threads(&mut self, window: &Window) -> io::Result<()> {
        let used: Vec<_> = window.threads.iter().filter(|thread| thread.on_cpu_ns + thread.waited_ns > 0).collect();
        if used.is_empty() {
            return Ok(());
        }
        self.blank()?;
        self.heading("THREADS")?;
        let mut table = Table::new(&[
            ("TID", Align::Right),
            ("NAME", Align::Left),
            ("ON CPU", Align::Right),
            ("OF ONE CPU", Align::Right),
            ("WAITED", Align::Right),
            ("SWITCHES", Align::Right),
        ]);
        for thread in used.iter().take(6) {
            table.row([
                thread.tid.to_string(),
                thread.name.clone(),
                time(thread.on_cpu_ns),
                percent(thread.on_cpu_ns, window.length_ns),
                time(thread.waited_ns),
                thread.switches.to_string(),
            ]);
        }
        self.table(&table)?;
        let hidden = window.threads.len() - used.len().min(6);
        if hidden > 0 { self.dim(&format!("... and {}", count(hidden as u64, "more thread"))) } else { Ok(()) }
    }

    fn stacks(&mut self, window: &Window, class: Class, limit: usize) -> io::Result<()> {
        let (groups, system_ns) = if class == Class::Waiting { waiting(window) } else { (grouped(window, class), 0) };
        if groups.is_empty() || limit == 0 {
            return Ok(());
        }
        let total: u64 = groups.iter().map(|group| group.ns).sum();
        self.blank()?;
        let order = if class == Class::Waiting { " (LOCKS BEFORE CHANNELS BEFORE THE NETWORK AND TIMERS)" } else { "" };
        self.heading(&format!("TOP STACKS: {}{order}", label(class).to_uppercase()))?;
        for Group { row, ns, .. } in groups.iter().take(limit) {
            let mut about = vec![percent(*ns, total)];
            about.extend(row.reason.as_deref().filter(|reason| !reason.is_empty()).map(|reason| reason.to_owned()));
            about.extend(row.creator.as_deref().map(|creator| format!("created by {creator}")));
            about.extend(row.labels.iter().map(|(key, value)| format!("{key}={value}")));
            self.line(&format!("{:>9}  {}", time(*ns), about.join(", ")))?;
            self.frames(window, row.stack)?;
        }
        if groups.len() > limit {
            let rest: u64 = groups.iter().skip(limit).map(|group| group.ns).sum();
            self.dim(&format!("{:>9}  in {}", time(rest), count((groups.len() - limit) as u64, "more stack")))?;
        }
        if system_ns > 0 {
            self.dim(&format!("{:>9}  in the runtime's own goroutines", time(system_ns)))?;
        }
        Ok(())
    }

    fn frames(&mut self, window: &Window, stack: u32) -> io::Result<()> {
        window.stacks.get(stack as usize).map_or(Ok(()), |stack| write_frames(stack, &mut self.page))
    }

    fn profile(&mut self, window: &Window, rows: &[&Row], profile: &Profile<'_>) -> io::Result<()> {
        let limit = profile.limit.unwrap_or(20);
        let functions = shares(window, rows, profile.by, profile.hide_runtime);
        let what = match profile.by {
            By::Function => "FUNCTION",
            By::Kind => "FIRST FUNCTION",
            By::Creator => "CREATED BY",
            By::Label(_) => "LABEL",
        };
        let total: u64 = rows.iter().map(|row| row.ns()).sum();
        let mut table = Table::new(&[
            ("FLAT", Align::Right),
            ("FLAT %", Align::Right),
            ("CUM", Align::Right),
            ("CUM %", Align::Right),
            (what, Align::Shrink),
        ]);
        for Share { name, flat_ns, cumulative_ns } in functions.iter().take(limit) {
            let name = if name.is_empty() { "[unresolved]".to_owned() } else { name.to_string() };
            table.row([time(*flat_ns), share(*flat_ns, total), time(*cumulative_ns), share(*cumulative_ns, total), name]);
        }
        self.table(&table)?;
        if functions.len() > limit {
            self.dim(&format!("... and {}", count((functions.len() - limit) as u64, "more line")))?;
        }
        self.blank()?;
        self.line(&format!("{}: {} in {}", profile.title, time(total), time(window.length_ns)))?;
        self.totals(window)
    }

    /// What was not seen and what looking cost: the last words of every table.
    fn totals(&mut self, window: &Window) -> io::Result<()> {
        let quality = &window.quality;
        self.blank()?;
        let mut words = vec![format!("tier {}", window.tier.number())];
        if window.tier > Tier::Counters {
            words.push(count(window.samples, "sample"));
            words.push(format!("{} of {} lost", quality.lost(), count(quality.sent(), "event")));
        }
        if quality.walks > 0 {
            words.push(count(quality.walks, "walk"));
        }
        for (n, what) in [
            (quality.truncated_stacks, "cut stack"),
            (quality.unresolved_frames, "unresolved frame"),
            (quality.torn, "torn goroutine"),
            (quality.skipped, "unreadable goroutine"),
            (quality.not_resident, "swapped-out stack"),
            (quality.not_followed, "thread not followed"),
            (quality.late, "late event"),
        ] {
            if n > 0 {
                words.push(count(n, what));
            }
        }
        let cost = &window.cost;
        // Ended as it began: what attaching took would be thousands of percent of it.
        if window.length_ns >= SHORTEST_NS {
            let share = |ns: u64| 100.0 * ns as f64 / window.length_ns as f64;
            words.push(format!("target used {:.1} % of a CPU", share(cost.target_cpu_ns)));
            if let Some(ns) = cost.probes_ns {
                words.push(format!("probes took {:.2} % of a CPU, other processes' switches included", share(ns)));
            }
            words.push(format!("goscope {:.1} %", share(cost.own_cpu_ns)));
        }
        self.page.sentence(&words)
    }

    fn table(&mut self, table: &Table) -> io::Result<()> {
        table.write_to(self.page.out, self.page.style)
    }

    fn heading(&mut self, text: &str) -> io::Result<()> {
        self.page.line(text, Paint::Accent)
    }

    fn dim(&mut self, text: &str) -> io::Result<()> {
        self.page.line(text, Paint::Dim)
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        self.page.line(text, Paint::Plain)
    }

    fn blank(&mut self) -> io::Result<()> {
        self.page.blank()
    }
}

/// The innermost frames, and why there are no more.
pub(super) fn write_frames(stack: &Stack, page: &mut Page<'_, impl Write>) -> io::Result<()> {
    let shown: Vec<_> = frames::shown(stack, false).collect();
    let names: Vec<String> = shown.iter().take(FRAMES).map(|frame| name(frame)).collect();
    let column = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).min(60);
    for (frame, name) in shown.iter().zip(&names) {
        let place = if frame.line > 0 { format!("{}:{}", frame.file, frame.line) } else { String::new() };
        page.frame(INDENT, column, name, &place, None)?;
    }
    if shown.len() > FRAMES {
        page.line(&format!("{:INDENT$}... {} more", "", shown.len() - FRAMES), Paint::Dim)?;
    }
    match stack.cut {
        Some(cut) => page.line(&format!("{:INDENT$}[{}]", "", cut.as_str()), Paint::Dim),
        None => Ok(()),
    }
}

pub(super) fn label(class: Class) -> &'static str {
    match class {
        Class::OnCpu => "on CPU",
        Class::Runnable => "runnable, no P",
        Class::NoCpu => "P but no CPU",
        Class::Syscall => "syscall or C",
        Class::GcAssist => "GC assist",
        Class::Waiting => "waiting",
        Class::Scheduler => "scheduler",
    }
}

/// A file's name without its directory.
fn base(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}

fn name(frame: &Frame) -> String {
    if frame.function.is_empty() { format!("[{:#x}]", frame.address) } else { frame.function.to_string() }
}

pub(super) fn time(ns: u64) -> String {
    two_digits(Duration::from_nanos(ns))
}

fn seconds(ns: u64) -> String {
    format!("{:.1}", Duration::from_nanos(ns).as_secs_f64())
}

/// `<` the end of its bucket.
pub(super) fn bound(bound: &Bound) -> String {
    match bound.high_ns {
        Some(high) => format!("<{}", time(high)),
        None => format!(">{}", time(bound.low_ns)),
    }
}

/// What a class's time is made of: few sightings say little.
fn from(window: &Window, seen: &[Observations], class: Class) -> String {
    let exact = class == Class::Runnable && window.transitions.as_ref().is_some_and(|transitions| transitions.runnable_ns.is_some());
    let of = |seen: &Observations| {
        let what = match seen.source {
            Source::Walk => "sighting",
            Source::Sample => "sample",
            Source::Switch => "switch",
            Source::Uprobe => "transition",
        };
        count(seen.count, what)
    };
    if exact { "exact".to_owned() } else { seen.iter().filter(|seen| seen.class == class).map(of).collect::<Vec<_>>().join(", ") }
}

/// Under a heading that has the sign.
fn share(ns: u64, of: u64) -> String {
    if of == 0 { "-".to_owned() } else { format!("{:.1}", 100.0 * ns as f64 / of as f64) }
}

fn percent(ns: u64, of: u64) -> String {
    if of == 0 { "-".to_owned() } else { format!("{:.1} %", 100.0 * ns as f64 / of as f64) }
}
