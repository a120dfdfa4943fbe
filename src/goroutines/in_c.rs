//! Goroutines inside C (cgo): their Go stack ends in `runtime.cgocall`, the C frames in front of it are on their thread's stack.
//! And goroutines that C called back: the C frames belong behind `runtime.cgocallback`.
//!
//! A blocked thread shows pc and sp without a stop; only one that is on a CPU in C is stopped, and counted.

use super::model::{ReadState, Status};
use super::running::{RunningReader, resident_pieces};
use crate::error::Result;
use crate::target::elf::u64_at;
use crate::target::goroutines::record::{Record, State};
use crate::target::goroutines::threads::{Activity, M};
use crate::target::memory::Memory;
use crate::target::native::{End, NativeUnwinder, NativeWalk, Registers, Text};
use crate::target::unwind::{Pc, missing_frames};

/// Of a C stack; deeper ones are cut and marked.
const C_STACK_MAX: u64 = 256 << 10;

/// Deeper nesting of callbacks is not shown.
const MAX_CALLBACKS: usize = 64;

impl<'a> RunningReader<'a> {
    /// Works off the list, as `read_all` does.
    pub fn read_in_c(&mut self, records: &mut Vec<Record>) -> Result<()> {
        while !self.must_end {
            let Some(record) = records.pop() else { break };
            self.read_one_in_c(&record)?;
        }
        Ok(())
    }

    fn read_one_in_c(&mut self, record: &Record) -> Result<()> {
        let in_front = if record.state == State::Live(Status::Syscall) { self.c_frames(record) } else { None };
        let behind = self.callers_of_callbacks(record);
        let listed = self.parked.raw.goroutines.len();
        self.parked.lists_c = true;
        let read = self.parked.read_all(&[record.address]).and_then(|()| match self.parked.running.pop() {
            // Back in Go by now.
            Some(running) => self.read_one(running).map(|()| true),
            None => Ok(false),
        });
        self.parked.lists_c = false;
        if read? {
            return Ok(());
        }
        let Some(goroutine) = self.parked.raw.goroutines.get_mut(listed) else { return Ok(()) };
        // Still in the same call: the thread was in it when its C stack was read, and is now.
        if !goroutine.record.rests_where(record) {
            return Ok(());
        }
        let (go, cut) = &self.parked.raw.stacks.stacks[goroutine.stack as usize];
        let mut whole: Vec<Pc> = Vec::with_capacity(go.len() + 16);
        if let Some((frames, how)) = in_front {
            whole.extend(frames);
            goroutine.read = how;
        }
        let mut behind = behind.into_iter();
        for &pc in go {
            whole.push(pc);
            if self.callbacks.as_ref().is_some_and(|callbacks| callbacks.is_callback(pc.address())) {
                whole.extend(behind.next().unwrap_or_else(|| vec![missing_frames()]));
            }
        }
        let cut = *cut;
        goroutine.stack = self.parked.raw.stacks.number(&whole, cut);
        Ok(())
    }

    /// The C frames that called into Go, of each callback on the goroutine's stack, innermost callback first.
    fn callers_of_callbacks(&mut self, record: &Record) -> Vec<Vec<Pc>> {
        // Between C and Go a goroutine is wired to its thread (`runtime/cgocall.go`: cgocallbackg).
        let m = if record.m != 0 { record.m } else { record.locked_m };
        let Some(m) = self.threads.m(&self.parked.memory, m) else { return Vec::new() };
        let Some(mut sp) = self.saved_sp_of(m.g0) else { return Vec::new() };
        let stack = self.c_stack(&m, sp);
        let mut callers = Vec::new();
        while callers.len() < MAX_CALLBACKS {
            let Some(callback) =
                self.callbacks.as_ref().and_then(|callbacks| callbacks.caller(sp, &mut reader(&stack, &self.parked.memory)))
            else {
                break;
            };
            let Some(walk) = self.walk_c(callback.caller, true, &stack) else { break };
            callers.push(pcs(&walk));
            match callback.outer_sp {
                Some(outer) => sp = outer,
                None => break,
            }
        }
        callers
    }

    /// `g.sched.sp`.
    fn saved_sp_of(&self, g: u64) -> Option<u64> {
        let bytes = self.parked.memory.read_vec(g, self.layout.size).ok()?;
        Some(Record::parse(g, &bytes, &self.layout).sched_sp)
    }

    /// The C frames, innermost first, and how they were read. `None` when its thread is back in Go or may not be looked at.
    fn c_frames(&mut self, record: &Record) -> Option<(Vec<Pc>, ReadState)> {
        let m = self.threads.m(&self.parked.memory, record.m).filter(|m| m.curg == record.address)?;
        let tid = self.threads.tid(&m)?;
        let turns = self.threads.turns(tid);
        match self.threads.activity(tid) {
            Activity::Blocked { pc, sp } => {
                let stack = self.c_stack(&m, sp);
                let walk = self.walk_c(Registers::at(pc, sp), false, &stack)?;
                let still = self.threads.activity(tid) == Activity::Blocked { pc, sp } && self.threads.turns(tid) == turns;
                still.then(|| (pcs(&walk), ReadState::Consistent))
            }
            Activity::Running | Activity::Unknown => {
                let (registers, stack) = self.while_stopped(tid, |reader, registers| (registers, reader.c_stack(&m, registers.sp))).ok()?;
                let walk = self.walk_c(Registers::stopped(&registers), false, &stack)?;
                Some((pcs(&walk), ReadState::Stopped))
            }
            Activity::Gone => None,
        }
    }

    /// Where C runs: the thread's own stack, which is that of its g0.
    fn c_stack(&self, m: &M, sp: u64) -> Vec<(u64, Vec<u8>)> {
        let memory = &self.parked.memory;
        let Ok(bytes) = memory.read_vec(m.g0, 16) else { return Vec::new() };
        let (low, high) = (u64_at(&bytes, 0), u64_at(&bytes, 8));
        // The bounds of a C thread's stack are the runtime's estimate (runtime/cgo/gcc_linux.c), so only its far end is used.
        let end = if sp < high && sp + C_STACK_MAX > low { high } else { sp.saturating_add(C_STACK_MAX / 4) };
        resident_pieces(memory, sp, end.min(sp.saturating_add(C_STACK_MAX)))
    }

    /// `None` when there are no unwind tables to be had at all.
    pub fn walk_c(&mut self, start: Registers, at_call: bool, stack: &[(u64, Vec<u8>)]) -> Option<NativeWalk> {
        if self.native.is_none() {
            self.native = NativeUnwinder::new(&self.process.process).ok();
        }
        let process = self.process;
        let mut read = reader(stack, &self.parked.memory);
        let mut text = |pc| Text::at(&process.module, process.bias, pc);
        Some(self.native.as_mut()?.walk(start, at_call, &mut read, &mut text))
    }
}

/// Reads copied stacks; what is not of the stack (the vDSO's image, a literal in a text page) from the process.
fn reader<'s>(stack: &'s [(u64, Vec<u8>)], memory: &'s Memory<'_>) -> impl FnMut(u64, &mut [u8]) -> bool + 's {
    move |address, buffer| {
        let copied = stack.iter().find_map(|(base, bytes)| {
            let offset = usize::try_from(address.checked_sub(*base)?).ok()?;
            bytes.get(offset..offset.checked_add(buffer.len())?)
        });
        match copied {
            Some(bytes) => {
                buffer.copy_from_slice(bytes);
                true
            }
            None => memory.read(address, buffer).is_ok(),
        }
    }
}

/// As raw stack entries; frames that are missing before the Go part are marked.
pub fn pcs(walk: &NativeWalk) -> Vec<Pc> {
    let tag = |f: &crate::target::native::NativeFrame| if f.is_return_address { Pc::returning(f.pc) } else { Pc::exact(f.pc) };
    let mut pcs: Vec<Pc> = walk.frames.iter().map(|f| tag(f).native()).collect();
    if matches!(walk.end, End::Cut(_)) {
        pcs.push(missing_frames());
    }
    pcs
}
