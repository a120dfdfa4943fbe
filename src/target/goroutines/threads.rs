//! The runtime's Ms and the kernel's threads behind them.

use std::cell::RefCell;
use std::fs;

use rustc_hash::FxHashMap;

use super::model::Thread;
use crate::error::Result;
use crate::target::elf::u64_at;
use crate::target::layout::Field;
use crate::target::memory::Memory;
use crate::target::runtime::GoProcess;

/// `runtime.m`, as far as goscope reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct M {
    pub address: u64,
    pub g0: u64,
    pub gsignal: u64,
    pub curg: u64,
    pub p: u64,
    pub id: i64,
    /// `gettid()` in the target's own pid namespace.
    pub procid: u64,
    /// Set while it calls into the vDSO: where from.
    pub vdso: Option<(u64, u64)>,
}

pub struct Threads<'a> {
    process: &'a GoProcess,
    size: usize,
    g0: usize,
    gsignal: usize,
    curg: usize,
    p: usize,
    id: usize,
    procid: usize,
    p_id: u64,
    /// Thread id in the target's pid namespace -> in ours; `None` where both are the same.
    by_inner_tid: Option<FxHashMap<u64, u32>>,
    known: RefCell<FxHashMap<u64, Option<Thread>>>,
}

/// What a thread does, as the kernel tells without stopping it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// On a CPU, or about to be.
    Running,
    /// Blocked in the kernel (in a system call, a page fault, stopped, frozen): its user-space pc and sp stand still.
    Blocked {
        pc: u64,
        sp: u64,
    },
    Gone,
    /// The kernel does not say.
    Unknown,
}

impl<'a> Threads<'a> {
    pub fn new(process: &'a GoProcess) -> Result<Self> {
        let mut size = process.offset(Field::MId)? + 8;
        if let Some((pc, _)) = process.runtime.vdso_pc_sp {
            size = size.max(pc as usize + 8);
        }
        Ok(Threads {
            process,
            size,
            g0: process.offset(Field::MG0)?,
            gsignal: process.offset(Field::MGsignal)?,
            curg: process.offset(Field::MCurg)?,
            p: process.offset(Field::MP)?,
            id: process.offset(Field::MId)?,
            procid: process.offset(Field::MProcid)?,
            p_id: process.offset(Field::PId)? as u64,
            by_inner_tid: inner_tids(process.pid),
            known: RefCell::default(),
        })
    }

    pub fn pid(&self) -> u32 {
        self.process.pid
    }

    /// The program was built with a sanitizer, whose C code runs on the system stack.
    pub fn calls_sanitizers(&self) -> bool {
        !self.process.runtime.sanitizer_callers.is_empty()
    }

    pub fn m_size(&self) -> usize {
        self.size
    }

    pub fn m(&self, memory: &Memory, address: u64) -> Option<M> {
        Some(self.parse(address, &memory.read_vec(address, self.size).ok()?))
    }

    pub fn parse(&self, address: u64, bytes: &[u8]) -> M {
        let word = |offset| u64_at(bytes, offset);
        let vdso = self.process.runtime.vdso_pc_sp.map(|(pc, sp)| (word(pc as usize), word(sp as usize)));
        M {
            address,
            g0: word(self.g0),
            gsignal: word(self.gsignal),
            curg: word(self.curg),
            p: word(self.p),
            id: word(self.id) as i64,
            procid: word(self.procid),
            vdso: vdso.filter(|&(pc, sp)| pc != 0 && sp != 0),
        }
    }

    /// The thread id in our namespace.
    pub fn tid(&self, m: &M) -> Option<u32> {
        match &self.by_inner_tid {
            Some(map) => map.get(&m.procid).copied(),
            None => u32::try_from(m.procid).ok().filter(|&tid| tid != 0),
        }
    }

    /// What to show of the thread that a goroutine is on.
    pub fn describe(&self, memory: &Memory, address: u64) -> Option<Thread> {
        if let Some(known) = self.known.borrow().get(&address) {
            return *known;
        }
        let thread = self.m(memory, address).map(|m| self.describe_m(memory, &m));
        self.known.borrow_mut().insert(address, thread);
        thread
    }

    pub fn describe_m(&self, memory: &Memory, m: &M) -> Thread {
        let p = if m.p == 0 { None } else { memory.word(m.p + self.p_id).ok().map(|id| id as i32) };
        Thread { tid: self.tid(m), m: Some(m.id), p }
    }

    /// `/proc/PID/task/TID/syscall`: `running`, or `NUMBER [arguments] SP PC`, or `-1 SP PC`.
    pub fn activity(&self, tid: u32) -> Activity {
        let text = match fs::read_to_string(format!("/proc/{}/task/{tid}/syscall", self.process.pid)) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Activity::Gone,
            Err(e) if e.raw_os_error() == Some(libc::ESRCH) => return Activity::Gone,
            Err(_) => return Activity::Unknown,
        };
        parse_activity(&text)
    }
}

/// The text of `/proc/PID/task/TID/syscall`.
pub fn parse_activity(text: &str) -> Activity {
    let text = text.trim();
    if text == "running" {
        return Activity::Running;
    }
    let mut words = text.split(' ').rev().map(|w| u64::from_str_radix(w.trim_start_matches("0x"), 16));
    match (words.next(), words.next()) {
        (Some(Ok(pc)), Some(Ok(sp))) if pc != 0 => Activity::Blocked { pc, sp },
        _ => Activity::Unknown,
    }
}

/// The map between thread ids of two pid namespaces, from the NSpid lines of all threads.
fn inner_tids(pid: u32) -> Option<FxHashMap<u64, u32>> {
    let inner = |status: &str| -> Option<(usize, u64)> {
        let line = status.lines().find_map(|l| l.strip_prefix("NSpid:"))?;
        Some((line.split_whitespace().count(), line.split_whitespace().last()?.parse().ok()?))
    };
    let (depth, _) = inner(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)?;
    if depth < 2 {
        return None;
    }
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let map = tasks.filter_map(|entry| {
        let tid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let status = fs::read_to_string(format!("/proc/{pid}/task/{tid}/status")).ok()?;
        Some((inner(&status)?.1, tid))
    });
    Some(map.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_description_of_a_thread_is_told_apart() {
        assert_eq!(parse_activity("running\n"), Activity::Running);
        assert_eq!(parse_activity("202 0xc000 0x80 0x0 0x0 0x0 0x0 0x7ffd10 0x46c5a3\n"), Activity::Blocked { pc: 0x46c5a3, sp: 0x7ffd10 });
        assert_eq!(parse_activity("-1 0x7ffd10 0x46c5a3"), Activity::Blocked { pc: 0x46c5a3, sp: 0x7ffd10 });
        assert_eq!(parse_activity(""), Activity::Unknown);
        assert_eq!(parse_activity("0 0 0"), Activity::Unknown);
    }
}
