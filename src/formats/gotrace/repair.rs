//! From an event of the list to steps: first those that bring the state to where the event can happen, then the event.
//!
//! What an edge that was not seen must have been is told by the event as far as possible: who starts was made runnable. Where nothing
//! tells it, as for a goroutine whose thread runs another one now, the goroutine waits for reason [`super::GAP`].

use super::machine::{Gc, GoState, Machine, ProcState};
use super::wire::Ev;
use super::{Event, GoStatus, Kind, NO_THREAD, StackId, Version};

impl Machine {
    /// `string` is the number of the event's reason or label.
    pub(super) fn event(&mut self, event: &Event<'_>, string: u64, version: Version) {
        let (known, threadless) = match event.kind {
            Kind::GoStatus { goroutine, status, .. } => (is_goroutine(goroutine), matches!(status, GoStatus::Runnable | GoStatus::Waiting)),
            Kind::GoCreate { goroutine, .. } | Kind::GoStart { goroutine } => (is_goroutine(goroutine), false),
            Kind::GoUnblock { goroutine, .. } => (is_goroutine(goroutine), true),
            Kind::ProcStop(_) | Kind::ProcSteal(_) | Kind::HeapAlloc(_) | Kind::HeapGoal(_) | Kind::Procs(_) => (true, true),
            _ => (true, false),
        };
        let thread = i64::try_from(event.thread).is_ok() || (threadless && event.thread == NO_THREAD);
        let taken = known && thread && event.goroutine.is_none_or(is_goroutine) && self.take(event, string, version);
        if !taken {
            self.repairs.left_out += 1;
        }
    }

    fn take(&mut self, event: &Event<'_>, string: u64, version: Version) -> bool {
        let thread = event.thread;
        match event.kind {
            Kind::GoStatus { goroutine, status, stack } => {
                let stack = if version == Version::Go122 { StackId::NONE } else { stack };
                self.status(event, goroutine, status, stack.0)
            }
            Kind::GoCreate { goroutine, start, stack } => self.create(event, goroutine, start.0, stack.0),
            Kind::GoStart { goroutine } => self.start(event, goroutine),
            Kind::GoBlock { stack, .. } => self.running(event).map(|_| self.go_block(thread, string, stack.0)).is_some(),
            Kind::GoStop { stack, .. } => self.running(event).map(|_| self.go_stop(thread, string, stack.0)).is_some(),
            Kind::GoDestroy => self.running(event).map(|_| self.go_destroy(thread)).is_some(),
            Kind::GoUnblock { goroutine, stack } => self.unblock(event, goroutine, stack.0),
            Kind::SyscallEnter { stack } => self.running(event).map(|_| self.syscall_begin(thread, stack.0)).is_some(),
            Kind::SyscallExit => self.syscall_exit(event),
            Kind::SyscallExitBlocked => self.syscall_exit_blocked(event),
            Kind::ProcStart(proc) => self.told(|machine| machine.start_proc(thread, proc)),
            Kind::ProcStop(proc) => self.told(|machine| machine.stop_proc(thread, proc)),
            Kind::ProcSteal(proc) => self.told(|machine| machine.steal_proc(thread, proc)),
            Kind::StwBegin { stack, .. } => self.stw_begin(event, string, stack.0),
            Kind::StwEnd => self.stw_end(event),
            Kind::GcBegin { stack } => self.gc_begin(event, stack.0),
            Kind::GcEnd => self.gc_end(event),
            Kind::AssistBegin { stack } => self.assist_begin(event, stack.0),
            Kind::AssistEnd => self.assist_end(event),
            Kind::Label(_) => self.running(event).map(|_| self.step(thread, Ev::GoLabel, [string])).is_some(),
            Kind::HeapAlloc(bytes) => self.metric(event, Ev::HeapAlloc, bytes),
            Kind::HeapGoal(bytes) => self.metric(event, Ev::HeapGoal, bytes),
            Kind::Procs(count) => self.procs_change(event, count),
        }
    }

    /// After this no goroutine runs and no P; those in system calls stay there.
    pub(super) fn forget_running(&mut self) {
        let running = self.procs.values().filter_map(|proc| match proc.state {
            ProcState::Running(thread) => Some(thread),
            ProcState::Idle | ProcState::Syscall(_) => None,
        });
        for thread in running.collect::<Vec<_>>() {
            if self.runs(thread) {
                self.vacate(thread);
            }
            self.proc_stop(thread);
        }
    }

    fn status(&mut self, event: &Event<'_>, goroutine: u64, status: GoStatus, stack: u64) -> bool {
        let thread = event.thread;
        if self.state(goroutine).is_some() {
            return false;
        }
        let state = match status {
            GoStatus::Runnable => GoState::Runnable,
            GoStatus::Waiting => GoState::Waiting,
            GoStatus::Running => {
                if !self.hold(event) {
                    return false;
                }
                self.vacate(thread);
                GoState::Running(thread)
            }
            GoStatus::Syscall => {
                self.vacate(thread);
                if let (Some(proc), None) = (event.proc, self.thread(thread).proc)
                    && self.proc(proc).is_none()
                {
                    self.proc_status(thread, proc, ProcState::Syscall(thread));
                }
                GoState::Syscall(thread)
            }
        };
        self.go_status(thread, goroutine, state, stack);
        true
    }

    fn create(&mut self, event: &Event<'_>, goroutine: u64, start: u64, stack: u64) -> bool {
        let creator = event.goroutine.or(self.thread(event.thread).goroutine);
        let placed = match creator {
            Some(_) => self.running(event).is_some(),
            None => self.hold(event),
        };
        let new = placed && self.state(goroutine).is_none();
        if new {
            self.go_create(event.thread, goroutine, start, stack);
        }
        new
    }

    fn start(&mut self, event: &Event<'_>, goroutine: u64) -> bool {
        let thread = event.thread;
        if !self.hold(event) {
            return false;
        }
        if self.thread(thread).goroutine == Some(goroutine) {
            self.release(thread);
        } else {
            self.vacate(thread);
        }
        self.make_runnable(thread, goroutine);
        self.go_start(thread, goroutine);
        true
    }

    fn unblock(&mut self, event: &Event<'_>, goroutine: u64, stack: u64) -> bool {
        let thread = event.thread;
        // Nobody wakes himself.
        let waker = event.goroutine.filter(|&waker| waker != goroutine && Some(waker) != self.thread(thread).goroutine);
        if waker.is_some() && thread != NO_THREAD {
            self.running(event);
        }
        match self.state(goroutine) {
            None => self.go_status(thread, goroutine, GoState::Waiting, 0),
            Some(GoState::Running(on) | GoState::Syscall(on)) => self.vacate(on),
            Some(GoState::Runnable | GoState::Waiting) => {}
        }
        let waits = self.state(goroutine) == Some(GoState::Waiting);
        if waits {
            self.go_unblock(thread, goroutine, stack);
        }
        waits
    }

    fn syscall_exit(&mut self, event: &Event<'_>) -> bool {
        let thread = event.thread;
        let Some(goroutine) = event.goroutine.or(self.thread(thread).goroutine) else { return false };
        match self.state(goroutine) {
            None => {
                self.status(event, goroutine, GoStatus::Syscall, 0);
            }
            Some(GoState::Syscall(on)) if on == thread => {}
            Some(GoState::Running(on)) if on == thread => return false,
            Some(_) => return self.running(event).is_some(),
        }
        let same_proc = event.proc.is_none_or(|proc| self.thread(thread).proc == Some(proc));
        if self.in_syscall_with_proc(thread) && same_proc {
            self.syscall_end(thread);
        } else if self.hold(event) {
            // It lost its P, and got this one.
            self.syscall_end_blocked(thread);
            self.go_start(thread, goroutine);
        } else {
            self.syscall_end_blocked(thread);
        }
        true
    }

    fn syscall_exit_blocked(&mut self, event: &Event<'_>) -> bool {
        let thread = event.thread;
        let Some(goroutine) = event.goroutine.or(self.thread(thread).goroutine) else { return false };
        match self.state(goroutine) {
            None => {
                self.vacate(thread);
                self.go_status(thread, goroutine, GoState::Syscall(thread), 0);
            }
            Some(GoState::Syscall(on)) if on == thread => {}
            Some(GoState::Runnable) => return false,
            Some(_) => {
                self.make_runnable(thread, goroutine);
                return true;
            }
        }
        if self.in_syscall_with_proc(thread) {
            self.proc_stop(thread);
        }
        self.syscall_end_blocked(thread);
        true
    }

    fn start_proc(&mut self, thread: u64, proc: u32) -> bool {
        if self.runs(thread) {
            self.vacate(thread);
        }
        if self.in_syscall_with_proc(thread) {
            self.proc_stop(thread);
        }
        let new = self.thread(thread).proc != Some(proc);
        self.acquire(thread, proc);
        new
    }

    fn stop_proc(&mut self, thread: u64, proc: u32) -> bool {
        match self.proc(proc) {
            None => self.proc_status(thread, proc, ProcState::Idle),
            Some(ProcState::Idle) => return false,
            Some(ProcState::Running(on) | ProcState::Syscall(on)) => {
                if self.runs(on) {
                    self.vacate(on);
                }
                self.proc_stop(on);
            }
        }
        true
    }

    fn steal_proc(&mut self, thread: u64, proc: u32) -> bool {
        match self.proc(proc) {
            Some(ProcState::Syscall(from)) if thread != NO_THREAD && from != thread => {
                self.proc_steal(thread, proc, from);
                true
            }
            _ => self.stop_proc(thread, proc),
        }
    }

    fn stw_begin(&mut self, event: &Event<'_>, reason: u64, stack: u64) -> bool {
        let Some(goroutine) = self.running(event) else { return false };
        let open = self.goroutines.get_mut(&goroutine).is_some_and(|g| std::mem::replace(&mut g.stw, true));
        if open {
            self.lost(1);
            self.step(event.thread, Ev::StwEnd, []);
        }
        self.step(event.thread, Ev::StwBegin, [reason, stack]);
        true
    }

    fn stw_end(&mut self, event: &Event<'_>) -> bool {
        let Some(goroutine) = self.running(event) else { return false };
        let open = self.goroutines.get_mut(&goroutine).is_some_and(|g| std::mem::take(&mut g.stw));
        if open {
            self.step(event.thread, Ev::StwEnd, []);
        }
        open
    }

    fn assist_begin(&mut self, event: &Event<'_>, stack: u64) -> bool {
        let Some(goroutine) = self.running(event) else { return false };
        let open = self.goroutines.get_mut(&goroutine).is_some_and(|g| std::mem::replace(&mut g.assist, true));
        if open {
            self.lost(1);
            self.step(event.thread, Ev::GcMarkAssistEnd, []);
        }
        self.step(event.thread, Ev::GcMarkAssistBegin, [stack]);
        true
    }

    fn assist_end(&mut self, event: &Event<'_>) -> bool {
        let Some(goroutine) = self.running(event) else { return false };
        let open = self.goroutines.get_mut(&goroutine).is_some_and(|g| std::mem::take(&mut g.assist));
        if !open {
            self.step(event.thread, Ev::GcMarkAssistActive, [goroutine]);
        }
        self.step(event.thread, Ev::GcMarkAssistEnd, []);
        true
    }

    fn gc_begin(&mut self, event: &Event<'_>, stack: u64) -> bool {
        if self.running(event).is_none() {
            return false;
        }
        let mut last = match self.gc {
            Gc::Unknown => 0,
            Gc::Off(seq) | Gc::On(seq) => seq,
        };
        if matches!(self.gc, Gc::On(_)) {
            last += 1;
            self.lost(1);
            self.step(event.thread, Ev::GcEnd, [last]);
        }
        self.gc = Gc::On(last + 1);
        self.step(event.thread, Ev::GcBegin, [last + 1, stack]);
        true
    }

    fn gc_end(&mut self, event: &Event<'_>) -> bool {
        if self.running(event).is_none() {
            return false;
        }
        let last = match self.gc {
            Gc::Off(_) => return false,
            Gc::On(seq) => seq,
            Gc::Unknown => {
                self.step(event.thread, Ev::GcActive, [1]);
                1
            }
        };
        self.gc = Gc::Off(last + 1);
        self.step(event.thread, Ev::GcEnd, [last + 1]);
        true
    }

    /// A reader takes these from a thread with a P only.
    fn metric(&mut self, event: &Event<'_>, kind: Ev, value: u64) -> bool {
        let own = self.thread(event.thread).proc.map(|_| event.thread);
        let host = own.or_else(|| self.hosts().next());
        host.map(|thread| self.step(thread, kind, [value])).is_some()
    }

    /// A reader takes this from a thread with a P and a goroutine only.
    fn procs_change(&mut self, event: &Event<'_>, count: u32) -> bool {
        let own = self.runs(event.thread).then_some(event.thread);
        let host = own.or_else(|| self.hosts().find(|&thread| self.runs(thread)));
        host.map(|thread| self.step(thread, Ev::ProcsChange, [u64::from(count), 0])).is_some()
    }

    fn hosts(&self) -> impl Iterator<Item = u64> {
        self.procs.values().filter_map(|proc| match proc.state {
            ProcState::Running(thread) => Some(thread),
            ProcState::Idle | ProcState::Syscall(_) => None,
        })
    }

    /// Makes the goroutine of the event run on its thread, with its P. None, and nothing done, when either is unknown.
    fn running(&mut self, event: &Event<'_>) -> Option<u64> {
        let thread = event.thread;
        let goroutine = event.goroutine.or(self.thread(thread).goroutine)?;
        if !self.hold(event) {
            return None;
        }
        let held = self.thread(thread).goroutine;
        if held.is_some_and(|held| held != goroutine) {
            self.vacate(thread);
        }
        match self.state(goroutine) {
            None => self.go_status(thread, goroutine, GoState::Running(thread), 0),
            Some(GoState::Running(on)) if on == thread => {}
            Some(GoState::Syscall(on)) if on == thread && self.in_syscall_with_proc(thread) => {
                self.lost(1);
                self.syscall_end(thread);
            }
            Some(_) => {
                self.make_runnable(thread, goroutine);
                self.lost(1);
                self.go_start(thread, goroutine);
            }
        }
        Some(goroutine)
    }

    /// Gives the thread the P of the event. False, and nothing done, when that is unknown and the thread has none.
    fn hold(&mut self, event: &Event<'_>) -> bool {
        let proc = event.proc.or(self.thread(event.thread).proc);
        proc.map(|proc| self.acquire(event.thread, proc)).is_some()
    }

    /// Takes the P from whom has it; that is how Ps are seen to wander, so none of it counts as lost.
    fn acquire(&mut self, thread: u64, proc: u32) {
        let held = self.thread(thread).proc;
        if held == Some(proc) {
            return;
        }
        if held.is_some() {
            self.proc_stop(thread);
        }
        match self.proc(proc) {
            None => return self.proc_status(thread, proc, ProcState::Running(thread)),
            Some(ProcState::Idle) => {}
            Some(ProcState::Running(on)) => {
                if self.runs(on) {
                    self.vacate(on);
                }
                self.proc_stop(on);
            }
            Some(ProcState::Syscall(from)) => self.proc_steal(thread, proc, from),
        }
        self.proc_start(thread, proc);
    }

    /// The thread leaves its goroutine, and nothing tells why: it waits. Without a P it can only become runnable.
    fn vacate(&mut self, thread: u64) {
        let Some(goroutine) = self.thread(thread).goroutine else { return };
        if self.in_syscall_with_proc(thread) {
            self.lost(1);
            self.syscall_end(thread);
        } else if !self.runs(thread) {
            self.lost(1);
            self.syscall_end_blocked(thread);
            if self.thread(thread).proc.is_none() {
                return;
            }
            self.lost(1);
            self.go_start(thread, goroutine);
        }
        self.lost(1);
        self.go_block(thread, self.gap, 0);
    }

    /// The thread leaves its goroutine, which was seen elsewhere: it is runnable.
    fn release(&mut self, thread: u64) {
        if self.in_syscall_with_proc(thread) {
            self.lost(1);
            self.syscall_end(thread);
        }
        self.lost(1);
        if self.runs(thread) {
            self.go_stop(thread, self.gap, 0);
        } else {
            self.syscall_end_blocked(thread);
        }
    }

    fn make_runnable(&mut self, thread: u64, goroutine: u64) {
        match self.state(goroutine) {
            None => self.go_status(thread, goroutine, GoState::Runnable, 0),
            Some(GoState::Runnable) => {}
            Some(GoState::Running(on) | GoState::Syscall(on)) => self.release(on),
            Some(GoState::Waiting) => {
                self.lost(1);
                self.go_unblock(thread, goroutine, 0);
            }
        }
    }

    /// Whether the thread runs a goroutine, not in a system call.
    fn runs(&self, thread: u64) -> bool {
        let goroutine = self.thread(thread).goroutine;
        goroutine.is_some_and(|goroutine| matches!(self.state(goroutine), Some(GoState::Running(_))))
    }

    fn lost(&mut self, edges: u64) {
        self.repairs.goroutine_edges += edges;
    }

    /// One P edge of these is the event itself.
    fn told(&mut self, apply: impl FnOnce(&mut Self) -> bool) -> bool {
        let before = self.repairs.proc_edges;
        let taken = apply(self);
        if self.repairs.proc_edges > before {
            self.repairs.proc_edges -= 1;
        }
        taken
    }
}

/// 0 is g0; the readers' ids are signed.
fn is_goroutine(id: u64) -> bool {
    id != 0 && i64::try_from(id).is_ok()
}
