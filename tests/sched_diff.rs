//! `sched diff`: what windows of known content differ in, what chance can make, and what `--fail-on` makes of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/schema.rs"]
mod schema;
#[path = "support/window.rs"]
mod window;

use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use goscope::output::Style;
use goscope::sched::analyze::diff::{Verdict, diff};
use goscope::sched::model::{Bound, Class, Frame, FrameKind, Quality, Row, Source, Stack, Waits, Window};
use goscope::sched::{recording, report};
use serde_json::Value;

/// On a CPU for so many ms in so many samples, ready to run for so many ms in so many walks, of 100.
fn window_of(on_cpu: (u64, u64), runnable: (u64, u64)) -> Window {
    let full = window::window();
    let row = |class, source, (ms, count): (u64, u64)| {
        let (on_cpu_ns, off_cpu_ns) = if class == Class::OnCpu { (ms * 1_000_000, 0) } else { (0, ms * 1_000_000) };
        Row { class, source, reason: None, stack: 0, count, on_cpu_ns, off_cpu_ns, ..full.rows[0].clone() }
    };
    let rows = vec![row(Class::OnCpu, Source::Sample, on_cpu), row(Class::Runnable, Source::Walk, runnable)];
    let quality = Quality { walks: 100, ..Quality::default() };
    Window { rows: rows.into_iter().filter(|row| row.ns() > 0).collect(), alive_ns: 0, transitions: None, quality, ..full }
}

fn state(diff: &goscope::sched::analyze::diff::Diff<'_>, name: &str) -> (f64, bool) {
    let change = diff.states.iter().find(|change| change.name() == name).unwrap();
    (change.delta(), change.is_resolvable())
}

#[test]
fn shares_are_of_the_time_that_was_not_waiting() {
    let mut before = window_of((900, 900), (100, 100));
    let after = window_of((500, 500), (500, 100));
    let waiting = Row { class: Class::Waiting, off_cpu_ns: 9_000_000_000, on_cpu_ns: 0, ..before.rows[1].clone() };
    before.rows.push(waiting);
    let diff = diff(&before, &after);
    let (delta, resolvable) = state(&diff, "runnable");
    assert!((delta - 0.4).abs() < 1e-9 && resolvable, "{delta}");
    let (delta, _) = state(&diff, "waiting");
    assert!((delta + 0.9).abs() < 1e-9, "{delta}");
    let of = |name| diff.states.iter().find(|change| change.name() == name).unwrap();
    assert!((of("on_cpu").before.amount.rate - 900e6).abs() < 1.0, "one second is the window");
}

#[test]
fn what_chance_can_make_is_not_resolvable() {
    // The same shares, from few observations and from many.
    let few = (window_of((900, 9), (100, 1)), window_of((800, 8), (200, 2)));
    assert!(!state(&diff(&few.0, &few.1), "runnable").1);
    let many = (window_of((900, 9000), (100, 100)), window_of((800, 8000), (200, 100)));
    assert!(state(&diff(&many.0, &many.1), "on_cpu").1);
    // Walks meet many goroutines at once; that makes them no more walks.
    let crowd = (window_of((900, 9000), (1000, 100_000)), window_of((900, 9000), (1150, 115_000)));
    assert!(!state(&diff(&crowd.0, &crowd.1), "runnable").1);
    let equal = window_of((900, 9), (100, 1));
    let same = diff(&equal, &equal);
    assert!(same.states.iter().all(|change| !change.is_resolvable()) && same.stacks.iter().all(|change| !change.is_resolvable()));
}

/// Windows that hold nothing but samples of one process, drawn again and again: hardly ever is there a difference.
#[test]
fn two_windows_of_the_same_process_differ_in_at_most_one_of_twenty() {
    const STACKS: usize = 40;
    let mut seed = 12_345u64;
    let mut draw = || {
        // The constants of Numerical Recipes.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    };
    let mut sampled = || {
        let mut counts = [0u64; STACKS];
        // Small stacks are seldom met: the minimum of two is skewed.
        (0..1000).for_each(|_| counts[(draw() % 40).min(draw() % 40) as usize] += 1);
        let full = window::window();
        let function = |n: usize| Frame { function: format!("main.f{n}").into(), kind: FrameKind::Go, ..full.stacks[0].frames[1].clone() };
        let row = |(n, &count): (usize, &u64)| Row { stack: n as u32, count, on_cpu_ns: count * 10_000_000, ..full.rows[1].clone() };
        let rows = counts.iter().enumerate().filter(|(_, count)| **count > 0).map(row).collect();
        let stacks = (0..STACKS).map(|n| Stack { frames: vec![function(n)], cut: None }).collect();
        Window { rows, stacks, ..full }
    };
    let differ = (0..200).filter(|_| diff(&sampled(), &sampled()).stacks.iter().any(|change| change.is_resolvable())).count();
    assert!(differ <= 10, "{differ} of 200");
}

#[test]
fn a_stack_that_is_new_needs_more_than_a_few_observations() {
    let none = window_of((900, 900), (0, 0));
    let resolvable = |count| {
        let some = window_of((900, 900), (10 * count, count));
        let diff = diff(&none, &some);
        diff.stacks.iter().find(|change| change.of.class == Class::Runnable).unwrap().is_resolvable()
    };
    assert_eq!([1, 4, 20].map(resolvable), [false, false, true]);
}

#[test]
fn quantiles_differ_when_a_bucket_lies_between_them() {
    let bound = |low_ns, high_ns| Bound { low_ns, high_ns: Some(high_ns) };
    let waits = |low, count| Waits {
        count,
        p50: bound(low, 2 * low),
        p90: bound(low, 2 * low),
        p99: bound(low, 2 * low),
        max: bound(low, 2 * low),
        source: "timeToRun",
    };
    let with = |waits| Window { run_queue: Some(waits), cpu_queue: None, ..window::window() };
    let verdicts = |before, after| {
        let (before, after) = (with(before), with(after));
        diff(&before, &after).queues.iter().map(|change| change.verdict).collect::<Vec<_>>()
    };
    use Verdict::{Longer, NotResolvable, Shorter};
    assert_eq!(verdicts(waits(10, 5000), waits(40, 5000)), [Longer, Longer, Longer, NotResolvable]);
    assert_eq!(verdicts(waits(40, 5000), waits(10, 5000)), [Shorter, Shorter, Shorter, NotResolvable]);
    assert_eq!(verdicts(waits(10, 5000), waits(20, 5000)), [NotResolvable; 4], "buckets that touch");
    // Of 200 waits two lie beyond the 99th percentile.
    assert_eq!(verdicts(waits(10, 200), waits(40, 5000)), [Longer, Longer, NotResolvable, NotResolvable]);
}

fn pairs() -> Vec<(Window, Window)> {
    let full = window::window();
    let empty =
        Window { rows: Vec::new(), stacks: Vec::new(), run_queue: None, cpu_queue: None, transitions: None, alive_ns: 0, ..full.clone() };
    let later = Window { captured_at: SystemTime::UNIX_EPOCH + Duration::from_secs(60), ..full.clone() };
    vec![(full.clone(), later.clone()), (later, full.clone()), (full.clone(), empty.clone()), (empty.clone(), full), (empty.clone(), empty)]
}

#[test]
fn documents_and_lines_are_what_the_schema_says() {
    for (before, after) in pairs() {
        let diff = diff(&before, &after);
        schema::check(&schema::document("sched-diff"), &serde_json::to_value(report::diff_document(&diff)).unwrap(), &[]);
        let mut out = Vec::new();
        report::write_diff_jsonl(&diff, &mut out).unwrap();
        let lines: Vec<Value> = String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        lines.iter().for_each(|line| schema::check(&schema::line("sched-diff"), line, &[]));
        assert_eq!(lines.len(), 2 + diff.states.len() + diff.queues.len() + diff.reasons.len() + diff.stacks.len());
        assert_eq!((&lines[0]["type"], &lines.last().unwrap()["type"]), (&"header".into(), &"summary".into()));
    }
}

#[test]
fn a_table_on_a_terminal_is_never_wider() {
    for (before, after) in pairs() {
        for width in [70, 80, 120] {
            let mut out = Vec::new();
            let diff = diff(&before, &after);
            report::write_diff_table(&diff, None, &mut out, Style { color: false, width: Some(width) }).unwrap();
            for line in String::from_utf8(out).unwrap().lines() {
                assert!(line.chars().count() <= usize::from(width), "{width}: {line}");
            }
        }
    }
}

fn run(before: &Window, after: &Window, args: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let paths = [("before.rec", before), ("after.rec", after)].map(|(name, window)| {
        let path = dir.path().join(name);
        recording::write(window, std::fs::File::create(&path).unwrap()).unwrap();
        path
    });
    let mut command = Command::new(env!("CARGO_BIN_EXE_goscope"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GOSCOPE_")) {
        command.env_remove(name);
    }
    command.args(["sched", "diff"]).args(paths).args(args).output().unwrap()
}

#[test]
fn fail_on_is_about_growth_beyond_noise() {
    let (before, after) = (window_of((900, 9000), (100, 100)), window_of((600, 6000), (400, 100)));
    let code = |before, after, args: &[&str]| run(before, after, args).status.code().unwrap();
    assert_eq!(code(&before, &after, &["--fail-on", "runnable=20"]), 1);
    assert_eq!(code(&before, &after, &["--fail-on", "runnable=40"]), 0);
    assert_eq!(code(&before, &after, &["--fail-on", "on-cpu=0"]), 0, "it shrank");
    assert_eq!(code(&before, &after, &["--fail-on", "no-cpu=1", "--fail-on", "runnable=20%"]), 1);
    let (before, after) = (window_of((900, 9), (100, 1)), window_of((600, 6), (400, 4)));
    let output = run(&before, &after, &["--fail-on", "runnable=20"]);
    assert_eq!(output.status.code(), Some(0));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("the share of `runnable` grew by +30.0 points") && stderr.contains("record for longer"), "{stderr}");
    for wrong in ["runnable", "runnable=x", "scheduler=1", "=5"] {
        assert_eq!(code(&before, &after, &["--fail-on", wrong]), 2, "{wrong}");
    }
}

#[test]
fn the_table_says_what_changed_and_what_to_know_before() {
    let before = window_of((900, 9000), (100, 100));
    let mut after = window_of((600, 6000), (400, 100));
    after.tier = goscope::sched::model::Tier::Switches;
    let text = String::from_utf8(run(&before, &after, &[]).stdout).unwrap();
    for line in [
        "note: the tiers differ (3, 1)",
        "on CPU                  90.0     60.0   -30.0  ",
        "not observed             0.0      0.0     0.0  0.0",
        "+300ms  runnable, no P, 100ms to 400ms per second",
        "-300ms  on CPU, 900ms to 600ms per second",
        "0ns later, not known to be the same process, ",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
}
