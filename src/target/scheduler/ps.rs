//! The runtime's Ps (`runtime/runtime2.go`: p).

use super::copies::{Copies, ReadBatch};
use crate::error::Result;
use crate::target::elf::u64_at;
use crate::target::layout::{Field, Layout};
use crate::target::variables::{Block, Figure, Span};

/// What a P counts. Ticks wrap around.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PCounters {
    pub id: i32,
    pub status: PStatus,
    /// Goroutines that it began to run, but for those that inherit the time slice of the one before.
    pub sched_tick: u32,
    /// System calls that ended on it, or that it was taken away from.
    pub syscall_tick: u32,
    /// Goroutines in its own queue, the one that runs next included.
    pub run_queue: u32,
    /// Address of the M that runs it.
    pub m: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PStatus {
    Idle,
    Running,
    /// Its M is in a system call. Until Go 1.25: since then such a P stays `Running`, and only the goroutine's status tells.
    Syscall,
    /// Stopped with the world.
    GcStop,
    /// Taken away by a smaller GOMAXPROCS.
    Dead,
}

impl PStatus {
    fn of(number: u32) -> Figure<PStatus> {
        match number {
            0 => Ok(PStatus::Idle),
            1 => Ok(PStatus::Running),
            2 => Ok(PStatus::Syscall),
            3 => Ok(PStatus::GcStop),
            4 => Ok(PStatus::Dead),
            other => Err(format!("a P has the unknown status {other}")),
        }
    }
}

/// More Ps than this are not believed.
const MAX_PS: u64 = 1 << 16;
/// `len(p.runq)`.
const RUN_QUEUE: u32 = 256;
/// `_GoidCacheBatch`.
const IDS: u64 = 16;

/// The Ps of the last reading. A P is never freed, so that they can be read together with the slice that says whether they are still these.
pub struct Known {
    /// `runtime.allp`: array and length.
    slice: (u64, u64),
    addresses: Vec<u64>,
    /// Of each P: all but `runnext`, which is behind the 2 KiB of its queue.
    front: Span,
    runnext: Span,
}

const FRONT: &[(Field, u64)] = &[
    (Field::PId, 4),
    (Field::PStatus, 4),
    (Field::PSchedtick, 4),
    (Field::PSyscalltick, 4),
    (Field::PM, 8),
    (Field::PGoidcache, 8),
    (Field::PGoidcacheend, 8),
    (Field::PRunqhead, 4),
    (Field::PRunqtail, 4),
];

impl Known {
    pub fn new(layout: &Layout) -> Known {
        Known { slice: (0, 0), addresses: Vec::new(), front: Span::of(layout, FRONT), runnext: Span::of(layout, &[(Field::PRunnext, 8)]) }
    }

    pub fn ranges(&self) -> impl Iterator<Item = (u64, usize)> + '_ {
        let of = |p: u64, span: Span| (p.wrapping_add(span.start), span.len);
        self.addresses.iter().flat_map(move |&p| [of(p, self.front), of(p, self.runnext)])
    }

    /// Each P with the goroutine ids that it has in stock. `copies` has what `ranges` asked for.
    pub fn read(
        &mut self,
        layout: &Layout,
        slice: Figure<(u64, u64)>,
        copies: &Copies,
        read: ReadBatch,
    ) -> Result<Figure<Vec<(PCounters, u64)>>> {
        let (array, len) = match slice {
            Ok((array, len)) if len <= MAX_PS => (array, len),
            Ok((_, len)) => return Ok(Err(format!("{len} Ps are not plausible"))),
            Err(reason) => return Ok(Err(reason)),
        };
        if (array, len) == self.slice {
            return Ok(self.parse(layout, copies));
        }
        let range = (array, len as usize * 8);
        let pointers = Copies::read([range].into_iter(), read)?;
        match pointers.get(range.0, range.1) {
            Ok(bytes) => self.addresses = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect(),
            Err(reason) => return Ok(Err(reason)),
        }
        self.slice = (array, len);
        let copies = Copies::read(self.ranges(), read)?;
        Ok(self.parse(layout, &copies))
    }

    fn parse(&self, layout: &Layout, copies: &Copies) -> Figure<Vec<(PCounters, u64)>> {
        let part = |p: u64, span: Span| copies.get(p.wrapping_add(span.start), span.len);
        let parse = |&p: &u64| {
            let front = Block { layout, span: self.front, bytes: part(p, self.front) };
            let (first, end) = (front.u64(Field::PGoidcache)?, front.u64(Field::PGoidcacheend)?);
            let (head, tail) = (front.u32(Field::PRunqhead)?, front.u32(Field::PRunqtail)?);
            let runs_next = u64_at(&part(p, self.runnext)?, 0) != 0;
            let counters = PCounters {
                id: front.u32(Field::PId)? as i32,
                status: PStatus::of(front.u32(Field::PStatus)?)?,
                sched_tick: front.u32(Field::PSchedtick)?,
                syscall_tick: front.u32(Field::PSyscalltick)?,
                run_queue: queued(head, tail) + u32::from(runs_next),
                m: Some(front.u64(Field::PM)?).filter(|&m| m != 0),
            };
            // Restocking moves the first id before the end.
            Ok((counters, if end.wrapping_sub(first) <= IDS { end - first } else { 0 }))
        };
        self.addresses.iter().map(parse).collect()
    }
}

/// Both ends wrap around. They may be from before and after a goroutine left, so that the head seems to be ahead.
fn queued(head: u32, tail: u32) -> u32 {
    (tail.wrapping_sub(head) as i32).clamp(0, RUN_QUEUE as i32) as u32
}

#[cfg(test)]
mod tests {
    use super::queued;

    #[test]
    fn a_queue_wraps_around_and_is_never_negative() {
        assert_eq!((queued(5, 5), queued(5, 9), queued(u32::MAX, 2), queued(6, 5)), (0, 4, 3, 0));
        assert_eq!(queued(0, 1000), 256);
    }
}
