//! A live process, held so that it cannot be mistaken for a later one with the same number.

mod access;
mod cgroup;
pub mod maps;
pub mod sockets;
mod status;

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::time::Duration;

pub use access::{Access, Obstacle, ways_to_be_privileged};
pub use cgroup::{CpuQuota, Throttling, container_hint};
pub use maps::{Mapping, parse as parse_maps};
pub use status::{Stat, Status};

use super::elf::Elf;
use crate::error::{Error, Result};
use crate::sys::memory::parse_monotonic_offset;
use crate::sys::pidfd;

/// Held by a pidfd and by an open /proc/PID, whose files answer ESRCH once this very process is gone.
#[derive(Debug)]
pub struct Process {
    pub pid: u32,
    /// Clock ticks (1/100 s) from boot to its start.
    pub start_ticks: u64,
    /// As /proc/PID/comm: at most 15 bytes.
    pub comm: String,
    proc_dir: File,
    /// `None` before Linux 5.3.
    pidfd: Option<OwnedFd>,
}

/// One program in one process, from its execve(2) to the next one or the exit.
#[derive(Debug)]
pub struct Program(File);

impl Program {
    fn is_running(&self) -> bool {
        // Empty when the address space is gone.
        self.0.read_at(&mut [0], 0).is_ok_and(|n| n == 1)
    }
}

/// A name space a process lives in; equal values are the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Namespace {
    device: u64,
    inode: u64,
}

impl Process {
    /// Errors, all Target: no such process, a thread's id, a kernel thread, a zombie. Permission: hidden by /proc's mount options.
    pub fn open(pid: u32) -> Result<Process> {
        let pidfd = pidfd::open(pid);
        let proc_dir = match File::open(format!("/proc/{pid}")) {
            Ok(dir) => dir,
            Err(_) if pidfd.is_ok() => {
                return Err(Error::permission(format!("process {pid} is hidden from this user by /proc's hidepid option"))
                    .hint("run goscope as root, or as a member of the group that /proc is mounted with (gid=)"));
            }
            Err(_) => return Err(gone(pid)),
        };
        let stat = fs::read(format!("/proc/self/fd/{}/stat", proc_dir.as_raw_fd())).map_err(|error| read_error(pid, "stat", error))?;
        let stat = Stat::parse(&stat).ok_or_else(|| Error::io(format!("/proc/{pid}/stat is not understood")))?;
        let process = Process { pid, start_ticks: stat.start_ticks, comm: stat.comm.clone(), proc_dir, pidfd: pidfd.ok() };
        process.refuse_unfit(&stat)?;
        Ok(process)
    }

    fn refuse_unfit(&self, stat: &Stat) -> Result<()> {
        let pid = self.pid;
        if stat.kernel_thread {
            return Err(Error::target(format!("process {pid} ({}) is a kernel thread", self.comm)).hint(LIST));
        }
        if matches!(stat.state, 'Z' | 'X') {
            // Its first thread has ended, others have not: also what an execve(2) by one of those looks like for a moment.
            if self.threads().is_ok_and(|threads| threads.len() > 1) {
                let told = format!("process {pid} ({}) is exiting or executing another program", self.comm);
                return Err(Error::target(told).hint("run goscope again"));
            }
            return Err(Error::target(format!("process {pid} ({}) has exited; its parent has not collected it yet (zombie)", self.comm)));
        }
        let status = self.status()?;
        if status.tgid != pid {
            return Err(Error::target(format!("{pid} is a thread of process {}", status.tgid)).hint(format!("give {}", status.tgid)));
        }
        Ok(())
    }

    /// False once it has exited, even when another process has its number by now.
    pub fn is_alive_same(&self) -> bool {
        if self.pidfd.as_ref().is_some_and(pidfd::has_exited) {
            return false;
        }
        let stat = self.read("stat").ok();
        stat.and_then(|stat| Stat::parse(&stat))
            .is_some_and(|stat| stat.start_ticks == self.start_ticks && !matches!(stat.state, 'Z' | 'X'))
    }

    /// What it runs now; `check` tells later whether it still does.
    ///
    /// Errors: Permission when the kernel refuses, Target when it is gone.
    pub fn program(&self) -> Result<Program> {
        // Kept open, it stays with the address space that it was opened on (fs/proc/task_mmu.c).
        self.open_file("maps").map(Program).map_err(|error| self.explain("maps", error))
    }

    /// Errors, all Target: it has exited, or become another program by execve(2), since `program` was taken.
    pub fn check(&self, program: &Program) -> Result<()> {
        if program.is_running() {
            return Ok(());
        }
        // While it exits it has no address space for a moment before it is a zombie (`exit_mm` in kernel/exit.c).
        let has_memory = self.maps().is_ok_and(|maps| !maps.is_empty());
        if !has_memory || !self.is_alive_same() {
            return Err(self.gone());
        }
        Err(Error::target(format!("process {} ({}) has become another program (execve) meanwhile", self.pid, self.comm))
            .hint("run goscope again to look at the new one"))
    }

    /// What to say when it is not there any more.
    pub fn gone(&self) -> Error {
        Error::target(format!("process {} ({}) has exited", self.pid, self.comm))
    }

    /// The whole of a file below /proc/PID, such as `maps` or `task/12/syscall`. ESRCH when the process is gone.
    pub fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        self.open_file(name)?.read_to_end(&mut content)?;
        Ok(content)
    }

    /// As `read`, open for reading.
    pub fn open_file(&self, name: &str) -> io::Result<File> {
        File::open(self.path(name))
    }

    /// A path that leads to this process's entry in /proc, never to that of a later one.
    pub fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.proc_dir.as_raw_fd()))
    }

    /// An error of a file below /proc/PID, told with its cause and the way out.
    pub fn explain(&self, name: &str, error: io::Error) -> Error {
        if matches!(error.kind(), io::ErrorKind::PermissionDenied) {
            return self.access().explain(error);
        }
        read_error(self.pid, name, error)
    }

    pub fn status(&self) -> Result<Status> {
        let text = self.read("status").map_err(|error| self.explain("status", error))?;
        Status::parse(&text).ok_or_else(|| Error::io(format!("/proc/{}/status is not understood", self.pid)))
    }

    pub fn maps(&self) -> Result<Vec<Mapping>> {
        let text = self.read("maps").map_err(|error| self.explain("maps", error))?;
        Ok(maps::parse(&text))
    }

    /// Thread ids, in goscope's pid namespace.
    pub fn threads(&self) -> Result<Vec<u32>> {
        let explain = |error| self.explain("task", error);
        let mut threads = Vec::new();
        for entry in fs::read_dir(self.path("task")).map_err(explain)? {
            let name = entry.map_err(explain)?.file_name();
            threads.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
        }
        threads.sort_unstable();
        Ok(threads)
    }

    pub fn thread_status(&self, tid: u32) -> Option<Status> {
        Status::parse(&self.read(&format!("task/{tid}/status")).ok()?)
    }

    /// The executable as the kernel holds it: also when it was replaced, deleted, or lies in another mount namespace.
    pub fn executable(&self) -> Result<Elf> {
        let file = self.open_file("exe").map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied if fs::read_link(self.path("exe")).is_ok() => self.unreadable_executable(error),
            io::ErrorKind::NotFound => Error::target(format!("process {} ({}) has no executable", self.pid, self.comm)).hint(LIST),
            _ => self.explain("exe", error),
        })?;
        Elf::from_file(file).map_err(|error| error.about(format_args!("process {} ({})", self.pid, self.comm)))
    }

    fn unreadable_executable(&self, error: io::Error) -> Error {
        Error::permission(format!("the executable of process {} may be run but not read by this user", self.pid))
            .because(error)
            .hint("run goscope as the owner of the file, or as root")
    }

    /// The executable's path as the target sees it; a deleted one ends in ` (deleted)`. `None` without permission.
    pub fn executable_path(&self) -> Option<PathBuf> {
        fs::read_link(self.path("exe")).ok()
    }

    /// What to add to an address of the executable file to get the one in memory.
    ///
    /// From the entry point that the kernel noted in the auxiliary vector, so it needs no look at the memory map, where
    /// overlay file systems show other device and inode numbers than stat does.
    pub fn load_bias(&self, elf: &Elf) -> Result<u64> {
        const AT_ENTRY: u64 = 9;
        if !elf.position_independent {
            return Ok(0);
        }
        let auxv = self.read("auxv").map_err(|error| self.explain("auxv", error))?;
        let word = |bytes: &[u8]| bytes.first_chunk::<8>().map(|word| u64::from_le_bytes(*word));
        let entry = auxv.chunks_exact(16).find(|pair| word(pair) == Some(AT_ENTRY)).and_then(|pair| word(&pair[8..]));
        match entry.and_then(|entry| entry.checked_sub(elf.entry)) {
            Some(bias) if bias % 4096 == 0 => Ok(bias),
            _ => Err(Error::io(format!("cannot tell where the executable of process {} is loaded", self.pid))),
        }
    }

    /// CLOCK_MONOTONIC of the process minus [`monotonic_ns`](crate::sys::memory::monotonic_ns), in nanoseconds: not 0 only in a time
    /// namespace.
    pub fn clock_offset_ns(&self) -> i64 {
        let text = fs::read_to_string(format!("/proc/{}/timens_offsets", self.pid)).unwrap_or_default();
        parse_monotonic_offset(&text).unwrap_or(0)
    }

    /// `kind` as below /proc/PID/ns: `user`, `pid`, `mnt`, `net`, `cgroup`, `time`. `None` without permission or kernel support.
    pub fn namespace(&self, kind: &str) -> Option<Namespace> {
        namespace_at(&self.path("ns").join(kind))
    }

    /// Since its start.
    pub fn age(&self) -> Option<Duration> {
        Some(age_at(uptime()?, self.start_ticks))
    }

    /// Who may look into it, and what is in the way.
    pub fn access(&self) -> Access {
        Access::examine(self)
    }
}

const LIST: &str = "`goscope ps` lists the Go processes";

/// Also true of one that may not be opened, or is not fit.
pub fn exists(pid: u32) -> bool {
    fs::metadata(format!("/proc/{pid}")).is_ok()
}

/// The numbers of all processes that /proc shows.
pub fn all_pids() -> Result<Vec<u32>> {
    let entries = fs::read_dir("/proc").map_err(|error| Error::io("cannot read /proc").because(error))?;
    let mut pids: Vec<u32> = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    Ok(pids)
}

/// A namespace of goscope itself.
pub fn own_namespace(kind: &str) -> Option<Namespace> {
    namespace_at(&PathBuf::from("/proc/self/ns").join(kind))
}

/// A file of /proc that is not a process's.
pub fn read_of_host(name: &str) -> io::Result<String> {
    fs::read_to_string(format!("/proc/{name}"))
}

/// A file below /proc/PID of a process that is not held, with few system calls: its size cannot be asked for.
pub fn read_of(pid: u32, name: &str) -> io::Result<Vec<u8>> {
    let mut file = File::open(format!("/proc/{pid}/{name}"))?;
    let mut content = vec![0; 4096];
    let mut filled = 0;
    loop {
        match file.read(&mut content[filled..])? {
            0 => break,
            n => filled += n,
        }
        if filled == content.len() {
            content.resize(2 * filled, 0);
        }
    }
    content.truncate(filled);
    Ok(content)
}

/// A namespace of a process that is not held.
pub fn namespace_of(pid: u32, kind: &str) -> Option<Namespace> {
    namespace_at(&PathBuf::from(format!("/proc/{pid}/ns/{kind}")))
}

fn namespace_at(path: &std::path::Path) -> Option<Namespace> {
    let found = fs::metadata(path).ok()?;
    Some(Namespace { device: found.dev(), inode: found.ino() })
}

/// Since boot, in goscope's time namespace, as /proc/PID/stat counts (proc(5)).
pub fn uptime() -> Option<Duration> {
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(uptime).ok()
}

/// Of a process that was started at `start_ticks`, when the system has been up for `uptime`.
pub fn age_at(uptime: Duration, start_ticks: u64) -> Duration {
    // USER_HZ is 100 on every architecture that goscope runs on (include/uapi/asm-generic/param.h).
    uptime.saturating_sub(Duration::from_millis(start_ticks.saturating_mul(10)))
}

fn gone(pid: u32) -> Error {
    Error::target(format!("there is no process {pid}")).hint(LIST)
}

fn read_error(pid: u32, name: &str, error: io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::ESRCH | libc::ENOENT) => gone(pid),
        Some(libc::EACCES | libc::EPERM) => Error::permission(format!("cannot read /proc/{pid}/{name}")).because(error),
        _ => Error::io(format!("cannot read /proc/{pid}/{name}")).because(error),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn itself_is_alive_and_known() {
        let this = Process::open(std::process::id()).unwrap();
        assert!(this.is_alive_same());
        assert!(this.maps().unwrap().iter().any(|mapping| mapping.executable));
        assert!(this.threads().unwrap().contains(&this.pid));
        assert_eq!(this.namespace("pid"), own_namespace("pid"));
        assert!(this.age().unwrap() < Duration::from_secs(3600));
        let elf = this.executable().unwrap();
        let bias = this.load_bias(&elf).unwrap();
        let code = elf.segments.iter().find(|segment| segment.executable).unwrap();
        let maps = this.maps().unwrap();
        assert!(maps.iter().any(|m| m.executable && (m.start..m.end).contains(&(code.vaddr + bias))));
    }

    #[test]
    fn an_exit_is_noticed_also_while_a_zombie() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let process = Process::open(child.id()).unwrap();
        assert!(process.is_alive_same());
        drop(child.stdin.take());
        // Not reaped: WNOWAIT is what `is_alive_same` must not need.
        let stat = || Stat::parse(&process.read("stat").unwrap()).unwrap().state;
        while stat() != 'Z' {
            std::thread::yield_now();
        }
        assert!(!process.is_alive_same());
        let error = Process::open(child.id()).unwrap_err();
        assert_eq!(error.kind.exit_code(), 3);
        assert!(error.message.contains("zombie"), "{error}");
        child.wait().unwrap();
        assert!(!process.is_alive_same());
        assert!(process.read("stat").is_err());
        assert!(process.explain("stat", process.read("stat").unwrap_err()).kind.exit_code() == 3);
    }

    #[test]
    fn unfit_processes_are_refused() {
        let message = |pid| Process::open(pid).unwrap_err().to_string();
        assert!(message(u32::MAX - 1).contains("there is no process"));
        let this = Process::open(std::process::id()).unwrap();
        let thread = this.threads().unwrap().into_iter().find(|tid| *tid != this.pid).unwrap();
        assert!(message(thread).contains("is a thread of process"));
        if let Some(kthread) = all_pids().unwrap().into_iter().find(|pid| {
            fs::read(format!("/proc/{pid}/stat")).ok().and_then(|stat| Stat::parse(&stat)).is_some_and(|stat| stat.kernel_thread)
        }) {
            assert!(message(kthread).contains("kernel thread"));
        }
    }
}
