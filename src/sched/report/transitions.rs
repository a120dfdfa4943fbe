//! What following each transition gave, as the document has it.

use serde::Serialize;

use super::schema::{FrameOut, WaitsOut};
use crate::sched::analyze::wakes::{Node, WaitIn, WakerIn, trees};
use crate::sched::model::{Blocked, Hop, RunLatency, Stop, Transitions, WakePath, Waker, Window};

#[derive(Serialize)]
pub(super) struct TransitionsOut<'a> {
    run_latency: Vec<RunLatencyOut<'a>>,
    blocked: Vec<BlockedOut<'a>>,
    wakes: Vec<WakeOut<'a>>,
    wake_trees: Vec<NodeOut<'a>>,
    unpaired: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    runnable_ns: Option<u64>,
}

/// How long goroutines of one creation site were runnable before they got a P.
#[derive(Serialize)]
struct RunLatencyOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    total_ns: u64,
    #[serde(flatten)]
    waits: WaitsOut,
}

#[derive(Serialize)]
struct BlockedOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    count: u64,
    blocked_ns: u64,
    #[serde(flatten)]
    at: StackOut<'a>,
}

/// Waits that ended in the same way; the first hop is the wait itself, and `blocked_ns` is its time.
#[derive(Serialize)]
struct WakeOut<'a> {
    count: u64,
    blocked_ns: u64,
    hops: Vec<HopOut<'a>>,
}

/// `waker` is `goroutine`, `network`, `timer` or `scheduler`; only a goroutine has a stack.
#[derive(Serialize)]
struct HopOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    waker: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    woken_by: Option<StackOut<'a>>,
    #[serde(flatten)]
    at: StackOut<'a>,
}

/// The same waits by function, as trees: a root has no `waker`, a waker has a `wait` where it had been waiting itself meanwhile.
#[derive(Serialize)]
struct NodeOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    waker: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait: Option<WaitOut<'a>>,
    count: u64,
    blocked_ns: u64,
    woken_by: Vec<NodeOut<'a>>,
}

#[derive(Serialize)]
struct WaitOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl<'a> NodeOut<'a> {
    fn of(node: Node<'a>) -> Self {
        let (waker, function) = match node.waker {
            None => (None, None),
            Some(WakerIn::Goroutine(function)) => (Some("goroutine"), function),
            Some(WakerIn::Network) => (Some("network"), None),
            Some(WakerIn::Timer) => (Some("timer"), None),
            Some(WakerIn::Scheduler) => (Some("scheduler"), None),
        };
        let wait = node.wait.map(|WaitIn { function, reason }| WaitOut { function, reason });
        let woken_by = node.woken_by.into_iter().map(NodeOut::of).collect();
        NodeOut { waker, function, wait, count: node.count, blocked_ns: node.ns, woken_by }
    }
}

/// A stop of the world, or a collection.
#[derive(Serialize)]
pub(super) struct StopOut<'a> {
    kind: &'static str,
    begin_ns: u64,
    duration_ns: u64,
    goroutine: u64,
    #[serde(flatten)]
    asked_at: StackOut<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<HolderOut<'a>>,
}

/// Who gave up its P last.
#[derive(Serialize)]
struct HolderOut<'a> {
    goroutine: u64,
    held_ns: u64,
    #[serde(flatten)]
    at: StackOut<'a>,
}

impl<'a> StopOut<'a> {
    pub(super) fn of(stop: &Stop, window: &'a Window) -> Self {
        StopOut {
            kind: stop.kind.as_str(),
            begin_ns: stop.begin_ns,
            duration_ns: stop.ns,
            goroutine: stop.goid,
            asked_at: StackOut::of(stop.stack.unwrap_or(u32::MAX), window),
            last: stop.last.as_ref().map(|last| HolderOut {
                goroutine: last.goid,
                held_ns: last.ns,
                at: StackOut::of(last.stack.unwrap_or(u32::MAX), window),
            }),
        }
    }
}

#[derive(Serialize)]
struct StackOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<&'static str>,
    frames: Vec<FrameOut<'a>>,
}

impl<'a> TransitionsOut<'a> {
    pub(super) fn of(transitions: &'a Transitions, window: &'a Window) -> Self {
        let run_latency = |latency: &'a RunLatency| RunLatencyOut {
            created_by: latency.creator.as_deref(),
            file: latency.place.as_ref().map(|(file, _)| &**file),
            line: latency.place.as_ref().map(|(_, line)| *line),
            total_ns: latency.total_ns,
            waits: WaitsOut::of(&latency.waits),
        };
        let blocked = |blocked: &'a Blocked| BlockedOut {
            reason: blocked.reason.as_deref(),
            count: blocked.count,
            blocked_ns: blocked.ns,
            at: StackOut::of(blocked.stack, window),
        };
        let hop = |hop: &'a Hop| {
            let (waker, stack) = match hop.by {
                Waker::Goroutine(stack) => ("goroutine", Some(stack)),
                Waker::Network => ("network", None),
                Waker::Timer => ("timer", None),
                Waker::Scheduler => ("scheduler", None),
            };
            let woken_by = stack.map(|stack| StackOut::of(stack, window));
            HopOut { reason: hop.reason.as_deref(), waker, woken_by, at: StackOut::of(hop.stack, window) }
        };
        let wake = |path: &'a WakePath| WakeOut { count: path.count, blocked_ns: path.ns, hops: path.hops.iter().map(hop).collect() };
        TransitionsOut {
            run_latency: transitions.run_latency.iter().map(run_latency).collect(),
            blocked: transitions.blocked.iter().map(blocked).collect(),
            wakes: transitions.wakes.iter().map(wake).collect(),
            wake_trees: trees(&transitions.wakes, &window.stacks).into_iter().map(NodeOut::of).collect(),
            unpaired: transitions.unpaired,
            runnable_ns: transitions.runnable_ns,
        }
    }
}

impl<'a> StackOut<'a> {
    fn of(stack: u32, window: &'a Window) -> Self {
        let Some(stack) = window.stacks.get(stack as usize) else { return StackOut { cut: None, frames: Vec::new() } };
        StackOut { cut: stack.cut.map(|cut| cut.as_str()), frames: stack.frames.iter().map(FrameOut::of).collect() }
    }
}
