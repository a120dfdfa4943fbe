//! How many goroutines there are, without their stacks.

use rustc_hash::FxHashMap;

use super::runtime::Figure;
use crate::target::elf::{u32_at, u64_at};
use crate::target::layout::Field;
use crate::target::memory::Request;
use crate::target::runtime::GoProcess;
use crate::target::symbols::GoSymbols;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Goroutines {
    pub user: u64,
    /// Started by the runtime for itself, by the rule of `isSystemGoroutine` (runtime/traceback.go).
    pub system: u64,
    /// Free for reuse.
    pub dead: u64,
    /// Their records could not be read.
    pub unread: u64,
}

/// Records read at a time.
const SHARE: usize = 8192;

/// Nothing is stopped: goroutines that start or end meanwhile may be counted or not.
pub fn count(process: &GoProcess) -> Figure<Goroutines> {
    let offset = |field| process.offset(field).map_err(|error| error.to_string());
    let (status, start) = (offset(Field::GAtomicStatus)?, offset(Field::GStartPc)?);
    let mut addresses = process.all_g().map_err(|error| error.to_string())?;
    addresses.sort_unstable();
    let memory = process.memory();
    let mut symbols = GoSymbols::new(&process.elf, &process.module, process.bias);
    let mut systems: FxHashMap<u64, bool> = FxHashMap::default();
    let mut counts = Goroutines::default();
    let mut buffer = Vec::new();
    for share in addresses.chunks(SHARE) {
        let mut requests: Vec<Request> = share.iter().map(|g| Request::new(*g, start + 8)).collect();
        memory.read_batch(&mut requests, &mut buffer).map_err(|error| error.to_string())?;
        for request in &requests {
            let Some(bytes) = request.outcome.ok().and_then(|at| buffer.get(at..at + request.len)) else {
                counts.unread += 1;
                continue;
            };
            if is_dead(u32_at(bytes, status)) {
                counts.dead += 1;
                continue;
            }
            let pc = u64_at(bytes, start);
            match *systems.entry(pc).or_insert_with(|| is_system(&symbols.function(pc).function)) {
                true => counts.system += 1,
                false => counts.user += 1,
            }
        }
    }
    Ok(counts)
}

/// `runtime/runtime2.go`: _Gdead, and since Go 1.26 _Gdeadextra; the bit _Gscan may be set beside.
fn is_dead(status: u32) -> bool {
    matches!(status & !0x1000, 6 | 11)
}

/// Without a look at its stack, so a finalizer goroutine counts as the runtime's also while it runs the program's functions.
fn is_system(start: &str) -> bool {
    start.starts_with("runtime.") && !matches!(start, "runtime.main" | "runtime.handleAsyncEvent" | "runtime.corostart")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_and_whether_alive() {
        assert!(is_system("runtime.bgsweep") && is_system("runtime.gcBgMarkWorker"));
        assert!(!is_system("runtime.main") && !is_system("main.worker") && !is_system(""));
        assert!(is_dead(6) && is_dead(0x1006) && is_dead(11) && !is_dead(4) && !is_dead(0x1004));
    }
}
