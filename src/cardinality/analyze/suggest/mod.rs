//! What to change: the fewest edits that bring a scrape to a budget, and what each of them costs.
//!
//! Edits that lose nothing come first, those that lose most come last: a whole metric is dropped only where nothing else does. After each
//! edit, what the others would save is counted again on what it left. Relabel rules are proven by running them
//! ([`super::simulate`]); a label that tells live series apart is never dropped by a rule, since a server would then keep one series of
//! each and say nothing: that is a matter for the code, or for a recording rule.

mod apply;
mod candidates;
mod fold;
mod rules;

use std::collections::BTreeMap;

use super::buckets::Buckets;
use super::memory::Memory;
use super::metrics::Metric;
use super::simulate::{Simulation, simulate};
use crate::cardinality::model::{Family, Scrape};
use crate::cardinality::relabel::Config;

pub use apply::Change;

/// How much is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// Nothing that a query would miss.
    None,
    /// Quantiles get coarser, within the error that was asked for.
    Coarser,
    /// The code of the service has to change, and with it the queries that use the label.
    Code,
    /// Averages and rates stay, quantiles go.
    NoQuantiles,
    /// Series are lost.
    Lost,
    /// The whole metric is lost.
    MetricLost,
}

impl Risk {
    pub fn text(self) -> &'static str {
        match self {
            Risk::None => "nothing that queries use is lost",
            Risk::Coarser => "quantiles get a little coarser",
            Risk::Code => "needs a change of the code; queries by this label find nothing afterwards",
            Risk::NoQuantiles => "averages and rates stay, quantiles are lost",
            Risk::Lost => "these series are lost",
            Risk::MetricLost => "the whole metric is lost: look for dashboards and alerts that use it",
        }
    }
}

/// One thing to change.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    pub risk: Risk,
    /// What to do, in a few words.
    pub what: String,
    /// Empty where it is about several.
    pub metric: String,
    pub label: Option<String>,
    /// On what the edits before it left.
    pub series_saved: u64,
    /// Of a server's memory, by the model of [`super::memory`].
    pub bytes_saved: u64,
    /// Rules to add to `metric_relabel_configs`; empty for what the code has to do.
    pub yaml: String,
    /// For the code, or a recording rule.
    pub hint: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Plan {
    /// In the order in which they were chosen.
    pub edits: Vec<Edit>,
    /// Edits that save no series: labels that say nothing, names that could be one.
    pub tidy: Vec<Edit>,
    pub budget: Option<u64>,
    pub series_before: u64,
    /// After all of `edits`, those of the code included.
    pub series_after: u64,
    /// All rules of `edits`, as one configuration.
    pub yaml: String,
    /// What running `yaml` over the scrape does; `None` without rules.
    pub proof: Option<Simulation>,
}

impl Plan {
    pub fn reached(&self) -> bool {
        self.budget.is_none_or(|budget| self.series_after <= budget)
    }
}

/// Without a budget, an edit has to save this share of all series to be told.
const WORTH: f64 = 0.005;
const MOST_EDITS: usize = 50;

/// `buckets` has the histograms by their family.
pub fn suggest(scrape: &Scrape, metrics: &[Metric], buckets: &[(usize, Buckets)], memory: &Memory, budget: Option<u64>) -> Plan {
    let series_before = scrape.series();
    let mut search = Search::new(scrape, candidates::all(scrape, metrics, buckets), memory);
    match budget {
        Some(budget) => {
            for risk in [Risk::Coarser, Risk::Code, Risk::NoQuantiles, Risk::Lost, Risk::MetricLost] {
                while search.series > budget && search.edits.len() < MOST_EDITS && search.take(risk, 1) {}
            }
            search.drop_needless(budget);
        }
        None => {
            let least = ((series_before as f64 * WORTH) as u64).max(1);
            while search.edits.len() < MOST_EDITS && search.take(Risk::Code, least) {}
        }
    }
    let edits: Vec<Edit> = search.edits.into_iter().map(|(edit, _)| edit).collect();
    let all: String = edits.iter().map(|edit| edit.yaml.as_str()).collect();
    let tidy = fold::tidy(scrape, metrics, &all);
    let yaml = rules::document(std::iter::once(all.as_str()));
    let proof = Config::parse(&yaml, None).ok().filter(|_| !yaml.is_empty()).map(|config| simulate(scrape, &config));
    Plan { edits, tidy, budget, series_before, series_after: search.series, yaml, proof }
}

/// Something that could be done to one family, or to several.
#[derive(Debug, Clone)]
struct Candidate {
    edit: Edit,
    changes: Vec<(usize, Change)>,
}

struct Search<'a> {
    scrape: &'a Scrape,
    memory: &'a Memory,
    /// As the edits so far leave them; `None`: as in the scrape.
    families: Vec<Option<Family>>,
    /// What each would save now; `None` when a family has changed since.
    saves: Vec<Option<u64>>,
    candidates: Vec<Candidate>,
    taken: Vec<bool>,
    series: u64,
    edits: Vec<(Edit, usize)>,
}

impl<'a> Search<'a> {
    fn new(scrape: &'a Scrape, candidates: Vec<Candidate>, memory: &'a Memory) -> Self {
        let count = candidates.len();
        Search {
            scrape,
            memory,
            families: vec![None; scrape.families.len()],
            saves: vec![None; count],
            taken: vec![false; count],
            series: scrape.series(),
            edits: Vec::new(),
            candidates,
        }
    }

    fn family(&self, number: usize) -> &Family {
        self.families[number].as_ref().unwrap_or(&self.scrape.families[number])
    }

    /// Takes the candidate up to `risk` that saves most, and at least `least` series.
    fn take(&mut self, risk: Risk, least: u64) -> bool {
        for at in 0..self.candidates.len() {
            if self.saves[at].is_none() && !self.taken[at] && self.candidates[at].edit.risk <= risk {
                self.saves[at] = Some(self.saving(at));
            }
        }
        let open = (0..self.candidates.len()).filter(|at| !self.taken[*at] && self.candidates[*at].edit.risk <= risk);
        let Some(best) = open.max_by_key(|at| (self.saves[*at].unwrap_or(0), std::cmp::Reverse(self.candidates[*at].edit.risk))) else {
            return false;
        };
        let saved = self.saves[best].unwrap_or(0);
        if saved < least.max(1) {
            return false;
        }
        self.apply(best, saved);
        true
    }

    fn saving(&self, at: usize) -> u64 {
        let changed = self.changed(at);
        changed.iter().map(|(number, family)| self.family(*number).series() - family.series()).sum()
    }

    /// The families that a candidate is about, as it leaves them.
    fn changed(&self, at: usize) -> BTreeMap<usize, Family> {
        let mut changed: BTreeMap<usize, Family> = BTreeMap::new();
        for (number, change) in &self.candidates[at].changes {
            let left = apply::apply(changed.get(number).unwrap_or(self.family(*number)), change);
            changed.insert(*number, left);
        }
        changed
    }

    fn apply(&mut self, at: usize, saved: u64) {
        let (changed, mut bytes) = (self.changed(at), 0);
        let numbers: Vec<usize> = changed.keys().copied().collect();
        for (number, family) in changed {
            let before = self.family(number).series();
            let share = (before - family.series()) as f64 / self.scrape.families[number].series().max(1) as f64;
            bytes += (self.memory.metrics[number].memory_bytes as f64 * share) as u64;
            self.families[number] = Some(family);
        }
        self.taken[at] = true;
        self.series -= saved;
        let edit = Edit { series_saved: saved, bytes_saved: bytes, ..self.candidates[at].edit.clone() };
        self.edits.push((edit, at));
        // What the others save of these families is different now.
        for (other, saves) in self.candidates.iter().zip(&mut self.saves) {
            if other.changes.iter().any(|(family, _)| numbers.contains(family)) {
                *saves = None;
            }
        }
    }

    /// An edit that later, bigger ones made needless is taken back.
    fn drop_needless(&mut self, budget: u64) {
        let mut at = 0;
        while at < self.edits.len() {
            let without: Vec<usize> = self.edits.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, (_, edit))| *edit).collect();
            let mut again = Search::new(self.scrape, self.candidates.clone(), self.memory);
            for candidate in without {
                let saved = again.saving(candidate);
                again.apply(candidate, saved);
            }
            if again.series <= budget {
                *self = again;
                at = 0;
            } else {
                at += 1;
            }
        }
    }
}
