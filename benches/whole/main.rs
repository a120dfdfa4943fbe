//! Whole-process figures, side by side with `dlv` in the same run. Figures and ratios are printed, never asserted: a machine's
//! load is no fault of the program. `tests/bench/run.sh` builds what this needs and runs it; a word as argument runs that part only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod cardinality;
mod gap;
mod measure;
mod price;
mod sched;
mod subject;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use measure::{Cost, median_run, run, run_with};
use subject::Subject;

/// Runs of goscope, of which the median is printed. dlv takes minutes and runs once.
const RUNS: usize = 7;

struct Bench {
    goscope: PathBuf,
    dlv: PathBuf,
    parked: PathBuf,
    subject: PathBuf,
    large: PathBuf,
    scratch: PathBuf,
}

/// Name, title, and what to do.
type Part = (&'static str, &'static str, fn(&Bench));

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bin = root.join("target/bench/bin");
    let bench = Bench {
        goscope: env!("CARGO_BIN_EXE_goscope").into(),
        dlv: bin.join("dlv"),
        parked: root.join("target/fixtures/1.26.11/static/full/parked"),
        subject: bin.join("subject"),
        large: bin.join("large"),
        scratch: root.join("target/bench"),
    };
    let parts: [Part; 7] = [
        ("snapshot", "all goroutines with full stacks to JSON", snapshots),
        ("price", "one snapshot a second of a busy server", |b| price::report(&b.goscope, &b.subject, &b.scratch)),
        ("sched", "10,000 requests a second, looked at in each tier", |b| sched::report(&b.goscope, &b.subject, &b.scratch)),
        ("gap", "what a target's own clock sees", |b| gap::report(&b.goscope, &b.subject, &b.scratch)),
        ("start", "start-up", start),
        ("ps", "ps with 500 processes more", ps),
        ("cardinality", "a /metrics body of a million series", |b| cardinality::report(&b.goscope, &b.scratch)),
    ];
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let version = fs::read_to_string("/proc/version").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{} CPUs, load {}, {}", cpus(), load.trim(), version.split(" (").next().unwrap_or_default());
    for (name, title, part) in parts {
        if wanted.is_empty() || wanted.iter().any(|w| w == name) {
            println!("\n{name}: {title}");
            part(&bench);
        }
    }
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

fn snapshots(bench: &Bench) {
    println!("  goroutines            wall s      CPU s   peak MB   us/goroutine   JSON MB   bar");
    let mut dlv = None;
    for (count, bar) in [(10_000, ""), (100_000, "<= 0.35 s, <= 200 MB"), (1_000_000, "<= 4 s, <= 1,200 MB")] {
        let subject = Subject::start(&bench.parked, &[&count.to_string()]);
        let (cost, size) = snapshot(bench, &subject);
        print_snapshot("goscope", count, cost, size, bar);
        if count == 100_000 {
            let theirs = dlv_once(bench, &subject);
            print_snapshot("dlv goroutines -t", count, theirs, fs::metadata(bench.scratch.join("dlv.txt")).map_or(0, |m| m.len()), "");
            dlv = Some((theirs, cost));
        }
        assert!(subject.is_well(), "the target must live on");
    }
    if let Some((dlv, own)) = dlv {
        println!(
            "  dlv / goscope at 100,000: {:.0}x the time (bar >= 100x), {:.0}x the CPU, {:.1}x the memory",
            dlv.wall.as_secs_f64() / own.wall.as_secs_f64(),
            dlv.cpu.as_secs_f64() / own.cpu.as_secs_f64(),
            dlv.peak_rss_bytes as f64 / own.peak_rss_bytes as f64
        );
    }
}

fn snapshot(bench: &Bench, subject: &Subject) -> (Cost, u64) {
    let (pid, saved) = (subject.pid().to_string(), bench.scratch.join("snapshot.json"));
    let cost = median_run(RUNS, || run(Command::new(&bench.goscope).args(["goroutines", &pid, "--format", "json"]), &saved));
    (cost, fs::metadata(saved).map_or(0, |m| m.len()))
}

/// dlv prints at most ten frames of each goroutine; goscope prints all.
fn dlv_once(bench: &Bench, subject: &Subject) -> Cost {
    let (init, input) = (bench.scratch.join("dlv.init"), bench.scratch.join("dlv.in"));
    fs::write(&init, "goroutines -t\n").unwrap();
    // The second line answers whether to kill the process.
    fs::write(&input, "exit\nn\n").unwrap();
    let mut command = Command::new(&bench.dlv);
    command.args(["attach", &subject.pid().to_string(), "--allow-non-terminal-interactive=true", "--init"]).arg(init);
    run_with(&mut command, File::open(input).unwrap().into(), &bench.scratch.join("dlv.txt"))
}

fn print_snapshot(tool: &str, count: u64, cost: Cost, size: u64, bar: &str) {
    println!(
        "  {count:>9} {tool:<17} {:>7.3} {:>10.3} {:>9.1} {:>14.2} {:>9.1}   {bar}",
        cost.wall.as_secs_f64(),
        cost.cpu.as_secs_f64(),
        cost.peak_rss_bytes as f64 / 1e6,
        cost.wall.as_secs_f64() * 1e6 / count as f64,
        size as f64 / 1e6
    );
}

fn start(bench: &Bench) {
    let null = bench.scratch.join("null");
    let once = |args: &[&str]| median_run(3 * RUNS, || run(Command::new(&bench.goscope).args(args), &null));
    let size = |path: &Path| fs::metadata(path).map_or(0, |m| m.len()) as f64 / 1e6;
    let subject = Subject::start(&bench.large, &["idle"]);
    print_start("goscope --help", once(&["--help"]), "<= 20 ms");
    print_start(&format!("info of a file of {:.0} MB", size(&bench.large)), once(&["info", &bench.large.to_string_lossy()]), "<= 100 ms");
    print_start("info of its process", once(&["info", &subject.pid().to_string()]), "<= 100 ms");
    print_start("goroutines of its process", once(&["goroutines", &subject.pid().to_string()]), "");
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/real/bin/prometheus");
    match real.exists() {
        true => print_start(&format!("info of prometheus, {:.0} MB", size(&real)), once(&["info", &real.to_string_lossy()]), "<= 100 ms"),
        false => println!("  info of prometheus             not measured: `make test-real` has not built it"),
    }
    println!("  goscope's own size             {:>8.1} MB   (bar <= 25 MB)", size(&bench.goscope));
}

fn print_start(what: &str, cost: Cost, bar: &str) {
    println!("  {what:<30} {:>8.1} ms  {:>7.1} MB peak   {bar}", cost.wall.as_secs_f64() * 1e3, cost.peak_rss_bytes as f64 / 1e6);
}

fn ps(bench: &Bench) {
    let go: Vec<Subject> = (0..250).map(|_| Subject::start(&bench.subject, &["idle"])).collect();
    let mut other: Vec<_> = (0..250).map(|_| Command::new("sleep").arg("600").spawn().expect("sleep is there")).collect();
    let out = bench.scratch.join("ps.txt");
    let cost = median_run(RUNS, || run(Command::new(&bench.goscope).arg("ps"), &out));
    let listed = fs::read_to_string(&out).unwrap_or_default().lines().filter(|line| line.contains("subject")).count();
    assert!(listed >= go.len(), "{listed} of {} Go processes listed", go.len());
    print_start("250 Go, 250 others", cost, "<= 200 ms");
    for child in &mut other {
        let _ = child.kill();
        let _ = child.wait();
    }
}
