//! `goscope goroutines`: from its command line to the feature.

use std::io::Write;
use std::time::{Duration, Instant};

use super::{GoroutinesArgs, GoroutinesCommand, GoroutinesFormat, diff};
use crate::cli::{Context, target};
use crate::error::{Error, Kind, Result};
use crate::goroutines::analyze::{self, View};
use crate::goroutines::model::Snapshot;
use crate::goroutines::report;
use crate::goroutines::watch::{Next, Step, watch};
use crate::output::{self, Console, Format, Output, count, duration};
use crate::target::runtime::GoProcess;

pub fn run(args: GoroutinesArgs, context: &Context) -> Result<()> {
    if let Some(GoroutinesCommand::Diff(args)) = &args.command {
        return diff::run(args, context);
    }
    let mut out = match args.format {
        GoroutinesFormat::Pprof => context.open_binary("pprof")?,
        _ => context.open()?,
    };
    let format = args.watch.map(|period| watch_format(args.format).map(|format| (period, format))).transpose()?;
    let name = args.target.as_deref().unwrap_or_default();
    let process = target::resolve(name, target::Programs::Go, &args.wait, context.console)?;
    let begin = Instant::now();
    let process = GoProcess::attach(process, args.swap_in)?;
    context.console.note(&format!(
        "attached in {}: {}, {}, layout from {}",
        duration(begin.elapsed()),
        process.binary.build.go_version,
        count(process.module.pclntab.len() as u64, "function"),
        process.layout_source.as_str()
    ));
    if let Some((period, format)) = format {
        return run_watch(&args, &process, period, format, out, context);
    }
    let begin = Instant::now();
    let snapshot = args.take(&process)?;
    context.console.note(&format!(
        "{} read and named in {}",
        count(snapshot.goroutines.len() as u64, "goroutine"),
        duration(begin.elapsed())
    ));
    warn(&snapshot, context.console);
    write_view(&analyze::view(&snapshot, &args.query()), args.format, &mut out)?;
    out.finish()
}

fn write_view(view: &View<'_>, format: GoroutinesFormat, out: &mut Output) -> Result<()> {
    match format {
        GoroutinesFormat::Table => {
            let style = out.style();
            report::write_table(view, out, style)
        }
        GoroutinesFormat::Json => output::write_json(out, &report::document(view)),
        GoroutinesFormat::Jsonl => report::write_jsonl(view, out),
        GoroutinesFormat::Text => report::write_text(view, out),
        GoroutinesFormat::Folded => report::write_folded(view, out),
        GoroutinesFormat::Pprof => report::write_pprof(view, out),
        GoroutinesFormat::Svg => report::write_svg(view, out),
    }
}

fn warn(snapshot: &Snapshot, console: &Console) {
    snapshot.quality.warnings.iter().for_each(|warning| console.warning(warning));
}

/// A stream of snapshots is a table or lines.
fn watch_format(format: GoroutinesFormat) -> Result<Format> {
    match format {
        GoroutinesFormat::Table => Ok(Format::Table),
        GoroutinesFormat::Jsonl => Ok(Format::Jsonl),
        _ => Err(Error::usage("--watch prints a table or jsonl").hint("add --format jsonl, or leave --format out")),
    }
}

fn run_watch(
    args: &GoroutinesArgs,
    process: &GoProcess,
    period: Duration,
    format: Format,
    mut out: Output,
    context: &Context,
) -> Result<()> {
    let query = args.query();
    context.signals.open_window();
    let mut diffs = 0;
    let take = || args.take(process).inspect(|snapshot| warn(snapshot, context.console));
    let wait = || if context.signals.wait(period) { Next::Stop } else { Next::Go };
    let show = |step: Step<'_>| {
        match (step, format) {
            (Step::First(first), Format::Table) => write_view(&analyze::view(first, &query), GoroutinesFormat::Table, &mut out)?,
            (Step::First(first), _) => output::write_line(&mut out, &report::diff_header(first))?,
            (Step::Next { before, after }, _) => {
                diffs += 1;
                let diff = analyze::diff::diff(before, after, &query.filter, query.runtime_frames);
                diff::write(&diff, format, query.limit, diffs, &mut out)?;
            }
        }
        out.flush().map_err(Error::write)
    };
    let watched = watch(args.count, take, wait, show);
    if watched.as_ref().is_err_and(|error| error.kind == Kind::ClosedPipe) {
        return watched.map(drop);
    }
    // What was seen is kept, also when the target exits in the middle.
    if format == Format::Jsonl {
        output::write_line(&mut out, &report::diff_summary(diffs))?;
    }
    out.finish()?;
    let watched = watched?;
    diff::judge(&watched.first, &watched.last, args.fail_on_growth, context.console)
}
