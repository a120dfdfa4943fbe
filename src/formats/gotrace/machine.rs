//! The scheduler's state as the readers rebuild it (internal/trace/order.go), and the one step for each event of the format.
//!
//! A step here does what the reader's function of that name does, and takes for granted what the reader would refuse; `repair` sees to
//! that. Between two events of the list these hold:
//! - A goroutine that runs is that of its thread, and the thread has a P that runs.
//! - A P in a system call is that of a thread whose goroutine is in a system call.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::wire::Ev;
use super::{NO_THREAD, Repairs};

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) goroutines: FxHashMap<u64, Goroutine>,
    pub(super) procs: BTreeMap<u32, Proc>,
    pub(super) threads: FxHashMap<u64, Thread>,
    pub(super) gc: Gc,
    /// The string of the reason `GAP`.
    pub(super) gap: u64,
    pub(super) repairs: Repairs,
    /// For the event at hand, in order.
    pub(super) steps: Vec<Step>,
}

/// One event of the file.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) thread: u64,
    pub(super) event: Ev,
    pub(super) args: [u64; 4],
    pub(super) count: usize,
}

#[derive(Debug)]
pub(super) struct Goroutine {
    pub(super) state: GoState,
    seq: u64,
    /// Open ranges.
    pub(super) stw: bool,
    pub(super) assist: bool,
}

/// With the thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GoState {
    Runnable,
    Running(u64),
    Syscall(u64),
    Waiting,
}

#[derive(Debug)]
pub(super) struct Proc {
    pub(super) state: ProcState,
    seq: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProcState {
    Idle,
    Running(u64),
    Syscall(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Thread {
    pub(super) goroutine: Option<u64>,
    pub(super) proc: Option<u32>,
}

/// With the number of its last event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gc {
    Unknown,
    Off(u64),
    On(u64),
}

impl Machine {
    pub(super) fn new(gap: u64) -> Self {
        Machine {
            goroutines: FxHashMap::default(),
            procs: BTreeMap::new(),
            threads: FxHashMap::default(),
            gc: Gc::Unknown,
            gap,
            repairs: Repairs::default(),
            steps: Vec::new(),
        }
    }

    pub(super) fn repairs(&self) -> Repairs {
        self.repairs
    }

    pub(super) fn state(&self, goroutine: u64) -> Option<GoState> {
        self.goroutines.get(&goroutine).map(|g| g.state)
    }

    pub(super) fn proc(&self, proc: u32) -> Option<ProcState> {
        self.procs.get(&proc).map(|p| p.state)
    }

    pub(super) fn thread(&self, thread: u64) -> Thread {
        self.threads.get(&thread).copied().unwrap_or_default()
    }

    /// Whether the thread holds a P that is in a system call with it.
    pub(super) fn in_syscall_with_proc(&self, thread: u64) -> bool {
        self.thread(thread).proc.is_some_and(|proc| self.proc(proc) == Some(ProcState::Syscall(thread)))
    }

    pub(super) fn step<const N: usize>(&mut self, thread: u64, event: Ev, args: [u64; N]) {
        let mut all = [0; 4];
        all[..N].copy_from_slice(&args);
        self.steps.push(Step { thread, event, args: all, count: N });
    }

    /// The first mention of a P. One that runs or is in a system call becomes that of the thread.
    pub(super) fn proc_status(&mut self, thread: u64, proc: u32, state: ProcState) {
        let number = match state {
            ProcState::Running(_) => 1,
            ProcState::Idle => 2,
            ProcState::Syscall(_) => 3,
        };
        if state != ProcState::Idle {
            self.threads.entry(thread).or_default().proc = Some(proc);
        }
        self.procs.insert(proc, Proc { state, seq: 0 });
        self.step(thread, Ev::ProcStatus, [u64::from(proc), number]);
    }

    /// An idle P becomes that of a thread without one.
    pub(super) fn proc_start(&mut self, thread: u64, proc: u32) {
        self.threads.entry(thread).or_default().proc = Some(proc);
        let seq = self.proc_next(proc, ProcState::Running(thread));
        self.repairs.proc_edges += 1;
        self.step(thread, Ev::ProcStart, [u64::from(proc), seq]);
    }

    /// The P of the thread becomes idle.
    pub(super) fn proc_stop(&mut self, thread: u64) {
        let proc = self.threads.get_mut(&thread).and_then(|t| t.proc.take());
        if let Some(proc) = proc.and_then(|proc| self.procs.get_mut(&proc)) {
            proc.state = ProcState::Idle;
        }
        self.repairs.proc_edges += 1;
        self.step(thread, Ev::ProcStop, []);
    }

    /// The P of a thread in a system call becomes idle, by this other thread.
    pub(super) fn proc_steal(&mut self, thread: u64, proc: u32, from: u64) {
        if let Some(from) = self.threads.get_mut(&from) {
            from.proc = None;
        }
        let seq = self.proc_next(proc, ProcState::Idle);
        self.repairs.proc_edges += 1;
        self.step(thread, Ev::ProcSteal, [u64::from(proc), seq, from]);
    }

    /// The first mention of a goroutine. One that runs or is in a system call becomes that of the thread, which has none.
    pub(super) fn go_status(&mut self, thread: u64, goroutine: u64, state: GoState, stack: u64) {
        let (number, on) = match state {
            GoState::Runnable => (1, NO_THREAD),
            GoState::Running(on) => (2, on),
            GoState::Syscall(on) => (3, on),
            GoState::Waiting => (4, NO_THREAD),
        };
        if on != NO_THREAD {
            self.threads.entry(on).or_default().goroutine = Some(goroutine);
        }
        self.goroutines.insert(goroutine, Goroutine { state, seq: 0, stw: false, assist: false });
        match stack {
            0 => self.step(thread, Ev::GoStatus, [goroutine, on, number]),
            _ => self.step(thread, Ev::GoStatusStack, [goroutine, on, number, stack]),
        }
    }

    /// A new goroutine, on a thread with a P.
    pub(super) fn go_create(&mut self, thread: u64, goroutine: u64, start: u64, stack: u64) {
        self.goroutines.insert(goroutine, Goroutine { state: GoState::Runnable, seq: 0, stw: false, assist: false });
        self.step(thread, Ev::GoCreate, [goroutine, start, stack]);
    }

    /// A runnable goroutine runs, on a thread with a P and no other goroutine.
    pub(super) fn go_start(&mut self, thread: u64, goroutine: u64) {
        self.threads.entry(thread).or_default().goroutine = Some(goroutine);
        let seq = self.go_next(goroutine, GoState::Running(thread));
        self.step(thread, Ev::GoStart, [goroutine, seq]);
    }

    /// A waiting goroutine becomes runnable.
    pub(super) fn go_unblock(&mut self, thread: u64, goroutine: u64, stack: u64) {
        let seq = self.go_next(goroutine, GoState::Runnable);
        self.step(thread, Ev::GoUnblock, [goroutine, seq, stack]);
    }

    /// The goroutine that the thread runs waits.
    pub(super) fn go_block(&mut self, thread: u64, reason: u64, stack: u64) {
        self.leaves(thread, GoState::Waiting);
        self.step(thread, Ev::GoBlock, [reason, stack]);
    }

    /// The goroutine that the thread runs gives way.
    pub(super) fn go_stop(&mut self, thread: u64, reason: u64, stack: u64) {
        self.leaves(thread, GoState::Runnable);
        self.step(thread, Ev::GoStop, [reason, stack]);
    }

    /// The goroutine that the thread runs ends.
    pub(super) fn go_destroy(&mut self, thread: u64) {
        if let Some(goroutine) = self.threads.get_mut(&thread).and_then(|t| t.goroutine.take()) {
            self.goroutines.remove(&goroutine);
        }
        self.step(thread, Ev::GoDestroy, []);
    }

    /// The goroutine that the thread runs enters a system call, with the P.
    pub(super) fn syscall_begin(&mut self, thread: u64, stack: u64) {
        let Thread { goroutine, proc } = self.thread(thread);
        if let Some(g) = goroutine.and_then(|g| self.goroutines.get_mut(&g)) {
            g.state = GoState::Syscall(thread);
        }
        let seq = proc.map_or(0, |proc| self.proc_next(proc, ProcState::Syscall(thread)));
        self.step(thread, Ev::GoSyscallBegin, [seq, stack]);
    }

    /// The goroutine runs on with the P it had.
    pub(super) fn syscall_end(&mut self, thread: u64) {
        let Thread { goroutine, proc } = self.thread(thread);
        if let Some(g) = goroutine.and_then(|g| self.goroutines.get_mut(&g)) {
            g.state = GoState::Running(thread);
        }
        if let Some(p) = proc.and_then(|p| self.procs.get_mut(&p)) {
            p.state = ProcState::Running(thread);
        }
        self.step(thread, Ev::GoSyscallEnd, []);
    }

    /// The goroutine lost its P and becomes runnable. The thread may have a P that runs.
    pub(super) fn syscall_end_blocked(&mut self, thread: u64) {
        self.leaves(thread, GoState::Runnable);
        self.step(thread, Ev::GoSyscallEndBlocked, []);
    }

    fn leaves(&mut self, thread: u64, state: GoState) {
        let goroutine = self.threads.get_mut(&thread).and_then(|t| t.goroutine.take());
        if let Some(g) = goroutine.and_then(|g| self.goroutines.get_mut(&g)) {
            g.state = state;
        }
    }

    fn go_next(&mut self, goroutine: u64, state: GoState) -> u64 {
        self.goroutines.get_mut(&goroutine).map_or(0, |g| {
            g.state = state;
            g.seq += 1;
            g.seq
        })
    }

    fn proc_next(&mut self, proc: u32, state: ProcState) -> u64 {
        self.procs.get_mut(&proc).map_or(0, |p| {
            p.state = state;
            p.seq += 1;
            p.seq
        })
    }
}
