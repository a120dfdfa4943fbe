//! Plain data about one binary or process.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

pub use super::goroutines::Goroutines;
use super::runtime::{Figure, RuntimeFacts};
pub use crate::target::binary::Binary;
use crate::target::process::{CpuQuota, Obstacle};

#[derive(Debug)]
pub struct Info {
    pub captured_at: SystemTime,
    /// The executable's path as its process sees it, or as given.
    pub exe: PathBuf,
    pub exe_bytes: u64,
    pub binary: Binary,
    pub symbols: Symbols,
    /// `None` for a file.
    pub live: Option<Live>,
    pub checks: Vec<Check>,
    pub warnings: Vec<String>,
    pub capture_ns: u64,
    pub own_cpu_ns: u64,
}

/// Where names and offsets come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbols {
    /// Functions in the Go function table, or why it cannot be used.
    pub functions: Result<u64, String>,
    /// `table`, `dwarf`, `guess`, or why there is no layout.
    pub layout: Result<&'static str, String>,
}

#[derive(Debug)]
pub struct Live {
    pub pid: u32,
    /// Its number in its own pid namespace, where that is another one.
    pub inner_pid: Option<u32>,
    pub uid: u32,
    /// Empty when the uid has no name.
    pub user: String,
    pub comm: String,
    pub exe_deleted: bool,
    pub age: Duration,
    pub rss_bytes: u64,
    pub swap_bytes: u64,
    pub threads: u32,
    pub container: Option<String>,
    /// Kinds of namespaces that are not goscope's own.
    pub other_namespaces: Vec<&'static str>,
    pub cpu_quota: Option<CpuQuota>,
    /// Or why the process's memory cannot be read or understood.
    pub runtime: Figure<Runtime>,
    /// Or why they cannot be told.
    pub listening: Result<Vec<Listener>, String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Runtime {
    pub facts: RuntimeFacts,
    pub goroutines: Figure<Goroutines>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// `tcp`, `tcp6`, `unix`.
    pub protocol: &'static str,
    /// `127.0.0.1:8080`, `[::]:443`, or the path of a unix socket.
    pub address: String,
    /// Only when they were asked: one for each path.
    pub http: Vec<Answer>,
}

/// What an HTTP path answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub path: &'static str,
    /// The status code, or why there is none.
    pub status: Result<u16, String>,
    /// It looks like what that path is known for: the pprof index, a metrics exposition.
    pub recognised: bool,
}

/// One thing that commands need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub subject: &'static str,
    pub commands: &'static [&'static str],
    pub state: State,
    pub detail: String,
    /// What to do; one line for each way.
    pub fixes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Ok,
    /// Works, with less.
    Limited,
    Missing,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Limited => "limited",
            State::Missing => "missing",
        }
    }
}

/// What the kernel and goscope's own rights allow, as far as files tell.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// Major and minor version of the kernel.
    pub kernel: Option<(u32, u32)>,
    pub caps_effective: u64,
    pub root: bool,
    pub btf: bool,
    pub uprobes: bool,
    /// `none`, `integrity`, `confidentiality`.
    pub lockdown: Option<String>,
    pub perf_event_paranoid: Option<i32>,
    pub kptr_restrict: Option<i32>,
}

/// What stands between goscope and one process.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    pub obstacles: Vec<Obstacle>,
    pub reasons: Vec<String>,
    pub ways_out: Vec<String>,
    /// How access is granted: `CAP_SYS_PTRACE` or `same user`.
    pub granted_by: &'static str,
    /// A debugger traces it.
    pub tracer: Option<u32>,
    /// As in proc(5); T and t are stopped.
    pub state: char,
    /// Its control group is frozen.
    pub frozen: bool,
    /// /proc/PID/pagemap may be read.
    pub pagemap: bool,
}
