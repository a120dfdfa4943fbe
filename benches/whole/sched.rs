//! What a server at 10,000 requests/s pays for `sched` in each tier, and for runtime/trace, in interleaved rounds of one run: CPU time per
//! request by the kernel's account of its threads, and what its client sees.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::measure::{quantile, sorted};
use crate::subject::Subject;

const RATE: &str = "10000";
const CONNECTIONS: &str = "32";
const ROUNDS: usize = 10;
const ROUND: Duration = Duration::from_secs(2);
/// goscope measures its prices and attaches meanwhile.
const LEAD: Duration = Duration::from_millis(1500);

const KINDS: [Kind; 6] = [Kind::Nothing, Kind::Tier(0), Kind::Counted, Kind::Tier(1), Kind::Tier(3), Kind::RuntimeTrace];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nothing,
    Tier(u8),
    /// As `sched` is without --tier.
    Counted,
    RuntimeTrace,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Nothing => "left alone",
            Kind::Tier(0) => "sched --tier 0",
            Kind::Tier(1) => "sched --tier 1 (every off-CPU stack)",
            Kind::Tier(_) => "sched --tier 3",
            Kind::Counted => "sched (chooses by price, <= 1 %)",
            Kind::RuntimeTrace => "runtime/trace to a file",
        }
    }
}

#[derive(Default)]
struct Round {
    cpu_per_request_us: f64,
    rate: f64,
    p50_us: f64,
    p99_us: f64,
    /// Part of one CPU.
    tool_cpu: f64,
    /// Of the target, in percent of one CPU: expected before.
    expected: f64,
    lost: f64,
    attach_ms: f64,
    detach_ms: f64,
}

pub fn report(goscope: &Path, program: &Path, scratch: &Path) {
    let mut server = Subject::start(program, &["work"]);
    let mut client = Subject::start(program, &["client", &server.ready.clone(), RATE, CONNECTIONS]);
    let mut rounds: Vec<Vec<Round>> = KINDS.iter().map(|_| Vec::new()).collect();
    round(Kind::Nothing, goscope, &mut server, &mut client, scratch);
    for number in 0..ROUNDS {
        for index in (0..KINDS.len()).cycle().skip(number % KINDS.len()).take(KINDS.len()) {
            rounds[index].push(round(KINDS[index], goscope, &mut server, &mut client, scratch));
        }
    }
    assert!(server.is_well(), "the target must live on");
    print(&rounds);
}

fn round(kind: Kind, goscope: &Path, server: &mut Subject, client: &mut Subject, scratch: &Path) -> Round {
    let saved = scratch.join("sched.json");
    let mut look = start(kind, goscope, server, &saved, scratch);
    if look.is_some() {
        std::thread::sleep(LEAD);
    }
    client.ask("");
    let (cpu, begin) = (server.cpu_ns(), Instant::now());
    std::thread::sleep(ROUND);
    let (cpu, took) = ((server.cpu_ns() - cpu) as f64, begin.elapsed());
    let answer: Vec<f64> = client.ask("").split(' ').map(|n| n.parse().expect("numbers")).collect();
    let mut round = Round {
        cpu_per_request_us: cpu / answer[0] / 1e3,
        rate: answer[0] / took.as_secs_f64(),
        p50_us: answer[1],
        p99_us: answer[2],
        ..Round::default()
    };
    if let Some(look) = &mut look {
        assert!(look.wait().expect("it was started").success(), "goscope failed");
        let text = fs::read(&saved).expect("goscope writes it");
        let document: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        let number = |pointer: &str| document.pointer(pointer).and_then(serde_json::Value::as_f64).unwrap_or(0.0);
        round.tool_cpu = number("/cost/own_cpu_ns") / number("/window_ns");
        round.expected = number("/cost/expected_target_percent");
        round.lost = number("/lost") / number("/quality/sent").max(1.0);
        round.attach_ms = number("/cost/attach_ns") / 1e6;
        round.detach_ms = number("/cost/detach_ns") / 1e6;
    }
    if kind == Kind::RuntimeTrace {
        server.ask("stop");
    }
    round
}

fn start(kind: Kind, goscope: &Path, server: &mut Subject, saved: &PathBuf, scratch: &Path) -> Option<Child> {
    let seconds = (LEAD + ROUND).as_secs_f64().to_string();
    let mut command = Command::new(goscope);
    command.args(["sched", &server.pid().to_string(), "--duration", &seconds, "--format", "json", "-q", "-o"]).arg(saved);
    match kind {
        Kind::Nothing => return None,
        Kind::RuntimeTrace => {
            let answer = server.ask(&format!("trace {}", scratch.join("runtime.trace").display()));
            assert_eq!(answer, "trace <nil>");
            return None;
        }
        Kind::Tier(tier) => command.args(["--tier", &tier.to_string()]),
        Kind::Counted => &mut command,
    };
    Some(command.stdout(Stdio::null()).spawn().expect("goscope starts"))
}

fn print(rounds: &[Vec<Round>]) {
    println!(
        "  server: per request a lock, a hand-off to a worker, a new goroutine, a timer; {CONNECTIONS} connections, {ROUNDS} rounds of {} s",
        ROUND.as_secs()
    );
    println!(
        "                                         req/s   CPU us/req   to left alone        p50 us   p99 us   goscope CPU   lost   attach/detach ms"
    );
    let alone = &rounds[0];
    for (kind, rounds) in KINDS.iter().zip(rounds) {
        let median = |value: fn(&Round) -> f64| quantile(&sorted(rounds.iter().map(value).collect()), 0.5);
        let change = if *kind == Kind::Nothing { String::new() } else { difference(rounds, alone) };
        println!(
            "  {:<37} {:>6.0} {:>12.2} {change:>22} {:>7.0} {:>8.0} {:>11.1} % {:>5.2} %   {:.0} / {:.0}",
            kind.name(),
            median(|r| r.rate),
            median(|r| r.cpu_per_request_us),
            median(|r| r.p50_us),
            median(|r| r.p99_us),
            median(|r| r.tool_cpu) * 100.0,
            median(|r| r.lost) * 100.0,
            median(|r| r.attach_ms),
            median(|r| r.detach_ms),
        );
    }
    for (kind, rounds) in KINDS.iter().zip(rounds).filter(|(kind, _)| matches!(kind, Kind::Tier(1 | 3))) {
        let median = |value: &dyn Fn(&Round) -> f64| quantile(&sorted(rounds.iter().map(value).collect()), 0.5);
        let base = quantile(&sorted(alone.iter().map(|r| r.cpu_per_request_us).collect()), 0.5);
        let measured = median(&|r: &Round| (r.cpu_per_request_us - base) * r.rate / 1e4);
        println!("  {}: price expected {:.1} % of one CPU, measured {measured:.1} %", kind.name(), median(&|r: &Round| r.expected));
    }
}

/// Of the CPU time per request, with twice the standard error of the median; a difference below that is not one.
fn difference(a: &[Round], b: &[Round]) -> String {
    let pairs = sorted(a.iter().zip(b).map(|(a, b)| (a.cpu_per_request_us / b.cpu_per_request_us - 1.0) * 100.0).collect());
    let sigma = (quantile(&pairs, 0.75) - quantile(&pairs, 0.25)) / 1.349;
    let error = 2.0 * 1.2533 * sigma / (pairs.len() as f64).sqrt();
    let median = quantile(&pairs, 0.5);
    if median.abs() > error { format!("{median:+.1} % +- {error:.1} %") } else { format!("not resolvable (< {error:.1} %)") }
}
