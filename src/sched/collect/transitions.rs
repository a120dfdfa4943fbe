//! What each transition of a goroutine tells: how long it was runnable, what it was blocked on, who woke it, and what that one had
//! been waiting for before.

use std::ops::Range;

use hdrhistogram::Histogram;
use rustc_hash::FxHashMap;

use super::parts::{Parts, Sums};
use super::tally::Tally;
use crate::error::{Error, Result};
use crate::probes::sites::Site;
use crate::probes::wire::Transition;
use crate::sched::model::{Blocked, Bound, Hop, RunLatency, Transitions, Waits, WakePath, Waker};
use crate::target::pclntab::FuncId;
use crate::target::runtime::GoProcess;
use crate::target::stack::{Cut, Frame};
use crate::target::unwind::{Pc, lookup};

/// Hops of a wake chain.
const HOPS: usize = 4;
/// Goroutines whose last wake-up is remembered; they end unseen.
const REMEMBERED: usize = 100_000;

pub struct Follower {
    runnable: FxHashMap<u64, u64>,
    parked: FxHashMap<u64, Parked>,
    woken: FxHashMap<u64, Woken>,
    /// What new histograms are copied from.
    empty: Histogram<u64>,
    all: Histogram<u64>,
    by_creator: FxHashMap<u64, Histogram<u64>>,
    blocked: FxHashMap<(u32, u32, u64), (u64, u64)>,
    paths: FxHashMap<RawPath, (u64, u64)>,
    /// Put on a P without having been seen to become runnable.
    unpaired: u64,
    /// When the window begins, and its parts.
    begin_ns: u64,
    parts: Parts,
    exact: Exact,
    /// Events were lost.
    gaps: bool,
    /// Functions that make goroutines ready because their time has come (`runtime/time.go`), as live addresses.
    timers: Vec<Range<u64>>,
}

/// Time that goroutines were runnable, in the whole window and in its parts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Exact {
    pub ns: u64,
    pub in_parts: Sums,
}

#[derive(Debug, Clone, Copy)]
struct Parked {
    since_ns: u64,
    reason: u32,
    stack: u32,
}

#[derive(Debug, Clone, Copy)]
struct Woken {
    at_ns: u64,
    path: RawPath,
}

/// Hops from the one that waited on; the rest is `None`.
type RawPath = [Option<RawHop>; HOPS];

/// A wait, by the waiter's stack and reason, and who ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct RawHop {
    stack: u32,
    reason: u32,
    by: RawWaker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum RawWaker {
    Goroutine(u32),
    Network,
    Timer,
    Scheduler,
}

impl Follower {
    pub fn new(process: &GoProcess) -> Result<Follower> {
        // Two digits that count.
        let empty = Histogram::new(2).map_err(|e| Error::io("cannot make a histogram").because(e))?;
        let names = ["runtime.goroutineReady", "runtime.(*timer).unlockAndRun", "runtime.runOneTimer", "runtime.(*timers).run"];
        let found = process.module.pclntab.find_names(&names);
        Ok(Follower {
            runnable: FxHashMap::default(),
            parked: FxHashMap::default(),
            woken: FxHashMap::default(),
            all: empty.clone(),
            empty,
            by_creator: FxHashMap::default(),
            blocked: FxHashMap::default(),
            paths: FxHashMap::default(),
            unpaired: 0,
            begin_ns: 0,
            parts: Parts::default(),
            exact: Exact::default(),
            gaps: false,
            timers: found.into_iter().flatten().map(|func| process.module.live(process.bias, &func)).collect(),
        })
    }

    pub fn starts_at(&mut self, begin_ns: u64, parts: Parts) {
        (self.begin_ns, self.parts) = (begin_ns, parts);
    }

    /// All runnable time of the window, up to its end; `None` where events were lost.
    pub fn runnable(&mut self, end_ns: u64) -> Option<Exact> {
        let open: Vec<u64> = self.runnable.values().copied().collect();
        open.into_iter().for_each(|since_ns| self.was_runnable(since_ns, end_ns));
        (!self.gaps).then_some(self.exact)
    }

    fn was_runnable(&mut self, since_ns: u64, until_ns: u64) {
        let since_ns = since_ns.max(self.begin_ns);
        let ns = until_ns.saturating_sub(since_ns);
        self.exact.ns += ns;
        self.parts.add(&mut self.exact.in_parts, ns, since_ns..until_ns);
    }

    /// `stack` is the number of the event's stack `pcs` in the tally.
    pub fn on(&mut self, event: &Transition, stack: Option<u32>, pcs: &[u64]) {
        let now = event.head.time_ns;
        match event.site {
            Site::Gopark => {
                let parked = Parked { since_ns: now, reason: event.reason, stack: stack.unwrap_or(0) };
                self.parked.insert(event.goid, parked);
            }
            Site::Runqput => {
                self.runnable.entry(event.goid).or_insert(now);
                if self.parked.contains_key(&event.goid) {
                    let by = self.waker(event, stack, pcs);
                    self.wake(event.goid, now, by, event.by_goid);
                }
            }
            Site::Netpollready => {
                self.runnable.entry(event.goid).or_insert(now);
                self.wake(event.goid, now, RawWaker::Network, 0);
            }
            Site::Gosched => {
                self.runnable.insert(event.goid, now);
            }
            Site::Execute => self.execute(event),
            Site::Godead => {
                self.runnable.remove(&event.goid);
                self.parked.remove(&event.goid);
                self.woken.remove(&event.goid);
            }
            _ => {}
        }
    }

    /// Events were lost: nothing that is under way is known any more.
    pub fn forget(&mut self) {
        self.gaps = true;
        self.runnable.clear();
        self.parked.clear();
        self.woken.clear();
    }

    fn execute(&mut self, event: &Transition) {
        // Parked and put back at once: the condition was met meanwhile (runtime/proc.go: park_m), or woken in a way without a site.
        self.parked.remove(&event.goid);
        let Some(since) = self.runnable.remove(&event.goid) else {
            self.unpaired += 1;
            return;
        };
        let waited = event.head.time_ns.saturating_sub(since);
        self.was_runnable(since, event.head.time_ns);
        let _ = self.all.record(waited.max(1));
        let _ = self.by_creator.entry(event.go_pc).or_insert_with(|| self.empty.clone()).record(waited.max(1));
    }

    fn wake(&mut self, goid: u64, now: u64, by: RawWaker, by_goid: u64) {
        let Some(parked) = self.parked.remove(&goid) else { return };
        let ns = now.saturating_sub(parked.since_ns);
        let sum = self.blocked.entry((parked.stack, parked.reason, 0)).or_default();
        *sum = (sum.0 + 1, sum.1 + ns);
        let mut path = [None; HOPS];
        path[0] = Some(RawHop { stack: parked.stack, reason: parked.reason, by });
        // What the waker itself waited for while this one did.
        if let Some(before) = self.woken.get(&by_goid).filter(|woken| by_goid != 0 && woken.at_ns >= parked.since_ns) {
            path[1..].copy_from_slice(&before.path[..HOPS - 1]);
        }
        let sum = self.paths.entry(path).or_default();
        *sum = (sum.0 + 1, sum.1 + ns);
        if self.woken.len() >= REMEMBERED {
            self.woken.retain(|_, woken| woken.at_ns + 1_000_000_000 > now);
        }
        if self.woken.len() < REMEMBERED {
            self.woken.insert(goid, Woken { at_ns: now, path });
        }
    }

    fn waker(&self, event: &Transition, stack: Option<u32>, pcs: &[u64]) -> RawWaker {
        if event.by_goid != 0 {
            return RawWaker::Goroutine(stack.unwrap_or(0));
        }
        let is_timer = pcs.iter().any(|&pc| self.timers.iter().any(|range| range.contains(&pc)));
        if is_timer { RawWaker::Timer } else { RawWaker::Scheduler }
    }

    /// Most time first.
    pub fn finish(self, process: &GoProcess, mut creation: impl FnMut(u64) -> Option<Frame>) -> (Transitions, Option<Waits>) {
        let reason = |number: u32| process.runtime.wait_reasons.get(number as usize).filter(|text| !text.is_empty()).cloned();
        let mut run_latency: Vec<RunLatency> = (self.by_creator.iter())
            .filter_map(|(&go_pc, waits)| {
                let frame = creation(go_pc);
                let place = frame.as_ref().filter(|frame| frame.line > 0).map(|frame| (frame.file.clone(), frame.line));
                let creator = frame.map(|frame| frame.function);
                Some(RunLatency { creator, place, total_ns: total(waits), waits: quantiles(waits)? })
            })
            .collect();
        run_latency.sort_by_key(|latency| std::cmp::Reverse(latency.total_ns));
        let blocked =
            |(&(stack, number, _), &(count, ns)): (&(u32, u32, u64), &(u64, u64))| Blocked { reason: reason(number), stack, count, ns };
        let mut blocked: Vec<Blocked> = self.blocked.iter().map(blocked).collect();
        blocked.sort_by_key(|blocked| (std::cmp::Reverse(blocked.ns), blocked.stack));
        let hop = |hop: &RawHop| Hop {
            stack: hop.stack,
            reason: reason(hop.reason),
            by: match hop.by {
                RawWaker::Goroutine(stack) => Waker::Goroutine(stack),
                RawWaker::Network => Waker::Network,
                RawWaker::Timer => Waker::Timer,
                RawWaker::Scheduler => Waker::Scheduler,
            },
        };
        let path = |(hops, &(count, ns)): (&RawPath, &(u64, u64))| WakePath { hops: hops.iter().flatten().map(hop).collect(), count, ns };
        let mut wakes: Vec<WakePath> = self.paths.iter().map(path).collect();
        wakes.sort_by_key(|path| (std::cmp::Reverse(path.ns), path.hops.first().map(|hop| hop.stack)));
        (Transitions { run_latency, blocked, wakes, unpaired: self.unpaired, runnable_ns: None }, quantiles(&self.all))
    }
}

fn total(waits: &Histogram<u64>) -> u64 {
    waits.iter_recorded().map(|value| value.value_iterated_to().saturating_mul(value.count_at_value())).sum()
}

fn quantiles(waits: &Histogram<u64>) -> Option<Waits> {
    let exact = |ns: u64| Bound { low_ns: waits.lowest_equivalent(ns), high_ns: Some(waits.highest_equivalent(ns)) };
    (!waits.is_empty()).then(|| Waits {
        count: waits.len(),
        p50: exact(waits.value_at_quantile(0.5)),
        p90: exact(waits.value_at_quantile(0.9)),
        p99: exact(waits.value_at_quantile(0.99)),
        max: exact(waits.max()),
        source: "uprobes",
    })
}

/// What each of the stream's stacks is in the tally.
#[derive(Default)]
pub struct Numbers(Vec<Option<u32>>);

impl Numbers {
    /// `None` for an event that came without a stack.
    pub fn number(&mut self, process: &GoProcess, tally: &mut Tally, event: &Transition, addresses: &[u64]) -> Option<u32> {
        let raw = event.stack as usize;
        if let Some(Some(known)) = self.0.get(raw) {
            return Some(*known);
        }
        (!addresses.is_empty()).then(|| {
            let (pcs, cut) = match event.site {
                Site::Gcstopm if !in_prologue(process, addresses) => {
                    stack(process, &[&addresses[..1], addresses.get(2..).unwrap_or_default()].concat())
                }
                _ => stack(process, addresses),
            };
            let number = tally.stack(Vec::new(), pcs, cut);
            self.0.resize(self.0.len().max(raw + 1), None);
            self.0[raw] = Some(number);
            number
        })
    }
}

/// The innermost function has not set up its frame yet.
fn in_prologue(process: &GoProcess, pcs: &[u64]) -> bool {
    let innermost = pcs.first().and_then(|&pc| lookup(&process.module, process.bias, pc));
    innermost.and_then(|(func, offset)| process.module.pclntab.sp_delta(&func, offset)) == Some(0)
}

/// The site itself, then return addresses, up to the first one that is not Go's.
fn stack(process: &GoProcess, addresses: &[u64]) -> (Vec<Pc>, Option<Cut>) {
    let mut pcs = Vec::with_capacity(addresses.len());
    let mut top = false;
    for &address in addresses {
        let Some((func, _)) = lookup(&process.module, process.bias, address) else { return (pcs, Some(Cut::UnknownPc)) };
        pcs.push(if pcs.is_empty() { Pc::exact(address) } else { Pc::returning(address) });
        top = func.is_top_frame() || matches!(func.id, FuncId::Goexit | FuncId::Mstart | FuncId::Mcall);
        if top {
            break;
        }
    }
    let full = addresses.len() == crate::probes::wire::SITE_FRAMES;
    (pcs, (!top).then_some(if full { Cut::Depth } else { Cut::Corrupt }))
}
