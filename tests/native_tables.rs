//! Unwind tables of this machine's own binaries, and broken ones: bytes in, registers out, no process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/property.rs"]
mod property;

use std::fs;
use std::path::{Path, PathBuf};

use goscope::target::elf::Elf;
use goscope::target::native::Registers;
use goscope::target::native::cfi::{Caller, Cfi};
use goscope::target::native::depth::{At, CallerBp, Depth, depth};
use object::read::elf::{ElfFile64, FileHeader};
use proptest::prelude::*;

const STACK: u64 = 0x7000_0000_0000;
const RETURN: u64 = 0x1234_5678;

/// libc as this test uses it, from its own memory map.
fn libc() -> PathBuf {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let path = maps.lines().filter_map(|l| l.split_whitespace().nth(5)).find(|p| p.contains("libc.so") || p.contains("libc-2"));
    PathBuf::from(path.expect("the test is linked with libc"))
}

/// A stack where every word names its own address, but for the return address on top.
fn word(address: u64) -> u64 {
    if address == STACK { RETURN } else { address }
}

fn read(address: u64, buffer: &mut [u8]) -> bool {
    buffer.copy_from_slice(&word(address).to_le_bytes()[..buffer.len()]);
    true
}

/// (entry, size) of each exported function.
fn functions(path: &Path) -> Vec<(u64, u64)> {
    let data = fs::read(path).unwrap();
    let elf = ElfFile64::<object::LittleEndian>::parse(&*data).unwrap();
    let endian = elf.endian();
    let sections = elf.elf_header().sections(endian, &*data).unwrap();
    let symbols = sections.symbols(endian, &*data, object::elf::SHT_DYNSYM).unwrap();
    let functions = symbols.iter().filter(|s| s.st_type() == object::elf::STT_FUNC && s.st_size.get(endian) > 0);
    functions.map(|s| (s.st_value.get(endian), s.st_size.get(endian))).collect()
}

fn at_entry() -> Registers {
    Registers::at(0, STACK)
}

#[test]
fn every_function_of_libc_unwinds_at_its_entry() {
    let path = libc();
    let cfi = Cfi::of(&Elf::open(&path).unwrap()).unwrap();
    let functions = functions(&path);
    assert!(functions.len() > 1000);
    for (entry, _) in functions {
        let caller = cfi.caller(entry, &at_entry(), &mut read).unwrap();
        assert_eq!((caller.registers.pc(), caller.registers.sp(), caller.interrupted), (RETURN, STACK + 8, false), "{entry:#x}");
    }
}

#[test]
fn search_table_and_plain_scan_agree() {
    let elf = Elf::open(&libc()).unwrap();
    let with_table = Cfi::of(&elf).unwrap();
    let section = elf.section(".eh_frame").unwrap();
    let scan = Cfi::new(elf.section_data(section).unwrap(), section.address, Vec::new(), 0, 0);
    let text = elf.section(".text").unwrap();
    let mut covered = 0;
    for address in (text.address..text.address + text.size).step_by(61) {
        let [a, b] = [&with_table, &scan].map(|cfi| cfi.caller(address, &at_entry(), &mut read));
        assert_eq!(a, b, "{address:#x}");
        covered += usize::from(a.is_ok());
    }
    assert!(covered > 1000, "{covered}");
}

/// Where the compiler's table gives the frame's base from the stack pointer, following the code must give the same or nothing.
#[test]
fn depth_agrees_with_the_table() {
    let path = std::env::var("NATIVE_TABLES_OF").map_or_else(|_| libc(), PathBuf::from);
    let elf = Elf::open(&path).unwrap();
    let cfi = Cfi::of(&elf).unwrap();
    let (mut answers, mut none, mut disagree) = (0, 0, Vec::new());
    for (begin, size) in functions(&path) {
        let Some((entry, end)) = cfi.function(begin) else { continue };
        if entry != begin {
            continue;
        }
        let code = elf.read_address_vec(entry, end - entry).unwrap();
        let mut decoder = iced_x86::Decoder::with_ip(64, &code, entry, 0);
        for instruction in decoder.iter().step_by(13) {
            let pc = instruction.ip();
            if pc >= begin + size {
                break;
            }
            // Only pc and sp are known: a base in any other register is no answer.
            let Ok(Caller { registers, .. }) = cfi.caller(pc, &at_entry(), &mut read) else { continue };
            match depth(&code, entry, At::Instruction(pc)) {
                Some(Depth { sp, caller_bp }) => {
                    answers += 1;
                    let mut by_depth = vec![STACK + sp];
                    let mut by_table = vec![registers.sp()];
                    if let (CallerBp::Saved(below), Some(bp)) = (caller_bp, registers.get(gimli::X86_64::RBP)) {
                        by_depth.push(word(STACK + sp - below));
                        by_table.push(bp);
                    }
                    if by_depth != by_table {
                        disagree.push((pc, by_depth, by_table));
                    }
                }
                None => none += 1,
            }
        }
    }
    println!("{}: {answers} answers, {none} without, {} wrong", path.display(), disagree.len());
    assert!(answers > 5_000 && answers > none, "{answers} answers, {none} without");
    assert!(disagree.is_empty(), "{:#x?}", &disagree[..disagree.len().min(20)]);
}

proptest! {
    #![proptest_config(property::cases(100))]

    #[test]
    fn broken_tables_do_no_harm(seed in any::<prop::sample::Index>(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..200)) {
        let elf = Elf::open(&libc()).unwrap();
        let frame = elf.section(".eh_frame").unwrap();
        let header = elf.section(".eh_frame_hdr").unwrap();
        let mut bytes = elf.section_data(frame).unwrap();
        let mut table = elf.section_data(header).unwrap();
        let window = seed.index(bytes.len() - 1024);
        for (index, value) in &flips {
            bytes[window + index.index(1024)] = *value;
            let at = index.index(if value % 2 == 0 { 16 } else { table.len() });
            table[at] = *value;
        }
        for table in [table, Vec::new()] {
            let broken = Cfi::new(bytes.clone(), frame.address, table, header.address, 0);
            let text = elf.section(".text").unwrap();
            for address in (text.address..text.address + text.size).step_by(9973) {
                let _ = broken.caller(address, &at_entry(), &mut read);
                let _ = broken.function(address);
            }
        }
    }

    #[test]
    fn any_bytes_as_code(code in prop::collection::vec(any::<u8>(), 0..400), offset in 0u64..400) {
        let _ = depth(&code, 0x1000, At::Instruction(0x1000 + offset));
        let _ = depth(&code, u64::MAX - 100, At::CallReturningTo(offset));
    }
}
