//! How long threads waited for a CPU: a histogram that the probes fill, 4 buckets to each power of two.

use std::ops::Range;

/// As `queue_bucket` in `probes/sched.bpf.c`: bucket 0 is below 512 ns, then 4 for each power of two from there on.
pub const BUCKETS: u32 = 176;
const FIRST_POWER: u32 = 9;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueHistogram {
    counts: Vec<u64>,
}

impl QueueHistogram {
    pub fn from_counts(count: impl Fn(u32) -> u64) -> QueueHistogram {
        QueueHistogram { counts: (0..BUCKETS).map(count).collect() }
    }

    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The bucket that holds the `q` quantile, in nanoseconds; `None` when nothing waited.
    pub fn quantile(&self, q: f64) -> Option<Range<u64>> {
        let total = self.total();
        let rank = ((total as f64 * q).ceil() as u64).clamp(1, total.max(1));
        let mut seen = 0;
        let index = self.counts.iter().position(|&count| {
            seen += count;
            count > 0 && seen >= rank
        })?;
        Some(bounds(index as u32))
    }
}

/// Of one bucket, in nanoseconds; the end is not part of it.
fn bounds(bucket: u32) -> Range<u64> {
    if bucket < 4 {
        return 0..1 << FIRST_POWER;
    }
    let (power, part) = (bucket / 4 - 1 + FIRST_POWER, u64::from(bucket % 4));
    let step = 1u64 << (power - 2);
    (1 << power) + part * step..(1 << power) + (part + 1) * step
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The probe's own computation.
    fn bucket(ns: u64) -> u32 {
        let rest = ns >> FIRST_POWER;
        if rest == 0 {
            return 0;
        }
        let power = rest.ilog2().min(42);
        4 * (power + 1) + ((ns >> (power + 7)) & 3) as u32
    }

    #[test]
    fn every_wait_lies_within_its_bucket() {
        for shift in 0..50 {
            for ns in [1u64 << shift, (1 << shift) + 1, (3 << shift) / 2, (1 << shift) - 1] {
                let bounds = bounds(bucket(ns));
                assert!(bounds.contains(&ns), "{ns} in {bounds:?}");
                assert!(bucket(ns) < BUCKETS);
            }
        }
    }

    #[test]
    fn quantiles_are_bounds_of_buckets() {
        let waits = [100, 100, 1000, 5000];
        let histogram = QueueHistogram::from_counts(|b| waits.iter().filter(|&&ns| bucket(ns) == b).count() as u64);
        assert_eq!(histogram.total(), 4);
        assert_eq!(histogram.quantile(0.5), Some(0..512));
        assert!(histogram.quantile(0.75).unwrap().contains(&1000));
        assert!(histogram.quantile(1.0).unwrap().contains(&5000));
        assert_eq!(QueueHistogram::from_counts(|_| 0).quantile(0.5), None);
    }
}
