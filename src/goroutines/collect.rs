//! Takes a snapshot: the only part of the feature that touches the process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Instant, SystemTime};

use super::model::{Quality, Snapshot, TargetFacts};
use super::naming::Naming;
use super::pause::Pause;
use super::running::{RunningReader, StopCost};
use crate::error::{Error, Result};
use crate::sys::memory::{monotonic_ns, own_cpu_ns};
use crate::target::goroutines::parked::ParkedReader;
use crate::target::goroutines::raw::Raw;
use crate::target::goroutines::record::{Record, RecordLayout};
use crate::target::native::{NativeSymbols, NativeUnwinder};
use crate::target::runtime::GoProcess;

/// What may be stopped.
#[derive(Debug, Clone, Copy)]
pub enum Stopping {
    /// Nothing at all: running goroutines are listed without a stack.
    Never,
    /// Threads that run Go code, one at a time.
    Running,
    /// All threads that run Go code, together.
    Together(Pause),
}

#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub stopping: Stopping,
}

/// Goroutines that one reader takes at a time.
const SHARE: usize = 8192;

/// Reads every goroutine of the process.
///
/// Errors: Target when the process is gone, has become another program, or its runtime can't be understood.
pub fn snapshot(process: &GoProcess, options: Options) -> Result<Snapshot> {
    let snapshot = read(process, options);
    process.check()?;
    snapshot
}

fn read(process: &GoProcess, options: Options) -> Result<Snapshot> {
    let target = target_facts(process);
    let captured_at = SystemTime::now();
    let started = Instant::now();
    let layout = RecordLayout::new(process)?;
    let reading = match options.stopping {
        Stopping::Together(pause) => read_paused(process, layout, pause)?,
        Stopping::Never => read_freely(process, layout, false)?,
        Stopping::Running => read_freely(process, layout, true)?,
    };
    let now = monotonic_ns() + process.process.clock_offset_ns();
    let capture_ns = started.elapsed().as_nanos() as u64;
    let Reading { raw, cost, native } = reading;
    let mut snapshot = Naming::new(process, native.as_ref().map(NativeSymbols::new), now)?.snapshot(raw, target, captured_at);
    tell_cost(&mut snapshot.quality, process, cost);
    snapshot.quality.capture_ns = capture_ns;
    snapshot.quality.own_cpu_ns = own_cpu_ns();
    Ok(snapshot)
}

fn tell_cost(quality: &mut Quality, process: &GoProcess, cost: StopCost) {
    quality.threads_stopped = cost.stops;
    quality.longest_stop_ns = cost.longest.as_nanos() as u64;
    quality.total_stop_ns = cost.total.as_nanos() as u64;
    quality.warnings.extend(cost.warnings);
    quality.warnings.extend(process.warnings.iter().cloned());
    if !process.residency_known() {
        quality.warnings.push("/proc/PID/pagemap is not readable: swapped-out pages may have been brought in".into());
    }
    quality.layout = process.layout_source.as_str().to_owned();
}

fn target_facts(process: &GoProcess) -> TargetFacts {
    let exe = process.process.executable_path();
    TargetFacts {
        pid: process.pid,
        start_ticks: process.process.start_ticks,
        exe: exe.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default(),
        go_version: process.binary.build.go_version.clone(),
        main_module: process.binary.build.main_path().to_owned(),
        stripped: process.binary.stripped,
        build_mode: process.binary.mode.as_str().to_owned(),
    }
}

/// What was read, before it is named.
struct Reading<'a> {
    raw: Raw,
    cost: StopCost,
    /// Knows the files that hold the C frames met; `None` if there were none.
    native: Option<NativeUnwinder<'a>>,
}

/// What the readers of resting goroutines found that needs its thread looked at.
#[derive(Default)]
struct OnThreads {
    running: Vec<Record>,
    in_c: Vec<Record>,
}

fn read_freely(process: &GoProcess, layout: RecordLayout, may_stop: bool) -> Result<Reading<'_>> {
    let mut addresses = process.all_g()?;
    addresses.sort_unstable();
    addresses.dedup();
    let (raw, on_threads) = read_parked(process, layout, &addresses)?;
    let mut reading = Reading { raw, cost: StopCost::default(), native: None };
    reading.read_on_threads(process, layout, may_stop, on_threads)?;
    Ok(reading)
}

fn read_paused(process: &GoProcess, layout: RecordLayout, pause: Pause) -> Result<Reading<'_>> {
    let (mut paused, parked, cost) = on_own_thread(|| {
        let mut reader = RunningReader::new(process, layout, true)?;
        let paused = reader.pause(&layout, pause)?;
        Ok((paused, reader.parked, reader.cost))
    })?;
    let rest = std::mem::take(&mut paused.rest);
    let mut reader = RunningReader::new(process, layout, false)?;
    reader.parked = parked;
    let running = reader.after_pause(paused, &layout)?;
    let in_c = std::mem::take(&mut reader.parked.in_c);
    let mut reading = Reading { cost, ..finish(reader) };
    reading.read_on_threads(process, layout, true, OnThreads { running, in_c })?;
    if rest.is_empty() {
        return Ok(reading);
    }
    let (unpaused, on_threads) = read_parked(process, layout, &rest)?;
    reading.raw.absorb(unpaused);
    reading.read_on_threads(process, layout, true, on_threads)?;
    let limit = pause.at_most.as_millis();
    let late = format!("the pause ended at its limit of {limit} ms: {} goroutines were read after it; --max-pause raises it", rest.len());
    reading.cost.warnings.push(late);
    Ok(reading)
}

impl<'a> Reading<'a> {
    fn read_on_threads(&mut self, process: &'a GoProcess, layout: RecordLayout, may_stop: bool, mut left: OnThreads) -> Result<()> {
        while !left.running.is_empty() || !left.in_c.is_empty() {
            let more = on_own_thread(|| {
                let mut reader = RunningReader::new(process, layout, may_stop)?;
                reader.read_all(&mut left.running)?;
                left.in_c.append(&mut reader.parked.in_c);
                reader.read_in_c(&mut left.in_c)?;
                Ok(finish(reader))
            })?;
            self.raw.absorb(more.raw);
            self.cost.absorb(more.cost);
            self.native = more.native.or(self.native.take());
        }
        Ok(())
    }
}

fn finish(reader: RunningReader<'_>) -> Reading<'_> {
    Reading { raw: reader.parked.raw, cost: reader.cost, native: reader.native }
}

/// ptrace belongs to the thread that uses it; when that ends the kernel detaches whatever is left.
fn on_own_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        scope.spawn(work).join().unwrap_or_else(|_| Err(Error::io("the thread that reads running goroutines failed")))
    })
}

/// Reads all goroutines at rest on as many threads as there are CPUs (at most four).
fn read_parked(process: &GoProcess, layout: RecordLayout, addresses: &[u64]) -> Result<(Raw, OnThreads)> {
    let shares: Vec<&[u64]> = addresses.chunks(SHARE).collect();
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get()).min(4).min(shares.len().max(1));
    let next = AtomicUsize::new(0);
    let work = || {
        let mut reader = ParkedReader::new(process, layout);
        while let Some(share) = shares.get(next.fetch_add(1, Ordering::Relaxed)) {
            reader.read_all(share)?;
        }
        Ok((reader.raw, OnThreads { running: reader.running, in_c: reader.in_c }))
    };
    let results: Vec<Result<(Raw, OnThreads)>> = std::thread::scope(|scope| {
        let spawned: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        spawned.into_iter().map(|handle| handle.join().unwrap_or_else(|_| Err(Error::io("a reader thread failed")))).collect()
    });
    let (mut raw, mut on_threads) = (Raw::default(), OnThreads::default());
    for result in results {
        let (share, found) = result?;
        raw.absorb(share);
        on_threads.running.extend(found.running);
        on_threads.in_c.extend(found.in_c);
    }
    Ok((raw, on_threads))
}
