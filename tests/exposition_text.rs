//! The parser of Prometheus text against Prometheus' own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::oracle::{self, Entry, Oracle, Scrape};

/// Module v0.316.0 is Prometheus 3.16.0.
#[test]
fn the_version_named_is_the_one_compared_with() {
    let modules = include_str!("fixtures/go/oracle/go.mod");
    let pinned = modules.lines().find_map(|line| line.trim().strip_prefix("github.com/prometheus/prometheus ")).unwrap();
    assert_eq!(oracle::version(), pinned);
    let (minor, patch) = pinned.strip_prefix("v0.3").unwrap().split_once('.').unwrap();
    assert_eq!(goscope::formats::exposition::PROMETHEUS, format!("3.{}.{patch}", minor.parse::<u32>().unwrap()));
}

#[test]
fn the_oracle_answers_each_question_in_turn() {
    let mut oracle = Oracle::start("parse");
    for value in ["1", "23", "456"] {
        let parsed = oracle.parse(&Scrape::text(format!("a{{b=\"c\"}} {value}\n").as_bytes()));
        let [Entry::Series(series)] = parsed.entries.as_slice() else { panic!("{parsed:?}") };
        assert_eq!(series.labels, [("__name__".to_owned(), "a".to_owned()), ("b".to_owned(), "c".to_owned())]);
        assert_eq!(series.value.as_deref(), Some(value));
    }
    assert_ne!(oracle.parse(&Scrape::text(b"a 1\r\n")).error, "");
}
