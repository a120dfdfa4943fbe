//! What `goscope sched` leaves behind, however it ends: nothing; and what it says when the target or its own rights end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of a test may unwrap

mod common;
#[path = "support/cpu_group.rs"]
mod cpu_group;
#[path = "support/goscope_child.rs"]
mod goscope_child;
#[path = "support/harm.rs"]
mod harm;
#[path = "support/schedload.rs"]
mod schedload;
#[path = "support/service.rs"]
#[allow(dead_code)]
mod service;
#[path = "support/text.rs"]
mod text;

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use goscope::probes::sites::Site;
use serde_json::Value;

use common::fixture::Fixture;
use cpu_group::CpuGroup;
use goscope_child::{end_of, heeding_signals, rest, signal};
use harm::{PATIENCE, Reaped, assert_unharmed, eventually, program, run};
use schedload::{number, start};
use text::{assert_untouched, changed_text};

/// In tier 3, and with all its breakpoints set.
fn probing(pid: u32, duration: &str, stdout: Stdio) -> Reaped {
    let mut goscope = heeding_signals();
    goscope.args(["sched", &pid.to_string(), "--tier", "3", "--format", "json", "--duration", duration]);
    let mut child = Reaped(goscope.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap());
    // Some of them it sets before, for a moment, to know what all will cost.
    eventually("breakpoints", || {
        assert!(child.0.try_wait().unwrap().is_none(), "goscope ended: {}", rest(&mut child.0));
        changed_text(pid) > Site::RARE.len() + 1
    });
    child
}

/// Stopped, it costs nothing; it goes on when the price has been told.
#[test]
fn a_window_that_gets_much_dearer_than_was_told_ends() {
    let mut target = start("pingpong", &["2"]);
    let pid = target.pid();
    let send = |signal: &str| assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
    send("-STOP");
    let mut goscope = heeding_signals();
    goscope.args(["sched", &pid.to_string(), "--tier", "3", "--format", "json", "--duration", "20s"]);
    let mut child = Reaped(goscope.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    // Byte by byte: what comes later is for whoever reads the rest.
    BufReader::with_capacity(1, child.0.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    send("-CONT");
    assert!(line.starts_with("cost: tier 3: expected 0.00 %"), "{line}");
    let output = end_of(child);
    let stderr = String::from_utf8_lossy(&output.stderr);
    // Too many to be read, on a slow machine, is as good a reason.
    assert!(stderr.contains("more than twice what was told") || stderr.contains("events were lost"), "{stderr}");
    assert!(number(&document(&output), "window_ns") < 10_000_000_000);
    assert_untouched(pid);
    assert_unharmed(&mut target.fixture);
}

fn document(output: &Output) -> Value {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("not JSON: {error}: {stderr}"))
}

/// Slow enough for a goscope that was built for debugging.
fn slow_target() -> (CpuGroup, schedload::Load) {
    let group = CpuGroup::with_quota(0.05);
    let load = start("pingpong", &["2"]);
    group.add(load.pid());
    (group, load)
}

#[test]
fn after_kill_9_no_breakpoint_is_left_and_the_target_runs_on() {
    let (_group, mut target) = slow_target();
    assert_untouched(target.pid());
    for _ in 0..3 {
        let goscope = probing(target.pid(), "600s", Stdio::null());
        signal(&goscope, 9);
        drop(goscope);
        // The kernel cleans up behind the process, in its own time.
        eventually("the original text", || changed_text(target.pid()) == 0);
        target.begin();
        std::thread::sleep(Duration::from_millis(300)); // what is measured
        let balls = number(schedload::kind(&target.end(), "main.ping"), "iterations");
        assert!(balls > 0, "the game goes on");
        assert_unharmed(&mut target.fixture);
    }
}

#[test]
fn an_interrupt_ends_the_window_early_with_a_result() {
    let (_group, mut target) = slow_target();
    for number_of in [2, 15] {
        let goscope = probing(target.pid(), "600s", Stdio::piped());
        let begin = Instant::now();
        signal(&goscope, number_of);
        let document = document(&end_of(goscope));
        assert!(begin.elapsed() < PATIENCE / 2, "at once");
        assert!(number(&document, "window_ns") < 600_000_000_000 && number(&document["time"], "total_ns") > 0, "{}", document["time"]);
        assert_untouched(target.pid());
        assert_unharmed(&mut target.fixture);
    }
}

#[test]
fn a_target_that_exits_ends_the_window_with_what_was_seen() {
    let (_group, target) = slow_target();
    let goscope = probing(target.pid(), "600s", Stdio::piped());
    std::thread::sleep(Duration::from_millis(500)); // what is looked at
    target.fixture.quit();
    let output = end_of(goscope);
    let document = document(&output);
    assert!(number(&document["time"], "total_ns") > 0, "{}", document["time"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("warning: the window ended early: "), "{stderr:?}");
    assert_eq!(document["quality"]["warnings"].as_array().unwrap().len(), 1, "{}", document["quality"]);
}

#[test]
fn a_target_that_becomes_another_program_ends_the_window() {
    let mut target = Fixture::start(program("lifecycle"), &["10"], &[]);
    let goscope = probing(target.pid(), "600s", Stdio::piped());
    assert!(target.ask(&format!("exec {} 10", program("lifecycle").display())).starts_with("ready "));
    let output = end_of(goscope);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.code() {
        Some(0) => assert!(number(&document(&output), "window_ns") < 600_000_000_000),
        Some(3) => assert!(stderr.contains("has become another program"), "{stderr}"),
        other => panic!("{other:?}: {stderr}"),
    }
    assert_untouched(target.pid());
    assert_unharmed(&mut target);
}

#[test]
fn nobody_who_reads_the_result_is_no_failure() {
    let mut target = start("sleepers", &["2", "20"]);
    for format in ["table", "json", "jsonl"] {
        let mut goscope = Command::new(env!("CARGO_BIN_EXE_goscope"));
        goscope.args(["sched", &target.pid().to_string(), "--duration", "200ms", "--format", format]);
        let mut child = Reaped(goscope.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
        drop(child.0.stdout.take());
        let status = child.0.wait().unwrap();
        let stderr = rest(&mut child.0);
        assert_eq!(status.code(), Some(0), "{format}: {stderr}");
        assert!(stderr.lines().all(|line| line.starts_with("cost: ")), "{format}: {stderr}");
    }
    assert_untouched(target.pid());
    assert_unharmed(&mut target.fixture);
}

/// As root without what probes need; looking at memory stays allowed.
fn without_bpf_rights(args: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    let less = "-bpf,-perfmon,-sys_admin";
    command.args([&format!("--bounding-set={less}"), &format!("--inh-caps={less}")]);
    command.arg(env!("CARGO_BIN_EXE_goscope")).args(args);
    command
}

#[test]
fn tier_0_needs_no_right_to_probe() {
    if !service::is_root("dropping a capability") {
        return;
    }
    let mut target = start("sleepers", &["4", "20"]);
    let pid = target.pid().to_string();
    let document = run(&mut without_bpf_rights(&["sched", &pid, "--tier", "0", "--duration", "1s", "--format", "json"])).json();
    assert_eq!((number(&document, "tier"), number(&document, "samples")), (0, 0));
    let rows = document["stacks"].as_array().unwrap();
    assert!(rows.iter().any(|row| row["reason"] == "sleep" && row["source"] == "walk"), "walks tell who waits");
    assert!(number(&document["run_queue"], "count") > 0 && number(&document["runtime"], "time_slices") > 0, "{}", document["runtime"]);
    let table = run(&mut without_bpf_rights(&["sched", &pid, "--tier", "0", "--duration", "200ms"]));
    assert!(table.stdout.contains("tier 0"), "{table:?}");
    assert_unharmed(&mut target.fixture);
}

#[test]
fn probes_that_were_asked_for_and_are_not_allowed_are_refused_with_the_way_out() {
    if !service::is_root("dropping a capability") {
        return;
    }
    let mut target = start("sleepers", &["4", "20"]);
    let pid = target.pid().to_string();
    for tier in ["1", "3"] {
        let run = run(&mut without_bpf_rights(&["sched", &pid, "--tier", tier, "--duration", "200ms", "--format", "json"]));
        run.assert_refused(4, &["CAP_BPF", "CAP_PERFMON", "--tier 0"]);
    }
    assert_untouched(target.pid());
    assert_unharmed(&mut target.fixture);
}

#[test]
fn without_the_right_to_probe_the_default_is_tier_0_and_says_so() {
    if !service::is_root("dropping a capability") {
        return;
    }
    let mut target = start("sleepers", &["4", "20"]);
    let run = run(&mut without_bpf_rights(&["sched", &target.pid().to_string(), "--duration", "500ms", "--format", "json"]));
    assert_eq!(number(&run.json(), "tier"), 0);
    assert!(run.stderr.contains("warning: ") && run.stderr.contains("tier 0"), "{run:?}");
    assert_unharmed(&mut target.fixture);
}
