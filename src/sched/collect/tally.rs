//! Sums by what was done where: each distinct stack, label set and key once.

use std::ops::Range;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::collector::names_creator;
use super::labels::Labels;
use super::parts::{Parts, Sums};
use super::switches::Interval;
use crate::probes::wire::Stacked;
use crate::sched::model::{Class, Frame, FrameKind, Row, Source, Stack};
use crate::target::names::StackNames;
use crate::target::stack::Cut;
use crate::target::unwind::Pc;

/// What rows are told apart by; numbers into the tally's own tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    pub class: Class,
    pub source: Source,
    pub reason: u32,
    pub stack: u32,
    pub go_pc: u64,
    pub labels: u32,
}

impl Default for Key {
    fn default() -> Self {
        Key { class: Class::OnCpu, source: Source::Sample, reason: 0, stack: 0, go_pc: 0, labels: 0 }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    count: u64,
    samples: u64,
    on_cpu_ns: u64,
    off_cpu_ns: u64,
    /// Samples, or ns off the CPU, as the source has it.
    parts: Sums,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct RawStack {
    kernel: Vec<u64>,
    pcs: Vec<Pc>,
    cut: Option<Cut>,
}

pub struct Tally {
    parts: Parts,
    sums: FxHashMap<Key, Sum>,
    stacks: FxHashMap<RawStack, u32>,
    reasons: Vec<Arc<str>>,
    labels: Vec<Labels>,
    label_numbers: FxHashMap<Labels, u32>,
}

/// Time of each class in each part of the window, in ns.
pub type ByClass = [Sums; Class::ALL.len()];

/// Number of the empty reason and of the empty label set.
const NONE: u32 = 0;

impl Tally {
    pub fn new() -> Tally {
        let empty: Labels = Arc::from([]);
        Tally {
            parts: Parts::default(),
            sums: FxHashMap::default(),
            stacks: FxHashMap::default(),
            reasons: vec![Arc::from("")],
            labels: vec![empty.clone()],
            label_numbers: FxHashMap::from_iter([(empty, NONE)]),
        }
    }

    /// Where the window's parts lie, before anything is summed up.
    pub fn starts_at(&mut self, parts: Parts) {
        self.parts = parts;
    }

    pub fn key(&mut self, event: &Stacked, class: Class, source: Source, pcs: Vec<Pc>, cut: Option<Cut>, labels: Option<&Labels>) -> Key {
        let stack = self.stack(event.kernel.clone(), pcs, cut);
        let labels = labels.map_or(NONE, |set| self.label_set(set.clone()));
        Key { class, source, reason: NONE, stack, go_pc: event.go.go_pc, labels }
    }

    pub fn stack(&mut self, kernel: Vec<u64>, pcs: Vec<Pc>, cut: Option<Cut>) -> u32 {
        let next = self.stacks.len() as u32;
        *self.stacks.entry(RawStack { kernel, pcs, cut }).or_insert(next)
    }

    pub fn reason(&mut self, text: &str) -> u32 {
        match self.reasons.iter().position(|known| &**known == text) {
            Some(number) => number as u32,
            None => {
                self.reasons.push(Arc::from(text));
                self.reasons.len() as u32 - 1
            }
        }
    }

    pub fn label_set(&mut self, set: Labels) -> u32 {
        let next = self.labels.len() as u32;
        let number = *self.label_numbers.entry(set.clone()).or_insert(next);
        if number == next {
            self.labels.push(set);
        }
        number
    }

    pub fn sample(&mut self, key: Key, at_ns: u64) {
        let sum = self.sums.entry(key).or_default();
        sum.count += 1;
        sum.samples += 1;
        self.parts.count(&mut sum.parts, at_ns);
    }

    pub fn interval(&mut self, key: Key, interval: Interval) {
        let reason = self.reason(interval.reason);
        let span = interval.begin_ns..interval.begin_ns + interval.ns;
        let key = Key { class: interval.class, reason, ..key };
        self.count(key);
        self.add(key, interval.ns, span);
    }

    /// One more observation; what it stands for is added by itself.
    pub fn count(&mut self, key: Key) {
        self.sums.entry(key).or_default().count += 1;
    }

    /// `span`: when that was.
    pub fn add(&mut self, key: Key, off_cpu_ns: u64, span: Range<u64>) {
        let sum = self.sums.entry(key).or_default();
        sum.off_cpu_ns += off_cpu_ns;
        self.parts.add(&mut sum.parts, off_cpu_ns, span);
    }

    /// Names everything. `cpu_ns` is what the target used by the kernel's account: each sample stands for an equal part of it.
    pub fn finish(self, names: &mut StackNames<'_>, cpu_ns: u64) -> (Vec<Row>, Vec<Stack>, ByClass) {
        let mut raw: Vec<(RawStack, u32)> = self.stacks.into_iter().collect();
        raw.sort_unstable_by_key(|(_, number)| *number);
        let mut stacks: Vec<Stack> = raw.iter().map(|(stack, _)| names.stack_with_kernel(&stack.kernel, &stack.pcs, stack.cut)).collect();
        stacks.iter_mut().for_each(from_switch_on);
        let samples: u64 = self.sums.values().map(|sum| sum.samples).sum();
        let of_samples = |n: u64| (u128::from(cpu_ns) * u128::from(n)).checked_div(u128::from(samples)).unwrap_or(0) as u64;
        let mut creators: FxHashMap<u64, Option<Arc<str>>> = FxHashMap::default();
        let mut rows: Vec<Row> = Vec::with_capacity(self.sums.len());
        let mut by_class = ByClass::default();
        for (key, sum) in self.sums {
            let stack = &stacks[key.stack as usize];
            // The second on the system stack: up to Go 1.20 frame pointers leave out who called systemstack.
            let assists = |frame: &Frame| matches!(&*frame.function, "runtime.gcAssistAlloc" | "runtime.gcAssistAlloc1");
            let assists = stack.frames.iter().any(assists);
            let creator = creators.entry(key.go_pc).or_insert_with(|| (key.go_pc != 0).then(|| names.creation(key.go_pc).function));
            let class = if assists && matches!(key.class, Class::OnCpu | Class::NoCpu) { Class::GcAssist } else { key.class };
            for (part, sum) in by_class[class as usize].iter_mut().zip(sum.parts) {
                *part += if key.source == Source::Sample { of_samples(sum) } else { sum };
            }
            rows.push(Row {
                class,
                source: key.source,
                reason: (key.reason != NONE).then(|| self.reasons[key.reason as usize].clone()),
                stack: key.stack,
                start: start_of(stack),
                creator: creator.clone().filter(|name| names_creator(name)),
                labels: self.labels[key.labels as usize].clone(),
                count: sum.count,
                on_cpu_ns: sum.on_cpu_ns + of_samples(sum.samples),
                off_cpu_ns: sum.off_cpu_ns,
            });
        }
        rows.sort_by(|a, b| b.ns().cmp(&a.ns()).then_with(|| (a.class, a.stack, &a.reason).cmp(&(b.class, b.stack, &b.reason))));
        (rows, stacks, by_class)
    }
}

/// The goroutine's first function, where the whole stack is known.
fn start_of(stack: &Stack) -> Option<Arc<str>> {
    if stack.cut.is_some() {
        return None;
    }
    let outermost = stack.frames.iter().rev().find(|frame| &*frame.function != "runtime.goexit")?;
    (outermost.kind == FrameKind::Go).then(|| outermost.function.clone())
}

/// A stack taken at a context switch begins with the probe and the scheduler of the kernel: what matters is who called that.
fn from_switch_on(stack: &mut Stack) {
    let kernel = stack.frames.iter().take_while(|frame| matches!(frame.kind, FrameKind::Kernel | FrameKind::Unresolved)).count();
    let switch = stack.frames[..kernel].iter().position(|frame| &*frame.function == "__schedule");
    if let Some(switch) = switch {
        stack.frames.drain(..=switch);
    }
}
