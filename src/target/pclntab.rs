//! The Go function table: pc -> function, file, line, stack pointer delta. Pure bytes; layout of `runtime/symtab.go`, Go 1.18 to 1.27.

use std::borrow::Cow;

use super::elf::{u32_at, u64_at};
use super::layout::GoVersion;
use crate::error::{Error, Result};

/// Magic of Go 1.18 and 1.19 / of Go 1.20 and later (`internal/abi/symtab.go`).
pub const MAGIC_1_18: u32 = 0xffff_fff0;
pub const MAGIC_1_20: u32 = 0xffff_fff1;

/// The fixed part of the header; the tables begin at the offsets it names.
pub const HEADER_SIZE: usize = 72;

/// The header at the start of pclntab (`runtime.pcHeader`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub magic: u32,
    pub pc_quantum: u32,
    pub nfunc: u64,
    pub nfiles: u64,
    /// Offsets from the header's start.
    pub funcname: u64,
    pub cu: u64,
    pub filetab: u64,
    pub pctab: u64,
    pub pcln: u64,
}

impl Header {
    /// `None` if these are not the first bytes of a pclntab that goscope reads.
    pub fn parse(bytes: &[u8]) -> Option<Header> {
        if bytes.len() < HEADER_SIZE {
            return None;
        }
        let header = Header {
            magic: u32_at(bytes, 0),
            pc_quantum: u32::from(bytes[6]),
            nfunc: u64_at(bytes, 8),
            nfiles: u64_at(bytes, 16),
            funcname: u64_at(bytes, 32),
            cu: u64_at(bytes, 40),
            filetab: u64_at(bytes, 48),
            pctab: u64_at(bytes, 56),
            pcln: u64_at(bytes, 64),
        };
        let known = header.magic == MAGIC_1_18 || header.magic == MAGIC_1_20;
        let shape = bytes[4] == 0 && bytes[5] == 0 && matches!(header.pc_quantum, 1 | 4) && bytes[7] == 8;
        let ordered = (HEADER_SIZE as u64..=128).contains(&header.funcname)
            && header.funcname < header.cu
            && header.cu < header.filetab
            && header.filetab < header.pctab
            && header.pctab < header.pcln
            && header.pcln < 1 << 32;
        let counts = header.nfunc > 0 && header.nfunc < 1 << 28 && header.nfiles < 1 << 28;
        (known && shape && ordered && counts).then_some(header)
    }
}

/// The whole table of one module.
#[derive(Debug)]
pub struct Pclntab {
    data: Vec<u8>,
    header: Header,
    funcs: FuncFormat,
    ids: FuncIds,
}

/// The two shapes of `runtime._func`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FuncFormat {
    /// 40 bytes.
    Go118,
    /// 44 bytes: startLine was inserted.
    Go120,
}

/// The number of each special function; shifted twice in the supported range (`internal/abi/symtab.go`, `runtime/symtab.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FuncIds {
    Go118,
    Go122,
    Go125,
}

/// Functions that a stack walk treats specially.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FuncId {
    Normal,
    Abort,
    Asmcgocall,
    AsyncPreempt,
    Cgocallback,
    Corostart,
    DebugCall,
    GcBgMarkWorker,
    Goexit,
    Gogo,
    Gopanic,
    HandleAsyncEvent,
    Mcall,
    Morestack,
    Mstart,
    PanicWrap,
    Rt0Go,
    /// `runtime.runfinq`, since 1.25 `runtime.runFinalizers`.
    RunFinalizers,
    RunCleanups,
    RuntimeMain,
    Sigpanic,
    Systemstack,
    SystemstackSwitch,
    Wrapper,
}

/// `runtime._func`, with the range of text offsets it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Func {
    /// Offsets from the module's text start; from the function table, not from `_func` (obfuscators rewrite the latter).
    pub start: u32,
    pub end: u32,
    pub name_offset: u32,
    pub start_line: u32,
    pub id: FuncId,
    flags: u8,
    pcsp: u32,
    pcfile: u32,
    pcln: u32,
    npcdata: u32,
    cu_offset: u32,
    nfuncdata: u8,
    /// Where in `data` the pcdata array begins.
    arrays: usize,
}

impl Func {
    /// The outermost function of a stack: goexit, mstart, rt0_go.
    pub fn is_top_frame(&self) -> bool {
        self.flags & 1 != 0
    }
    /// Writes the stack pointer in a way pcsp does not describe.
    pub fn writes_sp(&self) -> bool {
        self.flags & 2 != 0
    }
}

pub const PCDATA_INL_TREE: u32 = 2;
pub const PCDATA_ARG_LIVE: u32 = 3;
pub const FUNCDATA_INL_TREE: u8 = 3;
pub const FUNCDATA_ARG_INFO: u8 = 5;
pub const FUNCDATA_ARG_LIVE: u8 = 6;

impl Pclntab {
    /// `data` begins at the header and reaches to the end of the function records.
    pub fn new(data: Vec<u8>, version: GoVersion) -> Result<Pclntab> {
        let header = Header::parse(&data).ok_or_else(corrupt)?;
        let ftab_end = header.pcln + (header.nfunc * 2 + 1) * 4;
        if ftab_end > data.len() as u64 {
            return Err(corrupt());
        }
        let funcs = if header.magic == MAGIC_1_18 { FuncFormat::Go118 } else { FuncFormat::Go120 };
        let ids = match version {
            v if v >= GoVersion::new(25, 0) => FuncIds::Go125,
            v if v >= GoVersion::new(22, 0) => FuncIds::Go122,
            _ => FuncIds::Go118,
        };
        let table = Pclntab { data, header, funcs, ids };
        table.check()?;
        Ok(table)
    }

    /// The table must be sorted and its records inside it: `strip` has been seen to break it (golang/go#67261).
    fn check(&self) -> Result<()> {
        let count = self.len();
        let step = (count / 512).max(1);
        let mut previous = None;
        for index in (0..count).step_by(step) {
            let start = self.entry_offset(index);
            if previous.is_some_and(|p| start <= p) || self.func(index).is_none() {
                return Err(corrupt());
            }
            previous = Some(start);
        }
        Ok(())
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Number of functions.
    pub fn len(&self) -> usize {
        self.header.nfunc as usize
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn entry_offset(&self, index: usize) -> u32 {
        u32_at(&self.data, self.header.pcln as usize + index * 8)
    }

    /// The function that covers a text offset; `None` before the first and behind the last.
    pub fn find(&self, text_offset: u32) -> Option<Func> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.entry_offset(middle) <= text_offset {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let func = self.func(low.checked_sub(1)?)?;
        (text_offset < func.end).then_some(func)
    }

    pub fn func(&self, index: usize) -> Option<Func> {
        if index >= self.len() {
            return None;
        }
        let entry = self.header.pcln as usize + index * 8;
        let at = self.header.pcln as usize + u32_at(&self.data, entry + 4) as usize;
        let fixed = match self.funcs {
            FuncFormat::Go118 => 40,
            FuncFormat::Go120 => 44,
        };
        let record = self.data.get(at..at.checked_add(fixed)?)?;
        let tail = fixed - 4;
        let npcdata = u32_at(record, 28);
        let nfuncdata = record[tail + 3];
        let arrays = at + fixed;
        let arrays_len = (npcdata as usize).checked_add(usize::from(nfuncdata))?.checked_mul(4)?;
        self.data.get(arrays..arrays.checked_add(arrays_len)?)?;
        Some(Func {
            start: u32_at(&self.data, entry),
            end: u32_at(&self.data, entry + 8),
            name_offset: u32_at(record, 4),
            start_line: if self.funcs == FuncFormat::Go120 { u32_at(record, 36) } else { 0 },
            id: self.func_id(record[tail]),
            flags: record[tail + 1],
            pcsp: u32_at(record, 16),
            pcfile: u32_at(record, 20),
            pcln: u32_at(record, 24),
            npcdata,
            cu_offset: u32_at(record, 32),
            nfuncdata,
            arrays,
        })
    }

    pub fn func_id(&self, number: u8) -> FuncId {
        use FuncId::*;
        const GO118: [FuncId; 22] = [
            Normal,
            Abort,
            Asmcgocall,
            AsyncPreempt,
            Cgocallback,
            DebugCall,
            GcBgMarkWorker,
            Goexit,
            Gogo,
            Gopanic,
            HandleAsyncEvent,
            Mcall,
            Morestack,
            Mstart,
            PanicWrap,
            Rt0Go,
            RunFinalizers,
            RuntimeMain,
            Sigpanic,
            Systemstack,
            SystemstackSwitch,
            Wrapper,
        ];
        const GO122: [FuncId; 23] = [
            Normal,
            Abort,
            Asmcgocall,
            AsyncPreempt,
            Cgocallback,
            Corostart,
            DebugCall,
            GcBgMarkWorker,
            Goexit,
            Gogo,
            Gopanic,
            HandleAsyncEvent,
            Mcall,
            Morestack,
            Mstart,
            PanicWrap,
            Rt0Go,
            RunFinalizers,
            RuntimeMain,
            Sigpanic,
            Systemstack,
            SystemstackSwitch,
            Wrapper,
        ];
        const GO125: [FuncId; 24] = [
            Normal,
            Abort,
            Asmcgocall,
            AsyncPreempt,
            Cgocallback,
            Corostart,
            DebugCall,
            GcBgMarkWorker,
            Goexit,
            Gogo,
            Gopanic,
            HandleAsyncEvent,
            Mcall,
            Morestack,
            Mstart,
            PanicWrap,
            Rt0Go,
            RuntimeMain,
            RunFinalizers,
            RunCleanups,
            Sigpanic,
            Systemstack,
            SystemstackSwitch,
            Wrapper,
        ];
        let table: &[FuncId] = match self.ids {
            FuncIds::Go118 => &GO118,
            FuncIds::Go122 => &GO122,
            FuncIds::Go125 => &GO125,
        };
        table.get(usize::from(number)).copied().unwrap_or(Normal)
    }

    /// The function's name as linked, e.g. `main.(*T).f` or `main.g[...]`.
    pub fn name(&self, name_offset: u32) -> Cow<'_, str> {
        String::from_utf8_lossy(self.c_string(self.header.funcname, u64::from(name_offset), self.header.cu))
    }

    pub fn name_is(&self, name_offset: u32, name: &str) -> bool {
        self.c_string(self.header.funcname, u64::from(name_offset), self.header.cu) == name.as_bytes()
    }

    /// The functions of these names, in one pass over the table; `None` where there is none.
    pub fn find_names(&self, names: &[&str]) -> Vec<Option<Func>> {
        let mut found = vec![None; names.len()];
        let mut missing = names.len();
        for index in 0..self.len() {
            if missing == 0 {
                break;
            }
            let entry = self.header.pcln as usize + index * 8;
            let record = self.header.pcln as usize + u32_at(&self.data, entry + 4) as usize;
            let name = self.c_string(self.header.funcname, u64::from(u32_at(&self.data, record + 4)), self.header.cu);
            if let Some(wanted) = names.iter().position(|n| n.as_bytes() == name)
                && found[wanted].is_none()
            {
                found[wanted] = self.func(index);
                missing -= usize::from(found[wanted].is_some());
            }
        }
        found
    }

    /// The bytes up to NUL at `offset` in the table between `start` and `end`; empty if that leaves the table.
    fn c_string(&self, start: u64, offset: u64, end: u64) -> &[u8] {
        let table = self.data.get(start as usize..(end as usize).min(self.data.len())).unwrap_or_default();
        let rest = table.get(offset as usize..).unwrap_or_default();
        let len = memchr::memchr(0, rest).unwrap_or(0);
        &rest[..len]
    }

    /// How far the stack pointer lies below its value at the function's first instruction.
    pub fn sp_delta(&self, func: &Func, text_offset: u32) -> Option<i32> {
        self.pc_value(func.pcsp, func.start, text_offset)
    }

    /// File and line of a position, as the innermost inlined call has them.
    pub fn file_line(&self, func: &Func, text_offset: u32) -> Option<(Cow<'_, str>, u32)> {
        let file = self.pc_value(func.pcfile, func.start, text_offset)?;
        let line = self.pc_value(func.pcln, func.start, text_offset)?;
        let index = (func.cu_offset as usize).checked_add(usize::try_from(file).ok()?)?;
        let cu = self.data.get(self.header.cu as usize..self.header.filetab as usize)?;
        let offset = u32_at(cu.get(index.checked_mul(4)?..)?, 0);
        if offset == u32::MAX {
            return None;
        }
        let name = self.c_string(self.header.filetab, u64::from(offset), self.header.pctab);
        Some((String::from_utf8_lossy(name), u32::try_from(line).ok()?))
    }

    /// The name of a file by number in its compile unit; only Go 1.18 and 1.19 inline records use it.
    pub fn file(&self, func: &Func, number: i32) -> Option<Cow<'_, str>> {
        let index = (func.cu_offset as usize).checked_add(usize::try_from(number).ok()?)?;
        let cu = self.data.get(self.header.cu as usize..self.header.filetab as usize)?;
        let offset = u32_at(cu.get(index.checked_mul(4)?..)?, 0);
        (offset != u32::MAX).then(|| String::from_utf8_lossy(self.c_string(self.header.filetab, u64::from(offset), self.header.pctab)))
    }

    pub fn pc_data(&self, func: &Func, table: u32, text_offset: u32) -> Option<i32> {
        if table >= func.npcdata {
            return None;
        }
        let offset = u32_at(&self.data, func.arrays + table as usize * 4);
        if offset == 0 {
            return None;
        }
        self.pc_value(offset, func.start, text_offset)
    }

    /// The offset of a function's data from the module's `gofunc` address.
    pub fn func_data(&self, func: &Func, table: u8) -> Option<u32> {
        if table >= func.nfuncdata {
            return None;
        }
        let offset = u32_at(&self.data, func.arrays + (func.npcdata as usize + usize::from(table)) * 4);
        (offset != u32::MAX).then_some(offset)
    }

    /// True for Go 1.18 and 1.19, whose inline records carry file and line themselves.
    pub fn has_wide_inline_records(&self) -> bool {
        self.funcs == FuncFormat::Go118
    }

    /// Runs a pc-value program (`runtime.pcvalue`): pairs of zig-zag value delta and pc delta.
    ///
    /// `None` where the program does not cover the position: alignment padding, or C code linked between Go functions.
    fn pc_value(&self, program: u32, start: u32, text_offset: u32) -> Option<i32> {
        if program == 0 {
            return None;
        }
        let table = self.data.get(self.header.pctab as usize..self.header.pcln as usize)?;
        let mut rest = table.get(program as usize..)?;
        let mut pc = u64::from(start);
        let mut value: i32 = -1;
        let mut first = true;
        loop {
            let delta = varint(&mut rest)?;
            if delta == 0 && !first {
                return None;
            }
            first = false;
            value = value.wrapping_add(((delta >> 1) as i32) ^ -((delta & 1) as i32));
            pc += u64::from(varint(&mut rest)?) * u64::from(self.header.pc_quantum);
            if u64::from(text_offset) < pc {
                return Some(value);
            }
        }
    }
}

fn varint(rest: &mut &[u8]) -> Option<u32> {
    let mut value: u32 = 0;
    for (i, &byte) in rest.iter().enumerate().take(5) {
        value |= u32::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            *rest = &rest[i + 1..];
            return Some(value);
        }
    }
    None
}

fn corrupt() -> Error {
    Error::target("the Go function table (pclntab) is corrupt")
        .hint("some versions of binutils strip damage position-independent Go programs: build with -ldflags='-s -w' instead")
}
