//! What the Go project's reader makes of execution traces: `tests/fixtures/go/tracecheck`, kept running and asked file by file.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Deserialize;

/// Ends when dropped.
pub struct Tracecheck {
    child: Child,
    /// None while it is being ended.
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    file: tempfile::NamedTempFile,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Answer {
    /// Why the reader refuses the trace; empty when it takes all.
    pub error: String,
    pub events: u64,
    /// Nanoseconds in each state by goroutine, of the states that the trace shows the end of.
    pub goroutines: BTreeMap<u64, BTreeMap<String, u64>>,
    /// How often goroutines left a thread, by reason.
    pub reasons: BTreeMap<String, u64>,
    /// Functions of all stacks, innermost first, joined by commas; with how many events.
    pub stacks: BTreeMap<String, u64>,
    /// Ranges begun, known to be on, and ended, by name.
    pub ranges: BTreeMap<String, [u64; 3]>,
    /// The last value of each metric.
    pub metrics: BTreeMap<String, u64>,
    pub labels: Vec<String>,
    /// The time of the last event.
    pub last: u64,
}

impl Tracecheck {
    /// Fails with what to do when it is not built.
    pub fn start() -> Tracecheck {
        let name = "target/fixtures/tracecheck/tracecheck";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        assert!(path.exists(), "{name} is not built: run `tests/fixtures/build.sh tracecheck`");
        let mut child = Command::new(path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Tracecheck { child, stdin, stdout, file: tempfile::NamedTempFile::new().unwrap() }
    }

    pub fn ask(&mut self, trace: &[u8]) -> Answer {
        let path = self.file.path().to_owned();
        std::fs::write(&path, trace).unwrap();
        writeln!(self.stdin.as_mut().unwrap(), "{}", path.display()).unwrap();
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: tracecheck answered {answer:?}"))
    }
}

impl Drop for Tracecheck {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}
