//! Bodies in the protobuf format, made by prost, and what goscope reads in them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/client_model.rs"]
mod client_model;

use std::fmt::Write as _;

use client_model::*;
use goscope::formats::exposition::{Format, Item, LONGEST_LINE, NativeHistograms, Parser, Rules, Sample, Severity, Value};
use prost::Message;

/// One line for each item.
fn read(body: &[u8], native: NativeHistograms) -> Vec<String> {
    let mut lines = Vec::new();
    let read = Parser::with_native(Format::Protobuf, Rules::Prometheus, native).parse(body, true, &mut |item| lines.push(line(item)));
    assert_eq!(read, body.len());
    lines
}

fn line(item: Item<'_>) -> String {
    match item {
        Item::Type { name, kind } => format!("TYPE {name} {}", kind.as_str()),
        Item::Help { name, text } => format!("HELP {name} {text}"),
        Item::Unit { name, unit } => format!("UNIT {name} {unit}"),
        Item::Problem(problem) if problem.severity == Severity::Warning => format!("warning {problem}"),
        Item::Problem(problem) => format!("error {problem}"),
        Item::Sample(sample) => sample_line(&sample),
    }
}

fn sample_line(sample: &Sample<'_>) -> String {
    let labels = |labels: &[goscope::formats::exposition::Label<'_>]| {
        labels.iter().map(|label| format!("{}={}", label.name, label.value)).collect::<Vec<_>>().join(",")
    };
    let mut text = format!("{}{{{}}}", sample.name, labels(sample.labels));
    match sample.value {
        Value::Float(value) => write!(text, " {value}").unwrap(),
        Value::Native(h) => {
            write!(text, " native {} {} {} {} {}", h.schema, h.zero_threshold, h.zero_count, h.count, h.sum).unwrap();
            write!(text, " {:?} {:?}", h.negative, h.positive).unwrap();
        }
    }
    sample.timestamp_ms.iter().for_each(|at| write!(text, " @{at}").unwrap());
    sample.start_ms.iter().for_each(|at| write!(text, " since {at}").unwrap());
    for exemplar in sample.exemplars {
        write!(text, " # {{{}}} {}", labels(exemplar.labels), exemplar.value).unwrap();
        exemplar.timestamp_ms.iter().for_each(|at| write!(text, " @{at}").unwrap());
    }
    text
}

fn metric() -> Metric {
    Metric { label: vec![label("a", "b")], ..Metric::default() }
}

fn exemplar(id: &str, value: f64, seconds: Option<i64>) -> Exemplar {
    let timestamp = seconds.map(|seconds| Timestamp { seconds, nanos: 999_999_999 });
    Exemplar { label: vec![label("id", id)], value, timestamp }
}

fn bucket(upper_bound: f64, cumulative_count: u64) -> Bucket {
    Bucket { upper_bound, cumulative_count, ..Bucket::default() }
}

fn histogram(histogram: Histogram) -> Vec<u8> {
    body(&[family("h", HISTOGRAM, vec![Metric { histogram: Some(histogram), ..metric() }])])
}

#[test]
fn a_family_comes_with_its_metadata_and_one_series_for_each_plain_metric() {
    let counter =
        Counter { value: 2.0, exemplar: Some(exemplar("x", 0.5, None)), start_timestamp: Some(Timestamp { seconds: 7, nanos: 0 }) };
    let families = [
        MetricFamily {
            help: b"All of\nthem".into(),
            unit: b"seconds".into(),
            ..family("c_total", COUNTER, vec![Metric { counter: Some(counter), timestamp_ms: -5, ..metric() }])
        },
        family("g.utf-8 \u{e4}", GAUGE, vec![Metric { gauge: Some(Gauge { value: f64::INFINITY }), ..metric() }, Metric::default()]),
        family(
            "u",
            UNTYPED,
            vec![Metric { untyped: Some(Gauge { value: -1.5 }), label: vec![label("q\"", "x"), label("empty", "")], ..Metric::default() }],
        ),
    ];
    let expected = [
        "HELP c_total All of\nthem",
        "UNIT c_total seconds",
        "TYPE c_total counter",
        "c_total{a=b} 2 @-5 since 7000 # {id=x} 0.5",
        "TYPE g.utf-8 \u{e4} gauge",
        "g.utf-8 \u{e4}{a=b} inf",
        "g.utf-8 \u{e4}{} 0",
        "TYPE u unknown",
        "u{q\"=x} -1.5",
    ];
    assert_eq!(read(&body(&families), NativeHistograms::Native), expected);
}

#[test]
fn a_summary_is_a_count_a_sum_and_its_quantiles() {
    let quantile = vec![Quantile { quantile: 0.5, value: 3.0 }, Quantile { quantile: 1.0, value: f64::NAN }];
    let summary = Summary { sample_count: 9, sample_sum: 4.5, quantile, start_timestamp: None };
    let empty = Summary::default();
    let metrics = [summary, empty].map(|summary| Metric { summary: Some(summary), ..metric() });
    let expected = [
        "TYPE s summary",
        "s_count{a=b} 9",
        "s_sum{a=b} 4.5",
        "s{a=b,quantile=0.5} 3",
        "s{a=b,quantile=1.0} NaN",
        "s_count{a=b} 0",
        "s_sum{a=b} 0",
    ];
    assert_eq!(read(&body(&[family("s", SUMMARY, metrics.into())]), NativeHistograms::Native), expected);
}

#[test]
fn a_classic_histogram_gets_its_infinite_bucket_and_nothing_after_it() {
    let buckets = vec![
        Bucket { exemplar: Some(exemplar("x", 0.001, Some(1))), ..bucket(0.005, 1) },
        bucket(1.0, 2),
        Bucket { cumulative_count_float: 2.5, ..bucket(1e6, 3) },
    ];
    let open = histogram(Histogram { sample_count: 4, sample_sum: 8.0, bucket: buckets.clone(), ..Histogram::default() });
    let mut expected = vec![
        "TYPE h histogram",
        "h_count{a=b} 4",
        "h_sum{a=b} 8",
        "h_bucket{a=b,le=0.005} 1 # {id=x} 0.001 @1999",
        "h_bucket{a=b,le=1.0} 2",
        "h_bucket{a=b,le=1e+06} 2.5",
        "h_bucket{a=b,le=+Inf} 4",
    ];
    for native in [NativeHistograms::Native, NativeHistograms::Both, NativeHistograms::Classic] {
        assert_eq!(read(&open, native), expected);
    }
    let closed = [buckets, vec![bucket(f64::INFINITY, 5), bucket(7.0, 6)]].concat();
    let closed = histogram(Histogram { sample_count: 4, sample_sum: 8.0, bucket: closed, ..Histogram::default() });
    *expected.last_mut().unwrap() = "h_bucket{a=b,le=+Inf} 5";
    assert_eq!(read(&closed, NativeHistograms::Native), expected);
}

/// Both kinds of buckets, in one message.
fn both() -> Histogram {
    Histogram {
        sample_count: 12,
        sample_sum: 3.5,
        bucket: vec![Bucket { exemplar: Some(exemplar("classic", 0.5, Some(1))), ..bucket(0.5, 6) }],
        schema: -2,
        zero_threshold: 0.25,
        zero_count: 1,
        negative_span: vec![BucketSpan { offset: -3, length: 1 }],
        negative_delta: vec![2],
        positive_span: vec![BucketSpan { offset: 1, length: 2 }, BucketSpan { offset: 3, length: 1 }],
        positive_delta: vec![4, -4, 5],
        ..Histogram::default()
    }
}

#[test]
fn a_native_histogram_is_one_series_unless_the_classic_buckets_are_wanted() {
    let native = "h{a=b} native -2 0.25 1 12 3.5 [(-3, 2.0)] [(1, 4.0), (6, 5.0)] # {id=classic} 0.5 @1999";
    let classic = ["h_count{a=b} 12", "h_sum{a=b} 3.5", "h_bucket{a=b,le=0.5} 6 # {id=classic} 0.5 @1999", "h_bucket{a=b,le=+Inf} 12"];
    let bytes = histogram(both());
    assert_eq!(read(&bytes, NativeHistograms::Native)[1..], [native]);
    assert_eq!(read(&bytes, NativeHistograms::Both)[1..], [&[native][..], &classic].concat());
    assert_eq!(read(&bytes, NativeHistograms::Classic)[1..], classic);
    // Without classic buckets there is nothing to add; told to pass over the native ones, the count is all that is left.
    let bytes = histogram(Histogram { bucket: Vec::new(), ..both() });
    assert_eq!(read(&bytes, NativeHistograms::Both).len(), 2);
    assert_eq!(read(&bytes, NativeHistograms::Classic)[1..], ["h_count{a=b} 12", "h_sum{a=b} 3.5", "h_bucket{a=b,le=+Inf} 12"]);
}

#[test]
fn exemplars_of_a_native_histogram_need_a_timestamp() {
    let exemplars = vec![exemplar("one", 1.0, Some(5)), exemplar("none", 2.0, None), exemplar("two", 3.0, Some(6))];
    let lines = read(&histogram(Histogram { exemplars, ..both() }), NativeHistograms::Native);
    assert!(lines[1].ends_with("] # {id=one} 1 @5999 # {id=two} 3 @6999"), "{}", lines[1]);
}

#[test]
fn float_counts_and_an_empty_native_histogram() {
    let float = Histogram {
        sample_count_float: 1.5,
        sample_count: 99,
        positive_span: vec![BucketSpan { offset: 0, length: 2 }],
        positive_count: vec![0.5, 1.0],
        ..Histogram::default()
    };
    assert_eq!(read(&histogram(float), NativeHistograms::Native)[1..], ["h{a=b} native 0 0 0 1.5 0 [] [(0, 0.5), (1, 1.0)]"]);
    let empty = Histogram { positive_span: vec![BucketSpan::default()], ..Histogram::default() };
    assert_eq!(read(&histogram(empty), NativeHistograms::Native)[1..], ["h{a=b} native 0 0 0 0 0 [] []"]);
}

#[test]
fn a_gauge_histogram_is_named_as_a_histogram() {
    let metric = Metric { histogram: Some(Histogram::default()), ..metric() };
    let lines = read(&body(&[family("h", GAUGE_HISTOGRAM, vec![metric])]), NativeHistograms::Native);
    assert_eq!(lines, ["TYPE h gaugehistogram", "h_count{a=b} 0", "h_sum{a=b} 0", "h_bucket{a=b,le=+Inf} 0"]);
}

#[test]
fn what_is_wrong_in_one_message_leaves_the_next_alone() {
    let good = family("good", GAUGE, vec![Metric::default()]);
    let mut cases: Vec<(Vec<u8>, &str)> = [
        (family("", GAUGE, vec![metric()]), "error 1:1: a metric family without a name"),
        (MetricFamily { name: vec![0xff], ..family("", GAUGE, vec![metric()]) }, "error 1:1: the name of this metric family is not UTF-8"),
        (MetricFamily { help: vec![0xff], ..family("x", GAUGE, vec![metric()]) }, "error 1:1: the help text of x is not UTF-8"),
        (family("x", 6, vec![metric()]), "error 1:1: x has the unknown metric type 6"),
    ]
    .map(|(family, problem)| (family.encode_length_delimited_to_vec(), problem))
    .into();
    cases.extend([
        (b"\x02\x08\x01".to_vec(), "error 1:1: field 1 has wire type 0 where 2 was expected"),
        (b"\x03\x0a\x05x".to_vec(), "error 1:3: a field goes beyond the end of its message"),
        (b"\x02\x0a\x80".to_vec(), "error 1:2: the message ends within a number"),
        (b"\x0c\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".to_vec(), "error 1:2: a number has more than 64 bits"),
        (b"\x0b\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".to_vec(), "error 1:12: a field has a negative length"),
        (b"\x01\x03".to_vec(), "error 1:1: 0 is no field number"),
        (b"\x01\x0c".to_vec(), "error 1:1: a group ends that did not begin"),
        (b"\x01\x7e".to_vec(), "error 1:2: 6 is no wire type"),
        (b"\x02\x7b\x7b".to_vec(), "error 1:3: the message ends within a number"),
    ]);
    for (bad, problem) in cases {
        let bytes = [bad, body(std::slice::from_ref(&good))].concat();
        assert_eq!(read(&bytes, NativeHistograms::Native), [problem, "TYPE good gauge", "good{} 0"], "{bytes:02x?}");
    }
}

#[test]
fn what_is_wrong_in_one_metric_leaves_the_next_alone() {
    let bad_label = |name: &[u8], value: &[u8]| Metric { label: vec![LabelPair { name: name.into(), value: value.into() }], ..metric() };
    let bytes = body(&[family("x", COUNTER, vec![metric(), bad_label(&[0xff], b"v"), bad_label(b"n", &[0xfe]), metric()])]);
    let lines = read(&bytes, NativeHistograms::Native);
    assert_eq!(
        lines[1..],
        ["x{a=b} 0", "error 1:18: the name of a label is not UTF-8", "error 1:31: the value of a label is not UTF-8", "x{a=b} 0"]
    );
    let label = |name: &str| Metric { label: vec![label(name, "1"), label(name, "2")], ..Metric::default() };
    let lines = read(&body(&[family("x", COUNTER, vec![label("l"), label("__name__"), label("")])]), NativeHistograms::Native);
    let expected = ["l is there twice", "is given as the label __name__ too", "a label has no name"];
    assert!(lines[1..].iter().zip(expected).all(|(line, expected)| line.starts_with("error") && line.contains(expected)), "{lines:?}");
    let short = Histogram { positive_delta: vec![1], ..both() };
    let lines = read(&histogram(short), NativeHistograms::Native);
    assert_eq!(lines[1..], ["error 1:6: h: positive buckets: its spans have 3 buckets, but 1 counts follow"]);
}

/// As the server does.
#[test]
fn a_family_without_metrics_and_unknown_fields_and_groups_are_passed_over() {
    let nameless = MetricFamily { help: vec![0xff], ..family("", 77, Vec::new()) };
    let mut message = family("x", GAUGE, vec![metric()]).encode_to_vec();
    // Field 15: a number, text, 64 and 32 bits, and a thousand groups in one another.
    message.extend(b"\x78\x05\x7a\x01x\x79\x00\x00\x00\x00\x00\x00\x00\x00\x7d\x00\x00\x00\x00");
    message.extend([0x7b; 1000]);
    message.extend([0x7c; 1000]);
    let mut length = Vec::new();
    prost::encoding::encode_varint(message.len() as u64, &mut length);
    let bytes = [body(&[nameless]), length, message].concat();
    assert_eq!(read(&bytes, NativeHistograms::Native), ["TYPE x gauge", "x{a=b} 0"]);
}

#[test]
fn what_the_server_takes_but_cannot_be_shown_is_a_warning() {
    let mut bad = exemplar("", 1.0, None);
    bad.label[0].value = vec![0xff];
    let counter = Counter { exemplar: Some(bad), ..Counter::default() };
    let metric = Metric { counter: Some(counter), ..metric() };
    let bytes = body(&[MetricFamily { unit: vec![0xff], ..family("x", COUNTER, vec![metric]) }]);
    assert_eq!(
        read(&bytes, NativeHistograms::Native),
        [
            "warning 1:1: the unit of x is not UTF-8: it is left out",
            "TYPE x counter",
            "warning 1:18: the labels of this exemplar are not UTF-8: it is left out",
            "x{a=b} 0"
        ]
    );
}

#[test]
fn a_body_that_is_cut_or_is_no_protobuf_ends_with_one_problem() {
    let good = body(&[family("x", GAUGE, vec![metric()])]);
    for cut in 1..good.len() {
        let lines = read(&[&good, &good[..cut]].concat(), NativeHistograms::Native);
        let [_, _, problem] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!(*problem, format!("error 2:1: the body ends {} bytes into a message of {}", cut - 1, good.len() - 1));
    }
    let lines = read(b"\xff\xff\xff\xff\xff\xff more", NativeHistograms::Native);
    assert_eq!(lines, ["error 1:1: this is not the length of a message: the rest cannot be read"]);
    assert_eq!(read(b"", NativeHistograms::Native), Vec::<String>::new());
}

#[test]
fn a_message_above_the_limit_is_passed_over_without_being_held() {
    let mut parser = Parser::new(Format::Protobuf, Rules::Prometheus);
    let (mut lines, length) = (Vec::new(), LONGEST_LINE + 1);
    let mut head = Vec::new();
    prost::encoding::encode_varint(length as u64, &mut head);
    assert_eq!(parser.parse(&head, false, &mut |item| lines.push(line(item))), head.len());
    let block = vec![0; 1 << 16];
    for _ in 0..length / block.len() {
        assert_eq!(parser.parse(&block, false, &mut |item| lines.push(line(item))), block.len());
    }
    let rest = [&block[..length % block.len()], &body(&[family("x", GAUGE, vec![metric()])])].concat();
    assert_eq!(parser.parse(&rest, true, &mut |item| lines.push(line(item))), rest.len());
    assert_eq!(lines, ["error 1:1: a message of 16777217 bytes; the longest that is read has 16777216", "TYPE x gauge", "x{a=b} 0"]);
}

#[test]
fn samples_say_where_they_are_in_the_body() {
    let first = family("h", HISTOGRAM, vec![Metric { histogram: Some(both()), ..metric() }]);
    let second = family("x", GAUGE, vec![metric(), metric()]);
    let bytes = body(&[first, second]);
    let mut places = Vec::new();
    Parser::with_native(Format::Protobuf, Rules::Prometheus, NativeHistograms::Both).parse(&bytes, true, &mut |item| {
        if let Item::Sample(sample) = item {
            places.push((sample.offset as usize, sample.length as usize));
        }
    });
    assert_eq!(places.len(), 7);
    assert!(places[1..5].iter().all(|place| *place == (places[0].0, 0)), "{places:?}");
    for (offset, length) in [places[0], places[5], places[6]] {
        assert_eq!(bytes[offset], 0x22, "the tag of a metric");
        let metric = Metric::decode(&bytes[offset..offset + length][1 + usize::from(bytes[offset + 1] > 0x7f) + 1..]).unwrap();
        assert_eq!(metric.label, [label("a", "b")]);
    }
}
