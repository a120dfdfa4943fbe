//! Control groups: which container a process is in, and how much CPU its group may use.

use std::fs;
use std::path::{Path, PathBuf};

use super::Process;

/// The tightest limit on the way from the process's group up to the root.
#[derive(Debug, Clone, PartialEq)]
pub struct CpuQuota {
    /// In CPUs; 1.5 is one and a half.
    pub cpus: f64,
    /// Where it is set.
    pub source: PathBuf,
}

/// `cpu.stat`: periods with a quota in force, those in which it was used up, and how long the group then stood still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Throttling {
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled_ns: u64,
}

impl Process {
    /// `None` when nothing limits it, or the groups cannot be seen from here.
    pub fn cpu_quota(&self) -> Option<CpuQuota> {
        let groups = self.read("cgroup").ok()?;
        let groups = String::from_utf8_lossy(&groups);
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        quota_below(&groups, &mounts, Path::new("/")).or_else(|| {
            // In a container: as it sees its own groups.
            let mounts = self.read("mountinfo").ok()?;
            quota_below(&groups, &String::from_utf8_lossy(&mounts), &self.path("root"))
        })
    }

    /// How often its group, or one above, used up its quota since the group was made; `None` without a quota that can be seen.
    pub fn throttling(&self) -> Option<Throttling> {
        let groups = self.read("cgroup").ok()?;
        let groups = String::from_utf8_lossy(&groups);
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        throttling_below(&groups, &mounts, Path::new("/")).or_else(|| {
            let mounts = self.read("mountinfo").ok()?;
            throttling_below(&groups, &String::from_utf8_lossy(&mounts), &self.path("root"))
        })
    }

    /// Its control group, or one above, is frozen.
    pub fn is_frozen(&self) -> bool {
        let groups = self.read("cgroup").unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        frozen_below(&String::from_utf8_lossy(&groups), &mounts, Path::new("/"))
    }

    /// Such as `docker 3f2a1b4c5d6e`; `None` when nothing says that it is in a container.
    pub fn container(&self) -> Option<String> {
        let groups = self.read("cgroup").ok()?;
        container_hint(&String::from_utf8_lossy(&groups))
    }
}

fn quota_below(groups: &str, mounts: &str, root: &Path) -> Option<CpuQuota> {
    let quotas = levels(groups, mounts, root, "cpu").into_iter().filter_map(|level| match level.unified {
        true => quota_v2(&level.dir),
        false => quota_v1(&level.dir),
    });
    quotas.reduce(|tightest, other| if other.cpus < tightest.cpus { other } else { tightest })
}

/// Of the group that was throttled longest.
fn throttling_below(groups: &str, mounts: &str, root: &Path) -> Option<Throttling> {
    let of = |level: Level| {
        let limited = if level.unified { quota_v2(&level.dir) } else { quota_v1(&level.dir) };
        limited.and_then(|_| parse_throttling(&fs::read_to_string(level.dir.join("cpu.stat")).ok()?))
    };
    levels(groups, mounts, root, "cpu").into_iter().filter_map(of).max_by_key(|t| t.throttled_ns)
}

/// `throttled_usec` in version 2 of control groups, `throttled_time` (ns) in version 1.
fn parse_throttling(text: &str) -> Option<Throttling> {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse::<u64>().ok())
    };
    let throttled_ns = value("throttled_usec").map(|us| us.saturating_mul(1000)).or_else(|| value("throttled_time"))?;
    Some(Throttling { periods: value("nr_periods")?, throttled_periods: value("nr_throttled")?, throttled_ns })
}

/// A freezer stops all threads of a group, until it is thawed (`docker pause`).
fn frozen_below(groups: &str, mounts: &str, root: &Path) -> bool {
    let holds = |path: PathBuf, line: &str| fs::read_to_string(path).is_ok_and(|text| text.lines().any(|found| found == line));
    levels(groups, mounts, root, "freezer").iter().any(|level| match level.unified {
        true => holds(level.dir.join("cgroup.events"), "frozen 1"),
        false => holds(level.dir.join("freezer.state"), "FROZEN"),
    })
}

/// One group on the way from the top to a process's own.
struct Level {
    dir: PathBuf,
    /// Version 2 of control groups.
    unified: bool,
}

fn levels(groups: &str, mounts: &str, root: &Path, controller: &str) -> Vec<Level> {
    let has = |list: &str| list.split(',').any(|found| found == controller);
    let v2 = mount_of(mounts, |kind, _| kind == "cgroup2");
    let v1 = mount_of(mounts, |kind, options| kind == "cgroup" && has(options));
    let mut levels = Vec::new();
    for line in groups.lines() {
        // hierarchy-ID:controllers:path
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let (mount, unified) = if controllers.is_empty() { (&v2, true) } else { (&v1, false) };
        if let Some(mount) = mount.as_ref().filter(|_| unified || has(controllers)) {
            each_level(root, mount, path, |dir| levels.push(Level { dir: dir.to_owned(), unified }));
        }
    }
    levels
}

/// A mount of a cgroup hierarchy: where, and which group is its top.
struct Mount {
    point: String,
    top: String,
}

/// proc(5): `36 35 98:0 /root /point options [optional…] - type source super-options`.
fn mount_of(mounts: &str, wanted: impl Fn(&str, &str) -> bool) -> Option<Mount> {
    mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        let (kind, options) = (right.next()?, right.nth(1).unwrap_or_default());
        let mut left = left.split(' ').skip(3);
        let (top, point) = (left.next()?, left.next()?);
        wanted(kind, options).then(|| Mount { point: point.to_owned(), top: top.to_owned() })
    })
}

fn each_level(root: &Path, mount: &Mount, group: &str, mut visit: impl FnMut(&Path)) {
    // Not below what is mounted here: a container's own top is the only level to be seen.
    let below = group.strip_prefix(mount.top.trim_end_matches('/')).unwrap_or_default();
    let point = root.join(mount.point.trim_start_matches('/'));
    let mut dir = point.clone();
    visit(&dir);
    for part in below.split('/').filter(|part| !part.is_empty() && *part != "..") {
        dir.push(part);
        visit(&dir);
    }
}

/// `cpu.max`: `max 100000` or `150000 100000` (Documentation/admin-guide/cgroup-v2.rst).
fn quota_v2(dir: &Path) -> Option<CpuQuota> {
    let source = dir.join("cpu.max");
    let text = fs::read_to_string(&source).ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    let cpus = ratio(quota, period)?;
    Some(CpuQuota { cpus, source })
}

/// `cpu.cfs_quota_us` is -1 for none.
fn quota_v1(dir: &Path) -> Option<CpuQuota> {
    let source = dir.join("cpu.cfs_quota_us");
    let quota = fs::read_to_string(&source).ok()?;
    let period = fs::read_to_string(dir.join("cpu.cfs_period_us")).ok()?;
    let cpus = ratio(quota.trim(), period.trim())?;
    Some(CpuQuota { cpus, source })
}

fn ratio(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
    (period > 0).then(|| quota as f64 / period as f64)
}

/// From the text of /proc/PID/cgroup: the innermost name that a known container runtime gives its groups.
pub fn container_hint(groups: &str) -> Option<String> {
    groups.lines().filter_map(|line| line.splitn(3, ':').nth(2)).find_map(|path| path.rsplit('/').find_map(|part| runtime_of(part, path)))
}

fn runtime_of(part: &str, path: &str) -> Option<String> {
    let name = part.strip_suffix(".scope").unwrap_or(part);
    for (prefix, runtime) in [("docker-", "docker"), ("cri-containerd-", "containerd"), ("crio-", "cri-o"), ("libpod-", "podman")] {
        if let Some(id) = name.strip_prefix(prefix).filter(|id| is_id(id)) {
            return Some(format!("{runtime} {}", &id[..12]));
        }
    }
    if let Some(machine) = name.strip_prefix("machine-") {
        return Some(format!("machine {}", machine.replace("\\x2d", "-")));
    }
    if let Some((_, container)) = path.split_once("/lxc.payload.").or_else(|| path.split_once("/lxc/")) {
        return Some(format!("lxc {}", container.split('/').next().unwrap_or_default()));
    }
    is_id(name).then(|| {
        let runtime = if path.contains("kubepods") {
            "kubernetes"
        } else if path.contains("/docker/") {
            "docker"
        } else if path.contains("/ecs/") {
            "ecs"
        } else {
            "container"
        };
        format!("{runtime} {}", &name[..12])
    })
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_parses(groups in "([0-9]{0,2}:?[a-z,]{0,8}:?[/a-f0-9.-]{0,80}\\PC{0,4}\n?){0,4}", mounts in "(\\PC{0,40} - cgroup2? \\PC{0,20}\n){0,3}") {
            let _ = container_hint(&groups);
            let _ = quota_below(&groups, &mounts, Path::new("/nonexistent"));
        }
    }

    const ID: &str = "3f2a1b4c5d6e7f80913f2a1b4c5d6e7f80913f2a1b4c5d6e7f80913f2a1b4c5d";

    #[test]
    fn containers() {
        for (line, expected) in [
            (format!("0::/system.slice/docker-{ID}.scope"), Some("docker 3f2a1b4c5d6e")),
            (format!("12:cpu,cpuacct:/docker/{ID}\n0::/"), Some("docker 3f2a1b4c5d6e")),
            (
                format!("0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-{ID}.scope"),
                Some("containerd 3f2a1b4c5d6e"),
            ),
            (format!("4:cpu:/kubepods/besteffort/pod77/{ID}"), Some("kubernetes 3f2a1b4c5d6e")),
            (format!("0::/user.slice/user-1000.slice/libpod-{ID}.scope/container"), Some("podman 3f2a1b4c5d6e")),
            (format!("0::/../../docker/{ID}"), Some("docker 3f2a1b4c5d6e")),
            ("0::/lxc.payload.web/system.slice/app.service".to_owned(), Some("lxc web")),
            ("0::/machine.slice/machine-my\\x2dbox.scope/payload".to_owned(), Some("machine my-box")),
            ("0::/user.slice/user-1000.slice/session-2.scope".to_owned(), None),
            ("0::/".to_owned(), None),
        ] {
            assert_eq!(container_hint(&line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn the_tightest_quota_on_the_way_up_counts() {
        let dir = tempfile::tempdir().unwrap();
        let group = dir.path().join("cg/a/b");
        fs::create_dir_all(&group).unwrap();
        fs::write(dir.path().join("cg/a/cpu.max"), "150000 100000\n").unwrap();
        fs::write(group.join("cpu.max"), "max 100000\n").unwrap();
        let mounts = "30 20 0:26 / /cg rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        let quota = quota_below("0::/a/b\n", mounts, dir.path()).unwrap();
        assert_eq!(quota.cpus, 1.5);
        assert!(quota.source.ends_with("cg/a/cpu.max"));
        fs::write(group.join("cpu.max"), "50000 100000\n").unwrap();
        assert_eq!(quota_below("0::/a/b\n", mounts, dir.path()).unwrap().cpus, 0.5);
        assert_eq!(quota_below("0::/\n", mounts, dir.path()), None);
        // A container's own view: the mount's top is the container's group.
        let mounts = "30 20 0:26 /a /cg/a rw - cgroup2 cgroup2 rw\n";
        assert_eq!(quota_below("0::/a/b\n", mounts, dir.path()).unwrap().cpus, 0.5);
    }

    #[test]
    fn freezers() {
        let dir = tempfile::tempdir().unwrap();
        let (v2, v1) = (dir.path().join("cg/a"), dir.path().join("freezer/x"));
        fs::create_dir_all(&v2).unwrap();
        fs::create_dir_all(&v1).unwrap();
        let mounts = "30 20 0:26 / /cg rw - cgroup2 cgroup2 rw\n31 20 0:27 / /freezer rw - cgroup cgroup rw,freezer\n";
        let frozen = |groups| frozen_below(groups, mounts, dir.path());
        fs::write(v2.join("cgroup.events"), "populated 1\nfrozen 0\n").unwrap();
        fs::write(v1.join("freezer.state"), "THAWED\n").unwrap();
        assert!(!frozen("0::/a\n4:freezer:/x\n"));
        fs::write(v1.join("freezer.state"), "FROZEN\n").unwrap();
        assert!(frozen("0::/a\n4:freezer:/x\n") && !frozen("0::/a\n"));
        fs::write(v2.join("cgroup.events"), "populated 1\nfrozen 1\n").unwrap();
        assert!(frozen("0::/a\n"));
    }

    #[test]
    fn version_one() {
        let dir = tempfile::tempdir().unwrap();
        let group = dir.path().join("cpu/x");
        fs::create_dir_all(&group).unwrap();
        fs::write(group.join("cpu.cfs_quota_us"), "-1\n").unwrap();
        fs::write(group.join("cpu.cfs_period_us"), "100000\n").unwrap();
        let mounts = "31 20 0:27 / /cpu rw - cgroup cgroup rw,cpu,cpuacct\n";
        assert_eq!(quota_below("3:cpu,cpuacct:/x\n", mounts, dir.path()), None);
        fs::write(group.join("cpu.cfs_quota_us"), "250000\n").unwrap();
        assert_eq!(quota_below("3:cpu,cpuacct:/x\n", mounts, dir.path()).unwrap().cpus, 2.5);
    }
}
