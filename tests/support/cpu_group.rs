//! A control group with a CPU quota: version 2 where the cpu controller is there, else version 1.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // each test uses a part of it

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

const PERIOD_US: u64 = 100_000;

/// Removed when dropped; the processes in it go to the group above.
pub struct CpuGroup {
    pub dir: PathBuf,
    pub version: u8,
}

/// `cpu.stat` of a group, since it was made.
#[derive(Debug)]
pub struct CpuStat {
    pub periods: u64,
    pub throttled: u64,
    pub throttled_ns: u64,
}

impl CpuGroup {
    /// `cpus` may be below one. Fails with what is missing: the right to make groups, or a cpu controller.
    pub fn with_quota(cpus: f64) -> CpuGroup {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("goscope-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let (top, version) = hierarchy();
        let group = CpuGroup { dir: top.join(name), version };
        fs::create_dir(&group.dir).unwrap_or_else(|error| panic!("a control group is needed, by root: {}: {error}", group.dir.display()));
        let quota_us = (cpus * PERIOD_US as f64) as u64;
        if version == 2 {
            group.write("cpu.max", &format!("{quota_us} {PERIOD_US}"));
        } else {
            group.write("cpu.cfs_period_us", &PERIOD_US.to_string());
            group.write("cpu.cfs_quota_us", &quota_us.to_string());
        }
        group
    }

    /// All threads of a process.
    pub fn add(&self, pid: u32) {
        self.write("cgroup.procs", &pid.to_string());
    }

    pub fn stat(&self) -> CpuStat {
        let text = fs::read_to_string(self.dir.join("cpu.stat")).unwrap();
        let field = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            value.map(|value| value.parse::<u64>().unwrap())
        };
        let in_ns = field("throttled_time"); // version 1
        let in_us = || field("throttled_usec").map(|us| us * 1000); // version 2
        CpuStat {
            periods: field("nr_periods").unwrap(),
            throttled: field("nr_throttled").unwrap(),
            throttled_ns: in_ns.or_else(in_us).unwrap(),
        }
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.dir.join(file), text).unwrap_or_else(|error| panic!("{}/{file}: {error}", self.dir.display()));
    }
}

impl Drop for CpuGroup {
    fn drop(&mut self) {
        let above = self.dir.with_file_name("cgroup.procs");
        for pid in fs::read_to_string(self.dir.join("cgroup.procs")).unwrap_or_default().lines() {
            let _ = fs::write(&above, pid); // it may be gone already
        }
        let _ = fs::remove_dir(&self.dir);
    }
}

/// The top of the hierarchy that controls CPU, and its version.
fn hierarchy() -> (PathBuf, u8) {
    let v2 = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
    let v1 = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"].map(Path::new);
    let has_cpu =
        |dir: &&Path| fs::read_to_string(dir.join("cgroup.controllers")).is_ok_and(|text| text.split(' ').any(|c| c.trim() == "cpu"));
    if let Some(top) = v2.into_iter().find(has_cpu) {
        let enable = top.join("cgroup.subtree_control");
        fs::write(&enable, "+cpu").unwrap_or_else(|error| panic!("{}: {error}", enable.display()));
        return (top.to_owned(), 2);
    }
    let top = v1.into_iter().find(|dir| dir.join("cpu.cfs_quota_us").exists());
    (top.expect("no control group hierarchy with a cpu controller is mounted below /sys/fs/cgroup").to_owned(), 1)
}
