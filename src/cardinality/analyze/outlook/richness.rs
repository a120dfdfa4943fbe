//! How many kinds there are, from how often each was seen: Good–Turing and Chao1.
//!
//! Formulas: A. Chao, "Nonparametric estimation of the number of classes in a population" (1984), with the variances and the log-normal
//! interval of R. Colwell, EstimateS user's guide, appendix B.

/// How often things were seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Abundance {
    /// All events.
    pub events: f64,
    /// Things seen at least once.
    pub seen: u64,
    /// How many were seen once, twice, … up to [`LOW`] times.
    few: [u64; LOW],
}

const LOW: usize = 10;
/// Two-sided, 95 %.
const Z: f64 = 1.96;

/// An estimate with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

impl Abundance {
    /// `counts` are whole numbers; zeros are not seen.
    pub fn of(counts: &[f64]) -> Self {
        let mut few = [0; LOW];
        let mut seen = 0;
        for count in counts.iter().filter(|count| **count > 0.0) {
            seen += 1;
            if *count <= LOW as f64 {
                few[*count as usize - 1] += 1;
            }
        }
        Abundance { events: counts.iter().sum(), seen, few }
    }

    /// How many were seen this often, 1 to 10 times.
    pub fn times(&self, times: usize) -> u64 {
        self.few[times - 1]
    }

    /// The chance that the next event is of something new.
    pub fn next_opens(&self) -> f64 {
        if self.events > 0.0 { self.times(1) as f64 / self.events } else { 1.0 }
    }

    /// A lower bound for the number of things, seen and unseen; the form that is corrected for bias, which also holds when nothing was seen
    /// twice.
    pub fn chao1(&self) -> Interval {
        let (seen, once, twice) = (self.seen as f64, self.times(1) as f64, self.times(2) as f64);
        if self.events <= 0.0 {
            return Interval { value: seen, low: seen, high: f64::INFINITY };
        }
        let shrink = (self.events - 1.0) / self.events;
        let unseen = shrink * once * (once - 1.0) / (2.0 * (twice + 1.0));
        if unseen <= 0.0 {
            return self.complete();
        }
        let d = twice + 1.0;
        let variance = if twice > 0.0 {
            shrink * once * (once - 1.0) / (2.0 * d)
                + shrink * shrink * once * (2.0 * once - 1.0).powi(2) / (4.0 * d * d)
                + shrink * shrink * once * once * twice * (once - 1.0).powi(2) / (4.0 * d.powi(4))
        } else {
            let total = seen + unseen;
            shrink * once * (once - 1.0) / 2.0 + shrink * shrink * once * (2.0 * once - 1.0).powi(2) / 4.0
                - shrink * shrink * once.powi(4) / (4.0 * total)
        };
        let spread = (Z * (1.0 + variance.max(0.0) / (unseen * unseen)).ln().sqrt()).exp();
        Interval { value: seen + unseen, low: seen + unseen / spread, high: seen + unseen * spread }
    }

    /// Nothing unseen is estimated; some may still be.
    fn complete(&self) -> Interval {
        let seen = self.seen as f64;
        let missed = (-self.events / seen).exp();
        let spread = Z * (seen * missed).sqrt() / (1.0 - missed);
        let value = seen / (1.0 - missed);
        Interval { value: seen, low: (value - spread).max(seen), high: (value + spread).max(seen) }
    }

    /// With independent single events, however unequal the chances, `k! f(k)` is log-convex: few are seen once only where few are seen
    /// twice. A hump above once means that the events of a thing come together.
    pub fn in_bunches(&self) -> bool {
        (0..LOW - 2).any(|at| {
            let [below, here, above] = [self.few[at], self.few[at + 1], self.few[at + 2]].map(|count| count as f64);
            let k = at as f64 + 2.0;
            // Wide enough for chance: at 20, a standard deviation is 22 %.
            here >= 20.0 && k * here * here > 4.0 * (k + 1.0) * (below + 1.0) * (above + 1.0)
        })
    }
}
