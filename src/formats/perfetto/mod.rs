//! Traces for Perfetto: a stream of protocol buffers that ui.perfetto.dev and trace_processor read (github.com/google/perfetto,
//! protos/perfetto/trace).
//!
//! All of a file is one packet sequence. Times are nanoseconds of CLOCK_MONOTONIC; none of a track goes back. Names, arguments and stacks
//! are written once each and then referred to. When they become many, or after a gap, the sequence starts anew without them, so that the
//! writer's memory is bounded by the number of tracks.

mod intern;
pub mod proto;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use super::pprof::Place;
use intern::Interned;
use proto::{
    Clock, ClockSnapshot, CounterDescriptor, DebugAnnotation, ProcessDescriptor, ThreadDescriptor, TracePacket, TrackDescriptor, TrackEvent,
};

/// Any but 0, which is no sequence.
const SEQUENCE: u32 = 1;
/// Interned names, frames and stacks that are kept at most; some 100 bytes each.
const MAX_INTERNED: usize = 1 << 17;

/// One moment on the clocks of the machine, in ns; what is not known is None.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    pub monotonic: u64,
    pub boottime: Option<u64>,
    /// Since 1970.
    pub realtime: Option<u64>,
}

/// A track for slices and instants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TrackId(usize);

/// A track for values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CounterId(usize);

/// An arrow between slices: it leaves from each that has it in `flows`, and ends in the one that has it in `flow_ends`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowId(u64);

/// Of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Nanoseconds,
    Count,
    Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arg<'a> {
    Text(&'a str),
    Int(i64),
    Uint(u64),
    Bool(bool),
}

/// Of a slice or an instant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Details<'a> {
    pub args: &'a [(&'a str, Arg<'a>)],
    /// Innermost frame first; empty when there is none.
    pub stack: &'a [Place<'a>],
    pub flows: &'a [FlowId],
    pub flow_ends: &'a [FlowId],
}

/// Slices that did not come in pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unpaired {
    /// Ends without a begin, left out.
    pub ends: u64,
    /// Slices that were ended by a gap or by the end of the trace.
    pub begins: u64,
}

#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    /// Of the packet at hand.
    encoded: Vec<u8>,
    tracks: Vec<Track>,
    interned: Interned,
    max_interned: usize,
    /// The next packet starts the sequence anew; if packets before it were lost, it says so.
    clear: bool,
    lost: bool,
    flows: u64,
    unpaired: Unpaired,
}

/// Its uuid is one more than its index.
#[derive(Debug, Default)]
struct Track {
    children: i32,
    open: u32,
    last: u64,
}

impl<W: Write> Writer<W> {
    pub fn new(out: W, clocks: Clocks) -> io::Result<Self> {
        Self::with_limit(out, clocks, MAX_INTERNED)
    }

    fn with_limit(out: W, clocks: Clocks, max_interned: usize) -> io::Result<Self> {
        let mut writer = Writer {
            out,
            encoded: Vec::new(),
            tracks: Vec::new(),
            interned: Interned::default(),
            max_interned,
            clear: true,
            lost: false,
            flows: 0,
            unpaired: Unpaired::default(),
        };
        writer.clocks(clocks)?;
        Ok(writer)
    }

    /// Says how the clocks stand to each other; again now and then, as they drift.
    pub fn clocks(&mut self, clocks: Clocks) -> io::Result<()> {
        let all = [
            (proto::CLOCK_MONOTONIC, Some(clocks.monotonic)),
            (proto::CLOCK_BOOTTIME, clocks.boottime),
            (proto::CLOCK_REALTIME, clocks.realtime),
        ];
        let known = all.into_iter().filter(|(_, timestamp)| timestamp.is_some());
        let clocks = known.map(|(id, timestamp)| Clock { clock_id: Some(id), timestamp }).collect();
        // Without a primary clock a reader converts all times to BOOTTIME.
        let snapshot = ClockSnapshot { clocks, primary_trace_clock: Some(proto::CLOCK_MONOTONIC) };
        let packet = self.packet();
        self.write(TracePacket { clock_snapshot: Some(snapshot), ..packet })
    }

    pub fn process(&mut self, pid: u32, name: &str) -> io::Result<TrackId> {
        let process = ProcessDescriptor { pid: Some(pid.cast_signed()), process_name: Some(name.to_owned()) };
        self.declare(None, TrackDescriptor { process: Some(process), ..TrackDescriptor::default() }).map(TrackId)
    }

    /// A thread of a process; both by the kernel's numbers.
    pub fn thread(&mut self, process: TrackId, pid: u32, tid: u32, name: &str) -> io::Result<TrackId> {
        let thread = ThreadDescriptor { pid: Some(pid.cast_signed()), tid: Some(i64::from(tid)), thread_name: Some(name.to_owned()) };
        self.declare(Some(process), TrackDescriptor { thread: Some(thread), ..TrackDescriptor::default() }).map(TrackId)
    }

    /// A track of any kind, or one that only holds others. Siblings are shown in the order of these calls.
    pub fn track(&mut self, parent: Option<TrackId>, name: &str) -> io::Result<TrackId> {
        let descriptor = TrackDescriptor {
            name: Some(name.to_owned()),
            sibling_merge_behavior: Some(proto::SIBLING_MERGE_BEHAVIOR_NONE),
            ..TrackDescriptor::default()
        };
        self.declare(parent, descriptor).map(TrackId)
    }

    pub fn counter(&mut self, parent: Option<TrackId>, name: &str, unit: Unit) -> io::Result<CounterId> {
        let unit = match unit {
            Unit::Nanoseconds => 1,
            Unit::Count => 2,
            Unit::Bytes => 3,
        };
        let descriptor = TrackDescriptor {
            name: Some(name.to_owned()),
            counter: Some(CounterDescriptor { unit: Some(unit) }),
            sibling_merge_behavior: Some(proto::SIBLING_MERGE_BEHAVIOR_NONE),
            ..TrackDescriptor::default()
        };
        self.declare(parent, descriptor).map(CounterId)
    }

    pub fn flow(&mut self) -> FlowId {
        self.flows += 1;
        FlowId(self.flows)
    }

    /// Slices of one track nest.
    pub fn begin(&mut self, track: TrackId, time: u64, name: &str, details: &Details<'_>) -> io::Result<()> {
        self.event(track, time, proto::SLICE_BEGIN, name, details)?;
        if let Some(track) = self.tracks.get_mut(track.0) {
            track.open += 1;
        }
        Ok(())
    }

    /// Of the slice that began last.
    pub fn end(&mut self, track: TrackId, time: u64) -> io::Result<()> {
        match self.tracks.get_mut(track.0) {
            Some(Track { open, .. }) if *open > 0 => *open -= 1,
            _ => {
                self.unpaired.ends += 1;
                return Ok(());
            }
        }
        let event = TrackEvent { r#type: Some(proto::SLICE_END), ..TrackEvent::default() };
        let packet = self.packet();
        self.write_on(track.0, time, event, packet)
    }

    pub fn instant(&mut self, track: TrackId, time: u64, name: &str, details: &Details<'_>) -> io::Result<()> {
        self.event(track, time, proto::INSTANT, name, details)
    }

    pub fn value(&mut self, counter: CounterId, time: u64, value: i64) -> io::Result<()> {
        let event = TrackEvent { r#type: Some(proto::COUNTER), counter_value: Some(value), ..TrackEvent::default() };
        let packet = self.packet();
        self.write_on(counter.0, time, event, packet)
    }

    /// Events were lost before `time`. Slices that are open end there, since their ends may be among them.
    pub fn gap(&mut self, time: u64) -> io::Result<()> {
        self.end_all(time)?;
        (self.clear, self.lost) = (true, true);
        Ok(())
    }

    /// Slices that are open end at `time`.
    pub fn finish(mut self, time: u64) -> io::Result<Unpaired> {
        self.end_all(time)?;
        self.out.flush()?;
        Ok(self.unpaired)
    }

    fn end_all(&mut self, time: u64) -> io::Result<()> {
        for index in 0..self.tracks.len() {
            while self.tracks.get(index).is_some_and(|track| track.open > 0) {
                self.end(TrackId(index), time)?;
                self.unpaired.begins += 1;
            }
        }
        Ok(())
    }

    fn declare(&mut self, parent: Option<TrackId>, descriptor: TrackDescriptor) -> io::Result<usize> {
        let index = self.tracks.len();
        self.tracks.push(Track::default());
        let rank = parent.and_then(|parent| self.tracks.get_mut(parent.0)).map(|parent| {
            parent.children = parent.children.saturating_add(1);
            parent.children
        });
        let descriptor = TrackDescriptor {
            uuid: Some(uuid(index)),
            // A thread belongs to its process by the pid.
            parent_uuid: parent.filter(|_| descriptor.thread.is_none()).map(|parent| uuid(parent.0)),
            child_ordering: Some(proto::CHILD_ORDERING_EXPLICIT),
            sibling_order_rank: rank,
            ..descriptor
        };
        let packet = self.packet();
        self.write(TracePacket { track_descriptor: Some(descriptor), ..packet })?;
        Ok(index)
    }

    fn event(&mut self, track: TrackId, time: u64, kind: i32, name: &str, details: &Details<'_>) -> io::Result<()> {
        let packet = self.packet();
        let interned = &mut self.interned;
        let event = TrackEvent {
            r#type: Some(kind),
            name_iid: Some(interned.name(name)),
            debug_annotations: details.args.iter().map(|(name, value)| annotation(interned, name, value)).collect(),
            flow_ids: details.flows.iter().map(|flow| flow.0).collect(),
            terminating_flow_ids: details.flow_ends.iter().map(|flow| flow.0).collect(),
            callstack_iid: (!details.stack.is_empty()).then(|| interned.stack(details.stack)),
            ..TrackEvent::default()
        };
        let sequence_flags = packet.sequence_flags.map(|flags| flags | proto::NEEDS_INCREMENTAL_STATE);
        self.write_on(track.0, time, event, TracePacket { sequence_flags, ..packet })
    }

    fn write_on(&mut self, index: usize, time: u64, event: TrackEvent, packet: TracePacket) -> io::Result<()> {
        let time = self.tracks.get_mut(index).map(|track| {
            track.last = track.last.max(time);
            track.last
        });
        self.write(TracePacket {
            timestamp: time,
            timestamp_clock_id: Some(proto::CLOCK_MONOTONIC),
            track_event: Some(TrackEvent { track_uuid: Some(uuid(index)), ..event }),
            ..packet
        })
    }

    /// The next packet, before anything is interned for it.
    fn packet(&mut self) -> TracePacket {
        let clear = std::mem::take(&mut self.clear) || self.interned.len() >= self.max_interned;
        if clear {
            self.interned = Interned::default();
        }
        TracePacket {
            trusted_packet_sequence_id: Some(SEQUENCE),
            sequence_flags: Some(if clear { proto::INCREMENTAL_STATE_CLEARED } else { 0 }),
            previous_packet_dropped: std::mem::take(&mut self.lost).then_some(1),
            ..TracePacket::default()
        }
    }

    fn write(&mut self, packet: TracePacket) -> io::Result<()> {
        let packet = TracePacket { interned_data: self.interned.take_new(), ..packet };
        self.encoded.clear();
        // Field 1 of the message Trace.
        prost::encoding::message::encode(1, &packet, &mut self.encoded);
        self.out.write_all(&self.encoded)
    }
}

/// 0 is a reader's own track.
fn uuid(index: usize) -> u64 {
    index as u64 + 1
}

fn annotation(interned: &mut Interned, name: &str, value: &Arg<'_>) -> DebugAnnotation {
    let mut annotation = DebugAnnotation { name_iid: Some(interned.arg_name(name)), ..DebugAnnotation::default() };
    match *value {
        Arg::Text(text) => annotation.string_value_iid = Some(interned.arg_value(text)),
        Arg::Int(value) => annotation.int_value = Some(value),
        Arg::Uint(value) => annotation.uint_value = Some(value),
        Arg::Bool(value) => annotation.bool_value = Some(value),
    }
    annotation
}
