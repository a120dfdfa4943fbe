//! pprof labels of events whose probe did not copy them: more than it has room for, or a map of several buckets. Such an event holds the
//! address of a label set, which the collector frees when nobody holds it any more; another set may then lie there. So a set counts only
//! if it cannot have been freed between the event and the reading.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::probes::wire::Go;
use crate::sched::model::Label;
use crate::target::goroutines::labels;
use crate::target::layout::Field;
use crate::target::memory::Memory;
use crate::target::runtime::GoProcess;

pub type Labels = Arc<[Label]>;

/// Readings of the number of collections that are kept.
const KEPT: usize = 64;

pub struct LabelReader<'a> {
    process: &'a GoProcess,
    memory: Memory<'a>,
    goid_and_labels: Option<(u64, u64)>,
    /// When, in ns, and how many collections had ended.
    cycles: VecDeque<(u64, u32)>,
    /// There was a set to read.
    needed: bool,
}

impl<'a> LabelReader<'a> {
    pub fn new(process: &'a GoProcess) -> Self {
        let goid_and_labels = process.layout.get(Field::GGoid).zip(process.layout.get(Field::GLabels));
        LabelReader { process, memory: process.memory(), goid_and_labels, cycles: VecDeque::new(), needed: false }
    }

    /// Sets by address, of goroutines at the time of their events, none of which is older than `oldest_ns`. `cycles` tells time and the
    /// number of collections that have ended (runtime/mgc.go: gcMarkTermination counts it before anything is swept).
    pub fn read(
        &mut self,
        goroutines: impl Iterator<Item = Go>,
        oldest_ns: u64,
        cycles: impl FnOnce() -> Option<(u64, u32)>,
    ) -> FxHashMap<u64, Labels> {
        self.memory.forget_residency();
        let mut found: FxHashMap<u64, (Labels, bool)> = FxHashMap::default();
        for go in goroutines.filter(|go| go.labels != 0 && go.g != 0) {
            match found.get_mut(&go.labels) {
                Some((_, held)) => *held = *held || self.holds(&go),
                None => {
                    let Some(set) = labels::read(&self.memory, go.labels, self.process.version) else { continue };
                    let set = set.iter().map(|(key, value)| (Arc::from(key.as_str()), Arc::from(value.as_str()))).collect();
                    found.insert(go.labels, (set, self.holds(&go)));
                }
            }
        }
        // Most programs have no such sets: nobody pays for a history of collections that nobody asks for.
        self.needed |= !found.is_empty();
        if !self.needed {
            return FxHashMap::default();
        }
        // A set that was reachable at its event outlives a collection that was under way by then.
        let now = cycles();
        let before = self.cycles.iter().rev().find(|(time, _)| *time <= oldest_ns).map(|(_, count)| *count);
        let none_ended = now.zip(before).is_some_and(|((_, now), before)| now == before);
        self.cycles.extend(now);
        if self.cycles.len() > KEPT {
            self.cycles.pop_front();
        }
        found.into_iter().filter(|(_, (_, held))| none_ended || *held).map(|(address, (set, _))| (address, set)).collect()
    }

    /// Still the goroutine's own.
    fn holds(&self, go: &Go) -> bool {
        let word = |offset: u64| self.memory.word(go.g.wrapping_add(offset)).ok();
        self.goid_and_labels.is_some_and(|(goid, labels)| word(goid) == Some(go.goid) && word(labels) == Some(go.labels))
    }
}
