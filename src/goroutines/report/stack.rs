//! A stack as a human view shows it.

use std::io::{self, Write};

use super::wording::place_text;
use crate::goroutines::model::{FrameKind, Stack};
use crate::output::Page;
use crate::output::{Paint, count};
use crate::target::frames::{Place, shown};

/// The frames in two columns, why they are not all, and who created the goroutine; then a blank line.
pub fn write_stack(
    stack: &Stack,
    runtime_frames: bool,
    depth: Option<usize>,
    indent: usize,
    creators: &[(String, String)],
    page: &mut Page<'_, impl Write>,
) -> io::Result<()> {
    let frames = shown(stack, runtime_frames).map(|frame| {
        let place = Place::of(frame);
        let (mark, paint) = match frame.kind {
            FrameKind::Go => ("", None),
            FrameKind::Inlined => (" (inlined)", None),
            FrameKind::C => (" (C)", None),
            FrameKind::Kernel => (" (kernel)", None),
            FrameKind::Unresolved => ("", Some(Paint::Warning)),
        };
        (place.name(), place_text(place) + mark, paint)
    });
    let mut frames: Vec<_> = frames.collect();
    let hidden = depth.map_or(0, |depth| frames.len().saturating_sub(depth));
    frames.truncate(frames.len() - hidden);
    let names = frames.iter().map(|(name, ..)| &**name).chain(creators.iter().map(|(name, _)| &**name));
    let column = names.map(|name| name.chars().count()).filter(|width| *width <= WIDEST_NAME).max().unwrap_or(0);
    let mut at = 0;
    while at < frames.len() {
        let (period, times) = repetition(&frames[at..]);
        for (name, place, paint) in &frames[at..at + period] {
            page.frame(indent, column, name, place, *paint)?;
        }
        if times > 1 {
            let above = if period == 1 { "the frame above".to_owned() } else { format!("the {period} frames above") };
            let more = times - 1;
            let text = format!("[{above} {more} more times]");
            page.line(&format!("{:indent$}{text}", ""), Paint::Dim)?;
        }
        at += period * times;
    }
    if hidden > 0 {
        page.line(&format!("{:indent$}[{}]", "", count(hidden as u64, "more frame")), Paint::Dim)?;
    }
    if let Some(cut) = stack.cut {
        let what = if stack.frames.is_empty() { "no stack" } else { "incomplete" };
        page.line(&format!("{:indent$}[{what}: {}]", "", cut.as_str()), Paint::Warning)?;
    }
    for (name, place) in creators {
        page.frame(indent, column, name, place, Some(Paint::Dim))?;
    }
    page.blank()
}

/// Recursion: how many frames at the front repeat at once, and how often. (1, 1) where folding would save little.
fn repetition<T: PartialEq>(frames: &[T]) -> (usize, usize) {
    for period in 1..=MAX_PERIOD.min(frames.len() / 2) {
        let unit = &frames[..period];
        let times = frames.chunks_exact(period).take_while(|chunk| *chunk == unit).count();
        if times > 2 && period * times > 4 {
            return (period, times);
        }
    }
    (1, 1)
}

/// Longer cycles of mutual recursion are shown frame by frame.
const MAX_PERIOD: usize = 16;

/// Longer names do not widen the column.
const WIDEST_NAME: usize = 56;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recursion_is_folded_where_that_saves_lines() {
        assert_eq!(repetition(b"aaaaaab"), (1, 6));
        assert_eq!(repetition(b"abababc"), (2, 3));
        assert_eq!(repetition(b"abcd"), (1, 1));
        assert_eq!(repetition(b"aab"), (1, 1));
        assert_eq!(repetition(b""), (1, 1));
    }
}
