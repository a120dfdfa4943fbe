//! What changed between two windows, and whether they saw enough to say so.
//!
//! Everything in a window is a number of observations: samples, walks, context switches. A sum of n of them is known to one part in sqrt(n)
//! at best, one observation more or less, and a difference counts only beyond the errors of both sides together. A walk sees all goroutines
//! at one moment: there, what counts is how many walks met something, not how many goroutines they met.
//!
//! Observations come together, though: in bursts of requests, or where many meet one lock. So a window is kept in parts as well, and what the
//! parts differ by is the error of a state's share (batch means, with Student's t), never less than what so many observations make. Of stacks
//! and reasons no parts are kept: their errors are as many times wider as that of their class is. A load that swings
//! more slowly than a part lasts (a twentieth of the window) is taken for one that changed.
//!
//! Of hundreds of stacks some always differ by chance. So the margin is as many standard errors as it takes for all differences of a kind
//! together to be right with 95 % (Bonferroni): 2.7 for seven states, 3.9 for five hundred stacks.

mod margins;
mod queues;
mod transitions;

use std::time::Duration;

use rustc_hash::FxHashMap;

pub use margins::CONFIDENCE;
pub use queues::{QueueChange, Verdict};
pub use transitions::Latency;

use super::Account;
use crate::sched::model::{Class, Row, Source, Stack, Window};
use crate::target::frames;
use margins::{Between, Errors, dispersions, of_shares, standard_errors};

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
    /// Time before a goroutine got a P, by who created it; only where both windows followed each transition. Biggest change first.
    pub run_latency: Vec<Change<Latency<'a>>>,
    /// Time of the waits that ended, by the runtime's wait reason; the same.
    pub blocked: Vec<Change<Option<&'a str>>>,
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
    error: f64,
    /// What a single observation stands for, as `rate`.
    one: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Change<T> {
    pub of: T,
    pub before: Amount,
    pub after: Amount,
    /// Standard errors in a margin.
    z: f64,
}

impl<T> Change<T> {
    /// Nanoseconds for each second of the window.
    pub fn delta(&self) -> f64 {
        self.after.rate - self.before.rate
    }

    pub fn margin(&self) -> f64 {
        let (before, after) = (&self.before, &self.after);
        // Not having met something is known to one observation too.
        let first = if before.count == 0 { after.one } else { before.error };
        let second = if after.count == 0 { before.one } else { after.error };
        self.z * first.hypot(second)
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
    z: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    pub amount: Amount,
    pub of_all: f64,
    /// Of the time in which something other than waiting was done; `None` for waiting itself.
    pub of_busy: Option<f64>,
    /// One standard error of what is compared, and what a single observation is of it.
    error: f64,
    one: f64,
    /// The error by what the window's parts differ by; `None` where they are not known.
    between: Option<Between>,
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
        let (before, after) = (&self.before, &self.after);
        let first = if before.amount.count == 0 { after.one } else { before.error };
        let second = if after.amount.count == 0 { before.one } else { after.error };
        Errors { independent: [first, second], between: [before.between, after.between], z: self.z }.margin()
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
        queues: queues::queues(before, after),
        stacks: stacks(before, after),
        run_latency: transitions::run_latency(before, after),
        blocked: transitions::blocked(before, after),
        notes: notes(before, after),
    }
}

/// Sums by source, for they differ in how sure they are.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    by_source: [Sum; 4],
    /// Threads that were away for the whole window, but for a hundredth at most: no matter of chance.
    always: Sum,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    ns: u64,
    count: u64,
}

impl Sums {
    fn add(&mut self, row: &Row, window: &Window) {
        let whole = row.count.saturating_mul(window.length_ns / 100 * 99);
        let is_always = row.source == Source::Switch && row.count > 0 && row.ns() >= whole;
        let sum = if is_always { &mut self.always } else { &mut self.by_source[row.source as usize] };
        (sum.ns, sum.count) = (sum.ns + row.ns(), sum.count + row.count);
    }

    fn amount(&self, window: &Window) -> Amount {
        let (mut total, mut variance, mut seen) = (Sum::default(), 0.0, 0);
        for (source, sum) in self.by_source.iter().enumerate() {
            let of_source = if source == Source::Walk as usize { sum.count.min(window.quality.walks.max(1)) } else { sum.count };
            let one = sum.ns as f64 / of_source.max(1) as f64;
            variance += one.powi(2) * (of_source + 1) as f64;
            seen += of_source;
            (total.ns, total.count) = (total.ns + sum.ns, total.count + sum.count);
        }
        let by_chance = amount(total, variance, seen, window);
        let Sum { ns, count } = self.always;
        let variance = variance + (ns as f64 / 100.0).powi(2);
        let all = amount(Sum { ns: total.ns + ns, count: total.count + count }, variance, seen, window);
        Amount { one: by_chance.one, ..all }
    }
}

impl Amount {
    /// Its observations come together, in groups that make its error so many times wider.
    fn wider(self, times: f64) -> Amount {
        Amount { error: self.error * times, one: self.one * times, ..self }
    }
}

/// Of all that was doing the same.
fn class_amount(window: &Window, class: Class) -> Amount {
    let mut sums = Sums::default();
    window.rows.iter().filter(|row| row.class == class).for_each(|row| sums.add(row, window));
    sums.amount(window)
}

fn amount(total: Sum, variance: f64, seen: u64, window: &Window) -> Amount {
    let seconds = Duration::from_nanos(window.length_ns.max(1)).as_secs_f64();
    let rate = total.ns as f64 / seconds;
    Amount { ns: total.ns, count: total.count, rate, error: variance.sqrt() / seconds, one: rate / seen.max(1) as f64 }
}

fn states(before: &Window, after: &Window) -> Vec<StateChange> {
    let shares = shares(before).into_iter().zip(shares(after));
    let z = standard_errors(STATES.len());
    STATES.into_iter().zip(shares).map(|(class, (before, after))| StateChange { class, before, after, z }).collect()
}

fn shares(window: &Window) -> [Share; 7] {
    let account = Account::of(window);
    let amounts = STATES.map(|class| match class {
        Some(class) => class_amount(window, class),
        None => {
            let (ns, count) = (account.unobserved_ns, window.quality.walks.max(1));
            amount(Sum { ns, count }, (ns as f64).powi(2) / count as f64, count, window)
        }
    });
    let all: f64 = amounts.iter().map(|amount| amount.rate).sum();
    let waiting = amounts[amounts.len() - 1].rate;
    let errors: f64 = amounts.iter().map(|amount| amount.error.powi(2)).sum();
    let between = of_shares(window);
    let mut number = 0;
    amounts.map(|amount| {
        let (waits, between) = (STATES[number] == Some(Class::Waiting), between[number]);
        number += 1;
        let (whole, of_whole) = if waits { (all, errors) } else { (all - waiting, errors - amounts[amounts.len() - 1].error.powi(2)) };
        let share = |whole: f64| if whole > 0.0 { amount.rate / whole } else { 0.0 };
        let (of_all, value) = (share(all), share(whole));
        // Of a quotient x / (x + y), whose parts err on their own.
        let others = (of_whole - amount.error.powi(2)).max(0.0);
        let variance = (1.0 - value).powi(2) * amount.error.powi(2) + value.powi(2) * others;
        let error = if whole > 0.0 { variance.sqrt() / whole } else { 0.0 };
        let one = if whole > 0.0 { amount.one / whole } else { 0.0 };
        Share { amount, of_all, of_busy: (!waits).then_some(value), error, one, between }
    })
}

fn reasons<'a>(before: &'a Window, after: &'a Window) -> Vec<Change<Reason<'a>>> {
    fn sums(window: &Window) -> FxHashMap<Reason<'_>, Sums> {
        let mut sums: FxHashMap<Reason<'_>, Sums> = FxHashMap::default();
        for row in &window.rows {
            if let Some(reason) = row.reason.as_deref().filter(|reason| !reason.is_empty()) {
                sums.entry(Reason { class: row.class, reason }).or_default().add(row, window);
            }
        }
        sums
    }
    let (first, mut second) = (sums(before), sums(after));
    let times = [dispersions(before), dispersions(after)];
    let change = |of: Reason<'a>, sums: [Sums; 2]| {
        let [before, after] = amounts(&sums, [before, after], &times, of.class);
        Change { of, before, after, z: 0.0 }
    };
    let mut changes: Vec<Change<Reason<'a>>> =
        first.into_iter().map(|(of, sums)| change(of, [sums, second.remove(&of).unwrap_or_default()])).collect();
    changes.extend(second.into_iter().map(|(of, sums)| change(of, [Sums::default(), sums])));
    by_delta(changes, |of| (of.class, of.reason))
}

/// Of something in one class, on both sides.
fn amounts(sums: &[Sums; 2], windows: [&Window; 2], times: &[[f64; Class::ALL.len()]; 2], class: Class) -> [Amount; 2] {
    [0, 1].map(|side| sums[side].amount(windows[side]).wider(times[side][class as usize]))
}

/// All differences of one kind, with the margin that so many need; biggest first, then by `order`.
fn by_delta<T, K: Ord>(mut changes: Vec<Change<T>>, order: impl Fn(&T) -> K) -> Vec<Change<T>> {
    let z = standard_errors(changes.len());
    changes.iter_mut().for_each(|change| change.z = z);
    changes.sort_by(|a, b| b.delta().abs().total_cmp(&a.delta().abs()).then_with(|| order(&a.of).cmp(&order(&b.of))));
    changes
}

type Shape<'a> = (Class, Option<&'a str>, Vec<&'a str>);

fn stacks<'a>(before: &'a Window, after: &'a Window) -> Vec<Change<Place<'a>>> {
    let (first, mut second) = (shapes(before), shapes(after));
    let times = [dispersions(before), dispersions(after)];
    let change = |shape: Shape<'a>, stack, sums: [Sums; 2]| {
        let of = Place { class: shape.0, reason: shape.1, stack };
        let [before, after] = amounts(&sums, [before, after], &times, of.class);
        (shape, Change { of, before, after, z: 0.0 })
    };
    let mut changes: Vec<(Shape<'a>, Change<Place<'a>>)> = Vec::with_capacity(first.len());
    for (shape, (stack, sums)) in first {
        // The later stack, for its lines are those of today.
        let (stack, other) = second.remove(&shape).unwrap_or((stack, Sums::default()));
        changes.push(change(shape, stack, [sums, other]));
    }
    changes.extend(second.into_iter().map(|(shape, (stack, sums))| change(shape, stack, [Sums::default(), sums])));
    let z = standard_errors(changes.len());
    changes.iter_mut().for_each(|(_, change)| change.z = z);
    changes.sort_by(|(a_shape, a), (b_shape, b)| b.delta().abs().total_cmp(&a.delta().abs()).then_with(|| a_shape.cmp(b_shape)));
    changes.into_iter().map(|(_, change)| change).collect()
}

fn shapes(window: &Window) -> FxHashMap<Shape<'_>, (&Stack, Sums)> {
    let mut shapes: FxHashMap<Shape<'_>, (&Stack, Sums)> = FxHashMap::default();
    for row in window.rows.iter().filter(|row| row.ns() > 0) {
        let Some(stack) = window.stacks.get(row.stack as usize) else { continue };
        let functions = frames::shown(stack, false).map(|frame| &*frame.function).collect();
        let reason = row.reason.as_deref().filter(|reason| !reason.is_empty());
        shapes.entry((row.class, reason, functions)).or_insert((stack, Sums::default())).1.add(row, window);
    }
    shapes
}

fn notes(before: &Window, after: &Window) -> Vec<String> {
    let mut notes = Vec::new();
    if before.tier != after.tier {
        let (a, b) = (before.tier.number(), after.tier.number());
        notes.push(format!("the tiers differ ({a}, {b}): they see the same things by other means"));
    }
    if before.target.main_module != after.target.main_module {
        notes.push("they are of different programs".to_owned());
    }
    for (when, window) in [("before", before), ("after", after)] {
        if !margins::knows_its_parts(window) {
            notes.push(format!(
                "margins take the observations {when} for independent, and may be too small: it is a recording of an older goscope, or its \
                 window was too short (3 s do)"
            ));
        }
        let (sent, lost) = (window.quality.sent(), window.quality.lost());
        if lost > 0 {
            notes.push(format!("{lost} of {sent} events were lost {when}: a gap may look like a change"));
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
