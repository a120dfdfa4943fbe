//! Looks at a file or a process.

use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use super::model::{Info, Listener, Live, Runtime, Symbols};
use super::{analyze, goroutines, host, probe, runtime};
use crate::error::{Error, Result};
use crate::sys::{memory, users};
use crate::target::binary::Binary;
use crate::target::elf::Elf;
use crate::target::process::{Process, own_namespace, sockets};
use crate::target::runtime::GoProcess;
use crate::target::{layout, moduledata};

/// The static part only.
pub fn file(path: &Path) -> Result<Info> {
    let (captured_at, begin) = (SystemTime::now(), Instant::now());
    // Opening a pipe would wait for its other end.
    let regular = path.metadata().map(|found| found.is_file());
    if let Ok(false) = regular {
        return Err(Error::target(format!("{} is not a file", path.display())).hint("give the path of a Go executable"));
    }
    let elf = Elf::open(path).map_err(|error| match regular.is_ok() {
        true => error.about(path.display()),
        false => Error::target(format!("there is no file {}", path.display())).hint("give a process id or name, or the path of a binary"),
    })?;
    let binary = Binary::inspect(&elf).map_err(|error| error.about(path.display()))?;
    let (symbols, warnings) = symbols(&elf, &binary);
    let checks = analyze::checks(&binary, &symbols, None, &host::examine());
    Ok(Info {
        captured_at,
        exe: path.to_owned(),
        exe_bytes: elf.file_len(),
        binary,
        symbols,
        live: None,
        checks,
        warnings,
        capture_ns: begin.elapsed().as_nanos() as u64,
        own_cpu_ns: memory::own_cpu_ns(),
    })
}

/// `probe_http` sends requests to the sockets it listens on.
///
/// A process whose memory may not be read is told of as far as its files go.
pub fn process(process: &Process, probe_http: bool) -> Result<Info> {
    let (captured_at, begin) = (SystemTime::now(), Instant::now());
    let program = process.program();
    let attached = Process::open(process.pid).and_then(|again| GoProcess::attach(again, false));
    let (elf, binary, symbols, warnings, runtime) = match attached {
        Ok(go) => {
            let runtime = Runtime { facts: runtime::collect(&go), goroutines: goroutines::count(&go) };
            let symbols = Symbols { functions: Ok(go.module.pclntab.len() as u64), layout: Ok(go.layout_source.as_str()) };
            (go.elf, go.binary, symbols, go.warnings, Ok(runtime))
        }
        Err(error) => {
            let (elf, binary) = executable(process)?;
            let (symbols, warnings) = symbols(&elf, &binary);
            (elf, binary, symbols, warnings, Err(error.to_string()))
        }
    };
    let status = process.status()?;
    let (exe, exe_deleted) = executable_path(process);
    let listener = |socket: &sockets::Socket| Listener { protocol: socket.protocol(), address: socket.to_string(), http: Vec::new() };
    let mut listening =
        sockets::listening(process).map(|all| all.iter().map(listener).collect::<Vec<_>>()).map_err(|error| error.to_string());
    if let Ok(listeners) = &mut listening
        && probe_http
    {
        probe::probe(process, listeners);
    }
    let uid = status.uids[1];
    let live = Live {
        pid: process.pid,
        inner_pid: status.innermost_pid().filter(|inner| *inner != process.pid),
        uid,
        user: users::name_of(uid).unwrap_or_default(),
        comm: process.comm.clone(),
        exe_deleted,
        age: process.age().unwrap_or_default(),
        rss_bytes: status.rss_bytes,
        swap_bytes: status.swap_bytes,
        threads: status.threads,
        container: process.container(),
        other_namespaces: other_namespaces(process),
        cpu_quota: process.cpu_quota(),
        runtime,
        listening,
    };
    let reach = host::reach(process, &status);
    let checks = analyze::checks(&binary, &symbols, Some(&reach), &host::examine());
    match program {
        Ok(program) => process.check(&program)?,
        Err(_) if !process.is_alive_same() => return Err(process.gone()),
        Err(_) => {}
    }
    Ok(Info {
        captured_at,
        exe,
        exe_bytes: elf.file_len(),
        binary,
        symbols,
        live: Some(live),
        checks,
        warnings,
        capture_ns: begin.elapsed().as_nanos() as u64,
        own_cpu_ns: memory::own_cpu_ns(),
    })
}

fn executable(process: &Process) -> Result<(Elf, Binary)> {
    let elf = process.executable()?;
    let binary = Binary::of_process(process, &elf)?;
    Ok((elf, binary))
}

/// Without the mark that the kernel adds, and whether it was there.
fn executable_path(process: &Process) -> (PathBuf, bool) {
    let exe = process.executable_path().unwrap_or_default();
    match exe.to_str().and_then(|path| path.strip_suffix(" (deleted)")) {
        Some(path) => (path.into(), true),
        None => (exe, false),
    }
}

fn symbols(elf: &Elf, binary: &Binary) -> (Symbols, Vec<String>) {
    let functions = moduledata::find(elf).map(|found| found.header.nfunc).map_err(|error| error.to_string());
    let version = Some(binary.build.go_version.as_str()).filter(|version| *version != "unknown");
    let (layout, warnings) = match layout::choose(version, elf, &|_| true) {
        Ok(choice) => (Ok(choice.source.as_str()), choice.warnings),
        Err(error) => (Err(error.to_string()), Vec::new()),
    };
    (Symbols { functions, layout }, warnings)
}

fn other_namespaces(process: &Process) -> Vec<&'static str> {
    let differs = |kind: &&str| {
        let own = own_namespace(kind);
        own.is_some() && process.namespace(kind).is_some_and(|other| Some(other) != own)
    };
    ["mnt", "pid", "net", "user", "cgroup", "ipc", "uts", "time"].into_iter().filter(differs).collect()
}
