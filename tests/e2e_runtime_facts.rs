//! What goscope reads of a runtime's variables against what that runtime says of itself (runtime/metrics, MemStats, ReadGCStats).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::time::{Duration, Instant};

use goscope::info::runtime::{GcPhase, RuntimeFacts, collect};

#[path = "support/runtimefacts.rs"]
mod runtimefacts;
use runtimefacts::{Fixture, RELEASES, Told, build};

fn read(fixture: &Fixture) -> RuntimeFacts {
    collect(&fixture.attach())
}

fn within(value: u64, expected: u64, share: f64) -> bool {
    value.abs_diff(expected) as f64 <= expected as f64 * share
}

/// Reads and asks until the program did no collection and started no thread in between, and compares.
fn compare(fixture: &mut Fixture, about: &str) -> RuntimeFacts {
    for _ in 0..20 {
        let before = fixture.told();
        let facts = read(fixture);
        let after = fixture.told();
        let threads = |told: &Told| told.metric("/sched/threads/total:threads");
        if before.u64("num_gc") == after.u64("num_gc") && threads(&before) == threads(&after) {
            check(&facts, &after, about);
            // Answering stops the world once more.
            check_other_stops(&facts, &before, about);
            return facts;
        }
    }
    panic!("{about}: the program never stops collecting");
}

fn check(facts: &RuntimeFacts, told: &Told, about: &str) {
    let is = |name: &str, figure: &Result<u64, String>, expected: u64| assert_eq!(figure, &Ok(expected), "{about}: {name}");
    is("gomaxprocs", &facts.gomaxprocs.clone().map(u64::from), told.u64("gomaxprocs"));
    is("gc_cycles", &facts.gc_cycles, told.u64("num_gc"));
    is("gc_forced_cycles", &facts.gc_forced_cycles, told.u64("num_forced_gc"));
    is("gc_pause_total_ns", &facts.gc_pause_total_ns, told.u64("pause_total_ns"));
    let last = facts.last_gc.clone().unwrap().expect("the program collected");
    assert_eq!((last.ended_unix_ns, last.pause_ns), (told.u64("last_gc_unix_ns"), told.u64("last_pause_ns")), "{about}: last_gc");
    assert_eq!(facts.gc_phase, Ok(GcPhase::Off), "{about}");
    assert_eq!(facts.gc_cpu_fraction, Ok(told.0["gc_cpu_fraction"].as_f64().unwrap()), "{about}");
    let off = |value: u64| Some(value).filter(|v| *v < i64::MAX as u64);
    if let Some(percent) = told.metric("/gc/gogc:percent") {
        assert_eq!(facts.gogc_percent.clone().map(|p| p.map(u64::from)), Ok(off(percent)), "{about}: gogc");
    }
    if let Some(limit) = told.metric("/gc/gomemlimit:bytes") {
        assert_eq!(facts.memory_limit_bytes, Ok(off(limit)), "{about}: memory limit");
    }
    if let Some(marked) = told.metric("/gc/heap/live:bytes") {
        is("heap_marked_bytes", &facts.heap_marked_bytes, marked);
    }
    if let Some(threads) = told.metric("/sched/threads/total:threads") {
        is("threads", &facts.threads, threads);
    }
    // The collector counts a span's free slots as live when a P takes it, so it is ahead of the allocated bytes.
    let live = facts.heap_live_bytes.clone().unwrap();
    assert!(within(live, told.u64("heap_alloc_bytes"), 0.2), "{about}: heap live {live}, allocated {}", told.u64("heap_alloc_bytes"));
    assert!(live > 16 << 20, "{about}: the program holds 16 MiB, heap live is {live}");
    let goal = facts.heap_goal_bytes.clone().unwrap();
    // Without GOGC and limit the runtime names some bytes less than the largest integer.
    let expected = Some(told.u64("next_gc_bytes")).filter(|goal| *goal < 1 << 62);
    match facts.memory_limit_bytes {
        // The limit's goal follows the free memory, which answering the question changes.
        Ok(Some(_)) => assert!(within(goal.unwrap(), expected.unwrap(), 0.02), "{about}: heap goal {goal:?}, told {expected:?}"),
        _ => assert_eq!(goal, expected, "{about}: heap goal"),
    }
}

fn check_other_stops(facts: &RuntimeFacts, told: &Told, about: &str) {
    let seconds = told.0["metrics"]["/sched/pauses/total/other:seconds max"].as_f64();
    match told.metric("/sched/pauses/total/other:seconds count") {
        Some(count) => {
            let stops = facts.other_stops.clone().unwrap();
            assert_eq!(stops.count, count, "{about}: other stops");
            assert_eq!(stops.longest_at_most_ns + 1, (seconds.unwrap() * 1e9).round() as u64, "{about}: longest other stop");
            assert!((stops.longest_at_most_ns..=stops.longest_at_most_ns * count).contains(&stops.total_at_most_ns), "{about}: {stops:?}");
        }
        None => assert_eq!(facts.other_stops, Err("this Go version has no runtime.schedt.stwTotalTimeOther".to_owned()), "{about}"),
    }
}

/// Waits until the reader's P is handed back, as sysmon does while the program sleeps in read(2).
fn wait_for_idle_ps(fixture: &Fixture, about: &str) {
    let start = Instant::now();
    loop {
        let facts = read(fixture);
        if facts.idle_ps == facts.gomaxprocs {
            assert_eq!(facts.threads, Ok(fixture.threads()), "{about}: threads");
            assert!(facts.idle_threads.clone().unwrap() < facts.threads.unwrap() as u32, "{about}: idle threads");
            assert_eq!(facts.global_run_queue, Ok(0), "{about}: run queue");
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{about}: {:?} of {:?} Ps idle", facts.idle_ps, facts.gomaxprocs);
    }
}

fn unharmed(fixture: &mut Fixture, about: &str) {
    assert_eq!(fixture.ask("ping"), "pong", "{about}");
    let status = fs::read_to_string(format!("/proc/{}/status", fixture.child.id())).unwrap();
    assert!(!status.contains("State:\tT"), "{about}: left stopped");
}

fn scenario(mode: &str, env: &[(&str, &str)], expect: &dyn Fn(&str, &RuntimeFacts)) {
    for release in RELEASES {
        let about = format!("go {release} {mode}");
        let mut fixture = Fixture::start(&build(release, mode, true), env);
        let first = compare(&mut fixture, &about);
        expect(release, &first);
        assert_eq!(fixture.ask("gc"), "done");
        let second = compare(&mut fixture, &about);
        assert!(second.gc_cycles > first.gc_cycles, "{about}: a collection is not seen");
        wait_for_idle_ps(&fixture, &about);
        unharmed(&mut fixture, &about);
    }
}

#[test]
fn figures_equal_the_runtimes_own() {
    scenario("exe", &[], &|release, facts| {
        assert_eq!(facts.gogc_percent, Ok(Some(100)));
        match release {
            "1.18.10" => {
                assert_eq!(facts.memory_limit_bytes, Err("this Go version has no runtime.gcControllerState.memoryLimit".to_owned()))
            }
            _ => assert_eq!(facts.memory_limit_bytes, Ok(None)),
        }
    });
}

#[test]
fn figures_equal_the_runtimes_own_pie_and_tuned() {
    scenario("pie", &[("GOMAXPROCS", "3"), ("GOGC", "37"), ("GOMEMLIMIT", "48MiB")], &|release, facts| {
        assert_eq!(facts.gomaxprocs, Ok(3));
        assert_eq!(facts.gogc_percent, Ok(Some(37)));
        if release != "1.18.10" {
            assert_eq!(facts.memory_limit_bytes, Ok(Some(48 << 20)));
        }
    });
}

#[test]
fn a_collector_that_is_off_has_no_goal() {
    scenario("exe", &[("GOGC", "off")], &|_, facts| {
        assert_eq!(facts.gogc_percent, Ok(None));
        assert_eq!(facts.heap_goal_bytes, Ok(None));
    });
}

#[test]
fn the_memory_limit_alone_sets_the_goal() {
    scenario("exe", &[("GOGC", "off"), ("GOMEMLIMIT", "256MiB")], &|release, facts| {
        if release != "1.18.10" {
            let goal = facts.heap_goal_bytes.clone().unwrap().unwrap();
            assert!((200 << 20..256 << 20).contains(&goal), "go {release}: goal {goal}");
        }
    });
}
