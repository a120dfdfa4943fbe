//! Go programs of `tests/fixtures/go`, built with the local Go, started, and waited for until they say `ready`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Builds a program once; `flags` go to `go build`, `name` is the file's.
pub fn build(name: &str, program: &str, flags: &[&str]) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("services").join(name);
    let built = Command::new("go")
        .args(["build", "-buildvcs=false"])
        .args(flags)
        .arg("-o")
        .arg(&out)
        .arg(format!("./cmd/{program}"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/go"))
        .output()
        .expect("the go command is needed to build the fixtures");
    assert!(built.status.success(), "{name}: {}", String::from_utf8_lossy(&built.stderr));
    out
}

/// Copies a program that will be run. Not by this process: a child that another test forks meanwhile would hold the copy open for writing,
/// and the kernel runs no such file (ETXTBSY).
#[allow(dead_code)]
pub fn copy_program(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    assert!(Command::new("cp").arg(from.as_ref()).arg(to.as_ref()).status().unwrap().success());
}

/// A running program; killed when dropped.
pub struct Service {
    pub child: Child,
    /// What it printed before the ready line.
    pub said: Vec<String>,
}

impl Service {
    pub fn start(command: &mut Command) -> Service {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = Vec::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        loop {
            let line = lines.next().expect("the program ended before it was ready").unwrap();
            if line.starts_with("ready ") {
                break;
            }
            said.push(line);
        }
        Service { child, said }
    }

    pub fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// Still there, and not stopped.
    pub fn assert_unharmed(&self) {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let state = stat.rsplit_once(") ").unwrap().1.chars().next().unwrap();
        assert!(!matches!(state, 'T' | 't' | 'Z' | 'X'), "the target is in state {state}");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// False, with the reason on stderr, for a user that is not root; in CI (`CI=true`) that is a failure, not a skip.
pub fn is_root(what: &str) -> bool {
    let root = std::fs::read_to_string("/proc/self/status").unwrap().lines().any(|line| line.starts_with("Uid:\t0\t"));
    if !root {
        // Past the test harness, which keeps what a passing test prints to itself; `.ci/run` counts these lines.
        #[allow(clippy::explicit_write)]
        writeln!(std::io::stderr(), "SKIPPED: {what} needs root").unwrap();
        assert!(std::env::var("CI").is_err(), "CI must run {what} as root");
    }
    root
}
