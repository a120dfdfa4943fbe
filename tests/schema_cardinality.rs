//! Every JSON of `goscope cardinality` is what `schemas/cardinality.json` says, and nothing comes out that it does not mention.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/schema.rs"]
mod schema;
#[path = "support/scraped.rs"]
mod scraped;

use scraped::{cardinality, folder, scrapes, shop};
use serde_json::Value;

/// Maps whose keys are data.
const FREE: &[&str] = &["series_by_role"];

fn check(folder: &std::path::Path, args: &[&str]) -> Value {
    let run = cardinality(folder, &[args, &["--format", "json"]].concat());
    schema::check(&schema::document("cardinality"), &run.json(), FREE);
    let lines = cardinality(folder, &[args, &["--format", "jsonl"]].concat());
    let values: Vec<Value> = lines.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for value in &values {
        schema::check(&schema::line("cardinality"), value, FREE);
    }
    assert_eq!((&values[0]["type"], &values[values.len() - 1]["type"]), (&"header".into(), &"summary".into()));
    let metrics = values.iter().filter(|value| value["type"] == "metric").count();
    let json = run.json();
    assert_eq!(metrics, json["metrics"].as_array().unwrap().len());
    json
}

#[test]
fn of_every_scrape_with_everything_that_can_be_asked() {
    let rules = folder(&[("rules.yml", "- {action: labeldrop, regex: path}\n- {action: drop, source_labels: [nothing], regex: x}\n")]);
    let rules = rules.path().join("rules.yml");
    let mut files = 0;
    for entry in std::fs::read_dir(scrapes()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".txt") && !name.ends_with(".pb") {
            continue;
        }
        files += 1;
        let json = check(&scrapes(), &[&name, "--suggest", "--budget", "100", "--simulate", rules.to_str().unwrap(), "--max-series", "9"]);
        assert_eq!(json["quality"]["errors"], 0, "{name}");
        let series: u64 = json["metrics"].as_array().unwrap().iter().map(|metric| metric["series"].as_u64().unwrap()).sum();
        assert_eq!(json["total_series"], series, "{name}");
        let share: f64 = json["metrics"].as_array().unwrap().iter().map(|metric| metric["share"].as_f64().unwrap()).sum();
        assert!((share - 1.0).abs() < 1e-9, "{name}: {share}");
        assert!(json["plan"].is_object() && json["simulation"].is_object() && json["findings"].is_array(), "{name}");
    }
    assert!(files >= 14, "{files} scrapes");
}

#[test]
fn of_errors_baselines_growth_and_nothing_at_all() {
    let bad = shop(30) + "wrong {\na 1 2 3\n";
    let folder = folder(&[("a.prom", &shop(20)), ("b.prom", &shop(50)), ("bad.prom", &bad), ("empty.prom", "")]);
    let at = folder.path();
    assert_eq!(cardinality(at, &["a.prom", "--save-baseline", "base.json"]).code, 0);
    let json = check(at, &["b.prom", "--baseline", "base.json"]);
    assert!(json["changes"].is_array() && json["passed"] == false);
    let json = check(at, &["a.prom", "b.prom", "--successive", "--interval", "1h", "--max-series", "100"]);
    assert!(json["growth"].is_object());
    let json = check(at, &["bad.prom"]);
    assert_eq!(json["errors"].as_array().unwrap().len(), 2);
    assert_eq!((&json["errors"][0]["line"], &json["quality"]["errors"]), (&35.into(), &2.into()));
    check(at, &["bad.prom", "--parser", "strict", "--lenient"]);
    let json = check(at, &["empty.prom"]);
    assert_eq!(json["total_series"], 0);
}
