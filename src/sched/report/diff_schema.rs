//! The shapes of `schemas/sched-diff.json`. Keys are added here, never renamed.

use std::io::Write;

use serde::Serialize;

use super::schema::{FrameOut, Quality, WaitsOut, frames_of};
use crate::error::Result;
use crate::output::{Envelope, timestamp, write_line};
use crate::sched::analyze::diff::{Amount, CONFIDENCE, Change, Diff, Latency, Place, QueueChange, Reason, Share, StateChange};
use crate::sched::model::{Bound, TargetFacts, Window};

const COMMAND: &str = "sched-diff";

/// `target`, `quality` and `captured_at` are those of the later window.
pub fn diff_document<'a>(diff: &'a Diff<'a>) -> impl Serialize + 'a {
    let body = Body {
        facts: Facts::of(diff),
        states: diff.states.iter().map(StateOut::of).collect(),
        queues: diff.queues.iter().map(QueueOut::of).collect(),
        reasons: diff.reasons.iter().map(ReasonOut::of).collect(),
        stacks: diff.stacks.iter().map(StackOut::of).collect(),
        run_latency: diff.run_latency.iter().map(LatencyOut::of).collect(),
        blocked: diff.blocked.iter().map(BlockedOut::of).collect(),
    };
    let after = diff.after;
    Envelope::new(COMMAND, after.captured_at, &after.target, Quality::of(after), body)
}

/// A header, one line for each state, quantile, reason, stack, creator and reason of the waits that ended, a summary.
pub fn write_diff_jsonl(diff: &Diff<'_>, out: &mut impl Write) -> Result<()> {
    #[derive(Serialize)]
    struct Line<T> {
        r#type: &'static str,
        #[serde(flatten)]
        body: T,
    }
    #[derive(Serialize)]
    struct Empty {}
    let after = diff.after;
    let header = Envelope::new(COMMAND, after.captured_at, &after.target, Quality::of(after), Empty {}).header();
    write_line(out, &header)?;
    diff.states.iter().try_for_each(|change| write_line(out, &Line { r#type: "state", body: StateOut::of(change) }))?;
    diff.queues.iter().try_for_each(|change| write_line(out, &Line { r#type: "queue", body: QueueOut::of(change) }))?;
    diff.reasons.iter().try_for_each(|change| write_line(out, &Line { r#type: "reason", body: ReasonOut::of(change) }))?;
    diff.stacks.iter().try_for_each(|change| write_line(out, &Line { r#type: "stack", body: StackOut::of(change) }))?;
    diff.run_latency.iter().try_for_each(|change| write_line(out, &Line { r#type: "run_latency", body: LatencyOut::of(change) }))?;
    diff.blocked.iter().try_for_each(|change| write_line(out, &Line { r#type: "blocked", body: BlockedOut::of(change) }))?;
    write_line(out, &Line { r#type: "summary", body: Facts::of(diff) })
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(flatten)]
    facts: Facts<'a>,
    states: Vec<StateOut>,
    queues: Vec<QueueOut>,
    reasons: Vec<ReasonOut<'a>>,
    stacks: Vec<StackOut<'a>>,
    run_latency: Vec<LatencyOut<'a>>,
    blocked: Vec<BlockedOut<'a>>,
}

#[derive(Serialize)]
struct Facts<'a> {
    interval_ns: Option<u64>,
    same_process: bool,
    confidence: f64,
    before: Side<'a>,
    after: Side<'a>,
    notes: &'a [String],
}

impl<'a> Facts<'a> {
    fn of(diff: &'a Diff<'a>) -> Self {
        Facts {
            interval_ns: diff.interval.and_then(|interval| u64::try_from(interval.as_nanos()).ok()),
            same_process: diff.same_process,
            confidence: CONFIDENCE,
            before: Side::of(diff.before),
            after: Side::of(diff.after),
            notes: &diff.notes,
        }
    }
}

#[derive(Serialize)]
struct Side<'a> {
    captured_at: String,
    target: &'a TargetFacts,
    window_ns: u64,
    tier: u8,
    samples: u64,
    walks: u64,
    sent: u64,
    lost: u64,
}

impl<'a> Side<'a> {
    fn of(window: &'a Window) -> Self {
        Side {
            captured_at: timestamp(window.captured_at),
            target: &window.target,
            window_ns: window.length_ns,
            tier: window.tier.number(),
            samples: window.samples,
            walks: window.quality.walks,
            sent: window.quality.sent(),
            lost: window.quality.lost(),
        }
    }
}

/// Shares are 0..1; `change` and `margin` are of `share_of_busy`, of `waiting` they are of `share`.
#[derive(Serialize)]
struct StateOut {
    state: &'static str,
    before: ShareOut,
    after: ShareOut,
    change: f64,
    margin: f64,
    resolvable: bool,
}

#[derive(Serialize)]
struct ShareOut {
    ns: u64,
    goroutines: f64,
    share: f64,
    share_of_busy: Option<f64>,
}

impl StateOut {
    fn of(change: &StateChange) -> Self {
        let side = |share: &Share| ShareOut {
            ns: share.amount.ns,
            goroutines: share.amount.rate / 1e9,
            share: share.of_all,
            share_of_busy: share.of_busy,
        };
        StateOut {
            state: change.name(),
            before: side(&change.before),
            after: side(&change.after),
            change: change.delta(),
            margin: change.margin(),
            resolvable: change.is_resolvable(),
        }
    }
}

#[derive(Serialize)]
struct QueueOut {
    queue: &'static str,
    quantile: &'static str,
    before: Option<BoundOut>,
    after: Option<BoundOut>,
    change: &'static str,
}

#[derive(Serialize)]
struct BoundOut {
    low_ns: u64,
    high_ns: Option<u64>,
}

impl QueueOut {
    fn of(change: &QueueChange) -> Self {
        let side = |bound: Bound| BoundOut { low_ns: bound.low_ns, high_ns: bound.high_ns };
        QueueOut {
            queue: change.queue,
            quantile: change.quantile,
            before: change.before.map(side),
            after: change.after.map(side),
            change: change.verdict.as_str(),
        }
    }
}

/// Times are for each second of the window.
#[derive(Serialize)]
struct Rates {
    before: AmountOut,
    after: AmountOut,
    change_per_second_ns: i64,
    margin_per_second_ns: u64,
    resolvable: bool,
}

#[derive(Serialize)]
struct AmountOut {
    ns: u64,
    count: u64,
    per_second_ns: u64,
}

impl Rates {
    fn of<T>(change: &Change<T>) -> Self {
        let side = |amount: &Amount| AmountOut { ns: amount.ns, count: amount.count, per_second_ns: amount.rate.round() as u64 };
        Rates {
            before: side(&change.before),
            after: side(&change.after),
            change_per_second_ns: change.delta().round() as i64,
            margin_per_second_ns: change.margin().round() as u64,
            resolvable: change.is_resolvable(),
        }
    }
}

#[derive(Serialize)]
struct ReasonOut<'a> {
    class: &'static str,
    reason: &'a str,
    #[serde(flatten)]
    rates: Rates,
}

impl<'a> ReasonOut<'a> {
    fn of(change: &Change<Reason<'a>>) -> Self {
        ReasonOut { class: change.of.class.as_str(), reason: change.of.reason, rates: Rates::of(change) }
    }
}

#[derive(Serialize)]
struct StackOut<'a> {
    class: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(flatten)]
    rates: Rates,
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<&'static str>,
    frames: Vec<FrameOut<'a>>,
}

impl<'a> StackOut<'a> {
    fn of(change: &Change<Place<'a>>) -> Self {
        let Place { class, reason, stack } = change.of;
        StackOut {
            class: class.as_str(),
            reason,
            rates: Rates::of(change),
            cut: stack.cut.map(|cut| cut.as_str()),
            frames: frames_of(stack),
        }
    }
}

/// The quantiles are of single waits.
#[derive(Serialize)]
struct LatencyOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<&'a str>,
    #[serde(flatten)]
    rates: Rates,
    waits_before: Option<WaitsOut>,
    waits_after: Option<WaitsOut>,
}

impl<'a> LatencyOut<'a> {
    fn of(change: &Change<Latency<'a>>) -> Self {
        let Latency { creator, before, after } = change.of;
        LatencyOut {
            created_by: creator,
            rates: Rates::of(change),
            waits_before: before.as_ref().map(WaitsOut::of),
            waits_after: after.as_ref().map(WaitsOut::of),
        }
    }
}

#[derive(Serialize)]
struct BlockedOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(flatten)]
    rates: Rates,
}

impl<'a> BlockedOut<'a> {
    fn of(change: &Change<Option<&'a str>>) -> Self {
        BlockedOut { reason: change.of, rates: Rates::of(change) }
    }
}
