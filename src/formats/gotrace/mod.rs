//! Go execution traces, version 2, for `go tool trace`, golang.org/x/exp/trace and gotraceui (internal/trace in the Go tree).
//!
//! The readers rebuild the scheduler's state from the file and refuse all of it at the first event that does not fit. An observer from
//! outside starts in the middle and loses events. [`Writer`] therefore tracks that state as the readers do, and writes what is
//! missing in front of an event that would not fit: goroutines whose edges were lost wait or stop with the reason [`GAP`].
//!
//! A file is one generation, since a goroutine that is mentioned first in a later one must have been created there.

mod machine;
mod reasons;
mod repair;
mod wire;

use std::io::{self, Write};

use super::pprof::Place;
use machine::{Machine, Step};
pub use reasons::block_reason;
use wire::Tables;

/// The reason of every goroutine edge that was not seen.
pub const GAP: &str = "gap (nothing was seen)";

/// The thread of an event that happened on none that is known.
pub const NO_THREAD: u64 = u64::MAX;

/// Which readers can open the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Go 1.22 and later.
    Go122,
    /// Go 1.23 and later: goroutines that are there at the start can have a stack.
    Go123,
}

/// A stack of this file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StackId(u64);

impl StackId {
    pub const NONE: StackId = StackId(0);
}

/// One function at an address; functions inlined at one address are frames of their own, innermost first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    pub address: u64,
    pub place: Place<'a>,
}

/// What happened on a thread, and what that thread held. Given in the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// Nanoseconds of CLOCK_MONOTONIC, the clock of the runtime.
    pub time: u64,
    /// The kernel's id of the thread, the M; or [`NO_THREAD`].
    pub thread: u64,
    /// The P that the thread holds. None when it holds none or nobody looked: then it holds what it held before.
    pub proc: Option<u32>,
    /// The goroutine that the thread runs, `m.curg`, before the event. None as for `proc`.
    pub goroutine: Option<u64>,
    pub kind: Kind<'a>,
}

/// Where an event says nothing else, it is about the goroutine of its thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A goroutine that is there already, as in a snapshot. If it runs or is in a system call, that is on the thread of the event.
    GoStatus {
        goroutine: u64,
        status: GoStatus,
        stack: StackId,
    },
    /// `start` is the one frame of the function it will run.
    GoCreate {
        goroutine: u64,
        start: StackId,
        stack: StackId,
    },
    GoStart {
        goroutine: u64,
    },
    /// It waits. `reason` is a name that viewers know, see [`block_reason`].
    GoBlock {
        reason: &'a str,
        stack: StackId,
    },
    /// It stays runnable: "preempted", "runtime.Gosched" (runtime/traceruntime.go: traceGoStopReasonStrings).
    GoStop {
        reason: &'a str,
        stack: StackId,
    },
    GoUnblock {
        goroutine: u64,
        stack: StackId,
    },
    GoDestroy,
    SyscallEnter {
        stack: StackId,
    },
    /// It goes on running, with the P of the event.
    SyscallExit,
    /// It became runnable, because its P was taken meanwhile.
    SyscallExitBlocked,
    /// Starts, stops and steals of Ps need not be given: they follow from which thread holds which.
    ProcStart(u32),
    ProcStop(u32),
    /// The thread of the event took the P away from one that is in a system call.
    ProcSteal(u32),
    StwBegin {
        reason: &'a str,
        stack: StackId,
    },
    StwEnd,
    GcBegin {
        stack: StackId,
    },
    GcEnd,
    AssistBegin {
        stack: StackId,
    },
    AssistEnd,
    Label(&'a str),
    /// Bytes. This and the next two can stand on [`NO_THREAD`].
    HeapAlloc(u64),
    HeapGoal(u64),
    /// GOMAXPROCS.
    Procs(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoStatus {
    Runnable,
    Running,
    Syscall,
    Waiting,
}

/// What a trace holds beyond its events, and what it lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Repairs {
    /// Edges of goroutines and ranges that were not among the events and stand in the trace.
    pub goroutine_edges: u64,
    /// Starts, stops and steals of Ps that were not among the events.
    pub proc_edges: u64,
    /// Events that are not in the trace: they told what was so already, or lacked a P or goroutine.
    pub left_out: u64,
}

/// Streams a trace: holds tables of names and stacks, and at most some MiB of events.
#[derive(Debug)]
pub struct Writer<W: Write> {
    batches: wire::Batches<W>,
    tables: Tables,
    version: Version,
    machine: Machine,
    last: u64,
}

impl<W: Write> Writer<W> {
    pub fn new(out: W, version: Version) -> io::Result<Self> {
        let mut batches = wire::Batches::new(out);
        batches.header(version)?;
        let mut tables = Tables::new();
        let gap = tables.string(GAP);
        Ok(Writer { batches, tables, version, machine: Machine::new(gap), last: 0 })
    }

    /// Equal stacks are stored once. Innermost frame first; the outermost are cut off a stack of more than 128.
    pub fn stack(&mut self, frames: &[Frame<'_>]) -> io::Result<StackId> {
        let id = self.tables.stack(frames);
        self.tables.flush(&mut self.batches)?;
        Ok(StackId(id))
    }

    pub fn write(&mut self, event: &Event<'_>) -> io::Result<()> {
        let string = match event.kind {
            Kind::GoBlock { reason, .. } | Kind::GoStop { reason, .. } | Kind::StwBegin { reason, .. } => self.tables.string(reason),
            Kind::Label(label) => self.tables.string(label),
            _ => 0,
        };
        self.tables.flush(&mut self.batches)?;
        self.machine.event(event, string, self.version);
        self.drain(event.time)
    }

    /// Says that events were lost before this time, it is not known which: goroutines that ran until then wait with the reason
    /// [`GAP`] until they are seen again, so that no state is drawn across the gap.
    pub fn gap(&mut self, time: u64) -> io::Result<()> {
        self.machine.forget_running();
        self.drain(time)
    }

    pub fn finish(mut self) -> io::Result<Repairs> {
        self.tables.finish(&mut self.batches)?;
        self.batches.finish()?;
        Ok(self.machine.repairs())
    }

    /// Writes the steps for one event. The last, the event itself, has its time; what had to come before it comes nanoseconds before.
    /// All times differ: at equal ones the reader would choose the order of two threads.
    fn drain(&mut self, time: u64) -> io::Result<()> {
        // Readers keep times as signed.
        let first = time.min(1 << 62).saturating_sub((self.machine.steps.len() as u64).saturating_sub(1));
        let times = first.max(self.last + 1)..;
        for (time, Step { thread, event, args, count }) in times.zip(self.machine.steps.drain(..)) {
            self.batches.push(thread, time, event, &args[..count])?;
            self.last = time;
        }
        Ok(())
    }
}
