//! Growth between scrapes of one endpoint.

use std::hash::Hasher;
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHasher};

use crate::cardinality::model::{Family, Id, Scrape, Strings};

/// What several scrapes say, all families together and each alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Growth {
    pub total: Trend,
    /// In the order in which they first appear.
    pub families: Vec<(String, Trend)>,
    /// The start time of the process differs between scrapes: counts began anew.
    pub restarted: bool,
}

/// The series of something over time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trend {
    pub points: Vec<Point>,
}

/// One scrape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Since the first scrape.
    pub seconds: f64,
    pub series: u64,
    /// Different series in this scrape and those before.
    pub distinct: u64,
    /// Counted events of all children.
    pub events: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// The same number of series in each hour.
    Linear,
    /// Heaps' law: the more there are, the rarer a new one.
    Heaps,
}

/// When a number of series is reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Eta {
    /// After the last scrape; 0 where it is reached.
    pub hours: f64,
    pub model: Model,
}

/// A power below this is no growth.
const FLAT: f64 = 0.02;

impl Trend {
    pub fn seconds(&self) -> f64 {
        self.points.last().map_or(0.0, |point| point.seconds)
    }

    /// Series that the first scrape did not have.
    pub fn appeared(&self) -> u64 {
        self.ends().map_or(0, |(first, last)| last.distinct - first.series)
    }

    /// Series that some scrape had and the last does not.
    pub fn gone(&self) -> u64 {
        self.ends().map_or(0, |(_, last)| last.distinct - last.series)
    }

    /// `None` where no time passed.
    pub fn new_per_second(&self) -> Option<f64> {
        (self.seconds() > 0.0).then(|| self.appeared() as f64 / self.seconds())
    }

    /// How much more series there are per second, by least squares; `None` where they do not grow: fewer at the end than at the start, or a
    /// slope within two standard errors of none.
    pub fn growth_per_second(&self) -> Option<f64> {
        let (first, last) = self.ends()?;
        if last.series <= first.series {
            return None;
        }
        let fit = Line::through(self.points.iter().map(|point| (point.seconds, point.series as f64)))?;
        (fit.slope > 0.0 && fit.slope > 2.0 * fit.error).then_some(fit.slope)
    }

    /// When there are `budget` series, by the law that fits better; `None` when they do not grow, or level off below it for all we know (more
    /// than ten years).
    pub fn until(&self, budget: u64) -> Option<Eta> {
        let (_, last) = self.ends()?;
        if last.series >= budget {
            return Some(Eta { hours: 0.0, model: Model::Linear });
        }
        let slope = self.growth_per_second()?;
        let linear = Eta { hours: (budget - last.series) as f64 / slope / 3600.0, model: Model::Linear };
        let eta = self.heaps(budget as f64).unwrap_or(linear);
        (eta.hours <= 24.0 * 3650.0).then_some(eta)
    }

    /// `series = K events^β`, where that is nearer to the points than a line is.
    fn heaps(&self, budget: f64) -> Option<Eta> {
        let (first, last) = self.ends()?;
        let rising = self.points.windows(2).all(|pair| pair[0].events < pair[1].events);
        if self.points.len() < 3 || !rising || first.events <= 0.0 || first.series == 0 {
            return None;
        }
        let fit = Line::through(self.points.iter().map(|point| (point.events.ln(), (point.series as f64).ln())))?;
        let line = Line::through(self.points.iter().map(|point| (point.seconds, point.series as f64)))?;
        let miss = |predicted: &dyn Fn(&Point) -> f64| {
            self.points.iter().map(|point| (predicted(point) - point.series as f64).powi(2)).sum::<f64>()
        };
        let by_law = miss(&|point| (fit.start + fit.slope * point.events.ln()).exp());
        let by_line = miss(&|point| line.start + line.slope * point.seconds);
        if by_law >= by_line || !(FLAT..1.0).contains(&fit.slope) {
            return None;
        }
        // From the last point on, so that the answer begins at what is there.
        let events = last.events * (budget / last.series as f64).powf(1.0 / fit.slope);
        let rate = (last.events - first.events) / self.seconds();
        Some(Eta { hours: (events - last.events) / rate / 3600.0, model: Model::Heaps })
    }

    fn ends(&self) -> Option<(&Point, &Point)> {
        Some((self.points.first()?, self.points.last()?))
    }
}

/// Least squares: `start + slope x`, with the standard error of the slope, 0 where two points give none.
struct Line {
    start: f64,
    slope: f64,
    error: f64,
}

impl Line {
    /// `None` with fewer than two different x.
    fn through(points: impl Iterator<Item = (f64, f64)> + Clone) -> Option<Line> {
        let count = points.clone().count() as f64;
        let (x_mean, y_mean) = points.clone().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
        let (xx, xy) = points.clone().fold((0.0, 0.0), |(xx, xy), (x, y)| (xx + (x - x_mean).powi(2), xy + (x - x_mean) * (y - y_mean)));
        if count < 2.0 || xx <= 0.0 {
            return None;
        }
        let slope = xy / xx;
        let start = y_mean - slope * x_mean;
        let rest: f64 = points.map(|(x, y)| (y - start - slope * x).powi(2)).sum();
        let error = if count > 2.0 { (rest / (count - 2.0) / xx).sqrt() } else { 0.0 };
        Some(Line { start, slope, error })
    }
}

/// Scrapes of one endpoint in the order of time, each with the time since the first. Series are told apart by a 64-bit hash of name and
/// labels: among a million, the chance that two are taken for one is below one in ten million.
pub fn growth(scrapes: &[(Duration, &Scrape)]) -> Growth {
    let mut order: Vec<String> = Vec::new();
    let mut families: FxHashMap<String, History> = FxHashMap::default();
    for (index, (_, scrape)) in scrapes.iter().enumerate() {
        let hashes = string_hashes(&scrape.strings);
        for family in &scrape.families {
            let name = scrape.text(family.name);
            if !families.contains_key(name) {
                order.push(name.to_owned());
            }
            let history = families.entry(name.to_owned()).or_default();
            history.add(index, family, &hashes);
        }
        families.values_mut().for_each(|history| history.close(index));
    }
    let seconds: Vec<f64> = scrapes.iter().map(|(since, _)| since.as_secs_f64()).collect();
    let families: Vec<(String, Trend)> = order
        .into_iter()
        .filter_map(|name| {
            let history = families.remove(&name)?;
            let points = seconds.iter().zip(&history.points).map(|(seconds, point)| Point { seconds: *seconds, ..*point });
            Some((name, Trend { points: points.collect() }))
        })
        .collect();
    let at = |index: usize| {
        let sum = |of: &dyn Fn(&Point) -> f64| families.iter().map(|(_, trend)| of(&trend.points[index])).sum::<f64>();
        Point {
            seconds: seconds[index],
            series: sum(&|point| point.series as f64) as u64,
            distinct: sum(&|point| point.distinct as f64) as u64,
            events: sum(&|point| point.events),
        }
    };
    let total = Trend { points: (0..seconds.len()).map(at).collect() };
    let starts: Vec<Option<f64>> = scrapes.iter().map(|(_, scrape)| super::start_time(scrape)).collect();
    Growth { total, families, restarted: starts.windows(2).any(|pair| pair[0] != pair[1]) }
}

/// One family, scrape by scrape.
#[derive(Default)]
struct History {
    points: Vec<Point>,
    /// Of the scrape at hand.
    now: Vec<u64>,
    events: f64,
    /// Of all scrapes so far, sorted.
    known: Vec<u64>,
}

impl History {
    fn add(&mut self, scrape: usize, family: &Family, hashes: &[u64]) {
        // A family that appears late was not there before.
        self.points.resize(scrape, Point { seconds: 0.0, series: 0, distinct: 0, events: 0.0 });
        for child in 0..family.children() {
            let of_child =
                family.labels(child).fold(0_u64, |sum, (name, value)| sum.wrapping_add(pair(hashes[name.index()], hashes[value.index()])));
            let series = family.members(child).iter();
            self.now.extend(series.map(|member| pair(of_child ^ (member.role as u64) << 56, hashes[member.bound.index()])));
            self.events += family.events(child).filter(|events| events.is_finite()).unwrap_or(0.0);
        }
    }

    fn close(&mut self, scrape: usize) {
        if self.points.len() > scrape {
            return;
        }
        self.now.sort_unstable();
        self.now.dedup();
        let series = self.now.len() as u64;
        self.known = union(&self.known, &self.now);
        self.points.push(Point { seconds: 0.0, series, distinct: self.known.len() as u64, events: self.events });
        self.now.clear();
        self.events = 0.0;
    }
}

fn union(left: &[u64], right: &[u64]) -> Vec<u64> {
    let mut all = Vec::with_capacity(left.len().max(right.len()));
    let (mut l, mut r) = (0, 0);
    while l < left.len() && r < right.len() {
        all.push(left[l].min(right[r]));
        let (from_left, from_right) = (left[l] <= right[r], right[r] <= left[l]);
        l += usize::from(from_left);
        r += usize::from(from_right);
    }
    all.extend_from_slice(&left[l..]);
    all.extend_from_slice(&right[r..]);
    all
}

/// By the id of the string; equal strings of two scrapes have equal hashes.
fn string_hashes(strings: &Strings) -> Vec<u64> {
    (0..strings.len() as u32)
        .map(|id| {
            let text = strings.get(Id(id));
            let mut hasher = FxHasher::default();
            hasher.write(text.as_bytes());
            mix(hasher.finish() ^ text.len() as u64)
        })
        .collect()
}

fn pair(left: u64, right: u64) -> u64 {
    mix(left.rotate_left(25) ^ mix(right.wrapping_add(0x9E37_79B9_7F4A_7C15)))
}

/// The finalizer of splitmix64: each bit of the result depends on all of the argument.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}
