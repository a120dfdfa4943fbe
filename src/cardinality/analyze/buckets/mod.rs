//! Economics of classic histograms: what buckets cost, which of them say nothing, and how few keep the quantiles.

mod children;
mod quantile;
mod rule;
mod select;

use std::collections::BTreeMap;

use children::Group;
pub use children::Refused;
pub use select::Choice;

use crate::cardinality::model::{Family, Id, Role, Strings};

/// What a choice of buckets must keep.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// 0 to 1.
    pub quantiles: Vec<f64>,
    /// How far these may be off, relative to what all buckets say: 0.05 is 5 %.
    pub error: f64,
    /// Children with fewer observations are not judged.
    pub observations: f64,
    /// Bounds that must stay, as those of service level objectives.
    pub keep: Vec<f64>,
}

impl Default for Wanted {
    fn default() -> Self {
        Wanted { quantiles: vec![0.5, 0.9, 0.99], error: 0.05, observations: 100.0, keep: Vec::new() }
    }
}

/// The classic buckets of one family.
#[derive(Debug, Clone, PartialEq)]
pub struct Buckets {
    /// With buckets.
    pub children: u64,
    /// Of all children that are not refused.
    pub observations: f64,
    /// Distinct bounds, ascending.
    pub bounds: Vec<Bucket>,
    /// Distinct sets of bounds among the children that are not refused.
    pub layouts: u64,
    /// Children that are not refused and have other bounds than most.
    pub unusual: u64,
    pub refused: Refused,
    pub cost: Cost,
    /// None if no child is to be judged, or the usual ones have more than [`MOST_BOUNDS`].
    pub selection: Option<Selection>,
}

/// Choosing takes time by the third power of the bounds.
pub const MOST_BOUNDS: usize = 256;

#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    pub bound: f64,
    /// As written; more than one where children write it differently (`1`, `1.0`).
    pub le: Vec<Id>,
    pub series: u64,
    /// In at least one child it counts more than the bucket below.
    pub separates: bool,
}

/// The same histograms as classic ones, as native ones and as native ones with custom buckets (NHCB, which have the bounds of the classic
/// ones). Their bytes on disk cannot be told from one scrape: chunks hold how counts change from sample to sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Buckets, sum, count and created of the children with buckets.
    pub classic_series: u64,
    /// One for each child.
    pub native_series: u64,
    pub custom_series: u64,
    /// Buckets that a sample of all NHCBs holds: those in which something was counted.
    pub custom_buckets: u64,
}

/// Fewer bounds for the children that have the usual ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// Children with the usual bounds and enough observations.
    pub judged: u64,
    /// The best choice for each number of bounds, fewest first, as far as the bounds to keep allow; the last one keeps all.
    pub choices: Vec<Choice>,
    /// The fewest bounds that keep the error in the children that are judged, and those that children with other bounds and enough
    /// observations need beside them; none if that is all of them.
    pub advice: Option<Advice>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    pub choice: Choice,
    /// The worst error in children with other bounds; none if none of those has enough observations.
    pub unusual_error: Option<f64>,
    /// The values of `le` to drop.
    pub dropped: Vec<Id>,
    pub series_saved: u64,
    /// Matches `dropped`; anchored, as Prometheus does it.
    pub le_regex: String,
    /// For the options of a histogram in Go.
    pub go_line: String,
}

impl Buckets {
    /// Buckets that separate no observation from another in any child: each counts what the one below counts. Without observations
    /// nothing is known, and none is told.
    pub fn idle(&self) -> impl Iterator<Item = &Bucket> {
        self.bounds.iter().filter(|bucket| self.observations > 0.0 && !bucket.separates && bucket.bound != f64::INFINITY)
    }

    /// Series of `idle`.
    pub fn idle_series(&self) -> u64 {
        self.idle().map(|bucket| bucket.series).sum()
    }
}

/// `None` if the family has no buckets.
pub fn buckets(family: &Family, strings: &Strings, wanted: &Wanted) -> Option<Buckets> {
    let children = children::read(family, strings);
    let mut bounds = bounds(family, strings);
    if bounds.is_empty() {
        return None;
    }
    let (mut observations, mut custom_buckets) = (0.0, 0);
    for group in &children.groups {
        let (total, filled) = look(group, &mut bounds);
        observations += total;
        custom_buckets += filled;
    }
    let has_buckets: Vec<bool> = family.layouts.iter().map(|members| members.iter().any(|member| member.role == Role::Bucket)).collect();
    let classic = |layout: usize| family.layouts[layout].iter().filter(|member| member.role != Role::Native).count() as u64;
    let cost = Cost {
        classic_series: family.layout.iter().filter(|layout| has_buckets[**layout as usize]).map(|layout| classic(*layout as usize)).sum(),
        native_series: children.count,
        custom_series: children.count,
        custom_buckets,
    };
    Some(Buckets {
        children: children.count,
        observations,
        layouts: children.groups.len() as u64,
        unusual: children.groups.iter().skip(1).map(|group| group.len() as u64).sum(),
        refused: children.refused,
        cost,
        selection: selection(&children.groups, &bounds, strings, wanted),
        bounds,
    })
}

/// The distinct bounds that are numbers, and their series.
fn bounds(family: &Family, strings: &Strings) -> Vec<Bucket> {
    let mut rows = vec![0; family.layouts.len()];
    for layout in &family.layout {
        rows[*layout as usize] += 1;
    }
    let mut series: BTreeMap<Id, u64> = BTreeMap::new();
    for (members, rows) in family.layouts.iter().zip(rows) {
        for member in members.iter().filter(|member| member.role == Role::Bucket) {
            *series.entry(member.bound).or_default() += rows;
        }
    }
    let numbers = series.into_iter().filter_map(|(le, series)| Some((children::bound(strings.get(le))?, le, series)));
    let mut numbers: Vec<(f64, Id, u64)> = numbers.collect();
    numbers.sort_by(|(a, ..), (b, ..)| a.total_cmp(b));
    let mut bounds: Vec<Bucket> = Vec::new();
    for (bound, le, series) in numbers {
        match bounds.last_mut().filter(|last| last.bound == bound) {
            Some(last) => {
                last.le.push(le);
                last.series += series;
            }
            None => bounds.push(Bucket { bound, le: vec![le], series, separates: false }),
        }
    }
    bounds
}

/// Marks the buckets that separate something; returns the observations and how many buckets have some.
fn look(group: &Group, bounds: &mut [Bucket]) -> (f64, u64) {
    let (mut observations, mut filled) = (0.0, vec![0u64; group.bounds.len()]);
    for counts in group.children() {
        let mut below = 0.0;
        for (count, filled) in counts.iter().zip(&mut filled) {
            *filled += u64::from(*count > below);
            below = *count;
        }
        observations += below;
    }
    for (bound, filled) in group.bounds.iter().zip(&filled) {
        let at = bounds.partition_point(|bucket| bucket.bound < *bound);
        bounds[at].separates |= *filled > 0;
    }
    (observations, filled.iter().sum())
}

fn selection(groups: &[Group], bounds: &[Bucket], strings: &Strings, wanted: &Wanted) -> Option<Selection> {
    let (usual, others) = groups.split_first().filter(|(usual, _)| usual.bounds.len() <= MOST_BOUNDS)?;
    let enough = |counts: &&[f64]| counts.last().is_some_and(|count| *count >= wanted.observations && *count > 0.0);
    let mut errors = select::Errors::new(&usual.bounds);
    let mut judged = 0;
    for counts in usual.children().filter(enough) {
        errors.add(counts, &wanted.quantiles);
        judged += 1;
    }
    if judged == 0 {
        return None;
    }
    let choices = errors.choices(&wanted.keep);
    let mut keep = wanted.keep.clone();
    let advice = loop {
        let Some(choice) = errors.choices(&keep).into_iter().find(|choice| choice.error <= wanted.error) else { break None };
        let goes = |bound: f64| bound.is_finite() && usual.bounds.contains(&bound) && !choice.bounds.contains(&bound);
        let judged = others.iter().flat_map(|group| group.children().filter(enough).map(|counts| (&group.bounds, counts)));
        let losses = judged.map(|(bounds, counts)| loss(bounds, counts, goes, &wanted.quantiles));
        match losses.reduce(|a, b| if b.error > a.error { b } else { a }) {
            // With these the estimate is what it was, so that each round keeps more bounds.
            Some(loss) if loss.error > wanted.error => keep.extend(loss.missing),
            loss => break advise(&choice, loss.map(|loss| loss.error), bounds, strings, goes),
        }
    };
    Some(Selection { judged, choices, advice })
}

/// What becomes of the quantiles of one child when some of its bounds go.
struct Loss {
    /// The worst relative one.
    error: f64,
    /// Bounds that go and that this quantile is estimated from.
    missing: Vec<f64>,
}

fn loss(bounds: &[f64], counts: &[f64], goes: impl Fn(f64) -> bool, quantiles: &[f64]) -> Loss {
    let all: Vec<(f64, f64)> = bounds.iter().copied().zip(counts.iter().copied()).collect();
    let left: Vec<(f64, f64)> = all.iter().copied().filter(|(bound, _)| !goes(*bound)).collect();
    let mut worst = Loss { error: 0.0, missing: Vec::new() };
    for q in quantiles {
        let error = match (quantile::quantile(*q, &left), quantile::quantile(*q, &all)) {
            (Some(estimate), Some(exact)) => quantile::error(estimate, exact),
            (None, Some(_)) => f64::INFINITY,
            (_, None) => 0.0,
        };
        if error > worst.error {
            let bucket = quantile::bucket_of(q * counts.last().copied().unwrap_or(0.0), counts);
            let around = &bounds[bucket.saturating_sub(1)..=bucket];
            worst = Loss { error, missing: around.iter().copied().filter(|bound| goes(*bound)).collect() };
        }
    }
    worst
}

/// None if nothing goes.
fn advise(choice: &Choice, unusual_error: Option<f64>, bounds: &[Bucket], strings: &Strings, goes: impl Fn(f64) -> bool) -> Option<Advice> {
    let dropped: Vec<&Bucket> = bounds.iter().filter(|bucket| goes(bucket.bound)).collect();
    (!dropped.is_empty()).then(|| Advice {
        choice: choice.clone(),
        unusual_error,
        series_saved: dropped.iter().map(|bucket| bucket.series).sum(),
        le_regex: rule::le_regex(dropped.iter().flat_map(|bucket| &bucket.le).map(|le| strings.get(*le))),
        dropped: dropped.into_iter().flat_map(|bucket| bucket.le.clone()).collect(),
        go_line: rule::go_line(&choice.bounds),
    })
}

#[cfg(test)]
mod tests;
