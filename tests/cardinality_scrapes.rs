//! Scrapes of real services (`tests/fixtures/data/scrapes`): each is read as the server reads it, one registry gives the same series in
//! every format, and counts are those of `promtool` where it counts right.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[allow(dead_code)]
#[path = "support/scrape_items.rs"]
mod scrape_items;
#[path = "support/stored.rs"]
mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use common::oracle::{self, Entry, Oracle};
use goscope::cardinality::model::Scrape;
use goscope::cardinality::store::Store;
use goscope::formats::exposition::{Format, NativeHistograms, Parser, Rules};
use scrape_items::Items;
use stored::{Series, series};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/data/scrapes")
}

fn body(file: &str) -> Vec<u8> {
    fs::read(folder().join(file)).unwrap()
}

/// All of them that goscope reads, with their format, which the end of the name tells. OpenMetrics 2.0 (`.om2.txt`) it does not read yet.
fn scrapes() -> Vec<(String, Format)> {
    let names = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut scrapes: Vec<_> = names.filter_map(|name| Some((format_of(&name)?, name))).map(|(format, name)| (name, format)).collect();
    scrapes.sort();
    assert_eq!(scrapes.len(), 12);
    scrapes
}

fn format_of(file: &str) -> Option<Format> {
    match file.split_once('.')?.1 {
        "txt" | "utf8.txt" => Some(Format::Text),
        "om.txt" => Some(Format::OpenMetrics1),
        "pb" => Some(Format::Protobuf),
        _ => None,
    }
}

fn read(file: &str, native: NativeHistograms) -> Scrape {
    let (body, mut store) = (body(file), Store::new());
    let mut parser = Parser::with_native(format_of(file).unwrap(), Rules::Prometheus, native);
    assert_eq!(parser.parse(&body, true, &mut |item| store.add(item)), body.len());
    let scrape = store.finish();
    assert_eq!((scrape.quality.errors, scrape.quality.duplicates), (0, 0), "{file}: {:?}", scrape.quality.problems);
    scrape
}

/// What a server is asked to make of it.
fn question(file: &str, native: NativeHistograms) -> oracle::Scrape {
    let body = body(file);
    let scrape = match format_of(file).unwrap() {
        Format::Text => oracle::Scrape::text(&body),
        Format::OpenMetrics1 => oracle::Scrape::openmetrics(&body),
        Format::Protobuf => oracle::Scrape::protobuf(&body),
        Format::OpenMetrics2 => unreachable!(),
    };
    oracle::Scrape {
        native_histograms: native != NativeHistograms::Classic,
        classic_too: native == NativeHistograms::Both,
        // In OpenMetrics it would keep `_created` lines from being series.
        start_timestamps: scrape.content_type.contains("protobuf"),
        ..scrape
    }
}

const NATIVE: [NativeHistograms; 3] = [NativeHistograms::Native, NativeHistograms::Both, NativeHistograms::Classic];

#[test]
fn every_scrape_is_read_as_the_server_reads_it() {
    let mut oracle = Oracle::start("parse");
    for (file, format) in scrapes() {
        for native in NATIVE {
            let truth = oracle.parse(&question(&file, native));
            assert_eq!(truth.error, "", "{file}");
            let items = Items::read(&mut Parser::with_native(format, Rules::Prometheus, native), &body(&file), &[]);
            assert_eq!(items.problems, [], "{file}");
            let (ours, theirs) = (told(&items.entries), told(&truth.entries));
            let different = ours.iter().zip(&theirs).find(|(ours, theirs)| !equal(ours, theirs));
            assert_eq!(different, None, "{file}, {native:?}");
            assert_eq!(ours.len(), theirs.len(), "{file}, {native:?}");
            assert_eq!(names(&series(&read(&file, native))), in_the_server(&truth), "{file}, {native:?}");
        }
    }
}

/// Without empty help texts: of protobuf the server hands out one where there is none.
fn told(entries: &[Entry]) -> Vec<&Entry> {
    entries.iter().filter(|entry| !matches!(entry, Entry::Help { text: None, .. })).collect()
}

/// Prometheus does not begin anew with the exemplars of each native histogram of a family (`exemplarPos` in
/// `model/textparse/protobufparse.go`), and misses those of all but the first.
fn equal(ours: &Entry, theirs: &Entry) -> bool {
    match (ours, theirs) {
        (Entry::Series(ours), Entry::Series(theirs)) if ours.histogram.is_some() && theirs.exemplars.is_empty() => {
            oracle::Series { exemplars: Vec::new(), ..ours.clone() } == *theirs
        }
        _ => ours == theirs,
    }
}

fn names(series: &BTreeMap<Series, f64>) -> BTreeSet<Series> {
    series.keys().cloned().collect()
}

fn in_the_server(truth: &oracle::Parsed) -> BTreeSet<Series> {
    let series = truth.entries.iter().filter_map(|entry| if let Entry::Series(series) = entry { Some(&series.labels) } else { None });
    series
        .map(|labels| {
            let (name, labels): (Vec<_>, Vec<_>) = labels.iter().cloned().partition(|(name, _)| name == "__name__");
            (name[0].1.clone(), labels)
        })
        .collect()
}

/// Services that gathered once and serve that in every format, and the text that says most.
const FROZEN: [(&str, &str); 2] = [("client_golang", "client_golang.utf8.txt"), ("otel", "otel.txt")];

fn series_of(file: &str, native: NativeHistograms) -> BTreeSet<Series> {
    names(&series(&read(file, native)))
}

#[test]
fn protobuf_has_the_series_of_text() {
    for (service, text) in FROZEN {
        let text = series_of(text, NativeHistograms::Classic);
        let protobuf = format!("{service}.pb");
        assert_eq!(series_of(&protobuf, NativeHistograms::Classic), text, "{service}");
        // Text has no native histograms: one series there for all of the child's here.
        let native: BTreeSet<Series> = text.iter().cloned().map(as_native).collect();
        assert_eq!(series_of(&protobuf, NativeHistograms::Native), native, "{service}");
        // Of one without classic buckets the server keeps only the native series; text makes a bucket up for it.
        let without_classic = text.iter().filter(|(name, _)| !name.starts_with("cache_lookup_seconds"));
        assert_eq!(series_of(&protobuf, NativeHistograms::Both), native.iter().chain(without_classic).cloned().collect(), "{service}");
    }
}

#[test]
fn openmetrics_1_has_the_series_of_text_and_when_they_began() {
    for (service, text) in FROZEN {
        let text = series_of(text, NativeHistograms::Classic);
        let mut openmetrics = series_of(&format!("{service}.om.txt"), NativeHistograms::Classic);
        let all = openmetrics.len();
        // The one way of this format to say when a series began is another series.
        openmetrics.retain(|(name, _)| !name.ends_with("_created"));
        assert_eq!(openmetrics, text, "{service}");
        // OpenTelemetry's exporter does not say it.
        assert_eq!(all > openmetrics.len(), service == "client_golang");
    }
}

/// The same series in a format with native histograms.
fn as_native((name, mut labels): Series) -> Series {
    match ["queue_wait_seconds", "cache_lookup_seconds"].into_iter().find(|histogram| name.starts_with(histogram)) {
        Some(histogram) => {
            labels.retain(|(name, _)| name != "le");
            (histogram.to_owned(), labels)
        }
        None => (name, labels),
    }
}

#[test]
fn text_0_0_4_has_underscores_where_text_1_0_0_has_utf_8() {
    let escaped =
        |name: &str, may: &str| name.chars().map(|c| if c.is_ascii_alphanumeric() || may.contains(c) { c } else { '_' }).collect();
    let utf_8 = series_of("client_golang.utf8.txt", NativeHistograms::Classic);
    let expected: BTreeSet<Series> = utf_8
        .iter()
        .map(|(name, labels)| {
            (escaped(name, "_:"), labels.iter().map(|(name, value)| (escaped(name, "_"), value.clone())).collect::<BTreeMap<_, _>>())
        })
        .map(|(name, labels)| (name, labels.into_iter().collect()))
        .collect();
    assert_eq!(series_of("client_golang.txt", NativeHistograms::Classic), expected);
    assert_eq!(utf_8.len(), expected.len());
    assert!(utf_8.iter().any(|(name, _)| name == "température 室温"));
}

/// Families that `promtool check metrics --extended` miscounts, and what it says. It multiplies the children with the buckets or quantiles
/// of the first one (`cmd/promtool/main.go`), and children of these differ.
const MISCOUNTED: [(&str, &str, u64); 2] =
    [("client_golang", "upstream_latency_seconds", 20), ("client_golang", "upstream_age_seconds", 8)];

#[test]
fn series_of_each_metric_are_those_that_promtool_and_the_lines_say() {
    for service in ["caddy", "client_golang", "kubestate", "node_exporter", "otel", "prometheus"] {
        let file = format!("{service}.txt");
        let scrape = read(&file, NativeHistograms::default());
        let ours: BTreeMap<&str, u64> = scrape.families.iter().map(|family| (scrape.text(family.name), family.series())).collect();
        let text = String::from_utf8(body(&file)).unwrap();
        for (name, series) in &ours {
            assert_eq!(lines(&text, name), *series, "{file}: {name}");
        }
        let recorded = fs::read_to_string(folder().join(format!("{service}.promtool"))).unwrap();
        let mut promtool: BTreeMap<&str, u64> =
            recorded.lines().map(|line| line.split_once(' ').unwrap()).map(|(name, series)| (name, series.parse().unwrap())).collect();
        for (_, name, wrong) in MISCOUNTED.iter().filter(|(of, ..)| *of == service) {
            let theirs = promtool.insert(name, ours[name]);
            assert_eq!(theirs, Some(*wrong), "{file}: {name}");
            assert_ne!(ours[name], *wrong, "{file}: {name}");
        }
        assert_eq!(ours, promtool, "{file}");
    }
}

/// Lines of the body that are samples of a family. No label value here holds a line end, no family has a name that ends like these.
fn lines(text: &str, family: &str) -> u64 {
    let of_it = |line: &&str| {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        name.strip_prefix(family).is_some_and(|rest| ["", "_bucket", "_sum", "_count"].contains(&rest))
    };
    text.lines().filter(of_it).count() as u64
}
