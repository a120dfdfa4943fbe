//! Prints the list.

use std::io::Write;
use std::time::SystemTime;

use serde::Serialize;

use super::model::{Listing, Process};
use crate::error::{Error, Result};
use crate::output::{self, Align, Envelope, Format, Output, Paint, Table};

pub fn write(listing: &Listing, format: Format, out: &mut Output) -> Result<()> {
    match format {
        Format::Table => table(listing, out),
        Format::Json => {
            let processes: Vec<Row> = listing.processes.iter().map(|process| Row::new(process, listing.captured_at)).collect();
            let body = Body { processes };
            output::write_json(out, &envelope(listing, body))
        }
        Format::Jsonl => {
            output::write_line(out, &envelope(listing, Empty {}).header())?;
            for process in &listing.processes {
                output::write_line(out, &Line { kind: "process", row: Row::new(process, listing.captured_at) })?;
            }
            output::write_line(out, &Summary { kind: "summary", processes: listing.processes.len() })
        }
    }
}

fn table(listing: &Listing, out: &mut Output) -> Result<()> {
    let in_containers = listing.processes.iter().any(|process| process.container.is_some());
    let mut columns = vec![
        ("PID", Align::Right),
        ("USER", Align::Left),
        ("NAME", Align::Shrink),
        ("GO", Align::Left),
        ("MODULE", Align::Shrink),
        ("AGE", Align::Right),
        ("RSS", Align::Right),
        ("THREADS", Align::Right),
        ("BUILD", Align::Left),
    ];
    if in_containers {
        columns.push(("CONTAINER", Align::Shrink));
    }
    let mut table = Table::new(&columns);
    for process in &listing.processes {
        let mut cells = vec![
            process.pid.to_string(),
            if process.user.is_empty() { process.uid.to_string() } else { process.user.clone() },
            if process.deleted { format!("{} (deleted)", process.name) } else { process.name.clone() },
            short_version(&process.binary.build.go_version),
            module(process),
            output::duration(process.age),
            output::bytes(process.rss_bytes),
            process.threads.to_string(),
            build(process),
        ];
        if in_containers {
            cells.push(process.container.clone().unwrap_or_default());
        }
        table.row(cells);
    }
    if !table.is_empty() {
        table.write(out)?;
    }
    let line = totals(listing);
    let line = out.style().paint(Paint::Dim, &line);
    writeln!(out, "{line}").map_err(Error::write)
}

fn totals(listing: &Listing) -> String {
    let rss = listing.processes.iter().map(|process| process.rss_bytes).sum();
    let number = match listing.processes.len() {
        0 => "no Go processes".to_owned(),
        1 => format!("1 Go process, {} RSS", output::bytes(rss)),
        n => format!("{n} Go processes, {} RSS", output::bytes(rss)),
    };
    let mut parts = vec![number];
    if listing.quality.denied > 0 {
        parts.push(format!("{} not looked into (no permission)", output::count(listing.quality.denied, "process")));
    }
    if listing.quality.hidden {
        parts.push("processes of other users are hidden (hidepid)".to_owned());
    }
    if !listing.quality.unsupported.is_empty() {
        let pids: Vec<String> = listing.quality.unsupported.iter().map(|(pid, _)| pid.to_string()).collect();
        parts.push(format!("left out, Go older than 1.18: {}", pids.join(", ")));
    }
    parts.join("; ")
}

/// `1.26.8` of `go1.26.8 X:noswissmap`.
fn short_version(version: &str) -> String {
    version.split(' ').next().unwrap_or(version).trim_start_matches("go").to_owned()
}

/// `example.com/shop@v1.2.3 0123abcd4567+dirty`
fn module(process: &Process) -> String {
    let build = &process.binary.build;
    let mut text = build.main_path().to_owned();
    if let Some(main) = build.main.as_ref().filter(|main| !main.version.is_empty()) {
        text.push('@');
        text.push_str(&main.version);
    }
    if let Some(vcs) = build.vcs() {
        // A pseudo-version holds the first twelve digits of the revision already.
        let revision: String = vcs.revision.chars().take(12).collect();
        if !revision.is_empty() && !text.contains(&revision) {
            text.push(' ');
            text.push_str(&revision);
        }
        if vcs.modified && !text.ends_with("+dirty") {
            text.push_str("+dirty");
        }
    }
    text
}

fn build(process: &Process) -> String {
    let binary = &process.binary;
    let marks = [(binary.stripped, "stripped"), (binary.mode.pie(), "pie"), (binary.mode.cgo(), "cgo")];
    let marks: Vec<&str> = marks.iter().filter(|(on, _)| *on).map(|(_, mark)| *mark).collect();
    if marks.is_empty() { "-".to_owned() } else { marks.join(",") }
}

#[derive(Serialize)]
struct Host<'a> {
    hostname: &'a str,
}

#[derive(Serialize)]
struct Quality<'a> {
    denied: u64,
    hidden: bool,
    unsupported: Vec<Unsupported<'a>>,
    capture_ns: u64,
    own_cpu_ns: u64,
}

#[derive(Serialize)]
struct Unsupported<'a> {
    pid: u32,
    reason: &'a str,
}

#[derive(Serialize)]
struct Body<'a> {
    processes: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    row: Row<'a>,
}

#[derive(Serialize)]
struct Summary {
    #[serde(rename = "type")]
    kind: &'static str,
    processes: usize,
}

#[derive(Serialize)]
struct Row<'a> {
    pid: u32,
    uid: u32,
    user: Option<&'a str>,
    name: &'a str,
    exe: String,
    exe_deleted: bool,
    go_version: &'a str,
    path: &'a str,
    main_module: &'a str,
    main_version: &'a str,
    vcs_revision: Option<&'a str>,
    vcs_modified: Option<bool>,
    started_at: Option<String>,
    age_ns: u64,
    rss_bytes: u64,
    threads: u32,
    container: Option<&'a str>,
    stripped: bool,
    build_mode: &'static str,
}

impl<'a> Row<'a> {
    fn new(process: &'a Process, captured_at: SystemTime) -> Self {
        let build = &process.binary.build;
        Row {
            pid: process.pid,
            uid: process.uid,
            user: Some(process.user.as_str()).filter(|user| !user.is_empty()),
            name: &process.name,
            exe: process.exe.display().to_string(),
            exe_deleted: process.deleted,
            go_version: &build.go_version,
            path: &build.path,
            main_module: build.main_path(),
            main_version: build.main.as_ref().map_or("", |main| &main.version),
            vcs_revision: build.vcs().map(|vcs| vcs.revision),
            vcs_modified: build.vcs().map(|vcs| vcs.modified),
            started_at: captured_at.checked_sub(process.age).map(output::timestamp),
            age_ns: process.age.as_nanos() as u64,
            rss_bytes: process.rss_bytes,
            threads: process.threads,
            container: process.container.as_deref(),
            stripped: process.binary.stripped,
            build_mode: process.binary.mode.as_str(),
        }
    }
}

fn envelope<B: Serialize>(listing: &Listing, body: B) -> Envelope<Host<'_>, Quality<'_>, B> {
    let quality = Quality {
        denied: listing.quality.denied,
        hidden: listing.quality.hidden,
        unsupported: listing.quality.unsupported.iter().map(|(pid, reason)| Unsupported { pid: *pid, reason }).collect(),
        capture_ns: listing.quality.capture_ns,
        own_cpu_ns: listing.quality.own_cpu_ns,
    };
    Envelope::new("ps", listing.captured_at, Host { hostname: &listing.hostname }, quality, body)
}
