//! What the reading phase yields before anything is named: records and stacks of code addresses.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

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
    /// Numbers, by the hash of the stack.
    index: HashTable<u32>,
    /// The most code addresses to hold, of all stacks together; `None` is no limit.
    pub at_most: Option<usize>,
    pcs: usize,
    /// New stacks that there was no room for: they got the number of an empty one with the mark `Cut::Depth`.
    pub refused: u64,
}

impl StackTable {
    pub fn number(&mut self, pcs: &[Pc], cut: Option<Cut>) -> u32 {
        let hash = FxBuildHasher.hash_one((pcs, cut));
        if let Some(&known) = self.index.find(hash, |&number| self.is(number, pcs, cut)) {
            return known;
        }
        if !pcs.is_empty() && self.at_most.is_some_and(|most| self.pcs + pcs.len() > most) {
            self.refused += 1;
            return self.number(&[], Some(Cut::Depth));
        }
        let number = self.stacks.len() as u32;
        self.stacks.push((pcs.into(), cut));
        self.pcs += pcs.len();
        let stacks = &self.stacks;
        self.index
            .insert_unique(hash, number, |&other| stacks.get(other as usize).map_or(0, |(pcs, cut)| FxBuildHasher.hash_one((&**pcs, cut))));
        number
    }

    fn is(&self, number: u32, pcs: &[Pc], cut: Option<Cut>) -> bool {
        self.stacks.get(number as usize).is_some_and(|(other, other_cut)| **other == *pcs && *other_cut == cut)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn pcs(addresses: &[u64]) -> Vec<Pc> {
        addresses.iter().map(|&address| Pc::returning(address)).collect()
    }

    #[test]
    fn equal_stacks_have_one_number() {
        let mut table = StackTable::default();
        let stacks: Vec<Vec<Pc>> = (0..2000).map(|n| pcs(&vec![n; n as usize % 7])).collect();
        let numbers: Vec<u32> = stacks.iter().map(|stack| table.number(stack, None)).collect();
        assert_eq!(stacks.iter().map(|stack| table.number(stack, None)).collect::<Vec<u32>>(), numbers);
        for (stack, &number) in stacks.iter().zip(&numbers) {
            assert_eq!((&*table.stacks[number as usize].0, table.stacks[number as usize].1), (&stack[..], None));
        }
        // The same frames, but cut.
        assert_ne!(table.number(&pcs(&[5; 5]), None), table.number(&pcs(&[5; 5]), Some(Cut::Depth)));
    }

    #[test]
    fn a_full_table_knows_its_stacks_and_takes_no_more() {
        let mut table = StackTable { at_most: Some(5), ..StackTable::default() };
        let (first, second) = (table.number(&pcs(&[1, 2, 3]), None), table.number(&pcs(&[4, 5]), None));
        assert_eq!(table.refused, 0);
        let refused = table.number(&pcs(&[6]), None);
        assert_eq!((table.refused, &table.stacks[refused as usize]), (1, &(Box::default(), Some(Cut::Depth))));
        assert_eq!((table.number(&pcs(&[1, 2, 3]), None), table.number(&pcs(&[4, 5]), None)), (first, second));
    }
}
