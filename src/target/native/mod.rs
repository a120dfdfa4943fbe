//! C frames of a process from outside: cgo code, libc, the vDSO. Unwound by `.eh_frame`, named by [`NativeSymbols`].
//!
//! A goroutine inside C runs on its thread's own stack (g0). Walked outward it ends in `runtime.asmcgocall` (runtime/asm_amd64.s),
//! which is Go text: there the walk stops and the Go unwinder goes on. A thread that C itself started ends in `clone3` or `_start`.

mod callback;
pub mod cfi;
pub mod depth;
mod modules;
mod registers;
mod symbols;
mod text;

use crate::error::Result;
use crate::target::process::Process;
use crate::target::stack::Cut;

pub use callback::{Callback, Callbacks};
pub use cfi::ReadMemory;
pub use registers::Registers;
pub use symbols::NativeSymbols;
pub use text::{CFunction, Text};

use cfi::{Caller, Stop};
use depth::{At, CallerBp};
use gimli::X86_64;
use modules::{Module, Modules};

/// One C frame, innermost first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NativeFrame {
    pub pc: u64,
    /// False for the innermost frame and for one that a signal interrupted.
    pub is_return_address: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeWalk {
    pub frames: Vec<NativeFrame>,
    pub end: End,
}

/// Where a walk ended.
#[allow(clippy::large_enum_variant)] // One a walk, never kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// These registers belong to the first Go frame; their pc is a return address unless `interrupted`.
    Go {
        registers: Registers,
        interrupted: bool,
    },
    /// The thread's first function.
    Outermost,
    Cut(Cut),
}

/// Frames of one walk; more is a runaway recursion or a loop in the tables.
const MAX_FRAMES: usize = 256;
/// Signals that may have interrupted each other on one stack; each may switch stacks, so sp need not grow there.
const MAX_SIGNALS: usize = 8;

/// Unwinds the C stacks of one process. Opens each mapped file once; reads the process only through the `read` it is given.
#[derive(Debug)]
pub struct NativeUnwinder<'p> {
    process: &'p Process,
    modules: Modules,
}

impl<'p> NativeUnwinder<'p> {
    /// Takes the process's mappings as they are now. Errors: as [`Process::maps`].
    pub fn new(process: &'p Process) -> Result<Self> {
        Ok(NativeUnwinder { process, modules: Modules::of(process)? })
    }

    /// Walks outward from `start` while the pc is not in a Go function.
    ///
    /// `at_call`: the start pc is a return address, not the next instruction of a blocked or stopped thread. `text` is
    /// [`Text::at`] for the modules of the process.
    pub fn walk(&mut self, start: Registers, at_call: bool, read: &mut ReadMemory<'_>, text: &mut dyn FnMut(u64) -> Text) -> NativeWalk {
        let mut frames = Vec::new();
        let end = self.walk_frames(start, at_call, read, text, &mut frames);
        NativeWalk { frames, end }
    }

    fn walk_frames(
        &mut self,
        start: Registers,
        at_call: bool,
        read: &mut ReadMemory<'_>,
        text: &mut dyn FnMut(u64) -> Text,
        frames: &mut Vec<NativeFrame>,
    ) -> End {
        let mut registers = start;
        let mut is_return_address = at_call;
        let mut signals = 0;
        loop {
            let pc = registers.pc();
            if pc == 0 {
                return End::Outermost;
            }
            // A return address may be the first byte of the next function, after a call that never returns.
            let lookup = pc - u64::from(is_return_address);
            let c_function = match text(lookup) {
                Text::Go => return End::Go { registers, interrupted: !is_return_address },
                Text::C(function) => Some(function),
                Text::Other => None,
            };
            if !self.modules.is_code(lookup) {
                return End::Cut(Cut::UnknownPc);
            }
            if frames.len() == MAX_FRAMES {
                return End::Cut(Cut::Depth);
            }
            frames.push(NativeFrame { pc, is_return_address });
            let Caller { registers: caller, interrupted } = match self.caller(lookup, &registers, c_function, read) {
                Ok(caller) => caller,
                Err(Stop::Outermost) => return End::Outermost,
                Err(Stop::Needs(..) | Stop::NotCovered) => return End::Cut(Cut::NoCfi),
                Err(Stop::Cut(cut)) => return End::Cut(cut),
            };
            signals += usize::from(interrupted);
            let grows = caller.sp() > registers.sp() || interrupted && signals <= MAX_SIGNALS;
            if !grows || !caller.sp().is_multiple_of(8) && !interrupted {
                return End::Cut(Cut::Corrupt);
            }
            // The trampoline itself is entered by a `ret`, at its first instruction: its pc is exact.
            if interrupted && let Some(trampoline) = frames.last_mut() {
                trampoline.is_return_address = false;
            }
            registers = caller;
            is_return_address = !interrupted;
        }
    }

    fn caller(
        &mut self,
        lookup: u64,
        registers: &Registers,
        c_function: Option<CFunction>,
        read: &mut ReadMemory<'_>,
    ) -> std::result::Result<Caller, Stop> {
        let place = self.modules.place(self.process, lookup, read).ok_or(Stop::NotCovered)?;
        let (module, address) = (&*place.module, place.address);
        let by_table = match &module.cfi {
            Some(cfi) => cfi.caller(address, registers, read),
            None => Err(Stop::NotCovered),
        };
        // The same distance from the address that was looked up as the pc has.
        let pc = address.wrapping_add(registers.pc() - lookup);
        match (by_table, &module.cfi) {
            (Err(Stop::Needs(X86_64::RBP, offset)), Some(cfi)) => {
                let range = cfi.function(address).ok_or(Stop::Cut(Cut::NoCfi))?;
                let depth = follow(module, range, pc, pc != address)?;
                let base = registers.sp().wrapping_add(depth.sp).wrapping_sub(offset as u64);
                let mut registers = *registers;
                registers.set(X86_64::RBP, Some(base));
                cfi.caller(address, &registers, read)
            }
            (Err(Stop::NotCovered), _) => {
                let range = module.function_symbol(address);
                let range = range.or_else(|| entered_by_call(c_function?, lookup, address)).ok_or(Stop::NotCovered)?;
                let depth = follow(module, range, pc, pc != address)?;
                caller_by_depth(registers, depth, read)
            }
            (by_table, _) => by_table,
        }
    }
}

/// The link-time range of a function that pclntab names; `address` is the link-time address of `lookup`.
fn entered_by_call(function: CFunction, lookup: u64, address: u64) -> Option<(u64, u64)> {
    let bias = lookup.wrapping_sub(address);
    let whole = !is_part_of_a_function(function.name.as_bytes());
    whole.then(|| (function.begin.wrapping_sub(bias), function.end.wrapping_sub(bias)))
}

/// The unlikely part of a function, which is entered by a jump (gcc's -freorder-blocks-and-partition).
fn is_part_of_a_function(symbol: &[u8]) -> bool {
    memchr::memmem::find(symbol, b".cold").is_some()
}

fn follow(module: &Module, (begin, end): (u64, u64), pc: u64, at_call: bool) -> std::result::Result<depth::Depth, Stop> {
    let code = module.elf.as_ref().and_then(|elf| elf.read_address_vec(begin, end.checked_sub(begin)?).ok());
    let at = if at_call { At::CallReturningTo(pc) } else { At::Instruction(pc) };
    code.and_then(|code| depth::depth(&code, begin, at)).ok_or(Stop::Cut(Cut::NoCfi))
}

/// Without a table: the return address lies below the CFA; of the other registers only rbp was followed.
fn caller_by_depth(registers: &Registers, depth: depth::Depth, read: &mut ReadMemory<'_>) -> std::result::Result<Caller, Stop> {
    let cfa = registers.sp().wrapping_add(depth.sp);
    let mut word = |address: u64| {
        let mut word = [0; 8];
        if read(address, &mut word) { Ok(u64::from_le_bytes(word)) } else { Err(Stop::Cut(Cut::NotResident)) }
    };
    let mut caller = Registers::at(word(cfa.wrapping_sub(8))?, cfa);
    caller.set(
        X86_64::RBP,
        match depth.caller_bp {
            CallerBp::InRegister => registers.get(X86_64::RBP),
            CallerBp::Saved(below) => Some(word(cfa.wrapping_sub(below))?),
            CallerBp::Unknown => None,
        },
    );
    Ok(Caller { registers: caller, interrupted: false })
}
