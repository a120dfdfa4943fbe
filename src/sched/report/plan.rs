//! What looking will cost, in words and as a table.

use std::io::Write;

use crate::error::{Error, Result};
use crate::output::{Align, Style, Table};
use crate::sched::model::{Item, Payer, Plan, Tier};

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

fn micros(ns: f64) -> String {
    format!("{:.2} us", ns / 1000.0)
}
