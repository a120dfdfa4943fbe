//! `--suggest` and `--simulate`: a plan keeps what it promises when its rules are run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/scraped.rs"]
mod scraped;

use scraped::{cardinality, folder, scrapes};

const NAMES: [&str; 6] = ["caddy.txt", "client_golang.txt", "client_golang.om.txt", "kubestate.txt", "otel.om.txt", "prometheus.txt"];

#[test]
fn rules_of_a_plan_do_what_it_says_and_merge_nothing() {
    let mut rules = 0;
    for name in NAMES {
        let total = cardinality(&scrapes(), &[name, "--format", "json"]).json()["total_series"].as_u64().unwrap();
        for budget in [total, total * 9 / 10, total / 2, total / 10, 0] {
            let args = [name, "--suggest", "--budget", &budget.to_string(), "--format", "json"];
            let plan = cardinality(&scrapes(), &args).json()["plan"].clone();
            let number = |key: &str| plan[key].as_u64().unwrap();
            let edits = plan["edits"].as_array().unwrap();
            let saved: u64 = edits.iter().map(|edit| edit["series_saved"].as_u64().unwrap()).sum();
            assert_eq!(number("series_before") - saved, number("series_after"), "{name} to {budget}");
            assert_eq!(plan["reached"], number("series_after") <= budget, "{name} to {budget}");
            assert_eq!(plan["reached"], true, "all metrics can be dropped: {name} to {budget}: {plan}");
            assert!(edits.iter().all(|edit| edit["series_saved"].as_u64().unwrap() > 0), "{name} to {budget}: {plan}");
            // What is dropped whole needs no other edit.
            let lost: Vec<_> = edits.iter().filter(|edit| edit["what"] == "drop the metric").map(|edit| &edit["metric"]).collect();
            let twice = edits.iter().filter(|edit| edit["what"] != "drop the metric" && lost.contains(&&edit["metric"])).count();
            assert_eq!(twice, 0, "{name} to {budget}: {plan}");
            let hints: Vec<&str> = edits.iter().filter_map(|edit| edit["hint"].as_str()).collect();
            assert!(hints.iter().all(|hint| hint.starts_with(|c: char| c.is_ascii_alphabetic())), "{hints:?}");
            let yaml = plan["yaml"].as_str().unwrap();
            if yaml.is_empty() {
                continue;
            }
            rules += 1;
            assert_eq!(plan["harmless"], true, "{name} to {budget}: {yaml}");
            let folder = folder(&[("rules.yml", yaml)]);
            let rules = folder.path().join("rules.yml");
            let run = cardinality(&scrapes(), &[name, "--simulate", rules.to_str().unwrap(), "--format", "json"]);
            assert_eq!(run.code, 0, "{}", run.stderr);
            let simulation = run.json()["simulation"].clone();
            assert_eq!(simulation["merged"], 0);
            assert_eq!(simulation["series_after"], plan["series_after_rules"], "{name} to {budget}");
            // Without edits of the code, the rules alone keep the promise.
            if edits.iter().all(|edit| edit["kind"] == "relabel") {
                assert_eq!(simulation["series_after"], plan["series_after"], "{name} to {budget}");
            }
        }
    }
    assert!(rules > 10, "{rules} plans had rules");
}

/// What is done to which metric, in the order of the plan.
fn edits(plan: &serde_json::Value) -> Vec<String> {
    let edit = |edit: &serde_json::Value| format!("{} {}", edit["metric"].as_str().unwrap_or("-"), edit["what"].as_str().unwrap());
    plan["edits"].as_array().unwrap().iter().map(edit).collect()
}

#[test]
fn of_two_plans_with_as_many_edits_the_one_that_loses_less_is_taken() {
    let bucket = |child: u32, le: &str, count: u32| format!("lat_seconds_bucket{{r=\"r{child}\",le=\"{le}\"}} {count}\n");
    let child = |n: u32| {
        let bounds = [("0.001", 0), ("0.01", 0), ("0.05", 1037), ("0.1", 1861), ("0.2", 1994), ("0.5", 2000), ("1", 2000), ("2", 2000)];
        let buckets: String = bounds.into_iter().chain([("+Inf", 2000)]).map(|(le, count)| bucket(n, le, count)).collect();
        format!("{buckets}lat_seconds_sum{{r=\"r{n}\"}} 110\nlat_seconds_count{{r=\"r{n}\"}} 2000\n")
    };
    let latencies: String = (0..20).map(child).collect();
    let users: String = (0..200).map(|n| format!("u_total{{user=\"{n}\"}} {n}\n")).collect();
    let body = format!("# TYPE lat_seconds histogram\n{latencies}# TYPE u_total gauge\n{users}");
    let folder = folder(&[("two.prom", &body)]);
    let plan = cardinality(folder.path(), &["two.prom", "--suggest", "--budget", "150", "--format", "json"]).json()["plan"].clone();
    let found = edits(&plan);
    assert!(found[0].starts_with("lat_seconds keep 4 of its buckets") && found[1] == "u_total drop the metric", "{found:?}");
    assert_eq!((found.len(), &plan["series_after"]), (2, &120.into()));
}

#[test]
fn a_metric_that_is_small_after_other_edits_is_kept_where_dropping_another_does() {
    let plan = cardinality(&scrapes(), &["client_golang.txt", "--suggest", "--budget", "100", "--format", "json"]).json()["plan"].clone();
    let found = edits(&plan);
    let of_requests: Vec<&String> = found.iter().filter(|edit| edit.starts_with("http_request_duration_seconds ")).collect();
    let run = cardinality(&scrapes(), &["client_golang.txt", "--suggest", "--budget", "100", "--limit", "0"]);
    let both = "series left, none merged, no histogram broken; 100 once the code has edits 1, 2 and 3, too\n";
    assert!(run.stdout.contains(both), "what the rules alone do is told apart: {}", run.stdout);
    assert!(of_requests.len() == 2 && of_requests.iter().all(|edit| !edit.ends_with("drop the metric")), "{found:?}");
}

#[test]
fn a_plan_ends_where_it_says_and_many_small_metrics_are_one_edit() {
    let metrics = |count: u32| (0..count).map(|n| format!("m{n}_words 1\n")).collect::<String>();
    let folder = folder(&[("few.prom", &metrics(60)), ("many.prom", &metrics(1100))]);
    let run = cardinality(folder.path(), &["few.prom", "--suggest", "--budget", "5", "--limit", "0"]);
    assert!(run.stdout.contains("Plan: from 60 to 5 series, within 5\n"), "{}", run.stdout);
    assert!(run.stdout.contains(" 20. drop 36 whole metrics with few series each: "), "{}", run.stdout);
    assert!(run.stdout.contains("# run over this scrape: 5 series left,"), "{}", run.stdout);
    let run = cardinality(folder.path(), &["many.prom", "--suggest", "--budget", "5", "--limit", "0"]);
    let ends = "Plan: from 1,100 to 100 series; it ends there, with 1,000 metrics dropped, and not at 5\n";
    assert!(run.stdout.contains(ends), "{}", run.stdout);
    assert!(run.stdout.contains("# run over this scrape: 100 series left,"), "{}", run.stdout);
}

#[test]
fn tidy_rules_lose_nothing_all_together() {
    let twins: String =
        (0..6).flat_map(|n| ["a", "b"].map(|m| format!("jobs{{pod=\"web-{n}\",node=\"web-{n}\",m=\"{m}\"}} 1\n"))).collect();
    let made = folder(&[("twins.txt", &twins)]);
    let mut seen = 0;
    for (at, name) in NAMES.map(|name| (scrapes(), name)).into_iter().chain([(made.path().to_owned(), "twins.txt")]) {
        let plan = cardinality(&at, &[name, "--suggest", "--format", "json"]).json()["plan"].clone();
        let tidy = plan["tidy"].as_array().unwrap();
        if tidy.is_empty() {
            continue;
        }
        seen += tidy.len();
        let begin = Some(plan["yaml"].as_str().unwrap()).filter(|yaml| !yaml.is_empty()).unwrap_or("metric_relabel_configs:\n");
        let rules: String = std::iter::once(begin).chain(tidy.iter().map(|edit| edit["yaml"].as_str().unwrap())).collect();
        let folder = folder(&[("rules.yml", &rules)]);
        let rules = folder.path().join("rules.yml");
        let run = cardinality(&at, &[name, "--simulate", rules.to_str().unwrap(), "--format", "json"]).json();
        let simulation = &run["simulation"];
        assert_eq!((&simulation["harmless"], &simulation["merged"]), (&true.into(), &0.into()), "{name}: {simulation}");
        let idle = simulation["rules"].as_array().unwrap().iter().filter(|rule| !rule["idle"].is_null()).count();
        assert_eq!(idle, 0, "{name}: {simulation}");
    }
    assert!(seen > 3, "{seen} tidy edits");
}

#[test]
fn a_label_that_tells_series_apart_is_never_dropped_by_a_rule() {
    let users: String = (0..200).map(|n| format!("logins_total{{user=\"{:08x}-0000-4000-8000-{n:012x}\"}} {n}\n", n * 7919)).collect();
    let folder = folder(&[("shop.prom", &format!("# TYPE logins_total counter\n{users}"))]);
    let json = cardinality(folder.path(), &["shop.prom", "--suggest", "--format", "json"]).json();
    let edits = json["plan"]["edits"].as_array().unwrap();
    assert_eq!(edits.len(), 1, "{edits:?}");
    assert_eq!((&edits[0]["kind"], &edits[0]["label"], &edits[0]["series_saved"]), (&"code".into(), &"user".into(), &199.into()));
    assert_eq!(json["plan"]["yaml"], "");
    assert!(edits[0]["hint"].as_str().unwrap().contains("sum without (user) (rate(logins_total[5m]))"));
    assert!(json["plan"]["tidy"].as_array().unwrap().is_empty());
}

#[test]
fn labels_that_follow_from_each_other_are_named_and_taken_away_together() {
    let user = |n: u32| {
        let (id, session) =
            (format!("{:08x}-0000-4000-8000-{n:012x}", n * 7919), format!("{:032x}", u128::from(n + 7) * 0x9E37_79B9_7F4A_7C15_F39C));
        format!("logins_total{{user_id=\"{id}\",email=\"u{n}@shop.example\",session=\"{session}\",method=\"m{}\"}} {n}\n", n % 3)
    };
    let users: String = (0..600).map(user).collect();
    let folder = folder(&[("three.prom", &format!("# TYPE logins_total counter\n{users}"))]);
    let run = cardinality(folder.path(), &["three.prom", "--suggest", "--budget", "50", "--max-series", "50"]);
    assert!(run.stdout.lines().nth(1).unwrap().ends_with("user_id, email and session"), "{}", run.stdout);
    assert!(
        run.stdout.contains("take the labels user_id, email and session away together: each follows from the others"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("Plan: from 600 to 3 series, within 50"), "{}", run.stdout);
    assert!(run.stderr.contains("logins_total, by its labels user_id, email and session"), "{}", run.stderr);
    assert!(run.stdout.lines().nth(1).unwrap().contains(" new ids "), "{}", run.stdout);
    let json = cardinality(folder.path(), &["three.prom", "--format", "json"]).json();
    let outlook = &json["metrics"][0]["outlook"];
    assert_eq!((&outlook["verdict"], outlook["reasons"].as_array().unwrap().is_empty()), (&"unknown".into(), false));
    let together = serde_json::json!({"labels": ["user_id", "email", "session"], "series_without": 3});
    assert_eq!(json["metrics"][0]["together"], together);
}

#[test]
fn what_a_pattern_saves_is_what_its_values_leave() {
    let path = |n: u32, route: bool| match (n % 4, route) {
        (0, false) => format!("/users/{}/orders", 1000 + n),
        (0, true) => "/users/:id/orders".to_owned(),
        (1, false) => format!("/files/{:016x}", u64::from(n + 3).wrapping_mul(0x9E37_79B9_7F4A_7C15)),
        (1, true) => "/files/:id".to_owned(),
        (2, _) => "/healthz".to_owned(),
        (_, false) => format!("/wp-{n}.php"),
        (_, true) => "other".to_owned(),
    };
    let body = |route| {
        let lines = (0..400).map(|n| format!("hits_total{{path=\"{}\",code=\"{}\"}} 1\n", path(n, route), n % 3));
        let different: std::collections::BTreeSet<String> = lines.collect();
        format!("# TYPE hits_total counter\n{}", different.into_iter().collect::<String>())
    };
    let folder = folder(&[("paths.prom", &body(false)), ("routes.prom", &body(true))]);
    let routes = cardinality(folder.path(), &["routes.prom", "--format", "json"]).json()["total_series"].clone();
    let plan = cardinality(folder.path(), &["paths.prom", "--suggest", "--format", "json"]).json()["plan"].clone();
    assert_eq!(edits(&plan), ["hits_total put the route's pattern into the label path (301 values become 4)"]);
    assert!(plan["edits"][0]["hint"].as_str().unwrap().starts_with("use the route's pattern"));
    assert_eq!((&plan["series_after"], routes.as_u64()), (&routes, Some(12)));
    // Only where that is not enough the whole label goes, and then the advice is another one.
    let plan = cardinality(folder.path(), &["paths.prom", "--suggest", "--budget", "3", "--format", "json"]).json()["plan"].clone();
    assert_eq!(edits(&plan), ["hits_total take the label path away: 301 values, path_with_ids"]);
    assert!(!plan["edits"][0]["hint"].as_str().unwrap().contains("pattern"), "{plan}");
    assert_eq!(plan["series_after"], 3);
}

#[test]
fn hints_name_series_that_are_there_and_rules_survive_odd_names() {
    let users: String = (0..50).map(|n| format!("logins_total{{user=\"{:08x}-0000-4000-8000-{n:012x}\"}} 1\n", n * 7919)).collect();
    let odd = "{\"a 'b'\\n\\\\c\",x=\"1\"} 1\n{\"a 'b'\\n\\\\c\",x=\"2\"} 1\n";
    let folder = folder(&[("om.txt", &format!("# TYPE logins counter\n{users}# EOF\n")), ("odd.prom", odd)]);
    let json = cardinality(folder.path(), &["om.txt", "--suggest", "--format", "json"]).json();
    let hint = json["plan"]["edits"][0]["hint"].as_str().unwrap();
    assert!(hint.contains("sum without (user) (rate(logins_total[5m]))"), "{hint}");
    let json = cardinality(folder.path(), &["odd.prom", "--suggest", "--budget", "0", "--format", "json"]).json();
    assert_eq!((&json["plan"]["series_after_rules"], &json["plan"]["reached"]), (&0.into(), &true.into()), "{}", json["plan"]);
    assert!(!json["plan"]["yaml"].as_str().unwrap().chars().any(|c| c.is_control() && c != '\n'));
}

#[test]
fn a_rule_that_merges_is_told_with_the_series_that_are_lost() {
    let body = "# TYPE a_total counter\na_total{user=\"1\",m=\"x\"} 1\na_total{user=\"2\",m=\"x\"} 2\na_total{user=\"2\",m=\"y\"} 2\n";
    let folder = folder(&[("a.prom", body), ("rules.yml", "- {action: labeldrop, regex: user}\n"), ("bad.yml", "- {action: fly}\n")]);
    let run = cardinality(folder.path(), &["a.prom", "--simulate", "rules.yml"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert!(run.stdout.contains("2 of 3 series left: 0 dropped, 1 lost by merging; do not use it as it is"), "{}", run.stdout);
    assert!(run.stdout.contains("a_total{m=\"x\",user=\"2\"}\n    is lost to a_total{m=\"x\",user=\"1\"}"), "{}", run.stdout);
    let run = cardinality(folder.path(), &["a.prom", "--simulate", "bad.yml"]);
    assert!(run.code == 2 || run.code == 5, "{}", run.code);
    assert!(run.stderr.starts_with("error: bad.yml: "), "{}", run.stderr);
    assert_eq!(cardinality(folder.path(), &["a.prom", "--simulate", "none.yml"]).code, 5);
}

#[test]
fn of_a_refused_scrape_nothing_is_left() {
    let body = "# TYPE a_total counter\na_total{user=\"1\"} 1\na_total{user=\"2\"} 2\nup 1\n";
    let rule = "- {source_labels: [__name__], regex: '(.*)_total', target_label: __name__, replacement: $1_count}\n";
    let folder = folder(&[("a.prom", body), ("rules.yml", rule)]);
    let run = cardinality(folder.path(), &["a.prom", "--simulate", "rules.yml"]);
    assert!(run.stdout.contains("no group is called 1_count; write ${1}_count"), "{}", run.stdout);
    let refused = "refuse the whole scrape because of 2 series such as a_total{user=\"1\"}, which becomes {user=\"1\"}\n";
    assert!(run.stdout.contains(refused), "{}", run.stdout);
    assert!(run.stdout.contains("0 of 3 series left: 0 dropped, 0 lost by merging, 3 refused; do not use it as it is"), "{}", run.stdout);
}

#[test]
fn the_verdict_on_rules_says_what_goes() {
    let keep = "- {source_labels: [__name__], regex: queue_wait_seconds_bucket|go_.*, action: keep}\n";
    let nothing = "- {source_labels: [__name__], action: drop}\n";
    let same = "- {source_labels: [__name__], regex: go_threads, target_label: kind, replacement: go}\n";
    let folder = folder(&[("keep.yml", keep), ("nothing.yml", nothing), ("same.yml", same)]);
    for (rules, told) in [
        (
            "keep.yml",
            "81 of 1,757 series left: 1,676 dropped, 0 lost by merging; nothing merges; 22 metrics go whole, 1 metric answers less\n",
        ),
        ("keep.yml", "gone whole: http_request_duration_seconds, http_response_size_bytes, rpc_duration_seconds, "),
        ("nothing.yml", "0 of 1,757 series left: 1,757 dropped, 0 lost by merging; nothing is left\n"),
        ("same.yml", "1,757 of 1,757 series left: 0 dropped, 0 lost by merging; nothing merges, nothing breaks\n"),
    ] {
        let rules = folder.path().join(rules);
        let run = cardinality(&scrapes(), &["client_golang.txt", "--simulate", rules.to_str().unwrap(), "--limit", "0", "--detail", "0"]);
        assert!(run.stdout.contains(told), "{told}{}", run.stdout);
    }
}
