//! Runs commands and says what they cost.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4;

/// What one whole process cost, from its start to its end.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    pub wall: Duration,
    pub cpu: Duration,
    pub peak_rss_bytes: u64,
}

/// Runs it to its end with stdout in a file, as a user would save it.
pub fn run(command: &mut Command, stdout: &Path) -> Cost {
    run_with(command, Stdio::null(), stdout)
}

/// As `run`, with something to read.
pub fn run_with(command: &mut Command, stdin: Stdio, stdout: &Path) -> Cost {
    let file = File::create(stdout).expect("the output file can be made");
    let started = Instant::now();
    let mut child = command.stdin(stdin).stdout(file).stderr(Stdio::null()).spawn().expect("the command can be run");
    let used = child.wait4().expect("a child can be waited for");
    let wall = started.elapsed();
    assert!(used.status.success(), "{command:?} failed: {}", used.status);
    Cost { wall, cpu: used.rusage.utime + used.rusage.stime, peak_rss_bytes: used.rusage.maxrss }
}

/// The run whose wall time is the median of all.
pub fn median_run(times: usize, mut once: impl FnMut() -> Cost) -> Cost {
    let mut costs: Vec<Cost> = (0..times).map(|_| once()).collect();
    costs.sort_by_key(|cost| cost.wall);
    let peak_rss_bytes = costs.iter().map(|cost| cost.peak_rss_bytes).max().unwrap_or(0);
    Cost { peak_rss_bytes, ..costs[costs.len() / 2] }
}

/// The value below which `share` of them lie.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get(((last as f64) * share).round() as usize).copied().unwrap_or(f64::NAN)
}

pub fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}
