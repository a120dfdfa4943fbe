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

/// A change of a goroutine's state, with what its thread held before; -1 is none.
#[derive(Debug, Clone, Deserialize)]
pub struct Edge {
    pub time: u64,
    pub thread: i64,
    pub proc: i64,
    pub current: i64,
    pub goroutine: u64,
    pub from: String,
    pub to: String,
    pub reason: String,
}

impl Tracecheck {
    /// Fails with what to do when it is not built.
    pub fn start() -> Tracecheck {
        let mut child = program().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
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

/// What goroutines did in a trace that the runtime made of a program that does a bit of everything; and the trace.
pub fn recorded() -> (Vec<Edge>, Vec<u8>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(program().arg("record").arg(file.path()).status().unwrap().success());
    let output = program().arg("list").arg(file.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let edges = output.stdout.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    (edges.map(|line| serde_json::from_slice(line).unwrap()).collect(), std::fs::read(file.path()).unwrap())
}

fn program() -> Command {
    let name = "target/fixtures/tracecheck/tracecheck";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    assert!(path.exists(), "{name} is not built: run `tests/fixtures/build.sh tracecheck`");
    Command::new(path)
}

impl Drop for Tracecheck {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}
