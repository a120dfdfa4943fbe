//! How far two windows of the same load may differ: from the number of observations, and from how much the parts of a window differ.

use super::{STATES, class_amount};
use crate::sched::analyze::Account;
use crate::sched::model::{Batch, Class, Window};

/// How sure the differences of one kind are, all of them together.
pub const CONFIDENCE: f64 = 0.95;

/// Parts of a window that tell something, at least.
const FEWEST: usize = 5;
/// Walks in each of them: a part between two walks knows nothing of its own.
const WALKS: u64 = 4;

/// A standard error, from what lies between the parts of a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Between {
    pub error: f64,
    /// Degrees of freedom.
    pub freedom: f64,
}

/// Errors of both sides of a difference.
pub struct Errors {
    /// Were all observations independent.
    pub independent: [f64; 2],
    pub between: [Option<Between>; 2],
    /// So many of them make a margin.
    pub z: f64,
}

impl Errors {
    /// Parts that happen to be equal make nothing surer than the number of observations does.
    pub fn margin(&self) -> f64 {
        let [first, second] = self.independent;
        let least = self.z * first.hypot(second);
        if self.between == [None, None] {
            return least;
        }
        let sides = [0, 1].map(|side| self.between[side].unwrap_or(Between { error: self.independent[side], freedom: f64::INFINITY }));
        let [first, second] = sides.map(|side| side.error);
        least.max(student(self.z, freedom(sides)) * first.hypot(second))
    }
}

/// Of the difference of two means whose variances are unequal (Welch and Satterthwaite).
fn freedom(sides: [Between; 2]) -> f64 {
    let variances = sides.map(|side| side.error.powi(2));
    let each: f64 = sides.iter().zip(variances).map(|(side, variance)| variance.powi(2) / side.freedom).sum();
    if each > 0.0 { variances.iter().sum::<f64>().powi(2) / each } else { f64::INFINITY }
}

/// The quantile of Student's t where that of the normal distribution is `z` (Abramowitz and Stegun, 26.7.5).
fn student(z: f64, freedom: f64) -> f64 {
    let odd = |factors: [f64; 4]| factors.iter().rev().fold(0.0, |sum, factor| sum * z * z + factor) * z;
    z + odd([1.0, 1.0, 0.0, 0.0]) / (4.0 * freedom)
        + odd([3.0, 16.0, 5.0, 0.0]) / (96.0 * freedom.powi(2))
        + odd([-15.0, 17.0, 19.0, 3.0]) / (384.0 * freedom.powi(3))
}

/// Within so many standard errors all of `n` differences lie by chance, with `CONFIDENCE`. The normal distribution's quantile by
/// Abramowitz and Stegun, 26.2.23, right to 0.0005.
pub fn standard_errors(n: usize) -> f64 {
    let beyond = (1.0 - CONFIDENCE) / n.max(1) as f64 / 2.0;
    let t = (-2.0 * beyond.ln()).sqrt();
    t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308)))
}

/// The window's parts, each long enough for some walks. `None`: too few of them.
fn parts(window: &Window) -> Option<Vec<Part>> {
    let most = window.batches.len().min(usize::try_from(window.quality.walks / WALKS).unwrap_or(usize::MAX));
    let together = window.batches.len().div_ceil(most.max(1)).max(1);
    let parts: Vec<Part> = window.batches.chunks_exact(together).map(Part::of).collect();
    (parts.len() >= FEWEST && most > 0).then_some(parts)
}

pub fn knows_its_parts(window: &Window) -> bool {
    parts(window).is_some()
}

/// Nanoseconds.
struct Part {
    alive: f64,
    by_class: [f64; Class::ALL.len()],
}

impl Part {
    fn of(batches: &[Batch]) -> Part {
        let sum = |of: &dyn Fn(&Batch) -> u64| batches.iter().map(|batch| of(batch) as f64).sum();
        let by_class = Class::ALL.map(|class| sum(&|batch| batch.by_class[class as usize]));
        Part { alive: sum(&|batch| batch.alive_ns), by_class }
    }

    fn observed(&self) -> f64 {
        STATES.iter().flatten().map(|class| self.by_class[*class as usize]).sum()
    }
}

/// Of each state's share, in the order of `STATES`: what [`super::Share::value`] errs by. A batch means estimate: parts that are longer than
/// what makes sightings come together are independent of each other.
pub fn of_shares(window: &Window) -> [Option<Between>; STATES.len()] {
    let Some(parts) = parts(window) else { return [None; STATES.len()] };
    let anything_unobserved = Account::of(window).unobserved_ns > 0;
    let all = |part: &Part| if anything_unobserved { part.alive } else { part.observed() };
    STATES.map(|state| {
        let of_state = |part: &Part| match state {
            Some(class) => part.by_class[class as usize],
            // It may be less than nothing in one part.
            None => all(part) - part.observed(),
        };
        let waiting = |part: &Part| part.by_class[Class::Waiting as usize];
        let whole = |part: &Part| if state == Some(Class::Waiting) { all(part) } else { all(part) - waiting(part) };
        let between = of_quotient(&parts.iter().map(|part| (of_state(part), whole(part))).collect::<Vec<_>>())?;
        Some(Between { error: between.error * across_borders(parts.len(), window), ..between })
    })
}

/// A walk stands for time to both sides. Where that crosses a border, neighbours are more alike than what they are parts of: a moving average
/// over an n-th of a part takes 1 / 3n of the variance away.
fn across_borders(parts: usize, window: &Window) -> f64 {
    let walks = window.quality.walks as f64 / parts as f64;
    (1.0 - 1.0 / (3.0 * walks)).recip().sqrt()
}

/// The error of sum / sum, by how far each part is from that quotient. `None` for no quotient.
fn of_quotient(parts: &[(f64, f64)]) -> Option<Between> {
    let n = parts.len() as f64;
    let (sum, whole) = parts.iter().fold((0.0, 0.0), |sums, part| (sums.0 + part.0, sums.1 + part.1));
    let share = sum / whole;
    let squares: f64 = parts.iter().map(|(part, whole)| (part - share * whole).powi(2)).sum();
    let error = (squares * n / (n - 1.0)).sqrt() / whole;
    (whole > 0.0 && error.is_finite()).then_some(Between { error, freedom: n - 1.0 })
}

/// How much wider than independent observations make it the error of each class is, at least once. What is in a class, its stacks and
/// reasons, comes together as the class does.
pub fn dispersions(window: &Window) -> [f64; Class::ALL.len()] {
    let Some(parts) = parts(window) else { return [1.0; Class::ALL.len()] };
    Class::ALL.map(|class| {
        let amount = class_amount(window, class);
        let of_class: Vec<(f64, f64)> = parts.iter().map(|part| (part.by_class[class as usize], 1.0)).collect();
        let mean = of_class.iter().map(|part| part.0).sum::<f64>() / of_class.len() as f64;
        let between = of_quotient(&of_class).filter(|_| mean > 0.0).map_or(0.0, |between| between.error / mean * amount.rate);
        let times = between * across_borders(parts.len(), window) / amount.error;
        if times.is_finite() { times.max(1.0) } else { 1.0 }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_differences_need_wider_margins() {
        for (n, z) in [(1, 1.96), (7, 2.69), (500, 3.89)] {
            assert!((standard_errors(n) - z).abs() < 0.01, "{n}: {}", standard_errors(n));
        }
    }

    /// From tables of Student's t: 0.975 and 0.995, two-sided 5 % and 1 %.
    #[test]
    fn fewer_parts_need_wider_margins() {
        for (z, freedom, t) in
            [(1.960, 10.0, 2.228), (2.576, 10.0, 3.169), (2.576, 4.0, 4.604), (2.576, 38.0, 2.712), (2.576, f64::INFINITY, 2.576)]
        {
            assert!((student(z, freedom) - t).abs() < 0.06, "{freedom}: {}", student(z, freedom));
        }
        let side = |error, freedom| Between { error, freedom };
        assert!((freedom([side(2.0, 19.0), side(2.0, 19.0)]) - 38.0).abs() < 1e-9);
        assert!((freedom([side(2.0, 19.0), side(0.0, 4.0)]) - 19.0).abs() < 1e-9);
    }

    #[test]
    fn the_error_of_a_quotient_is_what_its_parts_differ_by() {
        let error = |parts: &[(f64, f64)]| of_quotient(parts).map(|between| between.error);
        assert_eq!(error(&[(1.0, 4.0), (2.0, 8.0), (3.0, 12.0)]), Some(0.0));
        // Means of 0 and 1, of two: one standard error of the mean is 0.5.
        assert_eq!(error(&[(0.0, 1.0), (1.0, 1.0)]), Some(0.5));
        assert_eq!(error(&[(0.0, 0.0), (0.0, 0.0)]), None);
    }
}
