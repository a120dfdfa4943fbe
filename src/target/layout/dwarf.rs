//! A row of offsets from the target's own DWARF.
//!
//! The Go linker writes every type of the program into the one compile unit of package runtime
//! (`cmd/link/internal/ld/dwarf.go`: `movetomodule`), each DIE with its name inline. So `.debug_info` is inflated only up to the end of
//! that unit, and a type is found by searching the bytes of its name instead of parsing the hundreds of thousands of DIEs before it.

use std::io::{Cursor, Read};

use flate2::read::ZlibDecoder;
use gimli::{
    Abbreviations, AttributeValue, DebugAbbrev, DebugInfo, DebuggingInformationEntry, EndianSlice, LittleEndian, UnitHeader, UnitOffset,
    constants,
};
use memchr::memmem;
use object::elf::{ELFCOMPRESS_ZLIB, SHF_COMPRESSED};

use super::{Field, Layout};
use crate::target::elf::{Elf, u32_at, u64_at};

type Bytes<'a> = EndianSlice<'a, LittleEndian>;
type Entry<'a> = DebuggingInformationEntry<Bytes<'a>>;

/// Inflated at a time; between two pieces we look whether the runtime's unit is complete.
const PIECE: u64 = 1 << 20;
/// The most that is inflated: bounds what a hostile file can cost (a 2 GB Go binary has less `.debug_info`).
const MAX_INFLATED: u64 = 1 << 30;
/// How deep typedefs and embedded structs are followed: a corrupt file may refer in circles.
const MAX_DEPTH: usize = 8;

/// `None` where the file has no DWARF of the Go runtime, or none that can be read: the caller has the table to fall back on.
/// Fields that this Go version does not have are absent from the row.
pub fn from_dwarf(elf: &Elf) -> Option<Layout> {
    let mut abbrev = Vec::new();
    open_section(elf, "debug_abbrev")?.read_to_end(&mut abbrev).ok()?;
    let unit = runtime_unit(open_section(elf, "debug_info")?, &abbrev)?;
    let types = Types::new(&unit.bytes, unit.offset, &abbrev)?;
    let mut layout = Layout::empty();
    for &field in Field::ALL {
        let offset = field.path().split('|').find_map(|path| types.resolve(path));
        layout.set(field, offset);
    }
    Some(layout)
}

/// A `.debug_*` section, inflated as it is read.
fn open_section(elf: &Elf, name: &str) -> Option<Box<dyn Read>> {
    if let Some(section) = elf.section(&format!(".{name}")) {
        let data = elf.section_data(section).ok()?;
        if section.flags & u64::from(SHF_COMPRESSED) == 0 {
            return Some(Box::new(Cursor::new(data).take(MAX_INFLATED)));
        }
        // Elf64_Chdr: type, reserved, size, alignment. zstd is not read.
        return (u32_at(&data, 0) == ELFCOMPRESS_ZLIB).then(|| inflate(data, 24));
    }
    // Go 1.18 and old GNU tools: `ZLIB`, a big-endian size, a zlib stream.
    let section = elf.section(&format!(".z{name}"))?;
    let data = elf.section_data(section).ok()?;
    data.starts_with(b"ZLIB").then(|| inflate(data, 12))
}

fn inflate(data: Vec<u8>, header: u64) -> Box<dyn Read> {
    let mut data = Cursor::new(data);
    data.set_position(header);
    Box::new(ZlibDecoder::new(data).take(MAX_INFLATED))
}

struct Unit {
    bytes: Vec<u8>,
    /// Of its header in `.debug_info`.
    offset: u64,
}

/// The compile unit that declares the runtime's types.
fn runtime_unit(mut section: Box<dyn Read>, abbrev: &[u8]) -> Option<Unit> {
    let mut unit = Unit { bytes: Vec::new(), offset: 0 };
    loop {
        let read = (&mut section).take(PIECE).read_to_end(&mut unit.bytes).ok()?;
        let mut start = 0;
        while let Some(len) = unit_len(&unit.bytes[start..]).filter(|&len| len <= unit.bytes.len() - start) {
            let offset = unit.offset + start as u64;
            let whole = &unit.bytes[start..start + len];
            if Types::new(whole, offset, abbrev).is_some_and(|types| types.find("g").is_some()) {
                return Some(Unit { bytes: whole.to_vec(), offset });
            }
            start += len;
        }
        unit.bytes.drain(..start);
        unit.offset += start as u64;
        if read == 0 {
            return None;
        }
    }
}

/// Length of the unit that begins here, its length field included. Go writes 32-bit DWARF.
fn unit_len(bytes: &[u8]) -> Option<usize> {
    let (length, _) = bytes.split_first_chunk::<4>()?;
    match u32::from_le_bytes(*length) {
        0xffff_ffff => usize::try_from(u64_at(bytes.get(4..12)?, 0)).ok()?.checked_add(12),
        length => Some(length as usize + 4),
    }
}

/// The types of one compile unit.
struct Types<'a> {
    bytes: &'a [u8],
    offset: u64,
    header: UnitHeader<Bytes<'a>>,
    abbreviations: Abbreviations,
}

struct Struct {
    size: u64,
    members: Vec<Member>,
}

struct Member {
    name: String,
    offset: u64,
    embedded: bool,
    kind: Option<UnitOffset>,
}

impl<'a> Types<'a> {
    fn new(bytes: &'a [u8], offset: u64, abbrev: &'a [u8]) -> Option<Self> {
        let header = DebugInfo::new(bytes, LittleEndian).units().next().ok()??;
        let abbreviations = header.abbreviations(&DebugAbbrev::new(abbrev, LittleEndian)).ok()?;
        Some(Types { bytes, offset, header, abbreviations })
    }

    /// `type.member.member` to an offset, `sizeof:type` to a size.
    fn resolve(&self, path: &str) -> Option<u32> {
        if let Some(name) = path.strip_prefix("sizeof:") {
            return u32::try_from(self.find(name)?.size).ok();
        }
        let mut names = path.split('.');
        let mut within = self.find(names.next()?)?;
        let mut offset = 0;
        let mut kind = None;
        for (depth, name) in names.enumerate() {
            if depth > 0 {
                within = self.struct_at(kind?, 0)?;
            }
            let (at, of) = self.member(&within, name, 0)?;
            offset += at;
            kind = of;
        }
        u32::try_from(offset).ok()
    }

    /// Offset and type of a member, promoted ones of embedded structs included.
    fn member(&self, within: &Struct, name: &str, depth: usize) -> Option<(u64, Option<UnitOffset>)> {
        if let Some(member) = within.members.iter().find(|m| m.name == name) {
            return Some((member.offset, member.kind));
        }
        if depth > MAX_DEPTH {
            return None;
        }
        within.members.iter().filter(|m| m.embedded).find_map(|m| {
            let (offset, kind) = self.member(&self.struct_at(m.kind?, 0)?, name, depth + 1)?;
            Some((m.offset.checked_add(offset)?, kind))
        })
    }

    /// The struct type `runtime.NAME`.
    fn find(&self, name: &str) -> Option<Struct> {
        let name = format!("runtime.{name}");
        let needle = format!("{name}\0");
        memmem::find_iter(self.bytes, needle.as_bytes()).find_map(|at| {
            // The name is the first attribute, after an abbreviation code of one or two bytes.
            [1, 2].into_iter().find_map(|code| {
                let at = UnitOffset(at.checked_sub(code)?);
                let entry = self.header.entry(&self.abbreviations, at).ok()?;
                let named =
                    entry.tag() == constants::DW_TAG_structure_type && string(&entry, constants::DW_AT_name) == Some(name.as_bytes());
                named.then(|| self.read_struct(at))?
            })
        })
    }

    fn struct_at(&self, at: UnitOffset, depth: usize) -> Option<Struct> {
        let entry = self.header.entry(&self.abbreviations, at).ok()?;
        match entry.tag() {
            constants::DW_TAG_structure_type => self.read_struct(at),
            constants::DW_TAG_typedef if depth < MAX_DEPTH => self.struct_at(self.type_of(&entry)?, depth + 1),
            _ => None,
        }
    }

    fn read_struct(&self, at: UnitOffset) -> Option<Struct> {
        let mut entries = self.header.entries_at_offset(&self.abbreviations, at).ok()?;
        let size = entries.next_dfs().ok()??.attr_value(constants::DW_AT_byte_size)?.udata_value()?;
        let mut members = Vec::new();
        while entries.next_entry().ok()? {
            // The null entry behind the last member. Members have no children.
            let Some(entry) = entries.current() else { break };
            if entry.tag() != constants::DW_TAG_member {
                return None;
            }
            members.push(Member {
                name: String::from_utf8_lossy(string(entry, constants::DW_AT_name)?).into_owned(),
                offset: entry.attr_value(constants::DW_AT_data_member_location)?.udata_value()?,
                embedded: matches!(entry.attr_value(DW_AT_GO_EMBEDDED_FIELD), Some(AttributeValue::Flag(true))),
                kind: self.type_of(entry),
            });
        }
        Some(Struct { size, members })
    }

    /// The type that an entry refers to, if it lies in this unit.
    fn type_of(&self, entry: &Entry<'a>) -> Option<UnitOffset> {
        match entry.attr_value(constants::DW_AT_type)? {
            AttributeValue::UnitRef(at) => Some(at),
            AttributeValue::DebugInfoRef(at) => (at.0 as u64).checked_sub(self.offset).map(|at| UnitOffset(at as usize)),
            _ => None,
        }
    }
}

/// `cmd/internal/dwarf`: `DW_AT_go_embedded_field`.
const DW_AT_GO_EMBEDDED_FIELD: constants::DwAt = constants::DwAt(0x2903);

fn string<'a>(entry: &Entry<'a>, name: constants::DwAt) -> Option<&'a [u8]> {
    match entry.attr_value(name)? {
        AttributeValue::String(text) => Some(text.slice()),
        _ => None,
    }
}
