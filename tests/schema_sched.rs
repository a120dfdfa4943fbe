//! Every JSON of `sched` and `profile` is what `schemas/` says, and what the tables and profiles of a known window say.
#![allow(clippy::unwrap_used)]

#[path = "support/schema.rs"]
mod schema;
#[path = "support/window.rs"]
mod window;

use goscope::output::Style;
use goscope::sched::analyze::{Account, by_function, grouped, waiting};
use goscope::sched::model::{Class, Hop, Item, Payer, Plan, Row, Tier, WakePath, Waker, Window};
use goscope::sched::report::{self, Weight};
use serde_json::{Value, json};
use window::window;

const WEIGHT: Weight = Weight { unit: "us", counts: "events", kind: "wall", title: "Goroutine time", hide_runtime: false };

/// Maps whose keys are data.
const FREE: &[&str] = &["labels"];

fn all(window: &Window) -> Vec<&Row> {
    window.rows.iter().collect()
}

fn empty() -> Window {
    let full = window();
    Window {
        rows: Vec::new(),
        stacks: Vec::new(),
        threads: Vec::new(),
        run_queue: None,
        cpu_queue: None,
        counters: Default::default(),
        transitions: None,
        stops: None,
        before: Vec::new(),
        trigger: None,
        cost: Default::default(),
        ..full
    }
}

#[test]
fn documents() {
    for command in ["sched", "profile"] {
        let schema = schema::document(command);
        for window in [window(), empty()] {
            schema::check(&schema, &serde_json::to_value(report::document(command, &window, &all(&window))).unwrap(), FREE);
        }
    }
}

#[test]
fn lines() {
    for command in ["sched", "profile"] {
        let schema = schema::line(command);
        for window in [window(), empty()] {
            let mut out = Vec::new();
            report::write_jsonl(command, &window, &all(&window), &mut out).unwrap();
            let lines: Vec<Value> = String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            lines.iter().for_each(|line| schema::check(&schema, line, FREE));
            assert_eq!(lines.len(), window.rows.len() + 2);
            assert_eq!((&lines[0]["type"], &lines.last().unwrap()["type"]), (&"header".into(), &"summary".into()));
        }
    }
}

#[test]
fn plans() {
    let schema = schema::document("sched-plan");
    let item = |payer, what: &'static str| Item { what: what.into(), payer, per_second: 1000.0, ns_each: 2500.0 };
    let probes = Plan {
        tier: Tier::Switches,
        hz: 97,
        switch_stacks: true,
        items: vec![item(Payer::Target, "switches"), item(Payer::Host, "others")],
    };
    let none = Plan { tier: Tier::Counters, items: Vec::new(), ..probes.clone() };
    let window = window();
    let json = |limit| {
        let plans = [none.clone(), probes.clone()];
        serde_json::to_value(report::plan_document(&plans, &plans[1], limit, &window.target, window.captured_at)).unwrap()
    };
    let document = json(2.0);
    schema::check(&schema, &document, &[]);
    assert_eq!(document["tiers"][1], document["chosen"]);
    assert_eq!(
        (&document["chosen"]["target_percent"], &document["tiers"][0]["sample_hz"], &document["max_overhead_percent"]),
        (&json!(0.25), &json!(null), &json!(2.0))
    );
    let unlimited = json(f64::INFINITY);
    schema::check(&schema, &unlimited, &[]);
    assert_eq!(unlimited.get("max_overhead_percent"), None);
}

#[test]
fn the_parts_of_the_account_sum_to_its_total() {
    let account = Account::of(&window());
    assert_eq!(account.parts().iter().map(|(_, ns)| ns).sum::<u64>(), account.total_ns);
    assert_eq!((account.total_ns, account.unobserved_ns, account.scheduler_ns), (2_000_000_000, 210_000_000, 30_000_000));
    // More was seen than walks say was alive: nothing is missing, and nothing is cut off.
    let crowded = Window { alive_ns: 1, ..window() };
    let account = Account::of(&crowded);
    assert_eq!((account.total_ns, account.unobserved_ns), (1_790_000_000, 0));
}

#[test]
fn the_table_names_what_was_lost_and_what_looking_cost() {
    let mut out = Vec::new();
    report::write_table(&window(), None, &mut out, Style::default()).unwrap();
    let text = String::from_utf8(out).unwrap();
    for line in [
        "on CPU          500ms      25.0              45.5  3 samples",
        "runnable, no P   50ms       2.5               4.5  exact",
        "waiting         900ms      45.0                    3 sightings  chan receive 900ms",
        "BLOCKED, BY WHERE AND WHY: WAITS THAT BEGAN AND ENDED IN THE WINDOW",
        "main.main main.go:7",
        "   30ns      2  main.receive (chan receive)",
        "   30ns      2  └─ copy (chan receive in main.receive)",
        "   30ns      2     └─ the network (chan receive in main.receive)",
        "<2ns  <4ns  <8ns  >8ns",
        "cgroup throttled in 1 of 10 periods, 5ns",
        "tier 3, 55 samples, 2 of 100 events lost, 10 walks, 2 cut stacks, 1 unresolved frame, target used 57.0 % of a CPU, probes took 0.00 % of a CPU, other processes' switches included",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
}

#[test]
fn wakes_are_trees_of_functions_beside_the_paths_with_their_stacks() {
    let mut window = window();
    let wakes = &mut window.transitions.as_mut().unwrap().wakes;
    // As the first, but that the waker had not waited itself; and somewhere else.
    let alone = WakePath { hops: wakes[0].hops[..1].to_vec(), count: 5, ns: 10 };
    let other = WakePath { hops: vec![Hop { stack: 0, reason: None, by: Waker::Timer }], count: 1, ns: 70 };
    wakes.extend([alone, other]);
    let document = serde_json::to_value(report::document("sched", &window, &[])).unwrap();
    schema::check(&schema::document("sched"), &document, FREE);
    let wait = json!({"function": "main.receive", "reason": "chan receive"});
    let timer = json!({"waker": "timer", "wait": wait, "count": 2, "blocked_ns": 30, "woken_by": [
        {"waker": "scheduler", "count": 2, "blocked_ns": 30, "woken_by": []}]});
    let network = json!({"waker": "network", "wait": wait, "count": 2, "blocked_ns": 30, "woken_by": [timer]});
    let expected = json!([
        {"wait": {"function": "copy"}, "count": 1, "blocked_ns": 70, "woken_by": [
            {"waker": "timer", "count": 1, "blocked_ns": 70, "woken_by": []}]},
        {"wait": wait, "count": 7, "blocked_ns": 40, "woken_by": [
            {"waker": "goroutine", "function": "copy", "wait": wait, "count": 2, "blocked_ns": 30, "woken_by": [network]},
            {"waker": "goroutine", "function": "copy", "count": 5, "blocked_ns": 10, "woken_by": []}]},
    ]);
    assert_eq!(document["transitions"]["wake_trees"], expected);
    assert_eq!(document["transitions"]["wakes"].as_array().unwrap().len(), 3);
}

#[test]
fn a_table_on_a_terminal_is_never_wider() {
    for width in 20..=120 {
        let mut out = Vec::new();
        report::write_table(&window(), None, &mut out, Style { color: false, width: Some(width) }).unwrap();
        let text = String::from_utf8(out).unwrap();
        for line in text.lines() {
            assert!(line.chars().count() <= usize::from(width), "{width}: {line}");
        }
    }
}

#[test]
fn folded_stacks_end_in_what_they_wait_for() {
    let window = window();
    let rows: Vec<&Row> = window.rows.iter().filter(|row| row.class != Class::Scheduler).collect();
    let mut out = Vec::new();
    report::write_folded(&window, &rows, &WEIGHT, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("main.worker;main.receive;runtime.chanrecv;runtime.gopark;[chan receive] 900000\n"), "{text}");
    assert!(text.contains("[depth limit];syscall.Syscall;do_syscall_64_[k] 200000\n"), "{text}");
    assert!(text.contains("runtime.goexit;main.worker;main.work;copy 500000\n"), "{text}");
}

#[test]
fn flat_time_is_the_innermost_functions_and_cumulative_all_of_the_stack() {
    let window = window();
    let rows: Vec<&Row> = window.rows.iter().filter(|row| row.on_cpu_ns > 0 && row.class == Class::OnCpu).collect();
    let shares = by_function(&window, &rows, true);
    let of = |name: &str| shares.iter().find(|share| &*share.name == name).map(|share| (share.flat_ns, share.cumulative_ns));
    assert_eq!((of("copy"), of("main.worker")), (Some((500_000_000, 500_000_000)), Some((0, 500_000_000))));
    assert_eq!(of("main.work"), Some((0, 500_000_000)));
}

#[test]
fn stacks_that_differ_in_lines_only_are_one() {
    let mut window = window();
    let mut other = window.stacks[0].clone();
    other.frames[1].line = 99;
    window.stacks.push(other);
    let twin = Row { stack: 4, ..window.rows[1].clone() };
    window.rows.push(twin);
    let groups = grouped(&window, Class::OnCpu);
    assert_eq!(groups.iter().map(|group| (group.ns, group.count)).collect::<Vec<_>>(), [(1_000_000_000, 6)]);
}

/// 0 would say that there was none.
#[test]
fn what_a_tier_cannot_measure_is_no_zero() {
    let probed = window();
    let without = |tier| Window { tier, rows: vec![probed.rows[0].clone()], transitions: None, ..probed.clone() };
    let shown = |window: &Window| {
        let mut out = Vec::new();
        report::write_table(window, None, &mut out, Style::default()).unwrap();
        (String::from_utf8(out).unwrap(), serde_json::to_value(report::document("sched", window, &all(window))).unwrap())
    };
    let (text, document) = shown(&without(Tier::Counters));
    assert!(text.contains("P but no CPU        -         -                 -  not measured"), "{text}");
    assert!(!text.contains("the scheduler was"), "{text}");
    assert_eq!((&document["time"]["no_cpu_ns"], &document["time"]["scheduler_ns"]), (&Value::Null, &Value::Null));
    schema::check(&schema::document("sched"), &document, FREE);
    let mut uncounted = without(Tier::Switches);
    assert_eq!(shown(&uncounted).1["time"]["no_cpu_ns"], 0);
    uncounted.cost.plan.as_mut().unwrap().switch_stacks = false;
    let (text, document) = shown(&uncounted);
    assert!(text.contains("P but no CPU        -"), "{text}");
    assert_eq!((&document["time"]["no_cpu_ns"], &document["time"]["scheduler_ns"]), (&Value::Null, &json!(0)));
    // What was seen all the same is shown.
    uncounted.rows.push(probed.rows[3].clone());
    assert_eq!(shown(&uncounted).1["time"]["no_cpu_ns"], 100_000_000);
}

#[test]
fn the_document_says_how_often_what_a_figure_is_made_of_was_seen() {
    let document = serde_json::to_value(report::document("sched", &window(), &[])).unwrap();
    let seen = document["observations"].as_array().unwrap();
    assert!(seen.contains(&json!({"class": "runnable", "source": "walk", "count": 3})), "{seen:?}");
    assert_eq!(seen.len(), 7);
}

/// Ten goroutines of the runtime are parked for ever, a thousand connections idle, and one lock holds everybody up.
#[test]
fn who_waits_for_a_lock_comes_before_who_has_nothing_to_do() {
    let full = window();
    let row = |reason: &str, start: &str, ms: u64| Row {
        reason: Some(reason.into()),
        start: Some(start.into()),
        off_cpu_ns: ms * 1_000_000,
        ..full.rows[0].clone()
    };
    let system = row("force gc (idle)", "runtime.forcegchelper", 90_000);
    let user = [
        row("IO wait", "net/http.(*conn).serve", 50_000),
        row("chan receive", "main.worker", 9_000),
        row("sync.Mutex.Lock", "main.worker", 2_000),
    ];
    let rows = [vec![system.clone()], user.to_vec(), vec![row("sync.RWMutex.Lock", "runtime.main", 1)]].concat();
    let window = Window { rows, ..full.clone() };
    let (groups, system_ns) = waiting(&window);
    let order: Vec<_> = groups.iter().map(|group| group.row.reason.as_deref().unwrap()).collect();
    assert_eq!(order, ["sync.Mutex.Lock", "chan receive", "IO wait", "sync.RWMutex.Lock"]);
    assert_eq!(system_ns, 90_000_000_000);
    let mut out = Vec::new();
    report::write_table(&window, None, &mut out, Style::default()).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("    1m30s  in the runtime's own goroutines") && !text.contains("force gc (idle), created by"), "{text}");
    // Nothing else is there.
    let alone = Window { rows: vec![system], ..full };
    assert_eq!(waiting(&alone).0.len(), 1);
}
