//! Folded stacks, one a line, outermost frame first, as flamegraph.pl and inferno read them: `main;f;g 42`.

use std::fmt::Write;

/// Appends one line. A frame's `;` and whatever breaks lines is replaced, so that a line always has the frames it was given.
pub fn push_line<'a>(out: &mut String, frames: impl IntoIterator<Item = &'a str>, count: u64) {
    push_frames(out, frames);
    // Writing to a String cannot fail.
    let _ = writeln!(out, " {count}");
}

/// A line without its number.
pub fn push_frames<'a>(out: &mut String, frames: impl IntoIterator<Item = &'a str>) {
    let mut first = true;
    for frame in frames {
        if !first {
            out.push(';');
        }
        first = false;
        out.extend(frame.chars().map(|c| match c {
            ';' => ':',
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => ' ',
            c => c,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let mut out = String::new();
        push_line(&mut out, ["main.main", "main.F[struct { a int; b int }]", "two\nlines"], 3);
        push_line(&mut out, ["main.main"], 1);
        assert_eq!(out, "main.main;main.F[struct { a int: b int }];two lines 3\nmain.main 1\n");
    }
}
