//! `goscope goroutines diff`: two snapshots side by side. `--watch` prints and judges in the same way.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::cli::Context;
use crate::error::{Error, Kind, Result};
use crate::goroutines::analyze::Filter;
use crate::goroutines::analyze::diff::{Diff, Growth, SiteCounts, diff, growth, live_by_site};
use crate::goroutines::{report, saved};
use crate::output::{self, Console, Format, Output, count};

/// Compare two snapshots saved with --format json
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The earlier snapshot
    #[arg(value_name = "BEFORE")]
    pub before: PathBuf,
    /// The later snapshot
    #[arg(value_name = "AFTER")]
    pub after: PathBuf,
    /// How to print
    #[arg(long, value_enum, default_value = "table", env = "GOSCOPE_FORMAT", hide_env_values = true)]
    pub format: Format,
    /// Show at most N creation sites and N stacks
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Show the runtime's own frames too
    #[arg(long)]
    pub runtime_frames: bool,
    /// Exit 1 when any creation site has more than N more live user goroutines after than before
    #[arg(long, value_name = "N")]
    pub fail_on_growth: Option<u64>,
}

pub fn run(args: &DiffArgs, context: &Context) -> Result<()> {
    let mut out = context.open()?;
    let (before, after) = (saved::read(&args.before)?, saved::read(&args.after)?);
    for (path, snapshot) in [(&args.before, &before), (&args.after, &after)] {
        if !snapshot.complete {
            context.console.warning(&format!("{} was saved with a filter or limit: it does not hold every goroutine", path.display()));
        }
    }
    let (before, after) = (before.snapshot, after.snapshot);
    let diff = diff(&before, &after, &Filter::default(), args.runtime_frames);
    if args.format == Format::Jsonl {
        output::write_line(&mut out, &report::diff_header(&before))?;
    }
    write(&diff, args.format, args.limit, 0, &mut out)?;
    if args.format == Format::Jsonl {
        output::write_line(&mut out, &report::diff_summary(1))?;
    }
    out.finish()?;
    judge(&live_by_site(&before), &live_by_site(&after), args.fail_on_growth, context.console)
}

/// `number`: which one of a series this is; 0 for the only one.
pub fn write(diff: &Diff<'_>, format: Format, limit: Option<usize>, number: u64, out: &mut Output) -> Result<()> {
    let style = out.style();
    match format {
        Format::Table => {
            if number > 0 {
                let heading = format!("-- {} --", humantime::format_rfc3339_seconds(diff.after.captured_at));
                let heading = style.paint(output::Paint::Heading, &heading);
                writeln!(out, "\n{heading}").map_err(Error::write)?;
            }
            report::write_diff_table(diff, limit, out, style)
        }
        Format::Json => output::write_json(out, &report::diff_document(diff)),
        Format::Jsonl => output::write_line(out, &report::diff_line(diff)),
    }
}

/// Findings, when `--fail-on-growth` was given and something grew by more.
pub fn judge(before: &SiteCounts, after: &SiteCounts, limit: Option<u64>, console: &Console) -> Result<()> {
    let Some(limit) = limit else { return Ok(()) };
    let grown: Vec<Growth> = growth(before, after, limit);
    if grown.is_empty() {
        return Ok(());
    }
    report::growth_lines(&grown, limit).iter().for_each(|line| console.warning(line));
    Err(Error::new(
        Kind::Findings,
        format!("{} grew by more than {}", count(grown.len() as u64, "creation site"), count(limit, "goroutine")),
    ))
}
