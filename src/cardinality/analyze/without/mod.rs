//! What a family would be without a label, or without two: leave-one-out, exact.
//!
//! Two children merge when they differ in the removed labels only. So for each set of removed labels, the distinct rows of what is left
//! are counted: a row is packed into one 64-bit key, each label in bits of its own, and leaving a label out is a mask. Most sets are
//! never counted, since other facts decide them: a label that another one determines can go and nothing merges.
//!
//! A family whose labels need more than 63 bits gets hashes for keys: with a million children the chance that a figure is wrong is then
//! below 1 in 10 million.
//!
//! [`plan`] looks at the columns, then each job of the plan may run on a thread of its own, and [`Plan::finish`] puts their counts
//! together. Memory, for each child: 8 bytes in the plan, and 8 to 10 in each [`Workspace`].

mod classes;
mod columns;
mod distinct;
mod together;

use classes::Class;
pub use columns::{Scratch, Value};
pub use distinct::Workspace;
pub use together::Together;

use rustc_hash::FxHashMap;

use crate::cardinality::model::{Column, Family, Id};

/// How many series a family would have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Without {
    pub children: u64,
    pub series: u64,
    /// One for each column of the family, in its order.
    pub labels: Vec<Label>,
    /// All pairs of the [`MOST_COMPARED`] labels with most values, the lower index first; in order.
    pub pairs: Vec<Pair>,
    /// Where neither the label with most values nor any pair with it explains the series.
    pub together: Option<Together>,
    pub bounds: Vec<Bound>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    pub name: Id,
    /// Distinct values.
    pub values: u64,
    /// Series that do not have the label.
    pub absent: u64,
    /// The values with most series, most first.
    pub top: Vec<Value>,
    /// Series left if this label goes; the others are merged into these.
    pub series_without: u64,
    /// All children have the same value.
    pub constant: bool,
    /// Indices of other labels, of the [`MOST_COMPARED`] with most values, of which each alone tells the value of this one: to remove it
    /// saves no series. Empty for a constant.
    pub determined_by: Vec<usize>,
    /// Those of `determined_by` that this label tells as well: either one says all.
    pub equivalent: Vec<usize>,
    /// Those of `equivalent` that have the very same value in each child.
    pub mirrored: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Indices into `labels`.
    pub labels: [usize; 2],
    /// Series left if both go.
    pub series_without: u64,
}

/// `le` or `quantile`: a label that no column is for. To remove it breaks the histogram or summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    pub name: &'static str,
    /// Distinct values.
    pub values: u64,
    /// Series left if it goes: one for each name in each child.
    pub series_without: u64,
}

/// What is to be counted for one family.
pub struct Plan<'a> {
    family: &'a Family,
    columns: Vec<columns::Column>,
    /// For each column, those that determine it.
    determined: Vec<Vec<usize>>,
    /// Columns that are compared with others, those with most values first.
    compared: Vec<usize>,
    keys: Keys,
    classes: Vec<Class>,
    jobs: Vec<Job>,
}

enum Keys {
    /// For each child, the numbers of its values; for each column, where its number is in there.
    Packed { keys: Vec<u64>, masks: Vec<u64> },
    /// For each child a sum of hashes, one for each column.
    Hashed { sums: Vec<u64> },
}

/// A family with more labels is one of metadata, as `kube_pod_labels`: to compare them all takes time by the square of their number.
pub const MOST_COMPARED: usize = 32;

/// Set in every key, which thus is never 0.
const TOP: u64 = 1 << 63;

/// To count without one label, and without it and another.
struct Job {
    column: usize,
    alone: bool,
    with: Vec<usize>,
}

/// The outcome of one job.
pub struct Counted {
    column: usize,
    alone: Option<u64>,
    with: Vec<(usize, u64)>,
}

/// All at once, on this thread; `top` values are kept of each label.
pub fn without(family: &Family, top: usize, scratch: &mut Scratch, workspace: &mut Workspace) -> Without {
    let plan = plan(family, top, scratch);
    let counted: Vec<Counted> = (0..plan.jobs()).map(|job| plan.run(job, workspace)).collect();
    plan.finish(&counted, workspace)
}

/// Looks at each column, and decides what has to be counted.
pub fn plan<'a>(family: &'a Family, top: usize, scratch: &mut Scratch) -> Plan<'a> {
    let mut keys = vec![TOP; family.children()];
    let mut masks = Vec::new();
    let mut used = 0;
    let mut columns = Vec::new();
    for column in 0..family.columns.len() {
        let found = if used < 63 {
            columns::count(family, column, top, scratch, |row, value| keys[row] |= u64::from(value) << used)
        } else {
            columns::count(family, column, top, scratch, |_, _| ())
        };
        let bits = found.states.max(1).next_power_of_two().ilog2();
        masks.push(((1u64 << bits) - 1).checked_shl(used).unwrap_or(0));
        used += bits;
        columns.push(found);
    }
    let keys = if used <= 63 { Keys::Packed { keys, masks } } else { Keys::Hashed { sums: sums(family) } };
    let states: Vec<u64> = columns.iter().map(|column| column.states).collect();
    let mut order: Vec<usize> = (0..states.len()).collect();
    order.sort_by_key(|column| std::cmp::Reverse(states[*column]));
    let compared = order[..order.len().min(MOST_COMPARED)].to_vec();
    let determined = columns::dependencies(family, &states, &compared, scratch);
    let mut plan = Plan { family, columns, determined, compared, keys, classes: classes::classes(family), jobs: Vec::new() };
    plan.jobs = plan.needed(&order);
    plan
}

fn sums(family: &Family) -> Vec<u64> {
    let mut sums = vec![0_u64; family.children()];
    for (column, Column { cells, .. }) in family.columns.iter().enumerate() {
        sums.iter_mut().zip(cells).for_each(|(sum, cell)| *sum = sum.wrapping_add(hash(column, *cell)));
    }
    sums
}

fn hash(column: usize, cell: Id) -> u64 {
    mix((column as u64) << 32 | u64::from(cell.0))
}

impl Plan<'_> {
    /// How many there are. The longest come first.
    pub fn jobs(&self) -> usize {
        self.jobs.len()
    }

    /// Whether nothing merges when the label goes, because one that is kept determines it.
    fn told_by_others(&self, label: usize, gone: &[usize]) -> bool {
        self.columns[label].states == 1 || self.determined[label].iter().any(|other| !gone.contains(other))
    }

    /// A label with many values merges most, as a rule, and its pairs are counted on what that leaves.
    fn needed(&self, order: &[usize]) -> Vec<Job> {
        let mut jobs = Vec::new();
        for (at, &column) in order.iter().enumerate() {
            let counted = |&other: &usize| !self.told_by_others(column, &[other]) && !self.told_by_others(other, &[column]);
            let later = self.compared.get(at + 1..).unwrap_or_default();
            let job = Job { column, alone: !self.told_by_others(column, &[]), with: later.iter().copied().filter(counted).collect() };
            if job.alone || !job.with.is_empty() {
                jobs.push(job);
            }
        }
        jobs
    }

    pub fn run(&self, job: usize, workspace: &mut Workspace) -> Counted {
        let Job { column, alone, with } = &self.jobs[job];
        let mut counted = Counted { column: *column, alone: alone.then_some(0), with: with.iter().map(|other| (*other, 0)).collect() };
        for class in &self.classes {
            match &self.keys {
                Keys::Packed { keys, masks } => count_packed(class, keys, masks, &mut counted, workspace),
                Keys::Hashed { sums } => self.count_hashed(class, sums, &mut counted, workspace),
            }
        }
        counted
    }

    fn count_hashed(&self, class: &Class, sums: &[u64], counted: &mut Counted, workspace: &mut Workspace) {
        let mut hashes: Vec<u64> = Vec::new();
        let mut count = |gone: &[usize]| self.count_hashed_rows(class, sums, gone, &mut hashes, workspace);
        if let Some(alone) = &mut counted.alone {
            *alone += count(&[counted.column]);
        }
        for (other, series) in &mut counted.with {
            *series += count(&[counted.column, *other]);
        }
    }

    /// Series of one class without some labels; `hashes` is scratch.
    fn count_hashed_rows(&self, class: &Class, sums: &[u64], gone: &[usize], hashes: &mut Vec<u64>, workspace: &mut Workspace) -> u64 {
        let key = |row: usize| {
            let gone = gone.iter().map(|column| hash(*column, self.family.columns[*column].cells[row]));
            mix(gone.fold(sums[row], u64::wrapping_sub)) | TOP
        };
        hashes.clear();
        match &class.rows {
            None => hashes.extend((0..sums.len()).map(key)),
            Some(rows) => hashes.extend(rows.iter().map(|row| key(*row as usize))),
        }
        class.size * workspace.distinct(hashes, u64::MAX).len() as u64
    }

    /// The figures, from the counts of all jobs, in any order.
    pub fn finish(&self, counted: &[Counted], workspace: &mut Workspace) -> Without {
        let series = self.family.series();
        let count = self.columns.len();
        let mut alone = vec![series; count];
        let mut both: FxHashMap<(usize, usize), u64> = FxHashMap::default();
        for Counted { column, alone: without, with } in counted {
            alone[*column] = without.unwrap_or(series);
            for (other, without) in with {
                both.insert((*column.min(other), *column.max(other)), *without);
            }
        }
        let pair = |a: usize, b: usize| {
            let told = || if self.told_by_others(a, &[b]) { alone[b] } else { alone[a] };
            Pair { labels: [a, b], series_without: both.get(&(a, b)).copied().unwrap_or_else(told) }
        };
        let mut compared = self.compared.clone();
        compared.sort_unstable();
        let later = |at: usize| compared[at + 1..].iter().map(move |b| (at, *b));
        let mut found = Without {
            children: self.family.children() as u64,
            series,
            pairs: (0..compared.len()).flat_map(later).map(|(at, b)| pair(compared[at], b)).collect(),
            labels: (0..count).map(|label| self.label(label, alone[label])).collect(),
            together: None,
            bounds: ["le", "quantile"].into_iter().filter_map(|name| bound(self.family, name)).collect(),
        };
        found.together = self.together(&found, workspace);
        found
    }

    fn label(&self, label: usize, series_without: u64) -> Label {
        let (column, cells) = (&self.columns[label], &self.family.columns[label].cells);
        let constant = column.states == 1;
        let mut determined_by = if constant { Vec::new() } else { self.determined[label].clone() };
        determined_by.sort_unstable();
        let equivalent: Vec<usize> = determined_by.iter().copied().filter(|other| self.determined[*other].contains(&label)).collect();
        let mirrored = equivalent.iter().copied().filter(|other| self.family.columns[*other].cells == *cells).collect();
        Label {
            name: self.family.columns[label].name,
            values: column.states - u64::from(column.absent > 0),
            absent: column.absent,
            top: column.top.clone(),
            series_without,
            constant,
            determined_by,
            equivalent,
            mirrored,
        }
    }
}

fn count_packed(class: &Class, keys: &[u64], masks: &[u64], counted: &mut Counted, workspace: &mut Workspace) {
    let keys = class.keys(keys);
    let mask = masks[counted.column];
    let mut merged = None;
    if let Some(alone) = &mut counted.alone {
        let distinct = workspace.distinct(&keys, !mask);
        *alone += class.size * distinct.len() as u64;
        // A copy of more would cost memory and save little.
        merged = (!counted.with.is_empty() && distinct.len() <= keys.len() / 4).then(|| distinct.to_vec());
    }
    let keys = merged.as_deref().unwrap_or(&keys);
    for (other, series) in &mut counted.with {
        *series += class.size * workspace.distinct(keys, !(mask | masks[*other])).len() as u64;
    }
}

/// Of SplitMix64: each bit of the result depends on all bits.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

fn bound(family: &Family, name: &'static str) -> Option<Bound> {
    let members = family.layouts.iter().flatten().filter(|member| member.role.bound_label() == Some(name));
    let mut values: Vec<Id> = members.map(|member| member.bound).collect();
    values.sort_unstable();
    values.dedup();
    let bound = Bound { name, values: values.len() as u64, series_without: classes::without_bound(family, name) };
    (!values.is_empty()).then_some(bound)
}

#[cfg(test)]
mod tests;
