//! Lines of a human view: escaped, coloured, and fitted to the terminal where there is one.

use std::io::{self, Write};

use super::{Paint, Style, escape};

pub struct Page<'a, W: Write> {
    pub out: &'a mut W,
    pub style: Style,
}

impl<W: Write> Page<'_, W> {
    fn width(&self) -> usize {
        self.style.width.map_or(usize::MAX, usize::from)
    }

    pub fn blank(&mut self) -> io::Result<()> {
        writeln!(self.out)
    }

    pub fn line(&mut self, text: &str, paint: Paint) -> io::Result<()> {
        let text = keep_start(&escape(text), self.width());
        writeln!(self.out, "{}", self.style.paint(paint, &text))
    }

    /// The first line of a block: what it is about, then what is to be said of it.
    pub fn head(&mut self, subject: &str, facts: &[String]) -> io::Result<()> {
        let indent = subject.chars().count();
        write!(self.out, "{}", self.style.paint(Paint::Heading, subject))?;
        for line in fill(facts, "  ", self.width().saturating_sub(indent)) {
            let start = if line.number == 0 { 0 } else { indent };
            writeln!(self.out, "{:start$}{}", "", self.style.paint(Paint::Accent, &line.text))?;
        }
        Ok(())
    }

    /// A function and its place, in columns. Where both do not fit, the place loses its beginning, then the function its end.
    pub fn frame(&mut self, indent: usize, column: usize, function: &str, place: &str, paint: Option<Paint>) -> io::Result<()> {
        let (mut function, mut place) = (escape(function).into_owned(), escape(place).into_owned());
        let room = self.width().saturating_sub(indent + GAP);
        let mut column = column.max(length(&function));
        if column + length(&place) > room {
            // What follows the last slash says most; it may take half of the line from a long function.
            let least = length(place.rsplit('/').next().unwrap_or(&place)) + 2;
            let least = least.min(length(&place)).min(room / 2);
            place = keep_end(&place, room.saturating_sub(column).max(least));
            column = room.saturating_sub(length(&place));
            function = keep_start(&function, column);
        }
        let function = format!("{function:column$}");
        let function = paint.map_or(function.clone(), |paint| self.style.paint(paint, &function));
        let line = format!("{:indent$}{function}{:GAP$}{}", "", "", self.style.paint(Paint::Dim, &place));
        writeln!(self.out, "{}", line.trim_end())
    }

    /// Parts of one line, broken between parts where the terminal is too narrow.
    pub fn sentence(&mut self, parts: &[String]) -> io::Result<()> {
        for line in fill(parts, ", ", self.width().saturating_sub(GAP)) {
            let indent = if line.number == 0 { 0 } else { GAP };
            writeln!(self.out, "{:indent$}{}", "", line.text)?;
        }
        Ok(())
    }
}

const GAP: usize = 2;

fn length(text: &str) -> usize {
    text.chars().count()
}

struct Filled {
    number: usize,
    text: String,
}

/// Joins parts into as few lines of `width` as they need; a part that is longer is cut. At least one line.
fn fill(parts: &[String], separator: &str, width: usize) -> Vec<Filled> {
    let mut lines = vec![Filled { number: 0, text: String::new() }];
    // A line that is not the last ends with the separator.
    let width = width.saturating_sub(separator.trim_end().len());
    for part in parts {
        let part = keep_start(&escape(part), width);
        let number = lines.len();
        let Some(line) = lines.last_mut() else { break };
        if line.text.is_empty() {
            line.text = part;
        } else if length(&line.text) + separator.len() + length(&part) <= width {
            line.text.push_str(separator);
            line.text.push_str(&part);
        } else {
            line.text.push_str(separator.trim_end());
            lines.push(Filled { number, text: part });
        }
    }
    lines
}

fn keep_start(text: &str, room: usize) -> String {
    if length(text) <= room {
        return text.to_owned();
    }
    text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}

fn keep_end(text: &str, room: usize) -> String {
    let length = length(text);
    if length <= room {
        return text.to_owned();
    }
    ['…'].into_iter().chain(text.chars().skip(length - room.saturating_sub(1))).collect()
}
