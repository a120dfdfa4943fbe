//! From a command line to a window: which tier, at what price, and looking.

use std::io::Write;
use std::time::{Duration, SystemTime};

use super::render::{View, open, render};
use super::{Look, SchedArgs, SchedFormat};
use crate::cli::Context;
use crate::cli::target::{self, Programs, Wait};
use crate::error::{Error, Kind, Result};
use crate::output::{count, write_json};
use crate::sched::collect::{self, Options, armed, plan};
use crate::sched::model::{Plan, TargetFacts, Tier, Trigger, Window};
use crate::sched::report;
use crate::target::runtime::GoProcess;

/// Before a choice is made, so long.
const RATES_WINDOW: Duration = Duration::from_millis(200);

/// `needs_probes`: what tier 0 sees has nothing of what is to be shown.
pub fn look(
    name: &str,
    wait: &Wait,
    look: &Look,
    format: SchedFormat,
    needs_probes: bool,
    when: &[Trigger],
    context: &Context,
) -> Result<Window> {
    let process = target::resolve(name, Programs::Go, wait, context.console)?;
    let process = GoProcess::attach(process, false)?;
    if when.is_empty() {
        return look_once(&process, look, format, needs_probes, context);
    }
    context.console.cost(&format!("tier 0 until one of these: {}", when.iter().map(|t| &*t.text).collect::<Vec<_>>().join(", ")));
    context.signals.open_window();
    let armed = armed::wait(&process, when, &mut |period| context.signals.wait(period))?;
    let Some(fired) = armed.fired else {
        let seen = count(armed.before.len() as u64, "second");
        // Nothing was seen that it was to look at, and that is no finding.
        return Err(Error::new(Kind::Interrupted, format!("no trigger fired in the last {seen}")));
    };
    let look = Look { tier: look.tier.or(Some(3)), ..look.clone() };
    let window = look_once(&process, &look, format, needs_probes, context)?;
    Ok(Window { before: armed.before, trigger: Some(fired), ..window })
}

fn look_once(process: &GoProcess, look: &Look, format: SchedFormat, needs_probes: bool, context: &Context) -> Result<Window> {
    // From here on a signal ends the window, if need be before it has begun.
    context.signals.open_window();
    let (options, plan) = decide(process, look, format, needs_probes, context)?;
    if let Some(plan) = &plan {
        context.console.cost(&report::plan_line(plan));
    }
    let mut stop = || context.signals.wait(Duration::ZERO);
    let window = collect::window(process, &options, plan, &mut stop)?;
    window.quality.warnings.iter().for_each(|warning| context.console.warning(warning));
    Ok(window)
}

/// One window after the other.
pub fn run_watch(name: &str, args: &SchedArgs, view: &View, context: &Context) -> Result<()> {
    if !matches!(args.format, SchedFormat::Table | SchedFormat::Jsonl) {
        return Err(Error::usage("--watch prints a table or jsonl").hint("add --format jsonl, or leave --format out"));
    }
    let mut out = open(args.format, context)?;
    let process = target::resolve(name, Programs::Go, &args.wait, context.console)?;
    let process = GoProcess::attach(process, false)?;
    let (options, plan) = decide(&process, &args.look, args.format, false, context)?;
    if let Some(plan) = &plan {
        context.console.cost(&report::plan_line(plan));
    }
    context.signals.open_window();
    let mut stop = || context.signals.wait(Duration::ZERO);
    while !stop() {
        let window = collect::window(&process, &options, plan.clone(), &mut stop)?;
        if args.format == SchedFormat::Table && out.style().width.is_some() {
            let mut frame = Vec::new();
            report::write_table(&window, args.limit, &mut frame, out.style())?;
            let rows = crossterm::terminal::size().map_or(usize::MAX, |(_, rows)| usize::from(rows));
            out.write_all(&screen(&frame, rows)).map_err(Error::write)?;
        } else {
            render(&window, args.format, view, &mut out)?;
        }
        out.flush().map_err(Error::write)?;
        process.check()?;
    }
    out.finish()
}

/// A table in the place of the last one: home, all cleared, and no more lines than the terminal has, for the first ones say most.
fn screen(table: &[u8], rows: usize) -> Vec<u8> {
    let lines: Vec<&[u8]> = table.split_inclusive(|&byte| byte == b'\n').collect();
    let fits = lines.len() < rows;
    let shown = if fits { lines.len() } else { rows.saturating_sub(2) };
    let mut screen = b"\x1b[H\x1b[2J".to_vec();
    screen.extend(lines[..shown].concat());
    if !fits {
        screen.extend(format!("... and {}\n", count((lines.len() - shown) as u64, "more line")).bytes());
    }
    screen
}

/// As asked; or the closest look that is worth its price. Without the rights for probes, and when none was asked for: without probes.
fn decide(process: &GoProcess, look: &Look, format: SchedFormat, needs_probes: bool, context: &Context) -> Result<(Options, Option<Plan>)> {
    // A trace is made of transitions.
    let needed = (format == SchedFormat::Trace).then_some(Tier::Transitions);
    let tier = look.tier.map(|tier| Tier::ALL[usize::from(tier)]).or(needed);
    if needed.is_some_and(|needed| tier.is_some_and(|tier| tier < needed)) {
        return Err(Error::usage("--format trace needs --tier 3").hint("leave --tier out, or use --format perfetto"));
    }
    if format == SchedFormat::Perfetto && tier == Some(Tier::Counters) {
        return Err(
            Error::usage("--format perfetto draws samples, switches and transitions, and tier 0 sees none").hint("use --tier 1 or higher")
        );
    }
    let asked = Options {
        tier: tier.unwrap_or(Tier::Switches),
        hz: look.hz,
        switch_stacks: true,
        length: Some(look.duration),
        timeline: format.draws_time() || look.record.is_some(),
    };
    if asked.tier == Tier::Counters {
        return Ok((asked, None));
    }
    let known = plan::prices(process, asked.tier).and_then(|prices| Ok((prices, plan::rates(process, RATES_WINDOW, asked.tier)?)));
    match (known, tier) {
        (Ok((prices, rates)), Some(_)) => Ok((asked, Some(plan::plan(&asked, &rates, &prices)))),
        (Ok((prices, rates)), None) => {
            let (options, plan) = plan::choose(&asked, &rates, &prices, look.max_overhead.0);
            if needs_probes && options.tier == Tier::Counters {
                return Err(Error::usage("samples cost this process more than --max-overhead allows, and tier 0 takes none")
                    .hint("raise --max-overhead, or choose --tier 1"));
            }
            Ok((options, Some(plan)))
        }
        (Err(error), None) if error.kind == Kind::Permission && !needs_probes => {
            context.console.warning(&format!("{error}: only the runtime's own counters and walks are shown (tier 0)"));
            Ok((Options { tier: Tier::Counters, ..asked }, None))
        }
        (Err(error), _) => Err(error),
    }
}

pub fn run_plan(args: &SchedArgs, context: &Context) -> Result<()> {
    if !matches!(args.format, SchedFormat::Table | SchedFormat::Json) {
        return Err(Error::usage("--plan prints a table or json").hint("add --format json, or leave --format out"));
    }
    let mut out = context.open()?;
    let process = target::resolve(args.target.as_deref().unwrap_or_default(), Programs::Go, &args.wait, context.console)?;
    let process = GoProcess::attach(process, false)?;
    let options = Options { tier: Tier::Transitions, hz: args.look.hz, switch_stacks: true, length: None, timeline: false };
    let prices = plan::prices(&process, Tier::Transitions)?;
    let rates = plan::rates(&process, Duration::from_secs(1), Tier::Transitions)?;
    let plans: Vec<Plan> = Tier::ALL.iter().map(|&tier| plan::plan(&Options { tier, ..options }, &rates, &prices)).collect();
    let chosen = plan::choose(&Options { tier: Tier::Switches, ..options }, &rates, &prices, args.look.max_overhead.0).1;
    let limit = args.look.max_overhead.0;
    match args.format {
        SchedFormat::Json => {
            let facts = TargetFacts::of(&process);
            write_json(&mut out, &report::plan_document(&plans, &chosen, limit, &facts, SystemTime::now()))?;
        }
        _ => {
            let style = out.style();
            report::write_plan(&plans, &chosen, limit, &mut out, style)?;
        }
    }
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_no_more_lines_than_the_terminal() {
        let shown = |rows| String::from_utf8(screen(b"1\n2\n3\n4\n5\n", rows)).unwrap_or_default().replace("\x1b[H\x1b[2J", "");
        // The cursor stands on a line of its own.
        assert_eq!(shown(6), "1\n2\n3\n4\n5\n");
        assert_eq!(shown(5), "1\n2\n3\n... and 2 more lines\n");
        assert_eq!(shown(2), "... and 5 more lines\n");
        assert_eq!(shown(0), "... and 5 more lines\n");
    }
}
