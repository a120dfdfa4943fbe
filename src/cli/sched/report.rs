//! `goscope report`: a recorded window in any format.

use std::path::PathBuf;

use clap::Args;

use super::render::{View, open, render};
use super::{Mode, SchedFormat, no_samples, parse_by};
use crate::cli::Context;
use crate::error::{Error, Result};
use crate::sched::analyze::By;
use crate::sched::model::{Tier, Window};
use crate::sched::recording;

const EXAMPLES: &str = "\
Examples:
  goscope report before.rec                                     what `goscope sched` printed
  goscope report before.rec --mode off-cpu --format svg -o off.svg
  goscope report before.rec --format perfetto -o before.perfetto";

/// Print again what `sched` or `profile` recorded, in any format
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReportArgs {
    /// What --record wrote
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// How to print
    #[arg(long, value_enum, default_value = "table", env = "GOSCOPE_FORMAT", hide_env_values = true)]
    pub format: SchedFormat,
    /// As `goscope profile`, of this time; without it, as `goscope sched`
    #[arg(long, value_enum)]
    pub mode: Option<Mode>,
    /// Show at most N stacks of each kind, or N functions, in a table
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// With --mode: put a table's rows together by function, kind, creator, or label=KEY
    #[arg(long, value_name = "BY", value_parser = parse_by, default_value = "function", requires = "mode")]
    pub by: By,
    /// With --mode: leave out frames of the runtime (package runtime, those below it, and functions such as sync.runtime_Semacquire that are linked
    /// into it), and stacks that have no others than these and the kernel's
    #[arg(long, requires = "mode")]
    pub hide_runtime: bool,
}

pub fn run(args: &ReportArgs, context: &Context) -> Result<()> {
    let mut out = open(args.format, context)?;
    let window = recording::open(&args.file)?;
    check(&window, args.format)?;
    if args.mode == Some(Mode::Cpu) && window.tier == Tier::Counters {
        return Err(no_samples());
    }
    window.quality.warnings.iter().for_each(|warning| context.console.warning(warning));
    let view = match args.mode {
        Some(mode) => View::Profile { mode, by: args.by.clone(), limit: args.limit, hide_runtime: args.hide_runtime },
        None => View::Sched { limit: args.limit },
    };
    render(&window, args.format, &view, &mut out)?;
    out.finish()
}

fn check(window: &Window, format: SchedFormat) -> Result<()> {
    if format == SchedFormat::Trace && window.tier < Tier::Transitions {
        let tier = window.tier.number();
        return Err(Error::usage(format!("--format trace is made of transitions, and this was recorded with tier {tier}"))
            .hint("record with --tier 3, or use --format perfetto"));
    }
    let is_empty = window.timeline.as_ref().is_some_and(|timeline| timeline.moments.is_empty());
    if format == SchedFormat::Perfetto && is_empty {
        return Err(Error::usage("--format perfetto draws samples, switches and transitions, and this recording has none")
            .hint("record with --tier 1 or higher"));
    }
    Ok(())
}
