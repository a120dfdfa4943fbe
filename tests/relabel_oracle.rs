//! Relabeling against Prometheus' own: the same configurations taken, the same labels made.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "support/property.rs"]
mod property;

use std::cell::RefCell;
use std::collections::BTreeMap;

use common::oracle::Oracle;
use goscope::cardinality::relabel::{Action, Config, Names};
use proptest::collection::vec;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

type Series = Vec<(String, String)>;

#[derive(Serialize)]
struct Question {
    rules: String,
    legacy: bool,
    series: Vec<Series>,
}

#[derive(Deserialize)]
struct Answer {
    error: String,
    series: Option<Vec<Option<Series>>>,
}

/// What the two made of a configuration: whether both took it.
#[derive(Debug, PartialEq)]
enum Verdict {
    Taken,
    Refused,
    /// goscope says that it cannot run what Prometheus takes.
    Unknown,
}

fn goscope(question: &Question) -> Result<Vec<Option<Series>>, String> {
    // Names of the server's configuration; a list alone has no place for them.
    let text = match question.legacy {
        true => format!("metric_name_validation_scheme: legacy\nmetric_relabel_configs: {}", question.rules),
        false => format!("metric_relabel_configs: {}", question.rules),
    };
    let config = Config::parse(&text, None).map_err(|error| error.to_string())?;
    assert_eq!(config.names == Names::Legacy, question.legacy);
    Ok(question.series.iter().map(|labels| config.process(labels)).collect())
}

fn compare(oracle: &mut Oracle, question: &Question) -> Result<Verdict, String> {
    let answer: Answer = oracle.ask(question);
    match (goscope(question), answer.error.as_str()) {
        (Ok(ours), "") => {
            let theirs = answer.series.unwrap();
            for ((labels, ours), theirs) in question.series.iter().zip(ours).zip(theirs) {
                if ours != theirs {
                    return Err(format!("{}\nover {labels:?}\ngoscope:    {ours:?}\nprometheus: {theirs:?}", question.rules));
                }
            }
            Ok(Verdict::Taken)
        }
        (Err(_), error) if !error.is_empty() => Ok(Verdict::Refused),
        (Err(error), _) if error.contains("goscope does not know") => Ok(Verdict::Unknown),
        (Err(error), _) => Err(format!("{}\nonly goscope refuses it: {error}", question.rules)),
        (Ok(_), error) => Err(format!("{}\nonly prometheus refuses it: {error}", question.rules)),
    }
}

fn data(file: &str) -> Vec<String> {
    let path = format!("{}/tests/fixtures/data/relabel/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

fn label_sets() -> Vec<Series> {
    let set = |line: &String| serde_json::from_str::<BTreeMap<String, String>>(line).unwrap().into_iter().collect();
    data("label_sets.txt").iter().map(set).collect()
}

#[test]
fn the_corpus_comes_out_as_prometheus_has_it() {
    let mut oracle = Oracle::start("relabel");
    let mut wrong = Vec::new();
    let (mut taken, mut unknown) = (0, Vec::new());
    for rules in data("rules.txt") {
        for legacy in [false, true] {
            match compare(&mut oracle, &Question { rules: rules.clone(), legacy, series: label_sets() }) {
                Ok(Verdict::Taken) => taken += 1,
                Ok(Verdict::Refused) => {}
                Ok(Verdict::Unknown) => unknown.push(rules.clone()),
                // An empty list has nothing to simulate, which is said; a server takes it.
                Err(_) if rules == "[]" => {}
                Err(error) => wrong.push(error),
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n\n"));
    assert!(taken > 200, "only {taken} were taken");
    unknown.dedup();
    let expected = [r"[{target_label: a, regex: '\x{d800}'}]", r"[{target_label: a, regex: '\pC'}]"];
    assert_eq!(unknown, expected, "what only Prometheus takes");
}

/// Each action is in the corpus with a configuration that is taken.
#[test]
fn the_corpus_has_every_action() {
    let rules: Vec<Config> = data("rules.txt").iter().filter_map(|rules| Config::parse(rules, None).ok()).collect();
    for action in Action::ALL {
        assert!(rules.iter().any(|config| config.rules.iter().any(|rule| rule.action == action)), "{action}");
    }
}

#[test]
fn every_character_has_the_case_that_go_gives_it() {
    let characters: Vec<char> = (1..=0x10_ffff).filter_map(char::from_u32).collect();
    let series: Vec<Series> = characters.chunks(512).map(|chunk| vec![("a".to_owned(), chunk.iter().collect())]).collect();
    let mut oracle = Oracle::start("relabel");
    for action in ["uppercase", "lowercase"] {
        let rules = format!("[{{source_labels: [a], target_label: b, action: {action}}}]");
        let mut differ = Vec::new();
        for series in series.chunks(16) {
            let question = Question { rules: rules.clone(), legacy: false, series: series.to_vec() };
            let answer: Answer = oracle.ask(&question);
            let results = goscope(&question).unwrap().into_iter().zip(answer.series.unwrap());
            for (ours, theirs) in results {
                let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
                let characters = ours[0].1.chars().zip(ours[1].1.chars()).zip(theirs[1].1.chars());
                assert_eq!(ours[1].1.chars().count(), theirs[1].1.chars().count());
                differ.extend(characters.filter(|((_, ours), theirs)| ours != theirs).map(|((of, ours), theirs)| (of, ours, theirs)));
            }
        }
        // Letters that newer tables know, and older ones leave as they are.
        differ.retain(|(of, _, theirs)| of != theirs);
        assert_eq!(differ, [], "{action}");
    }
}

/// Pieces of expressions, valid alone or not, common or known to differ between the two.
const PIECES: &[&str] = &[
    "a",
    "b",
    "B",
    "0",
    "_",
    "-",
    "é",
    "ſ",
    "K",
    ".",
    ".*",
    ".+",
    "(.*)",
    "(a)",
    "(a|b)",
    "(?P<n>a)",
    "(?<n>b)",
    "(?:a)",
    "(",
    "(?:",
    ")",
    "|",
    "*",
    "+",
    "?",
    "*?",
    "{2}",
    "{0,2}",
    "{1,}",
    "{,3}",
    "{",
    "}",
    "{2",
    "^",
    "$",
    "[ab]",
    "[^a]",
    "[a-c]",
    "[",
    "]",
    "[a[b]",
    "[a&&b]",
    "[a-",
    "[]a]",
    "[^]a]",
    "[[:alpha:]]",
    "[[:^word:]]",
    "[\\d-]",
    "[\\W]",
    "\\d",
    "\\D",
    "\\w",
    "\\W",
    "\\s",
    "\\S",
    "\\b",
    "\\B",
    "\\A",
    "\\z",
    "\\Q",
    "\\E",
    "\\Qa.\\E",
    "\\.",
    "\\-",
    "\\<",
    "\\_",
    "\\/",
    "\\x41",
    "\\x{e9}",
    "\\101",
    "\\1",
    "\\C",
    "\\pL",
    "\\PL",
    "\\p{Lu}",
    "\\p{^Lu}",
    "\\p{Greek}",
    "(?i)",
    "(?i:",
    "(?-i)",
    "(?s)",
    "(?-s)",
    "(?m)",
    "(?U)",
    "(?is-m:",
    "(|a)",
    "(a*)*",
    "(a|b*)*",
    "(a{2}){3}",
    "\\n",
    "\n",
    " ",
    "&&",
    "--",
    "~~",
];

fn expression() -> impl Strategy<Value = String> {
    // What YAML cannot hold is no question about expressions.
    let printable = any::<char>().prop_filter("not in YAML", |c| !c.is_control() && !matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}'));
    let piece = prop_oneof![
        12 => prop::sample::select(PIECES).prop_map(str::to_owned),
        1 => printable.clone().prop_map(String::from),
        1 => printable.prop_map(|c| format!("\\{c}")),
    ];
    // `prepare` of decode.go in go.yaml.in/yaml/v2 takes these for null though they are quoted, and the server then changes the default
    // expression of every later rule: what it answers from then on says nothing.
    let changes_the_default = |expression: &String| expression == "~" || expression == "null";
    vec(piece, 0..7).prop_map(|pieces| pieces.concat()).prop_filter("null to YAML", move |expression| !changes_the_default(expression))
}

fn template() -> impl Strategy<Value = String> {
    let pieces = ["$1", "${1}", "$2", "$0", "$$", "$", "${n}", "$n", "${", "}", "x", "_", "1", "é", "-", "${none}", "$01"];
    vec(prop::sample::select(pieces.to_vec()), 0..4).prop_map(|pieces| pieces.concat())
}

fn label() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "B", "__name__", "__tmp", "a.b", "é"]).prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = String> {
    vec(prop::sample::select("aabbABC01-_. é/\nſK\u{212a}".chars().collect::<Vec<_>>()), 0..6).prop_map(|value| value.into_iter().collect())
}

/// One rule as YAML. Most fields are absent most of the time, so that most rules are valid.
fn rule() -> impl Strategy<Value = String> {
    use prop::option::weighted;
    let action = prop::sample::select(Action::ALL.to_vec());
    let fields = (
        weighted(0.6, vec(label(), 0..3)),
        weighted(0.15, prop::sample::select(vec!["", ",", "$1", ";"])),
        weighted(0.6, expression()),
        weighted(0.3, 0u64..5),
        weighted(0.7, prop_oneof![3 => label(), 1 => template()]),
        weighted(0.4, template()),
    );
    (action, fields, any::<u8>()).prop_map(|(action, (sources, separator, regex, modulus, target, replacement), spoil)| {
        let mut rule = serde_json::Map::new();
        let mut put = |key: &str, value: Option<serde_json::Value>| {
            if let Some(value) = value {
                rule.insert(key.to_owned(), value);
            }
        };
        // Now and then, what the action does not take.
        let wild = spoil < 20;
        let names = matches!(action, Action::LabelDrop | Action::LabelKeep);
        let equal = matches!(action, Action::KeepEqual | Action::DropEqual);
        let case = matches!(action, Action::Lowercase | Action::Uppercase);
        put("action", Some(action.as_str().into()));
        put("source_labels", sources.filter(|_| wild || !names).map(Into::into));
        put("separator", separator.filter(|_| wild || !names && !equal).map(Into::into));
        put("regex", regex.filter(|_| wild || !equal).map(Into::into));
        let modulus = if action == Action::HashMod && !wild { Some(modulus.unwrap_or(3).max(1)) } else { modulus.filter(|_| wild) };
        put("modulus", modulus.map(Into::into));
        put("target_label", target.filter(|_| wild || !names).map(Into::into));
        put("replacement", replacement.filter(|_| wild || !names && !equal && !case).map(Into::into));
        // A JSON object is YAML too.
        serde_json::Value::Object(rule).to_string()
    })
}

#[test]
fn generated_configurations_come_out_as_prometheus_has_them() {
    let oracle = RefCell::new(Oracle::start("relabel"));
    let taken = RefCell::new(0);
    let series = vec(prop::collection::btree_map(label(), value(), 0..5).prop_map(|labels| labels.into_iter().collect::<Series>()), 1..8);
    let mut runner = proptest::test_runner::TestRunner::new(property::cases(4096));
    let result = runner.run(&(vec(rule(), 1..3), series, prop::bool::weighted(0.2)), |(rules, series, legacy)| {
        let question = Question { rules: format!("[{}]", rules.join(", ")), legacy, series };
        match compare(&mut oracle.borrow_mut(), &question) {
            Ok(verdict) => *taken.borrow_mut() += usize::from(verdict == Verdict::Taken),
            Err(error) => return Err(TestCaseError::fail(error)),
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    let taken = *taken.borrow();
    assert!(taken > 800, "only {taken} of the generated configurations were valid");
}
