//! The layout table against the DWARF of real binaries: every Go release it was checked with, amd64 and arm64, pure Go and cgo.
//! Fixtures are built on first use with each Go toolchain and kept in the target directory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;

use goscope::target::elf::Elf;
use goscope::target::layout::{Field, Layout, Source, choose, from_dwarf, from_table};

#[path = "support/tiny_go.rs"]
mod tiny_go;
use tiny_go::{ARM64, Build, CGO, RELEASES, STATIC, build, open, version};

const PLAIN_SECTIONS: Build = Build { name: "plain", cgo: false, env: &[], flags: &["-ldflags=-compressdwarf=false"] };
const STRIPPED: Build = Build { name: "stripped", cgo: false, env: &[], flags: &["-ldflags=-s -w"] };

/// `field: table, dwarf` for every field of `fields` that differs.
fn differences<'a>(fields: impl Iterator<Item = &'a Field>, table: &Layout, dwarf: &Layout) -> Vec<String> {
    let differ = |f: &&Field| table.get(**f) != dwarf.get(**f);
    let show = |f: &Field| format!("{}: table {:?}, DWARF {:?}", f.path(), table.get(*f), dwarf.get(*f));
    fields.filter(differ).map(show).collect()
}

fn compare_all(kind: &Build) {
    compare(kind, |_| true);
}

fn compare(kind: &Build, wanted: impl Fn(&Field) -> bool) {
    for release in RELEASES {
        let dwarf = from_dwarf(&open(release, kind)).unwrap_or_else(|| panic!("go {release} {}: no DWARF row", kind.name));
        let table = from_table(version(release)).unwrap_or_else(|| panic!("go {release} is newer than the table"));
        assert_eq!(
            differences(Field::ALL.iter().filter(|field| wanted(field)), &table, &dwarf),
            Vec::<String>::new(),
            "go {release} {}",
            kind.name
        );
    }
}

#[test]
fn table_equals_dwarf_static() {
    compare_all(&STATIC);
}

#[test]
fn table_equals_dwarf_cgo() {
    compare_all(&CGO);
}

#[test]
fn table_equals_dwarf_arm64() {
    // `workType` is padded to cache lines, which are longer there.
    compare(&ARM64, |field| !field.path().starts_with("workType."));
}

#[test]
fn every_field_exists_in_some_release() {
    for &field in Field::ALL {
        let known = RELEASES.iter().any(|r| from_table(version(r)).unwrap().get(field).is_some());
        assert!(known, "{} is in no row", field.path());
    }
}

#[test]
fn uncompressed_dwarf_is_read() {
    for release in ["1.18.10", "1.27.4"] {
        let dwarf = from_dwarf(&open(release, &PLAIN_SECTIONS)).unwrap();
        assert_eq!(Some(dwarf), from_table(version(release)), "go {release}");
    }
}

#[test]
fn a_stripped_binary_has_no_dwarf_row_and_takes_the_table() {
    for release in RELEASES {
        let elf = open(release, &STRIPPED);
        assert_eq!(from_dwarf(&elf), None, "go {release}");
        let choice = choose(Some(&format!("go{release}")), &elf, &|_| true).unwrap();
        assert_eq!((choice.source, choice.warnings.len()), (Source::Table, 0), "go {release}");
    }
}

#[test]
fn dwarf_wins_over_the_guess_for_a_development_version() {
    let elf = open("1.25.14", &STATIC);
    for told in ["devel go1.99-0123abc Mon Jan 1", "go1.25.1-vendor", "go1.25.99"] {
        let choice = choose(Some(told), &elf, &|_| true).unwrap();
        assert_eq!((choice.source, choice.warnings.len()), (Source::Dwarf, 0), "{told}");
        assert_eq!(Some(choice.layout), from_table(version("1.25.14")), "{told}");
    }
}

/// Corrupt bytes give no row or a wrong row, never a panic, a hang or a huge allocation.
#[test]
fn corrupt_dwarf_never_panics() {
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut rows = 0;
    for (release, kind) in [("1.18.10", &PLAIN_SECTIONS), ("1.27.4", &PLAIN_SECTIONS), ("1.24.13", &STATIC)] {
        let elf = open(release, kind);
        let sections: Vec<_> =
            elf.sections.iter().filter(|s| s.name.ends_with("debug_info") || s.name.ends_with("debug_abbrev")).cloned().collect();
        assert_eq!(sections.len(), 2);
        let good = fs::read(build(release, kind)).unwrap();
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("corrupt-{release}"));
        for round in 0..100 {
            let mut bad = good.clone();
            let section = &sections[round % 2];
            // Many small errors, or one in the first bytes, where the headers are.
            let (count, within) = if round % 4 < 2 { (200, section.size) } else { (3, section.size.min(64)) };
            for _ in 0..count {
                let at = (section.offset + random() % within) as usize;
                bad[at] = random() as u8;
            }
            fs::write(&path, &bad).unwrap();
            rows += usize::from(from_dwarf(&Elf::open(&path).unwrap()).is_some());
        }
        for keep in 0..20 {
            fs::write(&path, &good[..good.len() * keep / 20]).unwrap();
            if let Ok(elf) = Elf::open(&path) {
                from_dwarf(&elf);
            }
        }
        fs::remove_file(&path).unwrap();
    }
    assert!(rows < 300, "no corruption was noticed");
}
