//! `goscope cardinality --tui` in a terminal: it walks, it leaves, and the terminal is as it was.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unsafe_code)]

#[path = "support/scraped.rs"]
mod scraped;

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use scraped::{cardinality, scrapes};

/// `script` gives it a terminal of its own; what is typed goes in, what is drawn comes out.
struct Terminal {
    script: Child,
    folder: tempfile::TempDir,
    screen: vt100::Parser,
    /// All that was drawn.
    drawn: Vec<u8>,
}

impl Terminal {
    fn start() -> Terminal {
        let body = format!("{}/client_golang.txt", scrapes().display());
        Terminal::run(&format!("{} cardinality {body} --tui", env!("CARGO_BIN_EXE_goscope")), 120)
    }

    fn run(goscope: &str, columns: u16) -> Terminal {
        let folder = tempfile::tempdir().unwrap();
        // What a test run in the background, or under nohup, ignores is not for the program to ignore.
        let goscope = format!("env --default-signal=HUP,INT,QUIT,TERM {goscope}");
        let shell = format!("stty cols {columns} rows 30; stty -a >before; {goscope}; echo $? >code; stty -a >after");
        let mut command = Command::new("script");
        command.args(["--quiet", "--command", &format!("sh -c '{shell}'"), "/dev/null"]).current_dir(folder.path());
        let script = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        Terminal { script, folder, screen: vt100::Parser::new(size(30), size(columns), 0), drawn: Vec::new() }
    }

    /// Waits until that is on the screen.
    fn expect(&mut self, text: &str) {
        let mut bytes = [0; 4096];
        while !self.screen.screen().contents().contains(text) {
            let count = self.script.stdout.as_mut().unwrap().read(&mut bytes).unwrap();
            assert!(count > 0, "{text:?} was not drawn:\n{}", self.screen.screen().contents());
            self.screen.process(&bytes[..count]);
            self.drawn.extend(&bytes[..count]);
        }
    }

    fn expect_gone(&mut self, text: &str) {
        let mut bytes = [0; 4096];
        while self.screen.screen().contents().contains(text) {
            let count = self.script.stdout.as_mut().unwrap().read(&mut bytes).unwrap();
            assert!(count > 0, "{text:?} is still there:\n{}", self.screen.screen().contents());
            self.screen.process(&bytes[..count]);
            self.drawn.extend(&bytes[..count]);
        }
    }

    fn type_in(&mut self, keys: &str) {
        let input = self.script.stdin.as_mut().unwrap();
        input.write_all(keys.as_bytes()).and_then(|()| input.flush()).unwrap();
    }

    /// The exit code; the terminal must be as before.
    fn end(mut self) -> String {
        self.script.stdout.as_mut().unwrap().read_to_end(&mut self.drawn).unwrap();
        let drawn = String::from_utf8_lossy(&self.drawn);
        assert!(drawn.contains("\x1b[?1049l") && drawn.contains("\x1b[?25h"), "the usual screen and the cursor are back");
        self.script.wait().unwrap();
        let file = |name: &str| std::fs::read_to_string(self.folder.path().join(name)).unwrap();
        assert_eq!(file("before"), file("after"));
        file("code").trim().to_owned()
    }
}

#[test]
fn it_searches_opens_and_leaves() {
    let mut terminal = Terminal::start();
    terminal.expect("? help");
    terminal.type_in("/queue_wait");
    terminal.expect("/queue_wait_");
    terminal.type_in("\r");
    terminal.expect("Esc ends the search");
    terminal.type_in("l");
    terminal.expect("9 values");
    terminal.type_in("r");
    terminal.expect("rebuilt from what was read");
    terminal.type_in("q");
    terminal.expect("Esc ends the search");
    terminal.type_in("q");
    assert_eq!(terminal.end(), "0");
}

#[test]
fn a_scrape_that_is_piped_in_leaves_the_keys_to_the_terminal() {
    let goscope = format!("cat {}/client_golang.txt | {} cardinality - --tui", scrapes().display(), env!("CARGO_BIN_EXE_goscope"));
    let mut terminal = Terminal::run(&goscope, 120);
    terminal.expect("? help");
    terminal.type_in("s");
    terminal.expect("by name");
    terminal.type_in("q");
    assert_eq!(terminal.end(), "0");
}

#[test]
fn a_signal_ends_it_and_the_terminal_is_as_before() {
    for signal in [libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT] {
        let mut terminal = Terminal::start();
        terminal.expect("? help");
        send(descendant(terminal.script.id()), signal);
        assert_eq!(terminal.end(), "0", "{signal}");
    }
}

fn send(pid: u32, signal: i32) {
    // SAFETY: no memory is passed; the process is a descendant of this test.
    assert_eq!(unsafe { libc::kill(pid as libc::pid_t, signal) }, 0);
}

#[test]
fn ctrl_z_gives_the_terminal_back_until_it_goes_on() {
    let mut terminal = Terminal::start();
    terminal.expect("? help");
    let goscope = descendant(terminal.script.id());
    let is_stopped = || std::fs::read_to_string(format!("/proc/{goscope}/stat")).unwrap().contains(") T ");
    terminal.type_in("\x1a");
    terminal.expect_gone("? help");
    while !is_stopped() {
        std::thread::yield_now();
    }
    send(goscope, libc::SIGCONT);
    terminal.expect("? help");
    terminal.type_in("q");
    assert_eq!(terminal.end(), "0");
}

#[test]
fn raw_lines_that_are_too_long_say_so_and_move_along_to_their_value() {
    let goscope = format!("{} cardinality {}/client_golang.txt --tui", env!("CARGO_BIN_EXE_goscope"), scrapes().display());
    let mut terminal = Terminal::run(&goscope, 60);
    terminal.expect("? help");
    terminal.type_in("r");
    terminal.expect("rebuilt");
    terminal.expect("…");
    assert!(!terminal.screen.screen().contents().contains("le=\"+Inf\"} "));
    for _ in 0..5 {
        terminal.type_in("l");
    }
    terminal.expect("le=\"+Inf\"} ");
    for _ in 0..5 {
        terminal.type_in("h");
    }
    terminal.expect("http_request_duration_seconds_bucket{");
    terminal.type_in("qq");
    assert_eq!(terminal.end(), "0");
}

/// The only process without children below it.
fn descendant(pid: u32) -> u32 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.split_whitespace().next().map_or(pid, |child| descendant(child.parse().unwrap()))
}

#[test]
fn without_a_terminal_it_is_refused() {
    let run = cardinality(&scrapes(), &["client_golang.txt", "--tui"]);
    assert_eq!(run.code, 2);
    assert_eq!(run.stderr, "error: --tui needs a terminal on standard output, and for keys\nhint: --format table prints the same\n");
}

fn size(cells: u16) -> std::num::NonZero<u16> {
    std::num::NonZero::new(cells).unwrap()
}
