//! The registers of one frame, in DWARF numbering: known or unknown, never assumed.

use gimli::{Register, X86_64};

use crate::sys::ptrace;

/// General registers and the pc of one frame of an amd64 thread. A blocked thread shows only pc and sp from outside (proc(5), `/proc/PID/task/TID/syscall`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registers {
    /// Index = DWARF number (System V ABI, amd64, figure 3.36); 16 is the return address column, here the pc.
    values: [Option<u64>; COUNT],
}

const COUNT: usize = 17;

/// What a function must hand back as it found it, beside the stack pointer.
const CALLEE_SAVED: [Register; 6] = [X86_64::RBX, X86_64::RBP, X86_64::R12, X86_64::R13, X86_64::R14, X86_64::R15];

impl Registers {
    /// Only pc and sp are known.
    pub fn at(pc: u64, sp: u64) -> Self {
        let mut this = Registers { values: [None; COUNT] };
        this.set(X86_64::RA, Some(pc));
        this.set(X86_64::RSP, Some(sp));
        this
    }

    /// Of a thread that ptrace stopped: pc, sp and what a callee preserves, which is what tables work with.
    pub fn stopped(registers: &ptrace::Registers) -> Self {
        let mut this = Registers::at(registers.pc, registers.sp);
        this.set(X86_64::RBP, Some(registers.bp));
        this.set(X86_64::RBX, Some(registers.bx));
        this.set(X86_64::R12, Some(registers.r12));
        this.set(X86_64::R13, Some(registers.r13));
        this.set(X86_64::R14, Some(registers.r14));
        this.set(X86_64::R15, Some(registers.r15));
        this
    }

    pub fn pc(&self) -> u64 {
        self.get(X86_64::RA).unwrap_or(0)
    }

    pub fn sp(&self) -> u64 {
        self.get(X86_64::RSP).unwrap_or(0)
    }

    /// `None` as well for a register that is not a general one.
    pub fn get(&self, register: Register) -> Option<u64> {
        self.values.get(usize::from(register.0)).copied().flatten()
    }

    /// Ignores a register that is not a general one.
    pub fn set(&mut self, register: Register, value: Option<u64>) {
        if let Some(slot) = self.values.get_mut(usize::from(register.0)) {
            *slot = value;
        }
    }

    /// What the caller's registers are when the frame says nothing about them: only those that a callee preserves.
    pub(super) fn preserved_by_call(&self) -> Self {
        let mut caller = Registers { values: [None; COUNT] };
        for register in CALLEE_SAVED {
            caller.set(register, self.get(register));
        }
        caller
    }
}
