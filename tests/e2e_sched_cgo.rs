//! What `goscope sched` and `profile` say of goroutines in C: their CPU time, the Go function that went there, and C's own functions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of a test may unwrap

mod common;
#[path = "support/sched_truth.rs"]
mod sched_truth;
#[path = "support/schedload.rs"]
mod schedload;

use serde_json::Value;

use sched_truth::{assert_close, assert_share, look, ns, on_stack};
use schedload::{kind, number, spent, start_cgo};

const CALLERS: [&str; 3] = ["main.spinWithFramePointers", "main.spinWithoutFramePointers", "main.spinInCallback"];

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
    let looked = look(&mut load, "sched", 3, &["--hz", "997"]);
    let on_cpu = |row: &Value| row["class"] == "on_cpu";
    let told = CALLERS.map(|caller| looked.ns(|row| on_cpu(row) && on_stack(row, caller)));
    let truth = CALLERS.map(|caller| looked.within(|truth| number(kind(truth, caller), "on_cpu_ns")));
    for (i, caller) in CALLERS.into_iter().enumerate() {
        assert_share(caller, (told[i], told.iter().sum()), (truth[i], truth.iter().sum()));
    }
    // Of whatever else runs on a CPU there is little: every sample in C shows who went there.
    let all = looked.time("on_cpu_ns");
    assert!(told.iter().sum::<i64>() >= all * 95 / 100, "{told:?} of {all}");
    let in_c = |row: &Value| row["frames"].as_array().unwrap().iter().any(|frame| frame["kind"] == "c");
    let lost = looked.ns(|row| on_cpu(row) && in_c(row) && !CALLERS.iter().any(|caller| on_stack(row, caller)));
    assert!(lost <= all / 100, "{lost} of {all} in C without a caller");

    let chains: [(&str, &[&str]); 3] = [
        (CALLERS[0], &["kept_spin", "kept_middle", "kept_outer", CALLERS[0], "runtime.goexit"]),
        (CALLERS[1], &["omitted_spin", "omitted_middle", "omitted_outer", CALLERS[1], "runtime.goexit"]),
        (CALLERS[2], &["main.goSpin", "c_callback_inner", "c_call_back", CALLERS[2], "runtime.goexit"]),
    ];
    for ((caller, chain), all) in chains.into_iter().zip(told) {
        let whole = looked.ns(|row| on_cpu(row) && has_in_order(row, chain));
        assert!(whole >= all * 95 / 100, "{whole} of {all} ns of {caller} have {chain:?}; others: {:?}", others(&looked, caller, chain));
    }
}

/// For the message.
fn others<'a>(looked: &'a sched_truth::Looked, caller: &str, chain: &[&str]) -> Vec<(i64, Vec<&'a str>)> {
    let rows = looked.rows().iter().filter(|row| row["class"] == "on_cpu" && on_stack(row, caller) && !has_in_order(row, chain));
    rows.take(5).map(|row| (ns(row), functions(row))).collect()
}

fn sleeping(release: &str, link: &str) {
    let mut load = start_cgo(release, link, &["sleep", "kept"]);
    let looked = look(&mut load, "sched", 3, &[]);
    let truth = looked.truth(|truth| spent(kind(truth, "main.sleepInC"), "c"));
    let told = looked.ns(|row| row["class"] == "syscall" && on_stack(row, "main.sleepInC"));
    assert_close("asleep in C", told, &truth, 0.05);
    // Inlined into the function that cgo makes for it.
    let names_it = |row: &Value| functions(row)[..].iter().any(|name| name.starts_with("_cgo_") && name.ends_with("_Cfunc_c_sleep"));
    let named = looked.ns(|row| row["class"] == "syscall" && names_it(row) && has_in_order(row, &["main.sleepInC", "runtime.goexit"]));
    assert!(named >= told * 90 / 100, "{named} of {told} name the C function");
    let spins = looked.ns(|row| row["class"] == "syscall" && on_stack(row, CALLERS[0]));
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
