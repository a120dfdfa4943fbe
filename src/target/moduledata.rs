//! Finds pclntab and `runtime.moduledata` in an executable file without symbols, section names or DWARF.
//!
//! A pclntab has a recognisable header; a moduledata is the aligned data word that points at it, with the pointers that must follow.

use std::ops::Range;

use memchr::memmem;

use super::elf::{Elf, Machine, Segment};
use super::layout::{Field, GoVersion, Layout};
use super::pclntab::{Func, HEADER_SIZE, Header, MAGIC_1_18, MAGIC_1_20, Pclntab};
use crate::error::{Error, Result};

/// A Go module (the executable, a plugin) at its link-time addresses.
#[derive(Debug)]
pub struct Module {
    pub pclntab: Pclntab,
    /// Address of the moduledata itself.
    pub address: u64,
    pub text: u64,
    pub etext: u64,
    /// What funcdata offsets count from.
    pub gofunc: u64,
}

/// The first part of pclntab found, before a Go version is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    pub header: Header,
    pub header_address: u64,
    pub moduledata: u64,
}

/// What a moduledata has in its first words in every version: offsets of `funcnametab.ptr`, `pclntable.{ptr,len}` and `ftab.len`.
const FUNCNAMETAB: u64 = 8;
const PCLNTABLE: u64 = 104;
const PCLNTABLE_LEN: u64 = 112;
const FTAB_LEN: u64 = 136;
const PREFIX: u64 = 144;

/// Longest stretch looked at in one piece, so that memory stays small on executables of any size.
const WINDOW: u64 = 4 << 20;

impl Module {
    /// Where a function lies in a process that loaded the module with this bias.
    pub fn live(&self, bias: u64, func: &Func) -> Range<u64> {
        let at = |offset: u32| bias.wrapping_add(self.text).wrapping_add(u64::from(offset));
        at(func.start)..at(func.end)
    }

    pub fn load(elf: &Elf, found: &Found, version: GoVersion, layout: &Layout) -> Result<Module> {
        let data = ImageData::new(elf)?;
        let word = |field: Field| -> Result<u64> {
            let offset = layout.get(field).ok_or_else(|| Error::target("this Go version has no known moduledata layout"))?;
            data.word(found.moduledata.wrapping_add(offset))
        };
        let end =
            data.word(found.moduledata.wrapping_add(PCLNTABLE))?.saturating_add(data.word(found.moduledata.wrapping_add(PCLNTABLE_LEN))?);
        let size = end.saturating_sub(found.header_address);
        let bytes = elf.read_address_vec(found.header_address, size)?;
        let module = Module {
            pclntab: Pclntab::new(bytes, version)?,
            address: found.moduledata,
            text: word(Field::ModText)?,
            etext: word(Field::ModEtext)?,
            gofunc: word(Field::ModGofunc)?,
        };
        let in_text = elf.segment_at(module.text).is_some_and(|s| s.executable);
        if !in_text || module.etext <= module.text {
            return Err(Error::target("the moduledata of this executable does not fit its Go version's layout"));
        }
        Ok(module)
    }
}

/// Looks for pclntab and moduledata.
///
/// Errors: Target when there is none (not a Go program, packed, or older than Go 1.18).
pub fn find(elf: &Elf) -> Result<Found> {
    let data = ImageData::new(elf)?;
    let named = [".gopclntab", ".data.rel.ro.gopclntab"];
    for section in named.iter().filter_map(|name| elf.section(name)) {
        if let Some(found) = candidates_at(elf, &data, section.address, section.size.min(64)) {
            return Ok(found);
        }
    }
    for segment in elf.segments.iter().filter(|s| !s.executable || elf.segments.len() == 1) {
        if let Some(found) = candidates_at(elf, &data, segment.vaddr, segment.filesz) {
            return Ok(found);
        }
    }
    // Some linkers put read-only data into the text segment.
    for segment in elf.segments.iter().filter(|s| s.executable) {
        if let Some(found) = candidates_at(elf, &data, segment.vaddr, segment.filesz) {
            return Ok(found);
        }
    }
    Err(Error::target("no Go function table found in the executable"))
}

fn candidates_at(elf: &Elf, data: &ImageData, start: u64, len: u64) -> Option<Found> {
    let quantum = match elf.machine {
        Machine::Amd64 => 1,
        Machine::Arm64 => 4,
    };
    let needles = [MAGIC_1_20, MAGIC_1_18].map(|magic| {
        let mut needle = magic.to_le_bytes().to_vec();
        needle.extend([0, 0, quantum, 8]);
        needle
    });
    let mut at = start;
    let end = start.checked_add(len)?;
    while at < end {
        let size = (end - at).min(WINDOW + HEADER_SIZE as u64);
        let bytes = elf.read_address_vec(at, size).ok()?;
        for needle in &needles {
            for hit in memmem::find_iter(&bytes, needle) {
                let address = at + hit as u64;
                if !address.is_multiple_of(8) {
                    continue;
                }
                let head = elf.read_address_vec(address, HEADER_SIZE as u64).unwrap_or_default();
                let Some(header) = Header::parse(&head) else { continue };
                if let Some(moduledata) = data.moduledata_for(address, &header) {
                    return Some(Found { header, header_address: address, moduledata });
                }
            }
        }
        at = at.saturating_add(WINDOW);
    }
    None
}

/// The executable's data as the loader would lay it out at bias 0.
struct ImageData<'a> {
    elf: &'a Elf,
    /// Sorted by address; only of position-independent executables.
    relocations: Vec<super::elf::Relative>,
}

impl<'a> ImageData<'a> {
    fn new(elf: &'a Elf) -> Result<Self> {
        let mut relocations = if elf.position_independent { elf.relative_relocations()? } else { Vec::new() };
        relocations.sort_unstable_by_key(|r| r.address);
        Ok(ImageData { elf, relocations })
    }

    /// The pointer-sized word at an address, relocated.
    fn word(&self, address: u64) -> Result<u64> {
        if let Ok(index) = self.relocations.binary_search_by_key(&address, |r| r.address) {
            return Ok(self.relocations[index].addend);
        }
        let mut bytes = [0; 8];
        self.elf.read_address(address, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn moduledata_for(&self, header_address: u64, header: &Header) -> Option<u64> {
        let relocated = self.relocations.iter().filter(|r| r.addend == header_address).map(|r| r.address);
        if let Some(found) = relocated.into_iter().find(|&a| self.is_moduledata(a, header_address, header)) {
            return Some(found);
        }
        let writable = self.elf.segments.iter().filter(|s| s.writable);
        writable.into_iter().find_map(|s| self.scan_segment(s, header_address, header))
    }

    fn scan_segment(&self, segment: &Segment, header_address: u64, header: &Header) -> Option<u64> {
        let needle = header_address.to_le_bytes();
        let mut at = segment.vaddr;
        let end = segment.vaddr.checked_add(segment.filesz)?;
        while at < end {
            let bytes = self.elf.read_address_vec(at, (end - at).min(WINDOW + 8)).ok()?;
            let hits = memmem::find_iter(&bytes, &needle).map(|hit| at + hit as u64);
            let mut aligned = hits.filter(|address| address.is_multiple_of(8));
            if let Some(found) = aligned.find(|&address| self.is_moduledata(address, header_address, header)) {
                return Some(found);
            }
            at = at.saturating_add(WINDOW);
        }
        None
    }

    fn is_moduledata(&self, address: u64, header_address: u64, header: &Header) -> bool {
        let word = |offset: u64| self.word(address.wrapping_add(offset)).ok();
        address.checked_add(PREFIX).is_some()
            && word(FUNCNAMETAB) == header_address.checked_add(header.funcname)
            && word(PCLNTABLE) == header_address.checked_add(header.pcln)
            && word(FTAB_LEN) == Some(header.nfunc + 1)
    }
}
