//! What one reading of another process costs: the runtime's counters, and walks of all goroutines. The bar: 100 us for 8 Ps; 20 ms for
//! 10,000 goroutines with their stacks, and 250 ms for 100,000.
//!
//!     tests/fixtures/build.sh quick && cargo bench --bench reading
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use criterion::{Criterion, criterion_group, criterion_main};
use goscope::target::process::Process;
use goscope::target::runtime::GoProcess;
use goscope::target::scheduler::Scheduler;
use goscope::target::walk::{Depth, Walker};

struct Target(Child);

impl Target {
    /// A program of `tests/fixtures/go`, once it is ready.
    fn start(program: &str, arguments: &[&str], gomaxprocs: &str) -> Target {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/fixtures/1.26.11/static/full").join(program);
        assert!(path.exists(), "{}: run tests/fixtures/build.sh quick", path.display());
        let mut command = Command::new(path);
        command.args(arguments).env("GOMAXPROCS", gomaxprocs).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("ready "));
        Target(child)
    }

    fn attach(&self) -> GoProcess {
        GoProcess::attach(Process::open(self.0.id()).unwrap(), false).unwrap()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn counters(c: &mut Criterion) {
    for ps in ["1", "8", "256"] {
        let target = Target::start("churn", &[], ps);
        let go = target.attach();
        let mut scheduler = Scheduler::new(&go);
        c.bench_function(&format!("counters of {ps} Ps"), |b| b.iter(|| black_box(scheduler.read().unwrap())));
    }
}

fn walks(c: &mut Criterion) {
    let mut group = c.benchmark_group("goroutines");
    group.sample_size(10);
    for goroutines in ["10000", "100000"] {
        let target = Target::start("parked", &[goroutines], "2");
        let go = target.attach();
        let mut walker = Walker::new(&go).unwrap();
        for depth in [Depth::Stacks, Depth::Records] {
            group.bench_function(format!("{goroutines} {depth:?}"), |b| b.iter(|| black_box(walker.walk(depth).unwrap())));
        }
    }
}

criterion_group!(benches, counters, walks);
criterion_main!(benches);
