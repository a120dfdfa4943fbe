//! The runtime's figures: a section of the page, and their JSON.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::page::Page;
use crate::error::Result;
use crate::info::analyze::quota_advice;
use crate::info::model::{Goroutines, Info, Live, Runtime};
use crate::info::runtime::{Figure, GcPhase, LastGc, Stops};
use crate::output::{self, bytes, count, duration};

pub(super) fn write(page: &mut Page, info: &Info, live: &Live) -> Result<()> {
    page.heading("Runtime")?;
    let Runtime { facts, goroutines } = match &live.runtime {
        Ok(runtime) => runtime,
        Err(why) => return page.line(&format!("  unknown: {}", output::escape(why))),
    };
    page.field("goroutines", &tell(goroutines, |g| goroutines_text(*g)))?;
    page.field("GOMAXPROCS", &tell(&facts.gomaxprocs, |n| gomaxprocs(*n, live)))?;
    page.field("idle Ps", &tell(&facts.idle_ps, u32::to_string))?;
    page.field("Ms", &format!("{}, {} idle", tell(&facts.threads, u64::to_string), tell(&facts.idle_threads, u32::to_string)))?;
    page.field("run queue", &tell(&facts.global_run_queue, |n| format!("{n} in the global one")))?;
    let forced = tell(&facts.gc_forced_cycles, |n| format!("{n} of them forced"));
    page.field("GC cycles", &format!("{}, {forced}, now {}", tell(&facts.gc_cycles, u64::to_string), tell(&facts.gc_phase, phase)))?;
    page.field("last GC", &tell(&facts.last_gc, |last| last_gc(last.as_ref(), info.captured_at)))?;
    page.field("GC pauses", &tell(&facts.gc_pause_total_ns, |ns| format!("{} in all", nanos(*ns))))?;
    page.field("other stops", &tell(&facts.other_stops, stops))?;
    page.field("GC CPU", &tell(&facts.gc_cpu_fraction, |share| format!("{:.2} % of the program's CPU time", share * 100.0)))?;
    let goal = tell(&facts.heap_goal_bytes, |goal| goal.map_or_else(|| "none".to_owned(), bytes));
    let marked = tell(&facts.heap_marked_bytes, |marked| bytes(*marked));
    let live_bytes = tell(&facts.heap_live_bytes, |live| bytes(*live));
    page.field("heap", &format!("{live_bytes} live, goal {goal}, {marked} after the last GC"))?;
    page.field("GOGC", &tell(&facts.gogc_percent, |percent| percent.map_or_else(|| "off".to_owned(), |percent| percent.to_string())))?;
    page.field("memory limit", &tell(&facts.memory_limit_bytes, |limit| limit.map_or_else(|| "none".to_owned(), bytes)))
}

fn tell<T>(figure: &Figure<T>, text: impl FnOnce(&T) -> String) -> String {
    match figure {
        Ok(value) => text(value),
        Err(why) => format!("unknown ({why})"),
    }
}

fn goroutines_text(goroutines: Goroutines) -> String {
    let Goroutines { user, system, dead, unread } = goroutines;
    let unread = if unread > 0 { format!(", {unread} not read") } else { String::new() };
    format!("{} ({user} user, {system} system), {dead} dead{unread}", user + system)
}

fn gomaxprocs(gomaxprocs: u32, live: &Live) -> String {
    match live.cpu_quota.as_ref().and_then(|quota| quota_advice(gomaxprocs, quota.cpus)) {
        Some(advice) => format!("{gomaxprocs}, {advice}"),
        None => gomaxprocs.to_string(),
    }
}

fn phase(phase: &GcPhase) -> String {
    match phase {
        GcPhase::Off => "not running".to_owned(),
        running => format!("in {}", running.as_str()),
    }
}

fn last_gc(last: Option<&LastGc>, now: SystemTime) -> String {
    let Some(last) = last else { return "none yet".to_owned() };
    let ended = SystemTime::UNIX_EPOCH + Duration::from_nanos(last.ended_unix_ns);
    let ago = now.duration_since(ended).map_or_else(|_| "just now".to_owned(), |ago| format!("{} ago", duration(ago)));
    format!("{ago}, paused for {}", nanos(last.pause_ns))
}

fn stops(stops: &Stops) -> String {
    match stops.count {
        0 => "none".to_owned(),
        n => format!(
            "{}, at most {} in all, longest at most {}",
            count(n, "stop"),
            nanos(stops.total_at_most_ns),
            nanos(stops.longest_at_most_ns)
        ),
    }
}

fn nanos(nanos: u64) -> String {
    duration(Duration::from_nanos(nanos))
}

/// A figure that is not known is `null`, with the reason in `unknown` under the same key.
#[derive(Serialize)]
pub(super) struct RuntimeJson<'a> {
    goroutines: Option<GoroutinesJson>,
    gomaxprocs: Option<u32>,
    idle_ps: Option<u32>,
    threads: Option<u64>,
    idle_threads: Option<u32>,
    global_run_queue: Option<u32>,
    gc_phase: Option<&'static str>,
    gc_cycles: Option<u64>,
    gc_forced_cycles: Option<u64>,
    /// Also `null` before the first cycle has ended.
    last_gc: Option<LastGcJson>,
    gc_pause_total_ns: Option<u64>,
    other_stops: Option<StopsJson>,
    gc_cpu_fraction: Option<f64>,
    heap_live_bytes: Option<u64>,
    heap_marked_bytes: Option<u64>,
    /// Also `null` where there is none.
    heap_goal_bytes: Option<u64>,
    /// Also `null` for off.
    gogc_percent: Option<u32>,
    /// Also `null` for none.
    memory_limit_bytes: Option<u64>,
    unknown: BTreeMap<&'static str, &'a str>,
}

#[derive(Serialize)]
struct GoroutinesJson {
    total: u64,
    user: u64,
    system: u64,
    dead: u64,
    unread: u64,
}

#[derive(Serialize)]
struct LastGcJson {
    ended_at: String,
    pause_ns: u64,
}

#[derive(Serialize)]
struct StopsJson {
    count: u64,
    total_at_most_ns: u64,
    longest_at_most_ns: u64,
}

impl<'a> RuntimeJson<'a> {
    pub(super) fn new(runtime: &'a Runtime) -> Self {
        let facts = &runtime.facts;
        let mut unknown = BTreeMap::new();
        let goroutines = known("goroutines", &runtime.goroutines, &mut unknown);
        let last_gc = known("last_gc", &facts.last_gc, &mut unknown).flatten();
        RuntimeJson {
            goroutines: goroutines.map(|Goroutines { user, system, dead, unread }| GoroutinesJson {
                total: user + system,
                user,
                system,
                dead,
                unread,
            }),
            gomaxprocs: known("gomaxprocs", &facts.gomaxprocs, &mut unknown),
            idle_ps: known("idle_ps", &facts.idle_ps, &mut unknown),
            threads: known("threads", &facts.threads, &mut unknown),
            idle_threads: known("idle_threads", &facts.idle_threads, &mut unknown),
            global_run_queue: known("global_run_queue", &facts.global_run_queue, &mut unknown),
            gc_phase: known("gc_phase", &facts.gc_phase, &mut unknown).map(GcPhase::as_str),
            gc_cycles: known("gc_cycles", &facts.gc_cycles, &mut unknown),
            gc_forced_cycles: known("gc_forced_cycles", &facts.gc_forced_cycles, &mut unknown),
            last_gc: last_gc.map(|last| LastGcJson {
                ended_at: output::timestamp(SystemTime::UNIX_EPOCH + Duration::from_nanos(last.ended_unix_ns)),
                pause_ns: last.pause_ns,
            }),
            gc_pause_total_ns: known("gc_pause_total_ns", &facts.gc_pause_total_ns, &mut unknown),
            other_stops: known("other_stops", &facts.other_stops, &mut unknown).map(|stops| StopsJson {
                count: stops.count,
                total_at_most_ns: stops.total_at_most_ns,
                longest_at_most_ns: stops.longest_at_most_ns,
            }),
            gc_cpu_fraction: known("gc_cpu_fraction", &facts.gc_cpu_fraction, &mut unknown),
            heap_live_bytes: known("heap_live_bytes", &facts.heap_live_bytes, &mut unknown),
            heap_marked_bytes: known("heap_marked_bytes", &facts.heap_marked_bytes, &mut unknown),
            heap_goal_bytes: known("heap_goal_bytes", &facts.heap_goal_bytes, &mut unknown).flatten(),
            gogc_percent: known("gogc_percent", &facts.gogc_percent, &mut unknown).flatten(),
            memory_limit_bytes: known("memory_limit_bytes", &facts.memory_limit_bytes, &mut unknown).flatten(),
            unknown,
        }
    }
}

fn known<'a, T: Copy>(key: &'static str, figure: &'a Figure<T>, unknown: &mut BTreeMap<&'static str, &'a str>) -> Option<T> {
    figure.as_ref().map_err(|why| unknown.insert(key, why)).ok().copied()
}
