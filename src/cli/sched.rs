//! `goscope sched` and `goscope profile`: their command lines.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::target::{self, Wait};
use super::{Context, values};
use crate::error::Result;
use crate::output;
use crate::sched::collect::{self, Options};
use crate::sched::model::{Class, Row, Tier, Window};
use crate::sched::report::{self, Weight};
use crate::target::runtime::GoProcess;

const SCHED_EXAMPLES: &str = "\
Examples:
  goscope sched payments                       10 s: one account of all goroutine time
  goscope sched 4711 --duration 30s --format json
  goscope sched 4711 --tier 0                  the runtime's own counters only: no probe, no BPF rights";

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
#[command(after_help = SCHED_EXAMPLES)]
pub struct SchedArgs {
    /// Process id or name
    #[arg(value_name = "TARGET")]
    pub target: String,
    #[command(flatten)]
    pub wait: Wait,
    /// How to print
    #[arg(long, value_enum, default_value = "table", env = "GOSCOPE_FORMAT", hide_env_values = true)]
    pub format: SchedFormat,
    #[command(flatten)]
    pub look: Look,
    /// Show at most N stacks of each kind in a table
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
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
    /// Leave out the runtime's own frames, and time that is all the runtime's
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
    /// Samples a second of each CPU
    #[arg(long, value_name = "N", default_value_t = 97, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub hz: u32,
    /// Exit 1 when more than this share of events was lost
    #[arg(long, value_name = "PERCENT", value_parser = values::percent)]
    pub max_loss: Option<f64>,
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
    let mut out = if args.format == SchedFormat::Pprof { context.open_binary("pprof")? } else { context.open()? };
    let window = look(&args.target, &args.wait, &args.look, context)?;
    let rows: Vec<&Row> = window.rows.iter().filter(|row| row.class != Class::Scheduler).collect();
    let weight = Weight { unit: "us", counts: "events", kind: "wall", title: "Goroutine time", hide_runtime: false };
    match args.format {
        SchedFormat::Table => {
            let style = out.style();
            report::write_table(&window, args.limit, &mut out, style)?;
        }
        SchedFormat::Json => output::write_json(&mut out, &report::document("sched", &window))?,
        SchedFormat::Jsonl => report::write_jsonl("sched", &window, &mut out)?,
        SchedFormat::Folded => report::write_folded(&window, &rows, &weight, &mut out)?,
        SchedFormat::Pprof => report::write_pprof(&window, &rows, &weight, &mut out)?,
        SchedFormat::Svg => report::write_svg(&window, &rows, &weight, &mut out)?,
    }
    out.finish()?;
    judge(&window, &args.look)
}

pub fn run_profile(args: &ProfileArgs, context: &Context) -> Result<()> {
    let mut out = if args.format == SchedFormat::Pprof { context.open_binary("pprof")? } else { context.open()? };
    let mut window = look(&args.target, &args.wait, &args.look, context)?;
    window.rows.retain(|row| args.mode.has(row));
    let rows: Vec<&Row> = window.rows.iter().collect();
    let mut weight = args.mode.weight();
    weight.hide_runtime = args.hide_runtime;
    match args.format {
        SchedFormat::Table => {
            let style = out.style();
            report::write_profile_table(&window, &rows, weight.title, args.limit, args.hide_runtime, &mut out, style)?;
        }
        SchedFormat::Json => output::write_json(&mut out, &report::document("profile", &window))?,
        SchedFormat::Jsonl => report::write_jsonl("profile", &window, &mut out)?,
        SchedFormat::Folded => report::write_folded(&window, &rows, &weight, &mut out)?,
        SchedFormat::Pprof => report::write_pprof(&window, &rows, &weight, &mut out)?,
        SchedFormat::Svg => report::write_svg(&window, &rows, &weight, &mut out)?,
    }
    out.finish()?;
    judge(&window, &args.look)
}

impl Mode {
    fn has(self, row: &Row) -> bool {
        match self {
            Mode::Cpu => row.on_cpu_ns > 0,
            Mode::OffCpu => matches!(row.class, Class::NoCpu | Class::Syscall) && row.off_cpu_ns > 0,
            Mode::Wall => row.class != Class::Scheduler,
            Mode::Goroutine => row.source == crate::sched::model::Source::Walk,
        }
    }

    fn weight(self) -> Weight {
        let (counts, kind, title) = match self {
            Mode::Cpu => ("samples", "cpu", "CPU time"),
            Mode::OffCpu => ("events", "off_cpu", "Off-CPU time"),
            Mode::Wall => ("samples", "wall", "Wall-clock time of goroutines"),
            Mode::Goroutine => ("samples", "goroutine", "Time of waiting goroutines"),
        };
        Weight { unit: "us", counts, kind, title, hide_runtime: false }
    }
}

fn look(name: &str, wait: &Wait, look: &Look, context: &Context) -> Result<Window> {
    let process = target::resolve(name, wait, context.console)?;
    let process = GoProcess::attach(process, false)?;
    let tier = look.tier.map_or(Tier::Switches, |tier| Tier::ALL[usize::from(tier)]);
    let options = Options { tier, hz: look.hz, switch_stacks: true, length: Some(look.duration) };
    context.signals.open_window();
    let window = collect::window(&process, &options, &mut || context.signals.wait(Duration::ZERO))?;
    window.quality.warnings.iter().for_each(|warning| context.console.warning(warning));
    Ok(window)
}

/// Findings, when more was lost than `--max-loss` allows.
fn judge(window: &Window, look: &Look) -> Result<()> {
    let (sent, lost) = (window.quality.sent(), window.quality.lost());
    match look.max_loss {
        Some(limit) if lost as f64 > limit * sent.max(1) as f64 => {
            let message = format!("{lost} of {sent} events were lost, more than --max-loss allows");
            Err(crate::error::Error::new(crate::error::Kind::Findings, message))
        }
        _ => Ok(()),
    }
}
