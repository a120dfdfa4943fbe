//! What the specification of OpenMetrics 1.0 demands beyond the grammar of a line: how families, children and points are grouped, which
//! names, labels, values, timestamps and exemplars each type may have. Prometheus checks none of it.
//!
//! Keeps the names of all families, and a hash of each child of the current one.

mod family;
mod point;

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use std::collections::{HashMap, HashSet};

use family::{Family, Metadata};

use super::{Exemplar, Item, Label};

/// A sample as it was written.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawSample<'a> {
    pub name: &'a str,
    /// All that are written, unescaped, `le` as written.
    pub labels: &'a [Label<'a>],
    pub value: f64,
    /// In seconds.
    pub timestamp: Option<f64>,
    /// Its labels still escaped.
    pub exemplar: Option<Exemplar<'a>>,
}

/// A rule that is broken.
#[derive(Debug, PartialEq)]
pub(super) struct Finding {
    pub part: Part,
    pub message: String,
}

/// Of what is checked: where a finding points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Name,
    /// By index.
    Label(usize),
    Value,
    Timestamp,
    Exemplar,
    /// The line where the last point before this one began: it lacks something.
    PointBefore,
}

/// The state between lines of one body.
#[derive(Debug, Default)]
pub(super) struct Checker {
    /// The names of all families so far.
    families: HashSet<Box<str>>,
    /// Every name that their samples can have, and the family.
    names: HashMap<Box<str>, Box<str>>,
    current: Option<Family>,
}

pub(super) type Findings = Vec<Finding>;

fn found(findings: &mut Findings, part: Part, message: impl Into<String>) {
    findings.push(Finding { part, message: message.into() });
}

impl Checker {
    /// A line of metadata.
    pub fn metadata(&mut self, item: &Item<'_>, findings: &mut Findings) {
        let (name, metadata) = match *item {
            Item::Type { name, kind } => (name, Metadata::Type(kind)),
            Item::Help { name, .. } => (name, Metadata::Help),
            Item::Unit { name, unit } => (name, Metadata::Unit { empty: unit.is_empty() }),
            Item::Sample(_) | Item::Problem(_) => return,
        };
        if self.current.as_ref().is_none_or(|family| family.name() != name) {
            self.close(findings);
            if !self.families.insert(name.into()) {
                let message = format!("the family {name} was there before: all of a family must stand together, and its name be used once");
                found(findings, Part::Name, message);
            }
            reserved(name, "family", Part::Name, findings);
            self.current = Some(Family::new(name));
        }
        if let Some(family) = &mut self.current {
            family.metadata(metadata, findings);
        }
    }

    /// Whether a new point of a child begins with this sample is returned.
    pub fn sample(&mut self, sample: &RawSample<'_>, findings: &mut Findings) -> bool {
        if self.current.as_ref().is_none_or(|family| family.role(sample.name).is_none()) && !self.begin_untyped(sample.name, findings) {
            return false;
        }
        let Some(family) = &mut self.current else { return false };
        if family.first_sample() {
            claim(&mut self.names, family, findings);
        }
        labels_are_sound(sample.labels, findings);
        family.sample(sample, findings)
    }

    /// At the end of the body.
    pub fn finish(&mut self, findings: &mut Findings) {
        self.close(findings);
    }

    /// Begins the family of a sample that has no metadata; false when the sample cannot be one.
    fn begin_untyped(&mut self, name: &str, findings: &mut Findings) -> bool {
        if let Some(family) = &self.current
            && family.name() == name
        {
            let message = format!("{name} is of type {}: its samples are named {}", family.kind().as_str(), family.sample_names());
            found(findings, Part::Name, message);
            return false;
        }
        if let Some(family) = self.families.get(name).or_else(|| self.names.get(name)) {
            let message = format!("the family {family} has ended before: families must not be interleaved");
            found(findings, Part::Name, message);
            return false;
        }
        self.close(findings);
        self.families.insert(name.into());
        reserved(name, "metric", Part::Name, findings);
        self.current = Some(Family::new(name));
        true
    }

    fn close(&mut self, findings: &mut Findings) {
        if let Some(mut family) = self.current.take() {
            family.finish(findings);
            if family.first_sample() {
                claim(&mut self.names, &family, findings);
            }
        }
    }
}

/// Takes the names that samples of a family can have.
fn claim(names: &mut HashMap<Box<str>, Box<str>>, family: &Family, findings: &mut Findings) {
    for name in family.possible_names() {
        if let Some(other) = names.insert(name.as_str().into(), family.name().into())
            && *other != *family.name()
        {
            let message = format!("the families {} and {other} can both have samples named {name}", family.name());
            found(findings, Part::Name, message);
        }
    }
}

fn reserved(name: &str, what: &str, part: Part, findings: &mut Findings) {
    if name.starts_with('_') {
        found(findings, part, format!("the {what} {name} begins with an underscore: such names are reserved"));
    }
}

fn labels_are_sound(labels: &[Label<'_>], findings: &mut Findings) {
    for (place, label) in labels.iter().enumerate() {
        reserved(label.name, "label", Part::Label(place), findings);
    }
    if let Some(twice) = duplicate(labels) {
        found(findings, Part::Label(twice), format!("the label {} is there twice", labels[twice].name));
    }
}

/// The index of a label whose name another has too; the later one.
pub(super) fn duplicate(labels: &[Label<'_>]) -> Option<usize> {
    if labels.len() <= 16 {
        return (1..labels.len()).find(|place| labels[..*place].iter().any(|label| label.name == labels[*place].name));
    }
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by_key(|place| labels[*place].name);
    order.windows(2).find(|pair| labels[pair[0]].name == labels[pair[1]].name).map(|pair| pair[1])
}

/// Of parts of a series, in this order.
fn hash_of<'a>(parts: impl Iterator<Item = &'a str>) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(parts.collect::<Vec<_>>())
}
