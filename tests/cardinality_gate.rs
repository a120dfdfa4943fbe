//! `goscope cardinality` as a check: limits, budgets, baselines, growth, several sources; exit codes and who is told to be the culprit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unsafe_code)]

#[path = "support/scraped.rs"]
mod scraped;
#[path = "support/web.rs"]
mod web;

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use scraped::{cardinality, folder, shop};
use web::{Server, TEXT};

#[test]
fn a_limit_that_is_passed_is_1_and_names_the_culprit() {
    let folder = folder(&[("shop.prom", &shop(40))]);
    for (flag, limit, told) in [
        ("--max-series", "40", "41 series, more than 40; the biggest metric is logins_total, by its label user"),
        ("--max-series-per-metric", "39", "logins_total has 40 series, more than 39, by its label user"),
        ("--max-label-values", "39", "logins_total has 40 values of user, more than 39"),
    ] {
        let run = cardinality(folder.path(), &["shop.prom", flag, limit]);
        assert_eq!(run.code, 1, "{flag}: {}", run.stderr);
        assert_eq!(run.stderr, format!("error: {told}\n"));
        assert!(run.stdout.contains(told), "{}", run.stdout);
        let json = cardinality(folder.path(), &["shop.prom", flag, limit, "--format", "json"]).json();
        assert_eq!(json["passed"], false);
        assert_eq!(json["findings"].as_array().unwrap().len(), 1);
        assert_eq!((&json["findings"][0]["metric"], &json["findings"][0]["label"]), (&"logins_total".into(), &"user".into()));
        // One more is enough.
        let run = cardinality(folder.path(), &["shop.prom", flag, &(limit.parse::<u64>().unwrap() + 1).to_string()]);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{flag}");
        assert!(run.stdout.contains("within all limits"), "{}", run.stdout);
    }
}

#[test]
fn what_a_budget_or_a_flag_says_of_things_that_are_not_there_is_told() {
    let histogram = "# TYPE wait_seconds histogram\nwait_seconds_bucket{le=\"1\"} 1\nwait_seconds_bucket{le=\"+Inf\"} 1\n\
                     wait_seconds_sum 1\nwait_seconds_count 1\n";
    let budget = "default: {labels: {nobody: 3}}\nmetrics:\n  login_total: {series: 5}\n  wait_seconds_bucket: {series: 5}\n  \
                  logins_*: {labels: {user: 50, usr: 50}}\n  wait_*: {labels: {le: 9}}\n\
                  waivers: [{metric: gone_*, until: 2999-01-31, reason: known}]\n";
    let folder =
        folder(&[("shop.prom", &(shop(3) + histogram)), ("budgets.yaml", budget), ("nothing.yaml", "default: {}\n"), ("empty.yaml", "")]);
    let run = cardinality(folder.path(), &["shop.prom", "--budget-file", "budgets.yaml", "--format", "json"]);
    let told = [
        "the budget: no metric called '*' has a label 'nobody'",
        "the budget: no metric is called 'wait_seconds_bucket' (such series are a part of 'wait_seconds')",
        "the budget: no metric is called 'login_total'",
        "the budget: no metric called 'logins_*' has a label 'usr'",
        "a waiver: no metric is called 'gone_*'",
    ];
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(run.stderr, told.map(|line| format!("warning: {line}\n")).concat());
    assert_eq!(run.json()["unmatched"], serde_json::json!(told));
    for empty in ["nothing.yaml", "empty.yaml"] {
        let run = cardinality(folder.path(), &["shop.prom", "--budget-file", empty]);
        assert_eq!(run.code, 2, "{empty}: {}", run.stderr);
    }
    let run = cardinality(folder.path(), &["shop.prom", "--suggest", "--keep-bucket", "7", "--keep-bucket", "1"]);
    assert_eq!(run.stderr, "warning: --keep-bucket 7: no histogram has such a bucket\n");
    let run = cardinality(folder.path(), &["shop.prom", "--keep-bucket", "1"]);
    assert!(run.stderr.contains("does nothing without --suggest"), "{}", run.stderr);
    let run = cardinality(folder.path(), &["shop.prom", "--max-growth", "5"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("--baseline <FILE>"), "{}", run.stderr);
}

#[test]
fn an_endpoint_without_any_series_passes_no_gate() {
    let folder = folder(&[("shop.prom", &shop(3)), ("empty.prom", ""), ("budgets.yaml", "total_series: 9\n")]);
    assert_eq!(cardinality(folder.path(), &["shop.prom", "--save-baseline", "base.json"]).code, 0);
    for limit in [["--max-series", "5"], ["--baseline", "base.json"], ["--budget-file", "budgets.yaml"]] {
        let run = cardinality(folder.path(), &["empty.prom", limit[0], limit[1], "--format", "json"]);
        assert_eq!(run.code, 1, "{limit:?}");
        assert!(run.stderr.contains("there is no series at all"), "{}", run.stderr);
        assert_eq!((&run.json()["passed"], &run.json()["findings"][0]["rule"]), (&false.into(), &"no-series".into()));
    }
    assert_eq!(cardinality(folder.path(), &["empty.prom"]).code, 0, "without a limit it is only said");
}

#[test]
fn a_budget_file_has_limits_by_metric_and_label_and_waivers_that_end() {
    let budget = |waivers: &str| {
        format!("default: {{series: 5}}\nmetrics:\n  logins_*: {{series: 100, labels: {{user: 39}}}}\nwaivers: [{waivers}]\n")
    };
    let with = |waivers: &str| {
        let folder = folder(&[("shop.prom", &shop(40)), ("budgets.yaml", &budget(waivers))]);
        cardinality(folder.path(), &["shop.prom", "--budget-file", "budgets.yaml"])
    };
    let run = with("");
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("logins_total has 40 values of user, more than 39"), "{}", run.stderr);
    let run = with("{metric: logins_total, label: user, until: 2999-01-31, reason: known}");
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert!(run.stdout.contains("(waived until 2999-01-31: known)"), "{}", run.stdout);
    let run = with("{metric: logins_total, label: user, until: 2001-01-31, reason: known}");
    assert_eq!(run.code, 1);
    assert!(run.stdout.contains("(waived until 2001-01-31, which is over: known)"), "{}", run.stdout);
    // Of another label.
    assert_eq!(with("{metric: logins_total, label: shop, until: 2999-01-31, reason: known}").code, 1);
    // A flag goes before the file.
    let folder = folder(&[("shop.prom", &shop(40)), ("budgets.yaml", &budget(""))]);
    assert_eq!(cardinality(folder.path(), &["shop.prom", "--budget-file", "budgets.yaml", "--max-label-values", "40"]).code, 0);
    let run = cardinality(folder.path(), &["shop.prom", "--budget-file", "shop.prom"]);
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert_eq!(cardinality(folder.path(), &["shop.prom", "--budget-file", "none.yaml"]).code, 5);
}

#[test]
fn a_body_with_errors_goes_before_a_limit_and_both_are_told() {
    let folder = folder(&[("shop.prom", &(shop(40) + "what is this\n"))]);
    let run = cardinality(folder.path(), &["shop.prom", "--max-series", "3"]);
    assert_eq!(run.code, 5);
    assert!(run.stderr.contains("41 series, more than 3") && run.stderr.contains("the body has 1 error"), "{}", run.stderr);
    let run = cardinality(folder.path(), &["shop.prom", "--max-series", "3", "--lenient"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert_eq!(cardinality(folder.path(), &["shop.prom", "--lenient"]).code, 0);
}

#[test]
fn a_scrape_that_the_server_refuses_for_its_type_fails_even_where_it_is_quiet() {
    let folder = folder(&[]);
    for header in ["Content-Type: application/json\r\n", ""] {
        let server = Server::with("200 OK", header, shop(3));
        let run = cardinality(folder.path(), &[&server.url(), "--max-series", "100", "--format", "json", "-q"]);
        assert_eq!(run.code, 5, "{}", run.stderr);
        assert!(run.stderr.contains("a Prometheus server refuses this scrape") && run.stderr.contains("Content-Type"), "{}", run.stderr);
        let json = run.json();
        assert_eq!((&json["quality"]["errors"], &json["total_series"]), (&1.into(), &4.into()));
        let error = &json["errors"][0];
        assert_eq!((&error["line"], &error["severity"], &error["source"]), (&0.into(), &"error".into(), &server.url().into()));
        let table = cardinality(folder.path(), &[&server.url()]).stdout;
        assert!(table.contains("\na Prometheus server refuses this scrape") && table.contains("1 error to Prometheus"), "{table}");
        assert_eq!(cardinality(folder.path(), &[&server.url(), "--lenient"]).code, 0);
    }
}

#[test]
fn each_error_names_its_source_and_all_of_several_that_fail_are_told() {
    let folder = folder(&[("a.prom", "a 1\nb one\n"), ("b.prom", "c 1\n\nd two\n"), ("page.prom", "<html>")]);
    let run = cardinality(folder.path(), &["a.prom", "b.prom"]);
    assert_eq!(run.code, 5);
    assert!(run.stdout.contains("\na.prom: 2:3: ") && run.stdout.contains("\nb.prom: 3:3: "), "{}", run.stdout);
    let json = cardinality(folder.path(), &["a.prom", "b.prom", "--format", "json"]).json();
    assert_eq!((&json["errors"][0]["source"], &json["errors"][1]["source"]), (&"a.prom".into(), &"b.prom".into()));
    let run = cardinality(folder.path(), &["./gone.prom", "page.prom"]);
    assert_eq!(run.code, 5);
    assert!(run.stderr.starts_with("error: none of 2 sources could be read: cannot read ./gone.prom: "), "{}", run.stderr);
    assert!(run.stderr.contains("; page.prom: this is a web page"), "{}", run.stderr);
}

#[test]
fn a_baseline_lets_the_same_pass_and_names_what_grew() {
    let folder = folder(&[("old.prom", &shop(40)), ("new.prom", &shop(60)), ("broken.json", "{}")]);
    let run = cardinality(folder.path(), &["old.prom", "--save-baseline", "base.json"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let saved = std::fs::read_to_string(folder.path().join("base.json")).unwrap();
    assert!(saved.contains("logins_total") && saved.contains("user"), "{saved}");
    assert!(!saved.contains("example.com") && !saved.contains("\"eu\""), "no label value is saved: {saved}");

    let run = cardinality(folder.path(), &["old.prom", "--baseline", "base.json"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert!(run.stdout.contains("the same series as in the baseline"), "{}", run.stdout);

    let run = cardinality(folder.path(), &["new.prom", "--baseline", "base.json"]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("logins_total has grown to 60 series, more than 49, by its label user"), "{}", run.stderr);
    let json = cardinality(folder.path(), &["new.prom", "--baseline", "base.json", "--format", "json"]).json();
    assert_eq!(json["changes"][0]["new"], 20);
    assert_eq!(json["changes"][0]["gone"], 0);
    assert_eq!(json["changes"][0]["new_label_values"], 20);
    assert_eq!(cardinality(folder.path(), &["new.prom", "--baseline", "base.json", "--max-growth", "50%"]).code, 0);
    // Named even where no row was asked for; what was not there has not grown.
    std::fs::write(folder.path().join("more.prom"), shop(40).replace("open 1\n", "") + &shop(60).replace("logins", "logouts")).unwrap();
    let run = cardinality(folder.path(), &["more.prom", "--baseline", "base.json", "--limit", "0", "--detail", "0"]);
    assert!(run.stderr.contains("logouts_total is new and has 60 series, more than 9"), "{}", run.stderr);
    assert!(run.stdout.contains("\nlogouts_total") && !run.stdout.contains("\nlogins_total"), "{}", run.stdout);
    // The other way round nothing grows.
    assert_eq!(cardinality(folder.path(), &["new.prom", "--save-baseline", "new.json"]).code, 0);
    assert_eq!(cardinality(folder.path(), &["old.prom", "--baseline", "new.json"]).code, 0);

    // Growth by a tenth, and by nine series, is allowed; one more is not.
    std::fs::write(folder.path().join("edge.prom"), shop(49)).unwrap();
    assert_eq!(cardinality(folder.path(), &["edge.prom", "--baseline", "base.json"]).code, 0);
    std::fs::write(folder.path().join("edge.prom"), shop(50)).unwrap();
    assert_eq!(cardinality(folder.path(), &["edge.prom", "--baseline", "base.json"]).code, 1);
    assert_eq!(cardinality(folder.path(), &["old.prom", "--save-baseline", "none/base.json"]).code, 5);

    let run = cardinality(folder.path(), &["old.prom", "--baseline", "broken.json"]);
    assert_eq!(run.code, 5);
    assert!(run.stderr.contains("broken.json is not a baseline of goscope"), "{}", run.stderr);
}

/// Each answer has ten users more.
fn growing() -> Server {
    let asked = AtomicUsize::new(0);
    Server::start(move |_, stream| {
        let body = shop(20 + 10 * asked.fetch_add(1, Ordering::Relaxed));
        write!(stream, "HTTP/1.1 200 OK\r\n{TEXT}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    })
}

#[test]
fn growth_is_told_over_several_scrapes() {
    let (folder, server) = (folder(&[]), growing());
    let args = [&server.url(), "--interval", "100ms", "--count", "3", "--max-series", "1000", "--format", "json"];
    let run = cardinality(folder.path(), &args);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let json = run.json();
    assert_eq!(json["total_series"], 41, "the last scrape is profiled");
    let total = &json["growth"]["total"];
    assert_eq!((&total["before"], &total["now"], &total["new"], &total["gone"]), (&21.into(), &41.into(), &20.into(), &0.into()));
    let (seconds, rate) = (total["seconds"].as_f64().unwrap(), total["new_per_second"].as_f64().unwrap());
    assert!(seconds >= 0.2 && (rate * seconds - 20.0).abs() < 1e-6, "{total}");
    assert!(json["growth"]["hours_until_budget"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_source_that_dies_between_two_scrapes_is_5_after_what_was_seen() {
    let folder = folder(&[("a.prom", &shop(3))]);
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |_, stream| match asked.fetch_add(1, Ordering::Relaxed) {
        seen @ 0..2 => write!(stream, "HTTP/1.1 200 OK\r\n{TEXT}Connection: close\r\n\r\n{}", shop(20 + 10 * seen)),
        _ => write!(stream, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    });
    let times = ["--interval", "50ms", "--count", "4", "--save-baseline", "base.json", "--format", "json", "-q"];
    let run = cardinality(folder.path(), &[&[server.url().as_str()][..], &times].concat());
    assert_eq!(run.code, 5, "{}", run.stderr);
    assert!(run.stderr.contains("ended early") && run.stderr.contains("500 Internal Server Error"), "{}", run.stderr);
    let json = run.json();
    assert_eq!((&json["growth"]["total"]["now"], json["target"]["failed"].as_array().unwrap().len()), (&31.into(), 1));
    assert!(!folder.path().join("base.json").exists());
}

/// A pipe that was read to its end is empty from then on: all series would be gone.
#[test]
fn what_can_be_read_only_once_is_refused_where_it_is_to_be_read_again() {
    let folder = folder(&[("a.prom", &shop(3))]);
    for args in
        [&["-", "--interval", "10ms"][..], &["/dev/stdin", "--interval", "10ms"], &["a.prom", "-", "--interval", "10ms"], &["-", "-"]]
    {
        let mut command = scraped::command(folder.path(), args);
        let (input, mut feed) = std::io::pipe().unwrap();
        feed.write_all(shop(3).as_bytes()).unwrap();
        drop(feed);
        let output = command.stdin(input).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {told}");
        assert!(told.contains("can be read only once") && output.stdout.is_empty(), "{args:?}: {told}");
    }
    let run = cardinality(folder.path(), &["a.prom", "--interval", "10ms"]);
    assert_eq!(run.code, 0, "a file is read again: {}", run.stderr);
}

#[test]
fn no_baseline_is_saved_of_a_scrape_that_is_not_whole() {
    let folder = folder(&[("good.prom", &shop(3)), ("bad.prom", &(shop(3) + "what is this\n"))]);
    let exists = || folder.path().join("base.json").exists();
    for sources in [&["good.prom", "./gone.prom"][..], &["bad.prom"]] {
        let run = cardinality(folder.path(), &[sources, &["--save-baseline", "base.json"]].concat());
        assert_eq!(run.code, 5);
        assert!(run.stderr.contains("base.json is not written") && !exists(), "{}", run.stderr);
    }
    assert_eq!(cardinality(folder.path(), &["bad.prom", "--lenient", "--save-baseline", "base.json"]).code, 0);
    assert!(exists(), "errors that are put up with are no obstacle");
}

#[test]
fn growth_is_told_in_figures_that_can_be_read() {
    let folder = folder(&[("a.prom", &shop(40)), ("b.prom", &shop(2000))]);
    let args = ["a.prom", "b.prom", "--successive", "--interval", "60", "--max-series", "4000"];
    let told = cardinality(folder.path(), &args).stdout;
    assert!(told.contains("  117,600\n") && told.contains("4,000 series in about 1m01s, if as many come in each hour"), "{told}");
}

#[test]
fn a_baseline_that_cannot_be_written_is_named() {
    let folder = folder(&[("a.prom", &shop(3))]);
    let run = cardinality(folder.path(), &["a.prom", "--save-baseline", "/dev/full"]);
    assert_eq!(run.code, 5);
    assert!(run.stderr.starts_with("error: cannot write /dev/full: No space left"), "{}", run.stderr);
}

#[test]
fn what_does_not_grow_has_no_hours() {
    let folder = folder(&[("a.prom", &shop(40)), ("b.prom", &shop(40))]);
    let run =
        cardinality(folder.path(), &["a.prom", "b.prom", "--successive", "--interval", "1h", "--max-series", "100", "--format", "json"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert!(run.json()["growth"]["hours_until_budget"].is_null());
    std::fs::write(folder.path().join("b.prom"), shop(30)).unwrap();
    let run =
        cardinality(folder.path(), &["a.prom", "b.prom", "--successive", "--interval", "1h", "--max-series", "100", "--format", "json"]);
    assert!(run.json()["growth"]["hours_until_budget"].is_null(), "it shrinks");
    assert_eq!(run.json()["growth"]["total"]["gone"], 10);
    assert_eq!(cardinality(folder.path(), &["a.prom", "--successive"]).code, 2);
}

#[test]
fn the_first_signal_ends_the_window_with_what_was_seen() {
    let (folder, server) = (folder(&[]), growing());
    let mut command = std::process::Command::new("env");
    command.arg("--default-signal").arg(env!("CARGO_BIN_EXE_goscope")).args(["cardinality", &server.url()]);
    command.args(["--interval", "1h", "--count", "9"]).current_dir(folder.path());
    let child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    server.requests.recv().unwrap();
    // From the end of the first scrape on a signal ends the window; before, it ends goscope, which is not what is tested.
    let waits = || std::fs::read_to_string(format!("/proc/{}/wchan", child.id())).unwrap_or_default().contains("futex");
    let threads = || std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap().count();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !(waits() && threads() <= 2) {
        assert!(std::time::Instant::now() < deadline, "it does not wait for the next scrape");
        std::thread::yield_now();
    }
    // SAFETY: no memory is passed; the process is this test's own child.
    assert_eq!(unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGINT) }, 0);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap().contains("21 series"));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "warning: there was one scrape only: growth cannot be told\n");
}

#[test]
fn several_sources_are_told_apart_by_their_instance() {
    let folder = folder(&[("a.prom", &shop(3)), ("b.prom", &(shop(3) + "inner{instance=\"x\"} 1\n"))]);
    let json = cardinality(folder.path(), &["a.prom", "b.prom", "--format", "json", "--show", "lint"]).json();
    assert_eq!(json["total_series"], 9);
    assert_eq!(json["target"]["sources"], serde_json::json!(["a.prom", "b.prom"]));
    let metric = |name: &str| json["metrics"].as_array().unwrap().iter().find(|metric| metric["name"] == name).unwrap().clone();
    let labels = |name: &str| metric(name)["labels"].as_array().unwrap().iter().map(|label| label["name"].clone()).collect::<Vec<_>>();
    assert_eq!(metric("logins_total")["series"], 6);
    assert_eq!(labels("logins_total"), ["shop", "user", "instance"]);
    assert_eq!(labels("inner"), ["exported_instance", "instance"]);

    let run = cardinality(folder.path(), &["a.prom", "gone.prom", "--format", "json"]);
    assert_eq!(run.code, 3, "what is no file is a process: {}", run.stderr);
    let run = cardinality(folder.path(), &["a.prom", "./gone.prom", "--format", "json"]);
    assert_eq!(run.code, 5, "{}", run.stderr);
    assert!(run.stderr.contains("gone.prom") && run.stderr.contains("1 source could not be read"), "{}", run.stderr);
    assert_eq!(run.json()["total_series"], 4);
    assert_eq!(run.json()["target"]["failed"].as_array().unwrap().len(), 1);

    let server = Server::with("200 OK", TEXT, shop(5));
    let json = cardinality(folder.path(), &["a.prom", &server.url(), "--format", "json"]).json();
    assert_eq!(json["total_series"], 10);
    let broken = Server::with("500 Internal Server Error", TEXT, "no\n");
    let run = cardinality(folder.path(), &["a.prom", &broken.url(), "--format", "json"]);
    assert_eq!((run.code, &run.json()["total_series"]), (5, &4.into()), "{}", run.stderr);
}
