//! What the account of goroutine time makes of programs that are awkward to look at: threads that end, what happens in step with the
//! walks, the goroutine that waits for signals, clocks of another namespace.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of a test may unwrap

mod common;
#[path = "support/harm.rs"]
mod harm;
#[path = "support/sched_truth.rs"]
mod sched_truth;
#[path = "support/schedload.rs"]
mod schedload;
#[path = "support/service.rs"]
#[allow(dead_code)]
mod service;

use std::process::Command;

use harm::run;
use sched_truth::{assert_close, look, ns, on_stack};
use schedload::{kind, number, spent, start};
use serde_json::Value;

#[test]
fn threads_that_end_keep_their_cpu_time() {
    let mut load = start("endings", &["20"]);
    let looked = look(&mut load, "sched", 3, &["--tier", "1", "--hz", "997"]);
    let cpu = looked.truth(|truth| number(truth, "process_cpu_ns"));
    assert_close("CPU of the process", number(&looked.doc["cost"], "target_cpu_ns"), &cpu, 0.03);
    let burns = looked.ns(|row| row["class"] == "on_cpu" && on_stack(row, "main.burn"));
    // Nearly all that it does.
    assert!(burns * 10 > *cpu.start() * 9, "{burns} of {cpu:?}");
    assert!(*cpu.start() > 100_000_000, "{cpu:?}");
}

/// Walks at even intervals meet it always in the same place, and call that all of its time.
#[test]
fn what_happens_in_step_with_the_clock_is_met_as_often_as_it_happens() {
    let mut load = start("beat", &["100"]);
    let looked = look(&mut load, "sched", 8, &["--tier", "0"]);
    let truth = looked.truth(|truth| spent(kind(truth, "main.inStep"), "sleep"));
    let waits = |reason: &str| looked.ns(|row| row["reason"] == reason && on_stack(row, "main.inStep"));
    let (sleeps, receives) = (waits("sleep"), waits("chan receive"));
    let (share, expected) = (sleeps as f64 / (sleeps + receives) as f64, *truth.end() as f64 / looked.window_ns() as f64);
    // Five times the error of some 80 walks.
    assert!((share - expected).abs() < 0.25, "{share:.2} instead of {expected:.2}");
}

#[test]
fn waiting_for_signals_is_no_system_call() {
    for tier in ["0", "1"] {
        let mut load = start("heed", &["2", "20"]);
        let looked = look(&mut load, "sched", 2, &["--tier", tier]);
        let of_signals = |row: &Value| on_stack(row, "os/signal.signal_recv");
        assert_eq!(looked.ns(|row| row["class"] == "syscall" && of_signals(row)), 0, "{}", looked.doc["time"]);
        let waits = looked.ns(|row| row["class"] == "waiting" && row["reason"] == "signal or note" && of_signals(row));
        let window = looked.window_ns();
        assert_close("the goroutine that waits for signals", waits, &(window..=window), 0.05);
    }
}

/// BPF programs tell the clock of the first time namespace, whatever goscope's own says.
#[test]
fn samples_are_counted_from_inside_a_time_namespace() {
    if !service::is_root("a time namespace") {
        return;
    }
    let load = start("spinners", &["-procs", "1", "1"]);
    let mut command = Command::new("unshare");
    command.args(["--time", "--monotonic", "100000", "--fork", env!("CARGO_BIN_EXE_goscope")]);
    command.args(["sched", &load.pid().to_string(), "--tier", "1", "--duration", "1s", "--format", "json"]);
    let document = run(&mut command).json();
    assert!(document["samples"].as_u64().unwrap() > 10, "{}", document["quality"]);
    let spins = document["stacks"].as_array().unwrap().iter().filter(|row| row["class"] == "on_cpu" && on_stack(row, "main.spinA"));
    assert!(spins.map(ns).sum::<i64>() > 100_000_000, "{}", document["time"]);
}
