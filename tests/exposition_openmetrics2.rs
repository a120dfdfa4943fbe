//! OpenMetrics 2.0: the rules of its specification, and Prometheus' own parser, which takes more.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "support/property.rs"]
mod property;
#[allow(dead_code)]
#[path = "support/scrape_items.rs"]
mod scrape_items;

use std::cell::RefCell;

use common::oracle::{Entry, Oracle, Scrape};
use goscope::formats::exposition::{Format, NativeHistograms, Parser, Rules, Severity};
use proptest::prelude::*;
use scrape_items::Items;

fn read_in(body: &[u8], native: NativeHistograms, blocks: &[usize]) -> Items {
    Items::read(&mut Parser::with_native(Format::OpenMetrics2, Rules::Prometheus, native), body, blocks)
}

/// The series of a body in one line each: labels, value.
fn series(body: &str, native: NativeHistograms) -> Vec<String> {
    let items = read_in(body.as_bytes(), native, &[]);
    assert_eq!(items.first_error(), None);
    let series = items.entries.iter().filter_map(|entry| if let Entry::Series(series) = entry { Some(series) } else { None });
    let line = series.map(|series| {
        let labels: Vec<_> = series.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let exemplars: String = series.exemplars.iter().map(|exemplar| format!(" # {}", exemplar.value)).collect();
        format!("{} {}{exemplars}", labels.join(","), series.value.as_deref().unwrap_or("native"))
    });
    line.collect()
}

const BODY: &str = "# TYPE rpc_seconds summary\n# UNIT rpc_seconds seconds\n# HELP rpc_seconds Help \\n text.\n\
    rpc_seconds{path=\"/a\",m=\"\"} {count:17,sum:3.5,quantile:[0.5:1,0.99:NaN]} 1520879607.789 st@1520430000.123\n\
    rpc_seconds{path=\"/b\\\"\"} {count:0,sum:0.0,quantile:[]}\n\
    # TYPE classic histogram\n\
    classic {count:17,sum:-2e3,bucket:[-Inf:0,0.5:3,1:11,1e+06:11,+Inf:17]} st@1.5 # {} 0.054 15.7 # {t=\"x\"} 0.5 2 # {t=\"y\"} 2e6 3\n\
    # TYPE native histogram\n\
    native{a=\"b\"} {count:59,sum:1.2e2,schema:7,zero_threshold:1e-4,zero_count:0,negative_spans:[1:2],negative_buckets:[5,7],\
    positive_spans:[-1:2,3:4],positive_buckets:[5,7,10,9,8,8]} # {t=\"x\"} 0.67 1520879607.789 # {t=\"y\"} 1.2 1520879608.5\n\
    native{a=\"c\"} {count:0,sum:0,schema:3,zero_threshold:0,zero_count:0}\n\
    # TYPE both histogram\n\
    both {count:2,sum:1.5,schema:0,zero_threshold:1e-4,zero_count:0,positive_spans:[1:2],positive_buckets:[1,1],bucket:[0.5:1,+Inf:2]}\n\
    # TYPE gauge_histogram gaugehistogram\n\
    gauge_histogram {gcount:42,gsum:3289.3,bucket:[0.01:20,+Inf:42]}\n\
    # TYPE float histogram\n\
    float {count:1.5,sum:2,schema:-4,zero_threshold:1,zero_count:0.5,positive_spans:[0:1],positive_buckets:[1.0]}\n\
    # TYPE no_suffix counter\nno_suffix 17.0 5 st@4 # {t=\"z\"} 1 2\n\
    # TYPE with_total counter\nwith_total 1\n\
    # TYPE build_info info\nbuild_info{v=\"1\"} 1\n\
    # TYPE state stateset\nstate{state=\"a\"} 0\nstate{state=\"b\"} 1\n\
    # TYPE \"utf-8 \u{e4}\" gauge\n{\"utf-8 \u{e4}\",\"l.m\"=\"n\"} -Inf\n{\"utf-8 \u{e4}\"} nan\n\
    untyped 1 1\nuntyped 2 2.5\n# EOF\n";

#[test]
fn composite_values_come_as_the_series_that_a_server_stores() {
    let text = "# TYPE s summary\ns{a=\"b\"} {count:2,sum:3,quantile:[0.5:1]}\n# TYPE h gaugehistogram\n\
        h {gcount:2,gsum:1,bucket:[0.5:1,+Inf:2]} # {} 0.5 1 # {} 7 1\n# EOF";
    let expected = [
        "__name__=s_count,a=b 2",
        "__name__=s_sum,a=b 3",
        "__name__=s,a=b,quantile=0.5 1",
        "__name__=h_gcount 2",
        "__name__=h_gsum 1",
        "__name__=h_bucket,le=0.5 1 # 0.5",
        "__name__=h_bucket,le=+Inf 2 # 7",
    ];
    assert_eq!(series(text, NativeHistograms::Native), expected);
    let both = "# TYPE h histogram\nh {count:2,sum:1,schema:0,zero_threshold:0,zero_count:2,bucket:[1:1,+Inf:2]}\n# EOF\n";
    let classic = ["__name__=h_count 2", "__name__=h_sum 1", "__name__=h_bucket,le=1.0 1", "__name__=h_bucket,le=+Inf 2"];
    assert_eq!(series(both, NativeHistograms::Native), ["__name__=h native"]);
    assert_eq!(series(both, NativeHistograms::Both), [&["__name__=h native"][..], &classic].concat());
    assert_eq!(series(both, NativeHistograms::Classic), classic);
    let native = "# TYPE h histogram\nh {count:2,sum:1,schema:0,zero_threshold:0,zero_count:2}\n# EOF\n";
    assert_eq!(series(native, NativeHistograms::Classic), ["__name__=h_count 2", "__name__=h_sum 1", "__name__=h_bucket,le=+Inf 2"]);
    // The specification allows a composite value without a type.
    assert_eq!(series("h {count:1,sum:1,bucket:[+Inf:1]}\n# EOF", NativeHistograms::Native).len(), 3);
}

#[test]
fn that_prometheus_refuses_the_body_is_said_once() {
    let items = read_in(BODY.as_bytes(), NativeHistograms::Native, &[3, 4]);
    let [(0, problem)] = &items.problems[..] else { panic!("{:#?}", items.problems) };
    assert_eq!(problem.severity, Severity::Warning);
    assert!(problem.message.starts_with("Prometheus 3.16.0 refuses OpenMetrics 2.0"), "{problem}");
    let mut oracle = Oracle::start("parse");
    assert_ne!(oracle.parse(&scrape(BODY.as_bytes(), NativeHistograms::Native, false)).error, "");
    assert_eq!(oracle.parse(&scrape(BODY.as_bytes(), NativeHistograms::Native, true)).error, "");
}

#[test]
fn what_the_specification_forbids_is_an_error_with_its_place() {
    for (text, expected) in [
        ("", "1:1: the body does not end with # EOF"),
        ("a 1\n", "2:1: the body does not end with # EOF"),
        ("# EOF\n\n", "2:1: nothing may follow # EOF"),
        ("\n# EOF", "1:1: an empty line"),
        ("# a comment\n# EOF", "1:1: lines that begin with # are TYPE, HELP, UNIT or EOF only"),
        ("a 1\r\n# EOF", "1:4: a line ends with a carriage return"),
        ("a  1\n# EOF", "1:3: expected a value"),
        ("a 1 \n# EOF", "1:5: expected a timestamp"),
        ("a 0x1\n# EOF", "1:3: expected a value"),
        ("a{b=\"c\",} 1\n# EOF", "1:9: expected the name of a label"),
        ("a{\"b\"} 1\n# EOF", "1:6: expected an equals sign"),
        ("{} 1\n# EOF", "1:2: expected a metric name in quotes"),
        ("a{b=\"c\",b=\"d\"} 1\n# EOF", "1:1: the label b is there twice"),
        ("a{__name__=\"c\"} 1\n# EOF", "1:3: the label __name__ is reserved"),
        ("a 1 st@NaN\n# EOF", "1:8: expected a start timestamp, which is finite"),
        ("a 1 st@1 2\n# EOF", "1:9: expected the end of the line"),
        ("a 1 # {} 1\n# EOF", "1:11: expected a blank and the timestamp of the exemplar"),
        ("a 1 # 1 1\n# EOF", "1:7: expected labels in braces"),
        ("# TYPE a counter\na -1\n# EOF", "2:3: a counter is neither negative nor NaN"),
        ("# TYPE a info\n# EOF", "1:10: the name a of an info does not end with _info"),
        ("# TYPE a_info info\na_info 2\n# EOF", "2:8: the value of an info is 1"),
        ("# TYPE a_info info\n# UNIT a_info x\n# EOF", "2:15: a_info has a unit, and the type info, which has none"),
        ("# TYPE a stateset\na{b=\"c\"} 1\n# EOF", "2:10: a state set has a label with its own name, a"),
        ("# TYPE a histogram\na 1\n# EOF", "2:3: a histogram has a composite value"),
        ("# TYPE a gauge\na {count:1,sum:1,bucket:[+Inf:1]}\n# EOF", "2:3: this is not the value of a gauge"),
        ("# TYPE a summary\na {sum:1,count:1,quantile:[]}\n# EOF", "2:4: expected count"),
        ("# TYPE a summary\na {count:1, sum:1,quantile:[]}\n# EOF", "2:11: expected sum after count"),
        ("# TYPE a summary\na {count:1,sum:1,quantile:[2:1]}\n# EOF", "2:3: the quantile 2 is not one from 0 to 1"),
        ("# TYPE a summary\na{quantile=\"1\"} {count:1,sum:1,quantile:[]}\n# EOF", "2:17: a summary has no label quantile"),
        ("# TYPE a histogram\na {count:1,sum:1}\n# EOF", "2:17: expected quantile, schema or bucket"),
        ("# TYPE a histogram\na {count:1,sum:1,bucket:[1:1]}\n# EOF", "2:30: the bucket +Inf is missing"),
        (
            "# TYPE a histogram\na {count:1,sum:1,bucket:[1:1,1:1,+Inf:1]}\n# EOF",
            "2:30: expected a bucket that is higher than the one before",
        ),
        ("# TYPE a histogram\na {count:1,sum:1,bucket:[+Inf:2]}\n# EOF", "2:3: the bucket +Inf has 2, but the count is 1"),
        (
            "# TYPE a histogram\na {count:1,sum:1,bucket:[0:2,+Inf:1]}\n# EOF",
            "2:3: a bucket holds less than the one before, though it counts all that is below",
        ),
        (
            "# TYPE a histogram\na {count:1,sum:1,schema:9,zero_threshold:0,zero_count:1}\n# EOF",
            "2:25: the schema 9 is not one from -4 to 8",
        ),
        (
            "# TYPE a histogram\na {count:2,sum:1,schema:0,zero_threshold:0,zero_count:1}\n# EOF",
            "2:3: the buckets hold 1, but the count is 2",
        ),
        (
            "# TYPE a histogram\na {count:1,sum:1,schema:0,zero_threshold:0,zero_count:1,positive_spans:[0:2],positive_buckets:[1]}\n# EOF",
            "2:96: the spans have 2 buckets, but 1 counts follow",
        ),
        ("# TYPE a gauge\n# TYPE a gauge\n# EOF", "2:10: a second TYPE of a"),
        ("a 1\n# TYPE a gauge\n# EOF", "2:10: TYPE of a comes after samples of it"),
        ("# TYPE a untyped\n# EOF", "1:10: expected a type of OpenMetrics"),
        ("a 1\nb 1\na{c=\"d\"} 1\n# EOF", "3:10: the metric family a was there before: families must not be interleaved"),
        ("a 1\na 2\n# EOF", "2:3: these labels are there a second time, without a later timestamp"),
        ("a 1 1\na{b=\"c\"} 1\na 2 2\n# EOF", "3:3: these labels were there before: metrics must not be interleaved"),
    ] {
        let items = read_in(text.as_bytes(), NativeHistograms::Native, &[]);
        let (_, problem) = items.first_error().unwrap_or_else(|| panic!("{text:?} is taken"));
        assert_eq!(problem.to_string(), expected, "{text:?}");
    }
}

fn scrape(body: &[u8], native: NativeHistograms, openmetrics2: bool) -> Scrape {
    let scrape = Scrape::new("application/openmetrics-text; version=2.0.0", body);
    let (native_histograms, classic_too) = (native != NativeHistograms::Classic, native == NativeHistograms::Both);
    Scrape { native_histograms, classic_too, openmetrics2, start_timestamps: true, ..scrape }
}

/// What goscope takes without an error Prometheus takes too, and stores as the same series. Beside that: it wants a type for a composite
/// value, and does not store a native gauge histogram with negative counts.
fn compare(oracle: &mut Oracle, body: &[u8], native: NativeHistograms) -> Result<bool, String> {
    let items = read_in(body, native, &[]);
    if items.first_error().is_some() {
        return Ok(false);
    }
    let mut truth = oracle.parse(&scrape(body, native, true));
    let allowed = ["composite value not supported for metric type \"unknown\"", "must not be negative"];
    if allowed.iter().any(|reason| truth.error.contains(reason)) {
        return Ok(false);
    }
    let series = |entry: &Entry| matches!(entry, Entry::Series(_));
    truth.entries.retain(series);
    for entry in &mut truth.entries {
        if let Entry::Series(common::oracle::Series { histogram: Some(histogram), .. }) = entry {
            histogram.negative.retain(|bucket| bucket.count != "0");
            histogram.positive.retain(|bucket| bucket.count != "0");
        }
    }
    let ours: Vec<_> = items.entries.into_iter().filter(series).collect();
    match truth.error.is_empty() && ours == truth.entries {
        true => Ok(true),
        false => Err(format!("{:?}\nours: {ours:#?}\ntruth: {:?} {:#?}", String::from_utf8_lossy(body), truth.error, truth.entries)),
    }
}

const PIECES: &[&str] = &[
    "a",
    "le",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "\n",
    " ",
    "=",
    "#",
    "0",
    "1",
    "-1",
    "2.5",
    "+Inf",
    "-Inf",
    "NaN",
    "1e5",
    " st@1",
    " # {} 1 1",
    "\u{e4}",
    "\r",
    "\t",
    "\0",
    "count:1,",
    "0.5:1,",
    ",bucket:[+Inf:1]",
    "positive_spans:[0:1],",
    "# EOF",
    "# TYPE b gauge\n",
    "b 1\n",
    "x=\"y\",",
    "g",
];

#[derive(Debug, Clone)]
enum Change {
    Put(usize, &'static str),
    Insert(usize, &'static str),
    Remove(usize, usize),
}

/// Some lines of the body, with a few changes.
fn changed() -> impl Strategy<Value = Vec<u8>> {
    let place = || 0..2000usize;
    let piece = || proptest::sample::select(PIECES);
    let change = prop_oneof![
        (place(), piece()).prop_map(|(at, piece)| Change::Put(at, piece)),
        (place(), piece()).prop_map(|(at, piece)| Change::Insert(at, piece)),
        (place(), 1..4usize).prop_map(|(at, length)| Change::Remove(at, length)),
    ];
    let lines: Vec<&str> = BODY.split_inclusive('\n').collect();
    (0..lines.len(), 1..lines.len(), proptest::collection::vec(change, 0..4)).prop_map(move |(first, count, changes)| {
        let end = lines.len().min(first + count);
        let mut body: Vec<u8> = lines[first..end].concat().into_bytes();
        for change in changes {
            let (at, length, piece) = match change {
                Change::Put(at, piece) => (at, piece.len(), piece),
                Change::Insert(at, piece) => (at, 0, piece),
                Change::Remove(at, length) => (at, length, ""),
            };
            let at = at % (body.len() + 1);
            let upto = body.len().min(at + length);
            body.splice(at..upto, piece.bytes());
        }
        if end < lines.len() {
            body.extend(b"# EOF\n");
        }
        body
    })
}

thread_local! {
    static ORACLE: RefCell<Oracle> = RefCell::new(Oracle::start("parse"));
}

const WAYS: [NativeHistograms; 3] = [NativeHistograms::Native, NativeHistograms::Both, NativeHistograms::Classic];

proptest! {
    #![proptest_config(property::cases(3000))]

    #[test]
    fn what_is_taken_the_server_takes_as_the_same_series(body in changed(), way in proptest::sample::select(&WAYS[..])) {
        // The server's lexer takes some NUL bytes for the end of what it reads; the specification knows nothing of the kind.
        prop_assume!(!body.contains(&0));
        ORACLE.with_borrow_mut(|oracle| compare(oracle, &body, way)).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn cuts_change_nothing(body in changed(), blocks in proptest::collection::vec(0..60usize, 0..200)) {
        let whole = read_in(&body, NativeHistograms::Both, &[]);
        prop_assert_eq!(read_in(&body, NativeHistograms::Both, &blocks), whole);
    }
}

#[test]
fn the_whole_body_is_the_same_series_to_the_server() {
    let mut oracle = Oracle::start("parse");
    for way in WAYS {
        assert_eq!(compare(&mut oracle, BODY.as_bytes(), way), Ok(true), "{way:?}");
    }
}
