//! What a recording refers to by number.

use std::hash::Hash;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::sched::model::{Frame, Label};
use crate::sched::recording::{FRAME_KINDS, proto};

/// Things by number; the fresh ones are in no piece yet.
struct Table<T> {
    numbers: FxHashMap<T, u32>,
    fresh: Vec<T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table { numbers: FxHashMap::default(), fresh: Vec::new() }
    }
}

impl<T: Hash + Eq + Clone> Table<T> {
    fn number(&mut self, item: &T) -> u32 {
        if let Some(&number) = self.numbers.get(item) {
            return number;
        }
        let number = self.numbers.len() as u32;
        self.numbers.insert(item.clone(), number);
        self.fresh.push(item.clone());
        number
    }

    fn take<M>(&mut self, message: impl FnOnce(Vec<T>) -> M) -> Option<M> {
        (!self.fresh.is_empty()).then(|| message(std::mem::take(&mut self.fresh)))
    }
}

/// A frame whose strings are numbers.
#[derive(Clone, PartialEq, Eq, Hash)]
struct FrameKey {
    function: u32,
    file: u32,
    line: u32,
    address: u64,
    entry: u64,
    kind: u32,
    wrapper: bool,
}

#[derive(Default)]
pub struct Tables {
    strings: Table<Arc<str>>,
    frames: Table<FrameKey>,
    /// Keys and values in turn.
    label_sets: Table<Vec<u32>>,
}

impl Tables {
    /// What the tables have got since it was asked last.
    pub fn take_fresh(&mut self) -> (Option<proto::Strings>, Option<proto::Frames>, Option<proto::LabelSets>) {
        (self.strings.take(strings_of), self.frames.take(frames_of), self.label_sets.take(label_sets_of))
    }

    pub fn string(&mut self, text: &Arc<str>) -> u32 {
        self.strings.number(text) + 1
    }

    pub fn text(&mut self, text: &str) -> u32 {
        self.string(&Arc::from(text))
    }

    pub fn optional(&mut self, text: Option<&Arc<str>>) -> u32 {
        text.map_or(0, |text| self.string(text))
    }

    pub fn frame(&mut self, frame: &Frame) -> u32 {
        let Frame { function, file, line, address, entry, kind, wrapper } = frame;
        let (function, file) = (self.string(function), self.string(file));
        let kind = code(&FRAME_KINDS, kind);
        self.frames.number(&FrameKey { function, file, line: *line, address: *address, entry: *entry, kind, wrapper: *wrapper })
    }

    pub fn labels(&mut self, labels: &[Label]) -> u32 {
        let mut set = Vec::with_capacity(2 * labels.len());
        for (key, value) in labels {
            set.extend([self.string(key), self.string(value)]);
        }
        self.label_sets.number(&set)
    }
}

fn strings_of(strings: Vec<Arc<str>>) -> proto::Strings {
    proto::Strings { lengths: strings.iter().map(|text| text.len() as u32).collect(), text: strings.concat() }
}

fn frames_of(frames: Vec<FrameKey>) -> proto::Frames {
    proto::Frames {
        functions: frames.iter().map(|frame| frame.function).collect(),
        files: frames.iter().map(|frame| frame.file).collect(),
        lines: frames.iter().map(|frame| frame.line).collect(),
        addresses: frames.iter().map(|frame| frame.address).collect(),
        entries: frames.iter().map(|frame| frame.entry).collect(),
        kinds: frames.iter().map(|frame| frame.kind).collect(),
        wrappers: frames.iter().map(|frame| frame.wrapper).collect(),
    }
}

fn label_sets_of(sets: Vec<Vec<u32>>) -> proto::LabelSets {
    proto::LabelSets {
        lengths: sets.iter().map(|set| set.len() as u32 / 2).collect(),
        keys: sets.iter().flat_map(|set| set.iter().step_by(2).copied()).collect(),
        values: sets.iter().flat_map(|set| set.iter().skip(1).step_by(2).copied()).collect(),
    }
}

/// Its place in the list; what is not in it no reader knows.
pub fn code<T: PartialEq>(all: &[T], value: &T) -> u32 {
    all.iter().position(|known| known == value).unwrap_or(all.len()) as u32
}
