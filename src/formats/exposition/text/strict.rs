//! What readers of Prometheus text other than the server refuse, such as `expfmt` of prometheus/common (`text_parse.go`): a second HELP or
//! TYPE, a TYPE behind the first sample, a series twice, a last line without an end.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use rustc_hash::{FxHashMap, FxHashSet};

use super::super::Label;

#[derive(Debug, Default)]
pub(super) struct Strict {
    names: FxHashMap<Box<str>, Seen>,
    /// Hashes of 64 bits: of a million series, two are taken for one in one of 30 million bodies.
    series: FxHashSet<u64>,
}

#[derive(Debug, Default)]
struct Seen {
    kind: bool,
    help: bool,
    sample: bool,
}

pub(super) const NO_LAST_LINE_FEED: &str = "the last line has no line feed";

/// Ends of the names of samples, which belong to a TYPE without.
const SUFFIXES: [&str; 3] = ["_bucket", "_sum", "_count"];

impl Strict {
    pub fn kind(&mut self, name: &str) -> Option<String> {
        let seen = self.seen(name);
        if std::mem::replace(&mut seen.kind, true) {
            return Some(format!("a second TYPE of {name}"));
        }
        seen.sample.then(|| format!("the TYPE of {name} stands behind its first sample"))
    }

    pub fn help(&mut self, name: &str) -> Option<String> {
        std::mem::replace(&mut self.seen(name).help, true).then(|| format!("a second HELP of {name}"))
    }

    pub fn sample(&mut self, name: &str, labels: &[Label<'_>]) -> Option<String> {
        self.seen(name).sample = true;
        for family in SUFFIXES.iter().filter_map(|suffix| name.strip_suffix(suffix)) {
            self.seen(family).sample = true;
        }
        let build = BuildHasherDefault::<DefaultHasher>::default();
        // A sum: the order of labels does not matter.
        let labels = labels.iter().map(|label| build.hash_one((label.name, label.value))).fold(0, u64::wrapping_add);
        (!self.series.insert(build.hash_one((name, labels)))).then(|| "this series was there before".to_owned())
    }

    fn seen(&mut self, name: &str) -> &mut Seen {
        self.names.entry(name.into()).or_default()
    }
}
