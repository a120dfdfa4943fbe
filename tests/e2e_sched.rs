//! What `goscope sched` and `goscope profile` say of programs that keep their own books: CPU time, waits, queues, collections.
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
use sched_truth::{Looked, assert_close, assert_shares, look, look_undisturbed, ns, on_stack};
use schedload::{Load, kind, number, spent, start, start_in};

/// One sample a millisecond: a run of a thread of some milliseconds gets its part to within a sample. At 97 Hz it is a matter of luck,
/// and 3 s are too short for that.
const DENSE: [&str; 4] = ["--tier", "1", "--hz", "997"];
/// Whatever it costs.
const SWITCHES: [&str; 2] = ["--tier", "1"];

#[test]
fn spinners_on_two_ps_share_the_cpu_as_their_threads_clocks_say() {
    let mut load = start("spinners", &["-procs", "2", "-lock", "3"]);
    let looked = look(&mut load, "sched", 3, &DENSE);
    let functions = ["main.spinA", "main.spinB", "main.spinC"];
    let told = functions.map(|function| looked.ns(|row| row["class"] == "on_cpu" && on_stack(row, function)));
    let truth = functions.map(|function| looked.truth(|truth| number(kind(truth, function), "on_cpu_ns")));
    assert_shares(functions, told, truth);
    let cpu = looked.truth(|truth| number(truth, "process_cpu_ns"));
    assert_close("CPU", looked.time("on_cpu_ns") + looked.time("scheduler_ns"), &cpu, 0.03);
}

#[test]
fn spinners_that_are_not_locked_share_the_cpu_as_their_iterations_say() {
    let mut load = start("spinners", &["-procs", "2", "4"]);
    let looked = look(&mut load, "profile", 3, &DENSE);
    let functions = ["main.spinA", "main.spinB", "main.spinC", "main.spinD"];
    let told = functions.map(|function| looked.ns(|row| row["class"] == "on_cpu" && on_stack(row, function)));
    let truth = functions.map(|function| looked.truth(|truth| number(kind(truth, function), "iterations")));
    assert_shares(functions, told, truth);
}

/// All of them are there all the time.
fn assert_whole(load: &Load, looked: &Looked) {
    let goroutines = common::snapshot::take(load.pid(), &[]).goroutines.len() as i64;
    let whole = goroutines * looked.window_ns();
    assert_close("goroutines times window", looked.time("total_ns"), &(whole..=whole), 0.03);
    assert!(looked.time("unobserved_ns") <= whole * 3 / 100, "{}", looked.doc["time"]);
}

/// What only waits: for so long by its own books, from before the call until it runs again.
fn assert_waits(mode: &str, args: &[&str], function: &str, state: &str, reasons: &[&str]) {
    let mut load = start(mode, args);
    let looked = look(&mut load, "sched", 3, &SWITCHES);
    let truth = looked.truth(|truth| spent(kind(truth, function), state));
    let fits = |row: &Value| on_stack(row, function) && reasons.iter().any(|reason| row["reason"] == *reason);
    let waiting = looked.ns(|row| row["class"] == "waiting" && fits(row));
    // It belongs to the wait, by the books, that it is runnable again and has no P yet.
    let runnable = looked.ns(|row| row["class"] == "runnable" && on_stack(row, function));
    assert_close(&format!("{function} in {state}"), waiting + runnable, &truth, 0.05);
    assert!(waiting > runnable, "{waiting} ns and {runnable} ns");
    assert_whole(&load, &looked);
}

#[test]
fn sleepers_wait_in_sleep() {
    assert_waits("sleepers", &["4", "20"], "main.sleepAgain", "sleep", &["sleep"]);
}

#[test]
fn selects_wait_in_select() {
    assert_waits("selects", &["4", "20"], "main.choose", "select", &["select"]);
}

#[test]
fn waitgroups_wait_in_their_group() {
    assert_waits("waitgroups", &["4", "20"], "main.waitForGroup", "waitgroup", &["sync.WaitGroup.Wait", "semacquire"]);
}

#[test]
fn conds_wait_in_cond() {
    assert_waits("conds", &["4", "20"], "main.waitForCond", "cond", &["sync.Cond.Wait"]);
}

#[test]
fn readers_wait_for_the_network() {
    assert_waits("netwait", &["4", "20"], "main.readAgain", "network", &["IO wait"]);
}

#[test]
fn a_convoy_waits_for_its_mutex() {
    let mut load = start("convoy", &["4", "1000"]);
    let looked = look(&mut load, "sched", 3, &SWITCHES);
    let truth = looked.truth(|truth| {
        let kind = kind(truth, "main.contend");
        spent(kind, "mutex") + spent(kind, "unlock")
    });
    let locking = |row: &Value| on_stack(row, "main.contend") && !on_stack(row, "main.burn");
    let told = looked.ns(|row| matches!(row["class"].as_str().unwrap(), "waiting" | "runnable") && on_stack(row, "main.contend"));
    assert_close("Lock and Unlock", told, &truth, 0.05);
    assert!(looked.ns(|row| row["reason"] == "sync.Mutex.Lock" && locking(row)) > told / 2, "most of it is the mutex");
    assert_whole(&load, &looked);
}

#[test]
fn a_ball_is_waited_for_on_channels() {
    // So little CPU that a goscope that was built for debugging can read all switches, also on a busy machine.
    let group = CpuGroup::with_quota(0.3);
    let mut load = start("pingpong", &["2"]);
    group.add(load.pid());
    // Throttled, one or two of the four hold a P and the rest are counted by walks: 150 of these are good for 5 %, 30 are not.
    let looked = look(&mut load, "sched", 15, &SWITCHES);
    let ball = |row: &Value| on_stack(row, "main.ping") || on_stack(row, "main.pong");
    // Walks are ten a second, and samples of so much switching fall on the scheduler too: only the whole is sure.
    let off = looked.ns(|row| matches!(row["class"].as_str().unwrap(), "waiting" | "runnable") && ball(row));
    let whole = 4 * looked.window_ns();
    // Of the rest only the one that answers this test runs.
    let busy = looked.ns(|row| matches!(row["class"].as_str().unwrap(), "on_cpu" | "no_cpu") && !on_stack(row, "main.main"));
    assert_close("four goroutines", off + busy, &(whole..=whole), 0.05);
    let reasons = ["chan receive", "chan send"].map(|reason| looked.ns(|row| row["reason"] == reason && ball(row)));
    assert!(reasons.iter().all(|ns| *ns > 0), "{reasons:?}");
    let cpu = looked.truth(|truth| number(truth, "process_cpu_ns"));
    assert_close("CPU", looked.time("on_cpu_ns") + looked.time("scheduler_ns"), &cpu, 0.03);
    assert_whole(&load, &looked);
}

#[test]
fn system_calls_that_block_take_their_time() {
    for (mode, args) in [("syscalls", ["4", "50"]), ("threads", ["20", "60000"])] {
        let mut load = start(mode, &args);
        let looked = look(&mut load, "sched", 3, &SWITCHES);
        let truth = looked.truth(|truth| spent(kind(truth, "main.sleepInKernel"), "syscall"));
        let class = |class: &str| looked.ns(|row| row["class"] == class && on_stack(row, "main.sleepInKernel"));
        // By the books it is in the call until it runs again: on a busy machine it waits for a CPU first, and for a P.
        assert_close(mode, class("syscall") + class("no_cpu") + class("runnable"), &truth, 0.05);
        assert!(class("syscall") >= *truth.start() / 2, "{} of {truth:?}", class("syscall"));
        assert_whole(&load, &looked);
    }
}

/// Where a quantile can lie by the runtime's own histogram, in ns: each bucket counts for goscope's window between two figures.
fn quantile_bounds(looked: &Looked, q: f64) -> (f64, f64) {
    let edge = |bucket: &Value, name: &str| bucket[name].as_f64().map(|seconds| seconds * 1e9);
    let all = looked.last()["sched_latencies"].as_array().unwrap();
    let buckets: Vec<(f64, f64, f64, f64)> = (all.iter())
        .map(|bucket| {
            let same = |truth: &Value| {
                let buckets = truth["sched_latencies"].as_array().unwrap();
                let found = buckets.iter().find(|other| other["low_seconds"] == bucket["low_seconds"]);
                found.map_or(0, |found| number(found, "count"))
            };
            let count = looked.truth(same);
            let (low, high) = (edge(bucket, "low_seconds").unwrap_or(0.0), edge(bucket, "high_seconds").unwrap_or(f64::INFINITY));
            (low, high, *count.start() as f64, *count.end() as f64)
        })
        .collect();
    // The first bucket that reaches the rank, when there is as much as can be up to it and as little as can be behind; and the converse.
    let reached = |most_first: bool| {
        let pick = |least: f64, most: f64, first: bool| if first == most_first { most } else { least };
        let at = |i: usize| {
            let until: f64 = buckets[..=i].iter().map(|b| pick(b.2, b.3, true)).sum();
            let behind: f64 = buckets[i + 1..].iter().map(|b| pick(b.2, b.3, false)).sum();
            until >= q * (until + behind)
        };
        (0..buckets.len()).find(|i| at(*i)).unwrap()
    };
    (buckets[reached(true)].0, buckets[reached(false)].1)
}

/// On one P, four that yield at once wait for one that yields after 2 ms.
#[test]
fn the_wait_for_a_p_is_in_the_bucket_of_the_runtimes_own_histogram() {
    let mut load = start("starve", &["4", "2000"]);
    let looked = look(&mut load, "sched", 3, &SWITCHES);
    let queue = &looked.doc["run_queue"];
    assert_eq!(queue["source"], "timeToRun");
    for (key, q) in [("p50_ns", 0.5), ("p90_ns", 0.9), ("p99_ns", 0.99)] {
        let (told, (low, high)) = (number(queue, key) as f64, quantile_bounds(&looked, q));
        // Told is the upper end of goscope's bucket; those of the runtime's metrics are as fine at most.
        assert!(low < told && told <= high * 1.001, "{key}: {told} is not in {low} to {high}");
    }
    let runnable = looked.truth(|truth| spent(kind(truth, "main.yielding"), "runnable"));
    let told = looked.ns(|row| row["class"] == "runnable" && on_stack(row, "main.yielding"));
    assert_close("runnable", told, &runnable, 0.05);
    assert_whole(&load, &looked);
}

#[test]
fn a_quota_shows_as_time_with_a_p_and_without_a_cpu() {
    let group = CpuGroup::with_quota(0.2);
    let mut load = start("quota", &["-procs", "2", "2"]);
    group.add(load.pid());
    let before = group.stat();
    let looked = look_undisturbed(&mut load, "sched", 3, &SWITCHES);
    let after = group.stat();
    let throttled = &looked.doc["runtime"]["throttled"];
    let (periods, told) = (number(throttled, "throttled_periods"), number(throttled, "throttled_ns"));
    assert!(periods > 0 && periods <= (after.throttled - before.throttled) as i64, "{throttled}, {before:?} to {after:?}");
    assert!(told > 0 && told <= (after.throttled_ns - before.throttled_ns) as i64, "{throttled}, {before:?} to {after:?}");
    // Two that compute get a fifth of one CPU, and hold their Ps all the time: throttled, a thread keeps its P. Who else wanted a P, such as
    // the main goroutine to answer a question, would hold one while it is throttled too, for many times the CPU it needs, and one of these
    // would be runnable meanwhile; so nobody asks.
    let spins = |row: &Value| on_stack(row, "main.spinA") || on_stack(row, "main.spinB");
    let told = |class: &str| looked.ns(|row| row["class"] == class && spins(row));
    let (on_cpu, no_cpu, runnable) = (told("on_cpu"), told("no_cpu"), told("runnable"));
    let both = 2 * looked.window_ns();
    assert!(no_cpu >= 4 * on_cpu && runnable <= both / 20, "{}", looked.doc["time"]);
    assert_close("two that compute", on_cpu + no_cpu + runnable, &(both..=both), 0.05);
}

#[test]
fn collections_and_their_pauses_are_those_of_the_runtime() {
    let mut load = start("gc", &["0", "20"]);
    let looked = look(&mut load, "sched", 3, &SWITCHES);
    let runtime = &looked.doc["runtime"];
    let cycles = looked.truth(|truth| number(&truth["gc"], "cycles"));
    assert!(cycles.contains(&number(runtime, "gc_cycles")), "{} of {cycles:?}", runtime["gc_cycles"]);
    let truth = looked.last()["gc"]["pauses_ns"].as_array().unwrap().clone();
    let told = runtime["gc_pauses"].as_array().unwrap();
    assert_eq!(told.len() as i64, number(runtime, "gc_cycles"), "one for each");
    for pause in told {
        assert!(truth.contains(&pause["pause_ns"]), "{pause} is none of {truth:?}");
    }
}

#[test]
fn who_allocates_while_the_collector_marks_assists() {
    let mut load = start("gc", &["4", "100"]);
    let looked = look(&mut load, "sched", 3, &DENSE);
    let truth = looked.last()["metrics"]["/cpu/classes/gc/mark/assist:cpu-seconds"].as_f64().unwrap();
    assert!(truth > 0.0, "the program assists");
    assert!(looked.time("gc_assist_ns") > 0, "{truth} s of assists: {}", looked.doc["time"]);
}

/// CPU time of both routes, each set of labels living for some hundred microseconds; nearly all of it has one.
fn routes(release: &str, seconds: u32) -> [i64; 2] {
    let mut load = start_in(release, "static", "full", "labels", &["2"]);
    let looked = look(&mut load, "profile", seconds, &DENSE);
    let [a, b] = ["/a", "/b"].map(|route| looked.ns(|row| row["class"] == "on_cpu" && row["labels"]["route"] == route));
    // What stands between two labels is little, but no more than little without any.
    let all = looked.time("on_cpu_ns");
    assert!(a + b >= all * 95 / 100, "go{release}: {a} and {b} of {all}");
    assert!(looked.ns(|row| row["labels"]["route"] == "/a" && !on_stack(row, "main.routeA")) <= a / 20, "go{release}");
    [a, b]
}

/// Many turns between two samples: each is a draw of its own, and some thousands of them are needed for 3 points to be sure.
#[test]
fn labels_share_the_cpu_as_their_work_says() {
    assert_shares(["/a", "/b"], routes(schedload::GO, 10), [3..=3, 1..=1]);
}

#[test]
fn labels_are_there_when_their_set_is_gone_a_moment_later() {
    // A map up to Go 1.23, a slice since.
    for release in ["1.18.10", "1.23.12", "1.24.0", "1.27.4"] {
        assert!(routes(release, 2).iter().all(|ns| *ns > 0), "go{release}");
    }
}

/// The kernel follows 127 frames; what lies beyond them is said to be cut, and no other function is put in its place.
#[test]
fn a_stack_deeper_than_can_be_followed_says_so() {
    let mut load = start("deep", &["1"]);
    let looked = look(&mut load, "profile", 3, &DENSE);
    let mut deep = 0;
    for row in looked.rows().iter().filter(|row| on_stack(row, "main.descend")) {
        let frames = row["frames"].as_array().unwrap();
        let below = frames.iter().skip_while(|frame| frame["function"] != "main.descend");
        let below: Vec<&Value> = below.map(|frame| &frame["function"]).collect();
        let recursion = below.iter().take_while(|function| **function == "main.descend").count();
        match row["cut"].as_str() {
            Some(cut) => {
                assert_eq!((cut, recursion), ("depth limit", below.len()), "{row}");
                assert!((100..200).contains(&recursion), "{row}");
            }
            None => {
                assert_eq!(recursion, 200, "{row}");
                assert_eq!(below.last().unwrap().as_str(), Some("runtime.goexit"), "{row}");
            }
        }
        assert!(row["start"].is_null() || row["cut"].is_null(), "{row}");
        deep += ns(row);
    }
    assert!(deep >= looked.time("on_cpu_ns") * 95 / 100, "{deep} of {}", looked.time("on_cpu_ns"));
}

#[test]
fn ten_thousand_goroutines_are_all_in_the_account() {
    let mut load = start("many", &["10000"]);
    let looked = look(&mut load, "sched", 3, &SWITCHES);
    let parked =
        looked.ns(|row| row["class"] == "waiting" && row["reason"] == "chan receive (nil chan)" && on_stack(row, "main.parkedForever"));
    let truth = 10_000 * looked.window_ns();
    assert_close("parked for ever", parked, &(truth..=truth), 0.03);
    assert_whole(&load, &looked);
    assert_eq!((&looked.doc["quality"]["skipped"], &looked.doc["quality"]["not_resident"]), (&Value::from(0), &Value::from(0)));
}
