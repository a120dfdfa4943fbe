//! Keeps what happened in its order, for the formats that draw time.

use std::sync::Arc;

use crate::probes::sites::Site;
use crate::probes::wire::{Head, Stacked, SwitchIn, Transition};
use crate::sched::model::{Moment, Present, Timeline, What};
use crate::sys::memory::{monotonic_ns, realtime_ns};

/// Moments that are kept (some 80 bytes each).
const MOST: usize = 8 << 20;

#[derive(Debug)]
pub struct Recorder {
    timeline: Timeline,
    pub present: Vec<Present>,
}

impl Recorder {
    pub fn new() -> Recorder {
        let clock = (monotonic_ns().max(0) as u64, realtime_ns().max(0) as u64);
        Recorder { timeline: Timeline { clock, ..Timeline::default() }, present: Vec::new() }
    }

    fn push(&mut self, moment: Moment) {
        if self.timeline.moments.len() < MOST {
            self.timeline.moments.push(moment);
        } else {
            self.timeline.dropped += 1;
        }
    }

    pub fn sample(&mut self, event: &Stacked, stack: u32) {
        self.push(Moment { stack: Some(stack), ..of_thread(event, What::Sample) });
    }

    pub fn out(&mut self, event: &Stacked, stack: u32) {
        self.push(Moment { stack: Some(stack), ..of_thread(event, What::Out(event.head.detail == 0)) });
    }

    pub fn back(&mut self, event: &SwitchIn) {
        self.push(Moment { ..at(&event.head, What::In) });
    }

    pub fn transition(&mut self, event: &Transition, stack: Option<u32>, reasons: &[Arc<str>]) {
        let reason = || reasons.get(event.reason as usize).filter(|reason| !reason.is_empty()).cloned();
        let what = match event.site {
            Site::Runqput => What::Runnable,
            Site::Netpollready => What::NetworkReady,
            Site::Gosched => What::Yield,
            Site::Execute => What::Run,
            Site::Gopark => What::Park(reason()),
            Site::Godead => What::Dead,
            Site::StwBegin => What::StwBegin(None),
            Site::StwEnd => What::StwEnd,
            Site::GcStart => What::GcBegin,
            Site::GcEnd => What::GcEnd,
            Site::Assist => What::AssistBegin,
            Site::Newproc | Site::Entersyscall | Site::Exitsyscall | Site::Preemptone | Site::Gcstopm | Site::Gcwait => return,
        };
        let moment = at(&event.head, what);
        self.push(Moment { p: event.p, goid: event.goid, by_goid: event.by_goid, go_pc: event.go_pc, stack, ..moment });
    }

    /// Events were lost before what comes now.
    pub fn gap(&mut self) {
        let head = self.timeline.moments.last().map(|moment| Head { time_ns: moment.time_ns, ..Head::default() });
        self.push(at(&head.unwrap_or_default(), What::Gap));
    }

    pub fn finish(self) -> Timeline {
        Timeline { present: self.present, ..self.timeline }
    }
}

fn of_thread(event: &Stacked, what: What) -> Moment {
    let go = &event.go;
    Moment { p: go.p, goid: go.goid, by_goid: go.goid, go_pc: go.go_pc, ..at(&event.head, what) }
}

fn at(head: &Head, what: What) -> Moment {
    Moment { time_ns: head.time_ns, cpu: head.cpu, tid: head.tid, p: -1, goid: 0, by_goid: 0, go_pc: 0, stack: None, what }
}
