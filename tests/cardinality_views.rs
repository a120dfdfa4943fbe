//! `--format folded`, `pprof` and `svg`: every series is in them once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/scraped.rs"]
mod scraped;

use std::process::Command;

use scraped::{cardinality, command, folder, scrapes};

const NAMES: [&str; 3] = ["client_golang.txt", "prometheus.txt", "kubestate.txt"];

#[test]
fn the_stacks_hold_all_series() {
    for name in NAMES {
        let total = cardinality(&scrapes(), &[name, "--format", "json"]).json()["total_series"].as_u64().unwrap();
        let folded = cardinality(&scrapes(), &[name, "--format", "folded"]);
        let sum: u64 = folded.stdout.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum();
        assert_eq!(sum, total, "{name}");
        let svg = cardinality(&scrapes(), &[name, "--format", "svg"]).stdout;
        assert!(svg.contains("<svg") && svg.trim_end().ends_with("</svg>"), "{name}");
        assert!(!svg.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{name}");
    }
}

#[test]
fn a_label_follows_from_another_only_if_that_says_something() {
    let hit = |n: u32| {
        let path = if n.is_multiple_of(2) { format!("/users/{n}") } else { format!("/files/{n}/raw") };
        format!("hits{{path=\"{path}\",client=\"10.0.0.{n}\",zone=\"z{}\",country=\"c{}\",status=\"{}\"}} 1\n", n % 6, n % 3, n % 4)
    };
    let folder = folder(&[("hits.prom", &(0..60).map(hit).collect::<String>())]);
    let table = cardinality(folder.path(), &["hits.prom"]).stdout;
    let line = |label: &str| table.lines().find(|line| line.trim_start().starts_with(label)).unwrap();
    assert!(line("client ").contains("follows from path") && line("path ").contains("follows from client"), "{table}");
    assert!(line("country ").contains("follows from zone"), "{table}");
    assert!(!line("zone ").contains("follows") && !line("status ").contains("follows"), "{table}");
    assert!(line("path ").contains("path_with_ids /files/:id/raw and 1 more"), "{table}");
}

#[test]
fn a_limit_of_exemplars_is_filled_and_told() {
    for most in [1, 3, 5, 20] {
        let args = ["client_golang.om.txt", "--exemplar-series", &most.to_string(), "--limit", "1"];
        let exemplars = cardinality(&scrapes(), &[&args[..], &["--format", "json"]].concat()).json()["exemplars"].clone();
        let all =
            cardinality(&scrapes(), &["client_golang.om.txt", "--format", "json"]).json()["exemplars"]["most_active"]["series"].clone();
        let (all, left) = (all.as_u64().unwrap(), exemplars["most_active"]["series"].as_u64().unwrap());
        assert_eq!((left, &exemplars["series_limit"]), (all.min(most), &most.into()));
        let table = cardinality(&scrapes(), &args).stdout;
        assert!(table.contains("EXEMPLARS OF") && table.contains(&format!("in at most {most} series of all metrics")), "{table}");
    }
}

#[test]
fn go_tool_pprof_reads_the_profile() {
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("series.pb.gz");
    for name in NAMES {
        let total = cardinality(&scrapes(), &[name, "--format", "json"]).json()["total_series"].as_u64().unwrap();
        let output = command(&scrapes(), &[name, "--format", "pprof", "--output", profile.to_str().unwrap()]).output().unwrap();
        assert!(output.status.success() && output.stdout.is_empty());
        let top = Command::new("go").args(["tool", "pprof", "-top"]).arg(&profile).output().unwrap();
        let text = String::from_utf8(top.stdout).unwrap();
        assert!(top.status.success() && text.contains("Type: series"), "{text}");
        assert!(text.contains(&format!("of {total} total")), "{name}: {text}");
    }
}

/// What a terminal of that width shows, without what follows the tables.
fn on_terminal(columns: u16, args: &str) -> Vec<String> {
    let goscope = format!("{} cardinality {args} --color never", env!("CARGO_BIN_EXE_goscope"));
    let shell = format!("stty cols {columns} rows 50; {goscope}");
    let output = Command::new("script").args(["--quiet", "--command", &shell, "/dev/null"]).current_dir(scrapes()).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn a_narrow_terminal_shows_whole_names() {
    let wide = cardinality(&scrapes(), &["kubestate.txt"]).stdout;
    let names: Vec<&str> = wide.lines().skip(1).take_while(|line| !line.is_empty()).map(|line| line.split(' ').next().unwrap()).collect();
    for columns in [60, 80, 100, 120] {
        let lines = on_terminal(columns, "kubestate.txt");
        let table = lines.split(|line| line.is_empty()).next().unwrap();
        assert!(table.iter().all(|line| line.chars().count() <= usize::from(columns)), "{columns}: {table:#?}");
        let shown: Vec<&str> = table.iter().skip(1).map(|line| line.split(' ').next().unwrap()).take(20).collect();
        if columns >= 80 {
            assert_eq!(shown, names, "{columns}");
        }
        let distinct: std::collections::BTreeSet<&&str> = shown.iter().collect();
        assert_eq!(distinct.len(), shown.len(), "names are told apart in {columns} columns: {shown:?}");
    }
}

#[test]
fn a_terminal_of_80_columns_or_more_shows_more_than_one_top_value() {
    for columns in [80, 100, 120] {
        let pods = on_terminal(columns, "kubestate.txt --top 3").into_iter().find(|line| line.starts_with("  pod ")).unwrap();
        assert!(pods.contains(" (5), catal"), "{columns}: {pods}");
    }
}
