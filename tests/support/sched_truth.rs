//! Runs `goscope sched` or `profile` while a program keeps its own books (`schedload.rs`), and puts both beside each other.
//!
//! The program is asked for its books again and again during the run, so that those of goscope's own window lie between two differences:
//! from the last answer before it began to the first after it ended, and from the first within to the last within. Nothing is
//! interpolated, so a busy machine makes the bounds wider, not wrong.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // each test uses a part of it

use std::ops::RangeInclusive;
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::schedload::{self, Load};

/// Between two looks at the books.
const POLL: Duration = Duration::from_millis(50);

pub struct Looked {
    pub doc: Value,
    pub stderr: String,
    /// The books since `begin`, and when they were taken, by CLOCK_MONOTONIC; the first ones are zeros.
    books: Vec<(i64, Value)>,
    /// From CLOCK_MONOTONIC to the wall clock.
    to_wall_ns: i64,
}

/// goscope with `--format json`, for `seconds`.
pub fn look(load: &mut Load, command: &str, seconds: u32, args: &[&str]) -> Looked {
    let begin = load.begin() as i64;
    let mut to_wall_ns = wall_ns(SystemTime::now()) - begin;
    let mut books = vec![(begin, Value::Null)];
    let running = start(load, command, seconds, args);
    loop {
        let over = running.is_finished();
        let truth = load.end();
        let at = schedload::number(&truth, "end_ns");
        to_wall_ns = to_wall_ns.min(wall_ns(SystemTime::now()) - at);
        books.push((at, truth));
        if over {
            break;
        }
        std::thread::sleep(POLL); // how often it is looked, not a wait for something
    }
    looked(load, running, books, to_wall_ns)
}

/// As `look`, but nobody asks the program for its books, for the answer would be work too: there is no `truth`.
pub fn look_undisturbed(load: &mut Load, command: &str, seconds: u32, args: &[&str]) -> Looked {
    let running = start(load, command, seconds, args);
    looked(load, running, Vec::new(), 0)
}

fn start(load: &Load, command: &str, seconds: u32, args: &[&str]) -> JoinHandle<Output> {
    // Before the program: who is not let to read loses events, and that is not what is looked at here.
    let mut goscope = Command::new("nice");
    goscope
        .args([
            "-n",
            "-15",
            env!("CARGO_BIN_EXE_goscope"),
            command,
            &load.pid().to_string(),
            "--format",
            "json",
            "--duration",
            &format!("{seconds}s"),
        ])
        .args(args);
    let child = goscope.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::spawn(move || child.wait_with_output().unwrap())
}

fn looked(load: &mut Load, running: JoinHandle<Output>, books: Vec<(i64, Value)>, to_wall_ns: i64) -> Looked {
    let output = running.join().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {stderr}", output.status);
    let doc: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("not JSON: {error}"));
    load.fixture.assert_alive();
    let looked = Looked { doc, stderr, books, to_wall_ns };
    looked.assert_sums();
    looked
}

fn wall_ns(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64
}

impl Looked {
    pub fn window_ns(&self) -> i64 {
        schedload::number(&self.doc, "window_ns")
    }

    /// When goscope's window began and ended, by CLOCK_MONOTONIC.
    pub fn window(&self) -> (i64, i64) {
        let captured = humantime::parse_rfc3339(self.doc["captured_at"].as_str().unwrap()).unwrap();
        let begin = wall_ns(captured) - self.to_wall_ns;
        (begin, begin + self.window_ns())
    }

    /// The least and the most that a figure which only grows can have grown by in goscope's window.
    pub fn truth(&self, figure: impl Fn(&Value) -> i64) -> RangeInclusive<i64> {
        let (begin, end) = self.window();
        let value = |books: &(i64, Value)| if books.1.is_null() { 0 } else { figure(&books.1) };
        let last_until = |at: i64| self.books.iter().rev().find(|(when, _)| *when <= at).map(value);
        let first_from = |at: i64| self.books.iter().find(|(when, _)| *when >= at).map(value);
        let most = first_from(end).expect("the books go on after the window") - last_until(begin).expect("they began before it");
        let least = last_until(end).unwrap() - first_from(begin).unwrap();
        least.max(0)..=most
    }

    /// All of the books, from before goscope's window until after it.
    pub fn last(&self) -> &Value {
        &self.books.last().unwrap().1
    }

    pub fn time(&self, part: &str) -> i64 {
        let time = &self.doc["time"];
        // What a tier cannot tell is null, and no part of the sum.
        if time[part].is_null() { 0 } else { schedload::number(time, part) }
    }

    pub fn rows(&self) -> &[Value] {
        self.doc["stacks"].as_array().unwrap()
    }

    /// Time of all rows that fit.
    pub fn ns(&self, fits: impl Fn(&Value) -> bool) -> i64 {
        self.rows().iter().filter(|row| fits(row)).map(ns).sum()
    }

    /// What `time` says is what the rows say, and its parts are the total.
    fn assert_sums(&self) {
        let parts = ["on_cpu", "runnable", "no_cpu", "waiting", "syscall", "gc_assist", "unobserved"];
        let sum: i64 = parts.iter().map(|part| self.time(&format!("{part}_ns"))).sum();
        assert_eq!(sum, self.time("total_ns"), "{}", self.doc["time"]);
        if self.doc["schema"] == "goscope.sched" {
            for part in &parts[..6] {
                assert_eq!(self.ns(|row| row["class"] == *part), self.time(&format!("{part}_ns")), "{part}");
            }
        }
    }
}

pub fn ns(row: &Value) -> i64 {
    schedload::number(row, "on_cpu_ns") + schedload::number(row, "off_cpu_ns")
}

/// A function stands anywhere on the row's (or hop's) stack.
pub fn on_stack(row: &Value, function: &str) -> bool {
    row["frames"].as_array().unwrap().iter().any(|frame| frame["function"] == function)
}

/// What is told lies between the bounds, give or take a part of them.
pub fn assert_close(what: &str, told: i64, truth: &RangeInclusive<i64>, part: f64) {
    let (low, high) = (*truth.start() as f64 * (1.0 - part), *truth.end() as f64 * (1.0 + part));
    assert!((low..=high).contains(&(told as f64)), "{what}: {told} is not within {:.0} % of {truth:?}", part * 100.0);
}

/// Each has the share of all that it can have had, give or take 3 points.
pub fn assert_shares<const N: usize>(names: [&str; N], told: [i64; N], truth: [RangeInclusive<i64>; N]) {
    let share = |part: i64, others: i64| 100.0 * part as f64 / (part + others).max(1) as f64;
    for (i, name) in names.into_iter().enumerate() {
        let others = |of: &dyn Fn(usize) -> i64| (0..N).filter(|&other| other != i).map(of).sum::<i64>();
        let low = share(*truth[i].start(), others(&|other| *truth[other].end()));
        let high = share(*truth[i].end(), others(&|other| *truth[other].start()));
        let told_share = share(told[i], others(&|other| told[other]));
        let close = (low - 3.0..=high + 3.0).contains(&told_share);
        assert!(close, "{name}: told {told_share:.1} %, true {low:.1} to {high:.1} % ({told:?}, {truth:?})");
    }
}
