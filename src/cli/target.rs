//! From what the user typed as TARGET to one process.

use std::time::{Duration, Instant};

use clap::Args;

use super::values;
use crate::error::{Error, Result};
use crate::output::{Console, Progress, count, duration};
use crate::target::process::{self, Process, Stat};
use crate::target::scan::{Candidate, Scan, Scanner};

/// How often `--wait` looks.
const POLL: Duration = Duration::from_millis(200);
const FOREVER: &str = "3000years";
/// More candidates than this are only counted.
const MOST_LISTED: usize = 10;

#[derive(Debug, Clone, Args)]
pub struct Wait {
    /// Wait for the target to appear; with a duration, no longer than that
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = FOREVER)]
    wait: Option<Duration>,
}

/// Which processes may be meant by a name; by a process id, any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Programs {
    Go,
    /// Those of Go before the others.
    Any,
}

/// Errors, all Target: no such process, not Go under that name, several of that name.
pub fn resolve(target: &str, programs: Programs, wait: &Wait, console: &Console) -> Result<Process> {
    let pid = parse_pid(target)?;
    let mut scanner = Scanner::default();
    let mut attempt = || match pid {
        Some(pid) if process::exists(pid) => Process::open(pid).map_err(Outcome::Final),
        Some(pid) => Process::open(pid).map_err(Outcome::NotYet),
        None => by_name(target, programs, &mut scanner),
    };
    let begin = Instant::now();
    let mut progress: Option<Progress> = None;
    loop {
        let not_yet = match attempt() {
            Ok(process) => {
                console.note(&format!("'{target}' is process {} ({}), found in {}", process.pid, process.comm, duration(begin.elapsed())));
                return Ok(process);
            }
            Err(Outcome::Final(error)) => return Err(error),
            Err(Outcome::NotYet(error)) => error,
        };
        let Some(limit) = wait.wait else { return Err(not_yet) };
        let left = limit.saturating_sub(begin.elapsed());
        if left.is_zero() {
            return Err(not_yet.hint(format!("waited {}", duration(limit))));
        }
        progress.get_or_insert_with(|| console.progress()).show(&format!("waiting for '{target}' to appear (Ctrl-C ends)"));
        std::thread::sleep(POLL.min(left));
    }
}

/// Why there is no process: another look may find one, or none will.
enum Outcome {
    NotYet(Error),
    Final(Error),
}

fn parse_pid(target: &str) -> Result<Option<u32>> {
    if target.is_empty() || !target.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match target.parse::<u32>() {
        Ok(pid) if (1..=i32::MAX as u32).contains(&pid) => Ok(Some(pid)),
        _ => Err(Error::usage(format!("'{target}' is no process id")).hint("process ids are numbers from 1 to 2147483647")),
    }
}

fn by_name(name: &str, programs: Programs, scanner: &mut Scanner) -> std::result::Result<Process, Outcome> {
    let scan = scanner.scan().map_err(Outcome::Final)?;
    match candidates(name, &scan.found, comm_of).as_slice() {
        [] if programs == Programs::Any => other(name, &scan),
        [] => Err(Outcome::NotYet(nobody(name, programs, &scan))),
        // It may have exited since the look, so that another look is worth it.
        [one] => Process::open(one.pid).map_err(Outcome::NotYet),
        several => Err(Outcome::Final(ambiguous(name, several))),
    }
}

/// A process of any program, by the base name of its executable or its comm.
fn other(name: &str, scan: &Scan) -> std::result::Result<Process, Outcome> {
    let exe = |pid: u32| std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let is_called = |pid: &u32| exe(*pid).file_name().is_some_and(|exe| exe == name) || has_comm(*pid, name);
    let found: Vec<u32> = process::all_pids().map_err(Outcome::Final)?.into_iter().filter(|pid| *pid != std::process::id()).collect();
    match found.into_iter().filter(is_called).collect::<Vec<_>>().as_slice() {
        [] => Err(Outcome::NotYet(nobody(name, Programs::Any, scan))),
        [one] => Process::open(*one).map_err(Outcome::NotYet),
        several => {
            let mut error = Error::target(format!("'{name}' names {} processes; give the process id of one", several.len()));
            for pid in several.iter().take(MOST_LISTED) {
                error = error.hint(format!("{pid}  {}", exe(*pid).display()));
            }
            Err(Outcome::Final(error))
        }
    }
}

/// Those of the first rule that finds any: base name of the executable, comm (which the kernel cuts at 15 bytes), main module.
fn candidates<'a>(name: &str, found: &'a [Candidate], comm: impl Fn(u32) -> Option<String>) -> Vec<&'a Candidate> {
    let cut = name.as_bytes().get(..15).unwrap_or(name.as_bytes());
    let rules: [&dyn Fn(&Candidate) -> bool; 3] =
        [&|process| process.name() == name, &|process| comm(process.pid).is_some_and(|comm| comm.as_bytes() == cut), &|process| {
            process.binary.build.short_name() == name
        }];
    rules
        .iter()
        .map(|rule| found.iter().filter(|process| rule(process)).collect::<Vec<_>>())
        .find(|hits| !hits.is_empty())
        .unwrap_or_default()
}

/// The kernel cuts it at 15 bytes.
fn has_comm(pid: u32, name: &str) -> bool {
    let cut = name.as_bytes().get(..15).unwrap_or(name.as_bytes());
    comm_of(pid).is_some_and(|comm| comm.as_bytes() == cut)
}

fn comm_of(pid: u32) -> Option<String> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    Some(Stat::parse(&stat)?.comm)
}

fn ambiguous(name: &str, several: &[&Candidate]) -> Error {
    let mut error = Error::target(format!("'{name}' names {} Go processes; give the process id of one", several.len()));
    let uptime = process::uptime().unwrap_or_default();
    for process in several.iter().take(MOST_LISTED) {
        let stat = std::fs::read(format!("/proc/{}/stat", process.pid)).ok().and_then(|stat| Stat::parse(&stat));
        let age = stat.map_or_else(String::new, |stat| format!(", up {}", duration(process::age_at(uptime, stat.start_ticks))));
        error = error.hint(format!("{}  {} ({}){age}", process.pid, process.exe.display(), process.binary.build.main_path()));
    }
    if several.len() > MOST_LISTED {
        error = error.hint(format!("and {} more; `goscope ps` lists them all", several.len() - MOST_LISTED));
    }
    error
}

fn nobody(name: &str, programs: Programs, scan: &Scan) -> Error {
    let mut error = Error::target(match programs {
        Programs::Go => format!("no Go process is called '{name}'"),
        Programs::Any => format!("no process is called '{name}'"),
    });
    let others = process::all_pids().unwrap_or_default();
    if let Some((pid, why)) = scan.unsupported.iter().find(|(pid, _)| has_comm(*pid, name)) {
        return Error::target(format!("process {pid} ('{name}') was {why}"));
    }
    let is_go = |pid: u32| scan.found.iter().any(|process| process.pid == pid);
    if let Some(pid) = others.into_iter().find(|pid| !is_go(*pid) && has_comm(*pid, name)) {
        error = error.hint(match std::fs::File::open(format!("/proc/{pid}/exe")) {
            Ok(_) => format!("process {pid} has that name, but is not a Go program"),
            Err(_) => format!("process {pid} has that name, but may not be looked into by this user"),
        });
    }
    if scan.denied > 0 {
        let ways = process::ways_to_be_privileged();
        let refused = format!("{} may not be looked into by this user", count(scan.denied, "process"));
        error = ways.into_iter().take(1).fold(error.hint(refused), Error::hint);
    }
    if name.contains('/') {
        error = error.hint("this looks like a path: only `goscope info` takes one");
    } else if std::path::Path::new(name).is_file() {
        error = error.hint(format!("for the file of that name: goscope info ./{name}"));
    }
    if scan.hidden {
        error = error.hint("/proc hides the processes of other users (hidepid)");
    }
    let mut names: Vec<String> = scan.found.iter().map(Candidate::name).collect();
    names.sort();
    names.dedup();
    match names.len() {
        0 => error.hint("no Go process was found at all"),
        1..=MOST_LISTED => error.hint(format!("Go processes here: {}", names.join(", "))),
        _ => error.hint("`goscope ps` lists the Go processes"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;
    use crate::target::binary::{Binary, BuildMode};
    use crate::target::buildinfo::BuildInfo;
    use crate::target::elf::Machine;

    fn process(pid: u32, exe: &str, module: &str) -> Candidate {
        let build = BuildInfo { path: module.into(), ..BuildInfo::default() };
        let binary = Binary { build, machine: Machine::Amd64, mode: BuildMode::Exe, stripped: false, dwarf: true };
        Candidate { pid, binary: Arc::new(binary), exe: PathBuf::from(exe) }
    }

    #[test]
    fn the_first_rule_that_finds_any_decides() {
        let found = [
            process(1, "/usr/bin/shop", "example.com/a"),
            process(2, "/usr/bin/other", "example.com/shop/v2"),
            process(3, "/opt/x (deleted)", "example.com/b"),
            process(4, "/opt/y", "example.com/b/v3"),
        ];
        let comm = |pid: u32| Some(["shop", "shop", "a-very-long-nam", "worker"][pid as usize - 1].to_owned());
        let pids = |name: &str| candidates(name, &found, comm).iter().map(|process| process.pid).collect::<Vec<_>>();
        assert_eq!(pids("shop"), [1]);
        assert_eq!(pids("other"), [2]);
        assert_eq!(pids("x"), [3], "of a deleted executable");
        assert_eq!(pids("a-very-long-name-indeed"), [3], "comm is cut at 15 bytes");
        assert_eq!(pids("worker"), [4]);
        assert_eq!(pids("b"), [3, 4]);
        assert_eq!(pids("nobody"), [0u32; 0]);
    }

    #[test]
    fn pids() {
        assert_eq!(parse_pid("4711").unwrap(), Some(4711));
        assert_eq!(parse_pid("4711a").unwrap(), None);
        assert_eq!(parse_pid("-1").unwrap(), None);
        for bad in ["0", "2147483648", "99999999999999999999"] {
            assert_eq!(parse_pid(bad).unwrap_err().kind.exit_code(), 2, "{bad}");
        }
    }
}
