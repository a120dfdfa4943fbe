//! The fields of a protobuf message, one after the other, borrowed from the body.
//!
//! What is accepted is what the decoder of Prometheus accepts (`prompb/io/prometheus/client/decoder.go` and the generated code beside it):
//! bits of a varint above the 64th are dropped, a group ends at any end-of-group tag, an unknown field is passed over.

use std::borrow::Cow;
use std::str;

/// Why a message cannot be read, and the byte of the outermost message, from 0, where that was seen.
#[derive(Debug)]
pub struct Fault {
    pub at: usize,
    pub what: Cow<'static, str>,
}

pub type Result<T> = std::result::Result<T, Fault>;

/// A varint of 32 bits has at most this many bytes, one of 64 bits 10: `encoding/binary/varint.go`.
pub const LONGEST_VARINT32: usize = 5;

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;
const GROUP: u8 = 3;
const END_OF_GROUP: u8 = 4;
const FIXED32: u8 = 5;

/// A message that is being read.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where `bytes` begin in the outermost message.
    base: usize,
}

#[derive(Debug, Clone, Copy)]
pub struct Field {
    pub number: i32,
    wire: u8,
    /// Of its tag, in the outermost message.
    pub start: usize,
}

impl Field {
    pub fn fault(&self, what: impl Into<Cow<'static, str>>) -> Fault {
        Fault { at: self.start, what: what.into() }
    }
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, at: 0, base: 0 }
    }

    /// In the outermost message.
    pub fn position(&self) -> usize {
        self.base + self.at
    }

    pub fn fault<T>(&self, what: impl Into<Cow<'static, str>>) -> Result<T> {
        Err(Fault { at: self.position(), what: what.into() })
    }

    /// The tag of the next field; its value has to be read, or skipped, before the next call.
    pub fn next(&mut self) -> Result<Option<Field>> {
        if self.at >= self.bytes.len() {
            return Ok(None);
        }
        let start = self.position();
        let tag = self.varint()?;
        let (number, wire) = ((tag >> 3) as i32, (tag & 7) as u8);
        if wire == END_OF_GROUP {
            return Err(Fault { at: start, what: "a group ends that did not begin".into() });
        }
        if number <= 0 {
            return Err(Fault { at: start, what: format!("{number} is no field number").into() });
        }
        Ok(Some(Field { number, wire, start }))
    }

    pub fn uint(&mut self, field: &Field) -> Result<u64> {
        self.expect(field, VARINT)?;
        self.varint()
    }

    pub fn sint32(&mut self, field: &Field) -> Result<i32> {
        let zigzag = self.uint(field)? as u32;
        Ok((zigzag >> 1) as i32 ^ -((zigzag & 1) as i32))
    }

    pub fn double(&mut self, field: &Field) -> Result<f64> {
        self.expect(field, FIXED64)?;
        self.fixed64()
    }

    /// `None` when it is not UTF-8.
    pub fn text(&mut self, field: &Field) -> Result<Option<&'a str>> {
        Ok(str::from_utf8(self.message(field)?.bytes).ok())
    }

    pub fn message(&mut self, field: &Field) -> Result<Reader<'a>> {
        self.expect(field, BYTES)?;
        let length = self.length()?;
        let base = self.position();
        match self.at.checked_add(length).and_then(|end| self.bytes.get(self.at..end)) {
            Some(bytes) => {
                self.at += length;
                Ok(Reader { bytes, at: 0, base })
            }
            None => self.fault("a field goes beyond the end of its message"),
        }
    }

    /// Of a repeated field of type `sint64`, packed or not.
    pub fn sint64s(&mut self, field: &Field, each: &mut impl FnMut(i64) -> bool) -> Result<()> {
        self.repeated(field, VARINT, Self::varint, &mut |zigzag| each((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64)))
    }

    /// Of a repeated field of type `double`, packed or not.
    pub fn doubles(&mut self, field: &Field, each: &mut impl FnMut(f64) -> bool) -> Result<()> {
        self.repeated(field, FIXED64, Self::fixed64, each)
    }

    fn repeated<T>(
        &mut self,
        field: &Field,
        single: u8,
        read: impl Fn(&mut Self) -> Result<T>,
        each: &mut impl FnMut(T) -> bool,
    ) -> Result<()> {
        let mut end = self.at + 1;
        if field.wire == BYTES {
            end = self.length()?.saturating_add(self.at);
            if end > self.bytes.len() {
                return self.fault("a field goes beyond the end of its message");
            }
        } else {
            self.expect(field, single)?;
        }
        while self.at < end {
            let value = read(self)?;
            if !each(value) {
                return self.fault(TOO_MANY);
            }
        }
        Ok(())
    }

    /// A field that is not known here.
    pub fn skip(&mut self, field: &Field) -> Result<()> {
        let mut depth = 0u32;
        let mut wire = field.wire;
        loop {
            match wire {
                VARINT => drop(self.varint()?),
                FIXED64 => self.advance(8)?,
                FIXED32 => self.advance(4)?,
                BYTES => {
                    let length = self.length()?;
                    self.advance(length)?;
                }
                GROUP => depth += 1,
                END_OF_GROUP if depth == 0 => return self.fault("a group ends that did not begin"),
                END_OF_GROUP => depth -= 1,
                _ => return self.fault(format!("{wire} is no wire type")),
            }
            if depth == 0 {
                return Ok(());
            }
            wire = (self.varint()? & 7) as u8;
        }
    }

    fn expect(&self, field: &Field, wire: u8) -> Result<()> {
        if field.wire == wire {
            return Ok(());
        }
        Err(Fault {
            at: field.start,
            what: format!("field {} has wire type {} where {wire} was expected", field.number, field.wire).into(),
        })
    }

    fn advance(&mut self, length: usize) -> Result<()> {
        match self.at.checked_add(length).filter(|end| *end <= self.bytes.len()) {
            Some(end) => {
                self.at = end;
                Ok(())
            }
            None => self.fault("a field goes beyond the end of its message"),
        }
    }

    fn fixed64(&mut self) -> Result<f64> {
        match self.bytes[self.at..].first_chunk() {
            Some(bytes) => {
                self.at += 8;
                Ok(f64::from_le_bytes(*bytes))
            }
            None => self.fault("the message ends within a number"),
        }
    }

    fn length(&mut self) -> Result<usize> {
        let length = self.varint()?;
        match isize::try_from(length) {
            Ok(length) => Ok(length as usize),
            Err(_) => self.fault("a field has a negative length"),
        }
    }

    fn varint(&mut self) -> Result<u64> {
        match varint(&self.bytes[self.at..]) {
            Varint::Whole(value, length) => {
                self.at += length;
                Ok(value)
            }
            Varint::Cut => self.fault("the message ends within a number"),
            Varint::TooLong => self.fault("a number has more than 64 bits"),
        }
    }
}

/// A message with more of them would take many times its size in memory.
pub const TOO_MANY: &str = "over a million labels, buckets or exemplars in one metric";

pub enum Varint {
    /// Its value and how many bytes it takes.
    Whole(u64, usize),
    /// More bytes would be needed.
    Cut,
    TooLong,
}

pub fn varint(bytes: &[u8]) -> Varint {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Varint::Whole(value, index + 1);
        }
    }
    if bytes.len() < 10 { Varint::Cut } else { Varint::TooLong }
}
