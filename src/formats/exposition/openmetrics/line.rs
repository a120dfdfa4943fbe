//! The grammar of one line, bytes to places in them: `model/textparse/openmetricslex.l` and `openmetricsparse.go` of Prometheus.
//!
//! That lexer takes more than the specification knows: a raw newline inside a quoted name, NUL bytes in some places outside of strings, a
//! comma behind the last label. So does this one, and notes what of that it saw.

use crate::formats::exposition::{MetricType, number};

/// What a line is; the rest of it is in [`Fields`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    Type(MetricType),
    Help,
    Unit,
    Sample,
    /// `# EOF`
    End,
}

/// The places of the parts of a line. Reused from line to line.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub name: Text,
    /// Of help and unit.
    pub text: Text,
    pub labels: Vec<LabelPlace>,
    pub value: f64,
    pub value_at: usize,
    /// In seconds.
    pub timestamp: Option<f64>,
    pub timestamp_at: usize,
    pub exemplar: Option<ExemplarPlace>,
    pub exemplar_labels: Vec<LabelPlace>,
    /// Raw ones inside of names.
    pub newlines: u64,
    /// What the specification does not know, the first of it: where, and what it is.
    pub extension: Option<(usize, &'static str)>,
}

/// A part of the line, as it was written, from byte to byte.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Text {
    pub start: usize,
    pub end: usize,
    /// There is a backslash in it.
    pub escaped: bool,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LabelPlace {
    pub name: Text,
    pub value: Text,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct ExemplarPlace {
    /// Of its opening brace.
    pub start: usize,
    pub value: f64,
    /// In seconds.
    pub timestamp: Option<f64>,
}

/// Why a line is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    pub at: usize,
    pub message: String,
    /// The next line begins behind the first newline from here on.
    pub resume: usize,
}

type Read<T> = Result<T, Refusal>;

/// Walks over the bytes.
pub(super) struct Cursor<'b> {
    bytes: &'b [u8],
    pub at: usize,
    /// The decision depended on there being no more bytes.
    pub saw_end: bool,
}

const NAME_START: u8 = 1;
const NAME: u8 = 2;
/// A colon counts in names of metrics only.
const COLON: u8 = 4;
/// Goes on a token of the value, timestamp kind.
const TOKEN: u8 = 8;
/// Means nothing special inside quotes.
const PLAIN: u8 = 16;

const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b.is_ascii_alphabetic() || b == b'_' {
            class[byte] |= NAME_START | NAME;
        }
        if b.is_ascii_digit() {
            class[byte] |= NAME;
        }
        if b == b':' {
            class[byte] |= COLON;
        }
        if b != 0 && b != b' ' && b != b'\n' {
            class[byte] |= TOKEN;
        }
        if b != 0 && b != b'"' && b != b'\\' && b != b'\n' {
            class[byte] |= PLAIN;
        }
        byte += 1;
    }
    class
};

impl<'b> Cursor<'b> {
    pub fn new(bytes: &'b [u8]) -> Self {
        Cursor { bytes, at: 0, saw_end: false }
    }

    /// 0 at the end too, as in that lexer.
    fn peek(&mut self) -> u8 {
        match self.bytes.get(self.at) {
            Some(byte) => *byte,
            None => {
                self.saw_end = true;
                0
            }
        }
    }

    /// Reads on while bytes are of a class.
    fn skip(&mut self, class: u8) {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        match rest.iter().position(|byte| CLASS[usize::from(*byte)] & class == 0) {
            Some(length) => self.at += length,
            None => {
                self.at = self.bytes.len();
                self.saw_end = true;
            }
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == byte;
        self.at += usize::from(there);
        there
    }

    fn skip_nul(&mut self, fields: &mut Fields) {
        while self.bytes.get(self.at) == Some(&0) {
            fields.note(self.at, "a NUL byte outside of a string");
            self.at += 1;
        }
        self.peek();
    }

    fn refuse<T>(&mut self, message: impl Into<String>) -> Read<T> {
        Err(Refusal { at: self.at, message: message.into(), resume: self.at })
    }

    /// What is found instead of what was expected.
    fn expected<T>(&mut self, what: &str) -> Read<T> {
        let found = match self.bytes.get(self.at) {
            None => "the end of the data".to_owned(),
            Some(b'\n') => "the end of the line".to_owned(),
            Some(b'\r') => "a carriage return".to_owned(),
            Some(b' ') => "a blank".to_owned(),
            Some(byte) if byte.is_ascii_graphic() => format!("'{}'", char::from(*byte)),
            Some(byte) if byte.is_ascii() => format!("the byte 0x{byte:02x}"),
            Some(_) => "a character that is not ASCII".to_owned(),
        };
        self.refuse(format!("expected {what}, found {found}"))
    }

    /// Reads one whole line, its newline included.
    pub fn line(&mut self, fields: &mut Fields) -> Read<Line> {
        fields.clear();
        match self.peek() {
            b'#' => self.comment(fields),
            b'{' => self.sample(fields),
            b'\n' => self.refuse("a blank line: OpenMetrics has none"),
            b'\r' => self.refuse("a carriage return: lines end with a newline only"),
            byte if CLASS[usize::from(byte)] & (NAME_START | COLON) != 0 => self.sample(fields),
            _ => self.expected("the name of a metric, '{' or '# '"),
        }
    }

    fn comment(&mut self, fields: &mut Fields) -> Read<Line> {
        self.at += 1;
        if !self.take(b' ') {
            return self.expected("a blank behind '#'");
        }
        let start = self.at;
        let unknown = "expected HELP, TYPE, UNIT or EOF: OpenMetrics has no other comments";
        let word: &[u8] = match self.peek() {
            b'E' => b"EOF",
            b'H' => b"HELP ",
            b'T' => b"TYPE ",
            b'U' => b"UNIT ",
            _ => return self.refuse(unknown),
        };
        for (place, byte) in word.iter().enumerate() {
            if !self.take(*byte) {
                let blank = place == 4;
                self.at = if blank { self.at } else { start };
                return if blank { self.expected("one blank and the name of a metric") } else { self.refuse(unknown) };
            }
            self.skip_nul(fields);
        }
        if word == b"EOF" {
            if self.take(b'\n') {
                self.skip_nul(fields);
            }
            return Ok(Line::End);
        }
        self.metadata(word[0], fields)
    }

    fn metadata(&mut self, word: u8, fields: &mut Fields) -> Read<Line> {
        fields.name = match self.peek() {
            b'"' => self.quoted_name(fields, true)?,
            byte if CLASS[usize::from(byte)] & (NAME_START | COLON) != 0 => self.bare(NAME | COLON),
            _ => return self.expected("the name of a metric"),
        };
        if self.peek() != b' ' {
            return self.expected("one blank and a text");
        }
        self.at += 1;
        let start = self.at;
        let rest = self.bytes.get(start..).unwrap_or(&[]);
        let Some(length) = memchr::memchr(b'\n', rest) else {
            self.at = self.bytes.len();
            self.saw_end = true;
            return self.expected("a newline");
        };
        let text = &rest[..length];
        fields.text = Text { start, end: start + length, escaped: memchr::memchr(b'\\', text).is_some() };
        let line = match word {
            b'T' => match kind_of(text) {
                Some(kind) => Line::Type(kind),
                None if text.last() == Some(&b'\r') => {
                    self.at += length - 1;
                    return self.refuse("a carriage return: lines end with a newline only");
                }
                None => {
                    let shown = String::from_utf8_lossy(&text[..text.len().min(64)]).into_owned();
                    return self.refuse(format!("'{shown}' is no type of OpenMetrics"));
                }
            },
            b'H' => match std::str::from_utf8(text) {
                Ok(_) => Line::Help,
                Err(error) => {
                    self.at += error.valid_up_to();
                    return self.refuse("the help text is not valid UTF-8");
                }
            },
            _ => {
                let name = &self.bytes[fields.name.start..fields.name.end];
                if !text.is_empty() && name.strip_suffix(text).is_none_or(|stem| stem.last() != Some(&b'_')) {
                    let shown = String::from_utf8_lossy(&text[..text.len().min(64)]).into_owned();
                    return self.refuse(format!("the name of the metric does not end with the unit, '_{shown}'"));
                }
                Line::Unit
            }
        };
        self.at = start + length + 1;
        Ok(line)
    }

    fn bare(&mut self, class: u8) -> Text {
        let start = self.at;
        self.skip(class);
        Text { start, end: self.at, escaped: false }
    }

    fn sample(&mut self, fields: &mut Fields) -> Read<Line> {
        let mut named = false;
        if self.peek() != b'{' {
            fields.name = self.bare(NAME | COLON);
            named = true;
        }
        let brace = self.at;
        if self.peek() == b'{' {
            self.at += 1;
            named = self.labels(fields, Some(named))?;
        }
        if !named {
            // What is behind the brace was read well, and may hold newlines.
            let resume = self.at;
            let message = "there is no name of a metric, neither before the brace nor as a quoted string in it".to_owned();
            return Err(Refusal { at: brace, message, resume });
        }
        fields.value_at = self.at + 1;
        fields.value = self.number("one blank and a value")?;
        fields.timestamp = None;
        fields.timestamp_at = self.at;
        if self.peek() == b' ' && !self.at_exemplar() {
            fields.timestamp_at = self.at + 1;
            fields.timestamp = Some(self.timestamp()?);
        }
        if self.at_exemplar() {
            self.exemplar(fields)?;
        }
        match self.peek() {
            b'\n' => self.at += 1,
            b' ' if fields.timestamp.is_none() && fields.exemplar.is_none() => return self.expected("a timestamp"),
            b' ' if fields.exemplar.is_none() => return self.expected("an exemplar or the end of the line"),
            _ => return self.expected("the end of the line"),
        }
        Ok(Line::Sample)
    }

    fn at_exemplar(&mut self) -> bool {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        let there = rest.starts_with(b" # {");
        self.saw_end |= !there && rest.len() < 4 && b" # {".starts_with(rest);
        there
    }

    fn number(&mut self, expected: &str) -> Read<f64> {
        if self.peek() != b' ' {
            return self.expected(expected);
        }
        self.at += 1;
        let start = self.at;
        self.skip(TOKEN);
        if self.at == start {
            return self.expected(&expected.replace("one blank and ", ""));
        }
        let token = &self.bytes[start..self.at];
        match number::value(token) {
            Some(value) => Ok(value),
            None => {
                self.at = start;
                let shown = String::from_utf8_lossy(&token[..token.len().min(64)]).into_owned();
                if let Some(number) = token.strip_suffix(b"\r")
                    && number::value(number).is_some()
                {
                    self.at += number.len();
                    return self.refuse("a carriage return: lines end with a newline only");
                }
                self.refuse(format!("'{shown}' is no number"))
            }
        }
    }

    /// In seconds.
    fn timestamp(&mut self) -> Read<f64> {
        let start = self.at + 1;
        let seconds = self.number("one blank and a timestamp")?;
        if !seconds.is_finite() {
            self.at = start;
            return self.refuse("a timestamp must be finite");
        }
        Ok(seconds)
    }

    fn exemplar(&mut self, fields: &mut Fields) -> Read<()> {
        self.at += 3;
        let start = self.at;
        self.at += 1;
        self.labels(fields, None)?;
        let value = self.number("one blank and the value of the exemplar")?;
        let timestamp = if self.peek() == b' ' { Some(self.timestamp()?) } else { None };
        fields.exemplar = Some(ExemplarPlace { start, value, timestamp });
        Ok(())
    }

    /// Reads what is behind an opening brace, the closing one included. `named` is whether the series has its name already, none for an
    /// exemplar; whether it has it then is returned.
    fn labels(&mut self, fields: &mut Fields, named: Option<bool>) -> Read<bool> {
        let exemplar = named.is_none();
        let mut named = named.unwrap_or(true);
        let mut comma = None;
        loop {
            let byte = self.peek();
            if byte == b'}' {
                if let Some(comma) = comma {
                    fields.note(comma, "a comma behind the last label");
                }
                self.at += 1;
                return Ok(named);
            }
            let name = if byte == b'"' {
                let text = self.quoted_name(fields, !exemplar)?;
                if !exemplar && matches!(self.peek(), b',' | b'}') {
                    if named {
                        return self.expected("'='; the metric has its name already, so this is one of a label");
                    }
                    named = true;
                    fields.name = text;
                    comma = Some(self.at);
                    self.at += usize::from(self.peek() == b',');
                    continue;
                }
                text
            } else if CLASS[usize::from(byte)] & NAME_START != 0 {
                self.bare(NAME)
            } else {
                return self.expected(if comma.is_some() { "the name of a label" } else { "the name of a label or '}'" });
            };
            if !self.take(b'=') {
                return self.expected("'=' behind the name of a label");
            }
            if self.peek() != b'"' {
                return self.expected("a quoted value");
            }
            let value = self.quoted(false, (!exemplar).then_some(&mut *fields))?;
            let list = if exemplar { &mut fields.exemplar_labels } else { &mut fields.labels };
            list.push(LabelPlace { name, value });
            comma = None;
            match self.peek() {
                b',' => {
                    comma = Some(self.at);
                    self.at += 1;
                }
                b'}' => {}
                _ => return self.expected("',' or '}'"),
            }
        }
    }

    fn quoted_name(&mut self, fields: &mut Fields, newlines: bool) -> Read<Text> {
        fields.note(self.at, "a quoted name");
        let name = self.quoted(newlines, None)?;
        fields.newlines += memchr::memchr_iter(b'\n', &self.bytes[name.start..name.end]).count() as u64;
        Ok(name)
    }

    /// Reads a string from its opening quote on. With `nul`, NUL bytes count as nothing, even behind the closing quote: that lexer is then
    /// one byte off for each, and so is the text that it returns.
    fn quoted(&mut self, newlines: bool, nul: Option<&mut Fields>) -> Read<Text> {
        let open = self.at;
        self.at += 1;
        let mut escaped = false;
        loop {
            self.skip(PLAIN);
            match self.peek() {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.at += 1;
                    while nul.is_some() && self.bytes.get(self.at) == Some(&0) {
                        self.at += 1;
                    }
                    match self.peek() {
                        b'\n' | 0 => return self.unclosed(open),
                        _ => self.at += 1,
                    }
                }
                b'\n' if newlines => self.at += 1,
                0 if nul.is_some() && self.at < self.bytes.len() => self.at += 1,
                _ => return self.unclosed(open),
            }
        }
        self.at += 1;
        if let Some(fields) = nul {
            self.skip_nul(fields);
        }
        Ok(Text { start: open + 1, end: self.at - 1, escaped })
    }

    fn unclosed<T>(&mut self, open: usize) -> Read<T> {
        if self.bytes.get(self.at) == Some(&0) {
            return self.refuse("a NUL byte");
        }
        self.at = open;
        self.refuse("this quote is not closed")
    }
}

impl Fields {
    fn clear(&mut self) {
        self.labels.clear();
        self.exemplar_labels.clear();
        self.exemplar = None;
        self.newlines = 0;
        self.extension = None;
    }

    fn note(&mut self, at: usize, what: &'static str) {
        self.extension.get_or_insert((at, what));
    }
}

fn kind_of(text: &[u8]) -> Option<MetricType> {
    Some(match text {
        b"counter" => MetricType::Counter,
        b"gauge" => MetricType::Gauge,
        b"histogram" => MetricType::Histogram,
        b"gaugehistogram" => MetricType::GaugeHistogram,
        b"summary" => MetricType::Summary,
        b"info" => MetricType::Info,
        b"stateset" => MetricType::StateSet,
        b"unknown" => MetricType::Unknown,
        _ => return None,
    })
}
