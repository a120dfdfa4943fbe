//! The runtime's own counters at the begin, the end and in between, and what lies between the readings.

use crate::sched::model::{Bound, Counters, GcPause, PUse, Throttled, Waits};
use crate::target::process::Throttling;
use crate::target::runtime::GoProcess;
use crate::target::scheduler::{self, Scheduler};
use crate::target::time_histogram::TimeHistogram;
use crate::target::variables::Figure;

pub struct Readings<'a> {
    process: &'a GoProcess,
    scheduler: Scheduler<'a>,
    first: Option<scheduler::Counters>,
    last: Option<scheduler::Counters>,
    /// At the begin and at the end.
    throttling: [Option<Throttling>; 2],
    /// Sums over all readings.
    count: u64,
    idle: u64,
    spinning: u64,
    global: u64,
    /// By P: sum and most of its queue's lengths.
    queues: Vec<(u64, u32)>,
    pauses: Vec<GcPause>,
    pauses_lost: u32,
    /// The window has ended: what is read later is of after it.
    over: bool,
}

impl<'a> Readings<'a> {
    pub fn new(process: &'a GoProcess) -> Self {
        Readings {
            process,
            scheduler: Scheduler::new(process),
            first: None,
            last: None,
            throttling: [None; 2],
            count: 0,
            idle: 0,
            spinning: 0,
            global: 0,
            queues: Vec::new(),
            pauses: Vec::new(),
            pauses_lost: 0,
            over: false,
        }
    }

    /// One more; when this is, in ns of CLOCK_MONOTONIC, and how many collections have ended.
    pub fn collections(&mut self) -> Option<(u64, u32)> {
        if self.over {
            return None;
        }
        self.read();
        let counters = self.last.as_ref().or(self.first.as_ref())?;
        Some((u64::try_from(counters.taken_at_ns).ok()?, *counters.gc.cycles.as_ref().ok()?))
    }

    /// The last one.
    pub fn end(&mut self) {
        self.read();
        self.throttling[1] = self.process.process.throttling();
        self.over = true;
    }

    /// One more; nothing when the window is over or the process is gone.
    pub fn read(&mut self) {
        if self.over {
            return;
        }
        let Ok(counters) = self.scheduler.read() else { return };
        self.count += 1;
        self.idle += u64::from(*counters.idle_ps.as_ref().unwrap_or(&0));
        self.spinning += u64::from(*counters.spinning_ms.as_ref().unwrap_or(&0));
        self.global += u64::from(*counters.global_run_queue.as_ref().unwrap_or(&0));
        for (index, p) in counters.ps.iter().flatten().enumerate() {
            if self.queues.len() <= index {
                self.queues.resize(index + 1, (0, 0));
            }
            let queue = &mut self.queues[index];
            *queue = (queue.0 + u64::from(p.run_queue), queue.1.max(p.run_queue));
        }
        // The first reading's are of before the window.
        if self.first.is_some() {
            let pauses = counters.gc.pauses.iter().flatten();
            self.pauses.extend(pauses.map(|p| GcPause { end_unix_ns: p.ended_unix_ns, pause_ns: p.pause_ns }));
            self.pauses_lost += counters.gc.pauses_lost;
        }
        if self.first.is_none() {
            self.throttling[0] = self.process.process.throttling();
            self.first = Some(counters);
        } else {
            self.last = Some(counters);
        }
    }

    /// What happened between the first and the last reading, and why a figure is not known.
    pub fn finish(self) -> (Counters, Option<Waits>, Vec<String>) {
        let (Some(first), Some(last)) = (&self.first, &self.last) else { return Default::default() };
        let mut unknown = Vec::new();
        let mean = |sum: u64| sum as f64 / self.count as f64;
        let mut known = |what: &str, is: Option<&String>| {
            let unknown_why = is.map(|why| format!("{what} not known: {why}"));
            let is_known = unknown_why.is_none();
            unknown.extend(unknown_why);
            is_known
        };
        let ps = between(&first.ps, &last.ps, |before, after| (before.clone(), after.clone()));
        let mut ps_known = ps.as_ref().err();
        let uses: Vec<PUse> = (ps.iter())
            .flat_map(|(before, after)| after.iter().enumerate().map(move |(i, p)| (i, before.get(i), p)))
            .map(|(index, before, p)| {
                let (sum, queue_max) = self.queues.get(index).copied().unwrap_or_default();
                let since = |of: fn(&scheduler::PCounters) -> u32| u64::from(of(p).wrapping_sub(before.map_or(0, of)));
                PUse {
                    id: p.id,
                    time_slices: since(|p| p.sched_tick),
                    syscalls: since(|p| p.syscall_tick),
                    queue_mean: mean(sum),
                    queue_max,
                }
            })
            .collect();
        let have_ps = known("what each P did is", ps_known.take());
        let created = between(&first.goroutines_created, &last.goroutines_created, |a, b| b.saturating_sub(*a));
        let cycles = between(&first.gc.cycles, &last.gc.cycles, |a, b| u64::from(b.wrapping_sub(*a)));
        let time_to_run = between(&first.time_to_run, &last.time_to_run, |a, b| b.since(a));
        let [begin, end] = self.throttling;
        let throttled = begin.zip(end).map(|(before, now)| Throttled {
            periods: now.periods.saturating_sub(before.periods),
            throttled_periods: now.throttled_periods.saturating_sub(before.throttled_periods),
            throttled_ns: now.throttled_ns.saturating_sub(before.throttled_ns),
        });
        let counters = Counters {
            gomaxprocs: last.gomaxprocs.as_ref().ok().copied(),
            time_slices: have_ps.then(|| uses.iter().map(|p| p.time_slices).sum()),
            syscalls: have_ps.then(|| uses.iter().map(|p| p.syscalls).sum()),
            created: known("how many goroutines were started is", created.as_ref().err()).then(|| created.unwrap_or(0)),
            gc_cycles: known("the number of collections is", cycles.as_ref().err()).then(|| cycles.unwrap_or(0)),
            gc_pauses: self.pauses.clone(),
            idle_ps: last.idle_ps.is_ok().then(|| mean(self.idle)),
            spinning_ms: last.spinning_ms.is_ok().then(|| mean(self.spinning)),
            global_queue: last.global_run_queue.is_ok().then(|| mean(self.global)),
            ps: uses,
            throttled,
        };
        let run_queue = match &time_to_run {
            Ok(histogram) => waits(histogram),
            Err(why) => {
                unknown.push(format!("how long goroutines were runnable is not known: {why}"));
                None
            }
        };
        if self.pauses_lost > 0 {
            unknown.push(format!("{} pauses of the collector were overwritten before they could be read", self.pauses_lost));
        }
        (counters, run_queue, unknown)
    }
}

fn between<T, R>(first: &Figure<T>, last: &Figure<T>, difference: impl Fn(&T, &T) -> R) -> Figure<R> {
    match (first, last) {
        (Ok(first), Ok(last)) => Ok(difference(first, last)),
        (Err(why), _) | (_, Err(why)) => Err(why.clone()),
    }
}

fn waits(histogram: &TimeHistogram) -> Option<Waits> {
    let bound = |q| {
        let range = histogram.quantile(q)?;
        Some(Bound { low_ns: range.start, high_ns: Some(range.end).filter(|&end| end != u64::MAX) })
    };
    Some(Waits { count: histogram.total(), p50: bound(0.5)?, p90: bound(0.9)?, p99: bound(0.99)?, max: bound(1.0)?, source: "timeToRun" })
}
