//! Which row to believe: the table where it was checked for exactly this release, else the target's DWARF, else the nearest row with a warning.
//!
//! DWARF would always be right, but `.debug_info` has to be inflated for it: measured 7 ms on dlv (23 MB) and 10 ms on docker (43 MB), against
//! 3 us for the table. `tests/layout.rs` proves that the table says the same for the releases it was compared with, so it goes first for those.

use super::dwarf::from_dwarf;
use super::table::{self, NEWEST, OLDEST};
use super::{GoVersion, Layout, Source};
use crate::error::{Error, Result};
use crate::target::elf::Elf;

#[derive(Debug)]
pub struct Choice {
    pub layout: Layout,
    pub source: Source,
    pub warnings: Vec<String>,
}

/// `version` is the build info's text, `None` where it has none (obfuscated). `plausible` tests a row against the target: a row that fails is
/// never returned. Errors: Target, when the Go is too old or no row passes.
pub fn choose(version: Option<&str>, elf: &Elf, plausible: &dyn Fn(&Layout) -> bool) -> Result<Choice> {
    let parsed = version.and_then(GoVersion::parse);
    if let (Some(text), Some(old)) = (version, parsed.filter(|v| *v < OLDEST)) {
        return Err(Error::target(format!("built with {text}: goscope reads Go 1.{} and newer", OLDEST.minor))
            .hint(format!("rebuild the program with a newer Go than 1.{}", old.minor)));
    }
    let found = |layout, source, warnings| Ok(Choice { layout, source, warnings });
    let row = parsed.and_then(table::from_table).filter(|row| plausible(row));
    let exact = version.is_some_and(plain_release) && parsed.is_some_and(table::is_checked);
    if let Some(row) = row.as_ref().filter(|_| exact) {
        return found(row.clone(), Source::Table, Vec::new());
    }
    if let Some(layout) = from_dwarf(elf).filter(|row| plausible(row)) {
        return found(layout, Source::Dwarf, Vec::new());
    }
    let told = version.unwrap_or("an unknown Go version");
    if let Some(row) = row {
        // A patch release newer than those checked keeps its minor release's layout; a vendor's Go or a development version may not.
        return match version.is_some_and(plain_release) {
            true => found(row, Source::Table, Vec::new()),
            false => {
                found(row, Source::Guess, vec![format!("'{told}' is not a Go release: the offsets of the nearest release are assumed")])
            }
        };
    }
    let newer = parsed.is_some_and(|v| v > NEWEST);
    let candidate = table::rows_newest_first().find(|(_, row)| plausible(row));
    match candidate {
        Some((since, row)) => {
            let assumed = if newer { NEWEST } else { since };
            let warning = format!("built with {told}, which goscope does not know: the offsets of Go 1.{} are assumed", assumed.minor);
            found(row, Source::Guess, vec![warning])
        }
        None => Err(Error::target(format!("built with {told}: the runtime's structures match no Go version that goscope knows"))
            .hint("a binary with DWARF (built without -ldflags=-s or -w) is read whatever its Go version")),
    }
}

/// `go1.26`, `go1.26.8`, with or without ` X:experiment`; not `devel …`, `go1.27rc1`, `go1.22.5-vendor`.
fn plain_release(version: &str) -> bool {
    let (release, rest) = version.split_once(' ').unwrap_or((version, ""));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let numbers = release.strip_prefix("go1.").is_some_and(|numbers| numbers.split('.').all(digits));
    // Of all experiments only this one changes structs that we read (runtime/lockrank_on.go: every mutex grows).
    let experiments = rest.is_empty() || rest.starts_with("X:") && !rest.contains("staticlockranking");
    numbers && experiments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_told_from_development_and_vendor_versions() {
        for yes in ["go1.18", "go1.26.8", "go1.21.5 X:boringcrypto", "go1.26.8 X:nocoverageredesign,arenas"] {
            assert!(plain_release(yes), "{yes}");
        }
        for no in [
            "devel go1.28-abcdef Mon Jan 1",
            "go1.27rc1",
            "go1.22.5-vendor",
            "go1.21.0 (Red Hat 1.21.0-1.el9)",
            "go1.25-20250209-RC00 cl/724970549 +ff27d270c9 X:fieldtrack,boringcrypto",
            "go1.26.8 X:staticlockranking",
            "unknown",
            "",
        ] {
            assert!(!plain_release(no), "{no}");
        }
    }

    fn this_test() -> Elf {
        Elf::open(&std::env::current_exe().unwrap()).unwrap()
    }

    #[test]
    fn a_known_release_takes_its_row() {
        let choice = choose(Some("go1.26.8"), &this_test(), &|_| true).unwrap();
        assert_eq!(choice.source, Source::Table);
        assert_eq!(Some(choice.layout), table::from_table(GoVersion::new(26, 8)));
        assert!(choice.warnings.is_empty());
    }

    #[test]
    fn a_newer_go_is_a_guess_with_a_warning() {
        let choice = choose(Some("go1.93.1"), &this_test(), &|_| true).unwrap();
        assert_eq!(choice.source, Source::Guess);
        assert_eq!(Some(choice.layout), table::from_table(NEWEST));
        assert_eq!(choice.warnings, ["built with go1.93.1, which goscope does not know: the offsets of Go 1.27 are assumed"]);
    }

    #[test]
    fn an_unknown_version_takes_the_row_that_fits() {
        let wanted = table::from_table(GoVersion::new(21, 0)).unwrap();
        let choice = choose(None, &this_test(), &|row| *row == wanted).unwrap();
        assert_eq!(choice.source, Source::Guess);
        assert_eq!(choice.layout, wanted);
        assert_eq!(choice.warnings, ["built with an unknown Go version, which goscope does not know: the offsets of Go 1.21 are assumed"]);
    }

    #[test]
    fn no_row_is_better_than_a_wrong_one() {
        for version in [None, Some("go1.26.8"), Some("go1.93")] {
            let error = choose(version, &this_test(), &|_| false).unwrap_err();
            assert_eq!(error.kind, crate::error::Kind::Target);
        }
    }

    #[test]
    fn too_old_is_said() {
        let error = choose(Some("go1.17.13"), &this_test(), &|_| true).unwrap_err();
        assert_eq!(error.message, "built with go1.17.13: goscope reads Go 1.18 and newer");
        assert_eq!(error.hints.len(), 1);
    }
}
