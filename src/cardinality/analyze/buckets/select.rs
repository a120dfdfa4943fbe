//! Which k bounds keep the quantiles: dynamic programming, exact.
//!
//! What a quantile is estimated to be depends on the kept bounds right below and above it only. So the worst error that two neighbours
//! cause, over all children and quantiles that lie between them, can be told once for each two bounds; and the bounds to keep are the
//! path from the lowest to +Inf whose worst step is the least.

use super::quantile::{bucket_of, error, estimate};

/// Bounds to keep, and what that does.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Without +Inf, which is always kept. Ascending.
    pub bounds: Vec<f64>,
    /// The worst relative error of any quantile in any child that is judged; 0.05 is 5 %.
    pub error: f64,
}

/// Worst errors by two neighbours. Node 0 stands below all bounds, node n is bound n - 1; the last one is +Inf.
pub(super) struct Errors<'a> {
    /// Ascending, +Inf last.
    bounds: &'a [f64],
    worst: Vec<f64>,
}

impl<'a> Errors<'a> {
    pub fn new(bounds: &'a [f64]) -> Self {
        let nodes = bounds.len() + 1;
        Errors { bounds, worst: vec![0.0; nodes * nodes] }
    }

    /// A child, by how many observations are up to each bound.
    pub fn add(&mut self, counts: &[f64], quantiles: &[f64]) {
        let nodes = self.bounds.len() + 1;
        let node = |at: usize| (at > 0).then(|| (self.bounds[at - 1], counts[at - 1]));
        for q in quantiles {
            let rank = q * counts.last().copied().unwrap_or(0.0);
            let bucket = bucket_of(rank, counts) + 1;
            let upper = |at: usize| (self.bounds[at - 1], counts[at - 1]);
            let Some(exact) = estimate(rank, node(bucket - 1), upper(bucket)) else { continue };
            for below in 0..bucket {
                for above in bucket..nodes {
                    let off = estimate(rank, node(below), upper(above)).map_or(f64::INFINITY, |estimate| error(estimate, exact));
                    let worst = &mut self.worst[below * nodes + above];
                    *worst = worst.max(off);
                }
            }
        }
    }

    /// The best choice for each number of bounds that has one. Those in `keep` are in every choice.
    pub fn choices(&self, keep: &[f64]) -> Vec<Choice> {
        let (nodes, last) = (self.bounds.len() + 1, self.bounds.len());
        let must: Vec<bool> = (0..nodes).map(|node| node > 0 && keep.contains(&self.bounds[node - 1])).collect();
        let step = |below: usize, above: usize| {
            let skips = must[below + 1..above].contains(&true);
            if skips { f64::INFINITY } else { self.worst[below * nodes + above] }
        };
        let steps: Vec<f64> =
            (0..nodes * nodes).map(|at| if at / nodes < at % nodes { step(at / nodes, at % nodes) } else { f64::INFINITY }).collect();
        // The least worst step of a path of some number of bounds that ends at a node, and the node before.
        let mut rounds: Vec<Vec<(f64, usize)>> = vec![(0..nodes).map(|node| (steps[node], 0)).collect()];
        let mut choices = Vec::new();
        for round in 0..last.saturating_sub(1) {
            let ends = &rounds[round];
            let reach = |above: usize| {
                let through = (1..above).map(|below| (ends[below].0.max(steps[below * nodes + above]), below));
                through.fold((f64::INFINITY, 0), |best, next| if next.0 < best.0 { next } else { best })
            };
            let next: Vec<(f64, usize)> = (0..nodes).map(reach).collect();
            rounds.push(next);
            if rounds[round + 1][last].0.is_finite() {
                choices.push(Choice { bounds: self.path(&rounds), error: rounds[round + 1][last].0 });
            }
        }
        choices
    }

    /// Backwards from +Inf.
    fn path(&self, rounds: &[Vec<(f64, usize)>]) -> Vec<f64> {
        let mut node = self.bounds.len();
        let mut bounds = Vec::new();
        for round in rounds[1..].iter().rev() {
            node = round[node].1;
            bounds.push(self.bounds[node - 1]);
        }
        bounds.reverse();
        bounds
    }
}
