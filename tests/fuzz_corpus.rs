//! Replays the corpus of the fuzzers (`fuzz/corpus`): the seeds, and every input that once broke something.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../fuzz/src/targets.rs"]
mod targets;

use std::fs;
use std::path::{Path, PathBuf};

use goscope::sys::memfd;
use goscope::target::binary::Binary;
use goscope::target::elf::Elf;
use goscope::target::layout::{Field, GoVersion, from_table};
use goscope::target::moduledata::{self, Module};
use targets::{ALL, VERSIONS};

fn corpus(target: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn every_input_of_the_corpus_is_survived() {
    for (name, target) in ALL {
        let inputs = corpus(name);
        assert!(!inputs.is_empty(), "{name} has no seeds");
        for input in inputs {
            let bytes = fs::read(&input).unwrap();
            assert!(bytes.len() <= 4096, "{} is too large to keep", input.display());
            eprintln!("{}", input.display());
            target(&bytes);
        }
    }
}

#[test]
fn every_prefix_and_every_changed_byte_of_the_seeds_is_survived() {
    for (name, target) in ALL {
        for input in corpus(name) {
            let bytes = fs::read(&input).unwrap();
            for at in (0..bytes.len()).step_by(7) {
                target(&bytes[..at]);
                let mut changed = bytes.clone();
                changed[at] ^= 0xff;
                target(&changed);
            }
        }
    }
}

/// Seeds that are refused at the door would test nothing.
#[test]
fn the_seeds_are_go_programs() {
    for input in corpus("elf").into_iter().filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("go1."))) {
        let elf = Elf::from_file(memfd::with_bytes("seed", &fs::read(&input).unwrap()).unwrap()).unwrap();
        let binary = Binary::find(&elf).unwrap().expect("has build information");
        let version = GoVersion::parse(&binary.build.go_version).unwrap();
        assert!(VERSIONS.contains(&GoVersion::new(version.minor, 0)));
        let found = moduledata::find(&elf).unwrap();
        let module = Module::load(&elf, &found, version, &from_table(version).unwrap()).unwrap();
        let goexit = module.pclntab.find_names(&["runtime.goexit"])[0].unwrap();
        assert_eq!(module.pclntab.sp_delta(&goexit, goexit.start + 1), Some(0));
    }
}

#[test]
fn the_seeds_of_dwarf_describe_a_goroutine() {
    for input in corpus("dwarf").into_iter().filter(|path| !path.to_string_lossy().contains("regression")) {
        let layout = targets::layout_of(&fs::read(&input).unwrap()).unwrap_or_else(|| panic!("{}", input.display()));
        assert_eq!((layout.get(Field::GGoid), layout.get(Field::GStackHi), layout.get(Field::GSize)), (Some(16), Some(8), Some(24)));
    }
}
