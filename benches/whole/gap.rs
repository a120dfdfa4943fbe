//! The true stop: how long a goroutine that watches the clock all the time did not run, as the target itself sees it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::measure::{quantile, run, sorted};
use crate::price::quality;
use crate::subject::Subject;

const SNAPSHOTS: usize = 200;

pub fn report(goscope: &Path, program: &Path, scratch: &Path) {
    let mut subject = Subject::start(program, &["spin", "1000"]);
    let pid = subject.pid().to_string();
    let saved = scratch.join("gap.json");
    let longest = |subject: &mut Subject| subject.ask("longest").parse::<f64>().expect("a number of nanoseconds") / 1e3;
    let (mut during, mut without, mut own) = (Vec::new(), Vec::new(), Vec::new());
    let mut took = Duration::from_millis(10);
    for _ in 0..SNAPSHOTS {
        longest(&mut subject);
        std::thread::sleep(took);
        without.push(longest(&mut subject));
        let started = Instant::now();
        run(Command::new(goscope).args(["goroutines", &pid, "--format", "json"]), &saved);
        took = started.elapsed();
        during.push(longest(&mut subject));
        own.push(quality(&saved, "longest_stop_ns") as f64 / 1e3);
    }
    assert!(subject.is_well(), "the target must live on");
    println!(
        "  longest gap in a spinning goroutine's view of the clock, us; {SNAPSHOTS} snapshots, as many windows of the same length without"
    );
    println!("                                       p50        p99        max");
    for (what, values) in [("without goscope", without), ("during a snapshot", during), ("stop that goscope measured", own)] {
        let values = sorted(values);
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| quantile(&values, share));
        println!("  {what:<30} {p50:>10.1} {p99:>10.1} {max:>10.1}");
    }
    println!("  (bar for the stop: p99 <= 200 us, max <= 1,000 us)");
}
