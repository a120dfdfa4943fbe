use super::*;
use crate::cardinality::model::{Column, Id, Member};

/// One child with the labels of `labels`.
fn family(scrape: &mut Scrape, name: &str, kind: MetricType, help: Option<&str>, labels: &[&str]) {
    let strings = &mut scrape.strings;
    let role = if kind == MetricType::Info { Role::Info } else { Role::Plain };
    let family = Family {
        name: strings.intern(name),
        kind,
        help: help.map(|help| strings.intern(help)),
        columns: labels.iter().map(|label| Column { name: strings.intern(label), cells: vec![strings.intern("x")] }).collect(),
        layouts: vec![vec![Member { role, bound: Id::EMPTY }]],
        layout: vec![0],
        first_value: vec![0],
        values: vec![1.0],
        ..Family::default()
    };
    scrape.families.push(family);
}

fn rules(name: &str, kind: MetricType, labels: &[&str]) -> Vec<&'static str> {
    let mut scrape = Scrape::default();
    family(&mut scrape, name, kind, Some("Help."), labels);
    lint(&scrape).iter().map(|finding| finding.rule.id()).collect()
}

#[test]
fn what_is_well_named_has_no_finding() {
    use MetricType::{Counter, Gauge, Histogram, Info, Summary, Unknown};
    for (name, kind, labels) in [
        ("http_requests_total", Counter, &["method", "code"][..]),
        ("http_request_duration_seconds", Histogram, &["handler"]),
        ("rpc_duration_seconds", Summary, &[]),
        ("process_start_time_seconds", Gauge, &[]),
        ("go_memstats_alloc_bytes_total", Counter, &[]),
        ("node_memory_MemAvailable_bytes", Gauge, &[]),
        ("node_network_transmit_bytes_per_second", Gauge, &[]),
        ("target", Info, &["service_name"]),
        ("http_request_duration_seconds_bucket", Unknown, &["le"]),
        ("cache_hit_ratio", Gauge, &[]),
        ("process_virtual_memory_max_bytes", Gauge, &[]),
    ] {
        // `MemAvailable` is camel case, and is what node_exporter has.
        let found: Vec<&str> = rules(name, kind, labels).into_iter().filter(|rule| *rule != "metric-case").collect();
        assert!(found.is_empty(), "{name}: {found:?}");
    }
}

#[test]
fn each_rule_fires() {
    use MetricType::{Counter, Gauge, Histogram, StateSet, Summary};
    for (name, kind, labels, expected) in [
        ("http_requests", Counter, &[][..], &["counter-total"][..]),
        ("queue_total", Gauge, &[], &["non-counter-total"]),
        ("states_total", StateSet, &[], &["non-counter-total"]),
        ("latency_milliseconds", Histogram, &[], &["base-unit"]),
        ("latency_milliseconds_total", Counter, &[], &["base-unit"]),
        ("disk_mebibytes", Gauge, &[], &["base-unit"]),
        ("age_days", Gauge, &[], &["base-unit"]),
        ("bytes_read_by_disk_total", Counter, &[], &["unit-position"]),
        ("foo_counter_total", Counter, &[], &["type-in-name"]),
        ("foo_gauge", Gauge, &[], &["type-in-name"]),
        ("request_histogram_seconds", Histogram, &[], &["type-in-name"]),
        ("items_count", Gauge, &[], &["reserved-suffix"]),
        ("items_sum", Counter, &[], &["counter-total", "reserved-suffix"]),
        ("items_bucket", Summary, &[], &["reserved-suffix"]),
        ("items", Gauge, &["le", "quantile"], &["reserved-label", "reserved-label"]),
        ("job:items:rate5m", Gauge, &[], &["colon"]),
        ("queueLength", Gauge, &["queueName"], &["metric-case", "label-case"]),
        ("wait_ms", Gauge, &[], &["unit-abbreviation"]),
        ("size_MB", Gauge, &[], &["unit-abbreviation"]),
        ("http.requests_total", Counter, &["http.method"], &["metric-name", "label-name"]),
        ("items", Gauge, &["__x", "job"], &["label-name", "target-label"]),
    ] {
        assert_eq!(rules(name, kind, labels), expected, "{name}");
    }
}

#[test]
fn help_that_is_empty_is_missing() {
    let mut scrape = Scrape::default();
    family(&mut scrape, "a", MetricType::Gauge, None, &[]);
    family(&mut scrape, "b", MetricType::Gauge, Some(""), &[]);
    family(&mut scrape, "c", MetricType::Gauge, Some("x"), &[]);
    let found: Vec<(String, Rule)> = lint(&scrape).into_iter().map(|finding| (finding.metric, finding.rule)).collect();
    assert_eq!(found, [("a".to_owned(), Rule::Help), ("b".to_owned(), Rule::Help)]);
}

#[test]
fn a_total_in_the_samples_is_enough_and_the_unit_ends_the_name() {
    let mut scrape = Scrape::default();
    family(&mut scrape, "http_requests", MetricType::Counter, Some("x"), &[]);
    family(&mut scrape, "wait_seconds_total", MetricType::Counter, Some("x"), &[]);
    family(&mut scrape, "wait", MetricType::Gauge, Some("x"), &[]);
    scrape.families[0].layouts[0][0].role = Role::Total;
    let seconds = scrape.strings.intern("seconds");
    scrape.families[1].unit = Some(seconds);
    scrape.families[2].unit = Some(seconds);
    let found: Vec<(String, Rule)> = lint(&scrape).into_iter().map(|finding| (finding.metric, finding.rule)).collect();
    assert_eq!(found, [("wait".to_owned(), Rule::UnitMismatch)]);
}
