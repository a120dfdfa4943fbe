//! `--format json` and `jsonl`: schemas/cardinality.json.

use std::collections::BTreeMap;

use serde::Serialize;

use super::schema_details::Details;
use super::wording::{bounded_name, format_name, ids_keep_coming, role_name, verdict, verdict_name};
use crate::cardinality::analyze::metrics::Metric;
use crate::cardinality::analyze::outlook::{Outlook, Verdict};
use crate::cardinality::analyze::shapes::{Shape, Template};
use crate::cardinality::analyze::without::{Label, Pair};
use crate::cardinality::model::{Found, Scrape};
use crate::cardinality::profile::Profile;
use crate::error::Result;
use crate::formats::exposition::{PROMETHEUS, Rules, Severity};
use crate::output::Envelope;

pub fn document(profile: &Profile) -> impl Serialize {
    let body = Body {
        summary: Summary::new(profile),
        metrics: metrics(profile).collect(),
        details: Details::new(profile),
        errors: problems(&profile.scrape).collect(),
    };
    envelope(profile, body)
}

/// A header, a line for each metric and each error, and a summary.
pub fn lines(profile: &Profile, mut write: impl FnMut(&Line<'_>) -> Result<()>) -> Result<()> {
    write(&Line::Header(Box::new(envelope(profile, Empty {}).header())))?;
    for metric in metrics(profile) {
        write(&Line::Metric { kind: "metric", metric: Box::new(metric) })?;
    }
    for error in problems(&profile.scrape) {
        write(&Line::Error { kind: "error", error: Box::new(error) })?;
    }
    write(&Line::Details { kind: "details", details: Box::new(Details::new(profile)) })?;
    write(&Line::Summary { kind: "summary", summary: Summary::new(profile) })
}

#[derive(Serialize)]
#[serde(untagged)]
pub enum Line<'a> {
    Header(Box<Envelope<Target<'a>, Quality<'a>, Empty>>),
    Metric {
        #[serde(rename = "type")]
        kind: &'static str,
        metric: Box<MetricRow<'a>>,
    },
    Error {
        #[serde(rename = "type")]
        kind: &'static str,
        #[serde(flatten)]
        error: Box<ErrorRow<'a>>,
    },
    Details {
        #[serde(rename = "type")]
        kind: &'static str,
        #[serde(flatten)]
        details: Box<Details<'a>>,
    },
    Summary {
        #[serde(rename = "type")]
        kind: &'static str,
        #[serde(flatten)]
        summary: Summary,
    },
}

#[derive(Serialize)]
pub struct Empty {}

#[derive(Serialize)]
pub struct Target<'a> {
    sources: &'a [String],
    failed: &'a [String],
}

#[derive(Serialize)]
pub struct Quality<'a> {
    format: Option<&'static str>,
    /// Whose rules decide what is an error.
    parser: &'static str,
    prometheus_version: &'static str,
    samples: u64,
    duplicates: u64,
    /// The first few series of these.
    duplicate_series: &'a [String],
    timestamped: u64,
    errors: u64,
    warnings: u64,
    /// Samples of metrics with too many labels.
    left_out: u64,
    /// The figures are counted, of all samples.
    exact: bool,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(flatten)]
    summary: Summary,
    metrics: Vec<MetricRow<'a>>,
    #[serde(flatten)]
    details: Details<'a>,
    errors: Vec<ErrorRow<'a>>,
}

#[derive(Serialize)]
pub struct Summary {
    total_series: u64,
    total_metrics: u64,
    body_bytes: u64,
    /// Of a Prometheus server that scrapes it, by a model.
    server_memory_bytes: u64,
    server_disk_bytes_per_day: [u64; 2],
}

#[derive(Serialize)]
pub struct MetricRow<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    help: Option<&'a str>,
    unit: Option<&'a str>,
    series: u64,
    share: f64,
    children: u64,
    body_bytes: u64,
    /// What a server saves if the metric goes, by a model.
    server_memory_bytes: u64,
    outlook: OutlookRow,
    series_by_role: BTreeMap<&'static str, u64>,
    labels: Vec<LabelRow<'a>>,
    pairs: Vec<PairRow<'a>>,
    /// Three labels or more that only together make the series.
    together: Option<TogetherRow<'a>>,
}

#[derive(Serialize)]
struct OutlookRow {
    verdict: &'static str,
    reasons: Vec<&'static str>,
    seen_once: Option<u64>,
    /// The chance that the next event opens a new child, 0..1.
    next_opens: Option<f64>,
    /// Chao1: a lower bound of the children there will be.
    children_expected: Option<f64>,
}

#[derive(Serialize)]
struct ShapeRow<'a> {
    kind: &'static str,
    /// Of the values looked at, 0..1.
    share: f64,
    bounded: &'static str,
    templates: Vec<TemplateRow<'a>>,
    advice: &'static str,
    looked_at: u64,
}

#[derive(Serialize)]
struct TemplateRow<'a> {
    text: &'a str,
    regex: &'a str,
    values: u64,
}

#[derive(Serialize)]
struct LabelRow<'a> {
    name: &'a str,
    values: u64,
    series_without: u64,
    absent: u64,
    constant: bool,
    determined_by: Vec<&'a str>,
    equal_to: Vec<&'a str>,
    shape: Option<ShapeRow<'a>>,
    top: Vec<Top<'a>>,
}

#[derive(Serialize)]
struct Top<'a> {
    value: &'a str,
    series: u64,
}

#[derive(Serialize)]
struct PairRow<'a> {
    labels: [&'a str; 2],
    series_without: u64,
}

#[derive(Serialize)]
struct TogetherRow<'a> {
    labels: Vec<&'a str>,
    series_without: u64,
}

#[derive(Serialize)]
pub struct ErrorRow<'a> {
    source: &'a str,
    /// 0 for what is wrong with all of a body.
    line: u64,
    column: u64,
    offset: u64,
    severity: &'static str,
    message: &'a str,
    excerpt: &'a str,
}

impl Summary {
    fn new(profile: &Profile) -> Self {
        Summary {
            total_series: profile.scrape.series(),
            total_metrics: profile.metrics.len() as u64,
            body_bytes: profile.scrape.quality.bytes,
            server_memory_bytes: profile.memory.total.memory_bytes,
            server_disk_bytes_per_day: profile.memory.total.disk_bytes_per_day,
        }
    }
}

fn envelope<B: Serialize>(profile: &Profile, body: B) -> Envelope<Target<'_>, Quality<'_>, B> {
    let quality = &profile.scrape.quality;
    let quality = Quality {
        format: quality.format.map(format_name),
        parser: match profile.rules {
            Rules::Prometheus => "prometheus",
            Rules::Strict => "strict",
        },
        prometheus_version: PROMETHEUS,
        samples: quality.samples,
        duplicates: quality.duplicates,
        duplicate_series: &quality.duplicate_series,
        timestamped: quality.timestamped,
        errors: quality.errors,
        warnings: quality.warnings,
        left_out: quality.left_out,
        exact: quality.left_out == 0,
    };
    Envelope::new("cardinality", profile.captured_at, Target { sources: &profile.sources, failed: &profile.failed }, quality, body)
}

fn metrics(profile: &Profile) -> impl Iterator<Item = MetricRow<'_>> {
    profile.metrics.iter().map(|metric| row(profile, metric))
}

fn row<'a>(profile: &'a Profile, metric: &'a Metric) -> MetricRow<'a> {
    let scrape = &profile.scrape;
    let family = &scrape.families[metric.family];
    let mut series_by_role = BTreeMap::new();
    for (role, series) in &metric.roles {
        *series_by_role.entry(role_name(*role)).or_insert(0) += series;
    }
    let labels = &metric.without.labels;
    let bounds = metric.without.bounds.iter().map(|bound| LabelRow {
        name: bound.name,
        values: bound.values,
        series_without: bound.series_without,
        absent: 0,
        constant: false,
        determined_by: Vec::new(),
        equal_to: Vec::new(),
        shape: None,
        top: Vec::new(),
    });
    MetricRow {
        name: scrape.text(family.name),
        kind: family.kind.as_str(),
        help: family.help.map(|help| scrape.text(help)),
        unit: family.unit.map(|unit| scrape.text(unit)),
        series: metric.series,
        share: metric.share,
        children: metric.children,
        body_bytes: metric.bytes,
        server_memory_bytes: profile.memory.metrics[metric.family].memory_bytes,
        outlook: outlook_row(&profile.outlooks[metric.family], &metric.shapes),
        series_by_role,
        labels: labels.iter().zip(&metric.shapes).map(|(label, shape)| label_row(scrape, labels, label, shape)).chain(bounds).collect(),
        pairs: metric.without.pairs.iter().map(|pair| pair_row(scrape, labels, pair)).collect(),
        together: metric.without.together.as_ref().map(|more| TogetherRow {
            labels: more.labels.iter().map(|label| scrape.text(labels[*label].name)).collect(),
            series_without: more.series_without,
        }),
    }
}

fn outlook_row(outlook: &Outlook, shapes: &[Shape]) -> OutlookRow {
    let counts = outlook.counts.as_ref();
    let told = verdict(outlook, shapes);
    let ids = told == Verdict::Unknown && ids_keep_coming(shapes);
    let reasons = outlook.reasons.iter().map(|reason| reason.text());
    OutlookRow {
        verdict: verdict_name(told),
        reasons: reasons.chain(ids.then_some("a label holds ids, of which new ones keep coming")).collect(),
        seen_once: counts.map(|counts| counts.once),
        next_opens: counts.map(|counts| counts.next_opens),
        children_expected: counts.map(|counts| counts.chao1.value),
    }
}

fn shape_row<'a>(shape: &'a Shape) -> ShapeRow<'a> {
    const TEMPLATES: usize = 20;
    let template = |template: &'a Template| TemplateRow { text: &template.text, regex: &template.regex, values: template.values };
    ShapeRow {
        kind: shape.kind.id(),
        share: shape.share,
        bounded: bounded_name(shape.bounded),
        templates: shape.templates.iter().take(TEMPLATES).map(template).collect(),
        advice: shape.advice.text(),
        looked_at: shape.looked_at,
    }
}

fn label_row<'a>(scrape: &'a Scrape, labels: &'a [Label], label: &'a Label, shape: &'a Shape) -> LabelRow<'a> {
    let names = |indices: &[usize]| indices.iter().map(|index| scrape.text(labels[*index].name)).collect();
    LabelRow {
        name: scrape.text(label.name),
        values: label.values,
        series_without: label.series_without,
        absent: label.absent,
        constant: label.constant,
        determined_by: names(&label.determined_by),
        equal_to: names(&label.mirrored),
        shape: Some(shape_row(shape)),
        top: label.top.iter().map(|top| Top { value: scrape.text(top.value), series: top.series }).collect(),
    }
}

fn pair_row<'a>(scrape: &'a Scrape, labels: &'a [Label], pair: &Pair) -> PairRow<'a> {
    PairRow { labels: pair.labels.map(|label| scrape.text(labels[label].name)), series_without: pair.series_without }
}

fn problems(scrape: &Scrape) -> impl Iterator<Item = ErrorRow<'_>> {
    scrape.quality.problems.iter().map(|Found { source, problem }| ErrorRow {
        source,
        line: problem.line,
        column: problem.column,
        offset: problem.offset,
        severity: match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        message: &problem.message,
        excerpt: &problem.excerpt,
    })
}
