//! Targets that do not stay what they are while goscope looks: they exit, execute another program, or their number is given to
//! another process. And one with ten thousand threads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "support/harm.rs"]
mod harm;
#[path = "support/service.rs"]
#[allow(dead_code)]
mod service;

use std::fs;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::fixture::Fixture;
use harm::*;

fn start(goscope_args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_goscope"));
    command.args(goscope_args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Its exit code and what it said, when it has ended by itself.
fn end_of(mut child: Child) -> (Option<i32>, String, String) {
    let (mut stdout, mut stderr) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    (child.wait().unwrap().code(), stdout, stderr)
}

/// What is printed is whole: every line of a stream is an object, also when the target is gone.
fn assert_lines(stdout: &str) {
    for line in stdout.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line:.200}"));
    }
}

#[test]
fn a_target_that_exits_in_the_middle_is_an_error_and_no_half_answer() {
    let mut codes = Vec::new();
    for round in 0..40u32 {
        let target = Fixture::start(program("lifecycle"), &["5000"], &[]);
        let pid = target.pid().to_string();
        let run = start(&["goroutines", &pid, "--format", "json"]);
        std::thread::sleep(Duration::from_millis(10) * round);
        match round % 2 {
            0 => drop(target), // kill -9
            _ => target.quit(),
        }
        let (code, stdout, stderr) = end_of(run);
        match code {
            Some(0) => {
                let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
                let all = document["counts"]["total"].as_u64().unwrap();
                assert!(all > 5000, "exit 0 with {all} goroutines only: {stderr}");
            }
            Some(3) => {
                assert!(stdout.is_empty(), "{stdout:.200}");
                // The test of reused ids, which runs beside this one, may have given the number to a thread by then.
                let told = ["has exited", "is exiting", "there is no process", "zombie", "is a thread of process"]
                    .iter()
                    .any(|told| stderr.contains(told));
                assert!(stderr.starts_with("error: ") && told, "{stderr}");
            }
            other => panic!("{other:?}: {stderr}"),
        }
        codes.push(code);
    }
    assert!(codes.contains(&Some(0)) && codes.contains(&Some(3)), "both were met: {codes:?}");
}

#[test]
fn a_watched_target_that_exits_ends_the_watch() {
    for round in 0..10u32 {
        let target = Fixture::start(program("lifecycle"), &["1000"], &[]);
        let run = start(&["goroutines", &target.pid().to_string(), "--watch", "1ms", "--format", "jsonl"]);
        std::thread::sleep(Duration::from_millis(700 + 17 * u64::from(round)));
        drop(target);
        let (code, stdout, stderr) = end_of(run);
        assert_eq!(code, Some(3), "{stderr}");
        assert!(stderr.contains("has exited"), "{stderr}");
        assert_lines(&stdout);
    }
}

/// A program that takes the place of another one in the same process is never read with the eyes for the old one.
#[test]
fn execve_in_the_middle_is_noticed() {
    // Another program, and the same one again, where every address still means something.
    for successor in ["churn", "lifecycle"] {
        let mut target = Fixture::start(program("lifecycle"), &["5000"], &[]);
        let process = attach(target.pid()).unwrap();
        assert!(snapshot(&process).unwrap().goroutines.len() > 5000);
        assert!(target.ask(&format!("exec {} 3000", program(successor).display())).starts_with("ready "));
        let error = snapshot(&process).unwrap_err();
        assert!(error.message.contains("has become another program"), "{error}");
        assert_eq!(error.kind.exit_code(), 3);
        let now = attach(target.pid()).unwrap();
        assert!(now.process.executable_path().unwrap().ends_with(successor));
        assert!(snapshot(&now).unwrap().goroutines.len() > 300);
        assert_unharmed(&mut target);
    }
}

#[test]
fn execve_at_any_moment_of_a_run_is_noticed() {
    let mut codes = Vec::new();
    for round in 0..30u32 {
        let mut target = Fixture::start(program("lifecycle"), &["5000"], &[]);
        let run = start(&["goroutines", &target.pid().to_string(), "--format", "json"]);
        std::thread::sleep(Duration::from_millis(12) * round);
        assert!(target.ask(&format!("exec {} 100", program("lifecycle").display())).starts_with("ready "));
        let (code, stdout, stderr) = end_of(run);
        match code {
            Some(0) => {
                let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
                let total = document["counts"]["total"].as_u64().unwrap();
                let (old, new) = (total > 5000, total < 200);
                assert!(old || new, "neither the old program nor the new one has {total} goroutines");
            }
            Some(3) => {
                // The new program may be met before its runtime is there.
                let told = ["has become another program", "executing another program", "just starting", "still starting"]
                    .iter()
                    .any(|told| stderr.contains(told));
                assert!(told, "{stderr}");
            }
            other => panic!("{other:?}: {stderr}"),
        }
        codes.push(code);
        assert_unharmed(&mut target);
    }
    assert!(codes.contains(&Some(0)), "{codes:?}");
}

/// The next process with the same number is another one.
#[test]
fn a_reused_process_id_is_noticed() {
    if !service::is_root("choosing a process id") {
        return;
    }
    let first = Fixture::start(program("lifecycle"), &["100"], &[]);
    let pid = first.pid();
    let process = attach(pid).unwrap();
    snapshot(&process).unwrap();
    drop(first);
    let mut second = with_pid(pid);
    let error = snapshot(&process).unwrap_err();
    assert_eq!(error.message, format!("process {pid} (lifecycle) has exited"));
    assert_eq!(error.kind.exit_code(), 3);
    assert!(snapshot(&attach(pid).unwrap()).unwrap().goroutines.len() > 100);
    assert_unharmed(&mut second);
}

/// Starts a fixture under a given process id. Others start processes too, so that it may take some tries.
fn with_pid(pid: u32) -> Fixture {
    for _ in 0..1000 {
        fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).unwrap();
        let fixture = Fixture::start(program("lifecycle"), &["100"], &[]);
        if fixture.pid() == pid {
            return fixture;
        }
    }
    panic!("process id {pid} is never free");
}

#[test]
fn ten_thousand_threads() {
    let mut target = Fixture::start(program("manythreads"), &["10000"], &[]);
    let pid = target.pid().to_string();
    for mode in [&[][..], &["--pause"], &["--no-stop"]] {
        let run = goscope(&[&["goroutines", &pid, "--format", "json"], mode].concat());
        let document = run.json();
        let goroutines = document["goroutines"].as_array().unwrap();
        let locked: Vec<_> = goroutines.iter().filter(|g| g["locked"] == true && g["wait_reason"] == "chan receive").collect();
        assert_eq!(locked.len(), 10_000, "{mode:?}");
        let threads: std::collections::HashSet<u64> = locked.iter().map(|g| g["thread"]["tid"].as_u64().unwrap()).collect();
        assert_eq!(threads.len(), 10_000, "each has its own thread");
        assert!(run.took < Duration::from_secs(20), "{mode:?} took {:?}", run.took);
        assert_unharmed(&mut target);
    }
    let run = goscope(&["info", &pid, "--format", "json"]);
    assert!(run.json()["process"]["threads"].as_u64().unwrap() >= 10_000, "{run:?}");
    assert_unharmed(&mut target);
}
