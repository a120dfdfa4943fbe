//! The program runtimefacts, which says what its runtime says of itself.
#![allow(dead_code)] // each test uses a part of it

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use goscope::target::process::Process;
use goscope::target::runtime::GoProcess;
use serde_json::Value;

/// The last patch of every minor release, and the two that differ inside theirs.
pub const RELEASES: [&str; 12] =
    ["1.18.10", "1.19.13", "1.20.14", "1.21.13", "1.22.12", "1.23.0", "1.23.12", "1.24.0", "1.24.13", "1.25.14", "1.26.11", "1.27.4"];

/// The program runtimefacts in one link mode.
pub fn build(release: &str, mode: &str, stripped: bool) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/go");
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("runtimefacts-{release}-{mode}{}", if stripped { "" } else { "-full" }));
    let newest = ["hook/hook.go", "cmd/runtimefacts/main.go"].map(|f| fs::metadata(source.join(f)).unwrap().modified().unwrap());
    if fs::metadata(&out).is_ok_and(|m| newest.iter().all(|n| m.modified().unwrap() > *n)) {
        return out;
    }
    let result = Command::new("go")
        .args(["build", "-buildvcs=false", if stripped { "-ldflags=-s -w" } else { "-ldflags=" }, &format!("-buildmode={mode}"), "-o"])
        .arg(&out)
        .arg("./cmd/runtimefacts")
        .current_dir(&source)
        .env("GOTOOLCHAIN", format!("go{release}"))
        .env("CGO_ENABLED", "0")
        .output()
        .expect("the go command is needed to build the fixtures");
    assert!(result.status.success(), "go {release} {mode}: {}", String::from_utf8_lossy(&result.stderr));
    out
}

pub struct Fixture {
    pub child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Fixture {
    pub fn start(exe: &Path, env: &[(&str, &str)]) -> Fixture {
        let mut command = Command::new(exe);
        command.arg("work").stdin(Stdio::piped()).stdout(Stdio::piped());
        for unset in ["GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GODEBUG"] {
            command.env_remove(unset);
        }
        let mut child = command.envs(env.iter().copied()).spawn().unwrap();
        let mut fixture = Fixture { input: child.stdin.take().unwrap(), output: BufReader::new(child.stdout.take().unwrap()), child };
        assert_eq!(fixture.line(), format!("ready {}", fixture.child.id()));
        fixture
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub fn ask(&mut self, command: &str) -> String {
        writeln!(self.input, "{command}").unwrap();
        self.line()
    }

    /// What the runtime says of itself.
    pub fn told(&mut self) -> Told {
        Told(serde_json::from_str(&self.ask("facts")).unwrap())
    }

    pub fn attach(&self) -> GoProcess {
        GoProcess::attach(Process::open(self.child.id()).unwrap(), false).unwrap()
    }

    pub fn tell(&mut self, command: &str) {
        writeln!(self.input, "{command}").unwrap();
    }

    pub fn threads(&self) -> u64 {
        fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap().count() as u64
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub struct Told(pub Value);

impl Told {
    pub fn u64(&self, key: &str) -> u64 {
        self.0[key].as_u64().unwrap_or_else(|| panic!("no {key} in {}", self.0))
    }

    /// A value of runtime/metrics, where that release has it.
    pub fn metric(&self, name: &str) -> Option<u64> {
        self.0["metrics"][name].as_f64().map(|v| v as u64)
    }
}
