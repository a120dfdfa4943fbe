//! Groups of goroutines that have something in common.

use std::collections::BTreeMap;
use std::hash::Hash;

use rustc_hash::FxHashMap;

use super::{Query, Sort};
use crate::goroutines::model::{Goroutine, Snapshot, Status};
use crate::target::frames::{Place, Shape, innermost};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupBy {
    /// The same frames, by function, file and line; arguments are ignored, and frames that are not shown.
    Stack,
    /// The same status and wait reason.
    Status,
    /// The same innermost frame shown.
    Func,
    /// The same `go` statement.
    CreatedBy,
    /// The same value of this pprof label.
    Label(String),
}

/// What the goroutines of a group have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key<'a> {
    /// Index of one of the group's stacks.
    Stack(u32),
    Status(Status, Option<&'a str>),
    /// `None`: no frame is known.
    Func(Option<&'a str>),
    /// `None`: not known, as of the main goroutine.
    CreatedBy(Option<Place<'a>>),
    /// `None`: without this label.
    Label(Option<&'a str>),
}

/// A status, and the wait reason where there is one.
pub type Kind<'a> = (Status, Option<&'a str>);

#[derive(Debug)]
pub struct Group<'a> {
    pub key: Key<'a>,
    pub count: u64,
    /// How many of them are the runtime's own.
    pub system: u64,
    /// How many of them are locked to a thread.
    pub locked: u64,
    pub statuses: BTreeMap<Status, u64>,
    /// Status with wait reason, most frequent first.
    pub kinds: Vec<(Kind<'a>, u64)>,
    pub ages: Ages,
    /// Nanoseconds until the first and the last sleeper wake.
    pub wakes_in_ns: Option<(i64, i64)>,
    /// Where they were started, most frequent first.
    pub created_by: Vec<(Option<Place<'a>>, u64)>,
    /// The most frequent stack: index into `Snapshot::stacks`.
    pub stack: u32,
    /// How many entries of `Snapshot::stacks` occur.
    pub distinct_stacks: u64,
    /// The goroutine known to wait longest, else the one with the lowest id.
    pub example: u64,
}

/// How long goroutines are known to be blocked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ages {
    pub min_ns: Option<u64>,
    pub max_ns: Option<u64>,
    /// How many are blocked since some time after the last GC.
    pub since_gc: u64,
}

impl Ages {
    pub fn of(g: &Goroutine) -> Self {
        let mut ages = Ages::default();
        ages.add(g);
        ages
    }

    fn add(&mut self, g: &Goroutine) {
        match g.wait_min_ns {
            Some(ns) => {
                self.min_ns = Some(self.min_ns.map_or(ns, |min| min.min(ns)));
                self.max_ns = self.max_ns.max(Some(ns));
            }
            None if matches!(g.status, Status::Waiting | Status::Leaked) => self.since_gc += 1,
            None => {}
        }
    }
}

/// Groups `rows` (indices of goroutines), sorted and cut as asked; also tells how many there are before the cut.
/// The details are gathered only for the groups that are kept.
pub fn group<'a>(snapshot: &'a Snapshot, rows: &[u32], by: &GroupBy, query: &Query) -> (Vec<Group<'a>>, u64) {
    let (of_row, keys) = assign(snapshot, rows, by, query.runtime_frames);
    let (order, starts) = by_group(rows, &of_row, keys.len());
    let members = |id: usize| &order[starts[id] as usize..starts[id + 1] as usize];
    let total = keys.len() as u64;

    let mut ids: Vec<usize> = (0..keys.len()).collect();
    if matches!(query.sort, None | Some(Sort::Count)) {
        let system = |id: usize| members(id).first().is_some_and(|&g| snapshot.goroutines[g as usize].system);
        ids.sort_by_cached_key(|&id| {
            (std::cmp::Reverse(members(id).len()), system(id), like_last_time(snapshot, keys[id], query.runtime_frames), keys[id])
        });
        ids.truncate(query.limit.unwrap_or(usize::MAX));
    }
    let mut scratch = Scratch::default();
    let mut groups: Vec<_> = ids.iter().map(|&id| scratch.describe(snapshot, keys[id], members(id))).collect();
    match query.sort {
        None | Some(Sort::Count) => return (groups, total),
        Some(Sort::Id) => {} // Rows come by id, and groups in the order of their first row.
        Some(Sort::Wait) => groups.sort_by_key(|group| std::cmp::Reverse(group.ages.max_ns)),
        Some(Sort::Status) => groups.sort_by_key(|group| group.kinds.first().map(|(kind, _)| *kind)),
        Some(Sort::Func) => groups.sort_by(|a, b| name(snapshot, a, query).cmp(&name(snapshot, b, query))),
    }
    groups.truncate(query.limit.unwrap_or(usize::MAX));
    (groups, total)
}

/// The ids of goroutines differ from run to run: groups of one size are ordered by what they show.
fn like_last_time<'a>(snapshot: &'a Snapshot, key: Key<'a>, runtime_frames: bool) -> Option<(Option<&'a str>, u64)> {
    let Key::Stack(index) = key else { return None };
    let stack = snapshot.stacks.get(index as usize)?;
    Some(Shape { stack, runtime_frames }.order())
}

fn name<'a>(snapshot: &'a Snapshot, group: &Group<'a>, query: &Query) -> (Option<&'a str>, Key<'a>) {
    let stack = snapshot.stacks.get(group.stack as usize);
    let func = stack.and_then(|stack| innermost(stack, query.runtime_frames)).map(|frame| &*frame.function);
    match group.key {
        Key::Stack(_) => (func, group.key),
        key => (None, key),
    }
}

/// The group of each row, numbered by first appearance, and the key of each group.
fn assign<'a>(snapshot: &'a Snapshot, rows: &[u32], by: &GroupBy, runtime_frames: bool) -> (Vec<u32>, Vec<Key<'a>>) {
    let goroutines = rows.iter().map(|&row| &snapshot.goroutines[row as usize]);
    let mut keys = Vec::new();
    let of_row = match by {
        GroupBy::Stack => {
            let mut shapes = Shapes::new(snapshot, runtime_frames);
            number(goroutines.map(|g| shapes.of(g.stack)), |_, g| Key::Stack(g), &mut keys)
        }
        GroupBy::Func => {
            let names: Vec<_> = snapshot.stacks.iter().map(|s| innermost(s, runtime_frames)).collect();
            let name = |stack: u32| names.get(stack as usize).copied().flatten().map(|f| &*f.function).filter(|name| !name.is_empty());
            number(goroutines.map(|g| name(g.stack)), |_, name| Key::Func(name), &mut keys)
        }
        GroupBy::Status => number(goroutines.map(kind), |_, (status, reason)| Key::Status(status, reason), &mut keys),
        GroupBy::CreatedBy => number(goroutines.map(site), |_, site| Key::CreatedBy(site), &mut keys),
        GroupBy::Label(label) => {
            let value = |g: &'a Goroutine| g.labels.iter().find(|(key, _)| **key == **label).map(|(_, value)| &**value);
            number(goroutines.map(value), |_, value| Key::Label(value), &mut keys)
        }
    };
    (of_row, keys)
}

/// Where a goroutine was started.
pub fn site(g: &Goroutine) -> Option<Place<'_>> {
    g.created_by.as_ref().map(|created_by| Place::of(&created_by.frame))
}

fn kind(g: &Goroutine) -> Kind<'_> {
    (g.status, g.wait_reason.as_deref())
}

fn number<'a, T: Hash + Eq + Copy>(values: impl Iterator<Item = T>, key: impl Fn(u32, T) -> Key<'a>, keys: &mut Vec<Key<'a>>) -> Vec<u32> {
    let mut ids: FxHashMap<T, u32> = FxHashMap::default();
    values
        .map(|value| {
            *ids.entry(value).or_insert_with(|| {
                let id = keys.len() as u32;
                keys.push(key(id, value));
                id
            })
        })
        .collect()
}

/// Maps each stack to the first one that shows the same frames. Looks at the frames of each stack once.
pub struct Shapes<'a> {
    snapshot: &'a Snapshot,
    runtime_frames: bool,
    of_stack: Vec<Option<u32>>,
    first: FxHashMap<Shape<'a>, u32>,
}

impl<'a> Shapes<'a> {
    pub fn new(snapshot: &'a Snapshot, runtime_frames: bool) -> Self {
        let of_stack = vec![None; snapshot.stacks.len()];
        Shapes { snapshot, runtime_frames, of_stack, first: FxHashMap::default() }
    }

    pub fn of(&mut self, stack: u32) -> u32 {
        match self.of_stack.get(stack as usize) {
            Some(Some(first)) => *first,
            Some(None) => {
                let shape = Shape { stack: &self.snapshot.stacks[stack as usize], runtime_frames: self.runtime_frames };
                let first = *self.first.entry(shape).or_insert(stack);
                self.of_stack[stack as usize] = Some(first);
                first
            }
            None => stack,
        }
    }
}

/// Counting sort: rows ordered by group, order within a group kept, and where each group starts.
fn by_group(rows: &[u32], of_row: &[u32], groups: usize) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0u32; groups + 1];
    for &id in of_row {
        starts[id as usize + 1] += 1;
    }
    for id in 0..groups {
        starts[id + 1] += starts[id];
    }
    let mut next = starts.clone();
    let mut order = vec![0u32; rows.len()];
    for (&row, &id) in rows.iter().zip(of_row) {
        let slot = &mut next[id as usize];
        order[*slot as usize] = row;
        *slot += 1;
    }
    (order, starts)
}

/// Kept between groups so that a million groups of one do not allocate a million maps.
#[derive(Default)]
struct Scratch<'a> {
    kinds: FxHashMap<Kind<'a>, u64>,
    sites: FxHashMap<Option<Place<'a>>, u64>,
    stacks: FxHashMap<u32, u64>,
}

impl<'a> Scratch<'a> {
    fn describe(&mut self, snapshot: &'a Snapshot, key: Key<'a>, members: &[u32]) -> Group<'a> {
        let mut group = Group {
            key,
            count: members.len() as u64,
            system: 0,
            locked: 0,
            statuses: BTreeMap::new(),
            kinds: Vec::new(),
            ages: Ages::default(),
            wakes_in_ns: None,
            created_by: Vec::new(),
            stack: 0,
            distinct_stacks: 0,
            example: 0,
        };
        let mut example = None;
        for &row in members {
            let g = &snapshot.goroutines[row as usize];
            group.system += u64::from(g.system);
            group.locked += u64::from(g.locked);
            *group.statuses.entry(g.status).or_default() += 1;
            group.ages.add(g);
            if let Some(ns) = g.wakes_in_ns {
                group.wakes_in_ns = Some(group.wakes_in_ns.map_or((ns, ns), |(min, max)| (min.min(ns), max.max(ns))));
            }
            *self.kinds.entry(kind(g)).or_default() += 1;
            *self.sites.entry(site(g)).or_default() += 1;
            *self.stacks.entry(g.stack).or_default() += 1;
            example = example.max(Some((g.wait_min_ns, std::cmp::Reverse(g.id))));
        }
        group.example = example.map_or(0, |(_, id)| id.0);
        group.kinds = by_count(self.kinds.drain());
        group.created_by = by_count(self.sites.drain());
        group.distinct_stacks = self.stacks.len() as u64;
        group.stack = by_count(self.stacks.drain()).first().map_or(0, |stack| stack.0);
        group
    }
}

fn by_count<T: Ord + Copy>(counts: impl Iterator<Item = (T, u64)>) -> Vec<(T, u64)> {
    let mut list: Vec<_> = counts.collect();
    list.sort_unstable_by_key(|&(value, count)| (std::cmp::Reverse(count), value));
    list
}
