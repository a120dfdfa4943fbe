//! All goroutines of a process, again and again, without stopping anything: what a wall-clock profile is made of.
//!
//! A walk costs time in proportion to the goroutines. Its stacks and labels are numbers into tables that all walks of a [`Walker`] share, so
//! that memory grows with what is distinct, not with the number of walks; and not beyond a limit.

use rustc_hash::FxHashMap;

use super::goroutines::labels::Labels;
use super::goroutines::parked::ParkedReader;
use super::goroutines::raw::RawGoroutine;
use super::goroutines::record::{Record, RecordLayout, State};
use super::goroutines::{ReadState, Status};
use super::layout::Field;
use super::memory::Request;
use super::runtime::GoProcess;
use super::stack::Cut;
use super::unwind::Pc;
use crate::error::Result;
use crate::sys::memory::monotonic_ns;

/// Goroutines read at a time.
const SHARE: usize = 16 << 10;
/// Code addresses that the stack table may hold (32 MiB).
const MAX_PCS: usize = 4 << 20;
/// Text that the label table may hold.
const MAX_LABEL_BYTES: usize = 16 << 20;

/// More Ps than this are not believed.
const MAX_PS: i32 = 1 << 16;

/// How much of each goroutine to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Its record and its stack.
    Stacks,
    /// Its record only, at a fraction of the cost: no labels, and every stack is an empty one with the mark `Cut::NotRead`.
    Records,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// When the walk began: CLOCK_MONOTONIC of goscope's own time namespace.
    pub taken_at_ns: i64,
    /// How long it took.
    pub took_ns: u64,
    /// All but the dead ones, in ascending order of the addresses of their records.
    pub goroutines: Vec<Walked>,
    pub quality: WalkQuality,
}

/// A goroutine as a walk met it. Goroutines of one walk are some milliseconds apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walked {
    pub goid: u64,
    pub status: Status,
    /// Why it waits: an index into `runtime.waitReasonStrings`. Of a goroutine that does not wait: why it last did.
    pub wait_reason: u8,
    /// Since when it has been blocked at least (CLOCK_MONOTONIC of goscope's own time namespace); 0 is unknown. The runtime stamps a blocked
    /// goroutine at the first collection after it blocked.
    pub wait_since_ns: i64,
    /// Index into [`Walker::stacks`]. One that runs Go code has an empty one with the mark `Cut::NotRead`.
    pub stack: u32,
    /// The `go` statement that started it; 0 is none.
    pub go_pc: u64,
    /// The function it was started with.
    pub start_pc: u64,
    /// Index into [`Walker::labels`].
    pub labels: Option<u32>,
    /// Address of the M that it is on.
    pub m: Option<u64>,
    /// The P that its M held at the end of the walk. In a system call: none until Go 1.25, since then the one that nobody has taken yet.
    pub p_id: Option<i32>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WalkQuality {
    /// Moved through every retry; listed by their last state, with an empty stack that has the mark `Cut::Moving`.
    pub torn: u64,
    /// Their records could not be read: not listed.
    pub skipped: u64,
    /// Stacks that are not in memory: cut, with the mark `Cut::NotResident`.
    pub not_resident: u64,
    /// Running, so without a stack.
    pub running: u64,
    /// Read again because they had moved.
    pub retried: u64,
    /// New stacks and label sets that the tables had no room for: an empty stack with the mark `Cut::Depth`, and no labels.
    pub no_room: u64,
    /// Free records.
    pub dead: u64,
}

/// Pcs, innermost first, and why it is not whole.
pub type WalkedStack = (Box<[Pc]>, Option<Cut>);

pub struct Walker<'a> {
    process: &'a GoProcess,
    layout: RecordLayout,
    m_p: u64,
    p_id: u64,
    reader: ParkedReader<'a>,
    labels: LabelTable,
    /// `runtime.allgptr`'s entries, sorted: the runtime only ever adds to them.
    addresses: Vec<u64>,
    /// Of each P seen; an id never changes.
    p_ids: FxHashMap<u64, i32>,
    /// The target's clock minus ours.
    clock_offset_ns: i64,
}

#[derive(Default)]
struct LabelTable {
    sets: Vec<Labels>,
    index: FxHashMap<Labels, u32>,
    bytes: usize,
}

impl<'a> Walker<'a> {
    /// Errors: Target when offsets of the goroutine record are not known.
    pub fn new(process: &'a GoProcess) -> Result<Self> {
        let layout = RecordLayout::new(process)?;
        let mut reader = ParkedReader::new(process, layout);
        reader.lists_c = true;
        reader.tells_objects = false;
        reader.raw.stacks.at_most = Some(MAX_PCS);
        Ok(Walker {
            process,
            layout,
            m_p: process.offset(Field::MP)? as u64,
            p_id: process.offset(Field::PId)? as u64,
            reader,
            labels: LabelTable::default(),
            addresses: Vec::new(),
            p_ids: FxHashMap::default(),
            clock_offset_ns: process.process.clock_offset_ns(),
        })
    }

    /// Stacks of all walks so far.
    pub fn stacks(&self) -> &[WalkedStack] {
        &self.reader.raw.stacks.stacks
    }

    /// Label sets of all walks so far, each sorted by key.
    pub fn labels(&self) -> &[Labels] {
        &self.labels.sets
    }

    /// Errors: Target when the process is gone or has become another program.
    pub fn walk(&mut self, depth: Depth) -> Result<Walk> {
        let taken_at_ns = monotonic_ns();
        self.reader.memory.forget_residency();
        self.find_goroutines()?;
        let mut walk =
            Walk { taken_at_ns, took_ns: 0, goroutines: Vec::with_capacity(self.addresses.len()), quality: WalkQuality::default() };
        let addresses = std::mem::take(&mut self.addresses);
        let read = addresses.chunks(SHARE).try_for_each(|share| match depth {
            Depth::Stacks => self.read_stacks(share, &mut walk),
            Depth::Records => self.read_records(share, &mut walk),
        });
        self.addresses = addresses;
        read?;
        self.find_ps(&mut walk.goroutines)?;
        self.process.check()?;
        walk.took_ns = (monotonic_ns() - taken_at_ns).max(0) as u64;
        Ok(walk)
    }

    fn find_goroutines(&mut self) -> Result<()> {
        if self.process.count_of_g()? != self.addresses.len() as u64 {
            self.addresses = self.process.all_g()?;
            self.addresses.sort_unstable();
        }
        Ok(())
    }

    fn read_stacks(&mut self, share: &[u64], walk: &mut Walk) -> Result<()> {
        self.reader.read_all(share)?;
        for record in std::mem::take(&mut self.reader.running) {
            walk.quality.running += 1;
            let labels = self.reader.labels(record.labels);
            self.reader.unread(record, ReadState::NotRead, Cut::NotRead);
            if let Some(listed) = self.reader.raw.goroutines.last_mut() {
                listed.labels = labels;
            }
        }
        let labels: Vec<Option<u32>> = std::mem::take(&mut self.reader.raw.labels).into_iter().map(|set| self.labels.number(set)).collect();
        walk.quality.no_room += labels.iter().filter(|number| number.is_none()).count() as u64;
        for goroutine in std::mem::take(&mut self.reader.raw.goroutines) {
            let RawGoroutine { record, stack, read, labels: set, .. } = goroutine;
            walk.quality.torn += u64::from(read == ReadState::Torn);
            let cut = self.stacks().get(stack as usize).and_then(|(_, cut)| *cut);
            walk.quality.not_resident += u64::from(cut == Some(Cut::NotResident));
            let labels = set.and_then(|set| *labels.get(set as usize)?);
            self.list(&record, stack, labels, walk);
        }
        let raw = &mut self.reader.raw;
        walk.quality.skipped += std::mem::take(&mut raw.skipped);
        walk.quality.retried += std::mem::take(&mut raw.retried);
        walk.quality.dead += std::mem::take(&mut raw.dead);
        walk.quality.no_room += std::mem::take(&mut raw.stacks.refused);
        Ok(())
    }

    fn read_records(&mut self, share: &[u64], walk: &mut Walk) -> Result<()> {
        let mut requests: Vec<Request> = share.iter().map(|&g| Request::new(g, self.layout.size)).collect();
        let mut bytes = Vec::new();
        self.reader.memory.read_batch(&mut requests, &mut bytes)?;
        let no_stack = self.reader.raw.stacks.number(&[], Some(Cut::NotRead));
        for request in &requests {
            let record = request.outcome.ok().and_then(|at| bytes.get(at..at + self.layout.size));
            let record = record.map(|bytes| Record::parse(request.address, bytes, &self.layout));
            match record.map(|record| (record, record.state)) {
                None | Some((_, State::Unknown(_))) => walk.quality.skipped += 1,
                Some((_, State::Dead | State::Live(Status::Idle))) => walk.quality.dead += 1,
                Some((record, State::Live(status))) => {
                    walk.quality.running += u64::from(status == Status::Running);
                    self.list(&record, no_stack, None, walk);
                }
            }
        }
        Ok(())
    }

    fn list(&self, record: &Record, stack: u32, labels: Option<u32>, walk: &mut Walk) {
        let State::Live(status) = record.state else { return };
        walk.goroutines.push(Walked {
            goid: record.id,
            status,
            wait_reason: record.wait_reason,
            wait_since_ns: if record.wait_since == 0 { 0 } else { record.wait_since.wrapping_sub(self.clock_offset_ns) },
            stack,
            go_pc: record.go_pc,
            start_pc: record.start_pc,
            labels,
            m: Some(record.m).filter(|&m| m != 0),
            p_id: None,
        });
    }

    /// Two reads for all: from the Ms to their Ps, and the ids of Ps not met before.
    fn find_ps(&mut self, goroutines: &mut [Walked]) -> Result<()> {
        let mut ms: Vec<u64> = goroutines.iter().filter_map(|g| g.m).collect();
        ms.sort_unstable();
        ms.dedup();
        let ps = self.words(&ms, self.m_p)?;
        let mut unknown: Vec<u64> = ps.values().copied().filter(|p| *p != 0 && !self.p_ids.contains_key(p)).collect();
        unknown.sort_unstable();
        unknown.dedup();
        let ids = self.words(&unknown, self.p_id)?;
        // What an M that has just ended pointed at may be anything.
        let plausible = |word: u64| i32::try_from(word as u32).ok().filter(|id| *id < MAX_PS);
        self.p_ids.extend(ids.into_iter().filter_map(|(p, word)| Some((p, plausible(word)?))));
        for goroutine in goroutines {
            let p = goroutine.m.and_then(|m| ps.get(&m));
            goroutine.p_id = p.and_then(|p| self.p_ids.get(p)).copied();
        }
        Ok(())
    }

    /// The word at an offset of each of these structs, by address of the struct.
    fn words(&self, addresses: &[u64], offset: u64) -> Result<FxHashMap<u64, u64>> {
        let mut requests: Vec<Request> = addresses.iter().map(|a| Request::new(a.saturating_add(offset), 8)).collect();
        let mut bytes = Vec::new();
        self.reader.memory.read_batch(&mut requests, &mut bytes)?;
        let word = |request: &Request| request.outcome.ok().map(|at| super::elf::u64_at(&bytes, at));
        Ok(std::iter::zip(addresses, &requests).filter_map(|(&address, request)| Some((address, word(request)?))).collect())
    }
}

impl LabelTable {
    /// `None` when it has no room.
    fn number(&mut self, set: Labels) -> Option<u32> {
        if let Some(&known) = self.index.get(&set) {
            return Some(known);
        }
        let bytes: usize = set.iter().map(|(key, value)| key.len() + value.len() + 64).sum();
        if self.bytes + bytes > MAX_LABEL_BYTES {
            return None;
        }
        self.bytes += bytes;
        let number = self.sets.len() as u32;
        self.sets.push(set.clone());
        self.index.insert(set, number);
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(value: &str) -> Labels {
        vec![("key".to_owned(), value.to_owned())]
    }

    #[test]
    fn label_sets_are_numbered_by_content_until_there_is_no_room() {
        let mut table = LabelTable::default();
        assert_eq!([set("a"), set("b"), set("a")].map(|set| table.number(set)), [Some(0), Some(1), Some(0)]);
        assert_eq!(table.sets, [set("a"), set("b")]);
        assert_eq!(table.number(set(&"x".repeat(MAX_LABEL_BYTES))), None);
        assert_eq!((table.number(set("b")), table.number(set("c"))), (Some(1), Some(2)));
    }
}
