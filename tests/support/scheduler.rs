//! A small scheduler that makes lists of events as the Go runtime would, and knows how long each goroutine was in each state.

use std::collections::BTreeMap;

use goscope::formats::gotrace::{Event, GoStatus, Kind, NO_THREAD, StackId};

/// States as the reader names them.
const RUNNABLE: &str = "Runnable";
const RUNNING: &str = "Running";
const SYSCALL: &str = "Syscall";
const WAITING: &str = "Waiting";

pub const REASONS: [&str; 3] = ["chan receive", "network", "sync"];
const FIRST_THREAD: u64 = 4000;

pub struct Scheduler {
    now: u64,
    /// Whether starts, stops and steals of Ps are events too.
    tell_procs: bool,
    goroutines: BTreeMap<u64, Goroutine>,
    threads: Vec<Thread>,
    idle_procs: Vec<u32>,
    next_goroutine: u64,
    gc: bool,
    pub events: Vec<Event<'static>>,
    /// Nanoseconds in states that ended.
    pub totals: BTreeMap<u64, BTreeMap<String, u64>>,
    /// How often goroutines left a thread, by reason.
    pub reasons: BTreeMap<String, u64>,
}

struct Goroutine {
    state: &'static str,
    since: u64,
}

#[derive(Default)]
struct Thread {
    proc: Option<u32>,
    goroutine: Option<u64>,
}

impl Scheduler {
    pub fn new(start: u64, goroutines: u64, threads: usize, procs: u32, tell_procs: bool) -> Scheduler {
        let mut scheduler = Scheduler {
            now: start,
            tell_procs,
            goroutines: BTreeMap::new(),
            threads: (0..threads).map(|_| Thread::default()).collect(),
            idle_procs: (0..procs).collect(),
            next_goroutine: goroutines + 1,
            gc: false,
            events: Vec::new(),
            totals: BTreeMap::new(),
            reasons: BTreeMap::new(),
        };
        for goroutine in 1..=goroutines {
            let (status, state) = if goroutine % 2 == 0 { (GoStatus::Runnable, RUNNABLE) } else { (GoStatus::Waiting, WAITING) };
            scheduler.now += 100;
            scheduler.goroutines.insert(goroutine, Goroutine { state, since: scheduler.now });
            scheduler.push(NO_THREAD, None, None, Kind::GoStatus { goroutine, status, stack: StackId::NONE });
        }
        scheduler
    }

    /// Does one thing, if it can be done now: `what` says which, `pick` to whom, after `wait` ns.
    pub fn step(&mut self, what: u8, pick: usize, wait: u64) {
        self.now += 100 + wait;
        match what % 16 {
            0..=2 => self.start(pick),
            3 => self.block(pick),
            4 | 5 => self.unblock(pick),
            6 => self.stop(pick),
            7 => self.create(pick),
            8 => self.destroy(pick),
            9 | 10 => self.enter(pick),
            11 => self.exit(pick),
            12 => self.retake(pick),
            13 => self.exit_blocked(pick),
            14 => self.release(pick),
            _ => self.ranges(pick),
        }
    }

    fn start(&mut self, pick: usize) {
        let Some(goroutine) = self.pick_goroutine(pick, RUNNABLE) else { return };
        let ready = |thread: &Thread| thread.goroutine.is_none();
        let Some(thread) = self.pick_thread(pick, ready) else { return };
        if self.threads[thread].proc.is_none() {
            if self.idle_procs.is_empty() {
                return;
            }
            let proc = self.idle_procs.remove(pick % self.idle_procs.len());
            self.threads[thread].proc = Some(proc);
            if self.tell_procs {
                self.push(id(thread), Some(proc), None, Kind::ProcStart(proc));
                self.now += 100;
            }
        }
        self.push(id(thread), self.threads[thread].proc, None, Kind::GoStart { goroutine });
        self.threads[thread].goroutine = Some(goroutine);
        self.becomes(goroutine, RUNNING);
    }

    fn block(&mut self, pick: usize) {
        let reason = REASONS[pick % REASONS.len()];
        self.leave(pick, WAITING, Kind::GoBlock { reason, stack: StackId::NONE }, reason);
    }

    fn stop(&mut self, pick: usize) {
        self.leave(pick, RUNNABLE, Kind::GoStop { reason: "preempted", stack: StackId::NONE }, "preempted");
    }

    fn leave(&mut self, pick: usize, state: &'static str, kind: Kind<'static>, reason: &str) {
        let Some(thread) = self.pick_running(pick) else { return };
        let goroutine = self.threads[thread].goroutine.take().unwrap();
        self.push(id(thread), self.threads[thread].proc, Some(goroutine), kind);
        *self.reasons.entry(reason.to_owned()).or_default() += 1;
        self.becomes(goroutine, state);
    }

    /// By a goroutine, by the network poller of a thread without one, or by nobody known.
    fn unblock(&mut self, pick: usize) {
        let Some(goroutine) = self.pick_goroutine(pick, WAITING) else { return };
        let waker = match pick % 3 {
            0 => self.pick_running(pick),
            1 => self.pick_thread(pick, |thread| thread.goroutine.is_none()),
            _ => None,
        };
        let kind = Kind::GoUnblock { goroutine, stack: StackId::NONE };
        match waker {
            Some(thread) => self.push(id(thread), self.threads[thread].proc, self.threads[thread].goroutine, kind),
            None => self.push(NO_THREAD, None, None, kind),
        }
        self.becomes(goroutine, RUNNABLE);
    }

    fn create(&mut self, pick: usize) {
        let Some(thread) = self.pick_running(pick) else { return };
        let goroutine = self.next_goroutine;
        self.next_goroutine += 1;
        let kind = Kind::GoCreate { goroutine, start: StackId::NONE, stack: StackId::NONE };
        self.push(id(thread), self.threads[thread].proc, self.threads[thread].goroutine, kind);
        self.goroutines.insert(goroutine, Goroutine { state: RUNNABLE, since: self.now });
    }

    fn destroy(&mut self, pick: usize) {
        let Some(thread) = self.pick_running(pick) else { return };
        let goroutine = self.threads[thread].goroutine.take().unwrap();
        self.push(id(thread), self.threads[thread].proc, Some(goroutine), Kind::GoDestroy);
        self.becomes(goroutine, "");
        self.goroutines.remove(&goroutine);
    }

    fn enter(&mut self, pick: usize) {
        let Some(thread) = self.pick_running(pick) else { return };
        let Thread { proc, goroutine } = self.threads[thread];
        self.push(id(thread), proc, goroutine, Kind::SyscallEnter { stack: StackId::NONE });
        self.becomes(goroutine.unwrap(), SYSCALL);
    }

    fn exit(&mut self, pick: usize) {
        let Some(thread) = self.pick_in_syscall(pick, true) else { return };
        let Thread { proc, goroutine } = self.threads[thread];
        self.push(id(thread), proc, goroutine, Kind::SyscallExit);
        self.becomes(goroutine.unwrap(), RUNNING);
    }

    /// The P of a thread in a system call is taken away: by another thread, which starts it, or by the monitor, of which nothing is seen.
    fn retake(&mut self, pick: usize) {
        let Some(from) = self.pick_in_syscall(pick, true) else { return };
        let thief = self.pick_thread(pick, |thread| thread.goroutine.is_none() && thread.proc.is_none());
        if self.tell_procs && thief.is_none() {
            return;
        }
        let proc = self.threads[from].proc.take().unwrap();
        match thief {
            Some(thief) if self.tell_procs => {
                self.push(id(thief), None, None, Kind::ProcSteal(proc));
                self.now += 100;
                self.push(id(thief), Some(proc), None, Kind::ProcStart(proc));
                self.threads[thief].proc = Some(proc);
            }
            _ => self.idle_procs.push(proc),
        }
    }

    fn exit_blocked(&mut self, pick: usize) {
        let Some(thread) = self.pick_in_syscall(pick, false) else { return };
        let goroutine = self.threads[thread].goroutine.take().unwrap();
        self.push(id(thread), None, Some(goroutine), Kind::SyscallExitBlocked);
        self.becomes(goroutine, RUNNABLE);
    }

    /// A thread without work gives its P back.
    fn release(&mut self, pick: usize) {
        let Some(thread) = self.pick_thread(pick, |thread| thread.goroutine.is_none() && thread.proc.is_some()) else { return };
        let proc = self.threads[thread].proc.take().unwrap();
        if self.tell_procs {
            self.push(id(thread), Some(proc), None, Kind::ProcStop(proc));
        }
        self.idle_procs.push(proc);
    }

    fn ranges(&mut self, pick: usize) {
        let Some(thread) = self.pick_running(pick) else { return };
        let gc = if self.gc { Kind::GcEnd } else { Kind::GcBegin { stack: StackId::NONE } };
        self.gc = !self.gc;
        let assist = [Kind::AssistBegin { stack: StackId::NONE }, Kind::AssistEnd];
        let stop = [Kind::StwBegin { reason: "GC mark termination", stack: StackId::NONE }, Kind::StwEnd];
        let plain = [Kind::Label("worker"), Kind::HeapAlloc(pick as u64), Kind::HeapGoal(1 << 40), Kind::Procs(8)];
        for kind in [gc].into_iter().chain(assist).chain(stop).chain(plain) {
            let Thread { proc, goroutine } = self.threads[thread];
            self.push(id(thread), proc, goroutine, kind);
            self.now += 100;
        }
    }

    fn pick_goroutine(&self, pick: usize, state: &str) -> Option<u64> {
        let all: Vec<u64> = self.goroutines.iter().filter(|(_, g)| g.state == state).map(|(&id, _)| id).collect();
        all.get(pick % all.len().max(1)).copied()
    }

    fn pick_thread(&self, pick: usize, fits: impl Fn(&Thread) -> bool) -> Option<usize> {
        let all: Vec<usize> = (0..self.threads.len()).filter(|&index| fits(&self.threads[index])).collect();
        all.get(pick / 7 % all.len().max(1)).copied()
    }

    fn pick_running(&self, pick: usize) -> Option<usize> {
        self.pick_thread(pick, |thread| self.state_on(thread) == Some(RUNNING))
    }

    fn pick_in_syscall(&self, pick: usize, with_proc: bool) -> Option<usize> {
        self.pick_thread(pick, |thread| self.state_on(thread) == Some(SYSCALL) && thread.proc.is_some() == with_proc)
    }

    fn state_on(&self, thread: &Thread) -> Option<&'static str> {
        thread.goroutine.map(|goroutine| self.goroutines[&goroutine].state)
    }

    fn becomes(&mut self, goroutine: u64, state: &'static str) {
        let g = self.goroutines.get_mut(&goroutine).unwrap();
        *self.totals.entry(goroutine).or_default().entry(g.state.to_owned()).or_default() += self.now - g.since;
        *g = Goroutine { state, since: self.now };
    }

    fn push(&mut self, thread: u64, proc: Option<u32>, goroutine: Option<u64>, kind: Kind<'static>) {
        self.events.push(Event { time: self.now, thread, proc, goroutine, kind });
    }
}

fn id(thread: usize) -> u64 {
    FIRST_THREAD + thread as u64
}
