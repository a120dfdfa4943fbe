//! The seconds before a trigger fired.

use std::io;

use serde::Serialize;

use super::table::time;
use crate::output::{Align, Table, timestamp};
use crate::sched::model::Glance;

#[derive(Serialize)]
pub(super) struct TriggerOut<'a> {
    pub when: &'a str,
    /// Nanoseconds, a number, or a number a second.
    pub seen: f64,
}

/// What is not known is absent.
#[derive(Serialize)]
pub(super) struct GlanceOut {
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    runnable_p50_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runnable_p99_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runnable_max_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_queue: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_ps: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_slices_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gc_pause_max_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    throttled_ns: Option<u64>,
}

impl GlanceOut {
    pub(super) fn of(glance: &Glance) -> GlanceOut {
        GlanceOut {
            at: timestamp(glance.at),
            runnable_p50_ns: glance.runnable_p50_ns,
            runnable_p99_ns: glance.runnable_p99_ns,
            runnable_max_ns: glance.runnable_max_ns,
            run_queue: glance.run_queue,
            idle_ps: glance.idle_ps,
            time_slices_per_second: glance.time_slices_per_second,
            created_per_second: glance.created_per_second,
            gc_pause_max_ns: glance.gc_pause_max_ns,
            throttled_ns: glance.throttled_ns,
        }
    }
}

/// The last seconds, newest last.
pub(super) fn table(before: &[Glance]) -> io::Result<Table> {
    const SHOWN: usize = 10;
    let mut table = Table::new(&[
        ("TIME", Align::Left),
        ("P50", Align::Right),
        ("P99", Align::Right),
        ("MAX", Align::Right),
        ("QUEUED", Align::Right),
        ("IDLE", Align::Right),
        ("SLICES/S", Align::Right),
        ("GC", Align::Right),
    ]);
    let below = |ns: Option<u64>| ns.map_or_else(|| "-".to_owned(), |ns| format!("<{}", time(ns)));
    let whole = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    for glance in &before[before.len().saturating_sub(SHOWN)..] {
        let at = timestamp(glance.at);
        table.row([
            at.get(11..19).unwrap_or(&at).to_owned(),
            below(glance.runnable_p50_ns),
            below(glance.runnable_p99_ns),
            below(glance.runnable_max_ns),
            whole(glance.run_queue),
            whole(glance.idle_ps),
            glance.time_slices_per_second.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}")),
            below(glance.gc_pause_max_ns.filter(|&ns| ns > 0)),
        ]);
    }
    Ok(table)
}
