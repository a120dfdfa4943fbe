//! `--format folded`, `svg` and `pprof`: goroutines counted by stack.

use std::io::Write;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::error::{Error, Result};
use crate::formats::folded::push_line;
use crate::formats::pprof::{Builder, Place};
use crate::goroutines::analyze::View;
use crate::goroutines::analyze::group::{Shapes, site};
use crate::goroutines::model::{Frame, FrameKind, Goroutine, Stack};
use crate::output::{escape, flame_graph, timestamp};
use crate::target::frames;

/// Sorted lines, outermost frame first.
pub fn write_folded(view: &View<'_>, out: &mut impl Write) -> Result<()> {
    out.write_all(folded(view).as_bytes()).map_err(Error::write)
}

pub fn write_svg(view: &View<'_>, out: &mut impl Write) -> Result<()> {
    if view.goroutines.is_empty() {
        return Err(Error::usage("no goroutine passes the filter: there is nothing to draw"));
    }
    let (target, snapshot) = (&view.snapshot.target, view.snapshot);
    let name = target.exe.rsplit('/').next().unwrap_or_default();
    let title = format!("Goroutines of {} ({})", escape(name), target.pid);
    let shown = view.goroutines.len();
    let subtitle = format!("{shown} of {} goroutines, {}", view.counts.total, timestamp(snapshot.captured_at));
    flame_graph(&folded(view), &title, &subtitle, "goroutines", out)
}

fn folded(view: &View<'_>) -> String {
    let mut shapes = Shapes::new(view.snapshot, view.runtime_frames);
    let mut counts: FxHashMap<u32, u64> = FxHashMap::default();
    for g in view.iter() {
        *counts.entry(shapes.of(g.stack)).or_default() += 1;
    }
    let empty = Stack::default();
    let mut lines: Vec<String> = counts
        .into_iter()
        .map(|(stack, count)| {
            let stack = view.snapshot.stacks.get(stack as usize).unwrap_or(&empty);
            let names: Vec<_> = frames::shown(stack, view.runtime_frames).map(|f| frames::Place::of(f).name()).collect();
            let gap = gap(stack);
            let mut line = String::new();
            push_line(&mut line, gap.iter().map(|gap| &**gap).chain(names.iter().rev().map(|name| &**name)), count);
            line
        })
        .collect();
    lines.sort_unstable();
    lines.concat()
}

/// Stands for the frames that are not known: at the root, or alone.
fn gap(stack: &Stack) -> Option<String> {
    match stack.cut {
        Some(cut) => Some(format!("[{}]", cut.as_str())),
        None if stack.frames.is_empty() => Some("[no stack]".to_owned()),
        None => None,
    }
}

/// Counts goroutines that agree in stack, status, wait reason, creation site and pprof labels. Like the profiles of
/// runtime/pprof, it has all frames but `runtime.goexit`.
pub fn write_pprof(view: &View<'_>, out: &mut impl Write) -> Result<()> {
    let snapshot = view.snapshot;
    let mut counts: FxHashMap<SampleKey<'_>, usize> = FxHashMap::default();
    let mut samples: Vec<(&Goroutine, u64)> = Vec::new();
    for g in view.iter() {
        let key = SampleKey { stack: g.stack, status: g.status, reason: g.wait_reason.as_deref(), site: site(g), labels: &g.labels };
        let index = *counts.entry(key).or_insert_with(|| {
            samples.push((g, 0));
            samples.len() - 1
        });
        samples[index].1 += 1;
    }
    let mut builder = Builder::new(&[("goroutine", "count")]);
    builder.taken_at(snapshot.captured_at, Duration::from_nanos(snapshot.quality.capture_ns));
    let mut locations: FxHashMap<u32, Vec<u64>> = FxHashMap::default();
    let empty = Stack::default();
    for (g, count) in samples {
        let stack = snapshot.stacks.get(g.stack as usize).unwrap_or(&empty);
        let locations = locations.entry(g.stack).or_insert_with(|| locate(stack, &mut builder)).clone();
        let creator = g.created_by.as_ref().map(|by| ("created_by", &*by.frame.function));
        let labels = [Some(("status", g.status.as_str())), g.wait_reason.as_deref().map(|reason| ("wait_reason", reason)), creator];
        let user = g.labels.iter().map(|(key, value)| (&**key, &**value));
        builder.sample(locations, &[count], labels.into_iter().flatten().chain(user));
    }
    builder.executable(&snapshot.target.exe);
    builder.comment(&format!("goscope {}: goroutines of pid {}", env!("CARGO_PKG_VERSION"), snapshot.target.pid));
    builder.write(out).map_err(Error::write)
}

#[derive(PartialEq, Eq, Hash)]
struct SampleKey<'a> {
    stack: u32,
    status: crate::goroutines::model::Status,
    reason: Option<&'a str>,
    site: Option<frames::Place<'a>>,
    labels: &'a [(std::sync::Arc<str>, std::sync::Arc<str>)],
}

/// The locations of a stack, innermost first: a physical frame and what is inlined into it are one location.
fn locate(stack: &Stack, builder: &mut Builder) -> Vec<u64> {
    let mut locations = Vec::new();
    let mut rest = stack.frames.as_slice();
    if let [before @ .., last] = rest
        && &*last.function == "runtime.goexit"
    {
        rest = before;
    }
    let mut innermost = true;
    while !rest.is_empty() {
        let inlined = rest.iter().take_while(|frame| frame.kind == FrameKind::Inlined).count();
        let (physical, outer) = rest.split_at((inlined + 1).min(rest.len()));
        // Any byte of the call will do, and the return address may be that of the next line.
        let address = physical[0].address.saturating_sub(u64::from(!innermost));
        let names: Vec<_> = physical.iter().map(|frame| frames::Place::of(frame).name()).collect();
        let places = physical.iter().zip(&names).map(|(frame, name)| place(frame, name));
        locations.push(builder.location(address, &places.collect::<Vec<_>>()));
        rest = outer;
        innermost = false;
    }
    if let Some(gap) = gap(stack) {
        locations.push(builder.location(0, &[Place { function: &gap, file: "", line: 0 }]));
    }
    locations
}

fn place<'a>(frame: &'a Frame, name: &'a str) -> Place<'a> {
    Place { function: name, file: &frame.file, line: frame.line }
}
