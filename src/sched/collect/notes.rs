//! Goroutines that sleep on a note (`notetsleepg` in runtime/lock_futex.go) are in a system call to the scheduler, and so to the
//! runtime's own dump: most of all the one that waits for signals (os/signal) in every program that asks for any. They wait: no system
//! call of the program's takes that time.

use std::ops::Range;

use crate::target::runtime::GoProcess;

/// How such a wait is called; the runtime has no reason for it.
pub const REASON: &str = "signal or note";

pub struct Notes {
    /// Live addresses of the function.
    function: Option<Range<u64>>,
}

impl Notes {
    pub fn new(process: &GoProcess) -> Notes {
        let found = process.module.pclntab.find_names(&["runtime.notetsleepg"]).into_iter().flatten().next();
        Notes { function: found.map(|func| process.module.live(process.bias, &func)) }
    }

    /// One of these frames is the one that waits on a note.
    pub fn waits(&self, mut addresses: impl Iterator<Item = u64>) -> bool {
        self.function.as_ref().is_some_and(|function| addresses.any(|address| function.contains(&address)))
    }
}
