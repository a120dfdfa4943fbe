//! One window of looking: probes attached, events and walks tallied, counters read in between.

pub mod armed;
mod collector;
mod labels;
mod notes;
mod parts;
pub mod plan;
mod readings;
mod stops;
mod switches;
mod tally;
mod threads;
mod timeline;
mod transitions;
mod walks;

use std::time::{Duration, Instant, SystemTime};

use super::model::{Bound, Cost, FrameKind, Plan, Quality, Stack, TargetFacts, Tier, Waits, Window};
use crate::error::Result;
use crate::probes::price::time_programs;
use crate::probes::queue::QueueHistogram;
use crate::probes::sites::{self, Found, Site};
use crate::probes::{Links, Probes, Stream, Switches, Wanted};
use crate::sys::memory::{monotonic_ns, own_cpu_ns};
use crate::target::runtime::GoProcess;

use collector::{Collector, Named};
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
    /// Keep what happened in its order.
    pub timeline: bool,
}

/// Between two looks at the rings; they are read earlier when there is much in them.
const ROUND: Duration = Duration::from_millis(50);

/// Looks until the window's end, until `stop` says so (asked between rounds), or until the target is gone.
///
/// Errors: Permission when probes cannot be attached, Target when the process is gone before anything was seen.
pub fn window(process: &GoProcess, options: &Options, plan: Option<Plan>, stop: &mut dyn FnMut() -> bool) -> Result<Window> {
    let target = TargetFacts::of(process);
    let mut quality =
        Quality { layout: process.layout_source.as_str().to_owned(), warnings: process.warnings.clone(), ..Quality::default() };
    if options.tier >= Tier::Switches && !options.switch_stacks {
        quality.warnings.push(
            "context switches are only counted, for their stacks cost more than --max-overhead allows: time with a P and without a CPU is \
             part of what was not observed"
                .to_owned(),
        );
    }
    let sites = sites_of(process, options, &mut quality.warnings);
    let mut collector = Collector::new(process, options, sites.iter().map(|found| found.address).collect())?;
    let attaching = Instant::now();
    let mut stream = match options.tier {
        Tier::Counters => None,
        _ => {
            let probes = Probes::attach(process, &wanted(options, sites))?;
            if probes.single_links() > 0 {
                quality.warnings.push(format!(
                    "this kernel cannot set many uprobes by one link (Linux 6.6 can): {} of them will take about {} ms to go",
                    probes.single_links(),
                    100 * probes.single_links()
                ));
            }
            Some(Stream::new(probes))
        }
    };
    let mut cost = Cost { attach_ns: nanos(attaching.elapsed()), plan, ..Cost::default() };
    let timing = stream.as_ref().and_then(|_| time_programs().ok());
    let (cpu_before, threads_before) = (own_cpu_ns(), ThreadTimes::read(process));
    // Attaching takes its time and is no part of the window.
    let (captured_at, begin) = (SystemTime::now(), Instant::now());
    let begin_ns = monotonic_ns().max(0) as u64;
    collector.starts_at(begin_ns, options.length);
    let mut ended = None;
    while ended.is_none() {
        let left = options.length.map_or(ROUND, |length| length.saturating_sub(begin.elapsed()));
        let gone = process.check().err();
        let over = left.is_zero() || stop() || too_much_lost(stream.as_ref(), options, begin.elapsed(), &mut quality);
        if over || gone.is_some() {
            if let Some(gone) = gone {
                quality.warnings.push(format!("the window ended early: {}", gone.message));
            }
            // What follows takes its time too, and all figures are to be of one window.
            ended = Some((nanos(begin.elapsed()), ThreadTimes::read(process)));
            collector.ends_now();
            if let Some(stream) = &mut stream {
                cost.probes_ns = timing.is_some().then(|| stream.probes_ns());
                let detaching = Instant::now();
                stream.stop();
                cost.detach_ns = nanos(detaching.elapsed());
            }
        }
        collector.round(stream.as_mut(), ended.as_ref().map(|(length_ns, _)| begin_ns + length_ns));
        let pause = ROUND.min(left).min(collector.until_next_walk());
        match &stream {
            _ if ended.is_some() => {}
            Some(stream) => stream.wait(pause),
            None => std::thread::sleep(pause),
        }
    }
    let (length_ns, threads_after) = ended.unwrap_or_default();
    let threads = threads_after.since(&threads_before);
    cost.target_cpu_ns = threads.iter().map(|thread| thread.on_cpu_ns).sum();
    let mut cpu_queue = None;
    if let Some(stream) = stream {
        quality.losses = stream.losses();
        quality.late = stream.late();
        let counted = stream.counted();
        quality.not_followed = counted.not_followed;
        cpu_queue = waits(&counted.cpu_queue);
    }
    cost.own_cpu_ns = own_cpu_ns() - cpu_before;
    let Named { rows, stacks, transitions, run_queue, counters, alive_ns, batches, samples, timeline, stops } =
        collector.finish(cost.target_cpu_ns, length_ns, &mut quality);
    count_gaps(&stacks, &mut quality);
    Ok(Window {
        captured_at,
        target,
        length_ns,
        tier: options.tier,
        rows,
        stacks,
        alive_ns,
        batches,
        threads,
        run_queue,
        cpu_queue,
        counters,
        transitions,
        stops,
        before: Vec::new(),
        trigger: None,
        timeline,
        samples,
        cost,
        quality,
    })
}

/// Transitions can come faster than anybody can read them: then the window ends, rather than load the target for nothing.
fn too_much_lost(stream: Option<&Stream>, options: &Options, after: Duration, quality: &mut Quality) -> bool {
    const SETTLED: Duration = Duration::from_millis(200);
    const MOST: f64 = 0.05;
    if options.tier < Tier::Transitions || after < SETTLED {
        return false;
    }
    let (sent, lost) = stream.map_or((0, 0), Stream::sent_and_lost);
    let too_much = lost as f64 > MOST * sent as f64;
    if too_much {
        quality.warnings.push(format!(
            "the window was ended after {} ms: {lost} of {sent} events were lost, for transitions come faster than they can be read; \
             --tier 1 or a quieter moment sees more",
            after.as_millis()
        ));
    }
    too_much
}

/// What a tier watches of the runtime; a site that this binary does not have is named.
fn sites_of(process: &GoProcess, options: &Options, warnings: &mut Vec<String>) -> Vec<Found> {
    let of_tiers: [(bool, &[Site]); 3] = [
        (options.tier >= Tier::Rare, &Site::RARE),
        (options.tier >= Tier::Transitions, &Site::TRANSITIONS),
        // Who ends unseen would stay in a drawing for ever.
        (options.tier >= Tier::Transitions && options.timeline, &[Site::Godead]),
    ];
    let wanted: Vec<Site> = of_tiers.iter().filter(|(wanted, _)| *wanted).flat_map(|(_, sites)| sites.iter().copied()).collect();
    let mut sites = Vec::new();
    for found in sites::find(process, &wanted) {
        match found {
            Ok(found) => sites.push(found),
            Err(missing) => warnings.push(format!("{} is not watched: {}", missing.function, missing.reason)),
        }
    }
    sites
}

fn wanted(options: &Options, sites: Vec<Found>) -> Wanted {
    let switches = if options.switch_stacks { Switches::Told } else { Switches::Counted };
    Wanted { sample_hz: Some(options.hz), switches: Some(switches), sites, links: Links::Best }
}

fn waits(histogram: &QueueHistogram) -> Option<Waits> {
    let bound = |q| histogram.quantile(q).map(|range| Bound { low_ns: range.start, high_ns: Some(range.end) });
    Some(Waits { count: histogram.total(), p50: bound(0.5)?, p90: bound(0.9)?, p99: bound(0.99)?, max: bound(1.0)?, source: "switches" })
}

/// A goroutine that runs has no stack in a walk; that is no gap.
fn count_gaps(stacks: &[Stack], quality: &mut Quality) {
    for stack in stacks.iter().filter(|stack| !stack.frames.is_empty()) {
        quality.truncated_stacks += u64::from(stack.cut.is_some());
        quality.unresolved_frames += stack.frames.iter().filter(|frame| frame.kind == FrameKind::Unresolved).count() as u64;
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
