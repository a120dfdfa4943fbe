//! Parts of the document that are there on request: buckets, exemplars, lint.

use serde::Serialize;

use super::details::severity;
use super::findings::GateBody;
use super::growth::GrowthBody;
use super::plan::PlanBody;
use super::simulation::SimulationBody;
use crate::cardinality::analyze::buckets::Buckets;
use crate::cardinality::analyze::exemplars::{Exemplars, Figures};
use crate::cardinality::model::{Id, Scrape};
use crate::cardinality::profile::Profile;

#[derive(Serialize)]
pub struct Details<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    histograms: Vec<Histogram<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exemplars: Option<AllExemplars<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lint: Option<Vec<Lint<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    growth: Option<GrowthBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    simulation: Option<SimulationBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<PlanBody<'a>>,
    #[serde(flatten)]
    gate: Option<GateBody<'a>>,
}

#[derive(Serialize)]
struct Histogram<'a> {
    metric: &'a str,
    children: u64,
    observations: f64,
    layouts: u64,
    refused_children: u64,
    classic_series: u64,
    native_series: u64,
    buckets: Vec<Bucket<'a>>,
    idle_series: u64,
    advice: Option<Advice<'a>>,
}

#[derive(Serialize)]
struct Bucket<'a> {
    /// As written; `+Inf` is no number of JSON.
    le: Vec<&'a str>,
    series: u64,
    separates: bool,
}

#[derive(Serialize)]
struct Advice<'a> {
    keep: &'a [f64],
    /// Of p50, p90 and p99, relative.
    error: f64,
    series_saved: u64,
    le_regex: &'a str,
    go: &'a str,
}

#[derive(Serialize)]
struct AllExemplars<'a> {
    total: ExemplarCounts,
    most_active: ExemplarCounts,
    /// Most series that `most_active` may have in all.
    series_limit: Option<u64>,
    metrics: Vec<OfMetric<'a>>,
}

#[derive(Serialize)]
struct OfMetric<'a> {
    metric: &'a str,
    total: ExemplarCounts,
    most_active: ExemplarCounts,
    active_children: u64,
    /// Of all events, 0..1.
    events_share: Option<f64>,
}

#[derive(Serialize)]
struct ExemplarCounts {
    exemplars: u64,
    series: u64,
    stored_bytes: u64,
    too_long: u64,
    without_timestamp: u64,
}

#[derive(Serialize)]
struct Lint<'a> {
    metric: &'a str,
    rule: &'static str,
    severity: &'static str,
    message: &'a str,
}

impl<'a> Details<'a> {
    pub fn new(profile: &'a Profile) -> Self {
        let scrape = &profile.scrape;
        let lint = |finding: &'a crate::cardinality::analyze::lint::Finding| Lint {
            metric: &finding.metric,
            rule: finding.rule.id(),
            severity: severity(finding.severity),
            message: &finding.text,
        };
        Details {
            histograms: profile.buckets.iter().map(|(family, buckets)| histogram(scrape, *family, buckets)).collect(),
            exemplars: profile.exemplars.as_ref().map(|exemplars| all_exemplars(scrape, exemplars)),
            lint: profile.lint.as_ref().map(|findings| findings.iter().map(lint).collect()),
            growth: profile.growth.as_ref().map(GrowthBody::new),
            simulation: profile.simulation.as_ref().map(SimulationBody::new),
            plan: profile.plan.as_ref().map(PlanBody::new),
            gate: profile.gate.as_ref().map(GateBody::new),
        }
    }
}

fn histogram<'a>(scrape: &'a Scrape, family: usize, buckets: &'a Buckets) -> Histogram<'a> {
    let texts = |ids: &[Id]| ids.iter().map(|id| scrape.text(*id)).collect();
    let bucket = |bucket: &crate::cardinality::analyze::buckets::Bucket| Bucket {
        le: texts(&bucket.le),
        series: bucket.series,
        separates: bucket.separates,
    };
    let advice = buckets.selection.as_ref().and_then(|selection| selection.advice.as_ref()).map(|advice| Advice {
        keep: &advice.choice.bounds,
        error: advice.choice.error.max(advice.unusual_error.unwrap_or(0.0)),
        series_saved: advice.series_saved,
        le_regex: &advice.le_regex,
        go: &advice.go_line,
    });
    Histogram {
        metric: scrape.text(scrape.families[family].name),
        children: buckets.children,
        observations: buckets.observations,
        layouts: buckets.layouts,
        refused_children: buckets.refused.total(),
        classic_series: buckets.cost.classic_series,
        native_series: buckets.cost.native_series,
        buckets: buckets.bounds.iter().map(bucket).collect(),
        idle_series: buckets.idle_series(),
        advice,
    }
}

fn all_exemplars<'a>(scrape: &'a Scrape, found: &Exemplars) -> AllExemplars<'a> {
    let metrics = found.families.iter().map(|family| OfMetric {
        metric: scrape.text(scrape.families[family.family].name),
        total: counts(&family.all),
        most_active: counts(&family.sampled),
        active_children: family.active,
        events_share: family.events,
    });
    AllExemplars {
        total: counts(&found.total),
        most_active: counts(&found.sampled),
        series_limit: found.sampling.series,
        metrics: metrics.collect(),
    }
}

fn counts(figures: &Figures) -> ExemplarCounts {
    ExemplarCounts {
        exemplars: figures.exemplars,
        series: figures.series,
        stored_bytes: figures.stored_bytes,
        too_long: figures.too_long,
        without_timestamp: figures.without_timestamp,
    }
}
