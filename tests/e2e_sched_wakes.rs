//! What `goscope sched --tier 3` says of who wakes whom, against programs in which nobody else can have done it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of a test may unwrap

mod common;
#[path = "support/cpu_group.rs"]
mod cpu_group;
#[path = "support/sched_truth.rs"]
mod sched_truth;
#[path = "support/schedload.rs"]
mod schedload;

use serde_json::Value;

use cpu_group::CpuGroup;
use sched_truth::{Looked, assert_close, assert_shares, look, on_stack};
use schedload::{kind, number, spent, start, start_in};

const TRANSITIONS: [&str; 2] = ["--tier", "3"];

fn wakes(looked: &Looked) -> &[Value] {
    assert_eq!(looked.doc["lost"], 0, "{}", looked.doc["quality"]);
    looked.doc["transitions"]["wakes"].as_array().unwrap()
}

fn hops(wake: &Value) -> &[Value] {
    wake["hops"].as_array().unwrap()
}

/// Waits of goroutines with this function on their stack.
fn waits_of<'a>(wakes: &'a [Value], function: &str) -> Vec<&'a Value> {
    wakes.iter().filter(|wake| on_stack(&hops(wake)[0], function)).collect()
}

fn total(wakes: &[&Value], field: &str) -> i64 {
    wakes.iter().map(|wake| number(wake, field)).sum()
}

fn is_woken_by(hop: &Value, function: &str) -> bool {
    hop["waker"] == "goroutine" && on_stack(&hop["woken_by"], function)
}

fn assert_ball(looked: &Looked) {
    let wakes = wakes(looked);
    for (function, other) in [("main.ping", "main.pong"), ("main.pong", "main.ping")] {
        let waits = waits_of(wakes, function);
        for wake in &waits {
            assert!(is_woken_by(&hops(wake)[0], other), "{function} is woken by {other} only: {wake}");
            assert!(matches!(hops(wake)[0]["reason"].as_str().unwrap(), "chan send" | "chan receive"), "{wake}");
        }
        // In each round it waits once at least, and twice at most: for the other to take the ball, and for it to come back.
        let rounds = looked.truth(|truth| number(kind(truth, function), "iterations"));
        let told = total(&waits, "count");
        let (low, high) = (*rounds.start() as f64 * 0.99, 2.0 * *rounds.end() as f64 * 1.01);
        assert!((low..=high).contains(&(told as f64)), "{told} wakes of {function} in {rounds:?} rounds");
    }
    let by_site = looked.doc["transitions"]["run_latency"].as_array().unwrap();
    assert!(by_site.iter().any(|site| site["created_by"] == "goscope.test/fixtures/account.Go"), "{by_site:?}");
}

#[test]
fn a_pair_is_woken_by_each_other_in_each_round() {
    // So little CPU that all transitions can be read by a goscope that was built for debugging.
    let group = CpuGroup::with_quota(0.01);
    let mut load = start("pingpong", &["1"]);
    group.add(load.pid());
    assert_ball(&look(&mut load, "sched", 3, &TRANSITIONS));
}

/// A is woken by B, which is woken by C, which is woken by the network; each once a message.
fn assert_chain(looked: &Looked) {
    let wakes = wakes(looked);
    let (a, b, c) = (waits_of(wakes, "main.chainA"), waits_of(wakes, "main.chainB"), waits_of(wakes, "main.chainC"));
    for wake in &a {
        let hops = hops(wake);
        assert!(is_woken_by(&hops[0], "main.chainB") && hops[0]["reason"] == "chan receive", "{wake}");
    }
    for wake in &b {
        let hops = hops(wake);
        assert!(is_woken_by(&hops[0], "main.chainC") && hops[0]["reason"] == "chan receive", "{wake}");
    }
    for wake in &c {
        let hops = hops(wake);
        assert!(hops.len() == 1 && hops[0]["waker"] == "network" && hops[0]["reason"] == "IO wait", "{wake}");
    }
    // The whole way: A by B, which was woken by C, which was woken by the network.
    let whole: Vec<&Value> = a.iter().filter(|wake| hops(wake).len() == 3).copied().collect();
    for wake in &whole {
        let hops = hops(wake);
        assert!(on_stack(&hops[1], "main.chainB") && is_woken_by(&hops[1], "main.chainC"), "{wake}");
        assert!(on_stack(&hops[2], "main.chainC") && hops[2]["waker"] == "network", "{wake}");
    }
    for (function, told, state) in
        [("main.chainA", &a, "receive"), ("main.chainA", &whole, "receive"), ("main.chainB", &b, "receive"), ("main.chainC", &c, "network")]
    {
        let rounds = looked.truth(|truth| number(kind(truth, function), "iterations"));
        assert_close(&format!("wakes of {function}"), total(told, "count"), &rounds, 0.01);
        let waited = looked.truth(|truth| spent(kind(truth, function), state));
        assert_close(&format!("waits of {function}"), total(told, "blocked_ns"), &waited, 0.05);
    }
    let sleeps = waits_of(wakes, "main.writeAll");
    assert!(sleeps.iter().all(|wake| hops(wake)[0]["waker"] == "timer" && hops(wake)[0]["reason"] == "sleep"), "{sleeps:?}");
    let rounds = looked.truth(|truth| number(kind(truth, "main.writeAll"), "iterations"));
    assert_close("sleeps", total(&sleeps, "count"), &rounds, 0.01);
}

#[test]
fn a_chain_is_followed_from_the_last_to_the_network() {
    let mut load = start("chain", &["5"]);
    assert_chain(&look(&mut load, "sched", 3, &TRANSITIONS));
}

/// What differs from release to release: offsets, names and beginnings of the runtime's functions, numbers of wait reasons, g's place.
fn every_release(release: &str, link: &str, variant: &str) {
    let mut load = start_in(release, link, variant, "spinners", &["-procs", "2", "-lock", "2"]);
    let looked = look(&mut load, "sched", 2, &["--tier", "1", "--hz", "997"]);
    let functions = ["main.spinA", "main.spinB"];
    let told = functions.map(|function| looked.ns(|row| row["class"] == "on_cpu" && on_stack(row, function)));
    let truth = functions.map(|function| looked.truth(|truth| number(kind(truth, function), "on_cpu_ns")));
    assert_shares(functions, told, truth);
    // What is left is the scheduler's.
    assert!(told.iter().sum::<i64>() >= looked.time("on_cpu_ns") * 95 / 100, "{told:?} of {}", looked.doc["time"]);
    assert_eq!(looked.doc["quality"]["warnings"], serde_json::json!([]));

    let mut load = start_in(release, link, variant, "chain", &["5"]);
    let looked = look(&mut load, "sched", 2, &TRANSITIONS);
    assert_chain(&looked);
    assert_eq!(looked.doc["quality"]["warnings"], serde_json::json!([]), "every site is found");
}

macro_rules! releases {
    ($($name:ident $release:literal)*) => {$(
        mod $name {
            #[test]
            fn full() { super::every_release($release, "static", "full"); }
            #[test]
            fn stripped() { super::every_release($release, "static", "sw"); }
            #[test]
            fn pie() { super::every_release($release, "pie", "full"); }
        }
    )*};
}

releases! {
    go1_18_10 "1.18.10"
    go1_19_13 "1.19.13"
    go1_20_14 "1.20.14"
    go1_21_13 "1.21.13"
    go1_22_12 "1.22.12"
    go1_23_0 "1.23.0"
    go1_23_12 "1.23.12"
    go1_24_0 "1.24.0"
    go1_24_13 "1.24.13"
    go1_25_14 "1.25.14"
    go1_26_11 "1.26.11"
    go1_27_4 "1.27.4"
}
