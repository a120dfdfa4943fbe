//! What a target pays for being looked at once a second: CPU time per request in interleaved rounds. goscope's own work takes CPU time and
//! caches from a busy server as any program's would, so there are three kinds of rounds: nothing, goscope at work on another process
//! of the same size, and goscope at work on the target. The difference of the last two is the price.

use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::measure::{quantile, run, sorted};
use crate::subject::Subject;

const ROUNDS: usize = 20;
/// Short, so that a drift of the machine hits all kinds alike.
const ROUND: Duration = Duration::from_secs(2);
const CLIENTS: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nothing,
    AnotherProcess,
    Target,
}

#[derive(Default)]
struct Round {
    cpu_per_request_us: f64,
    requests: u64,
    cpu_ns: f64,
    stop_ns: u64,
    threads_stopped: u64,
    /// Part of one CPU.
    tool_cpu: f64,
}

struct Stage<'a> {
    goscope: &'a Path,
    scratch: &'a Path,
    target: Subject,
    other: Subject,
    served: AtomicU64,
}

pub fn report(goscope: &Path, program: &Path, scratch: &Path) {
    let server = || Subject::start(program, &["server", "10000"]);
    let stage = Stage { goscope, scratch, target: server(), other: server(), served: AtomicU64::new(0) };
    let end = AtomicBool::new(false);
    let mut rounds: [Vec<Round>; 3] = Default::default();
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| client(&stage.target.ready, &stage.served, &end));
        }
        stage.round(Kind::Nothing);
        for number in 0..ROUNDS {
            let kinds = [Kind::Nothing, Kind::AnotherProcess, Kind::Target];
            for kind in kinds.into_iter().cycle().skip(number % 3).take(3) {
                rounds[kind as usize].push(stage.round(kind));
            }
        }
        end.store(true, Ordering::Relaxed);
    });
    assert!(stage.target.is_well() && stage.other.is_well(), "the target must live on");
    print(&rounds);
}

impl Stage<'_> {
    fn round(&self, kind: Kind) -> Round {
        let (cpu, requests, started) = (self.target.cpu_ns(), self.served.load(Ordering::Relaxed), Instant::now());
        let mut round = Round::default();
        let mut tool_cpu = Duration::ZERO;
        let mut next = started + Duration::from_millis(500);
        while next < started + ROUND {
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            match kind {
                Kind::Nothing => {}
                Kind::AnotherProcess => tool_cpu += self.look(&self.other),
                Kind::Target => {
                    tool_cpu += self.look(&self.target);
                    round.stop_ns += quality(&self.saved(), "total_stop_ns");
                    round.threads_stopped += quality(&self.saved(), "threads_stopped");
                }
            }
            next += Duration::from_secs(1);
        }
        std::thread::sleep((started + ROUND).saturating_duration_since(Instant::now()));
        round.cpu_ns = (self.target.cpu_ns() - cpu) as f64;
        round.requests = self.served.load(Ordering::Relaxed) - requests;
        round.cpu_per_request_us = round.cpu_ns / round.requests as f64 / 1e3;
        round.tool_cpu = tool_cpu.as_secs_f64() / started.elapsed().as_secs_f64();
        round
    }

    /// Returns goscope's own CPU time.
    fn look(&self, at: &Subject) -> Duration {
        run(Command::new(self.goscope).args(["goroutines", &at.pid().to_string(), "--format", "json"]), &self.saved()).cpu
    }

    fn saved(&self) -> PathBuf {
        self.scratch.join("price.json")
    }
}

/// A number out of a saved snapshot's `quality`, which stands before everything that is long. The whole document is not read: this
/// process would grow, and the kernel counts a parent's memory to what its children peak at (`ru_maxrss` outlives execve).
pub fn quality(saved: &Path, key: &str) -> u64 {
    let mut head = Vec::new();
    File::open(saved).expect("it was just written").take(64 << 10).read_to_end(&mut head).expect("a file can be read");
    let text = String::from_utf8_lossy(&head);
    let (_, rest) = text.split_once(&format!("\"{key}\":")).expect("goscope writes it");
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().expect("a number")
}

/// Asks again as soon as the answer has come, over one connection.
fn client(address: &str, served: &AtomicU64, end: &AtomicBool) {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_nodelay(true).expect("a TCP option");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a TCP option");
    let mut buffer = [0; 4096];
    while !end.load(Ordering::Relaxed) {
        stream.write_all(b"GET /a HTTP/1.1\r\nHost: bench\r\n\r\n").expect("the server reads");
        let mut have = 0;
        // The answer is one small JSON object on one line.
        while !(have > 2 && &buffer[have - 2..have] == b"}\n") {
            let n = stream.read(&mut buffer[have..]).expect("the server answers");
            assert!(n > 0, "the server closed the connection");
            have += n;
        }
        served.fetch_add(1, Ordering::Relaxed);
    }
}

fn print(rounds: &[Vec<Round>; 3]) {
    let [nothing, other, target] = rounds;
    println!("  target: HTTP server with 10,000 goroutines, {CLIENTS} clients; {ROUNDS} rounds of {} s of each kind", ROUND.as_secs());
    println!("                                 requests/s   CPU per request, median us   goscope's CPU");
    for (what, rounds) in [("left alone", nothing), ("another process is looked at", other), ("looked at", target)] {
        let median = |value: fn(&Round) -> f64| quantile(&sorted(rounds.iter().map(value).collect()), 0.5);
        let rate = median(|r| r.requests as f64) / ROUND.as_secs_f64();
        println!("  {what:<30} {rate:>10.0} {:>28.2} {:>13.2} %", median(|r| r.cpu_per_request_us), median(|r| r.tool_cpu) * 100.0);
    }
    // Of the target's CPU time, the part for which a thread of it was stopped.
    let stopped = target.iter().map(|r| r.stop_ns).sum::<u64>() as f64 / target.iter().map(|r| r.cpu_ns).sum::<f64>() * 100.0;
    let stops: u64 = target.iter().map(|r| r.threads_stopped).sum();
    println!(
        "  stopped                        {stopped:.5} % of the target's CPU time ({stops} threads in all); nothing is probed, so no traps"
    );
    let difference = Difference::of(target, other);
    println!("  CPU per request, looked at     {difference}");
    println!("  competition for the CPUs       {} (another process is looked at, to left alone)", Difference::of(other, nothing));
    println!("  price (bar <= 1 %)             {:.2} % +- {:.2} %", stopped + difference.median, difference.error);
}

/// Of the CPU time per request, in percent.
struct Difference {
    median: f64,
    /// Twice the standard error of the median.
    error: f64,
}

impl Difference {
    fn of(a: &[Round], b: &[Round]) -> Difference {
        let pairs = a.iter().zip(b).map(|(a, b)| (a.cpu_per_request_us / b.cpu_per_request_us - 1.0) * 100.0);
        let pairs = sorted(pairs.collect());
        // The middle half is 1.349 sigma wide in a normal distribution, and a median's error 1.2533 times a mean's.
        let sigma = (quantile(&pairs, 0.75) - quantile(&pairs, 0.25)) / 1.349;
        Difference { median: quantile(&pairs, 0.5), error: 2.0 * 1.2533 * sigma / (pairs.len() as f64).sqrt() }
    }
}

impl Display for Difference {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.median.abs() > self.error {
            true => write!(f, "{:+.2} % +- {:.2} %", self.median, self.error),
            false => write!(f, "not resolvable (< {:.2} %)", self.error),
        }
    }
}
