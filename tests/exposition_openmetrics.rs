//! The parser of OpenMetrics 1.0 against Prometheus' own.

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
use common::oracle::{Entry, Oracle, Scrape};
use goscope::formats::exposition::{Format, LONGEST_LINE, Parser, Rules};
use proptest::prelude::*;
use scrape_items::Items;

fn read_in(body: &[u8], blocks: &[usize], rules: Rules) -> Items {
    Items::read(&mut Parser::new(Format::OpenMetrics1, rules), body, blocks)
}

fn read(body: &[u8]) -> Items {
    read_in(body, &[], Rules::Prometheus)
}

/// Both take the same samples and metadata up to the first error, or to the end, and one has an error if the other has.
fn compare(oracle: &mut Oracle, body: &[u8]) -> Result<(), String> {
    let mut truth = oracle.parse(&Scrape::openmetrics(body));
    let items = read(body);
    let not_utf8 = |name: &str| name.contains('\u{fffd}');
    // Metadata of a name that is not UTF-8 belongs to no series, and a label of an exemplar with such a name is left out.
    truth.entries.retain_mut(|entry| match entry {
        Entry::Type { name, .. } | Entry::Help { name, .. } | Entry::Unit { name, .. } => !not_utf8(name.as_deref().unwrap_or_default()),
        Entry::Series(series) => {
            for exemplar in &mut series.exemplars {
                exemplar.labels.retain(|(name, _)| !not_utf8(name));
                // Sorted by name only, there.
                exemplar.labels.sort();
            }
            true
        }
    });
    let mut ours = items.taken().to_vec();
    // NUL bytes behind a help line, and its newline, belong to its text there.
    for entries in ours.iter().zip(&mut truth.entries) {
        if let (Entry::Help { text: ours, .. }, Entry::Help { text, .. }) = entries
            && let Some(whole) = text.as_deref().and_then(|text| text.trim_end_matches('\0').strip_suffix('\n'))
            && ours.as_deref().unwrap_or_default() == whole
        {
            text.clone_from(ours);
        }
    }
    let refused = items.first_error().map(|(_, problem)| problem.to_string());
    if !truth.error.is_empty() && refused.is_some() {
        // The lexer there finds some errors in the rest of a line only after it has handed out the sample.
        let both = ours.len().min(truth.entries.len());
        if truth.entries.len() <= both + 1 {
            truth.entries.truncate(both);
        }
        ours.truncate(both);
    }
    if refused.is_some() == truth.error.is_empty() || ours != truth.entries {
        let error = truth.error;
        return Err(format!("ours: {refused:?} {ours:#?}\ntruth: {error:?} {:#?}", truth.entries));
    }
    Ok(())
}

#[test]
fn oddities_are_taken_as_the_server_takes_them() {
    let taken: &[&[u8]] = &[
        b"",
        b"# EOF",
        b"# EOF\n",
        b"# EOF\n\0\0",
        b"# E\0OF\0",
        b"a 1\n# EOF",
        b"a{} 1\n# EOF\n",
        b"a{b=\"c\",} 1\n# EOF\n",
        b"{\"a\"} 1\n# EOF\n",
        b"{\"a\",} 1\n# EOF\n",
        b"{b=\"c\",\"a\"} 1\n# EOF\n",
        b"{\"a b\",\"c d\"=\"e\"} 1\n# EOF\n",
        b"{\"a\nb\"} 1\nc 2\n# EOF\n",
        b"a{\"b\nc\"=\"d\"} 1\nc 2\n# EOF\n",
        b"# HELP \"a\nb\" c\n# TYPE \"a\nb\" gauge\n# UNIT \"a_s\" s\n# EOF\n",
        b"a:b 1\n# EOF\n",
        b":a 1\n# EOF\n",
        b"a 1 1\na 1 1.5\na 1 -1.0005\na 1 1e300\na 1 0.9999\n# EOF\n",
        b"a NaN\na nan\na +Inf\na -inf\na Infinity\na .5\na 1.\na 1e-400\n# EOF\n",
        b"a 1 # {} 1\na 1 # {b=\"c\"} 1 1.5\na 1 2 # {b=\"c\",} NaN\na 1 # {\"b c\"=\"d\\\"\"} 1\n# EOF\n",
        b"a 1 # {b=\"c\",b=\"c\"} 1\n# EOF\n",
        b"a 1 # {\"\xff\"=\"c\",d=\"\"} 1\n# EOF\n",
        b"# TYPE a histogram\na_bucket{le=\"1\"} 1\nb{le=\"1e6\"} 1\nb{le=\"x\"} 1\nb{le=\"\"} 1\n# EOF\n",
        b"# TYPE a summary\na{quantile=\"1\",le=\"1\"} 1\n# TYPE a gaugehistogram\nb{le=\"1\",quantile=\"1\"} 1\n# EOF\n",
        b"# TYPE a counter\na_total 1\na_created 1.5\na_total 1\na_total 1\n# EOF\n",
        b"# TYPE a info\n# TYPE b stateset\n# TYPE c unknown\n# EOF\n",
        b"# UNIT a \n# HELP a \n# HELP a  x \\n \\\\ \\\" \\q\n# EOF\n",
        b"# HELP a b\n\0\0a 1\n# EOF\n",
        b"# H\0ELP \0a \0b\0\n# EOF\n",
        b"a{b=\"\"} 1\na{b=\"\",b=\"c\"} 1\na{\"\"=\"\"} 1\n# EOF\n",
        b"a{b=\"c\0d\"} 1\na{b=\"c\"\0\0} 1\na{b=\"c\"\0} 1\na{b=\"\\\0\"\"} 1\n# EOF\n",
        b"a{b=\"\\q\\\\\\\"\\n\"} 1\n# EOF\n",
        b"# HELP \"\xff\" b\n# EOF\n",
        b"a 1\n# TYPE a gauge\n# TYPE a counter\n# EOF\n",
    ];
    let refused: &[&[u8]] = &[
        b"\n",
        b"a 1\n",
        b"a 1",
        b"a 1\n# EO",
        b"# EOF\n\n",
        b"# EOF\n# EOF\n",
        b"# EOFa",
        b" # EOF\n",
        b"#  EOF\n",
        b"# FOO\n# EOF\n",
        b"#\n# EOF\n",
        b"\na 1\n# EOF\n",
        b"a  1\n# EOF\n",
        b"a\t1\n# EOF\n",
        b"a 1 \n# EOF\n",
        b"a 1 1 \n# EOF\n",
        b"a 1 1 1\n# EOF\n",
        b"a 1\r\n# EOF\n",
        b"a 1 1\r\n# EOF\n",
        b"# TYPE a gauge\r\n# EOF\n",
        b"a 1\n# EOF\r\n",
        b"a {b=\"c\"} 1\n# EOF\n",
        b"a{ b=\"c\"} 1\n# EOF\n",
        b"a{b=\"c\", d=\"e\"} 1\n# EOF\n",
        b"a{,} 1\n# EOF\n",
        b"a{b=\"c\",,} 1\n# EOF\n",
        b"a{b=\"c\"}1\n# EOF\n",
        b"a{b=\"c\n\"} 1\n# EOF\n",
        b"a{b:c=\"c\"} 1\n# EOF\n",
        b"a{b=\"\xff\"} 1\n# EOF\n",
        b"a{\"\xff\"=\"b\"} 1\n# EOF\n",
        b"a{b=\"c\"} 1 # {d=\"\xff\"} 1\n# EOF\n",
        b"{} 1\n# EOF\n",
        b"{\"\"} 1\n# EOF\n",
        b"{b=\"c\"} 1\n# EOF\n",
        b"{__name__=\"a\"} 1\n# EOF\n",
        b"a{__name__=\"a\"} 1\n# EOF\n",
        b"a{\"b\"} 1\n# EOF\n",
        b"{\"a\",\"b\"} 1\n# EOF\n",
        b"{\"a\"}{} 1\n# EOF\n",
        b"a{b=\"1\",b=\"2\"} 1\n# EOF\n",
        b"a{\"\"=\"b\"} 1\n# EOF\n",
        b"a 1 NaN\n# EOF\n",
        b"a 1 +Inf\n# EOF\n",
        b"a 1 # {} 1 Inf\n# EOF\n",
        b"a 1e400\n# EOF\n",
        b"a 0x1p3\n# EOF\n",
        b"a 1_0\n# EOF\n",
        b"a 1 1e400\n# EOF\n",
        b"a 1 #\n# EOF\n",
        b"a 1 # \n# EOF\n",
        b"a 1 # x\n# EOF\n",
        b"a 1 # {}\n# EOF\n",
        b"a 1 # {} 1 \n# EOF\n",
        b"a 1 # {} 1 1 1\n# EOF\n",
        b"a 1 # {\"b\"} 1\n# EOF\n",
        b"a 1 # {\"b\nc\"=\"d\"} 1\n# EOF\n",
        b"a 1 # {b=\"c\0\"} 1\n# EOF\n",
        b"a 1 # {} 1 # {} 1\n# EOF\n",
        b"a 1\0\n# EOF\n",
        b"\0a 1\n# EOF\n",
        b"a 1\n\0# EOF\n",
        b"# TYPE a gauge\n\0# EOF\n",
        b"# \0EOF\n",
        b"# TYPE a\n# EOF\n",
        b"# TYPE a untyped\n# EOF\n",
        b"# TYPE a gauge \n# EOF\n",
        b"# TYPE  a gauge\n# EOF\n",
        b"# TYPE 1 gauge\n# EOF\n",
        b"# HELP a\n# EOF\n",
        b"# HELP a \xff\n# EOF\n",
        b"# HELP a\tb\n# EOF\n",
        b"# UNIT a s\n# EOF\n",
        b"# UNIT as s\n# EOF\n",
        b"# UNIT _s _s\n# EOF\n",
        b"# UNIT a_s s\n\0# EOF\n",
        b"# HELP \"a b\n# EOF\n",
        b"a{b=\"c} 1\n# EOF\n",
        b"\xef\xbb\xbfa 1\n# EOF\n",
        b"<html>\n",
    ];
    let mut oracle = Oracle::start("parse");
    let mut wrong = Vec::new();
    for (bodies, expected) in [(taken, true), (refused, false)] {
        for body in bodies {
            let shown = String::from_utf8_lossy(body);
            if read(body).first_error().is_none() != expected {
                wrong.push(format!("{shown:?}: expected {expected}, {:?}", read(body).problems));
            }
            if let Err(difference) = compare(&mut oracle, body) {
                wrong.push(format!("{shown:?}: {difference}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

const GOOD: &str = "# TYPE http_requests counter\n# HELP http_requests Requests, by code.\n\
    http_requests_total{code=\"200\",path=\"/a/b\"} 12 # {trace_id=\"abc\"} 0.5 1700000000.123\n\
    http_requests_created{code=\"200\",path=\"/a/b\"} 1700000000.5\nhttp_requests_total{code=\"404\",path=\"\"} 3\n\
    # TYPE latency_seconds histogram\n# UNIT latency_seconds seconds\nlatency_seconds_bucket{le=\"1\"} 1 # {} 1\n\
    latency_seconds_bucket{le=\"2.50\"} 1\nlatency_seconds_bucket{le=\"+Inf\"} 2\nlatency_seconds_sum 0.30000000000000004\n\
    latency_seconds_count 2\n# TYPE gc_seconds summary\ngc_seconds{quantile=\"0\"} NaN\ngc_seconds{quantile=\"0.5\"} 1e-05\n\
    # TYPE state stateset\nstate{state=\"a\\\\\\n\"} 1 123.4567\n# TYPE build info\nbuild_info{version=\"1\"} 1\nup 1\n# EOF\n";

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
    b" ",
    b"\t",
    b"\r",
    b"\0",
    b"1",
    b"-1.5",
    b"NaN",
    b"+Inf",
    b"1e300",
    b"# TYPE a histogram\n",
    b"# TYPE b summary\n",
    b"# TYPE c counter\n",
    b"# TYPE ",
    b"# HELP a ",
    b"# UNIT a_b b\n",
    b"# UNIT a_b ",
    b"# EOF",
    b"# EOF\n",
    b"#",
    b"# ",
    b" # {",
    b" # {} 1",
    b" # {b=\"c\"} 1 2.5\n",
    b"gauge",
    b"\xc3\xa9",
    b"\xff",
    b"\"x\"",
    b"=\"1\"",
    b"=\"\"",
    b"le=\"1\"",
    b"b=\"c\",",
    b"a_created 1\n",
    b"a{le=\"1\"} 1\n",
    b"a{b=\"c\"} 1 2\n",
    b"a 1\n",
    b"{\"a.b\",",
    b"} 1\n",
    b" 1\n",
    b"0x1p-3",
    b"1_0",
    b"HELP",
    b":",
    b"\"\0",
    b"\\\"",
];

/// Pieces of lines, most with an end, since without it nothing is taken.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    (proptest::collection::vec(proptest::sample::select(PIECES), 0..20), proptest::bool::weighted(0.8)).prop_map(|(pieces, end)| {
        let mut body = pieces.concat();
        if end {
            body.extend_from_slice(b"\n# EOF\n");
        }
        body
    })
}

/// Lines that are good more often than not.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let name = proptest::sample::select(&["a", "a_total", "a_bucket", "b:c", "{\"d e\"", "{\"f\ng\""][..]);
    let label = (
        proptest::sample::select(&["le", "quantile", "x", "y", "\"z z\"", "\"\"", "__name__", "x"][..]),
        proptest::sample::select(&["", "1", "0.50", "1e6", "ü", "\\n\\\"\\q", "c\0", "\\\\"][..]),
    );
    let number = || proptest::sample::select(&["1", "0", "1.5", "-3e2", "NaN", "+Inf", "1e400", "x"][..]);
    let tail = (
        number(),
        proptest::option::weighted(0.3, number()),
        proptest::option::weighted(0.3, (proptest::collection::vec(label.clone(), 0..3), number(), proptest::option::of(number()))),
    );
    let sample = (name, proptest::collection::vec(label, 0..4), tail).prop_map(|(name, labels, (value, timestamp, exemplar))| {
        let list = |labels: &[(&str, &str)]| labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect::<Vec<_>>().join(",");
        let mut line = match name.starts_with('{') {
            true if labels.is_empty() => format!("{name}}}"),
            true => format!("{name},{}}}", list(&labels)),
            false if labels.is_empty() => name.to_owned(),
            false => format!("{name}{{{}}}", list(&labels)),
        };
        line += &format!(" {value}");
        line += &timestamp.map_or(String::new(), |timestamp| format!(" {timestamp}"));
        if let Some((labels, value, timestamp)) = exemplar {
            line += &format!(" # {{{}}} {value}", list(&labels));
            line += &timestamp.map_or(String::new(), |timestamp| format!(" {timestamp}"));
        }
        line + "\n"
    });
    let metadata = proptest::sample::select(
        &["# TYPE a histogram\n", "# TYPE a summary\n", "# TYPE a counter\n", "# HELP a b\\n\n", "# UNIT a_s s\n", "# HELP \"d e\" \n"][..],
    );
    let line = prop_oneof![4 => sample, 1 => metadata.prop_map(str::to_owned)];
    proptest::collection::vec(line, 0..4).prop_map(|lines| (lines.concat() + "# EOF\n").into_bytes())
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
    fn lines_are_taken_or_refused_as_by_the_server(body in lines()) {
        same(&body)?;
    }

    #[test]
    fn cuts_change_nothing(body in prop_oneof![changed(GOOD, PIECES), soup(), lines()], blocks in proptest::collection::vec(0..9usize, 0..200)) {
        for rules in [Rules::Prometheus, Rules::Strict] {
            prop_assert_eq!(read_in(&body, &blocks, rules), read_in(&body, &[], rules));
        }
    }

    /// What a server refuses breaks the specification too.
    #[test]
    fn strict_rules_refuse_more(body in prop_oneof![changed(GOOD, PIECES), soup(), lines()]) {
        let strict = read_in(&body, &[], Rules::Strict);
        prop_assert!(read(&body).first_error().is_none() || strict.first_error().is_some());
    }
}

#[test]
fn the_good_body_is_good() {
    assert_eq!(read(GOOD.as_bytes()).problems, []);
    assert_eq!(read_in(GOOD.as_bytes(), &[], Rules::Strict).problems, []);
}

#[test]
fn a_line_too_long_is_passed_over_and_the_rest_is_read() {
    let long = format!("a{{b=\"{}\"}} 1\n", "x".repeat(LONGEST_LINE));
    let body = format!("c 1\n{long}d 2\n# EOF\n");
    let whole = read(body.as_bytes());
    let problems: Vec<_> = whole.problems.iter().map(|(before, problem)| (*before, problem.line, problem.offset)).collect();
    assert_eq!(problems, [(1, 2, 4)]);
    assert_eq!(whole.places, [(0, 4), ((4 + long.len()) as u64, 4)]);
    let blocks = vec![1 << 16; body.len() >> 16];
    assert_eq!(read_in(body.as_bytes(), &blocks, Rules::Prometheus), whole);
}

#[test]
fn errors_do_not_hide_the_lines_after_them() {
    let body = "a 1\nb{ 2\nc 3\n# FOO\n{\"d\n} 4\ne 5\nf 6 x\n# EOF\n";
    let items = read(body.as_bytes());
    let lines: Vec<_> = items.problems.iter().map(|(_, problem)| (problem.line, problem.column)).collect();
    assert_eq!(lines, [(2, 3), (4, 3), (5, 2), (6, 1), (8, 5)]);
    assert_eq!(items.places.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [0, 9, 27]);
}
