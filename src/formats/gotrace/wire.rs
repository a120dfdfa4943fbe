//! The bytes: header, batches by thread, tables of strings and stacks (internal/trace/tracev2/events.go, batch.go, generation.go).

use std::collections::BTreeMap;
use std::io::{self, Write};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Frame, NO_THREAD, Version};

/// tracev2.MaxBatchSize.
const MAX_BATCH: usize = 64 << 10;
/// tracev2.MaxEventTrailerDataSize.
const MAX_STRING: usize = 1 << 10;
/// tracev2.MaxFramesPerStack.
const MAX_FRAMES: usize = 128;
/// One event at most: its type and five numbers.
const EVENT_ROOM: usize = 1 + 5 * 10;
/// Of all open batches.
const MAX_OPEN: usize = 8 << 20;

/// Any; not 0.
const GENERATION: u64 = 1;

/// Event types of the wire, those that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Ev {
    EventBatch = 1,
    Stacks = 2,
    Stack = 3,
    Strings = 4,
    String = 5,
    Frequency = 8,
    ProcsChange = 9,
    ProcStart = 10,
    ProcStop = 11,
    ProcSteal = 12,
    ProcStatus = 13,
    GoCreate = 14,
    GoStart = 16,
    GoDestroy = 17,
    GoStop = 19,
    GoBlock = 20,
    GoUnblock = 21,
    GoSyscallBegin = 22,
    GoSyscallEnd = 23,
    GoSyscallEndBlocked = 24,
    GoStatus = 25,
    StwBegin = 26,
    StwEnd = 27,
    GcActive = 28,
    GcBegin = 29,
    GcEnd = 30,
    GcMarkAssistActive = 34,
    GcMarkAssistBegin = 35,
    GcMarkAssistEnd = 36,
    HeapAlloc = 37,
    HeapGoal = 38,
    GoLabel = 39,
    /// Go 1.23.
    GoStatusStack = 48,
}

/// The events of all threads. Those of one thread are in order; threads may be in any, the reader merges them by time.
#[derive(Debug)]
pub(super) struct Batches<W: Write> {
    out: W,
    open: BTreeMap<u64, Batch>,
    bytes: usize,
    /// Where the events start: the time of all other batches too, as the reader takes the first of all for the start of the trace.
    start: Option<u64>,
}

#[derive(Debug)]
struct Batch {
    base: u64,
    last: u64,
    data: Vec<u8>,
}

impl<W: Write> Batches<W> {
    pub(super) fn new(out: W) -> Self {
        Batches { out, open: BTreeMap::new(), bytes: 0, start: None }
    }

    pub(super) fn header(&mut self, version: Version) -> io::Result<()> {
        self.out.write_all(match version {
            Version::Go122 => b"go 1.22 trace\0\0\0",
            Version::Go123 => b"go 1.23 trace\0\0\0",
        })
    }

    pub(super) fn push(&mut self, thread: u64, time: u64, event: Ev, args: &[u64]) -> io::Result<()> {
        // The reader turns the time of a batch and each difference into a float and back: exact only up to 53 significant bits.
        let full = |batch: &Batch| batch.data.len() + EVENT_ROOM > MAX_BATCH || time - batch.last > 1 << 50;
        if self.open.get(&thread).is_some_and(full)
            && let Some(batch) = self.open.remove(&thread)
        {
            self.bytes -= batch.data.len();
            write_batch(&mut self.out, thread, batch.base, &batch.data)?;
        }
        let base = time & !0xfff;
        self.start.get_or_insert(base);
        let batch = self.open.entry(thread).or_insert_with(|| Batch { base, last: base, data: Vec::new() });
        let before = batch.data.len();
        batch.data.push(event as u8);
        uvarint(&mut batch.data, time - batch.last);
        for &arg in args {
            uvarint(&mut batch.data, arg);
        }
        batch.last = time;
        self.bytes += batch.data.len() - before;
        if self.bytes > MAX_OPEN { self.flush() } else { Ok(()) }
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        // Nanoseconds.
        let mut frequency = vec![Ev::Frequency as u8];
        uvarint(&mut frequency, 1_000_000_000);
        self.table(&frequency)?;
        self.out.flush()
    }

    fn table(&mut self, data: &[u8]) -> io::Result<()> {
        write_batch(&mut self.out, NO_THREAD, self.start.unwrap_or(0), data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.bytes = 0;
        for (thread, batch) in std::mem::take(&mut self.open) {
            write_batch(&mut self.out, thread, batch.base, &batch.data)?;
        }
        Ok(())
    }
}

fn write_batch(out: &mut impl Write, thread: u64, time: u64, data: &[u8]) -> io::Result<()> {
    let mut head = vec![Ev::EventBatch as u8];
    for number in [GENERATION, thread, time, data.len() as u64] {
        uvarint(&mut head, number);
    }
    out.write_all(&head)?;
    out.write_all(data)
}

fn uvarint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Strings and stacks by number; 0 is none of either. What is new waits to be written.
#[derive(Debug)]
pub(super) struct Tables {
    strings: FxHashMap<String, u64>,
    string_table: Table,
    stacks: FxHashMap<Vec<u64>, u64>,
    stack_table: Table,
    /// By address, function, file and line.
    pcs: FxHashMap<(u64, u64, u64, u32), u64>,
    taken: FxHashSet<u64>,
}

/// Entries of one kind, in batches.
#[derive(Debug)]
struct Table {
    kind: Ev,
    full: Vec<Vec<u8>>,
    data: Vec<u8>,
}

impl Tables {
    pub(super) fn new() -> Self {
        Tables {
            strings: FxHashMap::default(),
            string_table: Table::new(Ev::Strings),
            stacks: FxHashMap::default(),
            stack_table: Table::new(Ev::Stacks),
            pcs: FxHashMap::default(),
            taken: FxHashSet::default(),
        }
    }

    /// Longer ones than the format allows are cut.
    pub(super) fn string(&mut self, text: &str) -> u64 {
        let mut length = text.len().min(MAX_STRING);
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        let text = &text[..length];
        if text.is_empty() {
            return 0;
        }
        if let Some(&id) = self.strings.get(text) {
            return id;
        }
        let id = self.strings.len() as u64 + 1;
        self.strings.insert(text.to_owned(), id);
        let mut entry = vec![Ev::String as u8];
        uvarint(&mut entry, id);
        uvarint(&mut entry, length as u64);
        entry.extend_from_slice(text.as_bytes());
        self.string_table.push(&entry);
        id
    }

    pub(super) fn stack(&mut self, frames: &[Frame<'_>]) -> u64 {
        let frames = &frames[..frames.len().min(MAX_FRAMES)];
        if frames.is_empty() {
            return 0;
        }
        let mut numbers = Vec::with_capacity(4 * frames.len());
        for frame in frames {
            let (function, file) = (self.place_name(frame.place.function), self.place_name(frame.place.file));
            numbers.extend([self.pc(frame, function, file), function, file, u64::from(frame.place.line)]);
        }
        if let Some(&id) = self.stacks.get(&numbers) {
            return id;
        }
        let id = self.stacks.len() as u64 + 1;
        let mut entry = vec![Ev::Stack as u8];
        for &number in [id, frames.len() as u64].iter().chain(&numbers) {
            uvarint(&mut entry, number);
        }
        self.stacks.insert(numbers, id);
        self.stack_table.push(&entry);
        id
    }

    /// The reader looks up all strings of a stack, and has none with number 0.
    fn place_name(&mut self, name: &str) -> u64 {
        self.string(if name.is_empty() { "?" } else { name })
    }

    /// The reader keeps one place for each pc, the first. Further ones at an address, those of inlining, get a pc that no code has:
    /// amd64 and arm64 leave the addresses between user and kernel unused.
    fn pc(&mut self, frame: &Frame<'_>, function: u64, file: u64) -> u64 {
        let made = (1 << 63) + self.pcs.len() as u64;
        *self
            .pcs
            .entry((frame.address, function, file, frame.place.line))
            .or_insert_with(|| if frame.address != 0 && self.taken.insert(frame.address) { frame.address } else { made })
    }

    /// Writes the batches that are full.
    pub(super) fn flush<W: Write>(&mut self, batches: &mut Batches<W>) -> io::Result<()> {
        for data in self.string_table.full.drain(..).chain(self.stack_table.full.drain(..)) {
            batches.table(&data)?;
        }
        Ok(())
    }

    pub(super) fn finish<W: Write>(mut self, batches: &mut Batches<W>) -> io::Result<()> {
        self.flush(batches)?;
        batches.table(&self.string_table.data)?;
        batches.table(&self.stack_table.data)
    }
}

impl Table {
    fn new(kind: Ev) -> Self {
        Table { kind, full: Vec::new(), data: vec![kind as u8] }
    }

    fn push(&mut self, entry: &[u8]) {
        if self.data.len() + entry.len() > MAX_BATCH {
            self.full.push(std::mem::replace(&mut self.data, vec![self.kind as u8]));
        }
        self.data.extend_from_slice(entry);
    }
}
