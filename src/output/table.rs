//! Tables: fit to the width of a terminal, never cut when piped.

use std::borrow::Cow;
use std::io::{self, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{Output, Paint, Style, escape};
use crate::error::{Error, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Numbers; never cut.
    Right,
    /// Short text; never cut.
    Left,
    /// Long text; its end is cut to fit a terminal.
    Shrink,
    /// Long text that says less than that beside it, which it leaves `PLENTY` before it is cut, down to so many columns.
    Yield(usize),
    /// What a row is about: cut last of all, and in the middle, for names often begin alike.
    Name,
}

/// One line a row, no boxes; headers carry the units. Cells are escaped.
pub struct Table {
    columns: Vec<Align>,
    headers: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    spare: &'static [&'static str],
}

/// Narrower than this a cut column says nothing.
const NARROWEST: usize = 8;
/// Wide enough for a long text, as long as others have none.
const PLENTY: usize = 32;
const GAP: usize = 2;
/// In a pipe, a row with a wider cell stands for itself: it would push those of all others far to the right.
const WIDEST: usize = 4096;

impl Table {
    pub fn new(columns: &[(&'static str, Align)]) -> Self {
        let (headers, columns) = columns.iter().copied().unzip();
        Table { columns, headers, rows: Vec::new(), spare: &[] }
    }

    /// Headers of columns that a terminal which is too narrow for all goes without, the first one first.
    pub fn spare(self, spare: &'static [&'static str]) -> Self {
        Table { spare, ..self }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| escape(&cell).into_owned()).collect());
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn write(&self, out: &mut Output) -> Result<()> {
        let style = out.style();
        self.write_to(out, style).map_err(Error::write)
    }

    /// The same, anywhere.
    pub fn write_to(&self, out: &mut impl Write, style: Style) -> io::Result<()> {
        for (number, line) in self.lines(style.width).into_iter().enumerate() {
            let line = if number == 0 { style.paint(Paint::Heading, &line) } else { line };
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    fn lines(&self, width: Option<u16>) -> Vec<String> {
        let width = width.map(usize::from);
        let columns = match width {
            Some(width) => self.fit(width),
            None => (0..self.columns.len()).map(|column| (column, usize::MAX)).collect(),
        };
        let cells = |row: &'_ [String]| -> Vec<String> {
            let cell = |&(column, room): &(usize, usize)| cut(&row[column], room, self.columns[column] == Align::Name).into_owned();
            columns.iter().map(cell).collect()
        };
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| cells(row)).collect();
        let is_wide = |row: &Vec<String>| row.iter().any(|cell| cell.len() > WIDEST && cell.width() > WIDEST);

        let mut table = comfy_table::Table::new();
        table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(columns.iter().map(|(column, _)| self.headers[*column]));
        table.add_rows(rows.iter().filter(|row| !is_wide(row)));
        for (place, (column, _)) in columns.iter().enumerate() {
            let Some(shown) = table.column_mut(place) else { continue };
            shown.set_padding((0, if place + 1 == columns.len() { 0 } else { GAP as u16 }));
            if self.columns[*column] == Align::Right {
                shown.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut aligned = table.lines();
        let header = aligned.next().unwrap_or_default();
        let row = |row: &Vec<String>| if is_wide(row) { row.join(&" ".repeat(GAP)) } else { aligned.next().unwrap_or_default() };
        let lines = std::iter::once(header).chain(rows.iter().map(row));
        lines.map(|line| shorten(line.trim_end(), width.unwrap_or(usize::MAX)).into_owned()).collect()
    }

    /// The columns that a terminal shows, each with its width.
    ///
    /// Long texts give room first, then names; columns that can be spared go before either is cut to a stub.
    fn fit(&self, width: usize) -> Vec<(usize, usize)> {
        // How wide a column stays in each step; `None`: this one is not cut.
        const EASY: [fn(Align) -> Option<usize>; 4] = [
            |align| (align == Align::Shrink).then_some(PLENTY),
            |align| if let Align::Yield(least) = align { Some(least) } else { None },
            |align| (align == Align::Shrink).then_some(16),
            |align| (align == Align::Name).then_some(40),
        ];
        const HARD: [fn(Align) -> Option<usize>; 2] = [
            |align| matches!(align, Align::Yield(_) | Align::Shrink).then_some(NARROWEST),
            |align| (align == Align::Name).then_some(NARROWEST),
        ];
        let natural = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].as_str()).chain([self.headers[column]]);
            cells.map(UnicodeWidthStr::width).max().unwrap_or(0).min(width)
        };
        let mut columns: Vec<(usize, usize)> = (0..self.columns.len()).map(|column| (column, natural(column))).collect();
        let mut spare = self.spare.iter();
        loop {
            let mut easy = columns.clone();
            if EASY.iter().any(|least| self.shrink(&mut easy, least, width)) {
                return easy;
            }
            let Some(header) = spare.next() else { break };
            columns.retain(|(column, _)| self.headers[*column] != *header);
        }
        let _fits = HARD.iter().any(|least| self.shrink(&mut columns, least, width));
        columns
    }

    /// Takes what is missing from the widest of the columns that may shrink, again and again; returns whether all fit then.
    fn shrink(&self, columns: &mut [(usize, usize)], least: &fn(Align) -> Option<usize>, width: usize) -> bool {
        let gaps = GAP * columns.len().saturating_sub(1);
        loop {
            let total = columns.iter().map(|(_, width)| width).sum::<usize>() + gaps;
            let may = columns.iter_mut().filter(|(column, width)| least(self.columns[*column]).is_some_and(|least| *width > least));
            match may.max_by_key(|(_, width)| *width) {
                _ if total <= width => return true,
                Some((_, widest)) => *widest -= 1,
                None => return false,
            }
        }
    }
}

/// At most `width` columns of a terminal, with `…` for the end that is missing.
pub fn shorten(text: &str, width: usize) -> Cow<'_, str> {
    cut(text, width, false)
}

fn cut(text: &str, width: usize, middle: bool) -> Cow<'_, str> {
    if text.len() <= width || fitting(text.chars(), width) == text.len() {
        return Cow::Borrowed(text);
    }
    let room = width.saturating_sub(1);
    let tail = if middle { room / 2 } else { 0 };
    let begin = &text[..fitting(text.chars(), room - tail)];
    let end = &text[text.len() - fitting(text.chars().rev(), tail)..];
    Cow::Owned(format!("{begin}…{end}"))
}

/// How many bytes of the characters take at most `width` columns; looks at no more of them than it must.
fn fitting(chars: impl Iterator<Item = char>, width: usize) -> usize {
    let (mut bytes, mut columns) = (0, 0);
    for c in chars {
        columns += c.width().unwrap_or(0);
        if columns > width {
            break;
        }
        bytes += c.len_utf8();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(&[("PID", Align::Right), ("NAME", Align::Left), ("MODULE", Align::Shrink), ("N", Align::Right)]);
        table.row(["7".into(), "api".into(), "example.com/a/very/long/module/path@v1.2.3".into(), "3".into()]);
        table.row(["12345".into(), "x\ny".into(), "short one".into(), "1000".into()]);
        table
    }

    fn lines(width: Option<u16>) -> Vec<String> {
        sample().lines(width)
    }

    #[test]
    fn piped_is_never_cut() {
        assert_eq!(
            lines(None),
            [
                "  PID  NAME  MODULE                                         N",
                "    7  api   example.com/a/very/long/module/path@v1.2.3     3",
                "12345  x\\ny  short one                                   1000",
            ]
        );
    }

    #[test]
    fn a_terminal_is_fitted() {
        assert_eq!(
            lines(Some(40)),
            [
                "  PID  NAME  MODULE                    N",
                "    7  api   example.com/a/very/l…     3",
                "12345  x\\ny  short one              1000",
            ]
        );
        for width in [38, 39, 50, 61, 62, 200] {
            for line in lines(Some(width)) {
                assert!(line.chars().count() <= usize::from(width), "{width}: {line}");
            }
        }
    }

    #[test]
    fn the_name_is_the_last_to_be_cut() {
        let mut table =
            Table::new(&[("METRIC", Align::Name), ("TYPE", Align::Left), ("SERIES", Align::Right), ("EXPLODES BY", Align::Shrink)])
                .spare(&["TYPE"]);
        for metric in ["kube_pod_status_phase", "kube_pod_status_reason"] {
            table.row([metric.into(), "gauge".into(), "3".into(), "pod and namespace (1,234 values)".into()]);
        }
        let first = |width| table.lines(Some(width)).swap_remove(1);
        assert_eq!(first(80), "kube_pod_status_phase   gauge       3  pod and namespace (1,234 values)");
        assert_eq!(first(60), "kube_pod_status_phase   gauge       3  pod and namespace (1…");
        assert_eq!(first(52), "kube_pod_status_phase        3  pod and namespace (…", "a column that can be spared goes first");
        assert_eq!(first(40), "kube_pod_status_phase        3  pod and…");
        assert_eq!(table.lines(Some(30))[1..], ["kube_p…phase       3  pod and…", "kube_p…eason       3  pod and…"]);
    }

    #[test]
    fn what_says_less_is_cut_where_plenty_of_what_says_more_is_not_there() {
        let mut table = Table::new(&[("LABEL", Align::Name), ("SHAPE", Align::Yield(12)), ("TOP VALUES", Align::Shrink)]);
        table.row(["pod".into(), "k8s_pod catalog-* and 9 more".into(), "catalog-1 (5), catalog-2 (5), catalog-3 (5)".into()]);
        let row = |width| table.lines(Some(width)).swap_remove(1);
        assert_eq!(row(80), "pod    k8s_pod catalog-* and 9 more  catalog-1 (5), catalog-2 (5), catalog-3 (5)");
        assert_eq!(row(75), "pod    k8s_pod catalog-* and 9 more  catalog-1 (5), catalog-2 (5), catalog…");
        assert_eq!(row(60), "pod    k8s_pod catalog-* …  catalog-1 (5), catalog-2 (5), c…");
        assert_eq!(row(50), "pod    k8s_pod cat…  catalog-1 (5), catalog-2 (5)…");
        assert_eq!(row(40), "pod    k8s_pod cat…  catalog-1 (5), cat…");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_however_narrow() {
        let mut table =
            Table::new(&[("NAME", Align::Name), ("N", Align::Right), ("世界", Align::Left), ("WHAT", Align::Shrink)]).spare(&["N"]);
        table.row(["名前".repeat(30), "1,234,567".into(), "größe".into(), "x".repeat(70_000)]);
        for width in 1..200 {
            for line in table.lines(Some(width)) {
                assert!(line.width() <= usize::from(width), "{width}: {line}");
            }
        }
    }

    /// A megabyte took minutes when the time was quadratic.
    #[test]
    fn long_cells_take_linear_time_and_leave_other_rows_alone() {
        let mut table = Table::new(&[("NAME", Align::Name), ("WHAT", Align::Shrink)]);
        let long = "größe".repeat(500_000);
        table.row([long.clone(), long.clone()]);
        table.row(["a".into(), "b".into()]);
        assert_eq!(table.lines(Some(80)).iter().map(|line| line.width()).max(), Some(80));
        assert_eq!(table.lines(None), ["NAME  WHAT".to_owned(), format!("{long}  {long}"), "a     b".to_owned()]);
    }
}
