//! `goscope sched` and `goscope profile`: their command lines.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

mod diff;
mod look;
mod render;
mod report;
mod when;

use super::target::Wait;
use super::{Context, values};
use crate::error::{Error, Kind, Result};
use crate::output::{Output, bytes};
use crate::sched::analyze::By;
use crate::sched::model::{Trigger, Window};
use crate::sched::recording;
use diff::DiffArgs;
use render::{View, open, render};
pub use report::{ReportArgs, run as run_report};

const SCHED_EXAMPLES: &str = "\
Examples:
  goscope sched payments                       10 s: one account of all goroutine time
  goscope sched 4711 --duration 30s --format json
  goscope sched 4711 --tier 0                  the runtime's own counters only: no probe, no BPF rights
  goscope sched payments --record before.rec   keep it for `goscope report` and `goscope sched diff`
  goscope sched diff before.rec after.rec --fail-on runnable=5";

const PROFILE_EXAMPLES: &str = "\
Examples:
  goscope profile payments                              CPU time by function, 10 s
  goscope profile 4711 --mode off-cpu --format svg -o off.svg
  goscope profile 4711 --format pprof -o cpu.pb.gz      then: go tool pprof -http : cpu.pb.gz";

/// Show who runs, who waits for a P or a CPU, who blocks on what, and for how long
///
/// Looks for a window of time without stopping anything: the kernel's context switches and clock,
/// and the runtime's own counters. What each tier costs is printed before and after.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, after_help = SCHED_EXAMPLES)]
pub struct SchedArgs {
    #[command(subcommand)]
    pub command: Option<SchedCommand>,

    /// Process id or name
    #[arg(value_name = "TARGET", required = true)]
    pub target: Option<String>,
    #[command(flatten)]
    pub wait: Wait,
    /// How to print
    #[arg(long, value_enum, default_value = "table", env = "GOSCOPE_FORMAT", hide_env_values = true)]
    pub format: SchedFormat,
    #[command(flatten)]
    pub look: Look,
    /// Only say what looking would cost, in each tier, and look at nothing
    #[arg(long, conflicts_with = "record")]
    pub plan: bool,
    /// Wait, looking at the runtime's counters alone, until METRIC is above or below VALUE; then look for --duration, in tier 3
    /// unless --tier says otherwise. The minute before is kept. METRIC: runnable_p50, runnable_p99, runnable_max, run_queue,
    /// idle_ps, time_slices (goroutines given a new one, a second), created, gc_pause, throttled
    #[arg(long, value_name = "METRIC>VALUE", value_parser = when::parse)]
    pub when: Vec<Trigger>,
    /// Look again and again for --duration, until Ctrl-C; on a terminal each table takes the place of the last
    #[arg(long, conflicts_with_all = ["when", "record"])]
    pub watch: bool,
    /// Show at most N stacks of each kind in a table
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

#[derive(Debug, Subcommand)]
pub enum SchedCommand {
    Diff(DiffArgs),
}

/// Show where CPU, off-CPU or wall-clock time goes, by function
#[derive(Debug, Args)]
#[command(after_help = PROFILE_EXAMPLES)]
pub struct ProfileArgs {
    /// Process id or name
    #[arg(value_name = "TARGET")]
    pub target: String,
    #[command(flatten)]
    pub wait: Wait,
    /// Which time
    #[arg(long, value_enum, default_value = "cpu")]
    pub mode: Mode,
    /// How to print
    #[arg(long, value_enum, default_value = "table", env = "GOSCOPE_FORMAT", hide_env_values = true)]
    pub format: SchedFormat,
    #[command(flatten)]
    pub look: Look,
    /// Show at most N functions in a table
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Put a table's rows together by function, kind (the goroutine's first function), creator, or label=KEY
    #[arg(long, value_name = "BY", value_parser = parse_by, default_value = "function")]
    pub by: By,
    /// Leave out frames of the runtime (package runtime, those below it, and functions such as sync.runtime_Semacquire that are linked
    /// into it), and stacks that have no others than these and the kernel's
    #[arg(long)]
    pub hide_runtime: bool,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Looking")]
pub struct Look {
    /// How long to look
    #[arg(long, value_name = "DURATION", value_parser = values::period, default_value = "10s", env = "GOSCOPE_DURATION", hide_env_values = true)]
    pub duration: Duration,
    /// How closely: 0 the runtime's counters, 1 also the kernel's switches and clock, 2 also the runtime's rare events, 3 also each
    /// transition of a goroutine
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=3))]
    pub tier: Option<u8>,
    /// Without --tier: the most that looking may cost the target, in percent of one CPU; `off` for no limit
    #[arg(long, value_name = "PERCENT", value_parser = Percent::parse, default_value = "1", env = "GOSCOPE_MAX_OVERHEAD", hide_env_values = true)]
    pub max_overhead: Percent,
    /// Samples a second of each CPU
    #[arg(long, value_name = "N", default_value_t = 97, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub hz: u32,
    /// Exit 1 when more than this share of events was lost
    #[arg(long, value_name = "PERCENT", value_parser = values::percent)]
    pub max_loss: Option<f64>,
    /// Also keep all that was seen, and when, in FILE: `goscope report` prints it again in every format, `goscope sched diff` compares
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
}

/// Of one CPU.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percent(pub f64);

impl Percent {
    fn parse(text: &str) -> std::result::Result<Self, String> {
        match text {
            "off" => Ok(Percent(f64::INFINITY)),
            _ => values::percent(text).map(|share| Percent(100.0 * share)),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchedFormat {
    /// For people
    Table,
    /// One document
    Json,
    /// One object a line
    Jsonl,
    /// Stacks with microseconds, for flame graph tools
    Folded,
    /// For `go tool pprof`
    Pprof,
    /// Flame graph
    Svg,
    /// For speedscope.app
    Speedscope,
    /// For ui.perfetto.dev: CPUs, threads, Ps and goroutines over time
    Perfetto,
    /// For `go tool trace`: each transition (tier 3)
    Trace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// On a CPU
    Cpu,
    /// Blocked in the kernel, or waiting for a CPU
    OffCpu,
    /// All time of all goroutines
    Wall,
    /// Goroutines by where they wait
    Goroutine,
}

pub fn run_sched(args: &SchedArgs, context: &Context) -> Result<()> {
    if let Some(SchedCommand::Diff(args)) = &args.command {
        return diff::run(args, context);
    }
    if args.plan {
        return look::run_plan(args, context);
    }
    let view = View::Sched { limit: args.limit };
    let name = args.target.as_deref().unwrap_or_default();
    if args.watch {
        return look::run_watch(name, args, &view, context);
    }
    look_and_render(name, &args.wait, &args.look, args.format, &args.when, &view, context)
}

pub fn run_profile(args: &ProfileArgs, context: &Context) -> Result<()> {
    if args.mode == Mode::Cpu && args.look.tier == Some(0) {
        return Err(no_samples());
    }
    let view = View::Profile { mode: args.mode, by: args.by.clone(), limit: args.limit, hide_runtime: args.hide_runtime };
    look_and_render(&args.target, &args.wait, &args.look, args.format, &[], &view, context)
}

/// CPU time by function comes from samples.
fn no_samples() -> Error {
    Error::usage("a profile of CPU time needs samples, and tier 0 takes none").hint("use --tier 1, or --mode wall")
}

fn parse_by(text: &str) -> std::result::Result<By, String> {
    match text {
        "function" => Ok(By::Function),
        "kind" => Ok(By::Kind),
        "creator" => Ok(By::Creator),
        _ => match text.strip_prefix("label=") {
            Some(key) if !key.is_empty() => Ok(By::Label(key.to_owned())),
            _ => Err("write function, kind, creator or label=KEY".to_owned()),
        },
    }
}

fn look_and_render(
    name: &str,
    wait: &Wait,
    look: &Look,
    format: SchedFormat,
    when: &[Trigger],
    view: &View,
    context: &Context,
) -> Result<()> {
    let mut out = open(format, context)?;
    let record = look.record.as_deref().map(|path| Ok::<_, Error>((path, context.open_record(path)?))).transpose()?;
    let window = look::look(name, wait, look, format, view.needs_probes() || format == SchedFormat::Perfetto, when, context)?;
    // A recording that cannot be written is no reason to show nothing.
    let recorded = record.map_or(Ok(()), |(path, file)| save(&window, path, file, context));
    let rendered = render(&window, format, view, &mut out).and_then(|()| out.finish());
    recorded.and(rendered)?;
    judge(&window, look)
}

fn save(window: &Window, path: &Path, mut file: Output, context: &Context) -> Result<()> {
    let cannot = |error: std::io::Error| Error::io(format!("cannot record into {}", path.display())).because(error);
    recording::write(window, &mut file).map_err(cannot)?;
    file.finish()?;
    let size = path.metadata().map_or(0, |found| found.len());
    context.console.note(&format!("recorded {} into {}", bytes(size), path.display()));
    Ok(())
}

/// Findings, when more was lost than `--max-loss` allows.
fn judge(window: &Window, look: &Look) -> Result<()> {
    let (sent, lost) = (window.quality.sent(), window.quality.lost());
    match look.max_loss {
        Some(limit) if lost as f64 > limit * sent.max(1) as f64 => {
            let message = format!("{lost} of {sent} events were lost, more than --max-loss allows");
            Err(Error::new(Kind::Findings, message))
        }
        _ => Ok(()),
    }
}
