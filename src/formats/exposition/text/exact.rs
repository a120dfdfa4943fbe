//! Any line, as the lexer and parser of Prometheus read it (`model/textparse/promlex.l`, `promparse.go`), to the byte. Where these do what
//! nobody would expect, the comments say so.

use super::super::number;
use super::super::series::{Piece, Series, unescape};
use std::ops::Range;

use super::super::MetricType;
use super::ordinary::{label_name, metric_name};

/// What begins at the start of the bytes.
#[derive(Debug)]
pub enum Read {
    /// A blank line, or a comment.
    Nothing,
    /// The bytes are those of the name.
    Type {
        name: Range<usize>,
        kind: MetricType,
    },
    Help {
        name: Range<usize>,
        text: Vec<u8>,
    },
    /// Its series is in the [`Series`] that was handed in.
    Sample {
        value: f64,
        timestamp_ms: Option<i64>,
    },
    /// A NUL byte where the lexer takes one for the end of the body, at this place: the server takes all before it, and reads no further.
    Ended(usize),
}

#[derive(Debug)]
pub enum Stop {
    /// There is not enough of the line. Where a quote is open: at its opening.
    More(Option<usize>),
    Wrong {
        at: usize,
        message: String,
    },
}

pub struct Exact<'a> {
    bytes: &'a [u8],
    /// Whether nothing comes behind `bytes`.
    whole: bool,
    series: &'a mut Series,
    at: usize,
    /// The opening of a quote that has a line feed inside: allowed, but if the line turns out wrong, then this is why.
    broken_quote: Option<usize>,
}

const START: &str = "expected a metric name, `{` or `#`";

impl<'a> Exact<'a> {
    pub fn new(bytes: &'a [u8], whole: bool, series: &'a mut Series) -> Exact<'a> {
        Exact { bytes, whole, series, at: 0, broken_quote: None }
    }

    /// Also returns where the next line begins.
    pub fn read(mut self) -> Result<(Read, usize), Stop> {
        match self.line() {
            Ok(read) => Ok((read, self.at.min(self.bytes.len()))),
            Err(Stop::More(quote)) => Err(Stop::More(self.broken_quote.or(quote))),
            Err(wrong) => Err(match self.broken_quote {
                Some(at) => Stop::Wrong { at, message: "the quote is not closed in this line".to_owned() },
                None => wrong,
            }),
        }
    }

    /// The byte there. A body without a line feed at its end gets one; behind it comes NUL, as from the lexer.
    fn peek(&self, at: usize) -> Result<u8, Stop> {
        match self.bytes.get(at) {
            Some(&byte) => Ok(byte),
            None if !self.whole => Err(Stop::More(None)),
            None if at == self.bytes.len() && self.bytes.last() != Some(&b'\n') => Ok(b'\n'),
            None => Ok(0),
        }
    }

    fn wrong<T>(&self, at: usize, message: impl Into<String>) -> Result<T, Stop> {
        // Where a name or number goes on behind the bytes at hand, its end is not where it seems.
        self.peek(at)?;
        Err(Stop::Wrong { at, message: message.into() })
    }

    fn skip_blanks(&mut self) -> Result<u8, Stop> {
        loop {
            match self.peek(self.at)? {
                b' ' | b'\t' => self.at += 1,
                byte => return Ok(byte),
            }
        }
    }

    fn line(&mut self) -> Result<Read, Stop> {
        match self.skip_blanks()? {
            b'\n' => self.done(Read::Nothing),
            0 => Ok(Read::Ended(self.at)),
            b'#' => self.comment(),
            b'{' => {
                self.series.begin(Piece::default());
                self.at += 1;
                if !self.labels(false)? {
                    return self.wrong(self.at, "no metric name: expected one before or in the braces, as `{\"name\"}`");
                }
                self.value()
            }
            first => {
                let end = metric_name(self.bytes, self.at);
                if end == self.at {
                    return self.wrong(self.at, bad_start(&self.bytes[self.at..], first));
                }
                self.peek(end)?;
                // Blanks before it are taken for a part of the name.
                self.series.begin(Piece::of_line(0, end));
                self.at = end;
                if self.skip_blanks()? == b'{' {
                    self.at += 1;
                    self.labels(true)?;
                }
                self.value()
            }
        }
    }

    /// At the line feed.
    fn done(&mut self, read: Read) -> Result<Read, Stop> {
        self.at += 1;
        Ok(read)
    }

    /// At the `#`.
    fn comment(&mut self) -> Result<Read, Stop> {
        self.at += 1;
        let blank = matches!(self.peek(self.at)?, b' ' | b'\t');
        let first = self.skip_blanks()?;
        if blank && first != 0 {
            let word = match first {
                b'H' => "HELP",
                b'T' => "TYPE",
                _ => "",
            };
            let start = self.at;
            if !word.is_empty() && self.keyword(word)? {
                return self.metadata(word);
            }
            self.at = start;
        }
        // A NUL ends the body if no blank or only blanks are between it and `#`; the lexer passes over others.
        if first == 0 {
            return Ok(Read::Ended(self.at));
        }
        loop {
            match self.peek(self.at)? {
                b'\n' => return self.done(Read::Nothing),
                0 if !blank => return Ok(Read::Ended(self.at)),
                _ => self.at += 1,
            }
        }
    }

    /// Whether the word and blanks are here; then passes over them. NUL bytes within do not count.
    fn keyword(&mut self, word: &str) -> Result<bool, Stop> {
        for expected in word.bytes() {
            if self.peek(self.at)? != expected {
                return Ok(false);
            }
            self.at += 1;
            self.skip_nul()?;
        }
        if !matches!(self.peek(self.at)?, b' ' | b'\t') {
            return Ok(false);
        }
        while matches!(self.peek(self.at)?, b' ' | b'\t') {
            self.at += 1;
            self.skip_nul()?;
        }
        Ok(true)
    }

    fn skip_nul(&mut self) -> Result<(), Stop> {
        while self.peek(self.at)? == 0 && self.at < self.bytes.len() {
            self.at += 1;
        }
        Ok(())
    }

    /// Behind `# HELP ` or `# TYPE `.
    fn metadata(&mut self, word: &str) -> Result<Read, Stop> {
        let start = self.at;
        let name = if self.peek(start)? == b'"' {
            self.quoted_name()?
        } else {
            self.at = metric_name(self.bytes, start);
            self.peek(self.at)?;
            if self.at == start {
                return self.wrong(start, format!("expected a metric name after `# {word}`"));
            }
            start..self.at
        };
        let text = self.at;
        if self.peek(text)? == 0 {
            return self.wrong(text, "a NUL byte after the metric name");
        }
        let mut blank = true;
        loop {
            match self.peek(self.at)? {
                b'\n' => break,
                byte => blank &= matches!(byte, b' ' | b'\t' | 0),
            }
            self.at += 1;
        }
        // Blanks alone are no text. Of any other the first byte goes, whatever it is.
        let text_start = if blank { self.at } else { text + 1 };
        let bytes = &self.bytes[text_start..self.at];
        if word == "TYPE" {
            return match metric_type(bytes) {
                Some(kind) => self.done(Read::Type { name, kind }),
                None => match memchr::memchr(b'\r', bytes).filter(|at| metric_type(&bytes[..*at]).is_some()) {
                    Some(at) => self.wrong(text_start + at, CARRIAGE_RETURN),
                    None => self.wrong(text_start, bad_type(bytes)),
                },
            };
        }
        if let Err(error) = std::str::from_utf8(bytes) {
            return self.wrong(text_start + error.valid_up_to(), "the help text is not UTF-8");
        }
        let mut text = Vec::new();
        unescape(bytes, false, &mut text);
        self.done(Read::Help { name, text })
    }

    /// At the quote; passes over the name, which is returned without its quotes. No NUL is in it.
    fn quoted_name(&mut self) -> Result<Range<usize>, Stop> {
        let open = self.at;
        self.at += 1;
        loop {
            match self.in_quote(open, self.at)? {
                b'"' => break,
                b'\\' => {
                    self.at += 1;
                    match self.in_quote(open, self.at)? {
                        0 | b'\n' => return self.unclosed(open),
                        _ => self.at += 1,
                    }
                }
                0 => return self.wrong(self.at.min(self.bytes.len()), "a NUL byte, or no closing quote"),
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Ok(open + 1..self.at - 1)
    }

    /// As `peek`, in the quote that was opened there.
    fn in_quote(&mut self, open: usize, at: usize) -> Result<u8, Stop> {
        let byte = self.peek(at).map_err(|_| Stop::More(Some(open)))?;
        if byte == b'\n' {
            self.broken_quote.get_or_insert(open);
        }
        Ok(byte)
    }

    fn unclosed<T>(&mut self, open: usize) -> Result<T, Stop> {
        self.broken_quote.get_or_insert(open);
        self.wrong(open, "")
    }

    /// At the quote; passes over the label value, which is returned without its quotes.
    fn label_value(&mut self) -> Result<Range<usize>, Stop> {
        let open = self.at;
        let mut at = open + 1;
        loop {
            let Some(next) = self.bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) else {
                if !self.whole {
                    return Err(Stop::More(Some(open)));
                }
                return self.unclosed(open);
            };
            at += next + 1;
            if self.bytes[at - 1] == b'"' {
                break;
            }
            // Any byte can follow the backslash, even with NULs between; only no line feed.
            self.at = at;
            self.skip_nul().map_err(|_| Stop::More(Some(open)))?;
            if matches!(self.in_quote(open, self.at)?, 0 | b'\n') {
                return self.unclosed(open);
            }
            at = self.at + 1;
        }
        // NULs behind the quote are taken for a part of the value, and the quote too.
        self.at = at;
        self.skip_nul()?;
        if memchr::memchr(b'\n', &self.bytes[open..self.at]).is_some() {
            self.broken_quote.get_or_insert(open);
        }
        if let Err(error) = std::str::from_utf8(&self.bytes[open..self.at]) {
            return self.wrong(open + error.valid_up_to(), "the label value is not UTF-8");
        }
        Ok(open + 1..self.at - 1)
    }

    /// Behind the brace. Whether the metric has a name then.
    fn labels(&mut self, mut named: bool) -> Result<bool, Stop> {
        loop {
            let first = self.skip_blanks()?;
            let at = self.at;
            let name = match first {
                b'}' => {
                    self.at += 1;
                    return Ok(named);
                }
                b'"' => self.quoted_name()?,
                _ => {
                    self.at = label_name(self.bytes, at);
                    self.peek(self.at)?;
                    at..self.at
                }
            };
            if self.at == at {
                return self.wrong(at, "expected a label name or `}`");
            }
            let name = self.series.unescaped(self.bytes, Piece::of_line(name.start, name.end));
            let next = self.skip_blanks()?;
            if first == b'"' && matches!(next, b',' | b'}') {
                if named {
                    return self.wrong(at, "a second metric name; a label needs `=` and a quoted value");
                }
                self.series.set_name(name);
                named = true;
            } else if next != b'=' {
                return self.wrong(self.at, "expected `=` after the label name");
            } else {
                self.at += 1;
                if self.skip_blanks()? != b'"' {
                    return self.wrong(self.at, "expected a label value in double quotes");
                }
                let value = self.label_value()?;
                let value = self.series.unescaped(self.bytes, Piece::of_line(value.start, value.end));
                self.series.push(at, name, value);
                // The comma may also be missing.
                if self.skip_blanks()? != b',' {
                    continue;
                }
            }
            if self.peek(self.at)? == b',' {
                self.at += 1;
            }
        }
    }

    /// Behind the name and the labels.
    fn value(&mut self) -> Result<Read, Stop> {
        self.skip_blanks()?;
        let start = self.at;
        while !matches!(self.peek(self.at)?, b'{' | b' ' | b'\t' | b'\n' | 0) {
            self.at += 1;
        }
        let text = &self.bytes[start..self.at];
        if text.is_empty() {
            return self.wrong(start, "expected a value: a number, NaN, +Inf or -Inf");
        }
        let Some(value) = number::value(text) else {
            return match memchr::memchr(b'\r', text) {
                Some(at) if number::value(&text[..at]).is_some() => self.wrong(start + at, CARRIAGE_RETURN),
                _ => self.wrong(start, "not a number: expected a decimal one, NaN, +Inf or -Inf"),
            };
        };
        let mut timestamp_ms = None;
        if self.skip_blanks()?.is_ascii_digit() {
            let start = self.at;
            while self.peek(self.at)?.is_ascii_digit() {
                self.at += 1;
            }
            let digits = std::str::from_utf8(&self.bytes[start..self.at]).unwrap_or_default();
            let Ok(number) = digits.parse() else {
                return self.wrong(start, "the timestamp is too large: expected milliseconds");
            };
            timestamp_ms = Some(number);
        }
        match self.skip_blanks()? {
            b'\n' => self.done(Read::Sample { value, timestamp_ms }),
            b'\r' => self.wrong(self.at, CARRIAGE_RETURN),
            b'#' => self.wrong(self.at, "expected the end of the line: only OpenMetrics has exemplars"),
            _ if timestamp_ms.is_some() => {
                self.wrong(self.at, "expected the end of the line after the timestamp, which is whole milliseconds")
            }
            _ => self.wrong(self.at, "expected the end of the line or a timestamp, in whole milliseconds"),
        }
    }
}

pub const CARRIAGE_RETURN: &str = "a carriage return: lines must end with a line feed alone";

fn metric_type(text: &[u8]) -> Option<MetricType> {
    Some(match text {
        b"counter" => MetricType::Counter,
        b"gauge" => MetricType::Gauge,
        b"histogram" => MetricType::Histogram,
        b"summary" => MetricType::Summary,
        b"untyped" => MetricType::Unknown,
        _ => return None,
    })
}

fn bad_type(text: &[u8]) -> String {
    const EXPECTED: &str = "expected counter, gauge, histogram, summary or untyped";
    if metric_type(text.trim_ascii()).is_some() {
        return "blanks around the type: expected one before it, and none behind".to_owned();
    }
    if [&b"gaugehistogram"[..], b"info", b"stateset", b"unknown"].contains(&text) {
        return format!("only OpenMetrics has this type: {EXPECTED}");
    }
    format!("not a type: {EXPECTED}")
}

fn bad_start(bytes: &[u8], first: u8) -> String {
    let cause = match first {
        b'<' => "this is HTML or XML, not metrics",
        0xef if bytes.starts_with(b"\xef\xbb\xbf") => "a byte order mark",
        0xff | 0xfe => "a byte order mark, or binary data",
        b'\r' => "a carriage return, where lines must end with a line feed alone",
        0x1f if bytes.starts_with(b"\x1f\x8b") => "compressed data",
        _ => return START.to_owned(),
    };
    format!("{cause}: {START}")
}
