//! What looking will cost, in words, as a table, and as `schemas/sched-plan.json` has it.

use std::io::Write;
use std::time::SystemTime;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::output::{Align, Envelope, Style, Table};
use crate::sched::model::{Item, Payer, Plan, TargetFacts, Tier};

/// One line: the tier, its price, and what makes it up.
pub fn line(plan: &Plan) -> String {
    if plan.tier == Tier::Counters {
        return "tier 0: no probe; the runtime's counters are read from outside".to_owned();
    }
    let part = |item: &Item| format!("{:.0}/s {} x {}", item.per_second, item.what, micros(item.ns_each));
    let parts: Vec<String> = plan.items.iter().filter(|item| item.payer == Payer::Target).map(part).collect();
    format!(
        "tier {}{}: expected {:.2} % of one CPU in the target ({}), {:.2} % in all other processes",
        plan.tier.number(),
        if plan.switch_stacks { "" } else { " without off-CPU stacks" },
        plan.percent(Payer::Target),
        parts.join(", "),
        plan.percent(Payer::Host)
    )
}

/// Every tier's price, and which one `--max-overhead` would choose.
pub fn write(plans: &[Plan], chosen: &Plan, limit: f64, out: &mut impl Write, style: Style) -> Result<()> {
    let mut table = Table::new(&[
        ("TIER", Align::Right),
        ("WHO PAYS", Align::Left),
        ("EVENTS/S", Align::Right),
        ("EACH", Align::Right),
        ("% OF ONE CPU", Align::Right),
        ("FOR WHAT", Align::Left),
    ]);
    for plan in plans {
        let tier = plan.tier.number().to_string();
        if plan.items.is_empty() {
            table.row([tier, "goscope".into(), "-".into(), "-".into(), "0.00".into(), "reading memory from outside".into()]);
            continue;
        }
        for item in &plan.items {
            let payer = if item.payer == Payer::Target { "target" } else { "others" };
            let figures = [format!("{:.0}", item.per_second), micros(item.ns_each), format!("{:.2}", item.percent())];
            let [per_second, each, percent] = figures;
            table.row([tier.clone(), payer.into(), per_second, each, percent, item.what.to_string()]);
        }
        let sum = format!("{:.2}", plan.percent(Payer::Target));
        table.row([tier, "target".into(), String::new(), String::new(), sum, "= the target's sum".into()]);
    }
    table.write_to(out, style).map_err(Error::write)?;
    let limit = if limit.is_finite() { format!("at most {limit} % of one CPU") } else { "no limit".to_owned() };
    writeln!(out, "\nWithout --tier and with {limit}: {}", line(chosen)).map_err(Error::write)
}

/// `--format json`; no `max_overhead_percent` when there is no limit.
pub fn document<'a>(plans: &'a [Plan], chosen: &'a Plan, limit: f64, target: &'a TargetFacts, at: SystemTime) -> impl Serialize + 'a {
    let body = Body {
        max_overhead_percent: limit.is_finite().then_some(limit),
        chosen: PlanOut::of(chosen),
        tiers: plans.iter().map(PlanOut::of).collect(),
    };
    Envelope::new("sched-plan", at, target, Quality { warnings: [] }, body)
}

#[derive(Serialize)]
struct Quality {
    warnings: [&'static str; 0],
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_overhead_percent: Option<f64>,
    chosen: PlanOut<'a>,
    tiers: Vec<PlanOut<'a>>,
}

#[derive(Serialize)]
struct PlanOut<'a> {
    tier: u8,
    off_cpu_stacks: bool,
    sample_hz: Option<u32>,
    target_percent: f64,
    host_percent: f64,
    items: Vec<ItemOut<'a>>,
}

#[derive(Serialize)]
struct ItemOut<'a> {
    what: &'a str,
    paid_by: &'static str,
    per_second: f64,
    ns_each: f64,
    percent: f64,
}

impl<'a> PlanOut<'a> {
    fn of(plan: &'a Plan) -> Self {
        let probes = plan.tier > Tier::Counters;
        PlanOut {
            tier: plan.tier.number(),
            off_cpu_stacks: probes && plan.switch_stacks,
            sample_hz: probes.then_some(plan.hz),
            target_percent: plan.percent(Payer::Target),
            host_percent: plan.percent(Payer::Host),
            items: plan.items.iter().map(ItemOut::of).collect(),
        }
    }
}

impl<'a> ItemOut<'a> {
    fn of(item: &'a Item) -> Self {
        let paid_by = if item.payer == Payer::Target { "target" } else { "others" };
        ItemOut { what: &item.what, paid_by, per_second: item.per_second, ns_each: item.ns_each, percent: item.percent() }
    }
}

fn micros(ns: f64) -> String {
    format!("{:.2} us", ns / 1000.0)
}
