//! Plain data of a goroutine snapshot. No I/O, no clock, no serde.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

pub use crate::target::facts::TargetFacts;
pub use crate::target::goroutines::{BlockedOn, ReadState, Status, Thread};
pub use crate::target::stack::{Cut, Frame, FrameKind, Stack};

#[derive(Debug, Clone)]
pub struct Snapshot {
    pub captured_at: SystemTime,
    pub target: TargetFacts,
    /// All but the dead ones.
    pub goroutines: Vec<Goroutine>,
    /// Goroutines that ended and whose record waits for reuse: counted, not listed.
    pub dead: u64,
    /// Each distinct stack once; `Goroutine::stack` is an index into it.
    pub stacks: Vec<Stack>,
    pub quality: Quality,
}

#[derive(Debug, Clone)]
pub struct Goroutine {
    pub id: u64,
    pub status: Status,
    /// The runtime's own text (`chan receive`), only for waiting goroutines.
    pub wait_reason: Option<Arc<str>>,
    /// At least this long blocked. The runtime stamps a blocked goroutine at the first GC after it blocked
    /// (mgcmark.go), so `None` on a waiting goroutine means: blocked since the last GC.
    pub wait_min_ns: Option<u64>,
    /// For a sleeper: nanoseconds until it wakes (negative: due already).
    pub wakes_in_ns: Option<i64>,
    pub created_by: Option<CreatedBy>,
    /// The function the goroutine was started with.
    pub start: Option<Frame>,
    /// pprof labels, sorted by key.
    pub labels: Vec<(Arc<str>, Arc<str>)>,
    /// Of a goroutine that is on a thread.
    pub thread: Option<Thread>,
    /// True when it is wired to its thread (runtime.LockOSThread).
    pub locked: bool,
    /// Started by the runtime for itself, by the rule of `isSystemGoroutine` (traceback.go).
    pub system: bool,
    /// What it blocks on, where an argument of the blocking call says so.
    pub blocked_on: Option<BlockedOn>,
    /// Index into `Snapshot::stacks`.
    pub stack: u32,
    /// The stack pointer at the innermost Go frame: with `id`, tells "did not move" between two snapshots. 0 if unknown.
    pub sp: u64,
    pub read: ReadState,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CreatedBy {
    /// The `go` statement: function, file and line.
    pub frame: Frame,
    /// The creator's id; the runtime records it since Go 1.21.
    pub goroutine: Option<u64>,
}

/// What was not seen, and what seeing cost.
#[derive(Debug, Clone, Default)]
pub struct Quality {
    /// Goroutines that moved through every retry.
    pub torn: u64,
    /// Reads that had to be repeated.
    pub retried: u64,
    /// Goroutines whose own record could not be read.
    pub skipped: u64,
    /// Goroutines whose stack (or part of it) is not in memory.
    pub not_resident: u64,
    /// Running goroutines whose thread was left alone.
    pub not_read: u64,
    pub unresolved_frames: u64,
    pub truncated_stacks: u64,
    pub threads_stopped: u64,
    pub longest_stop_ns: u64,
    pub total_stop_ns: u64,
    /// `table`, `dwarf` or `guess`.
    pub layout: String,
    /// From the first read to the last.
    pub capture_ns: u64,
    /// goscope's own CPU time up to the end of the capture.
    pub own_cpu_ns: u64,
    pub warnings: Vec<String>,
}

/// How many goroutines of each kind. Dead ones (free for reuse) are never part of `total`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    pub total: u64,
    pub user: u64,
    pub system: u64,
    pub dead: u64,
    pub by_status: BTreeMap<Status, u64>,
}
