//! OpenMetrics 1.0 text, as `model/textparse/openmetricsparse.go` of Prometheus reads it with a server's default configuration, and as its
//! specification demands ([`strict`]).

mod line;

use std::mem;

use line::{Cursor, Fields, Line, Refusal, Text};

use super::series::{Piece, Series, unescape};
use super::strict::{Checker, Finding, Findings, Part, RawSample};
use super::{Exemplar, Item, LONGEST_LINE, Label, MetricType, Problem, Rules, Sample, Severity, Value, number, problem};

#[derive(Debug, Default)]
pub struct Parser {
    /// The label that holds a float, by the last `# TYPE`: that of any metric counts.
    bound: Option<&'static str>,
    /// Of the next line: in the body, and from 1.
    place: Place,
    /// The last line was `# HELP`: NUL bytes behind its newline are nothing to that lexer.
    after_help: bool,
    end: End,
    /// What is left of the body is not looked at below this many bytes, so that a line which comes in many blocks is read over a few times
    /// only, not once for each.
    wanted: usize,
    /// Within a line that is too long.
    skipping: bool,
    fields: Fields,
    series: Series,
    labels: Vec<Label<'static>>,
    exemplar_labels: Vec<Label<'static>>,
    strict: Option<Box<Checker>>,
    /// Where the current point of a child began; kept in strict mode.
    point: Origin,
}

#[derive(Debug, Default)]
struct Origin {
    place: Place,
    line: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    offset: u64,
    line: u64,
}

impl Default for Place {
    fn default() -> Self {
        Place { offset: 0, line: 1 }
    }
}

impl Place {
    /// About bytes that begin at this place; these may be several lines.
    fn problem(self, bytes: &[u8], at: usize, severity: Severity, message: String) -> Problem {
        let (before, behind) = bytes.split_at(at.min(bytes.len()));
        let start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        let end = memchr::memchr(b'\n', behind).map_or(bytes.len(), |newline| before.len() + newline);
        let number = self.line + memchr::memchr_iter(b'\n', before).count() as u64;
        let line = problem::Line { bytes: &bytes[start..end], number, offset: self.offset + start as u64 };
        line.problem(at - start, severity, message)
    }
}

/// How `# EOF` stands.
#[derive(Debug, Default, PartialEq, Eq)]
enum End {
    /// Nor anything else.
    #[default]
    NothingSeen,
    Missing,
    Seen,
}

impl Parser {
    pub fn new(rules: Rules) -> Self {
        Parser { strict: (rules == Rules::Strict).then(Box::default), ..Parser::default() }
    }

    /// As [`super::Parser::parse`].
    pub fn parse(&mut self, input: &[u8], last: bool, each: &mut impl FnMut(Item<'_>)) -> usize {
        if input.len() < self.wanted && !last {
            return 0;
        }
        self.wanted = 0;
        let mut fields = mem::take(&mut self.fields);
        let at = self.lines(input, last, &mut fields, each);
        self.fields = fields;
        if last {
            self.finish(each);
        }
        at
    }

    fn lines(&mut self, input: &[u8], last: bool, fields: &mut Fields, each: &mut impl FnMut(Item<'_>)) -> usize {
        // Looked through once, not line by line.
        let valid = std::str::from_utf8(input).map_or_else(|error| error.valid_up_to(), str::len);
        let text = std::str::from_utf8(&input[..valid]).unwrap_or_default();
        let mut at = 0;
        while at < input.len() {
            let rest = &input[at..];
            if self.skipping {
                at += self.skip_line(rest);
                continue;
            }
            let nul = rest.iter().take_while(|byte| **byte == 0).count();
            if nul > 0 && self.after_help {
                self.place.offset += nul as u64;
                at += nul;
                continue;
            }
            let window = &rest[..rest.len().min(LONGEST_LINE + 1)];
            let text = text.get(at..).unwrap_or_default();
            let length = self.line(window, text, last && window.len() == rest.len(), fields, each);
            if length == 0 {
                self.wanted = rest.len().saturating_mul(2).min(LONGEST_LINE + 1);
                return at;
            }
            at += length;
        }
        at
    }

    /// Passes over the rest of a line that is too long.
    fn skip_line(&mut self, rest: &[u8]) -> usize {
        let newline = memchr::memchr(b'\n', rest);
        let length = newline.map_or(rest.len(), |newline| newline + 1);
        self.skipping = newline.is_none();
        self.place.offset += length as u64;
        self.place.line += u64::from(newline.is_some());
        length
    }

    /// Reads one line from the beginning of `window` and returns its length; 0 when more is needed. `text`: the same, as far as it is known
    /// to be UTF-8. `all`: nothing comes behind the window.
    fn line(&mut self, window: &[u8], text: &str, all: bool, fields: &mut Fields, each: &mut impl FnMut(Item<'_>)) -> usize {
        let mut cursor = Cursor::new(window);
        let read = cursor.line(fields);
        let waits = cursor.saw_end && !all;
        match read {
            _ if waits && window.len() <= LONGEST_LINE => 0,
            _ if waits || cursor.at > LONGEST_LINE => self.overlong(window, each),
            Ok(line) => {
                let bytes = &window[..cursor.at];
                self.behind_end(bytes, each);
                self.end = if line == Line::End { End::Seen } else { End::Missing };
                self.after_help = line == Line::Help;
                match line {
                    Line::Sample => self.sample(fields, bytes, text, each),
                    _ => self.comment(line, fields, bytes, each),
                }
                self.place.offset += bytes.len() as u64;
                self.place.line += 1 + fields.newlines;
                bytes.len()
            }
            Err(refusal) => self.refused(&refusal, window, all, each),
        }
    }

    fn refused(&mut self, refusal: &Refusal, window: &[u8], all: bool, each: &mut impl FnMut(Item<'_>)) -> usize {
        let length = match memchr::memchr(b'\n', &window[refusal.resume..]) {
            Some(newline) => refusal.resume + newline + 1,
            None if all => window.len(),
            None if window.len() <= LONGEST_LINE => return 0,
            None => return self.overlong(window, each),
        };
        self.behind_end(&window[..length], each);
        self.end = End::Missing;
        self.after_help = false;
        self.report(&window[..length], refusal.at, refusal.message.clone(), Severity::Error, each);
        self.advance(&window[..length]);
        length
    }

    fn overlong(&mut self, window: &[u8], each: &mut impl FnMut(Item<'_>)) -> usize {
        self.behind_end(window, each);
        self.end = End::Missing;
        self.after_help = false;
        let message = format!("this line is longer than {} MiB and is passed over", LONGEST_LINE >> 20);
        self.report(window, 0, message, Severity::Error, each);
        let window = &window[..LONGEST_LINE];
        self.advance(window);
        self.skipping = true;
        window.len()
    }

    fn behind_end(&self, line: &[u8], each: &mut impl FnMut(Item<'_>)) {
        if self.end == End::Seen {
            self.report(line, 0, "this stands behind # EOF, which must be the last line".to_owned(), Severity::Error, each);
        }
    }

    /// Moves behind bytes that were read.
    fn advance(&mut self, bytes: &[u8]) {
        self.place.offset += bytes.len() as u64;
        self.place.line += memchr::memchr_iter(b'\n', bytes).count() as u64;
    }

    fn report(&self, bytes: &[u8], at: usize, message: String, severity: Severity, each: &mut impl FnMut(Item<'_>)) {
        each(Item::Problem(&self.place.problem(bytes, at, severity, message)));
    }

    /// What can be said at the end of the body only.
    fn finish(&mut self, each: &mut impl FnMut(Item<'_>)) {
        // Prometheus does not parse an empty body at all.
        if self.end == End::Missing || self.end == End::NothingSeen && self.strict.is_some() {
            let message = "the data does not end with # EOF, so it may be cut off".to_owned();
            self.report(b"", 0, message, Severity::Error, each);
        }
        if let Some(mut strict) = self.strict.take() {
            let mut findings = Findings::new();
            strict.finish(&mut findings);
            self.report_findings(findings, &Fields::default(), b"", each);
        }
        self.end = End::Seen;
    }

    fn comment(&mut self, line: Line, fields: &Fields, bytes: &[u8], each: &mut impl FnMut(Item<'_>)) {
        self.extension(fields, bytes, each);
        if let Line::Type(kind) = line {
            self.bound = match kind {
                MetricType::Histogram => Some("le"),
                MetricType::Summary => Some("quantile"),
                _ => None,
            };
        }
        if line != Line::End {
            self.metadata(line, fields, bytes, each);
        }
    }

    /// What Prometheus takes and the specification does not know.
    fn extension(&self, fields: &Fields, bytes: &[u8], each: &mut impl FnMut(Item<'_>)) {
        if let (true, Some((at, what))) = (self.strict.is_some(), fields.extension) {
            self.report(bytes, at, format!("OpenMetrics 1.0 does not have {what}"), Severity::Error, each);
        }
    }

    fn metadata(&mut self, line: Line, fields: &Fields, bytes: &[u8], each: &mut impl FnMut(Item<'_>)) {
        // Prometheus does not look, and no sample can have a name that is not UTF-8.
        let (Ok(name), Ok(text)) = (std::str::from_utf8(fields.name.of(bytes)), std::str::from_utf8(fields.text.of(bytes))) else { return };
        let mut help = Vec::new();
        let item = match line {
            Line::Type(kind) => Item::Type { name, kind },
            Line::Help if fields.text.escaped => {
                unescape(text.as_bytes(), true, &mut help);
                Item::Help { name, text: std::str::from_utf8(&help).unwrap_or(text) }
            }
            Line::Help => Item::Help { name, text },
            _ => Item::Unit { name, unit: text },
        };
        if let Some(strict) = &mut self.strict {
            let mut findings = Findings::new();
            strict.metadata(&item, &mut findings);
            self.report_findings(findings, fields, bytes, each);
        }
        each(item);
    }

    fn sample(&mut self, fields: &Fields, bytes: &[u8], text: &str, each: &mut impl FnMut(Item<'_>)) {
        self.extension(fields, bytes, each);
        // The labels of an exemplar are read by rules of their own.
        let series = &bytes[..fields.exemplar.map_or(bytes.len(), |exemplar| exemplar.start)];
        let text = match text.get(..series.len()).map_or_else(|| std::str::from_utf8(series), Ok) {
            Ok(text) => text,
            Err(error) => return self.report(bytes, error.valid_up_to(), NOT_UTF8.to_owned(), Severity::Error, each),
        };
        if let Some(label) = fields.exemplar_labels.iter().find(|label| std::str::from_utf8(label.value.of(bytes)).is_err()) {
            return self.report(bytes, label.value.start, NOT_UTF8.to_owned(), Severity::Error, each);
        }
        let mut exemplar_labels = recycled(mem::take(&mut self.exemplar_labels));
        exemplar_labels.extend(fields.exemplar_labels.iter().filter_map(|label| {
            // Neither unescaped by Prometheus nor, the name, looked at.
            Some(Label { name: std::str::from_utf8(label.name.of(bytes)).ok()?, value: std::str::from_utf8(label.value.of(bytes)).ok()? })
        }));
        let exemplar = fields.exemplar.map(|place| Exemplar {
            labels: &exemplar_labels,
            value: place.value,
            timestamp_ms: place.timestamp.map(number::milliseconds),
        });

        self.pieces(fields, series);
        if self.strict.is_some() {
            let pieces = mem::take(&mut self.series);
            let mut written = Vec::new();
            if let Some(name) = pieces.resolve(series, Some(text), &mut written) {
                self.check(name, &written, exemplar, fields, bytes, each);
            }
            self.series = pieces;
        }
        let mut labels = recycled(mem::take(&mut self.labels));
        let settled = self.series.settle(series, self.bound);
        match (settled, self.series.resolve(series, Some(text), &mut labels)) {
            (Ok(()), Some(name)) => each(Item::Sample(Sample {
                name,
                labels: &labels,
                value: Value::Float(fields.value),
                timestamp_ms: fields.timestamp.map(number::milliseconds),
                start_ms: None,
                exemplars: exemplar.as_slice(),
                offset: self.place.offset,
                length: bytes.len() as u32,
            })),
            // A duplicate is told of by the strict rules.
            (Err(_), _) if self.strict.is_some() => {}
            (Err(refusal), _) => self.report(bytes, refusal.at, refusal.message, Severity::Error, each),
            (Ok(()), None) => self.report(bytes, fields.name.start, NOT_UTF8.to_owned(), Severity::Error, each),
        }
        self.labels = recycled(labels);
        self.exemplar_labels = recycled(exemplar_labels);
    }

    /// Takes name and labels of a sample from its line.
    fn pieces(&mut self, fields: &Fields, line: &[u8]) {
        let pieces = &mut self.series;
        let piece = |pieces: &mut Series, text: Text| {
            let piece = Piece::of_line(text.start, text.end);
            if text.escaped { pieces.unescaped(line, piece) } else { piece }
        };
        pieces.begin(Piece::default());
        for label in &fields.labels {
            let (name, value) = (piece(pieces, label.name), piece(pieces, label.value));
            pieces.push(label.name.start, name, value);
        }
        let name = piece(pieces, fields.name);
        pieces.set_name(name);
    }

    fn check(
        &mut self,
        name: &str,
        labels: &[Label<'_>],
        exemplar: Option<Exemplar<'_>>,
        fields: &Fields,
        bytes: &[u8],
        each: &mut impl FnMut(Item<'_>),
    ) {
        let Some(strict) = &mut self.strict else { return };
        let mut findings = Findings::new();
        let sample = RawSample { name, labels, value: fields.value, timestamp: fields.timestamp, exemplar };
        let begins = strict.sample(&sample, &mut findings);
        self.report_findings(findings, fields, bytes, each);
        if begins {
            self.point = Origin { place: self.place, line: bytes[..bytes.len().min(LONGEST_EXCERPT)].to_vec() };
        }
    }

    fn report_findings(&self, findings: Findings, fields: &Fields, bytes: &[u8], each: &mut impl FnMut(Item<'_>)) {
        for Finding { part, message } in findings {
            let at = match part {
                Part::Name => fields.name.start,
                Part::Label(place) => fields.labels.get(place).map_or(0, |label| label.name.start),
                Part::Value => fields.value_at,
                Part::Timestamp => fields.timestamp_at,
                Part::Exemplar => fields.exemplar.map_or(0, |exemplar| exemplar.start),
                Part::PointBefore => {
                    let Origin { place, line } = &self.point;
                    each(Item::Problem(&place.problem(line, 0, Severity::Error, message)));
                    continue;
                }
            };
            self.report(bytes, at, message, Severity::Error, each);
        }
    }
}

/// The same memory for other borrows.
fn recycled<'b>(mut labels: Vec<Label<'_>>) -> Vec<Label<'b>> {
    labels.clear();
    // Collected in place.
    labels.into_iter().map(|_| Label { name: "", value: "" }).collect()
}

const NOT_UTF8: &str = "this is not valid UTF-8";
const LONGEST_EXCERPT: usize = 256;

impl Text {
    fn of(self, line: &[u8]) -> &[u8] {
        line.get(self.start..self.end).unwrap_or(&[])
    }
}
