//! Equal parts of the window: how much time of a state differs from one to the next says how much chance is in its sum.

use std::ops::Range;
use std::time::Duration;

use crate::sched::model::{Batch, Class};

/// Enough for a variance, and each long enough to hold what comes in bursts.
pub const PARTS: usize = 20;

/// Something summed up for each part: ns, or samples.
pub type Sums = [u64; PARTS];

/// Where the parts lie; none for a window of unknown length.
#[derive(Debug, Clone, Copy, Default)]
pub struct Parts {
    /// By CLOCK_MONOTONIC.
    begin_ns: u64,
    width_ns: u64,
}

impl Parts {
    pub fn new(begin_ns: u64, length: Option<Duration>) -> Parts {
        let length_ns = length.map_or(0, |length| u64::try_from(length.as_nanos()).unwrap_or(u64::MAX));
        Parts { begin_ns, width_ns: length_ns / PARTS as u64 }
    }

    pub fn count(&self, sums: &mut Sums, at_ns: u64) {
        if let Some(part) = self.part(at_ns) {
            sums[part] += 1;
        }
    }

    /// `ns` of time that was spent evenly in `span`.
    pub fn add(&self, sums: &mut Sums, ns: u64, span: Range<u64>) {
        let length = u128::from(span.end.saturating_sub(span.start));
        let mut from = span.start;
        while from < span.end {
            let Some(part) = self.part(from) else { return };
            let to = span.end.min(self.begin_ns + (part as u64 + 1) * self.width_ns);
            sums[part] += (u128::from(ns) * u128::from(to - from) / length) as u64;
            from = to;
        }
    }

    fn part(&self, at_ns: u64) -> Option<usize> {
        let part = at_ns.checked_sub(self.begin_ns)?.checked_div(self.width_ns)?;
        usize::try_from(part).ok().filter(|&part| part < PARTS)
    }

    /// Those that the window held as a whole: it may have ended early.
    pub fn whole(&self, length_ns: u64, by_class: &[Sums; Class::ALL.len()], alive: &Sums) -> Vec<Batch> {
        let whole = length_ns.checked_div(self.width_ns).map_or(0, |n| n.min(PARTS as u64) as usize);
        (0..whole).map(|part| Batch { alive_ns: alive[part], by_class: by_class.map(|sums| sums[part]) }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS_OF_10: Parts = Parts { begin_ns: 100, width_ns: 10 };

    #[test]
    fn time_falls_into_the_parts_that_it_was_spent_in() {
        let mut sums = [0; PARTS];
        PARTS_OF_10.add(&mut sums, 30, 105..120);
        PARTS_OF_10.add(&mut sums, 7, 121..121);
        assert_eq!(sums[..4], [10, 20, 0, 0]);
        // Before the window, and after its last part.
        PARTS_OF_10.add(&mut sums, 5, 90..95);
        PARTS_OF_10.add(&mut sums, 20, 290..310);
        assert_eq!((sums[0], sums[19]), (10, 10));
        PARTS_OF_10.count(&mut sums, 149);
        PARTS_OF_10.count(&mut sums, 300);
        assert_eq!((sums[4], sums[19]), (1, 10));
    }

    #[test]
    fn a_window_that_ended_early_has_fewer_and_one_of_no_length_none() {
        let whole = |parts: Parts, length_ns| parts.whole(length_ns, &[[1; PARTS]; Class::ALL.len()], &[2; PARTS]).len();
        assert_eq!([0, 9, 35, 200, 260].map(|length_ns| whole(PARTS_OF_10, length_ns)), [0, 0, 3, 20, 20]);
        let none = Parts::new(100, None);
        none.add(&mut [0; PARTS], 5, 100..200);
        assert_eq!(whole(none, 200), 0);
    }
}
