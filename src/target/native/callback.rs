//! Where C called into Go: the C frames outward of a callback.
//!
//! `crosscall2` (runtime/cgo/asm_amd64.s) saves C's registers on the thread's stack and calls `runtime.cgocallback`
//! (runtime/asm_amd64.s), which notes its stack pointer in `g0.sched.sp`, keeps the value that was there before at 0(SP), and
//! runs the Go function on the goroutine's own stack.

use gimli::{Register, X86_64};

use crate::target::moduledata::Module;
use crate::target::pclntab::Func;

use super::cfi::ReadMemory;
use super::registers::Registers;

/// Finds the C callers of one module's callbacks.
pub struct Callbacks<'m> {
    module: &'m Module,
    bias: u64,
    cgocallback: Func,
    crosscall2: Func,
    /// Size of `cgocallback`'s frame.
    frame: u64,
}

/// One call from C into Go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Callback {
    /// Of the C frame that called; the pc is a return address.
    pub caller: Registers,
    /// `g0.sched.sp` before the call, where it says something: there may be another callback further out.
    pub outer_sp: Option<u64>,
}

/// `REGS_HOST_TO_ABI0_STACK` (runtime/cgo/abi_amd64.h), the same in Go 1.18 to 1.27, and where its registers are.
const SAVED: u64 = 28 * 8 + 8;
const REGISTERS: [(Register, u64); 6] =
    [(X86_64::RBP, 16), (X86_64::RBX, 24), (X86_64::R12, 32), (X86_64::R13, 40), (X86_64::R14, 48), (X86_64::R15, 56)];
/// `crosscall2`'s room for the arguments of `cgocallback`.
const ARGUMENTS: u64 = 0x18;

impl<'m> Callbacks<'m> {
    /// `None` for a program without cgo.
    pub fn new(module: &'m Module, bias: u64) -> Option<Self> {
        let [cgocallback, crosscall2] = module.pclntab.find_names(&["runtime.cgocallback", "crosscall2"])[..] else { return None };
        let (cgocallback, crosscall2) = (cgocallback?, crosscall2?);
        let frame = (cgocallback.start..cgocallback.end).filter_map(|at| module.pclntab.sp_delta(&cgocallback, at)).max()?;
        Some(Callbacks { module, bias, cgocallback, crosscall2, frame: u64::try_from(frame).ok()? })
    }

    /// The innermost callback of a thread whose `g0.sched.sp` is `sp`. `None` when that is not `cgocallback`'s stack pointer.
    pub fn caller(&self, sp: u64, read: &mut ReadMemory<'_>) -> Option<Callback> {
        let mut word = |address: u64| {
            let mut word = [0; 8];
            read(address, &mut word).then(|| u64::from_le_bytes(word))
        };
        let in_crosscall2 = word(sp.checked_add(self.frame)?)?;
        let offset = u32::try_from(in_crosscall2.wrapping_sub(self.bias).wrapping_sub(self.module.text)).ok()?;
        if !(self.crosscall2.start..self.crosscall2.end).contains(&offset) {
            return None;
        }
        let delta = u64::try_from(self.module.pclntab.sp_delta(&self.crosscall2, offset)?).ok()?;
        let return_address = sp.checked_add(self.frame)?.checked_add(8)?.checked_add(delta)?;
        let mut caller = Registers::at(word(return_address)?, return_address.checked_add(8)?);
        if delta == SAVED + ARGUMENTS {
            for (register, at) in REGISTERS {
                caller.set(register, word(return_address - SAVED + at));
            }
        }
        // A thread that Go did not start notes its own stack pointer twice.
        Some(Callback { caller, outer_sp: word(sp).filter(|&outer| outer > sp) })
    }

    /// True for a pc in `runtime.cgocallback`: in a Go stack, the C frames of one callback come behind it.
    pub fn is_callback(&self, pc: u64) -> bool {
        let offset = pc.wrapping_sub(self.bias).wrapping_sub(self.module.text);
        (u64::from(self.cgocallback.start)..u64::from(self.cgocallback.end)).contains(&offset)
    }
}
