//! Tables: fit to the width of a terminal, never cut when piped.

use std::io::{self, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Row, Width};

use super::{Output, Paint, Style, escape};
use crate::error::{Error, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Numbers; never cut.
    Right,
    /// Short text; never cut.
    Left,
    /// Long text; cut to fit a terminal.
    Shrink,
}

/// One line a row, no boxes; headers carry the units. Cells are escaped.
pub struct Table {
    columns: Vec<Align>,
    headers: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

/// Narrower than this a cut column says nothing.
const NARROWEST: u16 = 8;
const GAP: u16 = 2;

impl Table {
    pub fn new(columns: &[(&'static str, Align)]) -> Self {
        let (headers, columns) = columns.iter().copied().unzip();
        Table { columns, headers, rows: Vec::new() }
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
        for (number, line) in self.lines(style.width).enumerate() {
            let line = line.trim_end();
            let line = if number == 0 { style.paint(Paint::Heading, line) } else { line.to_owned() };
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    fn lines(&self, width: Option<u16>) -> impl Iterator<Item = String> {
        let mut table = comfy_table::Table::new();
        table.load_style(NOTHING).set_truncation_indicator("…").set_header(self.headers.iter().copied());
        for cells in &self.rows {
            let mut row = Row::from(cells.iter());
            row.max_height(1);
            table.add_row(row);
        }
        table.set_content_arrangement(ContentArrangement::Disabled);
        let natural = table.column_max_content_widths();
        let fitted = fit(&natural, &self.columns, width);
        let last = self.columns.len().saturating_sub(1);
        for (index, align) in self.columns.iter().enumerate() {
            let Some(column) = table.column_mut(index) else { continue };
            column.set_padding((0, if index == last { 0 } else { GAP }));
            if *align == Align::Right {
                column.set_cell_alignment(CellAlignment::Right);
            }
            if fitted[index] < natural[index] {
                let padded = fitted[index] + if index == last { 0 } else { GAP };
                column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(padded)));
            }
        }
        table.lines().collect::<Vec<_>>().into_iter()
    }
}

/// Takes what is missing from the widest of the columns that may shrink, again and again.
fn fit(natural: &[u16], columns: &[Align], width: Option<u16>) -> Vec<u16> {
    let mut widths = natural.to_vec();
    let Some(width) = width else { return widths };
    let gaps = GAP * natural.len().saturating_sub(1) as u16;
    loop {
        let total: u32 = widths.iter().map(|w| u32::from(*w)).sum::<u32>() + u32::from(gaps);
        if total <= u32::from(width) {
            return widths;
        }
        let widest =
            (0..widths.len()).filter(|i| columns.get(*i) == Some(&Align::Shrink) && widths[*i] > NARROWEST).max_by_key(|i| widths[*i]);
        match widest {
            Some(index) => widths[index] -= 1,
            None => return widths,
        }
    }
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
        sample().lines(width).map(|line| line.trim_end().to_owned()).collect()
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
}
