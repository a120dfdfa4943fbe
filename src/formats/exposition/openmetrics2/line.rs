//! One line of OpenMetrics 2.0, by the ABNF of its specification, section "Text Format".

use std::borrow::Cow;

use super::composite::{self, Composite};
use crate::formats::exposition::number;

/// Where in the line, in bytes, and what.
#[derive(Debug)]
pub struct Fault {
    pub at: usize,
    pub message: String,
}

pub type Result<T> = std::result::Result<T, Fault>;

/// Name and value of a label, unescaped.
pub type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

#[derive(Debug)]
pub struct Sample<'a> {
    pub name: Cow<'a, str>,
    pub labels: Vec<Pair<'a>>,
    /// Where the value is in the line.
    pub value_at: usize,
    pub value: Value,
    /// In seconds, as `start`.
    pub timestamp: Option<f64>,
    pub start: Option<f64>,
    pub exemplars: Vec<Exemplar<'a>>,
}

#[derive(Debug)]
pub enum Value {
    Number(f64),
    Composite(Composite),
}

#[derive(Debug)]
pub struct Exemplar<'a> {
    pub labels: Vec<Pair<'a>>,
    pub value: f64,
    pub timestamp: f64,
}

/// Of labels in a set, of exemplars in a line, of buckets in a value.
pub const MOST: usize = 1 << 20;

#[derive(Debug)]
pub struct Cursor<'a> {
    text: &'a str,
    pub at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str) -> Self {
        Cursor { text, at: 0 }
    }

    pub fn sample(mut self) -> Result<Sample<'a>> {
        let (name, labels) = self.series()?;
        self.expect(" ", "one blank before the value")?;
        let value_at = self.at;
        let value = match self.peek() {
            Some(b'{') => Value::Composite(composite::read(&mut self)?),
            _ => Value::Number(self.number("a value")?),
        };
        let mut sample = Sample { name, labels, value_at, value, timestamp: None, start: None, exemplars: Vec::new() };
        if !self.rest().starts_with(" st@") && !self.rest().starts_with(" #") && self.eat(" ") {
            sample.timestamp = Some(self.real("a timestamp")?);
        }
        if self.eat(" st@") {
            sample.start = Some(self.real("a start timestamp")?);
        }
        while self.eat(" # ") {
            let labels = self.label_set()?;
            self.expect(" ", "one blank before the value of the exemplar")?;
            let value = self.number("the value of the exemplar")?;
            self.expect(" ", "a blank and the timestamp of the exemplar")?;
            let timestamp = self.real("the timestamp of the exemplar")?;
            push(&mut sample.exemplars, Exemplar { labels, value, timestamp }, self.at)?;
        }
        match self.rest() {
            "" => Ok(sample),
            _ => self.fault("expected the end of the line"),
        }
    }

    /// Name and labels of a sample.
    fn series(&mut self) -> Result<(Cow<'a, str>, Vec<Pair<'a>>)> {
        if self.peek() != Some(b'{') {
            let name = self.bare(|byte| byte == b':', "a metric name")?;
            let labels = if self.peek() == Some(b'{') { self.label_set()? } else { Vec::new() };
            return Ok((Cow::Borrowed(name), labels));
        }
        self.at += 1;
        let name = self.quoted("a metric name in quotes")?;
        let mut labels = Vec::new();
        loop {
            if self.eat("}") {
                return Ok((name, labels));
            }
            self.expect(",", "a comma or a closing brace")?;
            self.label(&mut labels)?;
        }
    }

    fn label_set(&mut self) -> Result<Vec<Pair<'a>>> {
        self.expect("{", "labels in braces")?;
        let mut labels = Vec::new();
        if self.eat("}") {
            return Ok(labels);
        }
        loop {
            self.label(&mut labels)?;
            if self.eat("}") {
                return Ok(labels);
            }
            self.expect(",", "a comma or a closing brace")?;
        }
    }

    fn label(&mut self, labels: &mut Vec<Pair<'a>>) -> Result<()> {
        let at = self.at;
        let name = match self.peek() {
            Some(b'"') => self.quoted("the name of a label")?,
            _ => Cow::Borrowed(self.bare(|_| false, "the name of a label")?),
        };
        if name == "__name__" {
            return Err(Fault { at, message: "the label __name__ is reserved".to_owned() });
        }
        self.expect("=", "an equals sign")?;
        if self.peek() != Some(b'"') {
            return self.fault("expected the value of a label in quotes");
        }
        let value = self.string()?;
        push(labels, (name, value), at)
    }

    /// As in metadata: bare or in quotes.
    pub fn metric_name(&mut self) -> Result<Cow<'a, str>> {
        match self.peek() {
            Some(b'"') => self.quoted("a metric name"),
            _ => self.bare(|byte| byte == b':', "a metric name").map(Cow::Borrowed),
        }
    }

    fn bare(&mut self, more: impl Fn(u8) -> bool, what: &str) -> Result<&'a str> {
        let rest = self.rest();
        let part =
            |(index, byte): (usize, u8)| byte.is_ascii_alphabetic() || byte == b'_' || more(byte) || index > 0 && byte.is_ascii_digit();
        let end = rest.bytes().enumerate().position(|byte| !part(byte)).unwrap_or(rest.len());
        if end == 0 {
            return self.fault(format!("expected {what}"));
        }
        self.at += end;
        Ok(&rest[..end])
    }

    fn quoted(&mut self, what: &str) -> Result<Cow<'a, str>> {
        if self.peek() != Some(b'"') {
            return self.fault(format!("expected {what}"));
        }
        let at = self.at;
        let text = self.string()?;
        if text.is_empty() {
            return Err(Fault { at, message: format!("expected {what}, and it is empty") });
        }
        Ok(text)
    }

    /// From its opening quote on.
    fn string(&mut self) -> Result<Cow<'a, str>> {
        let rest = &self.rest()[1..];
        let (mut from, mut escaped) = (0, false);
        while let Some(at) = memchr::memchr2(b'"', b'\\', &rest.as_bytes()[from..]) {
            let at = from + at;
            if rest.as_bytes()[at] == b'"' {
                self.at += at + 2;
                return Ok(if escaped { Cow::Owned(unescape(&rest[..at])) } else { Cow::Borrowed(&rest[..at]) });
            }
            escaped = true;
            from = (at + 2).min(rest.len());
        }
        self.fault("the closing quote is missing")
    }

    /// Up to something that no number has.
    pub fn number(&mut self, what: &str) -> Result<f64> {
        let rest = self.rest();
        let end = rest.bytes().position(|byte| matches!(byte, b' ' | b',' | b'}' | b']' | b':')).unwrap_or(rest.len());
        match number::value(&rest.as_bytes()[..end]) {
            Some(value) => {
                self.at += end;
                Ok(value)
            }
            None => self.fault(format!("expected {what}")),
        }
    }

    /// Neither infinite nor NaN.
    pub fn real(&mut self, what: &str) -> Result<f64> {
        let at = self.at;
        let value = self.number(what)?;
        if value.is_finite() { Ok(value) } else { Err(Fault { at, message: format!("expected {what}, which is finite") }) }
    }

    pub fn integer<T: std::str::FromStr>(&mut self, what: &str) -> Result<T> {
        let rest = self.rest();
        let end = rest.bytes().position(|byte| !matches!(byte, b'0'..=b'9' | b'+' | b'-')).unwrap_or(rest.len());
        match rest[..end].parse() {
            Ok(value) => {
                self.at += end;
                Ok(value)
            }
            Err(_) => self.fault(format!("expected {what}")),
        }
    }

    pub fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub fn eat(&mut self, text: &str) -> bool {
        let there = self.rest().starts_with(text);
        if there {
            self.at += text.len();
        }
        there
    }

    pub fn expect(&mut self, text: &str, what: &str) -> Result<()> {
        if self.eat(text) { Ok(()) } else { self.fault(format!("expected {what}")) }
    }

    pub fn fault<T>(&self, message: impl Into<String>) -> Result<T> {
        Err(Fault { at: self.at, message: message.into() })
    }
}

pub fn push<T>(into: &mut Vec<T>, value: T, at: usize) -> Result<()> {
    if into.len() == MOST {
        return Err(Fault { at, message: format!("over {MOST} labels, buckets or exemplars in a line") });
    }
    into.push(value);
    Ok(())
}

/// Any other escape stays as it is: `\a` is `\\a`.
pub fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some(c @ ('"' | '\\')) => out.push(c),
            Some(c) => out.extend(['\\', c]),
            None => out.push('\\'),
        }
    }
    out
}
