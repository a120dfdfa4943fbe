//! The command line as a user or a script meets it: exit codes, streams, help, colour, files, JSON.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/schema.rs"]
mod schema;
#[path = "support/service.rs"]
mod service;

use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use service::{Service, build, is_root};

fn goscope(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_goscope"));
    command.args(args);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GOSCOPE_")) {
        command.env_remove(name);
    }
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

fn run(args: &[&str]) -> Output {
    goscope(args).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Fails with that code, says nothing on stdout, and tells one `error:` line with `text` and at least one way out.
#[track_caller]
fn assert_fails(output: &Output, expected: i32, text: &str) {
    let told = stderr(output);
    assert_eq!(code(output), expected, "{told}");
    assert_eq!(stdout(output), "", "stdout carries only a result");
    let errors: Vec<&str> = told.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{told}");
    assert!(errors[0].contains(text), "{told}");
    assert!(told.lines().all(|line| line.starts_with("error: ") || line.starts_with("hint: ")), "{told}");
    assert!(told.lines().any(|line| line.starts_with("hint: ")), "no way out: {told}");
}

fn service(name: &str) -> Service {
    let exe = build(name, "httpserver", &["-ldflags=-s -w"]);
    Service::start(&mut Command::new(exe))
}

fn json(output: &Output) -> Value {
    assert_eq!(code(output), 0, "{}", stderr(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn help_fits_and_goes_to_stdout() {
    for command in [&[][..], &["ps"], &["info"], &["goroutines"], &["goroutines", "diff"], &["completions"], &["man"]] {
        for flag in ["-h", "--help"] {
            let output = run(&[command, &[flag]].concat());
            assert_eq!((code(&output), stderr(&output)), (0, String::new()));
            let text = stdout(&output);
            assert!(text.contains("Usage: goscope"), "{text}");
            for line in text.lines().filter(|line| !line.starts_with("  goscope ")) {
                assert!(line.chars().count() <= 100, "{command:?}: {line}");
            }
        }
    }
    let text = stdout(&run(&["--help"]));
    for told in ["Exit codes:", "  5  ", "ps ", "info ", "goroutines "] {
        assert!(text.contains(told), "{told}");
    }
    assert!(stdout(&run(&["ps", "--help"])).contains("[env: GOSCOPE_FORMAT]"));
    assert!(stdout(&run(&["--version"])).starts_with(concat!("goscope ", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn a_wrong_command_line_is_2() {
    let wrong: &[&[&str]] = &[
        &[],
        &["nonsense"],
        &["ps", "--nonsense"],
        &["ps", "--format", "xml"],
        &["ps", "-q", "-v"],
        &["info"],
        &["goroutines"],
        &["goroutines", "1", "--func", "("],
        &["goroutines", "1", "--group", "label="],
        &["goroutines", "1", "--min-wait", "soon"],
        &["goroutines", "1", "--watch", "0"],
        &["goroutines", "1", "--count", "3"],
        &["goroutines", "1", "--user", "--system"],
        &["goroutines", "1", "--no-stop", "--pause"],
        &["goroutines", "1", "--status", "sleeping"],
        &["goroutines", "1", "--watch", "1s", "--format", "json"],
        &["goroutines", "99999999999"],
        &["info", "0"],
    ];
    for args in wrong {
        let output = run(args);
        assert_eq!(code(&output), 2, "{args:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{args:?}");
        assert!(!stderr(&output).is_empty());
    }
    assert_fails(&run(&["goroutines", "1", "--func", "("]), 2, "not a regular expression: unclosed group");
    assert_fails(&run(&["ps", "--nonsense"]), 2, "unexpected argument '--nonsense' found");
}

#[test]
fn a_bad_target_is_3_and_told_in_one_line() {
    for command in ["info", "goroutines"] {
        assert_fails(&run(&[command, "2147483647"]), 3, "there is no process 2147483647");
        assert_fails(&run(&[command, "no-such-program-here"]), 3, "no Go process is called 'no-such-program-here'");
        // A process that is not Go: this test.
        assert_fails(&run(&[command, &std::process::id().to_string()]), 3, "not a Go program");
    }
    let mut thread = fs::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let thread = thread.find(|tid| *tid != std::process::id().to_string()).expect("a test runs on a thread of its own");
    assert_fails(&run(&["info", &thread]), 3, "is a thread of process");
}

#[test]
fn a_zombie_is_told_apart() {
    let mut child = Command::new("true").spawn().unwrap();
    let stat = format!("/proc/{}/stat", child.id());
    while !fs::read_to_string(&stat).unwrap().contains(") Z ") {
        std::thread::yield_now();
    }
    let output = run(&["goroutines", &child.id().to_string()]);
    child.wait().unwrap();
    assert_eq!(code(&output), 3);
    assert!(stderr(&output).contains("zombie"), "{}", stderr(&output));
}

#[test]
fn a_kernel_thread_is_told_apart() {
    if let Ok(stat) = fs::read_to_string("/proc/2/stat")
        && stat.contains("(kthreadd)")
    {
        assert_fails(&run(&["goroutines", "2"]), 3, "kernel thread");
    }
}

#[test]
fn a_bad_file_says_what_is_wrong_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let go = fs::read(build("file", "httpserver", &[])).unwrap();
    let cases: &[(&str, Vec<u8>, i32, &str)] = &[
        ("empty", Vec::new(), 3, "not an ELF executable"),
        ("text", b"#!/bin/sh\n".to_vec(), 3, "not an ELF executable"),
        ("cut", go[..100].to_vec(), 5, "truncated"),
        ("32-bit", [b"\x7fELF\x01\x01\x01".as_slice(), &[0; 57]].concat(), 3, "32-bit"),
        ("other-machine", [&go[..18], &[0xf3, 0], &go[20..]].concat(), 3, "another machine"),
    ];
    for (name, content, expected, text) in cases {
        fs::write(path(name), content).unwrap();
        assert_fails(&run(&["info", &path(name)]), *expected, text);
    }
    assert_fails(&run(&["info", &path("absent")]), 3, "there is no file");
    assert_fails(&run(&["info", "/bin/sh"]), 3, "not a Go program");
    assert!(Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
    for odd in [path("pipe"), "/dev/null".to_owned(), "/".to_owned()] {
        assert_fails(&run(&["info", &odd]), 3, "is not a file");
    }
    assert_fails(&run(&["goroutines", "/bin/sh"]), 3, "no Go process is called '/bin/sh'");
    assert_fails(&run(&["goroutines", "diff", &path("absent"), &path("absent")]), 5, "cannot read");
    assert_fails(&run(&["goroutines", "diff", &path("text"), &path("text")]), 5, "is not a saved goroutine snapshot");
}

#[test]
fn an_output_that_cannot_be_written_is_5() {
    assert_fails(&run(&["ps", "--output", "/nonexistent/file"]), 5, "cannot write /nonexistent/file");
    // The disk is full.
    let output = goscope(&["ps"]).stdout(fs::File::options().write(true).open("/dev/full").unwrap()).output().unwrap();
    assert_eq!(code(&output), 5, "{}", stderr(&output));
    assert_eq!(code(&run(&["ps", "-o", "/dev/full"])), 5);
}

#[test]
fn output_replaces_a_file_only_when_complete() {
    let service = service("replace");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    fs::write(&path, "old").unwrap();
    let file = path.to_str().unwrap();
    assert_eq!(code(&run(&["info", "2147483647", "--output", file])), 3);
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    let output = run(&["ps", "--format", "json", "--output", file]);
    assert_eq!((code(&output), stdout(&output)), (0, String::new()));
    let written: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(written["schema"], "goscope.ps");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    drop(service);
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let service = service("pipe");
    for args in
        [&["--help"][..], &["man", "goroutines"], &["completions", "zsh"], &["info", &service.pid()], &["goroutines", &service.pid()]]
    {
        let mut child = goscope(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // As `| head -0` does.
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((code(&output), stderr(&output)), (0, String::new()), "{args:?}");
    }
    service.assert_unharmed();
}

#[test]
fn colour_is_off_when_piped_and_on_when_forced() {
    let colour = |args: &[&str], env: &[(&str, &str)]| {
        let output = goscope(args).envs(env.iter().copied()).output().unwrap();
        (output.stdout.contains(&0x1b), output.stderr.contains(&0x1b))
    };
    assert_eq!(colour(&["ps"], &[]), (false, false));
    assert_eq!(colour(&["ps", "--color", "always"], &[("NO_COLOR", "1")]), (true, false));
    assert_eq!(colour(&["ps"], &[("CLICOLOR_FORCE", "1")]), (true, false));
    assert_eq!(colour(&["ps"], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]), (false, false));
    assert_eq!(colour(&["ps"], &[("GOSCOPE_COLOR", "always")]), (true, false));
    assert_eq!(colour(&["info", "nobody-here", "--color=always"], &[]), (false, true));
    // JSON never has colour.
    assert_eq!(colour(&["ps", "--format", "json", "--color", "always"], &[]), (false, false));
    // The parser's own messages obey the flag too.
    assert_eq!(colour(&["--help", "--color", "always"], &[]), (true, false));
    assert_eq!(colour(&["ps", "--nonsense", "--color=never"], &[("CLICOLOR_FORCE", "1")]), (false, false));
}

#[test]
fn every_global_option_has_a_variable() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out.jsonl");
    let output = goscope(&["ps"]).env("GOSCOPE_FORMAT", "jsonl").env("GOSCOPE_OUTPUT", &file).output().unwrap();
    assert_eq!((code(&output), stdout(&output)), (0, String::new()));
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.lines().next().unwrap().contains("\"type\":\"header\""), "{text}");
    let bad = goscope(&["ps"]).env("GOSCOPE_FORMAT", "xml").output().unwrap();
    assert_eq!(code(&bad), 2);
}

#[test]
fn an_error_names_the_variable_that_its_value_comes_from() {
    let told = |args: &[&str], name: &str, value: &str| {
        let output = goscope(args).env(name, value).output().unwrap();
        assert_eq!(code(&output), 2, "{name}={value}");
        stderr(&output)
    };
    for (name, value) in [("GOSCOPE_FORMAT", "xml"), ("GOSCOPE_COLOR", "blue"), ("GOSCOPE_QUIET", "garbage"), ("GOSCOPE_VERBOSE", "maybe")]
    {
        let told = told(&["ps"], name, value);
        assert!(told.contains(&format!("hint: the value comes from the environment variable {name}\n")), "{told}");
    }
    let typed = told(&["ps", "--format", "xml"], "GOSCOPE_FORMAT", "json");
    assert!(!typed.contains("environment"), "{typed}");
}

#[test]
fn an_empty_variable_is_none() {
    for name in ["GOSCOPE_FORMAT", "GOSCOPE_OUTPUT", "GOSCOPE_COLOR", "GOSCOPE_QUIET", "GOSCOPE_VERBOSE"] {
        let output = goscope(&["ps"]).env(name, "").output().unwrap();
        assert_eq!(code(&output), 0, "{name}: {}", stderr(&output));
    }
}

#[test]
fn a_negative_value_is_told_as_such() {
    for args in
        [&["cardinality", "x", "--timeout", "-5s"][..], &["cardinality", "x", "--interval", "-1"], &["goroutines", "x", "--watch", "-1s"]]
    {
        let told = stderr(&run(args));
        assert!(told.starts_with("error: invalid value '-") && told.contains("a duration is not negative"), "{told}");
    }
    let told = stderr(&run(&["cardinality", "x", "--max-series", "-5"]));
    assert!(told.starts_with("error: invalid value '-5' for '--max-series <N>'"), "{told}");
}

#[test]
fn json_is_what_the_schemas_say() {
    let service = service("schemas");
    let free = ["unknown"];
    let found = json(&run(&["ps", "--format", "json"]));
    schema::check(&schema::document("ps"), &found, &free);
    let pid: u64 = service.pid().parse().unwrap();
    let this = found["processes"].as_array().unwrap().iter().find(|process| process["pid"] == pid).expect("it is listed");
    assert_eq!(
        (&this["name"], &this["stripped"], &this["main_module"]),
        (&"schemas".into(), &true.into(), &"goscope.test/fixtures".into())
    );
    lines("ps", &run(&["ps", "--format", "jsonl"]), &free);

    let live = json(&run(&["info", &service.pid(), "--probe-http", "--format", "json"]));
    schema::check(&schema::document("info"), &live, &free);
    lines("info", &run(&["info", &service.pid(), "--format", "jsonl"]), &free);
    let exe = build("schemas", "httpserver", &["-ldflags=-s -w"]);
    let file = json(&run(&["info", exe.to_str().unwrap(), "--format", "json"]));
    schema::check(&schema::document("info"), &file, &free);
    assert_eq!((&file["process"], &file["runtime"], &file["listening"]), (&Value::Null, &Value::Null, &Value::Null));
    assert_eq!(file["build"], live["build"]);

    let free = ["labels", "by_status", "statuses", "wait_reasons"];
    let goroutines = json(&run(&["goroutines", "schemas", "--format", "json"]));
    schema::check(&schema::document("goroutines"), &goroutines, &free);
    service.assert_unharmed();
}

#[track_caller]
fn lines(name: &str, output: &Output, free: &[&str]) {
    assert_eq!(code(output), 0, "{}", stderr(output));
    let schema = schema::line(name);
    let lines: Vec<Value> = stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.iter().for_each(|line| schema::check(&schema, line, free));
    assert_eq!(lines[0]["type"], "header");
    assert_eq!(lines[lines.len() - 1]["type"], "summary");
}

#[test]
fn info_tells_what_the_process_is_and_does() {
    let service = service("told");
    let address = service.said.iter().find_map(|line| line.strip_prefix("listening ")).unwrap();
    let info = json(&run(&["info", "told", "--probe-http", "--format", "json"]));
    let listener = info["listening"].as_array().unwrap().iter().find(|listener| listener["address"] == address).expect("its socket");
    for answer in listener["http"].as_array().unwrap() {
        assert_eq!((&answer["status"], &answer["recognised"]), (&200.into(), &true.into()), "{answer}");
    }
    // Without the flag nothing is sent.
    let quiet = json(&run(&["info", "told", "--format", "json"]));
    assert!(quiet["listening"].as_array().unwrap().iter().all(|listener| listener.get("http").is_none()));
    let goroutines = json(&run(&["goroutines", "told", "--format", "json"]));
    let (counted, seen) = (&info["runtime"]["goroutines"], &goroutines["counts"]);
    for key in ["total", "user", "system"] {
        assert_eq!(counted[key], seen[key], "{key}");
    }
    let table = stdout(&run(&["info", "told"]));
    for text in ["Runtime", "GOMAXPROCS", &format!("tcp           {address}"), "read memory", "-ldflags=-s -w"] {
        assert!(table.contains(text), "no {text:?} in\n{table}");
    }
    service.assert_unharmed();
}

#[test]
fn depth_cuts_what_is_shown_and_says_so() {
    let service = service("depth");
    let whole = stdout(&run(&["goroutines", &service.pid(), "--group", "none", "--user"]));
    let cut = stdout(&run(&["goroutines", &service.pid(), "--group", "none", "--user", "--depth", "1"]));
    assert!(!whole.contains("more frame"), "{whole}");
    assert!(cut.contains(" more frames]") && cut.lines().count() < whole.lines().count(), "{cut}");
    let text = stdout(&run(&["goroutines", &service.pid(), "--format", "text", "--depth", "1"]));
    assert!(text.contains("\n...additional frames elided...\n"), "{text}");
}

#[test]
fn verbose_and_quiet_change_stderr_alone() {
    let service = service("verbose");
    let args = ["goroutines", &service.pid(), "--format", "folded"];
    let told = |flag: &[&str]| stderr(&run(&[&args[..], flag].concat()));
    assert_eq!(told(&[]), "");
    assert!(told(&["-v"]).lines().all(|line| line.starts_with("note: ")) && told(&["-v"]).contains("attached in"));
    assert!(!stdout(&run(&[&args[..], &["-v"]].concat())).contains("note:"));
    let failed = stderr(&run(&["info", "2147483647", "-q"]));
    assert!(failed.starts_with("error: "), "an error is told even when quiet: {failed}");
}

#[test]
fn targets_by_name() {
    let first = service("twin");
    assert_eq!(json(&run(&["info", "twin", "--format", "json"]))["target"]["pid"].to_string(), first.pid());
    let second = Service::start(&mut Command::new(build("twin", "httpserver", &["-ldflags=-s -w"])));
    let output = run(&["info", "twin"]);
    assert_fails(&output, 3, "'twin' names 2 Go processes");
    for service in [&first, &second] {
        assert!(stderr(&output).contains(&format!("hint: {}  ", service.pid())), "{}", stderr(&output));
    }
    // By comm, which the kernel cuts at 15 bytes, of an executable that was deleted.
    let long = fs::canonicalize(build("a-name-longer-than-fifteen", "httpserver", &[])).unwrap();
    let gone = long.with_file_name("a-name-longer-than-it");
    fs::rename(&long, &gone).unwrap();
    let third = Service::start(&mut Command::new(&gone));
    fs::remove_file(&gone).unwrap();
    for name in ["a-name-longer-than-it", "a-name-longer-than-anything-else"] {
        let info = json(&run(&["info", name, "--format", "json"]));
        assert_eq!(info["target"]["pid"].to_string(), third.pid(), "{name}");
        assert_eq!(info["process"]["exe_deleted"], true);
    }
}

#[test]
fn waiting_for_a_target() {
    let absent = run(&["info", "not-there-yet", "--wait=300ms"]);
    assert_fails(&absent, 3, "no Go process is called 'not-there-yet'");
    let exe = build("comes-later", "httpserver", &[]);
    let mut waiting = goscope(&["info", "comes-later", "--wait", "--format", "json"]).stdout(Stdio::piped()).spawn().unwrap();
    let service = Service::start(&mut Command::new(exe));
    let mut text = String::new();
    waiting.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(waiting.wait().unwrap().success());
    let info: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(info["target"]["pid"].to_string(), service.pid());
}

#[test]
fn a_binary_format_is_not_written_to_a_terminal() {
    let service = service("terminal");
    // script(1) gives the command a terminal.
    let command = format!("{} goroutines {} --format pprof", env!("CARGO_BIN_EXE_goscope"), service.pid());
    let output = Command::new("script").args(["-qec", &command, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
    let told = stdout(&output);
    assert_eq!(code(&output), 2, "{told}");
    assert!(told.contains("pprof output is binary") && told.contains("--output FILE"), "{told}");
    assert!(run(&["goroutines", &service.pid(), "--format", "pprof"]).stdout.starts_with(&[0x1f, 0x8b]));
}

#[test]
fn a_table_fits_a_terminal_and_is_whole_in_a_pipe() {
    let service = service("a-service-with-a-rather-long-name");
    let ps = |columns: u32| {
        let command = format!("stty cols {columns}; {} ps --color never", env!("CARGO_BIN_EXE_goscope"));
        stdout(&Command::new("script").args(["-qec", &command, "/dev/null"]).stdin(Stdio::null()).output().unwrap())
    };
    let narrow = ps(90);
    assert!(narrow.contains('…'), "{narrow}");
    for line in narrow.lines().filter(|line| !line.contains("Go process")) {
        assert!(line.trim_end().chars().count() <= 90, "{line}");
    }
    let piped = stdout(&run(&["ps"]));
    assert!(piped.contains("a-service-with-a-rather-long-name") && !piped.contains('…'), "{piped}");
    drop(service);
}

#[test]
fn control_characters_of_a_name_are_escaped() {
    let plain = build("escape", "httpserver", &[]);
    let odd = plain.with_file_name("evil\x1b]0;title\x07\nname");
    fs::copy(&plain, &odd).unwrap();
    let service = Service::start(&mut Command::new(&odd));
    for args in [&["ps"][..], &["info", &service.pid()]] {
        let output = run(args);
        let text = stdout(&output);
        assert!(text.contains("evil\\x1b]0;title\\x07\\nname"), "{text}");
        assert!(!text.contains('\x1b') && !text.contains('\x07'), "{text}");
    }
}

/// Tests may themselves run under nohup or in the background, where signals are ignored, which goscope would respect.
fn heeding_signals(args: &[&str]) -> Command {
    let plain = goscope(args);
    let mut command = Command::new("env");
    command.arg("--default-signal=INT,TERM,HUP,QUIT").arg(plain.get_program()).args(plain.get_args());
    for (key, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn a_window_ends_with_the_first_signal() {
    let service = service("window");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("watch.jsonl");
    for signal in ["INT", "TERM", "HUP"] {
        let args = ["goroutines", &service.pid(), "--watch", "1h", "--format", "jsonl", "-o", file.to_str().unwrap()];
        let child = heeding_signals(&args).spawn().unwrap();
        // The temporary file has the header once the first snapshot is taken.
        let temporary = || fs::read_dir(dir.path()).unwrap().flatten().map(|entry| entry.path()).find(|path| *path != file);
        while temporary().and_then(|path| fs::metadata(path).ok()).is_none_or(|found| found.len() == 0) {
            std::thread::yield_now();
        }
        assert!(Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(code(&output), 0, "{signal}");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.lines().last().unwrap().contains("\"type\":\"summary\""), "{text}");
        fs::remove_file(&file).unwrap();
    }
    service.assert_unharmed();
}

#[test]
fn an_aborted_run_leaves_no_temporary_file_and_tells_the_signal() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out");
    let args = ["info", "never-comes", "--wait", "-o", file.to_str().unwrap()];
    for (signal, ended) in [("HUP", 129), ("INT", 130), ("QUIT", 131), ("TERM", 143)] {
        let mut child = heeding_signals(&args).spawn().unwrap();
        while fs::read_dir(dir.path()).unwrap().count() == 0 {
            std::thread::yield_now();
        }
        // The handler is installed before the file is made.
        assert!(Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(ended), "{signal}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

/// A copy that other users may run: the build directory may not be open to them.
fn public_copy(dir: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    let copy = dir.join("goscope");
    fs::copy(env!("CARGO_BIN_EXE_goscope"), &copy).unwrap();
    copy
}

#[test]
fn a_missing_permission_is_4_and_says_what_is_in_the_way() {
    if !is_root("a target of another user") {
        return;
    }
    let service = service("private");
    let dir = tempfile::Builder::new().prefix("goscope-cli").tempdir_in("/tmp").unwrap();
    let nobody = Command::new(public_copy(dir.path())).args(["goroutines", &service.pid()]).uid(65534).gid(65534).output().unwrap();
    assert_fails(&nobody, 4, "belongs to uid 0, goscope runs as uid 65534");
    assert!(stderr(&nobody).contains("hint: run it as root: sudo "), "{}", stderr(&nobody));
    // Root without the capability is not told to become root.
    let target = Service::start(Command::new(build("other-user", "httpserver", &[])).uid(65534).gid(65534));
    let bare = Command::new("setpriv")
        .args(["--bounding-set=-sys_ptrace", "--inh-caps=-all", env!("CARGO_BIN_EXE_goscope"), "goroutines", &target.pid()])
        .output()
        .unwrap();
    assert_fails(&bare, 4, "belongs to uid 65534, goscope runs as uid 0");
    assert!(stderr(&bare).contains("--cap-add=SYS_PTRACE") && !stderr(&bare).contains("sudo"), "{}", stderr(&bare));
    service.assert_unharmed();
}
