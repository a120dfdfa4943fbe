//! Children of a family that came in several pieces, put together.

use rustc_hash::{FxHashMap, FxHashSet};

use super::model::{Column, DUPLICATES_KEPT, Exemplar, Family, Id, Member, Role, mix};

/// The number of a set of members among the family's layouts; a new one is added.
pub fn layout_number(known: &mut FxHashMap<Vec<Member>, u32>, layouts: &mut Vec<Vec<Member>>, members: &[Member]) -> u32 {
    if let Some(layout) = known.get(members) {
        return *layout;
    }
    layouts.push(members.to_vec());
    let layout = layouts.len() as u32 - 1;
    known.insert(members.to_vec(), layout);
    layout
}

/// Puts rows with equal labels together, the first one's values winning. Returns how many samples were of a series that was there
/// already, and the first of those series.
pub fn unite(family: &mut Family) -> (u64, Vec<(usize, Member)>) {
    let mut twice = Vec::new();
    if !has_equal_rows(family) {
        return (0, twice);
    }
    let mut first: FxHashMap<Vec<Id>, usize> = FxHashMap::default();
    // For each child that stays, the rows that it is made of.
    let mut pieces: Vec<Vec<u32>> = Vec::new();
    let mut child_of_row = Vec::with_capacity(family.children());
    for row in 0..family.children() {
        let cells = family.columns.iter().map(|column| column.cells[row]).collect();
        let child = *first.entry(cells).or_insert(pieces.len());
        if child == pieces.len() {
            pieces.push(Vec::new());
        }
        pieces[child].push(row as u32);
        child_of_row.push(child as u32);
    }

    let before = family.values.len();
    let mut united = Family { name: family.name, kind: family.kind, help: family.help, unit: family.unit, ..Family::default() };
    united.columns = family.columns.iter().map(|column| Column { name: column.name, cells: Vec::new() }).collect();
    let mut known = FxHashMap::default();
    for rows in &pieces {
        let (mut members, mut seen) = (Vec::new(), FxHashSet::default());
        united.first_value.push(united.values.len() as u32);
        for row in rows {
            for (member, value) in family.members(*row as usize).iter().zip(family.values(*row as usize)) {
                if seen.insert(*member) {
                    members.push(*member);
                    united.values.push(*value);
                } else if twice.len() < DUPLICATES_KEPT {
                    twice.push((united.layout.len(), *member));
                }
            }
        }
        united.layout.push(layout_number(&mut known, &mut united.layouts, &members));
        for (to, from) in united.columns.iter_mut().zip(&family.columns) {
            to.cells.push(from.cells[rows[0] as usize]);
        }
    }
    let child = |row: u32| child_of_row[row as usize];
    united.exemplars = family.exemplars.iter().map(|exemplar| Exemplar { child: child(exemplar.child), ..*exemplar }).collect();
    let mut seen = FxHashSet::default();
    united.native = std::mem::take(&mut family.native).into_iter().map(|(row, histogram)| (child(row), histogram)).collect();
    united.native.retain(|(child, _)| seen.insert(*child));
    united.bytes = family.bytes;
    *family = united;
    ((before - family.values.len()) as u64, twice)
}

/// Puts the ids of other strings in place of a family's: `ids[old]` is the new one.
pub fn renumber(family: &mut Family, ids: &[Id]) {
    let new = |id: &mut Id| *id = ids[id.index()];
    new(&mut family.name);
    family.help.as_mut().map(new);
    family.unit.as_mut().map(new);
    for column in &mut family.columns {
        new(&mut column.name);
        column.cells.iter_mut().for_each(new);
    }
    family.layouts.iter_mut().flatten().for_each(|member| new(&mut member.bound));
    family.exemplars.iter_mut().for_each(|exemplar| new(&mut exemplar.member.bound));
}

/// Makes plain series those of a `role`; the label `bound` becomes a part of the members. A summary's series without a quantile stay plain.
pub fn give_role(family: &mut Family, role: Role, bound: Option<Id>) {
    let column = bound.and_then(|bound| family.columns.iter().position(|column| column.name == bound));
    let bounds = column.map(|column| family.columns.remove(column).cells);
    let member_of = |child: usize| match bounds.as_ref().map_or(Id::EMPTY, |bounds| bounds[child]) {
        Id::EMPTY if role == Role::Quantile => Member { role: Role::Plain, bound: Id::EMPTY },
        bound => Member { role, bound },
    };
    let (mut known, mut layouts) = (FxHashMap::default(), Vec::new());
    for child in 0..family.children() {
        let members: Vec<Member> = vec![member_of(child); family.members(child).len()];
        family.layout[child] = layout_number(&mut known, &mut layouts, &members);
    }
    family.layouts = layouts;
    for exemplar in &mut family.exemplars {
        exemplar.member = member_of(exemplar.child as usize);
    }
}

/// Adds the children of another piece of the same family behind its own.
pub fn append(into: &mut Family, mut from: Family, known: &mut FxHashMap<Vec<Member>, u32>) {
    let (rows, added) = (into.children(), from.children());
    for column in std::mem::take(&mut from.columns) {
        match into.columns.iter_mut().find(|own| own.name == column.name) {
            Some(own) => own.cells.extend(column.cells),
            None => {
                let cells = std::iter::repeat_n(Id::EMPTY, rows).chain(column.cells).collect();
                into.columns.push(Column { name: column.name, cells });
            }
        }
    }
    for column in &mut into.columns {
        column.cells.resize(rows + added, Id::EMPTY);
    }
    let numbers: Vec<u32> = from.layouts.iter().map(|members| layout_number(known, &mut into.layouts, members)).collect();
    into.layout.extend(from.layout.iter().map(|layout| numbers[*layout as usize]));
    let values = into.values.len() as u32;
    into.first_value.extend(from.first_value.iter().map(|first| first + values));
    into.values.append(&mut from.values);
    into.exemplars.extend(from.exemplars.iter().map(|exemplar| Exemplar { child: exemplar.child + rows as u32, ..*exemplar }));
    into.native.extend(from.native.into_iter().map(|(child, histogram)| (child + rows as u32, histogram)));
    into.bytes += from.bytes;
}

/// By 64-bit hashes: equal rows are never missed, and a false alarm only costs time.
fn has_equal_rows(family: &Family) -> bool {
    let mut hashes = vec![0_u64; family.children()];
    for (number, column) in family.columns.iter().enumerate() {
        let seed = (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        for (hash, cell) in hashes.iter_mut().zip(&column.cells) {
            *hash = hash.wrapping_add(mix(seed ^ u64::from(cell.0)));
        }
    }
    hashes.sort_unstable();
    hashes.windows(2).any(|pair| pair[0] == pair[1])
}
