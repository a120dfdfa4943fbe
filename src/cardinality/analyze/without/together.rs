//! Labels that each follow from the others, so that only all of them together make the series.

use super::classes::Class;
use super::{Keys, Plan, Without, Workspace};

/// Three labels or more; of one and of two all are counted anyway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Together {
    /// Indices into `labels`, those with most values first. Unless each of them goes, more than three quarters of the series are left.
    pub labels: Vec<usize>,
    /// Series left if all of them go.
    pub series_without: u64,
}

/// Labels explain the series if no more of them are left without these.
fn explained(series: u64) -> u64 {
    series * 3 / 4
}

impl Plan<'_> {
    /// For the label with most values, where neither it nor any pair with it explains the series: the labels that stand in for it. `found`
    /// has all other figures.
    pub(super) fn together(&self, found: &Without, workspace: &mut Workspace) -> Option<Together> {
        let &first = self.compared.first()?;
        let explains = |before: u64, left: u64| left <= explained(before);
        let alone = |label: usize| found.labels[label].series_without;
        // Beside one that is gone already, which may do a lot by itself.
        let explains_beside = |[a, b]: [usize; 2], left| a == first && explains(alone(b), left) || b == first && explains(alone(a), left);
        if found.children < 2
            || explains(found.series, alone(first))
            || found.pairs.iter().any(|pair| explains_beside(pair.labels, pair.series_without))
        {
            return None;
        }
        let enough = explained(found.series);
        // While one that tells it is there, nothing merges.
        let mut gone: Vec<usize> = std::iter::once(first).chain(self.determined[first].iter().copied()).collect();
        let mut next = self.compared.iter().copied().filter(|label| self.columns[*label].states > 1);
        let mut left = self.series_without(&gone, workspace);
        while left > enough {
            let label = next.find(|label| !gone.contains(label))?;
            gone.push(label);
            left = self.series_without(&gone, workspace);
        }
        // What did not help is taken back, labels with few values first.
        for label in self.compared.iter().rev() {
            let fewer: Vec<usize> = gone.iter().copied().filter(|other| other != label).collect();
            if fewer.len() < gone.len() {
                let with_it = self.series_without(&fewer, workspace);
                if with_it <= enough {
                    (gone, left) = (fewer, with_it);
                }
            }
        }
        gone.sort_by_key(|label| (std::cmp::Reverse(self.columns[*label].states), *label));
        (gone.len() > 2).then_some(Together { labels: gone, series_without: left })
    }

    fn series_without(&self, gone: &[usize], workspace: &mut Workspace) -> u64 {
        let mut hashes = Vec::new();
        let left = |class: &Class| match &self.keys {
            Keys::Packed { keys, masks } => {
                let mask = gone.iter().fold(0, |mask, label| mask | masks[*label]);
                class.size * workspace.distinct(&class.keys(keys), !mask).len() as u64
            }
            Keys::Hashed { sums } => self.count_hashed_rows(class, sums, gone, &mut hashes, workspace),
        };
        self.classes.iter().map(left).sum()
    }
}

impl Without {
    /// The labels that make most of the series, one or several that do it together only; none where no label does.
    ///
    /// A label counts by the factor by which it multiplies the series; several labels by the factor beyond what each does alone, so that
    /// independent ones are never taken together.
    pub fn culprit(&self) -> Option<(Vec<usize>, u64)> {
        let factor = |left: u64| (self.series as f64 / left.max(1) as f64).ln();
        let alone = |label: usize| factor(self.labels[label].series_without);
        let together = |labels: &[usize], left: u64| factor(left) - labels.iter().map(|label| alone(*label)).sum::<f64>();
        let singles = (0..self.labels.len()).map(|label| (vec![label], self.labels[label].series_without, alone(label)));
        let pairs = self.pairs.iter().map(|pair| (pair.labels.to_vec(), pair.series_without, together(&pair.labels, pair.series_without)));
        let more = self.together.iter().map(|more| (more.labels.clone(), more.series_without, together(&more.labels, more.series_without)));
        // Logarithms of equal factors differ in their last digits.
        const SAME: f64 = 1e-9;
        let mut best: Option<(Vec<usize>, u64, f64)> = None;
        for candidate in singles.chain(pairs).chain(more).filter(|(.., gain)| *gain > SAME) {
            if best.as_ref().is_none_or(|(.., gain)| candidate.2 > *gain + SAME) {
                best = Some(candidate);
            }
        }
        best.map(|(labels, left, _)| (labels, left))
    }
}
