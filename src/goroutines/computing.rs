//! Whether a thread can be stopped without ending a system call of its program.
//!
//! A stop makes epoll_wait, semtimedop and recv with a timeout return EINTR not only while they block, but also on the way there
//! and back, and the kernel calls such a thread running. So it must have computed for a while since it last blocked.

use std::fs;
use std::time::{Duration, Instant};

use crate::target::goroutines::threads::{Activity, Threads};

/// Between two looks. The kernel accounts a thread on its CPU at least at each tick (1 to 10 ms).
const INTERVAL: Duration = Duration::from_micros(250);
/// Nanoseconds on a CPU that no way into a blocking call and back takes.
const COMPUTES: u64 = 100_000;

/// What the kernel has counted for one thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// How often it has blocked.
    blocked: u64,
    /// Nanoseconds on a CPU.
    ran: u64,
}

impl Look {
    /// `None` when the thread is gone, or this kernel does not count (CONFIG_SCHED_INFO).
    pub fn at(pid: u32, tid: u32) -> Option<Look> {
        let read = |file| fs::read_to_string(format!("/proc/{pid}/task/{tid}/{file}")).ok();
        parse(&read("status")?, &read("schedstat")?)
    }
}

fn parse(status: &str, schedstat: &str) -> Option<Look> {
    let blocked = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    Some(Look { blocked: blocked.trim().parse().ok()?, ran: schedstat.split(' ').next()?.parse().ok()? })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    Computes,
    /// Or it has ended.
    Blocks,
    /// It gets no CPU for so long that it could not be stopped either.
    Starves,
}

impl Threads<'_> {
    /// How often the thread has got a CPU. Equal at two times, and blocked in between: it has not run in between.
    ///
    /// That it blocks at the same pc and sp again says less, for a loop comes back to the same call. `None` as in `Look::at`.
    pub fn turns(&self, tid: u32) -> Option<u64> {
        let schedstat = fs::read_to_string(format!("/proc/{}/task/{tid}/schedstat", self.pid())).ok()?;
        schedstat.split_whitespace().nth(2)?.parse().ok()
    }

    /// Waits until the thread has computed without blocking since `first`, or since a later look.
    pub fn pace(&self, tid: u32, first: Option<Look>, patience: Duration) -> Pace {
        let pid = self.pid();
        let begin = Instant::now();
        // Where nothing is counted there is nothing to go by.
        let Some(mut before) = first.or_else(|| Look::at(pid, tid)) else { return Pace::Computes };
        loop {
            let Some(now) = Look::at(pid, tid) else { return Pace::Computes };
            if self.activity(tid) != Activity::Running {
                return Pace::Blocks;
            }
            if now.blocked != before.blocked {
                before = now;
            } else if now.ran >= before.ran + COMPUTES {
                return Pace::Computes;
            }
            if begin.elapsed() > patience {
                return Pace::Starves;
            }
            std::thread::sleep(INTERVAL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_counts() {
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t545\n";
        assert_eq!(parse(status, "2066590 81532 35\n"), Some(Look { blocked: 150, ran: 2066590 }));
        assert_eq!(parse(status, ""), None);
        assert_eq!(parse("", "2066590 81532 35\n"), None);
    }
}
