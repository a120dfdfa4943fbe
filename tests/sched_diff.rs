//! `sched diff`: what windows of known content differ in, what chance can make, and what `--fail-on` makes of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/any_window.rs"]
mod any_window;
#[path = "support/property.rs"]
mod property;
#[path = "support/schema.rs"]
mod schema;
#[path = "support/window.rs"]
mod window;

use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use any_window::any_window;
use goscope::output::Style;
use goscope::sched::analyze::diff::{Change, Verdict, diff};
use goscope::sched::model::{Blocked, Bound, Class, Frame, FrameKind, Quality, Row, RunLatency, Source, Stack, Transitions, Waits, Window};
use goscope::sched::{recording, report};
use proptest::prelude::*;
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
    Window {
        rows: rows.into_iter().filter(|row| row.ns() > 0).collect(),
        alive_ns: 0,
        batches: Vec::new(),
        transitions: None,
        quality,
        ..full
    }
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

/// One switch tells of it, and that is no single observation more or less: it was there all the time.
#[test]
fn a_thread_that_is_away_for_the_whole_window_makes_nothing_less_sure() {
    let with_thread = |window: Window, off_cpu_ns| {
        let row = Row { class: Class::Syscall, source: Source::Switch, count: 1, on_cpu_ns: 0, off_cpu_ns, ..window.rows[0].clone() };
        Window { rows: [window.rows.clone(), vec![row]].concat(), ..window }
    };
    let (before, after) =
        (with_thread(window_of((900, 9000), (100, 100)), 1_000_000_000), with_thread(window_of((500, 5000), (500, 100)), 999_999_000));
    let diff = diff(&before, &after);
    assert!(state(&diff, "on_cpu").1 && state(&diff, "runnable").1, "{:?}", diff.states);
    assert!(!state(&diff, "syscall").1);
    let stack = find(&diff.stacks, |of| of.class == Class::Syscall);
    assert!(stack.delta() != 0.0 && !stack.is_resolvable(), "{stack:?}");
}

/// Numbers below one, the same in each run.
fn uniform() -> impl FnMut() -> f64 {
    let mut seed = 12_345u64;
    move || {
        // The constants of Numerical Recipes.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as f64 / (1u64 << 31) as f64
    }
}

/// Windows that hold nothing but samples of one process, drawn again and again: hardly ever is there a difference.
#[test]
fn two_windows_of_the_same_process_differ_in_at_most_one_of_twenty() {
    const STACKS: usize = 40;
    let mut draw = uniform();
    let mut draw = || (draw() * 40.0) as usize;
    let mut sampled = || {
        let mut counts = [0u64; STACKS];
        // Small stacks are seldom met: the minimum of two is skewed.
        (0..1000).for_each(|_| counts[draw().min(draw())] += 1);
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
    let slower =
        followed(&[("main.main", &[5_000_000; 900]), ("a.very/long/path/to/a.package.Function", &[1_000; 90])], &[("select", 0, 500, 900)]);
    vec![
        (full.clone(), later.clone()),
        (later, full.clone()),
        (full.clone(), empty.clone()),
        (empty.clone(), full.clone()),
        (empty.clone(), empty),
        (full, slower),
    ]
}

fn waits_of(waits: &[u64]) -> Waits {
    let mut waits = waits.to_vec();
    waits.sort_unstable();
    let at = |q: f64| waits[((waits.len() as f64 * q).ceil() as usize).clamp(1, waits.len()) - 1];
    let [p50, p90, p99, max] = [0.5, 0.9, 0.99, 1.0].map(|q| Bound { low_ns: at(q), high_ns: Some(at(q)) });
    Waits { count: waits.len() as u64, p50, p90, p99, max, source: "uprobes" }
}

/// Waits for a P by creator, in ns; and waits that ended: reason, stack, how many, ms.
fn followed(latencies: &[(&str, &[u64])], blocked: &[(&str, u32, u64, u64)]) -> Window {
    let latency = |&(creator, waits): &(&str, &[u64])| RunLatency {
        creator: Some(creator.into()),
        place: None,
        total_ns: waits.iter().sum(),
        waits: waits_of(waits),
    };
    let blocked_row =
        |&(reason, stack, count, ms): &(&str, u32, u64, u64)| Blocked { reason: Some(reason.into()), stack, count, ns: ms * 1_000_000 };
    let run_latency = latencies.iter().map(latency).collect();
    let transitions =
        Transitions { run_latency, blocked: blocked.iter().map(blocked_row).collect(), wakes: Vec::new(), unpaired: 0, runnable_ns: None };
    Window { transitions: Some(transitions), ..window::window() }
}

fn find<T>(changes: &[Change<T>], is: impl Fn(&T) -> bool) -> &Change<T> {
    changes.iter().find(|change| is(&change.of)).unwrap()
}

#[test]
fn run_latency_is_compared_by_creator() {
    let before = followed(&[("main.a", &[1_000_000; 400]), ("main.b", &[2_000_000; 400]), ("main.gone", &[1_000; 40])], &[]);
    let after = followed(&[("main.a", &[3_000_000; 400]), ("main.b", &[2_000_000; 410]), ("main.new", &[1_000_000])], &[]);
    let diff = diff(&before, &after);
    let of = |creator| find(&diff.run_latency, |of| of.creator == Some(creator));
    let names: Vec<_> = diff.run_latency.iter().map(|change| change.of.creator.unwrap()).collect();
    assert_eq!(names, ["main.a", "main.b", "main.new", "main.gone"], "the biggest change first");
    let a = of("main.a");
    assert_eq!((a.before.rate, a.after.rate, a.delta()), (400e6, 1200e6, 800e6), "one second is the window");
    let p99 = |waits: Option<Waits>| waits.map(|waits| waits.p99.high_ns.unwrap());
    assert_eq!((p99(a.of.before), p99(a.of.after)), (Some(1_000_000), Some(3_000_000)));
    assert!(a.is_resolvable() && of("main.gone").is_resolvable());
    assert!(!of("main.b").is_resolvable() && !of("main.new").is_resolvable(), "a wait more or less is chance");
    assert_eq!((of("main.new").of.before, of("main.gone").of.after), (None, None));
}

#[test]
fn several_go_statements_of_one_function_are_one_creator() {
    let before = followed(&[("main.a", &[1_000; 400]), ("main.a", &[9_000; 400])], &[]);
    let change = &diff(&before, &before).run_latency[..];
    assert_eq!(change.len(), 1);
    assert_eq!((change[0].before.ns, change[0].before.count, change[0].of.before), (4_000_000, 800, None));
}

/// Some 2000 waits for a P: most found one soon, one in twenty queued behind others.
fn queued(draw: &mut impl FnMut() -> f64, factor: f64) -> Vec<u64> {
    let some = (0..4000).filter(|_| draw() < 0.5).count();
    let wait = |_| {
        let mean = if draw() < 0.05 { 1e6 } else { 1e4 };
        (-(draw() + 1e-12).ln() * mean * factor) as u64 + 1
    };
    (0..some).map(wait).collect()
}

/// Two creators; `factor`: the first one's goroutines wait longer than usual.
fn two_creators(draw: &mut impl FnMut() -> f64, factor: f64) -> Window {
    let (first, second) = (queued(draw, factor), queued(draw, 1.0));
    followed(&[("main.a", &first), ("main.b", &second)], &[])
}

#[test]
fn run_latency_of_two_windows_of_the_same_process_differs_in_at_most_one_of_twenty() {
    let mut draw = uniform();
    let mut differs = |factor| {
        let (before, after) = (two_creators(&mut draw, 1.0), two_creators(&mut draw, factor));
        diff(&before, &after).run_latency.iter().any(|change| change.is_resolvable())
    };
    let chance = (0..200).filter(|_| differs(1.0)).count();
    assert!(chance <= 10, "{chance} of 200");
    let longer = (0..50).filter(|_| differs(3.0)).count();
    assert!(longer >= 45, "{longer} of 50");
}

/// In tier 3 quantiles are exact, which makes them no less a matter of chance.
#[test]
fn quantiles_of_two_windows_of_the_same_process_differ_in_at_most_one_of_twenty() {
    let mut draw = uniform();
    let mut verdicts = |factor| {
        let mut window = |factor| Window { run_queue: Some(waits_of(&queued(&mut draw, factor))), cpu_queue: None, ..window::window() };
        let (before, after) = (window(1.0), window(factor));
        diff(&before, &after).queues.iter().map(|change| change.verdict).collect::<Vec<_>>()
    };
    let chance = (0..200).filter(|_| verdicts(1.0).iter().any(|verdict| *verdict != Verdict::NotResolvable)).count();
    assert!(chance <= 10, "{chance} of 200");
    use Verdict::{Longer, NotResolvable};
    let longer = (0..50).filter(|_| verdicts(3.0) == [Longer, Longer, Longer, NotResolvable]).count();
    assert!(longer >= 45, "{longer} of 50");
}

#[test]
fn waits_that_ended_are_compared_by_reason() {
    let before = followed(&[], &[("chan receive", 0, 100, 300), ("chan receive", 1, 300, 300), ("select", 1, 4, 40), ("sleep", 0, 1, 90)]);
    let after = followed(&[], &[("chan receive", 1, 400, 1200), ("select", 1, 5, 60), ("IO wait", 2, 1, 500)]);
    let diff = diff(&before, &after);
    let of = |reason| find(&diff.blocked, |of| *of == Some(reason));
    let reasons: Vec<_> = diff.blocked.iter().map(|change| change.of.unwrap()).collect();
    assert_eq!(reasons, ["chan receive", "IO wait", "sleep", "select"]);
    let receive = of("chan receive");
    assert_eq!((receive.before.count, receive.before.rate, receive.delta()), (400, 600e6, 600e6));
    assert!(receive.is_resolvable());
    for chance in ["select", "sleep", "IO wait"] {
        assert!(!of(chance).is_resolvable(), "{chance}: {:?}", of(chance));
    }
}

#[test]
fn transitions_are_compared_only_where_both_windows_followed_them() {
    let followed = followed(&[("main.a", &[1_000; 400])], &[("select", 0, 500, 900)]);
    let not = Window { transitions: None, ..followed.clone() };
    for (before, after) in [(&followed, &not), (&not, &followed), (&not, &not)] {
        let diff = diff(before, after);
        assert!(diff.run_latency.is_empty() && diff.blocked.is_empty());
    }
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
        assert_eq!(
            lines.len(),
            2 + diff.states.len()
                + diff.queues.len()
                + diff.reasons.len()
                + diff.stacks.len()
                + diff.run_latency.len()
                + diff.blocked.len()
        );
        assert_eq!((&lines[0]["type"], &lines.last().unwrap()["type"]), (&"header".into(), &"summary".into()));
    }
}

proptest! {
    #![proptest_config(property::cases(64))]

    /// Recordings hold what their writer wanted: every figure is a number all the same.
    #[test]
    fn any_two_windows_are_compared(before in any_window(), mut after in any_window()) {
        after.quality.layout = "table".to_owned();
        let diff = diff(&before, &after);
        schema::check(&schema::document("sched-diff"), &serde_json::to_value(report::diff_document(&diff)).unwrap(), &[]);
        report::write_diff_table(&diff, None, &mut Vec::new(), Style { color: false, width: Some(80) }).unwrap();
    }
}

#[test]
fn a_table_on_a_terminal_is_never_wider() {
    for (before, after) in pairs() {
        for width in 20..=120 {
            let mut out = Vec::new();
            let diff = diff(&before, &after);
            report::write_diff_table(&diff, None, &mut out, Style { color: false, width: Some(width) }).unwrap();
            for line in String::from_utf8(out).unwrap().lines() {
                assert!(line.chars().count() <= usize::from(width), "{width}: {line}");
            }
        }
    }
}

#[test]
fn a_narrow_terminal_goes_without_columns_rather_than_with_cut_ones() {
    let (before, after) = (window_of((900, 9000), (100, 100)), window_of((600, 6000), (400, 100)));
    let header = |width, first: &str| {
        let mut out = Vec::new();
        report::write_diff_table(&diff(&before, &after), None, &mut out, Style { color: false, width: Some(width) }).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines()
            .find(|line| line.starts_with(first))
            .unwrap()
            .split("  ")
            .map(|word| word.trim().to_owned())
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
    };
    let all = ["STATE", "% BEFORE", "% AFTER", "POINTS", "+-", "N AFTER", "N BEFORE"];
    assert_eq!(header(80, "STATE").len(), all.len());
    assert_eq!(header(60, "STATE"), all[..6]);
    assert_eq!(header(56, "STATE"), all[..5]);
    assert_eq!(header(46, "STATE"), all[..4]);
    assert_eq!(header(46, "WHO WAITS"), ["WHO WAITS", "BEFORE", "AFTER", "CHANGE"]);
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
    assert!(stderr.contains("the share of `runnable` grew by 30.0 points") && stderr.contains("record for longer"), "{stderr}");
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
        "note: margins take the observations before for independent",
        "on CPU                  90.0     60.0   -30.0  ",
        "not observed             0.0      0.0     0.0  0.0",
        "+300ms  runnable, no P, 100ms to 400ms per second",
        "-300ms  on CPU, 900ms to 600ms per second",
        "0ns later, not known to be the same process, ",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
}

#[test]
fn the_table_compares_what_both_windows_followed() {
    let before = followed(&[("main.a", &[1_000_000; 400]), ("main.b", &[2_000; 40])], &[("select", 0, 500, 900), ("sleep", 1, 1, 1)]);
    let after = followed(&[("main.a", &[3_000_000; 400]), ("main.b", &[2_000; 41])], &[("select", 0, 500, 300), ("sleep", 1, 2, 2)]);
    let text = String::from_utf8(run(&before, &after, &[]).stdout).unwrap();
    for line in [
        " 400ms   1.2s  +800ms  141ms      <1.0ms     <3.0ms  main.a",
        "... and 1 creator not resolvable",
        " 900ms  300ms  -600ms  95ms  select",
        "... and 1 reason not resolvable",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
}
