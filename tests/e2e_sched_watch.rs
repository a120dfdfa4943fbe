//! `goscope sched --watch` on a terminal: one that `script` (util-linux) makes, and whose size and keys the test has in hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of a test may unwrap

mod common;
#[path = "support/harm.rs"]
mod harm;
#[path = "support/schedload.rs"]
mod schedload;
#[path = "support/text.rs"]
mod text;

use std::fs;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use harm::{Reaped, assert_unharmed, eventually};
use schedload::start;
use tempfile::TempDir;
use text::assert_untouched;

const ROWS: u16 = 200;
/// What goes before each table: the cursor to the first place, and all cleared from there.
const REDRAW: &str = "\x1b[H\x1b[2J";

/// goscope on a terminal of its own, which is asked for its settings before and after.
struct Watched {
    script: Reaped,
    shown: Arc<Mutex<Vec<u8>>>,
    dir: TempDir,
}

impl Watched {
    fn start(pid: u32, columns: u16) -> Watched {
        let dir = TempDir::new().unwrap();
        let at = dir.path().display();
        // The interrupt of the terminal goes to the shell too, which has to live on.
        let inside = format!(
            "stty cols {columns} rows {ROWS}; tty >{at}/tty; stty -g >{at}/before; trap : INT; \
             env --default-signal=INT {} sched {pid} --watch --tier 1 --duration 200ms 2>{at}/stderr; code=$?; stty -g >{at}/after; exit $code",
            env!("CARGO_BIN_EXE_goscope")
        );
        let mut script = Command::new("script");
        script.args(["--quiet", "--flush", "--return", "--command", &inside, "/dev/null"]).env("SHELL", "/bin/sh").env("TERM", "xterm");
        let child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("`script` of util-linux is needed");
        let mut script = Reaped(child);
        let shown: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (mut from, to) = (script.0.stdout.take().unwrap(), Arc::clone(&shown));
        std::thread::spawn(move || {
            let mut block = [0; 4096];
            while let Ok(n @ 1..) = from.read(&mut block) {
                to.lock().unwrap().extend_from_slice(&block[..n]);
            }
        });
        Watched { script, shown, dir }
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    /// All that was written to the terminal.
    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    /// Waits for so many whole tables on top of those that are there, and returns the last.
    fn more_tables(&self, n: usize) -> String {
        let before = self.shown().matches(REDRAW).count();
        eventually("more tables", || {
            assert!(self.file("after").is_empty(), "goscope ended: {}", self.file("stderr"));
            self.shown().matches(REDRAW).count() > before + n
        });
        // What follows the last mark may be half of a table.
        self.shown().split(REDRAW).nth(before + n).unwrap().to_owned()
    }

    fn resize(&self, columns: u16) {
        let tty = PathBuf::from(self.file("tty").trim());
        let done = Command::new("stty").arg("-F").arg(&tty).args(["cols", &columns.to_string()]).status().unwrap();
        assert!(done.success());
    }

    fn press(&mut self, key: &[u8]) {
        let keys = self.script.0.stdin.as_mut().unwrap();
        keys.write_all(key).unwrap();
        keys.flush().unwrap();
    }

    /// Its exit code, once it has ended by itself.
    fn code(&mut self) -> Option<i32> {
        let mut status = None;
        eventually("the end of goscope", || {
            status = self.script.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }

    fn assert_terminal_restored(&self) {
        let (before, after) = (self.file("before"), self.file("after"));
        assert!(!before.is_empty(), "the terminal told its settings");
        assert_eq!(after, before);
        let shown = self.shown();
        let screen = screen(&shown);
        let screen = screen.screen();
        assert!(!screen.hide_cursor() && !screen.alternate_screen() && !screen.bracketed_paste(), "{shown:?}");
    }
}

/// What a wide terminal shows.
fn screen(written: &str) -> vt100::Parser {
    let mut screen = vt100::Parser::new(NonZeroU16::new(ROWS).unwrap(), NonZeroU16::new(500).unwrap(), 0);
    screen.process(written.as_bytes());
    screen
}

/// Columns of the widest line.
fn width(table: &str) -> usize {
    let screen = screen(table);
    screen.screen().rows(0, 500).map(|line| line.trim_end().chars().count()).max().unwrap()
}

#[test]
fn each_table_takes_the_place_of_the_last_and_fits_the_terminal_as_it_is_now() {
    let mut target = start("sleepers", &["4", "20"]);
    let mut watched = Watched::start(target.pid(), 150);
    let wide = watched.more_tables(2);
    assert!(width(&wide) > 90 && width(&wide) <= 150, "{} columns: {wide}", width(&wide));
    assert_eq!(wide.matches("tier 1").count(), 1, "one table: {wide}");
    for columns in [80, 120] {
        watched.resize(columns);
        // One may have been under way.
        let table = watched.more_tables(2);
        assert!(width(&table) <= usize::from(columns), "{} of {columns} columns: {table}", width(&table));
    }
    watched.press(b"\x03");
    assert_eq!(watched.code(), Some(0), "{}", watched.file("stderr"));
    watched.assert_terminal_restored();
    assert_untouched(target.pid());
    assert_unharmed(&mut target.fixture);
}

#[test]
fn a_target_that_exits_ends_the_watch_with_its_code() {
    let target = start("sleepers", &["4", "20"]);
    let mut watched = Watched::start(target.pid(), 100);
    watched.more_tables(1);
    let pid = target.pid();
    target.fixture.quit();
    assert_eq!(watched.code(), Some(3), "{}", watched.file("stderr"));
    let stderr = watched.file("stderr");
    let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors, [format!("error: process {pid} (schedload) has exited")], "{stderr}");
    watched.assert_terminal_restored();
}
