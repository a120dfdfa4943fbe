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
use crate::sys::memory::{cpu_ns_of, monotonic_ns, own_cpu_ns};
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
    // Threads that end take their own accounts with them, and the process that of all at its end: so it is read again and again.
    let target_cpu = || cpu_ns_of(process.process.pid);
    let target_cpu_before = target_cpu().unwrap_or(0);
    let mut target_cpu_after = target_cpu_before;
    // Attaching takes its time and is no part of the window.
    let (captured_at, begin) = (SystemTime::now(), Instant::now());
    let begin_ns = monotonic_ns().max(0) as u64;
    collector.starts_at(begin_ns, options.length);
    let mut ended = None;
    while ended.is_none() {
        let left = options.length.map_or(ROUND, |length| length.saturating_sub(begin.elapsed()));
        let gone = process.check().err();
        target_cpu_after = target_cpu().unwrap_or(target_cpu_after);
        let interrupted = !left.is_zero() && stop();
        let too_much = || {
            let stream = stream.as_ref().filter(|_| options.tier >= Tier::Transitions)?;
            let plan = cost.plan.as_ref();
            too_much_lost(stream, begin.elapsed()).or_else(|| dearer_than_told(stream, plan?, begin.elapsed()))
        };
        let too_much = if left.is_zero() || interrupted { None } else { too_much() };
        let over = left.is_zero() || interrupted || too_much.is_some();
        quality.warnings.extend(too_much);
        if over || gone.is_some() {
            if let Some(gone) = gone {
                // Gone before anything was seen: there is nothing to show.
                if !collector.has_seen() {
                    return Err(gone);
                }
                quality.warnings.push(format!("the window ended early: {}", gone.message));
            }
            if let Some(asked) = options.length.filter(|_| interrupted) {
                let (seen, asked) = (begin.elapsed().as_secs_f64(), asked.as_secs_f64());
                quality.warnings.push(format!("a signal ended the window after {seen:.1} of {asked:.1} seconds"));
            }
            // What follows takes its time too, and all figures are to be of one window.
            ended = Some((nanos(begin.elapsed()), ThreadTimes::read(process)));
            collector.ends_now();
            if let Some(stream) = &mut stream {
                cost.probes_ns = stream.probes_ns().filter(|_| timing.is_some());
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
    if process.process.status().is_ok_and(|status| status.state == 'T') {
        quality.warnings.push("the process is stopped (SIGSTOP): nothing of it runs until SIGCONT".to_owned());
    }
    let (length_ns, threads_after) = ended.unwrap_or_default();
    let threads = threads_after.since(&threads_before);
    cost.target_cpu_ns = target_cpu_after.saturating_sub(target_cpu_before);
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

/// What is said of a window that ends so early is said after so long.
const SETTLED: Duration = Duration::from_millis(200);

/// Transitions can come faster than anybody can read them: then the window ends, rather than load the target for nothing.
fn too_much_lost(stream: &Stream, after: Duration) -> Option<String> {
    const MOST: f64 = 0.05;
    let (sent, lost) = stream.sent_and_lost();
    (after >= SETTLED && lost as f64 > MOST * sent as f64).then(|| {
        format!(
            "the window was ended after {} ms: {lost} of {sent} events were lost, for transitions come faster than they can be read; \
             --tier 1 or a quieter moment sees more",
            after.as_millis()
        )
    })
}

/// A price was told, and taken: a window in which transitions come much more often than just before ends.
fn dearer_than_told(stream: &Stream, plan: &Plan, after: Duration) -> Option<String> {
    const TIMES: f64 = 2.0;
    /// A second. Fewer cost next to nothing.
    const ALWAYS: f64 = 20_000.0;
    let told = plan::transitions_told(plan);
    let met = Site::TRANSITIONS.iter().map(|&site| stream.hits(site)).sum::<u64>() as f64 / after.as_secs_f64();
    (after >= SETTLED && met > ALWAYS.max(TIMES * told)).then(|| {
        format!(
            "the window was ended after {} ms: {met:.0} transitions a second cost more than twice what was told for {told:.0}; ask again, \
             or take --tier 1",
            after.as_millis()
        )
    })
}

/// What a tier watches of the runtime; a site that this binary does not have is named.
fn sites_of(process: &GoProcess, options: &Options, warnings: &mut Vec<String>) -> Vec<Found> {
    let of_tiers: [(bool, &[Site]); 4] = [
        (options.tier >= Tier::Rare, &Site::RARE),
        (options.tier >= Tier::Transitions, &Site::TRANSITIONS),
        // Some ten thousand a second where much is allocated; how long they take, samples and switches tell.
        (options.tier >= Tier::Rare && options.timeline, &[Site::Assist]),
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
