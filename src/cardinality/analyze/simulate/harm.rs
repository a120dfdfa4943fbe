//! Families whose series no longer fit together: what queries over them would then answer.

use rustc_hash::FxHashMap;

use super::{Fate, Left, text};
use crate::cardinality::model::{Family, Id, Role, Scrape};
use crate::formats::exposition::MetricType;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Harm {
    /// The `+Inf` bucket is gone and others are left: `histogram_quantile` answers NaN.
    InfGone,
    /// Children of one family are left with different buckets, where they had the same: `sum by (le)` adds up what does not belong together.
    BucketsUneven,
    /// Buckets or quantiles are left without their `le` or `quantile`, or with another value than they had.
    BoundLost,
    /// The series of one child end with different labels, or with names that no longer belong together.
    Split,
    /// Counters become one: the server keeps one of them a scrape, and a rate over it is no rate of anything.
    CountersMerged,
    /// Histograms or summaries become one, as counters do.
    HistogramsMerged,
    /// Series of another kind become one; which of them is seen is left to chance.
    SeriesMerged,
    /// Fewer buckets, `+Inf` among them: quantiles are right and coarser.
    BucketsFewer,
    /// No buckets are left, `_sum` or `_count` is: averages and rates, no quantiles.
    BucketsGone,
    /// Buckets or quantiles are left without `_sum` or `_count`: no averages.
    SumOrCountGone,
}

impl Harm {
    /// Queries answer wrongly. Otherwise they answer less.
    pub fn is_wrong(self) -> bool {
        !matches!(self, Harm::BucketsFewer | Harm::BucketsGone | Harm::SumOrCountGone)
    }
}

/// One kind of harm to a family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Harmed {
    pub harm: Harm,
    /// How many of its children; of merged ones, those that lost a series to another.
    pub children: u64,
    /// The first of them, as `family{label="value"}`.
    pub example: String,
    /// Index of the rule that did it to the first.
    pub rule: usize,
}

/// Collects the harm to one family.
pub(super) struct Harms<'a> {
    scrape: &'a Scrape,
    family: &'a Family,
    /// How many children, the first of them, and the rule that did it.
    found: FxHashMap<Harm, (u64, usize, usize)>,
    /// For each layout and the buckets that went from it, the children that have just these left.
    uneven: FxHashMap<u32, FxHashMap<Vec<u32>, Alike>>,
}

struct Alike {
    children: u64,
    first: usize,
    /// That took the first bucket from the first child.
    rule: Option<usize>,
}

impl<'a> Harms<'a> {
    pub fn new(scrape: &'a Scrape, family: &'a Family) -> Self {
        Harms { scrape, family, found: FxHashMap::default(), uneven: FxHashMap::default() }
    }

    /// `fates` are those of the members. `base_name` takes the end of a role off a name.
    pub fn child(&mut self, child: usize, fates: &[Fate], base_name: impl FnMut(Id, Role) -> Option<Id>) {
        let compound = matches!(self.family.kind, MetricType::Histogram | MetricType::GaugeHistogram | MetricType::Summary);
        let bound_lost = compound && self.bound_lost(child, fates);
        let merged = fates.iter().find_map(|fate| left(fate).and_then(|left| left.merged));
        if let Some(rule) = merged.filter(|_| !bound_lost) {
            let harm = match self.family.kind {
                MetricType::Counter => Harm::CountersMerged,
                _ if compound => Harm::HistogramsMerged,
                _ => Harm::SeriesMerged,
            };
            self.note(harm, child, rule);
        }
        if compound {
            self.parts(child, fates);
            self.split(child, fates, base_name);
        }
    }

    fn bound_lost(&mut self, child: usize, fates: &[Fate]) -> bool {
        let members = self.family.members(child);
        let lost = members.iter().zip(fates).find_map(|(member, fate)| {
            let left = left(fate).filter(|left| member.role.bound_label().is_some() && left.bound != member.bound)?;
            left.changed
        });
        if let Some(rule) = lost {
            self.note(Harm::BoundLost, child, rule);
        }
        lost.is_some()
    }

    /// What is left of buckets, quantiles, sum and count.
    fn parts(&mut self, child: usize, fates: &[Fate]) {
        let members = self.family.members(child);
        let is_bound = |role: Role| role.bound_label().is_some();
        let dropped = |wanted: &dyn Fn(usize) -> bool| {
            let mut rules = fates.iter().enumerate().filter(|(index, _)| wanted(*index)).filter_map(|(_, fate)| dropped_by(fate));
            rules.next()
        };
        let stays =
            |wanted: &dyn Fn(Role) -> bool| members.iter().zip(fates).any(|(member, fate)| wanted(member.role) && left(fate).is_some());
        let sum_or_count = |role| matches!(role, Role::Sum | Role::Count | Role::GaugeSum | Role::GaugeCount);
        let bounds_stay = stays(&is_bound);
        let lost_bucket = dropped(&|index| members[index].role == Role::Bucket);
        let lost_inf = dropped(&|index| members[index].role == Role::Bucket && self.scrape.text(members[index].bound) == "+Inf");
        match (lost_bucket, bounds_stay) {
            (Some(rule), false) if stays(&sum_or_count) => self.note(Harm::BucketsGone, child, rule),
            (Some(_), true) if lost_inf.is_some() => self.note(Harm::InfGone, child, lost_inf.unwrap_or_default()),
            (Some(rule), true) => self.note(Harm::BucketsFewer, child, rule),
            _ => {}
        }
        if let Some(rule) = dropped(&|index| sum_or_count(members[index].role)).filter(|_| bounds_stay) {
            self.note(Harm::SumOrCountGone, child, rule);
        }
        if bounds_stay && members.iter().any(|member| member.role == Role::Bucket) {
            let gone = (0..members.len()).filter(|index| is_bound(members[*index].role) && left(&fates[*index]).is_none());
            let gone: Vec<u32> = gone.map(|index| index as u32).collect();
            let alike = self.uneven.entry(self.family.layout[child]).or_default().entry(gone);
            alike.or_insert(Alike { children: 0, first: child, rule: lost_bucket }).children += 1;
        }
    }

    fn split(&mut self, child: usize, fates: &[Fate], mut base_name: impl FnMut(Id, Role) -> Option<Id>) {
        let members = self.family.members(child);
        let Some(rule) = fates.iter().find_map(|fate| left(fate).and_then(|left| left.changed)) else { return };
        let mut parts = members.iter().zip(fates).filter_map(|(member, fate)| left(fate).map(|left| (member.role, left)));
        let Some((role, first)) = parts.next() else { return };
        let base = base_name(first.name, role);
        // The end of the name is what it was, and what is before it is the same for all.
        let fits = base.is_some() && parts.all(|(role, left)| left.rest == first.rest && base_name(left.name, role) == base);
        if !fits {
            self.note(Harm::Split, child, rule);
        }
    }

    fn note(&mut self, harm: Harm, child: usize, rule: usize) {
        self.found.entry(harm).or_insert((0, child, rule)).0 += 1;
    }

    /// Of children that had the same buckets, those that have not what most of them have left.
    fn compare_children(&mut self) {
        let mut children = 0;
        let mut first: Option<(usize, usize)> = None;
        for groups in self.uneven.values().filter(|groups| groups.len() > 1) {
            let most = groups.values().max_by_key(|alike| (alike.children, std::cmp::Reverse(alike.first)));
            let rule = groups.values().filter_map(|alike| alike.rule).min().unwrap_or_default();
            for alike in groups.values().filter(|alike| most.is_some_and(|most| most.first != alike.first)) {
                children += alike.children;
                first = first.into_iter().chain([(alike.first, alike.rule.unwrap_or(rule))]).min();
            }
        }
        if let Some((child, rule)) = first {
            self.found.insert(Harm::BucketsUneven, (children, child, rule));
        }
    }

    pub fn finish(mut self) -> Vec<Harmed> {
        self.compare_children();
        let mut found: Vec<_> = self.found.iter().collect();
        found.sort_unstable();
        let harmed = |(harm, (children, first, rule)): (&Harm, &(u64, usize, usize))| {
            let labels = self.family.labels(*first).map(|(name, value)| (self.scrape.text(name), self.scrape.text(value)));
            let example = text::series(labels.chain([("__name__", self.scrape.text(self.family.name))]));
            Harmed { harm: *harm, children: *children, example, rule: *rule }
        };
        found.into_iter().map(harmed).collect()
    }
}

fn left(fate: &Fate) -> Option<&Left> {
    match fate {
        Fate::Left(left) => Some(left),
        Fate::Dropped { .. } => None,
    }
}

fn dropped_by(fate: &Fate) -> Option<usize> {
    match fate {
        Fate::Dropped { rule } => Some(*rule),
        Fate::Left(_) => None,
    }
}
