//! The runtime's own counters of its scheduler and its collector, read from outside: the target does not notice.
//!
//! One system call a reading, where nothing was collected since the last one. Nothing is stopped, so what one reading shows is some
//! microseconds wide.

mod copies;
mod gc;
mod ps;
#[cfg(test)]
mod tests;

pub use gc::{Cycle, Gc, GcPhase, Pause};
pub use ps::{PCounters, PStatus};

use std::ops::Range;

use crate::error::Result;
use crate::sys::memory::monotonic_ns;
use crate::target::elf::{Segment, u32_at, u64_at};
use crate::target::globals::Global;
use crate::target::layout::{Field, Layout};
use crate::target::memory::{Memory, Request, Unread};
use crate::target::runtime::GoProcess;
use crate::target::time_histogram::TimeHistogram;
use crate::target::variables::{Addresses, Block, Figure, Span, at_most, missing};
use copies::{Copies, Part, ReadBatch};

/// One reading. A figure that can't be had says why in its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Counters {
    /// When the reading began: CLOCK_MONOTONIC of goscope's own time namespace.
    pub taken_at_ns: i64,
    pub gomaxprocs: Figure<u32>,
    /// Ps without work (of `gomaxprocs`).
    pub idle_ps: Figure<u32>,
    /// Ms that look for work, each with a P.
    pub spinning_ms: Figure<u32>,
    /// Goroutines in the global run queue; each P has its own queue beside it.
    pub global_run_queue: Figure<u32>,
    /// Goroutines started since the program began, the runtime's own included.
    ///
    /// `schedt.goidgen` minus the ids that Ps hold in stock (16 at a time). Off by up to 16 for each P that restocked during the reading,
    /// so that it may even seem to fall; by up to 15 for each P that a smaller GOMAXPROCS has taken away; and by one for each extra M of a
    /// program with cgo, which takes an id, too.
    pub goroutines_created: Figure<u64>,
    /// By id.
    pub ps: Figure<Vec<PCounters>>,
    /// How long goroutines were runnable until they ran. The runtime times one spell in eight (`runtime/runtime2.go`: gTrackingPeriod): that
    /// behind every eighth time that a goroutine stopped running, and the first one of one in eight new goroutines. Read its shape, and its
    /// total as a sample. Since Go 1.26 going into a system call does not count as a stop.
    pub time_to_run: Figure<TimeHistogram>,
    pub gc: Gc,
    pub stops: Stops,
}

/// How long the world was stopped, since the program began.
#[derive(Debug, Clone, PartialEq)]
pub struct Stops {
    /// From the wish to stop until it ran again, to collect: two or more of each cycle.
    pub total_gc: Figure<TimeHistogram>,
    /// The same for other reasons (a dump of all stacks, a change of GOMAXPROCS, …); since Go 1.22.
    pub total_other: Figure<TimeHistogram>,
    /// Until all Ps had stopped; since Go 1.22.
    pub stopping_gc: Figure<TimeHistogram>,
    pub stopping_other: Figure<TimeHistogram>,
}

/// Reads the counters of one process, again and again.
pub struct Scheduler<'a> {
    process: &'a GoProcess,
    source: Source<'a>,
    reader: Reader<'a>,
}

impl<'a> Scheduler<'a> {
    /// Finds the runtime's variables; a figure whose variable is not found will say so.
    pub fn new(process: &'a GoProcess) -> Self {
        let reader = Reader::new(&process.layout, Addresses::locate(process), process.process.clock_offset_ns());
        Scheduler { process, source: Source { memory: process.memory(), bss: bss(process) }, reader }
    }

    /// Errors: Target when the process is gone or has become another program.
    pub fn read(&mut self) -> Result<Counters> {
        self.source.memory.forget_residency();
        let counters = self.reader.read(monotonic_ns(), &|requests, bytes| self.source.read(requests, bytes));
        self.process.check()?;
        counters
    }
}

struct Source<'a> {
    memory: Memory<'a>,
    /// Memory of the executable that holds zeros until it is written.
    bss: Vec<Range<u64>>,
}

impl Source<'_> {
    fn read(&self, requests: &mut [Request], bytes: &mut Vec<u8>) -> Result<()> {
        self.memory.read_batch(requests, bytes)?;
        requests.iter_mut().for_each(|request| self.fill_in_untouched(request, bytes));
        Ok(())
    }

    /// A page of a histogram is not there as long as no duration fell into its buckets.
    fn fill_in_untouched(&self, request: &mut Request, bytes: &mut Vec<u8>) {
        let end = request.address.saturating_add(request.len as u64);
        let in_bss = self.bss.iter().any(|bss| bss.start <= request.address && end <= bss.end);
        if request.outcome == Err(Unread::NotResident) && in_bss && self.memory.is_untouched(request.address, request.len) {
            request.outcome = Ok(bytes.len());
            bytes.resize(bytes.len() + request.len, 0);
        }
    }
}

/// What the segments of the executable are longer than their parts of the file.
fn bss(process: &GoProcess) -> Vec<Range<u64>> {
    let live = |address: u64| address.wrapping_add(process.bias);
    let of = |s: &Segment| live(s.vaddr.wrapping_add(s.filesz))..live(s.vaddr.wrapping_add(s.memsz));
    process.elf.segments.iter().map(of).filter(|range| !range.is_empty()).collect()
}

struct Reader<'a> {
    layout: &'a Layout,
    parts: Parts,
    ps: ps::Known,
    cycles: gc::Known,
}

/// What is read each time.
struct Parts {
    sched: Part,
    gomaxprocs: Part,
    allp: Part,
    gcphase: Part,
    numgc: Part,
    work: Part,
    time_to_run: Histogram,
    total_gc: Histogram,
    total_other: Histogram,
    stopping_gc: Histogram,
    stopping_other: Histogram,
}

/// A histogram's field, and where it is.
struct Histogram {
    field: Field,
    part: Part,
}

impl Parts {
    fn new(layout: &Layout, addresses: &Addresses) -> Parts {
        let part = |global, span| Part::new(addresses, global, span);
        let fields = |global, fields: &[(Field, u64)]| part(global, Span::of(layout, fields));
        let whole = |global, len| part(global, Span { start: 0, len });
        let size = layout.get(Field::TimeHistogramSize).unwrap_or(0);
        let histogram = |global, field| Histogram { field, part: fields(global, &[(field, size)]) };
        let total_gc = match layout.get(Field::MemGcPauseDist) {
            Some(_) => histogram(Global::Memstats, Field::MemGcPauseDist),
            None => histogram(Global::Sched, Field::SchedStwTotalTimeGC),
        };
        Parts {
            sched: fields(Global::Sched, SCHED),
            gomaxprocs: whole(Global::Gomaxprocs, 4),
            allp: whole(Global::Allp, 16),
            gcphase: whole(Global::Gcphase, 4),
            numgc: fields(Global::Memstats, &[(Field::MemNumgc, 4)]),
            work: fields(Global::Work, gc::WORK),
            time_to_run: histogram(Global::Sched, Field::SchedTimeToRun),
            total_gc,
            total_other: histogram(Global::Sched, Field::SchedStwTotalTimeOther),
            stopping_gc: histogram(Global::Sched, Field::SchedStwStoppingTimeGC),
            stopping_other: histogram(Global::Sched, Field::SchedStwStoppingTimeOther),
        }
    }

    fn all(&self) -> [&Part; 11] {
        let histograms = [&self.time_to_run, &self.total_gc, &self.total_other, &self.stopping_gc, &self.stopping_other];
        let [a, b, c, d, e] = histograms.map(|histogram| &histogram.part);
        [&self.sched, &self.gomaxprocs, &self.allp, &self.gcphase, &self.numgc, &self.work, a, b, c, d, e]
    }
}

const SCHED: &[(Field, u64)] = &[(Field::SchedGoidgen, 8), (Field::SchedNpidle, 4), (Field::SchedNmspinning, 4), (Field::SchedRunqSize, 4)];

impl<'a> Reader<'a> {
    fn new(layout: &'a Layout, addresses: Addresses, clock_offset_ns: i64) -> Self {
        Reader {
            layout,
            parts: Parts::new(layout, &addresses),
            ps: ps::Known::new(layout),
            cycles: gc::Known::new(layout, &addresses, clock_offset_ns),
        }
    }

    fn read(&mut self, taken_at_ns: i64, read: ReadBatch) -> Result<Counters> {
        let parts = self.parts.all().into_iter().filter_map(|part| part.range());
        let copies = Copies::read(parts.chain(self.ps.ranges()), read)?;
        let number = |part: &Part| part.bytes(&copies).map(|bytes| u32_at(&bytes, 0));
        let slice = self.parts.allp.bytes(&copies).map(|bytes| (u64_at(&bytes, 0), u64_at(&bytes, 8)));
        let gomaxprocs = number(&self.parts.gomaxprocs).and_then(|value| gomaxprocs(value, slice.clone()?.1));
        let at_most_ps = |count| at_most(count, gomaxprocs.as_ref().ok().copied());
        let sched = Block { layout: self.layout, span: self.parts.sched.span, bytes: self.parts.sched.bytes(&copies) };
        let ps = self.ps.read(self.layout, slice, &copies, read)?;
        let gc =
            self.cycles.read(self.layout, number(&self.parts.gcphase), number(&self.parts.numgc), self.parts.work.bytes(&copies), read)?;
        Ok(Counters {
            taken_at_ns,
            idle_ps: at_most_ps(sched.u32(Field::SchedNpidle)),
            spinning_ms: at_most_ps(sched.u32(Field::SchedNmspinning)),
            global_run_queue: sched.u32(Field::SchedRunqSize),
            goroutines_created: ps.as_ref().map_err(String::clone).and_then(|ps| created(sched.u64(Field::SchedGoidgen)?, ps)),
            ps: ps.map(|ps| ps.into_iter().map(|(p, _)| p).collect()),
            gomaxprocs,
            time_to_run: self.histogram(&self.parts.time_to_run, &copies),
            gc,
            stops: Stops {
                total_gc: self.histogram(&self.parts.total_gc, &copies),
                total_other: self.histogram(&self.parts.total_other, &copies),
                stopping_gc: self.histogram(&self.parts.stopping_gc, &copies),
                stopping_other: self.histogram(&self.parts.stopping_other, &copies),
            },
        })
    }

    fn histogram(&self, histogram: &Histogram, copies: &Copies) -> Figure<TimeHistogram> {
        self.layout.get(histogram.field).ok_or_else(|| missing(histogram.field))?;
        let bytes = histogram.part.bytes(copies)?;
        TimeHistogram::parse(&bytes).ok_or_else(|| "this Go version's histograms have another shape".to_owned())
    }
}

/// `runtime.gomaxprocs` is equal to the length of `runtime.allp` (`runtime/proc.go`: procresize), by which a wrong address would show.
pub fn gomaxprocs(value: u32, ps: u64) -> Figure<u32> {
    match u64::from(value) == ps && value > 0 {
        true => Ok(value),
        false => Err(format!("runtime.gomaxprocs ({value}) and the number of Ps ({ps}) differ")),
    }
}

/// Ids handed out, but for those that Ps still have in stock (`runtime/proc.go`: newproc1).
fn created(goidgen: u64, ps: &[(PCounters, u64)]) -> Figure<u64> {
    let in_stock: u64 = ps.iter().map(|(_, stock)| stock).sum();
    goidgen.checked_sub(in_stock).ok_or_else(|| format!("{in_stock} ids in stock of {goidgen} is not plausible"))
}
