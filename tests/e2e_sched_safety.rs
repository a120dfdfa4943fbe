//! What `goscope sched` leaves behind, however it ends: nothing; and what it says when the target or its own rights end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of a test may unwrap

mod common;
#[path = "support/cpu_group.rs"]
mod cpu_group;
#[path = "support/harm.rs"]
mod harm;
#[path = "support/schedload.rs"]
mod schedload;
#[path = "support/service.rs"]
#[allow(dead_code)]
mod service;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use common::fixture::Fixture;
use cpu_group::CpuGroup;
use harm::{PATIENCE, Reaped, assert_unharmed, eventually, program, run};
use schedload::{number, start};

/// How many bytes of the program's text differ in memory from those in its file, as the kernel's own list of mappings pairs them.
fn changed_text(pid: u32) -> usize {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let exe = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    let (memory, file) = (File::open(format!("/proc/{pid}/mem")).unwrap(), File::open(&exe).unwrap());
    let mut changed = 0;
    let mut seen = 0;
    for line in maps.lines().filter(|line| line.ends_with(exe.to_str().unwrap())) {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        if !words[1].contains('x') {
            continue;
        }
        let hex = |text: &str| u64::from_str_radix(text, 16).unwrap();
        let (begin, end) = words[0].split_once('-').unwrap();
        let len = (hex(end) - hex(begin)) as usize;
        let (mut here, mut there) = (vec![0; len], vec![0; len]);
        memory.read_exact_at(&mut here, hex(begin)).unwrap();
        let got = file.read_at(&mut there, hex(words[2])).unwrap();
        changed += here[..got].iter().zip(&there[..got]).filter(|(a, b)| a != b).count();
        seen += got;
    }
    assert!(seen > 100_000, "the text was compared");
    changed
}

fn assert_untouched(pid: u32) {
    assert_eq!(changed_text(pid), 0, "bytes of the text differ from the file");
}

/// In tier 3, and with all its breakpoints set.
/// goscope, as it is where nothing is ignored: a test run in the background ignores interrupts, which goscope would respect.
fn heeding_signals() -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal=INT,TERM,HUP,QUIT", env!("CARGO_BIN_EXE_goscope")]);
    command
}

fn attached(pid: u32, duration: &str, stdout: Stdio) -> Reaped {
    let mut goscope = heeding_signals();
    goscope.args(["sched", &pid.to_string(), "--tier", "3", "--format", "json", "--duration", duration]);
    let mut child = Reaped(goscope.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap());
    // One of them it sets before, for a moment, to know what all will cost.
    eventually("breakpoints", || {
        assert!(child.0.try_wait().unwrap().is_none(), "goscope ended: {}", rest(&mut child.0));
        changed_text(pid) > 1
    });
    child
}

fn rest(child: &mut Child) -> String {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

/// What it printed, and that it ended in time.
fn end_of(mut child: Reaped) -> Output {
    let (mut out, mut err) = (child.0.stdout.take().unwrap(), child.0.stderr.take().unwrap());
    let out = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        out.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let err = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        err.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let mut status = None;
    eventually("the end of goscope", || {
        status = child.0.try_wait().unwrap();
        status.is_some()
    });
    Output { status: status.unwrap(), stdout: out.join().unwrap(), stderr: err.join().unwrap() }
}

fn document(output: &Output) -> Value {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("not JSON: {error}: {stderr}"))
}

fn signal(child: &Reaped, signal: i32) {
    let sent = Command::new("kill").args([format!("-{signal}"), child.0.id().to_string()]).status().unwrap();
    assert!(sent.success());
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
        let goscope = attached(target.pid(), "600s", Stdio::null());
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
        let goscope = attached(target.pid(), "600s", Stdio::piped());
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
fn attaching_and_detaching_again_and_again_under_load_harms_nothing() {
    let mut server = start("server", &[]);
    let address = server.fixture.preamble[0].strip_prefix("listening ").unwrap().to_owned();
    let mut client = start("client", &[&address, "200", "4"]);
    client.begin();
    for _ in 0..20 {
        let mut goscope = Command::new(env!("CARGO_BIN_EXE_goscope"));
        goscope.args(["sched", &server.pid().to_string(), "--tier", "3", "--duration", "50ms", "--format", "json"]);
        let document = run(&mut goscope).json();
        assert!(number(&document, "window_ns") > 0);
    }
    let asked = client.end();
    let requests = &asked["extras"]["requests"];
    assert!(number(requests, "answered") > 100, "{requests}");
    assert_eq!(number(requests, "failed"), 0, "{requests}");
    assert_untouched(server.pid());
    assert_unharmed(&mut server.fixture);
}

#[test]
fn a_target_that_exits_ends_the_window_with_what_was_seen() {
    let (_group, target) = slow_target();
    let goscope = attached(target.pid(), "600s", Stdio::piped());
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
    let goscope = attached(target.pid(), "600s", Stdio::piped());
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
