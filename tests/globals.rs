//! Decoded addresses of runtime variables against the symbol tables of unstripped binaries, every Go release and link mode.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use goscope::target::elf::{Elf, Machine};
use goscope::target::globals::{Code, Global, functions, locate};
use goscope::target::layout::{GoVersion, from_table};
use goscope::target::moduledata::{self, Module};
use object::{Object, ObjectSymbol};

#[path = "support/tiny_go.rs"]
mod tiny_go;
use tiny_go::{ARM64, Build, CGO, RELEASES, STATIC, build, open, version};

const PIE: Build = Build { name: "pie", cgo: false, env: &[], flags: &["-buildmode=pie"] };
const CGO_EXTERNAL: Build = Build { name: "cgo-ext", cgo: true, env: &[], flags: &["-ldflags=-linkmode=external"] };
const CGO_PIE: Build = Build { name: "cgo-pie", cgo: true, env: &[], flags: &["-buildmode=pie", "-ldflags=-linkmode=external"] };
const UNOPTIMIZED: Build = Build { name: "unoptimized", cgo: false, env: &[], flags: &["-gcflags=all=-N -l"] };
const NEWER_CPU: Build = Build { name: "v3", cgo: false, env: &[("GOAMD64", "v3")], flags: &[] };
const RACE: Build = Build { name: "race", cgo: true, env: &[], flags: &["-race"] };

/// The functions that tell addresses, found through pclntab alone.
fn code(elf: &Elf, version: GoVersion) -> HashMap<String, Code> {
    let layout = from_table(version).unwrap();
    let found = moduledata::find(elf).unwrap();
    let module = Module::load(elf, &found, version, &layout).unwrap();
    let wanted = functions();
    let mut code = HashMap::new();
    for func in (0..module.pclntab.len()).filter_map(|i| module.pclntab.func(i)) {
        let name = module.pclntab.name(func.name_offset);
        if wanted.contains(&&*name) {
            let address = module.text + u64::from(func.start);
            let bytes = elf.read_address_vec(address, u64::from(func.end - func.start)).unwrap();
            code.insert(name.into_owned(), Code { address, bytes });
        }
    }
    code
}

fn symbols(path: &Path) -> HashMap<String, u64> {
    let data = fs::read(path).unwrap();
    let file = object::File::parse(&*data).unwrap();
    file.symbols().filter_map(|s| Some((s.name().ok()?.to_owned(), s.address()))).collect()
}

fn compare(release: &str, kind: &Build) {
    let elf = open(release, kind);
    let layout = from_table(version(release)).unwrap();
    let code = code(&elf, version(release));
    let symbols = symbols(&build(release, kind));
    for global in Global::ALL {
        let decoded = locate(global, elf.machine, &layout, &|name| code.get(name).cloned());
        let told = *symbols.get(global.name()).unwrap_or_else(|| panic!("go {release} {}: no symbol {}", kind.name, global.name()));
        assert_eq!(decoded, Ok(told), "go {release} {}: {}", kind.name, global.name());
    }
}

#[test]
fn decoded_addresses_equal_the_symbols() {
    for release in RELEASES {
        for kind in [&STATIC, &PIE, &CGO] {
            compare(release, kind);
        }
    }
}

#[test]
fn decoded_addresses_equal_the_symbols_externally_linked() {
    for release in RELEASES {
        for kind in [&CGO_EXTERNAL, &CGO_PIE] {
            compare(release, kind);
        }
    }
}

#[test]
fn decoded_addresses_equal_the_symbols_with_other_compiler_flags() {
    for release in ["1.18.10", "1.22.12", "1.25.14", "1.27.4"] {
        for kind in [&UNOPTIMIZED, &NEWER_CPU, &RACE] {
            compare(release, kind);
        }
    }
}

#[test]
fn arm64_is_told_to_be_missing() {
    let elf = open("1.26.11", &ARM64);
    assert_eq!(elf.machine, Machine::Arm64);
    let code = code(&elf, version("1.26.11"));
    for global in Global::ALL {
        let reason = locate(global, elf.machine, &from_table(version("1.26.11")).unwrap(), &|name| code.get(name).cloned());
        assert_eq!(reason, Err("addresses of runtime variables are decoded on amd64 only, not on arm64".to_owned()));
    }
}
