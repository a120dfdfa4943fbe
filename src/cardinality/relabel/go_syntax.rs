//! Regular expressions as Go's `regexp/syntax` reads them, written anew in the syntax of the `regex` crate.
//!
//! The two look alike and differ in ways that nobody sees: `\d`, `\w`, `\b` are ASCII in Go and Unicode in the crate, `[a[b]` and `[a&&b]`
//! are sets of characters in Go and set operations in the crate, `\<` is a character in Go and a word boundary in the crate. So nothing is
//! handed through: each construct is read by the rules of Go's `regexp/syntax/parse.go` (Perl flags) and written in a form that can only
//! mean that. What has no such form is an error that says so.

mod escape;

use super::regexp::Refused;
use escape::{Item, char_escape, class_escape, excerpt, posix_class, set_only};

/// Of a repetition, and of the product of nested ones: `maxRepeat` of `parse.go`.
const MOST_REPEATS: u32 = 1000;

/// In the syntax of the `regex` crate.
#[derive(Debug, PartialEq, Eq)]
pub struct Translated {
    pub pattern: String,
    /// The names of the groups; the first is the whole, which has none. The groups in `pattern` are unnamed: Go takes other names, and one
    /// name twice.
    pub names: Vec<Option<String>>,
}

/// Fails with what Go refuses, and what cannot be said in the syntax of the `regex` crate.
pub fn translate(pattern: &str) -> Result<Translated, Refused> {
    Translator {
        rest: pattern,
        out: String::with_capacity(pattern.len() * 2),
        names: vec![None],
        groups: vec![Group::default()],
        after_repeat: false,
    }
    .run()
}

struct Translator<'p> {
    rest: &'p str,
    out: String,
    names: Vec<Option<String>>,
    /// Those that are open, outermost first.
    groups: Vec<Group>,
    /// A repetition was read just now, on which no other may follow.
    after_repeat: bool,
}

/// How often the parts of a group are repeated, nested repetitions multiplied.
#[derive(Default)]
struct Group {
    /// What a repetition would apply to.
    last: Option<u32>,
    most: u32,
}

impl<'p> Translator<'p> {
    fn run(mut self) -> Result<Translated, Refused> {
        while let Some(c) = self.rest.chars().next() {
            let repeated = std::mem::take(&mut self.after_repeat);
            match c {
                '(' if self.rest.starts_with("(?") => self.perl_group()?,
                '(' => {
                    self.advance(1);
                    self.names.push(None);
                    self.open("(");
                }
                '|' => {
                    self.advance(1);
                    self.out.push('|');
                    self.group().last = None;
                }
                ')' => self.close()?,
                '^' | '$' | '.' => {
                    self.advance(1);
                    self.out.push(c);
                    self.atom();
                }
                '[' => self.class()?,
                '*' | '+' | '?' => {
                    self.advance(1);
                    self.repeat(c.encode_utf8(&mut [0; 4]), None, repeated)?;
                }
                '{' => match counts(self.rest)? {
                    Some((least, most, length)) => {
                        let text = &self.rest[..length];
                        self.advance(length);
                        self.repeat(text, Some((least, most)), repeated)?;
                    }
                    None => self.literal('{', 1),
                },
                '\\' => self.escape()?,
                c => self.literal(c, c.len_utf8()),
            }
        }
        match self.groups.len() {
            1 => Ok(Translated { pattern: self.out, names: self.names }),
            _ => Err(Refused::by_go("missing closing )")),
        }
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    fn group(&mut self) -> &mut Group {
        // The outermost is never closed.
        let last = self.groups.len() - 1;
        &mut self.groups[last]
    }

    fn weigh(&mut self, weight: u32) {
        let group = self.group();
        group.last = Some(weight);
        group.most = group.most.max(weight);
    }

    fn atom(&mut self) {
        self.weigh(1);
    }

    fn literal(&mut self, c: char, length: usize) {
        self.advance(length);
        push_literal(&mut self.out, c);
        self.atom();
    }

    fn open(&mut self, text: &str) {
        self.out.push_str(text);
        self.groups.push(Group::default());
    }

    fn close(&mut self) -> Result<(), Refused> {
        self.advance(1);
        if self.groups.len() == 1 {
            return Err(Refused::by_go("unexpected )"));
        }
        let weight = self.groups.pop().map_or(1, |group| group.most.max(1));
        self.out.push(')');
        self.weigh(weight);
        Ok(())
    }

    fn repeat(&mut self, text: &str, counts: Option<(u32, Option<u32>)>, repeated: bool) -> Result<(), Refused> {
        self.out.push_str(text);
        if self.rest.starts_with('?') {
            self.advance(1);
            self.out.push('?');
        }
        if repeated {
            return Err(Refused::by_go(format!("`{text}` follows another repetition")));
        }
        let Some(weight) = self.group().last else {
            return Err(Refused::by_go(format!("nothing before `{text}` that it could repeat")));
        };
        let weight = match counts {
            None => weight,
            // As `repeatIsValid` counts: `{0}` ends it, and an open end counts as the least.
            Some((_, Some(0))) => 1,
            Some((least, most)) => {
                let times = most.unwrap_or(least);
                let weight = weight.saturating_mul(times.max(1));
                if (least >= 2 || times >= 2) && weight > MOST_REPEATS {
                    return Err(Refused::by_go(format!("`{text}` repeats more than {MOST_REPEATS} times in all")));
                }
                weight
            }
        };
        self.weigh(weight);
        self.after_repeat = true;
        Ok(())
    }

    /// `(?:`, `(?flags)`, `(?flags:`, `(?P<name>`, `(?<name>`.
    fn perl_group(&mut self) -> Result<(), Refused> {
        let named = match self.rest {
            rest if rest.starts_with("(?P<") && rest.len() > 4 => Some(&rest[4..]),
            rest if rest.starts_with("(?<") && rest.len() > 3 => Some(&rest[3..]),
            _ => None,
        };
        if let Some(named) = named {
            let name = named.split_once('>').map(|(name, _)| name);
            let valid = |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric());
            let Some(name) = name.filter(valid) else {
                return Err(Refused::by_go(format!("`{}` is no named group; look-behind does not exist", excerpt(self.rest))));
            };
            self.rest = &named[name.len() + 1..];
            self.names.push(Some(name.to_owned()));
            self.open("(");
            return Ok(());
        }
        let invalid = || Refused::by_go(format!("`{}`: invalid or unsupported group; look-around does not exist", excerpt(self.rest)));
        let inner = &self.rest[2..];
        let end = inner.find([':', ')']).ok_or_else(invalid)?;
        let flags = &inner[..end];
        let (on, off) = flags.split_once('-').map_or((flags, None), |(on, off)| (on, Some(off)));
        let known = |flags: &str| flags.bytes().all(|flag| b"imsU".contains(&flag));
        if !known(on) || off.is_some_and(|off| off.is_empty() || !known(off)) {
            return Err(invalid());
        }
        let opens = inner.as_bytes()[end] == b':';
        self.advance(2 + end + 1);
        let flags = without_repeats(on, off);
        match (opens, flags.is_empty()) {
            (true, _) => self.open(&format!("(?{flags}:")),
            (false, true) => {}
            (false, false) => self.out.push_str(&format!("(?{flags})")),
        }
        Ok(())
    }

    fn escape(&mut self) -> Result<(), Refused> {
        let next = self.rest[1..].chars().next();
        match next {
            Some('A' | 'z') => {
                self.out.push_str(&self.rest[..2]);
                self.advance(2);
                self.atom();
            }
            Some(c @ ('b' | 'B')) => {
                self.out.push_str(&format!(r"(?-u:\{c})"));
                self.advance(2);
                self.atom();
            }
            Some('Q') => {
                let (quoted, rest) = self.rest[2..].split_once(r"\E").unwrap_or((&self.rest[2..], ""));
                for c in quoted.chars() {
                    push_literal(&mut self.out, c);
                    self.atom();
                }
                self.rest = rest;
            }
            _ => {
                let (item, length) = class_escape(self.rest)?.map_or_else(|| char_escape(self.rest), Ok)?;
                self.advance(length);
                match item {
                    Item::Char(c) => push_literal(&mut self.out, c),
                    Item::Set(set) => self.out.push_str(&set),
                }
                self.atom();
            }
        }
        Ok(())
    }

    fn class(&mut self) -> Result<(), Refused> {
        let whole = self.rest;
        let unclosed = || Refused::by_go(format!("`{}`: missing closing ]", excerpt(whole)));
        self.advance(1);
        self.out.push('[');
        if self.rest.starts_with('^') {
            self.advance(1);
            self.out.push('^');
        }
        let mut first = true;
        let mut empty = true;
        while first || !self.rest.starts_with(']') {
            if self.rest.is_empty() {
                return Err(unclosed());
            }
            first = false;
            if let Some((set, length)) =
                posix_class(self.rest)?.map_or_else(|| class_escape(self.rest).map(set_only), |found| Ok(Some(found)))?
            {
                self.out.push_str(&set);
                self.advance(length);
                empty = false;
                continue;
            }
            let start = self.rest;
            let low = self.class_char().ok_or_else(unclosed)??;
            let mut high = low;
            if self.rest.len() >= 2 && self.rest.starts_with('-') && !self.rest[1..].starts_with(']') {
                self.advance(1);
                high = self.class_char().ok_or_else(unclosed)??;
                if high < low {
                    let range = &start[..start.len() - self.rest.len()];
                    return Err(Refused::by_go(format!("`{range}`: a range that ends before it begins")));
                }
            }
            push_literal(&mut self.out, low);
            if high != low {
                self.out.push('-');
                push_literal(&mut self.out, high);
            }
            empty = false;
        }
        debug_assert!(!empty);
        self.advance(1);
        self.out.push(']');
        self.atom();
        Ok(())
    }

    /// One character of a class, escaped or not; none at the end of the pattern.
    fn class_char(&mut self) -> Option<Result<char, Refused>> {
        let c = self.rest.chars().next()?;
        if c != '\\' {
            self.advance(c.len_utf8());
            return Some(Ok(c));
        }
        Some(char_escape(self.rest).and_then(|(item, length)| match item {
            Item::Char(c) => {
                self.advance(length);
                Ok(c)
            }
            Item::Set(_) => Err(Refused::by_go(format!("`{}` cannot be the end of a range", &self.rest[..length]))),
        }))
    }
}

/// Least, most and length of `{n}`, `{n,}`, `{n,m}`; none where Go takes the brace as a character.
#[allow(clippy::type_complexity)]
fn counts(text: &str) -> Result<Option<(u32, Option<u32>, usize)>, Refused> {
    let Some(end) = text.find('}') else { return Ok(None) };
    let inner = &text[1..end];
    let (least, most) = inner.split_once(',').map_or((inner, None), |(least, most)| (least, Some(most)));
    let number = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
        // One that does not fit is too many anyway.
        plain.then(|| digits.parse().unwrap_or(u32::MAX))
    };
    let (least, most) = match (number(least), most) {
        (Some(least), None) => (least, Some(least)),
        (Some(least), Some("")) => (least, None),
        (Some(least), Some(most)) => match number(most) {
            Some(most) => (least, Some(most)),
            None => return Ok(None),
        },
        (None, _) => return Ok(None),
    };
    if least > MOST_REPEATS || most.is_some_and(|most| most > MOST_REPEATS || most < least) {
        return Err(Refused::by_go(format!("`{}`: invalid repetition, {MOST_REPEATS} is the most", &text[..=end])));
    }
    Ok(Some((least, most, end + 1)))
}

/// Go takes a flag twice, the crate does not. One that is set and unset at once is unset.
fn without_repeats(on: &str, off: Option<&str>) -> String {
    let off = off.unwrap_or("");
    let is_on: String = "imsU".chars().filter(|flag| on.contains(*flag) && !off.contains(*flag)).collect();
    let is_off: String = "imsU".chars().filter(|flag| off.contains(*flag)).collect();
    if is_off.is_empty() { is_on } else { format!("{is_on}-{is_off}") }
}

fn push_literal(out: &mut String, c: char) {
    if c.is_ascii() && !c.is_ascii_alphanumeric() {
        out.push_str(&format!(r"\x{:02x}", c as u32));
    } else {
        out.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(go: &str) -> String {
        translate(go).unwrap().pattern
    }

    fn refused(go: &str) -> String {
        translate(go).unwrap_err().message
    }

    #[test]
    fn what_differs_is_written_out() {
        assert_eq!(pattern(r"\d\W\s"), r"[0-9][^0-9A-Za-z\x5f][\t\n\x0c\r\x20]");
        assert_eq!(pattern(r"\bx\B"), r"(?-u:\b)x(?-u:\B)");
        assert_eq!(pattern(r"\<\_\-"), r"\x3c\x5f\x2d");
        assert_eq!(pattern(r"[a[b]"), r"[a\x5bb]");
        assert_eq!(pattern(r"[a&&b]"), r"[a\x26\x26b]");
        assert_eq!(pattern(r"[^]a-]"), r"[^\x5da\x2d]");
        assert_eq!(pattern(r"[[:word:]\d]"), r"[[0-9A-Za-z\x5f][0-9]]");
        assert_eq!(pattern(r"a{,2}{x"), r"a\x7b\x2c2\x7d\x7bx");
        assert_eq!(pattern(r"\Qa.b\E+\Q(*"), r"a\x2eb+\x28\x2a");
        assert_eq!(pattern(r"\101\0\x{00041}\pL\P{^Greek}"), r"A\x00A[\p{gc=L}][\p{sc=Greek}]");
        assert_eq!(pattern(r"(?ii-s:a)(?)(?i-i)b"), r"(?i-s:a)(?-i)b");
        assert_eq!(pattern(r"\b{start}"), r"(?-u:\b)\x7bstart\x7d");
        let named = translate(r"(?P<1st>a)(b)(?<last>c)").unwrap();
        assert_eq!(named.pattern, "(a)(b)(c)");
        assert_eq!(named.names, [None, Some("1st".to_owned()), None, Some("last".to_owned())]);
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for go in [
            r"a**",
            r"a*+",
            r"a+?*",
            r"*a",
            r"(|*)",
            r"(a",
            r"a)",
            r"[a",
            r"[]",
            r"[z-a]",
            r"[a-\d]",
            r"\8",
            r"\1",
            r"\C",
            r"\q",
            r"\Z",
            r"\xg",
            r"\x{110000}",
            r"\x{}",
            r"(?=a)",
            r"(?<=a)",
            r"(?<!a)",
            r"(?x)a",
            r"(?u)a",
            r"(?i-)a",
            r"(?P<>a)",
            r"a{1001}",
            r"a{2,1}",
            r"(a{100}){11}",
            r"((a{2}){2}){251}",
            r"[[:foo:]]",
            r"\p{Gre",
            r"\",
            r"(?P=a)",
            r"[\b]",
            r"[\Qa\E]",
            "a{99999999999}",
        ] {
            assert!(!translate(go).unwrap_err().by_goscope, "{go}");
        }
    }

    #[test]
    fn what_only_the_crate_cannot_do_is_refused_as_such() {
        for go in [r"\p{C}", r"\pC", r"\p{Linear_B}", r"\x{d800}"] {
            assert!(translate(go).unwrap_err().by_goscope, "{go}");
        }
        assert!(refused(r"\p{C}").contains(r"`\p{C}`"));
    }

    #[test]
    fn repetitions_up_to_the_limit_are_taken() {
        for go in [r"a{1000}", r"(a{100}){10}", r"(a{1000})*", r"(a{1000}){0}{2}x", r"(?:a{1000}){1}", r"a{0,}"] {
            assert_eq!(translate(go).is_ok(), !go.contains("{0}{2}"), "{go}");
        }
    }
}
