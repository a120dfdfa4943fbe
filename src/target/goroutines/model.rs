//! What a goroutine's record, thread and stack tell of it, in words.

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    Idle,
    Runnable,
    Running,
    Syscall,
    Waiting,
    Dead,
    Copystack,
    Preempted,
    Leaked,
}

impl Status {
    pub const ALL: [Status; 9] = [
        Status::Idle,
        Status::Runnable,
        Status::Running,
        Status::Syscall,
        Status::Waiting,
        Status::Dead,
        Status::Copystack,
        Status::Preempted,
        Status::Leaked,
    ];
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Idle => "idle",
            Status::Runnable => "runnable",
            Status::Running => "running",
            Status::Syscall => "syscall",
            Status::Waiting => "waiting",
            Status::Dead => "dead",
            Status::Copystack => "copystack",
            Status::Preempted => "preempted",
            Status::Leaked => "leaked",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Thread {
    /// Thread id in goscope's pid namespace; `None` if it has no number there.
    pub tid: Option<u32>,
    /// The runtime's M id.
    pub m: Option<i64>,
    /// The P it holds.
    pub p: Option<i32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockedOn {
    /// `channel`, `mutex`, `rwmutex`, `waitgroup`, `cond`, `semaphore`, `fd`.
    pub what: &'static str,
    pub address: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadState {
    /// Equal before and after its stack was read.
    Consistent,
    /// Its thread was stopped while it was read.
    Stopped,
    /// Its record was copied while all threads that run Go code stood still.
    Paused,
    /// Moved while being read; what is shown is the last attempt's state without a stack.
    Torn,
    /// Running, and its thread was not stopped.
    NotRead,
}

impl ReadState {
    pub fn as_str(self) -> &'static str {
        match self {
            ReadState::Consistent => "consistent",
            ReadState::Stopped => "stopped",
            ReadState::Paused => "paused",
            ReadState::Torn => "torn",
            ReadState::NotRead => "not_read",
        }
    }
}
