//! stderr: errors, hints, warnings, notes and progress. stdout carries nothing but the result.

use std::io::{IsTerminal, Write};

use super::{Color, Paint, Style, escape};
use crate::error::Error;

/// Where a run talks to its user. Failing to write to stderr is never an error.
#[derive(Debug, Clone)]
pub struct Console {
    style: Style,
    quiet: bool,
    verbose: bool,
}

impl Console {
    pub fn new(color: Color, quiet: bool, verbose: bool) -> Self {
        Console { style: Style::of_stderr(color), quiet, verbose }
    }

    /// `error: …` and a `hint: …` line for each way out. Errors are printed even when quiet, hints too: they are part of them.
    pub fn error(&self, error: &Error) {
        self.line(Paint::Bad, "error", &error.to_string());
        for hint in &error.hints {
            self.line(Paint::Accent, "hint", hint);
        }
    }

    /// Something the reader of the result must know.
    pub fn warning(&self, text: &str) {
        if !self.quiet {
            self.line(Paint::Warning, "warning", text);
        }
    }

    pub fn hint(&self, text: &str) {
        if !self.quiet {
            self.line(Paint::Accent, "hint", text);
        }
    }

    /// What a run will cost somebody else, said before it is paid.
    pub fn cost(&self, text: &str) {
        if !self.quiet {
            self.line(Paint::Accent, "cost", text);
        }
    }

    /// Only with `--verbose`.
    pub fn note(&self, text: &str) {
        if self.verbose {
            self.line(Paint::Dim, "note", text);
        }
    }

    /// A line that is overwritten and disappears when the returned value is dropped; nothing unless stderr is a terminal.
    pub fn progress(&self) -> Progress {
        let shown = !self.quiet && self.style.width.is_some() && std::io::stderr().is_terminal();
        Progress { width: shown.then(|| usize::from(self.style.width.unwrap_or(80))), dirty: false }
    }

    fn line(&self, paint: Paint, label: &str, text: &str) {
        let label = self.style.paint(paint, &format!("{label}:"));
        let _ = writeln!(std::io::stderr().lock(), "{label} {}", escape(text));
    }
}

pub struct Progress {
    width: Option<usize>,
    dirty: bool,
}

impl Progress {
    pub fn show(&mut self, text: &str) {
        if let Some(width) = self.width {
            let text: String = escape(text).chars().take(width.saturating_sub(1)).collect();
            let mut stderr = std::io::stderr().lock();
            let _ = write!(stderr, "\r\x1b[K{text}").and_then(|()| stderr.flush());
            self.dirty = true;
        }
    }

    pub fn clear(&mut self) {
        if self.dirty {
            let mut stderr = std::io::stderr().lock();
            let _ = write!(stderr, "\r\x1b[K").and_then(|()| stderr.flush());
            self.dirty = false;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
