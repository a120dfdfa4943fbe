//! Every JSON that comes out is what `schemas/` says, and nothing comes out that it does not mention.
#![allow(clippy::unwrap_used)]

#[path = "support/sample.rs"]
mod sample;
#[path = "support/schema.rs"]
mod support;

use goscope::goroutines::analyze::diff::diff;
use goscope::goroutines::analyze::{Filter, GroupBy, Query, Sort, view};
use goscope::goroutines::report;
use serde_json::Value;
use support::{document as schema, line as line_schema};

/// Maps whose keys are data.
const FREE: &[&str] = &["labels", "by_status", "statuses", "wait_reasons"];

fn check(schema: &Value, document: &Value) {
    support::check(schema, document, FREE);
}

fn queries() -> Vec<Query> {
    let groups = [
        None,
        Some(GroupBy::Stack),
        Some(GroupBy::Status),
        Some(GroupBy::Func),
        Some(GroupBy::CreatedBy),
        Some(GroupBy::Label("queue".into())),
    ];
    let sorts = [None, Some(Sort::Count), Some(Sort::Id), Some(Sort::Wait), Some(Sort::Status), Some(Sort::Func)];
    let all = groups.into_iter().flat_map(|group| sorts.map(|sort| (group.clone(), sort)));
    all.map(|(group, sort)| Query { group, sort, limit: sort.map(|_| 7), ..Query::default() }).collect()
}

#[test]
fn json() {
    let (schema, snapshot) = (schema("goroutines"), sample::snapshot());
    for query in queries() {
        check(&schema, &serde_json::to_value(report::document(&view(&snapshot, &query))).unwrap());
    }
}

#[test]
fn jsonl() {
    let (schema, snapshot) = (line_schema("goroutines"), sample::snapshot());
    for query in queries() {
        let mut out = Vec::new();
        report::write_jsonl(&view(&snapshot, &query), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        lines.iter().for_each(|line| check(&schema, line));
        assert_eq!((&lines[0]["type"], &lines.last().unwrap()["type"]), (&"header".into(), &"summary".into()));
    }
}

#[test]
fn diff_documents() {
    let (document, line) = (schema("goroutines-diff"), line_schema("goroutines-diff"));
    let before = sample::snapshot();
    let mut after = sample::snapshot();
    after.goroutines.remove(7);
    after.goroutines.push(sample::waiting(999, "select", 0));
    let mut other = sample::snapshot();
    other.target.pid += 1;
    for after in [&before, &after, &other] {
        let diff = diff(&before, after, &Filter::default(), false);
        check(&document, &serde_json::to_value(report::diff_document(&diff)).unwrap());
        check(&line, &serde_json::to_value(report::diff_line(&diff)).unwrap());
    }
    check(&line, &serde_json::to_value(report::diff_header(&before)).unwrap());
    check(&line, &serde_json::to_value(report::diff_summary(3)).unwrap());
}

/// A schema that accepts anything would pass all of the above.
#[test]
fn the_schema_refuses_what_breaks_the_contract() {
    let schema = schema("goroutines");
    let validator = jsonschema::validator_for(&schema).unwrap();
    let snapshot = sample::snapshot();
    let good = serde_json::to_value(report::document(&view(&snapshot, &queries()[6]))).unwrap();
    assert!(validator.is_valid(&good));
    let broken: [fn(&mut Value); 7] = [
        |d| d["goroutines"][0]["status"] = "parked".into(),
        |d| d["goroutines"][0]["wait_min_ns"] = "12m".into(),
        |d| drop(d["goroutines"][0].as_object_mut().unwrap().remove("stack")),
        |d| d["stacks"][0]["frames"][0]["address"] = 4096.into(),
        |d| d["schema_version"] = 2.into(),
        |d| drop(d["quality"].as_object_mut().unwrap().remove("torn")),
        |d| d["groups"][0]["statuses"]["parked"] = 1.into(),
    ];
    for (i, breaks) in broken.iter().enumerate() {
        let mut document = good.clone();
        breaks(&mut document);
        assert!(!validator.is_valid(&document), "case {i}");
    }
}
