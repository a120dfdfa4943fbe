//! A window of `sched` built by hand: a bit of everything.
#![allow(dead_code)]

use std::sync::Arc;
use std::time::SystemTime;

use goscope::sched::model::*;

pub fn frame(function: &str, kind: FrameKind) -> Frame {
    Frame { function: function.into(), file: "/src/main.go".into(), line: 7, address: 0x47_1000, entry: 0x47_0000, kind, wrapper: false }
}

fn row(class: Class, source: Source, reason: Option<&str>, stack: u32, on_cpu_ns: u64, off_cpu_ns: u64) -> Row {
    let labels: Vec<Label> = if stack == 0 { vec![("route".into(), "/a".into())] } else { Vec::new() };
    Row {
        class,
        source,
        reason: reason.map(Arc::from),
        stack,
        start: Some("main.worker".into()),
        creator: Some("main.main".into()),
        labels: Arc::from(labels),
        count: 3,
        on_cpu_ns,
        off_cpu_ns,
    }
}

/// A twentieth of what the rows have, two parts of it in every second part of the window.
fn batch(part: u64) -> Batch {
    let twice = 2 * (part % 2);
    let by_class = [500, 50, 100, 900, 200, 40, 30].map(|ms| ms * 1_000_000 / 20 * twice);
    Batch { alive_ns: 100_000_000 * twice, by_class }
}

pub fn window() -> Window {
    let go = |function: &str| frame(function, FrameKind::Go);
    let stacks = vec![
        Stack { frames: vec![frame("copy", FrameKind::Inlined), go("main.work"), go("main.worker"), go("runtime.goexit")], cut: None },
        Stack { frames: vec![go("runtime.gopark"), go("runtime.chanrecv"), go("main.receive"), go("main.worker")], cut: None },
        Stack { frames: vec![frame("do_syscall_64", FrameKind::Kernel), go("syscall.Syscall")], cut: Some(Cut::Depth) },
        Stack { frames: vec![frame("", FrameKind::Unresolved)], cut: Some(Cut::UnknownPc) },
    ];
    let bound = |low_ns, high_ns| Bound { low_ns, high_ns };
    let waits =
        |source| Waits { count: 10, p50: bound(1, Some(2)), p90: bound(2, Some(4)), p99: bound(4, Some(8)), max: bound(8, None), source };
    let hop = |by| Hop { stack: 1, reason: Some("chan receive".into()), by };
    Window {
        captured_at: SystemTime::UNIX_EPOCH,
        target: TargetFacts { pid: 7, exe: "/bin/app".into(), go_version: "go1.26.8".into(), ..TargetFacts::default() },
        length_ns: 1_000_000_000,
        tier: Tier::Transitions,
        rows: vec![
            row(Class::Waiting, Source::Walk, Some("chan receive"), 1, 0, 900_000_000),
            row(Class::OnCpu, Source::Sample, None, 0, 500_000_000, 0),
            row(Class::Syscall, Source::Switch, Some(""), 2, 0, 200_000_000),
            row(Class::NoCpu, Source::Switch, Some("kernel run queue"), 0, 0, 100_000_000),
            row(Class::Runnable, Source::Walk, None, 1, 0, 50_000_000),
            row(Class::GcAssist, Source::Sample, None, 3, 40_000_000, 0),
            row(Class::Scheduler, Source::Sample, None, 3, 30_000_000, 0),
        ],
        stacks,
        alive_ns: 2_000_000_000,
        batches: (0..20).map(batch).collect(),
        threads: vec![ThreadUse { tid: 7, name: "app".into(), on_cpu_ns: 570_000_000, waited_ns: 100_000_000, switches: 12 }],
        run_queue: Some(waits("uprobes")),
        cpu_queue: Some(waits("switches")),
        counters: Counters {
            gomaxprocs: Some(2),
            time_slices: Some(40),
            syscalls: Some(5),
            created: Some(6),
            gc_cycles: Some(1),
            gc_pauses: vec![GcPause { end_unix_ns: 1, pause_ns: 2 }],
            ps: vec![PUse { id: 0, time_slices: 40, syscalls: 5, queue_mean: 0.5, queue_max: 2 }],
            idle_ps: Some(0.5),
            spinning_ms: Some(0.1),
            global_queue: Some(0.0),
            throttled: Some(Throttled { periods: 10, throttled_periods: 1, throttled_ns: 5 }),
        },
        transitions: Some(Transitions {
            run_latency: vec![RunLatency {
                creator: Some("main.main".into()),
                place: Some(("/src/main.go".into(), 7)),
                total_ns: 9,
                waits: waits("uprobes"),
            }],
            blocked: vec![Blocked { reason: Some("chan receive".into()), stack: 1, count: 2, ns: 30 }],
            wakes: vec![WakePath {
                hops: vec![hop(Waker::Goroutine(0)), hop(Waker::Network), hop(Waker::Timer), hop(Waker::Scheduler)],
                count: 2,
                ns: 30,
            }],
            unpaired: 1,
            runnable_ns: Some(50_000_000),
        }),
        stops: Some(vec![
            Stop {
                kind: StopKind::World,
                begin_ns: 1,
                ns: 25_000,
                goid: 4,
                stack: Some(0),
                last: Some(Holder { goid: 7, ns: 20_000, stack: Some(1) }),
            },
            Stop { kind: StopKind::Collection, begin_ns: 1, ns: 9_000, goid: 4, stack: None, last: None },
        ]),
        timeline: None,
        before: vec![Glance {
            at: SystemTime::UNIX_EPOCH,
            runnable_p50_ns: Some(1),
            runnable_p99_ns: Some(60_000_000),
            runnable_max_ns: Some(70_000_000),
            run_queue: Some(3),
            idle_ps: Some(0),
            time_slices_per_second: Some(10.0),
            created_per_second: Some(1.0),
            gc_pause_max_ns: Some(0),
            throttled_ns: Some(0),
        }],
        trigger: Some((Trigger { metric: Metric::RunnableP99, above: true, limit: 5e7, text: "runnable_p99>50ms".into() }, 60_000_000.0)),
        samples: 55,
        cost: Cost {
            plan: Some(Plan {
                tier: Tier::Transitions,
                hz: 97,
                switch_stacks: true,
                items: vec![
                    Item { what: "context switches, with stacks".into(), payer: Payer::Target, per_second: 12.0, ns_each: 4000.0 },
                    Item { what: "context switches of all others".into(), payer: Payer::Host, per_second: 900.0, ns_each: 60.0 },
                ],
            }),
            probes_ns: Some(1),
            target_cpu_ns: 570_000_000,
            own_cpu_ns: 2_000_000,
            attach_ns: 3,
            detach_ns: 4,
        },
        quality: Quality {
            losses: vec![Loss { cpu: 0, sent: 100, received: 97, lost: 2, malformed: 0 }],
            layout: "table".into(),
            walks: 10,
            truncated_stacks: 2,
            unresolved_frames: 1,
            ..Quality::default()
        },
    }
}
