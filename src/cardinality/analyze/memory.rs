//! What a scrape costs a Prometheus server: a model, no measurement.
//!
//! Memory of the head block by the figures that Brian Brazil took from a profile of Prometheus 2.9 ("How much RAM does Prometheus 2.x need
//! for cardinality and ingestion?", robustperception.io, 2019), without ingestion buffers. Disk by the 1 to 2 bytes for each sample
//! that Prometheus documents (docs/storage.md); a sample of a native histogram takes more.

use std::collections::{BTreeMap, BTreeSet};

use crate::cardinality::model::{Family, Id, Scrape};

pub const SERIES_BYTES: u64 = 732;
pub const LABEL_PAIR_BYTES: u64 = 32;
pub const LABEL_VALUE_BYTES: u64 = 120;
/// Copies of the text of a series.
pub const NAME_COPIES: u64 = 2;
/// Go lets the heap grow to twice what is in use before it collects.
pub const GARBAGE: u64 = 2;

/// How the server scrapes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Server {
    pub interval_seconds: f64,
    /// Labels that it adds to each series.
    pub target_labels: u64,
    /// Their text: `instance="10.1.2.3:8080",job="payments",`
    pub target_label_bytes: u64,
}

impl Default for Server {
    fn default() -> Self {
        Server { interval_seconds: 15.0, target_labels: 2, target_label_bytes: 40 }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Memory {
    /// What goes if this metric goes, for each family in the order of the scrape.
    pub metrics: Vec<Cost>,
    /// More than the sum of `metrics`: values that several metrics have go only with the last of these.
    pub total: Cost,
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cost {
    pub series: u64,
    /// Of all series, names among them.
    pub label_pairs: u64,
    /// Distinct pairs of label and value. Of one metric: those that no other has.
    pub label_values: u64,
    /// Of the text of all series, as `name{label="value",…}`.
    pub name_bytes: u64,
    pub memory_bytes: u64,
    pub samples_per_second: f64,
    /// At 1 byte for each sample, and at 2.
    pub disk_bytes_per_day: [u64; 2],
}

pub fn memory(scrape: &Scrape, server: &Server) -> Memory {
    let mut metrics: Vec<Cost> = scrape.families.iter().map(|family| of_family(scrape, family, server)).collect();
    let shared = count_values(scrape, &mut metrics);
    let mut total = Cost { label_values: shared, ..Cost::default() };
    for metric in &mut metrics {
        total.series += metric.series;
        total.label_pairs += metric.label_pairs;
        total.label_values += metric.label_values;
        total.name_bytes += metric.name_bytes;
        metric.finish(server);
    }
    total.finish(server);
    Memory { metrics, total }
}

impl Cost {
    /// From what was counted.
    fn finish(&mut self, server: &Server) {
        let values = self.label_values * LABEL_VALUE_BYTES;
        let bytes = self.series * SERIES_BYTES + self.label_pairs * LABEL_PAIR_BYTES + values + self.name_bytes * NAME_COPIES;
        self.memory_bytes = bytes * GARBAGE;
        self.samples_per_second = self.series as f64 / server.interval_seconds;
        let samples_per_day = (self.samples_per_second * 86_400.0).round() as u64;
        self.disk_bytes_per_day = [samples_per_day, samples_per_day * 2];
    }
}

/// Length of `label="value",`
fn pair_bytes(scrape: &Scrape, label: &str, value: Id) -> u64 {
    (label.len() + scrape.text(value).len() + r#"="","#.len()) as u64
}

/// All but the distinct values.
fn of_family(scrape: &Scrape, family: &Family, server: &Server) -> Cost {
    let series = family.series();
    let mut cost = Cost { series, label_pairs: series * (1 + server.target_labels), ..Cost::default() };
    let around = (scrape.text(family.name).len() + "{}".len()) as u64;
    cost.name_bytes = series * (around + server.target_label_bytes);
    let mut rows = vec![0; family.layouts.len()];
    for layout in &family.layout {
        rows[*layout as usize] += 1;
    }
    for (members, rows) in family.layouts.iter().zip(rows) {
        for member in members {
            cost.name_bytes += rows * member.role.suffix().len() as u64;
            if let Some(label) = member.role.bound_label() {
                cost.label_pairs += rows;
                cost.name_bytes += rows * pair_bytes(scrape, label, member.bound);
            }
        }
    }
    for column in &family.columns {
        let label = scrape.text(column.name);
        // Neighbours often have the same value.
        let (mut last, mut bytes) = (Id::EMPTY, 0);
        for (&cell, layout) in column.cells.iter().zip(&family.layout).filter(|(cell, _)| **cell != Id::EMPTY) {
            if cell != last {
                (last, bytes) = (cell, pair_bytes(scrape, label, cell));
            }
            let series = family.layouts[*layout as usize].len() as u64;
            cost.label_pairs += series;
            cost.name_bytes += series * bytes;
        }
    }
    cost
}

/// Where values of a label are.
enum Source<'a> {
    Column(&'a [Id]),
    Bounds,
}

/// Adds to each metric the values that only it has; returns how many several have.
fn count_values(scrape: &Scrape, metrics: &mut [Cost]) -> u64 {
    let mut labels: BTreeMap<&str, Vec<(usize, Source)>> = BTreeMap::new();
    for (index, family) in scrape.families.iter().enumerate() {
        for column in &family.columns {
            labels.entry(scrape.text(column.name)).or_default().push((index, Source::Column(&column.cells)));
        }
        let members = || family.layouts.iter().flatten();
        for label in members().filter_map(|member| member.role.bound_label()).collect::<BTreeSet<&str>>() {
            labels.entry(label).or_default().push((index, Source::Bounds));
        }
        let names: BTreeSet<&str> = members().map(|member| member.role.suffix()).collect();
        metrics[index].label_values += names.len() as u64;
    }
    let mut owners = Owners { of: vec![NOBODY; scrape.strings.len()], touched: Vec::new(), shared: 0 };
    for (label, sources) in labels {
        for (index, source) in sources {
            match source {
                Source::Column(cells) => cells.iter().for_each(|cell| owners.add(*cell, index, metrics)),
                Source::Bounds => {
                    let members = scrape.families[index].layouts.iter().flatten();
                    let bounds = members.filter(|member| member.role.bound_label() == Some(label));
                    bounds.for_each(|member| owners.add(member.bound, index, metrics));
                }
            }
        }
        owners.next_label();
    }
    owners.shared
}

/// The metric that has a value, as far as one label goes.
struct Owners {
    of: Vec<u32>,
    touched: Vec<Id>,
    shared: u64,
}

const NOBODY: u32 = u32::MAX;
const SEVERAL: u32 = u32::MAX - 1;

impl Owners {
    fn add(&mut self, value: Id, metric: usize, metrics: &mut [Cost]) {
        let owner = &mut self.of[value.index()];
        if *owner == metric as u32 || *owner == SEVERAL || value == Id::EMPTY {
            return;
        }
        if *owner == NOBODY {
            *owner = metric as u32;
            metrics[metric].label_values += 1;
            self.touched.push(value);
        } else {
            metrics[*owner as usize].label_values -= 1;
            *owner = SEVERAL;
            self.shared += 1;
        }
    }

    fn next_label(&mut self) {
        for value in self.touched.drain(..) {
            self.of[value.index()] = NOBODY;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cardinality::model::{Column, Member, Role};

    /// A gauge for each row of values of `labels`, "" for none.
    fn gauges(scrape: &mut Scrape, name: &str, labels: &[&str], rows: &[&[&str]]) {
        let strings = &mut scrape.strings;
        let cells =
            |column: usize, strings: &mut crate::cardinality::model::Strings| rows.iter().map(|row| strings.intern(row[column])).collect();
        let family = Family {
            name: strings.intern(name),
            columns: labels
                .iter()
                .enumerate()
                .map(|(at, label)| Column { name: strings.intern(label), cells: cells(at, strings) })
                .collect(),
            layouts: vec![vec![Member { role: Role::Plain, bound: Id::EMPTY }]],
            layout: vec![0; rows.len()],
            first_value: (0..rows.len() as u32).collect(),
            values: vec![0.0; rows.len()],
            ..Family::default()
        };
        scrape.families.push(family);
    }

    #[test]
    fn by_hand() {
        let mut scrape = Scrape::default();
        gauges(&mut scrape, "up", &["zone"], &[&["a"], &["bb"], &[""]]);
        let server = Server { interval_seconds: 30.0, target_labels: 0, target_label_bytes: 0 };
        let found = memory(&scrape, &server);
        // up{zone="a",} up{zone="bb",} up{}
        let memory_bytes = 2 * (3 * 732 + 5 * 32 + 3 * 120 + 2 * (13 + 14 + 4));
        let cost = Cost {
            series: 3,
            label_pairs: 5,
            label_values: 3,
            name_bytes: 31,
            memory_bytes,
            samples_per_second: 0.1,
            disk_bytes_per_day: [8640, 17_280],
        };
        assert_eq!(found, Memory { metrics: vec![cost], total: cost });
    }

    #[test]
    fn a_value_that_several_metrics_have_goes_with_none_of_them() {
        let mut scrape = Scrape::default();
        gauges(&mut scrape, "one", &["zone", "host"], &[&["a", "x"], &["b", "x"]]);
        gauges(&mut scrape, "two", &["zone"], &[&["b"], &["c"], &["x"]]);
        gauges(&mut scrape, "three", &["zone"], &[&["b"]]);
        let found = memory(&scrape, &Server::default());
        let values: Vec<u64> = found.metrics.iter().map(|metric| metric.label_values).collect();
        // The name each; zone a and host x; zone c and x; nothing.
        assert_eq!(values, [3, 3, 1]);
        assert_eq!(found.total.label_values, 8);
    }

    #[test]
    fn bounds_and_suffixes_are_labels_too() {
        let mut scrape = Scrape::default();
        gauges(&mut scrape, "h", &[], &[&[]]);
        let (one, infinite) = (scrape.strings.intern("1.0"), scrape.strings.intern("+Inf"));
        let bucket = |bound| Member { role: Role::Bucket, bound };
        scrape.families[0].layouts = vec![vec![bucket(one), bucket(infinite), Member { role: Role::Count, bound: Id::EMPTY }]];
        scrape.families[0].values = vec![1.0, 2.0, 2.0];
        let server = Server { target_labels: 0, target_label_bytes: 0, ..Server::default() };
        let Cost { label_pairs, label_values, name_bytes, .. } = memory(&scrape, &server).total;
        // h_bucket{le="1.0",} h_bucket{le="+Inf",} h_count{}
        assert_eq!((label_pairs, label_values, name_bytes), (5, 4, 19 + 20 + 9));
    }
}
