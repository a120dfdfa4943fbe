//! One column, and two columns compared: values, and which label says what another one says.

use std::cmp::Reverse;

use crate::cardinality::model::{Family, Id, Strings};

/// Reused from family to family: 4 bytes for each string of the scrape.
#[derive(Debug)]
pub struct Scratch {
    /// 0 between uses.
    by_id: Vec<u32>,
}

impl Scratch {
    pub fn new(strings: &Strings) -> Self {
        Scratch { by_id: vec![0; strings.len()] }
    }
}

/// A value of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    pub value: Id,
    /// Series that have it.
    pub series: u64,
}

/// What is in one column.
pub(super) struct Column {
    /// Distinct cells, absent ones counted as one.
    pub states: u64,
    /// Series without the label.
    pub absent: u64,
    /// Most series first, then in the order of the body.
    pub top: Vec<Value>,
}

/// Counts the values of a column, and numbers them: `number` gets row and number, from 0 in the order of rows.
pub(super) fn count(family: &Family, column: usize, top: usize, scratch: &mut Scratch, mut number: impl FnMut(usize, u32)) -> Column {
    let sizes: Vec<u32> = family.layouts.iter().map(|layout| layout.len() as u32).collect();
    let mut values: Vec<Id> = Vec::new();
    let mut series: Vec<u32> = Vec::new();
    for (row, (&cell, &layout)) in family.columns[column].cells.iter().zip(&family.layout).enumerate() {
        let entry = &mut scratch.by_id[cell.index()];
        if *entry == 0 {
            values.push(cell);
            series.push(0);
            *entry = values.len() as u32;
        }
        let value = *entry - 1;
        series[value as usize] += sizes[layout as usize];
        number(row, value);
    }
    for value in &values {
        scratch.by_id[value.index()] = 0;
    }
    let all = || values.iter().zip(&series).map(|(&value, &series)| Value { value, series: u64::from(series) });
    let absent = all().find(|value| value.value == Id::EMPTY).map_or(0, |value| value.series);
    let top = most(all().filter(|value| value.value != Id::EMPTY), top);
    Column { states: values.len() as u64, absent, top }
}

/// The `count` with most series.
fn most(values: impl Iterator<Item = Value>, count: usize) -> Vec<Value> {
    let mut most: Vec<Value> = Vec::with_capacity(count + 1);
    for value in values {
        if most.len() < count || most.last().is_some_and(|last| last.series < value.series) {
            let at = most.partition_point(|other| Reverse(other.series) <= Reverse(value.series));
            most.insert(at, value);
            most.truncate(count);
        }
    }
    most
}

/// Whether rows with the same cell in `a` have the same cell in `b`.
pub(super) fn determines(a: &[Id], b: &[Id], scratch: &mut Scratch) -> bool {
    let mut rows = a.iter().zip(b);
    let holds = rows.all(|(a, b)| {
        let entry = &mut scratch.by_id[a.index()];
        if *entry == 0 {
            *entry = b.0 + 1;
        }
        *entry == b.0 + 1
    });
    let looked_at = a.len() - rows.len();
    for a in &a[..looked_at] {
        scratch.by_id[a.index()] = 0;
    }
    holds
}

/// For each column, which of the `compared` ones determine it; itself not among them.
pub(super) fn dependencies(family: &Family, states: &[u64], compared: &[usize], scratch: &mut Scratch) -> Vec<Vec<usize>> {
    let columns = &family.columns;
    let mut determined: Vec<Vec<usize>> = vec![Vec::new(); columns.len()];
    for (number, &a) in compared.iter().enumerate() {
        // A label that is equivalent to one before determines what that one does.
        let twin = compared[..number].iter().copied().find(|&twin| states[twin] == states[a] && determined[a].contains(&twin));
        for b in (0..columns.len()).filter(|b| *b != a) {
            let holds = match twin {
                Some(twin) => b == twin || determined[b].contains(&twin),
                None if states[b] == 1 || states[a] == family.children() as u64 => true,
                None => states[a] >= states[b] && determines(&columns[a].cells, &columns[b].cells, scratch),
            };
            if holds {
                determined[b].push(a);
            }
        }
    }
    determined
}
