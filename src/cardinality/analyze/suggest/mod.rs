//! What to change: the fewest edits that bring a scrape to a budget, and what each of them costs.
//!
//! Edits that lose nothing come first, those that lose most come last: a whole metric is dropped only where nothing else does. After each
//! edit, what the others would save is counted again on what it left. Relabel rules are proven by running them
//! ([`super::simulate`]); a label that tells live series apart is never dropped by a rule, since a server would then keep one series of
//! each and say nothing: that is a matter for the code, or for a recording rule.

mod apply;
mod candidates;
mod fold;
mod pattern;
mod rules;
mod search;

use super::buckets::Buckets;
use super::memory::Memory;
use super::metrics::Metric;
use super::simulate::{Simulation, simulate};
use crate::cardinality::model::Scrape;
use crate::cardinality::relabel::Config;

pub use apply::Change;
pub use search::MOST_DROPPED;
use search::Search;

/// How much is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// Nothing that a query would miss.
    None,
    /// Quantiles get coarser, within the error that was asked for.
    Coarser,
    /// The code of the service has to change, and a label keeps the pattern of its values only.
    Pattern,
    /// The code of the service has to change, and with it the queries that use the label.
    Code,
    /// The same for a label of which the pattern could stay.
    WholeLabel,
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
            Risk::Pattern => "needs a change of the code; queries by a whole value find nothing afterwards",
            Risk::WholeLabel => "needs a change of the code; the whole label is lost, of which a part could stay",
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
    /// Otherwise it ends at [`MOST_DROPPED`] dropped metrics.
    pub fn reached(&self) -> bool {
        self.budget.is_none_or(|budget| self.series_after <= budget)
    }
}

/// Without a budget, an edit has to save this share of all series to be told.
const WORTH: f64 = 0.005;

/// `buckets` has the histograms by their family.
pub fn suggest(scrape: &Scrape, metrics: &[Metric], buckets: &[(usize, Buckets)], memory: &Memory, budget: Option<u64>) -> Plan {
    let series_before = scrape.series();
    let mut search = Search::new(scrape, candidates::all(scrape, metrics, buckets), memory);
    match budget {
        Some(budget) => {
            for risk in [Risk::Coarser, Risk::Pattern, Risk::Code, Risk::WholeLabel, Risk::NoQuantiles, Risk::Lost] {
                while search.series > budget && search.take(risk, 1) {}
            }
            search.drop_metrics(budget);
        }
        None => {
            let least = ((series_before as f64 * WORTH) as u64).max(1);
            while search.take(Risk::Code, least) {}
        }
    }
    search.give_back(budget.unwrap_or(0).max(search.series));
    let edits = search.edits();
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
