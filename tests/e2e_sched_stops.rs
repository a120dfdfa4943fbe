//! What `goscope sched --tier 2` says of collections and stops of the world, against programs that write down each call that makes one,
//! and against the runtime's own histograms.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of a test may unwrap

mod common;
#[path = "support/sched_truth.rs"]
mod sched_truth;
#[path = "support/schedload.rs"]
mod schedload;

use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use sched_truth::{Looked, assert_close, look, ns, on_stack};
use schedload::{Load, kind, number, start_in};

/// With a sample a millisecond, so that shares of the CPU are more than luck.
const RARE: [&str; 4] = ["--tier", "2", "--hz", "997"];
/// Sites of their own up to Go 1.20; a histogram of all stops since 1.22.
const RELEASES: [&str; 4] = ["1.18.10", "1.21.13", "1.23.12", "1.27.4"];

/// Stops of one kind that were asked for by a function.
fn stops<'a>(looked: &'a Looked, kind: &str, function: &str) -> Vec<&'a Value> {
    let all = looked.doc["stops"].as_array().unwrap();
    all.iter().filter(|stop| stop["kind"] == kind && on_stack(stop, function)).collect()
}

fn span(stop: &Value) -> (i64, i64) {
    let begin = number(stop, "begin_ns");
    (begin, begin + number(stop, "duration_ns"))
}

/// Each call that lies in the window made one stop, and nothing else did but what was cut by the window's edges.
fn assert_one_for_each_call(looked: &Looked, stops: &[&Value], calls: &str, goid: i64, about: &str) {
    let (from, to) = looked.window();
    let calls = looked.last()["extras"]["calls"][calls].as_array().unwrap();
    let calls: Vec<(i64, i64)> = calls.iter().map(|call| (call[0].as_i64().unwrap(), call[1].as_i64().unwrap())).collect();
    for stop in stops {
        let (begin, end) = span(stop);
        let makers = calls.iter().filter(|call| call.0 <= begin && end <= call.1).count();
        let near: Vec<_> =
            calls.iter().filter(|call| call.0 <= end && begin <= call.1).map(|call| (begin - call.0, call.1 - end)).collect();
        assert_eq!(
            makers, 1,
            "{about}: {begin} to {end} is in no call, or in several; distances to the edges of those at that time: {near:?}"
        );
        assert_eq!(number(stop, "goroutine"), goid, "{about}");
    }
    let whole = |call: &&(i64, i64)| from <= call.0 && call.1 <= to;
    let unseen: Vec<&(i64, i64)> = (calls.iter().filter(whole))
        .filter(|call| stops.iter().filter(|stop| call.0 <= span(stop).0 && span(stop).1 <= call.1).count() != 1)
        .collect();
    assert!(unseen.is_empty(), "{about}: calls in {from} to {to} without a stop of their own: {unseen:?}");
    let whole = calls.iter().filter(whole).count();
    assert!(whole >= 20 && stops.len() <= whole + 2, "{about}: {} stops, {whole} calls in the window", stops.len());
}

/// How many the runtime counted in one of its histograms in the window.
fn counted(looked: &Looked, histogram: &str) -> Option<RangeInclusive<i64>> {
    looked.last()["histograms"][histogram].as_array()?;
    let all = |truth: &Value| truth["histograms"][histogram].as_array().unwrap().iter().map(|bucket| number(bucket, "count")).sum();
    Some(looked.truth(all))
}

fn goids(load: &mut Load, function: &str) -> Vec<i64> {
    load.begin();
    let goids = kind(&load.end(), function)["goids"].as_array().unwrap().clone();
    goids.iter().map(|goid| goid.as_i64().unwrap()).collect()
}

fn goid(load: &mut Load, function: &str) -> i64 {
    goids(load, function)[0]
}

/// Each load wants all of the machine.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn each_release(mode: &str, args: &[&str], seconds: u32, check: impl Fn(&mut Load, &Looked, &str)) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for release in RELEASES {
        for variant in ["full", "sw"] {
            let mut load = start_in(release, "static", variant, mode, args);
            let looked = look(&mut load, "sched", seconds, &RARE);
            assert_eq!(looked.doc["lost"], 0, "{release}: {}", looked.doc["quality"]);
            assert_eq!(looked.doc["quality"]["warnings"], Value::Array(Vec::new()), "{release}");
            check(&mut load, &looked, &format!("go{release} {variant}"));
        }
    }
}

#[test]
fn each_call_that_collects_or_stops_the_world_is_told_with_who_made_it() {
    each_release("stops", &["0", "20"], 2, |load, looked, about| {
        let (collects, reads) = (goid(load, "main.askForGC"), goid(load, "main.askForStats"));
        let collections = stops(looked, "collection", "main.askForGC");
        assert_one_for_each_call(looked, &collections, "gc", collects, about);
        assert_one_for_each_call(looked, &stops(looked, "world", "main.askForStats"), "memstats", reads, about);
        let all = looked.doc["stops"].as_array().unwrap().iter().filter(|stop| stop["kind"] == "collection").count();
        assert_eq!(all, collections.len(), "{about}: nobody else collects");
    });
}

/// The collector itself stops the world, and who reads its figures; nobody else does.
fn is_of_collector(stop: &Value) -> bool {
    !on_stack(stop, "runtime.ReadMemStats")
}

/// Stops of the world by the collector, and by others.
fn world(looked: &Looked) -> (Vec<&Value>, Vec<&Value>) {
    let all = looked.doc["stops"].as_array().unwrap().iter().filter(|stop| stop["kind"] == "world");
    all.partition(|stop| is_of_collector(stop))
}

fn lengths(stops: &[&Value]) -> Vec<i64> {
    stops.iter().map(|stop| number(stop, "duration_ns")).collect()
}

/// As many as the runtime counts, give or take one at each edge of the window.
fn assert_as_many(looked: &Looked, histogram: &str, told: &[&Value], about: &str) {
    let Some(count) = counted(looked, histogram) else { return };
    let n = told.len() as i64;
    assert!((count.start() - 1..=count.end() + 1).contains(&n), "{about}: {n} stops told, {count:?} in {histogram}");
}

/// The median of what is told is in the middle third of the runtime's. Not so sums: on a busy machine one stop may last as long as all others,
/// and be at the edge of the window. Nor do the whole stops of the collector compare: its figures leave out what comes after mark
/// termination, until all run again (runtime/mgc.go: gcMarkTermination takes the time before it starts the world).
fn assert_same_middle(looked: &Looked, histogram: &str, mut told: Vec<i64>, about: &str) {
    let Some(buckets) = looked.last()["histograms"][histogram].as_array() else { return };
    let all: i64 = buckets.iter().map(|bucket| number(bucket, "count")).sum();
    let at = |rank: i64| {
        let mut until = 0;
        buckets.iter().find(|bucket| {
            until += number(bucket, "count");
            until > rank
        })
    };
    let edge = |bucket: Option<&Value>, name: &str| bucket.unwrap()[name].as_f64().unwrap() * 1e9;
    let (low, high) = (edge(at(all / 3), "low_seconds"), edge(at(all * 2 / 3), "high_seconds"));
    told.sort_unstable();
    let median = told[told.len() / 2];
    assert!((low..=high).contains(&(median as f64)), "{about}: median {median} ns is not in {low} to {high}: {histogram}");
}

#[test]
fn stops_are_as_many_as_in_the_runtimes_own_histograms() {
    each_release("stops", &["0", "20"], 2, |_, looked, about| {
        let (collector, others) = world(looked);
        assert_as_many(looked, "/gc/pauses:seconds", &collector, about);
        assert_as_many(looked, "/sched/pauses/total/other:seconds", &others, about);
        assert_same_middle(looked, "/sched/pauses/total/other:seconds", lengths(&others), about);
    });
}

/// Assists take so long, on a CPU or waiting for one, as the runtime adds up between the begin and the end of each; told since Go 1.20. Some
/// two hundred samples fall into them.
fn assert_assists(looked: &Looked, about: &str) {
    let marking = |row: &&Value| row["source"] != "walk" && on_stack(row, "runtime.gcAssistAlloc1");
    let told: i64 =
        looked.rows().iter().filter(marking).inspect(|row| assert_eq!(row["class"], "gc_assist", "{about}: {row}")).map(ns).sum();
    assert!(told > 0 && told <= looked.time("gc_assist_ns"), "{about}: {told} ns, {}", looked.doc["time"]);
    let name = "/cpu/classes/gc/mark/assist:cpu-seconds";
    if looked.last()["metrics"][name].is_number() {
        let truth = looked.truth(|truth| (truth["metrics"][name].as_f64().unwrap() * 1e9) as i64);
        assert_close(&format!("{about}: assists"), told, &truth, 0.25);
    }
}

/// By GOGC, with goroutines that allocate: they, too, ask for collections, and pay for them by assists.
#[test]
fn collections_that_come_of_allocating_are_all_told_with_who_began_them() {
    each_release("stops", &["2", "50"], 3, |load, looked, about| {
        let collections: Vec<&Value> = looked.doc["stops"].as_array().unwrap().iter().filter(|stop| stop["kind"] == "collection").collect();
        let begin = humantime::parse_rfc3339(looked.doc["captured_at"].as_str().unwrap()).unwrap();
        let begin = begin.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as i64;
        let ends = looked.last()["gc"]["ends_unix_ns"].as_array().unwrap();
        let ended = ends.iter().filter(|end| (begin..=begin + looked.window_ns()).contains(&end.as_i64().unwrap())).count() as i64;
        assert!(ended > 20 && (ended - collections.len() as i64).abs() <= 1, "{about}: {} of {ended}", collections.len());
        let asked = |function: &str| collections.iter().filter(|stop| on_stack(stop, function)).count() as i64;
        let forced = looked.truth(|truth| number(&truth["gc"], "forced"));
        assert!(
            (forced.start() - 1..=forced.end() + 1).contains(&asked("main.askForGC")),
            "{about}: {forced:?}, {}",
            asked("main.askForGC")
        );
        let allocating = goids(load, "main.allocate");
        for collection in collections.iter().filter(|stop| on_stack(stop, "main.allocate")) {
            assert!(allocating.contains(&number(collection, "goroutine")), "{about}: {collection}");
        }
        assert_assists(looked, about);
        let goroutines = common::snapshot::take(load.pid(), &[]).goroutines.len() as i64;
        let whole = goroutines * looked.window_ns();
        assert_close(&format!("{about}: goroutines times window"), looked.time("total_ns"), &(whole..=whole), 0.03);
    });
}

#[test]
fn a_goroutine_that_cannot_be_preempted_is_told_as_the_last_to_give_up_its_p() {
    each_release("hold", &["16", "20"], 2, |load, looked, about| {
        let holder = goid(load, "main.holdP");
        let (collector, others) = world(looked);
        let is_held = |stop: &&&Value| stop["last"]["goroutine"].as_i64() == Some(holder) && on_stack(&stop["last"], "main.holdP");
        let held = others.iter().filter(is_held).count();
        assert!(others.len() >= 20 && held * 2 > others.len(), "{about}: {held} of {}", others.len());
        assert_same_middle(looked, "/sched/pauses/total/other:seconds", lengths(&others), about);
        let held = |stops: &[&Value]| stops.iter().filter_map(|stop| stop["last"]["held_ns"].as_i64()).collect();
        assert_same_middle(looked, "/sched/pauses/stopping/gc:seconds", held(&collector), about);
        assert_same_middle(looked, "/sched/pauses/stopping/other:seconds", held(&others), about);
    });
}
