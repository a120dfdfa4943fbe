//! Stacks of goroutines that are running while they are looked at, in each release: in a loop without calls, in the vDSO, on the
//! system stack, in assembly, growing their stack, switching. What is seen differs each time, so it is compared with what the
//! source of the program (`cmd/spin`) allows: every stack is whole, and has the loop that it was started with at its outer end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of a test may unwrap

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use common::fixture::{Fixture, path};
use common::snapshot::{self, Frame, Goroutine};

const LOOPS: [&str; 6] = ["main.tight", "main.clock", "main.allocate", "main.hash", "main.deep", "main.yield"];
const SNAPSHOTS: usize = 40;

/// Those that use up their time slice: sooner or later they are running when looked at.
const BUSY: [&str; 3] = ["main.tight", "main.clock", "main.hash"];

macro_rules! releases {
    ($($name:ident = $version:literal)*) => { $( #[test] fn $name() { every_stack_is_possible($version) } )* };
}

releases! {
    go1_18 = "1.18.10"
    go1_19 = "1.19.13"
    go1_20 = "1.20.14"
    go1_21 = "1.21.13"
    go1_22 = "1.22.12"
    go1_23_0 = "1.23.0"
    go1_23 = "1.23.12"
    go1_24_0 = "1.24.0"
    go1_24 = "1.24.13"
    go1_25 = "1.25.14"
    go1_26 = "1.26.11"
    go1_27 = "1.27.4"
}

fn every_stack_is_possible(version: &str) {
    let mut target = Fixture::start(path(version, "static", "full", "spin"), &["6"], &[]);
    let mut wrong = BTreeMap::new();
    let mut running = BTreeSet::new();
    let mut unread = 0;
    let mut taken = 0;
    let deadline = Instant::now() + Duration::from_secs(90);
    while taken < SNAPSHOTS || !BUSY.iter().all(|name| running.contains(name)) {
        assert!(Instant::now() < deadline, "go{version}: seen running only {running:?} in {taken} snapshots");
        taken += 1;
        let snapshot = snapshot::take(target.pid(), &[]);
        for g in snapshot.goroutines.iter().filter(|g| started_by_main(g)) {
            let read = &snapshot.document["goroutines"].as_array().unwrap().iter().find(|row| row["id"] == g.id).unwrap()["read"];
            match impossible(g) {
                // Said to be unknown, which is no lie; the count below sees to it that it's the exception.
                _ if read == "torn" || read == "not_read" => unread += 1,
                Some(why) => drop(wrong.insert(format!("{why} ({read})"), stack(g))),
                None if g.status == "running" => drop(running.insert(g.frames.iter().rev().find_map(loop_of).unwrap())),
                None => {}
            }
        }
    }
    let text: Vec<String> = wrong.iter().map(|(why, stack)| format!("{why}\n{stack}")).collect();
    assert!(wrong.is_empty(), "go{version}: {} kinds of wrong stacks\n{}", wrong.len(), text.join("\n"));
    let looked_at = taken * LOOPS.len();
    assert!(unread < looked_at / 2, "go{version}: {unread} of {looked_at} not read");
    target.assert_alive();
}

fn started_by_main(g: &Goroutine) -> bool {
    g.created_by.as_ref().is_some_and(|by| by.function == "main.main")
}

/// Why it cannot be the stack of a goroutine that `spin` started.
fn impossible(g: &Goroutine) -> Option<String> {
    if let Some(cut) = &g.cut {
        return Some(format!("cut: {cut}"));
    }
    // The vDSO has no lines.
    if let Some(f) = g.frames.iter().find(|f| f.kind == "unresolved" || f.function.is_empty() || f.line == 0 && f.function != "[vdso]") {
        return Some(format!("a frame without a name or line at {:#x}", f.address));
    }
    // Outermost the runtime's goexit, then the go statement's wrapper, then the loop.
    let mut outer = g.frames.iter().rev();
    if outer.next().map(|f| f.function.as_str()) != Some("runtime.goexit") {
        return Some("does not begin in runtime.goexit".to_owned());
    }
    let mut inside = outer.skip_while(|f| f.wrapper).peekable();
    if inside.peek().is_none() && g.status == "runnable" {
        return None; // not begun yet
    }
    let Some(start) = inside.next().and_then(loop_of) else {
        return Some("does not begin in a loop of the program".to_owned());
    };
    inside.find(|f| f.function.starts_with("main.")).map(|f| format!("{} below {start}", f.function))
}

fn loop_of(f: &Frame) -> Option<&'static str> {
    LOOPS.into_iter().find(|name| *name == f.function)
}

fn stack(g: &Goroutine) -> String {
    let head = format!("  goroutine {} {} {:?}", g.id, g.status, g.wait_reason);
    let frames = g.frames.iter().map(|f| format!("    {} {}:{} {:#x}", f.function, f.file, f.line, f.address));
    std::iter::once(head).chain(frames).collect::<Vec<_>>().join("\n")
}
