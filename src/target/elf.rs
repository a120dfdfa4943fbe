//! An ELF file as far as goscope needs it: segments, sections, bytes by virtual address.
//!
//! Read with pread, never mapped: a file that is cut while we look must be an error, not a SIGBUS.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use object::elf;
use object::endian::LittleEndian as LE;
use object::pod;

use crate::error::{Error, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    Amd64,
    Arm64,
}

impl Machine {
    pub fn as_str(self) -> &'static str {
        match self {
            Machine::Amd64 => "amd64",
            Machine::Arm64 => "arm64",
        }
    }
    /// The smallest instruction, by which pclntab scales its pc steps.
    pub fn pc_quantum(self) -> u32 {
        match self {
            Machine::Amd64 => 1,
            Machine::Arm64 => 4,
        }
    }
}

#[derive(Debug)]
pub struct Elf {
    file: File,
    len: u64,
    pub machine: Machine,
    /// Loaded at an address of the kernel's choice (ET_DYN).
    pub position_independent: bool,
    /// Loaded through a dynamic linker (PT_INTERP).
    pub dynamic: bool,
    pub entry: u64,
    /// PT_LOAD only, in file order.
    pub segments: Vec<Segment>,
    /// Empty when the section headers are missing or broken.
    pub sections: Vec<Section>,
    /// Virtual address and size of PT_DYNAMIC.
    dynamic_table: Option<(u64, u64)>,
    /// Virtual address and size of `.eh_frame_hdr` (PT_GNU_EH_FRAME).
    pub unwind_header: Option<(u64, u64)>,
}

#[derive(Debug, Clone, Copy)]
pub struct Segment {
    pub vaddr: u64,
    pub memsz: u64,
    pub offset: u64,
    pub filesz: u64,
    pub writable: bool,
    pub executable: bool,
}

#[derive(Debug, Clone)]
pub struct Section {
    pub name: String,
    pub address: u64,
    pub offset: u64,
    pub size: u64,
    pub kind: u32,
    pub flags: u64,
}

/// A link-time pointer that the loader writes: at `address`, the value `addend` + load bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relative {
    pub address: u64,
    pub addend: u64,
}

const READS: &str = "goscope reads 64-bit Go programs for Linux (amd64, arm64)";
/// More than any linker writes; bounds what a hostile file can make us allocate.
const MAX_HEADERS: usize = 65_535;
const MAX_RELOCATIONS: u64 = 64 << 20;

impl Elf {
    /// Errors: Io when it can't be opened or is truncated, Target when it is no 64-bit little-endian ELF of a known machine.
    pub fn open(path: &Path) -> Result<Elf> {
        let file = File::open(path).map_err(|e| Error::io(format!("can't open '{}'", path.display())).because(e))?;
        Elf::from_file(file)
    }

    pub fn from_file(file: File) -> Result<Elf> {
        let len = file.metadata().map_err(|e| Error::io("can't stat the executable").because(e))?.len();
        let mut ident = [0u8; 16];
        if file.read_exact_at(&mut ident, 0).is_err() || ident[..4] != elf::ELFMAG {
            return Err(Error::target("not an ELF executable").hint(READS));
        }
        if ident[4] == elf::ELFCLASS32 {
            return Err(Error::target("a 32-bit executable").hint(READS));
        }
        if ident[4] != elf::ELFCLASS64 || ident[5] != elf::ELFDATA2LSB {
            return Err(Error::target("not a 64-bit little-endian ELF executable").hint(READS));
        }
        let bytes = read_at(&file, len, 0, size_of::<elf::FileHeader64<LE>>() as u64)?;
        let (header, _) = pod::from_bytes::<elf::FileHeader64<LE>>(&bytes).map_err(|()| truncated())?;
        let machine = match header.e_machine.get(LE) {
            elf::EM_X86_64 => Machine::Amd64,
            elf::EM_AARCH64 => Machine::Arm64,
            other => {
                return Err(Error::target(format!("an executable for another machine (ELF machine {other})")).hint(READS));
            }
        };
        let mut this = Elf {
            machine,
            position_independent: header.e_type.get(LE) == elf::ET_DYN,
            dynamic: false,
            entry: header.e_entry.get(LE),
            segments: Vec::new(),
            sections: Vec::new(),
            dynamic_table: None,
            unwind_header: None,
            file,
            len,
        };
        this.read_segments(header)?;
        // A missing or broken section table is no error: everything can be found without it.
        this.sections = this.read_sections(header).unwrap_or_default();
        Ok(this)
    }

    fn read_segments(&mut self, header: &elf::FileHeader64<LE>) -> Result<()> {
        let count = usize::from(header.e_phnum.get(LE)).min(MAX_HEADERS);
        let size = count * size_of::<elf::ProgramHeader64<LE>>();
        let bytes = self.read_offset(header.e_phoff.get(LE), size as u64)?;
        let (headers, _) = pod::slice_from_bytes::<elf::ProgramHeader64<LE>>(&bytes, count).map_err(|()| truncated())?;
        for ph in headers {
            match ph.p_type.get(LE) {
                elf::PT_LOAD => self.segments.push(Segment {
                    vaddr: ph.p_vaddr.get(LE),
                    memsz: ph.p_memsz.get(LE),
                    offset: ph.p_offset.get(LE),
                    filesz: ph.p_filesz.get(LE),
                    writable: ph.p_flags.get(LE) & elf::PF_W != 0,
                    executable: ph.p_flags.get(LE) & elf::PF_X != 0,
                }),
                elf::PT_INTERP => self.dynamic = true,
                elf::PT_DYNAMIC => self.dynamic_table = Some((ph.p_vaddr.get(LE), ph.p_memsz.get(LE))),
                elf::PT_GNU_EH_FRAME => self.unwind_header = Some((ph.p_vaddr.get(LE), ph.p_memsz.get(LE))),
                _ => {}
            }
        }
        if self.segments.is_empty() {
            return Err(Error::target("the executable has no loadable segment"));
        }
        Ok(())
    }

    fn read_sections(&self, header: &elf::FileHeader64<LE>) -> Result<Vec<Section>> {
        let count = usize::from(header.e_shnum.get(LE)).min(MAX_HEADERS);
        let size = count * size_of::<elf::SectionHeader64<LE>>();
        let bytes = self.read_offset(header.e_shoff.get(LE), size as u64)?;
        let (headers, _) = pod::slice_from_bytes::<elf::SectionHeader64<LE>>(&bytes, count).map_err(|()| truncated())?;
        let names = match headers.get(usize::from(header.e_shstrndx.get(LE))) {
            Some(sh) => self.read_offset(sh.sh_offset.get(LE), sh.sh_size.get(LE))?,
            None => Vec::new(),
        };
        let name_at = |offset: u32| {
            let rest = names.get(offset as usize..).unwrap_or_default();
            let end = rest.iter().position(|&b| b == 0).unwrap_or(rest.len());
            String::from_utf8_lossy(&rest[..end]).into_owned()
        };
        Ok(headers
            .iter()
            .map(|sh| Section {
                name: name_at(sh.sh_name.get(LE)),
                address: sh.sh_addr.get(LE),
                offset: sh.sh_offset.get(LE),
                size: sh.sh_size.get(LE),
                kind: sh.sh_type.get(LE),
                flags: sh.sh_flags.get(LE),
            })
            .collect())
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    pub fn file_len(&self) -> u64 {
        self.len
    }

    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|s| s.name == name)
    }

    /// The bytes as they stand in the file (compressed sections stay compressed).
    pub fn section_data(&self, section: &Section) -> Result<Vec<u8>> {
        if section.kind == elf::SHT_NOBITS {
            return Ok(Vec::new());
        }
        self.read_offset(section.offset, section.size)
    }

    pub fn read_offset(&self, offset: u64, len: u64) -> Result<Vec<u8>> {
        read_at(&self.file, self.len, offset, len)
    }

    /// The segment that holds `address`.
    pub fn segment_at(&self, address: u64) -> Option<&Segment> {
        self.segments.iter().find(|s| address >= s.vaddr && address - s.vaddr < s.memsz)
    }

    /// Fills `buffer` from link-time address `address`; what lies behind a segment's file part reads as zero, as it is loaded.
    pub fn read_address(&self, address: u64, buffer: &mut [u8]) -> Result<()> {
        let outside = || Error::io(format!("address {address:#x} is outside the executable's segments"));
        let segment = self.segment_at(address).ok_or_else(outside)?;
        let skip = address - segment.vaddr;
        if segment.memsz - skip < buffer.len() as u64 {
            return Err(outside());
        }
        let in_file = segment.filesz.saturating_sub(skip).min(buffer.len() as u64) as usize;
        let (from_file, zero) = buffer.split_at_mut(in_file);
        let offset = segment.offset.checked_add(skip).ok_or_else(truncated)?;
        self.file.read_exact_at(from_file, offset).map_err(|e| truncated().because(e))?;
        zero.fill(0);
        Ok(())
    }

    pub fn read_address_vec(&self, address: u64, len: u64) -> Result<Vec<u8>> {
        // Checked before allocating: `len` may come from the file.
        match self.segment_at(address) {
            Some(s) if s.memsz - (address - s.vaddr) >= len && len <= self.len => {}
            _ => return Err(Error::io(format!("{len} bytes at {address:#x} are outside the executable's segments"))),
        }
        let mut buffer = vec![0; len as usize];
        self.read_address(address, &mut buffer)?;
        Ok(buffer)
    }

    /// The pointers that the loader writes into a position-independent executable (DT_RELA, relative ones only).
    pub fn relative_relocations(&self) -> Result<Vec<Relative>> {
        let Some((address, size)) = self.dynamic_table else { return Ok(Vec::new()) };
        let table = self.read_address_vec(address, size)?;
        let (mut rela, mut rela_size) = (0, 0);
        for entry in table.as_chunks::<16>().0 {
            let tag = u64_at(entry, 0);
            let value = u64_at(entry, 8);
            match tag as i64 {
                elf::DT_NULL => break,
                elf::DT_RELA => rela = value,
                elf::DT_RELASZ => rela_size = value,
                _ => {}
            }
        }
        if rela == 0 || rela_size == 0 {
            return Ok(Vec::new());
        }
        if rela_size > MAX_RELOCATIONS {
            return Err(Error::io("the executable's relocation table is implausibly large"));
        }
        let relative = match self.machine {
            Machine::Amd64 => elf::R_X86_64_RELATIVE,
            Machine::Arm64 => elf::R_AARCH64_RELATIVE,
        };
        let bytes = self.read_address_vec(rela, rela_size)?;
        Ok(bytes
            .as_chunks::<24>()
            .0
            .iter()
            .filter(|r| u64_at(*r, 8) as u32 == relative)
            .map(|r| Relative { address: u64_at(r, 0), addend: u64_at(r, 16) })
            .collect())
    }
}

/// The little-endian word at `offset`; 0 past the end (callers check lengths where 0 is a valid answer).
pub fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    match bytes.get(offset..).and_then(|b| b.first_chunk::<8>()) {
        Some(word) => u64::from_le_bytes(*word),
        None => 0,
    }
}

/// As [`u64_at`], four bytes.
pub fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    match bytes.get(offset..).and_then(|b| b.first_chunk::<4>()) {
        Some(word) => u32::from_le_bytes(*word),
        None => 0,
    }
}

fn read_at(file: &File, file_len: u64, offset: u64, len: u64) -> Result<Vec<u8>> {
    if offset.checked_add(len).is_none_or(|end| end > file_len) {
        return Err(truncated());
    }
    let mut buffer = vec![0; len as usize];
    file.read_exact_at(&mut buffer, offset).map_err(|e| truncated().because(e))?;
    Ok(buffer)
}

fn truncated() -> Error {
    Error::io("the executable is truncated or its headers are corrupt")
        .hint("compare its size with that of the original; copy or build it again")
}
