//! A live window, printed at once and recorded: the recording prints the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "support/schedload.rs"]
mod schedload;

use std::process::{Command, Output};

use goscope::sched::model::{Tier, What, Window};
use goscope::sched::recording;

fn run(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_goscope"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GOSCOPE_")) {
        command.env_remove(name);
    }
    command.args(args).output().unwrap()
}

fn goscope(args: &[&str]) -> Output {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Records with `look` and `view`, and prints again with `view`.
fn assert_same(pid: u32, command: &str, look: &[&str], view: &[&str]) -> Window {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("window.rec");
    let file = path.to_str().unwrap();
    let live = goscope(&[&[command, &pid.to_string(), "--record", file], look, view].concat());
    let again = goscope(&[&["report", file], view].concat());
    assert!(!live.stdout.is_empty() && live.stdout == again.stdout, "{command} {look:?} {view:?}");
    recording::open(&path).unwrap()
}

#[test]
fn every_format_prints_what_was_printed_while_it_was_recorded() {
    let mut load = schedload::start("syscalls", &["4", "5"]);
    let pid = load.pid();
    load.begin();
    for format in ["table", "json", "jsonl", "folded", "pprof", "svg", "speedscope", "perfetto"] {
        let window = assert_same(pid, "sched", &["--tier", "1", "--duration", "400ms"], &["--format", format]);
        assert_eq!(window.tier, Tier::Switches);
        let moments = window.timeline.unwrap().moments;
        assert!(moments.iter().any(|moment| matches!(moment.what, What::In)), "{format}: threads came back to a CPU");
    }
    assert_same(pid, "sched", &["--tier", "0", "--duration", "300ms"], &[]);
    // It answers, so it runs on.
    assert!(load.end().is_object());
}

#[test]
fn a_trace_is_recorded_too() {
    let load = schedload::start("sleepers", &["4", "5"]);
    let window = assert_same(load.pid(), "sched", &["--tier", "3", "--duration", "400ms"], &["--format", "trace"]);
    assert!(window.transitions.is_some() && window.timeline.unwrap().moments.iter().any(|moment| moment.what == What::Run));
}

#[test]
fn a_profile_is_recorded_too() {
    let load = schedload::start("spinners", &["1"]);
    for mode in ["cpu", "wall", "goroutine"] {
        let look = ["--tier", "1", "--duration", "400ms"];
        let window = assert_same(load.pid(), "profile", &look, &["--mode", mode, "--hide-runtime", "--limit", "3"]);
        assert!(window.samples > 0);
    }
}

#[test]
fn a_recording_that_cannot_be_written_hides_no_result() {
    let load = schedload::start("sleepers", &["1"]);
    let output = run(&["sched", &load.pid().to_string(), "--tier", "0", "--duration", "300ms", "--record", "/dev/full"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{stderr}");
    assert!(stderr.contains("cannot record into /dev/full: No space left on device"), "{stderr}");
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("WHERE GOROUTINE TIME WENT"));
}
