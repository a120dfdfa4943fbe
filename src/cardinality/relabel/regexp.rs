//! The regular expressions of relabeling, and the templates that their matches fill, as Go's `regexp` has them.

use std::sync::LazyLock;

use regex::bytes::{Captures, Regex, RegexBuilder};

use super::go_syntax;

/// Of a compiled expression, in bytes. Go has no such limit; 10 MiB, the default, is less than `.{1000}` in a few groups takes.
const LARGEST: usize = 64 << 20;

/// Why an expression is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub message: String,
    /// Prometheus would take it: it is goscope that cannot run it.
    pub by_goscope: bool,
}

impl Refused {
    pub fn by_go(message: impl Into<String>) -> Self {
        Refused { message: message.into(), by_goscope: false }
    }

    /// `what` cannot be done here.
    pub fn by_goscope(what: impl Into<String>) -> Self {
        Refused { message: format!("goscope does not know {}, Prometheus may", what.into()), by_goscope: true }
    }
}

/// Anchored, and with a dot that takes line ends too: `NewRegexp` of Prometheus' `model/relabel/relabel.go`.
#[derive(Debug, Clone)]
pub struct Regexp {
    source: String,
    /// Over bytes, because `\B` between the bytes of a character is allowed there only. All that it is asked about is text.
    compiled: Regex,
    names: Vec<Option<String>>,
}

impl Regexp {
    pub fn new(source: &str) -> Result<Self, Refused> {
        // The anchors are part of what is read: `a)|(b` is valid, and not anchored at all.
        let translated = go_syntax::translate(&format!("^(?s:{source})$"))?;
        let compiled =
            RegexBuilder::new(&translated.pattern).size_limit(LARGEST).nest_limit(1000).build().map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => Refused::by_goscope("expressions as big as this"),
                // The last line says what is wrong; those before show a pattern that the user never wrote.
                error => Refused::by_goscope(format!("this expression ({})", error.to_string().lines().last().unwrap_or_default().trim())),
            })?;
        Ok(Regexp { source: source.to_owned(), compiled, names: translated.names })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    pub fn is_match(&self, value: &str) -> bool {
        self.compiled.is_match(value.as_bytes())
    }

    pub fn captures<'v>(&self, value: &'v str) -> Option<Match<'_, 'v>> {
        self.compiled.captures(value.as_bytes()).map(|captures| Match { regexp: self, captures })
    }

    /// The expression as it would be without anchors, to tell what it nearly matches.
    pub fn unanchored(&self) -> Option<Regex> {
        let translated = go_syntax::translate(&format!("(?s:{})", self.source)).ok()?;
        Regex::new(&translated.pattern).ok()
    }

    /// Each match of it replaced; all of `value`, unless the expression has got around the anchors.
    pub fn replace_all(&self, value: &str, template: &str) -> String {
        let mut out = String::new();
        let mut end = 0;
        for captures in self.compiled.captures_iter(value.as_bytes()) {
            let Some(whole) = captures.get(0) else { continue };
            out.push_str(value.get(end..whole.start()).unwrap_or_default());
            end = whole.end();
            Match { regexp: self, captures }.expand(template, &mut out);
        }
        out.push_str(value.get(end..).unwrap_or_default());
        out
    }
}

/// A variable of a template that no group of the expression fills: always empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfilled {
    /// `$1_total`, which is the group `1_total`.
    pub written: String,
    /// `${1}_total`, where it begins with the number of a group.
    pub meant: Option<String>,
}

impl Regexp {
    /// The first variable of a template without a group.
    pub fn unfilled(&self, template: &str) -> Option<Unfilled> {
        let mut rest = template;
        while let Some((_, after)) = rest.split_once('$') {
            rest = after.strip_prefix('$').unwrap_or(after);
            let Some((name, left)) = variable(after).filter(|_| !after.starts_with('$')) else { continue };
            if !self.has_group(name) {
                let digits = name.trim_start_matches(|c: char| c.is_ascii_digit());
                let (number, tail) = name.split_at(name.len() - digits.len());
                let meant = (!after.starts_with('{') && self.has_group(number)).then(|| format!("${{{number}}}{tail}"));
                let written = format!("${}", &after[..after.len() - left.len()]);
                return Some(Unfilled { written, meant });
            }
            rest = left;
        }
        None
    }

    fn has_group(&self, name: &str) -> bool {
        match group_number(name) {
            Some(number) => number < self.compiled.captures_len(),
            None => self.names.iter().any(|known| known.as_deref() == Some(name)),
        }
    }
}

/// Of a group that is called by its number.
fn group_number(name: &str) -> Option<usize> {
    let numeric = name.bytes().all(|byte| byte.is_ascii_digit()) && (name.len() == 1 || !name.starts_with('0'));
    name.parse().ok().filter(|_| numeric)
}

pub struct Match<'r, 'v> {
    regexp: &'r Regexp,
    captures: Captures<'v>,
}

impl Match<'_, '_> {
    /// Appends `template` with `$1`, `${1}`, `$name`, `${name}` replaced by what the groups matched, and `$$` by `$`; as Go's
    /// `Regexp.Expand`. A group that does not exist or took no part is empty.
    pub fn expand(&self, template: &str, out: &mut String) {
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                out.push('$');
                rest = after;
                continue;
            }
            match variable(after) {
                Some((name, after)) => {
                    out.push_str(self.group(name));
                    rest = after;
                }
                None => {
                    out.push('$');
                    rest = after;
                }
            }
        }
        out.push_str(rest);
    }

    fn group(&self, name: &str) -> &str {
        let found = match group_number(name) {
            Some(index) => self.captures.get(index),
            // Of several groups with one name, the first that took part.
            None => {
                let named = self.regexp.names.iter().enumerate().filter(|(_, known)| known.as_deref() == Some(name));
                named.filter_map(|(index, _)| self.captures.get(index)).next()
            }
        };
        // Groups begin and end between characters.
        found.and_then(|found| std::str::from_utf8(found.as_bytes()).ok()).unwrap_or_default()
    }
}

/// The name after a `$`, and what follows it.
fn variable(text: &str) -> Option<(&str, &str)> {
    #[allow(clippy::unwrap_used)] // A constant, compiled by every test.
    static NAME: LazyLock<regex::Regex> = LazyLock::new(|| regex::Regex::new(r"\A[\p{L}\p{Nd}_]+").unwrap());
    let (inner, braced) = text.strip_prefix('{').map_or((text, false), |inner| (inner, true));
    let end = NAME.find(inner)?.end();
    let (name, rest) = inner.split_at(end);
    if braced { Some((name, rest.strip_prefix('}')?)) } else { Some((name, rest)) }
}

/// Whether something in it is to be replaced: `varInRegexTemplate`.
pub fn has_variable(template: &str) -> bool {
    template.contains('$')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_no_group_fills_is_found() {
        let cases = [
            ("(.*)", "$1_bkt", Some(("$1_bkt", Some("${1}_bkt")))),
            ("(.*)", "a$$1_${1}_$0", None),
            ("(.*)", "$1-$2", Some(("$2", None))),
            ("(?P<a>.*)", "${a}$b$1", Some(("$b", None))),
            ("(.*)", "${1_x}", Some(("${1_x}", None))),
            (".*", "$1x", Some(("$1x", None))),
            (".*", "plain", None),
        ];
        for (regex, template, expected) in cases {
            let expected = expected.map(|(written, meant)| Unfilled { written: written.to_owned(), meant: meant.map(str::to_owned) });
            assert_eq!(Regexp::new(regex).unwrap().unfilled(template), expected, "{regex} {template}");
        }
    }

    fn expand(source: &str, value: &str, template: &str) -> String {
        let regexp = Regexp::new(source).unwrap();
        let mut out = String::new();
        regexp.captures(value).unwrap().expand(template, &mut out);
        out
    }

    #[test]
    fn it_is_anchored_and_the_dot_takes_line_ends() {
        let regexp = Regexp::new("a.c").unwrap();
        assert!(regexp.is_match("a\nc") && !regexp.is_match("xabc") && !regexp.is_match("abcx"));
        assert!(Regexp::new("").unwrap().is_match("") && !Regexp::new("").unwrap().is_match("a"));
        assert!(Regexp::new("a)|(b").unwrap().is_match("xxb"));
    }

    #[test]
    fn characters_are_ascii_classes_as_in_go() {
        assert!(!Regexp::new(r"\w+").unwrap().is_match("é"));
        assert!(!Regexp::new(r"\d").unwrap().is_match("٣"));
        assert!(Regexp::new(r"é\Bé").unwrap().is_match("éé"));
        assert!(Regexp::new(r"(?i)k").unwrap().is_match("\u{212a}"));
    }

    #[test]
    fn templates_are_filled_as_go_fills_them() {
        assert_eq!(expand("(a)(?P<second>b)(c)?", "ab", "$1-${second}-$second.$2$3$4"), "a-b-b.b");
        assert_eq!(expand("(a)", "a", "$1x|${1}x|$$1|$|${1|$-|${}|$01"), "|ax|$1|$|${1|$-|${}|");
        assert_eq!(expand("(?P<n>a)|(?P<n>b)", "b", "$n"), "b");
        assert_eq!(expand("(?P<1st>a)", "a", "${1st} $1st"), "a a");
        assert_eq!(expand("(a)", "a", "$é1 $0"), " a");
        assert_eq!(expand("(a)", "a", "$99999999999999999999999"), "");
    }

    #[test]
    fn replacing_goes_around_a_lost_anchor() {
        assert_eq!(Regexp::new("(.*)_total").unwrap().replace_all("x_total", "$1"), "x");
        assert_eq!(Regexp::new("a)|(b").unwrap().replace_all("axb", "<$0>"), "<a>x<b>");
    }
}
