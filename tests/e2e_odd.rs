//! Programs built or run in unusual ways.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::fixture::Fixture;
use common::snapshot;

/// The oldest release that these are built with, and the newest.
const RELEASES: [&str; 2] = ["1.18.10", "1.27.4"];

/// Builds a program of one file.
fn build(name: &str, release: &str, cgo: bool, flags: &[&str], source: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("odd").join(format!("{name}-{release}"));
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("go.mod"), "module odd\n\ngo 1.18\n").unwrap();
    fs::write(dir.join("main.go"), source).unwrap();
    let built = Command::new("go")
        .args(["build", "-buildvcs=false", "-o", name])
        .args(flags)
        .arg("main.go")
        .current_dir(&dir)
        .env("GOTOOLCHAIN", format!("go{release}"))
        .env("CGO_ENABLED", if cgo { "1" } else { "0" })
        .output()
        .expect("the go command is needed to build the fixtures");
    assert!(built.status.success(), "{name}: {}", String::from_utf8_lossy(&built.stderr));
    dir.join(name)
}

const PARKED: &str = r#"package main

import "fmt"

func park() { select {} }

func main() {
	go park()
	fmt.Println("ready 1")
	var line string
	fmt.Scanln(&line)
}
"#;

fn user_functions(goroutine: &snapshot::Goroutine) -> Vec<&str> {
    goroutine.frames.iter().map(|f| f.function.as_str()).filter(|name| name.starts_with("main.")).collect()
}

/// As `dlv debug` builds them: nothing inlined, so `runtime.forEachGRace` calls the function that it holds elsewhere.
#[test]
fn a_build_without_optimization() {
    for release in RELEASES {
        let program = Fixture::start(build("plain", release, false, &["-gcflags=all=-N -l"], PARKED), &[], &[]);
        let snapshot = snapshot::take(program.pid(), &[]);
        let parked = snapshot.goroutines.iter().find(|g| user_functions(g) == ["main.park"]).expect("main.park");
        assert_eq!(parked.cut, None);
        assert_eq!(parked.wait_reason.as_deref(), Some("select (no cases)"));
    }
}

/// Every access calls the race detector, whose C code runs on the system stack.
const RACED: &str = r#"package main

import "fmt"

var shared [4096]int

//go:noinline
func touch(n int) {
	for i := range shared {
		shared[i] += n
	}
}

func spin() {
	for {
		touch(1)
	}
}

func main() {
	go spin()
	fmt.Println("ready 1")
	var line string
	fmt.Scanln(&line)
}
"#;

#[test]
fn a_goroutine_inside_the_race_detector() {
    for release in RELEASES {
        let program = Fixture::start(build("raced", release, true, &["-race"], RACED), &[], &[]);
        let mut inside = 0;
        for _ in 0..60 {
            let snapshot = snapshot::take(program.pid(), &["--user"]);
            let spin = snapshot.goroutines.iter().find(|g| !g.frames.is_empty() && g.status == "running");
            let Some(spin) = spin else { continue };
            if spin.frames.iter().any(|f| f.function == "racecall") {
                // Where the C code keeps R12 elsewhere and has no unwind tables, the rest is told to be missing.
                if spin.cut.as_deref() == Some("sp_write") {
                    assert_eq!(user_functions(spin), [""; 0]);
                    continue;
                }
                inside += 1;
                assert_eq!(spin.cut, None, "{:?}", spin.frames);
                let functions = user_functions(spin);
                assert!(functions == ["main.touch", "main.spin"] || functions == ["main.spin"], "{functions:?}");
            }
        }
        assert!(inside > 0, "it is in the race detector most of the time, and was never seen there with its callers");
    }
}

const DEEP: &str = r#"package main

import "fmt"

var ready = make(chan bool)

//go:noinline
func deep(n int) int {
	if n == 0 {
		close(ready)
		for {
		}
	}
	return deep(n-1) + 1
}

func main() {
	go deep(1 << 20)
	<-ready
	fmt.Println("ready 1")
	var line string
	fmt.Scanln(&line)
}
"#;

/// Only so much is copied while its thread stands still; the rest is not called inconsistent.
#[test]
fn a_running_stack_that_is_too_deep_is_cut_by_depth() {
    let program = Fixture::start(build("deep", "1.26.11", false, &[], DEEP), &[], &[]);
    let deep = (0..50).find_map(|_| {
        let snapshot = snapshot::take(program.pid(), &["--user"]);
        snapshot.goroutines.into_iter().find(|g| g.frames.iter().any(|f| f.function == "main.deep"))
    });
    let deep = deep.expect("main.deep");
    assert_eq!(deep.status, "running");
    assert!(deep.frames.len() > 10_000, "{}", deep.frames.len());
    assert_eq!(deep.cut.as_deref(), Some("depth"));
}

const LIBRARY: &str = r#"package main

import "C"

//export Block
func Block() { select {} }

func main() {}
"#;

#[test]
fn a_c_program_with_a_go_library_is_told_apart() {
    let library = build("library.so", "1.26.11", true, &["-buildmode=c-shared"], LIBRARY);
    let dir = library.parent().unwrap();
    let source = r#"#include <stdio.h>
extern void Block(void);
int main(void) { puts("ready 1"); fflush(stdout); Block(); }
"#;
    fs::write(dir.join("host.c"), source).unwrap();
    let exe = dir.join("host");
    let linked = Command::new("gcc").arg("-o").arg(&exe).args([&dir.join("host.c"), &library]).status().unwrap();
    assert!(linked.success());
    let program = Fixture::start(&exe, &[], &[]);
    for command in ["goroutines", "info"] {
        let output = Command::new(env!("CARGO_BIN_EXE_goscope")).args([command, &program.pid().to_string()]).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{told}");
        assert!(told.contains("its Go code is in a shared library") && told.contains("library.so"), "{told}");
    }
}
