//! The messages of a recording. A list of records is written as columns: numbers of one kind side by side pack well, and one byte of a file
//! never becomes more than a few bytes in memory.
//!
//! Strings are numbers into all `Strings` so far, from 1 on; 0 is none. Frames and label sets are numbered from 0 on in the same way. Times
//! and goroutine ids that follow each other are differences to the one before.

use prost::Message;

/// What stands between two lengths in the file; tables first, for the rest refers to them.
#[derive(Clone, PartialEq, Message)]
pub struct Piece {
    #[prost(message, optional, tag = "1")]
    pub strings: Option<Strings>,
    #[prost(message, optional, tag = "2")]
    pub frames: Option<Frames>,
    #[prost(message, optional, tag = "3")]
    pub label_sets: Option<LabelSets>,
    #[prost(message, optional, tag = "4")]
    pub head: Option<Head>,
    #[prost(message, optional, tag = "5")]
    pub stacks: Option<Stacks>,
    #[prost(message, optional, tag = "6")]
    pub rows: Option<Rows>,
    #[prost(message, optional, tag = "7")]
    pub threads: Option<Threads>,
    #[prost(message, optional, tag = "8")]
    pub run_latency: Option<RunLatency>,
    #[prost(message, optional, tag = "9")]
    pub blocked: Option<Blocked>,
    #[prost(message, optional, tag = "10")]
    pub wakes: Option<Wakes>,
    #[prost(message, optional, tag = "11")]
    pub present: Option<Present>,
    #[prost(message, optional, tag = "12")]
    pub moments: Option<Moments>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Strings {
    #[prost(uint32, repeated, tag = "1")]
    pub lengths: Vec<u32>,
    /// One behind the other.
    #[prost(string, tag = "2")]
    pub text: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Frames {
    #[prost(uint32, repeated, tag = "1")]
    pub functions: Vec<u32>,
    #[prost(uint32, repeated, tag = "2")]
    pub files: Vec<u32>,
    #[prost(uint32, repeated, tag = "3")]
    pub lines: Vec<u32>,
    #[prost(uint64, repeated, tag = "4")]
    pub addresses: Vec<u64>,
    #[prost(uint64, repeated, tag = "5")]
    pub entries: Vec<u64>,
    #[prost(uint32, repeated, tag = "6")]
    pub kinds: Vec<u32>,
    #[prost(bool, repeated, tag = "7")]
    pub wrappers: Vec<bool>,
}

#[derive(Clone, PartialEq, Message)]
pub struct LabelSets {
    /// Labels of each set.
    #[prost(uint32, repeated, tag = "1")]
    pub lengths: Vec<u32>,
    #[prost(uint32, repeated, tag = "2")]
    pub keys: Vec<u32>,
    #[prost(uint32, repeated, tag = "3")]
    pub values: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Head {
    /// Since 1970.
    #[prost(sint64, tag = "1")]
    pub seconds: i64,
    #[prost(uint32, tag = "2")]
    pub nanoseconds: u32,
    #[prost(message, optional, tag = "3")]
    pub target: Option<Target>,
    #[prost(uint64, tag = "4")]
    pub length_ns: u64,
    #[prost(uint32, tag = "5")]
    pub tier: u32,
    #[prost(uint64, tag = "6")]
    pub alive_ns: u64,
    #[prost(uint64, tag = "7")]
    pub samples: u64,
    /// One row, or absent.
    #[prost(message, optional, tag = "8")]
    pub run_queue: Option<Waits>,
    #[prost(message, optional, tag = "9")]
    pub cpu_queue: Option<Waits>,
    #[prost(message, optional, tag = "10")]
    pub counters: Option<Counters>,
    #[prost(message, optional, tag = "11")]
    pub cost: Option<Cost>,
    #[prost(message, optional, tag = "12")]
    pub quality: Option<Quality>,
    /// `Transitions::unpaired`, where transitions were followed.
    #[prost(uint64, optional, tag = "13")]
    pub unpaired: Option<u64>,
    #[prost(message, optional, tag = "14")]
    pub timeline: Option<Timeline>,
    /// Where stops of the world were watched.
    #[prost(message, optional, tag = "15")]
    pub stops: Option<Stops>,
    #[prost(message, optional, tag = "16")]
    pub trigger: Option<Trigger>,
    #[prost(message, optional, tag = "17")]
    pub before: Option<Before>,
    #[prost(message, optional, tag = "18")]
    pub batches: Option<Batches>,
    /// `Transitions::runnable_ns`.
    #[prost(uint64, optional, tag = "19")]
    pub runnable_ns: Option<u64>,
}

/// Equal parts of the window.
#[derive(Clone, PartialEq, Message)]
pub struct Batches {
    #[prost(uint64, repeated, tag = "1")]
    pub alive_ns: Vec<u64>,
    /// Seven a part: the classes in the order of `Class::ALL`.
    #[prost(uint64, repeated, tag = "2")]
    pub class_ns: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Stops {
    #[prost(uint32, repeated, tag = "1")]
    pub kinds: Vec<u32>,
    #[prost(uint64, repeated, tag = "2")]
    pub begins_ns: Vec<u64>,
    #[prost(uint64, repeated, tag = "3")]
    pub lengths_ns: Vec<u64>,
    #[prost(uint64, repeated, tag = "4")]
    pub goids: Vec<u64>,
    /// One more than the stack's number; 0: none.
    #[prost(uint64, repeated, tag = "5")]
    pub stacks: Vec<u64>,
    /// Who gave up its P last, of each stop: nothing, or goroutine, time and stack as above.
    #[prost(message, repeated, tag = "6")]
    pub last: Vec<Holder>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Holder {
    #[prost(bool, tag = "1")]
    pub known: bool,
    #[prost(uint64, tag = "2")]
    pub goid: u64,
    #[prost(uint64, tag = "3")]
    pub ns: u64,
    #[prost(uint64, tag = "4")]
    pub stack: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Trigger {
    #[prost(uint32, tag = "1")]
    pub metric: u32,
    #[prost(bool, tag = "2")]
    pub above: bool,
    #[prost(double, tag = "3")]
    pub limit: f64,
    #[prost(uint32, tag = "4")]
    pub text: u32,
    #[prost(double, tag = "5")]
    pub seen: f64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Before {
    /// Since 1970.
    #[prost(uint64, repeated, tag = "1")]
    pub seconds: Vec<u64>,
    #[prost(uint32, repeated, tag = "2")]
    pub nanoseconds: Vec<u32>,
    /// One bit for each figure of a second that is known; seven figures a second in `numbers`, two in `rates`.
    #[prost(uint32, repeated, tag = "3")]
    pub known: Vec<u32>,
    #[prost(uint64, repeated, tag = "4")]
    pub numbers: Vec<u64>,
    #[prost(double, repeated, tag = "5")]
    pub rates: Vec<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Target {
    #[prost(uint32, tag = "1")]
    pub pid: u32,
    #[prost(uint64, tag = "2")]
    pub start_ticks: u64,
    #[prost(uint32, tag = "3")]
    pub exe: u32,
    #[prost(uint32, tag = "4")]
    pub go_version: u32,
    #[prost(uint32, tag = "5")]
    pub main_module: u32,
    #[prost(bool, tag = "6")]
    pub stripped: bool,
    #[prost(uint32, tag = "7")]
    pub build_mode: u32,
}

/// Four bounds a row: p50, p90, p99, max.
#[derive(Clone, PartialEq, Message)]
pub struct Waits {
    #[prost(uint64, repeated, tag = "1")]
    pub counts: Vec<u64>,
    #[prost(uint64, repeated, tag = "2")]
    pub lows: Vec<u64>,
    /// 0 where there is none.
    #[prost(uint64, repeated, tag = "3")]
    pub highs: Vec<u64>,
    #[prost(bool, repeated, tag = "4")]
    pub has_highs: Vec<bool>,
    #[prost(uint32, repeated, tag = "5")]
    pub sources: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Counters {
    #[prost(uint32, optional, tag = "1")]
    pub gomaxprocs: Option<u32>,
    #[prost(uint64, optional, tag = "2")]
    pub time_slices: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    pub syscalls: Option<u64>,
    #[prost(uint64, optional, tag = "4")]
    pub created: Option<u64>,
    #[prost(uint64, optional, tag = "5")]
    pub gc_cycles: Option<u64>,
    #[prost(uint64, repeated, tag = "6")]
    pub pause_ends: Vec<u64>,
    #[prost(uint64, repeated, tag = "7")]
    pub pauses: Vec<u64>,
    #[prost(sint32, repeated, tag = "8")]
    pub p_ids: Vec<i32>,
    #[prost(uint64, repeated, tag = "9")]
    pub p_time_slices: Vec<u64>,
    #[prost(uint64, repeated, tag = "10")]
    pub p_syscalls: Vec<u64>,
    #[prost(double, repeated, tag = "11")]
    pub p_queue_means: Vec<f64>,
    #[prost(uint32, repeated, tag = "12")]
    pub p_queue_maxima: Vec<u32>,
    #[prost(double, optional, tag = "13")]
    pub idle_ps: Option<f64>,
    #[prost(double, optional, tag = "14")]
    pub spinning_ms: Option<f64>,
    #[prost(double, optional, tag = "15")]
    pub global_queue: Option<f64>,
    #[prost(message, optional, tag = "16")]
    pub throttled: Option<Throttled>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Throttled {
    #[prost(uint64, tag = "1")]
    pub periods: u64,
    #[prost(uint64, tag = "2")]
    pub throttled_periods: u64,
    #[prost(uint64, tag = "3")]
    pub throttled_ns: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Cost {
    #[prost(message, optional, tag = "1")]
    pub plan: Option<Plan>,
    #[prost(uint64, optional, tag = "2")]
    pub probes_ns: Option<u64>,
    #[prost(uint64, tag = "3")]
    pub target_cpu_ns: u64,
    #[prost(uint64, tag = "4")]
    pub own_cpu_ns: u64,
    #[prost(uint64, tag = "5")]
    pub attach_ns: u64,
    #[prost(uint64, tag = "6")]
    pub detach_ns: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Plan {
    #[prost(uint32, tag = "1")]
    pub tier: u32,
    #[prost(uint32, tag = "2")]
    pub hz: u32,
    #[prost(bool, tag = "3")]
    pub switch_stacks: bool,
    #[prost(uint32, repeated, tag = "4")]
    pub whats: Vec<u32>,
    #[prost(uint32, repeated, tag = "5")]
    pub payers: Vec<u32>,
    #[prost(double, repeated, tag = "6")]
    pub per_second: Vec<f64>,
    #[prost(double, repeated, tag = "7")]
    pub ns_each: Vec<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Quality {
    #[prost(uint32, repeated, tag = "1")]
    pub cpus: Vec<u32>,
    #[prost(uint64, repeated, tag = "2")]
    pub sent: Vec<u64>,
    #[prost(uint64, repeated, tag = "3")]
    pub received: Vec<u64>,
    #[prost(uint64, repeated, tag = "4")]
    pub lost: Vec<u64>,
    #[prost(uint64, repeated, tag = "5")]
    pub malformed: Vec<u64>,
    #[prost(uint64, tag = "6")]
    pub late: u64,
    #[prost(uint64, tag = "7")]
    pub not_followed: u64,
    #[prost(uint64, tag = "8")]
    pub truncated_stacks: u64,
    #[prost(uint64, tag = "9")]
    pub unresolved_frames: u64,
    #[prost(uint64, tag = "10")]
    pub walks: u64,
    #[prost(uint64, tag = "11")]
    pub torn: u64,
    #[prost(uint64, tag = "12")]
    pub skipped: u64,
    #[prost(uint64, tag = "13")]
    pub not_resident: u64,
    #[prost(uint32, tag = "14")]
    pub layout: u32,
    #[prost(uint32, repeated, tag = "15")]
    pub warnings: Vec<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Timeline {
    #[prost(uint64, tag = "1")]
    pub monotonic_ns: u64,
    #[prost(uint64, tag = "2")]
    pub realtime_ns: u64,
    #[prost(uint64, tag = "3")]
    pub dropped: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Stacks {
    /// Frames of each stack.
    #[prost(uint32, repeated, tag = "1")]
    pub lengths: Vec<u32>,
    #[prost(uint32, repeated, tag = "2")]
    pub frames: Vec<u32>,
    /// 0: whole.
    #[prost(uint32, repeated, tag = "3")]
    pub cuts: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Rows {
    #[prost(uint32, repeated, tag = "1")]
    pub classes: Vec<u32>,
    #[prost(uint32, repeated, tag = "2")]
    pub sources: Vec<u32>,
    #[prost(uint32, repeated, tag = "3")]
    pub reasons: Vec<u32>,
    #[prost(uint32, repeated, tag = "4")]
    pub stacks: Vec<u32>,
    #[prost(uint32, repeated, tag = "5")]
    pub starts: Vec<u32>,
    #[prost(uint32, repeated, tag = "6")]
    pub creators: Vec<u32>,
    #[prost(uint32, repeated, tag = "7")]
    pub label_sets: Vec<u32>,
    #[prost(uint64, repeated, tag = "8")]
    pub counts: Vec<u64>,
    #[prost(uint64, repeated, tag = "9")]
    pub on_cpu_ns: Vec<u64>,
    #[prost(uint64, repeated, tag = "10")]
    pub off_cpu_ns: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Threads {
    #[prost(uint32, repeated, tag = "1")]
    pub tids: Vec<u32>,
    #[prost(uint32, repeated, tag = "2")]
    pub names: Vec<u32>,
    #[prost(uint64, repeated, tag = "3")]
    pub on_cpu_ns: Vec<u64>,
    #[prost(uint64, repeated, tag = "4")]
    pub waited_ns: Vec<u64>,
    #[prost(uint64, repeated, tag = "5")]
    pub switches: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct RunLatency {
    #[prost(uint32, repeated, tag = "1")]
    pub creators: Vec<u32>,
    #[prost(uint64, repeated, tag = "2")]
    pub totals_ns: Vec<u64>,
    #[prost(message, optional, tag = "3")]
    pub waits: Option<Waits>,
    /// Of the `go` statement; 0 is none. Absent in recordings of an older goscope.
    #[prost(uint32, repeated, tag = "4")]
    pub files: Vec<u32>,
    #[prost(uint32, repeated, tag = "5")]
    pub lines: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Blocked {
    #[prost(uint32, repeated, tag = "1")]
    pub reasons: Vec<u32>,
    #[prost(uint32, repeated, tag = "2")]
    pub stacks: Vec<u32>,
    #[prost(uint64, repeated, tag = "3")]
    pub counts: Vec<u64>,
    #[prost(uint64, repeated, tag = "4")]
    pub ns: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Wakes {
    #[prost(uint64, repeated, tag = "1")]
    pub counts: Vec<u64>,
    #[prost(uint64, repeated, tag = "2")]
    pub ns: Vec<u64>,
    /// Hops of each path.
    #[prost(uint32, repeated, tag = "3")]
    pub lengths: Vec<u32>,
    #[prost(uint32, repeated, tag = "4")]
    pub stacks: Vec<u32>,
    #[prost(uint32, repeated, tag = "5")]
    pub reasons: Vec<u32>,
    #[prost(uint32, repeated, tag = "6")]
    pub by: Vec<u32>,
    /// Of a goroutine; else 0.
    #[prost(uint32, repeated, tag = "7")]
    pub wakers: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Present {
    /// Differences.
    #[prost(sint64, repeated, tag = "1")]
    pub goids: Vec<i64>,
    #[prost(uint32, repeated, tag = "2")]
    pub states: Vec<u32>,
    #[prost(uint32, repeated, tag = "3")]
    pub reasons: Vec<u32>,
    #[prost(uint32, repeated, tag = "4")]
    pub stacks: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Moments {
    /// Differences.
    #[prost(sint64, repeated, tag = "1")]
    pub times: Vec<i64>,
    #[prost(uint32, repeated, tag = "2")]
    pub cpus: Vec<u32>,
    #[prost(uint32, repeated, tag = "3")]
    pub tids: Vec<u32>,
    #[prost(sint32, repeated, tag = "4")]
    pub ps: Vec<i32>,
    #[prost(uint64, repeated, tag = "5")]
    pub goids: Vec<u64>,
    /// Differences to `goids`.
    #[prost(sint64, repeated, tag = "6")]
    pub by_goids: Vec<i64>,
    #[prost(uint64, repeated, tag = "7")]
    pub go_pcs: Vec<u64>,
    /// From 1 on; 0 is none.
    #[prost(uint64, repeated, tag = "8")]
    pub stacks: Vec<u64>,
    #[prost(uint32, repeated, tag = "9")]
    pub whats: Vec<u32>,
    /// Of those that have one; else 0.
    #[prost(uint32, repeated, tag = "10")]
    pub reasons: Vec<u32>,
}
