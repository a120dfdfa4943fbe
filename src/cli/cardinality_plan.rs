//! Flags of `goscope cardinality` about what to change.

use std::path::PathBuf;

use clap::Args;

use super::values;
use crate::cardinality::analyze::buckets::Wanted;
use crate::cardinality::analyze::exemplars::Sampling;
use crate::cardinality::analyze::unmatched;
use crate::cardinality::profile::Profile;
use crate::cardinality::relabel::Config;
use crate::error::{Error, Result};

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "What to change")]
pub struct PlanArgs {
    /// Print a plan: what to change, what each change saves and costs, and the relabel rules for it
    #[arg(long)]
    suggest: bool,
    /// With --suggest: how many series there should be at most
    #[arg(long, value_name = "N", requires = "suggest")]
    budget: Option<u64>,
    /// How far p50, p90 and p99 may be off when buckets are left out
    #[arg(long, value_name = "PERCENT", default_value = "5%", value_parser = values::percent, allow_hyphen_values = true)]
    bucket_error: f64,
    /// A bucket that has to stay, as that of a service level objective (repeatable)
    #[arg(long, value_name = "LE")]
    keep_bucket: Vec<f64>,
    /// With --show exemplars: at most so many series with exemplars
    #[arg(long, value_name = "N")]
    exemplar_series: Option<u64>,
    /// Run the relabel rules of FILE over the scrape, and tell what is dropped, merged and broken
    ///
    /// A list of rules, metric_relabel_configs, a whole prometheus.yml, or a ServiceMonitor.
    #[arg(long, value_name = "FILE")]
    simulate: Option<PathBuf>,
    /// The rules of this job of the file, where it has several
    #[arg(long, value_name = "NAME", requires = "simulate")]
    job: Option<String>,
}

impl PlanArgs {
    pub fn suggest(&self, profile: &mut Profile) {
        if self.suggest {
            profile.suggest(self.budget, &self.buckets());
        }
    }

    pub fn buckets(&self) -> Wanted {
        Wanted { error: self.bucket_error, keep: self.keep_bucket.clone(), ..Wanted::default() }
    }

    /// Then they are shown, too.
    pub fn limits_exemplars(&self) -> bool {
        self.exemplar_series.is_some()
    }

    /// Flags about what is not there, a sentence each.
    pub fn unmatched(&self, profile: &Profile) -> Vec<String> {
        if !self.keep_bucket.is_empty() && !self.suggest && profile.buckets.is_empty() {
            return vec!["--keep-bucket does nothing without --suggest or --show buckets, or without a histogram".to_owned()];
        }
        let missing = unmatched::buckets(&profile.scrape, &self.keep_bucket);
        missing.iter().map(|le| format!("--keep-bucket {le}: no histogram has such a bucket")).collect()
    }

    pub fn sampling(&self) -> Sampling {
        Sampling { series: self.exemplar_series, ..Sampling::default() }
    }

    /// The rules to run. Errors: the file can't be read, or Prometheus would not take it.
    pub fn config(&self) -> Result<Option<Config>> {
        let Some(path) = &self.simulate else { return Ok(None) };
        let name = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| Error::io(format!("cannot read {name}")).because(error))?;
        Config::parse(&text, self.job.as_deref()).map(Some).map_err(|error| error.about(name))
    }
}
