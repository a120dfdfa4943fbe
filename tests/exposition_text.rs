//! The parser of Prometheus text against Prometheus' own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/changed_body.rs"]
mod changed_body;
mod common;
#[path = "support/property.rs"]
mod property;
#[path = "support/scrape_items.rs"]
mod scrape_items;

use std::cell::RefCell;

use changed_body::changed;
use common::oracle::{self, Entry, Oracle, Scrape};
use goscope::formats::exposition::{Format, PROMETHEUS, Parser, Rules};
use proptest::prelude::*;
use scrape_items::{Items, go_number};

fn read_in(body: &[u8], blocks: &[usize]) -> Items {
    Items::read(&mut Parser::new(Format::Text, Rules::Prometheus), body, blocks)
}

fn read(body: &[u8]) -> Items {
    read_in(body, &[])
}

/// Both take the same samples and metadata up to the first error, or to the end, and one has an error if the other has.
fn compare(oracle: &mut Oracle, body: &[u8]) -> Result<(), String> {
    let mut truth = oracle.parse(&Scrape::text(body));
    let items = read(body);
    // Where two texts of a float are equally short and near, Go prints another one than Rust.
    for entry in &mut truth.entries {
        let Entry::Series(series) = entry else { continue };
        series.value = series.value.as_ref().map(|value| go_number(value.parse().unwrap()));
    }
    // Metadata of a name that is not UTF-8 belongs to no series.
    truth.entries.retain(|entry| {
        let (Entry::Type { name, .. } | Entry::Help { name, .. }) = entry else { return true };
        !name.as_deref().unwrap_or_default().contains('\u{fffd}')
    });
    let refused = items.first_error().map(|(_, problem)| problem.to_string());
    if refused.is_some() == truth.error.is_empty() || items.taken() != truth.entries {
        let error = truth.error;
        return Err(format!("ours: {refused:?} {:#?}\ntruth: {error:?} {:#?}", items.taken(), truth.entries));
    }
    Ok(())
}

/// Module v0.316.0 is Prometheus 3.16.0.
#[test]
fn the_version_named_is_the_one_compared_with() {
    let modules = include_str!("fixtures/go/oracle/go.mod");
    let pinned = modules.lines().find_map(|line| line.trim().strip_prefix("github.com/prometheus/prometheus ")).unwrap();
    assert_eq!(oracle::version(), pinned);
    let (minor, patch) = pinned.strip_prefix("v0.3").unwrap().split_once('.').unwrap();
    assert_eq!(PROMETHEUS, format!("3.{}.{patch}", minor.parse::<u32>().unwrap()));
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

#[test]
fn oddities_are_taken_as_the_server_takes_them() {
    let taken: &[&[u8]] = &[
        b"",
        b"\n",
        b"a 1",
        b"\n\n \t\na 1\n",
        b"a { b = \"c\" } 1\n",
        b"a{b=\"c\",} 1\n",
        b"a{b=\"c\"}1\n",
        b"a{b=\"c\" d=\"e\"} 1\n",
        b"a{b=\"c\"d=\"e\"} 1\n",
        b"a 1 \t\n",
        b"a-1\n",
        b"# FOO\n#\n# \n#x\n# HELPa b\n# EOF\na 1\n",
        b"a{b=\"c\nd\"} 1\na 2\n",
        b"a{b=\"\\q\\\\\\\"\\n\"} 1\n",
        b"{c=\"d\",\"a.b\"} 1\n",
        b"{\"a.b\"} 1\n",
        b"{\"a.b\",\"c.d\"=\"e\"} 1\n",
        b"a{\"b c\"=\"d\"} 1\n",
        b"{\"a\\\"b\\\\c\\nd\"} 1\n",
        b"\ta 1\n",
        b"a{} 1 123\n",
        b"a 1 9223372036854775807\n",
        b"a NaN\na +Inf\na -Inf\na inf\na infinity\na .5\na 5.\na 1e5\n",
        b"a{b=\"\"} 1\na{b=\"\",b=\"c\"} 1\na{\"\"=\"\"} 1\na{\"\xff\"=\"\"} 1\n",
        b"# TYPE a histogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"1.0\",quantile=\"1\"} 1\nb{le=\"0x1p-2\"} 1\nb{le=\"1_0\"} 1\nb{le=\"x\"} 1\n",
        b"# TYPE a histogram\n# TYPE b gauge\na_bucket{le=\"1\"} 1\n",
        b"# TYPE a histogram\na_bucket{le=\"1739289340533294.25\"} 1\na_bucket{le=\"123456.00048828125\"} 1\n",
        b"# TYPE a summary\na{quantile=\"1\",le=\"1\"} 1\n",
        b"# TYPE \"a b\" gauge\n# HELP \"a b\" c\n# TYPE a-gauge\n# TYPE \"a\"xgauge\n",
        b"# HELP a \\\\ \\n \\\" \\\n# HELP a\n# HELP a \t \n#\tHELP\ta\tb\n",
        b"a 1\n\0 anything {{{\n",
        b"#\0 anything {{{\n",
        b"# HE\0LP a b\n# \0",
        b"a{b=\"c\0d\"} 1\na{b=\"c\"\0\0} 1\n",
    ];
    let refused: &[&[u8]] = &[
        b"a 1\r\n",
        b"# TYPE a gauge\r\n",
        b"\r\n",
        b"\xef\xbb\xbfa 1\n",
        b"a{,} 1\n",
        b"{} 1\n",
        b"{a=\"b\"} 1\n",
        b"{__name__=\"a\"} 1\n",
        b"{\"a\",\"b\"} 1\n",
        b"{\"\"} 1\n",
        b"a{\"b\"} 1\n",
        b"a{b=\"c\",,} 1\n",
        b"a{__name__=\"z\"} 1\n",
        b"a{__name__=\"\"} 1\n",
        b"a{b=\"1\",b=\"1\"} 1\n",
        b"a{\"\"=\"b\"} 1\n",
        b"a{\"\xff\"=\"b\"} 1\n",
        b"a{b=\"\xff\"} 1\n",
        b"{\"\xff\"} 1\n",
        b"\xff 1\n",
        b"a{b=\"c} 1\n",
        b"a{b=\"\\\n\"} 1\n",
        b"a{b=c} 1\n",
        b"a{b} 1\n",
        b"a{b=\"c\"\n} 1\n",
        b"a\n",
        b"a one\n",
        b"a 1e400\n",
        b"a 0x1p3\n",
        b"a 1_0\n",
        b"a 1 -5\n",
        b"a 1 1.5\n",
        b"a 1 9223372036854775808\n",
        b"a 1 2 3\n",
        b"a 1 # {b=\"c\"} 1\n",
        b"# TYPE a stateset\n",
        b"# TYPE a  gauge\n",
        b"# TYPE a gauge \n",
        b"# TYPE a\n",
        b"# TYPE \n",
        b"# HELP a \xff\n",
        b"# HELP 1 b\n",
        b"# HELP a\0\n",
        b"<html>\n",
        b"a{b=\"c\"\0",
    ];
    let mut oracle = Oracle::start("parse");
    let mut wrong = Vec::new();
    for (bodies, expected) in [(taken, true), (refused, false)] {
        for body in bodies {
            let shown = String::from_utf8_lossy(body);
            if read(body).first_error().is_none() != expected {
                wrong.push(format!("{shown:?}: expected {expected}"));
            }
            if let Err(difference) = compare(&mut oracle, body) {
                wrong.push(format!("{shown:?}: {difference}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

const GOOD: &str = "# HELP http_requests_total Requests, by code.\n# TYPE http_requests_total counter\n\
    http_requests_total{code=\"200\",path=\"/a/b\"} 12\nhttp_requests_total{code=\"404\",path=\"\"} 3 1700000000000\n\n\
    # TYPE latency_seconds histogram\nlatency_seconds_bucket{le=\"1\"} 1\nlatency_seconds_bucket{le=\"2.50\"} 1\n\
    latency_seconds_bucket{le=\"+Inf\"} 2\nlatency_seconds_sum 0.30000000000000004\nlatency_seconds_count 2\n\
    # TYPE gc_seconds summary\ngc_seconds{quantile=\"0\"} NaN\ngc_seconds{quantile=\"0.5\"} 1e-05\n\
    {\"dotted.name\",\"a b\"=\"ü\\n\\\"\"} -0\nup 1";

const PIECES: &[&[u8]] = &[
    b"a",
    b"le",
    b"quantile",
    b"__name__",
    b"{",
    b"}",
    b"=",
    b",",
    b"\"",
    b"\"",
    b"\\",
    b"\n",
    b"\n",
    b" ",
    b"\t",
    b"\r",
    b"\0",
    b"1",
    b"-1.5",
    b"NaN",
    b"+Inf",
    b"# TYPE a histogram\n",
    b"# TYPE b summary\n",
    b"# TYPE c gauge\n",
    b"# TYPE ",
    b"# HELP a ",
    b"#",
    b"# ",
    b"gauge",
    b"\xc3\xa9",
    b"\xff",
    b"\xc3",
    b"\"x\"",
    b"=\"1\"",
    b"=\"\"",
    b"le=\"1\"",
    b"quantile=\"1\"",
    b"b=\"c\",",
    b"a{le=\"1\"} 1\n",
    b"a{b=\"c\"} 1 2\n",
    b"a 1\n",
    b"{\"a.b\",",
    b"} 1\n",
    b" 1\n",
    b"0x1p-3",
    b"1_0",
    b"e400",
    b"HELP",
    b":",
    b"\"\0",
    b"\\\"",
];

fn soup() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(proptest::sample::select(PIECES), 0..24).prop_map(|pieces| pieces.concat())
}

/// What is mostly taken, with all that the grammar leaves free.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let number = || {
        prop_oneof![
            6 => "[-+]?[0-9]{1,4}(\\.[0-9]{0,4})?([eE][-+]?[0-9]{1,2})?",
            // Often with two shortest texts that are equally near.
            2 => (any::<u64>(), 0..70).prop_map(|(bits, power)| (bits as f64 / 2f64.powi(power)).to_string()),
            2 => any::<f64>().prop_map(|value| format!("{value:e}")),
            1 => "[-+]?(0[xX])?[0-9a-f_.]{1,18}([pPeE][-+]?[0-9_]{1,3})?",
            1 => proptest::sample::select(&["NaN", "+Inf", "-Inf", "inf", "nan", "Infinity", "5.", ".5", "1e22", "123456", "1234567"][..]).prop_map(str::to_owned),
        ]
    };
    let label = prop_oneof![
        2 => ("(le|quantile)", number()).prop_map(|(name, value)| format!("{name}=\"{value}\"")),
        4 => ("[a-e_][0-9]?", "([a-zé{},= \n\0]|\\\\[n\\\\\"a])*").prop_map(|(name, value)| format!("{name}=\"{value}\"")),
        1 => ("\"([a-cé. ]|\\\\[n\\\\\"])*\"[ \t]?", "[a-c]?").prop_map(|(name, value)| format!("{name}= \"{value}\"")),
    ];
    let labels = proptest::collection::vec((label, "(,|, |,\t|,|,| )"), 0..4)
        .prop_map(|labels| labels.into_iter().map(|(label, separator)| label + &separator).collect::<String>());
    let series = prop_oneof![
        3 => ("[ ]?[a-z_:][a-z_:0-9]{0,3}", labels.clone()).prop_map(|(name, labels)| format!("{name}{{{labels}}}")),
        1 => "[a-z_:]{1,4}[ \t]?",
        1 => ("\"[a-zé. ]{1,4}\"", labels).prop_map(|(name, labels)| format!("{{{labels}{name}}}")),
    ];
    let line = prop_oneof![
        6 => (series, " {0,2}", number(), "( [0-9]{1,14}[ ]?)?").prop_map(|(series, blank, value, time)| format!("{series}{blank}{value}{time}\n")),
        2 => "#[ \t]TYPE[ \t]{1,2}([a-z]|\"[a-z. ]\") (histogram|summary|histogram|summary|gauge|counter|untyped)\n",
        1 => "#[ \t]HELP ([a-z]|\"[a-z. ]\")[ \t]([a-zé\0 ]|\\\\[n\\\\\"])*\n",
        1 => "#?[ \t]*\n",
    ];
    proptest::collection::vec(line, 1..8).prop_map(|lines| lines.concat().into_bytes())
}

thread_local! {
    static ORACLE: RefCell<Oracle> = RefCell::new(Oracle::start("parse"));
}

fn same(body: &[u8]) -> Result<(), TestCaseError> {
    ORACLE
        .with_borrow_mut(|oracle| compare(oracle, body))
        .map_err(|difference| TestCaseError::fail(format!("{:?}: {difference}", String::from_utf8_lossy(body))))
}

proptest! {
    #![proptest_config(property::cases(2000))]

    #[test]
    fn a_changed_body_is_taken_or_refused_as_by_the_server(body in changed(GOOD, PIECES)) {
        same(&body)?;
    }

    #[test]
    fn pieces_of_lines_are_taken_or_refused_as_by_the_server(body in soup()) {
        same(&body)?;
    }

    #[test]
    fn lines_of_all_forms_are_taken_as_by_the_server(body in lines()) {
        same(&body)?;
    }

    #[test]
    fn cuts_change_nothing(body in prop_oneof![changed(GOOD, PIECES), soup(), lines()], blocks in proptest::collection::vec(0..9usize, 0..200)) {
        prop_assert_eq!(read_in(&body, &blocks), read(&body));
    }
}

#[test]
fn the_good_body_is_good() {
    assert_eq!(read(GOOD.as_bytes()).problems, []);
}
