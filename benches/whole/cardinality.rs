//! `cardinality` of a million series, beside `promtool check metrics --extended --lint=none` on the same body.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::measure::{Cost, median_run, run, run_with};

const RUNS: usize = 7;

pub fn report(goscope: &Path, scratch: &Path) {
    let whole = scratch.join("metrics-1m.txt");
    let (half, distinct, zipped) =
        (scratch.join("metrics-half.txt"), scratch.join("metrics-distinct.txt"), scratch.join("metrics-1m.txt.gz"));
    first_half(&whole, &half);
    all_distinct(&distinct);
    let out = scratch.join("cardinality.out");
    let ours =
        |body: &PathBuf, more: &[&str]| median_run(RUNS, || run(Command::new(goscope).arg("cardinality").arg(body).args(more), &out));
    println!("  body                                    wall s      CPU s   peak MB   bar");
    let own = ours(&whole, &[]);
    print("1M series", &whole, own, "<= 0.35 s, <= 250 MB");
    print("1M series, JSON with all sections", &whole, ours(&whole, &["--format", "json"]), "");
    print("1M series, gzip", &zipped, ours(&zipped, &[]), "");
    print("1M series, a path of its own each", &distinct, ours(&distinct, &[]), "");
    let smaller = ours(&half, &[]);
    print("half of the first", &half, smaller, "");
    println!("  twice the body takes {:.2}x the CPU time (linear: 2)", own.cpu.as_secs_f64() / smaller.cpu.as_secs_f64());

    let promtool = scratch.parent().unwrap_or(scratch).join("real/bin/promtool");
    let mut command = Command::new(&promtool);
    command.args(["check", "metrics", "--extended", "--lint=none"]);
    let theirs = run_with(&mut command, File::open(&whole).expect("the body is there").into(), &out);
    print("promtool, the first", &whole, theirs, "");
    println!(
        "  promtool / goscope: {:.0}x the time (bar >= 10x), {:.0}x the CPU, {:.0}x the memory",
        theirs.wall.as_secs_f64() / own.wall.as_secs_f64(),
        theirs.cpu.as_secs_f64() / own.cpu.as_secs_f64(),
        theirs.peak_rss_bytes as f64 / own.peak_rss_bytes as f64
    );
    println!("  the parser alone: cargo bench --bench exposition (bar >= 500 MB/s on one core)");
}

fn print(what: &str, body: &Path, cost: Cost, bar: &str) {
    let size = fs::metadata(body).map_or(0, |about| about.len()) as f64 / 1e6;
    println!(
        "  {what:<33} {size:>4.0} MB {:>6.3} {:>10.3} {:>9.1}   {bar}",
        cost.wall.as_secs_f64(),
        cost.cpu.as_secs_f64(),
        cost.peak_rss_bytes as f64 / 1e6
    );
}

fn first_half(whole: &Path, half: &Path) {
    let lines = BufReader::new(File::open(whole).expect("tests/bench/run.sh makes the body")).lines();
    let mut out = BufWriter::new(File::create(half).expect("the scratch folder can be written"));
    let bytes = fs::metadata(whole).map_or(0, |about| about.len()) / 2;
    let mut written = 0;
    for line in lines.map_while(Result::ok) {
        writeln!(out, "{line}").expect("there is space");
        written += line.len() as u64 + 1;
        if written >= bytes {
            break;
        }
    }
}

/// The worst that a label can do.
fn all_distinct(path: &Path) {
    let mut out = BufWriter::new(File::create(path).expect("the scratch folder can be written"));
    writeln!(out, "# TYPE req_total counter").expect("there is space");
    let mut state = 1_u64;
    for number in 0..1_000_000_u64 {
        // Knuth's multiplier: any will do.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (high, low) = (state, state.rotate_left(29) ^ number);
        let uuid = format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff
        );
        let (method, code) = (["GET", "POST"][number as usize % 2], [200, 404, 500][number as usize % 3]);
        writeln!(
            out,
            "req_total{{method=\"{method}\",path=\"/v1/users/{uuid}/o\",code=\"{code}\",instance=\"w{}\",zone=\"eu-{}\"}} {}",
            number % 40,
            number % 3,
            number % 9 + 1
        )
        .expect("there is space");
    }
}
