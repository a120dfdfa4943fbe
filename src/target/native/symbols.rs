//! Names of C frames, through blazesym: ELF symbols, and DWARF (also separate debug files) for lines and inlined functions.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;

use blazesym::symbolize::source::{Elf as ElfSource, Source};
use blazesym::symbolize::{CodeInfo, Input, Sym, Symbolized, Symbolizer};

use crate::target::stack::{Frame, FrameKind};

use super::modules::{Modules, Place};
use super::{NativeFrame, NativeUnwinder, Text};

/// Names the frames that a [`NativeUnwinder`] walked. Go text is not its subject: those names come from pclntab.
#[derive(Debug)]
pub struct NativeSymbols {
    modules: Modules,
    symbolizer: Symbolizer,
    /// By the address that is looked up; each is asked for once.
    known: HashMap<u64, Arc<[Frame]>>,
}

impl NativeSymbols {
    /// Knows the files that `unwinder` has opened so far; needs the process no more.
    pub fn new(unwinder: &NativeUnwinder<'_>) -> Self {
        // Files are held open, so none can change behind its path.
        let symbolizer = Symbolizer::builder().enable_auto_reload(false).build();
        NativeSymbols { modules: unwinder.modules.clone(), symbolizer, known: HashMap::new() }
    }

    /// For each frame its functions, innermost first: inlined ones, then the physical one. A frame that lies in no function
    /// of known size is one frame of kind `Unresolved`; nothing is matched to the nearest symbol.
    ///
    /// `text` is [`Text::at`]: C functions that Go's internal linker placed have their names in pclntab.
    pub fn symbolize(&mut self, frames: &[NativeFrame], text: &mut dyn FnMut(u64) -> Text) -> Vec<Vec<Frame>> {
        frames.iter().map(|frame| self.one(frame, text)).collect()
    }

    fn one(&mut self, frame: &NativeFrame, text: &mut dyn FnMut(u64) -> Text) -> Vec<Frame> {
        let lookup = frame.pc.wrapping_sub(u64::from(frame.is_return_address));
        let named = match self.known.entry(lookup) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(slot) => {
                let place = self.modules.known_place(lookup);
                let named = by_pclntab(text(lookup)).or_else(|| name(&self.symbolizer, &place?, lookup));
                slot.insert(named.unwrap_or_else(unresolved)).clone()
            }
        };
        named.iter().map(|f| Frame { address: frame.pc, ..f.clone() }).collect()
    }
}

fn name(symbolizer: &Symbolizer, place: &Place, lookup: u64) -> Option<Arc<[Frame]>> {
    let elf = place.module.elf.as_ref()?;
    let ask = |debug_syms| {
        // The open file itself, whatever its path means in our mount namespace.
        let mut source = ElfSource::new(PathBuf::from(format!("/proc/self/fd/{}", elf.file().as_raw_fd())));
        source.debug_syms = debug_syms;
        match symbolizer.symbolize_single(&Source::Elf(source), Input::VirtOffset(place.address)) {
            Ok(Symbolized::Sym(symbol)) if !symbol.name.is_empty() => Some(symbol),
            // DWARF may be broken, compressed in a way we don't read, or its debug file may be another build's.
            _ => None,
        }
    };
    let bias = lookup.wrapping_sub(place.address);
    let by_dwarf = ask(true);
    if let Some(symbol) = by_dwarf.as_ref().filter(|s| contains(s, place.address)) {
        return Some(frames(symbol, bias.wrapping_add(symbol.addr)));
    }
    let by_table = ask(false);
    let contained = by_table.as_ref().filter(|s| contains(s, place.address));
    // A function in several ranges (its unlikely part set apart) comes from DWARF without address and size, its ranges checked.
    let in_ranges = |s: &&Sym<'_>| s.addr == 0 && s.size.is_none() && by_table.as_ref().is_none_or(|t| t.addr != 0);
    if let Some(symbol) = by_dwarf.as_ref().filter(in_ranges) {
        return Some(frames(symbol, contained.map_or(0, |table| bias.wrapping_add(table.addr))));
    }
    contained.map(|symbol| frames(symbol, bias.wrapping_add(symbol.addr)))
}

/// Hand-written assembly may have no size: then only its first byte is surely inside.
fn contains(symbol: &Sym<'_>, address: u64) -> bool {
    address.checked_sub(symbol.addr).is_some_and(|offset| symbol.size.map_or(offset == 0, |size| offset < size as u64))
}

fn frames(symbol: &Sym<'_>, entry: u64) -> Arc<[Frame]> {
    let frame = |name: &str, code: Option<&CodeInfo<'_>>, kind| Frame {
        file: code.map_or("".into(), |code| code.to_path().to_string_lossy().into()),
        line: code.and_then(|code| code.line).unwrap_or(0),
        ..bare_frame(name, entry, kind)
    };
    let inlined = symbol.inlined.iter().rev().map(|f| frame(&f.name, f.code_info.as_ref(), FrameKind::Inlined));
    inlined.chain([frame(&symbol.name, symbol.code_info.as_deref(), FrameKind::C)]).collect()
}

/// A name without a line. Goes before the symbol table, where Go's linker has symbols around all text of a package's C objects.
fn by_pclntab(text: Text) -> Option<Arc<[Frame]>> {
    let Text::C(function) = text else { return None };
    Some(Arc::new([bare_frame(&function.name, function.begin, FrameKind::C)]))
}

fn unresolved() -> Arc<[Frame]> {
    Arc::new([bare_frame("", 0, FrameKind::Unresolved)])
}

fn bare_frame(function: &str, entry: u64, kind: FrameKind) -> Frame {
    Frame { function: function.into(), file: "".into(), line: 0, address: 0, entry, kind, wrapper: false }
}
