//! Executables of another machine, looked at as files: names and lines equal those of Go's own reader (`go tool addr2line`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of a test may unwrap

#[macro_use]
#[path = "support/arm64_cells.rs"]
mod arm64_cells;
mod common;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use common::fixture::path;
use goscope::target::elf::{Elf, Machine};
use goscope::target::layout::{GoVersion, from_table};
use goscope::target::moduledata::{self, Module};
use goscope::target::symbols::GoSymbols;
use goscope::target::unwind::Pc;

arm64_cells!(compare);

/// One instruction in the middle of each function, and its first.
fn compare(version: &str, mode: &str) {
    let full = path(version, mode, "full", "zoo");
    let stripped = path(version, mode, "sw", "zoo");
    let (ours, addresses) = our_answers(&full, version);
    let (of_stripped, _) = our_answers(&stripped, version);
    assert_eq!(ours.len(), of_stripped.len(), "functions of the full and of the stripped executable");
    for (full, stripped) in ours.iter().zip(&of_stripped) {
        assert_eq!(full.function, stripped.function);
        assert_eq!((&full.file, full.line), (&stripped.file, stripped.line), "{}", full.function);
    }
    let theirs = addr2line(&full, &addresses);
    assert!(ours.len() > 4000, "only {} positions", ours.len());
    let mut compared = 0;
    for (ours, (function, place)) in ours.iter().zip(&theirs) {
        // Symbols that pclntab does not name are none of Go's.
        if function == "?" {
            continue;
        }
        assert_eq!(ours.function, *function, "{:#x}", ours.address);
        assert_eq!(format!("{}:{}", ours.file, ours.line), *place, "{function} {:#x}", ours.address);
        compared += 1;
    }
    assert!(compared > 4000, "only {compared} positions compared");
}

struct Answer {
    address: u64,
    function: String,
    file: String,
    line: u32,
}

fn our_answers(exe: &Path, version: &str) -> (Vec<Answer>, Vec<u64>) {
    let elf = Elf::open(exe).unwrap();
    assert_eq!(elf.machine, Machine::Arm64);
    let go = GoVersion::parse(&format!("go{version}")).unwrap();
    let found = moduledata::find(&elf).unwrap();
    let module = Module::load(&elf, &found, go, &from_table(go).unwrap()).unwrap();
    let mut symbols = GoSymbols::new(&elf, &module, 0);
    let mut answers = Vec::new();
    let mut addresses = Vec::new();
    for index in 0..module.pclntab.len() {
        let func = module.pclntab.func(index).unwrap();
        let middle = func.start + (func.end - func.start) / 8 * 4;
        for offset in [func.start, middle] {
            let address = module.text + u64::from(offset);
            let stack = symbols.stack(&[Pc::exact(address)], None, |_| Vec::new());
            let (Some(innermost), Some(physical)) = (stack.frames.first(), stack.frames.last()) else { continue };
            if physical.function.is_empty() {
                continue;
            }
            let (function, file) = (physical.function.to_string(), innermost.file.to_string());
            answers.push(Answer { address, function, file, line: innermost.line });
            addresses.push(address);
        }
    }
    (answers, addresses)
}

/// Function and `file:line` of each address, by Go's tool; type arguments printed as the runtime does.
fn addr2line(exe: &Path, addresses: &[u64]) -> Vec<(String, String)> {
    let input: String = addresses.iter().map(|a| format!("{a:#x}\n")).collect();
    let mut child =
        Command::new("go").args(["tool", "addr2line"]).arg(exe).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("go is needed");
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "go tool addr2line");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), addresses.len() * 2);
    lines.chunks(2).map(|pair| (printed(pair[0]), pair[1].to_owned())).collect()
}

fn printed(name: &str) -> String {
    match (name.find('['), name.rfind(']')) {
        (Some(open), Some(close)) if close > open => format!("{}[...]{}", &name[..open], &name[close + 1..]),
        _ => name.to_owned(),
    }
}
