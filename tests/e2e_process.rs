//! Build information against `go version -m`, link modes, and processes in other namespaces, replaced, stopped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/service.rs"]
mod service;
#[path = "support/tiny_go.rs"]
#[allow(dead_code)]
mod tiny_go;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use goscope::target::binary::{Binary, BuildMode};
use goscope::target::buildinfo::{BuildInfo, Module};
use goscope::target::elf::Elf;
use serde_json::Value;
use service::{Service, build, is_root};

fn inspect(path: &Path) -> Binary {
    Binary::inspect(&Elf::open(path).unwrap()).unwrap()
}

/// As `go version -m` prints it (runtime/debug: BuildInfo.String).
fn as_go_prints(build: &BuildInfo) -> String {
    let mut text = format!("{}\n", build.go_version);
    let module = |word: &str, module: &Module| format!("\t{word}\t{}\t{}\t{}\n", module.path, module.version, module.sum);
    if !build.path.is_empty() {
        text += &format!("\tpath\t{}\n", build.path);
    }
    for (word, found) in build.main.iter().map(|main| ("mod", main)).chain(build.deps.iter().map(|dep| ("dep", dep))) {
        match &found.replace {
            // The sum is that of the replacement.
            Some(replace) => text += &format!("\t{word}\t{}\t{}\n{}", found.path, found.version, module("=>", replace)),
            None => text += &module(word, found),
        }
    }
    for (key, value) in &build.settings {
        let quoted = value.contains([' ', '\t', '\r', '\n', '"', '`']);
        let value = if quoted { format!("{value:?}") } else { value.clone() };
        text += &format!("\tbuild\t{key}={value}\n");
    }
    text
}

fn go_version(path: &Path) -> String {
    let output = Command::new("go").args(["version", "-m"]).arg(path).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.strip_prefix(&format!("{}: ", path.display())).unwrap().to_owned()
}

/// Trailing tabs and empty lines, which older Go versions print after a replacement, say nothing.
#[track_caller]
fn assert_same_build(path: &Path) {
    let trim = |text: &str| text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(trim(&as_go_prints(&inspect(path).build)), trim(&go_version(path)), "{}", path.display());
}

#[test]
fn build_information_equals_gos_own() {
    let go = Command::new("go").args(["env", "GOROOT"]).output().unwrap();
    assert_same_build(&Path::new(String::from_utf8(go.stdout).unwrap().trim()).join("bin/go"));
    for release in tiny_go::RELEASES {
        assert_same_build(&tiny_go::build(release, &tiny_go::STATIC));
        assert_same_build(&tiny_go::build(release, &tiny_go::CGO));
        assert_same_build(&tiny_go::build(release, &tiny_go::ARM64));
    }
}

#[test]
fn replaced_modules_version_control_and_quoted_settings() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let requires = "require (\n\texample.com/dep v1.2.3\n\tgolang.org/x/sync v0.7.0\n)\n";
    file("go.mod", &format!("module example.com/shop/v2\n\ngo 1.18\n\n{requires}\nreplace example.com/dep v1.2.3 => ./dep\n"));
    let imports = "import (\n\t_ \"example.com/dep\"\n\t_ \"golang.org/x/sync/errgroup\"\n)\n";
    file("main.go", &format!("package main\n\n{imports}\nvar v string\n\nfunc main() {{ println(v) }}\n"));
    file("dep/go.mod", "module example.com/dep\n\ngo 1.18\n");
    file("dep/dep.go", "package dep\n");
    let run = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).current_dir(dir.path()).output().unwrap();
        assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run("git", &["init", "-q"]);
    run("git", &["add", "."]);
    run("git", &["-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "-q", "-m", "x"]);
    file("dirty", "not committed");
    run("go", &["build", "-mod=mod", "-buildvcs=true", "-ldflags=-X 'main.v=a \"b\"' -s", "-o", "app", "."]);
    let app = dir.path().join("app");
    assert_same_build(&app);
    let build = inspect(&app).build;
    assert_eq!(build.short_name(), "shop");
    assert_eq!(build.deps[0].replace.as_ref().unwrap().path, "./dep");
    let sync = build.deps.iter().find(|dep| dep.path == "golang.org/x/sync").unwrap();
    assert!(sync.version == "v0.7.0" && sync.sum.starts_with("h1:"), "{sync:?}");
    assert_eq!(build.setting("-ldflags"), Some("-X 'main.v=a \"b\"' -s"));
    let vcs = build.vcs().unwrap();
    assert_eq!((vcs.system, vcs.revision.len(), vcs.modified), ("git", 40, true));
}

#[test]
fn link_modes() {
    let cgo = |mode: &str| vec![format!("-ldflags=-linkmode={mode}")];
    let pie = || "-buildmode=pie".to_owned();
    let cases: &[(&str, &str, Vec<String>, BuildMode)] = &[
        ("static", "parked", Vec::new(), BuildMode::Exe),
        ("pie", "parked", vec![pie()], BuildMode::Pie),
        ("cgo-int", "cgo", cgo("internal"), BuildMode::Cgo),
        ("cgo-ext", "cgo", cgo("external"), BuildMode::Cgo),
        ("cgo-pie", "cgo", [cgo("external"), vec![pie()]].concat(), BuildMode::CgoPie),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (name, program, flags, mode) in cases {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let full = build(&format!("mode-{name}"), program, &flags);
        let binary = inspect(&full);
        assert_eq!((binary.mode, binary.stripped, binary.dwarf), (*mode, false, true), "{name}");
        let stripped = dir.path().join(name);
        assert!(Command::new("strip").arg("-o").arg(&stripped).arg(&full).status().unwrap().success());
        let binary = inspect(&stripped);
        assert_eq!((binary.mode, binary.stripped, binary.dwarf), (*mode, true, false), "{name}, stripped");
        // No section headers at all: everything must be found by content.
        let mut bytes = fs::read(&stripped).unwrap();
        bytes[40..48].fill(0);
        bytes[60..64].fill(0);
        fs::write(&stripped, &bytes).unwrap();
        let bare = inspect(&stripped);
        assert_eq!((bare.mode, bare.stripped, &bare.build), (*mode, true, &binary.build), "{name}, without sections");
        // No build information either: the function table is left.
        while let Some(at) = memchr::memmem::find(&bytes, b"\xff Go buildinf:") {
            bytes[at..at + 14].fill(0);
        }
        fs::write(&stripped, &bytes).unwrap();
        let wiped = inspect(&stripped);
        assert_eq!((wiped.mode, wiped.build.go_version.as_str()), (*mode, "unknown"), "{name}, without build information");
    }
}

fn goscope(args: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_goscope")).args(args).args(["--format", "json"]).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Its process in new mount, pid, network and user namespaces; `None` where the kernel forbids to make them.
struct Contained {
    service: Service,
    pid: String,
}

impl Contained {
    fn start(name: &str) -> Contained {
        let exe = build(name, "httpserver", &["-ldflags=-s -w"]);
        let flags = ["--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc", "--net", "--kill-child"];
        // The loopback device of a new network namespace is down.
        let script = "ip link set lo up && exec \"$0\"";
        let service = Service::start(Command::new("unshare").args(flags).args(["sh", "-c", script]).arg(exe));
        let outer = service.pid();
        let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).unwrap();
        Contained { pid: children.trim().to_owned(), service }
    }
}

#[test]
fn a_container_is_looked_into_from_outside() {
    let contained = Contained::start("contained");
    let pid: u64 = contained.pid.parse().unwrap();
    let listed = goscope(&["ps"]);
    let row = listed["processes"].as_array().unwrap().iter().find(|process| process["pid"] == pid).expect("it is listed");
    assert_eq!((&row["name"], &row["container"]), (&"contained".into(), &"own namespaces".into()));
    if !is_root("looking into another network namespace") {
        return;
    }
    let info = goscope(&["info", &contained.pid, "--probe-http"]);
    assert_eq!(info["process"]["inner_pid"], 1);
    let kinds = info["process"]["other_namespaces"].as_array().unwrap();
    for kind in ["mnt", "pid", "net", "user"] {
        assert!(kinds.contains(&kind.into()), "{kinds:?}");
    }
    let address = contained.service.said.iter().find_map(|line| line.strip_prefix("listening ")).unwrap();
    let listener = info["listening"].as_array().unwrap().iter().find(|listener| listener["address"] == address).expect("its socket");
    assert!(listener["http"].as_array().unwrap().iter().all(|answer| answer["recognised"] == true), "{listener}");
    assert!(info["runtime"]["gomaxprocs"].as_u64().is_some(), "{}", info["runtime"]);
    contained.service.assert_unharmed();
}

#[test]
fn from_inside_the_same_pid_namespace() {
    if !is_root("entering a container") {
        return;
    }
    let contained = Contained::start("sidecar");
    let flags = ["--target", &contained.pid, "--user", "--preserve-credentials", "--pid", "--mount", "--net"];
    let output = Command::new("nsenter")
        .args(flags)
        .args([env!("CARGO_BIN_EXE_goscope"), "info", "sidecar", "--probe-http", "--format", "json"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let info: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&info["target"]["pid"], &info["process"]["inner_pid"]), (&1.into(), &Value::Null));
    assert!(info["runtime"]["gomaxprocs"].as_u64().is_some(), "{}", info["runtime_error"]);
    assert!(info["listening"][0]["http"][0]["recognised"] == true, "{}", info["listening"]);
}

#[test]
fn a_user_namespace_in_the_way_is_named() {
    let service = Service::start(&mut Command::new(build("outside", "httpserver", &[])));
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", env!("CARGO_BIN_EXE_goscope"), "goroutines", &service.pid()])
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{told}");
    assert!(told.contains("user namespace") && !told.contains("sudo"), "{told}");
}

#[test]
fn a_replaced_executable_is_read_as_it_runs() {
    let exe = build("replaced", "httpserver", &[]);
    let other = build("replacement", "parked", &[]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("service");
    service::copy_program(&exe, &path);
    let service = Service::start(&mut Command::new(&path));
    service::copy_program(&other, dir.path().join("new"));
    fs::rename(dir.path().join("new"), &path).unwrap();
    let info = goscope(&["info", &service.pid()]);
    assert_eq!(info["target"]["exe"], path.to_str().unwrap());
    assert_eq!(info["process"]["exe_deleted"], true);
    assert!(info["build"]["path"].as_str().unwrap().ends_with("/httpserver"), "{}", info["build"]);
    assert!(info["runtime"]["goroutines"]["user"].as_u64().unwrap() > 8);
    service.assert_unharmed();
}

#[test]
fn a_stopped_process_stays_stopped_and_is_told() {
    let service = Service::start(&mut Command::new(build("halted", "httpserver", &[])));
    let signal = |name: &str| assert!(Command::new("kill").args(["-s", name, &service.pid()]).status().unwrap().success());
    let state = || fs::read_to_string(format!("/proc/{}/stat", service.pid())).unwrap().rsplit_once(") ").unwrap().1.chars().next();
    signal("STOP");
    while state() != Some('T') {
        std::thread::yield_now();
    }
    let info = goscope(&["info", &service.pid()]);
    let stop = info["doctor"].as_array().unwrap().iter().find(|check| check["subject"] == "stop threads").unwrap();
    assert_eq!(stop["state"], "limited", "{stop}");
    assert!(info["runtime"]["gomaxprocs"].as_u64().is_some());
    assert_eq!(state(), Some('T'), "it must not be woken");
    signal("CONT");
    while state() == Some('T') {
        std::thread::yield_now();
    }
    service.assert_unharmed();
}
