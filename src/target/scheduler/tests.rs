use std::cell::Cell;
use std::collections::HashMap;

use super::*;
use crate::error::Error;
use crate::target::layout::{GoVersion, from_table};
use crate::target::memory::Unread;

const GO: GoVersion = GoVersion::new(26, 0);
/// Where the fake's array of Ps and its Ps begin.
const ALLP: u64 = 0xc0_0000_0000;
const PS: u64 = 0xc0_0010_0000;

/// All runtime variables, each in 64 KiB of its own, and some Ps; zero where not set.
struct Fake {
    layout: Layout,
    memory: HashMap<u64, u8>,
    /// A range that can't be read.
    absent: (u64, u64),
    reads: Cell<usize>,
}

impl Fake {
    fn new(version: GoVersion, ps: u64) -> Fake {
        let layout = from_table(version).unwrap();
        let mut fake = Fake { layout, memory: HashMap::new(), absent: (0, 0), reads: Cell::new(0) };
        fake.set_gomaxprocs(ps);
        for id in 0..ps {
            fake.set(ALLP + id * 8, Fake::p(id));
            fake.set_p(id, Field::PId, id);
        }
        fake
    }

    fn global(global: Global) -> u64 {
        0x50_0000 + global as u64 * 0x1_0000
    }

    fn p(id: u64) -> u64 {
        PS + id * 0x3000
    }

    fn set(&mut self, address: u64, value: u64) {
        self.memory.extend(value.to_le_bytes().iter().zip(address..).map(|(byte, at)| (at, *byte)));
    }

    fn set_u32(&mut self, address: u64, value: u32) {
        self.memory.extend(value.to_le_bytes().iter().zip(address..).map(|(byte, at)| (at, *byte)));
    }

    fn at(&self, global: Global, field: Field) -> u64 {
        Fake::global(global) + self.layout.get(field).unwrap()
    }

    fn set_field(&mut self, global: Global, field: Field, value: u32) {
        self.set_u32(self.at(global, field), value);
    }

    fn set_p(&mut self, id: u64, field: Field, value: u64) {
        let at = Fake::p(id) + self.layout.get(field).unwrap();
        match field {
            Field::PM | Field::PRunnext | Field::PGoidcache | Field::PGoidcacheend => self.set(at, value),
            _ => self.set_u32(at, value as u32),
        }
    }

    fn set_gomaxprocs(&mut self, ps: u64) {
        self.set_u32(Fake::global(Global::Gomaxprocs), ps as u32);
        self.set(Fake::global(Global::Allp), ALLP);
        self.set(Fake::global(Global::Allp) + 8, ps);
    }

    fn collect(&mut self, cycles: std::ops::Range<u64>) {
        for cycle in cycles {
            let slot = cycle % 256 * 8;
            self.set(self.at(Global::Memstats, Field::MemPauseNs) + slot, 100 + cycle);
            self.set(self.at(Global::Memstats, Field::MemPauseEnd) + slot, 7000 + cycle);
            self.set_field(Global::Memstats, Field::MemNumgc, cycle as u32 + 1);
        }
    }

    fn reader(&self) -> Reader<'_> {
        Reader::new(&self.layout, Addresses::from_fn(|global| Ok(Fake::global(global))), 0)
    }

    /// As `Memory::read_batch` does, requests in ascending order only.
    fn copy(&self, requests: &mut [Request], bytes: &mut Vec<u8>) -> Result<()> {
        self.reads.set(self.reads.get() + 1);
        assert!(requests.is_sorted_by_key(|request| request.address));
        for request in requests {
            let end = request.address + request.len as u64;
            if request.address < self.absent.1 && end > self.absent.0 {
                request.outcome = Err(Unread::NotResident);
                continue;
            }
            request.outcome = Ok(bytes.len());
            bytes.extend((request.address..end).map(|at| self.memory.get(&at).copied().unwrap_or(0)));
        }
        Ok(())
    }

    fn read(&self, reader: &mut Reader) -> Counters {
        reader.read(1, &|requests, bytes| self.copy(requests, bytes)).unwrap()
    }

    fn first(&self) -> Counters {
        self.read(&mut self.reader())
    }
}

#[test]
fn one_call_reads_all_once_the_ps_are_known() {
    for ps in [1, 8, 300] {
        let fake = Fake::new(GO, ps);
        let mut reader = fake.reader();
        let first = fake.read(&mut reader);
        let before = fake.reads.get();
        let second = fake.read(&mut reader);
        assert_eq!(fake.reads.get() - before, 1);
        assert_eq!(first, second);
        let ids: Vec<i32> = second.ps.unwrap().iter().map(|p| p.id).collect();
        assert_eq!(ids, (0..ps as i32).collect::<Vec<_>>());
    }
}

#[test]
fn a_p_tells_its_ticks_its_queue_and_its_m() {
    let mut fake = Fake::new(GO, 2);
    let fields = [
        (Field::PStatus, 1),
        (Field::PSchedtick, 70),
        (Field::PSyscalltick, 80),
        (Field::PRunqhead, u64::from(u32::MAX)),
        (Field::PRunqtail, 4),
        (Field::PRunnext, 0xc0_1234),
        (Field::PM, 0xc0_5678),
    ];
    fields.into_iter().for_each(|(field, value)| fake.set_p(1, field, value));
    let expected = PCounters { id: 1, status: PStatus::Running, sched_tick: 70, syscall_tick: 80, run_queue: 6, m: Some(0xc0_5678) };
    assert_eq!(fake.first().ps.unwrap()[1], expected);
}

#[test]
fn more_ps_are_seen_at_the_next_reading() {
    let mut fake = Fake::new(GO, 4);
    fake.set_gomaxprocs(1);
    let Fake { layout, .. } = Fake::new(GO, 0);
    let mut reader = Reader::new(&layout, Addresses::from_fn(|global| Ok(Fake::global(global))), 0);
    assert_eq!(fake.read(&mut reader).ps.unwrap().len(), 1);
    fake.set_gomaxprocs(4);
    let counters = fake.read(&mut reader);
    assert_eq!((counters.gomaxprocs, counters.ps.unwrap().len()), (Ok(4), 4));
}

#[test]
fn ids_in_stock_are_of_no_goroutine_yet() {
    let mut fake = Fake::new(GO, 3);
    fake.set(fake.at(Global::Sched, Field::SchedGoidgen), 48);
    // All used, three left, restocking just now.
    for (id, first, end) in [(0, 17, 17), (1, 30, 33), (2, 48, 33)] {
        fake.set_p(id, Field::PGoidcache, first);
        fake.set_p(id, Field::PGoidcacheend, end);
    }
    assert_eq!(fake.first().goroutines_created, Ok(45));
    fake.set(fake.at(Global::Sched, Field::SchedGoidgen), 1);
    assert_eq!(fake.first().goroutines_created, Err("3 ids in stock of 1 is not plausible".to_owned()));
}

#[test]
fn the_first_reading_tells_all_pauses_that_are_kept() {
    let mut fake = Fake::new(GO, 1);
    assert_eq!((fake.first().gc.cycles, fake.first().gc.pauses), (Ok(0), Ok(Vec::new())));
    fake.collect(0..3);
    let pauses = fake.first().gc.pauses.unwrap();
    assert_eq!(pauses.first(), Some(&Pause { cycle: 1, ended_unix_ns: 7000, pause_ns: 100 }));
    assert_eq!(pauses.last(), Some(&Pause { cycle: 3, ended_unix_ns: 7002, pause_ns: 102 }));
    fake.collect(3..600);
    let Counters { gc, .. } = fake.first();
    assert_eq!((gc.pauses.as_ref().unwrap().len(), gc.pauses_lost), (255, 0));
    assert_eq!(gc.pauses.unwrap().first(), Some(&Pause { cycle: 346, ended_unix_ns: 7345, pause_ns: 445 }));
}

#[test]
fn a_pause_is_told_once_and_a_lost_one_is_counted() {
    let layout = from_table(GO).unwrap();
    let mut reader = Reader::new(&layout, Addresses::from_fn(|global| Ok(Fake::global(global))), 0);
    let mut fake = Fake::new(GO, 1);
    fake.collect(0..3);
    fake.read(&mut reader);
    assert_eq!(fake.read(&mut reader).gc.pauses, Ok(Vec::new()));
    fake.collect(3..5);
    let cycles: Vec<u32> = fake.read(&mut reader).gc.pauses.unwrap().iter().map(|pause| pause.cycle).collect();
    assert_eq!(cycles, [4, 5]);
    fake.collect(5..305);
    let Counters { gc, .. } = fake.read(&mut reader);
    assert_eq!((gc.pauses.unwrap().len(), gc.pauses_lost), (255, 45));
}

#[test]
fn times_before_the_cycles_begin_are_of_the_cycle_before() {
    let mut fake = Fake::new(GO, 1);
    assert_eq!(fake.first().gc.cycle, Ok(None));
    for (field, value) in [(Field::WorkSweepTerm, 5000), (Field::WorkMark, 5010), (Field::WorkMarkTerm, 900), (Field::WorkEnd, 910)] {
        fake.set(fake.at(Global::Work, field), value);
    }
    let mut reader = Reader::new(&fake.layout, Addresses::from_fn(|global| Ok(Fake::global(global))), 1000);
    let expected = Cycle { sweep_termination_ns: 4000, mark_ns: Some(4010), mark_termination_ns: None, end_ns: None };
    assert_eq!(fake.read(&mut reader).gc.cycle, Ok(Some(expected)));
}

#[test]
fn what_a_version_has_not_is_said() {
    let version = GoVersion::new(18, 10);
    let counters = Fake::new(version, 2).first();
    assert_eq!(counters.stops.total_other, Err("this Go version has no runtime.schedt.stwTotalTimeOther".to_owned()));
    assert_eq!(counters.gc.cycle, Err("this Go version has no runtime.workType.tEnd".to_owned()));
    // These two it keeps elsewhere and in another shape.
    assert_eq!((counters.stops.total_gc.unwrap().total(), counters.time_to_run.unwrap().total()), (0, 0));
}

#[test]
fn histograms_are_read_from_their_places() {
    for version in [GoVersion::new(18, 10), GoVersion::new(21, 0), GO] {
        let mut fake = Fake::new(version, 1);
        let size = fake.layout.get(Field::TimeHistogramSize).unwrap();
        let in_memstats = fake.layout.get(Field::MemGcPauseDist).is_some();
        let total_gc = match in_memstats {
            true => fake.at(Global::Memstats, Field::MemGcPauseDist),
            false => fake.at(Global::Sched, Field::SchedStwTotalTimeGC),
        };
        let time_to_run = fake.at(Global::Sched, Field::SchedTimeToRun);
        // The first count, and the last one of the struct.
        fake.set(time_to_run, 5);
        fake.set(time_to_run + size - 8, 6);
        fake.set(total_gc, 7);
        let counters = fake.first();
        let totals = [&counters.time_to_run, &counters.stops.total_gc].map(|histogram| histogram.as_ref().unwrap().total());
        assert_eq!(totals, [11, 7], "{version:?}");
    }
}

#[test]
fn what_is_not_found_or_not_readable_says_why_and_nothing_else_suffers() {
    let mut fake = Fake::new(GO, 2);
    fake.set_field(Global::Sched, Field::SchedNpidle, 1);
    let addresses = Addresses::from_fn(|global| match global {
        Global::Memstats => Err("runtime.memstats not found: reason".to_owned()),
        other => Ok(Fake::global(other)),
    });
    let counters = fake.read(&mut Reader::new(&fake.layout, addresses, 0));
    assert_eq!((counters.gc.cycles, counters.idle_ps), (Err("runtime.memstats not found: reason".to_owned()), Ok(1)));
    let time_to_run = fake.at(Global::Sched, Field::SchedTimeToRun);
    fake.absent = (time_to_run + 100, time_to_run + 200);
    let counters = fake.first();
    let absent = "its memory is not resident: swapped out, or never written".to_owned();
    assert_eq!((counters.time_to_run, counters.idle_ps), (Err(absent.clone()), Ok(1)));
    fake.absent = (Fake::p(1), Fake::p(2));
    let counters = fake.first();
    assert_eq!((counters.ps, counters.goroutines_created), (Err(absent.clone()), Err(absent)));
    assert_eq!(counters.gomaxprocs, Ok(2));
}

#[test]
fn implausible_values_are_not_shown() {
    let mut fake = Fake::new(GO, 2);
    fake.set_field(Global::Sched, Field::SchedNpidle, 3);
    fake.set_u32(Fake::global(Global::Gcphase), 9);
    fake.set_p(1, Field::PStatus, 5);
    let counters = fake.first();
    assert_eq!(counters.idle_ps, Err("3 of 2 is not plausible".to_owned()));
    assert_eq!(counters.gc.phase, Err("runtime.gcphase has the unknown value 9".to_owned()));
    assert_eq!(counters.ps, Err("a P has the unknown status 5".to_owned()));
    fake.set_gomaxprocs(1 << 20);
    assert_eq!(fake.first().ps, Err("1048576 Ps are not plausible".to_owned()));
}

#[test]
fn a_process_that_is_gone_is_an_error() {
    let fake = Fake::new(GO, 2);
    let gone = fake.reader().read(1, &|_, _| Err(Error::target("gone")));
    assert_eq!(gone.unwrap_err().message, "gone");
}
