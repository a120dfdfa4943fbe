//! The runtime's histograms of how long it stopped the world.

use crate::target::elf::u64_at;

/// The runtime keeps no sum and no maximum, so times are the upper bounds of the buckets they fell into (25 % too long at most, or 64 ns).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stops {
    pub count: u64,
    pub total_at_most_ns: u64,
    pub longest_at_most_ns: u64,
}

// runtime/histogram.go: timeHistMinBucketBits, timeHistSubBucketBits, timeHistNumBuckets.
const MIN_BUCKET_BITS: u32 = 9;
const SUB_BUCKET_BITS: u32 = 2;
const BUCKETS: usize = 40;
const COUNTERS: usize = BUCKETS << SUB_BUCKET_BITS;

/// `runtime.timeHistogram` since Go 1.20: the buckets' counters, then underflow and overflow.
pub const HISTOGRAM_SIZE: usize = (COUNTERS + 2) * 8;

impl Stops {
    pub fn of_histogram(bytes: &[u8; HISTOGRAM_SIZE]) -> Stops {
        let mut stops = Stops::default();
        for index in 0..COUNTERS {
            let count = u64_at(bytes, index * 8);
            if count > 0 {
                stops.add(count, upper_bound(index));
            }
        }
        // Negative durations (a clock that steps back) count as none; what overflows has no bound, so the last bucket's stands for it.
        stops.add(u64_at(bytes, COUNTERS * 8), 0);
        stops.add(u64_at(bytes, (COUNTERS + 1) * 8), upper_bound(COUNTERS - 1));
        stops
    }

    fn add(&mut self, count: u64, bound: u64) {
        self.count = self.count.saturating_add(count);
        self.total_at_most_ns = self.total_at_most_ns.saturating_add(count.saturating_mul(bound));
        if count > 0 {
            self.longest_at_most_ns = self.longest_at_most_ns.max(bound);
        }
    }
}

/// The longest duration that `timeHistogram.record` counts at `index`, in nanoseconds.
fn upper_bound(index: usize) -> u64 {
    let (bucket, sub) = (index as u32 >> SUB_BUCKET_BITS, index as u64 & 3);
    // Bucket 0 begins at 0, each other one at a power of two.
    let start = if bucket == 0 { 0 } else { 1 << (bucket + MIN_BUCKET_BITS - 2) };
    let step = 1u64 << (bucket.max(1) + MIN_BUCKET_BITS - 2 - SUB_BUCKET_BITS);
    start + (sub + 1) * step - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `runtime/histogram.go`: record.
    fn index_of(duration: u64) -> usize {
        let bits = u64::BITS - duration.leading_zeros();
        let (bucket_bit, bucket) = if bits < MIN_BUCKET_BITS { (MIN_BUCKET_BITS, 0) } else { (bits, bits - MIN_BUCKET_BITS + 1) };
        let sub = (duration >> (bucket_bit - 1 - SUB_BUCKET_BITS)) % 4;
        bucket as usize * 4 + sub as usize
    }

    #[test]
    fn a_bound_is_the_last_duration_of_its_bucket() {
        for index in 0..COUNTERS - 1 {
            let bound = upper_bound(index);
            assert_eq!((index_of(bound), index_of(bound + 1)), (index, index + 1), "{bound}");
        }
    }

    #[test]
    fn counts_and_bounds() {
        let mut bytes = [0; HISTOGRAM_SIZE];
        assert_eq!(Stops::of_histogram(&bytes), Stops::default());
        for (duration, count) in [(100u64, 3u64), (50_000, 2)] {
            bytes[index_of(duration) * 8..][..8].copy_from_slice(&count.to_le_bytes());
        }
        let stops = Stops::of_histogram(&bytes);
        assert_eq!(stops, Stops { count: 5, total_at_most_ns: 3 * 127 + 2 * 57_343, longest_at_most_ns: 57_343 });
    }
}
