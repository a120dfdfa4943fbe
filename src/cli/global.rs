//! Flags that every subcommand takes, and what they mean for its output.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::BoolishValueParser;

use super::signals::Signals;
use crate::error::{Error, Result};
use crate::output::{Color, Console, Output};

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Write the result to FILE instead of stdout; FILE appears only when it is complete
    #[arg(long, short, global = true, value_name = "FILE", env = "GOSCOPE_OUTPUT", hide_env_values = true)]
    pub output: Option<PathBuf>,
    /// When to use colour; `auto` asks the terminal, NO_COLOR and CLICOLOR_FORCE
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value = "auto")]
    #[arg(env = "GOSCOPE_COLOR", hide_env_values = true)]
    pub color: Color,
    /// No hints, warnings or progress on stderr
    #[arg(long, short, global = true, value_parser = BoolishValueParser::new())]
    #[arg(env = "GOSCOPE_QUIET", hide_env_values = true)]
    pub quiet: bool,
    /// Say on stderr what is done and how long it takes
    #[arg(long, short, global = true, value_parser = BoolishValueParser::new(), conflicts_with = "quiet")]
    #[arg(env = "GOSCOPE_VERBOSE", hide_env_values = true)]
    pub verbose: bool,
}

/// What a subcommand prints through, and what may end it early.
pub struct Context<'a> {
    pub console: &'a Console,
    pub signals: Signals,
    color: Color,
    output: Option<PathBuf>,
}

impl<'a> Context<'a> {
    pub fn new(global: &Global, console: &'a Console) -> Self {
        Context { console, signals: Signals::listen(), color: global.color, output: global.output.clone() }
    }

    /// Opens stdout or `--output`. Call it before any long work, so that a path that cannot be written fails at once.
    pub fn open(&self) -> Result<Output> {
        let output = Output::open(self.output.as_deref(), self.color)?;
        self.signals.remove_on_abort(output.temporary());
        Ok(output)
    }

    /// As `open`, for bytes that would garble a terminal.
    pub fn open_binary(&self, format: &str) -> Result<Output> {
        let output = self.open()?;
        output.refuse_terminal(format)?;
        Ok(output)
    }

    /// The file of `--record`, beside the result: made in the same way.
    pub fn open_record(&self, path: &Path) -> Result<Output> {
        const FILE: &str = "give --record a file in a directory that exists and that you may write to";
        if path == Path::new("-") {
            return Err(Error::usage("--record - would mix the recording with the result, which goes to stdout").hint(FILE));
        }
        if self.output.as_deref() == Some(path) {
            return Err(Error::usage("--record and --output name the same file").hint("give each its own"));
        }
        let output = Output::open(Some(path), self.color).map_err(|mut error| {
            error.hints = vec![FILE.to_owned()];
            error
        })?;
        output.refuse_terminal("a recording")?;
        self.signals.remove_on_abort(output.temporary());
        Ok(output)
    }
}
