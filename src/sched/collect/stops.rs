//! Stops of the world and collections: who asked for them, how long they took, and whom they waited for.
//!
//! Whoever stops the world sets `sched.gcwaiting`, then asks each P that runs to stop (`preemptone`), again every 100 us. Such a P looks at
//! `gcwaiting` before it takes another goroutine, and stops in `gcstopm`: so it ran until then the goroutine that it was asked with. A
//! goroutine that goes into a system call meanwhile stops its P there. Ps that are idle or in a system call are taken at once
//! (runtime/proc.go: stopTheWorldWithSema, schedule, entersyscall). A P that is given up in `handoffp` is not seen.

use rustc_hash::FxHashMap;

use crate::probes::sites::Site;
use crate::probes::wire::Transition;
use crate::sched::model::{Holder, Stop, StopKind};

/// Goroutines whose wish to collect is remembered; they end unseen.
const WISHES: usize = 10_000;

#[derive(Debug, Default)]
pub struct Stops {
    stops: Vec<Stop>,
    world: Option<Begun>,
    collection: Option<Begun>,
    /// Who wants to collect, and the return address of that call.
    wishes: FxHashMap<u64, (Begun, u64)>,
    /// What Ps ran when they were asked to stop, by number.
    asked: FxHashMap<i32, u64>,
    last: Option<Holder>,
}

#[derive(Debug)]
struct Begun {
    at_ns: u64,
    m: u64,
    goid: u64,
    stack: Option<u32>,
}

impl Stops {
    /// The world is stopped and started under one lock, and one collection ends before the next begins (runtime/proc.go: worldsema).
    pub fn on(&mut self, event: &Transition, stack: Option<u32>) {
        let now = event.head.time_ns;
        match event.site {
            Site::StwBegin => {
                self.collects(event);
                self.world = Some(Begun::of(event, stack));
                self.asked.clear();
                self.last = None;
            }
            // Others preempt too: the collector each P on its way (runtime/proc.go: forEachP).
            Site::Preemptone if self.world.as_ref().is_some_and(|world| world.m == event.m) => {
                self.asked.insert(event.p, event.goid);
            }
            Site::Gcstopm | Site::Gcwait => self.gave_up(event, stack),
            Site::GcStart => self.wishes(event, stack),
            Site::StwEnd => {
                let last = self.last.take();
                self.stops.extend(self.world.take().map(|begun| Stop { last, ..begun.ended(StopKind::World, now) }));
            }
            Site::GcEnd => self.stops.extend(self.collection.take().map(|begun| begun.ended(StopKind::Collection, now))),
            _ => {}
        }
    }

    fn wishes(&mut self, event: &Transition, stack: Option<u32>) {
        let [_, caller, callers @ ..] = &event.pcs[..] else { return };
        // On its way to collect it may allocate, and come by here once more for nothing.
        if self.wishes.get(&event.by_goid).is_some_and(|(_, first)| callers.contains(first)) {
            return;
        }
        if self.wishes.len() >= WISHES {
            self.wishes.clear();
        }
        self.wishes.insert(event.by_goid, (Begun::of(event, stack), *caller));
    }

    /// Many who want to collect find that somebody else has begun (runtime/mgc.go: gcStart tests its trigger again). Who has not stops the
    /// world from there: the same call is on the stack.
    fn collects(&mut self, event: &Transition) {
        let wish = self.wishes.get(&event.by_goid).is_some_and(|(_, caller)| event.pcs.contains(caller));
        if self.collection.is_none() && wish {
            self.collection = self.wishes.remove(&event.by_goid).map(|(begun, _)| begun);
        }
    }

    fn gave_up(&mut self, event: &Transition, stack: Option<u32>) {
        let Some(world) = &self.world else { return };
        let ns = event.head.time_ns.saturating_sub(world.at_ns);
        // A goroutine on its way into a system call is still on its thread; else what the P had before may be of an earlier stop.
        let known = event.site == Site::Gcwait || self.asked.get(&event.p) == Some(&event.goid);
        self.last = Some(if known { Holder { goid: event.goid, ns, stack } } else { Holder { goid: 0, ns, stack: None } });
    }

    /// Events were lost.
    pub fn forget(&mut self) {
        self.world = None;
        self.collection = None;
        self.wishes.clear();
        self.last = None;
    }

    /// Longest first.
    pub fn finish(mut self) -> Vec<Stop> {
        self.stops.sort_by_key(|stop| (std::cmp::Reverse(stop.ns), stop.begin_ns));
        self.stops
    }
}

impl Begun {
    fn of(event: &Transition, stack: Option<u32>) -> Begun {
        Begun { at_ns: event.head.time_ns, m: event.m, goid: event.by_goid, stack }
    }

    fn ended(self, kind: StopKind, now: u64) -> Stop {
        Stop { kind, begin_ns: self.at_ns, ns: now.saturating_sub(self.at_ns), goid: self.goid, stack: self.stack, last: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::wire::Head;

    /// Each goroutine calls from another place.
    fn event(site: Site, time_ns: u64, by_goid: u64) -> Transition {
        let head = Head { time_ns, ..Head::default() };
        let pcs = vec![site as u64, 0x1000 + by_goid];
        Transition { head, site, goid: 0, go_pc: 0, by_goid, by_go_pc: 0, m: 0, p: 0, reason: 0, pcs }
    }

    #[test]
    fn a_stop_lasts_until_the_world_is_started() {
        let mut stops = Stops::default();
        for (site, time, goid) in [
            (Site::GcStart, 4, 2), // too late: 1 was faster
            (Site::GcStart, 5, 1),
            (Site::GcStart, 6, 1), // nested, see below
            (Site::StwBegin, 10, 1),
            (Site::GcStart, 11, 3),
            (Site::StwEnd, 14, 1),
            (Site::GcEnd, 50, 0),
        ] {
            let mut event = event(site, time, goid);
            if time == 6 {
                event.pcs.insert(1, 0x99);
            }
            stops.on(&event, Some(3));
        }
        // A stop for another reason by one that wanted to collect before.
        stops.on(&Transition { pcs: vec![1, 2], ..event(Site::StwBegin, 60, 2) }, None);
        stops.on(&event(Site::GcEnd, 70, 0), None);
        let stop = |kind, begin_ns, ns| Stop { kind, begin_ns, ns, goid: 1, stack: Some(3), last: None };
        assert_eq!(stops.finish(), [stop(StopKind::Collection, 5, 45), stop(StopKind::World, 10, 4)]);
    }

    #[test]
    fn the_last_to_give_up_its_p_is_told_if_it_is_known() {
        let (stopper, other) = (0x100, 0x200);
        let on =
            |stops: &mut Stops, site, time_ns, m, p, goid| stops.on(&Transition { goid, m, p, ..event(site, time_ns, 0) }, Some(p as u32));
        let last_of = |events: &[(Site, u64, u64, i32, u64)]| {
            let mut stops = Stops::default();
            on(&mut stops, Site::StwBegin, 10, stopper, 0, 1);
            events.iter().for_each(|&(site, time, m, p, goid)| on(&mut stops, site, time, m, p, goid));
            on(&mut stops, Site::StwEnd, 90, stopper, 0, 1);
            stops.finish().remove(0).last
        };
        let both_asked = [(Site::Preemptone, 11, stopper, 1, 7), (Site::Preemptone, 12, stopper, 2, 8)];
        let holder = |goid, ns, stack| Some(Holder { goid, ns, stack });
        let with = |rest: &[(Site, u64, u64, i32, u64)]| last_of(&[&both_asked[..], rest].concat());
        assert_eq!(with(&[(Site::Gcstopm, 30, other, 2, 8), (Site::Gcstopm, 40, other, 1, 7)]), holder(7, 30, Some(1)));
        assert_eq!(with(&[(Site::Gcstopm, 30, other, 1, 7), (Site::Gcwait, 50, other, 2, 9)]), holder(9, 40, Some(2)));
        assert_eq!(with(&[(Site::Gcstopm, 30, other, 1, 6)]), holder(0, 20, None), "another goroutine than it was asked with");
        assert_eq!(
            last_of(&[(Site::Preemptone, 11, other, 1, 7), (Site::Gcstopm, 30, other, 1, 7)]),
            holder(0, 20, None),
            "by somebody else"
        );
        assert_eq!(with(&[]), None);
    }

    #[test]
    fn what_began_unseen_or_in_a_gap_is_not_told() {
        let mut stops = Stops::default();
        stops.on(&event(Site::StwEnd, 14, 1), None);
        stops.on(&event(Site::StwBegin, 20, 1), None);
        stops.forget();
        stops.on(&event(Site::StwEnd, 24, 1), None);
        assert_eq!(stops.finish(), []);
    }
}
