//! The Go programs that are looked at.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running program; ends when dropped.
pub struct Subject {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// What stood behind "ready".
    pub ready: String,
}

impl Subject {
    pub fn start(program: &Path, args: &[&str]) -> Subject {
        let command = Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = command.unwrap_or_else(|error| panic!("{}: {error} (make fixtures builds it)", program.display()));
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut subject = Subject { child, stdin, stdout, ready: String::new() };
        let line = subject.line();
        subject.ready = line.strip_prefix("ready ").unwrap_or_else(|| panic!("{}: {line}", program.display())).to_owned();
        subject
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn ask(&mut self, line: &str) -> String {
        let stdin = self.stdin.as_mut().expect("open until the end");
        writeln!(stdin, "{line}").expect("the program reads its stdin");
        self.line()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("the program writes lines");
        line.trim_end().to_owned()
    }

    /// CPU time of all its threads so far, in nanoseconds (`/proc/PID/task/TID/schedstat`, first field).
    pub fn cpu_ns(&self) -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).expect("the program lives");
        let of_task = |path: PathBuf| fs::read_to_string(path.join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok();
        tasks.filter_map(|task| of_task(task.ok()?.path())).sum()
    }

    /// Alive, and not stopped by anything.
    pub fn is_well(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        let state = stat.rsplit(')').next().unwrap_or_default().trim_start().chars().next();
        matches!(state, Some('R' | 'S' | 'D'))
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // The end of stdin is its sign to stop; with a million goroutines a signal is surer.
        self.stdin = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
