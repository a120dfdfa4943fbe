//! Builds a one-file Go program with a given toolchain, once; binaries are kept in the target directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use goscope::target::elf::Elf;
use goscope::target::layout::GoVersion;

/// The last patch of every minor release, and the two that differ inside theirs.
pub const RELEASES: [&str; 12] =
    ["1.18.10", "1.19.13", "1.20.14", "1.21.13", "1.22.12", "1.23.0", "1.23.12", "1.24.0", "1.24.13", "1.25.14", "1.26.11", "1.27.4"];

const PURE_GO: &str = "package main\n\nfunc main() { select {} }\n";
const WITH_C: &str = "package main\n\n// static int one(void) { return 1; }\nimport \"C\"\n\nfunc main() { println(C.one()); select {} }\n";

pub struct Build {
    pub name: &'static str,
    pub cgo: bool,
    pub env: &'static [(&'static str, &'static str)],
    pub flags: &'static [&'static str],
}

pub const STATIC: Build = Build { name: "static", cgo: false, env: &[], flags: &[] };
pub const CGO: Build = Build { name: "cgo", cgo: true, env: &[], flags: &[] };
pub const ARM64: Build = Build { name: "arm64", cgo: false, env: &[("GOARCH", "arm64")], flags: &[] };

pub fn build(release: &str, build: &Build) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("fixtures-layout");
    let out = dir.join(format!("{release}-{}", build.name));
    if out.exists() {
        return out;
    }
    let work = dir.join(format!("build-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir_all(&work).unwrap();
    fs::write(work.join("go.mod"), "module tiny\n\ngo 1.18\n").unwrap();
    fs::write(work.join("main.go"), if build.cgo { WITH_C } else { PURE_GO }).unwrap();
    // Go 1.19 can't build `.` when it runs from the module cache; a file name works everywhere.
    let result = Command::new("go")
        .args(["build", "-buildvcs=false", "-o", "tiny"])
        .args(build.flags)
        .arg("main.go")
        .current_dir(&work)
        .env("GOTOOLCHAIN", format!("go{release}"))
        .env("GOARCH", "amd64")
        .env("CGO_ENABLED", if build.cgo { "1" } else { "0" })
        .envs(build.env.iter().copied())
        .output()
        .expect("the go command is needed to build the fixtures");
    assert!(result.status.success(), "go {release} ({}): {}", build.name, String::from_utf8_lossy(&result.stderr));
    fs::rename(work.join("tiny"), &out).unwrap();
    fs::remove_dir_all(&work).unwrap();
    out
}

pub fn open(release: &str, kind: &Build) -> Elf {
    Elf::open(&build(release, kind)).unwrap()
}

pub fn version(release: &str) -> GoVersion {
    GoVersion::parse(&format!("go{release}")).unwrap()
}
