//! From the bytes of a recording to its window. They may be anybody's: nothing is believed, and memory is counted before it is taken.

mod armed;
mod head;
mod tables;

use std::fmt;
use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use flate2::bufread::ZlibDecoder;
use prost::Message;

use super::proto::{self, Piece};
use super::{CUTS, LARGEST_PIECE, LARGEST_WINDOW, MAGIC, SOURCES, VERSION, what};
use crate::sched::model::{
    Blocked, Bound, Class, Frame, Hop, Moment, Present, Row, RunLatency, Stack, ThreadUse, Tier, Timeline, Transitions, Waits, WakePath,
    Waker, What, Window,
};
use head::{batches_of, cost_of, counters_of, quality_of, target_of, window_adds_up};
use tables::{Tables, at, of_code, same_length};

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
pub fn read_pieces(stream: impl Read) -> Result<Window, Unreadable> {
    read_within(LARGEST_WINDOW, stream)
}

/// The window takes at most so many bytes of memory.
fn read_within(largest: u64, mut stream: impl Read) -> Result<Window, Unreadable> {
    let mut reader = Reader::new(largest);
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

impl Reader {
    fn new(largest: u64) -> Self {
        Reader {
            tables: Tables::new(largest),
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
            runnable_ns,
            timeline,
            stops,
            trigger,
            before,
            batches,
        } = head;
        // RFC 3339 has four digits for a year.
        let seconds = u64::try_from(seconds).ok().filter(|&seconds| seconds < 253_402_300_800).ok_or("its date is none")?;
        let after = Duration::new(seconds, nanoseconds.min(999_999_999));
        let window = Window {
            captured_at: UNIX_EPOCH.checked_add(after).ok_or("its date is none")?,
            target: target_of(&target.unwrap_or_default(), &mut self.tables)?,
            length_ns,
            tier: of_code(&Tier::ALL, tier, "tier")?,
            rows: self.rows,
            stacks: self.stacks,
            alive_ns,
            batches: batches_of(&batches.unwrap_or_default(), &mut self.tables)?,
            threads: self.threads,
            run_queue: one(run_queue)?,
            cpu_queue: one(cpu_queue)?,
            counters: counters_of(&counters.unwrap_or_default(), &mut self.tables)?,
            transitions: unpaired.map(|unpaired| Transitions { unpaired, runnable_ns, ..self.transitions }),
            timeline: timeline.map(|timeline| Timeline {
                clock: (timeline.monotonic_ns, timeline.realtime_ns),
                dropped: timeline.dropped,
                ..self.timeline
            }),
            stops: stops.map(|stops| armed::stops_of(&stops, &mut self.tables)).transpose()?,
            trigger: trigger.map(|trigger| armed::trigger_of(&trigger, &mut self.tables)).transpose()?,
            before: armed::before_of(&before.unwrap_or_default(), &mut self.tables)?,
            samples,
            cost: cost_of(cost.unwrap_or_default(), &mut self.tables)?,
            quality: quality_of(quality.unwrap_or_default(), &mut self.tables)?,
        };
        window_adds_up(&window)?;
        Ok(window)
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
        let proto::RunLatency { creators, totals_ns, waits, files, lines } = latency;
        let waits = waits.as_ref().ok_or("waits are missing")?;
        let n = same_length(&[creators.len(), totals_ns.len(), waits.counts.len()])?;
        self.tables.charge::<RunLatency>(n)?;
        for i in 0..n {
            let creator = self.tables.optional(creators[i])?;
            let file = files.get(i).map_or(Ok(None), |&file| self.tables.optional(file))?;
            let place = file.zip(lines.get(i).copied());
            self.transitions.run_latency.push(RunLatency { creator, place, total_ns: totals_ns[i], waits: waits_at(waits, i)? });
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A small file can unpack into a very large one.
    #[test]
    fn memory_is_counted_before_it_is_taken() {
        const LARGEST: u64 = 1 << 20;
        let zeros = |n: usize| vec![0; n];
        let empty_stacks = proto::Stacks { lengths: zeros(50_000), frames: Vec::new(), cuts: zeros(50_000) };
        let empty_strings = proto::Strings { lengths: zeros(50_000), text: String::new() };
        let empty_sets = proto::LabelSets { lengths: zeros(50_000), keys: Vec::new(), values: Vec::new() };
        for piece in [
            Piece { stacks: Some(empty_stacks), ..Piece::default() },
            Piece { strings: Some(empty_strings), ..Piece::default() },
            Piece { label_sets: Some(empty_sets), ..Piece::default() },
        ] {
            let bytes = piece.encode_length_delimited_to_vec();
            let error = read_within(LARGEST, &bytes[..]).unwrap_err().to_string();
            assert_eq!(error, "is a damaged recording: it holds more than a window can");
        }
    }

    #[test]
    fn a_long_text_is_not_copied_as_often_as_anybody_likes() {
        let strings = proto::Strings { lengths: vec![1000], text: "x".repeat(1000) };
        let threads = proto::Threads {
            tids: vec![1; 2000],
            names: vec![1; 2000],
            on_cpu_ns: vec![0; 2000],
            waited_ns: vec![0; 2000],
            switches: vec![0; 2000],
        };
        let piece = Piece { strings: Some(strings), threads: Some(threads), ..Piece::default() };
        let bytes = piece.encode_length_delimited_to_vec();
        assert!(matches!(read_within(1 << 20, &bytes[..]), Err(Unreadable::Corrupt(_))));
    }

    #[test]
    fn a_part_that_says_it_is_huge_is_refused_before_it_is_read() {
        let mut bytes = Vec::new();
        prost::encoding::encode_varint(LARGEST_PIECE as u64 + 1, &mut bytes);
        let error = read_pieces(&bytes[..]).unwrap_err().to_string();
        assert_eq!(error, "is a damaged recording: one of its parts is longer than any can be");
    }
}
