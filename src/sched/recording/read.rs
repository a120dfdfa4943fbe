//! From the bytes of a recording to its window. They may be anybody's: nothing is believed, and memory is counted before it is taken.

use std::fmt;
use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use flate2::bufread::ZlibDecoder;
use prost::Message;

use super::proto::{self, Piece};
use super::tables::{Tables, at, of_code, same_length};
use super::{CUTS, LARGEST_PIECE, LARGEST_WINDOW, MAGIC, PAYERS, SOURCES, VERSION, what};
use crate::sched::model::{
    Blocked, Bound, Class, Cost, Counters, Frame, GcPause, Hop, Item, Loss, Moment, PUse, Plan, Present, Quality, Row, RunLatency, Stack,
    TargetFacts, ThreadUse, Throttled, Tier, Timeline, Transitions, Waits, WakePath, Waker, What, Window,
};

/// Why bytes are not a window; reads on behind a file's name.
#[derive(Debug)]
pub enum Unreadable {
    /// Another kind of file.
    Foreign,
    /// Of a later version of the format.
    Newer(u8),
    Truncated,
    /// What is wrong.
    Corrupt(String),
    File(io::Error),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Foreign => f.write_str("is not a recording of goscope"),
            Unreadable::Newer(version) => {
                write!(f, "was recorded by a newer goscope: its format has version {version}, and this goscope knows version {VERSION}")
            }
            Unreadable::Truncated => f.write_str("is only a part of a recording: it ends too early"),
            Unreadable::Corrupt(what) => write!(f, "is a damaged recording: {what}"),
            Unreadable::File(error) => write!(f, "cannot be read: {error}"),
        }
    }
}

/// What a message may say wrongly, in a line.
pub type Parsed<T> = std::result::Result<T, String>;

/// A whole file.
pub fn read(mut bytes: impl BufRead) -> Result<Window, Unreadable> {
    let mut head = [0; MAGIC.len() + 1];
    bytes.read_exact(&mut head).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Unreadable::Foreign,
        _ => Unreadable::File(error),
    })?;
    match head.split_last() {
        Some((&VERSION, magic)) if magic == MAGIC => {}
        Some((&version, magic)) if magic == MAGIC && version > VERSION => return Err(Unreadable::Newer(version)),
        _ => return Err(Unreadable::Foreign),
    }
    let mut stream = ZlibDecoder::new(bytes);
    let window = read_pieces(&mut stream)?;
    match stream.into_inner().fill_buf() {
        Ok([]) => Ok(window),
        Ok(_) => Err(Unreadable::Corrupt("something follows its end".to_owned())),
        Err(error) => Err(Unreadable::File(error)),
    }
}

/// What stands in the stream, unpacked.
pub fn read_pieces(mut stream: impl Read) -> Result<Window, Unreadable> {
    let mut reader = Reader::default();
    let mut buffer = Vec::new();
    while let Some(length) = length(&mut stream)? {
        if length > LARGEST_PIECE as u64 {
            return Err(Unreadable::Corrupt("one of its parts is longer than any can be".to_owned()));
        }
        buffer.clear();
        let got = (&mut stream).take(length).read_to_end(&mut buffer).map_err(of_stream)?;
        if got as u64 != length {
            return Err(Unreadable::Truncated);
        }
        let piece = Piece::decode(&buffer[..]).map_err(|error| Unreadable::Corrupt(error.to_string()))?;
        reader.take(piece).map_err(Unreadable::Corrupt)?;
    }
    reader.finish().map_err(Unreadable::Corrupt)
}

/// A varint; `None` at the end.
fn length(stream: &mut impl Read) -> Result<Option<u64>, Unreadable> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(0) if shift == 0 => return Ok(None),
            Ok(0) => return Err(Unreadable::Truncated),
            Ok(_) => value |= u64::from(byte[0] & 0x7f) << shift,
            Err(error) => return Err(of_stream(error)),
        }
        if byte[0] & 0x80 == 0 {
            return Ok(Some(value));
        }
    }
    Err(Unreadable::Corrupt("a length is not a number".to_owned()))
}

fn of_stream(error: io::Error) -> Unreadable {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Unreadable::Truncated,
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Unreadable::Corrupt(error.to_string()),
        _ => Unreadable::File(error),
    }
}

struct Reader {
    tables: Tables,
    head: Option<proto::Head>,
    stacks: Vec<Stack>,
    rows: Vec<Row>,
    threads: Vec<ThreadUse>,
    transitions: Transitions,
    timeline: Timeline,
    /// What differences are to.
    goid: u64,
    time: u64,
}

impl Default for Reader {
    fn default() -> Self {
        Reader {
            tables: Tables::new(LARGEST_WINDOW),
            head: None,
            stacks: Vec::new(),
            rows: Vec::new(),
            threads: Vec::new(),
            transitions: Transitions::default(),
            timeline: Timeline::default(),
            goid: 0,
            time: 0,
        }
    }
}

impl Reader {
    fn take(&mut self, piece: Piece) -> Parsed<()> {
        let Piece { strings, frames, label_sets, head, stacks, rows, threads, run_latency, blocked, wakes, present, moments } = piece;
        strings.map_or(Ok(()), |strings| self.tables.add_strings(&strings))?;
        frames.map_or(Ok(()), |frames| self.tables.add_frames(&frames))?;
        label_sets.map_or(Ok(()), |sets| self.tables.add_label_sets(&sets))?;
        if head.is_some() {
            self.head = head;
        }
        stacks.map_or(Ok(()), |stacks| self.stacks(&stacks))?;
        rows.map_or(Ok(()), |rows| self.rows(&rows))?;
        threads.map_or(Ok(()), |threads| self.threads(&threads))?;
        run_latency.map_or(Ok(()), |latency| self.run_latency(&latency))?;
        blocked.map_or(Ok(()), |blocked| self.blocked(&blocked))?;
        wakes.map_or(Ok(()), |wakes| self.wakes(&wakes))?;
        present.map_or(Ok(()), |present| self.present(&present))?;
        moments.map_or(Ok(()), |moments| self.moments(&moments))
    }

    fn finish(mut self) -> Parsed<Window> {
        let head = self.head.take().ok_or("it has no head")?;
        let proto::Head {
            seconds,
            nanoseconds,
            target,
            length_ns,
            tier,
            alive_ns,
            samples,
            run_queue,
            cpu_queue,
            counters,
            cost,
            quality,
            unpaired,
            timeline,
        } = head;
        // RFC 3339 has four digits for a year.
        let seconds = u64::try_from(seconds).ok().filter(|&seconds| seconds < 253_402_300_800).ok_or("its date is none")?;
        let after = Duration::new(seconds, nanoseconds.min(999_999_999));
        let window = Window {
            captured_at: UNIX_EPOCH.checked_add(after).ok_or("its date is none")?,
            target: self.target(&target.unwrap_or_default())?,
            length_ns,
            tier: of_code(&Tier::ALL, tier, "tier")?,
            rows: self.rows,
            stacks: self.stacks,
            alive_ns,
            threads: self.threads,
            run_queue: one(run_queue)?,
            cpu_queue: one(cpu_queue)?,
            counters: counters_of(&counters.unwrap_or_default(), &mut self.tables)?,
            transitions: unpaired.map(|unpaired| Transitions { unpaired, ..self.transitions }),
            timeline: timeline.map(|timeline| Timeline {
                clock: (timeline.monotonic_ns, timeline.realtime_ns),
                dropped: timeline.dropped,
                ..self.timeline
            }),
            samples,
            cost: cost_of(cost.unwrap_or_default(), &mut self.tables)?,
            quality: quality_of(quality.unwrap_or_default(), &mut self.tables)?,
        };
        window_adds_up(&window)?;
        Ok(window)
    }

    fn target(&mut self, target: &proto::Target) -> Parsed<TargetFacts> {
        Ok(TargetFacts {
            pid: target.pid,
            start_ticks: target.start_ticks,
            exe: self.tables.text(target.exe)?,
            go_version: self.tables.text(target.go_version)?,
            main_module: self.tables.text(target.main_module)?,
            stripped: target.stripped,
            build_mode: self.tables.text(target.build_mode)?,
        })
    }

    fn stacks(&mut self, stacks: &proto::Stacks) -> Parsed<()> {
        let n = same_length(&[stacks.lengths.len(), stacks.cuts.len()])?;
        self.tables.charge::<Stack>(n)?;
        self.tables.charge::<Frame>(stacks.frames.len())?;
        let mut frames = &stacks.frames[..];
        for (&length, &cut) in stacks.lengths.iter().zip(&stacks.cuts) {
            let (own, rest) = frames.split_at_checked(length as usize).ok_or("a stack has frames that are not there")?;
            frames = rest;
            let cut = cut.checked_sub(1).map(|cut| of_code(&CUTS, cut, "cut")).transpose()?;
            self.stacks.push(Stack { frames: own.iter().map(|&frame| self.tables.frame(frame)).collect::<Parsed<_>>()?, cut });
        }
        if frames.is_empty() { Ok(()) } else { Err("there are frames of no stack".to_owned()) }
    }

    fn rows(&mut self, rows: &proto::Rows) -> Parsed<()> {
        let proto::Rows { classes, sources, reasons, stacks, starts, creators, label_sets, counts, on_cpu_ns, off_cpu_ns } = rows;
        let numbers = [classes, sources, reasons, stacks, starts, creators, label_sets].map(Vec::len);
        let n = same_length(&[&numbers[..], &[counts.len(), on_cpu_ns.len(), off_cpu_ns.len()]].concat())?;
        self.tables.charge::<Row>(n)?;
        for i in 0..n {
            self.rows.push(Row {
                class: of_code(&Class::ALL, classes[i], "state")?,
                source: of_code(&SOURCES, sources[i], "source")?,
                reason: self.tables.optional(reasons[i])?,
                stack: stacks[i],
                start: self.tables.optional(starts[i])?,
                creator: self.tables.optional(creators[i])?,
                labels: self.tables.labels(label_sets[i])?,
                count: counts[i],
                on_cpu_ns: on_cpu_ns[i],
                off_cpu_ns: off_cpu_ns[i],
            });
        }
        Ok(())
    }

    fn threads(&mut self, threads: &proto::Threads) -> Parsed<()> {
        let proto::Threads { tids, names, on_cpu_ns, waited_ns, switches } = threads;
        let n = same_length(&[tids.len(), names.len(), on_cpu_ns.len(), waited_ns.len(), switches.len()])?;
        self.tables.charge::<ThreadUse>(n)?;
        for i in 0..n {
            let name = self.tables.text(names[i])?;
            let (on_cpu_ns, waited_ns, switches) = (on_cpu_ns[i], waited_ns[i], switches[i]);
            self.threads.push(ThreadUse { tid: tids[i], name, on_cpu_ns, waited_ns, switches });
        }
        Ok(())
    }

    fn run_latency(&mut self, latency: &proto::RunLatency) -> Parsed<()> {
        let proto::RunLatency { creators, totals_ns, waits } = latency;
        let waits = waits.as_ref().ok_or("waits are missing")?;
        let n = same_length(&[creators.len(), totals_ns.len(), waits.counts.len()])?;
        self.tables.charge::<RunLatency>(n)?;
        for i in 0..n {
            let creator = self.tables.optional(creators[i])?;
            self.transitions.run_latency.push(RunLatency { creator, total_ns: totals_ns[i], waits: waits_at(waits, i)? });
        }
        Ok(())
    }

    fn blocked(&mut self, blocked: &proto::Blocked) -> Parsed<()> {
        let proto::Blocked { reasons, stacks, counts, ns } = blocked;
        let n = same_length(&[reasons.len(), stacks.len(), counts.len(), ns.len()])?;
        self.tables.charge::<Blocked>(n)?;
        for i in 0..n {
            let reason = self.tables.optional(reasons[i])?;
            self.transitions.blocked.push(Blocked { reason, stack: stacks[i], count: counts[i], ns: ns[i] });
        }
        Ok(())
    }

    fn wakes(&mut self, wakes: &proto::Wakes) -> Parsed<()> {
        let proto::Wakes { counts, ns, lengths, stacks, reasons, by, wakers } = wakes;
        let n = same_length(&[counts.len(), ns.len(), lengths.len()])?;
        let hops = same_length(&[stacks.len(), reasons.len(), by.len(), wakers.len()])?;
        self.tables.charge::<WakePath>(n)?;
        self.tables.charge::<Hop>(hops)?;
        let mut next = 0..hops;
        for i in 0..n {
            let own: Vec<usize> = next.by_ref().take(lengths[i] as usize).collect();
            same_length(&[own.len(), lengths[i] as usize])?;
            let hop = |i: usize| {
                let by = match by[i] {
                    0 => Waker::Goroutine(wakers[i]),
                    1 => Waker::Network,
                    2 => Waker::Timer,
                    3 => Waker::Scheduler,
                    other => return Err(format!("{other} is no waker")),
                };
                Ok(Hop { stack: stacks[i], reason: self.tables.optional(reasons[i])?, by })
            };
            let hops = own.into_iter().map(hop).collect::<Parsed<_>>()?;
            self.transitions.wakes.push(WakePath { hops, count: counts[i], ns: ns[i] });
        }
        if next.is_empty() { Ok(()) } else { Err("there are hops of no wake".to_owned()) }
    }

    fn present(&mut self, present: &proto::Present) -> Parsed<()> {
        let proto::Present { goids, states, reasons, stacks } = present;
        let n = same_length(&[goids.len(), states.len(), reasons.len(), stacks.len()])?;
        self.tables.charge::<Present>(n)?;
        for i in 0..n {
            self.goid = self.goid.wrapping_add_signed(goids[i]);
            let (state, reason) = (of_code(&Class::ALL, states[i], "state")?, self.tables.optional(reasons[i])?);
            self.timeline.present.push(Present { goid: self.goid, state, reason, stack: stacks[i] });
        }
        Ok(())
    }

    fn moments(&mut self, moments: &proto::Moments) -> Parsed<()> {
        let proto::Moments { times, cpus, tids, ps, goids, by_goids, go_pcs, stacks, whats, reasons } = moments;
        let long = [goids, go_pcs, stacks].map(Vec::len);
        let short = [cpus, tids, whats, reasons].map(Vec::len);
        let n = same_length(&[&[times.len(), ps.len(), by_goids.len()][..], &long, &short].concat())?;
        self.tables.charge::<Moment>(n)?;
        for i in 0..n {
            self.time = self.time.wrapping_add_signed(times[i]);
            let reason = self.tables.optional(reasons[i])?;
            let stack = stacks[i].checked_sub(1).map(u32::try_from).transpose().map_err(|_| "a moment's stack is none")?;
            self.timeline.moments.push(Moment {
                time_ns: self.time,
                cpu: cpus[i],
                tid: tids[i],
                p: ps[i],
                goid: goids[i],
                by_goid: goids[i].wrapping_add_signed(by_goids[i]),
                go_pc: go_pcs[i],
                stack,
                what: what_of(whats[i], reason)?,
            });
        }
        Ok(())
    }
}

fn what_of(code: u32, reason: Option<Arc<str>>) -> Parsed<What> {
    Ok(match code {
        what::SAMPLE => What::Sample,
        what::OUT => What::Out(false),
        what::OUT_PREEMPTED => What::Out(true),
        what::IN => What::In,
        what::RUNNABLE => What::Runnable,
        what::NETWORK_READY => What::NetworkReady,
        what::YIELD => What::Yield,
        what::RUN => What::Run,
        what::PARK => What::Park(reason),
        what::DEAD => What::Dead,
        what::STW_BEGIN => What::StwBegin(reason),
        what::STW_END => What::StwEnd,
        what::GC_BEGIN => What::GcBegin,
        what::GC_END => What::GcEnd,
        what::ASSIST_BEGIN => What::AssistBegin,
        what::GAP => What::Gap,
        other => return Err(format!("{other} is no moment")),
    })
}

fn one(waits: Option<proto::Waits>) -> Parsed<Option<Waits>> {
    waits.map(|waits| waits_at(&waits, 0)).transpose()
}

fn waits_at(waits: &proto::Waits, i: usize) -> Parsed<Waits> {
    let bound = |n: usize| {
        let n = 4 * i + n;
        let high_ns = at(&waits.has_highs, n)?.then(|| at(&waits.highs, n)).transpose()?;
        Ok::<_, String>(Bound { low_ns: at(&waits.lows, n)?, high_ns })
    };
    let source = of_code(&Waits::SOURCES, at(&waits.sources, i)?, "source of waits")?;
    Ok(Waits { count: at(&waits.counts, i)?, p50: bound(0)?, p90: bound(1)?, p99: bound(2)?, max: bound(3)?, source })
}

fn counters_of(counters: &proto::Counters, tables: &mut Tables) -> Parsed<Counters> {
    let pauses = same_length(&[counters.pause_ends.len(), counters.pauses.len()])?;
    let lengths = [counters.p_ids.len(), counters.p_dispatches.len(), counters.p_syscalls.len()];
    let ps = same_length(&[&lengths[..], &[counters.p_queue_means.len(), counters.p_queue_maxima.len()]].concat())?;
    tables.charge::<GcPause>(pauses)?;
    tables.charge::<PUse>(ps)?;
    let p = |i: usize| PUse {
        id: counters.p_ids[i],
        dispatches: counters.p_dispatches[i],
        syscalls: counters.p_syscalls[i],
        queue_mean: counters.p_queue_means[i],
        queue_max: counters.p_queue_maxima[i],
    };
    Ok(Counters {
        gomaxprocs: counters.gomaxprocs,
        dispatches: counters.dispatches,
        syscalls: counters.syscalls,
        created: counters.created,
        gc_cycles: counters.gc_cycles,
        gc_pauses: (0..pauses).map(|i| GcPause { end_unix_ns: counters.pause_ends[i], pause_ns: counters.pauses[i] }).collect(),
        ps: (0..ps).map(p).collect(),
        idle_ps: counters.idle_ps,
        spinning_ms: counters.spinning_ms,
        global_queue: counters.global_queue,
        throttled: counters.throttled.map(|throttled| Throttled {
            periods: throttled.periods,
            throttled_periods: throttled.throttled_periods,
            throttled_ns: throttled.throttled_ns,
        }),
    })
}

fn cost_of(cost: proto::Cost, tables: &mut Tables) -> Parsed<Cost> {
    let proto::Cost { plan, probes_ns, target_cpu_ns, own_cpu_ns, attach_ns, detach_ns } = cost;
    let plan = plan.map(|plan| plan_of(&plan, tables)).transpose()?;
    Ok(Cost { plan, probes_ns, target_cpu_ns, own_cpu_ns, attach_ns, detach_ns })
}

fn plan_of(plan: &proto::Plan, tables: &mut Tables) -> Parsed<Plan> {
    let n = same_length(&[plan.whats.len(), plan.payers.len(), plan.per_second.len(), plan.ns_each.len()])?;
    tables.charge::<Item>(n)?;
    let mut items = Vec::with_capacity(n);
    for i in 0..n {
        items.push(Item {
            what: tables.text(plan.whats[i])?.into(),
            payer: of_code(&PAYERS, plan.payers[i], "payer")?,
            per_second: plan.per_second[i],
            ns_each: plan.ns_each[i],
        });
    }
    Ok(Plan { tier: of_code(&Tier::ALL, plan.tier, "tier")?, hz: plan.hz, switch_stacks: plan.switch_stacks, items })
}

fn quality_of(quality: proto::Quality, tables: &mut Tables) -> Parsed<Quality> {
    let proto::Quality { cpus, sent, received, lost, malformed, warnings, .. } = &quality;
    let n = same_length(&[cpus.len(), sent.len(), received.len(), lost.len(), malformed.len()])?;
    tables.charge::<Loss>(n)?;
    tables.charge::<String>(warnings.len())?;
    let loss = |i: usize| Loss { cpu: cpus[i], sent: sent[i], received: received[i], lost: lost[i], malformed: malformed[i] };
    Ok(Quality {
        losses: (0..n).map(loss).collect(),
        late: quality.late,
        not_followed: quality.not_followed,
        truncated_stacks: quality.truncated_stacks,
        unresolved_frames: quality.unresolved_frames,
        walks: quality.walks,
        torn: quality.torn,
        skipped: quality.skipped,
        not_resident: quality.not_resident,
        layout: tables.text(quality.layout)?,
        warnings: warnings.iter().map(|&warning| tables.text(warning)).collect::<Parsed<_>>()?,
    })
}

/// Whoever adds up what is in a window never gets more than a number can hold: it would be no time of this universe.
fn window_adds_up(window: &Window) -> Parsed<()> {
    let mut sums = [0u128; 8];
    for row in &window.rows {
        sums[0] += u128::from(row.on_cpu_ns) + u128::from(row.off_cpu_ns);
        sums[1] += u128::from(row.count);
    }
    for thread in &window.threads {
        sums[2] += u128::from(thread.on_cpu_ns) + u128::from(thread.waited_ns);
    }
    for loss in &window.quality.losses {
        sums[3] += u128::from(loss.sent) + u128::from(loss.received) + u128::from(loss.lost) + u128::from(loss.malformed);
    }
    for blocked in window.transitions.iter().flat_map(|transitions| &transitions.blocked) {
        sums[4] += u128::from(blocked.ns);
    }
    sums[5] = u128::from(window.alive_ns) + sums[0];
    sums[6] = u128::from(window.samples);
    sums[7] = u128::from(window.length_ns);
    if sums.iter().any(|&sum| sum > i64::MAX as u128) { Err("its times and counts are too large".to_owned()) } else { Ok(()) }
}
