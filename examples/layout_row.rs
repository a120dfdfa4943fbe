//! Prints the row of runtime offsets of an unstripped Go binary beside the table's: the first step for a new Go version.
//!
//!     cargo run --example layout_row -- path/to/binary [1.27.4]

use std::path::Path;
use std::process::ExitCode;

use goscope::target::elf::Elf;
use goscope::target::layout::{Field, GoVersion, from_dwarf, from_table};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(path) = args.next() else {
        eprintln!("usage: layout_row BINARY [GO-VERSION]");
        return ExitCode::from(2);
    };
    let elf = match Elf::open(Path::new(&path)) {
        Ok(elf) => elf,
        Err(e) => {
            eprintln!("{e}");
            return ExitCode::from(5);
        }
    };
    let Some(row) = from_dwarf(&elf) else {
        eprintln!("{path}: no DWARF of the Go runtime");
        return ExitCode::from(3);
    };
    let table = args.next().and_then(|v| GoVersion::parse(&format!("go{v}"))).and_then(from_table);
    let show = |offset: Option<u64>| offset.map_or("-".to_owned(), |o| o.to_string());
    for &field in Field::ALL {
        let here = row.get(field);
        match table.as_ref().map(|t| t.get(field)) {
            Some(other) if other != here => println!("{:<28} {:>8}  table: {}", field.path(), show(here), show(other)),
            _ => println!("{:<28} {:>8}", field.path(), show(here)),
        }
    }
    ExitCode::SUCCESS
}
