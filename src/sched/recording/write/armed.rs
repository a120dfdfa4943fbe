//! Stops of the world, and the seconds before a trigger fired.

use super::tables::{Tables, code};
use super::{proto, since_1970};
use crate::sched::model::{Glance, Holder, Metric, Stop, Trigger};
use crate::sched::recording::STOP_KINDS;

pub fn stops_of(stops: &[Stop]) -> proto::Stops {
    proto::Stops {
        kinds: stops.iter().map(|stop| code(&STOP_KINDS, &stop.kind)).collect(),
        begins_ns: stops.iter().map(|stop| stop.begin_ns).collect(),
        lengths_ns: stops.iter().map(|stop| stop.ns).collect(),
        goids: stops.iter().map(|stop| stop.goid).collect(),
        stacks: stops.iter().map(|stop| number_of(stop.stack)).collect(),
        last: stops.iter().map(|stop| stop.last.as_ref().map_or_else(proto::Holder::default, holder_of)).collect(),
    }
}

fn holder_of(Holder { goid, ns, stack }: &Holder) -> proto::Holder {
    proto::Holder { known: true, goid: *goid, ns: *ns, stack: number_of(*stack) }
}

fn number_of(stack: Option<u32>) -> u64 {
    stack.map_or(0, |stack| u64::from(stack) + 1)
}

pub fn trigger_of((trigger, seen): &(Trigger, f64), tables: &mut Tables) -> proto::Trigger {
    let Trigger { metric, above, limit, text } = trigger;
    let metrics = Metric::ALL.map(|(_, metric)| metric);
    proto::Trigger { metric: code(&metrics, metric), above: *above, limit: *limit, text: tables.text(text), seen: *seen }
}

pub fn before_of(before: &[Glance]) -> proto::Before {
    let mut out = proto::Before::default();
    for glance in before {
        let Glance {
            at,
            runnable_p50_ns,
            runnable_p99_ns,
            runnable_max_ns,
            run_queue,
            idle_ps,
            time_slices_per_second,
            created_per_second,
            gc_pause_max_ns,
            throttled_ns,
        } = glance;
        let (seconds, nanoseconds) = since_1970(*at);
        out.seconds.push(u64::try_from(seconds).unwrap_or(0));
        out.nanoseconds.push(nanoseconds);
        let numbers = [runnable_p50_ns, runnable_p99_ns, runnable_max_ns, run_queue, idle_ps, gc_pause_max_ns, throttled_ns];
        let rates = [time_slices_per_second, created_per_second];
        let known = numbers.iter().map(|n| n.is_some()).chain(rates.iter().map(|rate| rate.is_some()));
        out.known.push(known.enumerate().map(|(bit, known)| u32::from(known) << bit).sum());
        out.numbers.extend(numbers.map(|number| number.unwrap_or(0)));
        out.rates.extend(rates.map(|rate| rate.unwrap_or(0.0)));
    }
    out
}
