//! What a recording refers to by number, and how much memory may still be taken.

use std::sync::Arc;

use super::Parsed;
use crate::sched::model::{Frame, Label};
use crate::sched::recording::{FRAME_KINDS, proto};

pub struct Tables {
    strings: Vec<Arc<str>>,
    frames: Vec<Frame>,
    label_sets: Vec<Arc<[Label]>>,
    /// Bytes.
    left: u64,
}

impl Tables {
    pub fn new(left: u64) -> Tables {
        Tables { strings: Vec::new(), frames: Vec::new(), label_sets: Vec::new(), left }
    }

    /// Before room is taken for `n` of them.
    pub fn charge<T>(&mut self, n: usize) -> Parsed<()> {
        self.charge_bytes(n as u64 * size_of::<T>() as u64)
    }

    fn charge_bytes(&mut self, bytes: u64) -> Parsed<()> {
        self.left = self.left.checked_sub(bytes).ok_or("it holds more than a window can")?;
        Ok(())
    }

    pub fn add_strings(&mut self, strings: &proto::Strings) -> Parsed<()> {
        /// Of a string's allocation, counters and all.
        const EACH: u64 = 48;
        self.charge_bytes(strings.text.len() as u64 + EACH * strings.lengths.len() as u64)?;
        let mut text = &strings.text[..];
        for &length in &strings.lengths {
            let (own, rest) = text.split_at_checked(length as usize).ok_or("a string is not there")?;
            self.strings.push(Arc::from(own));
            text = rest;
        }
        if text.is_empty() { Ok(()) } else { Err("there is text of no string".to_owned()) }
    }

    pub fn add_frames(&mut self, frames: &proto::Frames) -> Parsed<()> {
        let proto::Frames { functions, files, lines, addresses, entries, kinds, wrappers } = frames;
        let lengths = [functions.len(), files.len(), lines.len(), addresses.len(), entries.len(), kinds.len(), wrappers.len()];
        let n = same_length(&lengths)?;
        self.charge::<Frame>(n)?;
        for i in 0..n {
            self.frames.push(Frame {
                function: self.string(functions[i])?,
                file: self.string(files[i])?,
                line: lines[i],
                address: addresses[i],
                entry: entries[i],
                kind: of_code(&FRAME_KINDS, kinds[i], "kind of frame")?,
                wrapper: wrappers[i],
            });
        }
        Ok(())
    }

    pub fn add_label_sets(&mut self, sets: &proto::LabelSets) -> Parsed<()> {
        let labels = same_length(&[sets.keys.len(), sets.values.len()])?;
        self.charge::<Label>(labels)?;
        // With the counters of a shared allocation.
        self.charge::<[usize; 4]>(sets.lengths.len())?;
        let mut rest = sets.keys.iter().zip(&sets.values);
        for &length in &sets.lengths {
            let own: Vec<Label> = rest
                .by_ref()
                .take(length as usize)
                .map(|(&key, &value)| Ok((self.string(key)?, self.string(value)?)))
                .collect::<Parsed<_>>()?;
            same_length(&[own.len(), length as usize])?;
            self.label_sets.push(Arc::from(own));
        }
        if rest.next().is_none() { Ok(()) } else { Err("there are labels of no set".to_owned()) }
    }

    pub fn optional(&self, number: u32) -> Parsed<Option<Arc<str>>> {
        match number.checked_sub(1) {
            None => Ok(None),
            Some(index) => self.strings.get(index as usize).cloned().map(Some).ok_or_else(|| format!("there is no string {number}")),
        }
    }

    fn string(&self, number: u32) -> Parsed<Arc<str>> {
        self.optional(number)?.ok_or_else(|| "a string is missing".to_owned())
    }

    /// A copy of its own.
    pub fn text(&mut self, number: u32) -> Parsed<String> {
        let text = self.string(number)?;
        self.charge_bytes(text.len() as u64)?;
        Ok(text.to_string())
    }

    pub fn frame(&self, number: u32) -> Parsed<Frame> {
        self.frames.get(number as usize).cloned().ok_or_else(|| format!("there is no frame {number}"))
    }

    pub fn labels(&self, number: u32) -> Parsed<Arc<[Label]>> {
        self.label_sets.get(number as usize).cloned().ok_or_else(|| format!("there is no label set {number}"))
    }
}

pub fn of_code<T: Copy>(all: &[T], code: u32, what: &str) -> Parsed<T> {
    all.get(code as usize).copied().ok_or_else(|| format!("{code} is no {what}"))
}

pub fn at<T: Copy>(column: &[T], i: usize) -> Parsed<T> {
    column.get(i).copied().ok_or_else(|| "a column is too short".to_owned())
}

/// How many rows columns have.
pub fn same_length(lengths: &[usize]) -> Parsed<usize> {
    match lengths {
        [first, rest @ ..] if rest.iter().all(|length| length == first) => Ok(*first),
        [] => Ok(0),
        _ => Err("its columns differ in length".to_owned()),
    }
}
