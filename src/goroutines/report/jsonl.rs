//! `--format jsonl`: a header, a line for each goroutine with its own frames, a summary.

use std::io::Write;

use serde::Serialize;

use super::schema::{Counts, Goroutine, Group, Quality, Stack};
use crate::error::{Error, Result};
use crate::goroutines::analyze::View;
use crate::output::Envelope;

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    goroutine: Goroutine<'a>,
    #[serde(flatten)]
    stack: Option<Stack<'a>>,
}

#[derive(Serialize)]
struct GroupLine<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    group: Group<'a>,
    #[serde(flatten)]
    frames: Option<Stack<'a>>,
}

#[derive(Serialize)]
struct Summary {
    #[serde(rename = "type")]
    kind: &'static str,
    counts: Counts,
}

#[derive(Serialize)]
struct Nothing {}

pub fn write_jsonl(view: &View<'_>, out: &mut impl Write) -> Result<()> {
    let snapshot = view.snapshot;
    let (target, quality) = (&snapshot.target, Quality::of(&snapshot.quality));
    let header = Envelope::new("goroutines", snapshot.captured_at, target, quality, Nothing {}).header();
    line(out, &header)?;
    let stack = |stack: u32| snapshot.stacks.get(stack as usize).map(Stack::of);
    for g in view.iter() {
        line(out, &Line { kind: "goroutine", goroutine: Goroutine::of(g), stack: stack(g.stack) })?;
    }
    for group in view.groups.iter().flatten() {
        line(out, &GroupLine { kind: "group", group: Group::of(group, None), frames: stack(group.stack) })?;
    }
    line(out, &Summary { kind: "summary", counts: Counts::of(&view.counts, view.matched) })
}

fn line(out: &mut impl Write, line: &impl Serialize) -> Result<()> {
    serde_json::to_writer(&mut *out, line).map_err(|error| Error::write(error.into()))?;
    out.write_all(b"\n").map_err(Error::write)
}
