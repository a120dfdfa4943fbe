//! What a probe copied of a thread's stacks, made into one stack of code addresses.
//!
//! The kernel walked by frame pointers, which are wrong in a function's first and last instructions, in assembly and in much of C. So
//! the innermost frames are walked again by pclntab over the bytes copied from the stack's top, and C by its unwind tables; only where
//! both ways meet the frame pointers are believed for the rest.

use std::ops::Range;

use super::wire::{MAX_USER_FRAMES, Stacked};
use crate::target::native::{End, NativeUnwinder, Registers, Text};
use crate::target::pclntab::FuncId;
use crate::target::runtime::GoProcess;
use crate::target::stack::Cut;
use crate::target::unwind::{Pc, StackBytes, Start, Unwinder, WalkFrame, lookup, missing_frames};

pub struct StackWalker<'a> {
    process: &'a GoProcess,
    unwinder: Unwinder<'a>,
    /// Made when the first C frame is met.
    native: Option<NativeUnwinder<'a>>,
    /// Mappings that nobody writes to: text, the vDSO.
    fixed: Vec<Range<u64>>,
    /// Where our own breakpoints are.
    sites: Vec<u64>,
    frames: Vec<WalkFrame>,
}

impl<'a> StackWalker<'a> {
    /// `sites`: addresses of the breakpoints set in the process.
    pub fn new(process: &'a GoProcess, sites: Vec<u64>) -> Self {
        StackWalker {
            process,
            unwinder: Unwinder::new(&process.module, process.bias),
            native: None,
            fixed: Vec::new(),
            sites,
            frames: Vec::new(),
        }
    }

    /// The unwinder of C frames, once there were any: it knows the files that their names are in.
    pub fn native(&self) -> Option<&NativeUnwinder<'a>> {
        self.native.as_ref()
    }

    /// Appends the user's frames, innermost first; returns why they end early.
    pub fn walk(&mut self, event: &Stacked, pcs: &mut Vec<Pc>) -> Option<Cut> {
        let pc = event.registers.pc;
        match self.text(pc) {
            Text::Go => self.walk_go(event, pcs),
            Text::C(_) | Text::Other => self.walk_c(event, pcs),
        }
    }

    fn text(&self, pc: u64) -> Text {
        Text::at(&self.process.module, self.process.bias, pc)
    }

    fn walk_go(&mut self, event: &Stacked, pcs: &mut Vec<Pc>) -> Option<Cut> {
        let top = StackBytes { base: event.registers.sp, bytes: &event.top };
        let pc = self.undisturbed(event, &top);
        let start = Start { pc, sp: event.registers.sp, exact: true, syscall: false };
        self.frames.clear();
        let cut = self.unwinder.walk(start, None, &[top], &mut self.frames);
        // The frame that no function is known for is not proven.
        if cut == Some(Cut::UnknownPc) && self.frames.len() > 1 {
            self.frames.pop();
        }
        let proven: Vec<Pc> = self.frames.iter().map(|frame| frame.pc).collect();
        let chain = &event.user[..];
        match join(&proven, chain) {
            Join::At(kept, rest) => {
                pcs.extend_from_slice(&proven[..kept]);
                self.add_chain(&chain[rest..], chain.len() == MAX_USER_FRAMES, pcs)
            }
            Join::Never => {
                pcs.extend_from_slice(&proven);
                cut
            }
        }
    }

    /// A thread that has just met one of our breakpoints stands one byte behind it, and the `push rbp` there is not done yet.
    fn undisturbed(&self, event: &Stacked, top: &StackBytes<'_>) -> u64 {
        let pc = event.registers.pc;
        let pushed = top.word(event.registers.sp) == Some(event.registers.bp);
        match self.sites.iter().find(|&&site| site + 1 == pc) {
            Some(&site) if !pushed => site,
            _ => pc,
        }
    }

    /// Return addresses found by frame pointers, up to the stack's first function.
    fn add_chain(&mut self, chain: &[u64], full: bool, pcs: &mut Vec<Pc>) -> Option<Cut> {
        for &address in chain {
            let callee = pcs.last().and_then(|pc| lookup(&self.process.module, self.process.bias, pc.address()));
            if callee.is_some_and(|(func, _)| ends(func.id)) {
                break;
            }
            if self.text(address) != Text::Go {
                return Some(Cut::UnknownPc);
            }
            // Not called but put there by a signal handler (`Unwinder::walk`).
            let exact = callee.is_some_and(|(func, _)| matches!(func.id, FuncId::Sigpanic | FuncId::AsyncPreempt | FuncId::DebugCall));
            pcs.push(if exact { Pc::exact(address) } else { Pc::returning(address) });
        }
        let last = pcs.last().and_then(|pc| lookup(&self.process.module, self.process.bias, pc.address()));
        match last {
            // C called Go here, and Go had called that C: what lies behind was not copied.
            Some((func, _)) if func.id == FuncId::Cgocallback => Some(Cut::NoCfi),
            Some((func, _)) if func.is_top_frame() || ends(func.id) => None,
            _ if full => Some(Cut::Depth),
            _ => Some(Cut::Corrupt),
        }
    }

    fn walk_c(&mut self, event: &Stacked, pcs: &mut Vec<Pc>) -> Option<Cut> {
        if self.native.is_none() {
            self.native = NativeUnwinder::new(&self.process.process).ok();
            let maps = self.process.process.maps().unwrap_or_default();
            self.fixed = maps.into_iter().filter(|map| !map.writable).map(|map| map.start..map.end).collect();
        }
        let (process, memory, fixed) = (self.process, self.process.memory(), &self.fixed);
        let mut text = |pc| Text::at(&process.module, process.bias, pc);
        let mut read = |address: u64, buffer: &mut [u8]| {
            let offset = address.checked_sub(event.registers.sp).and_then(|offset| usize::try_from(offset).ok());
            match offset.and_then(|offset| event.top.get(offset..offset.checked_add(buffer.len())?)) {
                Some(bytes) => {
                    buffer.copy_from_slice(bytes);
                    true
                }
                // A stack has moved on since.
                None => fixed.iter().any(|range| range.contains(&address)) && memory.read(address, buffer).is_ok(),
            }
        };
        let start = Registers::stopped(&event.registers);
        let mut whole = false;
        match self.native.as_mut().map(|native| native.walk(start, false, &mut read, &mut text)) {
            Some(walk) => {
                let tag = |pc: u64, returning: bool| if returning { Pc::returning(pc) } else { Pc::exact(pc) };
                pcs.extend(walk.frames.iter().map(|f| tag(f.pc, f.is_return_address).native()));
                match walk.end {
                    // Called by Go on the stack that it called from: the vDSO, on g0.
                    End::Go { .. } => whole = true,
                    End::Outermost => return None,
                    End::Cut(_) => {}
                }
            }
            None => pcs.push(Pc::exact(event.registers.pc).native()),
        }
        if !whole {
            pcs.push(missing_frames());
        }
        if event.go.syscall_pc == 0 || event.c_caller.is_empty() {
            return self.go_behind_c(event, pcs);
        }
        let caller = StackBytes { base: event.go.syscall_sp, bytes: &event.c_caller };
        let start = Start { pc: event.go.syscall_pc, sp: event.go.syscall_sp, exact: false, syscall: true };
        self.frames.clear();
        let cut = self.unwinder.walk(start, None, &[caller], &mut self.frames);
        pcs.extend(self.frames.iter().map(|frame| frame.pc));
        match cut {
            // More of the stack than was copied.
            Some(Cut::Corrupt) => Some(Cut::Depth),
            cut => cut,
        }
    }

    /// The vDSO, or C without a goroutine: what frame pointers found of Go behind it.
    fn go_behind_c(&mut self, event: &Stacked, pcs: &mut Vec<Pc>) -> Option<Cut> {
        let chain = &event.user[..];
        match chain.iter().position(|&address| self.text(address) == Text::Go) {
            Some(first) => self.add_chain(&chain[first..], chain.len() == MAX_USER_FRAMES, pcs),
            None => Some(Cut::NoCfi),
        }
    }
}

/// The goroutine's or thread's first function, or where its stack begins anew.
fn ends(id: FuncId) -> bool {
    matches!(id, FuncId::Goexit | FuncId::Mstart | FuncId::Mcall | FuncId::Rt0Go | FuncId::Cgocallback)
}

#[derive(Debug, PartialEq, Eq)]
enum Join {
    /// So many of the proven frames, then the chain from there on.
    At(usize, usize),
    Never,
}

/// Where the frames that pclntab proves and the chain of frame pointers meet. Both begin at the same pc.
fn join(proven: &[Pc], chain: &[u64]) -> Join {
    for (index, pc) in proven.iter().enumerate().skip(1).rev() {
        if let Some(at) = chain.iter().skip(1).position(|&address| address == pc.address()) {
            return Join::At(index + 1, at + 2);
        }
    }
    match (proven.len(), chain.len()) {
        // Its frame is larger than what was copied, so it is set up.
        (1, 1..) => Join::At(1, 1),
        // Its caller's frame pointer still stands: the chain begins with the caller's caller.
        (2, 1..) => Join::At(2, 1),
        _ => Join::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proven(pcs: &[u64]) -> Vec<Pc> {
        pcs.iter().enumerate().map(|(i, &pc)| if i == 0 { Pc::exact(pc) } else { Pc::returning(pc) }).collect()
    }

    #[test]
    fn a_caller_that_frame_pointers_skip_is_kept() {
        assert_eq!(join(&proven(&[10, 20, 30]), &[10, 30, 40]), Join::At(3, 2));
        assert_eq!(join(&proven(&[10, 20]), &[10, 30, 40]), Join::At(2, 1));
    }

    #[test]
    fn where_both_agree_the_chain_goes_on() {
        assert_eq!(join(&proven(&[10, 20]), &[10, 20, 30]), Join::At(2, 2));
        assert_eq!(join(&proven(&[10]), &[10, 20, 30]), Join::At(1, 1));
    }

    #[test]
    fn a_chain_that_never_meets_is_not_believed() {
        assert_eq!(join(&proven(&[10, 20, 30, 40]), &[10, 77, 88]), Join::Never);
        assert_eq!(join(&proven(&[10, 20]), &[]), Join::Never);
    }
}
