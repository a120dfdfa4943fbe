//! Reads goroutines that run Go code: their thread is stopped for microseconds while registers and stack are copied.
//!
//! Runs on one dedicated thread, since ptrace ties a tracee to the thread that seized it.

use std::time::Duration;

use gimli::X86_64;
use rustc_hash::FxHashMap;

use super::computing::{Look, Pace};
use super::in_c;
use super::model::{Cut, ReadState, Status};
use crate::error::{Error, Result};
use crate::sys::ptrace::{RealTime, Registers, StopError, Stopped, Stopper};
use crate::target::goroutines::parked::ParkedReader;
use crate::target::goroutines::raw::RawGoroutine;
use crate::target::goroutines::record::{Record, RecordLayout, State};
use crate::target::goroutines::threads::{Activity, M, Threads};
use crate::target::memory::{Memory, Request};
use crate::target::native::{self, Callbacks, NativeUnwinder};
use crate::target::runtime::GoProcess;
use crate::target::unwind::{Pc, Saved, StackBytes, Start, WalkFrame};

/// A thread that is not stopped by then is left alone (the kernel may hold it for as long as it likes).
const STOP_TIMEOUT: Duration = Duration::from_millis(50);
const RETRIES: usize = 3;
/// Copied of one stack inside a stop; bounds the stop to well under a millisecond.
const COPY_MAX: u64 = 1 << 20;
const G0_COPY_MAX: u64 = 64 << 10;

#[derive(Debug, Default, Clone)]
pub struct StopCost {
    pub stops: u64,
    pub longest: Duration,
    pub total: Duration,
    pub warnings: Vec<String>,
}

impl StopCost {
    fn add(&mut self, stop: Duration) {
        self.stops += 1;
        self.longest = self.longest.max(stop);
        self.total += stop;
    }
    pub fn absorb(&mut self, other: StopCost) {
        self.stops += other.stops;
        self.longest = self.longest.max(other.longest);
        self.total += other.total;
        self.warnings.extend(other.warnings);
    }
    fn warn(&mut self, text: String) {
        if !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
    }
}

pub struct RunningReader<'a> {
    pub process: &'a GoProcess,
    pub layout: RecordLayout,
    pub threads: Threads<'a>,
    /// Made when the first C frame is met.
    pub native: Option<NativeUnwinder<'a>>,
    /// `None` for a program without cgo.
    pub callbacks: Option<Callbacks<'a>>,
    pub parked: ParkedReader<'a>,
    /// `None`: nothing may be stopped.
    stopper: Option<Stopper>,
    /// A thread that did not stop in time may do so later, and stays stopped as long as this thread lives.
    pub must_end: bool,
    /// At each thread, from before its turn.
    looks: FxHashMap<u32, Look>,
    pub cost: StopCost,
}

/// One try at a goroutine.
enum Attempt {
    Read(Box<Observation>, ReadState),
    /// It no longer runs there: look at its record again.
    Moved,
    /// Its thread may not or can not be stopped.
    NotRead,
}

/// Why a thread was not stopped.
pub enum NotStopped {
    /// It went into the kernel by itself; another look will tell more.
    Blocked,
    /// It may not, or could not in time.
    Refused,
}

/// Everything copied while the thread stood still.
pub struct Observation {
    registers: Registers,
    m: M,
    pub record: Record,
    g0: Record,
    gsignal: Record,
    /// (address, bytes) of the stacks involved.
    stacks: Vec<(u64, Vec<u8>)>,
}

impl<'a> RunningReader<'a> {
    pub fn new(process: &'a GoProcess, layout: RecordLayout, may_stop: bool) -> Result<Self> {
        let stopper = may_stop.then(Stopper::new).transpose().map_err(|e| Error::io("can't make a timer").because(e))?;
        Ok(RunningReader {
            process,
            layout,
            threads: Threads::new(process)?,
            native: None,
            callbacks: Callbacks::new(&process.module, process.bias),
            parked: ParkedReader::new(process, layout),
            stopper,
            must_end: false,
            looks: FxHashMap::default(),
            cost: StopCost::default(),
        })
    }

    /// Works off the list; ends early when a thread did not stop, for this one must then end so that the kernel lets go of that.
    pub fn read_all(&mut self, records: &mut Vec<Record>) -> Result<()> {
        // All at once, so that the thread of the second one need not be waited for.
        for record in &*records {
            let tid = self.threads.m(&self.parked.memory, record.m).and_then(|m| self.threads.tid(&m));
            self.looks.extend(tid.and_then(|tid| Some((tid, Look::at(self.process.pid, tid)?))));
        }
        while !self.must_end {
            let Some(record) = records.pop() else { break };
            self.read_one(record)?;
        }
        Ok(())
    }

    pub fn read_one(&mut self, mut record: Record) -> Result<()> {
        let mut last_cut = None;
        for _ in 0..=RETRIES {
            match self.attempt(&record) {
                Attempt::Read(seen, read) => {
                    let (frames, cut, sp) = self.walk(&seen);
                    // Stopped inside a stack switch: nothing to go by there, a moment later there is.
                    let transient = matches!(cut, Some(Cut::SpWrite | Cut::UnknownPc | Cut::Corrupt));
                    last_cut = Some((seen, read, frames, cut, sp));
                    if !transient {
                        break;
                    }
                    self.parked.raw.retried += 1;
                }
                Attempt::NotRead => {
                    self.parked.unread(record, ReadState::NotRead, Cut::NotRead);
                    return Ok(());
                }
                Attempt::Moved => {
                    last_cut = None;
                    self.parked.raw.retried += 1;
                    self.parked.memory.forget_residency();
                    self.parked.read_all(&[record.address])?;
                    match self.parked.running.pop() {
                        Some(now) => record = now,
                        None => return Ok(()),
                    }
                }
            }
        }
        match last_cut {
            Some((seen, read, frames, cut, sp)) => self.list(&seen, read, &frames, cut, sp),
            None => self.parked.unread(record, ReadState::Torn, Cut::Moving),
        }
        Ok(())
    }

    fn attempt(&mut self, record: &Record) -> Attempt {
        let Some(m) = self.threads.m(&self.parked.memory, record.m).filter(|m| m.curg == record.address) else { return Attempt::Moved };
        let Some(tid) = self.threads.tid(&m) else { return Attempt::NotRead };
        let turns = self.threads.turns(tid);
        match self.threads.activity(tid) {
            Activity::Gone => Attempt::Moved,
            Activity::Blocked { pc, sp } => self.observe_blocked(tid, record, &m, Registers { pc, sp, ..Registers::default() }, turns),
            Activity::Running | Activity::Unknown => self.observe_stopped(tid, record, &m),
        }
    }

    /// Blocked in the kernel: pc and sp are known without a stop, and nothing moves as long as they stay.
    fn observe_blocked(&mut self, tid: u32, record: &Record, m: &M, registers: Registers, turns: Option<u64>) -> Attempt {
        let Registers { pc, sp, .. } = registers;
        let memory = &self.parked.memory;
        let Some(seen) = observe(memory, &self.threads, &self.layout, record, m, registers) else { return Attempt::Moved };
        let still = self.threads.activity(tid) == Activity::Blocked { pc, sp } && self.threads.turns(tid) == turns;
        let same =
            memory.read_vec(record.address, self.layout.size).is_ok_and(|b| Record::parse(record.address, &b, &self.layout) == seen.record);
        if still && same { Attempt::Read(Box::new(seen), ReadState::Consistent) } else { Attempt::Moved }
    }

    fn observe_stopped(&mut self, tid: u32, record: &Record, m: &M) -> Attempt {
        // Once before the stop, so that inside it residency is known and everything is in our caches.
        let guess = Registers { sp: record.stack_hi.saturating_sub(256), ..Registers::default() };
        let _ = observe(&self.parked.memory, &self.threads, &self.layout, record, m, guess);
        let look = |this: &Self, registers| observe(&this.parked.memory, &this.threads, &this.layout, record, m, registers);
        match self.while_stopped(tid, look) {
            Ok(Some(seen)) => Attempt::Read(Box::new(seen), ReadState::Stopped),
            Ok(None) | Err(NotStopped::Blocked) => Attempt::Moved,
            Err(NotStopped::Refused) if self.stopper.is_some() && self.threads.activity(tid) == Activity::Gone => Attempt::Moved,
            Err(NotStopped::Refused) => Attempt::NotRead,
        }
    }

    /// Stops a thread, lets `look` copy what it needs, and lets the thread run on.
    pub fn while_stopped<T>(&mut self, tid: u32, look: impl FnOnce(&Self, Registers) -> T) -> std::result::Result<T, NotStopped> {
        self.stopper.as_ref().ok_or(NotStopped::Refused)?;
        let first = self.looks.remove(&tid);
        match self.threads.pace(tid, first, STOP_TIMEOUT) {
            Pace::Computes => {}
            Pace::Blocks => return Err(NotStopped::Blocked),
            Pace::Starves => {
                self.warn_of_timeout(tid, STOP_TIMEOUT);
                return Err(NotStopped::Refused);
            }
        }
        let real_time = RealTime::begin();
        let (stopped, registers) = self.stop(tid, STOP_TIMEOUT).ok_or(NotStopped::Refused)?;
        let seen = look(self, registers);
        self.cost.add(stopped.release());
        drop(real_time);
        Ok(seen)
    }

    /// `None`, with a warning where that is worth one, if the thread may not or can not be stopped in time.
    pub fn stop(&mut self, tid: u32, at_most: Duration) -> Option<(Stopped, Registers)> {
        let at_most = at_most.min(STOP_TIMEOUT);
        match self.stopper.as_ref()?.stop(tid, at_most) {
            Ok(stopped) => {
                let registers = stopped.registers().ok()?;
                return Some((stopped, registers));
            }
            Err(StopError::Gone) => {}
            Err(StopError::Timeout) => {
                self.must_end = true;
                self.warn_of_timeout(tid, at_most);
            }
            Err(StopError::Refused(error)) => self.cost.warn(match tracer(self.process.pid, tid) {
                Some(tracer) => format!("{tracer} traces the target; running goroutines were not read"),
                None if error.kind() == std::io::ErrorKind::PermissionDenied => {
                    let access = self.process.process.access();
                    let reasons: Vec<String> = access.obstacles_after_refusal().iter().map(|o| access.reason(o)).collect();
                    format!("can't stop threads ({}); running goroutines were not read", reasons.join("; "))
                }
                None => format!("can't stop thread {tid} ({error}); running goroutines were not read"),
            }),
        }
        None
    }

    fn warn_of_timeout(&mut self, tid: u32, waited: Duration) {
        self.cost.warn(format!("thread {tid} did not stop within {} ms and was left alone", waited.as_millis().max(1)));
    }

    pub fn walk(&mut self, seen: &Observation) -> (Vec<WalkFrame>, Option<Cut>, u64) {
        let stacks: Vec<StackBytes> = seen.stacks.iter().map(|(base, bytes)| StackBytes { base: *base, bytes }).collect();
        let mut frames = Vec::new();
        let on_g = |sp: u64| sp > seen.record.stack_lo && sp <= seen.record.stack_hi;
        let saved = Saved { pc: seen.record.sched_pc, sp: seen.record.sched_sp };
        let Registers { pc, sp, .. } = seen.registers;
        let (start, sp) = if let Some((vdso_pc, vdso_sp)) = seen.m.vdso {
            // As the runtime's own profiler does: go on at the call into the vDSO (`runtime/proc.go`, sigprof).
            if self.process.runtime.vdso.contains(&pc) {
                frames.push(WalkFrame { pc: Pc::exact(pc).native(), args: 0 });
            }
            (Start { pc: vdso_pc, sp: vdso_sp, exact: false, syscall: false }, vdso_sp)
        } else if seen.record.syscall_sp != 0 && !on_g(sp) {
            (Start { pc: seen.record.syscall_pc, sp: seen.record.syscall_sp, exact: false, syscall: true }, seen.record.syscall_sp)
        } else if let Some((caller_pc, caller_sp)) = self.behind_sp_in_r12(seen, pc, seen.registers.r12, &stacks) {
            frames.push(WalkFrame { pc: Pc::exact(pc), args: caller_sp });
            (Start { pc: caller_pc, sp: caller_sp, exact: false, syscall: false }, seen.registers.r12)
        } else if self.parked.unwinder.is_go(pc) {
            (Start { pc, sp, exact: true, syscall: false }, sp)
        } else {
            // C code that the runtime called without giving up its P, such as a pthread function.
            let walk = self.walk_c(native::Registers::stopped(&seen.registers), false, &seen.stacks);
            frames.extend(walk.iter().flat_map(in_c::pcs).map(|pc| WalkFrame { pc, args: 0 }));
            match walk.map(|w| w.end) {
                Some(native::End::Go { registers, interrupted }) => {
                    let r12 = registers.get(X86_64::R12).unwrap_or(0);
                    if let Some((caller_pc, caller_sp)) = self.behind_sp_in_r12(seen, registers.pc(), r12, &stacks) {
                        frames.push(WalkFrame { pc: Pc::returning(registers.pc()), args: caller_sp });
                        (Start { pc: caller_pc, sp: caller_sp, exact: false, syscall: false }, r12)
                    } else {
                        (Start { pc: registers.pc(), sp: registers.sp(), exact: interrupted, syscall: false }, sp)
                    }
                }
                _ => return (frames, Some(Cut::NoCfi), sp),
            }
        };
        let saved = (!on_g(start.sp)).then_some(saved);
        let cut = match self.parked.unwinder.walk(start, saved, &stacks, &mut frames) {
            Some(Cut::Corrupt) => Some(seen.why_not_copied(&frames).unwrap_or(Cut::Corrupt)),
            cut => cut,
        };
        let sp = if on_g(sp) { sp } else { seen.record.sched_sp };
        (frames, cut, sp)
    }

    /// While these functions run on a stack of their choice, R12 has the stack pointer from before: the caller's pc and sp.
    fn behind_sp_in_r12(&self, seen: &Observation, pc: u64, r12: u64, stacks: &[StackBytes]) -> Option<(u64, u64)> {
        let runtime = &self.process.runtime;
        let switch = runtime.vdso_callers.iter().chain(&runtime.sanitizer_callers).find(|c| (c.start..c.end).contains(&pc))?;
        // On the system stack or the signal stack already, they stay there.
        if ![seen.record, seen.g0, seen.gsignal].iter().any(|g| r12 > g.stack_lo && r12 < g.stack_hi) {
            return None;
        }
        let caller_sp = r12 + switch.frame;
        let return_address = stacks.iter().find_map(|stack| stack.word(caller_sp - 8))?;
        Some((return_address, caller_sp))
    }

    pub fn list(&mut self, seen: &Observation, read: ReadState, frames: &[WalkFrame], cut: Option<Cut>, sp: u64) {
        let pcs: Vec<Pc> = frames.iter().map(|f| f.pc).collect();
        let stack = self.parked.raw.stacks.number(&pcs, cut);
        let thread = self.threads.describe_m(&self.parked.memory, &seen.m);
        let labels = self.parked.labels(seen.record.labels);
        let record = seen.record;
        self.parked.raw.goroutines.push(RawGoroutine {
            record,
            stack,
            sp,
            read,
            thread: Some(thread),
            blocked_on: None,
            labels,
            wakes_at: None,
        });
    }
}

/// Copies record, m and stacks. `None` if the M no longer runs this goroutine, or memory can't be read.
pub fn observe(
    memory: &Memory,
    threads: &Threads,
    layout: &RecordLayout,
    record: &Record,
    m: &M,
    registers: Registers,
) -> Option<Observation> {
    let wanted = [(m.address, threads.m_size()), (record.address, layout.size), (m.g0, layout.size), (m.gsignal, layout.size)];
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_unstable_by_key(|&i| wanted[i].0);
    let mut requests: Vec<Request> = order.iter().map(|&i| Request::new(wanted[i].0, wanted[i].1)).collect();
    let mut bytes = Vec::new();
    memory.read_batch(&mut requests, &mut bytes).ok()?;
    let piece = |index: usize| {
        let at = order.iter().position(|&i| i == index)?;
        let offset = requests[at].outcome.ok()?;
        bytes.get(offset..offset + wanted[index].1)
    };
    let m = threads.parse(m.address, piece(0)?);
    let record = Record::parse(record.address, piece(1)?, layout);
    if m.curg != record.address
        || !matches!(record.state, State::Live(Status::Running | Status::Syscall | Status::Waiting | Status::Copystack))
    {
        return None;
    }
    let g0 = Record::parse(m.g0, piece(2)?, layout);
    let gsignal = piece(3).map_or(g0, |bytes| Record::parse(m.gsignal, bytes, layout));
    let mut seen = Observation { registers, m, record, g0, gsignal, stacks: Vec::new() };
    for (start, end) in seen.stack_ranges(threads.calls_sanitizers()) {
        seen.stacks.extend(resident_pieces(memory, start, end));
    }
    Some(seen)
}

impl Observation {
    /// The stretches of stack that a walk from these registers can touch.
    fn stack_ranges(&self, sanitizers: bool) -> Vec<(u64, u64)> {
        let sp = self.registers.sp;
        let within = |r: &Record| sp > r.stack_lo && sp <= r.stack_hi;
        let own = |from: u64| (from, self.record.stack_hi.min(from.saturating_add(COPY_MAX)));
        if within(&self.record) {
            return vec![own(sp)];
        }
        let mut ranges = Vec::new();
        let outermost = own(self.record.stack_lo.max(self.record.stack_hi.saturating_sub(COPY_MAX)));
        if within(&self.gsignal) {
            ranges.push((sp, self.gsignal.stack_hi));
            // Where the signal struck is only known from the frame on the signal stack.
            ranges.push(outermost);
            return ranges;
        }
        if within(&self.g0) {
            ranges.push((sp, self.g0.stack_hi.min(sp + G0_COPY_MAX)));
        }
        if sanitizers {
            // Called without a word in the record; where from is known behind the C frames.
            ranges.push(outermost);
            return ranges;
        }
        // Any of these may be where the walk goes on; the runtime clears those that are not in use.
        let saved = [self.record.sched_sp, self.record.syscall_sp, self.m.vdso.map_or(0, |(_, sp)| sp)];
        let innermost = saved.into_iter().filter(|&sp| sp > self.record.stack_lo && sp < self.record.stack_hi).min();
        ranges.extend(innermost.map(own));
        ranges
    }
}

impl Observation {
    /// Why the word behind the outermost frame is missing: it lies on the goroutine's stack, and was not copied.
    fn why_not_copied(&self, frames: &[WalkFrame]) -> Option<Cut> {
        let missing = frames.last()?.args.checked_sub(8)?;
        let own = |base: u64| base >= self.record.stack_lo && base < self.record.stack_hi;
        let copied = |(base, bytes): &&(u64, Vec<u8>)| missing >= *base && missing - base < bytes.len() as u64;
        if !own(missing) || self.stacks.iter().any(|piece| copied(&piece)) {
            return None;
        }
        let first = self.stacks.iter().map(|(base, _)| *base).filter(|&base| own(base)).min()?;
        Some(if missing >= first.saturating_add(COPY_MAX - 8) { Cut::Depth } else { Cut::NotResident })
    }
}

/// The resident parts of a range, each as one piece.
pub fn resident_pieces(memory: &Memory, start: u64, end: u64) -> Vec<(u64, Vec<u8>)> {
    if start >= end {
        return Vec::new();
    }
    if let Ok(bytes) = memory.read_vec(start, (end - start) as usize) {
        return vec![(start, bytes)];
    }
    let mut pieces = Vec::new();
    let mut at = start;
    while at < end {
        let next = ((at / 4096) + 1).saturating_mul(4096).min(end);
        if let Ok(bytes) = memory.read_vec(at, (next - at) as usize) {
            pieces.push((at, bytes));
        }
        at = next;
    }
    // Frames may straddle a page border: neighbours become one piece.
    pieces.into_iter().fold(Vec::new(), |mut joined: Vec<(u64, Vec<u8>)>, (at, bytes)| {
        match joined.last_mut() {
            Some((start, last)) if *start + last.len() as u64 == at => last.extend(bytes),
            _ => joined.push((at, bytes)),
        }
        joined
    })
}

/// The process that traces a thread, with its name.
fn tracer(pid: u32, tid: u32) -> Option<String> {
    let line = |entry: &str, name: &str| {
        let status = std::fs::read_to_string(format!("/proc/{entry}/status")).ok()?;
        Some(status.lines().find_map(|line| line.strip_prefix(name))?.trim().to_owned())
    };
    // A thread's id; 0 also for one that lives outside of our pid namespace.
    let thread = line(&format!("{pid}/task/{tid}"), "TracerPid:").filter(|tracer| tracer != "0")?;
    let process = line(&thread, "Tgid:").unwrap_or_else(|| thread.clone());
    Some(format!("process {process} ({})", line(&process, "Name:").unwrap_or_default()))
}
