//! Threads off their CPU: from when to when, and why.

use rustc_hash::FxHashMap;

use super::tally::Key;
use crate::probes::wire::{Stacked, SwitchIn};
use crate::sched::model::Class;

/// A piece of time off the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    pub class: Class,
    pub reason: &'static str,
    /// By CLOCK_MONOTONIC.
    pub begin_ns: u64,
    pub ns: u64,
}

/// Threads that left their CPU with a goroutine, by tid.
#[derive(Default)]
pub struct OffCpu {
    /// Nothing before it counts.
    begin_ns: u64,
    open: FxHashMap<u32, Open>,
}

struct Open {
    key: Key,
    out_ns: u64,
    preempted: bool,
    in_syscall: bool,
    /// Off its CPU since before the window.
    seeded: bool,
}

const WAITS_FOR_CPU: &str = "kernel run queue";

/// `_Gsyscall` (runtime/runtime2.go).
const GSYSCALL: u32 = 3;
const GSCAN: u32 = 0x1000;

impl OffCpu {
    /// When the window begins.
    pub fn starts_at(&mut self, begin_ns: u64) {
        self.begin_ns = begin_ns;
    }

    /// A thread that a walk met in a system call before any event told of it: off its CPU from `since_ns` on, as far as is known.
    pub fn seed(&mut self, tid: u32, key: Key, since_ns: u64) {
        let open = Open { key, out_ns: since_ns, preempted: false, in_syscall: true, seeded: true };
        self.open.entry(tid).or_insert(open);
    }

    /// A thread is on a CPU: if a walk took it for blocked, it was not.
    pub fn runs(&mut self, tid: u32) {
        if self.open.get(&tid).is_some_and(|open| open.seeded) {
            self.open.remove(&tid);
        }
    }

    pub fn out(&mut self, event: &Stacked, key: Key) {
        let open = Open {
            key,
            out_ns: event.head.time_ns,
            preempted: event.head.detail == 0,
            in_syscall: event.go.status & !GSCAN == GSYSCALL,
            seeded: false,
        };
        self.open.insert(event.head.tid, open);
    }

    /// What the time until now was spent on. Nothing when its beginning was lost.
    pub fn back(&mut self, switch: &SwitchIn) -> Vec<(Key, Interval)> {
        match self.open.remove(&switch.head.tid) {
            Some(open) if open.out_ns == switch.out_ns || open.seeded && switch.out_ns == 0 => {
                open.intervals(self.begin_ns, switch.ready_ns, switch.head.time_ns)
            }
            _ => Vec::new(),
        }
    }

    /// Events were lost: who came back meanwhile is not known.
    pub fn forget(&mut self) {
        self.open.clear();
    }

    /// Those that have not come back by the window's end.
    pub fn close(&mut self, now_ns: u64) -> Vec<(Key, Interval)> {
        let begin_ns = self.begin_ns;
        self.open.drain().flat_map(|(_, open)| open.intervals(begin_ns, 0, now_ns)).collect()
    }
}

impl Open {
    fn intervals(self, begin_ns: u64, ready_ns: u64, back_ns: u64) -> Vec<(Key, Interval)> {
        let out_ns = self.out_ns.max(begin_ns);
        let back_ns = back_ns.max(out_ns);
        let ready_ns = if self.preempted { out_ns } else { ready_ns };
        // Not seen to wake: all of it is what it blocked in.
        let ready_ns = if ready_ns == 0 { back_ns } else { ready_ns.clamp(out_ns, back_ns) };
        let (class, reason) = match self.in_syscall {
            true => (Class::Syscall, ""),
            // A page fault, or a system call that the runtime was not told of: the goroutine keeps its P.
            false => (Class::NoCpu, "blocked in the kernel"),
        };
        let blocked = Interval { class, reason, begin_ns: out_ns, ns: ready_ns - out_ns };
        let queued = Interval { class: Class::NoCpu, reason: WAITS_FOR_CPU, begin_ns: ready_ns, ns: back_ns - ready_ns };
        [blocked, queued].into_iter().filter(|interval| interval.ns > 0).map(|interval| (self.key, interval)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::wire::{Go, Head};

    fn out(tid: u32, time_ns: u64, state: u32, status: u32) -> Stacked {
        let head = Head { time_ns, tid, detail: state, ..Head::default() };
        Stacked { head, go: Go { goid: 1, status, ..Go::default() }, ..Stacked::default() }
    }

    fn back(tid: u32, time_ns: u64, out_ns: u64, ready_ns: u64) -> SwitchIn {
        SwitchIn { head: Head { time_ns, tid, ..Head::default() }, out_ns, ready_ns, preempted: false }
    }

    fn intervals(off: &mut OffCpu, switch: &SwitchIn) -> Vec<(Class, &'static str, u64)> {
        off.back(switch).into_iter().map(|(_, i)| (i.class, i.reason, i.ns)).collect()
    }

    #[test]
    fn a_blocking_system_call_ends_when_the_thread_can_run_again() {
        let mut off = OffCpu::default();
        off.out(&out(7, 100, 1, GSYSCALL | GSCAN), Key::default());
        assert_eq!(intervals(&mut off, &back(7, 190, 100, 150)), [(Class::Syscall, "", 50), (Class::NoCpu, WAITS_FOR_CPU, 40)]);
    }

    #[test]
    fn a_preempted_thread_waits_for_a_cpu_all_the_time() {
        let mut off = OffCpu::default();
        off.out(&out(7, 100, 0, 2), Key::default());
        assert_eq!(intervals(&mut off, &back(7, 190, 100, 100)), [(Class::NoCpu, WAITS_FOR_CPU, 90)]);
    }

    #[test]
    fn what_began_unseen_is_not_invented() {
        let mut off = OffCpu::default();
        assert_eq!(intervals(&mut off, &back(7, 190, 100, 150)), []);
        off.out(&out(7, 120, 1, 2), Key::default());
        // Its own beginning was lost: the one that is open is another.
        assert_eq!(intervals(&mut off, &back(7, 190, 130, 150)), []);
    }

    #[test]
    fn who_was_away_from_before_the_window_on_counts_from_its_begin() {
        let mut off = OffCpu::default();
        off.seed(7, Key::default(), 100);
        assert_eq!(intervals(&mut off, &back(7, 190, 0, 0)), [(Class::Syscall, "", 90)]);
        off.seed(8, Key::default(), 100);
        off.runs(8);
        assert_eq!(off.close(300), []);
        // Its own departure tells more than the walk did.
        off.out(&out(9, 150, 1, GSYSCALL), Key::default());
        off.seed(9, Key::default(), 100);
        assert_eq!(intervals(&mut off, &back(9, 190, 150, 0)), [(Class::Syscall, "", 40)]);
    }

    #[test]
    fn nothing_before_the_window_counts() {
        let mut off = OffCpu::default();
        off.starts_at(130);
        off.out(&out(7, 100, 1, GSYSCALL), Key::default());
        assert_eq!(intervals(&mut off, &back(7, 190, 100, 150)), [(Class::Syscall, "", 20), (Class::NoCpu, WAITS_FOR_CPU, 40)]);
        off.out(&out(7, 100, 1, GSYSCALL), Key::default());
        assert_eq!(intervals(&mut off, &back(7, 120, 100, 110)), []);
    }

    #[test]
    fn who_is_still_away_counts_up_to_the_end() {
        let mut off = OffCpu::default();
        off.out(&out(7, 100, 1, 2), Key::default());
        let closed: Vec<_> = off.close(300).into_iter().map(|(_, i)| (i.class, i.ns)).collect();
        assert_eq!(closed, [(Class::NoCpu, 200)]);
    }
}
