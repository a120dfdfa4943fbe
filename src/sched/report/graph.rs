//! `--format folded`, `svg` and `pprof`: time by stack.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::formats::folded::push_frames;
use crate::formats::pprof::{Builder, Place};
use crate::formats::speedscope;
use crate::output::{escape, flame_graph, timestamp};
use crate::sched::model::{Frame, FrameKind, Row, Stack, Window};
use crate::target::frames;

/// What a stack is weighed by, in the unit of its format.
pub struct Weight {
    /// For a flame graph: `microseconds`.
    pub unit: &'static str,
    /// pprof's names of the sample types.
    pub counts: &'static str,
    pub kind: &'static str,
    pub title: &'static str,
    pub hide_runtime: bool,
}

/// Sorted lines, outermost frame first; weights are microseconds.
pub fn write_folded(window: &Window, rows: &[&Row], weight: &Weight, out: &mut impl Write) -> Result<()> {
    out.write_all(folded(window, rows, weight).as_bytes()).map_err(Error::write)
}

pub fn write_svg(window: &Window, rows: &[&Row], weight: &Weight, out: &mut impl Write) -> Result<()> {
    let folded = folded(window, rows, weight);
    if folded.is_empty() {
        return Err(Error::target("nothing was seen in this window: there is nothing to draw").hint("try a longer --duration"));
    }
    let name = window.target.exe.rsplit('/').next().unwrap_or_default();
    let title = format!("{} of {} ({})", weight.title, escape(name), window.target.pid);
    let seconds = Duration::from_nanos(window.length_ns).as_secs_f64();
    let subtitle = format!("{seconds:.1} s from {}, {} lost events", timestamp(window.captured_at), window.quality.lost());
    flame_graph(&folded, &title, &subtitle, weight.unit, out)
}

fn folded(window: &Window, rows: &[&Row], weight: &Weight) -> String {
    let empty = Stack::default();
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for row in rows {
        let stack = window.stacks.get(row.stack as usize).unwrap_or(&empty);
        let mut names: Vec<Cow<'_, str>> = Vec::new();
        names.extend(stack.cut.map(|cut| Cow::Owned(format!("[{}]", cut.as_str()))));
        names.extend(frames::own(stack, weight.hide_runtime).collect::<Vec<_>>().into_iter().rev().map(name));
        names.extend(row.reason.as_deref().filter(|reason| !reason.is_empty()).map(|reason| Cow::Owned(format!("[{reason}]"))));
        if names.is_empty() {
            names.push(Cow::Borrowed("[no stack]"));
        }
        let mut stem = String::new();
        push_frames(&mut stem, names.iter().map(|name| &**name));
        *sums.entry(stem).or_default() += row.ns();
    }
    let mut text = String::new();
    for (stem, ns) in sums {
        let micros = ns.div_ceil(1000);
        if micros > 0 {
            text.push_str(&format!("{stem} {micros}\n"));
        }
    }
    text
}

/// As flame graph tools mark them: `_[k]` kernel, `_[i]` inlined.
fn name(frame: &Frame) -> Cow<'_, str> {
    match frame.kind {
        FrameKind::Kernel => Cow::Owned(format!("{}_[k]", frame.function)),
        FrameKind::Unresolved if frame.function.is_empty() => Cow::Owned(format!("[{:#x}]", frame.address)),
        _ => Cow::Borrowed(&*frame.function),
    }
}

/// One profile of stacks with nanoseconds.
pub fn write_speedscope(window: &Window, rows: &[&Row], weight: &Weight, out: &mut impl Write) -> Result<()> {
    let title = format!("{} of pid {}, {} lost events", weight.title, window.target.pid, window.quality.lost());
    let mut builder = speedscope::Builder::new(&title);
    let mut profile = speedscope::Sampled::new(weight.title, speedscope::Unit::Nanoseconds);
    let empty = Stack::default();
    for row in rows.iter().filter(|row| row.ns() > 0) {
        let stack = window.stacks.get(row.stack as usize).unwrap_or(&empty);
        let shown: Vec<&Frame> = frames::own(stack, weight.hide_runtime).collect();
        let cut = stack.cut.map(|cut| format!("[{}]", cut.as_str()));
        let reason = row.reason.as_deref().filter(|reason| !reason.is_empty()).map(|reason| format!("[{reason}]"));
        let bare = |name: &str, builder: &mut speedscope::Builder| builder.frame(&Place { function: name, file: "", line: 0 });
        let mut ids = Vec::with_capacity(shown.len() + 2);
        ids.extend(cut.map(|cut| bare(&cut, &mut builder)));
        for frame in shown.iter().rev() {
            ids.push(builder.frame(&Place { function: &name(frame), file: &frame.file, line: frame.line }));
        }
        ids.extend(reason.map(|reason| bare(&reason, &mut builder)));
        profile.sample(ids, row.ns());
    }
    builder.push_sampled(profile);
    builder.write(out).map_err(Error::write)
}

/// Two values a sample: how often it was seen, and how long it lasted.
pub fn write_pprof(window: &Window, rows: &[&Row], weight: &Weight, out: &mut impl Write) -> Result<()> {
    let mut builder = Builder::new(&[(weight.counts, "count"), (weight.kind, "nanoseconds")]);
    builder.taken_at(window.captured_at, Duration::from_nanos(window.length_ns));
    let empty = Stack::default();
    for row in rows {
        let stack = window.stacks.get(row.stack as usize).unwrap_or(&empty);
        let shown: Vec<&Frame> = frames::own(stack, weight.hide_runtime).collect();
        let mut locations = Vec::new();
        let mut rest = &shown[..];
        let mut innermost = true;
        while !rest.is_empty() {
            let inlined = rest.iter().take_while(|frame| frame.kind == FrameKind::Inlined).count();
            let (physical, outer) = rest.split_at((inlined + 1).min(rest.len()));
            let names: Vec<_> = physical.iter().map(|frame| name(frame)).collect();
            let places: Vec<Place<'_>> =
                physical.iter().zip(&names).map(|(frame, name)| Place { function: name, file: &frame.file, line: frame.line }).collect();
            locations.push(builder.location(physical[0].address.saturating_sub(u64::from(!innermost)), &places));
            (rest, innermost) = (outer, false);
        }
        if let Some(cut) = stack.cut {
            locations.push(builder.location(0, &[Place { function: &format!("[{}]", cut.as_str()), file: "", line: 0 }]));
        }
        let labels = [
            Some(("state", row.class.as_str())),
            row.reason.as_deref().filter(|reason| !reason.is_empty()).map(|reason| ("reason", reason)),
            row.start.as_deref().map(|start| ("goroutine", start)),
            row.creator.as_deref().map(|creator| ("created_by", creator)),
        ];
        let user = row.labels.iter().map(|(key, value)| (&**key, &**value));
        builder.sample(locations, &[row.count, row.ns()], labels.into_iter().flatten().chain(user));
    }
    builder.executable(&window.target.exe);
    builder.comment(&format!(
        "goscope {}: {} of pid {}; {} lost events",
        env!("CARGO_PKG_VERSION"),
        weight.title,
        window.target.pid,
        window.quality.lost()
    ));
    builder.write(out).map_err(Error::write)
}
