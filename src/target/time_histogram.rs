//! The runtime's own histograms of durations (`runtime/histogram.go`: timeHistogram).

use std::iter;
use std::ops::Range;

use super::elf::u64_at;

/// How often durations fell into each bucket since the program began. Counts are added to one by one while they are read, so that two
/// buckets may be some samples apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeHistogram {
    shape: Shape,
    counts: Box<[u64]>,
    /// Negative durations: a clock that stepped back.
    underflow: u64,
    /// Longer than the last bucket; the old shape has none, its last bucket has no end.
    overflow: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Go 1.18 and 1.19: 45 powers of two, 16 buckets in each; 6 % wide.
    Fine,
    /// Since Go 1.20: 40 powers of two from 2^8 ns on, 4 buckets in each; 25 % wide, and 64 ns below 512 ns.
    Coarse,
}

impl Shape {
    const ALL: [Shape; 2] = [Shape::Fine, Shape::Coarse];

    /// timeHistNumSuperBuckets or timeHistNumBuckets, times timeHistNumSubBuckets.
    fn buckets(self) -> usize {
        match self {
            Shape::Fine => 45 * 16,
            Shape::Coarse => 40 * 4,
        }
    }

    /// `sizeof(timeHistogram)`: the counts, the underflow, and in the new shape the overflow.
    fn size(self) -> usize {
        match self {
            Shape::Fine => (self.buckets() + 1) * 8,
            Shape::Coarse => (self.buckets() + 2) * 8,
        }
    }

    /// The durations that `timeHistogram.record` counts at `index`.
    fn bounds(self, index: usize) -> Range<u64> {
        // Bits of a duration that choose the bucket within its power of two, and bits that bucket 0 (which has no power) is wide.
        let (sub_bits, first_bits) = match self {
            Shape::Fine => (4, 4),
            Shape::Coarse => (2, 8),
        };
        let (power, sub) = (index as u32 >> sub_bits, (index & ((1 << sub_bits) - 1)) as u64);
        let start = if power == 0 { 0 } else { 1 << (power + first_bits - 1) };
        let step = 1u64 << (power.max(1) + first_bits - 1 - sub_bits);
        let start = start + sub * step;
        match self {
            Shape::Fine if index + 1 == self.buckets() => start..u64::MAX,
            _ => start..start + step,
        }
    }
}

impl TimeHistogram {
    /// `bytes` is a whole `timeHistogram`; `None` if it is of no shape that a supported Go version has.
    pub fn parse(bytes: &[u8]) -> Option<TimeHistogram> {
        let shape = Shape::ALL.into_iter().find(|shape| shape.size() == bytes.len())?;
        let at = |index: usize| u64_at(bytes, index * 8);
        let buckets = shape.buckets();
        Some(TimeHistogram {
            shape,
            counts: (0..buckets).map(at).collect(),
            underflow: at(buckets),
            overflow: if shape == Shape::Coarse { at(buckets + 1) } else { 0 },
        })
    }

    /// What came since `earlier`, a reading of the same histogram.
    pub fn since(&self, earlier: &TimeHistogram) -> TimeHistogram {
        let mut since = self.clone();
        if self.shape == earlier.shape {
            iter::zip(&mut since.counts, &earlier.counts).for_each(|(count, before)| *count = count.saturating_sub(*before));
            since.underflow = self.underflow.saturating_sub(earlier.underflow);
            since.overflow = self.overflow.saturating_sub(earlier.overflow);
        }
        since
    }

    pub fn total(&self) -> u64 {
        self.buckets().fold(0, |sum: u64, (_, count)| sum.saturating_add(count))
    }

    /// All buckets, in nanoseconds, with their counts, in ascending order. Negative durations stand as `0..1`; what has no upper bound ends at
    /// `u64::MAX`.
    pub fn buckets(&self) -> impl Iterator<Item = (Range<u64>, u64)> + '_ {
        let bounds = |index| self.shape.bounds(index);
        let inside = self.counts.iter().enumerate().map(move |(index, &count)| (bounds(index), count));
        let end = bounds(self.counts.len() - 1).end;
        let beyond = (self.shape == Shape::Coarse).then_some((end..u64::MAX, self.overflow));
        iter::once((0..1, self.underflow)).chain(inside).chain(beyond)
    }

    /// The bucket, in nanoseconds, that holds the duration which a share `q` (0..=1) of all are not longer than. `None` when there is none.
    pub fn quantile(&self, q: f64) -> Option<Range<u64>> {
        let total = self.total();
        let rank = ((q.clamp(0.0, 1.0) * total as f64).ceil() as u64).clamp(1, total.max(1));
        let mut seen = 0u64;
        self.buckets().find_map(|(bounds, count)| {
            seen = seen.saturating_add(count);
            (seen >= rank).then_some(bounds)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `runtime/histogram.go`: record, of Go 1.18 and of Go 1.20. `None` is underflow and `Some(buckets)` overflow.
    fn index_of(shape: Shape, duration: i64) -> Option<usize> {
        let bits = 64 - duration.leading_zeros() as usize;
        match shape {
            _ if duration < 0 => None,
            Shape::Fine if duration < 16 => Some(duration as usize),
            Shape::Fine if (bits - 4) * 16 >= 720 => Some(719),
            Shape::Fine => Some((bits - 4) * 16 + ((duration >> (bits - 4 - 1)) % 16) as usize),
            Shape::Coarse if bits < 9 => Some(((duration >> (9 - 1 - 2)) % 4) as usize),
            Shape::Coarse if bits - 9 + 1 >= 40 => Some(160),
            Shape::Coarse => Some((bits - 9 + 1) * 4 + ((duration >> (bits - 1 - 2)) % 4) as usize),
        }
    }

    /// The bytes of a histogram that recorded these durations.
    fn recorded(shape: Shape, durations: &[i64]) -> Vec<u8> {
        let mut words = vec![0u64; shape.size() / 8];
        for &duration in durations {
            let slot = match index_of(shape, duration) {
                None => shape.buckets(),
                Some(index) if index == shape.buckets() => index + 1,
                Some(index) => index,
            };
            words[slot] += 1;
        }
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn histogram(shape: Shape, durations: &[i64]) -> TimeHistogram {
        TimeHistogram::parse(&recorded(shape, durations)).unwrap()
    }

    fn any_shape() -> impl Strategy<Value = Shape> {
        prop_oneof![Just(Shape::Fine), Just(Shape::Coarse)]
    }

    /// Of every magnitude, negative ones included.
    fn duration() -> impl Strategy<Value = i64> {
        (any::<i64>(), 0..64u32).prop_map(|(value, shift)| value >> shift)
    }

    proptest! {
        #[test]
        fn a_duration_lies_in_the_bucket_that_counted_it(shape in any_shape(), duration in duration()) {
            let (bounds, _) = histogram(shape, &[duration]).buckets().find(|(_, count)| *count == 1).unwrap();
            prop_assert!(bounds.contains(&u64::try_from(duration).unwrap_or(0)), "{duration} in {bounds:?}");
        }

        #[test]
        fn a_quantile_is_the_bucket_of_the_sorted_samples_rank(
            shape in any_shape(), mut durations in prop::collection::vec(duration(), 1..200), q in 0.0..=1.0f64
        ) {
            let histogram = histogram(shape, &durations);
            durations.sort_unstable();
            let rank = ((q * durations.len() as f64).ceil() as usize).max(1);
            let exact = u64::try_from(durations[rank - 1]).unwrap_or(0);
            prop_assert!(histogram.quantile(q).unwrap().contains(&exact));
            prop_assert_eq!(histogram.total(), durations.len() as u64);
        }

        #[test]
        fn the_difference_of_two_readings_is_what_came_between(
            shape in any_shape(), first in prop::collection::vec(duration(), 0..50), then in prop::collection::vec(duration(), 0..50)
        ) {
            let both = [&first[..], &then[..]].concat();
            prop_assert_eq!(histogram(shape, &both).since(&histogram(shape, &first)), histogram(shape, &then));
        }

        #[test]
        fn any_bytes_give_a_histogram_or_none(bytes in prop::collection::vec(any::<u8>(), 0..6000), q in any::<f64>()) {
            let exact = Shape::ALL.map(Shape::size);
            prop_assert_eq!(TimeHistogram::parse(&bytes).is_some(), exact.contains(&bytes.len()));
            for size in exact {
                let filled: Vec<u8> = bytes.iter().copied().chain(iter::repeat(0)).take(size).collect();
                let histogram = TimeHistogram::parse(&filled).unwrap();
                prop_assert_eq!(histogram.quantile(q).is_some(), histogram.total() > 0);
                prop_assert_eq!(histogram.since(&histogram).total(), 0);
            }
        }
    }

    #[test]
    fn buckets_leave_no_gap_and_have_the_runtimes_bounds() {
        for shape in Shape::ALL {
            let buckets: Vec<Range<u64>> = histogram(shape, &[]).buckets().map(|(bounds, _)| bounds).skip(1).collect();
            assert_eq!((buckets[0].start, buckets[buckets.len() - 1].end), (0, u64::MAX));
            assert!(buckets.windows(2).all(|pair| pair[0].end == pair[1].start), "{shape:?}");
        }
        // runtime/histogram.go: timeHistogramMetricsBuckets.
        assert_eq!((Shape::Fine.bounds(15), Shape::Fine.bounds(16), Shape::Fine.bounds(33)), (15..16, 16..17, 34..36));
        assert_eq!((Shape::Coarse.bounds(3), Shape::Coarse.bounds(4), Shape::Coarse.bounds(9)), (192..256, 256..320, 640..768));
        assert_eq!(Shape::Coarse.bounds(159).end, 1 << 47);
    }

    #[test]
    fn an_empty_histogram_has_no_quantile() {
        for shape in Shape::ALL {
            assert_eq!(histogram(shape, &[]).quantile(0.5), None);
        }
    }

    #[test]
    fn two_shapes_are_not_subtracted() {
        let (fine, coarse) = (histogram(Shape::Fine, &[5]), histogram(Shape::Coarse, &[5]));
        assert_eq!(coarse.since(&fine), coarse);
    }
}
