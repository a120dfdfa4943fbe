//! `goscope goroutines` on live processes: what it says beside stacks, what it stops, and what comes of its formats.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of a test may unwrap

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::fixture::{Fixture, path};
use common::snapshot::{self, Snapshot};
use serde_json::Value;

const GO: &str = "1.26.11";

const VERSIONS: [&str; 12] =
    ["1.18.10", "1.19.13", "1.20.14", "1.21.13", "1.22.12", "1.23.0", "1.23.12", "1.24.0", "1.24.13", "1.25.14", "1.26.11", "1.27.4"];

fn fixture(program: &str, args: &[&str]) -> Fixture {
    Fixture::start(path(GO, "static", "full", program), args, &[])
}

fn goscope(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_goscope")).args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn raw(snapshot: &Snapshot) -> &Vec<Value> {
    snapshot.document["goroutines"].as_array().unwrap()
}

fn quality(snapshot: &Snapshot, key: &str) -> u64 {
    snapshot.document["quality"][key].as_u64().unwrap_or_else(|| panic!("quality.{key}"))
}

/// A directory for one test's files.
fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// The runtime prints the arguments of its own calls with GOTRACEBACK=system, and a `?` behind those that it does not trust.
#[test]
fn what_a_goroutine_blocks_on_is_the_argument_that_the_runtime_prints() {
    for version in VERSIONS {
        let mut command = Command::new(path(version, "static", "sw", "zoo"));
        command.env("GOTRACEBACK", "system").stderr(Stdio::piped());
        let mut target = Fixture::spawn(&mut command);
        let snapshot = snapshot::take(target.pid(), &[]);
        target.assert_alive();
        let dump = target.quit_dump();
        let mut kinds = BTreeSet::new();
        for g in raw(&snapshot) {
            let Some(on) = g.get("blocked_on").filter(|on| !on.is_null()) else { continue };
            kinds.insert(on["what"].as_str().unwrap().to_owned());
            let header = format!("goroutine {} ", g["id"]);
            let block = dump.split("\n\n").find(|block| block.starts_with(&header)).unwrap_or_else(|| panic!("{version}: {header}"));
            let call = format!("({}", on["address"].as_str().unwrap());
            let printed = block.lines().any(|line| line.contains(&format!("{call})")) || line.contains(&format!("{call}, ")));
            assert!(printed, "{version}: {on} is not in\n{block}");
        }
        for kind in ["channel", "mutex", "fd"] {
            assert!(kinds.contains(kind), "{version}: no goroutine blocks on a {kind}: {kinds:?}");
        }
    }
}

#[test]
fn a_sleeper_says_when_it_wakes_and_nobody_else_does() {
    for version in VERSIONS {
        let mut target = Fixture::start(path(version, "static", "sw", "zoo"), &[], &[]);
        let snapshot = snapshot::take(target.pid(), &[]);
        let mut sleepers = 0;
        for g in raw(&snapshot) {
            let wakes = g.get("wakes_in_ns").and_then(Value::as_i64);
            if g["wait_reason"] == "sleep" && g["system"] == false {
                sleepers += 1;
                let hour = 3_600_000_000_000;
                assert!(wakes.is_some_and(|ns| (1..=24 * 365 * hour).contains(&ns)), "{version}: {g}");
            } else if g["wait_reason"] != "sleep" {
                assert_eq!(wakes, None, "{version}: {g}");
            }
        }
        assert!(sleepers > 0, "{version}: the fixture has sleepers");
        target.assert_alive();
    }
}

#[test]
fn a_goroutine_in_a_system_call_names_a_thread_of_the_process() {
    for version in VERSIONS {
        let mut target = Fixture::start(path(version, "static", "sw", "zoo"), &[], &[]);
        let snapshot = snapshot::take(target.pid(), &[]);
        let in_syscall: Vec<&Value> = raw(&snapshot).iter().filter(|g| g["status"] == "syscall").collect();
        assert!(!in_syscall.is_empty(), "{version}");
        for g in in_syscall {
            let tid = g["thread"]["tid"].as_u64().unwrap_or_else(|| panic!("{version}: no thread: {g}"));
            assert!(Path::new(&format!("/proc/{}/task/{tid}", target.pid())).exists(), "{version}: thread {tid}");
        }
        target.assert_alive();
    }
}

#[test]
fn by_default_running_goroutines_are_read_by_short_stops() {
    let mut target = fixture("spin", &["2"]);
    let mut stops = 0;
    for _ in 0..20 {
        let snapshot = snapshot::take(target.pid(), &[]);
        stops += quality(&snapshot, "threads_stopped");
        for (g, value) in snapshot.goroutines.iter().zip(raw(&snapshot)).filter(|(g, v)| g.status == "running" && v["read"] == "stopped") {
            let own = |f: &snapshot::Frame| f.function == "main.tight" || f.function == "main.clock";
            assert!(g.frames.iter().any(own), "a spinning goroutine is in its loop: {value} {:?}", g.frames);
        }
    }
    assert!(stops > 0, "two goroutines spin, and no thread was stopped in 20 snapshots");
    target.assert_alive();
}

#[test]
fn no_stop_stops_nothing_and_says_what_was_not_read() {
    let mut target = fixture("spin", &["2"]);
    let mut not_read = 0;
    for _ in 0..20 {
        let snapshot = snapshot::take(target.pid(), &["--no-stop"]);
        assert_eq!(quality(&snapshot, "threads_stopped"), 0);
        for (g, value) in snapshot.goroutines.iter().zip(raw(&snapshot)).filter(|(_, v)| v["read"] == "not_read") {
            assert_eq!(g.status, "running", "{value}");
            assert!(g.frames.is_empty(), "{value}: {:?}", g.frames);
            not_read += 1;
        }
    }
    assert!(not_read > 0, "two goroutines spin, and none was running in 20 snapshots");
    target.assert_alive();
}

/// Few goroutines are read inside the pause altogether, of many only the records: both must list what an unpaused view lists.
#[test]
fn a_pause_shows_the_same_goroutines_with_the_same_stacks() {
    for (program, args) in [("waits", &[][..]), ("parked", &["3000"][..])] {
        let mut target = fixture(program, args);
        let stacks = |snapshot: &Snapshot| -> BTreeMap<u64, Vec<String>> {
            let names = |g: &snapshot::Goroutine| g.frames.iter().map(|f| format!("{} {}:{}", f.function, f.file, f.line)).collect();
            snapshot.goroutines.iter().filter(|g| !g.system).map(|g| (g.id, names(g))).collect()
        };
        let free = stacks(&snapshot::take(target.pid(), &[]));
        assert!(free.len() > 10, "{program}: {} goroutines", free.len());
        for mode in ["--pause", "--pause=all"] {
            let paused = snapshot::take(target.pid(), &[mode, "--max-pause", "10s"]);
            assert!(paused.goroutines.iter().all(|g| g.cut.is_none()), "{program} {mode}: a stack is cut");
            assert!(raw(&paused).iter().all(|g| g["read"] == "paused"), "{program} {mode}: one was not read in the pause");
            let stacks = stacks(&paused);
            for (id, frames) in &free {
                assert_eq!(stacks.get(id), Some(frames), "{program} {mode}: goroutine {id}");
            }
            assert_eq!(stacks.len(), free.len(), "{program} {mode}");
        }
        target.assert_alive();
    }
}

#[test]
fn a_pause_that_reaches_its_limit_is_said_and_everything_is_read_all_the_same() {
    let mut target = fixture("parked", &["20000"]);
    let output = goscope(&["goroutines", &target.pid().to_string(), "--pause", "--max-pause", "1ns", "--format", "json"]);
    let document: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert!(document["counts"]["total"].as_u64().unwrap() > 20_000, "{}", document["counts"]);
    assert!(document["goroutines"].as_array().unwrap().iter().all(|g| g["read"] != "paused"));
    let warnings = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(warnings.contains("limit"), "{warnings}");
    target.assert_alive();
}

#[test]
fn the_leaking_creation_site_fails_the_check_and_is_named() {
    let mut target = fixture("leak", &[]);
    let directory = scratch("leak");
    let (before, after) = (directory.join("before.json"), directory.join("after.json"));
    let pid = target.pid().to_string();
    let save = |file: &Path| assert!(goscope(&["goroutines", &pid, "--format", "json", "-o", file.to_str().unwrap()]).status.success());
    save(&before);
    assert_eq!(target.ask("leak 25"), "leaked 25");
    save(&after);
    let files = [before.to_str().unwrap(), after.to_str().unwrap()];
    let diff = |more: &[&str]| goscope(&[&["goroutines", "diff", files[0], files[1]], more].concat());

    assert!(diff(&["--fail-on-growth", "25"]).status.success(), "25 more is not more than 25");
    let failed = diff(&["--fail-on-growth", "24"]);
    assert_eq!(failed.status.code(), Some(1));
    let said = String::from_utf8_lossy(&failed.stdout).into_owned() + &String::from_utf8_lossy(&failed.stderr);
    assert!(said.contains("main.main.") && said.contains("leak/main.go:"), "{said}");
    assert!(diff(&[]).status.success(), "without a limit a diff is a result, not a finding");

    let same = goscope(&["goroutines", "diff", files[0], files[0], "--fail-on-growth", "0"]);
    assert!(same.status.success(), "nothing grows between a snapshot and itself");
    target.assert_alive();
}

#[test]
fn watch_ends_after_its_count_and_fails_only_on_growth() {
    let mut target = fixture("leak", &[]);
    let pid = target.pid().to_string();
    let output = goscope(&["goroutines", &pid, "--watch", "100ms", "--count", "3", "--fail-on-growth", "0", "--format", "jsonl"]);
    let lines: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.first().map(|l| l["type"].clone()), Some("header".into()));
    assert_eq!(lines.last().map(|l| l["type"].clone()), Some("summary".into()));
    target.assert_alive();
}

/// As go tool pprof reads it: all goroutines are there, and their labels.
#[test]
fn go_tool_pprof_opens_the_profile_with_its_labels() {
    let mut target = Fixture::start(path(GO, "static", "sw", "zoo"), &[], &[]);
    let file = scratch("pprof").join("goroutines.pb.gz");
    let pid = target.pid().to_string();
    stdout(&goscope(&["goroutines", &pid, "--format", "pprof", "-o", file.to_str().unwrap()]));
    let pprof = |args: &[&str]| stdout(&Command::new("go").args(["tool", "pprof"]).args(args).arg(&file).output().expect("go is needed"));
    let total = snapshot::take(target.pid(), &[]).goroutines.len();
    let top = pprof(&["-top"]);
    assert!(top.contains(&format!("of {total} total")), "{total} goroutines:\n{top}");
    let tags = pprof(&["-tags"]);
    assert!(tags.contains("tenant") && tags.contains("acme"), "{tags}");
    target.assert_alive();
}

#[test]
fn panicparse_reads_the_text() {
    let mut target = Fixture::start(path(GO, "static", "sw", "zoo"), &[], &[]);
    let dump = scratch("panicparse").join("dump.txt");
    let pid = target.pid().to_string();
    stdout(&goscope(&["goroutines", &pid, "--format", "text", "-o", dump.to_str().unwrap()]));
    let bin = scratch("panicparse").join("bin");
    let mut install = Command::new("go");
    install.args(["install", "github.com/maruel/panicparse/v2@v2.5.0"]).env("GOBIN", &bin).env("GOFLAGS", "-mod=mod");
    stdout(&install.output().expect("go is needed"));
    let parsed = stdout(&Command::new(bin.join("panicparse")).arg("-no-color").arg(&dump).output().unwrap());
    let user = snapshot::take(target.pid(), &["--user"]).goroutines.iter().filter(|g| !g.system).count();
    // Each bucket's header begins with the number of goroutines in it.
    let counted: usize = parsed.lines().filter_map(|line| line.split_once(": ")?.0.parse::<usize>().ok()).sum();
    assert_eq!(counted, user, "{parsed}");
    assert!(parsed.contains("recursion"), "{parsed}");
    target.assert_alive();
}
