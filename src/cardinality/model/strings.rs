//! Each distinct string once.

use std::hash::Hasher;

use hashbrown::HashTable;
use rustc_hash::FxHasher;

/// A string of a [`Strings`]; [`Id::EMPTY`] is the empty one, which as a label value means that the label is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Id(pub u32);

impl Id {
    pub const EMPTY: Id = Id(0);

    pub fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Debug, Clone)]
pub struct Strings {
    text: String,
    /// Where each string ends in `text`; it begins where the one before it ends.
    ends: Vec<u32>,
    table: HashTable<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u32,
    id: Id,
}

impl Default for Strings {
    fn default() -> Self {
        let mut strings = Strings { text: String::new(), ends: Vec::new(), table: HashTable::new() };
        strings.intern("");
        strings
    }
}

impl Strings {
    /// How many there are, the empty one included; ids are below this.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub fn get(&self, id: Id) -> &str {
        let index = id.index();
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.text[start..self.ends[index] as usize]
    }

    pub fn intern(&mut self, string: &str) -> Id {
        let hash = hash(string);
        if let Some(entry) = self.table.find(spread(hash), |entry| entry.hash == hash && self.get(entry.id) == string) {
            return entry.id;
        }
        let id = Id(self.ends.len() as u32);
        self.text.push_str(string);
        self.ends.push(self.text.len() as u32);
        self.table.insert_unique(spread(hash), Entry { hash, id }, |entry| spread(entry.hash));
        id
    }

    pub fn find(&self, string: &str) -> Option<Id> {
        let hash = hash(string);
        self.table.find(spread(hash), |entry| entry.hash == hash && self.get(entry.id) == string).map(|entry| entry.id)
    }
}

fn hash(string: &str) -> u32 {
    let mut hasher = FxHasher::default();
    hasher.write(string.as_bytes());
    (hasher.finish() >> 32) as u32
}

/// The table takes its tag from the top bits and the place from the low ones.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_strings_have_one_id() {
        let mut strings = Strings::default();
        assert_eq!(strings.intern(""), Id::EMPTY);
        let ids: Vec<Id> = (0..10_000).map(|n| strings.intern(&format!("value {n}"))).collect();
        assert!((0..10_000).all(|n| strings.intern(&format!("value {n}")) == ids[n] && strings.get(ids[n]) == format!("value {n}")));
        assert_eq!(strings.len(), 10_001);
        assert_eq!(strings.find("value 7"), Some(ids[7]));
        assert_eq!(strings.find("none"), None);
    }
}
