//! The runtime's garbage collections: how many, how long they stopped the world, and when.

use super::copies::{Copies, Part, ReadBatch};
use crate::error::Result;
use crate::target::elf::u64_at;
use crate::target::globals::Global;
use crate::target::layout::{Field, Layout};
use crate::target::variables::{Addresses, Block, Figure, Span, missing};

#[derive(Debug, Clone, PartialEq)]
pub struct Gc {
    /// Cycles finished since the program began.
    pub cycles: Figure<u32>,
    pub phase: Figure<GcPhase>,
    /// Of the cycles that ended since the previous reading, oldest first; of the first reading: of all that the runtime still knows.
    pub pauses: Figure<Vec<Pause>>,
    /// Cycles that ended since the previous reading and are not among `pauses`: the runtime keeps the last 256.
    pub pauses_lost: u32,
    /// The cycle under way, or the last one; `None` before the first. Since Go 1.19.
    pub cycle: Figure<Option<Cycle>>,
}

/// How long a cycle stopped the world, all its stops together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// Its number, from 1.
    pub cycle: u32,
    /// When it ended, by the wall clock: nanoseconds since 1970.
    pub ended_unix_ns: u64,
    pub pause_ns: u64,
}

/// When each phase of a cycle began, by CLOCK_MONOTONIC of goscope's own time namespace; `None` if it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cycle {
    /// The world is being stopped, for the first time.
    pub sweep_termination_ns: i64,
    /// The world runs, and marking does.
    pub mark_ns: Option<i64>,
    /// The world is being stopped again.
    pub mark_termination_ns: Option<i64>,
    pub end_ns: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GcPhase {
    /// Not running, or sweeping.
    Off,
    Mark,
    MarkTermination,
}

impl GcPhase {
    /// `runtime/mgc.go`: _GCoff, _GCmark, _GCmarktermination.
    pub fn of(gcphase: u32) -> Figure<GcPhase> {
        match gcphase {
            0 => Ok(GcPhase::Off),
            1 => Ok(GcPhase::Mark),
            2 => Ok(GcPhase::MarkTermination),
            other => Err(format!("runtime.gcphase has the unknown value {other}")),
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            GcPhase::Off => "off",
            GcPhase::Mark => "mark",
            GcPhase::MarkTermination => "mark termination",
        }
    }
}

pub const WORK: &[(Field, u64)] = &[(Field::WorkSweepTerm, 8), (Field::WorkMark, 8), (Field::WorkMarkTerm, 8), (Field::WorkEnd, 8)];

/// `len(memstats.pause_ns)`.
const RING: u32 = 256;

/// What was known at the last reading.
pub struct Known {
    cycles: Option<u32>,
    /// Rings of the last cycles (`runtime/mstats.go`: mstats.pause_ns, pause_end).
    pauses: Part,
    ends: Part,
    work: Span,
    /// The target's clock minus ours.
    clock_offset_ns: i64,
}

impl Known {
    pub fn new(layout: &Layout, addresses: &Addresses, clock_offset_ns: i64) -> Known {
        let ring = |field| Part::new(addresses, Global::Memstats, Span::of(layout, &[(field, u64::from(RING) * 8)]));
        Known {
            cycles: None,
            pauses: ring(Field::MemPauseNs),
            ends: ring(Field::MemPauseEnd),
            work: Span::of(layout, WORK),
            clock_offset_ns,
        }
    }

    pub fn read(
        &mut self,
        layout: &Layout,
        gcphase: Figure<u32>,
        numgc: Figure<u32>,
        work: Figure<Vec<u8>>,
        read: ReadBatch,
    ) -> Result<Gc> {
        let work = Block { layout, span: self.work, bytes: work };
        let (pauses, pauses_lost) = match &numgc {
            Ok(cycles) => self.pauses_until(*cycles, read)?,
            Err(reason) => (Err(reason.clone()), 0),
        };
        Ok(Gc { cycles: numgc, phase: gcphase.and_then(GcPhase::of), pauses, pauses_lost, cycle: self.cycle(&work) })
    }

    /// The ring is read after the count, because a cycle is counted after its pause was written (`runtime/mgc.go`: gcMarkTermination).
    fn pauses_until(&mut self, cycles: u32, read: ReadBatch) -> Result<(Figure<Vec<Pause>>, u32)> {
        // The pause of the cycle under way may be written over the oldest one at any time.
        let kept = RING - 1;
        let new = self.cycles.map_or(cycles.min(kept), |before| cycles.wrapping_sub(before));
        let count = new.min(kept);
        if count == 0 {
            self.cycles = Some(cycles);
            return Ok((Ok(Vec::new()), 0));
        }
        let copies = Copies::read([&self.pauses, &self.ends].into_iter().filter_map(|part| part.range()), read)?;
        let (pauses, ends) = match (self.pauses.bytes(&copies), self.ends.bytes(&copies)) {
            (Ok(pauses), Ok(ends)) => (pauses, ends),
            (Err(reason), _) | (_, Err(reason)) => return Ok((Err(reason), 0)),
        };
        let pause = |back: u32| {
            let before = cycles.wrapping_sub(back);
            let at = (before % RING) as usize * 8;
            Pause { cycle: before.wrapping_add(1), ended_unix_ns: u64_at(&ends, at), pause_ns: u64_at(&pauses, at) }
        };
        self.cycles = Some(cycles);
        Ok((Ok((1..=count).rev().map(pause).collect()), new - count))
    }

    /// Each time is written when its phase begins, so that what lies before the cycle's begin is of the cycle before.
    fn cycle(&self, work: &Block) -> Figure<Option<Cycle>> {
        work.layout.get(Field::WorkEnd).ok_or_else(|| missing(Field::WorkEnd))?;
        let at = |field| work.u64(field).map(|ns| ns as i64);
        let begin = at(Field::WorkSweepTerm)?;
        if begin == 0 {
            return Ok(None);
        }
        let ours = |ns: i64| ns.wrapping_sub(self.clock_offset_ns);
        let phase = |field| at(field).map(|ns| Some(ns).filter(|&ns| ns >= begin).map(ours));
        Ok(Some(Cycle {
            sweep_termination_ns: ours(begin),
            mark_ns: phase(Field::WorkMark)?,
            mark_termination_ns: phase(Field::WorkMarkTerm)?,
            end_ns: phase(Field::WorkEnd)?,
        }))
    }
}
