//! Small scrapes with a configuration each, and what has to come out.

use super::*;
use crate::cardinality::relabel::Unfilled;
use crate::cardinality::store::Store;
use crate::formats::exposition::{Format, Parser, Rules};

fn scrape(text: &str) -> Scrape {
    let mut store = Store::new();
    let mut parser = Parser::new(Format::Text, Rules::Prometheus);
    parser.parse(text.as_bytes(), true, &mut |item| store.add(item));
    let scrape = store.finish();
    assert_eq!(scrape.quality.errors, 0, "{:?}", scrape.quality.problems);
    scrape
}

fn run(text: &str, rules: &str) -> Simulation {
    let simulation = simulate(&scrape(text), &Config::parse(rules, None).unwrap());
    let total = &simulation.total;
    assert_eq!(total.series_left + total.dropped + total.merged + total.refused, total.series_in);
    for sums in [(total.dropped, true), (total.merged, false)] {
        let of_rules: u64 = simulation.rules.iter().map(|rule| if sums.1 { rule.dropped } else { rule.merged }).sum();
        let of_families: u64 = simulation.families.iter().map(|family| if sums.1 { family.dropped } else { family.merged }).sum();
        assert_eq!((of_rules, of_families), (sums.0, sums.0));
    }
    simulation
}

fn harms(simulation: &Simulation) -> Vec<(Harm, u64, usize)> {
    simulation.families.iter().flat_map(|family| &family.harms).map(|harmed| (harmed.harm, harmed.children, harmed.rule)).collect()
}

fn idle(text: &str, rules: &str) -> Option<Idle> {
    run(text, rules).rules.pop().unwrap().idle
}

const COUNTER: &str = "# TYPE hits counter
hits{path=\"/a\",code=\"200\"} 1
hits{path=\"/b\",code=\"200\"} 2
hits{path=\"/b\",code=\"500\"} 3
# TYPE temp gauge
temp{room=\"1\"} 20
up 1
";

const HISTOGRAM: &str = "# TYPE took histogram
took_bucket{path=\"/a\",le=\"0.1\"} 1
took_bucket{path=\"/a\",le=\"1\"} 2
took_bucket{path=\"/a\",le=\"+Inf\"} 3
took_sum{path=\"/a\"} 4
took_count{path=\"/a\"} 3
took_bucket{path=\"/b\",le=\"0.1\"} 1
took_bucket{path=\"/b\",le=\"1\"} 2
took_bucket{path=\"/b\",le=\"+Inf\"} 3
took_sum{path=\"/b\"} 4
took_count{path=\"/b\"} 3
took_bucket{path=\"/c\",le=\"0.1\"} 1
took_bucket{path=\"/c\",le=\"1\"} 2
took_bucket{path=\"/c\",le=\"+Inf\"} 3
took_sum{path=\"/c\"} 4
took_count{path=\"/c\"} 3
";

#[test]
fn drops_are_booked_on_the_rule_that_did_them() {
    let rules = "[{source_labels: [code], regex: '500', action: drop}, {source_labels: [__name__], regex: hits, action: keep}]";
    let simulation = run(COUNTER, rules);
    let rows: Vec<_> = simulation.rules.iter().map(|rule| (rule.series_in, rule.matched, rule.dropped, rule.changed)).collect();
    assert_eq!(rows, [(5, 1, 1, 0), (4, 2, 2, 0)]);
    assert_eq!((simulation.total.series_in, simulation.total.dropped, simulation.total.series_left), (5, 3, 2));
    assert!(simulation.is_harmless());
}

#[test]
fn label_bytes_are_those_of_names_and_values() {
    let simulation = run("a{b=\"cd\"} 1\ne 1\n", "[{action: labeldrop, regex: b}]");
    assert_eq!((simulation.total.label_bytes_in, simulation.total.label_bytes_left), (8 + 1 + 1 + 2 + 8 + 1, 8 + 1 + 8 + 1));
}

#[test]
fn series_that_become_one_are_counted_and_named() {
    let simulation = run(COUNTER, "[{target_label: new, replacement: x}, {action: labeldrop, regex: path}]");
    assert_eq!((simulation.total.merged, simulation.total.series_left, simulation.total.changed), (1, 4, 4));
    let merged: Vec<u64> = simulation.rules.iter().map(|rule| rule.merged).collect();
    assert_eq!(merged, [0, 1]);
    let expected = Collision {
        rule: 1,
        kept: "hits{code=\"200\",path=\"/a\"}".to_owned(),
        lost: "hits{code=\"200\",path=\"/b\"}".to_owned(),
        result: "hits{code=\"200\",new=\"x\"}".to_owned(),
    };
    assert_eq!(simulation.collisions, [expected]);
    assert_eq!(harms(&simulation), [(Harm::CountersMerged, 1, 1)]);
    assert!(!simulation.is_harmless());
}

#[test]
fn series_of_two_families_can_become_one_too() {
    let rules =
        "[{source_labels: [__name__], regex: 'temp|up', target_label: __name__, replacement: one}, {action: labeldrop, regex: room}]";
    let simulation = run(COUNTER, rules);
    assert_eq!((simulation.total.merged, simulation.rules[1].merged), (1, 1));
    assert_eq!((simulation.collisions[0].kept.as_str(), simulation.collisions[0].lost.as_str()), ("temp{room=\"1\"}", "up"));
    assert_eq!(harms(&simulation), [(Harm::SeriesMerged, 1, 1)]);
}

#[test]
fn a_collision_that_a_later_rule_would_hide_is_none() {
    // `path` goes, but its value lives on in another label.
    let rules = "[{source_labels: [path], target_label: route}, {action: labeldrop, regex: path}]";
    let simulation = run(COUNTER, rules);
    assert_eq!((simulation.total.merged, simulation.total.series_left), (0, 5));
    assert!(simulation.is_harmless());
}

#[test]
fn only_some_pairs_are_named_and_all_are_counted() {
    let text: String = (0..100).map(|n| format!("a{{id=\"{n}\"}} 1\n")).collect();
    let simulation = run(&text, "[{action: labeldrop, regex: id}]");
    assert_eq!((simulation.total.merged, simulation.total.series_left, simulation.collisions.len()), (99, 1, EXAMPLES));
}

#[test]
fn emptying_a_label_of_one_metric_leaves_others_alone() {
    let simulation = run(COUNTER, "[{source_labels: [__name__], regex: temp, target_label: room, replacement: ''}]");
    assert_eq!((simulation.total.changed, simulation.total.merged, simulation.rules[0].matched), (1, 0, 1));
    assert_eq!(simulation.families.len(), 1);
}

#[test]
fn a_series_without_a_name_or_without_labels() {
    let nameless = run(COUNTER, "[{action: labeldrop, regex: __name__}]");
    // `up` has no other label, and is passed over.
    assert_eq!((nameless.total.refused, nameless.total.dropped), (4, 1));
    let refusal = nameless.refused.clone().unwrap();
    assert_eq!((refusal.series.as_str(), refusal.result.as_str()), ("hits{code=\"200\",path=\"/a\"}", "{code=\"200\",path=\"/a\"}"));
    assert!(!nameless.is_harmless());
    let sent = run(COUNTER, "write_relabel_configs: [{action: labeldrop, regex: __name__}]");
    assert_eq!(sent.total.refused, 0);
}

#[test]
fn a_refused_scrape_leaves_nothing_and_the_group_that_is_missing_is_told() {
    let rules = "[{source_labels: [code], regex: '500', action: drop}, {source_labels: [__name__], regex: '(hits)', target_label: __name__, replacement: '$1_x'}]";
    let simulation = run(COUNTER, rules);
    let total = &simulation.total;
    assert_eq!((total.invalid, total.dropped, total.refused, total.series_left, total.label_bytes_left), (2, 1, 4, 0, 0));
    let unfilled = Unfilled { written: "$1_x".to_owned(), meant: Some("${1}_x".to_owned()) };
    assert_eq!(simulation.rules[1].idle, Some(Idle::Unfilled(unfilled)));
    // A replacement that is empty on purpose is none.
    assert_eq!(idle(COUNTER, "[{source_labels: [__name__], regex: temp, target_label: room, replacement: ''}]"), None);
}

#[test]
fn metrics_that_go_whole_and_those_that_answer_less_are_told_apart() {
    let both = format!("{COUNTER}{HISTOGRAM}");
    let simulation = run(&both, "[{source_labels: [__name__], regex: 'took_bucket|up', action: keep}]");
    let names: Vec<&str> = simulation.gone().iter().map(|family| family.name.as_str()).collect();
    assert_eq!((names, simulation.poorer()), (vec!["hits", "temp"], 1));
    assert_eq!(harms(&simulation), [(Harm::SumOrCountGone, 3, 0)]);
    let renamed = run(&both, "[{source_labels: [__name__], regex: 'up', target_label: __name__, replacement: down}]");
    assert!(renamed.gone().is_empty() && renamed.poorer() == 0);
}

#[test]
fn a_rule_about_names_that_takes_that_of_the_metric_says_so() {
    assert_eq!(idle(COUNTER, "[{action: labelkeep, regex: x}]"), Some(Idle::TakesName));
    assert_eq!(idle(COUNTER, "[{action: labeldrop, regex: '__.*'}]"), Some(Idle::TakesName));
    assert_eq!(idle(COUNTER, "[{action: labelkeep, regex: '__name__|path|code'}]"), None);
}

#[test]
fn fewer_buckets_are_no_wrong_buckets() {
    let simulation = run(HISTOGRAM, "[{source_labels: [__name__, le], regex: 'took_bucket;0\\.1', action: drop}]");
    assert_eq!(harms(&simulation), [(Harm::BucketsFewer, 3, 0)]);
    assert!(simulation.is_harmless());
}

#[test]
fn without_its_last_bucket_a_histogram_is_broken() {
    let simulation = run(HISTOGRAM, "[{target_label: x, replacement: y}, {source_labels: [le], regex: '\\+Inf', action: drop}]");
    assert_eq!(harms(&simulation), [(Harm::InfGone, 3, 1)]);
    assert_eq!(simulation.families[0].harms[0].example, "took{path=\"/a\"}");
    assert!(!simulation.is_harmless());
}

#[test]
fn buckets_taken_from_some_children_only() {
    let simulation = run(HISTOGRAM, "[{source_labels: [path, le], regex: '/b;1.0', action: drop}]");
    assert_eq!(harms(&simulation), [(Harm::BucketsUneven, 1, 0), (Harm::BucketsFewer, 1, 0)]);
    assert_eq!(simulation.families[0].harms[0].example, "took{path=\"/b\"}");
    // Whole children may go.
    assert_eq!(harms(&run(HISTOGRAM, "[{source_labels: [path], regex: '/b', action: drop}]")), []);
}

#[test]
fn buckets_without_the_rest_and_the_rest_without_buckets() {
    let no_buckets = run(HISTOGRAM, "[{source_labels: [__name__], regex: took_bucket, action: drop}]");
    assert_eq!(harms(&no_buckets), [(Harm::BucketsGone, 3, 0)]);
    let no_sum = run(HISTOGRAM, "[{source_labels: [__name__], regex: took_sum, action: drop}]");
    assert_eq!(harms(&no_sum), [(Harm::SumOrCountGone, 3, 0)]);
}

#[test]
fn without_le_the_buckets_become_one() {
    let simulation = run(HISTOGRAM, "[{action: labeldrop, regex: le}]");
    assert_eq!(harms(&simulation), [(Harm::BoundLost, 3, 0)]);
    assert_eq!(simulation.total.merged, 6);
}

#[test]
fn parts_of_a_histogram_that_go_different_ways() {
    let labels = run(HISTOGRAM, "[{source_labels: [__name__], regex: took_bucket, target_label: tier, replacement: hot}]");
    assert_eq!(harms(&labels), [(Harm::Split, 3, 0)]);
    let names = run(HISTOGRAM, "[{source_labels: [__name__], regex: took_bucket, target_label: __name__, replacement: spent_bucket}]");
    assert_eq!(harms(&names), [(Harm::Split, 3, 0)]);
    let renamed = "[{source_labels: [__name__], regex: 'took_(.*)', target_label: __name__, replacement: 'spent_$1'}]";
    assert_eq!(harms(&run(HISTOGRAM, renamed)), []);
}

#[test]
fn merged_histograms() {
    let simulation = run(HISTOGRAM, "[{action: labeldrop, regex: path}]");
    assert_eq!(harms(&simulation), [(Harm::HistogramsMerged, 2, 0)]);
    assert_eq!(simulation.total.merged, 10);
}

#[test]
fn bounds_are_matched_as_the_server_stores_them() {
    let simulation = run(HISTOGRAM, "[{source_labels: [le], regex: '1\\.0', action: drop}]");
    assert_eq!(simulation.total.dropped, 3);
    let why = idle(HISTOGRAM, "[{source_labels: [le], regex: '1', action: drop}]");
    let missed = |written: &str, stored: &str| Some(Idle::Canonical { written: vec![written.to_owned()], stored: vec![stored.to_owned()] });
    assert_eq!(why, missed("1", "1.0"));
}

#[test]
fn a_bound_that_a_rule_misses_beside_others_is_told() {
    let missed = |written: &str, stored: &str| Some(Idle::Canonical { written: vec![written.to_owned()], stored: vec![stored.to_owned()] });
    for (rule, expected) in [
        ("{source_labels: [le], regex: '0.1|1', action: drop}", missed("1", "1.0")),
        ("{source_labels: [__name__, le], regex: 'took_bucket;(0.1|1)', action: drop}", missed("1", "1.0")),
        ("{source_labels: [path, le], regex: '/a;1|/b;0.1', action: drop}", missed("1", "1.0")),
        ("{source_labels: [le], regex: '0.1|1', action: keep}", missed("1", "1.0")),
        ("{source_labels: [le], regex: '0.1|1.0', action: drop}", None),
        ("{source_labels: [le], regex: '0.1|1(?:\\.0)?', action: drop}", None),
        ("{source_labels: [__name__, le], regex: 'took_bucket;0.1', action: drop}", None),
        ("{source_labels: [path, le], regex: '/z;1|/b;0.1', action: drop}", None),
    ] {
        assert_eq!(idle(HISTOGRAM, &format!("[{rule}]")), expected, "{rule}");
    }
    let sizes = "# TYPE s histogram\ns_bucket{le=\"1e6\"} 1\ns_bucket{le=\"+Inf\"} 1\ns_sum 1\ns_count 1\n";
    assert_eq!(idle(sizes, "[{source_labels: [le], regex: '1000000|\\+Inf', action: drop}]"), missed("1000000", "1e+06"));
}

#[test]
fn why_a_rule_does_nothing() {
    let label = |label: &str| label.to_owned();
    let cases = [
        ("[{source_labels: [__meta_kubernetes_pod], regex: x, action: drop}]", Idle::TargetLabel { label: label("__meta_kubernetes_pod") }),
        ("[{source_labels: [__address__], target_label: host}]", Idle::TargetLabel { label: label("__address__") }),
        ("[{source_labels: [job], regex: x, action: drop}]", Idle::ServerLabel { label: label("job") }),
        ("[{source_labels: [path, nope], regex: 'x;y', action: drop}]", Idle::LabelAbsent { label: label("nope") }),
        ("[{source_labels: [__name__], regex: 'hit', action: drop}]", Idle::Anchored { value: label("hits") }),
        ("[{source_labels: [path], regex: '/z', action: drop}]", Idle::NoMatch),
        ("[{action: labeldrop, regex: 'hits'}]", Idle::MetricName { name: label("hits") }),
        ("[{action: labeldrop, regex: 'pat'}]", Idle::Anchored { value: label("path") }),
        ("[{source_labels: [path], action: lowercase, target_label: path}]", Idle::NoChange),
        ("[{source_labels: [__name__], action: drop}, {target_label: a, replacement: b}]", Idle::NotReached),
        ("relabel_configs: [{source_labels: [__name__], action: drop}]", Idle::ForTargets),
    ];
    for (rules, expected) in cases {
        assert_eq!(idle(COUNTER, rules), Some(expected), "{rules}");
    }
    // One that drops all because it matches nothing.
    let keep = idle(COUNTER, "[{source_labels: [__name__], regex: hit, action: keep}]");
    assert_eq!(keep, Some(Idle::Anchored { value: label("hits") }));
    assert_eq!(idle(COUNTER, "[{source_labels: [path], regex: '/a', action: drop}]"), None);
    // A label that an earlier rule makes is there.
    let made = "[{source_labels: [path], target_label: made}, {source_labels: [made], regex: '/z', action: drop}]";
    assert_eq!(idle(COUNTER, made), Some(Idle::NoMatch));
}

#[test]
fn every_series_ends_as_the_engine_alone_has_it() {
    let rules = "
- {source_labels: [path], regex: '/(.).*', target_label: path, replacement: '$1'}
- {action: labelmap, regex: 'p(.*)', replacement: 'q$1'}
- {source_labels: [le], regex: '0.1', action: drop}
- {action: hashmod, source_labels: [path, code], modulus: 4, target_label: shard}
- {action: labeldrop, regex: 'path|code'}
- {action: uppercase, source_labels: [__name__], target_label: __name__}
";
    let config = Config::parse(rules, None).unwrap();
    let scrape = scrape(&format!("{COUNTER}{HISTOGRAM}"));
    let mut results = std::collections::BTreeMap::new();
    let mut dropped = 0;
    for family in &scrape.families {
        for child in 0..family.children() {
            for member in family.members(child) {
                let own = |(name, value): (Id, Id)| (scrape.text(name).to_owned(), scrape.text(value).to_owned());
                let mut labels: Vec<(String, String)> = family.labels(child).map(own).collect();
                labels.push(("__name__".to_owned(), scrape.series_name(family, member.role)));
                labels.extend(member.role.bound_label().map(|label| (label.to_owned(), scrape.text(member.bound).to_owned())));
                match config.process(&labels) {
                    Some(result) => *results.entry(result).or_insert(0) += 1,
                    None => dropped += 1,
                }
            }
        }
    }
    let simulation = simulate(&scrape, &config);
    let bytes: usize = results.keys().flatten().map(|(name, value)| name.len() + value.len()).sum();
    let total = &simulation.total;
    assert_eq!((total.dropped, total.series_left, total.label_bytes_left), (dropped, results.len() as u64, bytes as u64));
}
