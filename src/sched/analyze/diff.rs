//! What changed between two windows, and whether they saw enough to say so.
//!
//! Everything in a window is a number of observations: samples, walks, context switches. A sum of n of them is known to one part in sqrt(n)
//! at best, so a difference counts only beyond 1.96 times the error of both sides together (95 %). A walk sees all goroutines at one
//! moment: there, what counts is how many walks met something, not how many goroutines they met.

use std::time::Duration;

use rustc_hash::FxHashMap;

use super::Account;
use crate::sched::model::{Bound, Class, Row, Source, Stack, Waits, Window};
use crate::target::frames;

/// Of a normal distribution: 95 % lie within.
const Z: f64 = 1.96;
/// Waits that must lie beyond a quantile before it says anything.
const BEYOND: f64 = 10.0;

#[derive(Debug, Clone)]
pub struct Diff<'a> {
    pub before: &'a Window,
    pub after: &'a Window,
    /// `None` when the clock went back.
    pub interval: Option<Duration>,
    pub same_process: bool,
    pub states: Vec<StateChange>,
    /// Biggest change first.
    pub reasons: Vec<Change<Reason<'a>>>,
    pub queues: Vec<QueueChange>,
    /// Biggest change first.
    pub stacks: Vec<Change<Place<'a>>>,
    /// What to know before believing the rest.
    pub notes: Vec<String>,
}

/// Goroutine time of something in one window.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Amount {
    pub ns: u64,
    pub count: u64,
    /// Nanoseconds for each second of the window.
    pub rate: f64,
    /// One standard error of `rate`.
    pub error: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Change<T> {
    pub of: T,
    pub before: Amount,
    pub after: Amount,
}

impl<T> Change<T> {
    /// Nanoseconds for each second of the window.
    pub fn delta(&self) -> f64 {
        self.after.rate - self.before.rate
    }

    pub fn margin(&self) -> f64 {
        Z * self.before.error.hypot(self.after.error)
    }

    pub fn is_resolvable(&self) -> bool {
        self.delta().abs() > self.margin()
    }
}

/// One state's part of goroutine time.
#[derive(Debug, Clone, PartialEq)]
pub struct StateChange {
    /// `None`: not observed.
    pub class: Option<Class>,
    pub before: Share,
    pub after: Share,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    pub amount: Amount,
    pub of_all: f64,
    /// Of the time in which something other than waiting was done; `None` for waiting itself.
    pub of_busy: Option<f64>,
    /// One standard error of what is compared.
    error: f64,
}

impl Share {
    /// What is compared: of the time that was not waiting; for waiting, of all time.
    pub fn value(&self) -> f64 {
        self.of_busy.unwrap_or(self.of_all)
    }
}

impl StateChange {
    pub fn name(&self) -> &'static str {
        self.class.map_or("unobserved", Class::as_str)
    }

    pub fn delta(&self) -> f64 {
        self.after.value() - self.before.value()
    }

    pub fn margin(&self) -> f64 {
        Z * self.before.error.hypot(self.after.error)
    }

    pub fn is_resolvable(&self) -> bool {
        self.delta().abs() > self.margin()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reason<'a> {
    pub class: Class,
    pub reason: &'a str,
}

/// A state, why, and the functions on the stack, whatever the lines and labels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place<'a> {
    pub class: Class,
    pub reason: Option<&'a str>,
    pub stack: &'a Stack,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueChange {
    /// `run_queue` or `cpu_queue`.
    pub queue: &'static str,
    /// `p50`, `p90`, `p99`, `max`.
    pub quantile: &'static str,
    pub before: Option<Bound>,
    pub after: Option<Bound>,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Longer,
    Shorter,
    NotResolvable,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Longer => "longer",
            Verdict::Shorter => "shorter",
            Verdict::NotResolvable => "not_resolvable",
        }
    }
}

/// The states of goroutines, in the order they are shown; `None` is what nothing saw.
const STATES: [Option<Class>; 7] = [
    Some(Class::OnCpu),
    Some(Class::Runnable),
    Some(Class::NoCpu),
    Some(Class::Syscall),
    Some(Class::GcAssist),
    None,
    Some(Class::Waiting),
];

pub fn diff<'a>(before: &'a Window, after: &'a Window) -> Diff<'a> {
    let (a, b) = (&before.target, &after.target);
    Diff {
        before,
        after,
        interval: after.captured_at.duration_since(before.captured_at).ok(),
        same_process: a.start_ticks != 0 && (a.pid, a.start_ticks) == (b.pid, b.start_ticks),
        states: states(before, after),
        reasons: reasons(before, after),
        queues: queues(before, after),
        stacks: stacks(before, after),
        notes: notes(before, after),
    }
}

/// Sums by source, for they differ in how sure they are.
#[derive(Debug, Clone, Copy, Default)]
struct Sums([(u64, u64); 4]);

impl Sums {
    fn add(&mut self, row: &Row) {
        let (ns, count) = &mut self.0[row.source as usize];
        (*ns, *count) = (*ns + row.ns(), *count + row.count);
    }

    fn amount(&self, window: &Window) -> Amount {
        let variance = |&(ns, count): &(u64, u64), walked: bool| {
            let seen = if walked { count.min(window.quality.walks) } else { count };
            (ns as f64).powi(2) / seen.max(1) as f64
        };
        let walk = Source::Walk as usize;
        let variance: f64 = self.0.iter().enumerate().map(|(source, sum)| variance(sum, source == walk)).sum();
        let (ns, count) = self.0.iter().fold((0, 0), |(ns, count), sum| (ns + sum.0, count + sum.1));
        amount(ns, count, variance, window)
    }
}

fn amount(ns: u64, count: u64, variance: f64, window: &Window) -> Amount {
    let seconds = Duration::from_nanos(window.length_ns.max(1)).as_secs_f64();
    Amount { ns, count, rate: ns as f64 / seconds, error: variance.sqrt() / seconds }
}

fn states(before: &Window, after: &Window) -> Vec<StateChange> {
    let shares = shares(before).into_iter().zip(shares(after));
    STATES.into_iter().zip(shares).map(|(class, (before, after))| StateChange { class, before, after }).collect()
}

fn shares(window: &Window) -> [Share; 7] {
    let account = Account::of(window);
    let amounts = STATES.map(|class| match class {
        Some(class) => {
            let mut sums = Sums::default();
            window.rows.iter().filter(|row| row.class == class).for_each(|row| sums.add(row));
            sums.amount(window)
        }
        None => {
            let walks = window.quality.walks.max(1);
            amount(account.unobserved_ns, walks, (account.unobserved_ns as f64).powi(2) / walks as f64, window)
        }
    });
    let all: f64 = amounts.iter().map(|amount| amount.rate).sum();
    let waiting = amounts[amounts.len() - 1].rate;
    let errors: f64 = amounts.iter().map(|amount| amount.error.powi(2)).sum();
    let mut number = 0;
    amounts.map(|amount| {
        let waits = STATES[number] == Some(Class::Waiting);
        number += 1;
        let (whole, of_whole) = if waits { (all, errors) } else { (all - waiting, errors - amounts[amounts.len() - 1].error.powi(2)) };
        let share = |whole: f64| if whole > 0.0 { amount.rate / whole } else { 0.0 };
        let (of_all, value) = (share(all), share(whole));
        // Of a quotient x / (x + y), whose parts err on their own.
        let others = (of_whole - amount.error.powi(2)).max(0.0);
        let variance = (1.0 - value).powi(2) * amount.error.powi(2) + value.powi(2) * others;
        let error = if whole > 0.0 { variance.sqrt() / whole } else { 0.0 };
        Share { amount, of_all, of_busy: (!waits).then_some(value), error }
    })
}

fn reasons<'a>(before: &'a Window, after: &'a Window) -> Vec<Change<Reason<'a>>> {
    fn sums(window: &Window) -> FxHashMap<Reason<'_>, Sums> {
        let mut sums: FxHashMap<Reason<'_>, Sums> = FxHashMap::default();
        for row in &window.rows {
            if let Some(reason) = row.reason.as_deref().filter(|reason| !reason.is_empty()) {
                sums.entry(Reason { class: row.class, reason }).or_default().add(row);
            }
        }
        sums
    }
    let (first, mut second) = (sums(before), sums(after));
    let change = |of, before: Sums, after_sums: Sums, a: &Window, b: &Window| Change {
        of,
        before: before.amount(a),
        after: after_sums.amount(b),
    };
    let mut changes: Vec<Change<Reason<'a>>> = first
        .into_iter()
        .map(|(of, sums)| change(of, sums, second.remove(&of).unwrap_or_default(), before, after))
        .collect();
    changes.extend(second.into_iter().map(|(of, sums)| change(of, Sums::default(), sums, before, after)));
    changes.sort_by(|a, b| b.delta().abs().total_cmp(&a.delta().abs()).then_with(|| (a.of.class, a.of.reason).cmp(&(b.of.class, b.of.reason))));
    changes
}

type Shape<'a> = (Class, Option<&'a str>, Vec<&'a str>);

fn stacks<'a>(before: &'a Window, after: &'a Window) -> Vec<Change<Place<'a>>> {
    let (first, mut second) = (shapes(before), shapes(after));
    let mut changes: Vec<(Shape<'a>, Change<Place<'a>>)> = Vec::with_capacity(first.len());
    for (shape, (stack, sums)) in first {
        let other = second.remove(&shape);
        // The later one, for its lines are those of today.
        let stack = other.map_or(stack, |(stack, _)| stack);
        let of = Place { class: shape.0, reason: shape.1, stack };
        let (before, after) = (sums.amount(before), other.map(|(_, sums)| sums).unwrap_or_default().amount(after));
        changes.push((shape, Change { of, before, after }));
    }
    for (shape, (stack, sums)) in second {
        let of = Place { class: shape.0, reason: shape.1, stack };
        changes.push((shape, Change { of, before: Sums::default().amount(before), after: sums.amount(after) }));
    }
    changes.sort_by(|(a_shape, a), (b_shape, b)| b.delta().abs().total_cmp(&a.delta().abs()).then_with(|| a_shape.cmp(b_shape)));
    changes.into_iter().map(|(_, change)| change).collect()
}

fn shapes(window: &Window) -> FxHashMap<Shape<'_>, (&Stack, Sums)> {
    let mut shapes: FxHashMap<Shape<'_>, (&Stack, Sums)> = FxHashMap::default();
    for row in window.rows.iter().filter(|row| row.ns() > 0) {
        let Some(stack) = window.stacks.get(row.stack as usize) else { continue };
        let functions = frames::shown(stack, false).map(|frame| &*frame.function).collect();
        let reason = row.reason.as_deref().filter(|reason| !reason.is_empty());
        shapes.entry((row.class, reason, functions)).or_insert((stack, Sums::default())).1.add(row);
    }
    shapes
}

fn queues(before: &Window, after: &Window) -> Vec<QueueChange> {
    let pairs = [("run_queue", before.run_queue, after.run_queue), ("cpu_queue", before.cpu_queue, after.cpu_queue)];
    let mut changes = Vec::new();
    for (queue, before, after) in pairs.into_iter().filter(|(_, before, after)| before.is_some() || after.is_some()) {
        let bounds: [(&'static str, Option<f64>, fn(&Waits) -> Bound); 4] = [
            ("p50", Some(0.5), |waits| waits.p50),
            ("p90", Some(0.9), |waits| waits.p90),
            ("p99", Some(0.99), |waits| waits.p99),
            // One event: it says nothing of the next window.
            ("max", None, |waits| waits.max),
        ];
        for (quantile, q, bound) in bounds {
            let verdict = before.zip(after).zip(q).map_or(Verdict::NotResolvable, |((before, after), q)| {
                let enough = |waits: &Waits| waits.count as f64 * (1.0 - q) >= BEYOND;
                if enough(&before) && enough(&after) { compare(bound(&before), bound(&after)) } else { Verdict::NotResolvable }
            });
            changes.push(QueueChange {
                queue,
                quantile,
                before: before.as_ref().map(bound),
                after: after.as_ref().map(bound),
                verdict,
            });
        }
    }
    changes
}

/// Quantiles in the same bucket or in neighbours may be as good as equal.
fn compare(before: Bound, after: Bound) -> Verdict {
    if before.high_ns.is_some_and(|high| after.low_ns > high) {
        Verdict::Longer
    } else if after.high_ns.is_some_and(|high| before.low_ns > high) {
        Verdict::Shorter
    } else {
        Verdict::NotResolvable
    }
}

fn notes(before: &Window, after: &Window) -> Vec<String> {
    let mut notes = Vec::new();
    if before.tier != after.tier {
        let (a, b) = (before.tier.number(), after.tier.number());
        notes.push(format!("one was recorded with tier {a}, the other with tier {b}: they see the same things by different means"));
    }
    if before.target.main_module != after.target.main_module {
        notes.push("they are of different programs".to_owned());
    }
    for (when, window) in [("before", before), ("after", after)] {
        let (sent, lost) = (window.quality.sent(), window.quality.lost());
        if lost > 0 {
            notes.push(format!("{lost} of {sent} events were lost {when}: what is missing there may look like a change"));
        }
    }
    notes
}

/// A state whose share may not grow by more than so much (0.05: five points).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    pub class: Class,
    pub growth: f64,
}

/// Limits that were passed, with what passed them; beyond noise or not.
pub fn passed<'d>(diff: &'d Diff<'_>, limits: &[Limit]) -> Vec<(Limit, &'d StateChange)> {
    let change = |limit: &Limit| diff.states.iter().find(|change| change.class == Some(limit.class)).map(|change| (*limit, change));
    limits.iter().filter_map(change).filter(|(limit, change)| change.delta() > limit.growth).collect()
}
