//! Starts `schedload` and `schedcgo` (`tests/fixtures/go/cmd`), whose behaviour is known by construction, and asks them what happened in
//! a window: the oracle of `sched` and `profile`. What the answer holds is in `tests/fixtures/go/account/window.go`, type `truth`.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // each test uses a part of it

use std::time::Duration;

use serde_json::Value;

use crate::common::fixture::{Fixture, path};

/// The Go version whose `schedload` has the modes `server` and `client` too.
pub const GO: &str = "1.26.11";

pub struct Load {
    pub fixture: Fixture,
}

/// `schedload MODE ARGS`, all of it running. `-procs P` and `-lock` go first in `args`.
pub fn start(mode: &str, args: &[&str]) -> Load {
    start_in(GO, "static", "full", mode, args)
}

/// As `start`, of another Go version (all of them), link mode (`static`, `pie`) or variant (`full`; of `static` also `sw`).
pub fn start_in(version: &str, link: &str, variant: &str, mode: &str, args: &[&str]) -> Load {
    let args: Vec<&str> = [mode].iter().chain(args).copied().collect();
    Load { fixture: Fixture::start(path(version, link, variant, "schedload"), &args, &[]) }
}

/// `schedcgo`, with all modes when none is given, of the oldest, the main or the newest Go version, and link mode `cgo`, `cgo-ext` or
/// `cgo-pie`.
pub fn start_cgo(version: &str, link: &str, modes: &[&str]) -> Load {
    Load { fixture: Fixture::start(path(version, link, "full", "schedcgo"), modes, &[]) }
}

impl Load {
    pub fn pid(&self) -> u32 {
        self.fixture.pid()
    }

    /// Begins a window; when, by CLOCK_MONOTONIC, in ns.
    pub fn begin(&mut self) -> u64 {
        self.fixture.ask("begin").parse().unwrap()
    }

    /// What happened since the window began. It may be asked for again.
    pub fn end(&mut self) -> Value {
        let line = self.fixture.ask("end");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// A window of a given length.
    pub fn window(&mut self, length: Duration) -> Value {
        self.begin();
        std::thread::sleep(length); // what is measured, not a wait for something
        self.end()
    }
}

/// The goroutines of one function, as `kinds` of the truth has them.
pub fn kind<'a>(truth: &'a Value, function: &str) -> &'a Value {
    let kinds = truth["kinds"].as_array().unwrap();
    kinds.iter().find(|kind| kind["function"] == function).unwrap_or_else(|| panic!("no {function} in {truth}"))
}

/// The time in ns that a kind, or one goroutine, was in a state.
pub fn spent(of: &Value, state: &str) -> i64 {
    of["states"][state]["ns"].as_i64().unwrap_or(0)
}

pub fn number(of: &Value, field: &str) -> i64 {
    of[field].as_i64().unwrap_or_else(|| panic!("no number {field} in {of}"))
}
