use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;

use super::proto::{InternedName, InternedString, Trace};
use super::*;

const CLOCKS: Clocks = Clocks { monotonic: 1000, boottime: Some(5000), realtime: Some(1 << 60) };

/// What a reader makes of a trace: all that happened on a track, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Read {
    name: String,
    parent: Option<u64>,
    events: Vec<(u64, Happened)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Happened {
    Begin(What),
    End,
    Instant(What),
    Value(i64),
}

/// A name, arguments and the frames of a stack, outermost first, with flows that start and end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct What {
    name: String,
    args: Vec<(String, String)>,
    stack: Vec<String>,
    flows: Vec<u64>,
    flow_ends: Vec<u64>,
}

/// Names by number, since the state was cleared last.
#[derive(Default)]
struct Names {
    names: BTreeMap<u64, String>,
    arg_names: BTreeMap<u64, String>,
    arg_values: BTreeMap<u64, String>,
    functions: BTreeMap<u64, String>,
    files: BTreeMap<u64, String>,
    frames: BTreeMap<u64, String>,
    stacks: BTreeMap<u64, Vec<String>>,
}

impl Names {
    /// A number is given once, is not 0, and so is what it stands for.
    fn learn(&mut self, data: &proto::InternedData) -> Result<(), String> {
        fn put<T: PartialEq>(table: &mut BTreeMap<u64, T>, iid: Option<u64>, value: T) -> Result<(), String> {
            let iid = iid.filter(|&iid| iid != 0).ok_or("an entry without number")?;
            if table.values().any(|other| *other == value) {
                return Err(format!("entry {iid} is there twice"));
            }
            table.insert(iid, value).map_or(Ok(()), |_| Err(format!("number {iid} is given twice")))
        }
        let name = |entry: &InternedName| entry.name.clone().ok_or("an entry without name");
        let string = |entry: &InternedString| entry.str.clone().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or("no string");
        for entry in &data.event_names {
            put(&mut self.names, entry.iid, name(entry)?)?;
        }
        for entry in &data.debug_annotation_names {
            put(&mut self.arg_names, entry.iid, name(entry)?)?;
        }
        for entry in &data.debug_annotation_string_values {
            put(&mut self.arg_values, entry.iid, string(entry)?)?;
        }
        for entry in &data.function_names {
            put(&mut self.functions, entry.iid, string(entry)?)?;
        }
        for entry in &data.source_paths {
            put(&mut self.files, entry.iid, string(entry)?)?;
        }
        for frame in &data.frames {
            let function = find(&self.functions, frame.function_name_id)?;
            let file = frame.source_path_iid.map_or(Ok(String::new()), |iid| find(&self.files, Some(iid)))?;
            put(&mut self.frames, frame.iid, format!("{function} {file}:{}", frame.line_number.unwrap_or(0)))?;
        }
        for stack in &data.callstacks {
            let frames = stack.frame_ids.iter().map(|&iid| find(&self.frames, Some(iid))).collect::<Result<Vec<_>, _>>()?;
            put(&mut self.stacks, stack.iid, frames)?;
        }
        Ok(())
    }
}

fn find<T: Clone>(table: &BTreeMap<u64, T>, iid: Option<u64>) -> Result<T, String> {
    let iid = iid.ok_or("no number")?;
    table.get(&iid).cloned().ok_or(format!("number {iid} stands for nothing"))
}

/// Checks every rule of the format that a reader relies on. With how often the state was cleared, and packets said to be lost.
fn read(bytes: &[u8]) -> Result<(BTreeMap<u64, Read>, u32, u32), String> {
    let trace = Trace::decode(bytes).map_err(|error| error.to_string())?;
    let clock = trace.packet.first().and_then(|packet| packet.clock_snapshot.as_ref()).ok_or("no clocks come first")?;
    if clock.primary_trace_clock != Some(3) || !clock.clocks.iter().any(|clock| clock.clock_id == Some(3)) {
        return Err("the clock of the trace is not CLOCK_MONOTONIC".to_owned());
    }
    let (mut tracks, mut counters) = (BTreeMap::<u64, Read>::new(), Vec::new());
    let (mut names, mut cleared, mut lost) = (Names::default(), 0, 0);
    for packet in &trace.packet {
        if packet.trusted_packet_sequence_id.is_none_or(|sequence| sequence == 0) {
            return Err("a packet without sequence".to_owned());
        }
        let flags = packet.sequence_flags.unwrap_or(0);
        if flags & proto::INCREMENTAL_STATE_CLEARED != 0 {
            names = Names::default();
            cleared += 1;
        } else if cleared == 0 {
            return Err("the sequence does not start cleared".to_owned());
        }
        if packet.previous_packet_dropped.is_some() {
            lost += 1;
            if flags & proto::INCREMENTAL_STATE_CLEARED == 0 {
                return Err("a loss without a new start".to_owned());
            }
        }
        if let Some(data) = &packet.interned_data {
            names.learn(data)?;
        }
        if let Some(track) = &packet.track_descriptor {
            let uuid = track.uuid.filter(|&uuid| uuid != 0).ok_or("a track without uuid")?;
            if track.parent_uuid.is_some_and(|parent| !tracks.contains_key(&parent)) {
                return Err("a parent that was not declared".to_owned());
            }
            let of_process = track.process.as_ref().and_then(|process| process.process_name.clone());
            let of_thread = track.thread.as_ref().and_then(|thread| thread.thread_name.clone());
            let name = track.name.clone().or(of_process).or(of_thread).ok_or("a track without name")?;
            if track.counter.is_some() {
                counters.push(uuid);
            }
            if tracks.insert(uuid, Read { name, parent: track.parent_uuid, events: Vec::new() }).is_some() {
                return Err("a uuid that was declared twice".to_owned());
            }
        }
        let Some(event) = &packet.track_event else { continue };
        let uuid = event.track_uuid.ok_or("an event without track")?;
        let track = tracks.get_mut(&uuid).ok_or("a track that was not declared")?;
        if packet.timestamp_clock_id != Some(3) {
            return Err("a time of another clock".to_owned());
        }
        let time = packet.timestamp.ok_or("an event without time")?;
        let what = || -> Result<What, String> {
            if flags & proto::NEEDS_INCREMENTAL_STATE == 0 {
                return Err("names are used without saying so".to_owned());
            }
            let args = event.debug_annotations.iter().map(|arg| {
                let texts = [
                    arg.bool_value.map(|value| value.to_string()),
                    arg.uint_value.map(|value| value.to_string()),
                    arg.int_value.map(|value| value.to_string()),
                    arg.string_value_iid.map(|iid| find(&names.arg_values, Some(iid))).transpose()?,
                ];
                let mut texts = texts.into_iter().flatten();
                match (texts.next(), texts.next()) {
                    (Some(text), None) => Ok((find(&names.arg_names, arg.name_iid)?, text)),
                    _ => Err("an argument without one value".to_owned()),
                }
            });
            Ok(What {
                name: find(&names.names, event.name_iid)?,
                args: args.collect::<Result<_, String>>()?,
                stack: event.callstack_iid.map_or(Ok(Vec::new()), |iid| find(&names.stacks, Some(iid)))?,
                flows: event.flow_ids.clone(),
                flow_ends: event.terminating_flow_ids.clone(),
            })
        };
        let happened = match event.r#type {
            Some(proto::SLICE_BEGIN) => Happened::Begin(what()?),
            Some(proto::SLICE_END) => Happened::End,
            Some(proto::INSTANT) => Happened::Instant(what()?),
            Some(proto::COUNTER) => Happened::Value(event.counter_value.ok_or("a counter without value")?),
            other => return Err(format!("an event of type {other:?}")),
        };
        if matches!(happened, Happened::Value(_)) != counters.contains(&uuid) {
            return Err("values stand on counters, and nothing else does".to_owned());
        }
        track.events.push((time, happened));
    }
    for track in tracks.values() {
        let mut open = 0u32;
        for (_, happened) in &track.events {
            match happened {
                Happened::Begin(_) => open += 1,
                Happened::End => open = open.checked_sub(1).ok_or("an end without begin")?,
                Happened::Instant(_) | Happened::Value(_) => {}
            }
        }
        if open > 0 || !track.events.is_sorted_by_key(|(time, _)| *time) {
            return Err(format!("slices of {} are open or out of order", track.name));
        }
    }
    Ok((tracks, cleared, lost))
}

#[derive(Debug, Clone)]
enum Step {
    Track(u8),
    Counter(u8),
    Begin(u8, u8),
    End(u8),
    Instant(u8, u8),
    Value(u8, i64),
    Clocks,
    Gap,
}

fn steps() -> impl Strategy<Value = Vec<(Step, u64)>> {
    let step = prop_oneof![
        1 => any::<u8>().prop_map(Step::Track),
        1 => any::<u8>().prop_map(Step::Counter),
        4 => any::<(u8, u8)>().prop_map(|(track, what)| Step::Begin(track, what)),
        4 => any::<u8>().prop_map(Step::End),
        2 => any::<(u8, u8)>().prop_map(|(track, what)| Step::Instant(track, what)),
        2 => any::<(u8, i64)>().prop_map(|(track, value)| Step::Value(track, value)),
        1 => Just(Step::Clocks),
        1 => Just(Step::Gap),
    ];
    vec((step, 0..100u64), 0..60)
}

const PLACES: [Place<'static>; 3] = [
    Place { function: "main.leaf", file: "a.go", line: 3 },
    Place { function: "main.mid", file: "", line: 0 },
    Place { function: "main.main", file: "b.go", line: 70_000 },
];

/// Fit for any number: with and without each part.
fn details(number: u8) -> (String, Vec<(&'static str, Arg<'static>)>, &'static [Place<'static>]) {
    let args = [("reason", Arg::Text("sync")), ("bytes", Arg::Uint(u64::MAX)), ("delta", Arg::Int(-3)), ("ok", Arg::Bool(false))];
    let stack = &PLACES[usize::from(number % 3)..][..usize::from(number % 2)];
    let stack = if number.is_multiple_of(5) { &PLACES[..] } else { stack };
    (format!("slice {}", number % 9), args[usize::from(number % 4)..].to_vec(), stack)
}

fn expected(number: u8, flows: &[FlowId], flow_ends: &[FlowId]) -> What {
    let (name, args, stack) = details(number);
    let text = |arg: &Arg<'_>| match arg {
        Arg::Text(text) => (*text).to_owned(),
        Arg::Int(value) => value.to_string(),
        Arg::Uint(value) => value.to_string(),
        Arg::Bool(value) => value.to_string(),
    };
    What {
        name,
        args: args.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect(),
        stack: stack.iter().rev().map(|place| format!("{} {}:{}", place.function, place.file, place.line)).collect(),
        flows: flows.iter().map(|flow| flow.0).collect(),
        flow_ends: flow_ends.iter().map(|flow| flow.0).collect(),
    }
}

proptest! {
    #[test]
    fn any_steps_make_a_trace_that_keeps_all_rules_and_says_the_same(steps in steps(), limit in 1..40usize) {
        let mut out = Vec::new();
        let mut writer = Writer::with_limit(&mut out, CLOCKS, limit).unwrap();
        let process = writer.process(7, "app").unwrap();
        let (mut tracks, mut counters) = (vec![process], Vec::new());
        let mut model: BTreeMap<u64, Read> = BTreeMap::from([(1, Read { name: "app".to_owned(), ..Read::default() })]);
        let mut open: Vec<TrackId> = Vec::new();
        let (mut now, mut gaps, mut unpaired) = (0, 0, Unpaired::default());
        let mut flows: Vec<FlowId> = Vec::new();
        let end_all = |model: &mut BTreeMap<u64, Read>, open: &mut Vec<TrackId>, now: u64| {
            for track in open.drain(..) {
                model.get_mut(&uuid(track.0)).unwrap().events.push((now, Happened::End));
            }
        };
        for (step, wait) in &steps {
            now += wait;
            let pick = |number: u8| tracks[usize::from(number) % tracks.len()];
            match *step {
                Step::Track(number) => {
                    let parent = number.is_multiple_of(2).then(|| pick(number));
                    let name = format!("track {number}");
                    let track = match parent {
                        Some(parent) if number.is_multiple_of(4) => writer.thread(parent, 7, u32::from(number), &name).unwrap(),
                        _ => writer.track(parent, &name).unwrap(),
                    };
                    let parent = parent.filter(|_| !number.is_multiple_of(4)).map(|parent| uuid(parent.0));
                    model.insert(uuid(track.0), Read { name, parent, events: Vec::new() });
                    tracks.push(track);
                }
                Step::Counter(number) => {
                    let counter = writer.counter(Some(pick(number)), "bytes", Unit::Bytes).unwrap();
                    model.insert(uuid(counter.0), Read { name: "bytes".to_owned(), parent: Some(uuid(pick(number).0)), events: Vec::new() });
                    counters.push(counter);
                }
                Step::Begin(track, number) | Step::Instant(track, number) => {
                    let ends: Vec<FlowId> = if number.is_multiple_of(3) { flows.pop().into_iter().collect() } else { Vec::new() };
                    let starts: Vec<FlowId> = if number.is_multiple_of(2) { vec![writer.flow()] } else { Vec::new() };
                    flows.extend(&starts);
                    let (name, args, stack) = details(number);
                    let details = Details { args: &args, stack, flows: &starts, flow_ends: &ends };
                    let what = expected(number, &starts, &ends);
                    let happened = if matches!(step, Step::Begin(..)) {
                        writer.begin(pick(track), now, &name, &details).unwrap();
                        open.push(pick(track));
                        Happened::Begin(what)
                    } else {
                        writer.instant(pick(track), now, &name, &details).unwrap();
                        Happened::Instant(what)
                    };
                    model.get_mut(&uuid(pick(track).0)).unwrap().events.push((now, happened));
                }
                Step::End(track) => {
                    writer.end(pick(track), now).unwrap();
                    match open.iter().rposition(|&other| other == pick(track)) {
                        Some(index) => {
                            let track = open.remove(index);
                            model.get_mut(&uuid(track.0)).unwrap().events.push((now, Happened::End));
                        }
                        None => unpaired.ends += 1,
                    }
                }
                Step::Value(number, value) => {
                    let Some(&counter) = counters.get(usize::from(number) % counters.len().max(1)) else { continue };
                    writer.value(counter, now, value).unwrap();
                    model.get_mut(&uuid(counter.0)).unwrap().events.push((now, Happened::Value(value)));
                }
                Step::Clocks => writer.clocks(CLOCKS).unwrap(),
                Step::Gap => {
                    writer.gap(now).unwrap();
                    unpaired.begins += open.len() as u64;
                    end_all(&mut model, &mut open, now);
                    gaps += 1;
                }
            }
        }
        unpaired.begins += open.len() as u64;
        end_all(&mut model, &mut open, now);
        prop_assert_eq!(writer.finish(now).unwrap(), unpaired);
        let (read, _, lost) = read(&out).map_err(TestCaseError::fail)?;
        prop_assert_eq!(read, model);
        // Gaps with nothing between them are one, and none is told after the last packet.
        prop_assert!(lost <= gaps);
    }
}

#[test]
fn names_are_forgotten_when_they_become_many() {
    let mut out = Vec::new();
    let mut writer = Writer::with_limit(&mut out, CLOCKS, 10).unwrap();
    let track = writer.track(None, "goroutines").unwrap();
    for number in 0..100 {
        writer.instant(track, number, &format!("{number}"), &Details::default()).unwrap();
        assert!(writer.interned.len() <= 10);
    }
    writer.finish(100).unwrap();
    let (tracks, cleared, lost) = read(&out).unwrap();
    assert_eq!((tracks[&1].events.len(), cleared, lost), (100, 10, 0));
}

#[test]
fn what_follows_a_gap_stands_alone() {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out, CLOCKS).unwrap();
    let track = writer.track(None, "P 0").unwrap();
    writer.begin(track, 10, "main.work", &Details::default()).unwrap();
    writer.gap(20).unwrap();
    writer.begin(track, 30, "main.work", &Details::default()).unwrap();
    assert_eq!(writer.finish(40).unwrap(), Unpaired { ends: 0, begins: 2 });
    let (tracks, cleared, lost) = read(&out).unwrap();
    let times: Vec<u64> = tracks[&1].events.iter().map(|(time, _)| *time).collect();
    assert_eq!((times, cleared, lost), (vec![10, 20, 30, 40], 2, 1));
}

#[test]
fn a_time_before_the_last_of_its_track_is_that_one() {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out, CLOCKS).unwrap();
    let (first, second) = (writer.track(None, "M 1").unwrap(), writer.track(None, "M 1").unwrap());
    writer.begin(first, 50, "a", &Details::default()).unwrap();
    writer.instant(second, 20, "b", &Details::default()).unwrap();
    writer.end(first, 40).unwrap();
    writer.finish(0).unwrap();
    let (tracks, _, _) = read(&out).unwrap();
    let times = |uuid: u64| tracks[&uuid].events.iter().map(|(time, _)| *time).collect::<Vec<_>>();
    assert_eq!((times(1), times(2)), (vec![50, 50], vec![20]));
}
