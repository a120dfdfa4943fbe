//! What following each transition tells, where both windows did: how long goroutines were runnable, and how long they were blocked.

use std::collections::BTreeMap;

use super::margins::dispersions;
use super::{Amount, Change, Sum, amount, by_delta};
use crate::sched::model::{Blocked, Class, RunLatency, Waits, Window};

/// Time that goroutines were runnable before they got a P, by who created them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latency<'a> {
    pub creator: Option<&'a str>,
    /// `None` where there were none, or where they are in more than one distribution: of several `go` statements in one function.
    pub before: Option<Waits>,
    pub after: Option<Waits>,
}

/// Biggest change first.
pub fn run_latency<'a>(before: &'a Window, after: &'a Window) -> Vec<Change<Latency<'a>>> {
    let (Some(first), Some(second)) = (&before.transitions, &after.transitions) else { return Vec::new() };
    let (first, second) = (by(&first.run_latency, |row| row.creator.as_deref()), by(&second.run_latency, |row| row.creator.as_deref()));
    let times = [before, after].map(|window| dispersions(window)[Class::Runnable as usize]);
    let change = |creator, before_rows: &[&RunLatency], after_rows: &[&RunLatency]| Change {
        of: Latency { creator, before: only(before_rows), after: only(after_rows) },
        before: latency(before_rows, before).wider(times[0]),
        after: latency(after_rows, after).wider(times[1]),
        z: 0.0,
    };
    by_delta(pairs(first, second).map(|(creator, rows)| change(creator, &rows[0], &rows[1])).collect(), |of| of.creator)
}

/// Waits that ended, by the runtime's wait reason. Biggest change first.
pub fn blocked<'a>(before: &'a Window, after: &'a Window) -> Vec<Change<Option<&'a str>>> {
    let (Some(first), Some(second)) = (&before.transitions, &after.transitions) else { return Vec::new() };
    let (first, second) = (by(&first.blocked, |row| row.reason.as_deref()), by(&second.blocked, |row| row.reason.as_deref()));
    let times = [before, after].map(|window| dispersions(window)[Class::Waiting as usize]);
    let change = |of, before_rows: &[&Blocked], after_rows: &[&Blocked]| Change {
        of,
        before: waits(before_rows, before).wider(times[0]),
        after: waits(after_rows, after).wider(times[1]),
        z: 0.0,
    };
    by_delta(pairs(first, second).map(|(reason, rows)| change(reason, &rows[0], &rows[1])).collect(), |of| *of)
}

type Groups<'a, T> = BTreeMap<Option<&'a str>, Vec<&'a T>>;

fn by<'a, T>(rows: &'a [T], key: impl Fn(&'a T) -> Option<&'a str>) -> Groups<'a, T> {
    let mut groups = Groups::new();
    rows.iter().for_each(|row| groups.entry(key(row)).or_default().push(row));
    groups
}

/// What is in either, with the rows of both.
fn pairs<'a, T>(first: Groups<'a, T>, second: Groups<'a, T>) -> impl Iterator<Item = (Option<&'a str>, [Vec<&'a T>; 2])> {
    let mut both: BTreeMap<Option<&'a str>, [Vec<&'a T>; 2]> = BTreeMap::new();
    for (side, groups) in [first, second].into_iter().enumerate() {
        groups.into_iter().for_each(|(key, rows)| both.entry(key).or_default()[side] = rows);
    }
    both.into_iter()
}

fn only(rows: &[&RunLatency]) -> Option<Waits> {
    match rows {
        [one] => Some(one.waits),
        _ => None,
    }
}

fn latency(rows: &[&RunLatency], window: &Window) -> Amount {
    let total = sum(rows.iter().map(|row| (row.total_ns, row.waits.count)));
    let squares: f64 = rows.iter().map(|row| squares(row)).sum();
    // One more of the common size, as everywhere.
    amount(total, squares + one(total).powi(2), total.count, window)
}

/// What the squares of some waits sum to. Waits for a P differ by orders of magnitude: were they taken as equal, chance alone would make most
/// windows longer or shorter than others. Half of them are at most the median; from there to each next quantile they are taken to grow evenly
/// on a logarithmic scale, which makes them rather too long than too short.
fn squares(row: &RunLatency) -> f64 {
    let Waits { count, p50, p90, p99, max, .. } = row.waits;
    let [p50, p90, p99, max] = [p50, p90, p99, max].map(|bound| bound.high_ns.unwrap_or(bound.low_ns).max(1) as f64);
    let square = 0.5 * p50.powi(2) + 0.4 * mean_square(p50, p90) + 0.09 * mean_square(p90, p99) + 0.01 * mean_square(p99, max);
    count as f64 * square.max(one(Sum { ns: row.total_ns, count }).powi(2))
}

/// The mean of `(low * (high / low)^u)^2` over `u` from 0 to 1.
fn mean_square(low: f64, high: f64) -> f64 {
    let logarithm = (high / low).ln();
    if logarithm > 0.01 { (high.powi(2) - low.powi(2)) / (2.0 * logarithm) } else { low.powi(2) }
}

fn waits(rows: &[&Blocked], window: &Window) -> Amount {
    let total = sum(rows.iter().map(|row| (row.ns, row.count)));
    // Each place has waits of its own length.
    let squares: f64 = rows.iter().map(|row| one(Sum { ns: row.ns, count: row.count }).powi(2) * row.count as f64).sum();
    amount(total, squares + one(total).powi(2), total.count, window)
}

fn sum(rows: impl Iterator<Item = (u64, u64)>) -> Sum {
    rows.fold(Sum::default(), |sum, (ns, count)| Sum { ns: sum.ns.saturating_add(ns), count: sum.count.saturating_add(count) })
}

/// The average.
fn one(sum: Sum) -> f64 {
    sum.ns as f64 / sum.count.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_square_between_two_quantiles() {
        let sum: f64 = (0..100_000).map(|i| (10.0 * 50f64.powf((f64::from(i) + 0.5) / 1e5)).powi(2)).sum();
        assert!((mean_square(10.0, 500.0) / (sum / 1e5) - 1.0).abs() < 1e-6);
        assert_eq!((mean_square(7.0, 7.0), mean_square(7.0, 3.0)), (49.0, 49.0));
    }
}
