//! A snapshot built by hand: a small service with a bit of everything.
#![allow(dead_code)]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use goscope::goroutines::model::*;

pub const MINUTE: u64 = 60_000_000_000;

pub fn go(function: &str, file: &str, line: u32) -> Frame {
    // A stable address for a name: tests compare output as a whole.
    let entry = 0x47_0000 + function.bytes().fold(7u64, |h, b| (h * 31 + u64::from(b)) % 0xf_ffff) * 0x20;
    Frame {
        function: function.into(),
        file: file.into(),
        line,
        address: entry + u64::from(line % 90) + 5,
        entry,
        kind: FrameKind::Go,
        wrapper: false,
    }
}

pub fn inlined(function: &str, file: &str, line: u32, into: &Frame) -> Frame {
    Frame { kind: FrameKind::Inlined, address: into.address, entry: into.entry, ..go(function, file, line) }
}

pub fn runtime(function: &str, file: &str, line: u32) -> Frame {
    go(&format!("runtime.{function}"), &format!("/usr/local/go/src/runtime/{file}"), line)
}

pub fn stack(frames: Vec<Frame>) -> Stack {
    Stack { frames, cut: None }
}

pub fn goroutine(id: u64, status: Status, stack: u32) -> Goroutine {
    Goroutine {
        id,
        status,
        wait_reason: None,
        wait_min_ns: None,
        wakes_in_ns: None,
        created_by: None,
        start: None,
        labels: Vec::new(),
        thread: None,
        locked: false,
        system: false,
        blocked_on: None,
        stack,
        sp: 0xc000_0000_0000 + id * 0x1000,
        read: ReadState::Consistent,
    }
}

pub fn waiting(id: u64, reason: &str, stack: u32) -> Goroutine {
    Goroutine { wait_reason: Some(reason.into()), ..goroutine(id, Status::Waiting, stack) }
}

pub fn created_by(function: &str, file: &str, line: u32, goroutine: u64) -> Option<CreatedBy> {
    Some(CreatedBy { frame: go(function, file, line), goroutine: (goroutine != 0).then_some(goroutine) })
}

pub fn label(key: &str, value: &str) -> (Arc<str>, Arc<str>) {
    (key.into(), value.into())
}

pub fn stacks() -> Vec<Stack> {
    let park = || runtime("gopark", "proc.go", 462);
    let goexit = || runtime("goexit", "asm_amd64.s", 1693);
    let run = go("main.(*Pool[...]).run", "/src/payments/pool.go", 60);
    let c = |function: &str| Frame { kind: FrameKind::C, file: "".into(), line: 0, ..go(function, "", 3) };
    vec![
        // 0: the main goroutine
        stack(vec![
            park(),
            runtime("chanrecv", "chan.go", 667),
            runtime("chanrecv1", "chan.go", 509),
            go("main.main", "/src/payments/main.go", 44),
            runtime("main", "proc.go", 290),
            goexit(),
        ]),
        // 1: a worker, with an inlined frame
        stack(vec![
            park(),
            runtime("chanrecv", "chan.go", 667),
            runtime("chanrecv2", "chan.go", 514),
            inlined("main.(*Pool[...]).next", "/src/payments/pool.go", 88, &run),
            run.clone(),
            go("main.(*Pool[...]).Start.func1", "/src/payments/pool.go", 31),
            goexit(),
        ]),
        // 2: a connection
        stack(vec![
            park(),
            runtime("netpollblock", "netpoll.go", 575),
            go("internal/poll.runtime_pollWait", "/usr/local/go/src/runtime/netpoll.go", 351),
            go("internal/poll.(*pollDesc).wait", "/usr/local/go/src/internal/poll/fd_poll_runtime.go", 84),
            go("internal/poll.(*FD).Read", "/usr/local/go/src/internal/poll/fd_unix.go", 165),
            go("net.(*conn).Read", "/usr/local/go/src/net/net.go", 196),
            go("net/http.(*conn).serve", "/usr/local/go/src/net/http/server.go", 2079),
            goexit(),
        ]),
        // 3: running, its thread left alone
        Stack { frames: vec![], cut: Some(Cut::NotRead) },
        // 4: inside C
        stack(vec![
            c("clock_nanosleep"),
            c("usleep"),
            Frame { file: "/src/payments/legacy.c".into(), line: 12, ..c("legacy_wait") },
            runtime("asmcgocall", "asm_amd64.s", 923),
            runtime("cgocall", "cgocall.go", 167),
            go("main._Cfunc_legacy_wait", "_cgo_gotypes.go", 48),
            go("main.legacy", "/src/payments/legacy.go", 9),
            goexit(),
        ]),
        // 5: a return address in no known function
        Stack {
            frames: vec![
                park(),
                runtime("selectgo", "select.go", 351),
                Frame {
                    function: "".into(),
                    file: "".into(),
                    line: 0,
                    address: 0x7f00_dead_beef,
                    entry: 0,
                    kind: FrameKind::Unresolved,
                    wrapper: false,
                },
            ],
            cut: Some(Cut::UnknownPc),
        },
        // 6, 7: the runtime's own
        stack(vec![park(), runtime("bgsweep", "mgcsweep.go", 279), runtime("gcenable.gowrap1", "mgc.go", 217), goexit()]),
        stack(vec![park(), runtime("gcBgMarkWorker", "mgc.go", 1463), goexit()]),
        // 8: asleep
        stack(vec![
            park(),
            go("time.Sleep", "/usr/local/go/src/runtime/time.go", 363),
            Frame { wrapper: true, ..go("main.Job.Run", "<autogenerated>", 1) },
            go("main.retry", "/src/payments/retry\u{1b}[31m.go", 17),
            goexit(),
        ]),
        // 9: a deferred call of a panic
        stack(vec![
            go("sync.runtime_SemacquireMutex", "/usr/local/go/src/runtime/sema.go", 95),
            go("sync.(*Mutex).Lock", "/usr/local/go/src/sync/mutex.go", 45),
            go("main.handle.func1", "/src/payments/handle.go", 71),
            runtime("gopanic", "panic.go", 787),
            go("main.handle", "/src/payments/handle.go", 80),
            goexit(),
        ]),
    ]
}

pub fn snapshot() -> Snapshot {
    let mut goroutines = vec![Goroutine {
        wait_min_ns: Some(187 * MINUTE),
        start: Some(runtime("main", "proc.go", 147)),
        created_by: Some(CreatedBy { frame: runtime("rt0_go", "asm_amd64.s", 394), goroutine: None }),
        blocked_on: Some(BlockedOn { what: "channel", address: 0xc000_1234_5678 }),
        ..waiting(1, "chan receive", 0)
    }];
    let system = |id, reason: &str, stack| Goroutine {
        system: true,
        created_by: Some(CreatedBy { frame: runtime("gcenable", "mgc.go", 217), goroutine: Some(1) }),
        ..waiting(id, reason, stack)
    };
    goroutines.push(Goroutine { wait_min_ns: Some(2 * MINUTE), ..system(3, "GC sweep wait", 6) });
    for id in 4..6 {
        goroutines.push(system(id, "GC worker (idle)", 7));
    }
    for id in 18..24 {
        goroutines.push(Goroutine {
            wait_min_ns: if id < 22 { Some((id - 6) * MINUTE) } else { None },
            created_by: created_by("main.(*Pool[...]).Start", "/src/payments/pool.go", 30, 1),
            start: Some(go("main.(*Pool[...]).Start.func1", "/src/payments/pool.go", 29)),
            labels: vec![label("queue", if id % 2 == 0 { "refunds" } else { "charges" }), label("shard", &id.to_string())],
            ..waiting(id, "chan receive", 1)
        });
    }
    for id in 40..43 {
        goroutines.push(Goroutine {
            created_by: created_by("net/http.(*Server).Serve", "/usr/local/go/src/net/http/server.go", 3454, 1),
            blocked_on: Some(BlockedOn { what: "fd", address: 0xc000_0044_0000 }),
            ..waiting(id, "IO wait", 2)
        });
    }
    goroutines.push(Goroutine {
        thread: Some(Thread { tid: Some(4244), m: Some(3), p: Some(0) }),
        created_by: created_by("main.main", "/src/payments/main.go", 39, 1),
        sp: 0,
        read: ReadState::NotRead,
        ..goroutine(50, Status::Running, 3)
    });
    goroutines.push(Goroutine {
        thread: Some(Thread { tid: Some(4245), m: Some(4), p: None }),
        locked: true,
        wait_min_ns: Some(5 * MINUTE),
        created_by: created_by("main.main", "/src/payments/main.go", 40, 1),
        ..goroutine(51, Status::Syscall, 4)
    });
    goroutines.push(Goroutine { created_by: created_by("main.main", "/src/payments/main.go", 41, 0), ..waiting(52, "select", 5) });
    for (id, ns) in [(60, 1_500_000_000), (61, 90_000_000_000)] {
        goroutines.push(Goroutine {
            wakes_in_ns: Some(ns),
            created_by: created_by("main.handle", "/src/payments/handle.go", 77, 40),
            labels: vec![label("note", "bell\u{7} \"quoted\" größe")],
            ..waiting(id, "sleep", 8)
        });
    }
    goroutines.push(Goroutine { ..goroutine(62, Status::Runnable, 8) });
    goroutines.push(Goroutine {
        status: Status::Leaked,
        created_by: created_by("main.main", "/src/payments/main.go", 42, 1),
        blocked_on: Some(BlockedOn { what: "mutex", address: 0xc000_0001_0008 }),
        ..waiting(70, "sync.Mutex.Lock", 9)
    });
    Snapshot {
        captured_at: SystemTime::UNIX_EPOCH + Duration::from_micros(1_796_073_078_123_456),
        target: TargetFacts {
            pid: 4242,
            start_ticks: 991_234,
            exe: "/srv/payments".into(),
            go_version: "go1.26.8".into(),
            main_module: "example.com/payments".into(),
            stripped: true,
            build_mode: "cgo-pie".into(),
        },
        goroutines,
        dead: 7,
        stacks: stacks(),
        quality: Quality {
            torn: 0,
            retried: 3,
            not_read: 1,
            unresolved_frames: 1,
            truncated_stacks: 2,
            threads_stopped: 2,
            longest_stop_ns: 45_600,
            total_stop_ns: 61_000,
            layout: "table".into(),
            capture_ns: 12_345_678,
            own_cpu_ns: 10_000_000,
            warnings: vec!["stopping threads is not possible here".into()],
            ..Quality::default()
        },
    }
}
