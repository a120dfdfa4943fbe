//! Symbolized stacks: what every feature that shows stacks is built on.

use std::sync::Arc;

/// Innermost first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Stack {
    pub frames: Vec<Frame>,
    /// Why the walk ended before the goroutine's first function; `None` is a whole stack.
    pub cut: Option<Cut>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Frame {
    /// As the Go runtime prints it (`main.(*T).f`, `main.g[...]`); empty when unresolved.
    pub function: Arc<str>,
    /// As recorded by the compiler; empty when unknown.
    pub file: Arc<str>,
    /// 0 when unknown.
    pub line: u32,
    /// The pc in this frame: a return address but for the innermost frame and for frames interrupted by a signal.
    pub address: u64,
    /// Where the function (for an inlined one: the physical function around it) begins; 0 when unknown.
    pub entry: u64,
    pub kind: FrameKind,
    /// True for the compiler's wrapper functions, which the runtime leaves out of its own tracebacks.
    pub wrapper: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FrameKind {
    Go,
    Inlined,
    C,
    Kernel,
    Unresolved,
}

impl FrameKind {
    pub fn as_str(self) -> &'static str {
        match self {
            FrameKind::Go => "go",
            FrameKind::Inlined => "inlined",
            FrameKind::C => "c",
            FrameKind::Kernel => "kernel",
            FrameKind::Unresolved => "unresolved",
        }
    }
}

/// Why a stack is incomplete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cut {
    /// The goroutine runs and its thread was not read (`--no-stop`, busy, another debugger), or stacks were not looked at.
    NotRead,
    /// It kept moving through every retry.
    Moving,
    /// Stack memory is not resident (swapped out) and `--swap-in` was not given.
    NotResident,
    /// A return address lies in no known function.
    UnknownPc,
    /// A function writes the stack pointer in a way no table describes.
    SpWrite,
    /// A frame pointer left the stack's bounds, or the tables are inconsistent.
    Corrupt,
    /// C code whose unwind information or registers are not available.
    NoCfi,
    /// `--depth` or the safety limit.
    Depth,
}

impl Cut {
    pub fn as_str(self) -> &'static str {
        match self {
            Cut::NotRead => "not read",
            Cut::Moving => "kept moving",
            Cut::NotResident => "stack not resident",
            Cut::UnknownPc => "unknown return address",
            Cut::SpWrite => "function moves the stack pointer",
            Cut::Corrupt => "inconsistent stack",
            Cut::NoCfi => "no unwind information",
            Cut::Depth => "depth limit",
        }
    }
}
