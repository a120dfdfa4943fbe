//! May goscope look into this process, and if not: what exactly is in the way, and what is the way out.
//!
//! Follows the kernel's own order: `__ptrace_may_access` (kernel/ptrace.c), `cap_ptrace_access_check` (security/commoncap.c),
//! `yama_ptrace_access_check` (security/yama/yama_lsm.c).

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Namespace, Process, Stat, Status, own_namespace};
use crate::error::Error;

const CAP_SYS_PTRACE: u64 = 1 << 19;
/// The inode of the first user namespace (PROC_USER_INIT_INO, include/linux/proc_ns.h).
const INITIAL_USER_NAMESPACE: u64 = 0xEFFF_FFFD;

/// The facts that the kernel decides by.
#[derive(Debug, Clone, Default)]
pub struct Access {
    pub pid: u32,
    pub own: Status,
    pub own_user_namespace: Option<Namespace>,
    pub target: Status,
    /// Unknown when even that may not be seen.
    pub target_user_namespace: Option<Namespace>,
    /// kernel.yama.ptrace_scope; `None` where Yama is not built in.
    pub yama: Option<u8>,
    /// goscope is an ancestor of the target.
    pub descendant: bool,
    /// Unknown for a target of uid 0.
    pub dumpable: Option<bool>,
    /// The security module's label of goscope itself, such as `docker-default (enforce)`.
    pub label: Option<String>,
}

/// One thing in the way of reading a process's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// It belongs to another user (or group, for equal uids).
    OtherUser,
    /// It has made itself unreadable (PR_SET_DUMPABLE, a set-uid program, or an executable that may not be read).
    NotDumpable,
    /// It holds capabilities that goscope lacks.
    MoreCapabilities,
    /// goscope's capabilities do not reach into its user namespace.
    UserNamespace,
    Yama(u8),
    /// goscope itself runs under a system call filter.
    Seccomp,
    /// A security module such as AppArmor or SELinux.
    SecurityModule(String),
    /// The kernel refuses and no rule known here says why.
    Unknown,
}

impl Access {
    pub(super) fn examine(process: &Process) -> Access {
        let own = fs::read("/proc/self/status").ok().and_then(|text| Status::parse(&text)).unwrap_or_default();
        let target = process.read("status").ok().and_then(|text| Status::parse(&text)).unwrap_or_default();
        // A process that is not dumpable has the files below its /proc entry owned by root (`task_dump_owner`, fs/proc/base.c).
        let owner = fs::metadata(process.path("environ")).map(|found| found.uid()).ok();
        let dumpable = owner.filter(|_| target.uids[1] != 0).map(|owner| owner == target.uids[1]);
        Access {
            pid: process.pid,
            descendant: is_descendant(process.pid, std::process::id()),
            dumpable,
            own_user_namespace: own_namespace("user"),
            target_user_namespace: process.namespace("user"),
            yama: read_trimmed("/proc/sys/kernel/yama/ptrace_scope").and_then(|text| text.parse().ok()),
            label: read_trimmed("/proc/self/attr/current").filter(|label| !label.is_empty() && !label.starts_with("unconfined")),
            own,
            target,
        }
    }

    /// True when CAP_SYS_PTRACE is held and counts for this target.
    pub fn privileged(&self) -> bool {
        self.own.caps_effective & CAP_SYS_PTRACE != 0 && self.reaches_namespace()
    }

    /// A capability counts in goscope's own user namespace and in those below it.
    fn reaches_namespace(&self) -> bool {
        match (self.own_user_namespace, self.target_user_namespace) {
            (Some(own), _) if own.inode == INITIAL_USER_NAMESPACE => true,
            (Some(own), Some(target)) => own == target,
            // No user namespaces in this kernel.
            (None, _) => true,
            (Some(_), None) => false,
        }
    }

    /// What keeps goscope from reading the target's memory; empty when nothing known does.
    pub fn obstacles(&self) -> Vec<Obstacle> {
        let mut found = Vec::new();
        if !self.privileged() {
            let (own, target) = (&self.own, &self.target);
            let same = |own: [u32; 4], target: [u32; 4]| target[..3].iter().all(|id| *id == own[0]);
            if !same(own.uids, target.uids) || !same(own.gids, target.gids) {
                found.push(Obstacle::OtherUser);
            }
            if self.dumpable == Some(false) {
                found.push(Obstacle::NotDumpable);
            }
            let other_namespace = self.target_user_namespace.is_some() && self.target_user_namespace != self.own_user_namespace;
            if other_namespace || (own.caps_effective & CAP_SYS_PTRACE != 0 && !self.reaches_namespace()) {
                found.push(Obstacle::UserNamespace);
            } else if target.caps_permitted & !own.caps_permitted != 0 {
                found.push(Obstacle::MoreCapabilities);
            }
            match self.yama {
                Some(1) if !self.descendant => found.push(Obstacle::Yama(1)),
                Some(2) => found.push(Obstacle::Yama(2)),
                _ => {}
            }
        }
        if let Some(scope @ 3..) = self.yama {
            found.push(Obstacle::Yama(scope));
        }
        found
    }

    /// As `obstacles`, for a read that the kernel has refused: never empty.
    pub fn obstacles_after_refusal(&self) -> Vec<Obstacle> {
        let mut found = self.obstacles();
        if found.is_empty() {
            match &self.label {
                _ if self.own.seccomp != 0 => found.push(Obstacle::Seccomp),
                Some(label) => found.push(Obstacle::SecurityModule(label.clone())),
                None => found.push(Obstacle::Unknown),
            }
        }
        found
    }

    /// The error for a refused read.
    pub fn explain(&self, error: io::Error) -> Error {
        let obstacles = self.obstacles_after_refusal();
        let reasons: Vec<String> = obstacles.iter().map(|obstacle| self.reason(obstacle)).collect();
        let told = Error::permission(format!("no permission to look into process {}: {}", self.pid, reasons.join("; ")));
        let told = self.ways_out(&obstacles).into_iter().fold(told, Error::hint);
        match obstacles.as_slice() {
            [Obstacle::Unknown] => told.because(error),
            _ => told,
        }
    }

    pub fn reason(&self, obstacle: &Obstacle) -> String {
        match obstacle {
            Obstacle::OtherUser
                if self.own.uids[0] == self.target.uids[0] && self.target.uids[..3].iter().all(|id| *id == self.own.uids[0]) =>
            {
                format!("it runs with group ids {:?}, goscope with {}", &self.target.gids[..3], self.own.gids[0])
            }
            Obstacle::OtherUser => format!("it belongs to uid {}, goscope runs as uid {}", self.target.uids[1], self.own.uids[1]),
            Obstacle::NotDumpable => "it is not dumpable (PR_SET_DUMPABLE, set-uid, or an executable that may not be read)".to_owned(),
            Obstacle::MoreCapabilities => "it holds capabilities that goscope lacks".to_owned(),
            Obstacle::UserNamespace => "it lives in another user namespace, where goscope's capabilities do not count".to_owned(),
            Obstacle::Yama(scope) => format!("Yama forbids it (kernel.yama.ptrace_scope is {scope})"),
            Obstacle::Seccomp => "the seccomp filter that goscope itself runs under forbids it".to_owned(),
            Obstacle::SecurityModule(label) => format!("the security profile that goscope runs under ({label}) forbids it"),
            Obstacle::Unknown => "the kernel refuses it".to_owned(),
        }
    }

    /// One line for each way out; never one that is already taken (root is not told to use sudo).
    pub fn ways_out(&self, obstacles: &[Obstacle]) -> Vec<String> {
        let mut ways = Vec::new();
        if obstacles.iter().any(|obstacle| matches!(obstacle, Obstacle::Yama(3..))) {
            return vec!["kernel.yama.ptrace_scope=3 cannot be lowered; reboot with another value".to_owned()];
        }
        let cured_by_capability = obstacles.iter().any(|obstacle| {
            matches!(obstacle, Obstacle::OtherUser | Obstacle::NotDumpable | Obstacle::MoreCapabilities | Obstacle::Yama(_))
        });
        if obstacles.contains(&Obstacle::UserNamespace) {
            ways.push(format!(
                "run goscope outside of all user namespaces, or inside the target's: nsenter --user --preserve-credentials -t {} goscope …",
                self.pid
            ));
        } else if cured_by_capability && self.own.caps_effective & CAP_SYS_PTRACE == 0 {
            ways.extend(ways_to_capability(&self.own));
        }
        if matches!(obstacles, [Obstacle::Yama(1 | 2)]) {
            ways.push("or allow it for all processes of a user, until the next boot: sudo sysctl kernel.yama.ptrace_scope=0".to_owned());
        }
        for obstacle in obstacles {
            match obstacle {
                Obstacle::Seccomp => {
                    ways.push("let the filter pass ptrace and process_vm_readv: docker run --security-opt seccomp=unconfined".to_owned())
                }
                Obstacle::SecurityModule(_) => {
                    ways.push("run goscope under another profile: docker run --security-opt apparmor=unconfined".to_owned())
                }
                Obstacle::Unknown => ways.push(
                    "a sandbox around goscope (Landlock, SELinux) may forbid it; the kernel log may say more: dmesg, or ausearch -m avc"
                        .to_owned(),
                ),
                _ => {}
            }
        }
        ways
    }
}

/// How goscope can get CAP_SYS_PTRACE; empty when it has it.
pub fn ways_to_be_privileged() -> Vec<String> {
    let own = fs::read("/proc/self/status").ok().and_then(|text| Status::parse(&text)).unwrap_or_default();
    if own.caps_effective & CAP_SYS_PTRACE != 0 { Vec::new() } else { ways_to_capability(&own) }
}

fn ways_to_capability(own: &Status) -> Vec<String> {
    if own.uids[1] == 0 {
        let container = "give the container the capability: docker run --cap-add=SYS_PTRACE, or in Kubernetes securityContext.capabilities.add: [SYS_PTRACE]";
        return vec![container.to_owned()];
    }
    // With its full path: under sudo another copy may come first in PATH.
    let exe = std::env::current_exe().map_or_else(|_| "goscope".to_owned(), |path| path.display().to_string());
    vec![format!("run it as root: sudo {exe} …"), format!("or give it the capability: sudo setcap cap_sys_ptrace=ep {exe}")]
}

fn is_descendant(mut pid: u32, ancestor: u32) -> bool {
    // As deep as a pid namespace can nest processes in practice; ends a loop made by pids that change while we look.
    for _ in 0..1024 {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok().and_then(|text| Stat::parse(&text));
        match stat {
            Some(stat) if stat.parent == ancestor => return true,
            Some(stat) if stat.parent > 1 => pid = stat.parent,
            _ => return false,
        }
    }
    false
}

fn read_trimmed(path: impl AsRef<Path>) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim_end_matches(['\n', '\0']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const INITIAL: Namespace = Namespace { device: 4, inode: INITIAL_USER_NAMESPACE };
    const CHILD: Namespace = Namespace { device: 4, inode: 77 };

    fn status(uid: u32, caps: u64) -> Status {
        Status { uids: [uid; 4], gids: [uid; 4], caps_effective: caps, caps_permitted: caps, ..Status::default() }
    }

    fn access(own: Status, target: Status) -> Access {
        Access {
            pid: 42,
            own,
            target,
            own_user_namespace: Some(INITIAL),
            target_user_namespace: Some(INITIAL),
            yama: Some(1),
            ..Access::default()
        }
    }

    #[test]
    fn the_kernels_rules() {
        let root = status(0, u64::MAX);
        let check = |access: Access, expected: &[Obstacle]| assert_eq!(access.obstacles(), expected, "{access:?}");
        check(access(root.clone(), status(7, 0)), &[]);
        check(access(status(7, 0), status(7, 0)), &[Obstacle::Yama(1)]);
        check(Access { descendant: true, ..access(status(7, 0), status(7, 0)) }, &[]);
        check(Access { yama: Some(0), ..access(status(7, 0), status(7, 0)) }, &[]);
        check(Access { yama: None, ..access(status(7, 0), status(8, 0)) }, &[Obstacle::OtherUser]);
        check(Access { yama: Some(0), ..access(status(7, 0), status(7, 1 << 10)) }, &[Obstacle::MoreCapabilities]);
        check(Access { yama: Some(0), dumpable: Some(false), ..access(status(7, 0), status(7, 0)) }, &[Obstacle::NotDumpable]);
        check(Access { yama: Some(2), descendant: true, ..access(status(7, 0), status(7, 0)) }, &[Obstacle::Yama(2)]);
        check(Access { yama: Some(3), ..access(root.clone(), status(7, 0)) }, &[Obstacle::Yama(3)]);
        // Root of a container without the capability.
        check(Access { yama: Some(0), ..access(status(0, 0), status(7, 0)) }, &[Obstacle::OtherUser]);
        // Root of a user namespace, with every capability in there, and a target outside.
        let inside = Access { own_user_namespace: Some(CHILD), yama: Some(0), ..access(root, status(0, 0)) };
        check(inside.clone(), &[Obstacle::UserNamespace]);
        check(Access { target_user_namespace: Some(CHILD), ..inside }, &[]);
    }

    #[test]
    fn a_hint_is_never_satisfied_already() {
        let text = |access: &Access| {
            let error = access.explain(io::Error::from_raw_os_error(libc::EPERM));
            assert_eq!(error.kind.exit_code(), 4);
            assert!(!error.hints.is_empty());
            format!("{error}\n{}", error.hints.join("\n"))
        };
        let user = text(&access(status(7, 0), status(8, 0)));
        assert!(user.contains("uid 8") && user.contains("sudo") && user.contains("setcap"), "{user}");
        let container = text(&access(status(0, 0), status(8, 0)));
        assert!(container.contains("--cap-add=SYS_PTRACE") && !container.contains("sudo"), "{container}");
        let yama = text(&access(status(7, 0), status(7, 0)));
        assert!(yama.contains("ptrace_scope=0") && yama.contains("sudo"), "{yama}");
        let locked = text(&Access { yama: Some(3), ..access(status(0, u64::MAX), status(7, 0)) });
        assert!(locked.contains("reboot") && !locked.contains("sudo"), "{locked}");
        let mut filtered = access(status(0, u64::MAX), status(7, 0));
        filtered.own.seccomp = 2;
        assert!(text(&filtered).contains("seccomp"));
        let profile = Access { label: Some("docker-default (enforce)".into()), ..access(status(0, u64::MAX), status(7, 0)) };
        assert!(text(&profile).contains("docker-default"));
        assert!(text(&access(status(0, u64::MAX), status(7, 0))).contains("dmesg"));
    }
}
