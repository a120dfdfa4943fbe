//! `goscope completions` and `goscope man`: both from the same clap types as the parser.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, CommandFactory};

use super::{Cli, Context, manual};
use crate::error::{Error, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    pub const ALL: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

    /// As the shell's own completion loader looks for it.
    pub fn file_name(self) -> &'static str {
        match self {
            Shell::Bash => "goscope.bash",
            Shell::Zsh => "_goscope",
            Shell::Fish => "goscope.fish",
        }
    }
}

/// Print the completion script of a shell
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  goscope completions bash > /etc/bash_completion.d/goscope")]
pub struct CompletionsArgs {
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

/// Print a manual page
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  goscope man goroutines | man -l -\n  goscope man --dir /usr/local/share/man/man1")]
pub struct ManArgs {
    /// The page of this subcommand; without it, of goscope itself
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    command: Vec<String>,
    /// Write every page into DIR
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub fn run_completions(args: &CompletionsArgs, context: &Context) -> Result<()> {
    let mut out = context.open()?;
    out.write_all(&completions(args.shell)).map_err(Error::write)?;
    out.finish()
}

pub fn run_man(args: &ManArgs, context: &Context) -> Result<()> {
    let pages = manual::pages()?;
    if let Some(dir) = &args.dir {
        for (name, page) in &pages {
            let path = dir.join(name);
            std::fs::write(&path, page).map_err(|error| Error::io(format!("cannot write {}", path.display())).because(error))?;
        }
        return Ok(());
    }
    let wanted = [&["goscope".to_owned()], args.command.as_slice()].concat().join("-") + ".1";
    let Some((_, page)) = pages.iter().find(|(name, _)| *name == wanted) else {
        let known: Vec<&str> = pages.iter().filter_map(|(n, _)| n.strip_prefix("goscope-")?.strip_suffix(".1")).collect();
        return Err(Error::usage("there is no such subcommand").hint(format!("pages: {}", known.join(", "))));
    };
    let mut out = context.open()?;
    out.write_all(page).map_err(Error::write)?;
    out.finish()
}

/// The script of one shell.
pub fn completions(shell: Shell) -> Vec<u8> {
    let mut command = Cli::command();
    let mut script = Vec::new();
    let generator = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    clap_complete::generate(generator, &mut command, "goscope", &mut script);
    script
}
