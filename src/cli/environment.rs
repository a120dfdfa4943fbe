//! Environment variables as values of flags: an empty one is none, and an error about one names it.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Command};

/// To clap a variable that is set is a value, also an empty one.
pub fn without_empty(command: Command) -> Command {
    let is_empty = |arg: &Arg| arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    let command = command.mut_args(|arg| if is_empty(&arg) { arg.env(None::<&'static str>) } else { arg });
    command.mut_subcommands(without_empty)
}

/// The variable that a value comes from which clap complains about.
pub fn culprit(error: &clap::Error, command: &Command, args: &[OsString]) -> Option<String> {
    let Some(ContextValue::String(about)) = error.get(ContextKind::InvalidArg) else { return None };
    let flag = about.split(' ').next()?.strip_prefix("--")?;
    let arg = with_flag(command, flag)?;
    let words = || args.iter().filter_map(|word| word.to_str());
    let short = arg.get_short().map(|short| format!("-{short}"));
    let is_typed = |word: &str| {
        let long = word.strip_prefix("--").is_some_and(|word| word.split('=').next() == Some(flag));
        long || short.as_ref().is_some_and(|short| word.starts_with(short.as_str()))
    };
    let variable = arg.get_env().filter(|name| std::env::var_os(name).is_some())?;
    (!words().any(is_typed)).then(|| format!("the value comes from the environment variable {}", variable.display()))
}

fn with_flag<'a>(command: &'a Command, flag: &str) -> Option<&'a Arg> {
    let own = command.get_arguments().find(|arg| arg.get_long() == Some(flag) && arg.get_env().is_some());
    own.or_else(|| command.get_subcommands().find_map(|below| with_flag(below, flag)))
}
