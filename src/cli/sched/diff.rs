//! `goscope sched diff`: two recordings side by side.

use std::path::PathBuf;

use clap::Args;

use crate::cli::{Context, values};
use crate::error::{Error, Kind, Result};
use crate::output::{self, Format, count};
use crate::sched::analyze::diff::{Diff, Limit, diff, passed};
use crate::sched::model::Class;
use crate::sched::{recording, report};

const EXAMPLES: &str = "\
Examples:
  goscope sched diff before.rec after.rec
  goscope sched diff before.rec after.rec --fail-on runnable=5 --fail-on no-cpu=2";

/// Compare two windows saved with --record
///
/// A difference that chance alone can make, from so many samples, walks and switches, is called not resolvable (95 %).
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DiffArgs {
    /// The earlier recording
    #[arg(value_name = "BEFORE")]
    pub before: PathBuf,
    /// The later recording
    #[arg(value_name = "AFTER")]
    pub after: PathBuf,
    /// How to print
    #[arg(long, value_enum, default_value = "table", env = "GOSCOPE_FORMAT", hide_env_values = true)]
    pub format: Format,
    /// Show at most N reasons, N stacks that grew and N that shrank in a table
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Exit 1 when the share of a state (on-cpu, runnable, no-cpu, syscall, gc-assist: of the time not waiting; waiting: of all time) grew by
    /// more than POINTS percentage points, beyond noise; repeat it for more states
    #[arg(long, value_name = "STATE=POINTS", value_parser = limit)]
    pub fail_on: Vec<Limit>,
}

fn limit(text: &str) -> std::result::Result<Limit, String> {
    let (state, points) = values::key_value(text).map_err(|_| "write STATE=POINTS, such as `runnable=5`".to_owned())?;
    let states = Class::ALL.into_iter().filter(|class| *class != Class::Scheduler);
    let class = states.into_iter().find(|class| class.as_str() == state.replace('-', "_"));
    let class = class.ok_or("the states are on-cpu, runnable, no-cpu, syscall, gc-assist and waiting")?;
    Ok(Limit { class, growth: values::percent(&points)? })
}

pub fn run(args: &DiffArgs, context: &Context) -> Result<()> {
    let mut out = context.open()?;
    let (before, after) = (recording::open(&args.before)?, recording::open(&args.after)?);
    let diff = diff(&before, &after);
    match args.format {
        Format::Table => {
            let style = out.style();
            report::write_diff_table(&diff, args.limit, &mut out, style)?;
        }
        Format::Json => output::write_json(&mut out, &report::diff_document(&diff))?,
        Format::Jsonl => report::write_diff_jsonl(&diff, &mut out)?,
    }
    out.finish()?;
    judge(&diff, &args.fail_on, context)
}

/// Findings, when a state's share grew by more than `--fail-on` allows and that is no noise.
fn judge(diff: &Diff<'_>, limits: &[Limit], context: &Context) -> Result<()> {
    let passed = passed(diff, limits);
    for (limit, change) in &passed {
        context.console.warning(&report::passed_line(limit, change));
    }
    match passed.iter().filter(|(_, change)| change.is_resolvable()).count() {
        0 => Ok(()),
        n => Err(Error::new(Kind::Findings, format!("{} grew by more than --fail-on allows", count(n as u64, "share")))),
    }
}
