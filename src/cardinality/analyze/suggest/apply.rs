//! What a family is after an edit.

use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::cardinality::children;
use crate::cardinality::model::{Column, Family, Id, Member, Role};

#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Children that differ in this label alone become one.
    WithoutLabel(Id),
    /// The label has another value in the place of each of these; children that are equal then become one.
    WithValues(Id, Rc<FxHashMap<Id, Id>>),
    /// Buckets with these bounds go.
    WithoutBounds(Vec<Id>),
    WithoutRole(Role),
    /// Children with one of these values of a label go.
    WithoutValues(Id, Vec<Id>),
    /// All of it goes.
    Nothing,
}

pub fn apply(family: &Family, change: &Change) -> Family {
    match change {
        Change::WithoutLabel(name) => {
            let mut left = family.clone();
            left.columns.retain(|column| column.name != *name);
            children::unite(&mut left);
            left
        }
        Change::WithValues(name, values) => {
            let mut left = family.clone();
            for column in left.columns.iter_mut().filter(|column| column.name == *name) {
                column.cells.iter_mut().for_each(|cell| *cell = values.get(cell).copied().unwrap_or(*cell));
            }
            children::unite(&mut left);
            left
        }
        Change::WithoutBounds(bounds) => retain(family, |member| member.role != Role::Bucket || !bounds.contains(&member.bound)),
        Change::WithoutRole(role) => retain(family, |member| member.role != *role),
        Change::WithoutValues(label, values) => {
            let cells = family.columns.iter().find(|column| column.name == *label).map(|column| &column.cells);
            retain_children(family, |child| cells.is_none_or(|cells| values.binary_search(&cells[child]).is_err()), |_| true)
        }
        Change::Nothing => retain(family, |_| false),
    }
}

/// Only some members of each child; children without any are gone.
fn retain(family: &Family, keep: impl Fn(&Member) -> bool) -> Family {
    retain_children(family, |_| true, keep)
}

fn retain_children(family: &Family, keep_child: impl Fn(usize) -> bool, keep: impl Fn(&Member) -> bool) -> Family {
    let mut left = Family { name: family.name, kind: family.kind, help: family.help, unit: family.unit, ..Family::default() };
    left.columns = family.columns.iter().map(|column| Column { name: column.name, cells: Vec::new() }).collect();
    let mut known = FxHashMap::default();
    let kept: Vec<Vec<bool>> = family.layouts.iter().map(|members| members.iter().map(&keep).collect()).collect();
    for child in (0..family.children()).filter(|child| keep_child(*child)) {
        let kept = &kept[family.layout[child] as usize];
        let members: Vec<Member> = family.members(child).iter().zip(kept).filter(|(_, kept)| **kept).map(|(member, _)| *member).collect();
        if members.is_empty() {
            continue;
        }
        left.layout.push(children::layout_number(&mut known, &mut left.layouts, &members));
        left.first_value.push(left.values.len() as u32);
        left.values.extend(family.values(child).iter().zip(kept).filter(|(_, kept)| **kept).map(|(value, _)| *value));
        for (to, from) in left.columns.iter_mut().zip(&family.columns) {
            to.cells.push(from.cells[child]);
        }
    }
    left
}
