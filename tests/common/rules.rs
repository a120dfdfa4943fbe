//! The runtime's own rules for printing a stack, applied to goscope's frames, which are always all there: what `traceback1`,
//! `showfuncinfo` and (until Go 1.20) `gentraceback` in `runtime/traceback.go` leave out.

use super::dump::Elided;
use super::snapshot::Frame;

/// Go 1.`minor`, and whether GOTRACEBACK is `system`.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    pub minor: u32,
    pub system: bool,
}

pub struct Printed<'a> {
    pub frames: Vec<&'a Frame>,
    pub elided: Option<Elided>,
}

impl Rules {
    /// `version` as in `1.26.11`.
    pub fn of(version: &str, system: bool) -> Rules {
        Rules { minor: version.split('.').nth(1).unwrap().parse().unwrap(), system }
    }

    /// Without C frames, which the runtime sees only when the program registers an unwinder for them.
    pub fn printed<'a>(&self, frames: &'a [Frame]) -> Printed<'a> {
        let go: Vec<&Frame> = frames.iter().filter(|frame| frame.kind != "c").collect();
        if self.minor >= 21 { self.fifty_and_fifty(&go) } else { self.first_hundred(&go) }
    }

    /// Since Go 1.21: the 50 innermost and the 50 outermost of the frames that are shown, inlined ones counted.
    fn fifty_and_fifty<'a>(&self, frames: &[&'a Frame]) -> Printed<'a> {
        const INNER: usize = 50;
        const OUTER: usize = 50;
        let mut shown = self.shown(frames);
        let elide = shown.len().saturating_sub(INNER + OUTER);
        shown.drain(INNER.min(shown.len())..INNER.min(shown.len()) + elide);
        let elided = (elide > 0).then_some(Elided { after: INNER, frames: Some(elide) });
        Printed { frames: shown, elided }
    }

    /// Until Go 1.20: what is shown of the first 100 physical frames. The count of what was printed, inlined ones included, is then
    /// compared with 100, so a note that frames are missing appears only if they are equal.
    fn first_hundred<'a>(&self, frames: &[&'a Frame]) -> Printed<'a> {
        const MAX: usize = 100;
        let physical_ends = frames.iter().enumerate().filter(|(_, frame)| !frame.inlined).map(|(i, _)| i + 1);
        let end = physical_ends.take(MAX).last().unwrap_or(0);
        let shown = self.shown(&frames[..end]);
        let elided = (shown.len() == MAX).then_some(Elided { after: MAX, frames: None });
        Printed { frames: shown, elided }
    }

    /// All, if otherwise nothing would be shown.
    fn shown<'a>(&self, frames: &[&'a Frame]) -> Vec<&'a Frame> {
        let mut shown = Vec::new();
        let mut callee = "";
        for &frame in frames {
            if self.shows(frame, shown.is_empty(), callee) {
                shown.push(frame);
            }
            callee = &frame.function;
        }
        if shown.is_empty() { frames.to_vec() } else { shown }
    }

    /// `showfuncinfo`.
    fn shows(&self, frame: &Frame, first: bool, callee: &str) -> bool {
        let name = frame.function.as_str();
        if self.system {
            return true;
        }
        if frame.wrapper && !matches!(callee, "runtime.gopanic" | "runtime.sigpanic" | "runtime.panicwrap") {
            return false;
        }
        if self.minor >= 25 && matches!(name, "runtime.runFinalizers" | "runtime.runCleanups") {
            return true;
        }
        if name == "runtime.gopanic" && !first {
            return true;
        }
        name.contains('.') && (!name.starts_with("runtime.") || self.is_exported_runtime(name))
    }

    /// Whether a creator is named in "created by".
    pub fn shows_creator(&self, function: &str) -> bool {
        self.system || (function.contains('.') && (!function.starts_with("runtime.") || self.is_exported_runtime(function)))
    }

    fn is_exported_runtime(&self, name: &str) -> bool {
        let Some(name) = name.strip_prefix("runtime.") else { return false };
        let upper = |text: &str| text.starts_with(|c: char| c.is_ascii_uppercase());
        if self.minor < 23 {
            return upper(name);
        }
        match name.rsplit_once('.') {
            None => upper(name),
            Some((receiver, method)) => {
                let bare = receiver.strip_prefix("(*").and_then(|receiver| receiver.strip_suffix(')')).unwrap_or(receiver);
                upper(method) && (bare.is_empty() || upper(bare))
            }
        }
    }
}
