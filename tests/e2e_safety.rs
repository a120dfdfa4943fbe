//! Never hurt the target: no signal lost, no call interrupted, no page brought in, nothing left stopped or traced, whatever
//! happens to goscope or to the target in the middle of a snapshot.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(unsafe_code)] // sending a signal to one thread

mod common;
#[path = "support/harm.rs"]
mod harm;
#[path = "support/service.rs"]
#[allow(dead_code)]
mod service;

use std::collections::HashSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use common::fixture::Fixture;
use goscope::goroutines::collect::{self, Options, Stopping};
use goscope::goroutines::model::{Frame, FrameKind, Goroutine, ReadState, Snapshot, Status};
use harm::*;

const SNAPSHOTS: usize = 1000;

/// Sends SIGUSR1 to one thread of a process.
fn signal(pid: u32, tid: u32) -> bool {
    // SAFETY: no memory is passed.
    unsafe { libc::syscall(libc::SYS_tgkill, pid as libc::pid_t, tid as libc::pid_t, libc::SIGUSR1) == 0 }
}

/// Each signal is acknowledged before the next one is sent, so that none may be merged with another.
#[test]
fn no_signal_is_lost_in_a_thousand_snapshots() {
    let mut target = Fixture::start(program("signals"), &[], &[]);
    let pid = target.pid();
    let before = counts(&mut target);
    let done = AtomicBool::new(false);
    let (stops, sent) = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut sent = 0u64;
            while !done.load(Ordering::Relaxed) {
                // To each thread in turn, for the one that is stopped is the one that matters.
                for tid in threads(pid) {
                    if signal(pid, tid) {
                        sent += 1;
                        assert_eq!(target.ask(&format!("await {sent}")), sent.to_string(), "a signal was lost");
                    }
                }
            }
            sent
        });
        let process = attach(pid).unwrap();
        let mut stops = 0;
        for _ in 0..SNAPSHOTS {
            stops += snapshot(&process).unwrap().quality.threads_stopped;
        }
        for _ in 0..20 {
            stops += goscope(&["goroutines", &pid.to_string(), "--format", "json"]).json()["quality"]["threads_stopped"].as_u64().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        (stops, sender.join().unwrap())
    });
    assert!(stops > SNAPSHOTS as u64 / 4, "threads must be stopped all the time, or nothing is tested: {stops}");
    assert!(sent > 200, "too few signals to meet a stop: {sent}");
    assert_goes_on(&mut target, &before);
    assert_unharmed(&mut target);
}

/// goscope is killed when its work has just begun, when it is done, and at every moment between.
#[test]
fn kill_minus_nine_at_any_moment_leaves_the_target_running() {
    let mut target = Fixture::start(program("spin"), &[], &[]);
    let pid = target.pid();
    let before = counts(&mut target);
    let whole = goscope(&["goroutines", &pid.to_string(), "--format", "json"]).took;
    for mode in [&[][..], &["--pause"], &["--pause=all"]] {
        for round in 0..60u32 {
            let mut run = endless(pid, mode);
            std::thread::sleep(whole * round / 40);
            run.0.kill().unwrap();
            run.0.wait().unwrap();
            assert_eq!(traced(pid), [0u32; 0], "{mode:?}, round {round}");
            assert_eq!(stopped(pid), [], "{mode:?}, round {round}");
        }
    }
    assert_goes_on(&mut target, &before);
    assert_unharmed(&mut target);
}

/// As above, with goscope caught while it has a thread stopped.
#[test]
fn kill_minus_nine_during_a_stop_leaves_the_target_running() {
    let mut target = Fixture::start(program("spin"), &[], &[]);
    let pid = target.pid();
    let before = counts(&mut target);
    for mode in [&[][..], &["--pause"]] {
        for round in 0..20 {
            let mut run = endless(pid, mode);
            catch_a_stop(pid, || {});
            run.0.kill().unwrap();
            run.0.wait().unwrap();
            assert_eq!(traced(pid), [0u32; 0], "{mode:?}, round {round}");
            assert_eq!(stopped(pid), [], "{mode:?}, round {round}");
        }
    }
    assert_goes_on(&mut target, &before);
    assert_unharmed(&mut target);
}

/// Ctrl-Z stops goscope for as long as its user likes; it must not hold a thread of the target meanwhile.
#[test]
fn a_suspended_goscope_holds_nothing() {
    let mut target = Fixture::start(program("spin"), &[], &[]);
    let pid = target.pid();
    let before = counts(&mut target);
    for mode in [&[][..], &["--pause"]] {
        let run = endless(pid, mode);
        for round in 0..20 {
            catch_a_stop(pid, || send(run.0.id(), libc::SIGCONT));
            eventually("goscope is suspended", || {
                send(run.0.id(), libc::SIGTSTP);
                thread_state(run.0.id(), run.0.id()) == Some('T')
            });
            assert_eq!(traced(pid), [0u32; 0], "{mode:?}, round {round}");
            assert_eq!(stopped(pid), [], "{mode:?}, round {round}");
        }
    }
    assert_goes_on(&mut target, &before);
    assert_unharmed(&mut target);
}

/// Snapshots without end, into nothing.
fn endless(pid: u32, mode: &[&str]) -> Reaped {
    let mut command = Command::new(env!("CARGO_BIN_EXE_goscope"));
    command.args(["goroutines", &pid.to_string(), "--watch", "1ms", "-o", "/dev/null"]).args(mode);
    // In a group of its own: the kernel suspends nobody in an orphaned process group, which the tests' own may be.
    Reaped(command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
}

/// Returns the moment that a thread of the process is seen to be traced.
fn catch_a_stop(pid: u32, mut meanwhile: impl FnMut()) {
    let begin = Instant::now();
    while traced(pid).is_empty() {
        assert!(begin.elapsed() < PATIENCE, "no stop to catch");
        meanwhile();
    }
}

fn send(pid: u32, signal: libc::c_int) {
    // SAFETY: no memory is passed.
    assert_eq!(unsafe { libc::kill(pid as libc::pid_t, signal) }, 0);
}

/// epoll_wait, semtimedop, recv with a timeout and nanosleep return EINTR, or start anew, when their thread is stopped.
#[test]
fn no_blocked_system_call_is_interrupted() {
    if !service::is_root("an IPC namespace") {
        return;
    }
    let mut command = Command::new("unshare");
    command.arg("--ipc").arg(program("rawsyscalls")).env("GODEBUG", "asyncpreemptoff=1");
    let mut target = Fixture::spawn(&mut command);
    let pid = target.pid();
    let process = attach(pid).unwrap();
    let begin = counts(&mut target)[0];
    for stopping in [Stopping::Running, Stopping::Never] {
        for _ in 0..200 {
            let snapshot = collect::snapshot(&process, Options { stopping }).unwrap();
            let blocked = |goroutine: &&Goroutine| {
                let frames = &snapshot.stacks[goroutine.stack as usize].frames;
                frames.iter().any(|frame| &*frame.function == "main.again")
            };
            // The eight that wait for ever are all seen, with their stacks; the others may be between two calls.
            assert!(snapshot.goroutines.iter().filter(blocked).count() >= 8, "{stopping:?}: {:?}", snapshot.quality);
        }
        let [calls, interrupted] = counts(&mut target)[..] else { panic!() };
        assert_eq!(interrupted, 0, "of {calls} calls, {stopping:?}");
    }
    assert!(counts(&mut target)[0] > begin, "the calls went on all the time");
    assert_unharmed(&mut target);
}

/// 10,000 goroutines a second are born and die, stacks grow and are used again by others, while snapshots run.
#[test]
fn a_thousand_snapshots_of_a_churning_program_show_only_stacks_that_it_can_have() {
    let mut target = Fixture::start(program("churn"), &[], &[]);
    let source = Churn::read();
    let before = counts(&mut target);
    let (mut stacks, mut torn, mut depths) = (0, 0, HashSet::new());
    for round in 0..10 {
        let process = attach(target.pid()).unwrap();
        for _ in 0..SNAPSHOTS / 10 {
            let snapshot = snapshot(&process).unwrap();
            depths.extend(source.check(&snapshot));
            assert_eq!(snapshot.quality.unresolved_frames, 0, "{:?}", snapshot.quality);
            assert_eq!(snapshot.quality.not_resident, 0, "nothing here is swapped out: {:?}", snapshot.quality);
            stacks += snapshot.goroutines.len() as u64;
            torn += snapshot.quality.torn;
        }
        let run = goscope(&["goroutines", &target.pid().to_string(), "--format", "json"]);
        assert!(run.json()["counts"]["total"].as_u64().unwrap() > 400, "round {round}");
    }
    assert!(depths.len() == 64, "every depth of recursion is seen: {depths:?}");
    assert!(torn * 100 < stacks, "{torn} of {stacks} stacks were torn");
    assert_goes_on(&mut target, &before);
    assert_unharmed(&mut target);
}

/// What the source of the program churn allows to see.
struct Churn {
    text: String,
}

impl Churn {
    fn read() -> Churn {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/go/cmd/churn/main.go");
        Churn { text: fs::read_to_string(path).unwrap() }
    }

    /// The line, from 1 on, that holds this text; it is the only one.
    fn line(&self, text: &str) -> u32 {
        let mut lines = self.text.lines().enumerate().filter(|(_, line)| line.contains(text));
        let (number, _) = lines.next().unwrap_or_else(|| panic!("'{text}' is not in churn"));
        assert!(lines.next().is_none(), "'{text}' is there twice");
        number as u32 + 1
    }

    /// Returns how deep the recursions were.
    fn check(&self, snapshot: &Snapshot) -> HashSet<usize> {
        let mut ids = HashSet::new();
        let mut depths = HashSet::new();
        for goroutine in &snapshot.goroutines {
            assert!(ids.insert(goroutine.id), "goroutine {} is there twice", goroutine.id);
            let stack = &snapshot.stacks[goroutine.stack as usize];
            let read = matches!(goroutine.read, ReadState::Consistent | ReadState::Stopped);
            assert!(read || stack.frames.is_empty(), "a stack that was not read: {goroutine:?} {stack:?}");
            if read {
                assert_eq!(stack.cut, None, "{goroutine:?} {:?}", names(&stack.frames));
                self.check_stack(goroutine, &stack.frames);
                let depth = stack.frames.iter().filter(|frame| &*frame.function == "main.live").count();
                depths.extend(Some(depth).filter(|depth| *depth > 0));
            }
        }
        depths
    }

    fn check_stack(&self, goroutine: &Goroutine, frames: &[Frame]) {
        let outermost_first: Vec<&Frame> = frames.iter().rev().collect();
        let wrong = |what: &str| panic!("{what}: {goroutine:#?}\n{}", names(frames).join("\n"));
        assert!(frames.iter().all(|frame| matches!(frame.kind, FrameKind::Go | FrameKind::Inlined)), "{:?}", names(frames));
        let [exit, rest @ ..] = &outermost_first[..] else { return wrong("no frames") };
        if &*exit.function != "runtime.goexit" {
            return wrong("it does not start in goexit");
        }
        let user: Vec<(&str, u32)> = rest.iter().map(|f| (&*f.function, f.line)).skip_while(|(f, _)| !f.starts_with("main.")).collect();
        let starts = ["breed", "breed.gowrap1", "main.gowrap1", "main.gowrap2", "main.gowrap3"];
        match rest.first() {
            None => return wrong("nothing but goexit"),
            Some(first) => match first.function.strip_prefix("main.") {
                Some(start) if starts.contains(&start) => {}
                None if first.function.starts_with("runtime.") => {}
                _ => return wrong("no goroutine starts there"),
            },
        }
        for pair in user.windows(2) {
            if !self.may_call(pair[0], pair[1].0) {
                return wrong(&format!("{:?} never calls {}", pair[0], pair[1].0));
            }
        }
        // A waiting goroutine is where it can block; another may be anywhere.
        if let (Status::Waiting, Some(last)) = (goroutine.status, user.last())
            && last.0.starts_with("main.")
        {
            return wrong("nobody blocks in the program's own code");
        }
        if let Some(created) = &goroutine.created_by {
            let by = (&*created.frame.function, created.frame.line);
            let wanted = match rest[0].function.strip_prefix("main.") {
                Some("breed") => ("main.main", self.line("go breed()")),
                Some("breed.gowrap1") => ("main.breed", self.line("go live(")),
                Some("main.gowrap3") => ("main.main", self.line("go sleeper(")),
                Some("main.gowrap1" | "main.gowrap2") => ("main.main", by.1),
                _ => by,
            };
            if by != wanted {
                wrong("created elsewhere");
            }
        }
    }

    fn may_call(&self, (caller, line): (&str, u32), callee: &str) -> bool {
        match (caller, callee) {
            ("main.main", "goscope.test/fixtures/hook.Serve") => line == self.line("hook.Serve()"),
            ("main.breed.gowrap1", "main.live") => line == self.line("go live("),
            ("main.main.gowrap1" | "main.main.gowrap2", "main.player") => true,
            ("main.main.gowrap3", "main.sleeper") => line == self.line("go sleeper("),
            ("main.live", "main.live") => line == self.line("live(depth - 1)"),
            ("main.live", "time.Sleep") => line == self.line("time.Sleep(3 * time.Millisecond)"),
            ("main.sleeper", "time.Sleep") => line == self.line("time.Sleep(d)"),
            ("main.player", "time.Sleep") => line == self.line("time.Sleep(time.Millisecond)"),
            ("main.player", "runtime.chansend1") => line == self.line("ball <- n + 1"),
            ("main.player", "runtime.chanrecv2") => line == self.line("for n := range ball"),
            ("main.breed", "runtime.chanrecv2") => line == self.line("for range time.Tick(time.Millisecond)"),
            // What the compiler and the standard library call for these lines, while it runs.
            ("main.breed", callee) => callee.starts_with("time.") || callee.starts_with("runtime.") || callee.starts_with("sync/atomic."),
            (caller, callee) if caller.starts_with("main.") => callee.starts_with("runtime.") || callee.starts_with("sync/atomic."),
            // Below that nothing calls back into the program.
            (_, callee) => !callee.starts_with("main."),
        }
    }
}

fn names(frames: &[Frame]) -> Vec<String> {
    frames.iter().map(|frame| format!("{} {}:{}", frame.function, frame.file, frame.line)).collect()
}
