//! Nothing that goscope does brings a page into the target's memory, unless it is told to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "support/harm.rs"]
mod harm;
#[path = "support/service.rs"]
#[allow(dead_code)]
mod service;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::fixture::Fixture;
use harm::*;
use serde_json::Value;

const GOROUTINES: u64 = 200;

/// What a process has in memory and in swap, in KiB, exactly; and its major faults. Huge pages do not count: the kernel makes
/// them on its own account (khugepaged), out of ranges that were mostly absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Resident {
    rss: u64,
    swap: u64,
    major_faults: u64,
}

fn resident(pid: u32) -> Resident {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let kib = |name: &str| -> u64 {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_matches([' ', 'k', 'B']).parse().unwrap()
    };
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let major_faults = after_name.split_whitespace().nth(9).unwrap().parse().unwrap();
    Resident { rss: kib("Rss:") - kib("AnonHugePages:"), swap: kib("Swap:"), major_faults }
}

fn start() -> Fixture {
    Fixture::start(program("coldstacks"), &[&GOROUTINES.to_string()], &[])
}

/// Snapshots in every mode that must not bring anything in.
fn look_without_touching(target: &mut Fixture, mut check: impl FnMut(&Value)) {
    let pid = target.pid().to_string();
    // The target does nothing by itself meanwhile, but what it did last may still be on its way.
    target.ask("ping");
    let before = resident(target.pid());
    for _ in 0..10 {
        for mode in [&[][..], &["--pause"], &["--no-stop"]] {
            let run = goscope(&[&["goroutines", &pid, "--format", "json"], mode].concat());
            check(&run.json());
        }
        assert!(goscope(&["info", &pid]).status.success());
        assert!(goscope(&["ps"]).status.success());
    }
    let after = resident(target.pid());
    assert_eq!(after.swap, before.swap, "of swap");
    assert_eq!(after.major_faults, before.major_faults);
    // The runtime's own background threads wake up now and then.
    assert!(after.rss <= before.rss + 64, "{before:?} {after:?}");
    assert_unharmed(target);
}

/// Stacks of the program's goroutines: how many are whole, and how many end where a page is missing.
fn whole_and_cut(document: &Value) -> (u64, u64) {
    let stacks = document["stacks"].as_array().unwrap();
    let by_program = |g: &&Value| g["created_by"]["function"] == "main.main";
    let cut = |g: &&Value| stacks[g["stack"].as_u64().unwrap() as usize]["cut"] == "not_resident";
    let all: Vec<&Value> = document["goroutines"].as_array().unwrap().iter().filter(by_program).collect();
    let cut = all.iter().filter(|g| cut(g)).count() as u64;
    (all.len() as u64 - cut, cut)
}

#[test]
fn stacks_that_were_dropped_stay_dropped_and_are_counted() {
    let mut target = start();
    look_without_touching(&mut target, |document| {
        assert_eq!(whole_and_cut(document), (GOROUTINES, 0));
        assert_eq!(document["quality"]["not_resident"], 0);
    });
    let pages: u64 = target.ask("drop").parse().unwrap();
    assert!(pages > 20 * GOROUTINES, "{pages}");
    look_without_touching(&mut target, |document| {
        assert_eq!(whole_and_cut(document), (0, GOROUTINES));
        assert_eq!(document["quality"]["not_resident"], GOROUTINES);
    });
}

#[test]
fn stacks_that_are_swapped_out_stay_so_and_are_counted() {
    if !service::is_root("a swap file") {
        return;
    }
    let _swap = Swap::on();
    let mut target = start();
    let pages: u64 = target.ask("pageout").parse().unwrap();
    let swapped = resident(target.pid()).swap;
    assert!(swapped >= pages * 4 / 2, "{swapped} KiB of {pages} pages are in swap");
    let mut cut = 0;
    look_without_touching(&mut target, |document| {
        let (_, missing) = whole_and_cut(document);
        assert_eq!(document["quality"]["not_resident"], missing);
        cut = missing;
    });
    assert!(cut > GOROUTINES / 2, "{cut} stacks are swapped out");
    // With --swap-in they are read, which brings them back.
    let run = goscope(&["goroutines", &target.pid().to_string(), "--format", "json", "--swap-in"]);
    assert_eq!(whole_and_cut(&run.json()), (GOROUTINES, 0));
    assert!(resident(target.pid()).swap < swapped / 2, "{:?}", resident(target.pid()));
    assert_unharmed(&mut target);
    // Every frame of every stack is as it was left.
    assert_eq!(target.ask("wake").parse::<u64>().unwrap(), GOROUTINES * 401);
}

/// A swap file of its own, as long as this lives.
struct Swap {
    file: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

impl Swap {
    fn on() -> Swap {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("swap-{}", std::process::id()));
        let swap = Swap { file: file.clone(), _alone };
        let tool = |command: &mut Command| {
            let run = run(command);
            assert!(run.status.success(), "{command:?}: {run:?}");
        };
        tool(Command::new("dd").args(["if=/dev/zero", "bs=1M", "count=256"]).arg(format!("of={}", file.display())));
        tool(Command::new("chmod").arg("600").arg(&file));
        tool(Command::new("mkswap").arg(&file));
        tool(Command::new("swapon").arg(&file));
        swap
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        let _ = Command::new("swapoff").arg(&self.file).status(); // it may not be on
        let _ = fs::remove_file(&self.file);
    }
}
