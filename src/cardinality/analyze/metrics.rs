//! Each metric's part of the whole.

use std::collections::BTreeMap;

use super::without::Without;
use crate::cardinality::model::{Family, Role, Scrape};

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
}

/// Biggest first. `without` has the figures of each family, in the order of the scrape.
pub fn metrics(scrape: &Scrape, without: Vec<Without>) -> Vec<Metric> {
    let total = scrape.series();
    let metric = |(number, (family, without)): (usize, (&Family, Without))| Metric {
        family: number,
        series: family.series(),
        children: family.children() as u64,
        share: share(family.series(), total),
        bytes: family.bytes,
        roles: roles(family),
        without,
    };
    let mut metrics: Vec<Metric> = scrape.families.iter().zip(without).enumerate().map(metric).collect();
    metrics.sort_by(|a, b| b.series.cmp(&a.series).then(b.bytes.cmp(&a.bytes)));
    metrics
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
