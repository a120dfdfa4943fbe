//! The kernel's own account of the target's threads.

use std::collections::BTreeMap;

use crate::sched::model::ThreadUse;
use crate::target::runtime::GoProcess;

/// By tid: CPU time, time runnable without a CPU, times put on one (`/proc/PID/task/TID/schedstat`).
#[derive(Debug, Clone, Default)]
pub struct ThreadTimes {
    threads: BTreeMap<u32, ([u64; 3], String)>,
}

impl ThreadTimes {
    pub fn read(process: &GoProcess) -> ThreadTimes {
        let tids = process.process.threads().unwrap_or_default();
        let one = |tid: u32| {
            let text = |file: &str| process.process.read(&format!("task/{tid}/{file}")).ok();
            let times = String::from_utf8(text("schedstat")?).ok()?;
            let mut words = times.split_ascii_whitespace().map(|word| word.parse::<u64>().ok());
            let times = [words.next()??, words.next()??, words.next()??];
            let name = String::from_utf8_lossy(&text("comm").unwrap_or_default()).trim_end().to_owned();
            Some((tid, (times, name)))
        };
        ThreadTimes { threads: tids.into_iter().filter_map(one).collect() }
    }

    /// What was used since `earlier`; threads begun since count from their begin, ended ones are not known any more.
    pub fn since(&self, earlier: &ThreadTimes) -> Vec<ThreadUse> {
        let mut uses: Vec<ThreadUse> = Vec::with_capacity(self.threads.len());
        for (tid, (times, name)) in &self.threads {
            let before = earlier.threads.get(tid).map_or([0; 3], |(times, _)| *times);
            let delta = |i: usize| times[i].saturating_sub(before[i]);
            uses.push(ThreadUse { tid: *tid, name: name.clone(), on_cpu_ns: delta(0), waited_ns: delta(1), switches: delta(2) });
        }
        uses.sort_by_key(|thread| (std::cmp::Reverse(thread.on_cpu_ns), thread.tid));
        uses
    }
}
