//! What a scrape was like, without its label values: counts, and sketches of hashes.

use std::collections::BTreeMap;
use std::time::SystemTime;

/// The smallest hashes of a set (a k-minimum-values sketch): of a small set all of them, of a big one enough to tell how big the union
/// with another set is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sketch {
    /// Ascending, without repetition.
    pub hashes: Vec<u64>,
    /// How many elements the set has.
    pub count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baseline {
    pub captured_at: SystemTime,
    /// Hashes of different baselines can't be compared with each other.
    pub salt: u64,
    /// By name.
    pub metrics: BTreeMap<String, MetricSketch>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetricSketch {
    pub series: Sketch,
    /// By label: its values.
    pub labels: BTreeMap<String, Sketch>,
}

/// With this many hashes the size of a union is estimated to within about 3 %.
pub const MOST_HASHES: usize = 1024;

impl Sketch {
    /// Of a set given by the hashes of its elements.
    pub fn of(mut hashes: Vec<u64>) -> Self {
        hashes.sort_unstable();
        hashes.dedup();
        let count = hashes.len() as u64;
        hashes.truncate(MOST_HASHES);
        hashes.shrink_to_fit();
        Sketch { hashes, count }
    }

    pub fn is_whole(&self) -> bool {
        self.hashes.len() as u64 == self.count
    }

    /// How many elements of this set the other one does not have, and whether that is exact.
    pub fn beyond(&self, other: &Sketch) -> (u64, bool) {
        let mut union: Vec<u64> = self.hashes.iter().chain(&other.hashes).copied().collect();
        union.sort_unstable();
        union.dedup();
        if self.is_whole() && other.is_whole() {
            return (union.len() as u64 - other.count, true);
        }
        // Of k hashes spread evenly, the biggest is about k/(n+1) of the way (Bar-Yossef et al., "Counting distinct elements in a data stream").
        let size = [self, other].into_iter().filter(|sketch| !sketch.is_whole()).map(|sketch| sketch.hashes.len()).min().unwrap_or(0);
        let Some(last) = size.checked_sub(1).and_then(|last| union.get(last)) else { return (0, false) };
        let estimate = (size - 1) as f64 * (u64::MAX as f64) / (*last as f64).max(1.0);
        // The two sizes are known, and bound it.
        let union = (estimate.round() as u64).clamp(self.count.max(other.count), self.count + other.count);
        (union - other.count, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketch(numbers: std::ops::Range<u64>) -> Sketch {
        Sketch::of(numbers.map(|n| super::super::mix(n.wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect())
    }

    #[test]
    fn small_sets_are_compared_exactly() {
        assert_eq!(sketch(0..100).beyond(&sketch(90..95)), (95, true));
        assert_eq!(sketch(0..100).beyond(&sketch(0..100)), (0, true));
        assert_eq!(sketch(0..0).beyond(&sketch(0..0)), (0, true));
    }

    #[test]
    fn big_sets_are_estimated() {
        for (ours, theirs, new) in [(0..100_000, 50_000..200_000, 50_000), (0..100_000, 0..100_000, 0), (0..100_000, 0..10, 99_990)] {
            let (estimate, exact) = sketch(ours.clone()).beyond(&sketch(theirs.clone()));
            let union = ours.end.max(theirs.end) - ours.start.min(theirs.start);
            assert!(!exact && estimate.abs_diff(new) <= union / 10, "{estimate} for {new}");
        }
    }
}
