//! One function for each parser of foreign bytes. Whatever comes in, they return; what they return is checked where there is
//! something that must hold. Used by the fuzzers (`fuzz_targets/`) and by `tests/fuzz_corpus.rs`, which replays the corpus.

use std::sync::OnceLock;

use goscope::formats::exposition::{Format, Item, Parser, Rules};
use goscope::goroutines::analyze::diff::diff;
use goscope::goroutines::analyze::{Filter, GroupBy, Query, view};
use goscope::goroutines::{report, saved};
use goscope::output::Style;
use goscope::sched::analyze::By;
use goscope::sched::model::{Row, Window};
use goscope::sched::{analyze as sched_analyze, recording, report as sched_report};
use goscope::sys::memfd;
use goscope::target::binary::Binary;
use goscope::target::buildinfo::BuildInfo;
use goscope::target::elf::{Elf, Machine};
use goscope::target::globals::{self, Code, Global};
use goscope::target::goroutines::record::{Record, RecordLayout};
use goscope::target::goroutines::{labels, threads};
use goscope::target::layout::{GoVersion, Layout, from_dwarf, from_table};
use goscope::target::memory;
use goscope::target::moduledata::{self, Module};
use goscope::target::native::Registers;
use goscope::target::native::cfi::Cfi;
use goscope::target::native::depth::{At, depth};
use goscope::target::pclntab::Pclntab;
use goscope::target::process::{Stat, Status, container_hint, maps, sockets};
use goscope::target::symbols::GoSymbols;
use goscope::target::unwind::{Saved, StackBytes, Start, Unwinder};

pub type Target = fn(&[u8]);

/// By name: also the names of the directories of the corpus.
pub const ALL: [(&str, Target); 12] = [
    ("buildinfo", buildinfo),
    ("cfi", cfi),
    ("code", code),
    ("dwarf", dwarf),
    ("elf", elf),
    ("exposition", exposition),
    ("pclntab", pclntab),
    ("procfs", procfs),
    ("record", record),
    ("recording", recorded_window),
    ("saved", saved_snapshot),
    ("stack", stack),
];

/// One of each era of pclntab and of `g`.
pub const VERSIONS: [GoVersion; 6] = [
    GoVersion::new(18, 0),
    GoVersion::new(20, 0),
    GoVersion::new(22, 0),
    GoVersion::new(24, 0),
    GoVersion::new(26, 0),
    GoVersion::new(27, 0),
];

/// A byte that says the format, the length of the blocks in which the body comes, and the body. How it is cut changes nothing, and no label comes
/// twice or empty.
pub fn exposition(data: &[u8]) {
    let [format, block, body @ ..] = data else { return };
    let format = [Format::Text, Format::OpenMetrics1, Format::OpenMetrics2, Format::Protobuf][usize::from(*format) % 4];
    assert_eq!(exposed(format, body, usize::from(*block) + 1), exposed(format, body, body.len() + 1));
}

fn exposed(format: Format, body: &[u8], block: usize) -> Vec<String> {
    let mut parser = Parser::new(format, Rules::Prometheus);
    let mut items = Vec::new();
    let (mut start, mut end) = (0, 0);
    while end < body.len() {
        end = body.len().min(end + block);
        start += parser.parse(&body[start..end], end == body.len(), &mut |item| {
            match &item {
                Item::Sample(sample) => {
                    let mut names: Vec<&str> = sample.labels.iter().map(|label| label.name).chain(["__name__"]).collect();
                    names.sort_unstable();
                    assert!(names.windows(2).all(|two| two[0] != two[1]), "{sample:?}");
                    assert!(!sample.name.is_empty() && sample.labels.iter().all(|label| !label.value.is_empty()), "{sample:?}");
                    assert!(sample.offset + u64::from(sample.length) <= body.len() as u64, "{sample:?}");
                }
                Item::Problem(problem) => assert!(problem.caret <= problem.excerpt.chars().count(), "{problem:?}"),
                _ => {}
            }
            items.push(format!("{item:?}"));
        });
    }
    assert_eq!(start, body.len(), "not all was read");
    items
}

/// An executable from its first byte on.
pub fn elf(data: &[u8]) {
    let Ok(file) = memfd::with_bytes("fuzz", data) else { return };
    let Ok(elf) = Elf::from_file(file) else { return };
    let _ = Binary::find(&elf);
    let _ = elf.relative_relocations();
    let _ = from_dwarf(&elf);
    for section in elf.sections.iter().take(16) {
        let _ = elf.section_data(section);
    }
    if let Some(cfi) = Cfi::of(&elf) {
        let _ = cfi.function(elf.entry);
    }
    let Ok(found) = moduledata::find(&elf) else { return };
    for version in VERSIONS {
        let Some(layout) = from_table(version) else { continue };
        if let Ok(module) = Module::load(&elf, &found, version, &layout) {
            walk_table(&module.pclntab);
            let mut symbols = GoSymbols::new(&elf, &module, 0);
            let _ = symbols.function(elf.entry);
            let _ = symbols.creation(elf.entry);
        }
    }
}

/// As the data segment of an executable, and as the text that the go command writes.
pub fn buildinfo(data: &[u8]) {
    if let Ok(Some(info)) = BuildInfo::find(&image(data)) {
        let _ = (info.version(), info.vcs(), info.short_name().len(), info.main_path().len());
    }
    let info = BuildInfo::parse("go1.26.8", &String::from_utf8_lossy(data));
    assert!(info.settings.iter().all(|(key, _)| !key.is_empty()));
    let _ = (info.vcs(), info.short_name().len());
}

/// The first byte chooses the Go version; the rest is a function table.
pub fn pclntab(data: &[u8]) {
    let Some((&version, table)) = data.split_first() else { return };
    if let Ok(table) = Pclntab::new(table.to_vec(), chosen(version)) {
        walk_table(&table);
    }
}

/// version, 1 byte unused, start of the inline tree (2 bytes), start of the stack (2), 2 unused; then a function table, the
/// tree, and a goroutine's stack whose first word is its pc. Walks the stack and names what it finds.
pub fn stack(data: &[u8]) {
    let Some((head, rest)) = data.split_first_chunk::<8>() else { return };
    let part = |low: u8, high: u8| usize::from(u16::from_le_bytes([low, high])).min(rest.len());
    let (tree, stack) = (part(head[2], head[3]), part(head[4], head[5]));
    let elf = image(rest);
    let Ok(pclntab) = Pclntab::new(rest[..tree].to_vec(), chosen(head[0])) else { return };
    let module = Module { pclntab, address: 0, text: TEXT, etext: TEXT + (1 << 32), gofunc: IMAGE + HEADERS as u64 + tree as u64 };
    let bytes = &rest[stack..];
    let word = |at: usize| bytes.get(at..at + 8).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from_le_bytes(*b));
    let mut unwinder = Unwinder::new(&module, 0);
    let mut symbols = GoSymbols::new(&elf, &module, 0);
    let piece = [StackBytes { base: STACK, bytes }];
    for (exact, saved) in [(false, None), (true, Some(Saved { pc: word(8), sp: STACK + (word(16) & 0xfff) }))] {
        let mut frames = Vec::new();
        let start = Start { pc: word(0), sp: STACK + 24, exact, syscall: false };
        let cut = unwinder.walk(start, saved, &piece, &mut frames);
        assert!(frames.len() <= bytes.len() + 2, "each frame but two takes up stack");
        let pcs: Vec<_> = frames.iter().map(|f| f.pc).collect();
        let named = symbols.stack(&pcs, cut, |_| Vec::new());
        assert!(named.frames.len() >= pcs.len());
    }
    for index in 0..module.pclntab.len().min(64) {
        let Some(func) = module.pclntab.func(index) else { continue };
        let _ = symbols.function(TEXT + u64::from(func.start));
        let _ = symbols.creation(TEXT + u64::from(func.start) + 1);
    }
}

/// The first byte chooses the Go version. The rest is a goroutine's record, and memory that its labels are in: a word
/// `0x46464646_xxxxxxxx` in it stands for the address of its byte x.
pub fn record(data: &[u8]) {
    let Some((&version, bytes)) = data.split_first() else { return };
    let version = chosen(version);
    if let Some(layout) = from_table(version).and_then(|layout| RecordLayout::of(&layout).ok()) {
        let record = Record::parse(1, bytes, &layout);
        let _ = (record.resting(), record.is_plausible());
    }
    let mut words: Vec<u64> = bytes.chunks(8).map(|chunk| chunk.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))).collect();
    let base = words.as_ptr() as u64;
    for word in words.iter_mut().filter(|word| **word >> 32 == 0x4646_4646) {
        *word = base + (*word & 0xffff_ffff);
    }
    static OWN: OnceLock<Option<memory::Access>> = OnceLock::new();
    let access = OWN.get_or_init(|| memory::Access::open(std::process::id(), &raw const OWN as u64, true).ok());
    if let Some(access) = access.as_ref().filter(|_| !words.is_empty())
        && let Some(labels) = labels::read(&access.memory(), base, version)
    {
        assert!(labels.is_sorted());
    }
}

/// A file that should be a saved snapshot: if it is one, it prints in every format, and what is printed reads back the same.
pub fn saved_snapshot(data: &[u8]) {
    let Ok(read) = saved::parse(data) else { return };
    let snapshot = read.snapshot;
    let all = view(&snapshot, &Query::default());
    let text = serde_json::to_vec(&report::document(&all)).expect("a snapshot can always be written");
    let again = saved::parse(&text).expect("what goscope writes it can read").snapshot;
    assert_eq!(again.goroutines.len(), snapshot.goroutines.len());
    assert!(diff(&snapshot, &again, &Filter::default(), false).stacks.iter().all(|entry| entry.delta() == 0));
    for group in [None, Some(GroupBy::Stack), Some(GroupBy::Func), Some(GroupBy::CreatedBy)] {
        let grouped = view(&snapshot, &Query { group, ..Query::default() });
        let mut out = Vec::new();
        let style = Style { color: true, width: Some(80) };
        report::write_table(&grouped, &mut out, style).expect("written to memory");
        report::write_text(&grouped, &mut out).expect("written to memory");
        report::write_folded(&grouped, &mut out).expect("written to memory");
        report::write_jsonl(&grouped, &mut out).expect("written to memory");
        report::write_pprof(&grouped, &mut out).expect("written to memory");
    }
}

/// A recording of `sched`, and what stands in it once it is unpacked: if it is one, it prints in every format, and what is written of it
/// reads back the same.
pub fn recorded_window(data: &[u8]) {
    recording::parse(data).into_iter().for_each(|window| print_window(&window));
    recording::parse_pieces(data).into_iter().for_each(|window| print_window(&window));
}

fn print_window(window: &Window) {
    let written = |window: &Window| {
        let mut bytes = Vec::new();
        recording::write(window, &mut bytes).map(|()| bytes)
    };
    let Ok(bytes) = written(window) else { return };
    let again = recording::parse(&bytes[..]).expect("what goscope writes it can read");
    // Of the bytes, for a NaN is not equal to itself.
    assert_eq!(written(&again).ok().as_ref(), Some(&bytes));
    // A small file can say that every one of many rows has a very deep stack.
    let frames: usize = window.stacks.iter().map(|stack| stack.frames.len()).sum();
    if window.rows.len() * frames > 1 << 20 {
        return;
    }
    let rows: Vec<&Row> = window.rows.iter().collect();
    let weight = sched_report::Weight { unit: "us", counts: "events", kind: "wall", title: "Goroutine time", hide_runtime: false };
    let style = Style { color: true, width: Some(80) };
    let mut out = Vec::new();
    sched_report::write_table(window, None, &mut out, style).expect("written to memory");
    let profile = sched_report::Profile { title: "CPU time", by: &By::Function, limit: None, hide_runtime: true };
    sched_report::write_profile_table(window, &rows, &profile, &mut out, style).expect("written to memory");
    sched_report::write_jsonl("sched", window, &rows, &mut out).expect("written to memory");
    sched_report::write_folded(window, &rows, &weight, &mut out).expect("written to memory");
    sched_report::write_speedscope(window, &rows, &weight, &mut out).expect("written to memory");
    sched_report::write_pprof(window, &rows, &weight, &mut out).expect("written to memory");
    // Times may be senseless: whatever becomes of them, nothing breaks.
    let _ = sched_report::write_perfetto(window, &mut out);
    let _ = sched_report::write_trace(window, &mut out);
    let same = sched_analyze::diff::diff(window, &again);
    sched_report::write_diff_table(&same, None, &mut out, style).expect("written to memory");
    sched_report::write_diff_jsonl(&same, &mut out).expect("written to memory");
}

/// The first byte chooses the file of /proc; the rest is its text.
pub fn procfs(data: &[u8]) {
    let Some((&file, bytes)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(bytes);
    match file % 7 {
        0 => drop(maps::parse(bytes)),
        1 => drop(Stat::parse(bytes)),
        2 => drop(Status::parse(bytes).map(|status| status.innermost_pid())),
        3 => drop(container_hint(&text)),
        4 => _ = threads::parse_activity(&text),
        5 => text.lines().for_each(|line| _ = sockets::listening_tcp(line)),
        _ => text.lines().for_each(|line| _ = sockets::listening_unix(line)),
    }
}

/// Length of the search table (2 bytes), the address looked up (2), then `.eh_frame_hdr` and `.eh_frame`; both also serve as the
/// memory that is unwound.
pub fn cfi(data: &[u8]) {
    let Some((head, rest)) = data.split_first_chunk::<4>() else { return };
    let split = usize::from(u16::from_le_bytes([head[0], head[1]])).min(rest.len());
    let address = CFI_TEXT + u64::from(u16::from_le_bytes([head[2], head[3]]));
    let (header, frame) = rest.split_at(split);
    let mut read = |at: u64, buffer: &mut [u8]| {
        let from = at.checked_sub(STACK).and_then(|from| usize::try_from(from).ok());
        match from.and_then(|from| rest.get(from..from.checked_add(buffer.len())?)) {
            Some(bytes) => {
                buffer.copy_from_slice(bytes);
                true
            }
            None => false,
        }
    };
    for header in [header, &[]] {
        let cfi = Cfi::new(frame.to_vec(), CFI_FRAME, header.to_vec(), CFI_HEADER, CFI_TEXT);
        if let Some((begin, end)) = cfi.function(address) {
            assert!(begin <= address && address < end);
        }
        let mut registers = Registers::at(address, STACK + 64);
        for _ in 0..8 {
            match cfi.caller(registers.pc(), &registers, &mut read) {
                Ok(caller) => registers = caller.registers,
                Err(_) => break,
            }
        }
    }
}

/// Machine code of any function that goscope follows.
pub fn code(data: &[u8]) {
    let entry = TEXT;
    for at in [data.len() / 2, data.len()] {
        let _ = depth(data, entry, At::Instruction(entry + at as u64));
        let _ = depth(data, entry, At::CallReturningTo(entry + at as u64));
    }
    let code_of = |_: &str| Some(Code { address: entry, bytes: data.to_vec() });
    for layout in [GoVersion::new(18, 0), GoVersion::new(26, 0)].into_iter().filter_map(from_table) {
        for global in Global::ALL {
            let _ = globals::locate(global, Machine::Amd64, &layout, &code_of);
        }
    }
}

/// Length of the abbreviations (2 bytes), flags of the section of types (1), then both sections.
pub fn dwarf(data: &[u8]) {
    let _ = layout_of(data);
}

pub fn layout_of(data: &[u8]) -> Option<Layout> {
    let (head, rest) = data.split_first_chunk::<3>()?;
    let (abbreviations, types) = rest.split_at(usize::from(u16::from_le_bytes([head[0], head[1]])).min(rest.len()));
    // SHF_COMPRESSED is 0x800.
    let flags = if head[2] & 1 == 0 { 0 } else { 0x800 };
    let name = if head[2] & 2 == 0 { ".debug_info" } else { ".zdebug_info" };
    from_dwarf(&open(&with_sections(&[(".debug_abbrev", 0, abbreviations), (name, flags, types)])))
}

/// Every question that can be asked about the functions of a table.
fn walk_table(table: &Pclntab) {
    let _ = table.find_names(&["runtime.main", "main.main"]);
    for index in 0..table.len().min(64) {
        let Some(func) = table.func(index) else { continue };
        let middle = func.start + func.end.saturating_sub(func.start) / 2;
        for at in [func.start, middle, func.end, u32::MAX] {
            let _ = (table.sp_delta(&func, at), table.file_line(&func, at), table.file(&func, at as i32 & 0xff));
            for data in 0..8 {
                let _ = (table.pc_data(&func, data, at), table.func_data(&func, data as u8));
            }
            if let Some(found) = table.find(at) {
                assert!(at < found.end);
            }
        }
        let name = table.name(func.name_offset);
        assert!(name.contains('\u{fffd}') || table.name_is(func.name_offset, &name));
    }
}

fn chosen(number: u8) -> GoVersion {
    VERSIONS[usize::from(number) % VERSIONS.len()]
}

pub const IMAGE: u64 = 0x40_0000;
/// Where functions are; their own bytes are never read.
pub const TEXT: u64 = 0x100_0000;
const STACK: u64 = 0xc000_0000;
/// The headers that `image` puts in front.
pub const HEADERS: usize = 64 + 56;
pub const CFI_HEADER: u64 = 0x1_0000;
pub const CFI_FRAME: u64 = 0x2_0000;
pub const CFI_TEXT: u64 = 0x4_0000;

/// An executable with one segment that holds `data` behind the headers.
fn image(data: &[u8]) -> Elf {
    open(&executable(data))
}

fn open(bytes: &[u8]) -> Elf {
    let file = memfd::with_bytes("fuzz", bytes).expect("a memfd can be made");
    Elf::from_file(file).expect("the headers are sound")
}

/// The bytes of an executable with these sections: name, flags, content.
fn with_sections(sections: &[(&str, u64, &[u8])]) -> Vec<u8> {
    let mut names = vec![0];
    let mut bytes = executable(&[]);
    let mut headers = vec![0; 64];
    let mut section = |name: &str, flags: u64, content: &[u8]| {
        let name_at = names.len() as u32;
        names.extend(name.bytes().chain([0]));
        // sh_name, sh_type SHT_PROGBITS, then words: flags, address, offset, size, link and info, alignment, entry size.
        headers.extend([name_at, 1].map(u32::to_le_bytes).concat());
        headers.extend([flags, 0, bytes.len() as u64, content.len() as u64, 0, 1, 0].map(u64::to_le_bytes).concat());
        bytes.extend(content);
    };
    for (name, flags, content) in sections {
        section(name, *flags, content);
    }
    section(".shstrtab", 0, &[]);
    // Its content has to wait for the names of all.
    let at = headers.len() - 64;
    headers[at + 24..at + 40].copy_from_slice(&[bytes.len() as u64, names.len() as u64].map(u64::to_le_bytes).concat());
    bytes.extend(names);
    let table = bytes.len() as u64;
    bytes[40..48].copy_from_slice(&table.to_le_bytes());
    bytes[60..64].copy_from_slice(&[sections.len() as u16 + 2, sections.len() as u16 + 1].map(u16::to_le_bytes).concat());
    bytes.extend(headers);
    bytes
}

/// The bytes of an executable for amd64 with one writable segment at `IMAGE`: headers, then `data`.
pub fn executable(data: &[u8]) -> Vec<u8> {
    let size = (HEADERS + data.len()) as u64;
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    // e_entry, e_phoff, e_shoff; e_flags, e_ehsize, e_phentsize, e_phnum, e_shentsize, e_shnum, e_shstrndx.
    bytes.extend([IMAGE + HEADERS as u64, 64, 0].map(u64::to_le_bytes).concat());
    bytes.extend(0u32.to_le_bytes());
    bytes.extend([64u16, 56, 1, 64, 0, 0].map(u16::to_le_bytes).concat());
    // PT_LOAD, readable, writable and executable.
    bytes.extend([1u32, 7].map(u32::to_le_bytes).concat());
    bytes.extend([0, IMAGE, IMAGE, size, size, 0x1000].map(u64::to_le_bytes).concat());
    bytes.extend(data);
    bytes
}
