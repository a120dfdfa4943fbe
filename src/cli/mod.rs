//! The command line: what can be typed, what it means, and one match from subcommand to feature.

mod cardinality;
mod cardinality_gate;
mod cardinality_plan;
mod cardinality_source;
mod cardinality_time;
mod environment;
mod generate;
mod global;
mod goroutines;
mod info;
mod manual;
mod ps;
mod sched;
mod signals;
mod target;
mod values;

use std::ffi::OsString;
use std::io::Write;

use clap::error::ErrorKind;
use clap::{ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand};

pub use generate::{Shell, completions};
pub use global::{Context, Global};
pub use goroutines::{DiffArgs, GoroutinesArgs, GoroutinesCommand, GoroutinesFormat, Group, Pause, Sort};
pub use manual::pages as man_pages;

use crate::error::{Error, Result};
use crate::output::{Color, Console};

const LONG_VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\nreads Go 1.18 to 1.27, amd64 live, amd64 and arm64 binaries");

const EXIT_CODES: &str = "\
Exit codes:
  0  it worked
  1  it worked and found what it was asked to fail on
  2  the command line is wrong
  3  the target: none, not Go, gone, ambiguous or not supported
  4  a permission or a kernel feature is missing
  5  input or output failed

When several apply: 2, 3, 4, 5, then 1.";

/// Look into a running Go process from outside: no code change, no agent, no restart
///
/// A TARGET is a process id, or a name: that of the executable, of the process (comm), or the last
/// element of the main module's path. The target is only read, never written to; but `sched --tier 2` and
/// `--tier 3` set uprobes, breakpoints of the kernel, while they look.
#[derive(Debug, Parser)]
#[command(name = "goscope", version, long_version = LONG_VERSION, max_term_width = 100)]
#[command(disable_help_subcommand = true, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub global: Global,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Ps(ps::PsArgs),
    Info(info::InfoArgs),
    Goroutines(Box<GoroutinesArgs>),
    Sched(Box<sched::SchedArgs>),
    Profile(sched::ProfileArgs),
    Report(sched::ReportArgs),
    Cardinality(Box<cardinality::CardinalityArgs>),
    Completions(generate::CompletionsArgs),
    Man(generate::ManArgs),
}

/// Runs one subcommand; the result goes to stdout or `--output`, everything else to `console`.
pub fn run(cli: Cli, console: &Console) -> Result<()> {
    let context = Context::new(&cli.global, console);
    match cli.command {
        Command::Ps(args) => ps::run(&args, &context),
        Command::Info(args) => info::run(&args, &context),
        Command::Goroutines(args) => goroutines::run(*args, &context),
        Command::Sched(args) => sched::run_sched(&args, &context),
        Command::Profile(args) => sched::run_profile(&args, &context),
        Command::Report(args) => sched::run_report(&args, &context),
        Command::Cardinality(args) => cardinality::run(&args, &context),
        Command::Completions(args) => generate::run_completions(&args, &context),
        Command::Man(args) => generate::run_man(&args, &context),
    }
}

/// What `parse` made of the command line.
pub enum Parsed {
    Run(Cli, Console),
    /// Help or a usage error was printed; the exit code is all that is left.
    Exit(u8),
}

pub fn parse(args: impl IntoIterator<Item = OsString>) -> Parsed {
    let args: Vec<OsString> = args.into_iter().collect();
    let color = color_before_parsing(&args);
    let command = Cli::command().color(match color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    });
    let args = help_as_option(args);
    let parsed =
        environment::without_empty(command.clone()).try_get_matches_from(&args).and_then(|matches| Cli::from_arg_matches(&matches));
    match parsed {
        Ok(cli) => {
            let console = Console::new(cli.global.color, cli.global.quiet, cli.global.verbose);
            Parsed::Run(cli, console)
        }
        Err(error) => Parsed::Exit(print_clap_error(&error, environment::culprit(&error, &command, &args), color)),
    }
}

/// `goscope help` and `goscope help sched diff`: what many type first. A subcommand of that name would stand in every list.
fn help_as_option(mut args: Vec<OsString>) -> Vec<OsString> {
    if args.get(1).is_some_and(|word| word == "help") {
        args.remove(1);
        args.push("--help".into());
    }
    args
}

/// clap prints its own errors and help before `--color` is parsed, so that one flag is looked up first.
fn color_before_parsing(args: &[OsString]) -> Color {
    let mut words = args.iter().skip(1).filter_map(|word| word.to_str());
    let mut seen = std::env::var("GOSCOPE_COLOR").unwrap_or_default();
    while let Some(word) = words.next() {
        match word.strip_prefix("--color") {
            Some("") => seen = words.next().unwrap_or_default().to_owned(),
            Some(value) if value.starts_with('=') => seen = value[1..].to_owned(),
            _ if word == "--" => break,
            _ => {}
        }
    }
    match seen.as_str() {
        "always" => Color::Always,
        "never" => Color::Never,
        _ => Color::Auto,
    }
}

/// Help and version are results (stdout, 0), the rest is a usage error (stderr, 2). A closed pipe is not an error.
fn print_clap_error(error: &clap::Error, culprit: Option<String>, color: Color) -> u8 {
    let is_error = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => false,
        // Shows the help, on stderr.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => true,
        _ => {
            let mut told = usage_error(&error.render().to_string());
            told.hints.splice(..0, culprit);
            Console::new(color, false, false).error(&told);
            return 2;
        }
    };
    let _ = error.print();
    let _ = std::io::stdout().flush();
    if is_error { 2 } else { 0 }
}

/// clap's message in the shape of all others: its first paragraph is the error, tips and usage are hints.
fn usage_error(text: &str) -> Error {
    let mut paragraphs = text.trim().split("\n\n");
    let words = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let first = words(paragraphs.next().unwrap_or_default());
    let hints = paragraphs.flat_map(|paragraph| paragraph.lines()).map(words).filter(|line| !line.is_empty());
    // No command takes values that begin so.
    let hints = hints.filter(|line| !line.starts_with("tip: to pass '-"));
    let hints = hints.map(|line| match line.strip_prefix("tip: ") {
        Some(tip) => tip.to_owned(),
        None => line.replacen("Usage: ", "usage: ", 1).replacen("For more", "for more", 1),
    });
    hints.fold(Error::usage(first.trim_start_matches("error: ")), Error::hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_usage_error_has_the_shape_of_all_others() {
        let parse = |words: &[&str]| Cli::command().try_get_matches_from(words).unwrap_err().render().to_string();
        let error = usage_error(&parse(&["goscope", "info"]));
        assert_eq!(error.message, "the following required arguments were not provided: <TARGET>");
        assert_eq!(error.hints, ["usage: goscope info <TARGET>", "for more information, try '--help'."]);
        let error = usage_error(&parse(&["goscope", "ps", "--format", "xml"]));
        assert_eq!(error.message, "invalid value 'xml' for '--format <FORMAT>' [possible values: table, json, jsonl]");
        let error = usage_error(&parse(&["goscope", "ps", "--nothing"]));
        assert!(error.hints[0].starts_with("usage: goscope ps"), "{error:?}");
        let error = usage_error(&parse(&["goscope", "pss"]));
        assert!(error.hints[0].contains("a similar subcommand exists: 'ps'"), "{error:?}");
    }

    #[test]
    fn help_is_taken_for_the_option() {
        let parse = |words: &[&str]| {
            let args = help_as_option(words.iter().map(OsString::from).collect());
            Cli::command().try_get_matches_from(args).unwrap_err()
        };
        assert_eq!(parse(&["goscope", "help"]).kind(), ErrorKind::DisplayHelp);
        let of_diff = parse(&["goscope", "help", "sched", "diff"]);
        assert_eq!(of_diff.kind(), ErrorKind::DisplayHelp);
        assert!(of_diff.to_string().contains("Usage: goscope sched diff"), "{of_diff}");
        assert_eq!(help_as_option(vec!["goscope".into(), "ps".into(), "help".into()]), ["goscope", "ps", "help"]);
    }

    #[test]
    fn color_is_known_before_parsing() {
        let args = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(color_before_parsing(&args(&["goscope", "--color", "never", "ps"])), Color::Never);
        assert_eq!(color_before_parsing(&args(&["goscope", "ps", "--color=always"])), Color::Always);
        assert_eq!(color_before_parsing(&args(&["goscope", "ps", "--", "--color=always"])), Color::Auto);
    }
}
