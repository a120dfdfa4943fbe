//! `.eh_frame`: from the registers in one C frame to those in its caller. Pure: bytes in, registers out.

use std::sync::OnceLock;

use gimli::{
    BaseAddresses, CfaRule, CfiEntriesIter, CieOrFde, EhFrame, EhFrameHdr, EhFrameOffset, EndianSlice, EvaluationResult,
    FrameDescriptionEntry, LittleEndian, Location, Register, RegisterRule, UnwindContext, UnwindExpression, UnwindSection, Value, X86_64,
};

use crate::target::elf::Elf;
use crate::target::stack::Cut;

use super::registers::Registers;

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// Reads the target's memory; false when (part of) it can't be read.
pub type ReadMemory<'a> = dyn FnMut(u64, &mut [u8]) -> bool + 'a;

/// The unwind table of one ELF file, at link-time addresses.
#[derive(Debug)]
pub struct Cfi {
    frame: Vec<u8>,
    frame_address: u64,
    header: Vec<u8>,
    header_address: u64,
    bases: BaseAddresses,
    /// Only for a file without a usable search table: (begin, offset of the FDE), sorted.
    index: OnceLock<Vec<(u64, usize)>>,
}

/// The frame around the one that was given.
#[derive(Debug, PartialEq, Eq)]
pub struct Caller {
    pub registers: Registers,
    /// The given frame was the kernel's signal trampoline: the caller was interrupted, its pc is exact.
    pub interrupted: bool,
}

/// Why there is no caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The table says that this function has none (`_start`, `clone3`).
    Outermost,
    /// The frame's base is this register and offset, and the register's value is not known here.
    Needs(Register, i64),
    /// The table does not cover this address.
    NotCovered,
    Cut(Cut),
}

/// More than any real table (a whole browser has 40 MB); bounds what a hostile file can make us allocate.
const MAX_TABLE: u64 = 256 << 20;
/// A loop in a DWARF expression ends here.
const MAX_OPERATIONS: u32 = 1000;

impl Cfi {
    /// `None` when the file has no `.eh_frame`.
    pub fn of(elf: &Elf) -> Option<Cfi> {
        let header_at = elf.unwind_header.filter(|&(_, size)| size <= MAX_TABLE);
        let header = header_at.and_then(|(address, size)| elf.read_address_vec(address, size).ok()).unwrap_or_default();
        let header_address = header_at.map_or(0, |(address, _)| address);
        let text = elf.section(".text").map_or(0, |s| s.address);
        if let Some(section) = elf.section(".eh_frame").filter(|s| s.size <= MAX_TABLE)
            && let Ok(frame) = elf.section_data(section)
            && !frame.is_empty()
        {
            return Some(Cfi::new(frame, section.address, header, header_address, text));
        }
        // No section headers: the search table says where `.eh_frame` begins; a zero word ends it.
        let bases = BaseAddresses::default().set_eh_frame_hdr(header_address);
        let begin = EhFrameHdr::new(&header, LittleEndian).parse(&bases, 8).ok()?.eh_frame_ptr().direct().ok()?;
        let segment = elf.segment_at(begin)?;
        let len = segment.filesz.checked_sub(begin - segment.vaddr)?.min(MAX_TABLE);
        let frame = elf.read_address_vec(begin, len).ok()?;
        Some(Cfi::new(frame, begin, header, header_address, text))
    }

    pub fn new(frame: Vec<u8>, frame_address: u64, header: Vec<u8>, header_address: u64, text: u64) -> Cfi {
        let bases = BaseAddresses::default().set_eh_frame(frame_address).set_eh_frame_hdr(header_address).set_text(text);
        Cfi { frame, frame_address, header, header_address, bases, index: OnceLock::new() }
    }

    /// The link-time range of the function around link-time address `address`; `None` for a part that is entered by a jump.
    pub fn function(&self, address: u64) -> Option<(u64, u64)> {
        let frame = EhFrame::new(&self.frame, LittleEndian);
        let fde = self.entry(&frame, address)?;
        let mut context = UnwindContext::new();
        let first = fde.unwind_info_for_address(&frame, &self.bases, &mut context, fde.initial_address()).ok()?;
        let entered_by_call = *first.cfa() == CfaRule::RegisterAndOffset { register: X86_64::RSP, offset: 8 };
        entered_by_call.then_some((fde.initial_address(), fde.end_address()))
    }

    /// Unwinds one frame. `address` is the link-time address to look up: the pc, or for a return address the byte before it.
    pub fn caller(&self, address: u64, registers: &Registers, read: &mut ReadMemory<'_>) -> Result<Caller, Stop> {
        let frame = EhFrame::new(&self.frame, LittleEndian);
        let fde = self.entry(&frame, address).ok_or(Stop::NotCovered)?;
        let mut context = UnwindContext::new();
        let row = fde.unwind_info_for_address(&frame, &self.bases, &mut context, address).map_err(|_| Stop::Cut(Cut::NoCfi))?;
        let mut machine = Machine { frame: &frame, encoding: fde.cie().encoding(), registers, read };

        let cfa = match *row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                registers.get(register).ok_or(Stop::Needs(register, offset))?.wrapping_add_signed(offset)
            }
            CfaRule::Expression(expression) => machine.evaluate(expression, None)?,
        };
        let interrupted = fde.is_signal_trampoline();
        // The CFA is the sp before the call, by definition; a signal frame says so itself.
        let mut caller = registers.preserved_by_call();
        caller.set(X86_64::RSP, Some(cfa));
        for &(register, ref rule) in row.registers() {
            let value = machine.restore(register, rule, cfa);
            match value {
                Ok(value) => caller.set(register, value),
                // Any other register becomes unknown: that hurts only a caller that needs it.
                Err(stop) if register == X86_64::RA || register == X86_64::RSP => return Err(stop),
                Err(_) => caller.set(register, None),
            }
        }
        if caller.get(X86_64::RA).is_none() {
            return Err(Stop::Outermost);
        }
        Ok(Caller { registers: caller, interrupted })
    }

    fn entry<'a>(&'a self, frame: &EhFrame<Bytes<'a>>, address: u64) -> Option<FrameDescriptionEntry<Bytes<'a>>> {
        let offset = match self.search_table() {
            Some(table) => {
                let at = table.partition_point(|entry| self.pointer(entry[..4].first_chunk()) <= Some(address)).checked_sub(1)?;
                let fde = self.pointer(table[at][4..].first_chunk())?;
                usize::try_from(fde.checked_sub(self.frame_address)?).ok()?
            }
            None => {
                let index = self.index.get_or_init(|| self.build_index(frame));
                let at = index.partition_point(|&(begin, _)| begin <= address).checked_sub(1)?;
                index[at].1
            }
        };
        let fde = frame.fde_from_offset(&self.bases, EhFrameOffset(offset), EhFrame::cie_from_offset).ok()?;
        fde.contains(address).then_some(fde)
    }

    /// The entries of `.eh_frame_hdr`, sorted by function: its begin and its FDE. `None` unless encoded as all linkers do.
    fn search_table(&self) -> Option<&[[u8; 8]]> {
        // Version 1; pc-relative sdata4 pointer to `.eh_frame`, udata4 count, sdata4 entries relative to the header.
        let (prefix, rest) = self.header.split_first_chunk::<8>()?;
        let (count, entries) = rest.split_first_chunk::<4>()?;
        let usual = prefix[..4] == [1, 0x1b, 0x03, 0x3b];
        entries.as_chunks().0.get(..u32::from_le_bytes(*count) as usize).filter(|table| usual && !table.is_empty())
    }

    fn pointer(&self, relative: Option<&[u8; 4]>) -> Option<u64> {
        Some(self.header_address.wrapping_add_signed(i64::from(i32::from_le_bytes(*relative?))))
    }

    fn build_index(&self, frame: &EhFrame<Bytes<'_>>) -> Vec<(u64, usize)> {
        let mut index = Vec::new();
        let mut entries: CfiEntriesIter<'_, _, _> = frame.entries(&self.bases);
        while let Ok(Some(entry)) = entries.next() {
            if let CieOrFde::Fde(partial) = entry
                && let Ok(fde) = partial.parse(EhFrame::cie_from_offset)
            {
                index.push((fde.initial_address(), fde.offset()));
            }
        }
        index.sort_unstable();
        index
    }
}

/// Evaluates rules and expressions of one row.
struct Machine<'m, 'r, 'a> {
    frame: &'m EhFrame<Bytes<'a>>,
    encoding: gimli::Encoding,
    registers: &'m Registers,
    read: &'m mut ReadMemory<'r>,
}

impl Machine<'_, '_, '_> {
    /// The caller's value of `register`; `None` where the table says that it is lost.
    fn restore(&mut self, register: Register, rule: &RegisterRule<usize>, cfa: u64) -> Result<Option<u64>, Stop> {
        Ok(match *rule {
            RegisterRule::Undefined | RegisterRule::Architectural => None,
            RegisterRule::SameValue => self.registers.get(register),
            RegisterRule::Offset(offset) => Some(self.word(cfa.wrapping_add_signed(offset))?),
            RegisterRule::ValOffset(offset) => Some(cfa.wrapping_add_signed(offset)),
            RegisterRule::Register(other) => Some(self.registers.get(other).ok_or(Stop::Cut(Cut::NoCfi))?),
            RegisterRule::Expression(expression) => {
                let address = self.evaluate(expression, Some(cfa))?;
                Some(self.word(address)?)
            }
            RegisterRule::ValExpression(expression) => Some(self.evaluate(expression, Some(cfa))?),
            RegisterRule::Constant(value) => Some(value),
        })
    }

    fn word(&mut self, address: u64) -> Result<u64, Stop> {
        let mut word = [0; 8];
        if (self.read)(address, &mut word) { Ok(u64::from_le_bytes(word)) } else { Err(Stop::Cut(Cut::NotResident)) }
    }

    fn evaluate(&mut self, expression: UnwindExpression<usize>, initial: Option<u64>) -> Result<u64, Stop> {
        let corrupt = |_| Stop::Cut(Cut::Corrupt);
        let mut evaluation = expression.get(self.frame).map_err(corrupt)?.evaluation(self.encoding);
        evaluation.set_max_iterations(MAX_OPERATIONS);
        if let Some(value) = initial {
            evaluation.set_initial_value(value);
        }
        let mut state = evaluation.evaluate().map_err(corrupt)?;
        loop {
            state = match state {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresRegister { register, .. } => {
                    let value = self.registers.get(register).ok_or(Stop::Cut(Cut::NoCfi))?;
                    evaluation.resume_with_register(Value::Generic(value)).map_err(corrupt)?
                }
                EvaluationResult::RequiresMemory { address, size, space: None, .. } if (1..=8).contains(&size) => {
                    let mut word = [0; 8];
                    if !(self.read)(address, &mut word[..usize::from(size)]) {
                        return Err(Stop::Cut(Cut::NotResident));
                    }
                    evaluation.resume_with_memory(Value::Generic(u64::from_le_bytes(word))).map_err(corrupt)?
                }
                // Nothing else makes sense in call frame information (DWARF 5, 6.4.2).
                _ => return Err(Stop::Cut(Cut::NoCfi)),
            };
        }
        match evaluation.as_result() {
            [piece] => match piece.location {
                Location::Address { address } => Ok(address),
                Location::Value { value } => value.to_u64(u64::MAX).map_err(corrupt),
                _ => Err(Stop::Cut(Cut::NoCfi)),
            },
            _ => Err(Stop::Cut(Cut::NoCfi)),
        }
    }
}
