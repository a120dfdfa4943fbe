//! What the tests of "never hurt the target" share: a target's state as the kernel tells it, and runs of goscope with a limit.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // each test uses a part of it

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use goscope::error::Result;
use goscope::goroutines::collect::{self, Options, Stopping};
use goscope::goroutines::model::Snapshot;
use goscope::target::process::Process;
use goscope::target::runtime::GoProcess;

use crate::common::fixture::{self, Fixture};

/// The Go version whose cell of the fixtures has every program.
pub const GO: &str = "1.26.11";
/// Nobody waits longer than this for anything; a hang is a failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn program(name: &str) -> PathBuf {
    fixture::path(GO, "static", "full", name)
}

pub fn attach(pid: u32) -> Result<GoProcess> {
    GoProcess::attach(Process::open(pid)?, false)
}

pub fn snapshot(process: &GoProcess) -> Result<Snapshot> {
    collect::snapshot(process, Options { stopping: Stopping::Running })
}

/// One run of the binary.
#[derive(Debug)]
pub struct Run {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Run {
    /// As `jq` would see it.
    pub fn json(&self) -> serde_json::Value {
        assert!(self.status.success(), "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    /// Ended by an error that a user can act on: its exit code, one line that says what and why, hints on lines of their own.
    pub fn assert_refused(&self, code: i32, told: &[&str]) {
        assert_eq!(self.status.code(), Some(code), "{self:?}");
        assert!(self.stdout.is_empty(), "an error is no result: {self:?}");
        let errors: Vec<&str> = self.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "one line says what happened: {self:?}");
        let known = |line: &&str| ["error: ", "hint: ", "warning: "].iter().any(|label| line.starts_with(label));
        assert!(self.stderr.lines().all(|line| known(&line)), "nothing but errors, hints and warnings: {self:?}");
        for text in told {
            assert!(self.stderr.contains(text), "'{text}' is missing: {self:?}");
        }
    }
}

pub fn goscope(args: &[&str]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_goscope"));
    command.args(args);
    run(&mut command)
}

/// Runs a command to its end; one that does not end is killed, and that is a failure.
pub fn run(command: &mut Command) -> Run {
    let begin = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (done, ended) = mpsc::channel();
    let collect = |mut from: Box<dyn Read + Send>, done: mpsc::Sender<()>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).unwrap();
            let _ = done.send(()); // nobody listens after a failure
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let (stdout, stderr) = (collect(Box::new(out), done.clone()), collect(Box::new(err), done));
    let both = ended.recv_timeout(PATIENCE).and_then(|()| ended.recv_timeout(PATIENCE));
    if both.is_err() {
        child.kill().unwrap();
        panic!("{command:?} hangs");
    }
    let status = child.wait().unwrap();
    Run { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap(), took: begin.elapsed() }
}

/// Calls `check` until it is true.
pub fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !check() {
        assert!(begin.elapsed() < PATIENCE, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Ends a process by pid when it goes out of scope.
pub struct Reaped(pub Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may be gone already
        let _ = self.0.wait();
    }
}

/// A line of /proc/PID/status or /proc/PID/task/TID/status; `None` when the process or the line is not there.
pub fn status_line(entry: &str, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{entry}/status")).ok()?;
    Some(status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?.trim().to_owned())
}

pub fn threads(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect()
}

/// As ps shows it: R, S, D, T (stopped), t (stopped by a tracer), Z …
pub fn thread_state(pid: u32, tid: u32) -> Option<char> {
    status_line(&format!("{pid}/task/{tid}"), "State")?.chars().next()
}

/// The threads that somebody traces.
pub fn traced(pid: u32) -> Vec<u32> {
    let is_traced = |tid: &u32| status_line(&format!("{pid}/task/{tid}"), "TracerPid").is_some_and(|tracer| tracer != "0");
    threads(pid).into_iter().filter(is_traced).collect()
}

/// The threads that do not run on.
pub fn stopped(pid: u32) -> Vec<(u32, char)> {
    let state = |tid: u32| Some((tid, thread_state(pid, tid)?));
    threads(pid).into_iter().filter_map(state).filter(|(_, state)| matches!(state, 't' | 'T' | 'Z' | 'X')).collect()
}

/// Every thread of it runs, nobody traces any of them, and the program answers.
pub fn assert_unharmed(target: &mut Fixture) {
    assert_eq!(traced(target.pid()), [0u32; 0], "still traced");
    assert_eq!(stopped(target.pid()), [], "still stopped");
    target.assert_alive();
}

/// The numbers that a fixture's command "count" replies.
pub fn counts(target: &mut Fixture) -> Vec<u64> {
    let reply = target.ask("count");
    reply.trim_matches(['[', ']']).split(' ').map(|n| n.parse().unwrap_or_else(|_| panic!("{reply}"))).collect()
}

/// Each of the numbers has grown.
pub fn assert_goes_on(target: &mut Fixture, before: &[u64]) {
    eventually("more work of each kind", || counts(target).iter().zip(before).all(|(now, then)| now > then));
}
