//! Walks Go stacks by the stack pointer deltas of pclntab, by the rules of `runtime/traceback.go`.

use rustc_hash::FxHashMap;

use super::elf::u64_at;
use super::moduledata::Module;
use super::pclntab::{Func, FuncId};
use super::stack::Cut;

/// A code address and how it was come by; the unit of which raw stacks are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pc(u64);

impl Pc {
    /// An address behind a call instruction.
    pub fn returning(address: u64) -> Pc {
        Pc(address << 2)
    }
    /// The very instruction: a register value, or an instruction that a signal interrupted.
    pub fn exact(address: u64) -> Pc {
        Pc(address << 2 | 1)
    }
    /// In C code.
    pub fn native(self) -> Pc {
        Pc(self.0 | 2)
    }
    pub fn address(self) -> u64 {
        self.0 >> 2
    }
    pub fn is_exact(self) -> bool {
        self.0 & 1 != 0
    }
    pub fn is_native(self) -> bool {
        self.0 & 2 != 0
    }
}

/// Stands for C frames that could not be unwound.
pub fn missing_frames() -> Pc {
    Pc::exact(0).native()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalkFrame {
    pub pc: Pc,
    /// The stack pointer behind the return address: where the caller keeps this call's argument slots. 0 if unknown.
    pub args: u64,
}

/// A copy of a piece of stack.
#[derive(Debug, Clone, Copy)]
pub struct StackBytes<'a> {
    pub base: u64,
    pub bytes: &'a [u8],
}

impl StackBytes<'_> {
    pub fn word(&self, address: u64) -> Option<u64> {
        let offset = usize::try_from(address.checked_sub(self.base)?).ok()?;
        (self.bytes.len() >= offset.checked_add(8)?).then(|| u64_at(self.bytes, offset))
    }
}

/// Where a walk begins.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    pub pc: u64,
    pub sp: u64,
    /// `pc` is a register value, not a saved return address.
    pub exact: bool,
    /// `pc` and `sp` were saved on entry to a system call, so a function that moves its stack pointer later does not matter.
    pub syscall: bool,
}

/// Where a goroutine goes on when the walk meets the switch to its system stack: `g.sched` of m.curg.
#[derive(Debug, Clone, Copy)]
pub struct Saved {
    pub pc: u64,
    pub sp: u64,
}

/// Deeper than any real stack (Go's limit is 1 GiB of stack); ends walks over garbage.
pub const MAX_FRAMES: usize = 1 << 24;

/// The unwinding facts of one module, with a cache by pc. One for each thread.
pub struct Unwinder<'a> {
    module: &'a Module,
    bias: u64,
    cache: FxHashMap<u64, Option<PcFacts>>,
    /// `runtime.sigtramp`: what the kernel calls when a signal strikes (`runtime/sys_linux_amd64.s`).
    sigtramp: Option<Func>,
}

#[derive(Debug, Clone, Copy)]
struct PcFacts {
    delta: i32,
    id: FuncId,
    top: bool,
    writes_sp: bool,
    sigtramp: bool,
}

impl<'a> Unwinder<'a> {
    pub fn new(module: &'a Module, bias: u64) -> Self {
        let sigtramp = module.pclntab.find_names(&["runtime.sigtramp"])[0];
        Unwinder { module, bias, cache: FxHashMap::default(), sigtramp }
    }

    /// True if the address lies in a Go function of this module.
    pub fn is_go(&mut self, pc: u64) -> bool {
        self.facts(pc).is_some()
    }

    /// Walks outward from `start`, innermost frame first, appending to `frames`.
    ///
    /// Returns why the walk ended early; `None` means that it reached the outermost function.
    pub fn walk(&mut self, start: Start, saved: Option<Saved>, memory: &[StackBytes], frames: &mut Vec<WalkFrame>) -> Option<Cut> {
        let Start { mut pc, mut sp, mut exact, .. } = start;
        let mut saved = saved;
        let mut innermost = true;
        loop {
            if frames.len() >= MAX_FRAMES {
                return Some(Cut::Depth);
            }
            let tagged = if exact { Pc::exact(pc) } else { Pc::returning(pc) };
            let Some(facts) = self.facts(pc) else {
                frames.push(WalkFrame { pc: tagged, args: 0 });
                return Some(Cut::UnknownPc);
            };
            let mut writes_sp = facts.writes_sp && facts.id != FuncId::Cgocallback && !(innermost && start.syscall);
            match (facts.id, saved) {
                // Returns normally: go on where the goroutine left its own stack, behind this call.
                (FuncId::Systemstack, Some(on_g)) if !innermost || !exact => {
                    sp = on_g.sp;
                    writes_sp = false;
                    saved = None;
                }
                // Do not return: the goroutine will be resumed at its saved context.
                (FuncId::Morestack | FuncId::Mcall | FuncId::Asmcgocall, Some(on_g)) if !innermost || !exact => {
                    frames.push(WalkFrame { pc: tagged, args: 0 });
                    (pc, sp, exact, saved, innermost) = (on_g.pc, on_g.sp, false, None, false);
                    continue;
                }
                _ => {}
            }
            let caller_sp = sp.wrapping_add_signed(i64::from(facts.delta)).wrapping_add(8);
            frames.push(WalkFrame { pc: tagged, args: caller_sp });
            // What the signal interrupted goes on behind the frame that the kernel made. (`sigtramp` is a top frame since 1.21, and
            // where it returns to is libc's in a program with cgo.)
            if facts.sigtramp {
                let Some((at_pc, at_sp)) = interrupted(memory, caller_sp) else { return Some(Cut::Corrupt) };
                (pc, sp, exact, innermost) = (at_pc, at_sp, true, false);
                continue;
            }
            if facts.top {
                return None;
            }
            if writes_sp {
                return Some(Cut::SpWrite);
            }
            if facts.delta < 0 || caller_sp <= sp {
                return Some(Cut::Corrupt);
            }
            let Some(return_address) = word(memory, caller_sp - 8) else { return Some(Cut::Corrupt) };
            if return_address == 0 {
                return Some(Cut::UnknownPc);
            }
            // These were not called: a signal handler or the debugger put their return address there, so it is no return address.
            exact = matches!(facts.id, FuncId::Sigpanic | FuncId::AsyncPreempt | FuncId::DebugCall);
            (pc, sp, innermost) = (return_address, caller_sp, false);
        }
    }

    fn facts(&mut self, pc: u64) -> Option<PcFacts> {
        if let Some(facts) = self.cache.get(&pc) {
            return *facts;
        }
        let facts = lookup(self.module, self.bias, pc).and_then(|(func, offset)| {
            Some(PcFacts {
                delta: self.module.pclntab.sp_delta(&func, offset)?,
                id: func.id,
                top: func.is_top_frame(),
                writes_sp: func.writes_sp(),
                sigtramp: self.sigtramp.is_some_and(|sigtramp| sigtramp.start == func.start),
            })
        });
        self.cache.insert(pc, facts);
        facts
    }
}

/// The function at a live address, and the address as an offset from the module's text.
pub fn lookup(module: &Module, bias: u64, pc: u64) -> Option<(Func, u32)> {
    let address = pc.wrapping_sub(bias);
    if address < module.text || address >= module.etext {
        return None;
    }
    let offset = u32::try_from(address - module.text).ok()?;
    Some((module.pclntab.find(offset)?, offset))
}

fn word(memory: &[StackBytes], address: u64) -> Option<u64> {
    memory.iter().find_map(|piece| piece.word(address))
}

/// pc and sp of what a signal interrupted: the kernel puts a `ucontext` right behind the handler's return address
/// (x86 `struct rt_sigframe`); in it rsp and rip are general registers 15 and 16 behind 40 bytes.
fn interrupted(memory: &[StackBytes], ucontext: u64) -> Option<(u64, u64)> {
    let register = |n: u64| word(memory, ucontext.checked_add(40 + 8 * n)?);
    Some((register(16)?, register(15)?))
}
