//! Exemplars of a scrape: what they cost, which readers refuse, and what is left when only the most active children have some.

use crate::cardinality::model::{Family, Scrape};

/// In characters, of label names and values together: OpenMetrics 1.0, section "Exemplars".
pub const LONGEST: u32 = 128;
/// About what one takes in the memory of a server that stores exemplars in a ring of fixed size (Prometheus, docs/feature_flags.md; the
/// comment in tsdb/exemplar.go says 95).
pub const STORED_BYTES: u64 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    pub exemplars: u64,
    /// Series that have at least one.
    pub series: u64,
    /// Of label names and values.
    pub bytes: u64,
    /// Longer than [`LONGEST`]: refused by readers of OpenMetrics 1.0, and client_golang panics when one is observed.
    pub too_long: u64,
    pub without_timestamp: u64,
    /// In the memory of a server, an estimate: [`STORED_BYTES`] for each.
    pub stored_bytes: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Exemplars {
    /// Families with exemplars, in the order of the scrape.
    pub families: Vec<OfFamily>,
    pub total: Figures,
    /// What `sampling` leaves of `total`.
    pub sampled: Figures,
    pub sampling: Sampling,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OfFamily {
    /// Index of the family in the scrape.
    pub family: usize,
    pub all: Figures,
    /// Children that keep theirs.
    pub active: u64,
    /// Events of these children, as a share of all events of the family; none if it counts no events.
    pub events: Option<f64>,
    pub sampled: Figures,
}

/// Which children keep their exemplars.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Of the children of each family, those with most events: 0.1 for one in ten. At least one child of each.
    pub share: f64,
    /// Most series with exemplars in all. The children with most events come first; one that has more than are left loses all of its own.
    pub series: Option<u64>,
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling { share: 0.1, series: None }
    }
}

pub fn exemplars(scrape: &Scrape, sampling: &Sampling) -> Exemplars {
    let with_some = scrape.families.iter().enumerate().filter(|(_, family)| !family.exemplars.is_empty());
    let mut active: Vec<(usize, Active)> = with_some.map(|(index, family)| (index, Active::of(family, sampling.share))).collect();
    if let Some(most) = sampling.series {
        limit(scrape, &mut active, most);
    }
    let families: Vec<OfFamily> = active
        .iter()
        .map(|(index, active)| {
            let family = &scrape.families[*index];
            OfFamily {
                family: *index,
                all: figures(family, |_| true),
                active: active.children.iter().filter(|active| **active).count() as u64,
                events: active.share_of_events(family),
                sampled: figures(family, |child| active.children[child]),
            }
        })
        .collect();
    let sum = |of: fn(&OfFamily) -> Figures| families.iter().map(of).fold(Figures::default(), Figures::plus);
    Exemplars { total: sum(|family| family.all), sampled: sum(|family| family.sampled), families, sampling: *sampling }
}

/// Which children of a family keep their exemplars.
struct Active {
    children: Vec<bool>,
}

impl Active {
    fn of(family: &Family, share: f64) -> Self {
        let mut order: Vec<usize> = (0..family.children()).collect();
        let count = ((order.len() as f64 * share).ceil() as usize).clamp(1, order.len());
        order.select_nth_unstable_by(count - 1, |a, b| events(family, *b).total_cmp(&events(family, *a)).then(a.cmp(b)));
        let mut children = vec![false; order.len()];
        for child in &order[..count] {
            children[*child] = true;
        }
        Active { children }
    }

    fn share_of_events(&self, family: &Family) -> Option<f64> {
        let counted =
            (0..family.children()).map(|child| (self.children[child], events(family, child))).filter(|(_, events)| events.is_finite());
        let (of_active, all) =
            counted.fold((0.0, 0.0), |(some, all), (active, events)| (if active { some + events } else { some }, all + events));
        (all > 0.0).then(|| of_active / all)
    }
}

/// Below all others where none are counted.
fn events(family: &Family, child: usize) -> f64 {
    family.events(child).filter(|events| !events.is_nan()).unwrap_or(f64::NEG_INFINITY)
}

/// Takes children out so that no more than `most` series have exemplars: each that does not fit beside those with more events.
fn limit(scrape: &Scrape, active: &mut [(usize, Active)], most: u64) {
    let mut children = Vec::new();
    for (at, (index, active)) in active.iter().enumerate() {
        let family = &scrape.families[*index];
        let mut series = series_with(family, |child| active.children[child]);
        series.dedup_by(|b, a| {
            a.child == b.child && {
                a.series += b.series;
                true
            }
        });
        children.extend(series.into_iter().map(|with| (events(family, with.child), at, with)));
    }
    children.sort_by(|(a, ..), (b, ..)| b.total_cmp(a));
    let mut left = most;
    for (_, at, with) in children {
        match left.checked_sub(with.series) {
            Some(fewer) => left = fewer,
            None => active[at].1.children[with.child] = false,
        }
    }
}

struct With {
    child: usize,
    series: u64,
}

/// One for each series that has exemplars, by child.
fn series_with(family: &Family, wanted: impl Fn(usize) -> bool) -> Vec<With> {
    let some = family.exemplars.iter().filter(|exemplar| wanted(exemplar.child as usize));
    let mut series: Vec<_> = some.map(|exemplar| (exemplar.child, exemplar.member)).collect();
    series.sort_unstable();
    series.dedup();
    series.into_iter().map(|(child, _)| With { child: child as usize, series: 1 }).collect()
}

fn figures(family: &Family, wanted: impl Fn(usize) -> bool) -> Figures {
    let mut figures = Figures { series: series_with(family, &wanted).len() as u64, ..Figures::default() };
    for exemplar in family.exemplars.iter().filter(|exemplar| wanted(exemplar.child as usize)) {
        figures.exemplars += 1;
        figures.bytes += u64::from(exemplar.bytes);
        figures.too_long += u64::from(exemplar.characters > LONGEST);
        figures.without_timestamp += u64::from(!exemplar.timestamped);
    }
    figures.stored_bytes = figures.exemplars * STORED_BYTES;
    figures
}

impl Figures {
    fn plus(self, other: Figures) -> Figures {
        Figures {
            exemplars: self.exemplars + other.exemplars,
            series: self.series + other.series,
            bytes: self.bytes + other.bytes,
            too_long: self.too_long + other.too_long,
            without_timestamp: self.without_timestamp + other.without_timestamp,
            stored_bytes: self.stored_bytes + other.stored_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cardinality::model::{Exemplar, Id, Member, Role};
    use crate::formats::exposition::MetricType;

    const BUCKET: Member = Member { role: Role::Bucket, bound: Id(1) };
    const COUNT: Member = Member { role: Role::Count, bound: Id::EMPTY };

    /// Histograms of one bucket and a count, with an exemplar on the bucket of each child.
    fn family(counts: &[f64]) -> Family {
        let exemplar = |child: u32| Exemplar { child, member: BUCKET, characters: 40, bytes: 40, timestamped: true };
        Family {
            kind: MetricType::Histogram,
            layouts: vec![vec![BUCKET, COUNT]],
            layout: vec![0; counts.len()],
            first_value: (0..counts.len() as u32).map(|child| child * 2).collect(),
            values: counts.iter().flat_map(|count| [*count, *count]).collect(),
            exemplars: (0..counts.len() as u32).map(exemplar).collect(),
            ..Family::default()
        }
    }

    fn scrape(families: Vec<Family>) -> Scrape {
        Scrape { families, ..Scrape::default() }
    }

    #[test]
    fn figures_are_of_all_exemplars() {
        let mut one = family(&[1.0, 2.0]);
        let long = Exemplar { child: 1, member: BUCKET, characters: 129, bytes: 200, timestamped: false };
        one.exemplars.extend([long, Exemplar { characters: 128, member: COUNT, ..long }]);
        let found = exemplars(&scrape(vec![Family::default(), one]), &Sampling::default());
        let expected = Figures { exemplars: 4, series: 3, bytes: 480, too_long: 1, without_timestamp: 2, stored_bytes: 400 };
        assert_eq!((found.total, found.families[0].all, found.families[0].family), (expected, expected, 1));
    }

    #[test]
    fn the_most_active_tenth_keeps_its_exemplars() {
        let counts: Vec<f64> = (0..30).map(|n| f64::from(n * 7 % 30)).collect();
        let found = exemplars(&scrape(vec![family(&counts), family(&[f64::NAN, 5.0])]), &Sampling::default());
        let [many, few] = &found.families[..] else { panic!("{found:?}") };
        assert_eq!((many.active, many.sampled.exemplars), (3, 3));
        assert_eq!(many.events, Some((29.0 + 28.0 + 27.0) / 435.0));
        assert_eq!((few.active, few.events), (1, Some(1.0)));
        assert_eq!((found.total.series, found.sampled.series), (32, 4));
    }

    #[test]
    fn a_child_that_does_not_fit_the_limit_leaves_its_place_to_others() {
        let mut big = family(&[100.0]);
        big.exemplars.push(Exemplar { member: COUNT, ..big.exemplars[0] });
        for (most, left) in [(1, 1), (2, 2), (3, 3), (4, 4), (9, 4)] {
            let found = exemplars(&scrape(vec![big.clone(), family(&[5.0, 4.0])]), &Sampling { share: 1.0, series: Some(most) });
            assert_eq!(found.sampled.series, left, "at most {most}");
        }
    }

    #[test]
    fn a_limit_of_series_takes_from_the_least_active() {
        let families = || vec![family(&[10.0, 1.0, 7.0]), family(&[8.0, 9.0])];
        for most in 0..6 {
            let found = exemplars(&scrape(families()), &Sampling { share: 1.0, series: Some(most) });
            assert_eq!(found.sampled.series, most.min(5));
        }
        let found = exemplars(&scrape(families()), &Sampling { share: 1.0, series: Some(2) });
        assert_eq!(found.families.iter().map(|family| family.sampled.series).collect::<Vec<_>>(), [1, 1]);
    }
}
