//! Walks of all goroutines against a snapshot of the same process, which e2e_truth compares with the runtime's own dump.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::{BTreeMap, HashMap};

use common::fixture::{self, Fixture};
use goscope::goroutines::collect::{Options, Stopping, snapshot};
use goscope::goroutines::model::{Goroutine, Snapshot};
use goscope::target::goroutines::Status;
use goscope::target::process::Process;
use goscope::target::runtime::GoProcess;
use goscope::target::stack::{Cut, FrameKind};
use goscope::target::walk::{Depth, Walk, Walked, Walker};

const RELEASES: [&str; 12] =
    ["1.18.10", "1.19.13", "1.20.14", "1.21.13", "1.22.12", "1.23.0", "1.23.12", "1.24.0", "1.24.13", "1.25.14", "1.26.11", "1.27.4"];

fn attach(target: &Fixture) -> GoProcess {
    GoProcess::attach(Process::open(target.pid()).unwrap(), false).unwrap()
}

fn by_id(walk: &Walk) -> BTreeMap<u64, Walked> {
    let all: BTreeMap<u64, Walked> = walk.goroutines.iter().map(|g| (g.goid, *g)).collect();
    assert_eq!(all.len(), walk.goroutines.len(), "a goroutine is listed twice");
    all
}

/// The addresses of a stack's Go frames; inlined calls have that of the function around them.
fn addresses(snapshot: &Snapshot, goroutine: &Goroutine) -> Vec<u64> {
    let stack = &snapshot.stacks[goroutine.stack as usize];
    let go = stack.frames.iter().filter(|frame| matches!(frame.kind, FrameKind::Go | FrameKind::Inlined));
    let mut addresses: Vec<u64> = go.map(|frame| frame.address).collect();
    addresses.dedup();
    addresses
}

fn walked_addresses(walker: &Walker, walked: &Walked) -> Vec<u64> {
    let mut addresses: Vec<u64> = walker.stacks()[walked.stack as usize].0.iter().map(|pc| pc.address()).collect();
    addresses.dedup();
    addresses
}

fn labels(walker: &Walker, walked: &Walked) -> Vec<(String, String)> {
    walked.labels.map_or_else(Vec::new, |set| walker.labels()[set as usize].clone())
}

/// All but the main goroutine, which may still be writing its last answer, the runtime's own, some of which may be at work, and the one that
/// writes more than a TCP connection holds: each time that the kernel acknowledges or probes (delayed acknowledgements come after 40 ms,
/// more on a busy machine) there may be room for some more, and it is in write(2) for a moment (`traits/waits/net.go`).
fn at_rest(snapshot: &Snapshot) -> impl Iterator<Item = &Goroutine> {
    let writes = |g: &Goroutine| {
        let frames = &snapshot.stacks[g.stack as usize].frames;
        frames.iter().any(|frame| &*frame.function == "goscope.test/fixtures/traits/waits.writeConn")
    };
    snapshot.goroutines.iter().filter(move |g| !g.system && g.id != 1 && g.status != Status::Running && !writes(g))
}

fn assert_equals_snapshot(go: &GoProcess, about: &str) {
    let mut walker = Walker::new(go).unwrap();
    let walk = walker.walk(Depth::Stacks).unwrap();
    let walked = by_id(&walk);
    let expected = snapshot(go, Options { stopping: Stopping::Never }).unwrap();
    let mut compared = 0;
    for goroutine in at_rest(&expected) {
        let found = walked.get(&goroutine.id).unwrap_or_else(|| panic!("{about}: goroutine {} was not walked", goroutine.id));
        let about = format!("{about}: goroutine {}", goroutine.id);
        assert_eq!(found.status, goroutine.status, "{about}");
        assert_eq!(walked_addresses(&walker, found), addresses(&expected, goroutine), "{about}");
        let reason = go.runtime.wait_reasons.get(usize::from(found.wait_reason)).filter(|_| found.status == Status::Waiting);
        assert_eq!(reason.map(|text| &**text).filter(|text| !text.is_empty()), goroutine.wait_reason.as_deref(), "{about}");
        let known: Vec<(String, String)> = goroutine.labels.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        assert_eq!(labels(&walker, found), known, "{about}");
        let blocked = matches!(found.status, Status::Waiting | Status::Syscall);
        assert_eq!(blocked && found.wait_since_ns != 0, goroutine.wait_min_ns.is_some(), "{about}");
        assert!(found.wait_since_ns <= walk.taken_at_ns, "{about}");
        compared += 1;
    }
    assert!(compared >= 5, "{about}: only {compared} goroutines to compare");
    assert_eq!((walk.quality.torn, walk.quality.skipped, walk.quality.not_resident), (0, 0, 0), "{about}");

    let sets = walker.labels().len();
    let again = by_id(&walker.walk(Depth::Stacks).unwrap());
    for goroutine in at_rest(&expected) {
        assert_eq!(again[&goroutine.id], walked[&goroutine.id], "{about}: a second walk");
    }
    assert_eq!(walker.labels().len(), sets, "{about}: a second walk");

    let records = by_id(&walker.walk(Depth::Records).unwrap());
    for goroutine in at_rest(&expected) {
        let record = records[&goroutine.id];
        let (pcs, cut) = &walker.stacks()[record.stack as usize];
        assert_eq!((pcs.len(), *cut), (0, Some(Cut::Depth)), "{about}");
        let whole = walked[&goroutine.id];
        assert_eq!(Walked { stack: whole.stack, labels: whole.labels, ..record }, whole, "{about}: without stacks");
    }
}

#[test]
fn a_walk_equals_a_snapshot() {
    for release in RELEASES {
        for variant in ["full", "strip"] {
            let mut target = Fixture::start(fixture::path(release, "static", variant, "zoo"), &[], &[]);
            assert_equals_snapshot(&attach(&target), &format!("go {release} {variant}"));
            target.assert_alive();
        }
    }
}

#[test]
fn goroutines_inside_c_have_their_go_frames() {
    for release in RELEASES {
        for mode in ["cgo", "cgo-pie"] {
            let mut target = Fixture::start(fixture::path(release, mode, "strip", "cgozoo"), &[], &[]);
            assert_equals_snapshot(&attach(&target), &format!("go {release} {mode}"));
            target.assert_alive();
        }
    }
}

#[test]
fn labels_are_numbered_by_content() {
    let mut target = Fixture::start(fixture::path("1.26.11", "static", "full", "labels"), &[], &[]);
    let go = attach(&target);
    assert_equals_snapshot(&go, "labels");
    let mut walker = Walker::new(&go).unwrap();
    walker.walk(Depth::Stacks).unwrap();
    let sets: std::collections::HashSet<_> = walker.labels().iter().collect();
    assert_eq!(sets.len(), walker.labels().len(), "a set twice");
    target.assert_alive();
}

#[test]
fn running_goroutines_have_their_m_and_p_and_no_stack() {
    for release in RELEASES {
        let mut target = Fixture::start(fixture::path(release, "static", "full", "spin"), &["1"], &[("GOMAXPROCS", "2")]);
        let go = attach(&target);
        let mut walker = Walker::new(&go).unwrap();
        // What is seen running may have lost its P before that is looked at; the spinner gets one again.
        let running = (0..1000).find_map(|_| {
            let walk = walker.walk(Depth::Stacks).unwrap();
            let spinner = walk.goroutines.iter().find(|g| g.status == Status::Running && g.p_id.is_some()).copied();
            spinner.map(|g| (g, walk.quality.running))
        });
        let (spinner, count) = running.unwrap_or_else(|| panic!("go {release}: nothing runs on a P"));
        let (pcs, cut) = &walker.stacks()[spinner.stack as usize];
        assert_eq!((pcs.len(), *cut), (0, Some(Cut::NotRead)), "go {release}");
        assert!(count >= 1 && spinner.m.is_some(), "go {release}: {spinner:?}");
        assert!((0..2).contains(&spinner.p_id.unwrap()), "go {release}: {spinner:?}");
        target.assert_alive();
    }
}

/// The first four of the counts: born, finished, volleys, wake-ups.
fn work_of(target: &mut Fixture) -> Vec<u64> {
    target.ask("count").split(' ').map(|n| n.parse().unwrap()).collect()
}

#[test]
fn many_walks_of_a_busy_service_see_its_goroutines_and_do_not_grow() {
    for release in ["1.18.10", "1.21.13", "1.26.11", "1.27.4"] {
        let mut target = Fixture::start(fixture::path(release, "static", "full", "churn"), &[], &[]);
        let go = attach(&target);
        let mut walker = Walker::new(&go).unwrap();
        let before = work_of(&mut target);
        let mut stacks_halfway = 0;
        let (mut seen, mut torn) = (0, 0);
        for round in 0..400 {
            let walk = walker.walk(Depth::Stacks).unwrap();
            let mut starts: HashMap<u64, u64> = HashMap::new();
            walk.goroutines.iter().for_each(|g| *starts.entry(g.start_pc).or_default() += 1);
            // 200 players and 200 sleepers live as long as the program; old compilers start each player of a pair by a wrapper of its own.
            let permanent: u64 = starts.values().filter(|n| **n >= 100).sum();
            assert!(permanent >= 400, "go {release}: {starts:?}, {:?}", walk.quality);
            assert!(walk.goroutines.iter().all(|g| (g.stack as usize) < walker.stacks().len()), "go {release}");
            seen += walk.goroutines.len() as u64;
            torn += walk.quality.torn;
            if round == 200 {
                stacks_halfway = walker.stacks().len();
            }
        }
        assert!(torn * 100 < seen, "go {release}: {torn} of {seen} torn");
        let grown = walker.stacks().len() - stacks_halfway;
        assert!(grown * 4 < stacks_halfway, "go {release}: {grown} new stacks on top of {stacks_halfway}");
        let after = work_of(&mut target);
        assert!(after.iter().zip(&before).all(|(after, before)| after > before), "go {release}: it does not go on: {before:?} {after:?}");
        target.assert_alive();
    }
}

#[test]
fn a_process_that_ended_is_an_error() {
    let target = Fixture::start(fixture::path("1.26.11", "static", "full", "zoo"), &[], &[]);
    let go = attach(&target);
    let mut walker = Walker::new(&go).unwrap();
    walker.walk(Depth::Stacks).unwrap();
    target.quit();
    walker.walk(Depth::Stacks).unwrap_err();
    walker.walk(Depth::Records).unwrap_err();
}
