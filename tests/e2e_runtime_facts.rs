//! What goscope reads of a runtime's variables against what that runtime says of itself (runtime/metrics, MemStats, ReadGCStats).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use goscope::info::runtime::{GcPhase, RuntimeFacts, collect};
use goscope::target::process::Process;
use goscope::target::runtime::GoProcess;
use serde_json::Value;

/// The last patch of every minor release, and the two that differ inside theirs.
const RELEASES: [&str; 12] =
    ["1.18.10", "1.19.13", "1.20.14", "1.21.13", "1.22.12", "1.23.0", "1.23.12", "1.24.0", "1.24.13", "1.25.14", "1.26.11", "1.27.4"];

/// The program runtimefacts, stripped, in one link mode.
fn build(release: &str, mode: &str) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/go");
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("runtimefacts-{release}-{mode}"));
    let newest = ["hook/hook.go", "cmd/runtimefacts/main.go"].map(|f| fs::metadata(source.join(f)).unwrap().modified().unwrap());
    if fs::metadata(&out).is_ok_and(|m| newest.iter().all(|n| m.modified().unwrap() > *n)) {
        return out;
    }
    let result = Command::new("go")
        .args(["build", "-buildvcs=false", "-ldflags=-s -w", &format!("-buildmode={mode}"), "-o"])
        .arg(&out)
        .arg("./cmd/runtimefacts")
        .current_dir(&source)
        .env("GOTOOLCHAIN", format!("go{release}"))
        .env("CGO_ENABLED", "0")
        .output()
        .expect("the go command is needed to build the fixtures");
    assert!(result.status.success(), "go {release} {mode}: {}", String::from_utf8_lossy(&result.stderr));
    out
}

struct Fixture {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Fixture {
    fn start(exe: &Path, env: &[(&str, &str)]) -> Fixture {
        let mut command = Command::new(exe);
        command.arg("work").stdin(Stdio::piped()).stdout(Stdio::piped());
        for unset in ["GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GODEBUG"] {
            command.env_remove(unset);
        }
        let mut child = command.envs(env.iter().copied()).spawn().unwrap();
        let mut fixture = Fixture { input: child.stdin.take().unwrap(), output: BufReader::new(child.stdout.take().unwrap()), child };
        assert_eq!(fixture.line(), format!("ready {}", fixture.child.id()));
        fixture
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn ask(&mut self, command: &str) -> String {
        writeln!(self.input, "{command}").unwrap();
        self.line()
    }

    /// What the runtime says of itself.
    fn told(&mut self) -> Told {
        Told(serde_json::from_str(&self.ask("facts")).unwrap())
    }

    fn read(&self) -> RuntimeFacts {
        let process = Process::open(self.child.id()).unwrap();
        collect(&GoProcess::attach(process, false).unwrap())
    }

    fn threads(&self) -> u64 {
        fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap().count() as u64
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Told(Value);

impl Told {
    fn u64(&self, key: &str) -> u64 {
        self.0[key].as_u64().unwrap_or_else(|| panic!("no {key} in {}", self.0))
    }

    /// A value of runtime/metrics, where that release has it.
    fn metric(&self, name: &str) -> Option<u64> {
        self.0["metrics"][name].as_f64().map(|v| v as u64)
    }
}

fn within(value: u64, expected: u64, share: f64) -> bool {
    value.abs_diff(expected) as f64 <= expected as f64 * share
}

/// Reads and asks until the program did no collection and started no thread in between, and compares.
fn compare(fixture: &mut Fixture, about: &str) -> RuntimeFacts {
    for _ in 0..20 {
        let before = fixture.told();
        let facts = fixture.read();
        let after = fixture.told();
        let threads = |told: &Told| told.metric("/sched/threads/total:threads");
        if before.u64("num_gc") == after.u64("num_gc") && threads(&before) == threads(&after) {
            check(&facts, &after, about);
            // Answering stops the world once more.
            check_other_stops(&facts, &before, about);
            return facts;
        }
    }
    panic!("{about}: the program never stops collecting");
}

fn check(facts: &RuntimeFacts, told: &Told, about: &str) {
    let is = |name: &str, figure: &Result<u64, String>, expected: u64| assert_eq!(figure, &Ok(expected), "{about}: {name}");
    is("gomaxprocs", &facts.gomaxprocs.clone().map(u64::from), told.u64("gomaxprocs"));
    is("gc_cycles", &facts.gc_cycles, told.u64("num_gc"));
    is("gc_forced_cycles", &facts.gc_forced_cycles, told.u64("num_forced_gc"));
    is("gc_pause_total_ns", &facts.gc_pause_total_ns, told.u64("pause_total_ns"));
    let last = facts.last_gc.clone().unwrap().expect("the program collected");
    assert_eq!((last.ended_unix_ns, last.pause_ns), (told.u64("last_gc_unix_ns"), told.u64("last_pause_ns")), "{about}: last_gc");
    assert_eq!(facts.gc_phase, Ok(GcPhase::Off), "{about}");
    assert_eq!(facts.gc_cpu_fraction, Ok(told.0["gc_cpu_fraction"].as_f64().unwrap()), "{about}");
    let off = |value: u64| Some(value).filter(|v| *v < i64::MAX as u64);
    if let Some(percent) = told.metric("/gc/gogc:percent") {
        assert_eq!(facts.gogc_percent.clone().map(|p| p.map(u64::from)), Ok(off(percent)), "{about}: gogc");
    }
    if let Some(limit) = told.metric("/gc/gomemlimit:bytes") {
        assert_eq!(facts.memory_limit_bytes, Ok(off(limit)), "{about}: memory limit");
    }
    if let Some(marked) = told.metric("/gc/heap/live:bytes") {
        is("heap_marked_bytes", &facts.heap_marked_bytes, marked);
    }
    if let Some(threads) = told.metric("/sched/threads/total:threads") {
        is("threads", &facts.threads, threads);
    }
    // The collector counts a span's free slots as live when a P takes it, so it is ahead of the allocated bytes.
    let live = facts.heap_live_bytes.clone().unwrap();
    assert!(within(live, told.u64("heap_alloc_bytes"), 0.2), "{about}: heap live {live}, allocated {}", told.u64("heap_alloc_bytes"));
    assert!(live > 16 << 20, "{about}: the program holds 16 MiB, heap live is {live}");
    let goal = facts.heap_goal_bytes.clone().unwrap();
    // Without GOGC and limit the runtime names some bytes less than the largest integer.
    let expected = Some(told.u64("next_gc_bytes")).filter(|goal| *goal < 1 << 62);
    match facts.memory_limit_bytes {
        // The limit's goal follows the free memory, which answering the question changes.
        Ok(Some(_)) => assert!(within(goal.unwrap(), expected.unwrap(), 0.02), "{about}: heap goal {goal:?}, told {expected:?}"),
        _ => assert_eq!(goal, expected, "{about}: heap goal"),
    }
}

fn check_other_stops(facts: &RuntimeFacts, told: &Told, about: &str) {
    let seconds = told.0["metrics"]["/sched/pauses/total/other:seconds max"].as_f64();
    match told.metric("/sched/pauses/total/other:seconds count") {
        Some(count) => {
            let stops = facts.other_stops.clone().unwrap();
            assert_eq!(stops.count, count, "{about}: other stops");
            assert_eq!(stops.longest_at_most_ns + 1, (seconds.unwrap() * 1e9).round() as u64, "{about}: longest other stop");
            assert!((stops.longest_at_most_ns..=stops.longest_at_most_ns * count).contains(&stops.total_at_most_ns), "{about}: {stops:?}");
        }
        None => assert_eq!(facts.other_stops, Err("this Go version has no runtime.schedt.stwTotalTimeOther".to_owned()), "{about}"),
    }
}

/// Waits until the reader's P is handed back, as sysmon does while the program sleeps in read(2).
fn wait_for_idle_ps(fixture: &Fixture, about: &str) {
    let start = Instant::now();
    loop {
        let facts = fixture.read();
        if facts.idle_ps == facts.gomaxprocs {
            assert_eq!(facts.threads, Ok(fixture.threads()), "{about}: threads");
            assert!(facts.idle_threads.clone().unwrap() < facts.threads.unwrap() as u32, "{about}: idle threads");
            assert_eq!(facts.global_run_queue, Ok(0), "{about}: run queue");
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{about}: {:?} of {:?} Ps idle", facts.idle_ps, facts.gomaxprocs);
    }
}

fn unharmed(fixture: &mut Fixture, about: &str) {
    assert_eq!(fixture.ask("ping"), "pong", "{about}");
    let status = fs::read_to_string(format!("/proc/{}/status", fixture.child.id())).unwrap();
    assert!(!status.contains("State:\tT"), "{about}: left stopped");
}

fn scenario(mode: &str, env: &[(&str, &str)], expect: &dyn Fn(&str, &RuntimeFacts)) {
    for release in RELEASES {
        let about = format!("go {release} {mode}");
        let mut fixture = Fixture::start(&build(release, mode), env);
        let first = compare(&mut fixture, &about);
        expect(release, &first);
        assert_eq!(fixture.ask("gc"), "done");
        let second = compare(&mut fixture, &about);
        assert!(second.gc_cycles > first.gc_cycles, "{about}: a collection is not seen");
        wait_for_idle_ps(&fixture, &about);
        unharmed(&mut fixture, &about);
    }
}

#[test]
fn figures_equal_the_runtimes_own() {
    scenario("exe", &[], &|release, facts| {
        assert_eq!(facts.gogc_percent, Ok(Some(100)));
        match release {
            "1.18.10" => {
                assert_eq!(facts.memory_limit_bytes, Err("this Go version has no runtime.gcControllerState.memoryLimit".to_owned()))
            }
            _ => assert_eq!(facts.memory_limit_bytes, Ok(None)),
        }
    });
}

#[test]
fn figures_equal_the_runtimes_own_pie_and_tuned() {
    scenario("pie", &[("GOMAXPROCS", "3"), ("GOGC", "37"), ("GOMEMLIMIT", "48MiB")], &|release, facts| {
        assert_eq!(facts.gomaxprocs, Ok(3));
        assert_eq!(facts.gogc_percent, Ok(Some(37)));
        if release != "1.18.10" {
            assert_eq!(facts.memory_limit_bytes, Ok(Some(48 << 20)));
        }
    });
}

#[test]
fn a_collector_that_is_off_has_no_goal() {
    scenario("exe", &[("GOGC", "off")], &|_, facts| {
        assert_eq!(facts.gogc_percent, Ok(None));
        assert_eq!(facts.heap_goal_bytes, Ok(None));
    });
}

#[test]
fn the_memory_limit_alone_sets_the_goal() {
    scenario("exe", &[("GOGC", "off"), ("GOMEMLIMIT", "256MiB")], &|release, facts| {
        if release != "1.18.10" {
            let goal = facts.heap_goal_bytes.clone().unwrap().unwrap();
            assert!((200 << 20..256 << 20).contains(&goal), "go {release}: goal {goal}");
        }
    });
}
