//! Whether to use colour and how wide a line may be: decided once for each stream.

use std::ffi::OsString;
use std::io::IsTerminal;

use clap::ValueEnum;

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

/// `--format`, as most commands have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// One document
    Json,
    /// One object a line
    Jsonl,
}

/// How human output looks on one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    pub color: bool,
    /// Columns of the terminal; `None` when it is not one, and then nothing is ever cut.
    pub width: Option<u16>,
}

/// The few meanings that colour has here; only the 16 base colours, readable on light and dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    Plain,
    Heading,
    Dim,
    Good,
    Warning,
    Bad,
    Accent,
}

impl Style {
    pub fn of_stdout(color: Color) -> Self {
        Self::of(&std::io::stdout(), color)
    }

    pub fn of_stderr(color: Color) -> Self {
        Self::of(&std::io::stderr(), color)
    }

    /// Of a file: no terminal, colour only if it was asked for.
    pub fn of_file(color: Color) -> Self {
        Style { color: color == Color::Always, width: None }
    }

    fn of(stream: &(impl IsTerminal + std::os::fd::AsFd), color: Color) -> Self {
        let terminal = stream.is_terminal();
        let width = terminal.then(|| columns(stream));
        let color = wants_color(color, terminal, |name| std::env::var_os(name));
        Style { color, width }
    }

    /// Of the same stdout, whose terminal may have another size by now.
    pub(super) fn resized(self) -> Self {
        Style { width: self.width.map(|_| columns(&std::io::stdout())), ..self }
    }

    /// `text` in a colour, or as it is.
    pub fn paint(&self, paint: Paint, text: &str) -> String {
        if !self.color || text.is_empty() || paint == Paint::Plain {
            return text.to_owned();
        }
        let code = match paint {
            Paint::Plain => "0",
            Paint::Heading => "1",
            Paint::Dim => "2",
            Paint::Good => "32",
            Paint::Warning => "33",
            Paint::Bad => "31",
            Paint::Accent => "36",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

fn columns(terminal: &impl std::os::fd::AsFd) -> u16 {
    match terminal_size::terminal_size_of(terminal) {
        Some((terminal_size::Width(columns), _)) if columns > 0 => columns,
        _ => 80,
    }
}

/// no-color.org and bixense.com/clicolors: an explicit flag wins, then NO_COLOR, then CLICOLOR_FORCE, then the terminal.
fn wants_color(color: Color, terminal: bool, env: impl Fn(&str) -> Option<OsString>) -> bool {
    let set = |name| env(name).is_some_and(|value| !value.is_empty());
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto if set("NO_COLOR") => false,
        Color::Auto if set("CLICOLOR_FORCE") && env("CLICOLOR_FORCE").is_none_or(|value| value != "0") => true,
        Color::Auto => terminal && env("TERM").is_none_or(|term| term != "dumb"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_decision() {
        let check = |color, terminal, env: &[(&str, &str)]| {
            wants_color(color, terminal, |name| env.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into()))
        };
        assert!(check(Color::Auto, true, &[]));
        assert!(!check(Color::Auto, false, &[]));
        assert!(!check(Color::Auto, true, &[("NO_COLOR", "1")]));
        assert!(check(Color::Auto, true, &[("NO_COLOR", "")]), "an empty NO_COLOR counts as unset");
        assert!(check(Color::Auto, false, &[("CLICOLOR_FORCE", "1")]));
        assert!(!check(Color::Auto, false, &[("CLICOLOR_FORCE", "0")]));
        assert!(!check(Color::Auto, false, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
        assert!(!check(Color::Auto, true, &[("TERM", "dumb")]));
        assert!(check(Color::Always, false, &[("NO_COLOR", "1")]));
        assert!(!check(Color::Never, true, &[("CLICOLOR_FORCE", "1")]));
    }

    #[test]
    fn paint_is_plain_without_colour() {
        assert_eq!(Style::default().paint(Paint::Bad, "x"), "x");
        assert_eq!(Style { color: true, width: None }.paint(Paint::Bad, "x"), "\x1b[31mx\x1b[0m");
    }
}
