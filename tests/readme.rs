//! What README.md shows is what goscope prints: every line `$ …` of a `console` block is run, in order, in one directory.
//!
//! Figures that differ from run to run (process ids, ages, sizes, times, counts) are replaced on both sides before the
//! comparison, so that a changed word, column, function or line number fails. `UPDATE=1 cargo test --test readme` rewrites
//! the outputs that differ.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code)]
#[path = "support/service.rs"]
mod service;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use regex::{Captures, Regex};
use service::Service;

/// Line numbers of the standard library are those of this release.
const GO: &str = "go1.26.11";
/// Stands for the directory that the commands run in.
const DIRECTORY: &str = "/srv";

/// A rule of the kind that is often recommended, and one that does nothing.
const RULES: &str = "\
- action: labeldrop
  regex: client|path
- action: drop
  source_labels: [le]
  regex: '5'
";

#[test]
fn transcripts_are_real() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(&readme).unwrap();
    let stage = Stage::new();
    let (mut rewritten, mut wrong, mut commands) = (String::new(), String::new(), 0);
    for piece in pieces(&text) {
        match piece {
            Piece::Text(line) => {
                if let Some(number) = requests(line) {
                    stage.pile_up(number);
                }
                rewritten.push_str(line);
                rewritten.push('\n');
            }
            Piece::Command { command, output } => {
                commands += 1;
                let got = stage.run(command);
                let (expected, seen) = (stage.normal(command, output), stage.normal(command, &got));
                let differs = expected != seen;
                if differs {
                    wrong.push_str(&format!("$ {command}\n{}", difference(&expected, &seen)));
                }
                rewritten.push_str(&format!("$ {command}\n{}", if differs { &got } else { output }));
            }
        }
    }
    assert!(commands > 10, "README.md has {commands} commands in console blocks");
    stage.sample.assert_unharmed();
    stage.billing.assert_unharmed();
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        fs::write(&readme, rewritten).unwrap();
        return;
    }
    assert!(wrong.is_empty(), "README.md shows something else (UPDATE=1 cargo test --test readme rewrites it):\n{wrong}");
}

enum Piece<'a> {
    /// A line that is no transcript.
    Text(&'a str),
    /// Without the `$ `, and what is printed under it.
    Command { command: &'a str, output: &'a str },
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut console, mut at) = (false, 0);
    while at < text.len() {
        let end = text[at..].find('\n').map_or(text.len(), |length| at + length + 1);
        let line = text[at..end].trim_end_matches('\n');
        at = end;
        if let Some(command) = line.strip_prefix("$ ").filter(|_| console) {
            let rest = &text[at..];
            let stop = |line: &str| line.starts_with("$ ") || line.starts_with("```");
            let length: usize = rest.split_inclusive('\n').take_while(|line| !stop(line)).map(str::len).sum();
            pieces.push(Piece::Command { command, output: &rest[..length] });
            at += length;
            continue;
        }
        if line.starts_with("```") {
            console = line == "```console";
        }
        pieces.push(Piece::Text(line));
    }
    pieces
}

/// `<!-- 12 requests that hang -->`
fn requests(line: &str) -> Option<usize> {
    line.strip_prefix("<!-- ")?.strip_suffix(" requests that hang -->")?.parse().ok()
}

/// The services, and the directory, that the commands see.
struct Stage {
    sample: Service,
    billing: Service,
    address: String,
    directory: tempfile::TempDir,
    user: String,
    hanging: std::cell::RefCell<Vec<TcpStream>>,
}

impl Stage {
    fn new() -> Stage {
        let directory = tempfile::tempdir().unwrap();
        // As services are built for production: neither symbols nor DWARF nor the builder's paths.
        let sample = Service::start(&mut Command::new(build(directory.path(), "sample", &["-trimpath", "-ldflags=-s -w"])));
        let billing = Service::start(&mut Command::new(build(directory.path(), "billing", &["-trimpath", "-buildmode=pie"])));
        let address = sample.said.iter().find_map(|line| line.strip_prefix("listening ")).unwrap().to_owned();
        let scrape = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/data/scrapes/client_golang.txt");
        fs::copy(scrape, directory.path().join("shop.prom")).unwrap();
        fs::write(directory.path().join("rules.yml"), RULES).unwrap();
        let user = Command::new("id").arg("-un").output().unwrap();
        let user = String::from_utf8(user.stdout).unwrap().trim().to_owned();
        let stage = Stage { sample, billing, address, directory, user, hanging: Default::default() };
        // A collection stamps every goroutine that is blocked, and frees nothing that is shown.
        let mut collected = stage.get("/debug/pprof/heap?gc=1");
        collected.read_to_end(&mut Vec::new()).unwrap();
        stage
    }

    fn get(&self, path: &str) -> TcpStream {
        let mut connection = TcpStream::connect(&self.address).unwrap();
        write!(connection, "GET {path} HTTP/1.1\r\nHost: sample\r\nConnection: close\r\n\r\n").unwrap();
        connection
    }

    /// Sends requests that are never answered, and waits until each is blocked.
    fn pile_up(&self, number: usize) {
        let mut hanging = self.hanging.borrow_mut();
        hanging.extend((0..number).map(|_| self.get("/checkout")));
        let blocked = || {
            let command = "goscope goroutines sample --func waitForPayment --wait-reason select --format folded";
            let folded = self.run(command);
            folded.trim().rsplit(' ').next().and_then(|count| count.parse::<usize>().ok()).unwrap_or_else(|| panic!("{folded}"))
        };
        // Four are in flight from the start.
        while blocked() != hanging.len() + 4 {
            std::thread::yield_now();
        }
    }

    /// What a terminal would show, stdout and stderr, with the directory renamed.
    fn run(&self, command: &str) -> String {
        let goscope = Path::new(env!("CARGO_BIN_EXE_goscope")).parent().unwrap();
        let path = format!("{}:{}", goscope.display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("({command}) 2>&1")]).current_dir(self.directory.path()).stdin(Stdio::null()).env("PATH", path);
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GOSCOPE_")).for_each(|(name, _)| {
            shell.env_remove(name);
        });
        let output = shell.env_remove("CLICOLOR_FORCE").env("LC_ALL", "C.UTF-8").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap().replace(self.directory.path().to_str().unwrap(), DIRECTORY);
        if text.is_empty() || text.ends_with('\n') { text } else { text + "\n" }
    }

    fn normal(&self, command: &str, text: &str) -> Vec<String> {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if command.starts_with("goscope ps") {
            lines = self.only_ours(lines);
        }
        if command.starts_with("goscope info") {
            lines = without_the_machine(lines);
        }
        lines.iter().map(|line| normal_line(line, &self.user)).collect()
    }

    /// Other processes, what is not said of ours, and whether there are containers, is as the machine has it.
    fn only_ours(&self, lines: Vec<String>) -> Vec<String> {
        let container = lines.first().and_then(|header| header.find("CONTAINER")).unwrap_or(usize::MAX);
        let is_ours = |name: Option<&str>| name.is_some_and(|name| ["sample", "billing"].contains(&name));
        let totals = Regex::new(r"^\d+ Go process(es)?, ([0-9.]+ [KMG]?i?B) RSS.*").unwrap();
        let lines = lines.into_iter().filter(|line| {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("hint:") => false,
                Some(first) if first.parse::<u32>().is_ok() && !line.contains("Go process") => is_ours(words.nth(1)),
                _ => true,
            }
        });
        let mut lines: Vec<String> = lines.map(|line| line.get(..container).unwrap_or(&line).trim().to_owned()).collect();
        if let Some(last) = lines.last_mut() {
            *last = totals.replace(last, "<n> Go processes, $2 RSS").into_owned();
        }
        lines
    }
}

/// The doctor's findings, quota and container are the machine's: of a check, its name counts.
fn without_the_machine(lines: Vec<String>) -> Vec<String> {
    let check = Regex::new(r"^  (ok|limited|missing) +(\S+( \S+)*).*").unwrap();
    let mut doctor = false;
    let mut kept = Vec::new();
    for line in lines {
        doctor |= line == "What goscope can do with it";
        let field = line.trim_start().split("  ").next().unwrap_or_default();
        if ["container", "namespaces"].contains(&field) || doctor && line.starts_with("           ") {
            continue;
        }
        if field == "CPU quota" || field == "GOMAXPROCS" {
            kept.push(format!("  {field}  <as here>"));
        } else {
            kept.push(check.replace(&line, "  <state>  $2").into_owned());
        }
    }
    kept
}

fn normal_line(line: &str, user: &str) -> String {
    let replace = |text: String, pattern: &str, by: &str| Regex::new(pattern).unwrap().replace_all(&text, by).into_owned();
    let mut text = replace(line.to_owned(), r"127\.0\.0\.1:\d+", "127.0.0.1:<port>");
    text = replace(text, r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( UTC|Z)?", "<time>");
    text = replace(text, r"\b(\d+(\.\d+)?(ns|us|ms|s|m|h|d))+\b", "<duration>");
    // How long a service has run when a command comes decides which of these it is.
    text = replace(text, r"(since last GC|>= <duration>)( \.\. (>= )?<duration>)?", "<age>");
    text = replace(text, r", \d+ minutes\]", "]");
    text = replace(text, r"\b\d+(\.\d+)? ([KMGT]iB|B)\b", "<size>");
    text = replace(text, r"0x[0-9a-f]+", "<address>");
    text = replace(text, &format!(r"\b(root|{})\b( \(\d+\))?", regex::escape(user)), "<user>");
    // A number that stands alone; not one in a name, a version, or behind the colon of a file.
    let number = Regex::new(r#"(^|[\s(,+\[{-]|":)(\d+(\.\d+)?)(%| %)?($|[\s),\]}:])"#).unwrap();
    for _ in 0..2 {
        text = number.replace_all(&text, |found: &Captures| format!("{}#{}", &found[1], &found[5])).into_owned();
    }
    replace(text, r" {2,}", "  ").trim_end().to_owned()
}

fn difference(expected: &[String], seen: &[String]) -> String {
    let mut text = String::new();
    for at in 0..expected.len().max(seen.len()) {
        match (expected.get(at), seen.get(at)) {
            (Some(expected), Some(seen)) if expected == seen => text.push_str(&format!("    {seen}\n")),
            (expected, seen) => {
                text.extend(expected.map(|line| format!("  - {line}\n")));
                text.extend(seen.map(|line| format!("  + {line}\n")));
            }
        }
    }
    text
}

fn build(directory: &Path, name: &str, flags: &[&str]) -> PathBuf {
    let out = directory.join(name);
    let built = Command::new("go")
        .args(["build", "-buildvcs=false"])
        .args(flags)
        .arg("-o")
        .arg(&out)
        .arg("./cmd/httpserver")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/go"))
        .env("GOTOOLCHAIN", GO)
        .env("CGO_ENABLED", "0")
        .output()
        .expect("the go command is needed to build the fixtures");
    assert!(built.status.success(), "{name}: {}", String::from_utf8_lossy(&built.stderr));
    out
}

#[test]
fn figures_are_replaced_and_words_are_not() {
    let same = |a: &str, b: &str| assert_eq!(normal_line(a, "ci"), normal_line(b, "ci"));
    let differ = |a: &str, b: &str| assert_ne!(normal_line(a, "ci"), normal_line(b, "ci"));
    same("    8  chan receive  >= 3m38s  e.g. goroutine 21", "   16  chan receive  >= 41ms  e.g. goroutine 7");
    differ("    8  chan receive  >= 3m38s", "    8  chan send  >= 3m38s");
    same("    8  chan receive  >= 3m38s", "    8  chan receive  since last GC .. >= 3m");
    differ("    8  chan receive  >= 3m38s", "    8  chan receive");
    differ("main.get  main.go:130", "main.get  main.go:131");
    differ("main.f.func1  main.go:1", "main.f.func2  main.go:1");
    same("5886  root  sample  1.26.11  7.3 MiB", "12  ci  sample  1.26.11  12 MiB");
    differ("5886  root  sample  1.26.11", "5886  root  sample  1.26.12");
    same(r#"{"total":38,"user":31}"#, r#"{"total":40,"user":33}"#);
    same("read in 7.4ms at 2026-11-30T22:11:14Z", "read in 12ms at 2027-01-01T00:00:00Z");
    differ("no thread stopped", "1 thread stopped for at most 50us");
}
