//! Each metric's part of the whole.

use std::collections::BTreeMap;

use super::shapes::Shape;
use super::without::Without;
use crate::cardinality::model::{Family, Id, Role, Scrape};

/// What is said of one family.
#[derive(Debug, Clone)]
pub struct Metric {
    /// Index into the families of the scrape.
    pub family: usize,
    pub series: u64,
    pub children: u64,
    /// Of all series, 0..1.
    pub share: f64,
    /// Of the body.
    pub bytes: u64,
    /// Series of each role.
    pub roles: Vec<(Role, u64)>,
    pub without: Without,
    /// Of the values of each label, in the order of `without.labels`.
    pub shapes: Vec<Shape>,
}

/// Biggest first. `without` and `shapes` have the figures of each family, in the order of the scrape.
pub fn metrics(scrape: &Scrape, without: Vec<Without>, shapes: Vec<Vec<Shape>>) -> Vec<Metric> {
    let total = scrape.series();
    let metric = |(number, ((family, without), shapes)): (usize, ((&Family, Without), Vec<Shape>))| Metric {
        family: number,
        series: family.series(),
        children: family.children() as u64,
        share: share(family.series(), total),
        bytes: family.bytes,
        roles: roles(family),
        without,
        shapes,
    };
    let mut metrics: Vec<Metric> = scrape.families.iter().zip(without).zip(shapes).enumerate().map(metric).collect();
    metrics.sort_by(|a, b| b.series.cmp(&a.series).then(b.bytes.cmp(&a.bytes)));
    metrics
}

/// The distinct values of a label, and how many series have each. `scratch` has a 0 for each string of the scrape, before and after.
pub fn values<'a>(scrape: &'a Scrape, family: &Family, column: usize, scratch: &mut [u32]) -> Vec<(&'a str, u64)> {
    let mut values: Vec<(&str, u64)> = Vec::new();
    let cells = &family.columns[column].cells;
    for (cell, layout) in cells.iter().zip(&family.layout).filter(|(cell, _)| **cell != Id::EMPTY) {
        let number = &mut scratch[cell.index()];
        if *number == 0 {
            values.push((scrape.text(*cell), 0));
            *number = values.len() as u32;
        }
        values[*number as usize - 1].1 += family.layouts[*layout as usize].len() as u64;
    }
    cells.iter().for_each(|cell| scratch[cell.index()] = 0);
    values
}

fn roles(family: &Family) -> Vec<(Role, u64)> {
    let mut children = vec![0_u64; family.layouts.len()];
    for layout in &family.layout {
        children[*layout as usize] += 1;
    }
    let mut roles = BTreeMap::new();
    for (layout, children) in family.layouts.iter().zip(children) {
        for member in layout {
            *roles.entry(member.role).or_insert(0) += children;
        }
    }
    roles.into_iter().filter(|(_, series)| *series > 0).collect()
}

fn share(part: u64, total: u64) -> f64 {
    if total == 0 { 0.0 } else { part as f64 / total as f64 }
}
