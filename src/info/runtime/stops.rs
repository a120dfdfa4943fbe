//! How long the world was stopped, from the runtime's histograms.

use crate::target::time_histogram::TimeHistogram;

/// The runtime keeps no sum and no maximum, so times are the upper bounds of the buckets they fell into (25 % too long at most, or 64 ns).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stops {
    pub count: u64,
    pub total_at_most_ns: u64,
    pub longest_at_most_ns: u64,
}

impl Stops {
    pub fn of(histogram: &TimeHistogram) -> Stops {
        let mut stops = Stops::default();
        for (bounds, count) in histogram.buckets().filter(|(_, count)| *count > 0) {
            // What overflows has no bound, so the last bucket's stands for it.
            stops.add(count, if bounds.end == u64::MAX { bounds.start } else { bounds.end } - 1);
        }
        stops
    }

    fn add(&mut self, count: u64, bound: u64) {
        self.count = self.count.saturating_add(count);
        self.total_at_most_ns = self.total_at_most_ns.saturating_add(count.saturating_mul(bound));
        self.longest_at_most_ns = self.longest_at_most_ns.max(bound);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A histogram of Go 1.20 and later with these counts: 160 buckets, underflow, overflow.
    fn stops(counts: &[(usize, u64)]) -> Stops {
        let mut words = [0u64; 162];
        counts.iter().for_each(|&(index, count)| words[index] = count);
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        Stops::of(&TimeHistogram::parse(&bytes).unwrap())
    }

    #[test]
    fn counts_and_bounds() {
        assert_eq!(stops(&[]), Stops::default());
        // 100 ns, and 50 us.
        assert_eq!(stops(&[(1, 3), (34, 2)]), Stops { count: 5, total_at_most_ns: 3 * 127 + 2 * 57_343, longest_at_most_ns: 57_343 });
    }

    #[test]
    fn negative_times_count_as_none_and_endless_ones_as_the_longest() {
        assert_eq!(stops(&[(160, 4)]), Stops { count: 4, total_at_most_ns: 0, longest_at_most_ns: 0 });
        let longest = (1 << 47) - 1;
        assert_eq!(stops(&[(161, 1)]), Stops { count: 1, total_at_most_ns: longest, longest_at_most_ns: longest });
    }
}
