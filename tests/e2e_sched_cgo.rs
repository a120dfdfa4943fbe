//! What `goscope sched` and `profile` say of goroutines in C: their CPU time, the Go function that went there, and C's own functions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of a test may unwrap

mod common;
#[path = "support/sched_truth.rs"]
mod sched_truth;
#[path = "support/schedload.rs"]
mod schedload;

use serde_json::Value;

use sched_truth::{Looked, assert_close, assert_shares, look, ns, on_stack};
use schedload::{kind, number, spent, start_cgo};

/// Those that go into C, and the one that C calls back: the kernel does not follow a stack from there to where it had gone into C.
const SPINS: [&str; 3] = ["main.spinWithFramePointers", "main.spinWithoutFramePointers", "main.goSpin"];

fn functions(row: &Value) -> Vec<&str> {
    row["frames"].as_array().unwrap().iter().map(|frame| frame["function"].as_str().unwrap()).collect()
}

/// These stand on the stack in this order, innermost first, whatever is between them.
fn has_in_order(row: &Value, wanted: &[&str]) -> bool {
    let mut all = functions(row).into_iter();
    wanted.iter().all(|wanted| all.any(|function| function == *wanted))
}

fn computing(release: &str, link: &str) {
    let mut load = start_cgo(release, link, &["kept", "omitted", "callback"]);
    let looked = look(&mut load, "sched", 3, &["--tier", "1", "--hz", "997"]);
    let on_cpu = |row: &Value| row["class"] == "on_cpu";
    let told = SPINS.map(|caller| looked.ns(|row| on_cpu(row) && on_stack(row, caller)));
    let goroutines = [SPINS[0], SPINS[1], "main.spinInCallback"];
    let truth = goroutines.map(|function| looked.truth(|truth| number(kind(truth, function), "on_cpu_ns")));
    assert_shares(SPINS, told, truth);
    // Of whatever else runs on a CPU there is little: every sample in C shows who went there.
    let all = looked.time("on_cpu_ns");
    assert!(told.iter().sum::<i64>() >= all * 95 / 100, "{told:?} of {all}");
    let in_c = |row: &Value| row["frames"].as_array().unwrap().iter().any(|frame| frame["kind"] == "c");
    let lost = looked.ns(|row| on_cpu(row) && in_c(row) && !SPINS.iter().any(|caller| on_stack(row, caller)));
    assert!(lost <= all / 100, "{lost} of {all} in C without a caller");

    let chains: [(&str, &[&str]); 3] = [
        (SPINS[0], &["kept_spin", "kept_middle", "kept_outer", SPINS[0], "runtime.goexit"]),
        (SPINS[1], &["omitted_spin", "omitted_middle", "omitted_outer", SPINS[1], "runtime.goexit"]),
        (SPINS[2], &[SPINS[2], "runtime.cgocallback"]),
    ];
    for ((caller, chain), all) in chains.into_iter().zip(told) {
        let whole = looked.ns(|row| on_cpu(row) && has_in_order(row, chain));
        assert!(whole >= all * 95 / 100, "{whole} of {all} ns of {caller} have {chain:?}; others: {:?}", others(&looked, caller, chain));
    }
    for row in looked.rows().iter().filter(|row| on_cpu(row) && on_stack(row, "runtime.cgocallback")) {
        let said = !row["cut"].is_null() && row["start"].is_null();
        assert!(said || on_stack(row, "main.spinInCallback"), "a stack that is not whole says so: {row}");
    }
}

/// For messages.
fn rows_of<'a>(looked: &'a Looked, class: &str, function: &str) -> Vec<(i64, Vec<&'a str>)> {
    let rows = looked.rows().iter().filter(|row| row["class"] == class && on_stack(row, function));
    rows.take(5).map(|row| (ns(row), functions(row))).collect()
}

fn others<'a>(looked: &'a Looked, caller: &str, chain: &[&str]) -> Vec<(i64, Vec<&'a str>)> {
    let rows = looked.rows().iter().filter(|row| row["class"] == "on_cpu" && on_stack(row, caller) && !has_in_order(row, chain));
    rows.take(5).map(|row| (ns(row), functions(row))).collect()
}

fn sleeping(release: &str, link: &str) {
    let mut load = start_cgo(release, link, &["sleep", "kept"]);
    let looked = look(&mut load, "sched", 3, &["--tier", "1"]);
    let truth = looked.truth(|truth| spent(kind(truth, "main.sleepInC"), "c"));
    let class = |class: &str| looked.ns(|row| row["class"] == class && on_stack(row, "main.sleepInC"));
    // By the books it is in C until it runs again: on a busy machine it waits for a CPU first, and for a P.
    let told = class("syscall");
    assert_close("asleep in C", told + class("no_cpu") + class("runnable"), &truth, 0.05);
    assert!(told >= *truth.start() / 2, "{told} of {truth:?}");
    // Inlined into the function that cgo makes for it.
    let names_it = |row: &Value| functions(row)[..].iter().any(|name| name.starts_with("_cgo_") && name.ends_with("_Cfunc_c_sleep"));
    let named = looked.ns(|row| row["class"] == "syscall" && names_it(row) && has_in_order(row, &["main.sleepInC", "runtime.goexit"]));
    assert!(named >= told * 90 / 100, "{named} of {told} name the C function: {:?}", rows_of(&looked, "syscall", "main.sleepInC"));
    let spins = looked.ns(|row| row["class"] == "syscall" && on_stack(row, SPINS[0]));
    assert!(spins <= looked.window_ns() / 20, "what computes in C is in no system call: {spins}");
}

macro_rules! cells {
    ($($name:ident $release:literal $link:literal)*) => {$(
        mod $name {
            #[test]
            fn a_sample_in_c_has_its_go_caller_and_its_c_functions() { super::computing($release, $link); }
            #[test]
            fn a_sleep_in_c_is_time_in_a_system_call() { super::sleeping($release, $link); }
        }
    )*};
}

cells! {
    go1_18 "1.18.10" "cgo"
    go1_18_external "1.18.10" "cgo-ext"
    go1_18_pie "1.18.10" "cgo-pie"
    go1_26 "1.26.11" "cgo"
    go1_26_external "1.26.11" "cgo-ext"
    go1_26_pie "1.26.11" "cgo-pie"
    go1_27 "1.27.4" "cgo"
    go1_27_external "1.27.4" "cgo-ext"
    go1_27_pie "1.27.4" "cgo-pie"
}
