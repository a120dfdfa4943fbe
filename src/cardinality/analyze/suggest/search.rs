//! Chooses among candidates: those that lose least first, of these the one that saves most, and at the end none that is not needed.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Candidate, Change, Edit, Risk, apply, candidates};
use crate::cardinality::analyze::memory::Memory;
use crate::cardinality::model::{Family, Scrape};

/// Edits short of dropping whole metrics.
const MOST_EDITS: usize = 50;
/// Whole metrics. A plan that drops more is none that anybody would follow.
pub const MOST_DROPPED: usize = 1000;
/// Of these, so many are edits of their own; the others are one together.
const DROPPED_ALONE: usize = 20;

pub struct Search<'a> {
    scrape: &'a Scrape,
    memory: &'a Memory,
    /// As the edits so far leave them; those that none has changed are not there.
    families: FxHashMap<usize, Family>,
    candidates: Vec<Candidate>,
    /// What each would save now; `None` when a family has changed since.
    saves: Vec<Option<u64>>,
    of_family: FxHashMap<usize, Vec<usize>>,
    taken: Vec<Taken>,
    pub series: u64,
}

struct Taken {
    candidate: usize,
    series_saved: u64,
    bytes_saved: u64,
}

impl<'a> Search<'a> {
    pub fn new(scrape: &'a Scrape, candidates: Vec<Candidate>, memory: &'a Memory) -> Self {
        let mut search = Search {
            scrape,
            memory,
            families: FxHashMap::default(),
            candidates: Vec::new(),
            saves: Vec::new(),
            of_family: FxHashMap::default(),
            taken: Vec::new(),
            series: scrape.series(),
        };
        for candidate in candidates {
            search.add(candidate);
        }
        search
    }

    /// Returns its number.
    fn add(&mut self, candidate: Candidate) -> usize {
        let number = self.candidates.len();
        for (family, _) in &candidate.changes {
            self.of_family.entry(*family).or_default().push(number);
        }
        self.candidates.push(candidate);
        self.saves.push(None);
        number
    }

    /// Takes the candidate up to `risk` that saves most, and at least `least` series.
    pub fn take(&mut self, risk: Risk, least: u64) -> bool {
        if self.taken.len() >= MOST_EDITS {
            return false;
        }
        let open: Vec<usize> =
            (0..self.candidates.len()).filter(|at| self.candidates[*at].edit.risk <= risk && !self.is_taken(*at)).collect();
        for at in &open {
            if self.saves[*at].is_none() {
                self.saves[*at] = Some(self.saving(*at));
            }
        }
        let saves = |at: &usize| self.saves[*at].unwrap_or(0);
        let Some(best) = open.into_iter().max_by_key(|at| (saves(at), Reverse(self.candidates[*at].edit.risk))) else { return false };
        if saves(&best) < least.max(1) {
            return false;
        }
        self.apply(best);
        true
    }

    /// Drops whole metrics, those with most series left first, until no more than `budget` series are left.
    pub fn drop_metrics(&mut self, budget: u64) {
        let series = |family: &usize| self.family(*family).series();
        let mut open: Vec<usize> = (0..self.scrape.families.len()).filter(|family| series(family) > 0).collect();
        open.sort_by_key(|family| (Reverse(series(family)), self.families.contains_key(family)));
        let mut left = self.series;
        let mut count = 0;
        while left > budget && count < open.len().min(MOST_DROPPED) {
            left -= series(&open[count]);
            count += 1;
        }
        let mut kept: Vec<usize> = open.split_off(count).into_iter().filter(|family| !self.families.contains_key(family)).collect();
        // A metric that an edit has made small already stays, where one that is whole does as well in its place.
        for dropped in open.iter_mut().filter(|family| self.families.contains_key(family)) {
            let spare = budget.saturating_sub(left);
            let enough = kept.partition_point(|other| series(other) + spare >= series(dropped));
            if let Some(at) = enough.checked_sub(1) {
                left = left + series(dropped) - series(&kept[at]);
                std::mem::swap(dropped, &mut kept[at]);
                kept.remove(at);
            }
        }
        let alone = if open.len() > DROPPED_ALONE { DROPPED_ALONE - 1 } else { open.len() };
        let (first, rest) = open.split_at(alone);
        let mut drops: Vec<Candidate> = first.iter().map(|family| candidates::dropped(self.scrape, *family)).collect();
        drops.extend((!rest.is_empty()).then(|| candidates::all_dropped(self.scrape, rest)));
        for candidate in drops {
            let number = self.add(candidate);
            self.apply(number);
        }
    }

    /// Takes back what is not needed to stay within `most` series, what loses most first.
    pub fn give_back(&mut self, most: u64) {
        let mut order: Vec<usize> = (0..self.taken.len()).collect();
        order.sort_by_key(|at| (Reverse(self.candidates[self.taken[*at].candidate].edit.risk), self.taken[*at].series_saved));
        let mut given_back = FxHashSet::default();
        for at in order {
            given_back.insert(at);
            let candidate = &self.candidates[self.taken[at].candidate];
            let numbers: FxHashSet<usize> = candidate.changes.iter().map(|(family, _)| *family).collect();
            let again: Vec<(usize, Family)> = numbers.into_iter().map(|family| (family, self.replay(family, &given_back))).collect();
            let now: u64 = again.iter().map(|(family, _)| self.family(*family).series()).sum();
            let left = self.series - now + again.iter().map(|(_, family)| family.series()).sum::<u64>();
            if left <= most {
                self.series = left;
                self.families.extend(again);
            } else {
                given_back.remove(&at);
            }
        }
        if !given_back.is_empty() {
            let stay = std::mem::take(&mut self.taken).into_iter().enumerate().filter(|(at, _)| !given_back.contains(at));
            (self.families, self.series) = (FxHashMap::default(), self.scrape.series());
            stay.for_each(|(_, taken)| self.apply(taken.candidate));
        }
    }

    /// In the order in which they were taken.
    pub fn edits(&self) -> Vec<Edit> {
        let edit = |taken: &Taken| Edit {
            series_saved: taken.series_saved,
            bytes_saved: taken.bytes_saved,
            ..self.candidates[taken.candidate].edit.clone()
        };
        self.taken.iter().map(edit).collect()
    }

    fn is_taken(&self, candidate: usize) -> bool {
        self.taken.iter().any(|taken| taken.candidate == candidate)
    }

    fn family(&self, number: usize) -> &Family {
        self.families.get(&number).unwrap_or(&self.scrape.families[number])
    }

    /// A family after all edits taken but those.
    fn replay(&self, number: usize, without: &FxHashSet<usize>) -> Family {
        let edits = self.taken.iter().enumerate().filter(|(at, _)| !without.contains(at));
        let changes = edits.flat_map(|(_, taken)| &self.candidates[taken.candidate].changes).filter(|(family, _)| *family == number);
        let changes: Vec<&Change> = changes.map(|(_, change)| change).collect();
        match changes.split_first() {
            None => self.scrape.families[number].clone(),
            Some((first, rest)) => {
                rest.iter().fold(apply::apply(&self.scrape.families[number], first), |family, change| apply::apply(&family, change))
            }
        }
    }

    fn saving(&self, at: usize) -> u64 {
        self.changed(at).iter().map(|(number, family)| self.family(*number).series() - family.series()).sum()
    }

    /// The families that a candidate is about, as it leaves them.
    fn changed(&self, at: usize) -> BTreeMap<usize, Family> {
        let mut changed: BTreeMap<usize, Family> = BTreeMap::new();
        for (number, change) in &self.candidates[at].changes {
            let left = apply::apply(changed.get(number).unwrap_or(self.family(*number)), change);
            changed.insert(*number, left);
        }
        changed
    }

    fn apply(&mut self, at: usize) {
        let (mut series_saved, mut bytes_saved) = (0, 0);
        for (number, family) in self.changed(at) {
            let saved = self.family(number).series() - family.series();
            let share = saved as f64 / self.scrape.families[number].series().max(1) as f64;
            series_saved += saved;
            bytes_saved += (self.memory.metrics[number].memory_bytes as f64 * share) as u64;
            self.families.insert(number, family);
            // What the others save of this family is different now.
            for other in self.of_family.get(&number).into_iter().flatten() {
                self.saves[*other] = None;
            }
        }
        self.series -= series_saved;
        self.taken.push(Taken { candidate: at, series_saved, bytes_saved });
    }
}
