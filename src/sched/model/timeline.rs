//! What happened in its order.

use std::sync::Arc;

use super::Class;

/// What happened one after the other, for the formats that draw time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timeline {
    /// CLOCK_MONOTONIC and time since 1970 of one moment, in ns.
    pub clock: (u64, u64),
    /// Goroutines that were there at the start.
    pub present: Vec<Present>,
    /// In the order of time.
    pub moments: Vec<Moment>,
    /// Moments that there was no room for.
    pub dropped: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Present {
    pub goid: u64,
    pub state: Class,
    pub reason: Option<Arc<str>>,
    pub stack: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// CLOCK_MONOTONIC.
    pub time_ns: u64,
    pub cpu: u32,
    pub tid: u32,
    /// The P of the thread, -1 for none.
    pub p: i32,
    /// Whom it is about; 0 for nobody.
    pub goid: u64,
    /// Whose thread it happened on; 0 for the scheduler.
    pub by_goid: u64,
    /// The `go` statement of `goid`; 0 if not known.
    pub go_pc: u64,
    pub stack: Option<u32>,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// On a CPU at this time.
    Sample,
    /// Left its CPU; `true` when it could have gone on.
    Out(bool),
    /// Got a CPU again.
    In,
    /// Made ready.
    Runnable,
    NetworkReady,
    /// Gave up its P.
    Yield,
    /// Put on a P.
    Run,
    Park(Option<Arc<str>>),
    Dead,
    StwBegin(Option<Arc<str>>),
    StwEnd,
    GcBegin,
    GcEnd,
    AssistBegin,
    /// Events were lost before this.
    Gap,
}
