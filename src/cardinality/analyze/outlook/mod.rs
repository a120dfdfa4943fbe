//! How much more is to come: of one scrape, from how often each child was counted; of several, from what they have in common.

pub mod growth;
pub mod richness;

use rustc_hash::FxHashMap;

use super::lint::units;
use crate::cardinality::model::{Family, Role, Scrape};
use crate::formats::exposition::MetricType;
pub use richness::{Abundance, Interval};

/// Fewer events than this say nothing.
pub const FEWEST_EVENTS: f64 = 100.0;
/// A process younger than this, in seconds, has not seen much.
pub const YOUNG_SECONDS: f64 = 600.0;
/// Bounded: at least this share of the next events goes to children that exist, and at least this share of all children exists.
pub const COVERAGE: f64 = 0.95;

/// What one family's counts say.
///
/// They are taken for draws, each event independent of those before. Where a child is in use for a time and never again (a session, a pod),
/// its events come in a bunch and few children are seen once: such a family can look bounded. The shape of the label's values tells those;
/// a bounded verdict and an unbounded shape contradict each other, and the shape is right.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlook {
    /// Index in `Scrape::families`.
    pub family: usize,
    pub children: u64,
    pub verdict: Verdict,
    /// Why nothing, or nothing certain, can be said; empty unless the verdict is unknown.
    pub reasons: Vec<Reason>,
    /// `None` where the values are not counts of events.
    pub counts: Option<Counts>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Counts {
    pub events: f64,
    /// Children that were made before their first event.
    pub unused: u64,
    pub once: u64,
    pub twice: u64,
    /// Good–Turing: the chance that the next event opens a child.
    pub next_opens: f64,
    /// Chao1: a lower bound for the number of children there will be, when events go on as before.
    pub chao1: Interval,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nearly all children there can be are there.
    Bounded,
    Growing,
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Without labels there is one child for ever; this is not a verdict about growth.
    NoLabels,
    /// A gauge, or a type that is not known.
    NotCounted,
    /// A counter of bytes, seconds or another amount: one event adds more than one.
    Amounts,
    NotIntegers,
    FewEvents,
    /// The process is younger than [`YOUNG_SECONDS`].
    Young,
    /// The counts do not look like single, independent events: each child gets several at a time.
    InBunches,
    /// Between bounded and growing.
    TooClose,
}

impl Reason {
    pub fn text(self) -> &'static str {
        match self {
            Reason::NoLabels => "it has no labels",
            Reason::NotCounted => "its values do not count events",
            Reason::Amounts => "its values are amounts, not numbers of events",
            Reason::NotIntegers => "its values are not whole numbers",
            Reason::FewEvents => "fewer than 100 events were counted",
            Reason::Young => "the process runs for less than 10 minutes",
            Reason::InBunches => "events come in bunches, not one at a time",
            Reason::TooClose => "too close to tell",
        }
    }
}

/// One for each family with children. `age` is that of the process in seconds, where it is known ([`start_time`]).
pub fn outlooks(scrape: &Scrape, age: Option<f64>) -> Vec<Outlook> {
    let with_children = scrape.families.iter().enumerate().filter(|(_, family)| family.children() > 0);
    with_children.map(|(index, family)| outlook(scrape, index, family, age)).collect()
}

/// Unix seconds, of the first process that says so.
pub fn start_time(scrape: &Scrape) -> Option<f64> {
    let family = scrape.families.iter().find(|family| scrape.text(family.name) == "process_start_time_seconds")?;
    family.values.first().copied().filter(|seconds| *seconds > 0.0)
}

fn outlook(scrape: &Scrape, index: usize, family: &Family, age: Option<f64>) -> Outlook {
    let unknown = |reason, counts| Outlook {
        family: index,
        children: family.children() as u64,
        verdict: Verdict::Unknown,
        reasons: vec![reason],
        counts,
    };
    if family.columns.is_empty() {
        return unknown(Reason::NoLabels, None);
    }
    let events = match counted(scrape, family) {
        Ok(events) => events,
        Err(reason) => return unknown(reason, None),
    };
    let abundance = Abundance::of(&events);
    let chao1 = abundance.chao1();
    let next_opens = abundance.next_opens();
    let counts = Counts {
        events: abundance.events,
        unused: family.children() as u64 - abundance.seen,
        once: abundance.times(1),
        twice: abundance.times(2),
        next_opens,
        chao1,
    };
    if abundance.events < FEWEST_EVENTS {
        return unknown(Reason::FewEvents, Some(counts));
    }
    if abundance.in_bunches() {
        return unknown(Reason::InBunches, Some(counts));
    }
    // Children made beforehand are among those still to come.
    let children = family.children() as f64;
    let growing = chao1.low > children / COVERAGE;
    let bounded = next_opens <= 1.0 - COVERAGE && chao1.value <= children / COVERAGE;
    if growing {
        return Outlook { family: index, children: children as u64, verdict: Verdict::Growing, reasons: Vec::new(), counts: Some(counts) };
    }
    if !bounded {
        return unknown(Reason::TooClose, Some(counts));
    }
    if age.is_some_and(|age| age < YOUNG_SECONDS) {
        return unknown(Reason::Young, Some(counts));
    }
    Outlook { family: index, children: children as u64, verdict: Verdict::Bounded, reasons: Vec::new(), counts: Some(counts) }
}

/// The number of events of each child; those of one child that several instances have are taken apart.
fn counted(scrape: &Scrape, family: &Family) -> Result<Vec<f64>, Reason> {
    let native: FxHashMap<u32, f64> = family.native.iter().map(|(child, histogram)| (*child, histogram.count)).collect();
    let mut events = Vec::with_capacity(family.children());
    for child in 0..family.children() {
        let whole = family.members(child).iter().any(|member| member.role == Role::Native);
        let count = if whole { native.get(&(child as u32)).copied() } else { None };
        events.push(count.or_else(|| family.events(child)).ok_or(Reason::NotCounted)?);
    }
    if family.kind == MetricType::Counter && units::first_unit(scrape.text(family.name)).is_some() {
        return Err(Reason::Amounts);
    }
    if events.iter().any(|count| count.fract() != 0.0 || *count < 0.0 || !count.is_finite()) {
        return Err(Reason::NotIntegers);
    }
    // Each event adds the same amount, or the values are sizes of pages, blocks and the like.
    let divisor = events.iter().filter(|count| **count < 1e15).fold(0_u64, |divisor, count| gcd(divisor, *count as u64));
    if divisor > 1 && events.iter().filter(|count| **count > 0.0).count() > 2 {
        return Err(Reason::Amounts);
    }
    Ok(events)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests;
