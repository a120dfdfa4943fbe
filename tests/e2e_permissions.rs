//! What keeps goscope from looking: it names exactly what is in the way, and never a way out that is already taken.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(unsafe_code)] // a system call filter

mod common;
#[path = "support/harm.rs"]
mod harm;
#[path = "support/service.rs"]
#[allow(dead_code)]
mod service;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::fixture::Fixture;
use harm::*;

/// Programs that every user may run, under names of their own.
struct Public {
    folder: tempfile::TempDir,
}

impl Public {
    fn new() -> Public {
        let folder = tempfile::Builder::new().prefix("goscope-public").tempdir_in("/tmp").unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let public = Public { folder };
        for from in [Path::new(env!("CARGO_BIN_EXE_goscope")), &program("spin"), &program("lifecycle")] {
            let to = public.path(from.file_name().unwrap().to_str().unwrap());
            service::copy_program(from, &to);
            fs::set_permissions(to, Permissions::from_mode(0o755)).unwrap();
        }
        public
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

const NOBODY: u32 = 65534;
const DAEMON: u32 = 1;

/// A command as another user, with no capability but those in `more`.
fn as_user(uid: u32, more: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={uid}"), &format!("--regid={uid}"), "--clear-groups"]).args(more);
    command
}

fn start_as(uid: u32, more: &[&str], exe: PathBuf) -> Fixture {
    Fixture::spawn(as_user(uid, more).arg(exe))
}

fn look_as(public: &Public, uid: u32, more: &[&str], pid: u32) -> Run {
    run(as_user(uid, more).arg(public.path("goscope")).args(["goroutines", &pid.to_string(), "--format", "json"]))
}

/// Yama lets nobody look at what is not a child; the kernels that have it are another case.
fn has_yama() -> bool {
    fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").is_ok_and(|scope| scope.trim() != "0")
}

#[test]
fn ones_own_process_needs_no_privilege() {
    if !service::is_root("becoming another user") {
        return;
    }
    let public = Public::new();
    let mut target = start_as(NOBODY, &[], public.path("spin"));
    let run = look_as(&public, NOBODY, &[], target.pid());
    if has_yama() {
        run.assert_refused(4, &["kernel.yama.ptrace_scope", "hint: "]);
    } else {
        let document = run.json();
        assert!(document["counts"]["total"].as_u64().unwrap() > 6);
        assert_eq!(document["quality"]["skipped"], 0);
    }
    assert_unharmed(&mut target);
}

#[test]
fn the_process_of_another_user() {
    if !service::is_root("becoming another user") {
        return;
    }
    let public = Public::new();
    for owner in [0, DAEMON] {
        let mut target = start_as(owner, &[], public.path("spin"));
        let run = look_as(&public, NOBODY, &[], target.pid());
        run.assert_refused(
            4,
            &[&format!("it belongs to uid {owner}, goscope runs as uid {NOBODY}"), "hint: run it as root: sudo ", "setcap"],
        );
        // With the capability that the hint tells of it works.
        let capability = ["--inh-caps=+sys_ptrace", "--ambient-caps=+sys_ptrace"];
        let run = look_as(&public, NOBODY, &capability, target.pid());
        assert!(run.json()["counts"]["total"].as_u64().unwrap() > 6, "{run:?}");
        assert_unharmed(&mut target);
    }
}

#[test]
fn root_without_the_capability_is_not_told_to_become_root() {
    if !service::is_root("dropping a capability") {
        return;
    }
    let public = Public::new();
    let mut target = start_as(NOBODY, &[], public.path("spin"));
    let run = look_as(&public, 0, &["--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"], target.pid());
    run.assert_refused(4, &["--cap-add=SYS_PTRACE"]);
    assert!(!run.stderr.contains("sudo"), "{}", run.stderr);
    assert_unharmed(&mut target);
}

#[test]
fn a_process_with_more_capabilities() {
    if !service::is_root("giving a capability") {
        return;
    }
    let public = Public::new();
    let mut target = start_as(NOBODY, &["--inh-caps=+net_raw", "--ambient-caps=+net_raw"], public.path("spin"));
    let run = look_as(&public, NOBODY, &[], target.pid());
    run.assert_refused(4, &["it holds capabilities that goscope lacks", "hint: "]);
    assert!(!run.stderr.contains("uid"), "the user is the same: {}", run.stderr);
    assert_unharmed(&mut target);
}

#[test]
fn a_process_that_is_not_dumpable() {
    if !service::is_root("becoming another user") {
        return;
    }
    let public = Public::new();
    let mut target = start_as(NOBODY, &[], public.path("lifecycle"));
    assert_eq!(target.ask("undumpable"), "errno 0");
    let run = look_as(&public, NOBODY, &[], target.pid());
    run.assert_refused(4, &["it is not dumpable (PR_SET_DUMPABLE", "hint: run it as root"]);
    assert!(!run.stderr.contains("it belongs to uid"), "{}", run.stderr);
    // Root may.
    assert!(goscope(&["goroutines", &target.pid().to_string(), "--format", "json"]).json()["counts"]["total"].as_u64().unwrap() > 10);
    assert_unharmed(&mut target);
}

#[test]
fn a_user_namespace_between_them() {
    if !service::is_root("a target in the first user namespace") {
        return;
    }
    let public = Public::new();
    let mut target = start_as(0, &[], public.path("spin"));
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user"]).arg(public.path("goscope")).args(["goroutines", &target.pid().to_string()]);
    let run = run(&mut command);
    run.assert_refused(4, &["another user namespace", "hint: "]);
    assert!(!run.stderr.contains("sudo") && !run.stderr.contains("setcap"), "{}", run.stderr);
    assert_unharmed(&mut target);
}

/// Makes system calls fail with EPERM in the process that the command becomes, as container runtimes do.
fn forbid(command: &mut Command, calls: &'static [libc::c_long]) {
    let statement = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let install = move || {
        let mut filter = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0)];
        for call in calls {
            filter.push(statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, *call as u32));
            filter.push(statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32));
        }
        filter.push(statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW));
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        // SAFETY: `program` and the statements that it points at live through the calls.
        let done = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) == 0
        };
        if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: between fork and exec it allocates one small vector, which glibc's fork makes safe, and calls prctl.
    unsafe { command.pre_exec(install) };
}

fn look_filtered(pid: u32, calls: &'static [libc::c_long]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_goscope"));
    command.args(["goroutines", &pid.to_string(), "--format", "json"]);
    forbid(&mut command, calls);
    run(&mut command)
}

#[test]
fn a_system_call_filter_around_goscope() {
    if !service::is_root("another process's memory") {
        return;
    }
    let mut target = Fixture::start(program("spin"), &[], &[]);
    let pid = target.pid();
    let whole = goscope(&["goroutines", &pid.to_string(), "--format", "json"]).json()["counts"]["total"].as_u64().unwrap();
    // Another way to read the memory is taken.
    let run = look_filtered(pid, &[libc::SYS_process_vm_readv]);
    assert!(run.json()["counts"]["total"].as_u64().unwrap() + 2 >= whole, "{run:?}");
    // Nothing can be stopped: what runs is not read, and the filter is named as the reason.
    let mut named = false;
    for _ in 0..20 {
        let run = look_filtered(pid, &[libc::SYS_ptrace, libc::SYS_process_vm_readv]);
        let document = run.json();
        assert_eq!(document["quality"]["threads_stopped"], 0);
        let missing = document["quality"]["not_read"].as_u64().unwrap();
        // On a busy machine a thread may get no CPU for so long that stopping it is not even tried.
        let told = run.stderr.contains("the seccomp filter that goscope itself runs under");
        assert!(missing == 0 || told || run.stderr.contains("did not stop within"), "{}", run.stderr);
        named |= told;
    }
    assert!(named, "the filter was met");
    assert_unharmed(&mut target);
}
