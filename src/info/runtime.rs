//! What the Go runtime of a process says of itself, read from its variables: scheduler and garbage collector figures.

mod stops;

pub use stops::Stops;

use crate::target::elf::u64_at;
use crate::target::globals::Global;
use crate::target::layout::{Field, GoVersion, Layout};
use crate::target::runtime::GoProcess;
pub use crate::target::scheduler::GcPhase;
use crate::target::scheduler::gomaxprocs;
use crate::target::time_histogram::TimeHistogram;
pub use crate::target::variables::Figure;
use crate::target::variables::{Addresses, Block, Span, at_most, missing, unread_reason};

/// Every figure is as the runtime holds it at the moment of reading; nothing is stopped, so figures of different lines may be some
/// microseconds apart.
#[derive(Debug, Clone, PartialEq)]
pub struct RuntimeFacts {
    pub gomaxprocs: Figure<u32>,
    /// Ps without work (of `gomaxprocs`).
    pub idle_ps: Figure<u32>,
    /// Threads that the runtime created and that have not exited (Ms).
    pub threads: Figure<u64>,
    /// Ms parked for lack of work.
    pub idle_threads: Figure<u32>,
    /// Goroutines in the global run queue (each P has its own queue beside it).
    pub global_run_queue: Figure<u32>,
    pub gc_phase: Figure<GcPhase>,
    /// Finished cycles, forced ones included.
    pub gc_cycles: Figure<u64>,
    /// Cycles that `runtime.GC` and the like asked for.
    pub gc_forced_cycles: Figure<u64>,
    /// `None` before the first cycle has finished.
    pub last_gc: Figure<Option<LastGc>>,
    /// Nanoseconds that all cycles together have stopped the world.
    pub gc_pause_total_ns: Figure<u64>,
    /// Times the world was stopped for anything else (a dump of all stacks, a change of GOMAXPROCS, …); since Go 1.22.
    pub other_stops: Figure<Stops>,
    /// Share of the program's CPU time since its start that the collector took, 0..1; as of the last cycle.
    pub gc_cpu_fraction: Figure<f64>,
    /// Bytes the collector counts as live now: marked by the last cycle, plus what was allocated since.
    pub heap_live_bytes: Figure<u64>,
    /// Bytes that the last cycle found live.
    pub heap_marked_bytes: Figure<u64>,
    /// Heap size at which the next cycle should have ended; `None` when there is none (GOGC=off without a memory limit).
    pub heap_goal_bytes: Figure<Option<u64>>,
    /// GOGC in percent; `None` is off.
    pub gogc_percent: Figure<Option<u32>>,
    /// GOMEMLIMIT; `None` is no limit.
    pub memory_limit_bytes: Figure<Option<u64>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastGc {
    /// When it ended, by the wall clock: nanoseconds since 1970.
    pub ended_unix_ns: u64,
    /// How long that cycle stopped the world, both stops together.
    pub pause_ns: u64,
}

/// Finds the runtime's variables in a live process and reads them.
pub fn collect(process: &GoProcess) -> RuntimeFacts {
    let memory = process.memory();
    let read = |address: u64, bytes: &mut [u8]| memory.read(address, bytes).map_err(|unread| unread_reason(unread).to_owned());
    read_facts(&process.layout, process.version, &Addresses::locate(process), &read)
}

/// Reads process memory at a live address; the error is the reason that a figure will show.
pub type Read<'a> = &'a dyn Fn(u64, &mut [u8]) -> Result<(), String>;

/// Never fails: what can't be had says so in its place.
pub fn read_facts(layout: &Layout, version: GoVersion, addresses: &Addresses, read: Read) -> RuntimeFacts {
    let variables = Variables { layout, addresses, read };
    let gomaxprocs = variables.gomaxprocs();
    let sched = variables.block(Global::Sched, SCHED);
    let memstats = variables.settled_block(Global::Memstats, MEMSTATS);
    let gc = variables.block(Global::GcController, GC_CONTROLLER);
    let idle_ps = at_most(sched.u32(Field::SchedNpidle), gomaxprocs.as_ref().ok().copied());
    RuntimeFacts {
        threads: mcount(&sched),
        idle_threads: sched.u32(Field::SchedNmidle),
        global_run_queue: sched.u32(Field::SchedRunqSize),
        idle_ps,
        gomaxprocs,
        gc_phase: variables.u32(Global::Gcphase).and_then(GcPhase::of),
        gc_cycles: memstats.u32(Field::MemNumgc).map(u64::from),
        gc_forced_cycles: memstats.u32(Field::MemNumForcedgc).map(u64::from),
        last_gc: last_gc(&memstats),
        gc_pause_total_ns: memstats.u64(Field::MemPauseTotalNs),
        other_stops: variables.other_stops(),
        gc_cpu_fraction: memstats.u64(Field::MemGcCpuFraction).map(f64::from_bits).and_then(share),
        heap_live_bytes: gc.u64(Field::GcHeapLive),
        heap_marked_bytes: gc.u64(Field::GcHeapMarked),
        heap_goal_bytes: heap_goal(&gc, version),
        gogc_percent: gogc(&gc),
        memory_limit_bytes: memory_limit(&gc),
    }
}

const SCHED: &[Field] = &[Field::SchedNmidle, Field::SchedMnext, Field::SchedNmfreed, Field::SchedNpidle, Field::SchedRunqSize];
const MEMSTATS: &[Field] =
    &[Field::MemLastGcUnix, Field::MemPauseTotalNs, Field::MemPauseNs, Field::MemNumgc, Field::MemNumForcedgc, Field::MemGcCpuFraction];
const GC_CONTROLLER: &[Field] = &[
    Field::GcPercent,
    Field::GcMemoryLimit,
    Field::GcHeapGoal,
    Field::GcPercentHeapGoal,
    Field::GcSweepDistMinTrigger,
    Field::GcTriggered,
    Field::GcHeapLive,
    Field::GcHeapMarked,
    Field::GcHeapFree,
    Field::GcTotalAlloc,
    Field::GcTotalFree,
    Field::GcMappedReady,
];

struct Variables<'a> {
    layout: &'a Layout,
    addresses: &'a Addresses,
    read: Read<'a>,
}

impl<'a> Variables<'a> {
    fn u32(&self, global: Global) -> Figure<u32> {
        let mut bytes = [0; 4];
        (self.read)(self.addresses.of(global)?, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn gomaxprocs(&self) -> Figure<u32> {
        let value = self.u32(Global::Gomaxprocs)?;
        let mut slice = [0; 16];
        (self.read)(self.addresses.of(Global::Allp)?, &mut slice)?;
        gomaxprocs(value, u64_at(&slice, 8))
    }

    fn other_stops(&self) -> Figure<Stops> {
        let field = Field::SchedStwTotalTimeOther;
        let offset = self.layout.get(field).ok_or_else(|| missing(field))?;
        let mut bytes = vec![0; self.layout.get(Field::TimeHistogramSize).unwrap_or(0) as usize];
        (self.read)(self.addresses.of(Global::Sched)?.wrapping_add(offset), &mut bytes)?;
        Ok(Stops::of(&TimeHistogram::parse(&bytes).ok_or("this Go version's histograms have another shape")?))
    }

    /// From the first of `fields` to the last.
    fn block(&self, global: Global, fields: &[Field]) -> Block<'a> {
        let fields: Vec<(Field, u64)> = fields.iter().map(|&field| (field, 8)).collect();
        let span = Span::of(self.layout, &fields);
        let bytes = self.addresses.of(global).and_then(|address| {
            let mut bytes = vec![0; span.len];
            (self.read)(address.wrapping_add(span.start), &mut bytes)?;
            Ok(bytes)
        });
        Block { layout: self.layout, span, bytes }
    }

    /// A block that is the same in two reads: its fields belong together.
    fn settled_block(&self, global: Global, fields: &[Field]) -> Block<'a> {
        let mut block = self.block(global, fields);
        for _ in 0..3 {
            let again = self.block(global, fields);
            if again.bytes == block.bytes {
                return again;
            }
            block = again;
        }
        Block { bytes: Err("it kept changing while it was read".to_owned()), ..block }
    }
}

/// `runtime/proc.go`: mcount.
fn mcount(sched: &Block) -> Figure<u64> {
    let (next, freed) = (sched.u64(Field::SchedMnext)?, sched.u64(Field::SchedNmfreed)?);
    next.checked_sub(freed).ok_or_else(|| format!("{freed} threads freed of {next} is not plausible"))
}

fn last_gc(memstats: &Block) -> Figure<Option<LastGc>> {
    let cycles = memstats.u32(Field::MemNumgc)?;
    let Some(last) = cycles.checked_sub(1) else { return Ok(None) };
    // A ring of the last 256 cycles (runtime/mstats.go: mstats.pause_ns).
    let pause_ns = memstats.u64_at(Field::MemPauseNs, u64::from(last % 256))?;
    Ok(Some(LastGc { ended_unix_ns: memstats.u64(Field::MemLastGcUnix)?, pause_ns }))
}

fn gogc(gc: &Block) -> Figure<Option<u32>> {
    let percent = gc.u32(Field::GcPercent)? as i32;
    Ok(u32::try_from(percent).ok())
}

/// `math.MaxInt64` stands for no limit (`runtime/mgcpacer.go`).
fn memory_limit(gc: &Block) -> Figure<Option<u64>> {
    Ok(Some(gc.u64(Field::GcMemoryLimit)?).filter(|&limit| limit != i64::MAX as u64))
}

/// `runtime/mgcpacer.go`: heapGoalInternal. Go 1.18 has it in a field.
fn heap_goal(gc: &Block, version: GoVersion) -> Figure<Option<u64>> {
    const OFF: u64 = u64::MAX;
    if gc.layout.get(Field::GcHeapGoal).is_some() {
        return Ok(Some(gc.u64(Field::GcHeapGoal)?).filter(|&goal| goal != OFF));
    }
    let mut goal = gc.u64(Field::GcPercentHeapGoal)?;
    let by_limit = memory_limit_goal(gc, version)?.filter(|&by_limit| by_limit < goal);
    if let Some(by_limit) = by_limit {
        return Ok(Some(by_limit));
    }
    goal = goal.max(gc.u64(Field::GcSweepDistMinTrigger)?);
    const MIN_RUNWAY: u64 = 64 << 10;
    let triggered = gc.u64(Field::GcTriggered)?;
    if triggered != u64::MAX {
        goal = goal.max(triggered.saturating_add(MIN_RUNWAY));
    }
    Ok(Some(goal).filter(|&goal| goal != OFF))
}

/// `runtime/mgcpacer.go`: memoryLimitHeapGoal; `None` without a limit.
fn memory_limit_goal(gc: &Block, version: GoVersion) -> Figure<Option<u64>> {
    let Some(limit) = memory_limit(gc)? else { return Ok(None) };
    let marked = gc.u64(Field::GcHeapMarked)?;
    let allocated = gc.u64(Field::GcTotalAlloc)?.wrapping_sub(gc.u64(Field::GcTotalFree)?);
    let mapped = gc.u64(Field::GcMappedReady)?;
    // The counters are updated one by one; the runtime itself reads them again until this holds.
    let other = mapped
        .checked_sub(gc.u64(Field::GcHeapFree)?)
        .and_then(|rest| rest.checked_sub(allocated))
        .ok_or("the heap's counters moved while they were read")?;
    let overage = mapped.saturating_sub(limit);
    let other = other.saturating_add(overage);
    if other >= limit {
        return Ok(Some(marked));
    }
    let goal = limit - other;
    // A fixed 1 MiB up to Go 1.20; since 1.21 at least that, else 3 %.
    const MIN_HEADROOM: u64 = 1 << 20;
    let headroom = if version < GoVersion::new(21, 0) { MIN_HEADROOM } else { (goal / 100 * 3).max(MIN_HEADROOM) };
    Ok(Some(goal.saturating_sub(headroom).max(headroom).max(marked)))
}

fn share(value: f64) -> Figure<f64> {
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err(format!("{value} is not a share")) }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::HashMap;

    use super::*;
    use crate::target::layout::from_table;

    const GO: GoVersion = GoVersion::new(26, 0);

    /// All runtime variables, each in 16 KiB of its own, zero where not set.
    struct Fake {
        layout: Layout,
        memory: HashMap<u64, u8>,
    }

    impl Fake {
        fn new(version: GoVersion) -> Fake {
            let mut fake = Fake { layout: from_table(version).unwrap(), memory: HashMap::new() };
            fake.set_u32(Global::Gomaxprocs, 0, 4);
            fake.set_u64(Global::Allp, 8, 4);
            fake
        }

        fn address(global: Global) -> u64 {
            0x50_0000 + global as u64 * 0x4000
        }

        fn addresses() -> Addresses {
            Addresses::from_fn(|global| Ok(Fake::address(global)))
        }

        fn set_bytes(&mut self, global: Global, offset: u64, bytes: &[u8]) {
            let at = Fake::address(global) + offset;
            self.memory.extend(bytes.iter().enumerate().map(|(i, b)| (at + i as u64, *b)));
        }

        fn set_u32(&mut self, global: Global, offset: u64, value: u32) {
            self.set_bytes(global, offset, &value.to_le_bytes());
        }

        fn set_u64(&mut self, global: Global, offset: u64, value: u64) {
            self.set_bytes(global, offset, &value.to_le_bytes());
        }

        fn set(&mut self, global: Global, field: Field, value: u64) {
            let offset = self.layout.get(field).unwrap();
            self.set_u64(global, offset, value);
        }

        fn read(&self, version: GoVersion) -> RuntimeFacts {
            let read = |address: u64, bytes: &mut [u8]| {
                for (i, byte) in bytes.iter_mut().enumerate() {
                    *byte = self.memory.get(&(address + i as u64)).copied().unwrap_or(0);
                }
                Ok(())
            };
            read_facts(&self.layout, version, &Fake::addresses(), &read)
        }
    }

    #[test]
    fn before_the_first_collection_there_is_no_last_one() {
        let facts = Fake::new(GO).read(GO);
        assert_eq!((facts.gc_cycles, facts.last_gc), (Ok(0), Ok(None)));
        assert_eq!(facts.gomaxprocs, Ok(4));
    }

    #[test]
    fn the_last_pause_is_taken_from_the_ring() {
        let mut fake = Fake::new(GO);
        fake.set(Global::Memstats, Field::MemNumgc, 258);
        fake.set(Global::Memstats, Field::MemLastGcUnix, 77);
        let ring = fake.layout.get(Field::MemPauseNs).unwrap();
        fake.set_u64(Global::Memstats, ring + 8, 1234);
        assert_eq!(fake.read(GO).last_gc, Ok(Some(LastGc { ended_unix_ns: 77, pause_ns: 1234 })));
    }

    #[test]
    fn what_is_not_located_says_why_and_nothing_else_suffers() {
        let fake = Fake::new(GO);
        let addresses = Addresses::from_fn(|global| match global {
            Global::Sched => Err("runtime.sched not found: reason".to_owned()),
            other => Ok(Fake::address(other)),
        });
        let read = |_: u64, bytes: &mut [u8]| {
            bytes.fill(0);
            Ok(())
        };
        let facts = read_facts(&fake.layout, GO, &addresses, &read);
        assert_eq!(facts.threads, Err("runtime.sched not found: reason".to_owned()));
        assert_eq!(facts.gc_cycles, Ok(0));
        assert_eq!(facts.gomaxprocs, Err("runtime.gomaxprocs (0) and the number of Ps (0) differ".to_owned()));
    }

    #[test]
    fn implausible_values_are_not_shown() {
        let mut fake = Fake::new(GO);
        fake.set(Global::Sched, Field::SchedNpidle, 5);
        fake.set(Global::Sched, Field::SchedNmfreed, 9);
        fake.set_u32(Global::Gcphase, 0, 7);
        fake.set(Global::Memstats, Field::MemGcCpuFraction, f64::NAN.to_bits());
        let facts = fake.read(GO);
        assert_eq!(facts.idle_ps, Err("5 of 4 is not plausible".to_owned()));
        assert_eq!(facts.threads, Err("9 threads freed of 0 is not plausible".to_owned()));
        assert_eq!(facts.gc_phase, Err("runtime.gcphase has the unknown value 7".to_owned()));
        assert_eq!(facts.gc_cpu_fraction, Err("NaN is not a share".to_owned()));
    }

    #[test]
    fn figures_of_one_collection_are_not_mixed_with_another() {
        let fake = Fake::new(GO);
        let reads = Cell::new(0u8);
        let read = |_: u64, bytes: &mut [u8]| {
            reads.set(reads.get() + 1);
            bytes.fill(reads.get());
            Ok(())
        };
        let facts = read_facts(&fake.layout, GO, &Fake::addresses(), &read);
        assert_eq!(facts.gc_cycles, Err("it kept changing while it was read".to_owned()));
    }

    fn limited(version: GoVersion, limit: u64) -> Fake {
        let mut fake = Fake::new(version);
        fake.set(Global::GcController, Field::GcPercentHeapGoal, u64::MAX);
        fake.set(Global::GcController, Field::GcTriggered, u64::MAX);
        fake.set(Global::GcController, Field::GcMemoryLimit, limit);
        fake.set(Global::GcController, Field::GcHeapMarked, 10 << 20);
        fake.set(Global::GcController, Field::GcTotalAlloc, 50 << 20);
        fake.set(Global::GcController, Field::GcTotalFree, 30 << 20);
        fake.set(Global::GcController, Field::GcHeapFree, 5 << 20);
        fake.set(Global::GcController, Field::GcMappedReady, 35 << 20);
        fake
    }

    #[test]
    fn the_memory_limit_leaves_headroom_as_each_version_does() {
        // 10 MiB are neither heap nor free, so 90 MiB are the heap's.
        let goal = |version: GoVersion| limited(version, 100 << 20).read(version).heap_goal_bytes;
        assert_eq!(goal(GoVersion::new(20, 14)), Ok(Some(89 << 20)));
        let ninety = 90u64 << 20;
        assert_eq!(goal(GoVersion::new(21, 0)), Ok(Some(ninety - ninety / 100 * 3)));
    }

    #[test]
    fn a_limit_that_is_reached_leaves_what_is_marked() {
        assert_eq!(limited(GO, 10 << 20).read(GO).heap_goal_bytes, Ok(Some(10 << 20)));
    }

    #[test]
    fn no_percentage_and_no_limit_is_no_goal() {
        let facts = limited(GO, i64::MAX as u64).read(GO);
        assert_eq!((facts.heap_goal_bytes, facts.memory_limit_bytes), (Ok(None), Ok(None)));
    }

    #[test]
    fn counters_in_motion_give_no_goal() {
        let mut fake = limited(GO, 100 << 20);
        fake.set(Global::GcController, Field::GcHeapFree, 1 << 40);
        assert_eq!(fake.read(GO).heap_goal_bytes, Err("the heap's counters moved while they were read".to_owned()));
    }
}
