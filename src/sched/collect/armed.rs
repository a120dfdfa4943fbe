//! Waiting for something to go wrong, by the runtime's counters alone, with the last minute kept.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use crate::error::Result;
use crate::sched::model::{Glance, Trigger};
use crate::target::runtime::GoProcess;
use crate::target::scheduler::{Counters, Scheduler};

/// Between two looks.
pub const PERIOD: Duration = Duration::from_secs(1);
/// Looks that are kept.
const KEPT: usize = 60;

/// What was seen until a trigger fired, or until waiting ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Armed {
    /// The trigger and what it saw.
    pub fired: Option<(Trigger, f64)>,
    /// Oldest first.
    pub before: Vec<Glance>,
}

/// Looks every second until one of `triggers` fires or `wait`, which sleeps, says that it is enough.
///
/// Errors: Target when the process is gone.
pub fn wait(process: &GoProcess, triggers: &[Trigger], wait: &mut dyn FnMut(Duration) -> bool) -> Result<Armed> {
    let mut scheduler = Scheduler::new(process);
    let mut before: VecDeque<Glance> = VecDeque::new();
    let mut last = (scheduler.read()?, process.process.throttling());
    loop {
        if wait(PERIOD) {
            return Ok(Armed { fired: None, before: before.into() });
        }
        let now = (scheduler.read()?, process.process.throttling());
        let mut glance = between(&last.0, &now.0);
        glance.throttled_ns = now.1.zip(last.1).map(|(now, before)| now.throttled_ns.saturating_sub(before.throttled_ns));
        let fired = triggers.iter().find_map(|trigger| Some((trigger.clone(), trigger.fires(&glance)?)));
        before.push_back(glance);
        if before.len() > KEPT {
            before.pop_front();
        }
        if fired.is_some() {
            return Ok(Armed { fired, before: before.into() });
        }
        last = now;
    }
}

/// What happened between two readings.
fn between(before: &Counters, now: &Counters) -> Glance {
    let seconds = ((now.taken_at_ns - before.taken_at_ns).max(1)) as f64 / 1e9;
    let ticks = |counters: &Counters| counters.ps.as_ref().ok().map(|ps| ps.iter().map(|p| u64::from(p.sched_tick)).sum::<u64>());
    let rate = |now: Option<u64>, before: Option<u64>| Some(now?.saturating_sub(before?) as f64 / seconds);
    let waits = now.time_to_run.as_ref().ok().zip(before.time_to_run.as_ref().ok()).map(|(now, before)| now.since(before));
    let quantile = |q: f64| waits.as_ref().and_then(|waits| waits.quantile(q)).map(|bucket| bucket.end);
    let own: Option<u64> = now.ps.as_ref().ok().map(|ps| ps.iter().map(|p| u64::from(p.run_queue)).sum());
    let global = now.global_run_queue.as_ref().ok().map(|n| u64::from(*n));
    Glance {
        at: SystemTime::now(),
        runnable_p50_ns: quantile(0.5),
        runnable_p99_ns: quantile(0.99),
        runnable_max_ns: quantile(1.0),
        run_queue: own.zip(global).map(|(own, global)| own + global),
        idle_ps: now.idle_ps.as_ref().ok().map(|n| u64::from(*n)),
        time_slices_per_second: rate(ticks(now), ticks(before)),
        created_per_second: rate(now.goroutines_created.as_ref().ok().copied(), before.goroutines_created.as_ref().ok().copied()),
        gc_pause_max_ns: now.gc.pauses.as_ref().ok().map(|pauses| pauses.iter().map(|pause| pause.pause_ns).max().unwrap_or(0)),
        throttled_ns: None,
    }
}
