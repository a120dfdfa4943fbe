//! Reads a snapshot that `--format json` wrote.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustc_hash::FxHashSet;
use serde::Deserialize;

use super::model::{self, BlockedOn, FrameKind, ReadState, Snapshot, Status};
use super::report::cut_of_key;
use crate::error::{Error, Result};

/// A snapshot from a file.
#[derive(Debug)]
pub struct Saved {
    pub snapshot: Snapshot,
    /// False when a filter or limit left goroutines out, so that counts are not those of the process.
    pub complete: bool,
}

const SAVE: &str = "save one with `goscope goroutines TARGET --format json --output FILE`";

pub fn read(path: &Path) -> Result<Saved> {
    let bytes = std::fs::read(path).map_err(|error| Error::io(format!("cannot read {}", path.display())).because(error).hint(SAVE))?;
    parse(&bytes).map_err(|error| Error::io(format!("{} is not a saved goroutine snapshot", path.display())).because(error).hint(SAVE))
}

/// Tells in one line what is wrong with `bytes`.
pub fn parse(bytes: &[u8]) -> std::result::Result<Saved, String> {
    let text = |error: serde_json::Error| error.to_string();
    let head: Head<'_> = match serde_json::from_slice(bytes) {
        Ok(head) => head,
        Err(_) if is_jsonl(bytes) => return Err("it is jsonl, one object a line; json is wanted".to_owned()),
        Err(error) => return Err(text(error)),
    };
    match head {
        Head { schema: Some(Text(schema)), schema_version: Some(1) } if schema == "goscope.goroutines" => {}
        Head { schema: Some(Text(schema)), schema_version: Some(version) } if schema == "goscope.goroutines" => {
            return Err(format!("its schema version is {version}, and this goscope knows version 1"));
        }
        Head { schema: Some(Text(schema)), .. } => return Err(format!("its schema is {schema:?}")),
        Head { schema: None, .. } => return Err("it has no schema".to_owned()),
    }
    let document: Document<'_> = serde_json::from_slice(bytes).map_err(text)?;
    document.into_snapshot()
}

fn is_jsonl(bytes: &[u8]) -> bool {
    let line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    schema: Option<Text<'a>>,
    schema_version: Option<u32>,
}

/// Borrowed from the file unless it has escapes.
#[derive(Deserialize, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    captured_at: Text<'a>,
    target: model::TargetFacts,
    #[serde(borrow)]
    quality: Quality<'a>,
    counts: Counts,
    #[serde(borrow)]
    goroutines: Vec<Goroutine<'a>>,
    #[serde(borrow)]
    stacks: Vec<Stack<'a>>,
}

#[derive(Deserialize)]
struct Quality<'a> {
    torn: u64,
    #[serde(default)]
    retried: u64,
    skipped: u64,
    not_resident: u64,
    #[serde(default)]
    not_read: u64,
    unresolved_frames: u64,
    #[serde(default)]
    truncated_stacks: u64,
    threads_stopped: u64,
    longest_stop_ns: u64,
    #[serde(default)]
    total_stop_ns: u64,
    #[serde(borrow)]
    layout: Text<'a>,
    #[serde(default)]
    capture_ns: u64,
    #[serde(default)]
    own_cpu_ns: u64,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Counts {
    total: u64,
    #[serde(default)]
    dead: u64,
}

#[derive(Deserialize)]
struct Goroutine<'a> {
    id: u64,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    wait_reason: Option<Text<'a>>,
    wait_min_ns: Option<u64>,
    wakes_in_ns: Option<i64>,
    #[serde(borrow)]
    blocked_on: Option<On<'a>>,
    #[serde(borrow)]
    created_by: Option<CreatedBy<'a>>,
    #[serde(borrow)]
    start: Option<Frame<'a>>,
    #[serde(borrow, default)]
    labels: BTreeMap<Text<'a>, Text<'a>>,
    thread: Option<Thread>,
    #[serde(default)]
    locked: bool,
    #[serde(default)]
    system: bool,
    #[serde(borrow)]
    sp: Option<Text<'a>>,
    #[serde(borrow)]
    read: Option<Text<'a>>,
    stack: u32,
}

#[derive(Deserialize)]
struct On<'a> {
    #[serde(borrow)]
    what: Text<'a>,
    #[serde(borrow)]
    address: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Thread {
    tid: Option<u32>,
    m: Option<i64>,
    p: Option<i32>,
}

#[derive(Deserialize)]
struct CreatedBy<'a> {
    #[serde(borrow)]
    function: Option<Text<'a>>,
    #[serde(borrow)]
    file: Option<Text<'a>>,
    line: Option<u32>,
    goroutine: Option<u64>,
}

#[derive(Deserialize)]
struct Stack<'a> {
    #[serde(borrow)]
    frames: Vec<Frame<'a>>,
    #[serde(borrow)]
    cut: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    function: Option<Text<'a>>,
    #[serde(borrow)]
    file: Option<Text<'a>>,
    line: Option<u32>,
    #[serde(borrow)]
    address: Option<Text<'a>>,
    #[serde(borrow)]
    entry: Option<Text<'a>>,
    #[serde(borrow)]
    kind: Option<Text<'a>>,
    #[serde(default)]
    wrapper: bool,
}

type Parsed<T> = std::result::Result<T, String>;

impl Document<'_> {
    fn into_snapshot(self) -> Parsed<Saved> {
        let mut strings = Strings::default();
        let stacks: Vec<_> = self.stacks.into_iter().map(|stack| stack.into_model(&mut strings)).collect::<Parsed<_>>()?;
        let count = stacks.len();
        let goroutines: Vec<_> = self.goroutines.into_iter().map(|g| g.into_model(&mut strings, count)).collect::<Parsed<_>>()?;
        let complete = goroutines.len() as u64 == self.counts.total;
        let snapshot = Snapshot {
            captured_at: time(&self.captured_at)?,
            target: self.target,
            goroutines,
            dead: self.counts.dead,
            stacks,
            quality: self.quality.into_model(),
        };
        Ok(Saved { snapshot, complete })
    }
}

impl Quality<'_> {
    fn into_model(self) -> model::Quality {
        model::Quality {
            torn: self.torn,
            retried: self.retried,
            skipped: self.skipped,
            not_resident: self.not_resident,
            not_read: self.not_read,
            unresolved_frames: self.unresolved_frames,
            truncated_stacks: self.truncated_stacks,
            threads_stopped: self.threads_stopped,
            longest_stop_ns: self.longest_stop_ns,
            total_stop_ns: self.total_stop_ns,
            layout: self.layout.0.into_owned(),
            capture_ns: self.capture_ns,
            own_cpu_ns: self.own_cpu_ns,
            warnings: self.warnings,
        }
    }
}

/// What the runtime can block on, by the names that `BlockedOn::what` uses.
const BLOCKED_ON: [&str; 7] = ["channel", "mutex", "rwmutex", "waitgroup", "cond", "semaphore", "fd"];

impl Goroutine<'_> {
    fn into_model(self, strings: &mut Strings, stacks: usize) -> Parsed<model::Goroutine> {
        let id = self.id;
        if self.stack as usize >= stacks {
            return Err(format!("goroutine {id} has stack {}, and there are {stacks} stacks", self.stack));
        }
        let status = Status::ALL.into_iter().find(|status| status.as_str() == self.status.0);
        let created_by = self.created_by.map(|by| {
            let CreatedBy { function, file, line, goroutine } = by;
            let place = Frame { function, file, line, address: None, entry: None, kind: None, wrapper: false };
            Ok::<_, String>(model::CreatedBy { frame: place.into_model(strings)?, goroutine })
        });
        let blocked_on = self.blocked_on.and_then(|on| {
            let what = BLOCKED_ON.into_iter().find(|what| *what == on.what.0)?;
            Some(address(on.address.as_ref()).map(|address| BlockedOn { what, address }))
        });
        Ok(model::Goroutine {
            id,
            status: status.ok_or_else(|| format!("goroutine {id} has the unknown status {:?}", self.status.0))?,
            wait_reason: self.wait_reason.map(|reason| strings.shared(&reason)),
            wait_min_ns: self.wait_min_ns,
            wakes_in_ns: self.wakes_in_ns,
            created_by: created_by.transpose()?,
            start: self.start.map(|frame| frame.into_model(strings)).transpose()?,
            labels: self.labels.iter().map(|(key, value)| (strings.shared(key), strings.shared(value))).collect(),
            thread: self.thread.map(|thread| model::Thread { tid: thread.tid, m: thread.m, p: thread.p }),
            locked: self.locked,
            system: self.system,
            blocked_on: blocked_on.transpose()?,
            stack: self.stack,
            sp: address(self.sp.as_ref())?,
            read: read_state(self.read.as_ref()),
        })
    }
}

fn read_state(text: Option<&Text<'_>>) -> ReadState {
    let states = [ReadState::Consistent, ReadState::Stopped, ReadState::Paused, ReadState::Torn, ReadState::NotRead];
    let known = text.and_then(|text| states.into_iter().find(|state| state.as_str() == text.0));
    known.unwrap_or(ReadState::Consistent)
}

impl Stack<'_> {
    fn into_model(self, strings: &mut Strings) -> Parsed<model::Stack> {
        let frames = self.frames.into_iter().map(|frame| frame.into_model(strings)).collect::<Parsed<_>>()?;
        let cut = self.cut.map(|cut| cut_of_key(&cut.0).ok_or_else(|| format!("a stack has the unknown cut {:?}", cut.0)));
        Ok(model::Stack { frames, cut: cut.transpose()? })
    }
}

impl Frame<'_> {
    fn into_model(self, strings: &mut Strings) -> Parsed<model::Frame> {
        let kinds = [FrameKind::Go, FrameKind::Inlined, FrameKind::C, FrameKind::Kernel, FrameKind::Unresolved];
        let kind = match &self.kind {
            None => FrameKind::Go,
            Some(text) => {
                let known = kinds.into_iter().find(|kind| kind.as_str() == text.0);
                known.ok_or_else(|| format!("a frame has the unknown kind {:?}", text.0))?
            }
        };
        let mut shared = |text: Option<Text<'_>>| strings.shared(&text.unwrap_or(Text("".into())));
        Ok(model::Frame {
            function: shared(self.function),
            file: shared(self.file),
            line: self.line.unwrap_or(0),
            address: address(self.address.as_ref())?,
            entry: address(self.entry.as_ref())?,
            kind,
            wrapper: self.wrapper,
        })
    }
}

/// `"0x47f3a1"`; 0 for null.
fn address(text: Option<&Text<'_>>) -> Parsed<u64> {
    let Some(Text(text)) = text else { return Ok(0) };
    let digits = text.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    digits.ok_or_else(|| format!("{text:?} is not an address"))
}

fn time(text: &Text<'_>) -> Parsed<SystemTime> {
    humantime::parse_rfc3339(&text.0).map_err(|error| format!("{:?} is not a time: {error}", text.0))
}

/// Equal strings are kept once, as in a live snapshot.
#[derive(Default)]
struct Strings(FxHashSet<Arc<str>>);

impl Strings {
    fn shared(&mut self, text: &Text<'_>) -> Arc<str> {
        if let Some(known) = self.0.get(&*text.0) {
            return known.clone();
        }
        let shared: Arc<str> = Arc::from(&*text.0);
        self.0.insert(shared.clone());
        shared
    }
}
