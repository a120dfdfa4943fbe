//! From raw records and addresses to the snapshot: each distinct address and stack is named once.

use std::sync::Arc;
use std::time::SystemTime;

use rustc_hash::FxHashMap;

use super::model::{CreatedBy, Cut, Frame, FrameKind, Goroutine, Quality, ReadState, Snapshot, Stack, Status, TargetFacts, Thread};
use crate::error::Result;
use crate::target::goroutines::raw::{Raw, RawGoroutine};
use crate::target::goroutines::record::{Record, State};
use crate::target::goroutines::threads::Threads;
use crate::target::memory::Memory;
use crate::target::names::StackNames;
use crate::target::native::NativeSymbols;
use crate::target::runtime::GoProcess;

pub struct Naming<'a> {
    process: &'a GoProcess,
    names: StackNames<'a>,
    threads: Threads<'a>,
    memory: Memory<'a>,
    now: i64,
    creations: FxHashMap<u64, Frame>,
    starts: FxHashMap<u64, Frame>,
}

impl<'a> Naming<'a> {
    pub fn new(process: &'a GoProcess, native: Option<NativeSymbols>, now: i64) -> Result<Self> {
        Ok(Naming {
            process,
            names: StackNames::new(process, native),
            threads: Threads::new(process)?,
            memory: process.memory(),
            now,
            creations: FxHashMap::default(),
            starts: FxHashMap::default(),
        })
    }

    pub fn snapshot(mut self, raw: Raw, target: TargetFacts, captured_at: SystemTime) -> Snapshot {
        let mut quality = Quality { skipped: raw.skipped, retried: raw.retried, ..Quality::default() };
        let stacks: Vec<Stack> = raw.stacks.stacks.iter().map(|(pcs, cut)| self.names.stack(pcs, *cut)).collect();
        let user_code: Vec<bool> = stacks.iter().map(has_user_code).collect();
        let shared = |text: &String| -> Arc<str> { Arc::from(text.as_str()) };
        let labels: Vec<Vec<(Arc<str>, Arc<str>)>> =
            raw.labels.iter().map(|set| set.iter().map(|(k, v)| (shared(k), shared(v))).collect()).collect();
        let mut goroutines: Vec<Goroutine> = raw
            .goroutines
            .iter()
            .map(|g| {
                match g.read {
                    ReadState::Torn => quality.torn += 1,
                    ReadState::NotRead => quality.not_read += 1,
                    _ => {}
                }
                let stack = &stacks[g.stack as usize];
                quality.unresolved_frames += stack.frames.iter().filter(|f| f.kind == FrameKind::Unresolved).count() as u64;
                match stack.cut {
                    Some(Cut::NotResident) => quality.not_resident += 1,
                    Some(Cut::NotRead | Cut::Moving) | None => {}
                    Some(_) => quality.truncated_stacks += 1,
                }
                let labels = g.labels.and_then(|l| labels.get(l as usize)).cloned().unwrap_or_default();
                self.goroutine(g, labels, user_code[g.stack as usize])
            })
            .collect();
        goroutines.sort_unstable_by_key(|g| g.id);
        Snapshot { captured_at, target, goroutines, dead: raw.dead, stacks, quality }
    }

    fn goroutine(&mut self, raw: &RawGoroutine, labels: Vec<(Arc<str>, Arc<str>)>, user_code: bool) -> Goroutine {
        let record = &raw.record;
        let status = match record.state {
            State::Live(status) => status,
            State::Dead | State::Unknown(_) => Status::Dead,
        };
        let start = self.start(record.start_pc);
        let thread = raw.thread.or_else(|| self.thread(record));
        Goroutine {
            id: record.id,
            status,
            wait_reason: (status == Status::Waiting).then(|| self.wait_reason(record.wait_reason)).flatten(),
            wait_min_ns: self.wait_min(record, status),
            wakes_in_ns: raw.wakes_at.map(|at| at.saturating_sub(self.now)),
            created_by: self.created_by(record),
            system: start.as_ref().is_some_and(|f| is_system(f, user_code)),
            start,
            labels,
            thread,
            locked: record.locked_m != 0,
            blocked_on: raw.blocked_on.clone(),
            stack: raw.stack,
            sp: raw.sp,
            read: raw.read,
        }
    }

    fn wait_reason(&self, number: u8) -> Option<Arc<str>> {
        if number == 0 {
            return None;
        }
        let known = self.process.runtime.wait_reasons.get(usize::from(number)).cloned();
        Some(known.unwrap_or_else(|| Arc::from(format!("wait reason {number}"))))
    }

    fn wait_min(&self, record: &Record, status: Status) -> Option<u64> {
        let blocked = matches!(status, Status::Waiting | Status::Syscall);
        (blocked && record.wait_since != 0).then(|| u64::try_from(self.now - record.wait_since).unwrap_or(0))
    }

    fn created_by(&mut self, record: &Record) -> Option<CreatedBy> {
        if record.go_pc == 0 || record.id == 1 {
            return None;
        }
        let names = &mut self.names;
        let frame = self.creations.entry(record.go_pc).or_insert_with(|| names.creation(record.go_pc)).clone();
        Some(CreatedBy { frame, goroutine: record.parent })
    }

    fn start(&mut self, pc: u64) -> Option<Frame> {
        if pc == 0 {
            return None;
        }
        let names = &mut self.names;
        Some(self.starts.entry(pc).or_insert_with(|| names.function(pc)).clone())
    }

    fn thread(&self, record: &Record) -> Option<Thread> {
        let m = if record.m != 0 { record.m } else { record.locked_m };
        if m == 0 { None } else { self.threads.describe(&self.memory, m) }
    }
}

/// The rule of `isSystemGoroutine` (`runtime/traceback.go`), by the start function; the finalizer and cleanup goroutines count
/// as the user's while they run the user's functions.
fn is_system(start: &Frame, user_code: bool) -> bool {
    let name = start.function.as_ref();
    if !name.starts_with("runtime.") || matches!(name, "runtime.main" | "runtime.handleAsyncEvent" | "runtime.corostart") {
        return false;
    }
    let runs_callbacks =
        matches!(name, "runtime.runfinq" | "runtime.runFinalizers" | "runtime.runCleanups" | "runtime.(*cleanupQueue).dequeue");
    !(runs_callbacks && user_code)
}

fn has_user_code(stack: &Stack) -> bool {
    stack.frames.iter().any(|f| f.kind != FrameKind::Unresolved && !f.function.starts_with("runtime."))
}
