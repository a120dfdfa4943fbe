//! Profiles for `go tool pprof`: gzip of a protocol buffer (github.com/google/pprof, proto/profile.proto).

pub mod proto;

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;
use rustc_hash::FxHashMap;

use proto::{Function, Label, Line, Location, Mapping, Profile, Sample, ValueType};

/// Builds a profile; equal strings, functions and locations are stored once.
pub struct Builder {
    profile: Profile,
    strings: FxHashMap<String, i64>,
    functions: FxHashMap<(i64, i64), u64>,
    locations: FxHashMap<(u64, Vec<(u64, i64)>), u64>,
}

/// One function at a location; of several, each but the last is inlined into the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    pub function: &'a str,
    pub file: &'a str,
    /// 0 when unknown.
    pub line: u32,
}

impl Builder {
    /// The kinds of values that each sample has, `("goroutine", "count")`; the last one is what pprof shows first.
    pub fn new(kinds: &[(&str, &str)]) -> Self {
        let mut builder = Builder {
            profile: Profile { string_table: vec![String::new()], ..Profile::default() },
            strings: FxHashMap::from_iter([(String::new(), 0)]),
            functions: FxHashMap::default(),
            locations: FxHashMap::default(),
        };
        let values = kinds.iter().map(|(kind, unit)| ValueType { r#type: builder.string(kind), unit: builder.string(unit) });
        builder.profile.sample_type = values.collect();
        builder.profile.period_type = builder.profile.sample_type.last().copied();
        builder.profile.period = 1;
        builder
    }

    /// Samples were taken every so many units: `("cpu", "nanoseconds", 10_309_278)`.
    pub fn period(&mut self, kind: &str, unit: &str, period: i64) {
        self.profile.period_type = Some(ValueType { r#type: self.string(kind), unit: self.string(unit) });
        self.profile.period = period;
    }

    pub fn taken_at(&mut self, time: SystemTime, took: Duration) {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.profile.time_nanos = i64::try_from(since.as_nanos()).unwrap_or(0);
        self.profile.duration_nanos = i64::try_from(took.as_nanos()).unwrap_or(0);
    }

    /// The executable that all locations belong to. It says that names are known, so that pprof does not look for a binary.
    pub fn executable(&mut self, path: &str) {
        let filename = self.string(path);
        let (from, to) = self.profile.location.iter().fold((u64::MAX, 0), |(from, to), l| (from.min(l.address), to.max(l.address)));
        self.profile.mapping = vec![Mapping {
            id: 1,
            memory_start: if from > to { 0 } else { from },
            memory_limit: to.saturating_add(1),
            filename,
            has_functions: true,
            has_filenames: true,
            has_line_numbers: true,
            has_inline_frames: true,
            ..Mapping::default()
        }];
        for location in &mut self.profile.location {
            location.mapping_id = 1;
        }
    }

    /// `address` lies in the call instruction; 0 when there is none. Innermost place first.
    pub fn location(&mut self, address: u64, places: &[Place<'_>]) -> u64 {
        let lines: Vec<(u64, i64)> = places.iter().map(|place| (self.function(place), i64::from(place.line))).collect();
        let next = self.profile.location.len() as u64 + 1;
        if let Some(&id) = self.locations.get(&(address, lines.clone())) {
            return id;
        }
        let line = lines.iter().map(|&(function_id, line)| Line { function_id, line }).collect();
        self.profile.location.push(Location { id: next, address, line, ..Location::default() });
        self.locations.insert((address, lines), next);
        next
    }

    /// Innermost location first; one value for each kind.
    pub fn sample<'a>(&mut self, locations: Vec<u64>, values: &[u64], labels: impl IntoIterator<Item = (&'a str, &'a str)>) {
        let label = labels.into_iter().map(|(key, value)| Label { key: self.string(key), str: self.string(value), ..Label::default() });
        let label = label.collect();
        let value = values.iter().map(|&value| i64::try_from(value).unwrap_or(i64::MAX)).collect();
        self.profile.sample.push(Sample { location_id: locations, value, label });
    }

    pub fn comment(&mut self, text: &str) {
        let text = self.string(text);
        self.profile.comment.push(text);
    }

    pub fn write(self, out: &mut impl Write) -> io::Result<()> {
        let mut gzip = GzEncoder::new(out, Compression::default());
        gzip.write_all(&self.profile.encode_to_vec())?;
        gzip.finish().map(drop)
    }

    fn string(&mut self, text: &str) -> i64 {
        if let Some(&index) = self.strings.get(text) {
            return index;
        }
        let index = self.profile.string_table.len() as i64;
        self.profile.string_table.push(text.to_owned());
        self.strings.insert(text.to_owned(), index);
        index
    }

    fn function(&mut self, place: &Place<'_>) -> u64 {
        let (name, filename) = (self.string(place.function), self.string(place.file));
        let next = self.profile.function.len() as u64 + 1;
        *self.functions.entry((name, filename)).or_insert_with(|| {
            self.profile.function.push(Function { id: next, name, system_name: name, filename, start_line: 0 });
            next
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn what_is_equal_is_stored_once() {
        let mut builder = Builder::new(&[("goroutine", "count")]);
        let inner = Place { function: "main.inner", file: "m.go", line: 3 };
        let outer = Place { function: "main.outer", file: "m.go", line: 9 };
        let a = builder.location(0x1000, &[inner, outer]);
        assert_eq!(builder.location(0x1000, &[inner, outer]), a);
        let b = builder.location(0x1000, &[outer]);
        assert_ne!(a, b);
        builder.sample(vec![a, b], &[7], [("status", "waiting")]);
        builder.executable("/bin/app");
        let mut out = Vec::new();
        builder.write(&mut out).unwrap();

        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(&*out).read_to_end(&mut bytes).unwrap();
        let profile = Profile::decode(&*bytes).unwrap();
        assert_eq!(profile.string_table[0], "");
        assert_eq!((profile.function.len(), profile.location.len()), (2, 2));
        assert_eq!(profile.location[0].line.len(), 2);
        assert_eq!(profile.sample[0].value, [7]);
        assert_eq!(profile.mapping[0].memory_limit, 0x1001);
        let text = |index: i64| &*profile.string_table[index as usize];
        let label = &profile.sample[0].label[0];
        assert_eq!((text(label.key), text(label.str)), ("status", "waiting"));
    }
}
