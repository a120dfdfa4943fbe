//! `completions/` and `man/` are what goscope itself generates. `UPDATE=1 cargo test --test generated` rewrites them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use goscope::cli::{Shell, completions, man_pages};

/// `expected` by file name is all that `directory` holds.
fn check(directory: &str, expected: &BTreeMap<String, Vec<u8>>) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let update = std::env::var_os("UPDATE").is_some_and(|value| value == "1");
    if update {
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        for (name, content) in expected {
            fs::write(directory.join(name), content).unwrap();
        }
    }
    let found: BTreeMap<String, Vec<u8>> = fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    let stale: Vec<&String> = expected.keys().chain(found.keys()).filter(|name| expected.get(*name) != found.get(*name)).collect();
    assert!(stale.is_empty(), "{} is stale: {stale:?}; run: UPDATE=1 cargo test --test generated", directory.display());
}

#[test]
fn completions_are_current() {
    let expected = Shell::ALL.into_iter().map(|shell| (shell.file_name().to_owned(), completions(shell)));
    check("completions", &expected.collect());
}

#[test]
fn manual_pages_are_current() {
    let pages: BTreeMap<_, _> = man_pages().unwrap().into_iter().collect();
    for name in [
        "goscope.1",
        "goscope-ps.1",
        "goscope-info.1",
        "goscope-goroutines.1",
        "goscope-goroutines-diff.1",
        "goscope-sched-diff.1",
        "goscope-report.1",
    ] {
        assert!(pages.contains_key(name), "no page {name}");
    }
    check("man", &pages);
}
