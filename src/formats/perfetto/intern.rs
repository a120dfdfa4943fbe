//! Names and stacks that packets refer to by number: written once, in the packet that first needs them, until all are forgotten.

use std::hash::Hash;

use rustc_hash::FxHashMap;

use super::proto::{Callstack, Frame, InternedData, InternedName, InternedString};
use crate::formats::pprof::Place;

/// Each table counts from 1.
#[derive(Debug, Default)]
pub(super) struct Interned {
    names: FxHashMap<String, u64>,
    arg_names: FxHashMap<String, u64>,
    arg_values: FxHashMap<String, u64>,
    functions: FxHashMap<String, u64>,
    files: FxHashMap<String, u64>,
    frames: FxHashMap<(u64, u64, u32), u64>,
    stacks: FxHashMap<Vec<u64>, u64>,
    /// What the packet at hand has to bring.
    new: InternedData,
}

impl Interned {
    pub(super) fn len(&self) -> usize {
        let texts = [&self.names, &self.arg_names, &self.arg_values, &self.functions, &self.files];
        texts.iter().map(|table| table.len()).sum::<usize>() + self.frames.len() + self.stacks.len()
    }

    pub(super) fn take_new(&mut self) -> Option<InternedData> {
        let new = std::mem::take(&mut self.new);
        (new != InternedData::default()).then_some(new)
    }

    pub(super) fn name(&mut self, text: &str) -> u64 {
        text_id(&mut self.names, text, |iid, text| self.new.event_names.push(name(iid, text)))
    }

    pub(super) fn arg_name(&mut self, text: &str) -> u64 {
        text_id(&mut self.arg_names, text, |iid, text| self.new.debug_annotation_names.push(name(iid, text)))
    }

    pub(super) fn arg_value(&mut self, text: &str) -> u64 {
        text_id(&mut self.arg_values, text, |iid, text| self.new.debug_annotation_string_values.push(string(iid, text)))
    }

    /// Innermost frame first.
    pub(super) fn stack(&mut self, frames: &[Place<'_>]) -> u64 {
        let frame_ids: Vec<u64> = frames.iter().rev().map(|place| self.frame(place)).collect();
        let (iid, new) = id(&mut self.stacks, &frame_ids);
        if new {
            self.new.callstacks.push(Callstack { iid: Some(iid), frame_ids });
        }
        iid
    }

    fn frame(&mut self, place: &Place<'_>) -> u64 {
        let function = text_id(&mut self.functions, place.function, |iid, text| self.new.function_names.push(string(iid, text)));
        let file = match place.file {
            "" => 0,
            file => text_id(&mut self.files, file, |iid, text| self.new.source_paths.push(string(iid, text))),
        };
        let (iid, new) = id(&mut self.frames, &(function, file, place.line));
        if new {
            self.new.frames.push(Frame {
                iid: Some(iid),
                function_name_id: Some(function),
                source_path_iid: (file != 0).then_some(file),
                line_number: (place.line != 0).then_some(place.line),
            });
        }
        iid
    }
}

fn name(iid: u64, text: &str) -> InternedName {
    InternedName { iid: Some(iid), name: Some(text.to_owned()) }
}

fn string(iid: u64, text: &str) -> InternedString {
    InternedString { iid: Some(iid), str: Some(text.as_bytes().to_vec()) }
}

fn text_id(table: &mut FxHashMap<String, u64>, text: &str, write: impl FnOnce(u64, &str)) -> u64 {
    if let Some(&iid) = table.get(text) {
        return iid;
    }
    let iid = table.len() as u64 + 1;
    table.insert(text.to_owned(), iid);
    write(iid, text);
    iid
}

/// With whether it is new.
fn id<K: Clone + Eq + Hash>(table: &mut FxHashMap<K, u64>, key: &K) -> (u64, bool) {
    if let Some(&iid) = table.get(key) {
        return (iid, false);
    }
    let iid = table.len() as u64 + 1;
    table.insert(key.clone(), iid);
    (iid, true)
}
