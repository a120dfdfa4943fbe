//! The buckets of each child of a family, in order, or why they cannot be computed with.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use crate::cardinality::model::{Family, Member, Role, Strings};

/// Children whose buckets make no sense; of these only the series are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refused {
    /// Without `le="+Inf"`.
    pub no_infinity: u64,
    /// A count or an `le` is not a number, or a count is negative or infinite.
    pub not_a_number: u64,
    /// A bucket counts less than the one below it.
    pub not_cumulative: u64,
    /// Two buckets have one bound, as `1` and `1.0`.
    pub repeated: u64,
}

impl Refused {
    pub fn total(&self) -> u64 {
        self.no_infinity + self.not_a_number + self.not_cumulative + self.repeated
    }
}

enum Reason {
    NoInfinity,
    NotANumber,
    NotCumulative,
    Repeated,
}

/// Children with buckets, by their bounds.
#[derive(Default)]
pub(super) struct Children {
    /// The distinct sets of bounds of good children, each ascending with +Inf last; those of most good children first.
    pub groups: Vec<Group>,
    /// Good ones and refused ones.
    pub count: u64,
    pub refused: Refused,
}

#[derive(Default)]
pub(super) struct Group {
    pub bounds: Vec<f64>,
    /// For each child, one for each bound: the observations up to it.
    counts: Vec<f64>,
}

impl Group {
    pub fn len(&self) -> usize {
        self.counts.len() / self.bounds.len()
    }

    pub fn children(&self) -> impl Iterator<Item = &[f64]> {
        self.counts.chunks_exact(self.bounds.len())
    }
}

pub(super) fn read(family: &Family, strings: &Strings) -> Children {
    let mut found = Children::default();
    let mut groups = Groups::default();
    let layouts: Vec<Layout> = family.layouts.iter().map(|members| Layout::read(members, strings, &mut groups)).collect();
    found.groups.resize_with(groups.len(), Group::default);
    for (bounds, group) in groups {
        found.groups[group].bounds = bounds.into_iter().map(f64::from_bits).collect();
    }
    let mut counts = Vec::new();
    for child in 0..family.children() {
        let reason = match &layouts[family.layout[child] as usize] {
            Layout::NoBuckets => continue,
            Layout::Bad(reason) => Some(reason),
            Layout::Good { group, members } => {
                let values = family.values(child);
                counts.clear();
                counts.extend(members.iter().map(|member| values[*member]));
                let reason = wrong(&counts);
                if reason.is_none() {
                    found.groups[*group].counts.extend_from_slice(&counts);
                }
                reason
            }
        };
        found.count += 1;
        match reason {
            None => (),
            Some(Reason::NoInfinity) => found.refused.no_infinity += 1,
            Some(Reason::NotANumber) => found.refused.not_a_number += 1,
            Some(Reason::NotCumulative) => found.refused.not_cumulative += 1,
            Some(Reason::Repeated) => found.refused.repeated += 1,
        }
    }
    found.groups.retain(|group| group.len() > 0);
    found.groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    found
}

fn wrong(counts: &[f64]) -> Option<&'static Reason> {
    if counts.iter().any(|count| !count.is_finite() || *count < 0.0) {
        Some(&Reason::NotANumber)
    } else if counts.is_sorted() {
        None
    } else {
        Some(&Reason::NotCumulative)
    }
}

/// The number of each set of bounds, which stand here by their bits.
type Groups = HashMap<Vec<u64>, usize, FxBuildHasher>;

enum Layout {
    NoBuckets,
    /// Where the count of each bound of the group is among the members.
    Good {
        group: usize,
        members: Vec<usize>,
    },
    Bad(Reason),
}

impl Layout {
    fn read(members: &[Member], strings: &Strings, groups: &mut Groups) -> Layout {
        let buckets = members.iter().enumerate().filter(|(_, member)| member.role == Role::Bucket);
        let mut buckets: Vec<(Option<f64>, usize)> = buckets.map(|(at, member)| (bound(strings.get(member.bound)), at)).collect();
        if buckets.is_empty() {
            return Layout::NoBuckets;
        }
        buckets.sort_by(|(a, _), (b, _)| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        let Some(bounds) = buckets.iter().map(|(bound, _)| *bound).collect::<Option<Vec<f64>>>() else {
            return Layout::Bad(Reason::NotANumber);
        };
        if bounds.last() != Some(&f64::INFINITY) {
            return Layout::Bad(Reason::NoInfinity);
        }
        if bounds.windows(2).any(|pair| pair[0] == pair[1]) {
            return Layout::Bad(Reason::Repeated);
        }
        let next = groups.len();
        let group = *groups.entry(bounds.into_iter().map(f64::to_bits).collect()).or_insert(next);
        Layout::Good { group, members: buckets.into_iter().map(|(_, at)| at).collect() }
    }
}

/// The number that an `le` stands for; none where it stands for none.
pub(super) fn bound(le: &str) -> Option<f64> {
    le.parse().ok().filter(|bound: &f64| !bound.is_nan())
}
