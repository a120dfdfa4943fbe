//! One family of metrics: what its type says about samples, and how its children follow each other.

use std::ops::ControlFlow;

use std::collections::HashSet;

use super::point::Point;
use super::{Findings, Part, RawSample, duplicate, found, hash_of};
use crate::formats::exposition::{Exemplar, Label, MetricType, number};

/// What a sample is within its family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Role {
    Value,
    State,
    Info,
    Total,
    Bucket,
    Quantile,
    Sum,
    Count,
    Created,
}

/// The names of samples: what is put behind the name of the family, and what it means.
fn suffixes(kind: MetricType) -> &'static [(&'static str, Role)] {
    match kind {
        MetricType::Counter => &[("_total", Role::Total), ("_created", Role::Created)],
        MetricType::Histogram => &[("_bucket", Role::Bucket), ("_count", Role::Count), ("_sum", Role::Sum), ("_created", Role::Created)],
        MetricType::GaugeHistogram => &[("_bucket", Role::Bucket), ("_gcount", Role::Count), ("_gsum", Role::Sum)],
        MetricType::Summary => &[("", Role::Quantile), ("_count", Role::Count), ("_sum", Role::Sum), ("_created", Role::Created)],
        MetricType::Info => &[("_info", Role::Info)],
        MetricType::StateSet => &[("", Role::State)],
        MetricType::Gauge | MetricType::Unknown => &[("", Role::Value)],
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metadata {
    Type(MetricType),
    Help,
    Unit { empty: bool },
}

#[derive(Debug)]
pub(super) struct Family {
    name: String,
    kind: Option<MetricType>,
    help: bool,
    /// Whether it is empty.
    unit: Option<bool>,
    /// The names of its samples are taken.
    claimed: bool,
    sampled: bool,
    /// Hashes of the labels of all children that ended.
    ended: HashSet<u64>,
    child: Option<Child>,
}

/// The samples with the same labels, `le` and its like aside.
#[derive(Debug)]
struct Child {
    labels: u64,
    timestamp: Option<f64>,
    point: Point,
}

impl Family {
    pub fn new(name: &str) -> Self {
        Family {
            name: name.to_owned(),
            kind: None,
            help: false,
            unit: None,
            claimed: false,
            sampled: false,
            ended: HashSet::new(),
            child: None,
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn kind(&self) -> MetricType {
        self.kind.unwrap_or_default()
    }

    pub fn role(&self, sample: &str) -> Option<Role> {
        let suffix = sample.strip_prefix(self.name.as_str())?;
        suffixes(self.kind()).iter().find(|(known, _)| *known == suffix).map(|(_, role)| *role)
    }

    pub fn possible_names(&self) -> Vec<String> {
        suffixes(self.kind()).iter().map(|(suffix, _)| format!("{}{suffix}", self.name)).collect()
    }

    pub fn sample_names(&self) -> String {
        self.possible_names().join(", ")
    }

    /// Whether its names are to be taken: once.
    pub fn first_sample(&mut self) -> bool {
        !std::mem::replace(&mut self.claimed, true)
    }

    pub fn metadata(&mut self, metadata: Metadata, findings: &mut Findings) {
        let (word, twice) = match metadata {
            Metadata::Type(kind) => ("TYPE", self.kind.replace(kind).is_some()),
            Metadata::Help => ("HELP", std::mem::replace(&mut self.help, true)),
            Metadata::Unit { empty } => ("UNIT", self.unit.replace(empty).is_some()),
        };
        if self.sampled {
            found(findings, Part::Name, format!("# {word} of {} stands behind its samples", self.name));
        } else if twice {
            found(findings, Part::Name, format!("a second # {word} of {}", self.name));
        }
        if let (Some(kind @ (MetricType::Info | MetricType::StateSet)), Some(false)) = (self.kind, self.unit) {
            found(findings, Part::Name, format!("{} is of type {}, which has no unit", self.name, kind.as_str()));
        }
    }

    /// A sample that has a role. Whether a point begins with it is returned.
    pub fn sample(&mut self, sample: &RawSample<'_>, findings: &mut Findings) -> bool {
        let Some(role) = self.role(sample.name) else { return false };
        self.sampled = true;
        let bound = match self.bound(role, sample.labels, findings) {
            ControlFlow::Continue(bound) => bound,
            ControlFlow::Break(()) => return false,
        };
        value_is_sound(self.kind(), role, sample.value, findings);
        if let Some(exemplar) = &sample.exemplar {
            exemplar_is_sound(self.kind(), role, bound, exemplar, findings);
        }
        let labels = child_of(sample.labels, self.bound_label());
        let Some(begins) = self.enter(labels, sample, findings) else { return false };
        let kind = self.kind();
        if let Some(child) = &mut self.child {
            child.point.add(kind, role, bound, sample, findings);
        }
        begins
    }

    pub fn finish(&mut self, findings: &mut Findings) {
        let kind = self.kind();
        if let Some(child) = self.child.take() {
            child.point.finish(kind, &self.name, findings);
        }
    }

    /// Goes to the child and the point that a sample is of. Whether they begin with it; none if it fits into no point.
    fn enter(&mut self, labels: u64, sample: &RawSample<'_>, findings: &mut Findings) -> Option<bool> {
        let kind = self.kind();
        let timestamp = sample.timestamp;
        if let Some(child) = self.child.as_mut().filter(|child| child.labels == labels) {
            match (child.timestamp, timestamp) {
                (Some(_), None) | (None, Some(_)) => {
                    found(findings, Part::Timestamp, "either all samples of a metric have a timestamp or none");
                    return None;
                }
                (Some(before), Some(now)) if now < before => {
                    found(findings, Part::Timestamp, "the timestamps of a metric must not go back");
                    return None;
                }
                (Some(before), Some(now)) if now > before => {
                    std::mem::take(&mut child.point).finish(kind, &self.name, findings);
                    child.timestamp = timestamp;
                    return Some(true);
                }
                _ => return Some(false),
            }
        }
        self.finish(findings);
        if !self.ended.insert(labels) {
            found(findings, Part::Name, format!("the samples of one child of {} do not stand together", self.name));
        }
        self.child = Some(Child { labels, timestamp, point: Point::default() });
        Some(true)
    }

    /// The label that tells the samples of a child apart.
    fn bound_label(&self) -> Option<&str> {
        match self.kind() {
            MetricType::Histogram | MetricType::GaugeHistogram => Some("le"),
            MetricType::Summary => Some("quantile"),
            MetricType::StateSet => Some(&self.name),
            _ => None,
        }
    }

    /// Reads that label of a sample that has to have it.
    fn bound<'a>(&self, role: Role, labels: &[Label<'a>], findings: &mut Findings) -> ControlFlow<(), Option<Bound<'a>>> {
        let Some(name) = self.bound_label() else { return ControlFlow::Continue(None) };
        if !matches!(role, Role::Bucket | Role::Quantile | Role::State) {
            if let Some(place) = labels.iter().position(|label| label.name == name) {
                found(findings, Part::Label(place), format!("only buckets and quantiles have the label {name}"));
            }
            return ControlFlow::Continue(None);
        }
        let Some(place) = labels.iter().position(|label| label.name == name) else {
            found(findings, Part::Name, format!("this sample of type {} lacks the label {name}", self.kind().as_str()));
            return ControlFlow::Break(());
        };
        let text = labels[place].value;
        if role == Role::State {
            return ControlFlow::Continue(Some(Bound { text, number: 0.0 }));
        }
        let number = number::value(text.as_bytes()).unwrap_or(f64::NAN);
        let wrong = match role {
            _ if number.is_nan() => Some(format!("{name} must be a number")),
            Role::Bucket if number == f64::INFINITY && text != "+Inf" => Some("the highest bucket is written le=\"+Inf\"".to_owned()),
            Role::Quantile if !(0.0..=1.0).contains(&number) => Some("a quantile is from 0 to 1".to_owned()),
            _ => None,
        };
        match wrong {
            Some(message) => {
                found(findings, Part::Label(place), message);
                ControlFlow::Break(())
            }
            None => ControlFlow::Continue(Some(Bound { text, number })),
        }
    }
}

/// The value of `le`, `quantile` or the label of the state.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound<'a> {
    pub text: &'a str,
    /// Not of a state.
    pub number: f64,
}

/// Labels with an empty value count as absent, and their order for nothing.
fn child_of(labels: &[Label<'_>], bound: Option<&str>) -> u64 {
    let mut own: Vec<&Label<'_>> = labels.iter().filter(|label| !label.value.is_empty() && Some(label.name) != bound).collect();
    own.sort_by_key(|label| label.name);
    hash_of(own.iter().flat_map(|label| [label.name, label.value]))
}

fn value_is_sound(kind: MetricType, role: Role, value: f64, findings: &mut Findings) {
    let gauge_sum = kind == MetricType::GaugeHistogram && role == Role::Sum;
    let wrong = match role {
        Role::Total | Role::Bucket | Role::Sum | Role::Count if value.is_nan() => "this must not be NaN",
        Role::Total | Role::Bucket | Role::Sum | Role::Count if value < 0.0 && !gauge_sum => "this must not be negative",
        Role::Bucket | Role::Count if value.fract() != 0.0 || value.is_infinite() => "this counts something, so it must be a whole number",
        Role::Quantile if value < 0.0 => "the value of a quantile must not be negative",
        Role::Created if !value.is_finite() => "the time of creation must be a finite number",
        Role::State if value != 0.0 && value != 1.0 => "a state is 0 or 1",
        Role::Info if value != 1.0 => "the value of an info is always 1",
        _ => return,
    };
    found(findings, Part::Value, wrong);
}

/// Of label names and values together, in characters.
const LONGEST_EXEMPLAR: usize = 128;

fn exemplar_is_sound(kind: MetricType, role: Role, bound: Option<Bound<'_>>, exemplar: &Exemplar<'_>, findings: &mut Findings) {
    if !matches!(role, Role::Total | Role::Bucket) {
        let message = format!("this sample of type {} may not have an exemplar: only totals of counters and buckets may", kind.as_str());
        return found(findings, Part::Exemplar, message);
    }
    let characters: usize = exemplar.labels.iter().map(|label| label.name.chars().count() + characters(label.value)).sum();
    if characters > LONGEST_EXEMPLAR {
        let message = format!("the labels of this exemplar have {characters} characters, more than {LONGEST_EXEMPLAR}");
        found(findings, Part::Exemplar, message);
    }
    if let Some(twice) = duplicate(exemplar.labels) {
        found(findings, Part::Exemplar, format!("the label {} of the exemplar is there twice", exemplar.labels[twice].name));
    }
    if bound.is_some_and(|bound| exemplar.value > bound.number || exemplar.value.is_nan()) {
        found(findings, Part::Exemplar, "the exemplar is not in its bucket: its value is above le");
    }
}

/// Of an escaped text, once it is unescaped.
fn characters(text: &str) -> usize {
    let mut count = 0;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\\' {
            characters.next_if(|next| matches!(next, '"' | '\\' | 'n'));
        }
        count += 1;
    }
    count
}
