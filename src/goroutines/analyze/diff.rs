//! What changed between two snapshots: by stack, by creation site, by goroutine.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::filter::{Filter, select};
use super::group::{Shapes, site};
use crate::goroutines::model::{Goroutine, Snapshot, Stack, Status};
use crate::target::frames::{Place, Shape};

#[derive(Debug)]
pub struct Diff<'a> {
    pub before: &'a Snapshot,
    pub after: &'a Snapshot,
    /// `None` when the clock went back.
    pub interval: Option<Duration>,
    /// Goroutines looked at in each: those that pass the filter.
    pub goroutines: (u64, u64),
    /// `None` unless both are known to be of the same process: goroutine ids say nothing across processes.
    pub moves: Option<Moves>,
    /// Biggest change first, then biggest.
    pub stacks: Vec<Entry<&'a Stack>>,
    /// `None`: goroutines whose creation site is not known.
    pub sites: Vec<Entry<Option<Place<'a>>>>,
    pub runtime_frames: bool,
}

/// By goroutine id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moves {
    pub new: u64,
    pub gone: u64,
    /// In both, with the same stack and stack pointer.
    pub stuck: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<T> {
    pub of: T,
    pub before: u64,
    pub after: u64,
    /// Of those after: how many are the same goroutine with the same stack pointer as before. Always 0 across processes.
    pub stuck: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    New,
    Grown,
    Shrunk,
    Gone,
    Same,
}

impl Change {
    pub fn as_str(self) -> &'static str {
        match self {
            Change::New => "new",
            Change::Grown => "grown",
            Change::Shrunk => "shrunk",
            Change::Gone => "gone",
            Change::Same => "same",
        }
    }
}

impl<T> Entry<T> {
    pub fn delta(&self) -> i64 {
        self.after as i64 - self.before as i64
    }

    pub fn change(&self) -> Change {
        match (self.before, self.after) {
            (0, _) => Change::New,
            (_, 0) => Change::Gone,
            (before, after) if after > before => Change::Grown,
            (before, after) if after < before => Change::Shrunk,
            _ => Change::Same,
        }
    }
}

/// Whether goroutine ids mean the same in both.
pub fn same_process(before: &Snapshot, after: &Snapshot) -> bool {
    let id = |s: &Snapshot| (s.target.pid, s.target.start_ticks);
    id(before) == id(after) && before.target.start_ticks != 0
}

/// Linear in goroutines, and in the frames of distinct stacks.
pub fn diff<'a>(before: &'a Snapshot, after: &'a Snapshot, filter: &Filter, runtime_frames: bool) -> Diff<'a> {
    let mut stacks = Tally::default();
    let mut sites = Tally::default();
    let known = same_process(before, after);
    let mut shapes = Shapes::new(before, runtime_frames);
    let shape = |snapshot: &'a Snapshot, stack: u32| Shape { stack: stack_of(snapshot, stack), runtime_frames };
    let mut ids: FxHashMap<u64, (&Goroutine, usize)> = FxHashMap::default();
    let mut slots = vec![None; before.stacks.len()];
    let rows = select(before, filter);
    for &row in &rows {
        let g = &before.goroutines[row as usize];
        let first = shapes.of(g.stack);
        let slot = cached(&mut slots, first, || stacks.slot(shape(before, first)));
        stacks.entries[slot].1.before += 1;
        let slot_of_site = sites.slot(site(g));
        sites.entries[slot_of_site].1.before += 1;
        if known {
            ids.insert(g.id, (g, slot));
        }
    }
    let mut moves = Moves::default();
    let mut shapes = Shapes::new(after, runtime_frames);
    let mut slots = vec![None; after.stacks.len()];
    let rows_after = select(after, filter);
    for &row in &rows_after {
        let g = &after.goroutines[row as usize];
        let first = shapes.of(g.stack);
        let slot = cached(&mut slots, first, || stacks.slot(shape(after, first)));
        let slot_of_site = sites.slot(site(g));
        let stuck = match ids.remove(&g.id) {
            Some((was, slot_before)) => slot_before == slot && is_stuck(was, g),
            None => {
                moves.new += 1;
                false
            }
        };
        moves.stuck += u64::from(stuck);
        for entry in [&mut stacks.entries[slot].1, &mut sites.entries[slot_of_site].1] {
            entry.after += 1;
            entry.stuck += u64::from(stuck);
        }
    }
    moves.gone = ids.len() as u64;
    Diff {
        before,
        after,
        interval: after.captured_at.duration_since(before.captured_at).ok(),
        goroutines: (rows.len() as u64, rows_after.len() as u64),
        moves: known.then_some(moves),
        stacks: stacks.sorted(|shape| shape.stack, |shape| shape.order()),
        sites: sites.sorted(|site| site, |site| site),
        runtime_frames,
    }
}

fn stack_of(snapshot: &Snapshot, stack: u32) -> &Stack {
    static EMPTY: Stack = Stack { frames: Vec::new(), cut: None };
    snapshot.stacks.get(stack as usize).unwrap_or(&EMPTY)
}

/// A running goroutine moves; of one whose stack pointer is not known nothing can be said.
fn is_stuck(before: &Goroutine, after: &Goroutine) -> bool {
    after.sp != 0 && after.sp == before.sp && after.status == before.status && after.status != Status::Running
}

fn cached(slots: &mut [Option<usize>], stack: u32, make: impl FnOnce() -> usize) -> usize {
    match slots.get_mut(stack as usize) {
        Some(slot) => *slot.get_or_insert_with(make),
        None => make(),
    }
}

struct Tally<K> {
    slots: FxHashMap<K, usize>,
    entries: Vec<(K, Numbers)>,
}

#[derive(Default)]
struct Numbers {
    before: u64,
    after: u64,
    stuck: u64,
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Tally { slots: FxHashMap::default(), entries: Vec::new() }
    }
}

impl<K: Copy + Eq + std::hash::Hash> Tally<K> {
    fn slot(&mut self, key: K) -> usize {
        *self.slots.entry(key).or_insert_with(|| {
            self.entries.push((key, Numbers::default()));
            self.entries.len() - 1
        })
    }

    /// `order` is for what changed alike.
    fn sorted<T, O: Ord>(self, of: impl Fn(K) -> T, order: impl Fn(K) -> O) -> Vec<Entry<T>> {
        let mut entries = self.entries;
        entries.sort_by_cached_key(|(key, n)| {
            let delta = n.after as i64 - n.before as i64;
            (std::cmp::Reverse((delta.unsigned_abs(), delta, n.after)), order(*key))
        });
        entries.into_iter().map(|(key, n)| Entry { of: of(key), before: n.before, after: n.after, stuck: n.stuck }).collect()
    }
}

/// Live user goroutines by creation site; small, so that the first of many snapshots need not be kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteCounts(FxHashMap<Option<Site>, u64>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Site {
    pub function: Arc<str>,
    pub file: Arc<str>,
    pub line: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    /// `None`: goroutines whose creation site is not known.
    pub site: Option<Site>,
    pub before: u64,
    pub after: u64,
}

/// Counts the goroutines that the program started and that have not ended.
pub fn live_by_site(snapshot: &Snapshot) -> SiteCounts {
    let mut counts: FxHashMap<Option<Place<'_>>, (&Goroutine, u64)> = FxHashMap::default();
    for g in snapshot.goroutines.iter().filter(|g| !g.system && !matches!(g.status, Status::Dead | Status::Idle)) {
        counts.entry(site(g)).or_insert((g, 0)).1 += 1;
    }
    let owned = |g: &Goroutine| {
        g.created_by.as_ref().map(|by| Site { function: by.frame.function.clone(), file: by.frame.file.clone(), line: by.frame.line })
    };
    SiteCounts(counts.into_values().map(|(g, count)| (owned(g), count)).collect())
}

/// Sites with more than `limit` more goroutines in `after` than in `before`, biggest growth first.
pub fn growth(before: &SiteCounts, after: &SiteCounts, limit: u64) -> Vec<Growth> {
    let mut grown: Vec<Growth> = after
        .0
        .iter()
        .map(|(site, &count)| Growth { site: site.clone(), before: before.0.get(site).copied().unwrap_or(0), after: count })
        .filter(|growth| growth.after.saturating_sub(growth.before) > limit)
        .collect();
    grown.sort_by(|a, b| {
        let key = |g: &Growth| (std::cmp::Reverse(g.after - g.before), g.site.as_ref().map(|s| (s.function.clone(), s.line)));
        key(a).cmp(&key(b))
    });
    grown
}
