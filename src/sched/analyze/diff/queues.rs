//! Waits in the queues for a P and for a CPU, by quantile.

use super::margins::{dispersions, standard_errors};
use crate::sched::model::{Bound, Class, Waits, Window};

/// Waits that must lie beyond a quantile before it says anything.
const BEYOND: f64 = 10.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueChange {
    /// `run_queue` or `cpu_queue`.
    pub queue: &'static str,
    /// `p50`, `p90`, `p99`, `max`.
    pub quantile: &'static str,
    pub before: Option<Bound>,
    pub after: Option<Bound>,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Longer,
    Shorter,
    NotResolvable,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Longer => "longer",
            Verdict::Shorter => "shorter",
            Verdict::NotResolvable => "not_resolvable",
        }
    }
}

#[derive(Clone, Copy)]
struct Quantile {
    name: &'static str,
    rank: f64,
    bound: fn(&Waits) -> Bound,
}

const QUANTILES: [Quantile; 4] = [
    Quantile { name: "p50", rank: 0.5, bound: |waits| waits.p50 },
    Quantile { name: "p90", rank: 0.9, bound: |waits| waits.p90 },
    Quantile { name: "p99", rank: 0.99, bound: |waits| waits.p99 },
    Quantile { name: "max", rank: 1.0, bound: |waits| waits.max },
];

pub fn queues(before: &Window, after: &Window) -> Vec<QueueChange> {
    let pairs =
        [("run_queue", Class::Runnable, before.run_queue, after.run_queue), ("cpu_queue", Class::NoCpu, before.cpu_queue, after.cpu_queue)];
    let times = [dispersions(before), dispersions(after)];
    let there = pairs.into_iter().filter(|(_, _, before, after)| before.is_some() || after.is_some());
    let change = |queue, class: Class, before: Option<Waits>, after: Option<Waits>, quantile: Quantile| QueueChange {
        queue,
        quantile: quantile.name,
        before: before.as_ref().map(quantile.bound),
        after: after.as_ref().map(quantile.bound),
        verdict: before.zip(after).map_or(Verdict::NotResolvable, |(before, after)| {
            let [before, after] = [(before, times[0]), (after, times[1])].map(|(waits, times)| independent(waits, times[class as usize]));
            compare(&before, &after, quantile)
        }),
    };
    there.flat_map(|(queue, class, before, after)| QUANTILES.map(|quantile| change(queue, class, before, after, quantile))).collect()
}

/// Waits that come together, so that the error is wider, tell what fewer would that come on their own.
fn independent(waits: Waits, times_wider: f64) -> Waits {
    Waits { count: (waits.count as f64 / times_wider.powi(2)) as u64, ..waits }
}

/// A quantile is known to its bucket, and chance decides which of its neighbours it is.
fn compare(before: &Waits, after: &Waits, quantile: Quantile) -> Verdict {
    // The maximum is one event, and so it has none beyond it: it says nothing of the next window.
    let enough = |waits: &Waits| waits.count as f64 * (1.0 - quantile.rank) >= BEYOND;
    if !enough(before) || !enough(after) {
        return Verdict::NotResolvable;
    }
    let is_longer = |short: &Waits, long: &Waits| {
        let gap = (low(&(quantile.bound)(long)) / high(&(quantile.bound)(short))).ln();
        gap > upwards(short, quantile).hypot(downwards(long, quantile))
    };
    if is_longer(before, after) {
        Verdict::Longer
    } else if is_longer(after, before) {
        Verdict::Shorter
    } else {
        Verdict::NotResolvable
    }
}

/// How much longer the quantile of another window of the same load may be, as a logarithm.
fn upwards(waits: &Waits, quantile: Quantile) -> f64 {
    (at(waits, quantile.rank + error(waits, quantile), high) / high(&(quantile.bound)(waits))).ln()
}

fn downwards(waits: &Waits, quantile: Quantile) -> f64 {
    (low(&(quantile.bound)(waits)) / at(waits, quantile.rank - error(waits, quantile), low)).ln()
}

/// Of the rank: how many of so many waits are below the true quantile is a matter of chance.
fn error(waits: &Waits, quantile: Quantile) -> f64 {
    // Three quantiles of two queues.
    standard_errors(6) * (quantile.rank * (1.0 - quantile.rank) / waits.count.max(1) as f64).sqrt()
}

/// The wait of a rank. Between those that are known, and below the median, waits grow evenly on a logarithmic scale.
fn at(waits: &Waits, rank: f64, end: fn(&Bound) -> f64) -> f64 {
    let segment = QUANTILES.windows(2).find(|pair| rank <= pair[1].rank);
    let Some([from, to]) = segment else { return end(&waits.max) };
    let (low, high) = (end(&(from.bound)(waits)), end(&(to.bound)(waits)));
    low * (high / low).powf((rank - from.rank) / (to.rank - from.rank))
}

fn low(bound: &Bound) -> f64 {
    bound.low_ns.max(1) as f64
}

/// Of the histogram's last, open bucket there is no end.
fn high(bound: &Bound) -> f64 {
    bound.high_ns.map_or(f64::INFINITY, |high| high.max(1) as f64)
}
