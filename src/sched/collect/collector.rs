//! What the events, walks and readings of one window add up to.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::Options;
use super::labels::{LabelReader, Labels};
use super::notes::Notes;
use super::parts::Parts;
use super::readings::Readings;
use super::stops::Stops;
use super::switches::OffCpu;
use super::tally::{ByClass, Key, Tally};
use super::timeline::Recorder;
use super::transitions::{Exact, Follower, Numbers};
use super::walks::{Told, Walks};
use crate::error::Result;
use crate::probes::wire::{Event, SiteStacks, Stacked};
use crate::probes::{StackWalker, Stream};
use crate::sched::model::{Batch, Class, Counters, Quality, Row, Source, Stack, Stop, Tier, Timeline, Transitions, Waits};
use crate::target::goroutines::threads::Threads;
use crate::target::names::StackNames;
use crate::target::native::NativeSymbols;
use crate::target::runtime::GoProcess;

pub struct Collector<'a> {
    process: &'a GoProcess,
    tier: Tier,
    walker: StackWalker<'a>,
    tally: Tally,
    walks: Walks<'a>,
    readings: Readings<'a>,
    label_reader: LabelReader<'a>,
    /// Of the events at hand, by address.
    labels: FxHashMap<u64, Labels>,
    notes: Notes,
    off: OffCpu,
    site_stacks: Numbers,
    follower: Option<Follower>,
    stops: Option<Stops>,
    timeline: Option<Recorder>,
    begin_ns: u64,
    parts: Parts,
    told: Told,
    samples: u64,
    /// Events lost so far; whether some were lost in this round, and in the one before.
    lost: u64,
    broken: bool,
    gap_before: bool,
}

/// With names; nothing of it needs the process any more.
pub struct Named {
    pub rows: Vec<Row>,
    pub stacks: Vec<Stack>,
    pub transitions: Option<Transitions>,
    pub run_queue: Option<Waits>,
    pub counters: Counters,
    pub alive_ns: u64,
    pub batches: Vec<Batch>,
    pub samples: u64,
    pub timeline: Option<Timeline>,
    pub stops: Option<Vec<Stop>>,
}

impl<'a> Collector<'a> {
    /// `sites`: addresses of the breakpoints that will be set. Errors: Target when offsets of the runtime's records are not known.
    pub fn new(process: &'a GoProcess, options: &Options, sites: Vec<u64>) -> Result<Self> {
        Ok(Collector {
            process,
            tier: options.tier,
            stops: (options.tier >= Tier::Rare).then(Stops::default),
            timeline: options.timeline.then(Recorder::new),
            walker: StackWalker::new(process, sites),
            tally: Tally::new(),
            walks: Walks::new(process)?,
            readings: Readings::new(process),
            label_reader: LabelReader::new(process),
            labels: FxHashMap::default(),
            notes: Notes::new(process),
            off: OffCpu::default(),
            site_stacks: Numbers::default(),
            follower: (options.tier >= Tier::Transitions).then(|| Follower::new(process)).transpose()?,
            begin_ns: 0,
            parts: Parts::default(),
            told: match options.tier {
                Tier::Counters => Told::Walks,
                _ if options.switch_stacks => Told::Switches,
                _ => Told::Samples,
            },
            samples: 0,
            lost: 0,
            broken: false,
            gap_before: false,
        })
    }

    pub fn until_next_walk(&self) -> Duration {
        self.walks.wait()
    }

    /// A walk at least.
    pub fn has_seen(&self) -> bool {
        !self.walks.is_first()
    }

    /// When the window begins, by CLOCK_MONOTONIC, and how long it is to be.
    pub fn starts_at(&mut self, begin_ns: u64, length: Option<Duration>) {
        self.begin_ns = begin_ns;
        self.parts = Parts::new(begin_ns, length);
        self.tally.starts_at(self.parts);
        self.walks.starts_at(self.parts);
        self.follower.iter_mut().for_each(|follower| follower.starts_at(begin_ns, self.parts));
        self.off.starts_at(begin_ns);
    }

    /// The window ends now; detaching and reading what is left takes its time.
    pub fn ends_now(&mut self) {
        self.readings.end();
    }

    /// Takes what has come; the last time, all of it up to the window's end.
    pub fn round(&mut self, stream: Option<&mut Stream>, end_ns: Option<u64>) {
        let until = end_ns.unwrap_or(u64::MAX);
        if let Some(stream) = stream {
            let (_, lost) = stream.sent_and_lost();
            let gap = lost > self.lost;
            self.lost = lost;
            // What was lost may lie at either side of what is drained now.
            self.broken = gap || std::mem::take(&mut self.gap_before);
            self.gap_before = gap;
            if self.broken {
                self.timeline.iter_mut().for_each(Recorder::gap);
                self.off.forget();
                self.follower.iter_mut().for_each(Follower::forget);
                self.stops.iter_mut().for_each(Stops::forget);
            }
            let mut events = Vec::new();
            stream.drain(end_ns.is_some(), |event| events.push(event));
            events.retain(|event| event.head().time_ns <= until);
            self.read_labels(&events);
            events.into_iter().for_each(|event| self.event(event, stream.stacks()));
            if self.broken {
                self.off.forget();
            }
        }
        if self.walks.is_due() || end_ns.is_some() {
            let told = self.told;
            // A process that has just ended leaves what was seen until then.
            let first = self.walks.is_first();
            let _ = self.walks.walk(&mut self.tally, told, until);
            if first {
                self.begin();
            }
            self.readings.read();
        }
        if let Some(end_ns) = end_ns {
            for (key, interval) in self.off.close(end_ns) {
                self.tally.interval(key, interval);
            }
        }
    }

    /// What was so when the window began.
    fn begin(&mut self) {
        let present = self.walks.present();
        self.timeline.iter_mut().for_each(|timeline| timeline.present.clone_from(&present));
        let in_syscalls = self.walks.in_syscalls();
        if self.told != Told::Switches {
            return;
        }
        let Ok(threads) = Threads::new(self.process) else { return };
        let memory = self.process.memory();
        for (m, key) in in_syscalls {
            let tid = threads.m(&memory, m).and_then(|m| threads.tid(&m));
            if let Some(tid) = tid {
                self.off.seed(tid, Key { source: Source::Switch, ..key }, self.begin_ns);
            }
        }
    }

    /// Of goroutines with more labels than the probes copy.
    fn read_labels(&mut self, events: &[Event]) {
        let goroutines = events.iter().filter_map(|event| match event {
            Event::Sample(stacked) | Event::SwitchOut(stacked) => Some(stacked.go).filter(|_| stacked.labels.is_empty()),
            Event::SwitchIn(_) | Event::Transition(_) => None,
        });
        let oldest = events.first().map_or(u64::MAX, |event| event.head().time_ns);
        self.labels = self.label_reader.read(goroutines, oldest, || self.readings.collections());
    }

    fn event(&mut self, event: Event, stacks: &SiteStacks) {
        match event {
            // Attached, and the window not begun.
            Event::Sample(sample) if sample.head.time_ns < self.begin_ns => {}
            Event::Sample(sample) => {
                self.samples += 1;
                self.off.runs(sample.head.tid);
                let class = if sample.is_scheduler() { Class::Scheduler } else { Class::OnCpu };
                let key = self.key(&sample, class, Source::Sample);
                self.tally.sample(key, sample.head.time_ns);
                self.timeline.iter_mut().for_each(|timeline| timeline.sample(&sample, key.stack));
            }
            Event::SwitchOut(out) => {
                let key = self.key(&out, Class::Syscall, Source::Switch);
                // Walks tell of those.
                if !self.notes.waits(out.user.iter().copied()) {
                    self.off.out(&out, key);
                }
                self.timeline.iter_mut().for_each(|timeline| timeline.out(&out, key.stack));
            }
            Event::SwitchIn(switch) => {
                self.timeline.iter_mut().for_each(|timeline| timeline.back(&switch));
                for (key, interval) in self.off.back(&switch) {
                    self.tally.interval(key, interval);
                }
            }
            // Between two events something may be missing that changes what they mean.
            Event::Transition(_) if self.broken => {}
            Event::Transition(transition) => {
                let pcs = stacks.get(transition.stack);
                let stack = self.site_stacks.number(self.process, &mut self.tally, &transition, pcs);
                self.follower.iter_mut().for_each(|follower| follower.on(&transition, stack, pcs));
                self.stops.iter_mut().for_each(|stops| stops.on(&transition, stack, pcs));
                let reasons = &self.process.runtime.wait_reasons;
                self.timeline.iter_mut().for_each(|timeline| timeline.transition(&transition, stack, reasons));
            }
        }
    }

    fn key(&mut self, event: &Stacked, class: Class, source: Source) -> Key {
        let mut pcs = Vec::with_capacity(event.user.len() + 4);
        let cut = self.walker.walk(event, &mut pcs);
        let copied = || event.labels.iter().map(|(key, value)| (Arc::from(key.as_str()), Arc::from(value.as_str()))).collect();
        let labels = if event.labels.is_empty() { self.labels.get(&event.go.labels).cloned() } else { Some(copied()) };
        self.tally.key(event, class, source, pcs, cut, labels.as_ref())
    }

    /// `target_cpu_ns`: what the target used by the kernel's account.
    pub fn finish(mut self, target_cpu_ns: u64, length_ns: u64, quality: &mut Quality) -> Named {
        self.walks.tell(quality);
        let alive_ns = self.walks.alive_ns();
        let (counters, time_to_run, unknown) = self.readings.finish();
        quality.warnings.extend(unknown);
        let native = self.walker.native().map(NativeSymbols::new);
        let mut names = StackNames::new(self.process, native);
        let mut creation = |go_pc: u64| (go_pc != 0).then(|| names.creation(go_pc)).filter(|frame| names_creator(&frame.function));
        let end_ns = self.begin_ns + length_ns;
        let runnable = self.follower.as_mut().and_then(|follower| follower.runnable(end_ns));
        let transitions = self.follower.map(|follower| follower.finish(self.process, &mut creation));
        let (mut transitions, exact) = transitions.map_or((None, None), |(transitions, waits)| (Some(transitions), waits));
        let (mut rows, stacks, mut by_class) = self.tally.finish(&mut names, target_cpu_ns);
        if self.tier == Tier::Counters {
            split_running(&mut rows, &mut by_class, target_cpu_ns);
        }
        if let (Some(runnable), Some(transitions)) = (runnable, &mut transitions) {
            transitions.runnable_ns = Some(runnable.ns);
            runnable_is(&runnable, &mut rows, &mut by_class);
        }
        let batches = self.parts.whole(length_ns, &by_class, &self.walks.alive_in_parts());
        Named {
            rows,
            stacks,
            transitions,
            run_queue: exact.or(time_to_run),
            counters,
            alive_ns,
            batches,
            samples: self.samples,
            timeline: self.timeline.map(Recorder::finish),
            stops: self.stops.map(Stops::finish),
        }
    }
}

/// The main goroutine has no `go` statement: the runtime starts it by hand.
pub fn names_creator(function: &str) -> bool {
    !function.is_empty() && function != "runtime.newproc"
}

/// Walks alone see that a goroutine runs, not whether its thread has a CPU: the kernel's account of all threads says how much of it can
/// have been on one.
fn split_running(rows: &mut Vec<Row>, by_class: &mut ByClass, cpu_ns: u64) {
    let running: u64 = rows.iter().filter(|row| row.class == Class::OnCpu).map(Row::ns).sum();
    if running == 0 {
        return;
    }
    let share = (cpu_ns as f64 / running as f64).min(1.0);
    for (part, all) in by_class[Class::OnCpu as usize].into_iter().enumerate() {
        let on_cpu = (all as f64 * share) as u64;
        by_class[Class::OnCpu as usize][part] = on_cpu;
        by_class[Class::NoCpu as usize][part] += all - on_cpu;
    }
    let mut without = Vec::new();
    for row in rows.iter_mut().filter(|row| row.class == Class::OnCpu) {
        let all = row.ns();
        row.on_cpu_ns = (all as f64 * share) as u64;
        row.off_cpu_ns = 0;
        let off_cpu_ns = all - row.on_cpu_ns;
        if off_cpu_ns > 0 {
            without.push(Row { class: Class::NoCpu, on_cpu_ns: 0, off_cpu_ns, ..row.clone() });
        }
    }
    rows.extend(without);
}

/// Walks meet what is runnable by chance, transitions tell exactly how long it was: the rows keep their proportions, and what is too much or
/// too little was waiting.
fn runnable_is(exact: &Exact, rows: &mut Vec<Row>, by_class: &mut ByClass) {
    let met = class_ns(rows, Class::Runnable);
    let waiting = class_ns(rows, Class::Waiting);
    if met == 0 && exact.ns > 0 {
        rows.push(Row { off_cpu_ns: exact.ns, ..unplaced(Class::Runnable, Source::Uprobe) });
    }
    scale(rows, Class::Runnable, met, exact.ns);
    scale(rows, Class::Waiting, waiting, (waiting + met).saturating_sub(exact.ns));
    rows.sort_by_key(|row| std::cmp::Reverse(row.ns()));
    for (part, &ns) in exact.in_parts.iter().enumerate() {
        let both = by_class[Class::Runnable as usize][part] + by_class[Class::Waiting as usize][part];
        by_class[Class::Runnable as usize][part] = ns;
        by_class[Class::Waiting as usize][part] = both.saturating_sub(ns);
    }
}

/// Of goroutines without a known stack.
fn unplaced(class: Class, source: Source) -> Row {
    let (reason, start, creator, labels) = (None, None, None, Arc::from([]));
    Row { class, source, reason, stack: u32::MAX, start, creator, labels, count: 0, on_cpu_ns: 0, off_cpu_ns: 0 }
}

fn class_ns(rows: &[Row], class: Class) -> u64 {
    rows.iter().filter(|row| row.class == class).map(Row::ns).sum()
}

/// Rows of a class that sum to `from` sum to `to`.
fn scale(rows: &mut [Row], class: Class, from: u64, to: u64) {
    for row in rows.iter_mut().filter(|row| row.class == class && from > 0) {
        row.off_cpu_ns = (u128::from(row.off_cpu_ns) * u128::from(to) / u128::from(from)) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(class: Class, off_cpu_ns: u64) -> Row {
        Row { off_cpu_ns, ..unplaced(class, Source::Walk) }
    }

    #[test]
    fn what_is_runnable_is_as_long_as_transitions_say_and_waiting_the_rest() {
        let exact = |ns| Exact { ns, ..Exact::default() };
        let sums = |rows: &[Row]| [Class::Runnable, Class::Waiting].map(|class| class_ns(rows, class));
        let met = vec![row(Class::Waiting, 900), row(Class::Runnable, 80), row(Class::Runnable, 20)];
        for (ns, expected) in [(50, [50, 950]), (100, [100, 900]), (400, [400, 600]), (0, [0, 1000])] {
            let mut rows = met.clone();
            runnable_is(&exact(ns), &mut rows, &mut ByClass::default());
            assert_eq!(sums(&rows), expected);
        }
        // Walks met none of it.
        let mut rows = vec![row(Class::Waiting, 900)];
        runnable_is(&exact(60), &mut rows, &mut ByClass::default());
        assert_eq!(sums(&rows), [60, 840]);
    }
}
