//! Writes the seeds of the corpus: `seeds CORPUS FIXTURE...` (`seeds.sh` does it), with Go executables of different versions. Each is a few
//! hundred bytes: tables cut down to a few functions, and hand-made text.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../../tests/support/timeline.rs"]
mod timeline;
#[path = "../../tests/support/window.rs"]
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use goscope::sched::model::Window;
use goscope::sched::recording;
use goscope::target::buildinfo::BuildInfo;
use goscope::target::elf::{Elf, u32_at, u64_at};
use goscope::target::layout::{Field, GoVersion, Layout, from_table};
use goscope::target::moduledata::{self, Module};
use goscope_fuzz::targets::{CFI_FRAME, CFI_HEADER, CFI_TEXT, HEADERS, IMAGE, TEXT, VERSIONS, executable};

/// A stack from the outermost function in, some of them with inlined calls, and what the walk treats specially.
const FUNCTIONS: [&str; 7] =
    ["runtime.goexit", "main.main", "main.down", "runtime.gopark", "runtime.chanrecv1", "runtime.mcall", "runtime.entersyscall"];
const LARGEST: usize = 4096;

fn main() {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let corpus = args.next().expect("usage: seeds CORPUS FIXTURE...");
    for fixture in args {
        of_executable(&corpus, &fixture);
    }
    by_hand(&corpus);
}

fn write(corpus: &Path, target: &str, name: &str, bytes: &[u8]) {
    assert!(bytes.len() <= LARGEST, "{target}/{name} has {} bytes", bytes.len());
    let dir = corpus.join(target);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join(name), bytes).unwrap();
}

fn of_executable(corpus: &Path, path: &Path) {
    let elf = Elf::open(path).unwrap();
    let info = BuildInfo::find(&elf).unwrap().expect("a Go program");
    let version = info.version().unwrap();
    let name = format!("go1.{}", version.minor);
    let layout = from_table(version).unwrap();
    let found = moduledata::find(&elf).unwrap();
    let module = Module::load(&elf, &found, version, &layout).unwrap();
    let selector = VERSIONS.iter().rposition(|v| *v <= version).unwrap() as u8;

    let small = SmallTable::of(&elf, &module, found.header_address);
    write(corpus, "pclntab", &name, &[&[selector], &small.table[..]].concat());

    let mut tree = small.table.clone();
    tree.extend(&small.tree);
    let mut head = vec![selector, 0];
    head.extend((small.table.len() as u16).to_le_bytes());
    head.extend((tree.len() as u16).to_le_bytes());
    head.extend([0, 0]);
    write(corpus, "stack", &name, &[head, tree, small.stack(&module)].concat());

    let section = elf.section(".go.buildinfo").unwrap();
    let mut bytes = elf.section_data(section).unwrap();
    bytes.truncate(1024);
    // The header has to lie on 16 bytes in the file.
    let bytes = [vec![0; HEADERS.next_multiple_of(16) - HEADERS], bytes].concat();
    write(corpus, "buildinfo", &name, &bytes);
    write(corpus, "elf", &name, &small.executable(&bytes, &layout));

    for function in ["runtime.incidlelocked", "runtime.(*gcWork).dispose", "runtime.gcMarkTinyAllocs", "runtime.gopark"] {
        let Some(func) = module.pclntab.find_names(&[function])[0] else { continue };
        let code = elf.read_address_vec(module.text + u64::from(func.start), u64::from(func.end - func.start)).unwrap();
        write(corpus, "code", &format!("{name}-{}", function.replace(['.', '(', '*', ')'], "")), &code[..code.len().min(1024)]);
    }
}

/// A function table with a few functions of a real one.
struct SmallTable {
    table: Vec<u8>,
    /// Their inline trees, one after the other.
    tree: Vec<u8>,
}

impl SmallTable {
    fn of(elf: &Elf, module: &Module, at: u64) -> SmallTable {
        let header = *module.pclntab.header();
        let wide = module.pclntab.has_wide_inline_records();
        let (fixed, record_size) = if wide { (40, 20) } else { (44, 16) };
        let segment = elf.segment_at(at).unwrap();
        let data = elf.read_address_vec(at, segment.vaddr + segment.filesz - at).unwrap();
        let wanted: BTreeSet<usize> = {
            let found = module.pclntab.find_names(&FUNCTIONS);
            let starts: Vec<u32> = found.into_iter().flatten().map(|f| f.start).collect();
            (0..module.pclntab.len()).filter(|&i| starts.contains(&u32_at(&data, header.pcln as usize + i * 8))).collect()
        };
        let (mut names, mut files, mut programs) = (vec![0], Vec::new(), vec![0]);
        let (mut cus, mut tree) = (Vec::new(), Vec::new());
        let mut cu_starts: BTreeMap<u32, u32> = BTreeMap::new();
        let mut funcs = Vec::new();
        for &index in &wanted {
            let entry = header.pcln as usize + index * 8;
            let at = header.pcln as usize + u32_at(&data, entry + 4) as usize;
            let npcdata = u32_at(&data, at + 28) as usize;
            let nfuncdata = usize::from(data[at + fixed - 1]);
            let mut record = data[at..at + fixed + 4 * (npcdata + nfuncdata)].to_vec();
            let name = c_string(&data, header.funcname + u64::from(u32_at(&record, 4)));
            put(&mut record, 4, names.len());
            names.extend(name);
            let mut program = |offset: u32| -> (usize, Vec<i32>) {
                if offset == 0 {
                    return (0, Vec::new());
                }
                let (bytes, values) = pc_program(&data[(header.pctab + u64::from(offset)) as usize..]);
                programs.extend(bytes);
                (programs.len() - bytes.len(), values)
            };
            let numbers = program(u32_at(&record, 20));
            for (field, new) in [(16, program(u32_at(&record, 16)).0), (20, numbers.0), (24, program(u32_at(&record, 24)).0)] {
                put(&mut record, field, new);
            }
            // The files that this function uses, in a copy of its compile unit's list.
            let unit = u32_at(&record, 32);
            let start = *cu_starts.entry(unit).or_insert(cus.len() as u32);
            put(&mut record, 32, start as usize);
            for number in numbers.1.into_iter().filter_map(|n| usize::try_from(n).ok()) {
                let place = start as usize + number;
                if cus.len() <= place {
                    cus.resize(place + 1, u32::MAX);
                }
                if cus[place] == u32::MAX {
                    let old = u32_at(&data, header.cu as usize + 4 * (unit as usize + number));
                    cus[place] = files.len() as u32;
                    files.extend(c_string(&data, header.filetab + u64::from(old)));
                }
            }
            let mut inlined = 0;
            for table in 0..npcdata {
                let (new, values) = program(u32_at(&record, fixed + 4 * table));
                put(&mut record, fixed + 4 * table, new);
                if table == 2 {
                    inlined = values.into_iter().max().map_or(0, |n| n + 1) as usize;
                }
            }
            for table in 0..nfuncdata {
                let place = fixed + 4 * (npcdata + table);
                let offset = u32_at(&record, place);
                put(&mut record, place, u32::MAX as usize);
                if table == 3 && inlined > 0 && offset != u32::MAX {
                    put(&mut record, place, tree.len());
                    let bytes = elf.read_address_vec(module.gofunc + u64::from(offset), (inlined * record_size) as u64).unwrap();
                    for mut call in bytes.chunks(record_size).map(<[u8]>::to_vec) {
                        let at = if wide { 12 } else { 4 };
                        let name = c_string(&data, header.funcname + u64::from(u32_at(&call, at)));
                        put(&mut call, at, names.len());
                        names.extend(name);
                        tree.extend(call);
                    }
                }
            }
            funcs.push((u32_at(&data, entry), record));
        }
        SmallTable { table: assemble(&data, &names, &cus, &files, &programs, &funcs), tree }
    }

    /// The words of a goroutine's stack below: some return addresses in these functions at the distances that their frames have.
    fn stack(&self, module: &Module) -> Vec<u8> {
        let found = module.pclntab.find_names(&["main.down", "main.main", "runtime.gopark", "runtime.goexit"]);
        let mut words = Vec::new();
        let funcs: Vec<_> = found.into_iter().flatten().collect();
        for func in &funcs {
            let at = func.start + (func.end - func.start) / 2;
            words.push(TEXT + u64::from(at));
            let delta = module.pclntab.sp_delta(func, at).unwrap_or(0).clamp(0, 256);
            words.extend(std::iter::repeat_n(0, delta as usize / 8));
        }
        // The first three words are the pc, and where a switched goroutine goes on.
        words.splice(0..0, [words[0], words[0], 24]);
        words.into_iter().flat_map(u64::to_le_bytes).collect()
    }

    /// All of it in one executable with a moduledata.
    fn executable(&self, build_info: &[u8], layout: &Layout) -> Vec<u8> {
        let mut data = build_info.to_vec();
        data.resize(data.len().next_multiple_of(16) + 8, 0);
        let table = IMAGE + (HEADERS + data.len()) as u64;
        data.extend(&self.table);
        data.resize(data.len().next_multiple_of(8), 0);
        let tree = IMAGE + (HEADERS + data.len()) as u64;
        data.extend(&self.tree);
        data.resize(data.len().next_multiple_of(8), 0);
        let header = |offset| u64_at(&self.table, offset);
        let mut moduledata = vec![0u64; 80];
        moduledata[0] = table;
        moduledata[1] = table + header(32);
        moduledata[13] = table + header(64);
        moduledata[14] = self.table.len() as u64 - header(64);
        moduledata[17] = header(8) + 1;
        for (field, value) in [(Field::ModText, IMAGE), (Field::ModEtext, IMAGE + (1 << 31)), (Field::ModGofunc, tree)] {
            moduledata[layout.get(field).unwrap() as usize / 8] = value;
        }
        data.extend(moduledata.into_iter().flat_map(u64::to_le_bytes));
        executable(&data)
    }
}

/// Puts the pieces together behind the real table's header.
fn assemble(real: &[u8], names: &[u8], cus: &[u32], files: &[u8], programs: &[u8], funcs: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut out = real[..72].to_vec();
    out[8..16].copy_from_slice(&(funcs.len() as u64).to_le_bytes());
    let mut part = |field: usize, bytes: &[u8]| {
        let at = out.len() as u64;
        out[field..field + 8].copy_from_slice(&at.to_le_bytes());
        out.extend(bytes);
        out.resize(out.len().next_multiple_of(8), 0);
    };
    part(32, names);
    part(40, &cus.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>());
    part(48, files);
    part(56, programs);
    let mut at = 8 * funcs.len() + 8;
    let (mut index, mut records) = (Vec::new(), Vec::new());
    for (start, record) in funcs {
        index.extend([*start, at as u32].map(u32::to_le_bytes).concat());
        records.extend(record);
        at += record.len();
    }
    index.extend((funcs.last().unwrap().0 + 0x1000).to_le_bytes());
    index.extend([0; 4]);
    part(64, &[index, records].concat());
    out
}

fn put(bytes: &mut [u8], at: usize, value: usize) {
    bytes[at..at + 4].copy_from_slice(&(value as u32).to_le_bytes());
}

/// With its NUL.
fn c_string(data: &[u8], at: u64) -> &[u8] {
    let rest = &data[at as usize..];
    &rest[..=rest.iter().position(|&b| b == 0).unwrap()]
}

/// The bytes of a pc-value program with its end mark, and the values it takes.
fn pc_program(data: &[u8]) -> (&[u8], Vec<i32>) {
    let (mut at, mut value, mut values) = (0, -1i32, Vec::new());
    let mut varint = || {
        let (mut number, mut shift) = (0u32, 0);
        loop {
            let byte = data[at];
            at += 1;
            number |= u32::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return (number, at);
            }
        }
    };
    loop {
        let (delta, end) = varint();
        if delta == 0 && !values.is_empty() {
            return (&data[..end], values);
        }
        value = value.wrapping_add((delta >> 1) as i32 ^ -((delta & 1) as i32));
        values.push(value);
        varint();
    }
}

fn by_hand(corpus: &Path) {
    for (format, name, body) in [
        (
            0u8,
            "text",
            "# HELP a A.\\n\n# TYPE a histogram\na_bucket{le=\"1\",p=\"\\\"x\\n\"} 1 17\na_sum 0.5\n\n# TYPE b summary\nb{quantile=\"0.50\"} NaN\n\
             {\"c.d\",\"e f\"=\"ü\",g=\"\"} -1e-05\n",
        ),
        (0, "text-wrong", "a 1\r\nb{c=\"d} 1\ne{f=\"g\",f=\"h\"} 2\n# TYPE i info\nj one\nk{l=\"m\nn\"} 1\n\0o"),
        (
            1,
            "openmetrics",
            "# TYPE a_seconds counter\n# UNIT a_seconds seconds\n# HELP a_seconds A.\na_seconds_total{b=\"c\"} 1.0 1.5 # {trace_id=\"x\"} 0.5 1.25\na_seconds_created{b=\"c\"} 1.5\n# EOF\n",
        ),
        (
            2,
            "openmetrics2",
            "# TYPE a histogram\na {count:3,sum:1.5,bucket:[1.0:2,+Inf:3]} 1.5 st@1.25 # {trace_id=\"x\"} 0.5 1.25\n# EOF\n",
        ),
    ] {
        write(corpus, "exposition", name, &[&[format, 6], body.as_bytes()].concat());
    }
    // A MetricFamily: name, type counter, one metric with a label and a value.
    let family = b"\x0a\x01a\x18\0\x22\x13\x0a\x06\x0a\x01b\x12\x01c\x1a\x09\x09\0\0\0\0\0\0\xf0\x3f";
    write(corpus, "exposition", "protobuf", &[&[3, 6, family.len() as u8], &family[..]].concat());
    let text = "path\texample.com/a/v2\nmod\texample.com/a/v2\tv2.1.0\th1:abc=\ndep\tgolang.org/x/sys\tv0.1.0\th1:def=\n\
        =>\t../sys\t\t\nbuild\t-ldflags=\"-X 'main.v=a\\tb\\x41\\u00e9'\"\nbuild\tvcs=git\nbuild\tvcs.modified=true\n";
    write(corpus, "buildinfo", "text", text.as_bytes());
    for (number, name, text) in [
        (0, "maps", "00400000-004ef000 r-xp 00001000 fe:01 1311 /opt/a b (deleted)\n7ffc0-7ffe0 rw-p 00000000 00:00 0  [stack]\n"),
        (1, "stat", "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 6 0 123456 1000000 250 18446744073709551615 1 1 0\n"),
        (
            2,
            "status",
            "Name:\tx\nTgid:\t7\nState:\tS (sleeping)\nTracerPid:\t0\nUid:\t0\t1\t2\t3\nGid:\t0\t0\t0\t0\nNSpid:\t7\t1\nThreads:\t6\nVmRSS:\t  4321 kB\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000000000\nSeccomp:\t2\n",
        ),
        (
            3,
            "cgroup",
            "12:cpu:/kubepods/burstable/pod1/3f2a1b4c5d6e7f80913f2a1b4c5d6e7f80913f2a1b4c5d6e7f80913f2a1b4c5d\n0::/lxc.payload.web/x\n",
        ),
        (4, "syscall", "202 0xc000 0x80 0x0 0x0 0x0 0x0 0x7ffd10 0x46c5a3\n"),
        (
            5,
            "tcp",
            "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12345 1 0 100 0 0 10 0\n   1: B80D0120000000000000000001000000:0050 0:0 0A 0:0 0:0 0 0 0 9 1\n",
        ),
        (6, "unix", "0: 00000002 00000000 00010000 0001 01 77 /run/x\n"),
    ] {
        write(corpus, "procfs", name, &[&[number], text.as_bytes()].concat());
    }
    for (selector, version) in VERSIONS.iter().enumerate() {
        write(corpus, "record", &format!("go1.{}", version.minor), &[&[selector as u8][..], &labels(*version)].concat());
    }
    write(corpus, "cfi", "two-functions", &unwind_table());
    write(corpus, "dwarf", "plain", &types(0));
    write(corpus, "dwarf", "compressed", &types(1));
    write(corpus, "dwarf", "compressed-old", &types(2));
    write(corpus, "saved", "one-goroutine", SNAPSHOT.as_bytes());
    let recorded = Window { timeline: Some(timeline::timeline()), ..window::window() };
    let mut bytes = Vec::new();
    recording::write(&recorded, &mut bytes).unwrap();
    write(corpus, "recording", "window", &bytes);
    // Behind the magic number and the version.
    let mut pieces = Vec::new();
    flate2::read::ZlibDecoder::new(&bytes[14..]).read_to_end(&mut pieces).unwrap();
    write(corpus, "recording", "window-unpacked", &pieces);
}

/// `a=b` as a goroutine's label set; pointers are written as the fuzz target reads them.
fn labels(version: GoVersion) -> Vec<u8> {
    let pointer = |at: u64| 0x4646_4646 << 32 | at;
    let mut words = vec![0u64; 64];
    if version >= GoVersion::new(24, 0) {
        words[..3].copy_from_slice(&[pointer(24), 1, 1]);
        words[3..7].copy_from_slice(&[pointer(496), 1, pointer(497), 1]);
    } else {
        // The map's header, then one bucket: tophashes, eight keys, eight values, the next bucket.
        words[..4].copy_from_slice(&[pointer(8), 1, 0, pointer(64)]);
        words[8] = 0xff;
        words[9..11].copy_from_slice(&[pointer(496), 1]);
        words[25..27].copy_from_slice(&[pointer(497), 1]);
    }
    let mut bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
    bytes[496..498].copy_from_slice(b"ab");
    bytes
}

/// A search table and two entries: an ordinary function, and one whose frame is an expression.
fn unwind_table() -> Vec<u8> {
    let entry = |body: &[u8]| {
        let mut padded = body.to_vec();
        padded.resize((4 + body.len()).next_multiple_of(8) - 4, 0);
        [&(padded.len() as u32).to_le_bytes()[..], &padded].concat()
    };
    // Version 1, "zR", code factor 1, data factor -8, return column 16, pointers absolute in 4 bytes; CFA rsp+8, RA at CFA-8.
    let cie = entry(&[&[0, 0, 0, 0, 1][..], b"zR\0", &[1, 0x78, 16, 1, 0x03, 0x0c, 7, 8, 0x90, 1]].concat());
    let fde = |cie_distance: u32, begin: u32, program: &[u8]| {
        entry(&[&cie_distance.to_le_bytes()[..], &begin.to_le_bytes(), &16u32.to_le_bytes(), &[0], program].concat())
    };
    // push rbp; mov rbp, rsp.
    let first = fde(cie.len() as u32 + 4, CFI_TEXT as u32, &[0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6]);
    // DW_CFA_def_cfa_expression: rsp+64; the return address by an expression.
    let second_at = cie.len() + first.len();
    let second = fde(second_at as u32 + 4, CFI_TEXT as u32 + 16, &[0x0f, 3, 0x77, 0xc0, 0, 0x10, 16, 2, 0x77, 8]);
    let at = [cie.len(), second_at].map(|offset| CFI_FRAME as u32 + offset as u32);
    let mut header = vec![1, 0x03, 0x03, 0x3b];
    header.extend((CFI_FRAME as u32).to_le_bytes());
    header.extend(2u32.to_le_bytes());
    for (number, at) in at.into_iter().enumerate() {
        header.extend((CFI_TEXT as u32 + 16 * number as u32).wrapping_sub(CFI_HEADER as u32).to_le_bytes());
        header.extend(at.wrapping_sub(CFI_HEADER as u32).to_le_bytes());
    }
    let mut seed = (header.len() as u16).to_le_bytes().to_vec();
    seed.extend(20u16.to_le_bytes());
    [seed, header, cie, first, second, vec![0; 64]].concat()
}

/// `type g struct { stack stack; goid uint64 }`, as the fuzz target wants it; inflated as `flags` say, but not shorter: stored blocks.
fn types(flags: u8) -> Vec<u8> {
    // compile_unit; structure_type: name, byte_size; member: name, data_member_location, type; base_type: name, byte_size.
    let abbreviations = [
        &[1, 0x11, 1, 0, 0, 2, 0x13, 1, 0x03, 0x08, 0x0b, 0x0f, 0, 0][..],
        &[3, 0x0d, 0, 0x03, 0x08, 0x38, 0x0f, 0x49, 0x13, 0, 0, 4, 0x24, 0, 0x03, 0x08, 0x0b, 0x0f, 0, 0, 0],
    ]
    .concat();
    let mut unit = vec![0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 8, 1];
    let name = |unit: &mut Vec<u8>, text: &str| unit.extend(text.bytes().chain([0]));
    let word = unit.len() as u32;
    unit.push(4);
    name(&mut unit, "uint64");
    unit.push(8);
    let member = |unit: &mut Vec<u8>, text: &str, at: u8, kind: u32| {
        unit.push(3);
        name(unit, text);
        unit.push(at);
        unit.extend(kind.to_le_bytes());
    };
    let stack = unit.len() as u32;
    unit.push(2);
    name(&mut unit, "runtime.stack");
    unit.push(16);
    member(&mut unit, "lo", 0, word);
    member(&mut unit, "hi", 8, word);
    unit.extend([0, 2]);
    name(&mut unit, "runtime.g");
    unit.push(24);
    member(&mut unit, "stack", 0, stack);
    member(&mut unit, "goid", 16, word);
    unit.extend([0, 0]);
    let length = unit.len() as u32 - 4;
    unit[..4].copy_from_slice(&length.to_le_bytes());
    // zlib: header, one final stored block, Adler-32.
    let (a, b) = unit.iter().fold((1u32, 0u32), |(a, b), &byte| ((a + u32::from(byte)) % 65521, (b + a + u32::from(byte)) % 65521));
    let len = unit.len() as u16;
    let block = [&[0x78, 0x01, 1][..], &len.to_le_bytes(), &(!len).to_le_bytes(), &unit, &(b << 16 | a).to_be_bytes()].concat();
    let content = match flags {
        0 => unit,
        1 => [&[1, 0, 0, 0, 0, 0, 0, 0][..], &u64::from(len).to_le_bytes(), &1u64.to_le_bytes(), &block].concat(),
        _ => [&b"ZLIB"[..], &u64::from(len).to_be_bytes(), &block].concat(),
    };
    [&(abbreviations.len() as u16).to_le_bytes()[..], &[flags], &abbreviations, &content].concat()
}

const SNAPSHOT: &str = r#"{"schema":"goscope.goroutines","schema_version":1,"goscope":"0.1.0","captured_at":"2026-11-30T21:11:18.123456Z",
"target":{"pid":1,"start_ticks":2,"exe":"/a","go_version":"go1.26.8","main_module":"a","stripped":true,"build_mode":"exe"},
"quality":{"torn":0,"skipped":0,"not_resident":0,"unresolved_frames":0,"threads_stopped":0,"longest_stop_ns":0,"layout":"table"},
"counts":{"total":1,"user":1,"system":0,"dead":0,"matched":1,"by_status":{"waiting":1}},
"goroutines":[{"id":1,"status":"waiting","wait_reason":"chan receive","wait_min_ns":5,"created_by":{"function":"main.main","file":"/m.go","line":3,"goroutine":1},
"start":{"function":"main.f","file":"/m.go","line":9},"labels":{"k":"v\u001b"},"thread":{"tid":1,"m":0,"p":null},"locked":false,"system":false,
"blocked_on":{"what":"channel","address":"0xc000010000"},"sp":"0xc000020000","read":"consistent","stack":0}],
"stacks":[{"frames":[{"function":"runtime.gopark","file":"/p.go","line":4,"address":"0x1","inlined":false,"kind":"go"},
{"function":"main.f","file":"/m.go","line":9,"address":"0x2","inlined":true,"kind":"inlined"}],"cut":null}]}"#;
