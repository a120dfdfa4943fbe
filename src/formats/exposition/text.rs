//! Prometheus text 0.0.4 and 1.0.0: takes and refuses what the server does, as `model/textparse/promparse.go` and `scrape/scrape.go` say.

mod exact;
mod ordinary;
mod strict;
#[cfg(test)]
mod tests;

use exact::{Exact, Read, Stop};
use strict::Strict;

use super::problem::Line;
use super::series::{Refusal, Series};
use super::{Item, LONGEST_LINE, Label, MetricType, Sample, Severity, Value};

/// All of what was read that changes how the next lines are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct State {
    /// The label that holds a float, by the last TYPE; that of any metric counts.
    bound: Option<&'static str>,
    /// In a line that is too long.
    skipping: bool,
    /// Behind what the server takes for the end.
    ended: bool,
}

impl State {
    /// At the start of a line, where the last TYPE before it was of this kind.
    pub fn after(kind: MetricType) -> State {
        State { bound: bound(kind), ..State::default() }
    }
}

/// The label whose values are floats.
fn bound(kind: MetricType) -> Option<&'static str> {
    match kind {
        MetricType::Histogram => Some("le"),
        MetricType::Summary => Some("quantile"),
        _ => None,
    }
}

#[derive(Debug, Default)]
pub struct Parser {
    state: State,
    /// Of the body before the next input.
    bytes: u64,
    lines: u64,
    /// How much input the next line needs at least, as far as is known.
    wanted: usize,
    series: Series,
    labels: Vec<Label<'static>>,
    strict: Option<Box<Strict>>,
}

impl Parser {
    pub fn new() -> Parser {
        Parser::default()
    }

    /// Tells what other readers than the server refuse, too.
    pub fn strict() -> Parser {
        Parser { strict: Some(Box::default()), ..Parser::default() }
    }

    /// In the middle of a body, `bytes` and `lines` behind its start, at the start of a line.
    pub fn resume(state: State, bytes: u64, lines: u64) -> Parser {
        Parser { state, bytes, lines, ..Parser::default() }
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// Read so far, from the start of the body.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Line feeds in these.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// See [`super::Parser::parse`].
    pub fn parse(&mut self, input: &[u8], last: bool, each: &mut impl FnMut(Item<'_>)) -> usize {
        if input.len() < self.wanted && !last {
            return 0;
        }
        let mut block = Block { input, last, at: 0, counted: 0, text: "", text_start: 0 };
        while block.at < input.len() && self.next(&mut block, each) {}
        if last && self.strict.is_some() && input.last().is_some_and(|byte| *byte != b'\n') {
            self.problem(&mut block, b"", 0, Severity::Error, strict::NO_LAST_LINE_FEED.to_owned(), each);
        }
        let rest = input.len() - block.at;
        // Twice as much, so that a long line is not looked through at each little more of it.
        self.wanted = (2 * rest).min(LONGEST_LINE);
        self.lines += block.new_lines(block.at);
        self.bytes += block.at as u64;
        block.at
    }

    /// Reads one line. Whether there can be another one.
    #[inline]
    fn next<'a>(&mut self, block: &mut Block<'a>, each: &mut impl FnMut(Item<'_>)) -> bool {
        if self.state.ended {
            block.at = block.input.len();
            return false;
        }
        if self.state.skipping {
            let end = memchr::memchr(b'\n', &block.input[block.at..]);
            self.state.skipping = end.is_none();
            block.at = end.map_or(block.input.len(), |end| block.at + end + 1);
            return true;
        }
        let text = block.text_here();
        let bytes = &text.as_bytes()[..text.len().min(LONGEST_LINE)];
        match ordinary::read(bytes, &mut self.series) {
            Some(read) => {
                let line = Whole { bytes: &bytes[..read.end], text: Some(text), length: read.end };
                self.sample(block, line, read.value, read.timestamp_ms, each);
                block.at += read.end;
                true
            }
            None => self.exactly(block, each),
        }
    }

    fn exactly<'a>(&mut self, block: &mut Block<'a>, each: &mut impl FnMut(Item<'_>)) -> bool {
        let rest = &block.input[block.at..];
        let too_long = rest.len() >= LONGEST_LINE;
        let window = &rest[..rest.len().min(LONGEST_LINE)];
        let whole = block.last && !too_long;
        let (stopped_at, severity, message) = match Exact::new(window, whole, &mut self.series).read() {
            Ok((Read::Ended(at), _)) => {
                (at, Severity::Warning, "a NUL byte here is taken for the end of the body: the server reads no further".to_owned())
            }
            Ok((read, end)) => {
                self.take(block, Whole::new(&window[..end], end), read, each);
                block.at += end;
                return true;
            }
            Err(Stop::Wrong { at, message }) => (at, Severity::Error, message),
            Err(Stop::More(_)) if !too_long => return false,
            Err(Stop::More(quote)) => (quote.unwrap_or(0), Severity::Error, "the quote is not closed within 16 MiB".to_owned()),
        };
        // The line is shown, and the next one is where to go on: so it must be whole, even if the error is at its start.
        let Some(length) = memchr::memchr(b'\n', window).or(whole.then_some(window.len())) else {
            if too_long {
                let message = format!("the line is longer than {} MiB, and is passed over", LONGEST_LINE >> 20);
                self.problem(block, &window[..SHOWN_OF_LONG], 0, Severity::Error, message, each);
                self.state.skipping = true;
            }
            return too_long;
        };
        let line = &window[..length];
        let after = (length + 1).min(window.len());
        match line.strip_suffix(b"\r") {
            Some(plain) if severity == Severity::Error => match Exact::new(plain, true, &mut self.series).read() {
                Ok((read, _)) => {
                    self.problem(block, line, plain.len(), severity, exact::CARRIAGE_RETURN.to_owned(), each);
                    self.take(block, Whole::new(plain, after), read, each);
                }
                Err(_) => self.problem(block, line, stopped_at, severity, message, each),
            },
            _ => self.problem(block, line, stopped_at, severity, message, each),
        }
        self.state.ended = severity == Severity::Warning;
        block.at += after;
        true
    }

    fn take(&mut self, block: &mut Block<'_>, line: Whole<'_>, read: Read, each: &mut impl FnMut(Item<'_>)) {
        let text = |bytes| std::str::from_utf8(bytes).ok();
        match read {
            Read::Nothing | Read::Ended(_) => {}
            Read::Sample { value, timestamp_ms } => self.sample(block, line, value, timestamp_ms, each),
            Read::Type { name, kind } => {
                self.state.bound = bound(kind);
                if let Some(name) = text(&line.bytes[name]) {
                    each(Item::Type { name, kind });
                    let wrong = self.strict.as_mut().and_then(|strict| strict.kind(name));
                    self.complain(block, line.bytes, wrong, each);
                }
            }
            Read::Help { name, text: help } => {
                if let (Some(name), Some(text)) = (text(&line.bytes[name]), text(&help)) {
                    each(Item::Help { name, text });
                    let wrong = self.strict.as_mut().and_then(|strict| strict.help(name));
                    self.complain(block, line.bytes, wrong, each);
                    self.returns(block, line.bytes, each);
                }
            }
        }
    }

    /// Its series is in `self.series`.
    #[inline]
    fn sample(&mut self, block: &mut Block<'_>, line: Whole<'_>, value: f64, timestamp_ms: Option<i64>, each: &mut impl FnMut(Item<'_>)) {
        if let Err(Refusal { at, message }) = self.series.settle(line.bytes, self.state.bound) {
            return self.problem(block, line.bytes, at, Severity::Error, message, each);
        }
        let mut labels: Vec<Label<'_>> = std::mem::take(&mut self.labels);
        let Some(name) = self.series.resolve(line.bytes, line.text, &mut labels) else {
            return self.problem(block, line.bytes, 0, Severity::Error, "a name is not UTF-8".to_owned(), each);
        };
        let wrong = self.strict.as_mut().and_then(|strict| strict.sample(name, &labels));
        each(Item::Sample(Sample {
            name,
            labels: &labels,
            value: Value::Float(value),
            timestamp_ms,
            start_ms: None,
            exemplars: &[],
            offset: self.bytes + block.at as u64,
            length: line.length as u32,
        }));
        self.labels = emptied(labels);
        self.complain(block, line.bytes, wrong, each);
    }

    fn complain(&mut self, block: &mut Block<'_>, line: &[u8], wrong: Option<String>, each: &mut impl FnMut(Item<'_>)) {
        if let Some(message) = wrong {
            self.problem(block, line, 0, Severity::Error, message, each);
        }
    }

    /// In a body whose lines end with carriage returns alone, a help text swallows all that is behind it.
    fn returns(&mut self, block: &mut Block<'_>, line: &[u8], each: &mut impl FnMut(Item<'_>)) {
        if let Some(at) = memchr::memchr(b'\r', line.trim_ascii_end()) {
            let message = "a carriage return: what is behind it is taken for a part of the help text";
            self.problem(block, line, at, Severity::Warning, message.to_owned(), each);
        }
    }

    /// `lines`: whole ones, from where the block is; `at` is in them.
    #[cold]
    fn problem(
        &mut self,
        block: &mut Block<'_>,
        lines: &[u8],
        at: usize,
        severity: Severity,
        message: String,
        each: &mut impl FnMut(Item<'_>),
    ) {
        let start = memchr::memrchr(b'\n', &lines[..at]).map_or(0, |feed| feed + 1);
        let end = memchr::memchr(b'\n', &lines[at..]).map_or(lines.len(), |feed| at + feed);
        self.lines += block.new_lines(block.at);
        let number = self.lines + memchr::memchr_iter(b'\n', &lines[..start]).count() as u64 + 1;
        let line = Line { bytes: &lines[start..end], number, offset: self.bytes + (block.at + start) as u64 };
        each(Item::Problem(&line.problem(at - start, severity, message)));
    }
}

/// A line that was read, or several with a quote over their ends.
struct Whole<'a> {
    bytes: &'a [u8],
    /// Begins with the bytes, if these are UTF-8.
    text: Option<&'a str>,
    /// In the body.
    length: usize,
}

impl<'a> Whole<'a> {
    fn new(bytes: &'a [u8], length: usize) -> Whole<'a> {
        Whole { bytes, text: std::str::from_utf8(bytes).ok(), length }
    }
}

/// Of a line that is too long, as much is shown.
const SHOWN_OF_LONG: usize = 1 << 10;

/// Its memory, for labels of another line: collecting in place allocates nothing.
fn emptied(mut labels: Vec<Label<'_>>) -> Vec<Label<'static>> {
    labels.clear();
    labels.into_iter().map(|_| Label { name: "", value: "" }).collect()
}

/// The input of one call.
struct Block<'a> {
    input: &'a [u8],
    last: bool,
    at: usize,
    /// Until where line feeds were counted.
    counted: usize,
    /// The part of the input that is known to be UTF-8, so that no line has to be looked through for that.
    text: &'a str,
    text_start: usize,
}

impl<'a> Block<'a> {
    /// From here to the first byte that is not UTF-8; empty if that is here.
    #[inline]
    fn text_here(&mut self) -> &'a str {
        if self.at >= self.text_start + self.text.len() {
            let rest = &self.input[self.at..];
            let length = std::str::from_utf8(rest).map_or_else(|error| error.valid_up_to(), str::len);
            self.text = std::str::from_utf8(&rest[..length]).unwrap_or_default();
            self.text_start = self.at;
        }
        self.text.get(self.at - self.text_start..).unwrap_or_default()
    }

    /// Line feeds before `to` that were not counted yet.
    fn new_lines(&mut self, to: usize) -> u64 {
        let count = memchr::memchr_iter(b'\n', &self.input[self.counted..to]).count();
        self.counted = to;
        count as u64
    }
}
