//! A goscope that runs beside the test: signals to it, and its end.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // each test uses a part of it

use std::io::Read;
use std::process::{Child, Command, Output};

use crate::harm::{Reaped, eventually};

/// goscope, as it is where nothing is ignored: a test run in the background ignores interrupts, which goscope would respect.
pub fn heeding_signals() -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal=INT,TERM,HUP,QUIT", env!("CARGO_BIN_EXE_goscope")]);
    command
}

pub fn rest(child: &mut Child) -> String {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

/// What it printed, and that it ended in time.
pub fn end_of(mut child: Reaped) -> Output {
    let (mut out, mut err) = (child.0.stdout.take().unwrap(), child.0.stderr.take().unwrap());
    let out = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        out.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let err = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        err.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let mut status = None;
    eventually("the end of goscope", || {
        status = child.0.try_wait().unwrap();
        status.is_some()
    });
    Output { status: status.unwrap(), stdout: out.join().unwrap(), stderr: err.join().unwrap() }
}

pub fn signal(child: &Reaped, signal: i32) {
    let sent = Command::new("kill").args([format!("-{signal}"), child.0.id().to_string()]).status().unwrap();
    assert!(sent.success());
}
