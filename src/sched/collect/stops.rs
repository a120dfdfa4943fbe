//! Stops of the world and collections: who asked for them and how long they took.

use crate::probes::sites::Site;
use crate::probes::wire::Transition;
use crate::sched::model::{Stop, StopKind};

#[derive(Debug, Default)]
pub struct Stops {
    stops: Vec<Stop>,
    world: Option<Begun>,
    collection: Option<Begun>,
}

#[derive(Debug)]
struct Begun {
    at_ns: u64,
    goid: u64,
    stack: Option<u32>,
}

impl Stops {
    /// The world is stopped and started under one lock, and one collection ends before the next begins (runtime/proc.go: worldsema).
    pub fn on(&mut self, event: &Transition, stack: Option<u32>) {
        let now = event.head.time_ns;
        let begun = || Some(Begun { at_ns: now, goid: event.by_goid, stack });
        match event.site {
            Site::StwBegin => self.world = begun(),
            // Many callers find that somebody else has begun one (runtime/mgc.go: gcStart tests its trigger again).
            Site::GcStart if self.collection.is_none() => self.collection = begun(),
            Site::StwEnd => self.stops.extend(self.world.take().map(|begun| begun.ended(StopKind::World, now))),
            Site::GcEnd => self.stops.extend(self.collection.take().map(|begun| begun.ended(StopKind::Collection, now))),
            _ => {}
        }
    }

    /// Events were lost.
    pub fn forget(&mut self) {
        self.world = None;
        self.collection = None;
    }

    /// Longest first.
    pub fn finish(mut self) -> Vec<Stop> {
        self.stops.sort_by_key(|stop| (std::cmp::Reverse(stop.ns), stop.begin_ns));
        self.stops
    }
}

impl Begun {
    fn ended(self, kind: StopKind, now: u64) -> Stop {
        Stop { kind, begin_ns: self.at_ns, ns: now.saturating_sub(self.at_ns), goid: self.goid, stack: self.stack }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::wire::Head;

    fn event(site: Site, time_ns: u64, by_goid: u64) -> Transition {
        let head = Head { time_ns, ..Head::default() };
        Transition { head, site, goid: 0, go_pc: 0, by_goid, by_go_pc: 0, m: 0, p: 0, reason: 0, stack: 0 }
    }

    #[test]
    fn a_stop_lasts_until_the_world_is_started() {
        let mut stops = Stops::default();
        for (site, time, goid) in
            [(Site::GcStart, 5, 1), (Site::StwBegin, 10, 1), (Site::GcStart, 11, 2), (Site::StwEnd, 14, 1), (Site::GcEnd, 50, 0)]
        {
            stops.on(&event(site, time, goid), Some(3));
        }
        let stop = |kind, begin_ns, ns| Stop { kind, begin_ns, ns, goid: 1, stack: Some(3) };
        assert_eq!(stops.finish(), [stop(StopKind::Collection, 5, 45), stop(StopKind::World, 10, 4)]);
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
