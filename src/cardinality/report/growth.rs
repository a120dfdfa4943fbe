//! How an endpoint grew, for people and for machines.

use std::time::Duration;

use serde::Serialize;

use super::table::{blank, line};
use super::wording::thousands;
use crate::cardinality::analyze::outlook::growth::{Model, Trend};
use crate::cardinality::profile::Growing;
use crate::error::Result;
use crate::output::{self, Align, Output, Paint, Table};

const HOUR: f64 = 3600.0;

pub fn write(growing: &Growing, limit: usize, out: &mut Output) -> Result<()> {
    blank(out)?;
    let growth = &growing.growth;
    let mut table = Table::new(&[
        ("GROWTH", Align::Name),
        ("BEFORE", Align::Right),
        ("NOW", Align::Right),
        ("NEW", Align::Right),
        ("GONE", Align::Right),
        ("NEW/S", Align::Right),
        ("GROWTH/H", Align::Right),
    ]);
    let mut families: Vec<&(String, Trend)> = growth.families.iter().filter(|(_, trend)| trend.appeared() + trend.gone() > 0).collect();
    families.sort_by_key(|(_, trend)| std::cmp::Reverse(trend.appeared()));
    let shown = families.iter().take(limit).map(|(name, trend)| (name.as_str(), trend));
    for (name, trend) in shown.chain([("all", &growth.total)]) {
        let ends = (trend.points.first(), trend.points.last());
        let series = |point: Option<&crate::cardinality::analyze::outlook::growth::Point>| thousands(point.map_or(0, |point| point.series));
        table.row([
            name.to_owned(),
            series(ends.0),
            series(ends.1),
            thousands(trend.appeared()),
            thousands(trend.gone()),
            trend.new_per_second().map(|rate| format!("{rate:.2}")).unwrap_or_default(),
            trend.growth_per_second().map_or_else(|| "none".to_owned(), |rate| thousands((rate * HOUR).round() as u64)),
        ]);
    }
    table.write(out)?;
    if growth.restarted {
        line(out, &out.style().paint(Paint::Warning, "the process was restarted between the scrapes: its series began anew"))?;
    }
    if let Some(budget) = growing.budget {
        let text = match growth.total.until(budget) {
            Some(eta) if eta.hours == 0.0 => format!("{} series are reached", thousands(budget)),
            Some(eta) => format!("{} series in about {}, {}", thousands(budget), period(eta.hours), model(eta.model)),
            None => format!("no growth towards {} series was seen", thousands(budget)),
        };
        line(out, &text)?;
    }
    Ok(())
}

/// Days for what is far away, for it is an estimate.
fn period(hours: f64) -> String {
    match hours {
        days if days >= 48.0 => output::count((days / 24.0).round() as u64, "day"),
        hours => output::duration(Duration::from_secs_f64((hours * HOUR).max(1.0).round())),
    }
}

fn model(model: Model) -> &'static str {
    match model {
        Model::Linear => "if as many come in each hour",
        Model::Heaps => "as new ones become rarer the more there are (Heaps' law)",
    }
}

#[derive(Serialize)]
pub struct GrowthBody<'a> {
    restarted: bool,
    budget: Option<u64>,
    hours_until_budget: Option<f64>,
    total: TrendRow,
    metrics: Vec<MetricTrend<'a>>,
}

#[derive(Serialize)]
struct MetricTrend<'a> {
    metric: &'a str,
    #[serde(flatten)]
    trend: TrendRow,
}

#[derive(Serialize)]
struct TrendRow {
    seconds: f64,
    before: u64,
    now: u64,
    new: u64,
    gone: u64,
    new_per_second: Option<f64>,
    growth_per_hour: Option<f64>,
}

impl<'a> GrowthBody<'a> {
    pub fn new(growing: &'a Growing) -> Self {
        let growth = &growing.growth;
        GrowthBody {
            restarted: growth.restarted,
            budget: growing.budget,
            hours_until_budget: growing.budget.and_then(|budget| growth.total.until(budget)).map(|eta| eta.hours),
            total: trend_row(&growth.total),
            metrics: growth.families.iter().map(|(metric, trend)| MetricTrend { metric, trend: trend_row(trend) }).collect(),
        }
    }
}

fn trend_row(trend: &Trend) -> TrendRow {
    TrendRow {
        seconds: trend.seconds(),
        before: trend.points.first().map_or(0, |point| point.series),
        now: trend.points.last().map_or(0, |point| point.series),
        new: trend.appeared(),
        gone: trend.gone(),
        new_per_second: trend.new_per_second(),
        growth_per_hour: trend.growth_per_second().map(|rate| rate * HOUR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_has_the_unit_that_says_most() {
        for (hours, told) in [(0.0001, "1s"), (0.004, "14s"), (1.5, "1h30m"), (47.9, "1d23h"), (60.0, "3 days"), (24_000.0, "1000 days")] {
            assert_eq!(period(hours), told);
        }
    }
}
