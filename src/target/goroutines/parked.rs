//! Reads goroutines that do not run: record, stack, record again; accepted only if nothing changed in between.

use std::time::Duration;

use rustc_hash::FxHashMap;

use super::blocked::Blocking;
use super::labels;
use super::model::{ReadState, Status};
use super::raw::{Raw, RawGoroutine};
use super::record::{Record, RecordLayout, State};
use crate::error::Result;
use crate::target::layout::Field;
use crate::target::memory::{Memory, Request, Unread};
use crate::target::pclntab::Func;
use crate::target::runtime::GoProcess;
use crate::target::stack::Cut;
use crate::target::unwind::{Pc, StackBytes, Start, Unwinder, WalkFrame, lookup};

/// Records read in one go.
const BATCH: usize = 512;
/// Stack bytes held at a time.
const BATCH_BYTES: u64 = 4 << 20;
/// More of one stack than this is not read; the walk ends with a mark.
const STACK_MAX: u64 = 64 << 20;
/// Waits before each retry of a goroutine that changed while it was read: its thread may be copying its stack.
const RETRIES: [Duration; 3] = [Duration::from_micros(20), Duration::from_micros(200), Duration::from_millis(2)];

pub struct ParkedReader<'a> {
    process: &'a GoProcess,
    pub memory: Memory<'a>,
    layout: RecordLayout,
    timer_when: Option<u64>,
    syscall_tick: Option<u64>,
    pub unwinder: Unwinder<'a>,
    blocking: Blocking<'a>,
    pub raw: Raw,
    /// Goroutines that were running Go code, for whoever may stop threads.
    pub running: Vec<Record>,
    /// Goroutines inside C, whose C frames are to be read from their threads.
    pub in_c: Vec<Record>,
    /// List goroutines inside C like all others, with their Go frames only.
    pub lists_c: bool,
    /// Find out what each goroutine blocks on.
    pub tells_objects: bool,
    /// A page that the kernel moves elsewhere is absent for some microseconds, for longer where the CPUs are busy.
    trusts_absence: bool,
    /// `runtime.cgocall`: innermost Go function of a goroutine inside C.
    cgocall: Option<Func>,
    /// `runtime.cgocallback`: where C called into Go.
    cgocallback: Option<Func>,
    frames: Vec<WalkFrame>,
    pcs: Vec<Pc>,
    label_cache: FxHashMap<u64, Option<u32>>,
}

impl<'a> ParkedReader<'a> {
    pub fn new(process: &'a GoProcess, layout: RecordLayout) -> Self {
        let found = process.module.pclntab.find_names(&["runtime.cgocall", "runtime.cgocallback"]);
        let (cgocall, cgocallback) = (found[0], found[1]);
        ParkedReader {
            process,
            memory: process.memory(),
            layout,
            timer_when: process.layout.get(Field::TimerWhen),
            syscall_tick: process.layout.get(Field::MSyscalltick),
            unwinder: Unwinder::new(&process.module, process.bias),
            blocking: Blocking::new(&process.elf, &process.module, process.bias),
            raw: Raw::default(),
            running: Vec::new(),
            in_c: Vec::new(),
            lists_c: false,
            tells_objects: true,
            trusts_absence: true,
            cgocall,
            cgocallback,
            frames: Vec::new(),
            pcs: Vec::new(),
            label_cache: FxHashMap::default(),
        }
    }

    /// Reads all of `addresses`, which must be in ascending order.
    pub fn read_all(&mut self, addresses: &[u64]) -> Result<()> {
        let mut moved = Vec::new();
        self.trusts_absence = false;
        for batch in addresses.chunks(BATCH) {
            self.read_batch(batch, &mut moved)?;
        }
        for (retry, wait) in RETRIES.into_iter().enumerate() {
            self.trusts_absence = retry + 1 == RETRIES.len();
            if moved.is_empty() {
                break;
            }
            std::thread::sleep(wait);
            self.memory.forget_residency();
            moved.sort_unstable();
            self.raw.retried += moved.len() as u64;
            let mut still = Vec::new();
            for batch in moved.chunks(16) {
                self.read_batch(batch, &mut still)?;
            }
            moved = still;
        }
        self.trusts_absence = true;
        self.give_up_on(&moved)
    }

    fn read_batch(&mut self, addresses: &[u64], moved: &mut Vec<u64>) -> Result<()> {
        // A label set can be freed and its memory reused: what is cached must not outlive a batch.
        self.label_cache.clear();
        let mut requests: Vec<Request> = addresses.iter().map(|&g| Request::new(g, self.layout.size)).collect();
        let mut bytes = Vec::new();
        self.memory.read_batch(&mut requests, &mut bytes)?;
        let mut resting = Vec::with_capacity(addresses.len());
        for request in &requests {
            let offset = match request.outcome {
                Ok(offset) => offset,
                Err(Unread::NotResident) if !self.trusts_absence => {
                    moved.push(request.address);
                    continue;
                }
                Err(_) => {
                    self.raw.skipped += 1;
                    continue;
                }
            };
            let before = &bytes[offset..offset + self.layout.size];
            let record = Record::parse(request.address, before, &self.layout);
            match self.sort(record, moved) {
                Sorted::Resting(parked) => resting.push((parked, before)),
                Sorted::Done => {}
            }
        }
        self.read_resting(resting, moved)
    }

    fn read_resting(&mut self, mut resting: Vec<(Parked, &[u8])>, moved: &mut Vec<u64>) -> Result<()> {
        resting.sort_unstable_by_key(|(parked, _)| parked.sp);
        let mut rest = &resting[..];
        while !rest.is_empty() {
            let mut size = 0;
            let count = rest
                .iter()
                .take_while(|(p, _)| {
                    size += p.len();
                    size <= BATCH_BYTES
                })
                .count()
                .max(1);
            let (now, later) = rest.split_at(count);
            self.read_stacks(now, moved)?;
            rest = later;
        }
        Ok(())
    }

    /// As `read_all`, of records copied before: a stack counts only if the goroutine still has that very record, and what has
    /// moved on is listed as it was, without a stack.
    pub fn read_copied<'b>(&mut self, addresses: &[u64], bytes_of: impl Fn(u64) -> Option<&'b [u8]>) -> Result<()> {
        for batch in addresses.chunks(BATCH) {
            self.label_cache.clear();
            let mut moved = Vec::new();
            let mut resting = Vec::new();
            for &address in batch {
                let Some(bytes) = bytes_of(address) else { continue };
                let record = Record::parse(address, bytes, &self.layout);
                if let Sorted::Resting(parked) = self.sort(record, &mut moved) {
                    resting.push((parked, bytes));
                }
            }
            self.read_resting(resting, &mut moved)?;
            for address in moved {
                let record = bytes_of(address).map(|bytes| Record::parse(address, bytes, &self.layout));
                if let Some(record) = record {
                    self.unread(record, ReadState::Torn, Cut::Moving);
                }
            }
        }
        Ok(())
    }

    fn sort(&mut self, record: Record, moved: &mut Vec<u64>) -> Sorted {
        match record.state {
            State::Dead | State::Live(Status::Idle) => self.raw.dead += 1,
            State::Unknown(_) => self.raw.skipped += 1,
            State::Live(Status::Running) if record.syscall_sp == 0 => self.running.push(record),
            State::Live(_) => match record.resting() {
                Some((pc, sp, syscall)) if record.is_plausible() && sp > record.stack_lo && sp <= record.stack_hi => {
                    return Sorted::Resting(Parked { record, pc, sp, syscall });
                }
                // Between two states: its status says one thing, its saved registers another.
                _ => moved.push(record.address),
            },
        }
        Sorted::Done
    }

    /// Reads the stacks, then the records again.
    fn read_stacks(&mut self, parked: &[(Parked, &[u8])], moved: &mut Vec<u64>) -> Result<()> {
        let ticks: Vec<Option<u32>> = parked.iter().map(|(p, _)| self.syscall_tick(&p.record)).collect();
        let mut stacks: Vec<Request> = parked.iter().map(|(p, _)| Request::new(p.sp, p.len() as usize)).collect();
        let mut stack_bytes = Vec::new();
        self.memory.read_batch(&mut stacks, &mut stack_bytes)?;
        let mut order: Vec<usize> = (0..parked.len()).collect();
        order.sort_unstable_by_key(|&i| parked[i].0.record.address);
        let mut again: Vec<Request> = order.iter().map(|&i| Request::new(parked[i].0.record.address, self.layout.size)).collect();
        let mut record_bytes = Vec::new();
        self.memory.read_batch(&mut again, &mut record_bytes)?;
        for (request, &index) in again.iter().zip(&order) {
            let (goroutine, before) = &parked[index];
            let after = request.outcome.ok().and_then(|offset| record_bytes.get(offset..offset + self.layout.size));
            let same = after.is_some_and(|after| self.layout.same_rest(before, after));
            if !same || self.syscall_tick(&goroutine.record) != ticks[index] {
                moved.push(goroutine.record.address);
                continue;
            }
            let stack = match stacks[index].outcome {
                Ok(offset) => Ok(&stack_bytes[offset..offset + goroutine.len() as usize]),
                Err(Unread::NotResident) if !self.trusts_absence => {
                    moved.push(goroutine.record.address);
                    continue;
                }
                Err(unread) => Err(unread),
            };
            self.accept(goroutine, stack);
        }
        Ok(())
    }

    /// Counts the system calls of the goroutine's thread. Since Go 1.26 a system call leaves no trace in the g record
    /// (`runtime/proc.go`: entersyscall), so two different ones from the same place would look the same.
    fn syscall_tick(&self, record: &Record) -> Option<u32> {
        if record.state != State::Live(Status::Syscall) || record.m == 0 {
            return None;
        }
        let mut tick = [0; 4];
        self.memory.read(record.m.checked_add(self.syscall_tick?)?, &mut tick).ok()?;
        Some(u32::from_le_bytes(tick))
    }

    fn accept(&mut self, goroutine: &Parked, stack: std::result::Result<&[u8], Unread>) {
        let record = goroutine.record;
        self.frames.clear();
        let mut blocked_on = None;
        let cut = match stack {
            Ok(bytes) => {
                let stack = StackBytes { base: goroutine.sp, bytes };
                let start = Start { pc: goroutine.pc, sp: goroutine.sp, exact: false, syscall: goroutine.syscall };
                let cut = self.unwinder.walk(start, None, &[stack], &mut self.frames);
                if self.tells_objects && record.state == State::Live(Status::Waiting) {
                    blocked_on = self.blocking.of(&self.frames, &stack);
                }
                match cut {
                    Some(Cut::Corrupt) if goroutine.is_capped() => Some(Cut::Depth),
                    cut => cut,
                }
            }
            Err(_) => {
                self.frames.push(WalkFrame { pc: Pc::returning(goroutine.pc), args: 0 });
                Some(Cut::NotResident)
            }
        };
        if !self.lists_c && self.has_c_frames(&record) {
            self.in_c.push(record);
            return;
        }
        self.pcs.clear();
        self.pcs.extend(self.frames.iter().map(|f| f.pc));
        let stack = self.raw.stacks.number(&self.pcs, cut);
        let labels = self.labels(record.labels);
        let wakes_at = self.wakes_at(&record);
        self.raw.goroutines.push(RawGoroutine {
            record,
            stack,
            sp: goroutine.sp,
            read: ReadState::Consistent,
            thread: None,
            blocked_on,
            labels,
            wakes_at,
        });
    }

    /// Inside C, or called back from it.
    fn has_c_frames(&self, record: &Record) -> bool {
        let is = |frame: Option<&WalkFrame>, func: &Func| {
            let found = frame.and_then(|f| lookup(&self.process.module, self.process.bias, f.pc.address()));
            found.is_some_and(|(found, _)| found.start == func.start)
        };
        let in_c = || self.cgocall.is_some_and(|f| is(self.frames.first(), &f)) && record.state == State::Live(Status::Syscall);
        // Only a goroutine wired to its thread can have been called back.
        let called_back = || self.cgocallback.is_some_and(|f| self.frames.iter().any(|frame| is(Some(frame), &f)));
        in_c() || record.locked_m != 0 && called_back()
    }

    /// What kept moving is shown by its last state, without a stack.
    fn give_up_on(&mut self, addresses: &[u64]) -> Result<()> {
        for &address in addresses {
            let Ok(bytes) = self.memory.read_vec(address, self.layout.size) else {
                self.raw.skipped += 1;
                continue;
            };
            let record = Record::parse(address, &bytes, &self.layout);
            match record.state {
                State::Dead => self.raw.dead += 1,
                State::Live(Status::Running) if record.syscall_sp == 0 => self.running.push(record),
                // Its thread copies its stack, and was perhaps put off its CPU meanwhile.
                State::Live(Status::Copystack) => self.running.push(record),
                State::Live(_) => self.unread(record, ReadState::Torn, Cut::Moving),
                State::Unknown(_) => self.raw.skipped += 1,
            }
        }
        Ok(())
    }

    /// Lists a goroutine without its stack.
    pub fn unread(&mut self, record: Record, read: ReadState, cut: Cut) {
        let stack = self.raw.stacks.number(&[], Some(cut));
        self.raw.goroutines.push(RawGoroutine { record, stack, sp: 0, read, thread: None, blocked_on: None, labels: None, wakes_at: None });
    }

    pub fn labels(&mut self, address: u64) -> Option<u32> {
        if address == 0 {
            return None;
        }
        if let Some(known) = self.label_cache.get(&address) {
            return *known;
        }
        let number = labels::read(&self.memory, address, self.process.version).filter(|l| !l.is_empty()).map(|labels| {
            self.raw.labels.push(labels);
            self.raw.labels.len() as u32 - 1
        });
        self.label_cache.insert(address, number);
        number
    }

    /// Until Go 1.22 a sleeper's wake-up time is in its timer only.
    fn wakes_at(&self, record: &Record) -> Option<i64> {
        if record.state != State::Live(Status::Waiting) {
            return None;
        }
        let reason = self.process.runtime.wait_reasons.get(usize::from(record.wait_reason))?;
        if reason.as_ref() != "sleep" {
            return None;
        }
        match (record.sleep_when, self.timer_when) {
            (Some(when), _) => Some(when).filter(|&w| w != 0),
            (None, Some(offset)) if record.timer != 0 => self.memory.word(record.timer + offset).ok().map(|w| w as i64),
            _ => None,
        }
    }
}

enum Sorted {
    Resting(Parked),
    Done,
}

#[derive(Clone, Copy)]
struct Parked {
    record: Record,
    pc: u64,
    sp: u64,
    syscall: bool,
}

impl Parked {
    fn len(&self) -> u64 {
        (self.record.stack_hi - self.sp).min(STACK_MAX)
    }
    fn is_capped(&self) -> bool {
        self.record.stack_hi - self.sp > STACK_MAX
    }
}
