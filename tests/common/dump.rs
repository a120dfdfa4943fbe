//! A reader of the runtime's own dump (`runtime.Stack(buf, true)`, `debug=2`, SIGQUIT), Go 1.18 to 1.27.
//! It is strict: a line that it does not understand fails the test. The writer is `goroutineheader`, `traceback1` and `traceback2`
//! in `runtime/traceback.go`.

use std::collections::BTreeMap;

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Goroutine {
    pub id: u64,
    /// `chan receive`, `running`; without the marks that follow it.
    pub state: String,
    /// Blocked on nothing outside its synctest bubble.
    pub durable: bool,
    pub minutes: Option<u64>,
    pub locked: bool,
    /// Number of the synctest bubble (1.25), or the goroutine that leads the group (1.24).
    pub bubble: Option<u64>,
    /// Printed by 1.26 and later when GODEBUG=tracebacklabels=1.
    pub labels: BTreeMap<String, String>,
    /// Innermost first.
    pub frames: Vec<Frame>,
    /// Where frames were left out.
    pub elided: Option<Elided>,
    /// "goroutine running on other thread; stack unavailable".
    pub unavailable: bool,
    pub created_by: Option<CreatedBy>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Frame {
    pub function: String,
    pub file: String,
    pub line: u32,
    pub inlined: bool,
    /// Of the pc from the function's entry.
    pub offset: Option<u64>,
    /// Under GOTRACEBACK=system only, of frames that are not inlined.
    pub pc: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elided {
    /// How many frames stand before the gap.
    pub after: usize,
    /// How many are missing; until Go 1.20 the end of the stack is cut off and nobody says how much.
    pub frames: Option<usize>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct CreatedBy {
    pub function: String,
    pub file: String,
    pub line: u32,
    /// Since Go 1.21.
    pub goroutine: Option<u64>,
}

/// Of `runtime.Stack`: all goroutines, in order; the first one is the one that made the dump.
pub fn parse(text: &str) -> Vec<Goroutine> {
    text.trim_end().split("\n\n").map(goroutine).collect()
}

/// The dump of SIGQUIT: a head, the goroutine whose thread took the signal (0 if that thread had none), the others, the registers.
pub fn parse_quit(text: &str) -> Vec<Goroutine> {
    assert!(text.starts_with("SIGQUIT: quit\nPC="), "not a dump of SIGQUIT: {text:.80}");
    let is_goroutine = |block: &&str| block.starts_with("goroutine ") && !block.starts_with("goroutine 0 ");
    text.split("\n\n").filter(is_goroutine).map(goroutine).collect()
}

fn goroutine(text: &str) -> Goroutine {
    let mut lines = text.trim_matches('\n').lines();
    let mut g = header(lines.next().unwrap());
    while let Some(line) = lines.next() {
        if line == "\tgoroutine running on other thread; stack unavailable" {
            g.unavailable = true;
        } else if let Some(function) = line.strip_prefix("created by ") {
            let place = place(lines.next().unwrap());
            let (function, creator) = match function.rsplit_once(" in goroutine ") {
                Some((function, id)) => (function, Some(number(id))),
                None => (function, None),
            };
            g.created_by = Some(CreatedBy { function: function.to_owned(), file: place.file, line: place.line, goroutine: creator });
        } else if line == "...additional frames elided..." {
            g.elided = Some(Elided { after: g.frames.len(), frames: None });
        } else if let Some(n) = line.strip_prefix("...").and_then(|rest| rest.strip_suffix(" frames elided...")) {
            g.elided = Some(Elided { after: g.frames.len(), frames: Some(number(n) as usize) });
        } else {
            let (function, arguments) = function_line(line);
            let place = place(lines.next().unwrap());
            g.frames.push(Frame { function, inlined: arguments == "..." && place.offset.is_none(), ..place });
        }
    }
    g
}

/// `goroutine 7 gp=0x.. m=nil [chan receive (durable), 5 minutes, locked to thread, synctest bubble 1] {key: value}:`
fn header(line: &str) -> Goroutine {
    let rest = line.strip_prefix("goroutine ").and_then(|rest| rest.strip_suffix(':')).expect(line);
    let (id, rest) = rest.split_once(' ').expect(line);
    let (_, rest) = rest.split_once('[').expect(line); // gp=, m= and mp= under GOTRACEBACK=system
    // Go 1.26 has the labels before the bracket closes, 1.27 after it. A label may hold brackets itself.
    let (marks, labels) = if let Some((marks, labels)) = rest.split_once(" labels:{") {
        (marks, labels.strip_suffix("}]").expect(line))
    } else if let Some((marks, labels)) = rest.split_once("] {") {
        (marks, labels.strip_suffix('}').expect(line))
    } else {
        (rest.strip_suffix(']').expect(line), "")
    };
    let mut g = Goroutine { id: number(id), labels: pairs(labels), ..Goroutine::default() };
    for (i, mark) in marks.split(", ").enumerate() {
        if i == 0 {
            let mark = mark.strip_suffix(" (scan)").unwrap_or(mark);
            let state = mark.strip_suffix(" (durable)");
            g.durable = state.is_some();
            g.state = state.unwrap_or(mark).to_owned();
        } else if let Some(minutes) = mark.strip_suffix(" minutes") {
            g.minutes = Some(number(minutes));
        } else if mark == "locked to thread" {
            g.locked = true;
        } else if let Some(bubble) = mark.strip_prefix("synctest bubble ").or_else(|| mark.strip_prefix("synctest group ")) {
            g.bubble = Some(number(bubble));
        } else {
            panic!("unknown mark {mark:?} in {line}");
        }
    }
    g
}

/// `key: value, "quo\"ted": "value"`.
fn pairs(mut text: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    while !text.is_empty() {
        let (key, rest) = word(text);
        let (value, rest) = word(rest.strip_prefix(": ").unwrap_or_else(|| panic!("a label without a value: {text}")));
        labels.insert(key, value);
        text = rest.strip_prefix(", ").unwrap_or(rest);
    }
    labels
}

/// A word up to `:` or `,`, or one in quotes with the escapes of `printquoted` (`runtime/print.go`).
fn word(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([':', ',']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut out = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (out, &quoted[at + 1..]),
            '\\' => match chars.next().unwrap().1 {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                'r' => out.push('\r'),
                escape @ ('x' | 'u' | 'U') => {
                    let digits = match escape {
                        'x' => 2,
                        'u' => 4,
                        _ => 8,
                    };
                    let hex: String = (0..digits).map(|_| chars.next().unwrap().1).collect();
                    out.push(char::from_u32(u32::from_str_radix(&hex, 16).unwrap()).unwrap());
                }
                other => out.push(other),
            },
            _ => out.push(c),
        }
    }
    panic!("an open quote: {text}")
}

/// `pkg.(*T).m(0x1, {0x2, ...})`; arguments never hold a parenthesis.
fn function_line(line: &str) -> (String, &str) {
    let (function, arguments) =
        line.strip_suffix(')').and_then(|line| line.rsplit_once('(')).unwrap_or_else(|| panic!("not a function line: {line:?}"));
    // The runtime prints its gopanic as the built-in.
    let function = if function == "panic" { "runtime.gopanic" } else { function };
    (function.to_owned(), arguments)
}

/// `\t/path/file.go:12 +0x1d fp=0x.. sp=0x.. pc=0x..`
fn place(line: &str) -> Frame {
    let mut rest = line.strip_prefix('\t').unwrap_or_else(|| panic!("not a source line: {line:?}"));
    let mut frame = Frame::default();
    if let Some((before, registers)) = rest.rsplit_once(" fp=0x") {
        let (_, pc) = registers.rsplit_once(" pc=0x").unwrap();
        frame.pc = Some(u64::from_str_radix(pc, 16).unwrap());
        rest = before;
    }
    if let Some((before, offset)) = rest.rsplit_once(" +0x") {
        frame.offset = Some(u64::from_str_radix(offset, 16).unwrap());
        rest = before;
    }
    let (file, line) = rest.rsplit_once(':').unwrap();
    Frame { file: file.to_owned(), line: number(line) as u32, ..frame }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("not a number: {text:?}"))
}
