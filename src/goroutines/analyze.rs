//! From a snapshot to what a user asked to see of it: counts, filters, order, groups, differences.
//! Pure: no clock, no file, no terminal; nothing here can fail.

pub mod diff;
pub mod filter;
pub mod group;

use super::model::{Counts, Goroutine, Snapshot, Status};
pub use filter::{Filter, Scope, WaitReason};
pub use group::{Ages, Group, GroupBy, Key};

/// What the user asked for.
#[derive(Debug, Clone, Default)]
pub struct Query {
    pub filter: Filter,
    /// `None`: goroutines by id, groups by count.
    pub sort: Option<Sort>,
    /// `None`: single goroutines.
    pub group: Option<GroupBy>,
    /// At most this many groups; without `group`, at most this many goroutines.
    pub limit: Option<usize>,
    /// Show the frames the runtime hides in its own tracebacks.
    pub runtime_frames: bool,
    /// Tables and text show at most this many frames of a stack.
    pub depth: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Biggest group first; single goroutines by id.
    Count,
    /// By goroutine id; groups by their lowest one.
    Id,
    /// Longest known wait first.
    Wait,
    /// By status, then wait reason.
    Status,
    /// By the innermost frame shown; groups by their key.
    Func,
}

/// A snapshot as asked for.
#[derive(Debug)]
pub struct View<'a> {
    pub snapshot: &'a Snapshot,
    /// Of the whole snapshot, whatever the filter says.
    pub counts: Counts,
    /// How many goroutines pass the filter.
    pub matched: u64,
    /// Indices into `snapshot.goroutines`: those that pass the filter, in order; cut by `limit` only when not grouped.
    pub goroutines: Vec<u32>,
    /// Present when asked for; cut by `limit`.
    pub groups: Option<Vec<Group<'a>>>,
    /// How many groups there are before `limit`.
    pub groups_total: u64,
    pub scope: Scope,
    pub runtime_frames: bool,
    pub depth: Option<usize>,
}

impl<'a> View<'a> {
    pub fn iter(&self) -> impl Iterator<Item = &'a Goroutine> + '_ {
        let snapshot = self.snapshot;
        self.goroutines.iter().map(move |&i| &snapshot.goroutines[i as usize])
    }
}

/// Linear in goroutines, and in the frames of distinct stacks.
pub fn view<'a>(snapshot: &'a Snapshot, query: &Query) -> View<'a> {
    let mut goroutines = filter::select(snapshot, &query.filter);
    let matched = goroutines.len() as u64;
    sort(snapshot, &mut goroutines, query);
    let (mut groups, mut groups_total) = (None, 0);
    if let Some(by) = &query.group {
        let (list, total) = group::group(snapshot, &goroutines, by, query);
        groups = Some(list);
        groups_total = total;
    } else if let Some(limit) = query.limit {
        goroutines.truncate(limit);
    }
    View {
        snapshot,
        counts: counts(snapshot),
        matched,
        goroutines,
        groups,
        groups_total,
        scope: query.filter.scope,
        runtime_frames: query.runtime_frames,
        depth: query.depth,
    }
}

/// Counts every goroutine of the snapshot.
pub fn counts(snapshot: &Snapshot) -> Counts {
    let mut counts = Counts { dead: snapshot.dead, ..Counts::default() };
    for g in &snapshot.goroutines {
        if g.status == Status::Dead {
            counts.dead += 1;
            continue;
        }
        counts.total += 1;
        if g.system {
            counts.system += 1;
        } else {
            counts.user += 1;
        }
        *counts.by_status.entry(g.status).or_default() += 1;
    }
    counts
}

fn sort(snapshot: &Snapshot, rows: &mut [u32], query: &Query) {
    let g = |i: &u32| &snapshot.goroutines[*i as usize];
    rows.sort_unstable_by_key(|i| g(i).id);
    match query.sort {
        None | Some(Sort::Count | Sort::Id) => {}
        Some(Sort::Wait) => rows.sort_by_key(|i| std::cmp::Reverse(g(i).wait_min_ns)),
        Some(Sort::Status) => rows.sort_by(|a, b| {
            let key = |i| (g(i).status, g(i).wait_reason.as_deref());
            key(a).cmp(&key(b))
        }),
        Some(Sort::Func) => rows.sort_by_key(|i| {
            let stack = snapshot.stacks.get(g(i).stack as usize);
            stack.and_then(|stack| crate::target::frames::innermost(stack, query.runtime_frames)).map(|frame| &*frame.function)
        }),
    }
}
