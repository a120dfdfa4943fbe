//! `goscope sched` and `goscope profile`: their command lines.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::target::{self, Wait};
use super::{Context, values};
use crate::error::{Error, Kind, Result};
use crate::output;
use crate::sched::collect::{self, Options, plan};
use crate::sched::model::{Class, Plan, Row, Source, Tier, Window};
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
    /// Only say what looking would cost, in each tier, and look at nothing
    #[arg(long)]
    pub plan: bool,
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
    /// Without --tier: the most that looking may cost the target, in percent of one CPU; `off` for no limit
    #[arg(long, value_name = "PERCENT", value_parser = Percent::parse, default_value = "1", env = "GOSCOPE_MAX_OVERHEAD", hide_env_values = true)]
    pub max_overhead: Percent,
    /// Samples a second of each CPU
    #[arg(long, value_name = "N", default_value_t = 97, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub hz: u32,
    /// Exit 1 when more than this share of events was lost
    #[arg(long, value_name = "PERCENT", value_parser = values::percent)]
    pub max_loss: Option<f64>,
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
    if args.plan {
        return run_plan(args, context);
    }
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
            Mode::Goroutine => row.source == Source::Walk,
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

/// Before a choice is made, so long.
const RATES_WINDOW: Duration = Duration::from_millis(200);

fn look(name: &str, wait: &Wait, look: &Look, context: &Context) -> Result<Window> {
    let process = target::resolve(name, wait, context.console)?;
    let process = GoProcess::attach(process, false)?;
    let (options, plan) = decide(&process, look, RATES_WINDOW, context)?;
    if let Some(plan) = &plan {
        context.console.cost(&report::plan_line(plan));
    }
    context.signals.open_window();
    let mut stop = || context.signals.wait(Duration::ZERO);
    let window = collect::window(&process, &options, plan, &mut stop)?;
    window.quality.warnings.iter().for_each(|warning| context.console.warning(warning));
    Ok(window)
}

/// As asked; or the closest look that is worth its price. Without the rights for probes, and when none was asked for: without probes.
fn decide(process: &GoProcess, look: &Look, window: Duration, context: &Context) -> Result<(Options, Option<Plan>)> {
    let tier = look.tier.map(|tier| Tier::ALL[usize::from(tier)]);
    let asked =
        Options { tier: tier.unwrap_or(Tier::Switches), hz: look.hz, switch_stacks: true, length: Some(look.duration), timeline: false };
    let transitions = asked.tier >= Tier::Transitions;
    if asked.tier == Tier::Counters {
        return Ok((asked, None));
    }
    let known = plan::prices(process, transitions).and_then(|prices| Ok((prices, plan::rates(process, window, transitions)?)));
    match (known, tier) {
        (Ok((prices, rates)), Some(_)) => Ok((asked, Some(plan::plan(&asked, &rates, &prices)))),
        (Ok((prices, rates)), None) => {
            let (options, plan) = plan::choose(&asked, &rates, &prices, look.max_overhead.0);
            Ok((options, Some(plan)))
        }
        (Err(error), None) if error.kind == Kind::Permission => {
            context.console.warning(&format!("{error}: only the runtime's own counters and walks are shown (tier 0)"));
            Ok((Options { tier: Tier::Counters, ..asked }, None))
        }
        (Err(error), _) => Err(error),
    }
}

fn run_plan(args: &SchedArgs, context: &Context) -> Result<()> {
    let mut out = context.open()?;
    let process = target::resolve(&args.target, &args.wait, context.console)?;
    let process = GoProcess::attach(process, false)?;
    let look = Look { tier: Some(3), ..args.look.clone() };
    let (options, _) = decide(&process, &look, Duration::from_secs(1), context)?;
    let prices = plan::prices(&process, true)?;
    let rates = plan::rates(&process, Duration::from_secs(1), true)?;
    let tiers = [Tier::Counters, Tier::Switches, Tier::Transitions];
    let plans: Vec<Plan> = tiers.iter().map(|&tier| plan::plan(&Options { tier, ..options }, &rates, &prices)).collect();
    let chosen = plan::choose(&Options { tier: Tier::Switches, ..options }, &rates, &prices, args.look.max_overhead.0).1;
    let style = out.style();
    report::write_plan(&plans, &chosen, args.look.max_overhead.0, &mut out, style)?;
    out.finish()
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
