//! What the events, walks and readings of one window add up to.

use std::time::Duration;

use rustc_hash::FxHashSet;

use super::readings::Readings;
use super::switches::OffCpu;
use super::tally::{Key, Tally};
use super::transitions::Follower;
use super::walks::{Told, Walks};
use crate::error::Result;
use crate::probes::wire::{Event, Stacked};
use crate::probes::{StackWalker, Stream};
use crate::sched::model::{Class, Counters, Quality, Row, Source, Stack, Tier, Transitions, Waits};
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
    off: OffCpu,
    follower: Option<Follower>,
    /// Ms that samples and switches have told of.
    ms: FxHashSet<u64>,
    samples: u64,
}

/// With names; nothing of it needs the process any more.
pub struct Named {
    pub rows: Vec<Row>,
    pub stacks: Vec<Stack>,
    pub transitions: Option<Transitions>,
    pub run_queue: Option<Waits>,
    pub counters: Counters,
    pub alive_ns: u64,
    pub samples: u64,
}

impl<'a> Collector<'a> {
    /// `sites`: addresses of the breakpoints that will be set. Errors: Target when offsets of the runtime's records are not known.
    pub fn new(process: &'a GoProcess, tier: Tier, sites: Vec<u64>) -> Result<Self> {
        Ok(Collector {
            process,
            tier,
            walker: StackWalker::new(process, sites),
            tally: Tally::new(process),
            walks: Walks::new(process)?,
            readings: Readings::new(process),
            off: OffCpu::default(),
            follower: (tier >= Tier::Transitions).then(|| Follower::new(process)).transpose()?,
            ms: FxHashSet::default(),
            samples: 0,
        })
    }

    pub fn until_next_walk(&self) -> Duration {
        self.walks.wait()
    }

    /// Takes what has come; the last time, all of it up to the window's end, by CLOCK_MONOTONIC.
    pub fn round(&mut self, stream: Option<&mut Stream>, end_ns: Option<u64>) {
        self.tally.forget_labels();
        let until = end_ns.unwrap_or(u64::MAX);
        if let Some(stream) = stream {
            stream.drain(end_ns.is_some(), |event| {
                if event.head().time_ns <= until {
                    self.event(event);
                }
            });
        }
        if self.walks.is_due() || end_ns.is_some() {
            let told = Told { running: self.tier > Tier::Counters, ms: &self.ms };
            // A process that has just ended leaves what was seen until then.
            let _ = self.walks.walk(&mut self.tally, &told, until);
            self.readings.read();
        }
        if let Some(end_ns) = end_ns {
            for (key, interval) in self.off.close(end_ns) {
                self.tally.interval(key, interval);
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Sample(sample) => {
                self.samples += 1;
                self.ms.insert(sample.go.m);
                let class = if sample.is_scheduler() { Class::Scheduler } else { Class::OnCpu };
                let key = self.key(&sample, class, Source::Sample);
                self.tally.sample(key);
            }
            Event::SwitchOut(out) => {
                self.ms.insert(out.go.m);
                let key = self.key(&out, Class::Syscall, Source::Switch);
                self.off.out(&out, key);
            }
            Event::SwitchIn(switch) => {
                for (key, interval) in self.off.back(&switch) {
                    self.tally.interval(key, interval);
                }
            }
            Event::Transition(transition) => {
                if let Some(follower) = &mut self.follower {
                    follower.on(self.process, &mut self.tally, &transition);
                }
            }
        }
    }

    fn key(&mut self, event: &Stacked, class: Class, source: Source) -> Key {
        let mut pcs = Vec::with_capacity(event.user.len() + 4);
        let cut = self.walker.walk(event, &mut pcs);
        self.tally.key(self.process, event, class, source, pcs, cut)
    }

    /// `target_cpu_ns`: what the target used by the kernel's account.
    pub fn finish(self, target_cpu_ns: u64, quality: &mut Quality) -> Named {
        self.walks.tell(quality);
        let alive_ns = self.walks.alive_ns();
        let (counters, time_to_run, unknown) = self.readings.finish();
        quality.warnings.extend(unknown);
        let native = self.walker.native().map(NativeSymbols::new);
        let mut names = StackNames::new(self.process, native);
        let mut creator = |go_pc: u64| (go_pc != 0).then(|| names.creation(go_pc).function).filter(|name| !name.is_empty());
        let transitions = self.follower.map(|follower| follower.finish(self.process, &mut creator));
        let (transitions, exact) = transitions.map_or((None, None), |(transitions, waits)| (Some(transitions), waits));
        let (mut rows, stacks) = self.tally.finish(&mut names, target_cpu_ns);
        if self.tier == Tier::Counters {
            split_running(&mut rows, target_cpu_ns);
        }
        Named { rows, stacks, transitions, run_queue: exact.or(time_to_run), counters, alive_ns, samples: self.samples }
    }
}

/// Walks alone see that a goroutine runs, not whether its thread has a CPU: the kernel's account of all threads says how much of it can
/// have been on one.
fn split_running(rows: &mut Vec<Row>, cpu_ns: u64) {
    let running: u64 = rows.iter().filter(|row| row.class == Class::OnCpu).map(Row::ns).sum();
    if running == 0 {
        return;
    }
    let share = (cpu_ns as f64 / running as f64).min(1.0);
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
