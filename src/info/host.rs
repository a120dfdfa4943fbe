//! Reads what the kernel offers and what is in the way.

use std::fs;
use std::path::Path;
use std::str::FromStr;

use super::model::{Host, Reach};
use crate::target::process::{Process, Status};

pub fn examine() -> Host {
    let own = fs::read("/proc/self/status").ok().and_then(|text| Status::parse(&text)).unwrap_or_default();
    Host {
        kernel: trimmed("/proc/sys/kernel/osrelease").and_then(|release| kernel_version(&release)),
        caps_effective: own.caps_effective,
        root: own.uids[1] == 0,
        btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
        uprobes: Path::new("/sys/bus/event_source/devices/uprobe/type").exists(),
        lockdown: trimmed("/sys/kernel/security/lockdown").and_then(|text| chosen(&text)),
        perf_event_paranoid: number("/proc/sys/kernel/perf_event_paranoid"),
        kptr_restrict: number("/proc/sys/kernel/kptr_restrict"),
    }
}

pub fn reach(process: &Process, status: &Status) -> Reach {
    let access = process.access();
    let obstacles = access.obstacles();
    Reach {
        reasons: obstacles.iter().map(|obstacle| access.reason(obstacle)).collect(),
        ways_out: access.ways_out(&obstacles),
        granted_by: if access.privileged() { "CAP_SYS_PTRACE" } else { "same user" },
        tracer: Some(status.tracer).filter(|tracer| *tracer != 0),
        state: status.state,
        frozen: process.is_frozen(),
        pagemap: process.open_file("pagemap").is_ok(),
        obstacles,
    }
}

fn trimmed(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn number<T: FromStr>(path: &str) -> Option<T> {
    trimmed(path)?.parse().ok()
}

/// `6.18.44-generic`
fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// `none [integrity] confidentiality`
fn chosen(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    Some(rest.split_once(']')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_files() {
        assert_eq!(kernel_version("6.18.44-fc-v595"), Some((6, 18)));
        assert_eq!(kernel_version("5.4"), Some((5, 4)));
        assert_eq!(kernel_version("x"), None);
        assert_eq!(chosen("none [integrity] confidentiality").as_deref(), Some("integrity"));
        assert_eq!(chosen("none"), None);
    }
}
