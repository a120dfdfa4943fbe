//! Walks over all goroutines at intervals, each goroutine standing for half the time to the walk before and half that to the next.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::notes::{self, Notes};
use super::parts::{PARTS, Parts, Sums};
use super::tally::{Key, Tally};
use crate::error::Result;
use crate::sched::model::{Class, Present, Quality, Source};
use crate::target::goroutines::Status;
use crate::target::runtime::GoProcess;
use crate::target::walk::{Depth, Walked, Walker};

/// Not more often than this, on average.
const SHORTEST: Duration = Duration::from_millis(100);
/// Of one CPU, for walking.
const OWN_SHARE: f64 = 0.04;
/// A walk that takes longer reads no stacks next time.
const LONG: Duration = Duration::from_millis(600);

pub struct Walks<'a> {
    process: &'a GoProcess,
    walker: Walker<'a>,
    /// The tally's numbers of the walker's stacks and label sets.
    stacks: Vec<u32>,
    labels: Vec<u32>,
    reasons: Vec<u32>,
    notes: Notes,
    /// Whether each of the walker's stacks waits on a note; that wait's number as a reason.
    on_note: Vec<bool>,
    note_reason: u32,
    jitter: Jitter,
    /// What the last walk saw: how many of each key, how many in all, when.
    before: Option<Seen>,
    next: Instant,
    depth: Depth,
    without_stacks: u64,
    parts: Parts,
    alive_ns: u64,
    alive_in_parts: Sums,
    quality: Quality,
    /// Of the first walk.
    present: Vec<Present>,
    in_syscalls: Vec<(u64, Key)>,
}

/// What happens every 100 ms must not meet every walk, or none: intervals are drawn at random.
struct Jitter(u64);

impl Jitter {
    fn new() -> Jitter {
        Jitter(RandomState::new().hash_one(0) | 1)
    }

    /// From 0.5 to 1.5, all alike (Marsaglia's xorshift).
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        0.5 + self.0 as f64 / u64::MAX as f64
    }
}

struct Seen {
    keys: FxHashMap<Key, u64>,
    alive: u64,
    at_ns: i64,
}

/// Who tells of goroutines that run and of system calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Nobody else.
    Walks,
    /// Samples of what runs.
    Samples,
    /// Samples, and context switches of system calls.
    Switches,
}

impl<'a> Walks<'a> {
    pub fn new(process: &'a GoProcess) -> Result<Self> {
        Ok(Walks {
            process,
            walker: Walker::new(process)?,
            stacks: Vec::new(),
            labels: Vec::new(),
            reasons: Vec::new(),
            notes: Notes::new(process),
            on_note: Vec::new(),
            note_reason: 0,
            jitter: Jitter::new(),
            before: None,
            next: Instant::now(),
            depth: Depth::Stacks,
            without_stacks: 0,
            parts: Parts::default(),
            alive_ns: 0,
            alive_in_parts: [0; PARTS],
            quality: Quality::default(),
            present: Vec::new(),
            in_syscalls: Vec::new(),
        })
    }

    /// Where the window's parts lie.
    pub fn starts_at(&mut self, parts: Parts) {
        self.parts = parts;
    }

    pub fn is_due(&self) -> bool {
        Instant::now() >= self.next
    }

    /// When the next one is due.
    pub fn wait(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// `until_ns`: the window's end, by CLOCK_MONOTONIC; what is seen later stands for nothing beyond it. Errors: as [`Walker::walk`].
    pub fn walk(&mut self, tally: &mut Tally, told: Told, until_ns: u64) -> Result<()> {
        let walk = self.walker.walk(self.depth)?;
        self.number_new(tally);
        let took = Duration::from_nanos(walk.took_ns);
        self.next = Instant::now() + SHORTEST.max(took.div_f64(OWN_SHARE)).mul_f64(self.jitter.next());
        self.without_stacks += u64::from(self.depth == Depth::Records);
        self.depth = if took > LONG { Depth::Records } else { Depth::Stacks };
        self.quality.walks += 1;
        self.quality.torn += walk.quality.torn;
        self.quality.skipped += walk.quality.skipped + walk.quality.no_room;
        self.quality.not_resident += walk.quality.not_resident;
        if self.quality.walks == 1 {
            self.present = walk.goroutines.iter().filter_map(|goroutine| self.present_as(goroutine)).collect();
            let in_syscall =
                walk.goroutines.iter().filter(|goroutine| goroutine.status == Status::Syscall && !self.waits_on_note(goroutine));
            self.in_syscalls = in_syscall.filter_map(|goroutine| Some((goroutine.m?, self.key(goroutine, Told::Walks)?))).collect();
        }
        let mut keys: FxHashMap<Key, u64> = FxHashMap::default();
        for goroutine in &walk.goroutines {
            if let Some(key) = self.key(goroutine, told) {
                *keys.entry(key).or_default() += 1;
            }
        }
        let seen =
            Seen { keys, alive: walk.goroutines.len() as u64, at_ns: walk.taken_at_ns.min(i64::try_from(until_ns).unwrap_or(i64::MAX)) };
        // Each sighting is one, though it stands for time at both sides.
        seen.keys.keys().for_each(|key| tally.count(*key));
        if let Some(before) = self.before.replace(seen) {
            let Some(now) = &self.before else { return Ok(()) };
            let half = u64::try_from(now.at_ns - before.at_ns).unwrap_or(0) / 2;
            let begin_ns = u64::try_from(before.at_ns).unwrap_or(0);
            for (seen, begin_ns) in [(&before, begin_ns), (now, begin_ns + half)] {
                let span = begin_ns..begin_ns + half;
                self.alive_ns += seen.alive * half;
                self.parts.add(&mut self.alive_in_parts, seen.alive * half, span.clone());
                seen.keys.iter().for_each(|(key, count)| tally.add(*key, count * half, span.clone()));
            }
        }
        Ok(())
    }

    fn number_new(&mut self, tally: &mut Tally) {
        if self.reasons.is_empty() {
            let reasons = &self.process.runtime.wait_reasons;
            self.reasons = reasons.iter().map(|reason| tally.reason(reason)).collect();
            self.note_reason = tally.reason(notes::REASON);
        }
        for (pcs, cut) in &self.walker.stacks()[self.stacks.len()..] {
            self.on_note.push(self.notes.waits(pcs.iter().map(|pc| pc.address())));
            self.stacks.push(tally.stack(Vec::new(), pcs.to_vec(), *cut));
        }
        for set in &self.walker.labels()[self.labels.len()..] {
            let set = set.iter().map(|(key, value)| (Arc::from(key.as_str()), Arc::from(value.as_str())));
            self.labels.push(tally.label_set(set.collect()));
        }
    }

    fn waits_on_note(&self, goroutine: &Walked) -> bool {
        self.on_note.get(goroutine.stack as usize).copied().unwrap_or(false)
    }

    fn present_as(&self, goroutine: &Walked) -> Option<Present> {
        let key = self.key(goroutine, Told::Walks)?;
        let reason = self.process.runtime.wait_reasons.get(usize::from(goroutine.wait_reason)).filter(|_| key.reason != 0).cloned();
        Some(Present { goid: goroutine.goid, state: key.class, reason, stack: key.stack })
    }

    fn key(&self, goroutine: &Walked, told: Told) -> Option<Key> {
        let reason = || self.reasons.get(usize::from(goroutine.wait_reason)).copied().unwrap_or(0);
        let text = self.process.runtime.wait_reasons.get(usize::from(goroutine.wait_reason)).map_or("", |text| &**text);
        let runs = match goroutine.status {
            Status::Running | Status::Copystack => true,
            // Who works for the collector or stops the world runs on, and says that it waits (runtime/proc.go: casGToWaitingForSuspendG); who
            // does wait has no M.
            Status::Waiting => goroutine.m.is_some(),
            _ => false,
        };
        let (class, reason) = match goroutine.status {
            _ if runs && told != Told::Walks => return None,
            // runtime/runtime2.go: `GC assist marking`, `GC assist wait`.
            Status::Waiting if text.starts_with("GC assist") => (Class::GcAssist, reason()),
            _ if runs => (Class::OnCpu, 0),
            Status::Waiting | Status::Leaked => (Class::Waiting, reason()),
            Status::Runnable | Status::Preempted => (Class::Runnable, 0),
            Status::Syscall if self.waits_on_note(goroutine) => (Class::Waiting, self.note_reason),
            Status::Syscall if told == Told::Switches => return None,
            Status::Syscall => (Class::Syscall, 0),
            Status::Idle | Status::Dead | Status::Running | Status::Copystack => return None,
        };
        let labels = goroutine.labels.and_then(|set| self.labels.get(set as usize).copied()).unwrap_or(0);
        let stack = self.stacks.get(goroutine.stack as usize).copied()?;
        Some(Key { class, source: Source::Walk, reason, stack, go_pc: goroutine.go_pc, labels })
    }

    pub fn is_first(&self) -> bool {
        self.quality.walks == 0
    }

    /// Ms that the first walk met in system calls.
    pub fn in_syscalls(&mut self) -> Vec<(u64, Key)> {
        std::mem::take(&mut self.in_syscalls)
    }

    /// Whom the first walk met.
    pub fn present(&mut self) -> Vec<Present> {
        std::mem::take(&mut self.present)
    }

    /// Goroutine-nanoseconds of all that were alive.
    pub fn alive_ns(&self) -> u64 {
        self.alive_ns
    }

    pub fn alive_in_parts(&self) -> Sums {
        self.alive_in_parts
    }

    pub fn tell(&self, quality: &mut Quality) {
        quality.walks = self.quality.walks;
        quality.torn = self.quality.torn;
        quality.skipped = self.quality.skipped;
        quality.not_resident = self.quality.not_resident;
        if self.without_stacks > 0 {
            quality.warnings.push(format!(
                "{} of {} walks read states and reasons but no stacks, for there are so many goroutines: that time is without a stack",
                self.without_stacks, self.quality.walks
            ));
        }
    }
}
