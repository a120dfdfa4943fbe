//! The runtime's own variables in a live process: where they are, and parts of them as read.

use std::collections::HashMap;

use super::elf::{Elf, u32_at, u64_at};
use super::globals::{self, Code, Global};
use super::layout::{Field, Layout};
use super::memory::Unread;
use super::moduledata::Module;
use super::runtime::GoProcess;

/// A figure, or why it is not known (the end of a sentence, without a capital or a full stop).
pub type Figure<T> = Result<T, String>;

/// Live addresses of the runtime's variables, or why one is not known. Finding them costs a walk over the function table.
#[derive(Debug, Clone)]
pub struct Addresses(HashMap<Global, Figure<u64>>);

/// The operands that matter are near the beginning of a function.
const MAX_FUNCTION: u64 = 4 << 10;

impl Addresses {
    pub fn locate(process: &GoProcess) -> Addresses {
        let code = code(&process.elf, &process.module);
        let address_of = |global: Global| {
            let address = globals::locate(global, process.elf.machine, &process.layout, &|name| code.get(name).cloned());
            address.map(|a| a.wrapping_add(process.bias)).map_err(|reason| format!("{} not found: {reason}", global.name()))
        };
        Addresses::from_fn(address_of)
    }

    pub fn from_fn(address_of: impl Fn(Global) -> Figure<u64>) -> Addresses {
        Addresses(Global::ALL.into_iter().map(|global| (global, address_of(global))).collect())
    }

    pub fn of(&self, global: Global) -> Figure<u64> {
        self.0.get(&global).cloned().unwrap_or_else(|| Err(format!("{} was not looked for", global.name())))
    }
}

fn code(elf: &Elf, module: &Module) -> HashMap<&'static str, Code> {
    let names = globals::functions();
    let functions = module.pclntab.find_names(&names);
    let code = std::iter::zip(names, functions).filter_map(|(name, func)| {
        let func = func?;
        let address = module.text + u64::from(func.start);
        let len = u64::from(func.end.checked_sub(func.start)?).min(MAX_FUNCTION);
        Some((name, Code { address, bytes: elf.read_address_vec(address, len).ok()? }))
    });
    code.collect()
}

/// Why a figure could not be read.
pub fn unread_reason(unread: Unread) -> &'static str {
    match unread {
        Unread::NotResident => "its memory is not resident: swapped out, or never written",
        Unread::Fault => "its memory is not mapped",
        Unread::Gone => "the process is gone, or its memory may not be read",
    }
}

/// Why a figure can't be had of this Go version.
pub fn missing(field: Field) -> String {
    format!("this Go version has no runtime.{}", field.path())
}

/// The part of a struct that holds some fields: offset of its first byte, and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub start: u64,
    pub len: usize,
}

impl Span {
    /// From the first of `fields` to the last, each of which is at most as long as said. Empty when this Go version has none of them.
    pub fn of(layout: &Layout, fields: &[(Field, u64)]) -> Span {
        let present = || fields.iter().filter_map(|&(field, len)| Some((layout.get(field)?, len)));
        let start = present().map(|(offset, _)| offset).min().unwrap_or(0);
        let end = present().map(|(offset, len)| offset + len).max().unwrap_or(0);
        Span { start, len: (end - start) as usize }
    }
}

/// A part of a struct, as read.
pub struct Block<'a> {
    pub layout: &'a Layout,
    pub span: Span,
    pub bytes: Figure<Vec<u8>>,
}

impl Block<'_> {
    /// `len` bytes, `further` behind the field's first one.
    ///
    /// Errors: why it was not read, or that this Go version has no such field.
    pub fn at(&self, field: Field, further: u64, len: usize) -> Figure<&[u8]> {
        let bytes = self.bytes.as_ref().map_err(String::clone)?;
        let offset = self.layout.get(field).ok_or_else(|| missing(field))?;
        let at = (offset + further).checked_sub(self.span.start).and_then(|at| usize::try_from(at).ok());
        let inside = at.and_then(|at| bytes.get(at..at.checked_add(len)?));
        inside.ok_or_else(|| "it lies outside what was read".to_owned())
    }

    pub fn u32(&self, field: Field) -> Figure<u32> {
        Ok(u32_at(self.at(field, 0, 4)?, 0))
    }

    pub fn u64(&self, field: Field) -> Figure<u64> {
        self.u64_at(field, 0)
    }

    pub fn u64_at(&self, field: Field, index: u64) -> Figure<u64> {
        Ok(u64_at(self.at(field, index * 8, 8)?, 0))
    }
}

/// Refuses a count that is larger than it can be.
pub fn at_most(value: Figure<u32>, most: Option<u32>) -> Figure<u32> {
    match (value, most) {
        (Ok(value), Some(most)) if value > most => Err(format!("{value} of {most} is not plausible")),
        (value, _) => value,
    }
}
