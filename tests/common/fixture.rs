//! A running fixture program (`tests/fixtures/go`), built by `tests/fixtures/build.sh`.

use std::fs;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Ends its process by pid when dropped.
pub struct Fixture {
    child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    /// Lines printed before the ready line.
    pub preamble: Vec<String>,
}

/// The path of a built fixture; fails with what to do when it is not there.
pub fn path(version: &str, mode: &str, variant: &str, program: &str) -> PathBuf {
    let cell = format!("target/fixtures/{version}/{mode}/{variant}/{program}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&cell);
    assert!(path.exists(), "{cell} is not built: run `tests/fixtures/build.sh all` (or `quick`, if the version is its one)");
    path
}

impl Fixture {
    /// Starts a program of `tests/fixtures/go/cmd` and waits for its ready line.
    pub fn start(exe: impl AsRef<Path>, args: &[&str], env: &[(&str, &str)]) -> Fixture {
        let mut command = Command::new(exe.as_ref());
        command.args(args).envs(env.iter().copied());
        Fixture::spawn(&mut command)
    }

    /// As `start`, of a command made by the caller.
    pub fn spawn(command: &mut Command) -> Fixture {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut fixture = Fixture { child, stdin, stdout, preamble: Vec::new() };
        loop {
            let line = fixture.line();
            if line.starts_with("ready ") {
                return fixture;
            }
            fixture.preamble.push(line);
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a command that has a reply of one line.
    pub fn ask(&mut self, command: &str) -> String {
        self.send(command);
        self.line()
    }

    /// Sends a command that has a framed reply of several lines; the first word names the frame.
    pub fn ask_block(&mut self, command: &str) -> String {
        self.send(command);
        let name = command.split(' ').next().unwrap().to_uppercase();
        assert_eq!(self.line(), format!("-----BEGIN {name}-----"));
        let end = format!("-----END {name}-----");
        let mut block = String::new();
        loop {
            let line = self.line();
            if line == end {
                return block;
            }
            block.push_str(&line);
            block.push('\n');
        }
    }

    /// The runtime's own dump of all goroutines.
    pub fn dump(&mut self) -> String {
        self.ask_block("dump")
    }

    /// The dump that SIGQUIT makes, on stderr (to be piped), which ends the program. Unlike `runtime.Stack` it obeys GOTRACEBACK.
    pub fn quit_dump(mut self) -> String {
        let mut stderr = self.child.stderr.take().expect("spawned with a pipe for stderr");
        let killed = Command::new("kill").args(["-QUIT", &self.pid().to_string()]).status().unwrap();
        assert!(killed.success());
        let mut text = String::new();
        stderr.read_to_string(&mut text).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(2), "a Go program ends with 2 after its dump");
        text
    }

    /// Ends it by its own exit.
    pub fn quit(mut self) {
        self.send("quit");
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }

    /// Nothing that was done to it has hurt it: it runs, is not stopped, nobody traces it, and it answers.
    pub fn assert_alive(&mut self) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the target must still be there");
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        let state = field("State:");
        assert!(!state.starts_with(['T', 't', 'Z', 'X']), "the target is in state {state}");
        assert_eq!(field("TracerPid:"), "0", "somebody still traces the target");
        assert_eq!(self.ask("ping"), "pong");
    }

    fn send(&mut self, command: &str) {
        writeln!(self.stdin, "{command}").expect("the target must still read commands");
    }

    fn line(&mut self) -> String {
        match self.stdout.next() {
            Some(line) => line.unwrap(),
            None => panic!("the fixture ended: {:?}", self.child.wait()),
        }
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may be gone already
        let _ = self.child.wait();
    }
}
