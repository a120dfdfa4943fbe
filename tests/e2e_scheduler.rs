//! The scheduler's and the collector's counters, read from outside, against what the runtime says of itself and against work of a known
//! amount: every Go release, full and stripped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use goscope::sys::memory::monotonic_ns;
use goscope::target::scheduler::{Counters, GcPhase, PStatus, Scheduler};
use goscope::target::time_histogram::TimeHistogram;
use goscope::target::variables::Figure;
use serde_json::Value;

#[path = "support/runtimefacts.rs"]
mod runtimefacts;
use runtimefacts::{Fixture, RELEASES, build};

/// Runs `check` on a fresh program of each release, stripped and not.
fn each(mode: &str, env: &[(&str, &str)], check: impl Fn(&str, &mut Fixture)) {
    for release in RELEASES {
        for stripped in [true, false] {
            let about = format!("go {release} {mode}{}", if stripped { " stripped" } else { "" });
            let mut fixture = Fixture::start(&build(release, mode, stripped), env);
            check(&about, &mut fixture);
            assert_eq!(fixture.ask("ping"), "pong", "{about}");
            let status = std::fs::read_to_string(format!("/proc/{}/status", fixture.child.id())).unwrap();
            assert!(!status.contains("State:\tT"), "{about}: left stopped");
        }
    }
}

/// The newest minor release that has no such thing, by the number in `about`.
fn is_up_to(about: &str, minor: u32) -> bool {
    about.split('.').nth(1).unwrap().parse::<u32>().unwrap() <= minor
}

fn ask_json(fixture: &mut Fixture, command: &str) -> Value {
    serde_json::from_str(&fixture.ask(command)).unwrap()
}

/// A histogram as the runtime told it: where each bucket begins but the first, and the counts.
fn told_histogram(all: &Value, name: &str) -> Option<(Vec<u64>, Vec<u64>)> {
    let numbers = |value: &Value| value.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
    let told = all.get(name)?;
    Some((numbers(&told["starts_ns"]), numbers(&told["counts"])))
}

/// Bucket by bucket: the runtime's bounds, and counts between those told before and after.
fn assert_between(before: &Value, read: &Figure<TimeHistogram>, after: &Value, name: &str, about: &str) {
    let (starts, before) = told_histogram(before, name).unwrap_or_else(|| panic!("{about}: no {name}"));
    let (_, after) = told_histogram(after, name).unwrap();
    let read = read.as_ref().unwrap_or_else(|reason| panic!("{about}: {name}: {reason}"));
    let buckets: Vec<_> = read.buckets().collect();
    assert_eq!(buckets.iter().skip(1).map(|(bounds, _)| bounds.start).collect::<Vec<_>>(), starts, "{about}: {name}");
    assert_eq!(buckets.len(), before.len(), "{about}: {name}");
    for (index, (bounds, count)) in buckets.iter().enumerate() {
        let allowed = before[index]..=after[index];
        assert!(allowed.contains(count), "{about}: {name}: {count} in {bounds:?}, told {allowed:?}");
    }
}

#[test]
fn histograms_equal_those_of_runtime_metrics() {
    each("exe", &[], |about, fixture| {
        let go = fixture.attach();
        let mut scheduler = Scheduler::new(&go);
        assert_eq!(fixture.ask("gosched 1000"), "done 1000 <nil>");
        let before = ask_json(fixture, "histograms");
        let read = scheduler.read().unwrap();
        let after = ask_json(fixture, "histograms");
        assert_between(&before, &read.time_to_run, &after, "/sched/latencies:seconds", about);
        assert!(read.time_to_run.unwrap().total() >= 1000 / 8, "{about}: one spell in eight is timed");
        assert_between(&before, &read.stops.total_gc, &after, "/gc/pauses:seconds", about);
        assert!(read.stops.total_gc.as_ref().unwrap().total() >= 8, "{about}: four collections have two stops each");
        let since_22 = [
            (&read.stops.total_gc, "/sched/pauses/total/gc:seconds"),
            (&read.stops.total_other, "/sched/pauses/total/other:seconds"),
            (&read.stops.stopping_gc, "/sched/pauses/stopping/gc:seconds"),
            (&read.stops.stopping_other, "/sched/pauses/stopping/other:seconds"),
        ];
        if is_up_to(about, 21) {
            let reason = Err("this Go version has no runtime.schedt.stwTotalTimeOther".to_owned());
            assert_eq!(read.stops.total_other, reason, "{about}");
        } else {
            since_22.iter().for_each(|(read, name)| assert_between(&before, read, &after, name, about));
        }
    });
}

fn pauses_told(fixture: &mut Fixture) -> Vec<(u64, u64)> {
    let pair = |pause: &Value| (pause[0].as_u64().unwrap(), pause[1].as_u64().unwrap());
    ask_json(fixture, "pauses").as_array().unwrap().iter().map(pair).collect()
}

fn pauses_read(counters: &Counters) -> Vec<(u64, u64)> {
    counters.gc.pauses.as_ref().unwrap().iter().map(|pause| (pause.ended_unix_ns, pause.pause_ns)).collect()
}

#[test]
fn each_collections_pause_is_told_once() {
    each("pie", &[], |about, fixture| {
        let go = fixture.attach();
        let mut scheduler = Scheduler::new(&go);
        let first = scheduler.read().unwrap();
        let told = pauses_told(fixture);
        assert_eq!(pauses_read(&first), told, "{about}");
        let cycles = told.len() as u32;
        assert_eq!((first.gc.cycles, first.gc.phase), (Ok(cycles), Ok(GcPhase::Off)), "{about}");
        assert_eq!(pauses_read(&scheduler.read().unwrap()), [], "{about}");
        for _ in 0..2 {
            assert_eq!(fixture.ask("gc"), "done");
        }
        let third = scheduler.read().unwrap();
        let told = pauses_told(fixture);
        assert_eq!(pauses_read(&third), told[told.len() - 2..], "{about}");
        assert_eq!((third.gc.cycles.as_ref(), third.gc.pauses_lost), (Ok(&(cycles + 2)), 0), "{about}");
        let numbers: Vec<u32> = third.gc.pauses.as_ref().unwrap().iter().map(|pause| pause.cycle).collect();
        assert_eq!(numbers, [cycles + 1, cycles + 2], "{about}");
    });
}

#[test]
fn a_cycles_phases_follow_each_other_and_end_when_the_runtime_says() {
    each("exe", &[], |about, fixture| {
        let go = fixture.attach();
        let read = Scheduler::new(&go).read().unwrap();
        if is_up_to(about, 18) {
            assert_eq!(read.gc.cycle, Err("this Go version has no runtime.workType.tEnd".to_owned()), "{about}");
            return;
        }
        let cycle = read.gc.cycle.unwrap().expect("the program collected");
        let times = [Some(cycle.sweep_termination_ns), cycle.mark_ns, cycle.mark_termination_ns, cycle.end_ns].map(Option::unwrap);
        assert!(times.is_sorted() && times[3] <= read.taken_at_ns, "{about}: {cycle:?}");
        // The runtime reads both clocks one right after the other.
        let last = read.gc.pauses.unwrap().pop().unwrap();
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64;
        let ended = times[3] + (since_1970 - monotonic_ns());
        assert!(ended.abs_diff(last.ended_unix_ns as i64) < 100_000_000, "{about}: {ended} and {}", last.ended_unix_ns);
        let stopped = (times[1] - times[0]) + (times[3] - times[2]);
        assert!(last.pause_ns.abs_diff(stopped as u64) < 10_000_000, "{about}: {} and {stopped}", last.pause_ns);
    });
}

fn ticks(counters: &Counters) -> (u32, u32) {
    let ps = counters.ps.as_ref().unwrap().iter();
    ps.fold((0, 0), |(sched, syscall), p| (sched.wrapping_add(p.sched_tick), syscall.wrapping_add(p.syscall_tick)))
}

/// What the program does besides: answering, and the runtime's own goroutines.
const BESIDES: u32 = 100;

#[test]
fn ticks_count_what_was_done() {
    each("exe", &[], |about, fixture| {
        let go = fixture.attach();
        let mut scheduler = Scheduler::new(&go);
        let before = ticks(&scheduler.read().unwrap());
        assert_eq!(fixture.ask("gosched 5000"), "done 5000 <nil>");
        let between = ticks(&scheduler.read().unwrap());
        assert_eq!(fixture.ask("syscalls 5000"), "done 5000 <nil>");
        let after = ticks(&scheduler.read().unwrap());
        let counted = (between.0.wrapping_sub(before.0), after.1.wrapping_sub(between.1));
        assert!((5000..5000 + BESIDES).contains(&counted.0), "{about}: {} dispatches", counted.0);
        assert!((5000..5000 + BESIDES).contains(&counted.1), "{about}: {} system calls", counted.1);
    });
}

#[test]
fn started_goroutines_are_counted_one_by_one() {
    each("exe", &[], |about, fixture| {
        let go = fixture.attach();
        let mut scheduler = Scheduler::new(&go);
        let mut last = scheduler.read().unwrap().goroutines_created.unwrap();
        for n in [1, 3, 1000] {
            assert_eq!(fixture.ask(&format!("spawn {n}")), format!("done {n} <nil>"));
            let now = scheduler.read().unwrap().goroutines_created.unwrap();
            assert_eq!(now - last, n, "{about}");
            last = now;
        }
        // Since Go 1.26 the runtime says how many there were.
        if let Some(told) = fixture.told().metric("/sched/goroutines-created:goroutines") {
            assert_eq!(last, told, "{about}");
        }
    });
}

#[test]
fn goroutines_that_wait_for_the_only_p_are_in_its_queue() {
    each("exe", &[("GOMAXPROCS", "1")], |about, fixture| {
        let go = fixture.attach();
        let mut scheduler = Scheduler::new(&go);
        fixture.tell("pile 200");
        assert_eq!(fixture.line(), "piled", "{about}");
        let held = Instant::now();
        let before = scheduler.read().unwrap();
        let ps = before.ps.unwrap();
        assert_eq!((ps.len(), ps[0].status, ps[0].run_queue), (1, PStatus::Running, 200), "{about}");
        assert!(ps[0].m.is_some(), "{about}");
        assert_eq!((before.gomaxprocs, before.idle_ps), (Ok(1), Ok(0)), "{about}");
        // sysmon may wake one of the runtime's own goroutines, which goes there.
        assert!(before.global_run_queue.unwrap() <= 2, "{about}");
        while held.elapsed() < Duration::from_millis(5) {
            assert_eq!(scheduler.read().unwrap().ps.unwrap()[0].run_queue, 200, "{about}");
        }
        let held = held.elapsed().as_nanos() as u64;
        assert_eq!(fixture.ask(""), "done", "{about}");
        let after = scheduler.read().unwrap();
        assert_eq!(after.ps.unwrap()[0].run_queue, 0, "{about}");
        // One in eight of them was timed; all waited at least that long.
        let waited = after.time_to_run.unwrap().since(&before.time_to_run.unwrap());
        let long = waited.buckets().filter(|(bounds, _)| bounds.end > held).map(|(_, count)| count).sum::<u64>();
        assert!((5..=60).contains(&long), "{about}: {long} of 200 waited {held} ns");
        assert!(waited.quantile(1.0).unwrap().end > held, "{about}");
    });
}

#[test]
fn three_hundred_ps_are_read_and_so_is_a_change_of_their_number() {
    each("exe", &[("GOMAXPROCS", "300")], |about, fixture| {
        let go = fixture.attach();
        let mut scheduler = Scheduler::new(&go);
        let read = scheduler.read().unwrap();
        let ids: Vec<i32> = read.ps.unwrap().iter().map(|p| p.id).collect();
        assert_eq!((read.gomaxprocs, ids), (Ok(300), (0..300).collect()), "{about}");
        assert_eq!(fixture.ask("gomaxprocs 7"), "300", "{about}");
        let read = scheduler.read().unwrap();
        assert_eq!((read.gomaxprocs, read.ps.unwrap().len()), (Ok(7), 7), "{about}");
    });
}

#[test]
fn a_process_that_ended_is_an_error() {
    let mut fixture = Fixture::start(&build("1.26.11", "exe", true), &[]);
    let go = fixture.attach();
    let mut scheduler = Scheduler::new(&go);
    scheduler.read().unwrap();
    fixture.child.kill().unwrap();
    fixture.child.wait().unwrap();
    scheduler.read().unwrap_err();
}
