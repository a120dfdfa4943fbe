//! What the reading phase yields before anything is named: records and stacks of code addresses.

use rustc_hash::FxHashMap;

use super::model::{BlockedOn, ReadState, Thread};
use super::record::Record;
use crate::target::stack::Cut;
use crate::target::unwind::Pc;

pub struct RawGoroutine {
    pub record: Record,
    pub stack: u32,
    pub sp: u64,
    pub read: ReadState,
    pub thread: Option<Thread>,
    pub blocked_on: Option<BlockedOn>,
    /// Index into `Raw::labels`.
    pub labels: Option<u32>,
    /// Of a sleeper in Go versions that keep the time in its timer: `timer.when`.
    pub wakes_at: Option<i64>,
}

/// Distinct stacks, numbered in order of appearance.
#[derive(Default)]
pub struct StackTable {
    pub stacks: Vec<(Box<[Pc]>, Option<Cut>)>,
    index: FxHashMap<(Box<[Pc]>, Option<Cut>), u32>,
}

impl StackTable {
    pub fn number(&mut self, pcs: &[Pc], cut: Option<Cut>) -> u32 {
        // Looked up by a boxed key: distinct stacks are few, so that the allocation is cheaper than a second index.
        let key: (Box<[Pc]>, Option<Cut>) = (pcs.into(), cut);
        if let Some(&known) = self.index.get(&key) {
            return known;
        }
        let number = self.stacks.len() as u32;
        self.stacks.push(key.clone());
        self.index.insert(key, number);
        number
    }
}

/// One reader's share.
#[derive(Default)]
pub struct Raw {
    pub goroutines: Vec<RawGoroutine>,
    pub stacks: StackTable,
    pub labels: Vec<Vec<(String, String)>>,
    pub dead: u64,
    pub skipped: u64,
    pub retried: u64,
}

impl Raw {
    /// Takes over another reader's share, renumbering its stacks and labels.
    pub fn absorb(&mut self, other: Raw) {
        let stacks: Vec<u32> = other.stacks.stacks.iter().map(|(pcs, cut)| self.stacks.number(pcs, *cut)).collect();
        let first_label = self.labels.len() as u32;
        self.labels.extend(other.labels);
        self.goroutines.extend(other.goroutines.into_iter().map(|mut g| {
            g.stack = stacks[g.stack as usize];
            g.labels = g.labels.map(|l| l + first_label);
            g
        }));
        self.dead += other.dead;
        self.skipped += other.skipped;
        self.retried += other.retried;
    }
}
