//! From a command line to a window: which tier, at what price, and looking.

use std::time::Duration;

use super::{Look, SchedArgs, SchedFormat};
use crate::cli::Context;
use crate::cli::target::{self, Wait};
use crate::error::{Error, Kind, Result};
use crate::sched::collect::{self, Options, plan};
use crate::sched::model::{Plan, Tier, Window};
use crate::sched::report;
use crate::target::runtime::GoProcess;

/// Before a choice is made, so long.
const RATES_WINDOW: Duration = Duration::from_millis(200);

pub fn look(name: &str, wait: &Wait, look: &Look, format: SchedFormat, context: &Context) -> Result<Window> {
    let process = target::resolve(name, wait, context.console)?;
    let process = GoProcess::attach(process, false)?;
    let (options, plan) = decide(&process, look, format, RATES_WINDOW, context)?;
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
fn decide(process: &GoProcess, look: &Look, format: SchedFormat, window: Duration, context: &Context) -> Result<(Options, Option<Plan>)> {
    // A trace is made of transitions.
    let needed = (format == SchedFormat::Trace).then_some(Tier::Transitions);
    let tier = look.tier.map(|tier| Tier::ALL[usize::from(tier)]).or(needed);
    if needed.is_some_and(|needed| tier.is_some_and(|tier| tier < needed)) {
        return Err(Error::usage("--format trace needs --tier 3").hint("leave --tier out, or use --format perfetto"));
    }
    let asked = Options {
        tier: tier.unwrap_or(Tier::Switches),
        hz: look.hz,
        switch_stacks: true,
        length: Some(look.duration),
        timeline: format.draws_time() || look.record.is_some(),
    };
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

pub fn run_plan(args: &SchedArgs, context: &Context) -> Result<()> {
    let mut out = context.open()?;
    let process = target::resolve(args.target.as_deref().unwrap_or_default(), &args.wait, context.console)?;
    let process = GoProcess::attach(process, false)?;
    let options = Options { tier: Tier::Transitions, hz: args.look.hz, switch_stacks: true, length: None, timeline: false };
    let prices = plan::prices(&process, true)?;
    let rates = plan::rates(&process, Duration::from_secs(1), true)?;
    let tiers = [Tier::Counters, Tier::Switches, Tier::Transitions];
    let plans: Vec<Plan> = tiers.iter().map(|&tier| plan::plan(&Options { tier, ..options }, &rates, &prices)).collect();
    let chosen = plan::choose(&Options { tier: Tier::Switches, ..options }, &rates, &prices, args.look.max_overhead.0).1;
    let style = out.style();
    report::write_plan(&plans, &chosen, args.look.max_overhead.0, &mut out, style)?;
    out.finish()
}
