//! The shapes of `schemas/goroutines.json`: what scripts rely on. Keys are added here, never renamed.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::goroutines::analyze::{self, Key};
use crate::goroutines::model::{self, Cut, FrameKind, Status};
use crate::output::Address;
use crate::target::frames::Place;

#[derive(Serialize)]
pub struct Quality<'a> {
    torn: u64,
    retried: u64,
    skipped: u64,
    not_resident: u64,
    not_read: u64,
    unresolved_frames: u64,
    truncated_stacks: u64,
    threads_stopped: u64,
    longest_stop_ns: u64,
    total_stop_ns: u64,
    layout: &'a str,
    capture_ns: u64,
    own_cpu_ns: u64,
    warnings: &'a [String],
}

impl<'a> Quality<'a> {
    pub fn of(quality: &'a model::Quality) -> Self {
        Quality {
            torn: quality.torn,
            retried: quality.retried,
            skipped: quality.skipped,
            not_resident: quality.not_resident,
            not_read: quality.not_read,
            unresolved_frames: quality.unresolved_frames,
            truncated_stacks: quality.truncated_stacks,
            threads_stopped: quality.threads_stopped,
            longest_stop_ns: quality.longest_stop_ns,
            total_stop_ns: quality.total_stop_ns,
            layout: &quality.layout,
            capture_ns: quality.capture_ns,
            own_cpu_ns: quality.own_cpu_ns,
            warnings: &quality.warnings,
        }
    }
}

#[derive(Serialize)]
pub struct Counts {
    total: u64,
    user: u64,
    system: u64,
    dead: u64,
    /// How many pass the filter.
    matched: u64,
    by_status: BTreeMap<&'static str, u64>,
}

impl Counts {
    pub fn of(counts: &model::Counts, matched: u64) -> Self {
        Counts {
            total: counts.total,
            user: counts.user,
            system: counts.system,
            dead: counts.dead,
            matched,
            by_status: counts.by_status.iter().map(|(status, n)| (status.as_str(), *n)).collect(),
        }
    }
}

/// A place in the source; null where unknown.
#[derive(Serialize)]
pub struct Location<'a> {
    function: Option<&'a str>,
    file: Option<&'a str>,
    line: Option<u32>,
}

impl<'a> Location<'a> {
    pub fn of(place: Place<'a>) -> Self {
        Location { function: known(place.function), file: known(place.file), line: known_line(place.line) }
    }
}

#[derive(Serialize)]
struct CreatedBy<'a> {
    function: Option<&'a str>,
    file: Option<&'a str>,
    line: Option<u32>,
    goroutine: Option<u64>,
}

impl<'a> CreatedBy<'a> {
    fn of(by: &'a model::CreatedBy) -> Self {
        let Location { function, file, line } = Location::of(Place::of(&by.frame));
        CreatedBy { function, file, line, goroutine: by.goroutine }
    }
}

#[derive(Serialize)]
struct Thread {
    tid: Option<u32>,
    m: Option<i64>,
    p: Option<i32>,
}

#[derive(Serialize)]
struct BlockedOn {
    what: &'static str,
    address: Address,
}

/// A goroutine, without what differs between the formats: where its stack is.
#[derive(Serialize)]
pub struct Goroutine<'a> {
    id: u64,
    status: &'static str,
    wait_reason: Option<&'a str>,
    wait_min_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wakes_in_ns: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked_on: Option<BlockedOn>,
    created_by: Option<CreatedBy<'a>>,
    start: Option<Location<'a>>,
    #[serde(serialize_with = "labels")]
    labels: &'a [Label],
    thread: Option<Thread>,
    locked: bool,
    system: bool,
    sp: Address,
    read: &'static str,
}

type Label = (std::sync::Arc<str>, std::sync::Arc<str>);

impl<'a> Goroutine<'a> {
    pub fn of(g: &'a model::Goroutine) -> Self {
        Goroutine {
            id: g.id,
            status: g.status.as_str(),
            wait_reason: g.wait_reason.as_deref(),
            wait_min_ns: g.wait_min_ns,
            wakes_in_ns: g.wakes_in_ns,
            blocked_on: g.blocked_on.as_ref().map(|on| BlockedOn { what: on.what, address: Address(on.address) }),
            created_by: g.created_by.as_ref().map(CreatedBy::of),
            start: g.start.as_ref().map(|frame| Location::of(Place::of(frame))),
            labels: &g.labels,
            thread: g.thread.map(|thread| Thread { tid: thread.tid, m: thread.m, p: thread.p }),
            locked: g.locked,
            system: g.system,
            sp: Address(g.sp),
            read: g.read.as_str(),
        }
    }
}

fn labels<S: Serializer>(labels: &[Label], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(labels.iter().map(|(key, value)| (&**key, &**value)))
}

#[derive(Serialize)]
pub struct Frame<'a> {
    function: Option<&'a str>,
    file: Option<&'a str>,
    line: Option<u32>,
    address: Address,
    entry: Address,
    inlined: bool,
    kind: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    wrapper: bool,
}

impl<'a> Frame<'a> {
    pub fn of(frame: &'a model::Frame) -> Self {
        Frame {
            function: known(&frame.function),
            file: known(&frame.file),
            line: known_line(frame.line),
            address: Address(frame.address),
            entry: Address(frame.entry),
            inlined: frame.kind == FrameKind::Inlined,
            kind: frame.kind.as_str(),
            wrapper: frame.wrapper,
        }
    }
}

/// `cut` says why the stack is not whole.
#[derive(Serialize)]
pub struct Stack<'a> {
    #[serde(serialize_with = "frames")]
    frames: &'a [model::Frame],
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<&'static str>,
}

impl<'a> Stack<'a> {
    pub fn of(stack: &'a model::Stack) -> Self {
        Stack { frames: &stack.frames, cut: stack.cut.map(cut_key) }
    }
}

fn frames<S: Serializer>(frames: &[model::Frame], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(frames.iter().map(Frame::of))
}

const CUTS: [(Cut, &str); 8] = [
    (Cut::NotRead, "not_read"),
    (Cut::Moving, "moving"),
    (Cut::NotResident, "not_resident"),
    (Cut::UnknownPc, "unknown_pc"),
    (Cut::SpWrite, "sp_write"),
    (Cut::Corrupt, "corrupt"),
    (Cut::NoCfi, "no_cfi"),
    (Cut::Depth, "depth"),
];

fn cut_key(cut: Cut) -> &'static str {
    CUTS.iter().find(|(known, _)| *known == cut).map_or("unknown", |(_, key)| key)
}

pub fn cut_of_key(key: &str) -> Option<Cut> {
    CUTS.iter().find(|(_, known)| *known == key).map(|(cut, _)| *cut)
}

fn known(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn known_line(line: u32) -> Option<u32> {
    (line != 0).then_some(line)
}

/// What the goroutines of a group have in common, and how they differ.
#[derive(Serialize)]
pub struct Group<'a> {
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<GroupKey<'a>>,
    #[serde(serialize_with = "statuses")]
    statuses: &'a BTreeMap<Status, u64>,
    wait_reasons: BTreeMap<&'a str, u64>,
    wait: Wait,
    #[serde(skip_serializing_if = "Option::is_none")]
    wakes: Option<Wakes>,
    system: u64,
    locked: u64,
    #[serde(serialize_with = "sites")]
    created_by: &'a [(Option<Place<'a>>, u64)],
    stack: Option<u32>,
    distinct_stacks: u64,
    example: u64,
}

/// Of groups by anything but their stack.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum GroupKey<'a> {
    Status { status: &'static str, wait_reason: Option<&'a str> },
    Func(Option<&'a str>),
    CreatedBy(Option<Location<'a>>),
    Label(Option<&'a str>),
}

#[derive(Serialize)]
struct Wait {
    min_ns: Option<u64>,
    max_ns: Option<u64>,
    since_gc: u64,
}

#[derive(Serialize)]
struct Wakes {
    first_in_ns: i64,
    last_in_ns: i64,
}

#[derive(Serialize)]
struct Site<'a> {
    function: Option<&'a str>,
    file: Option<&'a str>,
    line: Option<u32>,
    count: u64,
}

impl<'a> Group<'a> {
    /// `stack`: where the group's stack stands in the document.
    pub fn of(group: &'a analyze::Group<'a>, stack: Option<u32>) -> Self {
        Group {
            count: group.count,
            key: match group.key {
                Key::Stack(_) => None,
                Key::Status(status, wait_reason) => Some(GroupKey::Status { status: status.as_str(), wait_reason }),
                Key::Func(name) => Some(GroupKey::Func(name)),
                Key::CreatedBy(place) => Some(GroupKey::CreatedBy(place.map(Location::of))),
                Key::Label(value) => Some(GroupKey::Label(value)),
            },
            statuses: &group.statuses,
            wait_reasons: wait_reasons(group),
            wait: Wait { min_ns: group.ages.min_ns, max_ns: group.ages.max_ns, since_gc: group.ages.since_gc },
            wakes: group.wakes_in_ns.map(|(first_in_ns, last_in_ns)| Wakes { first_in_ns, last_in_ns }),
            system: group.system,
            locked: group.locked,
            created_by: &group.created_by,
            stack,
            distinct_stacks: group.distinct_stacks,
            example: group.example,
        }
    }
}

fn statuses<S: Serializer>(statuses: &BTreeMap<Status, u64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(statuses.iter().map(|(status, n)| (status.as_str(), n)))
}

fn wait_reasons<'a>(group: &analyze::Group<'a>) -> BTreeMap<&'a str, u64> {
    let mut reasons = BTreeMap::new();
    for ((_, reason), count) in &group.kinds {
        if let Some(reason) = reason {
            *reasons.entry(*reason).or_default() += count;
        }
    }
    reasons
}

fn sites<S: Serializer>(sites: &[(Option<Place<'_>>, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(sites.iter().map(|&(place, count)| match place.map(Location::of) {
        Some(Location { function, file, line }) => Site { function, file, line, count },
        None => Site { function: None, file: None, line: None, count },
    }))
}
