//! What one window of looking at the scheduler gave: plain data.

mod timeline;
mod triggers;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

pub use crate::probes::Loss;
pub use crate::target::facts::TargetFacts;
pub use crate::target::stack::{Cut, Frame, FrameKind, Stack};
pub use timeline::{Moment, Present, Timeline, What};
pub use triggers::{Glance, Metric, Trigger};

/// Everything seen in one window.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    pub captured_at: SystemTime,
    pub target: TargetFacts,
    pub length_ns: u64,
    pub tier: Tier,
    /// Goroutine time, each piece of it in one row; and the scheduler's own time on a CPU.
    pub rows: Vec<Row>,
    pub stacks: Vec<Stack>,
    /// Goroutines that were alive, summed over time.
    pub alive_ns: u64,
    /// The window in equal parts, one after the other; none where they were not kept.
    pub batches: Vec<Batch>,
    pub threads: Vec<ThreadUse>,
    pub run_queue: Option<Waits>,
    pub cpu_queue: Option<Waits>,
    pub counters: Counters,
    pub transitions: Option<Transitions>,
    /// Stops of the world and collections, longest first; only where they were watched.
    pub stops: Option<Vec<Stop>>,
    /// Only where it was asked for.
    pub timeline: Option<Timeline>,
    /// The seconds before, where a trigger was waited for, and what it saw.
    pub before: Vec<Glance>,
    pub trigger: Option<(Trigger, f64)>,
    pub samples: u64,
    pub cost: Cost,
    pub quality: Quality,
}

/// Time in one of the window's parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Batch {
    /// Goroutines that were alive, summed over time.
    pub alive_ns: u64,
    /// What [`Row::ns`] sums up, in the order of [`Class::ALL`].
    pub by_class: [u64; Class::ALL.len()],
}

/// How closely it was looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// The runtime's own memory, no probe.
    Counters,
    /// The kernel's clock and context switches.
    Switches,
    /// And the runtime's rare events.
    Rare,
    /// And each transition of a goroutine.
    Transitions,
}

impl Tier {
    pub const ALL: [Tier; 4] = [Tier::Counters, Tier::Switches, Tier::Rare, Tier::Transitions];

    pub fn number(self) -> u8 {
        self as u8
    }
}

/// What a goroutine was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    OnCpu,
    /// Ready to run, waiting for a P.
    Runnable,
    /// Has its thread, which waits for a CPU or is throttled.
    NoCpu,
    Waiting,
    /// In a system call or in C, and not on a CPU.
    Syscall,
    /// Working or waiting for the garbage collector in order to be allowed to allocate.
    GcAssist,
    /// Not a goroutine: the runtime's scheduler and collector, and threads of C, on a CPU.
    Scheduler,
}

impl Class {
    pub const ALL: [Class; 7] =
        [Class::OnCpu, Class::Runnable, Class::NoCpu, Class::Waiting, Class::Syscall, Class::GcAssist, Class::Scheduler];

    pub fn as_str(self) -> &'static str {
        match self {
            Class::OnCpu => "on_cpu",
            Class::Runnable => "runnable",
            Class::NoCpu => "no_cpu",
            Class::Waiting => "waiting",
            Class::Syscall => "syscall",
            Class::GcAssist => "gc_assist",
            Class::Scheduler => "scheduler",
        }
    }
}

/// How it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// Walks over all goroutines at intervals.
    Walk,
    /// A CPU's clock.
    Sample,
    /// Each context switch.
    Switch,
    /// Each transition.
    Uprobe,
}

impl Source {
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Walk => "walk",
            Source::Sample => "sample",
            Source::Switch => "switch",
            Source::Uprobe => "uprobe",
        }
    }
}

/// A pprof label: key and value.
pub type Label = (Arc<str>, Arc<str>);

/// Time of goroutines that were doing the same in the same place.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub class: Class,
    pub source: Source,
    /// The runtime's own words (`chan receive`), or what a system call is.
    pub reason: Option<Arc<str>>,
    /// Index into `Window::stacks`.
    pub stack: u32,
    /// The goroutines' first function.
    pub start: Option<Arc<str>>,
    /// The function with the `go` statement.
    pub creator: Option<Arc<str>>,
    /// pprof labels.
    pub labels: Arc<[Label]>,
    /// Observations.
    pub count: u64,
    pub on_cpu_ns: u64,
    pub off_cpu_ns: u64,
}

impl Row {
    pub fn ns(&self) -> u64 {
        self.on_cpu_ns + self.off_cpu_ns
    }
}

/// A thread over the window, by the kernel's own account (`/proc/PID/task/TID/schedstat`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadUse {
    pub tid: u32,
    pub name: String,
    pub on_cpu_ns: u64,
    /// Runnable and without a CPU.
    pub waited_ns: u64,
    pub switches: u64,
}

/// A distribution of waits, as bounds of the histogram's buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    pub count: u64,
    pub p50: Bound,
    pub p90: Bound,
    pub p99: Bound,
    pub max: Bound,
    /// One of `SOURCES`.
    pub source: &'static str,
}

impl Waits {
    /// The runtime's histogram `sched.timeToRun`, context switches, transitions.
    pub const SOURCES: [&'static str; 3] = ["timeToRun", "switches", "uprobes"];
}

/// A quantile lies in here; `high_ns` is `None` for the histogram's last, open bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    pub low_ns: u64,
    pub high_ns: Option<u64>,
}

/// The runtime's own counters over the window; `None`: not known for this binary, `Quality::warnings` says why.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counters {
    pub gomaxprocs: Option<u32>,
    /// Goroutines given a new time slice: `p.schedtick`, which does not count those that inherit one (runtime/proc.go: execute).
    pub time_slices: Option<u64>,
    pub syscalls: Option<u64>,
    pub created: Option<u64>,
    pub gc_cycles: Option<u64>,
    /// Of the collections that ended in the window.
    pub gc_pauses: Vec<GcPause>,
    pub ps: Vec<PUse>,
    /// Averages over the readings.
    pub idle_ps: Option<f64>,
    pub spinning_ms: Option<f64>,
    pub global_queue: Option<f64>,
    /// Of the target's cgroup.
    pub throttled: Option<Throttled>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GcPause {
    pub end_unix_ns: u64,
    pub pause_ns: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PUse {
    pub id: i32,
    pub time_slices: u64,
    pub syscalls: u64,
    /// Runnable goroutines in its own queue: average and most of all readings.
    pub queue_mean: f64,
    pub queue_max: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttled {
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled_ns: u64,
}

/// What looking cost.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cost {
    /// What was expected.
    pub plan: Option<Plan>,
    /// What the probes took, as the kernel counted.
    pub probes_ns: Option<u64>,
    pub target_cpu_ns: u64,
    pub own_cpu_ns: u64,
    pub attach_ns: u64,
    pub detach_ns: u64,
}

/// What was not seen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Quality {
    pub losses: Vec<Loss>,
    /// Events that came too late to be put in order.
    pub late: u64,
    /// Threads that the probes had no room to follow.
    pub not_followed: u64,
    /// Stacks that end early, and frames without a name.
    pub truncated_stacks: u64,
    pub unresolved_frames: u64,
    pub walks: u64,
    pub torn: u64,
    pub skipped: u64,
    pub not_resident: u64,
    /// `table`, `dwarf` or `guess`.
    pub layout: String,
    pub warnings: Vec<String>,
}

impl Quality {
    /// What was sent in the window and did not arrive. Events in flight at its end are of after it.
    pub fn lost(&self) -> u64 {
        self.losses.iter().map(|loss| loss.lost + loss.malformed).sum::<u64>()
    }

    pub fn sent(&self) -> u64 {
        self.losses.iter().map(|loss| loss.sent).sum()
    }
}

/// What following each transition gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transitions {
    /// How long goroutines were runnable before they got a P, by creation site.
    pub run_latency: Vec<RunLatency>,
    /// How long they were blocked, by where and why.
    pub blocked: Vec<Blocked>,
    /// Who ended those waits, and what it had been waiting for.
    pub wakes: Vec<WakePath>,
    /// Put on a P without having been seen to become runnable.
    pub unpaired: u64,
    /// All time that goroutines were seen to be runnable in the window, those that still were at its end included; `None` where events
    /// were lost.
    pub runnable_ns: Option<u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RunLatency {
    /// The function with the `go` statement; `None`: the main goroutine, which has none.
    pub creator: Option<Arc<str>>,
    /// File and line of the `go` statement.
    pub place: Option<(Arc<str>, u32)>,
    pub total_ns: u64,
    pub waits: Waits,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    pub reason: Option<Arc<str>>,
    pub stack: u32,
    pub count: u64,
    pub ns: u64,
}

/// Waits that were ended in the same way, several hops deep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WakePath {
    /// The wait itself first, then what its waker had waited for meanwhile, and so on.
    pub hops: Vec<Hop>,
    pub count: u64,
    /// Of the first wait.
    pub ns: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Where it waited.
    pub stack: u32,
    pub reason: Option<Arc<str>>,
    pub by: Waker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waker {
    /// Where the waker was.
    Goroutine(u32),
    Network,
    Timer,
    /// The runtime by itself.
    Scheduler,
}

/// What a way of looking is expected to cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub tier: Tier,
    pub hz: u32,
    pub switch_stacks: bool,
    pub items: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub what: Cow<'static, str>,
    pub payer: Payer,
    pub per_second: f64,
    pub ns_each: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payer {
    Target,
    /// Whoever else runs on this machine.
    Host,
}

impl Item {
    /// Of one CPU.
    pub fn percent(&self) -> f64 {
        self.per_second * self.ns_each / 1e7
    }
}

impl Plan {
    /// Of one CPU.
    pub fn percent(&self, payer: Payer) -> f64 {
        self.items.iter().filter(|item| item.payer == payer).map(Item::percent).sum()
    }
}

/// The world stood still, or a collection was under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    pub kind: StopKind,
    /// From when on, by CLOCK_MONOTONIC.
    pub begin_ns: u64,
    /// From the wish to stop until the Ps run again; from the wish to collect to mark termination.
    pub ns: u64,
    /// Who asked for it.
    pub goid: u64,
    pub stack: Option<u32>,
    /// Who gave up its P last; `None` when no other P ran, and for a collection.
    pub last: Option<Holder>,
}

/// A goroutine that the world waited for in order to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// 0 when it was the scheduler, or a goroutine that got its P while the world was asked to stop.
    pub goid: u64,
    /// From the wish to stop until it gave up its P.
    pub ns: u64,
    /// Where it gave it up.
    pub stack: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StopKind {
    World,
    Collection,
}

impl StopKind {
    pub fn as_str(self) -> &'static str {
        match self {
            StopKind::World => "world",
            StopKind::Collection => "collection",
        }
    }
}
