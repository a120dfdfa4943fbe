//! `--format text`: the shape of the runtime's own dump (`goroutineheader` and `traceback2` in runtime/traceback.go), for
//! the tools that read it. Arguments are not known from outside, so every call prints as `f(...)`.

use std::io::{self, Write};

use rustc_hash::FxHashMap;

use crate::error::{Error, Result};
use crate::goroutines::analyze::{Scope, View};
use crate::goroutines::model::{Cut, Frame, FrameKind, Goroutine, Stack, Status};
use crate::output::escape;
use crate::target::frames::{Place, creator_shown, shown};

/// As the runtime does, leaves its own goroutines out, unless its frames or they themselves were asked for.
pub fn write_text(view: &View<'_>, out: &mut impl Write) -> Result<()> {
    let with_system = view.runtime_frames || view.scope == Scope::System;
    let mut bodies = Bodies::default();
    let mut first = true;
    for g in view.iter().filter(|g| with_system || !g.system) {
        write_goroutine(g, view, &mut bodies, first, out).map_err(Error::write)?;
        first = false;
    }
    Ok(())
}

/// What is printed of a stack, kept for the next goroutine that has the same one.
#[derive(Default)]
struct Bodies {
    kept: FxHashMap<u32, Vec<u8>>,
    bytes: usize,
}

/// Enough for thousands of distinct stacks; beyond, they are rendered each time.
const MOST_KEPT_BYTES: usize = 16 << 20;

impl Bodies {
    fn write(&mut self, view: &View<'_>, stack: u32, out: &mut impl Write) -> io::Result<()> {
        if let Some(body) = self.kept.get(&stack) {
            return out.write_all(body);
        }
        let empty = Stack::default();
        let mut body = Vec::new();
        write_stack(view.snapshot.stacks.get(stack as usize).unwrap_or(&empty), view, &mut body)?;
        out.write_all(&body)?;
        if self.bytes < MOST_KEPT_BYTES {
            self.bytes += body.len();
            self.kept.insert(stack, body);
        }
        Ok(())
    }
}

fn write_stack(stack: &Stack, view: &View<'_>, out: &mut impl Write) -> io::Result<()> {
    let mut frames = shown(stack, view.runtime_frames);
    for frame in frames.by_ref().take(view.depth.unwrap_or(usize::MAX)) {
        write_frame(frame, out)?;
    }
    let elided = frames.next().is_some();
    match (stack.cut, stack.frames.is_empty()) {
        (None, false) if elided => writeln!(out, "...additional frames elided..."),
        (Some(_), false) => writeln!(out, "...additional frames elided..."),
        // tracebackothers; what kept moving was running too, if not all the time.
        (Some(Cut::NotRead | Cut::Moving), true) => writeln!(out, "\tgoroutine running on other thread; stack unavailable"),
        (cut, true) => writeln!(out, "[{}](...)\n\t??:0", cut.map_or("no stack", Cut::as_str)),
        (None, false) => Ok(()),
    }
}

fn write_goroutine(g: &Goroutine, view: &View<'_>, bodies: &mut Bodies, first: bool, out: &mut impl Write) -> io::Result<()> {
    if !first {
        writeln!(out)?;
    }
    writeln!(out, "goroutine {} [{}]:", g.id, state(g))?;
    bodies.write(view, g.stack, out)?;
    // printcreatedby: not of the main goroutine.
    if let Some(by) = g.created_by.as_ref().filter(|by| g.id != 1 && (view.runtime_frames || creator_shown(&by.frame.function))) {
        write!(out, "created by {}", name(&by.frame))?;
        if let Some(parent) = by.goroutine {
            write!(out, " in goroutine {parent}")?;
        }
        writeln!(out)?;
        write_place(&by.frame, out)?;
    }
    Ok(())
}

/// `chan receive, 5 minutes, locked to thread`
fn state(g: &Goroutine) -> String {
    let mut text = match (&g.wait_reason, g.status) {
        (Some(reason), Status::Waiting) => escape(reason).into_owned(),
        (Some(reason), Status::Leaked) => format!("{} (leaked)", escape(reason)),
        (None, Status::Leaked) => "leaked (leaked)".to_owned(),
        (_, status) => status.as_str().to_owned(),
    };
    let minutes = g.wait_min_ns.unwrap_or(0) / 60_000_000_000;
    if minutes >= 1 && matches!(g.status, Status::Waiting | Status::Syscall) {
        text.push_str(&format!(", {minutes} minutes"));
    }
    if g.locked {
        text.push_str(", locked to thread");
    }
    text
}

fn write_frame(frame: &Frame, out: &mut impl Write) -> io::Result<()> {
    // printFuncName
    let name = if &*frame.function == "runtime.gopanic" { "panic".to_owned() } else { name(frame) };
    writeln!(out, "{name}(...)")?;
    write_place(frame, out)
}

fn write_place(frame: &Frame, out: &mut impl Write) -> io::Result<()> {
    if frame.file.is_empty() {
        write!(out, "\t??:0")?;
    } else {
        write!(out, "\t{}:{}", escape(&frame.file), frame.line)?;
    }
    if frame.kind != FrameKind::Inlined && frame.entry != 0 && frame.address > frame.entry {
        write!(out, " +{:#x}", frame.address - frame.entry)?;
    }
    writeln!(out)
}

fn name(frame: &Frame) -> String {
    escape(&Place::of(frame).name()).into_owned()
}
