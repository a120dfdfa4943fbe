//! The programs that are the oracle of `sched` and `profile` keep true books: against the kernel's own, against the runtime's own, and
//! against what their source allows. None of it needs an idle machine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of a test may unwrap

mod common;
#[path = "support/cpu_group.rs"]
mod cpu_group;
#[path = "support/schedload.rs"]
mod schedload;

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use common::snapshot;
use cpu_group::CpuGroup;
use schedload::{GO, Load, kind, number, spent, start, start_cgo, start_in};

const WINDOW: Duration = Duration::from_secs(1);
const MS: i64 = 1_000_000;

const RELEASES: [&str; 12] =
    ["1.18.10", "1.19.13", "1.20.14", "1.21.13", "1.22.12", "1.23.0", "1.23.12", "1.24.0", "1.24.13", "1.25.14", "1.26.11", "1.27.4"];
const WITH_C: [&str; 3] = ["1.18.10", GO, "1.27.4"];

/// The states of each goroutine add up to its window, and that one is the whole window but for the time that the edges took.
fn assert_complete(truth: &Value) {
    for kind in truth["kinds"].as_array().unwrap() {
        for g in kind["goroutines"].as_array().unwrap() {
            let states: i64 = g["states"].as_object().unwrap().values().map(|state| number(state, "ns")).sum();
            assert_eq!(states, number(g, "window_ns"), "{g}");
            let off = (number(g, "window_ns") - number(truth, "window_ns")).abs();
            assert!(off <= number(truth, "edge_ns"), "the window of {g} differs by {off} ns");
        }
    }
}

fn goroutines(kind: &Value) -> &[Value] {
    kind["goroutines"].as_array().unwrap()
}

/// What the kernel says of a thread: time on a CPU and time in a run queue, in ns.
fn schedstat(pid: u32, tid: i64) -> (i64, i64) {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{tid}/schedstat")).unwrap();
    let mut numbers = text.split_whitespace().map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[test]
fn every_release_and_link_mode_counts_iterations() {
    let schedload = RELEASES.iter().flat_map(|release| {
        let cells = [("static", "full"), ("static", "sw"), ("pie", "full")];
        cells.map(|(link, variant)| (*release, start_in(release, link, variant, "spinners", &["2"])))
    });
    let schedcgo = WITH_C.iter().flat_map(|release| ["cgo", "cgo-ext", "cgo-pie"].map(|link| (*release, start_cgo(release, link, &[]))));
    for (release, mut load) in schedload.chain(schedcgo) {
        load.begin();
        loop {
            let truth = load.end();
            assert_complete(&truth);
            assert_eq!(truth["go_version"], format!("go{release}"));
            if truth["kinds"].as_array().unwrap().iter().all(|kind| number(kind, "iterations") > 0) {
                break;
            }
        }
        load.fixture.quit();
    }
}

/// Two threads are on a CPU at any time, or the kernel lets them wait for one.
#[test]
fn spinners_use_all_the_cpu_that_the_kernel_gives_them() {
    let mut load = start("spinners", &["-procs", "2", "2"]);
    let pid = load.pid();
    let kernel = || -> i64 {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|entry| entry.unwrap().file_name());
        threads.map(|tid| schedstat(pid, tid.to_str().unwrap().parse().unwrap())).map(|(on_cpu, queued)| on_cpu + queued).sum()
    };
    let before = kernel();
    let truth = load.window(WINDOW);
    let wanted = kernel() - before;
    assert_complete(&truth);
    let window = number(&truth, "window_ns");
    assert!(wanted >= 2 * window * 9 / 10, "{wanted} ns of two times {window}");
    assert!(number(&truth, "process_cpu_ns") <= 2 * window + 20 * MS, "{truth}");
    assert!(truth["kinds"].as_array().unwrap().iter().all(|kind| number(kind, "iterations") > 0));
}

#[test]
fn locked_spinners_used_what_the_kernel_says_of_their_threads() {
    let mut load = start("spinners", &["-procs", "2", "-lock", "2"]);
    load.begin();
    let truth = load.end();
    let tids: Vec<i64> = truth["kinds"].as_array().unwrap().iter().map(|kind| number(&goroutines(kind)[0], "tid")).collect();
    let kernel = |load: &Load| -> Vec<i64> { tids.iter().map(|tid| schedstat(load.pid(), *tid).0).collect() };

    let outer = kernel(&load);
    load.begin();
    let inner = kernel(&load);
    std::thread::sleep(WINDOW);
    let inner_end = kernel(&load);
    let truth = load.end();
    let outer_end = kernel(&load);
    assert_complete(&truth);

    // schedstat of a running thread is as old as the last tick, which is every 10 ms at most (CONFIG_HZ).
    let tick = 10 * MS;
    let mut on_cpu = 0;
    for (i, function) in ["main.spinA", "main.spinB"].into_iter().enumerate() {
        let kind = kind(&truth, function);
        let told = number(kind, "on_cpu_ns");
        assert!(told <= outer_end[i] - outer[i] + tick, "{function} used {told} ns, the kernel says {outer:?} to {outer_end:?}");
        assert!(told >= inner_end[i] - inner[i] - tick, "{function} used {told} ns, the kernel says {inner:?} to {inner_end:?}");
        assert!(number(kind, "iterations") > 0);
        on_cpu += told;
    }
    let process = number(&truth, "process_cpu_ns");
    // What is left is the runtime's.
    assert!((process * 9 / 10..=process * 101 / 100).contains(&on_cpu), "the process used {process} ns, its spinners {on_cpu} ns");
}

#[test]
fn one_at_a_time_holds_the_mutex_of_a_convoy_and_the_others_wait() {
    let (n, hold) = (4, MS);
    let mut load = start("convoy", &["4", "1000"]);
    let truth = load.window(WINDOW);
    assert_complete(&truth);
    let all = kind(&truth, "main.contend");
    assert_eq!(number(all, "count"), n);
    let (window, edge) = (number(&truth, "window_ns"), number(&truth, "edge_ns"));
    let held = spent(all, "running");
    assert!(held <= window + n * edge, "held for {held} ns of {window}");
    assert!(held >= (number(all, "iterations") - n) * hold, "each time for {hold} ns at least: {all}");
    let waited = spent(all, "mutex") + spent(all, "unlock");
    assert!(waited >= (n - 1) * window - 2 * n * edge, "waited for {waited} ns: {all}");
    assert!(goroutines(all).iter().all(|g| number(g, "iterations") > 0), "a mutex starves nobody: {all}");
}

#[test]
fn a_pair_wakes_each_other_as_often_as_the_ball_goes() {
    let mut load = start("pingpong", &["2"]);
    let truth = load.window(WINDOW);
    assert_complete(&truth);
    let (ping, pong) = (kind(&truth, "main.ping"), kind(&truth, "main.pong"));
    let (balls, returned) = (number(ping, "iterations"), number(pong, "iterations"));
    assert!(balls > 1000, "{truth}");
    // All are read in turn while they play, so the two of a pair are not read at the same moment.
    assert!((balls - returned).abs() <= balls / 10, "{balls} balls, {returned} returned");
    let pairs: BTreeSet<(i64, i64)> =
        truth["wakes"].as_array().unwrap().iter().map(|wake| (number(wake, "waker"), number(wake, "woken"))).collect();
    let goid = |kind: &Value, i: usize| number(&goroutines(kind)[i], "goid");
    let expected = (0..2).flat_map(|i| [(goid(ping, i), goid(pong, i)), (goid(pong, i), goid(ping, i))]);
    assert_eq!(pairs, expected.collect());
}

#[test]
fn a_chain_goes_from_the_network_through_three_goroutines() {
    let mut load = start("chain", &["5"]);
    let truth = load.window(WINDOW);
    assert_complete(&truth);
    let goid = |function| kind(&truth, function)["goids"][0].clone();
    let (a, b, c) = (goid("main.chainA"), goid("main.chainB"), goid("main.chainC"));
    let hops: Vec<Value> = truth["wakes"].as_array().unwrap().iter().map(|w| json!([w["waker"], w["woken"]])).collect();
    assert_eq!(hops, [json!([null, c]), json!([c, b]), json!([b, a])]);
    let sent = number(kind(&truth, "main.writeAll"), "iterations");
    assert!(sent > 0);
    for wake in truth["wakes"].as_array().unwrap() {
        assert!(number(wake, "at_most") <= number(wake, "rounds") + 2, "one wait a round: {wake}");
        assert!((number(wake, "rounds") - sent).abs() <= 2, "each message goes all the way: {sent} and {wake}");
    }
}

/// Modes whose goroutines do nothing but wait: for so long in each iteration, and for nearly all of the window.
#[test]
fn what_only_waits_is_in_its_wait_for_all_iterations() {
    let cases = [
        ("sleepers", "main.sleepAgain", "sleep"),
        ("syscalls", "main.sleepInKernel", "syscall"),
        ("netwait", "main.readAgain", "network"),
        ("selects", "main.choose", "select"),
        ("conds", "main.waitForCond", "cond"),
        ("waitgroups", "main.waitForGroup", "waitgroup"),
    ];
    for (mode, function, state) in cases {
        let (n, period) = (3, 20 * MS);
        let mut load = start(mode, &["3", "20"]);
        let truth = load.window(WINDOW);
        assert_complete(&truth);
        let all = kind(&truth, function);
        let (window, waited, iterations) = (number(&truth, "window_ns"), spent(all, state), number(all, "iterations"));
        assert_eq!(number(all, "count"), n, "{mode}");
        assert!(iterations >= n, "{mode}: {truth}");
        assert!(waited >= n * window * 8 / 10, "{mode}: waited for {waited} ns of {n} times {window}");
        if matches!(mode, "sleepers" | "syscalls" | "waitgroups") {
            // Those that began before the window count too.
            assert!(waited + n * period >= iterations * period, "{mode}: {iterations} waits in {waited} ns");
        }
        if mode == "syscalls" {
            assert!(number(&truth, "voluntary_switches") + n >= iterations, "each blocks its thread: {truth}");
        }
        if mode == "waitgroups" {
            let created = number(&truth, "goroutines_created");
            assert!((created - iterations).abs() <= n, "one for each iteration: {created}");
            let runtime = truth["metrics"]["/sched/goroutines-created:goroutines"].as_f64().unwrap();
            assert!((runtime - created as f64).abs() <= n as f64, "the runtime counts {runtime}, at nearly the same moments: {created}");
        }
    }
}

#[test]
fn those_that_yield_wait_for_the_slice_of_the_one_that_does_not() {
    let slice = 2 * MS;
    let mut load = start("starve", &["4", "2000"]);
    let truth = load.window(WINDOW);
    assert_complete(&truth);
    assert_eq!(number(&truth, "gomaxprocs"), 1);
    let (hog, yielding) = (kind(&truth, "main.hog"), kind(&truth, "main.yielding"));
    assert!(number(hog, "iterations") > 0);
    let waits = number(&yielding["states"]["runnable"], "entered");
    let mean = spent(yielding, "runnable") / waits.max(1);
    assert!(mean >= slice * 9 / 10, "the mean wait is {mean} ns: {truth}");
    // The runtime's own histogram samples one in eight.
    let buckets = truth["sched_latencies"].as_array().unwrap();
    let count = |long: bool| -> i64 {
        let is_long = |bucket: &&Value| bucket["high_seconds"].as_f64().is_none_or(|high| high > 0.001) == long;
        buckets.iter().filter(is_long).map(|bucket| number(bucket, "count")).sum()
    };
    assert!(count(true) > count(false), "most waits are longer than half a slice: {buckets:?}");
}

#[test]
fn forced_collections_are_all_there_are_without_allocators() {
    let mut load = start("gc", &["0", "20"]);
    let truth = load.window(WINDOW);
    assert_complete(&truth);
    let (cycles, iterations) = (number(&truth["gc"], "cycles"), number(kind(&truth, "main.forceGC"), "iterations"));
    assert!(iterations > 0);
    assert_eq!(number(&truth["gc"], "forced"), cycles);
    assert!((cycles - iterations).abs() <= 1, "{cycles} cycles of {iterations} calls");
    let pauses: Vec<i64> = truth["gc"]["pauses_ns"].as_array().unwrap().iter().map(|pause| pause.as_i64().unwrap()).collect();
    assert_eq!(pauses.len() as i64, cycles);
    assert_eq!(pauses.iter().sum::<i64>(), number(&truth["gc"], "pause_total_ns"));

    let mut load = start("gc", &["2", "100"]);
    let truth = load.window(WINDOW);
    assert!(truth["metrics"]["/cpu/classes/gc/mark/assist:cpu-seconds"].as_f64().unwrap() > 0.0, "what allocates assists: {truth}");
}

#[test]
fn the_goids_are_those_of_the_goroutines_with_that_function_on_their_stack() {
    let mut load = start("many", &["500"]);
    load.begin();
    let truth = load.end();
    let snapshot = snapshot::take(load.pid(), &[]);
    let on_stack = |function: &str| -> BTreeSet<i64> {
        let has = |g: &&snapshot::Goroutine| g.frames.iter().any(|frame| frame.function == function);
        snapshot.goroutines.iter().filter(has).map(|g| g.id as i64).collect()
    };
    let told =
        |function| -> BTreeSet<i64> { kind(&truth, function)["goids"].as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect() };
    assert_eq!(told("main.parkedForever").len(), 500);
    assert_eq!(on_stack("main.parkedForever"), told("main.parkedForever"));
    load.fixture.assert_alive();
}

#[test]
fn the_deep_stack_has_200_frames() {
    let mut load = start("deep", &[]);
    let depth = |pid| {
        let snapshot = snapshot::take(pid, &[]);
        snapshot.goroutines.iter().map(|g| g.frames.iter().filter(|frame| frame.function == "main.descend").count()).max().unwrap()
    };
    assert_eq!(depth(load.pid()), 200);
    load.fixture.assert_alive();
}

#[test]
fn a_quota_throttles_the_spinners() {
    let group = CpuGroup::with_quota(0.2);
    let mut load = start("quota", &["-procs", "2", "2"]);
    group.add(load.pid());
    let before = group.stat();
    load.begin();
    let patience = Instant::now() + Duration::from_secs(60);
    while group.stat().throttled < before.throttled + 10 {
        assert!(Instant::now() < patience, "not throttled: {before:?} to {:?}", group.stat());
        std::thread::sleep(Duration::from_millis(1));
    }
    let truth = load.end();
    let after = group.stat();
    assert!(after.throttled_ns > before.throttled_ns && after.periods > before.periods, "{before:?} to {after:?}");
    let (used, window) = (number(&truth, "process_cpu_ns"), number(&truth, "window_ns"));
    // The quota of one period more, and what each CPU took of it before the window (sched_cfs_bandwidth_slice_us, 5 ms), come on top.
    assert!(used <= window / 5 + 30 * MS, "used {used} ns of {window}");
}

#[test]
fn the_server_serves_what_the_client_asks_for() {
    let mut server = start("server", &[]);
    let address = server.fixture.preamble[0].strip_prefix("listening ").unwrap().to_owned();
    let mut client = start("client", &[&address, "200", "4"]);
    server.begin();
    client.begin();
    std::thread::sleep(WINDOW);
    let asked = client.end();
    let truth = server.end();
    let requests = &asked["extras"]["requests"];
    let (served, answered) = (number(&truth["counters"], "served"), number(requests, "answered"));
    assert!(answered > 0, "{asked}");
    assert_eq!(number(requests, "failed"), 0);
    assert!(served + 4 >= answered, "all that was answered was served but for those under way: {served} and {answered}");
    assert!((number(&truth, "goroutines_created") - served).abs() <= 4, "one for each request: {truth}");
    assert!(number(requests, "p50_ns") <= number(requests, "p99_ns"));
}

#[test]
fn the_time_in_c_is_that_of_the_threads() {
    for release in WITH_C {
        let mut load = start_cgo(release, "cgo", &[]);
        let truth = load.window(WINDOW);
        assert_complete(&truth);
        let functions = ["main.spinWithFramePointers", "main.spinWithoutFramePointers", "main.spinInCallback", "main.sleepInC"];
        let on_cpu = functions.map(|function| number(kind(&truth, function), "on_cpu_ns"));
        let (sum, process) = (on_cpu.iter().sum::<i64>(), number(&truth, "process_cpu_ns"));
        // What is left is the runtime's: it looks for work each time that a thread has gone into C.
        assert!((process * 8 / 10..=process * 101 / 100).contains(&sum), "go{release}: {on_cpu:?} of {process}");
        assert!(on_cpu[..3].iter().all(|ns| *ns > 20 * MS), "go{release}: each computes: {on_cpu:?}");
        assert!(on_cpu[3] < number(&truth, "window_ns") / 20, "go{release}: who sleeps in C uses no CPU: {on_cpu:?}");
        for function in functions {
            let (kind, window) = (kind(&truth, function), number(&truth, "window_ns"));
            assert!(spent(kind, "c") >= window * 9 / 10, "go{release}: always in C: {kind}");
        }
        load.fixture.assert_alive();
    }
}
