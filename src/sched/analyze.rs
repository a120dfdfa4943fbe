//! From a window to the account of goroutine time that its tables and documents show.

pub mod diff;
pub mod wakes;

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::model::{Class, Label, Row, Source, Tier, Window};
use crate::target::frames;

/// Goroutine-nanoseconds by what was done in them; the parts sum to `total_ns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    pub total_ns: u64,
    pub on_cpu_ns: u64,
    pub runnable_ns: u64,
    pub no_cpu_ns: u64,
    pub waiting_ns: u64,
    pub syscall_ns: u64,
    pub gc_assist_ns: u64,
    /// Goroutines were alive, and nothing saw what they did.
    pub unobserved_ns: u64,
    /// On a CPU without a goroutine; not part of the total.
    pub scheduler_ns: u64,
}

impl Account {
    pub fn of(window: &Window) -> Account {
        let sum = |class| window.rows.iter().filter(|row| row.class == class).map(Row::ns).sum::<u64>();
        let mut account = Account {
            on_cpu_ns: sum(Class::OnCpu),
            runnable_ns: sum(Class::Runnable),
            no_cpu_ns: sum(Class::NoCpu),
            waiting_ns: sum(Class::Waiting),
            syscall_ns: sum(Class::Syscall),
            gc_assist_ns: sum(Class::GcAssist),
            scheduler_ns: sum(Class::Scheduler),
            ..Account::default()
        };
        let observed = account.parts().iter().map(|(_, ns)| ns).sum::<u64>();
        account.unobserved_ns = window.alive_ns.saturating_sub(observed);
        account.total_ns = observed + account.unobserved_ns;
        account
    }

    /// In the order they are shown.
    pub fn parts(&self) -> [(&'static str, u64); 7] {
        [
            ("on CPU", self.on_cpu_ns),
            ("runnable, no P", self.runnable_ns),
            ("P but no CPU", self.no_cpu_ns),
            ("syscall or C", self.syscall_ns),
            ("GC assist", self.gc_assist_ns),
            ("waiting", self.waiting_ns),
            ("not observed", self.unobserved_ns),
        ]
    }
}

/// Whether a window can tell of a class: context switches tell who had no CPU, and probes what is the scheduler's own.
pub fn measures(window: &Window, class: Class) -> bool {
    let stacks_of_switches = window.cost.plan.as_ref().is_none_or(|plan| plan.switch_stacks);
    let looked = match class {
        Class::NoCpu => window.tier > Tier::Counters && stacks_of_switches,
        Class::Scheduler => window.tier > Tier::Counters,
        _ => true,
    };
    looked || window.rows.iter().any(|row| row.class == class && row.ns() > 0)
}

/// How often something was seen that a class's time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observations {
    pub class: Class,
    pub source: Source,
    /// A walk that meets something in one place counts once, however many goroutines do it there.
    pub count: u64,
}

/// By class, and for each by source.
pub fn observations(window: &Window) -> Vec<Observations> {
    let mut counts: BTreeMap<(Class, Source), u64> = BTreeMap::new();
    for row in window.rows.iter().filter(|row| row.count > 0) {
        *counts.entry((row.class, row.source)).or_default() += row.count;
    }
    counts.into_iter().map(|((class, source), count)| Observations { class, source, count }).collect()
}

/// Time of one class by reason, most first; reasons that have none of their own are `-`.
pub fn by_reason(window: &Window, class: Class) -> Vec<(String, u64)> {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for row in window.rows.iter().filter(|row| row.class == class) {
        *sums.entry(row.reason.as_deref().unwrap_or("-")).or_default() += row.ns();
    }
    let mut sums: Vec<(String, u64)> = sums.into_iter().map(|(reason, ns)| (reason.to_owned(), ns)).collect();
    sums.sort_by_key(|(_, ns)| std::cmp::Reverse(*ns));
    sums
}

/// Rows of one class that read the same: the same functions, whatever the lines, for the same reason and with the same labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Group<'a> {
    /// The one with most time.
    pub row: &'a Row,
    pub ns: u64,
    pub count: u64,
}

/// Functions, reason, labels.
type Shape<'a> = (Vec<&'a str>, Option<&'a str>, &'a [Label]);

/// Most time first.
pub fn grouped(window: &Window, class: Class) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut known: FxHashMap<Shape<'_>, usize> = FxHashMap::default();
    // Rows are sorted by time, so the first one of a group has most.
    for row in window.rows.iter().filter(|row| row.class == class && row.ns() > 0) {
        let stack = window.stacks.get(row.stack as usize);
        let functions = stack.map(|stack| frames::shown(stack, false).map(|frame| &*frame.function).collect()).unwrap_or_default();
        let index = *known.entry((functions, row.reason.as_deref(), &row.labels)).or_insert(groups.len());
        match groups.get_mut(index) {
            Some(group) => (group.ns, group.count) = (group.ns + row.ns(), group.count + row.count),
            None => groups.push(Group { row, ns: row.ns(), count: row.count }),
        }
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.ns));
    groups
}

/// Waiting time of the program's goroutines, and how much the runtime's own have, which wait for work nearly always; theirs alone where there
/// is nothing else.
///
/// Locks come first, then channels and what is built of them, then the network, timers and the rest; within each, most time first. What has
/// less than a hundredth of all comes last.
pub fn waiting(window: &Window) -> (Vec<Group<'_>>, u64) {
    let (system, mut groups): (Vec<_>, Vec<_>) = grouped(window, Class::Waiting).into_iter().partition(|group| is_system(group.row));
    if groups.is_empty() {
        return (system, 0);
    }
    let all: u64 = groups.iter().map(|group| group.ns).sum();
    groups.sort_by_key(|group| {
        let rank = if group.ns < all / 100 { 3 } else { wait_rank(group.row.reason.as_deref().unwrap_or_default()) };
        (rank, std::cmp::Reverse(group.ns))
    });
    (groups, system.iter().map(|group| group.ns).sum())
}

/// Goroutines of the runtime by their first function (runtime/traceback.go: isSystemGoroutine).
fn is_system(row: &Row) -> bool {
    let start = row.start.as_deref().unwrap_or_default();
    start.starts_with("runtime.") && !matches!(start, "runtime.main" | "runtime.handleAsyncEvent" | "runtime.corostart")
}

/// Wait reasons of runtime/runtime2.go. What waits on a nil channel or in an empty select waits for ever.
fn wait_rank(reason: &str) -> u8 {
    match reason {
        "semacquire" | "sync.Mutex.Lock" | "sync.RWMutex.Lock" | "sync.RWMutex.RLock" => 0,
        "chan receive" | "chan send" | "select" | "sync.Cond.Wait" | "sync.WaitGroup.Wait" => 1,
        _ => 2,
    }
}

/// What a profile's rows are put together by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    Function,
    /// The goroutines' first function.
    Kind,
    /// The function with the `go` statement.
    Creator,
    /// The value of a pprof label.
    Label(String),
}

/// Most time first. But for functions, there is no time of callees: both are the same.
pub fn shares(window: &Window, rows: &[&Row], by: &By, hide_runtime: bool) -> Vec<Share> {
    let value = |row: &Row| -> Arc<str> {
        let found = match by {
            By::Function => None,
            By::Kind => row.start.clone(),
            By::Creator => row.creator.clone(),
            By::Label(key) => row.labels.iter().find(|(known, _)| **known == **key).map(|(_, value)| value.clone()),
        };
        found.unwrap_or_else(|| Arc::from("-"))
    };
    if *by == By::Function {
        return by_function(window, rows, hide_runtime);
    }
    let mut sums: BTreeMap<Arc<str>, u64> = BTreeMap::new();
    for row in rows {
        *sums.entry(value(row)).or_default() += row.ns();
    }
    let share = |(name, ns): (Arc<str>, u64)| Share { name, flat_ns: ns, cumulative_ns: ns };
    let mut shares: Vec<Share> = sums.into_iter().map(share).collect();
    shares.sort_by_key(|share| std::cmp::Reverse(share.flat_ns));
    shares
}

/// One function's part of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    pub name: Arc<str>,
    /// Where it was the innermost.
    pub flat_ns: u64,
    /// Where it was anywhere on the stack; recursion counts once.
    pub cumulative_ns: u64,
}

/// Most flat time first.
pub fn by_function(window: &Window, rows: &[&Row], hide_runtime: bool) -> Vec<Share> {
    let mut sums: FxHashMap<&Arc<str>, (u64, u64)> = FxHashMap::default();
    let mut seen: FxHashSet<&str> = FxHashSet::default();
    for row in rows {
        let Some(stack) = window.stacks.get(row.stack as usize) else { continue };
        seen.clear();
        for (depth, frame) in frames::own(stack, hide_runtime).enumerate() {
            let sum = sums.entry(&frame.function).or_default();
            if depth == 0 {
                sum.0 += row.ns();
            }
            if seen.insert(&frame.function) {
                sum.1 += row.ns();
            }
        }
    }
    let share = |(name, (flat_ns, cumulative_ns)): (&Arc<str>, (u64, u64))| Share { name: name.clone(), flat_ns, cumulative_ns };
    let mut shares: Vec<Share> = sums.into_iter().map(share).collect();
    shares.sort_by(|a, b| (b.flat_ns, b.cumulative_ns, &a.name).cmp(&(a.flat_ns, a.cumulative_ns, &b.name)));
    shares
}
