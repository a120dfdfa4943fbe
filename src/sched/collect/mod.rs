//! One window of looking: probes attached, events and walks tallied, counters read before and after.

mod switches;
mod tally;
mod threads;

use std::time::{Duration, Instant, SystemTime};

use super::model::{Class, Cost, Counters, Quality, Row, Source, TargetFacts, Tier, Waits, Window};
use crate::error::Result;
use crate::probes::wire::{Event, Stacked};
use crate::probes::{Probes, StackWalker, Stream, Switches, Wanted};
use crate::sys::memory::own_cpu_ns;
use crate::target::runtime::GoProcess;

use switches::OffCpu;
use tally::Tally;
use threads::ThreadTimes;

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
    let mut collector = Collector::new(process, *options)?;
    let attaching = Instant::now();
    let stream = match options.tier {
        Tier::Counters => None,
        _ => Some(Stream::new(Probes::attach(process, wanted(options))?)),
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
    let (rows, stacks) = collector.finish(cost.target_cpu_ns);
    for stack in &stacks {
        quality.truncated_stacks += u64::from(stack.cut.is_some());
        quality.unresolved_frames += stack.frames.iter().filter(|frame| frame.kind == super::model::FrameKind::Unresolved).count() as u64;
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
        run_queue: None,
        cpu_queue,
        counters: Counters::default(),
        samples,
        cost,
        quality,
    })
}

fn wanted(options: &Options) -> Wanted {
    let switches = if options.switch_stacks { Switches::Told } else { Switches::Counted };
    Wanted { sample_hz: Some(options.hz), switches: Some(switches) }
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
    samples: u64,
}

impl<'a> Collector<'a> {
    fn new(process: &'a GoProcess, _options: Options) -> Result<Self> {
        Ok(Collector { process, walker: StackWalker::new(process), tally: Tally::new(process), off: OffCpu::default(), samples: 0 })
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

    fn finish(self, target_cpu_ns: u64) -> (Vec<Row>, Vec<super::model::Stack>) {
        let native = self.walker.native().map(crate::target::native::NativeSymbols::new);
        self.tally.finish(self.process, native, target_cpu_ns)
    }
}
