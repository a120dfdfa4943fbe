//! Plain data of a process list.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::target::binary::Binary;

#[derive(Debug, Clone)]
pub struct Listing {
    pub captured_at: SystemTime,
    pub hostname: String,
    pub processes: Vec<Process>,
    pub quality: Quality,
}

#[derive(Debug, Clone)]
pub struct Process {
    pub pid: u32,
    pub uid: u32,
    /// Empty when the uid has no name.
    pub user: String,
    /// Base name of the executable.
    pub name: String,
    pub exe: PathBuf,
    /// The executable's file is gone or was replaced.
    pub deleted: bool,
    pub binary: Arc<Binary>,
    pub age: Duration,
    pub rss_bytes: u64,
    pub threads: u32,
    /// Such as `docker 3f2a1b4c5d6e`; `own namespaces` when only its pid or mount namespace is not goscope's.
    pub container: Option<String>,
}

/// What was not seen, and the price.
#[derive(Debug, Clone, Default)]
pub struct Quality {
    /// Processes that the caller may not look into: Go or not is unknown.
    pub denied: u64,
    /// /proc hides the processes of other users.
    pub hidden: bool,
    /// Go processes of versions that goscope does not read: pid and why.
    pub unsupported: Vec<(u32, String)>,
    pub capture_ns: u64,
    pub own_cpu_ns: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Pid,
    Name,
    User,
    Go,
    Age,
    Rss,
    Threads,
}
