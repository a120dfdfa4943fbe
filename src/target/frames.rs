//! Which frames a human view shows, by the rules of the runtime's own tracebacks.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hash, Hasher};

use rustc_hash::FxBuildHasher;

use super::stack::{Frame, FrameKind, Stack};

/// The frames to show, innermost first: all of them, or what `traceback1` (runtime/traceback.go) prints, which is all of
/// them again where hiding the runtime's frames would leave nothing.
pub fn shown(stack: &Stack, runtime_frames: bool) -> impl Iterator<Item = &Frame> {
    let mut rule = Rule::default();
    let all = runtime_frames || !stack.frames.iter().any(|frame| rule.shows(frame));
    let mut rule = Rule::default();
    stack.frames.iter().filter(move |frame| {
        let shows = rule.shows(frame);
        all || shows
    })
}

/// All frames, or without those of the runtime: of package runtime and those below it, and what other packages link to in there
/// (`sync.runtime_SemacquireMutex`).
pub fn own(stack: &Stack, hide_runtime: bool) -> impl Iterator<Item = &Frame> {
    stack.frames.iter().filter(move |frame| !(hide_runtime && is_runtime(frame)))
}

/// Whether there is nothing but frames of the runtime, and of the kernel below them.
pub fn is_all_runtime(stack: &Stack) -> bool {
    own(stack, true).all(|frame| frame.kind == FrameKind::Kernel)
}

fn is_runtime(frame: &Frame) -> bool {
    let name = &*frame.function;
    let below = ["runtime.", "runtime/internal/", "internal/runtime/"].iter().any(|package| name.starts_with(package));
    let is_go = matches!(frame.kind, FrameKind::Go | FrameKind::Inlined);
    // The package ends with the first dot after the last slash.
    let base = name.rsplit('/').next().unwrap_or_default();
    is_go && (below || base.split_once('.').is_some_and(|(_, function)| function.starts_with("runtime_")))
}

/// The innermost frame shown.
pub fn innermost(stack: &Stack, runtime_frames: bool) -> Option<&Frame> {
    shown(stack, runtime_frames).next()
}

/// Whether `printcreatedby` (runtime/traceback.go) names this creator of a goroutine.
pub fn creator_shown(function: &str) -> bool {
    Rule { below_is_panic: false, shown_any: true }.shows_function(function)
}

/// `showfuncinfo` of runtime/traceback.go (Go 1.27), which needs to know the frames before.
#[derive(Default)]
struct Rule {
    below_is_panic: bool,
    shown_any: bool,
}

impl Rule {
    fn shows(&mut self, frame: &Frame) -> bool {
        let name = &*frame.function;
        let below_is_panic = self.below_is_panic;
        // elideWrapperCalling: a wrapper that panics itself is part of the story.
        self.below_is_panic = matches!(name, "runtime.gopanic" | "runtime.sigpanic" | "runtime.panicwrap");
        let shows = match frame.kind {
            FrameKind::C | FrameKind::Kernel | FrameKind::Unresolved => true,
            // Inlined into a C function: Go's names have a package before a dot.
            FrameKind::Inlined if !name.contains('.') => true,
            FrameKind::Go | FrameKind::Inlined => (below_is_panic || !frame.wrapper) && self.shows_function(name),
        };
        self.shown_any |= shows;
        shows
    }

    fn shows_function(&self, name: &str) -> bool {
        match name {
            // The border between ordinary code and deferred code that a panic runs.
            "runtime.gopanic" => self.shown_any,
            "runtime.runFinalizers" | "runtime.runCleanups" => true,
            _ => name.contains('.') && (!name.starts_with("runtime.") || is_exported_runtime(name)),
        }
    }
}

/// `isExportedRuntime`: exported functions, and exported methods of exported types.
fn is_exported_runtime(name: &str) -> bool {
    let upper = |s: &str| s.starts_with(|c: char| c.is_ascii_uppercase());
    let Some(name) = name.strip_prefix("runtime.") else { return false };
    match name.rsplit_once('.') {
        None => upper(name),
        Some((receiver, name)) => {
            let inner = receiver.strip_prefix("(*").and_then(|r| r.strip_suffix(')')).unwrap_or(receiver);
            upper(name) && (inner.is_empty() || upper(inner))
        }
    }
}

/// A stack by what it shows: two are equal when they read the same, frame by frame, arguments ignored.
#[derive(Clone, Copy)]
pub struct Shape<'a> {
    pub stack: &'a Stack,
    pub runtime_frames: bool,
}

impl<'a> Shape<'a> {
    /// Some order that is the same whenever a program is looked at: by the innermost function, then by all that is shown.
    pub fn order(&self) -> (Option<&'a str>, u64) {
        (innermost(self.stack, self.runtime_frames).map(|frame| &*frame.function), FxBuildHasher.hash_one(self))
    }

    fn frames(&self) -> impl Iterator<Item = Place<'_>> {
        shown(self.stack, self.runtime_frames).map(Place::of)
    }
}

impl PartialEq for Shape<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.stack.cut == other.stack.cut && self.frames().eq(other.frames())
    }
}

impl Eq for Shape<'_> {}

impl Hash for Shape<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.stack.cut.hash(state);
        for frame in self.frames() {
            frame.hash(state);
        }
    }
}

/// A place in the source; of a frame without a name, its address is all there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place<'a> {
    pub function: &'a str,
    pub file: &'a str,
    pub line: u32,
    unnamed: u64,
}

impl<'a> Place<'a> {
    pub fn of(frame: &'a Frame) -> Self {
        Place {
            function: &frame.function,
            file: &frame.file,
            line: frame.line,
            unnamed: if frame.function.is_empty() { frame.address } else { 0 },
        }
    }

    pub fn new(function: &'a str, file: &'a str, line: u32) -> Self {
        Place { function, file, line, unnamed: 0 }
    }

    /// The function, else the address.
    pub fn name(&self) -> Cow<'a, str> {
        if self.function.is_empty() { format!("{:#x}", self.unnamed).into() } else { self.function.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_runtime_the_innermost_function_is_the_one_that_waits() {
        let frame =
            |name: &str, kind| Frame { function: name.into(), file: "".into(), line: 0, address: 1, entry: 0, kind, wrapper: false };
        let go = |names: &[&str]| Stack { frames: names.iter().map(|name| frame(name, FrameKind::Go)).collect(), cut: None };
        let own = |stack: &Stack| own(stack, true).map(|frame| frame.function.to_string()).collect::<Vec<_>>();
        let names =
            ["runtime.gopark", "internal/sync.runtime_SemacquireMutex", "internal/sync.(*Mutex).lockSlow", "main.work", "runtime.goexit"];
        let locks = go(&names);
        assert_eq!(own(&locks), ["internal/sync.(*Mutex).lockSlow", "main.work"]);
        assert!(!is_all_runtime(&locks));
        let maps =
            go(&["internal/runtime/maps.(*Map).Grow", "runtime.mapassign", "runtime_test.f", "example.com/runtime.g", "main.runtimes"]);
        assert_eq!(own(&maps), ["runtime_test.f", "example.com/runtime.g", "main.runtimes"]);
        let mut idle = go(&["runtime.futex", "runtime.findRunnable", "runtime.mcall"]);
        idle.frames.insert(0, frame("futex_wait", FrameKind::Kernel));
        assert!(is_all_runtime(&idle) && is_all_runtime(&Stack::default()));
        let mut in_c = go(&["runtime.cgocall"]);
        in_c.frames.insert(0, frame("usleep", FrameKind::C));
        assert!(!is_all_runtime(&in_c));
    }

    #[test]
    fn runtime_rules() {
        let check = |frames: &[&str], want: &[&str]| {
            let frames = frames
                .iter()
                .map(|name| Frame {
                    function: name.trim_end_matches('~').into(),
                    file: "".into(),
                    line: 0,
                    address: 1,
                    entry: 0,
                    kind: FrameKind::Go,
                    wrapper: name.ends_with('~'),
                })
                .collect();
            let stack = Stack { frames, cut: None };
            let got: Vec<_> = shown(&stack, false).map(|f| f.function.to_string()).collect();
            assert_eq!(got, want);
        };
        check(&["runtime.gopark", "runtime.chanrecv", "main.f", "runtime.goexit"], &["main.f"]);
        // Nothing left: everything, as the runtime does.
        check(&["runtime.gopark", "runtime.bgsweep", "runtime.goexit"], &["runtime.gopark", "runtime.bgsweep", "runtime.goexit"]);
        check(&["runtime.gopanic", "main.f"], &["main.f"]);
        check(&["main.d", "runtime.gopanic", "main.f"], &["main.d", "runtime.gopanic", "main.f"]);
        check(&["main.(*T).m", "main.T.m~", "main.f"], &["main.(*T).m", "main.f"]);
        check(&["main.d", "runtime.gopanic", "main.T.m~"], &["main.d", "runtime.gopanic", "main.T.m"]);
        check(&["runtime.GC", "runtime.(*Func).Entry", "runtime.(*mheap).Alloc"], &["runtime.GC", "runtime.(*Func).Entry"]);
        check(&["runtime.gopark", "runtime.runFinalizers", "runtime.goexit"], &["runtime.runFinalizers"]);
        check(&["runtime.gopark", "cgocall", "main.f"], &["main.f"]);
    }
}
