//! Stops of the world, and the seconds before a trigger fired.

use std::time::{Duration, UNIX_EPOCH};

use super::Parsed;
use super::tables::{Tables, of_code, same_length};
use crate::sched::model::{Glance, Holder, Metric, Stop, Trigger};
use crate::sched::recording::{STOP_KINDS, proto};

/// Figures of a second: whole numbers, and rates.
const NUMBERS: usize = 7;
const RATES: usize = 2;

pub fn stops_of(stops: &proto::Stops, tables: &mut Tables) -> Parsed<Vec<Stop>> {
    let proto::Stops { kinds, begins_ns, lengths_ns, goids, stacks, last } = stops;
    // Those of before it was told have no `last`.
    let lasts = if last.is_empty() { kinds.len() } else { last.len() };
    let n = same_length(&[kinds.len(), begins_ns.len(), lengths_ns.len(), goids.len(), stacks.len(), lasts])?;
    tables.charge::<Stop>(n)?;
    let mut out = Vec::with_capacity(n);
    for i in 0..n {
        let stack = stack_of(stacks[i])?;
        let last = last.get(i).filter(|last| last.known).map(holder_of).transpose()?;
        let kind = of_code(&STOP_KINDS, kinds[i], "kind of stop")?;
        out.push(Stop { kind, begin_ns: begins_ns[i], ns: lengths_ns[i], goid: goids[i], stack, last });
    }
    Ok(out)
}

fn holder_of(holder: &proto::Holder) -> Parsed<Holder> {
    Ok(Holder { goid: holder.goid, ns: holder.ns, stack: stack_of(holder.stack)? })
}

fn stack_of(number: u64) -> Parsed<Option<u32>> {
    number.checked_sub(1).map(u32::try_from).transpose().map_err(|_| "a stack has no such number".to_owned())
}

pub fn trigger_of(trigger: &proto::Trigger, tables: &mut Tables) -> Parsed<(Trigger, f64)> {
    let metrics = Metric::ALL.map(|(_, metric)| metric);
    let metric = of_code(&metrics, trigger.metric, "metric")?;
    Ok((Trigger { metric, above: trigger.above, limit: trigger.limit, text: tables.text(trigger.text)? }, trigger.seen))
}

pub fn before_of(before: &proto::Before, tables: &mut Tables) -> Parsed<Vec<Glance>> {
    let proto::Before { seconds, nanoseconds, known, numbers, rates } = before;
    let n = same_length(&[seconds.len(), nanoseconds.len(), known.len(), numbers.len() / NUMBERS, rates.len() / RATES])?;
    tables.charge::<Glance>(n)?;
    let mut out = Vec::with_capacity(n);
    for i in 0..n {
        let number = |figure: usize| (known[i] >> figure & 1 != 0).then(|| numbers[i * NUMBERS + figure]);
        let rate = |figure: usize| (known[i] >> (NUMBERS + figure) & 1 != 0).then(|| rates[i * RATES + figure]);
        let since = Duration::new(seconds[i].min(253_402_300_799), nanoseconds[i].min(999_999_999));
        out.push(Glance {
            at: UNIX_EPOCH.checked_add(since).ok_or("its date is none")?,
            runnable_p50_ns: number(0),
            runnable_p99_ns: number(1),
            runnable_max_ns: number(2),
            run_queue: number(3),
            idle_ps: number(4),
            gc_pause_max_ns: number(5),
            throttled_ns: number(6),
            time_slices_per_second: rate(0),
            created_per_second: rate(1),
        });
    }
    Ok(out)
}
