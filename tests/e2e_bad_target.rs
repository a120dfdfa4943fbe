//! Targets and files that goscope cannot look into, and results that it cannot deliver: one line that says why, a way out, the
//! right exit code, and never a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "support/harm.rs"]
mod harm;
#[path = "support/service.rs"]
#[allow(dead_code)]
mod service;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::fixture::{self, Fixture};
use harm::*;

const TARGET: i32 = 3;
const IO: i32 = 5;
const USAGE: i32 = 2;

/// Both commands that look into a process refuse it in the same words.
fn refused(target: &str, code: i32, told: &[&str]) {
    for command in ["goroutines", "info"] {
        goscope(&[command, target]).assert_refused(code, told);
    }
}

#[test]
fn process_ids_that_lead_nowhere() {
    let mut gone = Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    refused(&gone.id().to_string(), TARGET, &["there is no process", "hint: "]);
    refused("2147483647", TARGET, &["there is no process"]);
    refused("0", USAGE, &["is no process id"]);
    refused("99999999999", USAGE, &["is no process id"]);
    refused("no-such-name", TARGET, &["no Go process is called 'no-such-name'", "hint: "]);
}

#[test]
fn zombies_kernel_threads_and_threads() {
    let mut zombie = Reaped(Command::new("true").spawn().unwrap());
    let pid = zombie.0.id();
    eventually("it is a zombie", || thread_state(pid, pid) == Some('Z'));
    refused(&pid.to_string(), TARGET, &["zombie"]);
    zombie.0.wait().unwrap();
    if status_line("2", "Kthread").is_some_and(|kthread| kthread == "1") {
        refused("2", TARGET, &["is a kernel thread"]);
    }
    let mut target = Fixture::start(program("spin"), &[], &[]);
    let thread = threads(target.pid()).into_iter().find(|tid| *tid != target.pid()).unwrap();
    refused(&thread.to_string(), TARGET, &[&format!("is a thread of process {}", target.pid()), "hint: "]);
    assert_unharmed(&mut target);
}

#[test]
fn a_process_that_is_not_a_go_program() {
    let sleeper = Reaped(Command::new("sleep").arg("600").spawn().unwrap());
    refused(&sleeper.0.id().to_string(), TARGET, &["not a Go program", "hint: "]);
    refused("sleep", TARGET, &["no Go process is called 'sleep'"]);
    assert_eq!(traced(sleeper.0.id()), [0u32; 0]);
    assert_eq!(stopped(sleeper.0.id()), []);
}

/// A program with some of its bytes changed, under a name of its own.
fn changed(name: &str, from: &Path, change: impl FnOnce(&mut Vec<u8>)) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let mut bytes = fs::read(from).unwrap();
    change(&mut bytes);
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    (folder, path)
}

fn positions(bytes: &[u8], wanted: &[u8]) -> Vec<usize> {
    memchr::memmem::find_iter(bytes, wanted).collect()
}

#[test]
fn go_1_17_is_too_old() {
    let old = fixture::path("1.18.10", "static", "full", "spin");
    let (_folder, path) = changed("old", &old, |bytes| {
        let found = positions(bytes, b"go1.18.10");
        assert!(!found.is_empty());
        for at in found {
            bytes[at..at + 9].copy_from_slice(b"go1.17.10");
        }
    });
    let mut target = Fixture::start(&path, &[], &[]);
    goscope(&["goroutines", &target.pid().to_string()]).assert_refused(TARGET, &["go1.17.10", "1.18", "hint: "]);
    // What its file says can be told all the same.
    let info = goscope(&["info", &target.pid().to_string()]);
    assert!(info.status.success() && info.stdout.contains("go1.17.10"), "{info:?}");
    assert_unharmed(&mut target);
}

/// The position of the table's header in the file (internal/abi/symtab.go: magic, two zeros, quantum 1, pointer size 8).
fn pclntab(bytes: &[u8]) -> usize {
    let found = positions(bytes, &[0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8]);
    assert_eq!(found.len(), 1, "one function table");
    found[0]
}

/// The runtime has checked its own header when the program starts, so the damage comes later, to the file behind its back.
/// Or it is in a part that the runtime does not look at.
#[test]
fn a_corrupt_function_table() {
    // Names: a program does not need them to run.
    let (_folder, path) = changed("corrupt", &program("lifecycle"), |bytes| {
        let header = pclntab(bytes);
        let word = |at: usize| usize::try_from(u64::from_le_bytes(bytes[header + at..header + at + 8].try_into().unwrap())).unwrap();
        let (names, units) = (header + word(32), header + word(40));
        bytes[names..units].fill(0xff);
    });
    let mut target = Fixture::start(&path, &[], &[]);
    goscope(&["goroutines", &target.pid().to_string()]).assert_refused(TARGET, &["hint: "]);
    let info = goscope(&["info", &target.pid().to_string()]);
    assert!(info.status.success(), "{info:?}");
    assert_unharmed(&mut target);
}

/// Every way to damage the table that still leaves a running program: an answer or an error, and nothing else.
#[test]
fn damage_anywhere_in_the_function_table_is_no_panic() {
    let mut answers = 0;
    for seed in 0..24u64 {
        let (_folder, path) = changed("damaged", &program("lifecycle"), |bytes| {
            let header = pclntab(bytes);
            let (start, len) = (header + 72, 600_000);
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            for _ in 0..200 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                bytes[start + state as usize % len] ^= 1 << (state >> 32 & 7);
            }
        });
        let run_on_file = goscope(&["info", path.to_str().unwrap()]);
        assert!(matches!(run_on_file.status.code(), Some(0 | 3 | 5)), "{run_on_file:?}");
        // Some of them the runtime itself does not survive.
        let mut command = Command::new(&path);
        let mut child = command.arg("20").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let stdin = child.stdin.take();
        // Its ready line, or its end.
        BufReader::new(child.stdout.take().unwrap()).lines().next();
        let target = Reaped(child);
        for format in ["json", "table", "text", "pprof"] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_goscope"));
            command.args(["goroutines", &target.0.id().to_string(), "--format", format]);
            let run = run(&mut command);
            assert!(matches!(run.status.code(), Some(0 | 3 | 5)), "seed {seed}: {run:?}");
            assert!(run.status.success() || run.stderr.lines().any(|line| line.starts_with("error: ")), "{run:?}");
            answers += u32::from(run.status.success());
        }
        drop(stdin);
    }
    assert!(answers > 0, "some of them run");
}

fn refused_file(path: &Path, code: i32, told: &[&str]) {
    goscope(&["info", path.to_str().unwrap()]).assert_refused(code, told);
}

#[test]
fn files_cut_anywhere() {
    let whole = fs::read(program("spin")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut");
    for len in [0, 1, 4, 16, 63, 64, 65, 120, 400, 4095, 4096, 70_000, whole.len() / 4, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..len]).unwrap();
        let run = goscope(&["info", path.to_str().unwrap()]);
        match run.status.code() {
            // Build information and function table are in front of what is missing.
            Some(0) => assert!(len > whole.len() / 3, "{len} bytes are enough? {run:?}"),
            Some(code @ (3 | 5)) => run.assert_refused(code, &["cut"]),
            _ => panic!("{len} bytes: {run:?}"),
        }
    }
}

#[test]
fn files_of_other_kinds() {
    refused_file(Path::new("/no/such/file"), TARGET, &["there is no file /no/such/file"]);
    refused_file(Path::new("/"), TARGET, &["is not a file", "hint: "]);
    refused_file(Path::new("/dev/null"), TARGET, &["/dev/null is not a file"]);
    refused_file(Path::new("/bin/sh"), TARGET, &["not a Go program"]);
    refused_file(Path::new("/proc/self/maps"), TARGET, &["not an ELF"]);
    let (_folder, script) = changed("script", Path::new("/dev/null"), |bytes| bytes.extend(b"#!/bin/sh\n"));
    refused_file(&script, TARGET, &["not an ELF"]);
    let fifo = script.with_file_name("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    refused_file(&fifo, TARGET, &["fifo is not a file"]);
}

#[test]
fn programs_for_other_machines() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/go");
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("spin-386");
    let mut build = Command::new("go");
    build.args(["build", "-buildvcs=false", "-o"]).arg(&out).arg("./cmd/spin").current_dir(source);
    build.envs([("GOARCH", "386"), ("CGO_ENABLED", "0"), ("GOTOOLCHAIN", &format!("go{GO}"))]);
    assert!(build.status().unwrap().success());
    refused_file(&out, TARGET, &["32-bit"]);
    let mut target = Fixture::start(&out, &["1"], &[]);
    refused(&target.pid().to_string(), TARGET, &["32-bit"]);
    assert_unharmed(&mut target);
    let arm64 = fixture::path(GO, "arm64-static", "full", "zoo");
    let info = goscope(&["info", arm64.to_str().unwrap()]);
    assert!(info.status.success() && info.stdout.contains("arm64"), "{info:?}");
}

#[test]
fn results_that_cannot_be_delivered() {
    let mut target = Fixture::start(program("lifecycle"), &["2000"], &[]);
    let pid = target.pid().to_string();
    let folder = tempfile::tempdir().unwrap();
    let into = |path: &Path| goscope(&["goroutines", &pid, "--format", "json", "--group", "none", "-o", path.to_str().unwrap()]);
    into(folder.path()).assert_refused(IO, &["cannot write", "hint: "]);
    into(&folder.path().join("no/such/folder")).assert_refused(IO, &["cannot write", "hint: "]);
    into(Path::new("/dev/full")).assert_refused(IO, &["No space left"]);
    let full =
        run(Command::new("sh").args(["-c", &format!("{} goroutines {pid} --format json >/dev/full", env!("CARGO_BIN_EXE_goscope"))]));
    full.assert_refused(IO, &["No space left"]);
    assert_unharmed(&mut target);
    if service::is_root("a file system of its own") {
        // A file that was there stays as it was, and nothing is left beside it.
        let script = format!(
            "mount -t tmpfs -o size=64k none {0} && echo old >{0}/result && {1} goroutines {pid} --format json -o {0}/result; code=$?; \
             cat {0}/result >&2; ls -A {0} >&2; exit $code",
            folder.path().display(),
            env!("CARGO_BIN_EXE_goscope")
        );
        let run = run(Command::new("unshare").args(["--mount", "sh", "-c", &script]));
        assert_eq!(run.status.code(), Some(IO), "{run:?}");
        assert!(run.stderr.contains("No space left") && run.stderr.ends_with("old\nresult\n"), "{run:?}");
    }
    assert_unharmed(&mut target);
}

#[test]
fn a_wrong_command_line_does_not_touch_the_target() {
    let mut target = Fixture::start(program("spin"), &[], &[]);
    let pid = target.pid().to_string();
    let wrong: [&[&str]; 8] = [
        &["--func", "main.("],
        &["--format", "xml"],
        &["--status", "asleep"],
        &["--label", "novalue"],
        &["--min-wait", "soon"],
        &["--group", "label="],
        &["--pause", "--no-stop"],
        &["--max-pause", "0"],
    ];
    for args in wrong {
        goscope(&[&["goroutines", &pid], args].concat()).assert_refused(USAGE, &[]);
    }
    assert_unharmed(&mut target);
}
