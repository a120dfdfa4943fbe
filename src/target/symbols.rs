//! Names for Go code addresses: function, file, line and inlined calls, from pclntab alone.

use std::borrow::Cow;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::elf::{Elf, u32_at};
use super::moduledata::Module;
use super::pclntab::{FUNCDATA_INL_TREE, Func, FuncId, PCDATA_INL_TREE};
use super::stack::{Cut, Frame, FrameKind, Stack};
use super::unwind::{Pc, lookup};

/// Names Go addresses of one module; each distinct address is worked out once.
pub struct GoSymbols<'a> {
    elf: &'a Elf,
    module: &'a Module,
    bias: u64,
    cache: FxHashMap<Pc, Arc<[Named]>>,
    texts: FxHashMap<String, Arc<str>>,
}

/// A frame and the runtime's number for its function.
#[derive(Debug, Clone)]
struct Named {
    frame: Frame,
    id: FuncId,
}

/// Deeper inlining than any compiler does; ends cycles in corrupt trees.
const MAX_INLINED: usize = 256;

impl<'a> GoSymbols<'a> {
    pub fn new(elf: &'a Elf, module: &'a Module, bias: u64) -> Self {
        GoSymbols { elf, module, bias, cache: FxHashMap::default(), texts: FxHashMap::default() }
    }

    /// Names a raw stack, innermost first. `native` names a run of consecutive C addresses.
    pub fn stack(&mut self, pcs: &[Pc], cut: Option<Cut>, mut native: impl FnMut(&[Pc]) -> Vec<Frame>) -> Stack {
        let mut frames = Vec::with_capacity(pcs.len() + 4);
        let mut callee = FuncId::Normal;
        for run in pcs.chunk_by(|a, b| a.is_native() == b.is_native()) {
            if run[0].is_native() {
                frames.extend(native(run));
                continue;
            }
            for &pc in run {
                for named in self.at(pc).iter() {
                    let mut frame = named.frame.clone();
                    // `elideWrapperCalling` (runtime/traceback.go): a wrapper is shown where it is the one that panicked.
                    frame.wrapper =
                        named.id == FuncId::Wrapper && !matches!(callee, FuncId::Gopanic | FuncId::Sigpanic | FuncId::PanicWrap);
                    callee = named.id;
                    frames.push(frame);
                }
            }
        }
        Stack { frames, cut }
    }

    /// The `go` statement at `pc`, as the runtime prints it: the physical function, with the line of the statement.
    pub fn creation(&mut self, pc: u64) -> Frame {
        self.physical(pc, true)
    }

    /// The function that begins at `pc`.
    pub fn function(&mut self, pc: u64) -> Frame {
        self.physical(pc, false)
    }

    fn physical(&mut self, pc: u64, returning: bool) -> Frame {
        let Some((func, offset)) = lookup(self.module, self.bias, pc) else { return unresolved(pc) };
        let at = if returning && offset > func.start { offset - 1 } else { offset };
        let name = self.name(&func);
        self.frame(&func, at, pc, name, FrameKind::Go)
    }

    fn at(&mut self, pc: Pc) -> Arc<[Named]> {
        if let Some(known) = self.cache.get(&pc) {
            return known.clone();
        }
        let named: Arc<[Named]> = self.resolve(pc).into();
        self.cache.insert(pc, named.clone());
        named
    }

    fn resolve(&mut self, pc: Pc) -> Vec<Named> {
        let unknown = || vec![Named { frame: unresolved(pc.address()), id: FuncId::Normal }];
        let Some((func, offset)) = lookup(self.module, self.bias, pc.address()) else { return unknown() };
        if self.module.pclntab.sp_delta(&func, offset).is_none() {
            return unknown();
        }
        // A return address belongs to the call before it (`symPC`, runtime/traceback.go).
        let mut at = if !pc.is_exact() && offset > func.start { offset - 1 } else { offset };
        let mut frames = Vec::new();
        while let Some(call) = self.inlined_call(&func, at) {
            let name = self.name_at(call.name_offset);
            let frame = self.frame(&func, at, pc.address(), name, FrameKind::Inlined);
            frames.push(Named { frame, id: self.module.pclntab.func_id(call.func_id) });
            let Some(parent) = func.start.checked_add(call.parent_pc) else { break };
            if frames.len() >= MAX_INLINED {
                break;
            }
            at = parent;
        }
        let name = self.name(&func);
        let frame = self.frame(&func, at, pc.address(), name, FrameKind::Go);
        frames.push(Named { frame, id: func.id });
        frames
    }

    fn frame(&mut self, func: &Func, at: u32, address: u64, function: Arc<str>, kind: FrameKind) -> Frame {
        let (file, line) = match self.module.pclntab.file_line(func, at) {
            Some((file, line)) => (file.into_owned(), line),
            None => (String::new(), 0),
        };
        let entry = self.module.text.wrapping_add(u64::from(func.start)).wrapping_add(self.bias);
        Frame { function, file: self.intern(file), line, address, entry, kind, wrapper: false }
    }

    fn name(&mut self, func: &Func) -> Arc<str> {
        self.name_at(func.name_offset)
    }

    fn name_at(&mut self, offset: u32) -> Arc<str> {
        let name = self.module.pclntab.name(offset);
        let printed = without_type_arguments(&name).into_owned();
        self.intern(printed)
    }

    fn intern(&mut self, text: String) -> Arc<str> {
        if let Some(known) = self.texts.get(&text) {
            return known.clone();
        }
        let shared: Arc<str> = Arc::from(text.as_str());
        self.texts.insert(text, shared.clone());
        shared
    }

    /// The innermost inlined call at a position, if it lies in one (`runtime.inlinedCall`).
    fn inlined_call(&self, func: &Func, at: u32) -> Option<InlinedCall> {
        let pclntab = &self.module.pclntab;
        let index = u64::try_from(pclntab.pc_data(func, PCDATA_INL_TREE, at)?).ok()?;
        let tree = self.module.gofunc.checked_add(u64::from(pclntab.func_data(func, FUNCDATA_INL_TREE)?))?;
        let size = if pclntab.has_wide_inline_records() { 20 } else { 16 };
        let bytes = self.elf.read_address_vec(tree.checked_add(index * size)?, size).ok()?;
        Some(InlinedCall::parse(&bytes))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct InlinedCall {
    func_id: u8,
    name_offset: u32,
    parent_pc: u32,
}

impl InlinedCall {
    /// 20 bytes in Go 1.18 and 1.19, 16 since 1.20.
    fn parse(bytes: &[u8]) -> InlinedCall {
        if bytes.len() >= 20 {
            InlinedCall { func_id: bytes[2], name_offset: u32_at(bytes, 12), parent_pc: u32_at(bytes, 16) }
        } else {
            InlinedCall { func_id: bytes.first().copied().unwrap_or(0), name_offset: u32_at(bytes, 4), parent_pc: u32_at(bytes, 8) }
        }
    }
}

/// `funcNamePiecesForPrint` (`runtime/traceback.go`): what stands between the first `[` and the last `]` is not printed.
fn without_type_arguments(name: &str) -> Cow<'_, str> {
    match (name.find('['), name.rfind(']')) {
        (Some(open), Some(close)) if close > open => Cow::Owned(format!("{}[...]{}", &name[..open], &name[close + 1..])),
        _ => Cow::Borrowed(name),
    }
}

pub fn unresolved(address: u64) -> Frame {
    let empty: Arc<str> = Arc::from("");
    Frame { function: empty.clone(), file: empty, line: 0, address, entry: 0, kind: FrameKind::Unresolved, wrapper: false }
}
