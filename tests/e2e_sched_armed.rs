//! `goscope sched --when`: waits without a probe, looks when it must and only then, and ends well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of a test may unwrap

mod common;
#[path = "support/goscope_child.rs"]
mod goscope_child;
#[path = "support/harm.rs"]
mod harm;
#[path = "support/schedload.rs"]
mod schedload;
#[path = "support/text.rs"]
mod text;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use goscope_child::{end_of, heeding_signals, signal};
use harm::{Reaped, assert_unharmed, eventually};
use schedload::{number, start};
use serde_json::Value;
use text::{assert_untouched, changed_text};

/// Looks are a second apart.
const SECOND: Duration = Duration::from_secs(1);

/// `goscope sched PID --when WHEN ARGS`, when it has said that it waits.
fn armed(pid: u32, when: &str, args: &[&str]) -> Reaped {
    let mut goscope = heeding_signals();
    goscope.args(["sched", &pid.to_string(), "--when", when, "--format", "json"]).args(args);
    let mut child = Reaped(goscope.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    // Byte by byte: what comes later is for whoever reads the rest.
    let stderr = child.0.stderr.as_mut().unwrap();
    BufReader::with_capacity(1, stderr).read_line(&mut line).unwrap();
    assert_eq!(line, format!("cost: tier 0 until one of these: {when}\n"));
    child
}

#[test]
fn it_looks_when_a_runnable_goroutine_starves_and_keeps_the_time_before() {
    let mut target = start("calm", &["4", "5000"]);
    let goscope = armed(target.pid(), "runnable_p99>3ms", &["--tier", "3", "--duration", "500ms"]);
    std::thread::sleep(3 * SECOND); // what is looked at: nobody waits for long
    assert_untouched(target.pid());
    assert_eq!(target.fixture.ask("hog"), "it begins");
    let output = end_of(goscope);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&document["trigger"]["when"], number(&document, "tier")), (&Value::from("runnable_p99>3ms"), 3));
    let seen = document["trigger"]["seen"].as_f64().unwrap();
    let before = document["before"].as_array().unwrap();
    let p99: Vec<i64> = before.iter().map(|second| number(second, "runnable_p99_ns")).collect();
    let (last, calm) = p99.split_last().unwrap();
    assert!(*last as f64 == seen && seen > 3e6, "{p99:?}, {seen}");
    assert!(calm.len() >= 2 && calm.iter().all(|ns| *ns <= 3_000_000), "the seconds before are kept: {p99:?}");
    // Each waits for one slice of 5 ms; the window shows what the trigger saw coming.
    let queue = &document["run_queue"];
    assert!(queue["source"] == "uprobes" && number(queue, "p99_ns") >= 5_000_000, "{queue}");
    assert_untouched(target.pid());
    assert_unharmed(&mut target.fixture);
}

#[test]
fn a_quiet_target_is_not_probed_and_an_interrupt_ends_the_waiting() {
    let mut target = start("sleepers", &["4", "20"]);
    for signal_number in [2, 15] {
        let begin = Instant::now();
        let mut goscope = armed(target.pid(), "runnable_p99>10s", &["--duration", "500ms"]);
        for _ in 0..20 {
            assert_untouched(target.pid());
            std::thread::sleep(SECOND / 10); // what is looked at: it does not fire
        }
        assert!(goscope.0.try_wait().unwrap().is_none(), "it waits");
        signal(&goscope, signal_number);
        let output = end_of(goscope);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{stderr}");
        assert!(output.stdout.is_empty(), "nothing was looked at");
        let told = stderr.trim().strip_prefix("error: no trigger fired in the last ").unwrap_or_else(|| panic!("{stderr}"));
        let seconds: f64 = told.split(' ').next().unwrap().parse().unwrap();
        assert!(seconds >= 1.0 && seconds <= begin.elapsed().as_secs_f64(), "{stderr}");
        assert_unharmed(&mut target.fixture);
    }
}

#[test]
fn a_target_that_exits_ends_the_waiting() {
    let target = start("sleepers", &["4", "20"]);
    let goscope = armed(target.pid(), "runnable_p99>10s", &[]);
    let pid = target.pid();
    target.fixture.quit();
    let output = end_of(goscope);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(output.stdout.is_empty() && stderr.contains(&format!("process {pid} (schedload) has exited")), "{stderr}");
}

/// Until the window itself.
#[test]
fn an_interrupt_after_it_fired_ends_the_window_with_what_was_seen() {
    let mut target = start("calm", &["2", "5000"]);
    assert_eq!(target.fixture.ask("hog"), "it begins");
    let mut goscope = armed(target.pid(), "runnable_p99>3ms", &["--tier", "3", "--duration", "600s"]);
    eventually("breakpoints", || {
        assert!(goscope.0.try_wait().unwrap().is_none(), "goscope ended");
        changed_text(target.pid()) > 1
    });
    signal(&goscope, 2);
    let output = end_of(goscope);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(number(&document, "window_ns") < 600_000_000_000 && !document["before"].as_array().unwrap().is_empty());
    assert_untouched(target.pid());
    assert_unharmed(&mut target.fixture);
}
