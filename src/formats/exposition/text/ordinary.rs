//! The usual line of a sample, fast: `name{label="value",…} value [timestamp]` with single blanks, without escapes, ended by a line feed.
//! All else is for `exact`, which is slower and also knows what is wrong.

use super::super::number;
use super::super::series::{Piece, Series};

/// Bits of [`CLASS`].
const LETTER: u8 = 1;
const DIGIT: u8 = 2;
const COLON: u8 = 4;

/// What a byte may be in a name.
static CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        class[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => LETTER,
            b'0'..=b'9' => DIGIT,
            b':' => COLON,
            _ => 0,
        };
        byte += 1;
    }
    class
};

/// Where the metric name that begins at `start` ends; `start` where there is none.
pub fn metric_name(bytes: &[u8], start: usize) -> usize {
    name(bytes, start, LETTER | COLON)
}

/// As [`metric_name`].
pub fn label_name(bytes: &[u8], start: usize) -> usize {
    name(bytes, start, LETTER)
}

#[inline]
fn name(bytes: &[u8], start: usize, letters: u8) -> usize {
    let is = |at: usize, classes: u8| bytes.get(at).is_some_and(|&byte| CLASS[byte as usize] & classes != 0);
    if !is(start, letters) {
        return start;
    }
    let mut at = start + 1;
    while is(at, letters | DIGIT) {
        at += 1;
    }
    at
}

pub struct Read {
    pub value: f64,
    pub timestamp_ms: Option<i64>,
    /// Behind its line feed.
    pub end: usize,
}

/// Reads the line at the start of `bytes` into `series`. None if it is not of that kind, or is not whole.
#[inline]
pub fn read(bytes: &[u8], series: &mut Series) -> Option<Read> {
    let mut at = metric_name(bytes, 0);
    if at == 0 {
        return None;
    }
    series.begin(Piece::of_line(0, at));
    if bytes.get(at) == Some(&b'{') {
        at = labels(bytes, at + 1, series)?;
    }
    if bytes.get(at) != Some(&b' ') {
        return None;
    }
    at += 1;
    let length = bytes.get(at..)?.iter().position(|&byte| byte <= b' ')?;
    let value = number::value(&bytes[at..at + length])?;
    at += length;
    if bytes[at] == b'\n' {
        return Some(Read { value, timestamp_ms: None, end: at + 1 });
    }
    if bytes[at] != b' ' {
        return None;
    }
    let (timestamp_ms, end) = timestamp(bytes, at + 1)?;
    Some(Read { value, timestamp_ms: Some(timestamp_ms), end })
}

/// From behind the brace to behind the other one.
#[inline]
fn labels(bytes: &[u8], mut at: usize, series: &mut Series) -> Option<usize> {
    loop {
        let end = label_name(bytes, at);
        if end == at || bytes.get(end..end + 2)? != b"=\"" {
            // `{}`, or after a last comma.
            return (end == at && bytes.get(at) == Some(&b'}')).then_some(at + 1);
        }
        let start = end + 2;
        let stop = start + memchr::memchr2(b'"', b'\\', &bytes[start..])?;
        if bytes[stop] == b'\\' {
            return None;
        }
        series.push(at, Piece::of_line(at, end), Piece::of_line(start, stop));
        match bytes.get(stop + 1)? {
            b',' => at = stop + 2,
            b'}' => return Some(stop + 2),
            _ => return None,
        }
    }
}

/// And where the next line begins.
fn timestamp(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let length = bytes.get(at..)?.iter().position(|byte| !byte.is_ascii_digit())?;
    let digits = std::str::from_utf8(&bytes[at..at + length]).ok()?;
    (bytes[at + length] == b'\n').then_some((digits.parse().ok()?, at + length + 1))
}
