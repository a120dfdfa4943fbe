//! One error type for the whole program: what happened, why, what to do next.

use std::fmt;

/// Decides the exit code; the order of the variants is the precedence when several apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The command line is wrong (exit 2).
    Usage,
    /// The target is missing, gone, ambiguous, not Go, or not supported (exit 3).
    Target,
    /// A permission or a kernel feature is missing (exit 4).
    Permission,
    /// Input or output failed: unreadable file, bad bytes, disk full (exit 5).
    Io,
    /// The command worked and found something that was asked to fail on (exit 1).
    Findings,
    /// A signal came before there was anything to show (exit 130).
    Interrupted,
    /// Who reads our output has gone (`| head`): end quietly (exit 0).
    ClosedPipe,
}

impl Kind {
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Usage => 2,
            Kind::Target => 3,
            Kind::Permission => 4,
            Kind::Io => 5,
            Kind::Findings => 1,
            Kind::Interrupted => 130,
            Kind::ClosedPipe => 0,
        }
    }
}

/// `message` says what and why in one line; each hint is one line with a way out.
#[derive(Debug)]
pub struct Error {
    pub kind: Kind,
    pub message: String,
    pub hints: Vec<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), hints: Vec::new(), source: None }
    }
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }
    pub fn target(message: impl Into<String>) -> Self {
        Self::new(Kind::Target, message)
    }
    pub fn permission(message: impl Into<String>) -> Self {
        Self::new(Kind::Permission, message)
    }
    pub fn io(message: impl Into<String>) -> Self {
        Self::new(Kind::Io, message)
    }
    /// Writing the result failed.
    pub fn write(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::new(Kind::ClosedPipe, "the reader of the output has gone"),
            _ => Self::io("cannot write the result").because(error),
        }
    }
    /// The same of a file.
    pub fn write_to(path: &std::path::Path, error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::write(error),
            _ => Self::io(format!("cannot write {}", path.display())).because(error),
        }
    }
    /// Names what the error is about: `about: message`.
    pub fn about(mut self, about: impl fmt::Display) -> Self {
        self.message = format!("{about}: {}", self.message);
        self
    }
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|s| s as _)
    }
}
