//! `goscope ps`: its command line.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::Context;
use crate::error::Result;
use crate::output::{Format, duration};
use crate::ps;
use crate::target::process::ways_to_be_privileged;

const EXAMPLES: &str = "\
Examples:
  goscope ps
  goscope ps --sort rss
  goscope ps --format json | jq '.processes[] | select(.go_version < \"go1.22\")'";

/// List the Go processes that run here
///
/// They are found by what their executables hold, not by name: renamed, stripped and deleted ones too.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PsArgs {
    /// How to print
    #[arg(long, value_enum, default_value = "table", env = "GOSCOPE_FORMAT", hide_env_values = true)]
    format: Format,
    /// Order of the list
    #[arg(long, value_enum, value_name = "KEY", default_value = "pid")]
    sort: Sort,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sort {
    Pid,
    /// By name of the executable
    Name,
    User,
    /// Oldest Go version first
    Go,
    /// Oldest process first
    Age,
    /// Most memory first
    Rss,
    /// Most threads first
    Threads,
}

pub fn run(args: &PsArgs, context: &Context) -> Result<()> {
    let mut out = context.open()?;
    let mut listing = ps::collect()?;
    let by = match args.sort {
        Sort::Pid => ps::model::Sort::Pid,
        Sort::Name => ps::model::Sort::Name,
        Sort::User => ps::model::Sort::User,
        Sort::Go => ps::model::Sort::Go,
        Sort::Age => ps::model::Sort::Age,
        Sort::Rss => ps::model::Sort::Rss,
        Sort::Threads => ps::model::Sort::Threads,
    };
    ps::analyze::sort(&mut listing.processes, by);
    context.console.note(&format!("all processes looked at in {}", duration(Duration::from_nanos(listing.quality.capture_ns))));
    ps::write(&listing, args.format, &mut out)?;
    if listing.quality.denied > 0 || listing.quality.hidden {
        ways_to_be_privileged().iter().for_each(|way| context.console.hint(way));
    }
    out.finish()
}
