//! The shapes of `schemas/sched.json` and `schemas/profile.json`: what scripts rely on. Keys are added here, never renamed.

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;

use super::before::{GlanceOut, TriggerOut};
use super::transitions::{StopOut, TransitionsOut};
use crate::error::Result;
use crate::output::{Address, Envelope, write_line};
use crate::sched::analyze::{self, Account, measures};
use crate::sched::model::{self, Class, Frame, Row, Stack, Window};

/// `command` is `sched` or `profile`. Rows come with their stacks.
pub fn document<'a>(command: &str, window: &'a Window, rows: &[&'a Row]) -> impl Serialize + 'a {
    let body = Body { facts: Facts::of(window), stacks: rows.iter().map(|row| RowOut::of(row, window)).collect() };
    Envelope::new(command, window.captured_at, &window.target, Quality::of(window), body)
}

/// A header, one line a row, a summary.
pub fn write_jsonl(command: &str, window: &Window, rows: &[&Row], out: &mut impl Write) -> Result<()> {
    #[derive(Serialize)]
    struct Line<'a> {
        r#type: &'static str,
        #[serde(flatten)]
        row: RowOut<'a>,
    }
    #[derive(Serialize)]
    struct Summary<'a> {
        r#type: &'static str,
        rows: usize,
        #[serde(flatten)]
        facts: Facts<'a>,
    }
    #[derive(Serialize)]
    struct Empty {}
    let header = Envelope::new(command, window.captured_at, &window.target, Quality::of(window), Empty {}).header();
    write_line(out, &header)?;
    for row in rows {
        write_line(out, &Line { r#type: "stack", row: RowOut::of(row, window) })?;
    }
    write_line(out, &Summary { r#type: "summary", rows: rows.len(), facts: Facts::of(window) })
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(flatten)]
    facts: Facts<'a>,
    stacks: Vec<RowOut<'a>>,
}

#[derive(Serialize)]
struct Facts<'a> {
    window_ns: u64,
    tier: u8,
    samples: u64,
    /// Events that were sent and did not arrive.
    lost: u64,
    time: Time,
    observations: Vec<ObservationsOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_queue: Option<WaitsOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_queue: Option<WaitsOut>,
    threads: Vec<ThreadOut<'a>>,
    runtime: Runtime,
    cost: Cost,
    #[serde(skip_serializing_if = "Option::is_none")]
    transitions: Option<TransitionsOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stops: Option<Vec<StopOut<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger: Option<TriggerOut<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    before: Vec<GlanceOut>,
}

impl<'a> Facts<'a> {
    fn of(window: &'a Window) -> Self {
        Facts {
            window_ns: window.length_ns,
            tier: window.tier.number(),
            samples: window.samples,
            lost: window.quality.lost(),
            time: Time::of(window),
            observations: analyze::observations(window).iter().map(ObservationsOut::of).collect(),
            run_queue: window.run_queue.as_ref().map(WaitsOut::of),
            cpu_queue: window.cpu_queue.as_ref().map(WaitsOut::of),
            threads: window.threads.iter().map(ThreadOut::of).collect(),
            runtime: Runtime::of(&window.counters),
            cost: Cost::of(&window.cost),
            transitions: window.transitions.as_ref().map(|transitions| TransitionsOut::of(transitions, window)),
            trigger: window.trigger.as_ref().map(|(trigger, seen)| TriggerOut { when: &trigger.text, seen: *seen }),
            before: window.before.iter().map(GlanceOut::of).collect(),
            stops: window.stops.as_ref().map(|stops| stops.iter().map(|stop| StopOut::of(stop, window)).collect()),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Quality<'a> {
    sent: u64,
    lost: u64,
    cpus: Vec<LossOut>,
    late: u64,
    not_followed: u64,
    truncated_stacks: u64,
    unresolved_frames: u64,
    walks: u64,
    torn: u64,
    skipped: u64,
    not_resident: u64,
    threads_stopped: u64,
    longest_stop_ns: u64,
    layout: &'a str,
    own_cpu_ns: u64,
    warnings: &'a [String],
}

#[derive(Serialize)]
struct LossOut {
    cpu: u32,
    sent: u64,
    received: u64,
    lost: u64,
    malformed: u64,
    in_flight: u64,
}

impl<'a> Quality<'a> {
    pub(super) fn of(window: &'a Window) -> Self {
        let quality = &window.quality;
        let loss = |loss: &model::Loss| LossOut {
            cpu: loss.cpu,
            sent: loss.sent,
            received: loss.received,
            lost: loss.lost,
            malformed: loss.malformed,
            in_flight: loss.in_flight(),
        };
        Quality {
            sent: quality.sent(),
            lost: quality.lost(),
            cpus: quality.losses.iter().map(loss).collect(),
            late: quality.late,
            not_followed: quality.not_followed,
            truncated_stacks: quality.truncated_stacks,
            unresolved_frames: quality.unresolved_frames,
            walks: quality.walks,
            torn: quality.torn,
            skipped: quality.skipped,
            not_resident: quality.not_resident,
            // Nothing here ever stops a thread.
            threads_stopped: 0,
            longest_stop_ns: 0,
            layout: &quality.layout,
            own_cpu_ns: window.cost.own_cpu_ns,
            warnings: &quality.warnings,
        }
    }
}

/// `null`: not measured.
#[derive(Serialize)]
struct Time {
    total_ns: u64,
    on_cpu_ns: u64,
    runnable_ns: u64,
    no_cpu_ns: Option<u64>,
    waiting_ns: u64,
    syscall_ns: u64,
    gc_assist_ns: u64,
    unobserved_ns: u64,
    scheduler_ns: Option<u64>,
}

impl Time {
    fn of(window: &Window) -> Time {
        let Account { total_ns, on_cpu_ns, runnable_ns, no_cpu_ns, waiting_ns, syscall_ns, gc_assist_ns, unobserved_ns, scheduler_ns } =
            Account::of(window);
        let no_cpu_ns = measures(window, Class::NoCpu).then_some(no_cpu_ns);
        let scheduler_ns = measures(window, Class::Scheduler).then_some(scheduler_ns);
        Time { total_ns, on_cpu_ns, runnable_ns, no_cpu_ns, waiting_ns, syscall_ns, gc_assist_ns, unobserved_ns, scheduler_ns }
    }
}

/// How often something was seen that a class's time comes from.
#[derive(Serialize)]
struct ObservationsOut {
    class: &'static str,
    source: &'static str,
    count: u64,
}

impl ObservationsOut {
    fn of(seen: &analyze::Observations) -> Self {
        ObservationsOut { class: seen.class.as_str(), source: seen.source.as_str(), count: seen.count }
    }
}

/// Quantiles are the upper bounds of their histogram buckets.
#[derive(Serialize)]
pub(super) struct WaitsOut {
    count: u64,
    p50_ns: Option<u64>,
    p90_ns: Option<u64>,
    p99_ns: Option<u64>,
    max_ns: Option<u64>,
    source: &'static str,
}

impl WaitsOut {
    pub(super) fn of(waits: &model::Waits) -> WaitsOut {
        WaitsOut {
            count: waits.count,
            p50_ns: waits.p50.high_ns,
            p90_ns: waits.p90.high_ns,
            p99_ns: waits.p99.high_ns,
            max_ns: waits.max.high_ns,
            source: waits.source,
        }
    }
}

#[derive(Serialize)]
struct ThreadOut<'a> {
    tid: u32,
    name: &'a str,
    on_cpu_ns: u64,
    waited_ns: u64,
    switches: u64,
}

impl<'a> ThreadOut<'a> {
    fn of(thread: &'a model::ThreadUse) -> Self {
        let model::ThreadUse { tid, ref name, on_cpu_ns, waited_ns, switches } = *thread;
        ThreadOut { tid, name, on_cpu_ns, waited_ns, switches }
    }
}

/// The runtime's counters; what is not known is absent.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
struct Runtime {
    #[serde(skip_serializing_if = "Option::is_none")]
    gomaxprocs: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_slices: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    syscalls: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_ps: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spinning_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    global_queue: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gc_cycles: Option<u64>,
    gc_pauses: Vec<PauseOut>,
    ps: Vec<POut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    throttled: Option<ThrottledOut>,
}

#[derive(Serialize)]
struct PauseOut {
    end_unix_ns: u64,
    pause_ns: u64,
}

#[derive(Serialize)]
struct POut {
    id: i32,
    time_slices: u64,
    syscalls: u64,
    queue_mean: f64,
    queue_max: u32,
}

#[derive(Serialize)]
struct ThrottledOut {
    periods: u64,
    throttled_periods: u64,
    throttled_ns: u64,
}

impl Runtime {
    fn of(counters: &model::Counters) -> Runtime {
        let pause = |pause: &model::GcPause| PauseOut { end_unix_ns: pause.end_unix_ns, pause_ns: pause.pause_ns };
        let p = |p: &model::PUse| POut {
            id: p.id,
            time_slices: p.time_slices,
            syscalls: p.syscalls,
            queue_mean: p.queue_mean,
            queue_max: p.queue_max,
        };
        Runtime {
            gomaxprocs: counters.gomaxprocs,
            time_slices: counters.time_slices,
            syscalls: counters.syscalls,
            created: counters.created,
            idle_ps: counters.idle_ps,
            spinning_ms: counters.spinning_ms,
            global_queue: counters.global_queue,
            gc_cycles: counters.gc_cycles,
            gc_pauses: counters.gc_pauses.iter().map(pause).collect(),
            ps: counters.ps.iter().map(p).collect(),
            throttled: counters.throttled.map(|t| ThrottledOut {
                periods: t.periods,
                throttled_periods: t.throttled_periods,
                throttled_ns: t.throttled_ns,
            }),
        }
    }
}

/// Percentages are of one CPU.
#[derive(Serialize)]
struct Cost {
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_target_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_host_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probes_ns: Option<u64>,
    target_cpu_ns: u64,
    own_cpu_ns: u64,
    attach_ns: u64,
    detach_ns: u64,
}

impl Cost {
    fn of(cost: &model::Cost) -> Cost {
        Cost {
            expected_target_percent: cost.plan.as_ref().map(|plan| plan.percent(model::Payer::Target)),
            expected_host_percent: cost.plan.as_ref().map(|plan| plan.percent(model::Payer::Host)),
            probes_ns: cost.probes_ns,
            target_cpu_ns: cost.target_cpu_ns,
            own_cpu_ns: cost.own_cpu_ns,
            attach_ns: cost.attach_ns,
            detach_ns: cost.detach_ns,
        }
    }
}

#[derive(Serialize)]
struct RowOut<'a> {
    class: &'static str,
    source: &'static str,
    count: u64,
    on_cpu_ns: u64,
    off_cpu_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<&'static str>,
    frames: Vec<FrameOut<'a>>,
}

#[derive(Serialize)]
pub(super) struct FrameOut<'a> {
    function: &'a str,
    file: &'a str,
    line: u32,
    address: Address,
    inlined: bool,
    kind: &'static str,
}

impl<'a> FrameOut<'a> {
    pub(super) fn of(frame: &'a Frame) -> Self {
        FrameOut {
            function: &frame.function,
            file: &frame.file,
            line: frame.line,
            address: Address(frame.address),
            inlined: frame.kind == model::FrameKind::Inlined,
            kind: frame.kind.as_str(),
        }
    }
}

impl<'a> RowOut<'a> {
    fn of(row: &'a Row, window: &'a Window) -> Self {
        let stack: Option<&Stack> = window.stacks.get(row.stack as usize);
        RowOut {
            class: row.class.as_str(),
            source: row.source.as_str(),
            count: row.count,
            on_cpu_ns: row.on_cpu_ns,
            off_cpu_ns: row.off_cpu_ns,
            reason: row.reason.as_deref().filter(|reason| !reason.is_empty()),
            start: row.start.as_deref(),
            created_by: row.creator.as_deref(),
            labels: row.labels.iter().map(|(key, value)| (&**key, &**value)).collect(),
            cut: stack.and_then(|stack| stack.cut).map(|cut| cut.as_str()),
            frames: stack.map(|stack| stack.frames.iter().map(FrameOut::of).collect()).unwrap_or_default(),
        }
    }
}

pub(super) fn frames_of(stack: &Stack) -> Vec<FrameOut<'_>> {
    stack.frames.iter().map(FrameOut::of).collect()
}
