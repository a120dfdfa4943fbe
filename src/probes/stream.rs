//! Events out of the rings, in the order of their times, with an account of what was lost.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::load::Probes;
use super::queue::QueueHistogram;
use super::sites::Site;
use super::wire::{self, Event, SiteStacks};
use crate::sys::memory::monotonic_ns;
use crate::sys::perf::{self, Record};

/// A program that has taken its time may be a while in handing over its record.
const SETTLING_NS: u64 = 2_000_000;

/// The counters of `probes/sched.bpf.c`.
pub(super) mod counter {
    pub const SENT: u32 = 0;
    pub const FAILED: u32 = 1;
    pub const SWITCHES_G: u32 = 2;
    pub const SWITCHES_IDLE: u32 = 3;
    pub const SAMPLES_G: u32 = 4;
    pub const SAMPLES_IDLE: u32 = 5;
    pub const WAKEUPS: u32 = 6;
    pub const NO_ROOM: u32 = 7;
    pub const CPU_QUEUE: u32 = 16;
    pub const SITE_HITS: u32 = CPU_QUEUE + crate::probes::queue::BUCKETS;
}

/// What one CPU's probes sent and what became of it: sent = received + lost + in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loss {
    pub cpu: u32,
    pub sent: u64,
    pub received: u64,
    /// Did not fit into the ring.
    pub lost: u64,
    /// Of another shape than this goscope's probes send.
    pub malformed: u64,
}

impl Loss {
    pub fn in_flight(&self) -> u64 {
        self.sent.saturating_sub(self.received + self.lost + self.malformed)
    }
}

/// Counted in the kernel, whether told or not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counted {
    /// Threads of the target that left a CPU with a goroutine on them, and without.
    pub switches_with_goroutine: u64,
    pub switches_without: u64,
    pub samples_with_goroutine: u64,
    pub samples_without: u64,
    pub wakeups: u64,
    /// Threads that did not fit into the table of those off a CPU.
    pub not_followed: u64,
    /// How long runnable threads waited for a CPU.
    pub cpu_queue: QueueHistogram,
}

pub struct Stream {
    probes: Probes,
    /// In order, up to what the last round could not hand over yet.
    pending: Vec<Event>,
    stacks: SiteStacks,
    received: BTreeMap<u32, (u64, u64)>,
    /// Handed over up to here.
    released_ns: u64,
    /// Events that came too late to be put in order.
    late: u64,
}

impl Stream {
    pub fn new(probes: Probes) -> Stream {
        Stream { probes, pending: Vec::new(), stacks: SiteStacks::default(), received: BTreeMap::new(), released_ns: 0, late: 0 }
    }

    /// Detaches the probes. What they sent is still there to be drained; what they took is not known any more.
    pub fn stop(&mut self) {
        self.probes.stop();
    }

    /// Waits until a ring has much in it, at most so long.
    pub fn wait(&self, timeout: Duration) {
        let fds: Vec<BorrowedFd<'_>> = self.probes.rings.iter().map(|(_, ring)| ring.as_fd()).collect();
        perf::wait(&fds, timeout);
    }

    /// Hands over what is there, ordered by time; the last instants only when `all` is set.
    pub fn drain(&mut self, all: bool, mut each: impl FnMut(Event)) {
        let now = monotonic_ns().max(0) as u64;
        for (cpu, ring) in &mut self.probes.rings {
            let (received, malformed) = self.received.entry(*cpu).or_default();
            ring.drain(|record| {
                // What was lost is counted by the probes, exactly; the ring only tells of it when there is room again.
                let Record::Sample(bytes) = record else { return };
                match wire::parse(bytes, &mut self.stacks) {
                    Some(event) => {
                        *received += 1;
                        self.late += u64::from(event.head().time_ns < self.released_ns);
                        self.pending.push(event);
                    }
                    None => *malformed += 1,
                }
            });
        }
        // Each CPU's events come nearly in order, and so sort in one merge.
        self.pending.sort_by_key(|event| {
            let head = event.head();
            (head.time_ns, head.cpu, head.number)
        });
        let until = if all { u64::MAX } else { now.saturating_sub(SETTLING_NS) };
        let ready = self.pending.partition_point(|event| event.head().time_ns <= until);
        for event in self.pending.drain(..ready) {
            self.released_ns = self.released_ns.max(event.head().time_ns);
            each(event);
        }
    }

    /// Of the transitions handed over.
    pub fn stacks(&self) -> &SiteStacks {
        &self.stacks
    }

    /// Events that were sent so far, and of them those that did not fit.
    pub fn sent_and_lost(&self) -> (u64, u64) {
        let sum = |index| self.probes.counter(index).iter().sum();
        (sum(counter::SENT), sum(counter::FAILED))
    }

    /// How often a site was met, whether told or not.
    pub fn hits(&self, site: Site) -> u64 {
        self.probes.counter(counter::SITE_HITS + site as u32).iter().sum()
    }

    /// What the probes took while the kernel timed them, in nanoseconds; `None` with uprobes, whose traps nobody times.
    pub fn probes_ns(&self) -> Option<u64> {
        let timed = ["on_switch", "on_wakeup", "on_sample"];
        (!self.probes.has_sites()).then(|| timed.iter().map(|program| self.probes.run_stats(program).0).sum())
    }

    pub fn late(&self) -> u64 {
        self.late
    }

    pub fn counted(&self) -> Counted {
        let sum = |index| self.probes.counter(index).iter().sum();
        Counted {
            switches_with_goroutine: sum(counter::SWITCHES_G),
            switches_without: sum(counter::SWITCHES_IDLE),
            samples_with_goroutine: sum(counter::SAMPLES_G),
            samples_without: sum(counter::SAMPLES_IDLE),
            wakeups: sum(counter::WAKEUPS),
            not_followed: sum(counter::NO_ROOM),
            cpu_queue: QueueHistogram::from_counts(|bucket| sum(counter::CPU_QUEUE + bucket)),
        }
    }

    /// One entry a CPU that sent anything.
    pub fn losses(&self) -> Vec<Loss> {
        let (sent, failed) = (self.probes.counter(counter::SENT), self.probes.counter(counter::FAILED));
        let of = |values: &[u64], cpu: u32| values.get(cpu as usize).copied().unwrap_or(0);
        let cpus = 0..sent.len() as u32;
        cpus.filter(|&cpu| of(&sent, cpu) > 0)
            .map(|cpu| {
                let (received, malformed) = self.received.get(&cpu).copied().unwrap_or_default();
                Loss { cpu, sent: of(&sent, cpu), received, lost: of(&failed, cpu), malformed }
            })
            .collect()
    }
}
