//! Lint against promlint, which `promtool check metrics` runs: the same rules fire on the same metrics.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "support/property.rs"]
mod property;

use std::collections::BTreeSet;
use std::path::Path;

use common::oracle::{Oracle, Scrape as Question};
use goscope::cardinality::analyze::lint::{Rule, lint};
use goscope::cardinality::model::Scrape;
use goscope::cardinality::store::Store;
use goscope::formats::exposition::{Format, Parser, Rules};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Answer {
    error: String,
    problems: Option<Vec<Problem>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Problem {
    metric: String,
    text: String,
}

type Found = BTreeSet<(String, &'static str)>;

fn read(body: &str) -> Scrape {
    let (mut parser, mut store) = (Parser::new(Format::Text, Rules::Prometheus), Store::new());
    assert_eq!(parser.parse(body.as_bytes(), true, &mut |item| store.add(item)), body.len());
    store.finish()
}

fn goscope(body: &str) -> Found {
    // Those that promlint does not have.
    let own = |rule: Rule| rule >= Rule::UnitMismatch;
    lint(&read(body)).into_iter().filter(|finding| !own(finding.rule)).map(|finding| (finding.metric, finding.rule.id())).collect()
}

/// None where expfmt refuses the body.
fn promlint(oracle: &mut Oracle, body: &str) -> Option<Found> {
    let answer: Answer = oracle.ask(&Question::text(body.as_bytes()));
    let rule = |text: &str| {
        let signs = [
            ("no help text", Rule::Help),
            ("counter metrics should have \"_total\"", Rule::CounterTotal),
            ("non-counter metrics should not have \"_total\"", Rule::NonCounterTotal),
            ("use base unit", Rule::BaseUnit),
            ("metric name should not include type", Rule::TypeInName),
            ("\" suffix", Rule::ReservedSuffix),
            ("\" label", Rule::ReservedLabel),
            ("should not contain ':'", Rule::Colon),
            ("label names should be written", Rule::LabelCase),
            ("metric names should be written", Rule::MetricCase),
            ("abbreviated units", Rule::UnitAbbreviation),
        ];
        signs.into_iter().find(|(sign, _)| text.contains(sign)).map(|(_, rule)| rule.id())
    };
    // Children with equal labels are counted when a body is read, not by lint.
    let problems = answer.problems.unwrap_or_default().into_iter().filter(|problem| problem.text != "metric not unique");
    let found = problems.map(|problem| (problem.metric, rule(&problem.text).unwrap_or_else(|| panic!("a new rule: {}", problem.text))));
    answer.error.is_empty().then(|| found.collect())
}

#[test]
fn real_scrapes_have_the_findings_of_promlint() {
    let mut oracle = Oracle::start("lint");
    let (mut bodies, mut findings) = (0, 0);
    for name in ["caddy", "client_golang", "kubestate", "node_exporter", "otel", "prometheus"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/data/scrapes/{name}.txt"));
        let body = std::fs::read_to_string(file).unwrap();
        let theirs = promlint(&mut oracle, &body).unwrap();
        let ours = goscope(&body);
        assert_eq!(ours, theirs, "{name}");
        bodies += 1;
        findings += theirs.len();
    }
    assert!(bodies == 6 && findings > 20, "{findings}");
}

fn name() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "seconds|milliseconds|bytes|kilobytes|mebibytes|bits|days|kelvins|ms|s|MB|kb|h|d|total|count|sum|bucket|info|created",
        "counter|gauge|histogram|summary|Gauge|fooBar|foo|bar|x|a:b",
    ];
    (proptest::sample::select(vec!["foo", "http", "seconds", "counter", "ms"]), proptest::collection::vec(word, 0..4))
        .prop_map(|(first, words)| [&[first.to_owned()], &words[..]].concat().join("_"))
}

proptest! {
    #![proptest_config(property::cases(400))]
    #[test]
    fn generated_metrics_have_the_findings_of_promlint(
        metrics in proptest::collection::vec((name(), prop_oneof!["counter", "gauge", "histogram", "summary", "untyped", ""], any::<bool>(), "|a|le|quantile|fooBar"), 1..4),
    ) {
        thread_local! { static ORACLE: std::cell::RefCell<Oracle> = std::cell::RefCell::new(Oracle::start("lint")); }
        let mut body = String::new();
        let mut names: BTreeSet<String> = BTreeSet::new();
        for (name, kind, help, label) in &metrics {
            // Names that begin alike can belong to one histogram.
            if names.iter().any(|other| other.starts_with(name.as_str()) || name.starts_with(other.as_str())) {
                continue;
            }
            names.insert(name.clone());
            if *help {
                body += &format!("# HELP {name} Help.\n");
            }
            if !kind.is_empty() {
                body += &format!("# TYPE {name} {kind}\n");
            }
            let own = |label: &str| label == "le" && kind == "histogram" || label == "quantile" && kind == "summary";
            let labels = if label.is_empty() || own(label) { String::new() } else { format!("{label}=\"1\"") };
            match kind.as_str() {
                "histogram" => body += &format!("{name}_bucket{{{labels}{}le=\"+Inf\"}} 1\n{name}_sum{{{labels}}} 1\n{name}_count{{{labels}}} 1\n", if labels.is_empty() { "" } else { "," }),
                "summary" => body += &format!("{name}_sum{{{labels}}} 1\n{name}_count{{{labels}}} 1\n"),
                _ => body += &format!("{name}{{{labels}}} 1\n"),
            }
        }
        if let Some(theirs) = ORACLE.with_borrow_mut(|oracle| promlint(oracle, &body)) {
            prop_assert_eq!(goscope(&body), theirs, "{}", body);
        }
    }
}
