//! Who may use whom (ARCHITECTURE.md), and where `unsafe` may stand.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// A module and the ones it may use; `cli` and `main` may use all.
const BASE: &[(&str, &[&str])] = &[
    ("sys", &[]),
    ("error", &[]),
    ("formats", &["error"]),
    ("target", &["sys", "error"]),
    ("output", &["formats", "error"]),
    ("probes", &["sys", "target", "error"]),
];
/// A feature may use the base, and never another feature.
const FEATURES: &[&str] = &["ps", "info", "goroutines", "cardinality", "sched"];
const TOP: &[&str] = &["cli", "main", "lib"];

struct Source {
    path: PathBuf,
    /// Below `src`, without the extension: `["goroutines", "report", "json"]`.
    parts: Vec<String>,
    /// Without comments, string contents and the unit tests at the end.
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    let source = |path: PathBuf| {
        let below = path.strip_prefix(&root).unwrap().with_extension("");
        let parts = below.iter().map(|part| part.to_str().unwrap().to_owned()).filter(|part| part != "mod").collect();
        let code = bare_code(&fs::read_to_string(&path).unwrap());
        Source { path, parts, code }
    };
    let sources: Vec<Source> = files.into_iter().map(source).collect();
    assert!(sources.len() > 20, "the source tree was not found");
    sources
}

fn bare_code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    // In one pass, so that a quote in a comment or a slash in a string means nothing.
    let words = Regex::new(r##"(?s)r#".*?"#|"(?:[^"\\]|\\.)*"|'(?:\\.[^']*|[^'\\])'|//[^\n]*|/\*.*?\*/"##).unwrap();
    words.replace_all(text, "''").into_owned()
}

/// What follows `crate::`, one entry for each path, groups taken apart: `target::elf`.
fn uses(code: &str) -> BTreeSet<String> {
    let path = Regex::new(r"\bcrate::([a-z_]+(?:::[a-z_]+)*)").unwrap();
    let group = Regex::new(r"\bcrate::\{([^}]*)\}").unwrap();
    let single = path.captures_iter(code).map(|found| found[1].to_owned());
    let grouped = group.captures_iter(code).flat_map(|found| found[1].split(',').map(|part| part.trim().to_owned()).collect::<Vec<_>>());
    single.chain(grouped).filter(|used| !used.is_empty()).collect()
}

#[test]
fn the_reader_of_uses_reads_them() {
    let code = bare_code(
        "use crate::target::elf::Elf;\nuse crate::{sys, output};\n// crate::ps\nlet x = \"crate::info\"; let q = ['\"', '\\'']; crate::error::f();",
    );
    let found: Vec<String> = uses(&code).into_iter().collect();
    assert_eq!(found, ["error::f", "output", "sys", "target::elf"]);
}

#[test]
fn modules_use_only_what_they_may() {
    let mut wrong = Vec::new();
    for source in sources() {
        let module = source.parts[0].as_str();
        let allowed: Vec<&str> = match BASE.iter().find(|(name, _)| *name == module) {
            Some((_, allowed)) => allowed.to_vec(),
            None if FEATURES.contains(&module) => BASE.iter().map(|(name, _)| *name).collect(),
            None if TOP.contains(&module) => continue,
            None => panic!("{}: a module that this test does not know; add it to the rule", source.path.display()),
        };
        for used in uses(&source.code) {
            let used = used.split("::").next().unwrap().to_owned();
            if used != module && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{} uses {used}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "against ARCHITECTURE.md:\n{}", wrong.join("\n"));
}

/// The parts of a feature: `["goroutines", "analyze", …]`.
fn part(source: &Source) -> Option<&str> {
    let feature = FEATURES.contains(&source.parts[0].as_str());
    source.parts.get(1).filter(|_| feature).map(String::as_str)
}

fn assert_without(kind: &str, forbidden: &str) {
    let forbidden = Regex::new(forbidden).unwrap();
    let mut seen = 0;
    for source in sources().iter().filter(|source| part(source) == Some(kind)) {
        seen += 1;
        if let Some(found) = forbidden.find(&source.code) {
            panic!("{}: `{}` does not belong into {kind}", source.path.display(), found.as_str());
        }
    }
    assert!(seen >= FEATURES.len(), "no {kind} in some feature");
}

#[test]
fn analyze_is_pure() {
    assert_without(
        "analyze",
        r"std::(fs|net|env|process|thread|io)\b|::now\(|\bcrate::(sys|output)\b|\b(super|crate::[a-z]+)::(collect|report)\b",
    );
    // Of the base, only types.
    assert_without("analyze", r"\bcrate::target::(process|memory|runtime|scan)\b");
}

#[test]
fn reports_never_collect() {
    assert_without(
        "report",
        r"std::(fs|net|process|thread)\b|::now\(|\bcrate::sys\b|\b(super|crate::[a-z]+)::collect\b|\bcrate::target::(memory|runtime|scan)\b",
    );
}

#[test]
fn models_are_plain() {
    assert_without("model", r"\bserde\b|std::(fs|net|env|process|thread|io)\b|\bcrate::(sys|output)\b");
}

#[test]
fn unsafe_stands_in_sys_alone() {
    let word = Regex::new(r"\bunsafe\b").unwrap();
    let allowance = Regex::new(r"allow\(unsafe_code\)").unwrap();
    let mut in_sys = 0;
    for source in sources() {
        let has = word.is_match(&source.code);
        match source.parts[0].as_str() {
            "sys" => in_sys += usize::from(has),
            "lib" => assert_eq!(allowance.find_iter(&source.code).count(), 1, "only sys may be exempt"),
            _ => assert!(!has && !allowance.is_match(&source.code), "{} has unsafe code", source.path.display()),
        }
    }
    assert!(in_sys > 0, "nothing was looked at");
}

#[test]
fn main_is_short() {
    let main = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/main.rs")).unwrap();
    assert!(main.lines().count() <= 60);
}
