//! Where in a line something is wrong, and the part of the line to show for it.

use super::{Problem, Severity};

/// Characters of a line that are shown at most.
const SHOWN: usize = 120;
const CUT: char = '…';

/// A whole line, without its end.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    pub bytes: &'a [u8],
    /// From 1.
    pub number: u64,
    /// Where it begins in the body, in bytes.
    pub offset: u64,
}

impl Line<'_> {
    /// `at`: where in the line, in bytes; at its end for what is missing there.
    pub fn problem(&self, at: usize, severity: Severity, message: String) -> Problem {
        let at = at.min(self.bytes.len());
        let before = String::from_utf8_lossy(&self.bytes[..at]).chars().count();
        let (excerpt, caret) = excerpt(self.bytes, before);
        Problem { offset: self.offset + at as u64, line: self.number, column: before as u64 + 1, message, excerpt, caret, severity }
    }
}

/// The line, or what is around the character `at`, and where that is in it.
fn excerpt(line: &[u8], at: usize) -> (String, usize) {
    let text = String::from_utf8_lossy(line);
    let count = text.chars().count();
    if count <= SHOWN {
        return (text.into_owned(), at);
    }
    let start = at.saturating_sub(SHOWN / 2).min(count - SHOWN);
    let end = start + SHOWN;
    let mut shown: String = text.chars().skip(start).take(SHOWN).collect();
    if end < count {
        shown.pop();
        shown.push(CUT);
    }
    if start > 0 {
        shown = std::iter::once(CUT).chain(shown.chars().skip(1)).collect();
    }
    (shown, at - start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_counts_characters() {
        let line = Line { bytes: "é{ä=x".as_bytes(), number: 7, offset: 100 };
        let problem = line.problem(6, Severity::Error, "no quote".to_owned());
        assert_eq!((problem.offset, problem.line, problem.column, problem.caret), (106, 7, 5, 4));
        assert_eq!(problem.excerpt, "é{ä=x");
        assert_eq!(problem.to_string(), "7:5: no quote");
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let text: String = ('a'..='z').cycle().take(1000).collect();
        for at in [0, 59, 60, 61, 500, 939, 940, 941, 999, 1000] {
            let problem = Line { bytes: text.as_bytes(), number: 1, offset: 0 }.problem(at, Severity::Error, String::new());
            assert!(problem.excerpt.chars().count() <= SHOWN, "{at}");
            assert_eq!(problem.excerpt.chars().nth(problem.caret), text.chars().nth(at), "{at}");
            assert_eq!(problem.excerpt.starts_with(CUT), at > 60, "{at}");
            assert_eq!(problem.excerpt.ends_with(CUT), at < 940, "{at}");
        }
    }
}
