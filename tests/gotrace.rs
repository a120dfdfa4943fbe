//! Execution traces, as the Go project's own readers see them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/property.rs"]
mod property;
#[path = "support/scheduler.rs"]
mod scheduler;
#[path = "support/tracecheck.rs"]
mod tracecheck;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};

use goscope::formats::gotrace::{Event, Frame, GAP, GoStatus, Kind, NO_THREAD, Repairs, StackId, Version, Writer, block_reason};
use goscope::formats::pprof::Place;
use goscope::target::layout::GoVersion;
use goscope::target::wait_reasons;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use scheduler::{REASONS, Scheduler};
use tracecheck::{Answer, Edge, Tracecheck, recorded};

const NONE: StackId = StackId::NONE;

fn write<'a>(version: Version, events: impl IntoIterator<Item = Event<'a>>) -> (Vec<u8>, Repairs) {
    let mut trace = Vec::new();
    let mut writer = Writer::new(&mut trace, version).unwrap();
    for event in events {
        writer.write(&event).unwrap();
    }
    let repairs = writer.finish().unwrap();
    (trace, repairs)
}

fn read(trace: &[u8]) -> Answer {
    let answer = Tracecheck::start().ask(trace);
    assert_eq!(answer.error, "");
    answer
}

/// On thread 1 with P 0.
fn on(time: u64, goroutine: u64, kind: Kind<'static>) -> Event<'static> {
    Event { time, thread: 1, proc: Some(0), goroutine: Some(goroutine), kind }
}

fn start(time: u64, goroutine: u64) -> Event<'static> {
    Event { time, thread: 1, proc: Some(0), goroutine: None, kind: Kind::GoStart { goroutine } }
}

fn block(time: u64, goroutine: u64) -> Event<'static> {
    on(time, goroutine, Kind::GoBlock { reason: "sync", stack: NONE })
}

fn states(answer: &Answer, goroutine: u64) -> Vec<(&str, u64)> {
    answer.goroutines[&goroutine].iter().map(|(state, &time)| (state.as_str(), time)).collect()
}

fn scheduled(steps: &[(u8, u16, u16)], start: u64, size: (u64, usize, u32), tell_procs: bool) -> Scheduler {
    let (goroutines, threads, procs) = size;
    let mut scheduler = Scheduler::new(start, goroutines, threads, procs, tell_procs);
    for &(what, pick, wait) in steps {
        scheduler.step(what, usize::from(pick), u64::from(wait));
    }
    scheduler
}

fn schedules() -> impl Strategy<Value = Vec<(u8, u16, u16)>> {
    vec(any::<(u8, u16, u16)>(), 0..120)
}

fn sizes() -> impl Strategy<Value = (u64, usize, u32)> {
    (1..12u64, 1..7usize, 1..5u32)
}

fn versions() -> impl Strategy<Value = Version> {
    select(vec![Version::Go122, Version::Go123])
}

#[test]
fn without_a_gap_the_reader_sees_each_goroutine_as_long_in_each_state_as_it_was() {
    let checker = RefCell::new(Tracecheck::start());
    let seen: RefCell<BTreeSet<String>> = RefCell::default();
    // A long uptime too: the reader's clock is a float somewhere.
    let starts = select(vec![1_000_000_000u64, 1 << 55]);
    proptest!(property::cases(256), |(steps in schedules(), size in sizes(), tell_procs: bool, version in versions(), start in starts)| {
        let scheduler = scheduled(&steps, start, size, tell_procs);
        let (trace, repairs) = write(version, scheduler.events.iter().copied());
        let answer = checker.borrow_mut().ask(&trace);
        prop_assert_eq!(&answer.error, "");
        prop_assert_eq!((repairs.goroutine_edges, repairs.left_out), (0, 0));
        if tell_procs {
            prop_assert_eq!(repairs.proc_edges, 0);
        }
        prop_assert_eq!(&answer.goroutines, &scheduler.totals);
        prop_assert_eq!(&answer.reasons, &scheduler.reasons);
        prop_assert_eq!(answer.last, scheduler.events.last().map_or(0, |event| event.time));
        seen.borrow_mut().extend(scheduler.totals.values().flat_map(|states| states.keys().cloned()));
    });
    assert_eq!(seen.into_inner().len(), 4, "the lists show every state");
}

#[test]
fn whatever_is_lost_the_reader_accepts_what_is_left() {
    let checker = RefCell::new(Tracecheck::start());
    let repaired = RefCell::new(0);
    let fates = || vec((0..10u8, any::<bool>()), 600);
    proptest!(property::cases(256), |(steps in schedules(), size in sizes(), tell_procs: bool, version in versions(), fates in fates(), loss in 0..8u8)| {
        let scheduler = scheduled(&steps, 1_000_000_000, size, tell_procs);
        let mut trace = Vec::new();
        let mut writer = Writer::new(&mut trace, version).unwrap();
        for (event, &(fate, known)) in scheduler.events.iter().zip(&fates) {
            match fate {
                _ if fate < loss => {}
                9 if known => writer.gap(event.time).unwrap(),
                8 => writer.write(&Event { proc: event.proc.filter(|_| known), goroutine: None, ..*event }).unwrap(),
                _ => writer.write(event).unwrap(),
            }
        }
        let repairs = writer.finish().unwrap();
        *repaired.borrow_mut() += repairs.goroutine_edges;
        let answer = checker.borrow_mut().ask(&trace);
        prop_assert_eq!(&answer.error, "");
    });
    let repaired = repaired.into_inner();
    assert!(repaired > 100, "lists had to be repaired, not {repaired} times");
}

/// As a probe at that place would tell it.
fn told(edge: &Edge) -> Event<'_> {
    let (goroutine, stack, reason) = (edge.goroutine, NONE, edge.reason.as_str());
    let kind = match (edge.from.as_str(), edge.to.as_str()) {
        ("Undetermined", state) => {
            let status = match state {
                "Runnable" => GoStatus::Runnable,
                "Running" => GoStatus::Running,
                "Syscall" => GoStatus::Syscall,
                _ => GoStatus::Waiting,
            };
            Kind::GoStatus { goroutine, status, stack }
        }
        ("NotExist", "Runnable") => Kind::GoCreate { goroutine, start: stack, stack },
        ("Runnable", "Running") => Kind::GoStart { goroutine },
        ("Running", "Waiting") => Kind::GoBlock { reason, stack },
        ("Running", "Runnable") => Kind::GoStop { reason, stack },
        ("Running", "NotExist") => Kind::GoDestroy,
        ("Running", "Syscall") => Kind::SyscallEnter { stack },
        ("Syscall", "Running") => Kind::SyscallExit,
        ("Syscall", "Runnable") => Kind::SyscallExitBlocked,
        ("Waiting", "Runnable") => Kind::GoUnblock { goroutine, stack },
        other => panic!("{other:?}"),
    };
    let thread = u64::try_from(edge.thread).unwrap_or(NO_THREAD);
    Event { time: edge.time, thread, proc: edge.proc.try_into().ok(), goroutine: edge.current.try_into().ok(), kind }
}

#[test]
fn what_the_runtime_traced_itself_reads_the_same_when_written_again() {
    let (edges, original) = recorded();
    let (trace, repairs) = write(Version::Go122, edges.iter().map(told));
    assert_eq!((repairs.goroutine_edges, repairs.left_out), (0, 0));
    let (theirs, ours) = (read(&original), read(&trace));
    assert_eq!(ours.reasons, theirs.reasons);
    assert!(["sync", "chan receive", "sleep", "preempted"].iter().all(|&reason| theirs.reasons.contains_key(reason)));
    let times = |answer: &Answer| -> Vec<(u64, String, u64)> {
        let all = answer.goroutines.iter().flat_map(|(&id, states)| states.iter().map(move |(state, &time)| (id, state.clone(), time)));
        all.filter(|(_, _, time)| *time > 0).collect()
    };
    let (theirs, ours) = (times(&theirs), times(&ours));
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!((ours.0, &ours.1), (theirs.0, &theirs.1));
        // Events of two threads can be nearer to each other than the starts of Ps between them take.
        assert!(ours.2.abs_diff(theirs.2) <= 2000 + theirs.2 / 1000, "{ours:?} is not {theirs:?}");
    }
}

fn any_event() -> impl Strategy<Value = Event<'static>> {
    let goroutine = || prop_oneof![40 => 1..6u64, 1 => Just(0), 1 => Just(u64::MAX), 1 => any::<u64>()];
    let thread = prop_oneof![20 => 1..5u64, 3 => Just(NO_THREAD), 1 => any::<u64>()];
    let proc = || prop_oneof![20 => 0..4u32, 1 => Just(u32::MAX)];
    let stack = NONE;
    let reason = "chan send";
    let kind = prop_oneof![
        2 => (goroutine(), select(vec![GoStatus::Runnable, GoStatus::Running, GoStatus::Syscall, GoStatus::Waiting]))
            .prop_map(move |(goroutine, status)| Kind::GoStatus { goroutine, status, stack }),
        1 => goroutine().prop_map(move |goroutine| Kind::GoCreate { goroutine, start: stack, stack }),
        4 => goroutine().prop_map(|goroutine| Kind::GoStart { goroutine }),
        4 => goroutine().prop_map(move |goroutine| Kind::GoUnblock { goroutine, stack }),
        3 => proc().prop_map(Kind::ProcStart),
        3 => proc().prop_map(Kind::ProcStop),
        3 => proc().prop_map(Kind::ProcSteal),
        1 => any::<u64>().prop_map(Kind::HeapAlloc),
        12 => select(vec![
            Kind::GoBlock { reason, stack },
            Kind::GoStop { reason, stack },
            Kind::SyscallEnter { stack },
            Kind::SyscallEnter { stack },
            Kind::SyscallExit,
            Kind::SyscallExit,
            Kind::SyscallExitBlocked,
            Kind::GoDestroy,
            Kind::StwBegin { reason, stack },
            Kind::StwEnd,
            Kind::GcBegin { stack },
            Kind::GcEnd,
            Kind::AssistBegin { stack },
            Kind::AssistEnd,
            Kind::Label("idle"),
            Kind::Procs(4),
        ]),
    ];
    let time = prop_oneof![50 => 0..2000u64, 1 => any::<u64>()];
    (time, thread, proptest::option::of(proc()), proptest::option::of(goroutine()), kind)
        .prop_map(|(time, thread, proc, goroutine, kind)| Event { time, thread, proc, goroutine, kind })
}

#[test]
fn events_that_make_no_sense_together_still_make_a_trace() {
    let checker = RefCell::new(Tracecheck::start());
    proptest!(property::cases(1500), |(events in vec(any_event(), 0..80), version in versions())| {
        let (trace, _) = write(version, events);
        let answer = checker.borrow_mut().ask(&trace);
        prop_assert_eq!(&answer.error, "");
    });
}

#[test]
fn a_lost_wake_up_is_put_right_before_the_start() {
    let (trace, repairs) = write(Version::Go122, [start(1000, 7), block(2000, 7), start(5000, 7), block(6000, 7)]);
    assert_eq!(repairs, Repairs { goroutine_edges: 1, proc_edges: 0, left_out: 0 });
    assert_eq!(states(&read(&trace), 7), [("Runnable", 2), ("Running", 2000), ("Waiting", 2999)]);
}

#[test]
fn a_goroutine_whose_thread_runs_another_waits_for_a_gap() {
    let (trace, repairs) = write(Version::Go122, [start(1000, 7), start(3000, 8), block(4000, 8), start(5000, 7), block(6000, 7)]);
    // It left, and was made runnable.
    assert_eq!(repairs.goroutine_edges, 2);
    let answer = read(&trace);
    assert_eq!(answer.reasons, BTreeMap::from([(GAP.to_owned(), 1), ("sync".to_owned(), 2)]));
    assert_eq!(states(&answer, 7), [("Runnable", 2), ("Running", 2998), ("Waiting", 2001)]);
}

#[test]
fn no_goroutine_runs_across_a_known_gap() {
    let mut trace = Vec::new();
    let mut writer = Writer::new(&mut trace, Version::Go122).unwrap();
    writer.write(&start(1000, 7)).unwrap();
    writer.gap(2000).unwrap();
    writer.write(&block(9000, 7)).unwrap();
    assert_eq!(writer.finish().unwrap(), Repairs { goroutine_edges: 3, proc_edges: 2, left_out: 0 });
    let answer = read(&trace);
    assert_eq!(answer.reasons[GAP], 1);
    assert_eq!(states(&answer, 7), [("Runnable", 2), ("Running", 1000), ("Waiting", 6999)]);
}

#[test]
fn an_exit_of_a_system_call_that_began_before_the_window() {
    let (trace, repairs) = write(Version::Go122, [on(1000, 7, Kind::SyscallExit), block(2000, 7)]);
    assert_eq!(repairs, Repairs::default());
    assert_eq!(states(&read(&trace), 7), [("Running", 1000), ("Syscall", 1)]);
}

#[test]
fn a_goroutine_that_returns_from_a_system_call_with_another_p() {
    let enter = on(2000, 7, Kind::SyscallEnter { stack: NONE });
    let exit = Event { proc: Some(3), ..on(5000, 7, Kind::SyscallExit) };
    let (trace, repairs) = write(Version::Go122, [start(1000, 7), enter, exit, Event { proc: Some(3), ..block(6000, 7) }]);
    assert_eq!((repairs.goroutine_edges, repairs.left_out), (0, 0));
    assert_eq!(states(&read(&trace), 7), [("Runnable", 2), ("Running", 2000), ("Syscall", 2999)]);
}

#[test]
fn ranges_labels_and_metrics() {
    let stw = Kind::StwBegin { reason: "GC sweep termination", stack: NONE };
    let nowhere = |time, kind| Event { time, thread: NO_THREAD, proc: None, goroutine: None, kind };
    let events = [
        start(1000, 7),
        // What ends here began before the window.
        on(2000, 7, Kind::GcEnd),
        on(2100, 7, Kind::AssistEnd),
        on(3000, 7, stw),
        on(3100, 7, Kind::GcBegin { stack: NONE }),
        on(3200, 7, Kind::StwEnd),
        on(3300, 7, Kind::GcEnd),
        on(3400, 7, Kind::Label("GC (dedicated)")),
        nowhere(3500, Kind::HeapAlloc(77)),
        nowhere(3600, Kind::Procs(12)),
    ];
    let (trace, repairs) = write(Version::Go122, events);
    assert_eq!(repairs, Repairs::default());
    let answer = read(&trace);
    assert_eq!(answer.ranges["GC concurrent mark phase"], [1, 1, 2]);
    assert_eq!(answer.ranges["GC mark assist"], [0, 1, 1]);
    assert_eq!(answer.ranges["stop-the-world (GC sweep termination)"], [1, 0, 1]);
    assert_eq!(answer.labels, ["GC (dedicated)"]);
    assert_eq!(answer.metrics["/memory/classes/heap/objects:bytes"], 77);
    assert_eq!(answer.metrics["/sched/gomaxprocs:threads"], 12);
}

#[test]
fn inlined_functions_at_one_address_keep_their_names() {
    let mut trace = Vec::new();
    let mut writer = Writer::new(&mut trace, Version::Go123).unwrap();
    let frame = |address, function| Frame { address, place: Place { function, file: "main.go", line: 3 } };
    let stack = writer.stack(&[frame(0x1000, "inner"), frame(0x1000, "outer"), frame(0x2000, "main")]).unwrap();
    assert_eq!(writer.stack(&[frame(0x1000, "inner"), frame(0x1000, "outer"), frame(0x2000, "main")]).unwrap(), stack);
    let other = writer.stack(&[frame(0x1000, "outer"), frame(0, "unknown"), frame(0, "")]).unwrap();
    writer.write(&on(1000, 7, Kind::GoBlock { reason: "sync", stack })).unwrap();
    writer.write(&on(2000, 8, Kind::GoBlock { reason: "sync", stack: other })).unwrap();
    let status = Kind::GoStatus { goroutine: 9, status: GoStatus::Waiting, stack };
    writer.write(&Event { thread: NO_THREAD, ..on(3000, 1, status) }).unwrap();
    writer.finish().unwrap();
    let stacks: Vec<String> = read(&trace).stacks.into_keys().collect();
    assert_eq!(stacks, ["inner,outer,main", "outer,unknown,?"]);
}

#[test]
fn more_than_a_batch_of_everything() {
    let mut trace = Vec::new();
    let mut writer = Writer::new(&mut trace, Version::Go122).unwrap();
    let mut stacks = Vec::new();
    for number in 0..400u64 {
        let name = "f".repeat(if number == 5 { 2000 } else { 100 });
        let names: Vec<String> = (0..140).map(|depth| format!("{number}.{}.{name}é", depth % 3)).collect();
        let frames: Vec<Frame<'_>> = names
            .iter()
            .zip(number * 1000..)
            .map(|(function, address)| Frame { address, place: Place { function, file: "", line: 1 } })
            .collect();
        stacks.push(writer.stack(&frames).unwrap());
    }
    let mut time = 1 << 40;
    for number in 0..500_000u64 {
        time += 1 << 30;
        let (thread, goroutine) = (1 + number % 640, 1 + number % 5000);
        let stack = stacks.get(number as usize).copied().unwrap_or(NONE);
        let kind = Kind::GoUnblock { goroutine, stack };
        writer.write(&Event { time, thread, proc: None, goroutine: None, kind }).unwrap();
        let kind = Kind::GoBlock { reason: "sync", stack: NONE };
        if number % 10 != 0 {
            writer.write(&Event { time: time + 500, thread, proc: Some(thread as u32), goroutine: Some(goroutine), kind }).unwrap();
        }
    }
    writer.finish().unwrap();
    assert!(trace.len() > 9 << 20, "{} bytes do not fill what is held back", trace.len());
    let answer = read(&trace);
    assert_eq!(answer.last, time + 500);
    assert_eq!(answer.stacks.keys().filter(|names| names.split(',').count() == 128).count(), 400);
}

#[test]
fn a_trace_without_events() {
    let (trace, repairs) = write(Version::Go122, []);
    assert_eq!(repairs, Repairs::default());
    assert_eq!(read(&trace).events, 0);
}

#[test]
fn go_tool_trace_of_each_format_opens_whole_and_torn_lists() {
    let mut lists: Vec<Vec<Event<'static>>> = Vec::new();
    let steps: Vec<(u8, u16, u16)> =
        (0..2000u32).map(|n| ((n.wrapping_mul(2_654_435_761) >> 24) as u8, (n * 7919) as u16, n as u16)).collect();
    let whole = scheduled(&steps, 1_000_000_000, (8, 5, 3), false).events;
    assert!(whole.len() > 200);
    lists.push(whole.iter().copied().enumerate().filter(|(index, _)| index % 7 != 3).map(|(_, event)| event).collect());
    lists.push(whole);
    for (version, go) in [(Version::Go122, "1.22.12"), (Version::Go122, "1.26.11"), (Version::Go123, "1.23.12")] {
        for list in &lists {
            let (trace, _) = write(version, list.iter().copied());
            assert_tool_opens(&trace, go);
        }
    }
}

fn assert_tool_opens(trace: &[u8], go: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), trace).unwrap();
    // The flag is a switch at first.
    let mode = if go.starts_with("1.22") || go.starts_with("1.23") { "-d=1" } else { "-d=parsed" };
    let mut command = Command::new("go");
    command.args(["tool", "trace", mode]).arg(file.path()).env("GOTOOLCHAIN", format!("go{go}")).env_remove("GOROOT");
    let output = command.stdin(Stdio::null()).output().expect("go is installed");
    let (text, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "go{go}: {error}");
    assert!(text.lines().count() > 100, "go{go} prints all events, not {text:?} {error:?}");
}

#[test]
fn reasons_have_the_names_of_the_runtime_that_is_installed() {
    let output = Command::new("go").args(["env", "GOROOT"]).output().expect("go is installed");
    let root = String::from_utf8(output.stdout).unwrap();
    let source = std::fs::read_to_string(format!("{}/src/runtime/traceruntime.go", root.trim())).unwrap();
    let table = source.split("var traceBlockReasonStrings").nth(1).unwrap().split("\n}").next().unwrap();
    let names: BTreeSet<&str> = table.split('"').skip(1).step_by(2).collect();
    assert!(names.contains("sync.(*Cond).Wait") && names.len() > 14);
    let mut without = BTreeSet::new();
    for minor in 18..=27 {
        for reason in wait_reasons::list(GoVersion::new(minor, 9)) {
            let name = block_reason(reason);
            assert!(names.contains(name) || name == reason, "{reason} became {name}");
            if !names.contains(name) {
                without.insert(reason);
            }
        }
    }
    // None of these is the reason of a gopark: they are set while a goroutine runs, or by coroswitch.
    let expected = [
        "GC assist marking",
        "GC mark termination",
        "GC worker (active)",
        "coroutine",
        "dumping heap",
        "flushing proc caches",
        "garbage collection",
        "garbage collection scan",
        "page trace flush",
        "stopping the world",
        "timer goroutine (idle)",
        "trace goroutine status",
        "trace proc status",
    ];
    assert_eq!(without.into_iter().collect::<Vec<_>>(), expected);
    assert!(REASONS.iter().all(|reason| names.contains(reason)));
}
