//! `goscope cardinality` of a process: which of its ports is found, and where.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/service.rs"]
mod service;
#[path = "support/web.rs"]
mod web;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use goscope::cardinality::source::{FetchOptions, Scraper, Source};
use goscope::error::Result;
use goscope::target::process::Process;
use service::{Service, build, is_root};

struct Running {
    service: Service,
    /// The one that listens, in our pid namespace.
    pid: u32,
}

impl Running {
    fn start(name: &str, ports: &[&str]) -> Running {
        let service = Service::start(Command::new(program()).arg(name).args(ports));
        let pid = service.child.id();
        Running { service, pid }
    }

    /// Of the nth port that it was told to listen on.
    fn port(&self, index: usize) -> u16 {
        let listening: Vec<&String> = self.service.said.iter().filter(|line| line.starts_with("listening ")).collect();
        listening[index].rsplit_once(':').unwrap().1.parse().unwrap()
    }

    fn scraper(&self, options: FetchOptions) -> Scraper {
        let source = Source::parse(&self.pid.to_string(), &options).unwrap();
        Scraper::new(source, options, |word| Process::open(word.parse().unwrap())).unwrap()
    }

    /// What was scraped, its instance, and what was said meanwhile.
    fn scrape(&self, options: FetchOptions) -> (Result<(String, String)>, Vec<String>) {
        let mut said = Vec::new();
        let result = read(&mut self.scraper(options), &mut said);
        self.service.assert_unharmed();
        (result, said)
    }
}

fn program() -> PathBuf {
    build("metrics", "metrics", &[])
}

fn read(scraper: &mut Scraper, said: &mut Vec<String>) -> Result<(String, String)> {
    let mut fetched = scraper.scrape(&mut |text| said.push(text.to_owned()))?;
    let mut all = Vec::new();
    while let Some(block) = fetched.body.next_block()? {
        all.extend(block);
    }
    Ok((String::from_utf8(all).unwrap(), fetched.instance))
}

fn default() -> FetchOptions {
    FetchOptions::default()
}

fn position(said: &[String], parts: &[&str]) -> usize {
    let has = |line: &String| parts.iter().all(|part| line.contains(part));
    said.iter().position(has).unwrap_or_else(|| panic!("{parts:?} is missing: {said:#?}"))
}

#[test]
fn the_port_that_serves_metrics_is_found_and_the_others_are_named() {
    let any = "127.0.0.1:0";
    let ports = ["text", "elsewhere", "metrics", "silent"].map(|kind| format!("{kind}={any}"));
    let running = Running::start("found", &ports.iter().map(String::as_str).collect::<Vec<_>>());
    let begin = Instant::now();
    let (result, said) = running.scrape(default());
    let (text, instance) = result.unwrap();
    assert!(text.contains("fixture_info{name=\"found\"} 1\n") && text.ends_with("fixture_scrapes_total 1\n"), "asked once: {text}");
    assert_eq!(instance, format!("metrics/{}:{}", running.pid, running.port(2)));
    position(&said, &[&running.port(0).to_string(), "not with metrics"]);
    position(&said, &[&running.port(1).to_string(), "404"]);
    position(&said, &[&running.port(2).to_string(), "serves metrics"]);
    position(&said, &[&running.port(3).to_string(), "there was no answer"]);
    assert!(begin.elapsed() < Duration::from_secs(9), "a silent port does not use up the time");
}

#[test]
fn of_several_the_first_is_taken_and_the_others_can_be_chosen() {
    let running = Running::start("several", &["metrics=127.0.0.1:0", "metrics=0.0.0.0:0", "elsewhere=127.0.0.1:0"]);
    let (low, high) = (running.port(0).min(running.port(1)), running.port(0).max(running.port(1)));
    let (result, said) = running.scrape(default());
    assert!(result.unwrap().1.ends_with(&format!(":{low}")));
    let first = position(&said, &[&low.to_string(), "serves metrics"]);
    assert!(first < position(&said, &[&format!("--port {high}")]));
    let chosen = running.scrape(FetchOptions { port: Some(high), ..default() });
    assert!(chosen.0.unwrap().1.ends_with(&format!(":{high}")));
    assert!(chosen.1.is_empty(), "no search: {:?}", chosen.1);
    let options = FetchOptions { port: Some(running.port(2)), path: "/internal/metrics".to_owned(), ..default() };
    assert!(running.scrape(options).0.unwrap().0.contains("name=\"several\""));
}

#[test]
fn the_next_scrape_goes_to_the_same_port_without_a_search() {
    let running = Running::start("again", &["text=127.0.0.1:0", "metrics=127.0.0.1:0"]);
    let (mut scraper, mut said) = (running.scraper(default()), Vec::new());
    assert!(read(&mut scraper, &mut said).unwrap().0.ends_with("fixture_scrapes_total 1\n"));
    said.clear();
    assert!(read(&mut scraper, &mut said).unwrap().0.ends_with("fixture_scrapes_total 2\n"));
    assert!(said.is_empty(), "{said:?}");
    let pid = running.pid;
    drop(running);
    let error = read(&mut scraper, &mut said).unwrap_err();
    assert_eq!((error.kind.exit_code(), error.message), (3, format!("process {pid} (metrics) has exited")));
}

#[test]
fn sockets_of_all_addresses_and_of_ipv6() {
    for address in ["0.0.0.0:0", ":0", "[::1]:0"] {
        let running = Running::start("anywhere", &[&format!("metrics={address}")]);
        let (result, said) = running.scrape(default());
        assert!(result.unwrap().0.contains("name=\"anywhere\""), "{address}: {said:?}");
    }
}

#[test]
fn a_port_of_https_is_tried_as_such() {
    let running = Running::start("secure", &["tls=127.0.0.1:0"]);
    let (result, said) = running.scrape(default());
    let error = result.unwrap_err();
    let text = format!("{error} {:?}", error.hints);
    assert_eq!(error.kind.exit_code(), 3, "{text}");
    assert!(text.contains(&format!("https://127.0.0.1:{}", running.port(0))) && text.contains("--insecure"), "{text} {said:?}");
    let (result, said) = running.scrape(FetchOptions { insecure: true, ..default() });
    assert!(result.unwrap().0.contains("name=\"secure\""), "{said:?}");
    let chosen = FetchOptions { insecure: true, port: Some(running.port(0)), ..default() };
    assert!(running.scrape(chosen).0.is_ok());
}

#[test]
fn no_port_at_all_and_none_that_serves_metrics() {
    let running = Running::start("mute", &[]);
    let error = running.scrape(default()).0.unwrap_err();
    assert_eq!(error.kind.exit_code(), 3);
    assert!(error.message.contains("listens on no TCP port"), "{error}");
    let running = Running::start("other", &["text=127.0.0.1:0", "elsewhere=127.0.0.1:0"]);
    let error = running.scrape(default()).0.unwrap_err();
    let text = format!("{error} {:?}", error.hints);
    assert_eq!(error.kind.exit_code(), 3, "{text}");
    for part in ["serves metrics under /metrics", &format!(":{}", running.port(0)), &format!(":{}", running.port(1)), "404", "--path"] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    assert!(running.scrape(default()).1.is_empty(), "what the error says is not said before it as well");
    let error = running.scrape(FetchOptions { port: Some(running.port(1)), ..default() }).0.unwrap_err();
    assert!(error.kind.exit_code() == 5 && error.to_string().contains("404"), "{error}");
}

/// Other metrics under the same port number here and in the namespace of the target.
#[test]
fn a_port_in_another_network_namespace_is_not_mistaken_for_ours() {
    if !is_root("entering a network namespace") {
        return;
    }
    let outside = Running::start("outside", &["metrics=127.0.0.1:0"]);
    let port = outside.port(0);
    // The loopback device of a new network namespace is down.
    let script = "ip link set lo up && exec \"$0\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", script]).arg(program()).args(["inside", &format!("metrics=127.0.0.1:{port}")]);
    let service = Service::start(&mut command);
    let pid = service.child.id();
    let inside = Running { service, pid };
    for port in [None, Some(port)] {
        let text = |running: &Running| running.scrape(FetchOptions { port, ..default() }).0.unwrap().0;
        assert!(text(&inside).contains("name=\"inside\""));
        assert!(text(&outside).contains("name=\"outside\""), "this process has stayed where it was");
    }
    let mut scraper = inside.scraper(default());
    for _ in 0..2 {
        assert!(read(&mut scraper, &mut Vec::new()).unwrap().0.contains("name=\"inside\""));
    }
}

#[test]
fn the_command_names_the_ports_it_tries() {
    let running = Running::start("command", &["text=127.0.0.1:0", "metrics=127.0.0.1:0"]);
    let output =
        Command::new(env!("CARGO_BIN_EXE_goscope")).args(["cardinality", &running.pid.to_string(), "--format", "json"]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    for index in [0, 1] {
        assert!(told.contains(&format!("http://127.0.0.1:{}/metrics", running.port(index))), "{told}");
    }
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["total_series"], 2, "{document}");
    running.service.assert_unharmed();
}

/// This test itself is one.
#[test]
fn a_program_that_is_not_go_is_found_by_its_name_too() {
    let server = web::Server::with("200 OK", web::TEXT, "up 1\nup_too 1\n");
    let own = std::env::current_exe().unwrap();
    let name = own.file_name().unwrap().to_str().unwrap();
    let port = server.address.port().to_string();
    let output =
        Command::new(env!("CARGO_BIN_EXE_goscope")).args(["cardinality", name, "--port", &port, "--format", "json"]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["total_series"], 2, "{document}");
    let output = Command::new(env!("CARGO_BIN_EXE_goscope")).args(["goroutines", name]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let output = Command::new(env!("CARGO_BIN_EXE_goscope")).args(["cardinality", "no-such-process"]).output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("error: no process is called 'no-such-process'"));
}

/// Its sockets may be looked at, being of the same user; to enter its namespace takes CAP_SYS_ADMIN.
#[test]
fn a_user_who_may_not_enter_the_network_namespace_is_told() {
    if !is_root("a network namespace for another user") {
        return;
    }
    // Where that user can execute it.
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = |from: &Path, name: &str| fs::copy(from, folder.path().join(name)).map(|_| folder.path().join(name)).unwrap();
    let (goscope, program) = (copy(Path::new(env!("CARGO_BIN_EXE_goscope")), "goscope"), copy(&program(), "metrics"));
    let other_user = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let mut command = Command::new("unshare");
    command.args(["--net", "setpriv"]).args(other_user).arg(program).args(["inside", "metrics=0.0.0.0:0"]);
    let service = Service::start(&mut command);
    let output = Command::new("setpriv").args(other_user).arg(goscope).args(["cardinality", &service.pid()]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{told}");
    assert!(told.contains("in another network namespace") && told.contains("hint: run goscope as root"), "{told}");
    service.assert_unharmed();
}
