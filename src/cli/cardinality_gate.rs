//! Flags of `goscope cardinality` that make it fail: limits, a budget file, a baseline.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::values;
use crate::cardinality::analyze::{baseline, gate, unmatched};
use crate::cardinality::model::{Baseline, Budget};
use crate::cardinality::profile::{Gate, Profile};
use crate::cardinality::{baseline_file, budget_file, finding_text};
use crate::error::{Error, Kind, Result};
use crate::output::{Color, Output, count};

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Fail (exit 1) when")]
pub struct GateArgs {
    /// There are more than N series
    #[arg(long, value_name = "N")]
    pub max_series: Option<u64>,
    /// A metric has more than N series
    #[arg(long, value_name = "N")]
    max_series_per_metric: Option<u64>,
    /// A label has more than N values in one metric
    #[arg(long, value_name = "N")]
    max_label_values: Option<u64>,
    /// A limit in FILE is passed: YAML with total_series, default and metrics (series, label_values, labels), and waivers that end
    ///
    /// Limits given as flags go before those of the file.
    #[arg(long, value_name = "FILE")]
    budget_file: Option<PathBuf>,
    /// A metric has grown since FILE was saved
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Growth that the baseline allows, in percent; fewer than ten new series of a metric never count
    #[arg(long, value_name = "PERCENT", default_value = "10%", value_parser = values::percent, allow_hyphen_values = true, requires = "baseline")]
    max_growth: f64,
    /// Save counts and hashes of this scrape to FILE, for --baseline; no label value is in there
    #[arg(long, value_name = "FILE")]
    save_baseline: Option<PathBuf>,
}

/// The files are read: what is wrong with them is told before any scrape.
pub struct Limits {
    budget: Budget,
    baseline: Option<Baseline>,
    /// Nothing was asked.
    idle: bool,
}

impl GateArgs {
    /// Errors: those of the budget file and the baseline.
    pub fn limits(&self) -> Result<Limits> {
        let mut budget = self.budget_file.as_deref().map(budget_file::read).transpose()?.unwrap_or_default();
        budget.total_series = self.max_series.or(budget.total_series);
        let idle = budget.total_series.is_none()
            && self.max_series_per_metric.is_none()
            && self.max_label_values.is_none()
            && self.budget_file.is_none()
            && self.baseline.is_none();
        for metric in std::iter::once(&mut budget.default).chain(budget.metrics.iter_mut().map(|(_, metric)| metric)) {
            metric.series = self.max_series_per_metric.or(metric.series);
            if self.max_label_values.is_some() {
                metric.label_values = self.max_label_values;
                metric.labels.clear();
            }
        }
        Ok(Limits { budget, baseline: self.baseline.as_deref().map(baseline_file::read).transpose()?, idle })
    }

    /// What the limits say of a profile.
    pub fn check(&self, limits: &Limits, profile: &Profile) -> Option<Gate> {
        if limits.idle {
            return None;
        }
        let mut findings = gate::check(&profile.scrape, &profile.metrics, &limits.budget, profile.captured_at);
        let changes = limits.baseline.as_ref().map(|before| baseline::changes(before, &baseline::sketch(&profile.scrape, before.salt)));
        for mut finding in baseline::findings(changes.as_deref().unwrap_or_default(), self.max_growth) {
            gate::waive(&mut finding, &limits.budget.waivers, profile.captured_at);
            findings.push(finding);
        }
        let unmatched = if profile.scrape.series() > 0 { unmatched::entries(&profile.scrape, &limits.budget) } else { Vec::new() };
        Some(Gate { findings, unmatched, changes })
    }

    /// Saves the baseline, unless something of it is missing; then that is said too.
    pub fn save(&self, profile: &Profile, unreadable: Option<Error>) -> Result<Option<Error>> {
        let Some(path) = &self.save_baseline else { return Ok(unreadable) };
        if let Some(error) = unreadable {
            return Ok(Some(error.hint(format!("{} is not written: a baseline has to be of a whole scrape", path.display()))));
        }
        let salt = RandomState::new().build_hasher().finish();
        let metrics = baseline::sketch(&profile.scrape, salt);
        let baseline = Baseline { captured_at: profile.captured_at, salt, metrics };
        let mut out = Output::open(Some(path), Color::Never)?;
        out.write_all(&baseline_file::to_bytes(&baseline)).map_err(|error| Error::write_to(path, error))?;
        out.finish()?;
        Ok(None)
    }
}

/// Errors, Findings: with the first culprit by name.
pub fn verdict(gate: Option<&Gate>) -> Result<()> {
    let counting: Vec<_> = gate.iter().flat_map(|gate| &gate.findings).filter(|finding| finding.counts()).collect();
    let Some(first) = counting.first() else { return Ok(()) };
    let more = match counting.len() {
        1 => String::new(),
        passed => format!("; {} are passed in all", count(passed as u64, "limit")),
    };
    Err(Error::new(Kind::Findings, format!("{}{more}", finding_text(first))))
}
