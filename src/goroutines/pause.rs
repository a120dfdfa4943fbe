//! `--pause`: one consistent view. All threads that run Go code stand still while records, registers, and the stacks of running and
//! runnable goroutines are copied; the stacks of the parked ones are read afterwards and must belong to the copied record.

use std::time::{Duration, Instant};

use super::model::{ReadState, Status};
use super::running::{Observation, RunningReader, observe};
use crate::error::Result;
use crate::sys::ptrace::{RealTime, Registers, Stopped};
use crate::target::goroutines::record::{Record, RecordLayout, State};
use crate::target::goroutines::threads::Activity;
use crate::target::memory::Request;

#[derive(Debug, Clone, Copy)]
pub struct Pause {
    /// Stop threads inside C and in system calls, too.
    pub all: bool,
    /// Everything is released when this has passed.
    pub at_most: Duration,
}

/// Threads may wake up while others are being stopped, so they are looked at again, this often.
const ROUNDS: usize = 3;
/// Records copied between two looks at the clock.
const BATCH: usize = 4096;
/// Stacks of goroutines at rest that are read inside the pause, runnable ones first: they will be gone soonest.
const STACKS_INSIDE: usize = 512;

/// What the pause left to do.
pub struct Paused {
    /// Records copied, in ascending order of address.
    addresses: Vec<u64>,
    records: Vec<u8>,
    observed: Vec<Observation>,
    /// Addresses that the time did not suffice for.
    pub rest: Vec<u64>,
    /// For how long the target stood still.
    pub lasted: Duration,
}

struct Held {
    tid: u32,
    registers: Registers,
    /// Lets it run on when dropped.
    _thread: Stopped,
}

impl<'a> RunningReader<'a> {
    /// Copies under a pause. The reader's own thread must be used for nothing else meanwhile.
    pub fn pause(&mut self, layout: &RecordLayout, pause: Pause) -> Result<Paused> {
        let process = self.process;
        // Touched once before, so that the pause does not pay for page tables and caches.
        let warm = process.all_g()?;
        self.parked.memory.forget_residency();
        let real_time = RealTime::begin();
        let started = Instant::now();
        let held = self.hold(pause, started);
        let mut addresses = process.all_g().unwrap_or(warm);
        addresses.sort_unstable();
        addresses.dedup();
        let (records, copied) = self.copy_records(&addresses, layout, started, pause);
        let rest = addresses.split_off(copied);
        let mut paused = Paused { addresses, records, observed: Vec::new(), rest, lasted: Duration::ZERO };
        let within = |started: Instant| started.elapsed() < pause.at_most;
        let running: Vec<Record> = paused.iter(layout).filter(is_on_thread).collect();
        let seen = running.iter().filter(|_| within(started)).filter_map(|record| self.observe_held(record, layout, &held));
        paused.observed = seen.collect();
        let inside = paused.first_to_go(layout);
        if within(started) {
            self.parked.read_copied(&inside, |address| paused.bytes_of(address, layout))?;
            paused.forget(&inside, layout);
        }
        self.cost.stops += held.len() as u64;
        drop(held);
        paused.lasted = started.elapsed();
        drop(real_time);
        self.cost.longest = self.cost.longest.max(paused.lasted);
        self.cost.total += paused.lasted * u32::try_from(self.cost.stops).unwrap_or(u32::MAX);
        Ok(paused)
    }

    /// Names what was copied, and reads the parked stacks. Returns running goroutines whose thread was not held.
    pub fn after_pause(&mut self, paused: Paused, layout: &RecordLayout) -> Result<Vec<Record>> {
        let mut not_held = Vec::new();
        for record in paused.iter(layout).filter(is_on_thread) {
            match paused.observed.iter().find(|seen| seen.record.address == record.address) {
                Some(seen) => {
                    let (frames, cut, sp) = self.walk(seen);
                    self.list(seen, ReadState::Paused, &frames, cut, sp);
                }
                None => not_held.push(record),
            }
        }
        self.parked.read_copied(&paused.addresses, |address| {
            paused.bytes_of(address, layout).filter(|bytes| !is_on_thread(&Record::parse(address, bytes, layout)))
        })?;
        for goroutine in &mut self.parked.raw.goroutines {
            if goroutine.read == ReadState::Consistent {
                goroutine.read = ReadState::Paused;
            }
        }
        Ok(not_held)
    }

    fn hold(&mut self, pause: Pause, started: Instant) -> Vec<Held> {
        let mut held: Vec<Held> = Vec::new();
        let mut left_alone: Vec<u32> = Vec::new();
        for _ in 0..ROUNDS {
            let tids = self.process.process.threads().unwrap_or_default();
            let before = held.len();
            for tid in tids {
                if held.iter().any(|h| h.tid == tid) || left_alone.contains(&tid) || started.elapsed() >= pause.at_most {
                    continue;
                }
                // A blocked thread is in a system call: stopping it could make that return EINTR.
                if !pause.all && self.threads.activity(tid) != Activity::Running {
                    continue;
                }
                // A thread that waits for a CPU must not hold up all the others for longer than was allowed.
                let Some((thread, registers)) = self.stop(tid, pause.at_most.saturating_sub(started.elapsed())) else {
                    left_alone.push(tid);
                    continue;
                };
                if !pause.all && !self.is_in_go(registers.pc) {
                    left_alone.push(tid);
                    continue;
                }
                held.push(Held { tid, registers, _thread: thread });
            }
            if held.len() == before {
                break;
            }
        }
        held
    }

    fn is_in_go(&mut self, pc: u64) -> bool {
        self.process.runtime.vdso.contains(&pc) || self.parked.unwinder.is_go(pc)
    }

    fn copy_records(&self, addresses: &[u64], layout: &RecordLayout, started: Instant, pause: Pause) -> (Vec<u8>, usize) {
        let mut records = vec![0; addresses.len() * layout.size];
        let mut copied = 0;
        let mut buffer = Vec::new();
        for batch in addresses.chunks(BATCH) {
            if started.elapsed() >= pause.at_most {
                break;
            }
            let mut requests: Vec<Request> = batch.iter().map(|&g| Request::new(g, layout.size)).collect();
            if self.parked.memory.read_batch(&mut requests, &mut buffer).is_err() {
                break;
            }
            for request in &requests {
                // One that can't be read stays zero: status idle, counted as skipped later.
                if let Ok(offset) = request.outcome {
                    records[copied * layout.size..(copied + 1) * layout.size].copy_from_slice(&buffer[offset..offset + layout.size]);
                }
                copied += 1;
            }
        }
        records.truncate(copied * layout.size);
        (records, copied)
    }

    fn observe_held(&self, record: &Record, layout: &RecordLayout, held: &[Held]) -> Option<Observation> {
        let m = self.threads.m(&self.parked.memory, record.m)?;
        let tid = self.threads.tid(&m)?;
        let thread = held.iter().find(|h| h.tid == tid)?;
        observe(&self.parked.memory, &self.threads, layout, record, &m, thread.registers)
    }
}

/// Only its thread's registers tell where it is.
fn is_on_thread(record: &Record) -> bool {
    matches!(record.state, State::Live(Status::Running | Status::Copystack)) && record.syscall_sp == 0
}

impl Paused {
    /// Goroutines at rest whose stacks should be read before the release, in ascending order of address.
    fn first_to_go(&self, layout: &RecordLayout) -> Vec<u64> {
        let at_rest = |r: &Record| !is_on_thread(r) && matches!(r.state, State::Live(_));
        let (mut first, others): (Vec<Record>, Vec<Record>) =
            self.iter(layout).filter(at_rest).partition(|r| matches!(r.state, State::Live(Status::Runnable | Status::Preempted)));
        first.extend(others);
        let mut addresses: Vec<u64> = first.iter().take(STACKS_INSIDE).map(|r| r.address).collect();
        addresses.sort_unstable();
        addresses
    }

    fn iter(&self, layout: &RecordLayout) -> impl Iterator<Item = Record> {
        let layout = *layout;
        self.addresses
            .iter()
            .zip(self.records.chunks_exact(layout.size))
            .map(move |(&address, bytes)| Record::parse(address, bytes, &layout))
    }

    fn bytes_of(&self, address: u64, layout: &RecordLayout) -> Option<&[u8]> {
        let index = self.addresses.binary_search(&address).ok()?;
        self.records.get(index * layout.size..(index + 1) * layout.size)
    }

    /// Takes out what is done. `done` is in ascending order.
    fn forget(&mut self, done: &[u64], layout: &RecordLayout) {
        if done.is_empty() {
            return;
        }
        let mut records = Vec::with_capacity(self.records.len());
        let mut addresses = Vec::with_capacity(self.addresses.len());
        for (&address, bytes) in self.addresses.iter().zip(self.records.chunks_exact(layout.size)) {
            if done.binary_search(&address).is_err() {
                addresses.push(address);
                records.extend_from_slice(bytes);
            }
        }
        (self.addresses, self.records) = (addresses, records);
    }
}
