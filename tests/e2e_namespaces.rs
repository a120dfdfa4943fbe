//! Targets in containers: other mount, pid, user and time namespaces; and executables that are not where they were.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "support/harm.rs"]
mod harm;
#[path = "support/service.rs"]
#[allow(dead_code)]
mod service;

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use common::fixture::Fixture;
use harm::*;
use serde_json::Value;

/// A program in a container of its own; its executable is on a file system that is only mounted there.
struct Container {
    /// `unshare`, whose end is the end of the container.
    outer: Fixture,
    /// The program, in our pid namespace.
    pid: u32,
}

impl Container {
    fn start(name: &str, arg: &str) -> Container {
        let script = format!("mount -t tmpfs none /mnt && cp {} /mnt/service && exec /mnt/service {arg}", program(name).display());
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", &script]);
        let outer = Fixture::spawn(&mut command);
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", outer.pid())).unwrap();
        let pid = children.trim().parse().unwrap();
        Container { outer, pid }
    }

    fn assert_unharmed(&mut self) {
        assert_eq!(traced(self.pid), [0u32; 0]);
        assert_eq!(stopped(self.pid), []);
        assert_eq!(self.outer.ask("ping"), "pong");
    }
}

/// Threads that goroutines are on.
fn thread_ids(document: &Value) -> HashSet<u64> {
    document["goroutines"].as_array().unwrap().iter().filter_map(|g| g["thread"]["tid"].as_u64()).collect()
}

fn functions(document: &Value) -> HashSet<&str> {
    let frames = document["stacks"].as_array().unwrap().iter().flat_map(|stack| stack["frames"].as_array().unwrap());
    frames.map(|frame| frame["function"].as_str().unwrap()).collect()
}

#[test]
fn a_target_in_other_mount_pid_and_user_namespaces_from_outside() {
    if !service::is_root("looking into another user's namespace") {
        return;
    }
    let mut container = Container::start("manythreads", "50");
    for mode in [&[][..], &["--pause"]] {
        let run = goscope(&[&["goroutines", &container.pid.to_string(), "--format", "json"], mode].concat());
        let document = run.json();
        assert!(functions(&document).contains("main.locked"));
        let ours: HashSet<u64> = threads(container.pid).into_iter().map(u64::from).collect();
        let told = thread_ids(&document);
        assert!(told.len() >= 50 && told.is_subset(&ours), "threads have the numbers of our namespace: {told:?}");
        container.assert_unharmed();
    }
    let by_name = goscope(&["info", "service", "--format", "json"]);
    assert_eq!(by_name.json()["process"]["pid"].as_u64(), Some(u64::from(container.pid)), "{by_name:?}");
    container.assert_unharmed();
}

#[test]
fn running_goroutines_of_a_container_are_stopped_by_the_right_numbers() {
    if !service::is_root("looking into another user's namespace") {
        return;
    }
    let mut container = Container::start("spin", "2");
    let begin = Instant::now();
    loop {
        let document = goscope(&["goroutines", &container.pid.to_string(), "--format", "json"]).json();
        container.assert_unharmed();
        if document["quality"]["threads_stopped"].as_u64().unwrap() > 0 && functions(&document).contains("main.tight") {
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "{}", document["quality"]);
    }
}

/// As a debug container in the same pod.
#[test]
fn a_sidecar_in_the_same_pid_namespace() {
    if !service::is_root("entering a container") {
        return;
    }
    let mut container = Container::start("manythreads", "50");
    let mut enter = Command::new("nsenter");
    enter.args(["--target", &container.pid.to_string(), "--user", "--preserve-credentials", "--pid", "--mount"]);
    enter.args([env!("CARGO_BIN_EXE_goscope"), "goroutines", "1", "--format", "json"]);
    let run = run(&mut enter);
    let document = run.json();
    assert_eq!(document["target"]["pid"], 1);
    assert!(functions(&document).contains("main.locked"));
    let inner = |tid: u32| status_line(&format!("{}/task/{tid}", container.pid), "NSpid")?.split_whitespace().last()?.parse().ok();
    let inside: HashSet<u64> = threads(container.pid).into_iter().filter_map(inner).collect();
    let told = thread_ids(&document);
    assert!(told.len() >= 50 && told.is_subset(&inside), "threads have the numbers of that namespace: {told:?}");
    container.assert_unharmed();
}

/// The kernel's numbers are not those that a container knows.
#[test]
fn where_time_goes_seen_from_the_same_pid_namespace() {
    if !service::is_root("entering a pid namespace") {
        return;
    }
    // Probes need rights in the first user namespace; the pid namespace is one of its own all the same.
    let script = format!("mount -t proc proc /proc && exec {} 3", program("spin").display());
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", &script]);
    let mut outer = Fixture::spawn(&mut command);
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", outer.pid())).unwrap();
    let pid: u32 = children.trim().parse().unwrap();
    let mut enter = Command::new("nsenter");
    enter.args(["--target", &pid.to_string(), "--pid", "--mount", env!("CARGO_BIN_EXE_goscope")]);
    enter.args(["sched", "1", "--tier", "1", "--duration", "1s", "--format", "json"]);
    let document = run(&mut enter).json();
    assert_eq!(document["target"]["pid"], 1);
    assert!(document["samples"].as_u64().unwrap() > 10, "{}", document["quality"]);
    let sampled: HashSet<&str> = document["stacks"].as_array().unwrap().iter().filter_map(|row| row["created_by"].as_str()).collect();
    assert!(sampled.contains("main.main"), "{sampled:?}");
    assert_eq!(outer.ask("ping"), "pong");
}

/// The longest that a goroutine of the program is known to be blocked.
fn longest_wait(document: &Value) -> Duration {
    let waits = document["goroutines"].as_array().unwrap().iter().filter(|g| g["wait_reason"] == "chan receive");
    Duration::from_nanos(waits.filter_map(|g| g["wait_min_ns"].as_u64()).max().expect("a collection has stamped them"))
}

/// CLOCK_MONOTONIC differs between time namespaces; how long a goroutine waits does not.
#[test]
fn waits_are_right_across_time_namespaces() {
    if !service::is_root("a time namespace") {
        return;
    }
    let shift = ["--time", "--monotonic", "100000"];
    let elsewhere = |inside: bool| match inside {
        true => {
            let mut command = Command::new("unshare");
            command.args(shift).arg(program("parked"));
            command
        }
        false => Command::new(program("parked")),
    };
    for (target_inside, goscope_inside) in [(true, false), (false, true), (true, true)] {
        let begin = Instant::now();
        let mut target = Fixture::spawn(elsewhere(target_inside).arg("10"));
        let pid = target.pid().to_string();
        let time = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/time")).unwrap();
        assert_eq!(time(&pid) != time("self"), target_inside);
        let look = || {
            let mut command = Command::new(if goscope_inside { "unshare" } else { env!("CARGO_BIN_EXE_goscope") });
            if goscope_inside {
                command.args(shift).arg(env!("CARGO_BIN_EXE_goscope"));
            }
            longest_wait(&run(command.args(["goroutines", &pid, "--format", "json"])).json())
        };
        let before = Instant::now();
        let first = look();
        assert!(first <= begin.elapsed(), "{first:?} is longer than it exists");
        while before.elapsed() < Duration::from_millis(300) {
            std::thread::yield_now();
        }
        let second = look();
        assert!(second >= first + Duration::from_millis(200) && second <= begin.elapsed(), "{first:?}, then {second:?}");
        assert_unharmed(&mut target);
    }
}

/// A copy of a program in a folder of its own.
fn copy(name: &str, under: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(under);
    service::copy_program(program(name), &path);
    (folder, path)
}

fn assert_whole(pid: u32) {
    let document = goscope(&["goroutines", &pid.to_string(), "--format", "json"]).json();
    assert!(functions(&document).contains("main.park"), "{:?}", functions(&document));
    assert_eq!(document["quality"]["unresolved_frames"], 0);
    let info = goscope(&["info", &pid.to_string(), "--format", "json"]).json();
    assert_eq!(info["build"]["go_version"].as_str().or(info["target"]["go_version"].as_str()), Some(&*format!("go{GO}")));
}

#[test]
fn an_executable_that_was_deleted_replaced_or_renamed() {
    let (folder, path) = copy("lifecycle", "executable");
    let mut target = Fixture::start(&path, &["20"], &[]);
    let pid = target.pid();
    assert_whole(pid);
    fs::rename(&path, folder.path().join("renamed")).unwrap();
    assert_whole(pid);
    assert_unharmed(&mut target);
    // Another program under its old name, and under the new one.
    service::copy_program(program("churn"), &path);
    service::copy_program(program("churn"), folder.path().join("other"));
    fs::rename(folder.path().join("other"), folder.path().join("renamed")).unwrap();
    assert_whole(pid);
    assert_unharmed(&mut target);
    drop(folder);
    assert_whole(pid);
    let table = goscope(&["info", &pid.to_string()]);
    assert!(table.stdout.contains("deleted"), "{}", table.stdout);
    assert_unharmed(&mut target);
}

#[test]
fn a_name_that_the_program_gave_itself() {
    let (_folder, path) = copy("lifecycle", "an-executable");
    let mut target = Fixture::start(&path, &["20"], &[]);
    assert_eq!(target.ask("rename a) Z (b"), "done");
    assert_whole(target.pid());
    for name in ["an-executable", "a) Z (b"] {
        let found = goscope(&["goroutines", name, "--format", "json"]).json();
        assert_eq!(found["target"]["pid"].as_u64(), Some(u64::from(target.pid())), "{name}");
    }
    assert_unharmed(&mut target);
}
