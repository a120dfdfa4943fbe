//! Probe sites in executables of arm64, looked at as files: what stands before a site, by Go's own disassembler, and where arguments
//! stand at it, by DWARF. The registers are those of `probes/registers.h`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of a test may unwrap

#[macro_use]
#[path = "support/arm64_cells.rs"]
mod arm64_cells;
mod common;

use std::collections::HashMap;
use std::env;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output};

use common::fixture::path;
use flate2::read::ZlibDecoder;
use gimli::{
    AttributeValue, DebuggingInformationEntry, Dwarf, DwarfSections, EndianSlice, LittleEndian, Operation, Register, Unit, constants,
};
use goscope::probes::sites::{Found, Site, find_in};
use goscope::target::elf::{Elf, Machine};
use goscope::target::layout::{GoVersion, from_table};
use goscope::target::moduledata::{self, Module};

arm64_cells!(check);

fn check(version: &str, mode: &str) {
    let go = GoVersion::parse(&format!("go{version}")).unwrap();
    let full = path(version, mode, "full", "zoo");
    let elf = Elf::open(&full).unwrap();
    let sites = sites(&elf, go);
    let stripped = Elf::open(&path(version, mode, "sw", "zoo")).unwrap();
    let functions = |sites: &[Found]| -> Vec<_> { sites.iter().map(|found| (found.function, found.address)).collect() };
    assert_eq!(functions(&sites), functions(&self::sites(&stripped, go)), "the full and the stripped executable");
    let code = disassembled(&full, &sites);
    for found in &sites {
        nothing_is_changed_before(found, &code[found.function]);
    }
    arguments_stand_where_the_table_says(&elf, go, &sites);
}

/// All sites, in the order of `Site::ALL`.
fn sites(elf: &Elf, go: GoVersion) -> Vec<Found> {
    assert_eq!(elf.machine, Machine::Arm64);
    let module = Module::load(elf, &moduledata::find(elf).unwrap(), go, &from_table(go).unwrap()).unwrap();
    find_in(elf, &module, go, &Site::ALL).into_iter().map(|found| found.unwrap_or_else(|missing| panic!("{missing:?}"))).collect()
}

/// Of each function, addresses and instructions in Go's syntax: the register that is written comes last.
fn disassembled(exe: &Path, sites: &[Found]) -> HashMap<String, Vec<(u64, String)>> {
    let names: Vec<&str> = sites.iter().map(|found| found.function.strip_prefix("runtime.").unwrap()).collect();
    let regex = format!(r"^runtime\.({})$", names.join("|"));
    let text = output(Command::new("go").args(["tool", "objdump", "-s", &regex]).arg(exe));
    let mut functions: HashMap<String, Vec<(u64, String)>> = HashMap::new();
    let mut current = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("TEXT ") {
            current = Some(functions.entry(rest.split("(SB)").next().unwrap().to_owned()).or_default());
        } else if let [_, address, _, instruction] = line.split('\t').filter(|field| !field.is_empty()).collect::<Vec<_>>()[..] {
            let address = u64::from_str_radix(address.strip_prefix("0x").unwrap(), 16).unwrap();
            current.as_mut().unwrap().push((address, instruction.trim().to_owned()));
        }
    }
    functions
}

fn nothing_is_changed_before(found: &Found, code: &[(u64, String)]) {
    let function = found.function;
    let at = code.iter().position(|(address, _)| *address == found.address).expect("a site is where an instruction begins");
    let (before, site) = (&code[..at], code[at].1.as_str());
    if found.site == Site::StwEnd {
        assert_eq!(site, "CALL runtime.wakep(SB)");
        return;
    }
    let makes_frame =
        site.starts_with("MOVD.W R30, -") || site.starts_with("SUB $") && (site.ends_with("RSP, R20") || site.ends_with("RSP, R27"));
    let first_branch = function == "runtime.netpollready" && site.starts_with("BEQ ");
    assert!(makes_frame || first_branch, "{function}: {site}");
    for (_, instruction) in before {
        let written = match instruction.split(' ').next().unwrap() {
            "CMP" | "CMPW" | "BLS" => None,
            _ => instruction.rsplit(", ").next(),
        };
        assert!(matches!(written, None | Some("R16" | "R17")), "{function}: {instruction} before the site");
    }
    // The runtime's own stack check says where g stands.
    if let Some((_, first)) = before.first().filter(|_| makes_frame) {
        let g = table("G").0;
        assert!([16, 24].iter().any(|guard| *first == format!("MOVD {guard}(R{g}), R16")), "{function}: {first}");
    }
    // Jumps name a distance in instructions; the one that follows `morestack` names the function and goes to its entry.
    for (address, instruction) in code {
        let distance = instruction.rsplit([' ', ',']).next().unwrap().strip_suffix("(PC)").and_then(|n| n.parse::<i64>().ok());
        let goes_to = distance.map(|distance| address.wrapping_add_signed(4 * distance));
        assert!(
            goes_to.is_none_or(|to| !(code[0].0..=found.address).contains(&to)),
            "{function}: {address:#x} {instruction} passes the site again"
        );
    }
}

/// What the programs take from a register at a site (`on_site` in `probes/sched.bpf.c`), by the parameter's names in the runtime.
const TAKEN: &[(Site, &str, &[&str])] = &[
    (Site::Runqput, "ARGUMENT_0", &["pp", "_p_"]),
    (Site::Runqput, "ARGUMENT_1", &["gp"]),
    (Site::Netpollready, "ARGUMENT_1", &["pd"]),
    (Site::Netpollready, "ARGUMENT_2", &["mode"]),
    (Site::Gosched, "ARGUMENT_0", &["gp"]),
    (Site::Execute, "ARGUMENT_0", &["gp"]),
    (Site::Godead, "ARGUMENT_0", &["gp"]),
    (Site::Gopark, "ARGUMENT_2", &["reason"]),
    // Nobody takes it; it has the fourth register.
    (Site::Gopark, "ARGUMENT_3", &["traceReason", "traceEv"]),
    (Site::GcStart, "ARGUMENT_0", &["trigger"]),
    (Site::StwBegin, "ARGUMENT_0", &["reason"]),
    (Site::Preemptone, "ARGUMENT_0", &["pp", "_p_"]),
];

fn arguments_stand_where_the_table_says(elf: &Elf, go: GoVersion, sites: &[Found]) {
    let sections = DwarfSections::load(|id| Ok::<_, gimli::Error>(section(elf, id.name()))).unwrap();
    let dwarf = sections.borrow(|bytes| EndianSlice::new(bytes, LittleEndian));
    let stand = parameters(&dwarf, sites);
    for &(site, register, names) in TAKEN {
        // Who stops the world is told by Go 1.21 and later.
        if site == Site::StwBegin && go < GoVersion::new(21, 0) {
            continue;
        }
        let found = names.iter().find_map(|name| stand.get(&(site, (*name).to_owned())));
        assert_eq!(found, Some(&table(register)), "{site:?} {names:?}");
    }
}

/// The register in the arm64 column of `probes/registers.h`; DWARF numbers x0 to x30 alike.
fn table(name: &str) -> Register {
    let header = include_str!("../probes/registers.h");
    let row = header.lines().find(|line| line.starts_with(&format!("#define {name} "))).expect(name);
    let number = row.split("regs[").nth(1).and_then(|rest| rest.split(']').next()).expect(row);
    Register(number.parse().unwrap())
}

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// The first register that holds each parameter at the site.
fn parameters(dwarf: &Dwarf<Bytes>, sites: &[Found]) -> HashMap<(Site, String), Register> {
    let mut stand = HashMap::new();
    let mut headers = dwarf.units();
    while let Some(header) = headers.next().unwrap() {
        let unit = dwarf.unit(header).unwrap();
        if unit.name.is_none_or(|name| name.slice() != b"runtime") {
            continue;
        }
        let mut entries = unit.entries();
        let mut inside: Option<&Found> = None;
        while let Some(entry) = entries.next_dfs().unwrap() {
            match entry.tag() {
                constants::DW_TAG_subprogram => inside = sites.iter().find(|found| name(dwarf, &unit, entry) == found.function),
                constants::DW_TAG_formal_parameter if entry.depth() == 2 => {
                    let found = inside.and_then(|found| Some((found.site, register_at(dwarf, &unit, entry, found.address)?)));
                    if let Some((site, register)) = found {
                        stand.insert((site, name(dwarf, &unit, entry)), register);
                    }
                }
                _ => {}
            }
        }
    }
    stand
}

/// Of a function that is also inlined somewhere, the name stands elsewhere.
fn name(dwarf: &Dwarf<Bytes>, unit: &Unit<Bytes>, entry: &DebuggingInformationEntry<Bytes>) -> String {
    match (entry.attr_value(constants::DW_AT_name), entry.attr_value(constants::DW_AT_abstract_origin)) {
        (Some(name), _) => dwarf.attr_string(unit, name).unwrap().to_string().unwrap().to_owned(),
        (None, Some(AttributeValue::UnitRef(origin))) => name(dwarf, unit, &unit.entry(origin).unwrap()),
        _ => String::new(),
    }
}

fn register_at(dwarf: &Dwarf<Bytes>, unit: &Unit<Bytes>, entry: &DebuggingInformationEntry<Bytes>, address: u64) -> Option<Register> {
    let mut locations = dwarf.attr_locations(unit, entry.attr_value(constants::DW_AT_location)?).unwrap()?;
    while let Some(location) = locations.next().unwrap() {
        if (location.range.begin..location.range.end).contains(&address) {
            return match location.data.operations(unit.encoding()).next().unwrap()? {
                Operation::Register { register } => Some(register),
                _ => None,
            };
        }
    }
    None
}

/// Empty when there is none. Go 1.18 compresses as old GNU tools do: `ZLIB`, a big-endian size, a zlib stream; later ones by Elf64_Chdr.
fn section(elf: &Elf, name: &str) -> Vec<u8> {
    let (section, header) = match (elf.section(name), elf.section(&name.replace(".debug_", ".zdebug_"))) {
        (Some(section), _) => (section, if section.flags & u64::from(object::elf::SHF_COMPRESSED) == 0 { 0 } else { 24 }),
        (None, Some(section)) => (section, 12),
        (None, None) => return Vec::new(),
    };
    let data = elf.section_data(section).unwrap();
    if header == 0 {
        return data;
    }
    let mut inflated = Vec::new();
    ZlibDecoder::new(&data[header..]).read_to_end(&mut inflated).unwrap();
    inflated
}

#[test]
fn the_probes_compile_for_arm64() {
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    let mut command = Command::new(clang);
    command.args([
        "-O2",
        "-g",
        "-target",
        "bpf",
        "-mcpu=v3",
        "-D__TARGET_ARCH_arm64",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wno-unused-function",
    ]);
    output(command.args(["-c", "probes/sched.bpf.c", "-o", "/dev/null"]));
}

fn output(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("go and clang are needed");
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}
