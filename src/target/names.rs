//! Names for whole stacks: Go frames by pclntab, C frames by their files' symbols, kernel frames by kallsyms.

use std::collections::HashMap;
use std::sync::Arc;

use blazesym::symbolize::source::{Kernel, Source};
use blazesym::symbolize::{Input, Symbolized, Symbolizer};

use super::native::{NativeFrame, NativeSymbols, Text};
use super::runtime::GoProcess;
use super::stack::{Cut, Frame, FrameKind, Stack};
use super::symbols::GoSymbols;
use super::unwind::{Pc, missing_frames};

/// Each distinct address is worked out once.
pub struct StackNames<'a> {
    process: &'a GoProcess,
    go: GoSymbols<'a>,
    native: Option<NativeSymbols>,
    kernel: Option<KernelSymbols>,
}

impl<'a> StackNames<'a> {
    /// `native` names C frames; without it they are unresolved.
    pub fn new(process: &'a GoProcess, native: Option<NativeSymbols>) -> Self {
        StackNames { process, go: GoSymbols::new(&process.elf, &process.module, process.bias), native, kernel: None }
    }

    /// Of a raw stack, innermost first.
    pub fn stack(&mut self, pcs: &[Pc], cut: Option<Cut>) -> Stack {
        let (process, native) = (self.process, &mut self.native);
        self.go.stack(pcs, cut, |run| native_frames(process, native.as_mut(), run))
    }

    /// As `stack`, with the kernel's frames in front.
    pub fn stack_with_kernel(&mut self, kernel: &[u64], pcs: &[Pc], cut: Option<Cut>) -> Stack {
        let mut stack = self.stack(pcs, cut);
        if !kernel.is_empty() {
            let names = self.kernel.get_or_insert_with(KernelSymbols::new);
            stack.frames.splice(0..0, kernel.iter().map(|&address| names.frame(address)));
        }
        stack
    }

    /// The `go` statement at `pc`.
    pub fn creation(&mut self, pc: u64) -> Frame {
        self.go.creation(pc)
    }

    /// The function that begins at `pc`.
    pub fn function(&mut self, pc: u64) -> Frame {
        self.go.function(pc)
    }
}

/// A run of C frames.
fn native_frames(process: &GoProcess, mut native: Option<&mut NativeSymbols>, pcs: &[Pc]) -> Vec<Frame> {
    let mut text = |pc| Text::at(&process.module, process.bias, pc);
    let mut frames = Vec::new();
    for &pc in pcs {
        if pc == missing_frames() {
            frames.push(bare("[C frames missing]", FrameKind::Unresolved, 0));
            continue;
        }
        let frame = NativeFrame { pc: pc.address(), is_return_address: !pc.is_exact() };
        let named = native.as_mut().and_then(|native| native.symbolize(&[frame], &mut text).pop()).unwrap_or_default();
        match named.first() {
            Some(first) if first.kind != FrameKind::Unresolved => frames.extend(named),
            _ if process.runtime.vdso.contains(&pc.address()) => frames.push(bare("[vdso]", FrameKind::C, pc.address())),
            _ => frames.push(bare("", FrameKind::Unresolved, pc.address())),
        }
    }
    frames
}

/// Kernel functions by /proc/kallsyms, which shows zeros instead of addresses to those who may not know them.
struct KernelSymbols {
    symbolizer: Symbolizer,
    known: HashMap<u64, Frame>,
}

impl KernelSymbols {
    fn new() -> Self {
        KernelSymbols { symbolizer: Symbolizer::builder().enable_auto_reload(false).build(), known: HashMap::new() }
    }

    fn frame(&mut self, address: u64) -> Frame {
        let symbolizer = &self.symbolizer;
        let named = self.known.entry(address).or_insert_with(|| {
            let kernel = Kernel { debug_syms: false, vmlinux: blazesym::MaybeDefault::None, ..Kernel::default() };
            match symbolizer.symbolize_single(&Source::Kernel(kernel), Input::AbsAddr(address)) {
                Ok(Symbolized::Sym(symbol)) if !symbol.name.is_empty() => bare(&symbol.name, FrameKind::Kernel, address),
                _ => bare("", FrameKind::Unresolved, address),
            }
        });
        named.clone()
    }
}

fn bare(function: &str, kind: FrameKind, address: u64) -> Frame {
    Frame { function: Arc::from(function), file: Arc::from(""), line: 0, address, entry: 0, kind, wrapper: false }
}
