//! Targets that stand still: stopped by a signal, frozen, asleep where nothing wakes them, or in the hands of another tracer.
//! goscope sees them, soon, and leaves them as they are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(unsafe_code)] // a tracer, and signals

mod common;
#[path = "support/harm.rs"]
mod harm;
#[path = "support/service.rs"]
#[allow(dead_code)]
mod service;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::fixture::Fixture;
use goscope::sys::ptrace::{StopError, Stopper};
use harm::*;
use serde_json::Value;

const SOON: Duration = Duration::from_secs(2);
const MODES: [&[&str]; 4] = [&[], &["--pause"], &["--pause=all"], &["--no-stop"]];

/// One of its goroutines is on a CPU all the time.
fn spinning() -> Fixture {
    let mut target = Fixture::start(program("spin"), &["1"], &[("GODEBUG", "asyncpreemptoff=1"), ("GOGC", "off")]);
    eventually("it has got a CPU", || counts(&mut target)[0] > 0);
    target
}

/// One run that ends soon, with a result.
fn look(pid: u32, mode: &[&str]) -> Value {
    let run = goscope(&[&["goroutines", &pid.to_string(), "--format", "json"], mode].concat());
    let document = run.json();
    assert!(run.took < SOON, "{mode:?} took {:?}", run.took);
    document
}

/// Goroutines that run Go code, as far as the scheduler knows, with their innermost functions; `None` for one that was not read.
fn running(document: &Value) -> Vec<Option<Vec<&str>>> {
    let stacks = document["stacks"].as_array().unwrap();
    let functions = |goroutine: &Value| -> Option<Vec<&str>> {
        let frames = stacks[goroutine["stack"].as_u64()? as usize]["frames"].as_array()?;
        Some(frames.iter().map(|frame| frame["function"].as_str().unwrap()).collect()).filter(|names: &Vec<&str>| !names.is_empty())
    };
    document["goroutines"].as_array().unwrap().iter().filter(|g| g["status"] == "running").map(functions).collect()
}

/// Nothing runs, so that everything can be read without a stop.
fn assert_all_read(document: &Value, mode: &[&str]) {
    let running = running(document);
    assert!(!running.is_empty(), "{mode:?}: goroutines were on the CPUs when it was stopped");
    assert!(running.iter().all(Option::is_some), "{mode:?}: {running:?}, {}", document["quality"]);
    assert_eq!(document["quality"]["not_read"], 0, "{mode:?}");
}

#[test]
fn a_target_stopped_by_a_signal_is_read_and_stays_stopped() {
    let mut target = spinning();
    let pid = target.pid();
    let before = counts(&mut target);
    send(pid, libc::SIGSTOP);
    let all_stopped = || threads(pid).into_iter().all(|tid| thread_state(pid, tid) == Some('T'));
    eventually("every thread is stopped", all_stopped);
    for mode in MODES {
        assert_all_read(&look(pid, mode), mode);
        assert!(all_stopped(), "{mode:?}: {:?}", stopped(pid));
        assert_eq!(traced(pid), [0u32; 0], "{mode:?}");
    }
    let info = goscope(&["info", &pid.to_string()]);
    assert!(info.status.success() && info.took < SOON, "{info:?}");
    assert!(all_stopped());
    send(pid, libc::SIGCONT);
    assert_goes_on(&mut target, &before[..1]);
    assert_unharmed(&mut target);
}

/// A control group with a freezer, removed when it goes out of scope.
struct Freezer {
    folder: PathBuf,
    file: &'static str,
    frozen: (&'static str, &'static str),
    thawed: &'static str,
}

impl Freezer {
    fn of(kind: &str) -> Freezer {
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let mount = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find(|mount| match kind {
            "v2" => mount[2] == "cgroup2",
            _ => mount[2] == "cgroup" && mount[3].split(',').any(|option| option == "freezer"),
        });
        let name = format!("goscope-test-{}", std::process::id());
        let root = mount.map_or_else(|| mounted(kind), |mount| PathBuf::from(mount[1]));
        let folder = root.join(name);
        fs::create_dir(&folder).unwrap();
        match kind {
            "v2" => Freezer { folder, file: "cgroup.freeze", frozen: ("1", "frozen 1"), thawed: "0" },
            _ => Freezer { folder, file: "freezer.state", frozen: ("FROZEN", "FROZEN"), thawed: "THAWED" },
        }
    }

    fn freeze(&self, pid: u32) {
        fs::write(self.folder.join("cgroup.procs"), pid.to_string()).unwrap();
        fs::write(self.folder.join(self.file), self.frozen.0).unwrap();
        eventually("everything is frozen", || self.is_frozen());
    }

    fn is_frozen(&self) -> bool {
        let events = if self.file == "cgroup.freeze" { "cgroup.events" } else { self.file };
        fs::read_to_string(self.folder.join(events)).unwrap().lines().any(|line| line == self.frozen.1)
    }

    fn thaw(&self) {
        fs::write(self.folder.join(self.file), self.thawed).unwrap();
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        self.thaw();
        // Only an empty one can be removed.
        let parent = self.folder.parent().unwrap().join("cgroup.procs");
        for pid in fs::read_to_string(self.folder.join("cgroup.procs")).unwrap().lines() {
            let _ = fs::write(&parent, pid); // it may have ended
        }
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Where the machine has no hierarchy of that kind, one is mounted.
fn mounted(kind: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cgroup-{kind}"));
    fs::create_dir_all(&folder).unwrap();
    let flags: &[&str] = if kind == "v2" { &["-t", "cgroup2"] } else { &["-t", "cgroup", "-o", "freezer"] };
    let mounted = Command::new("mount").args(flags).arg("goscope").arg(&folder).status().unwrap();
    assert!(mounted.success(), "this kernel has no cgroup {kind} freezer");
    folder
}

fn frozen_target_is_read_and_stays_frozen(kind: &str) {
    if !service::is_root("freezing a control group") {
        return;
    }
    let mut target = spinning();
    let pid = target.pid();
    let before = counts(&mut target);
    let freezer = Freezer::of(kind);
    freezer.freeze(pid);
    for mode in MODES {
        let document = look(pid, mode);
        assert_all_read(&document, mode);
        assert!(freezer.is_frozen(), "{mode:?}");
        assert_eq!(traced(pid), [0u32; 0], "{mode:?}");
    }
    freezer.thaw();
    assert_goes_on(&mut target, &before[..1]);
    assert_unharmed(&mut target);
}

#[test]
fn a_frozen_target_is_read_and_stays_frozen() {
    frozen_target_is_read_and_stays_frozen("v2");
}

#[test]
fn a_target_frozen_by_the_old_freezer_is_read_and_stays_frozen() {
    frozen_target_is_read_and_stays_frozen("v1");
}

#[test]
fn a_thread_in_uninterruptible_sleep_is_read_and_let_be() {
    let mut target = Fixture::start(program("vforked"), &[], &[("GODEBUG", "asyncpreemptoff=1")]);
    let pid = target.pid();
    let stuck: u32 = target.ask("stuck").parse().unwrap();
    for mode in MODES {
        let document = look(pid, mode);
        let found = running(&document);
        let waits = |names: &Option<Vec<&str>>| {
            names.as_ref().is_some_and(|names| names.windows(2).any(|pair| pair == ["main.vfork", "main.wait"]))
        };
        assert!(found.iter().any(waits), "{mode:?}: {found:?}, {}", document["quality"]);
        assert_eq!(thread_state(pid, stuck), Some('D'), "{mode:?}");
        assert_unharmed(&mut target);
    }
    // Should one ever fall asleep between the look at it and the stop: given up in time, and let go.
    let tried = std::thread::spawn(move || {
        let begin = std::time::Instant::now();
        let stopped = Stopper::new().unwrap().stop(stuck, Duration::from_millis(50));
        assert!(matches!(stopped, Err(StopError::Timeout)), "{stopped:?}");
        begin.elapsed()
    });
    let took = tried.join().unwrap();
    assert!(took < Duration::from_secs(1), "{took:?}");
    eventually("the kernel lets go", || traced(pid).is_empty());
    assert_eq!(thread_state(pid, stuck), Some('D'));
    assert_unharmed(&mut target);
}

/// Ends the tracer also when a test fails.
struct Until<'a>(&'a AtomicBool);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Seizes every thread of a process, as a debugger or strace does; `hold` keeps them stopped. Ends with `done`.
fn trace(pid: u32, hold: bool, ready: &AtomicBool, done: &AtomicBool) {
    let ptrace = |request, tid: u32, data: usize| {
        // SAFETY: these requests take their arguments by value.
        unsafe { libc::ptrace(request, tid as libc::pid_t, 0usize, data) }
    };
    let tids = threads(pid);
    for &tid in &tids {
        assert_eq!(ptrace(libc::PTRACE_SEIZE, tid, 0), 0);
        if hold {
            assert_eq!(ptrace(libc::PTRACE_INTERRUPT, tid, 0), 0);
        }
    }
    if hold {
        eventually("the tracer has stopped every thread", || tids.iter().all(|&tid| thread_state(pid, tid) == Some('t')));
    }
    ready.store(true, Ordering::Relaxed);
    while !done.load(Ordering::Relaxed) {
        for &tid in tids.iter().filter(|_| !hold) {
            let mut status = 0;
            // SAFETY: `status` is a valid int.
            let waited = unsafe { libc::waitpid(tid as libc::pid_t, &mut status, libc::WNOHANG | libc::__WALL) };
            if waited > 0 && libc::WIFSTOPPED(status) {
                let signal = if status >> 16 == 0 { libc::WSTOPSIG(status) } else { 0 };
                ptrace(libc::PTRACE_CONT, tid, signal as usize);
            }
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    // The kernel detaches its tracees when this thread ends.
}

#[test]
fn a_target_that_runs_under_another_tracer_is_read_without_stops() {
    let mut target = spinning();
    let pid = target.pid();
    let before = counts(&mut target);
    let (ready, done) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let _until = Until(&done);
        scope.spawn(|| trace(pid, false, &ready, &done));
        eventually("it is traced", || ready.load(Ordering::Relaxed));
        let mut not_read = 0;
        for mode in MODES.into_iter().cycle().take(12) {
            let run = goscope(&[&["goroutines", &pid.to_string(), "--format", "json"], mode].concat());
            let document = run.json();
            let found = running(&document);
            let missing = found.iter().filter(|stack| stack.is_none()).count() as u64;
            assert_eq!(document["quality"]["not_read"].as_u64(), Some(missing), "{mode:?}");
            // The tracer has every thread that was there in the beginning.
            if missing > 0 && mode != ["--no-stop"] {
                let told = format!("process {} (e2e_stuck_targe", std::process::id());
                assert!(run.stderr.contains(&told), "{mode:?}: {}", run.stderr);
                not_read += missing;
            }
        }
        assert!(not_read > 0, "spinning goroutines were met");
        assert!(!traced(pid).is_empty(), "its tracer keeps it");
    });
    // The thread is joined a little before it has ended.
    eventually("its tracer lets go of it", || traced(pid).is_empty());
    assert_goes_on(&mut target, &before[..1]);
    assert_unharmed(&mut target);
}

#[test]
fn a_target_that_another_tracer_holds_is_read_and_stays_held() {
    let mut target = spinning();
    let pid = target.pid();
    let before = counts(&mut target);
    let (ready, done) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let _until = Until(&done);
        scope.spawn(|| trace(pid, true, &ready, &done));
        eventually("it is held", || ready.load(Ordering::Relaxed));
        for mode in MODES {
            assert_all_read(&look(pid, mode), mode);
            assert!(threads(pid).into_iter().all(|tid| thread_state(pid, tid) == Some('t')), "{mode:?}: {:?}", stopped(pid));
        }
    });
    // The thread is joined a little before it has ended.
    eventually("its tracer lets go of it", || traced(pid).is_empty());
    assert_goes_on(&mut target, &before[..1]);
    assert_unharmed(&mut target);
}

fn send(pid: u32, signal: libc::c_int) {
    // SAFETY: no memory is passed.
    assert_eq!(unsafe { libc::kill(pid as libc::pid_t, signal) }, 0);
}
