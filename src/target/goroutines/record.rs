//! The runtime's own record of a goroutine (`runtime.g`), parsed from its bytes.

use super::model::Status;
use crate::error::{Error, Result};
use crate::target::elf::{u32_at, u64_at};
use crate::target::layout::{Field, Layout};
use crate::target::runtime::GoProcess;

/// `_Gscan` (`runtime/runtime2.go`): the GC is looking at its stack, which therefore stands still.
const SCAN: u32 = 0x1000;

/// Offsets in `g`, resolved once for a process.
#[derive(Debug, Clone, Copy)]
pub struct RecordLayout {
    pub size: usize,
    stack_lo: usize,
    stack_hi: usize,
    m: usize,
    sched_sp: usize,
    sched_pc: usize,
    syscall_sp: usize,
    syscall_pc: usize,
    status: usize,
    goid: usize,
    wait_since: usize,
    wait_reason: usize,
    locked_m: usize,
    go_pc: usize,
    start_pc: usize,
    labels: usize,
    timer: usize,
    parent_goid: Option<usize>,
    sleep_when: Option<usize>,
}

impl RecordLayout {
    pub fn new(process: &GoProcess) -> Result<Self> {
        Self::of(&process.layout)
    }

    /// Errors: Target when the row lacks one of the offsets that every Go version has.
    pub fn of(layout: &Layout) -> Result<Self> {
        let optional = |field| layout.get(field).map(|o| o as usize);
        let offset = |field: Field| {
            optional(field).ok_or_else(|| Error::target(format!("no offset of runtime.{} for this Go version", field.path())))
        };
        Ok(RecordLayout {
            size: offset(Field::GSize)?,
            stack_lo: offset(Field::GStackLo)?,
            stack_hi: offset(Field::GStackHi)?,
            m: offset(Field::GM)?,
            sched_sp: offset(Field::GSchedSp)?,
            sched_pc: offset(Field::GSchedPc)?,
            syscall_sp: offset(Field::GSyscallSp)?,
            syscall_pc: offset(Field::GSyscallPc)?,
            status: offset(Field::GAtomicStatus)?,
            goid: offset(Field::GGoid)?,
            wait_since: offset(Field::GWaitSince)?,
            wait_reason: offset(Field::GWaitReason)?,
            locked_m: offset(Field::GLockedM)?,
            go_pc: offset(Field::GGoPc)?,
            start_pc: offset(Field::GStartPc)?,
            labels: offset(Field::GLabels)?,
            timer: offset(Field::GTimer)?,
            parent_goid: optional(Field::GParentGoid),
            sleep_when: optional(Field::GSleepWhen),
        })
    }
}

impl RecordLayout {
    /// True if the goroutine did not run between two copies of its record.
    ///
    /// What the garbage collector stamps on a goroutine at rest does not count: `waitsince`, and the flags behind `waitreason`
    /// (preempt … gcscandone). Everything else does, above all `trackingSeq`, which counts its transitions out of running.
    pub fn same_rest(&self, before: &[u8], after: &[u8]) -> bool {
        let stamped = [self.wait_since..self.wait_since + 8, self.wait_reason + 1..self.wait_reason + 8];
        before.len() == after.len()
            && (before == after
                || before.iter().zip(after).enumerate().all(|(i, (a, b))| a == b || stamped.iter().any(|range| range.contains(&i))))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    pub address: u64,
    pub id: u64,
    pub state: State,
    pub stack_lo: u64,
    pub stack_hi: u64,
    pub m: u64,
    pub sched_sp: u64,
    pub sched_pc: u64,
    pub syscall_sp: u64,
    pub syscall_pc: u64,
    pub wait_since: i64,
    pub wait_reason: u8,
    pub locked_m: u64,
    pub go_pc: u64,
    pub start_pc: u64,
    pub labels: u64,
    pub timer: u64,
    pub parent: Option<u64>,
    pub sleep_when: Option<i64>,
}

/// `g.atomicstatus`, told apart as far as reading goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Live(Status),
    /// Free for reuse; or the spare goroutine of an extra M of cgo (`_Gdeadextra`, since 1.26).
    Dead,
    /// No status that any Go version has.
    Unknown(u32),
}

impl Record {
    /// `bytes` is one whole record.
    pub fn parse(address: u64, bytes: &[u8], at: &RecordLayout) -> Record {
        let word = |offset| u64_at(bytes, offset);
        Record {
            address,
            id: word(at.goid),
            state: State::of(u32_at(bytes, at.status)),
            stack_lo: word(at.stack_lo),
            stack_hi: word(at.stack_hi),
            m: word(at.m),
            sched_sp: word(at.sched_sp),
            sched_pc: word(at.sched_pc),
            syscall_sp: word(at.syscall_sp),
            syscall_pc: word(at.syscall_pc),
            wait_since: word(at.wait_since) as i64,
            wait_reason: bytes.get(at.wait_reason).copied().unwrap_or(0),
            locked_m: word(at.locked_m),
            go_pc: word(at.go_pc),
            start_pc: word(at.start_pc),
            labels: word(at.labels),
            timer: word(at.timer),
            parent: at.parent_goid.map(word).filter(|&id| id != 0),
            sleep_when: at.sleep_when.map(|o| word(o) as i64),
        }
    }

    /// Where its stack can be walked from without its thread, innermost first: (pc, sp, saved by a system call).
    ///
    /// `None` while it runs Go code: then its registers are the truth.
    pub fn resting(&self) -> Option<(u64, u64, bool)> {
        match self.state {
            // `syscallsp` is also set for a short while around the status change (`runtime/traceback.go` prefers it, too).
            State::Live(Status::Running | Status::Syscall) if self.syscall_sp != 0 => Some((self.syscall_pc, self.syscall_sp, true)),
            State::Live(Status::Running | Status::Copystack | Status::Syscall) => None,
            State::Live(_) => Some((self.sched_pc, self.sched_sp, false)),
            State::Dead | State::Unknown(_) => None,
        }
    }

    /// True if it is the same goroutine, in the same place, as far as its record tells.
    pub fn rests_where(&self, before: &Record) -> bool {
        let place = |r: &Record| (r.id, r.state, r.m, r.locked_m, r.sched_pc, r.sched_sp, r.syscall_pc, r.syscall_sp);
        place(self) == place(before)
    }

    pub fn is_plausible(&self) -> bool {
        self.id != 0 && self.stack_lo < self.stack_hi && self.stack_hi - self.stack_lo <= 1 << 31
    }
}

impl State {
    fn of(status: u32) -> State {
        match status & !SCAN {
            0 => State::Live(Status::Idle),
            1 => State::Live(Status::Runnable),
            2 => State::Live(Status::Running),
            3 => State::Live(Status::Syscall),
            4 => State::Live(Status::Waiting),
            8 => State::Live(Status::Copystack),
            9 => State::Live(Status::Preempted),
            10 => State::Live(Status::Leaked),
            6 | 11 => State::Dead,
            other => State::Unknown(other),
        }
    }
}
