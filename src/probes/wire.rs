//! What the probes send, as `probes/wire.h` lays it out.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::sites::Site;
use crate::sys::ptrace::Registers;

/// One event. Times are CLOCK_MONOTONIC, in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The clock of a CPU struck while a thread of the target was on it.
    Sample(Box<Stacked>),
    /// A thread left its CPU with a goroutine on it.
    SwitchOut(Box<Stacked>),
    /// A thread whose `SwitchOut` was sent, or that was off its CPU from before the window on, got one again.
    SwitchIn(SwitchIn),
    /// A transition of a goroutine.
    Transition(Transition),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    pub time_ns: u64,
    /// Counts the events of one CPU from 1 on, those that did not fit included.
    pub number: u64,
    pub cpu: u32,
    /// In goscope's own pid namespace; 0 if the thread has no number there.
    pub tid: u32,
    pub detail: u32,
}

/// What the thread's M had on it. All zero when the scheduler itself ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Go {
    pub m: u64,
    pub g: u64,
    pub goid: u64,
    pub go_pc: u64,
    pub labels: u64,
    pub syscall_pc: u64,
    pub syscall_sp: u64,
    /// `g.atomicstatus`, with its scan bit.
    pub status: u32,
    /// `p.id`; -1 without a P.
    pub p: i32,
    pub in_c: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stacked {
    pub head: Head,
    pub go: Go,
    /// The user's.
    pub registers: Registers,
    /// Innermost first.
    pub kernel: Vec<u64>,
    /// By frame pointers, innermost first: the pc itself, then return addresses.
    pub user: Vec<u64>,
    /// The stack from `registers.sp` on.
    pub top: Vec<u8>,
    /// Inside C: the goroutine's stack from `go.syscall_sp` on.
    pub c_caller: Vec<u8>,
    /// pprof labels at that moment, sorted; empty also when there were too many to copy.
    pub labels: Vec<(String, String)>,
}

impl Stacked {
    /// No goroutine: the scheduler, or a thread of C.
    pub fn is_scheduler(&self) -> bool {
        self.go.goid == 0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SwitchIn {
    pub head: Head,
    /// 0 when it left before anybody looked.
    pub out_ns: u64,
    /// When it could run again; 0 if that was not seen.
    pub ready_ns: u64,
    /// It could run all the time: it was put off its CPU.
    pub preempted: bool,
}

/// One hit of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    pub head: Head,
    pub site: Site,
    /// Whom it is about; 0 if not known.
    pub goid: u64,
    pub go_pc: u64,
    /// The goroutine whose thread it happened on; 0 for the scheduler by itself.
    pub by_goid: u64,
    pub by_go_pc: u64,
    pub m: u64,
    /// -1 without a P.
    pub p: i32,
    /// The runtime's number of a wait reason, or of a reason to stop the world.
    pub reason: u32,
    /// Its number in [`SiteStacks`].
    pub stack: u32,
}

/// Stacks of sites by frame pointers, each once: the site, then return addresses, at most [`SITE_FRAMES`]. Hundreds of thousands of
/// transitions a second come from some hundred places.
#[derive(Debug)]
pub struct SiteStacks {
    numbers: FxHashMap<Arc<[u64]>, u32>,
    stacks: Vec<Arc<[u64]>>,
}

impl Default for SiteStacks {
    /// Number 0 is no stack at all.
    fn default() -> Self {
        let none: Arc<[u64]> = Arc::from([]);
        SiteStacks { numbers: FxHashMap::from_iter([(none.clone(), 0)]), stacks: vec![none] }
    }
}

impl SiteStacks {
    fn number(&mut self, pcs: &[u64]) -> u32 {
        if let Some(&number) = self.numbers.get(pcs) {
            return number;
        }
        let (number, pcs) = (self.stacks.len() as u32, Arc::<[u64]>::from(pcs));
        self.stacks.push(pcs.clone());
        self.numbers.insert(pcs, number);
        number
    }

    /// Empty for a number that was not given out.
    pub fn get(&self, number: u32) -> &[u64] {
        self.stacks.get(number as usize).map_or(&[], |pcs| pcs)
    }
}

impl Event {
    pub fn head(&self) -> &Head {
        match self {
            Event::Sample(stacked) | Event::SwitchOut(stacked) => &stacked.head,
            Event::SwitchIn(switch) => &switch.head,
            Event::Transition(transition) => &transition.head,
        }
    }
}

/// The most frames of each kind, as the probes limit them.
pub const MAX_USER_FRAMES: usize = 127;
pub const MAX_KERNEL_FRAMES: usize = 32;
pub const SITE_FRAMES: usize = 20;

/// The most labels, and the most bytes of their keys and values.
const MAX_LABELS: usize = 8;
const LABEL_KEY: usize = 40;
const LABEL_VALUE: usize = 80;

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn u32(&mut self) -> Option<u32> {
        let (first, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*first))
    }

    fn u64(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*first))
    }

    fn words(&mut self, count: usize) -> Option<Vec<u64>> {
        (0..count).map(|_| self.u64()).collect()
    }

    fn bytes(&mut self, len: usize) -> Option<Vec<u8>> {
        let (first, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(first.to_vec())
    }
}

/// One record of a ring, which may have padding at its end. `None` for what no probe of this version sends.
pub fn parse(bytes: &[u8], stacks: &mut SiteStacks) -> Option<Event> {
    let reader = &mut Reader(bytes);
    let (time_ns, number, kind) = (reader.u64()?, reader.u64()?, reader.u32()?);
    let head = Head { time_ns, number, cpu: reader.u32()?, tid: reader.u32()?, detail: reader.u32()? };
    match kind {
        1 => Some(Event::Sample(Box::new(stacked(head, reader)?))),
        2 => Some(Event::SwitchOut(Box::new(stacked(head, reader)?))),
        3 => Some(Event::SwitchIn(SwitchIn { head, out_ns: reader.u64()?, ready_ns: reader.u64()?, preempted: head.detail != 0 })),
        4 => Some(Event::Transition(transition(head, reader, stacks)?)),
        _ => None,
    }
}

fn transition(head: Head, reader: &mut Reader<'_>, stacks: &mut SiteStacks) -> Option<Transition> {
    let site = Site::from_number(head.detail)?;
    let (goid, go_pc) = (reader.u64()?, reader.u64()?);
    let (by_goid, by_go_pc, m) = (reader.u64()?, reader.u64()?, reader.u64()?);
    let (p, reason) = (reader.u32()? as i32, reader.u32()?);
    let (frames, _unused) = (reader.u32()? as usize, reader.u32()?);
    let mut pcs = [0; SITE_FRAMES];
    let pcs = pcs.get_mut(..frames)?;
    for pc in pcs.iter_mut() {
        *pc = reader.u64()?;
    }
    Some(Transition { head, site, goid, go_pc, by_goid, by_go_pc, m, p, reason, stack: stacks.number(pcs) })
}

fn stacked(head: Head, reader: &mut Reader<'_>) -> Option<Stacked> {
    let go = Go {
        m: reader.u64()?,
        g: reader.u64()?,
        goid: reader.u64()?,
        go_pc: reader.u64()?,
        labels: reader.u64()?,
        syscall_pc: reader.u64()?,
        syscall_sp: reader.u64()?,
        status: reader.u32()?,
        p: reader.u32()? as i32,
        in_c: reader.u32()? != 0,
    };
    let label_count = reader.u32()? as usize;
    let registers = Registers {
        pc: reader.u64()?,
        sp: reader.u64()?,
        bp: reader.u64()?,
        bx: reader.u64()?,
        r12: reader.u64()?,
        r13: reader.u64()?,
        r14: reader.u64()?,
        r15: reader.u64()?,
    };
    let (user, kernel) = (reader.u32()? as usize, reader.u32()? as usize);
    let (top, c_caller) = (reader.u32()? as usize, reader.u32()? as usize);
    if user > MAX_USER_FRAMES || kernel > MAX_KERNEL_FRAMES || label_count > MAX_LABELS {
        return None;
    }
    let (kernel, user) = (reader.words(kernel)?, reader.words(user)?);
    let (top, c_caller) = (reader.bytes(top)?, reader.bytes(c_caller)?);
    let mut labels = (0..label_count).map(|_| label(reader)).collect::<Option<Vec<_>>>()?;
    labels.sort();
    Some(Stacked { head, go, registers, kernel, user, top, c_caller, labels })
}

/// What was cut off is said to be.
fn label(reader: &mut Reader<'_>) -> Option<(String, String)> {
    let (key_len, value_len) = (reader.u32()? as usize, reader.u32()? as usize);
    let mut text = |len: usize, room: usize| {
        let bytes = reader.bytes(room)?;
        let text = String::from_utf8_lossy(&bytes[..len.min(room)]).into_owned();
        Some(if len > room { text + "…" } else { text })
    };
    Some((text(key_len, LABEL_KEY)?, text(value_len, LABEL_VALUE)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(key: &[u8], key_bytes: u32, value: &[u8], value_bytes: u32) -> Vec<u8> {
        let mut bytes = [key_bytes.to_le_bytes(), value_bytes.to_le_bytes()].concat();
        for (text, room) in [(key, LABEL_KEY), (value, LABEL_VALUE)] {
            bytes.extend_from_slice(text);
            bytes.resize(bytes.len() + room - text.len(), 0xff);
        }
        bytes
    }

    #[test]
    fn a_label_is_as_long_as_it_was_or_says_that_it_is_cut() {
        let parsed = |bytes: &[u8]| label(&mut Reader(bytes));
        let of = |key: &str, value: &str| Some((key.to_owned(), value.to_owned()));
        assert_eq!(parsed(&slot(b"route", 5, b"/a", 2)), of("route", "/a"));
        assert_eq!(parsed(&slot(b"route", 5, b"", 0)), of("route", ""));
        let long = "x".repeat(LABEL_VALUE);
        assert_eq!(parsed(&slot(b"route", 5, long.as_bytes(), 80)), of("route", &long));
        assert_eq!(parsed(&slot(b"route", 5, long.as_bytes(), u32::MAX)), of("route", &format!("{long}…")));
        assert_eq!(parsed(&slot(b"route", 5, b"/a", 2)[..127]), None);
    }
}
