//! goscope's view of a quiesced process against the runtime's own dump of it: every Go release, link mode and variant.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of a test may unwrap

mod common;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::fixture::{self, Fixture};
use common::rules::Rules;
use common::{compare, dump, snapshot};

/// All variants of the truth program of one release and link mode.
fn cell(version: &str, mode: &str) {
    let program = if mode.starts_with("cgo") { "cgozoo" } else { "zoo" };
    for variant in ["full", "sw", "trimpath", "strip"] {
        truth(version, mode, variant, program, &[]);
    }
}

/// With the runtime's own frames and goroutines. `runtime.Stack` never shows those; the dump of SIGQUIT does.
fn system(version: &str, mode: &str) {
    let program = if mode.starts_with("cgo") { "cgozoo" } else { "zoo" };
    let mut command = Command::new(fixture::path(version, mode, "full", program));
    command.envs([("GOTRACEBACK", "system"), ("GODEBUG", "tracebacklabels=1")]).stderr(Stdio::piped());
    let mut target = Fixture::spawn(&mut command);
    target.assert_alive();
    // That it still runs afterwards is what the dump shows.
    let snapshot = once_runtime_rests(target.pid());
    let dump = dump::parse_quit(&target.quit_dump());
    let found = compare::differences(&dump, &snapshot, Rules::of(version, true), None);
    report(&format!("go{version} {mode} {program}, GOTRACEBACK=system"), &found);
}

/// The fixture cannot see the runtime's own goroutines, so it does not wait for them: for a while after a collection the scavenger
/// works and sleeps in turn. What this one sees is compared with a dump that is made later, so it must be at rest.
fn once_runtime_rests(pid: u32) -> snapshot::Snapshot {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let snapshot = snapshot::take(pid, &[]);
        let busy = |g: &snapshot::Goroutine| g.system && (g.status != "waiting" || g.wait_reason.as_deref() == Some("sleep"));
        // The main goroutine may still be writing its last answer.
        let answering = |g: &snapshot::Goroutine| g.id == 1 && !g.frames.iter().any(|frame| frame.function == "syscall.read");
        if !snapshot.goroutines.iter().any(|g| busy(g) || answering(g)) || Instant::now() > deadline {
            return snapshot;
        }
    }
}

/// Labels are part of the dump only since Go 1.26, and only if GODEBUG says so.
fn truth(version: &str, mode: &str, variant: &str, program: &str, args: &[&str]) {
    let env = [("GODEBUG", "tracebacklabels=1")];
    let mut target = Fixture::start(fixture::path(version, mode, variant, program), args, &env);
    let snapshots = [&[][..], &["--pause", "--max-pause", "10s"]].map(|how| (how, snapshot::take(target.pid(), how)));
    let dump = dump::parse(&target.dump());
    for (how, snapshot) in &snapshots {
        let found = compare::differences(&dump, snapshot, Rules::of(version, false), Some(dump[0].id));
        report(&format!("go{version} {mode} {variant} {program} {}", how.join(" ")), &found);
    }
    target.assert_alive();
}

fn report(cell: &str, found: &[String]) {
    let shown = found.iter().take(12).map(String::as_str).collect::<Vec<_>>().join("\n  ");
    assert!(found.is_empty(), "{cell}: {} differences\n  {shown}", found.len());
}

macro_rules! releases {
    ($($name:ident = $version:literal)*) => { $(
        mod $name {
            #[test] fn statically_linked() { super::cell($version, "static") }
            #[test] fn pie() { super::cell($version, "pie") }
            #[test] fn cgo_internal_link() { super::cell($version, "cgo") }
            #[test] fn cgo_external_link() { super::cell($version, "cgo-ext") }
            #[test] fn cgo_pie() { super::cell($version, "cgo-pie") }
            #[test] fn traceback_system() { super::system($version, "static") }
            #[test] fn traceback_system_cgo() { super::system($version, "cgo") }
            #[test] fn labels() { super::labels($version) }
        }
    )* };
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

/// Labels as the fixture sets them (`traits/labels`), for all releases: by the function that is on the stack.
fn labels(version: &str) {
    let mut target = Fixture::start(fixture::path(version, "static", "full", "zoo"), &[], &[]);
    let snapshot = snapshot::take(target.pid(), &[]);
    let many: Vec<(String, String)> = (0..40).map(|i| (format!("key{i:02}"), format!("value{i}"))).collect();
    let expected: [(&str, Vec<(&str, &str)>); 6] = [
        ("labels.do", vec![("request", "checkout"), ("tenant", "acme")]),
        ("labels.nested", vec![("request", "inner"), ("step", "2"), ("tenant", "acme")]),
        ("labels.set", vec![("worker", "7")]),
        (
            "labels.odd",
            vec![
                ("path", "/a b?c=1&d=\"e\""),
                ("empty", ""),
                ("multi\nline", "tab\there"),
                ("ключ", "значение ✓"),
                ("colon:comma,", "]}[{"),
            ],
        ),
        ("labels.many", many.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()),
        ("labels.cleared", vec![]),
    ];
    for (function, pairs) in expected {
        let expected: BTreeMap<String, String> = pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let on_stack = |g: &&snapshot::Goroutine| g.frames.iter().any(|f| f.function.ends_with(&format!("/{function}")));
        let found: Vec<_> = snapshot.goroutines.iter().filter(on_stack).collect();
        assert_eq!(found.len(), 1, "go{version}: one goroutine is in {function}");
        assert_eq!(found[0].labels, expected, "go{version}: {function}");
    }
    let inherited = |g: &&snapshot::Goroutine| g.created_by.as_ref().is_some_and(|by| by.function.ends_with("/labels.inherits"));
    let child = snapshot.goroutines.iter().find(inherited).expect("the goroutine that labels.inherits started");
    assert_eq!(child.labels, BTreeMap::from([("from".to_owned(), "parent".to_owned())]), "go{version}: inherited labels");
    target.assert_alive();
}

/// A stack of 10,000 frames, whole: the runtime's dump leaves the middle out, but runtime.Callers does not.
#[test]
fn recursion_10k_deep() {
    let mut target = Fixture::start(fixture::path("1.26.11", "static", "full", "recursion"), &[], &[]);
    let snapshot = snapshot::take(target.pid(), &[]);
    let callers = target.ask_block("callers");
    let mut expected: Vec<&str> = callers.lines().collect();
    let bottom = "goscope.test/fixtures/traits/recursion.deepBottom";
    assert!(expected.remove(0).starts_with(bottom), "the innermost one has gone on to the channel since");
    assert!(expected.len() > 10_000);

    let deep = snapshot.goroutines.iter().find(|g| g.frames.iter().any(|f| f.function == bottom)).expect("the deep goroutine");
    let above = deep.frames.iter().position(|f| f.function == bottom).unwrap() + 1;
    // runtime.Callers leaves out wrappers, as the one that the go statement made.
    let got: Vec<String> =
        deep.frames[above..].iter().filter(|f| !f.wrapper).map(|f| format!("{}\t{}:{}", f.function, f.file, f.line)).collect();
    assert_eq!(got.len(), expected.len());
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert_eq!(got, expected, "frame {i}");
    }
    target.assert_alive();
}

macro_rules! programs {
    ($($name:ident)*) => { $(
        #[test] fn $name() { super::truth("1.26.11", "static", "full", stringify!($name), &[]) }
    )* };
}

/// Programs of one trait. The truth programs hold them all at once; these are small enough to look at when one differs.
mod one_trait {
    programs! { waits syscalls locked panicking inline labels iterpull finalizers recursion leak }
}

#[test]
fn cgo() {
    for mode in ["cgo", "cgo-pie"] {
        truth("1.26.11", mode, "full", "cgo", &[]);
    }
}

#[test]
fn synctest_bubble() {
    for version in ["1.25.14", "1.26.11", "1.27.4"] {
        truth(version, "static", "full", "synctested.test", &["-test.run=TestBubble", "-test.timeout=0"]);
    }
}
