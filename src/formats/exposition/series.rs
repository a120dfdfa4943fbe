//! Name and labels of one sample while its line is read, and what a server does with them before it stores them.

use rustc_hash::FxHashMap;

use super::{Label, number};

/// A part of the line, or of the text that was rewritten.
#[derive(Debug, Clone, Copy, Default)]
pub struct Piece {
    start: u32,
    end: u32,
    rewritten: bool,
}

impl Piece {
    /// Of the line, in bytes from its start.
    pub fn of_line(start: usize, end: usize) -> Piece {
        Piece { start: start as u32, end: end as u32, rewritten: false }
    }

    fn is_empty(self) -> bool {
        self.start == self.end
    }
}

#[derive(Debug, Clone, Copy)]
struct Pair {
    name: Piece,
    value: Piece,
    /// Where it stands in the line.
    at: u32,
}

/// Kept from sample to sample for its memory.
#[derive(Debug, Default)]
pub struct Series {
    name: Piece,
    pairs: Vec<Pair>,
    /// Escapes undone, bounds in canonical form.
    rewritten: Vec<u8>,
    canonical: FxHashMap<Box<[u8]>, Box<[u8]>>,
}

/// Why a server takes no sample with such labels, and fails the scrape.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Where in the line, in bytes.
    pub at: usize,
    pub message: String,
}

const NAME_LABEL: &[u8] = b"__name__";
/// More distinct values of `le` than any body has.
const CANONICAL_KEPT: usize = 1024;

impl Series {
    pub fn begin(&mut self, name: Piece) {
        self.name = name;
        self.pairs.clear();
        self.rewritten.clear();
    }

    pub fn set_name(&mut self, name: Piece) {
        self.name = name;
    }

    #[inline]
    pub fn push(&mut self, at: usize, name: Piece, value: Piece) {
        self.pairs.push(Pair { name, value, at: at as u32 });
    }

    /// Undoes `\\`, `\"` and `\n`; any other backslash stays.
    pub fn unescaped(&mut self, line: &[u8], piece: Piece) -> Piece {
        let text = &line[piece.start as usize..piece.end as usize];
        if memchr::memchr(b'\\', text).is_none() {
            return piece;
        }
        let start = self.rewritten.len();
        unescape(text, true, &mut self.rewritten);
        Piece { start: start as u32, end: self.rewritten.len() as u32, rewritten: true }
    }

    /// Makes of the labels in the line the ones that are stored. `bound` is the label that holds a float in this family: `le`, `quantile`.
    ///
    /// As `mutateSampleLabels` and `append` of `scrape/scrape.go` do it, and `getOrCreate` of `tsdb/head_append.go`: a label with an empty value is
    /// none, whatever else has its name; then there must be a name, and no name twice.
    pub fn settle(&mut self, line: &[u8], bound: Option<&str>) -> Result<(), Refusal> {
        if let Some(bound) = bound {
            for index in 0..self.pairs.len() {
                if self.bytes(line, self.pairs[index].name) == bound.as_bytes() {
                    self.pairs[index].value = self.canonical(line, self.pairs[index].value);
                }
            }
        }
        if self.name.is_empty() || self.pairs.iter().any(|pair| pair.value.is_empty()) {
            self.remove_empty(line)?;
        }
        for (index, pair) in self.pairs.iter().enumerate() {
            let name = self.bytes(line, pair.name);
            let at = pair.at as usize;
            if name.is_empty() {
                return Err(Refusal { at, message: "a label has no name".to_owned() });
            }
            if name.len() == NAME_LABEL.len() && name == NAME_LABEL {
                return Err(Refusal { at, message: "the metric has a name, and a second one in the label __name__".to_owned() });
            }
            if index < 16 && self.pairs[..index].iter().any(|other| self.bytes(line, other.name) == name) {
                return Err(twice(at, name));
            }
        }
        if self.pairs.len() > 16 { self.no_name_twice(line) } else { Ok(()) }
    }

    /// The name and the labels of a settled sample. None if any is not UTF-8. `text` is the line where that is known to be UTF-8.
    #[inline]
    pub fn resolve<'a>(&'a self, line: &'a [u8], text: Option<&'a str>, labels: &mut Vec<Label<'a>>) -> Option<&'a str> {
        let resolve = |piece: Piece| match text {
            Some(text) if !piece.rewritten => text.get(piece.start as usize..piece.end as usize),
            _ => std::str::from_utf8(self.bytes(line, piece)).ok(),
        };
        for pair in &self.pairs {
            labels.push(Label { name: resolve(pair.name)?, value: resolve(pair.value)? });
        }
        resolve(self.name)
    }

    #[inline]
    fn bytes<'a>(&'a self, line: &'a [u8], piece: Piece) -> &'a [u8] {
        let from = if piece.rewritten { &self.rewritten[..] } else { line };
        &from[piece.start as usize..piece.end as usize]
    }

    fn canonical(&mut self, line: &[u8], piece: Piece) -> Piece {
        let from = if piece.rewritten { &self.rewritten[..] } else { line };
        let raw = &from[piece.start as usize..piece.end as usize];
        if !self.canonical.contains_key(raw) {
            let mut text = Vec::new();
            if std::str::from_utf8(raw).ok().and_then(|raw| number::canonical(raw, &mut text)).is_none() {
                return piece;
            }
            if self.canonical.len() == CANONICAL_KEPT {
                self.canonical.clear();
            }
            self.canonical.insert(raw.into(), text.into());
        }
        let start = self.rewritten.len();
        match self.canonical.get(raw) {
            Some(text) if **text != *raw => self.rewritten.extend_from_slice(text),
            _ => return piece,
        }
        Piece { start: start as u32, end: self.rewritten.len() as u32, rewritten: true }
    }

    /// An empty value takes all labels of its name with it.
    fn remove_empty(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let empty: Vec<Vec<u8>> =
            self.pairs.iter().filter(|pair| pair.value.is_empty()).map(|pair| self.bytes(line, pair.name).to_vec()).collect();
        if self.name.is_empty() || empty.iter().any(|name| name == NAME_LABEL) {
            return Err(Refusal { at: 0, message: "the name of the metric is empty".to_owned() });
        }
        let pairs = std::mem::take(&mut self.pairs);
        self.pairs = pairs.into_iter().filter(|pair| !empty.iter().any(|name| name == self.bytes(line, pair.name))).collect();
        Ok(())
    }

    /// Of many labels.
    fn no_name_twice(&self, line: &[u8]) -> Result<(), Refusal> {
        let mut names: Vec<(&[u8], u32)> = self.pairs.iter().map(|pair| (self.bytes(line, pair.name), pair.at)).collect();
        names.sort_unstable();
        match names.windows(2).find(|two| two[0].0 == two[1].0) {
            Some(two) => Err(twice(two[1].1 as usize, two[1].0)),
            None => Ok(()),
        }
    }
}

fn twice(at: usize, name: &[u8]) -> Refusal {
    Refusal { at, message: format!("the label {} occurs twice", String::from_utf8_lossy(name)) }
}

/// Adds `text` without its escapes `\\` and `\n`, and `\"` where `quote`, to `out`.
pub fn unescape(text: &[u8], quote: bool, out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (before, escape) = rest.split_at(at);
        out.extend_from_slice(before);
        let (byte, length) = match escape.get(1) {
            Some(b'\\') => (b'\\', 2),
            Some(b'n') => (b'\n', 2),
            Some(b'"') if quote => (b'"', 2),
            _ => (b'\\', 1),
        };
        out.push(byte);
        rest = &escape[length..];
    }
    out.extend_from_slice(rest);
}
