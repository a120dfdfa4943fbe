//! `--format perfetto` and `trace`: what happened, drawn over time.

use std::io::Write;

use rustc_hash::FxHashMap;

use crate::error::{Error, Result};
use crate::formats::gotrace::{self, Event, GoStatus, Kind, StackId, Version, block_reason};
use crate::formats::perfetto::{Arg, Clocks, Details, FlowId, TrackId, Unit, Writer};
use crate::formats::pprof::Place;
use crate::sched::model::{Class, Moment, Stack, Timeline, What, Window};
use crate::target::frames;

/// For Perfetto: a track for each CPU, thread, P and goroutine; arrows from wakers to whom they woke.
pub fn write_perfetto(window: &Window, out: &mut impl Write) -> Result<()> {
    let timeline = timeline(window)?;
    let (monotonic, realtime) = timeline.clock;
    let clocks = Clocks { monotonic, boottime: None, realtime: Some(realtime) };
    let mut drawing = Drawing::new(window, Writer::new(out, clocks).map_err(Error::write)?).map_err(Error::write)?;
    for moment in &timeline.moments {
        drawing.draw(moment).map_err(Error::write)?;
    }
    let end = timeline.moments.last().map_or(monotonic, |last| last.time_ns);
    drawing.writer.finish(end).map(drop).map_err(Error::write)
}

fn timeline(window: &Window) -> Result<&Timeline> {
    window.timeline.as_ref().ok_or_else(|| {
        Error::usage("this recording has no timeline").hint("record with --record, or print with --format perfetto or trace while looking")
    })
}

struct Drawing<'a, W: Write> {
    window: &'a Window,
    writer: Writer<W>,
    groups: [TrackId; 3],
    process: TrackId,
    cpus: FxHashMap<u32, TrackId>,
    threads: FxHashMap<u32, TrackId>,
    ps: FxHashMap<i32, TrackId>,
    goroutines: FxHashMap<u64, TrackId>,
    /// Slices that are open: the goroutine's state, what runs on a P, what is on a CPU, by track.
    open: FxHashMap<TrackId, &'static str>,
    /// From who made a goroutine ready to where it runs.
    flows: FxHashMap<u64, FlowId>,
    queued: crate::formats::perfetto::CounterId,
    runnable: i64,
}

impl<'a, W: Write> Drawing<'a, W> {
    fn new(window: &'a Window, mut writer: Writer<W>) -> std::io::Result<Self> {
        let name = window.target.exe.rsplit('/').next().unwrap_or_default();
        let process = writer.process(window.target.pid, name)?;
        let groups = [writer.track(None, "CPUs")?, writer.track(None, "Ps")?, writer.track(None, "Goroutines")?];
        let queued = writer.counter(None, "runnable goroutines seen", Unit::Count)?;
        Ok(Drawing {
            window,
            writer,
            groups,
            process,
            cpus: FxHashMap::default(),
            threads: FxHashMap::default(),
            ps: FxHashMap::default(),
            goroutines: FxHashMap::default(),
            open: FxHashMap::default(),
            flows: FxHashMap::default(),
            queued,
            runnable: 0,
        })
    }

    fn draw(&mut self, moment: &Moment) -> std::io::Result<()> {
        let time = moment.time_ns;
        match &moment.what {
            What::Sample => {
                let track = self.cpu(moment.cpu)?;
                self.instant(track, moment, "sample")?;
            }
            What::Out(preempted) => {
                let (cpu, thread) = (self.cpu(moment.cpu)?, self.thread(moment.tid)?);
                self.close(cpu, time)?;
                self.switch_to(thread, moment, if *preempted { "waits for a CPU" } else { "blocked in the kernel" })?;
            }
            What::In => {
                let (cpu, thread) = (self.cpu(moment.cpu)?, self.thread(moment.tid)?);
                self.close(thread, time)?;
                self.close(cpu, time)?;
                self.open_slice(cpu, moment, "on CPU")?;
            }
            What::Runnable | What::NetworkReady | What::Yield => {
                let track = self.goroutine(moment.goid)?;
                self.count(time, 1)?;
                if moment.what == What::Runnable && moment.by_goid != 0 {
                    let flow = self.writer.flow();
                    self.flows.insert(moment.goid, flow);
                    let waker = self.goroutine(moment.by_goid)?;
                    let stack = places(self.window, moment.stack);
                    let details = Details { stack: &stack, flows: &[flow], ..Details::default() };
                    self.writer.instant(waker, time, "makes ready", &details)?;
                }
                if moment.what == What::Yield && moment.p >= 0 {
                    let p = self.p(moment.p)?;
                    self.close(p, time)?;
                }
                self.switch_to(track, moment, "runnable")?;
            }
            What::Run => {
                let (track, p) = (self.goroutine(moment.goid)?, self.p(moment.p)?);
                self.count(time, -1)?;
                self.close(track, time)?;
                self.close(p, time)?;
                let flow: Vec<FlowId> = self.flows.remove(&moment.goid).into_iter().collect();
                let details = Details { flow_ends: &flow, args: &[("P", Arg::Int(i64::from(moment.p)))], ..Details::default() };
                self.writer.begin(track, time, "running", &details)?;
                self.open.insert(track, "running");
                let args = [("goroutine", Arg::Uint(moment.goid))];
                self.writer.begin(p, time, &format!("goroutine {}", moment.goid), &Details { args: &args, ..Details::default() })?;
                self.open.insert(p, "running");
            }
            What::Park(reason) => {
                let (track, p) = (self.goroutine(moment.goid)?, self.p(moment.p)?);
                self.close(p, time)?;
                self.close(track, time)?;
                let stack = places(self.window, moment.stack);
                self.writer.begin(track, time, reason.as_deref().unwrap_or("waiting"), &Details { stack: &stack, ..Details::default() })?;
                self.open.insert(track, "waiting");
            }
            What::Dead => {
                let (track, p) = (self.goroutine(moment.goid)?, self.p(moment.p)?);
                self.close(p, time)?;
                self.close(track, time)?;
            }
            What::StwBegin(_) => self.instant(self.process, moment, "stops the world")?,
            What::StwEnd => self.instant(self.process, moment, "starts the world")?,
            What::GcBegin => self.instant(self.process, moment, "collection begins")?,
            What::GcEnd => self.instant(self.process, moment, "mark termination")?,
            What::AssistBegin => {
                let track = self.goroutine(moment.goid)?;
                self.instant(track, moment, "GC assist")?;
            }
            What::Gap => {
                self.writer.gap(time)?;
                self.open.clear();
                self.flows.clear();
            }
        }
        Ok(())
    }

    fn count(&mut self, time: u64, change: i64) -> std::io::Result<()> {
        self.runnable = (self.runnable + change).max(0);
        self.writer.value(self.queued, time, self.runnable)
    }

    fn instant(&mut self, track: TrackId, moment: &Moment, name: &str) -> std::io::Result<()> {
        let stack = places(self.window, moment.stack);
        let args = [("goroutine", Arg::Uint(moment.goid)), ("thread", Arg::Uint(u64::from(moment.tid)))];
        self.writer.instant(track, moment.time_ns, name, &Details { args: &args, stack: &stack, ..Details::default() })
    }

    fn switch_to(&mut self, track: TrackId, moment: &Moment, name: &'static str) -> std::io::Result<()> {
        self.close(track, moment.time_ns)?;
        self.open_slice(track, moment, name)
    }

    fn open_slice(&mut self, track: TrackId, moment: &Moment, name: &'static str) -> std::io::Result<()> {
        let stack = places(self.window, moment.stack);
        let args = [("goroutine", Arg::Uint(moment.goid)), ("thread", Arg::Uint(u64::from(moment.tid)))];
        self.writer.begin(track, moment.time_ns, name, &Details { args: &args, stack: &stack, ..Details::default() })?;
        self.open.insert(track, name);
        Ok(())
    }

    fn close(&mut self, track: TrackId, time: u64) -> std::io::Result<()> {
        match self.open.remove(&track) {
            Some(_) => self.writer.end(track, time),
            None => Ok(()),
        }
    }

    fn cpu(&mut self, cpu: u32) -> std::io::Result<TrackId> {
        track(&mut self.cpus, cpu, || self.writer.track(Some(self.groups[0]), &format!("CPU {cpu}")))
    }

    fn thread(&mut self, tid: u32) -> std::io::Result<TrackId> {
        let pid = self.window.target.pid;
        track(&mut self.threads, tid, || self.writer.thread(self.process, pid, tid, &format!("thread {tid}")))
    }

    fn p(&mut self, p: i32) -> std::io::Result<TrackId> {
        track(&mut self.ps, p, || self.writer.track(Some(self.groups[1]), &format!("P {p}")))
    }

    fn goroutine(&mut self, goid: u64) -> std::io::Result<TrackId> {
        track(&mut self.goroutines, goid, || self.writer.track(Some(self.groups[2]), &format!("goroutine {goid}")))
    }
}

fn track<K: Copy + Eq + std::hash::Hash>(
    known: &mut FxHashMap<K, TrackId>,
    key: K,
    make: impl FnOnce() -> std::io::Result<TrackId>,
) -> std::io::Result<TrackId> {
    match known.get(&key) {
        Some(track) => Ok(*track),
        None => {
            let track = make()?;
            known.insert(key, track);
            Ok(track)
        }
    }
}

fn places(window: &Window, stack: Option<u32>) -> Vec<Place<'_>> {
    let frames = stack.and_then(|stack| window.stacks.get(stack as usize)).map(|stack| &stack.frames[..]).unwrap_or_default();
    frames.iter().map(|frame| Place { function: &frame.function, file: &frame.file, line: frame.line }).collect()
}

/// A Go execution trace. Goroutines that were created in the window appear where they were first made ready.
pub fn write_trace(window: &Window, out: &mut impl Write) -> Result<()> {
    let timeline = timeline(window)?;
    write_events(window, timeline, out).map_err(Error::write)
}

fn write_events(window: &Window, timeline: &Timeline, out: &mut impl Write) -> std::io::Result<()> {
    let mut writer = gotrace::Writer::new(out, Version::Go122)?;
    let mut stacks: Vec<Option<StackId>> = vec![None; window.stacks.len()];
    let mut seen: rustc_hash::FxHashSet<u64> = timeline.present.iter().map(|present| present.goid).collect();
    let start = timeline.clock.0;
    for present in &timeline.present {
        let stack = stack_id(window, &mut writer, &mut stacks, Some(present.stack))?;
        let status = match present.state {
            Class::Runnable => GoStatus::Runnable,
            // Those that run are shown from their next transition on: on which thread they are is not known.
            Class::OnCpu | Class::NoCpu | Class::Syscall | Class::Scheduler => continue,
            Class::Waiting | Class::GcAssist => GoStatus::Waiting,
        };
        let kind = Kind::GoStatus { goroutine: present.goid, status, stack };
        writer.write(&Event { time: start, thread: gotrace::NO_THREAD, proc: None, goroutine: None, kind })?;
    }
    for moment in &timeline.moments {
        let stack = stack_id(window, &mut writer, &mut stacks, moment.stack)?;
        let on = |kind| Event {
            time: moment.time_ns,
            thread: u64::from(moment.tid),
            proc: u32::try_from(moment.p).ok(),
            goroutine: Some(moment.by_goid).filter(|&goid| goid != 0),
            kind,
        };
        let event = match &moment.what {
            What::Runnable if seen.insert(moment.goid) => on(Kind::GoCreate { goroutine: moment.goid, start: StackId::NONE, stack }),
            What::Runnable | What::NetworkReady => on(Kind::GoUnblock { goroutine: moment.goid, stack }),
            What::Yield => Event { goroutine: Some(moment.goid), ..on(Kind::GoStop { reason: "preempted", stack }) },
            What::Run => Event { goroutine: None, ..on(Kind::GoStart { goroutine: moment.goid }) },
            What::Park(reason) => {
                let reason = reason.as_deref().map_or("", block_reason);
                Event { goroutine: Some(moment.goid), ..on(Kind::GoBlock { reason, stack }) }
            }
            What::Dead => {
                seen.remove(&moment.goid);
                Event { goroutine: Some(moment.goid), ..on(Kind::GoDestroy) }
            }
            What::StwBegin(reason) => on(Kind::StwBegin { reason: reason.as_deref().unwrap_or("unknown"), stack }),
            What::StwEnd => on(Kind::StwEnd),
            What::GcBegin => on(Kind::GcBegin { stack }),
            What::GcEnd => on(Kind::GcEnd),
            What::Gap => {
                writer.gap(moment.time_ns)?;
                continue;
            }
            What::Sample | What::Out(_) | What::In | What::AssistBegin => continue,
        };
        writer.write(&event)?;
    }
    writer.finish().map(drop)
}

/// Each stack is written once.
fn stack_id<W: Write>(
    window: &Window,
    writer: &mut gotrace::Writer<W>,
    known: &mut [Option<StackId>],
    stack: Option<u32>,
) -> std::io::Result<StackId> {
    let Some((slot, stack)) = stack.and_then(|n| Some((known.get_mut(n as usize)?, window.stacks.get(n as usize)?))) else {
        return Ok(StackId::NONE);
    };
    if let Some(id) = slot {
        return Ok(*id);
    }
    let id = writer.stack(&trace_frames(stack))?;
    *slot = Some(id);
    Ok(id)
}

fn trace_frames(stack: &Stack) -> Vec<gotrace::Frame<'_>> {
    frames::shown(stack, true)
        .map(|frame| gotrace::Frame {
            address: frame.address,
            place: Place { function: &frame.function, file: &frame.file, line: frame.line },
        })
        .collect()
}
