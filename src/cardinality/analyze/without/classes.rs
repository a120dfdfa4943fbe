//! Series that stand in the same children.
//!
//! When children merge, what is left of them is the union of their members. Members that always come together are counted together:
//! a family with one layout has one class, and its series are the merged children times the size of the layout.

use std::borrow::Cow;
use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use crate::cardinality::model::{Family, Id, Member};

pub(super) struct Class {
    /// Members.
    pub size: u64,
    /// Children that have them; `None` for all.
    pub rows: Option<Vec<u32>>,
}

impl Class {
    /// Of `keys`, one for each child, those of its rows.
    pub fn keys<'k>(&self, keys: &'k [u64]) -> Cow<'k, [u64]> {
        match &self.rows {
            None => Cow::Borrowed(keys),
            Some(rows) => Cow::Owned(rows.iter().map(|row| keys[*row as usize]).collect()),
        }
    }
}

pub(super) fn classes(family: &Family) -> Vec<Class> {
    let mut used = vec![false; family.layouts.len()];
    for layout in &family.layout {
        used[*layout as usize] = true;
    }
    let mut layouts_of: HashMap<Member, Vec<u32>, FxBuildHasher> = HashMap::default();
    let layouts = family.layouts.iter().enumerate().filter(|(layout, _)| used[*layout]);
    for (layout, members) in layouts {
        for member in members {
            layouts_of.entry(*member).or_default().push(layout as u32);
        }
    }
    let mut sizes: HashMap<Vec<u32>, u64, FxBuildHasher> = HashMap::default();
    for layouts in layouts_of.into_values() {
        *sizes.entry(layouts).or_default() += 1;
    }
    let in_use = used.iter().filter(|used| **used).count();
    let class = |(layouts, size): (Vec<u32>, u64)| Class { size, rows: (layouts.len() < in_use).then(|| rows_of(family, &layouts)) };
    sizes.into_iter().map(class).collect()
}

fn rows_of(family: &Family, layouts: &[u32]) -> Vec<u32> {
    let mut wanted = vec![false; family.layouts.len()];
    for layout in layouts {
        wanted[*layout as usize] = true;
    }
    (0..).zip(&family.layout).filter(|(_, layout)| wanted[**layout as usize]).map(|(row, _)| row).collect()
}

/// Series left when members lose `label`, which is `le` or `quantile`: those of a child that then have the same name are one.
pub(super) fn without_bound(family: &Family, label: &str) -> u64 {
    let left = |members: &Vec<Member>| {
        let mut names: Vec<_> = members
            .iter()
            .map(|member| match member.role.bound_label() {
                Some(of) if of != label && member.bound != Id::EMPTY => (member.role.suffix(), of, member.bound),
                _ => (member.role.suffix(), "", Id::EMPTY),
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        names.len() as u64
    };
    let left: Vec<u64> = family.layouts.iter().map(left).collect();
    family.layout.iter().map(|layout| left[*layout as usize]).sum()
}
