//! One window of looking: probes attached, events and walks tallied, counters read before and after.

mod switches;
mod tally;
mod threads;
mod transitions;

use std::time::{Duration, Instant, SystemTime};

use super::model::{
    Class, Cost, Counters, FrameKind, Quality, Row, Source, Stack, TargetFacts, Tier, Transitions, Waits, Window,
};
use crate::error::Result;
use crate::probes::sites::{self, Site};
use crate::probes::wire::{Event, Stacked};
use crate::probes::{Probes, StackWalker, Stream, Switches, Wanted};
use crate::sys::memory::own_cpu_ns;
use crate::target::names::StackNames;
use crate::target::native::NativeSymbols;
use crate::target::runtime::GoProcess;

use switches::OffCpu;
use tally::Tally;
use threads::ThreadTimes;
use transitions::Follower;

/// How to look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    pub tier: Tier,
    /// Samples a second of each CPU.
    pub hz: u32,
    /// Each switch with its stack; else they are only counted.
    pub switch_stacks: bool,
    /// `None`: until told to stop.
    pub length: Option<Duration>,
}

/// Between two looks at the rings; they are read earlier when there is much in them.
const ROUND: Duration = Duration::from_millis(50);

/// Looks until the window's end, until `stop` says so (asked between rounds), or until the target is gone.
///
/// Errors: Permission when probes cannot be attached, Target when the process is gone before anything was seen.
pub fn window(process: &GoProcess, options: &Options, stop: &mut dyn FnMut() -> bool) -> Result<Window> {
    let captured_at = SystemTime::now();
    let target = TargetFacts::of(process);
    let mut collector = Collector::new(process, options)?;
    let mut warnings = Vec::new();
    let attaching = Instant::now();
    let stream = match options.tier {
        Tier::Counters => None,
        _ => Some(Stream::new(Probes::attach(process, &wanted(process, options, &mut warnings))?)),
    };
    let attach_ns = nanos(attaching.elapsed());
    let (cpu_before, threads_before) = (own_cpu_ns(), ThreadTimes::read(process));
    let begin = Instant::now();
    let mut stream = stream;
    loop {
        let over = options.length.is_some_and(|length| begin.elapsed() >= length) || stop() || process.check().is_err();
        collector.round(stream.as_mut(), over);
        if over {
            break;
        }
        let left = options.length.map_or(ROUND, |length| length.saturating_sub(begin.elapsed()));
        match &stream {
            Some(stream) => stream.wait(ROUND.min(left)),
            None => std::thread::sleep(ROUND.min(left)),
        }
    }
    let length_ns = nanos(begin.elapsed());
    let threads = ThreadTimes::read(process).since(&threads_before);
    let mut cost = Cost { attach_ns, target_cpu_ns: threads.iter().map(|thread| thread.on_cpu_ns).sum(), ..Cost::default() };
    let mut quality = collector.quality(process);
    quality.warnings.extend(warnings);
    let mut cpu_queue = None;
    if let Some(stream) = stream {
        quality.losses = stream.losses();
        quality.late = stream.late();
        let counted = stream.counted();
        quality.not_followed = counted.not_followed;
        cpu_queue = waits(&counted.cpu_queue);
        let detaching = Instant::now();
        drop(stream);
        cost.detach_ns = nanos(detaching.elapsed());
    }
    cost.own_cpu_ns = own_cpu_ns() - cpu_before;
    let samples = collector.samples;
    let Named { rows, stacks, transitions, run_queue } = collector.finish(cost.target_cpu_ns);
    for stack in &stacks {
        quality.truncated_stacks += u64::from(stack.cut.is_some());
        quality.unresolved_frames += stack.frames.iter().filter(|frame| frame.kind == FrameKind::Unresolved).count() as u64;
    }
    Ok(Window {
        captured_at,
        target,
        length_ns,
        tier: options.tier,
        rows,
        stacks,
        alive_ns: 0,
        threads,
        run_queue,
        cpu_queue,
        counters: Counters::default(),
        transitions,
        samples,
        cost,
        quality,
    })
}

fn wanted(process: &GoProcess, options: &Options, warnings: &mut Vec<String>) -> Wanted {
    let mut sites = Vec::new();
    let of_tier = [(Tier::Rare, &Site::RARE), (Tier::Transitions, &Site::TRANSITIONS)];
    for (_, wanted) in of_tier.iter().filter(|(tier, _)| options.tier >= *tier) {
        for found in sites::find(process, *wanted) {
            match found {
                Ok(found) => sites.push(found),
                Err(missing) => warnings.push(format!("{} is not watched: {}", missing.function, missing.reason)),
            }
        }
    }
    let switches = if options.switch_stacks { Switches::Told } else { Switches::Counted };
    Wanted { sample_hz: Some(options.hz), switches: Some(switches), sites }
}

fn waits(histogram: &crate::probes::queue::QueueHistogram) -> Option<Waits> {
    let bound = |q| histogram.quantile(q).map(|range| super::model::Bound { low_ns: range.start, high_ns: Some(range.end) });
    Some(Waits { count: histogram.total(), p50: bound(0.5)?, p90: bound(0.9)?, p99: bound(0.99)?, max: bound(1.0)?, source: "switches" })
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What the events of one window add up to.
struct Collector<'a> {
    process: &'a GoProcess,
    walker: StackWalker<'a>,
    tally: Tally,
    off: OffCpu,
    follower: Option<Follower>,
    samples: u64,
}

impl<'a> Collector<'a> {
    fn new(process: &'a GoProcess, options: &Options, sites: Vec<u64>) -> Result<Self> {
        Ok(Collector {
            process,
            walker: StackWalker::new(process, sites),
            tally: Tally::new(process),
            off: OffCpu::default(),
            follower: (options.tier >= Tier::Transitions).then(|| Follower::new(process)).transpose()?,
            samples: 0,
        })
    }

    fn round(&mut self, stream: Option<&mut Stream>, last: bool) {
        self.tally.forget_labels();
        if let Some(stream) = stream {
            stream.drain(last, |event| self.event(event));
        }
        if last {
            let now = crate::sys::memory::monotonic_ns().max(0) as u64;
            for (key, interval) in self.off.close(now) {
                self.tally.interval(key, interval);
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Sample(sample) => {
                self.samples += 1;
                let class = if sample.is_scheduler() { Class::Scheduler } else { Class::OnCpu };
                let key = self.key(&sample, class, Source::Sample);
                self.tally.sample(key);
            }
            Event::SwitchOut(out) => {
                let key = self.key(&out, Class::Syscall, Source::Switch);
                self.off.out(&out, key);
            }
            Event::Transition(transition) => {
                if let Some(follower) = &mut self.follower {
                    follower.on(self.process, &mut self.tally, &transition);
                }
            }
            Event::SwitchIn(switch) => {
                for (key, interval) in self.off.back(&switch) {
                    self.tally.interval(key, interval);
                }
            }
        }
    }

    fn key(&mut self, event: &Stacked, class: Class, source: Source) -> tally::Key {
        let mut pcs = Vec::with_capacity(event.user.len() + 4);
        let cut = self.walker.walk(event, &mut pcs);
        self.tally.key(self.process, event, class, source, pcs, cut)
    }

    fn quality(&self, process: &GoProcess) -> Quality {
        Quality { layout: process.layout_source.as_str().to_owned(), warnings: process.warnings.clone(), ..Quality::default() }
    }

    fn finish(self, target_cpu_ns: u64) -> Named {
        let native = self.walker.native().map(NativeSymbols::new);
        let mut names = StackNames::new(self.process, native);
        let mut creator = |go_pc: u64| (go_pc != 0).then(|| names.creation(go_pc).function).filter(|name| !name.is_empty());
        let transitions = self.follower.map(|follower| follower.finish(self.process, &mut creator));
        let (rows, stacks) = self.tally.finish(&mut names, target_cpu_ns);
        let (transitions, run_queue) = transitions.map_or((None, None), |(transitions, waits)| (Some(transitions), waits));
        Named { rows, stacks, transitions, run_queue }
    }
}

/// What the events add up to, with names.
struct Named {
    rows: Vec<Row>,
    stacks: Vec<Stack>,
    transitions: Option<Transitions>,
    run_queue: Option<Waits>,
}
