//! Reads /proc.

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use rustc_hash::FxHashMap;

use super::model::{Listing, Process, Quality};
use crate::error::Result;
use crate::sys::{memory, users};
use crate::target::process::{self, Namespace, Stat, Status};
use crate::target::scan::{Candidate, Scanner};

pub fn collect() -> Result<Listing> {
    let (captured_at, begin) = (SystemTime::now(), Instant::now());
    let scan = Scanner::default().scan()?;
    let mut describer = Describer::new();
    let processes = scan.found.iter().filter_map(|found| describer.describe(found)).collect();
    let quality = Quality {
        denied: scan.denied,
        hidden: scan.hidden,
        unsupported: scan.unsupported,
        capture_ns: begin.elapsed().as_nanos() as u64,
        own_cpu_ns: memory::own_cpu_ns(),
    };
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    Ok(Listing { captured_at, hostname, processes, quality })
}

/// What is the same for all processes, looked up once.
struct Describer {
    uptime: Duration,
    own: Vec<(&'static str, Namespace)>,
    names: FxHashMap<u32, String>,
}

impl Describer {
    fn new() -> Self {
        let own = ["pid", "mnt"].into_iter().filter_map(|kind| Some((kind, process::own_namespace(kind)?))).collect();
        Describer { uptime: process::uptime().unwrap_or_default(), own, names: FxHashMap::default() }
    }

    /// `None` when it has exited meanwhile.
    fn describe(&mut self, found: &Candidate) -> Option<Process> {
        let pid = found.pid;
        let stat = Stat::parse(&process::read_of(pid, "stat").ok()?)?;
        let status = Status::parse(&process::read_of(pid, "status").ok()?)?;
        let uid = status.uids[1];
        let (exe, deleted) = found.exe_path();
        Some(Process {
            pid,
            uid,
            user: self.names.entry(uid).or_insert_with(|| users::name_of(uid).unwrap_or_default()).clone(),
            name: found.name(),
            exe,
            deleted,
            binary: found.binary.clone(),
            age: process::age_at(self.uptime, stat.start_ticks),
            rss_bytes: status.rss_bytes,
            threads: status.threads,
            container: self.container(pid),
        })
    }

    fn container(&self, pid: u32) -> Option<String> {
        let groups = process::read_of(pid, "cgroup").ok()?;
        process::container_hint(&String::from_utf8_lossy(&groups)).or_else(|| {
            let differs = |(kind, own): &(&str, Namespace)| process::namespace_of(pid, kind).is_some_and(|other| other != *own);
            self.own.iter().any(differs).then(|| "own namespaces".to_owned())
        })
    }
}
