//! Any window at all, made of any numbers.
#![allow(dead_code)]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use goscope::sched::model::*;
use proptest::prelude::*;

pub fn any_window() -> impl Strategy<Value = Window> {
    proptest::collection::vec(prop_oneof![0..8u64, any::<u64>()], 1..400).prop_map(|numbers| Numbers { numbers, next: 0 }.window())
}

/// Given out one after the other, again and again.
struct Numbers {
    numbers: Vec<u64>,
    next: usize,
}

impl Numbers {
    fn any(&mut self) -> u64 {
        self.next += 1;
        // Not the same ones in the next round.
        self.numbers[self.next % self.numbers.len()].rotate_left((self.next / self.numbers.len()) as u32)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.any() % n
    }

    /// Few enough that sums of it fit.
    fn amount(&mut self) -> u64 {
        self.any() >> 8
    }

    fn float(&mut self) -> f64 {
        let float = f64::from_bits(self.any());
        // A NaN is not equal to itself.
        if float.is_nan() { 0.5 } else { float }
    }

    fn text(&mut self) -> String {
        let texts = ["", "main.work", "chan receive", "héllo \u{1b}[31m", "runtime.gopark", "/src/main.go"];
        match self.below(8) {
            6 => format!("{}", self.any()),
            7 => "long ".repeat(self.below(100) as usize),
            n => texts[n as usize].to_owned(),
        }
    }

    fn shared(&mut self) -> Arc<str> {
        Arc::from(self.text())
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(3) > 0).then(|| make(self))
    }

    fn some<T>(&mut self, most: u64, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most)).map(|_| make(self)).collect()
    }

    fn waits(&mut self) -> Waits {
        let mut bound = || Bound { low_ns: self.any(), high_ns: self.maybe(Self::any) };
        let (p50, p90, p99, max) = (bound(), bound(), bound(), bound());
        Waits { count: self.any(), p50, p90, p99, max, source: self.one_of(&Waits::SOURCES) }
    }

    fn stack(&mut self) -> Stack {
        use Cut::*;
        use FrameKind::*;
        let frame = |n: &mut Self| Frame {
            function: n.shared(),
            file: n.shared(),
            line: n.any() as u32,
            address: n.any(),
            entry: n.any(),
            kind: n.one_of(&[Go, Inlined, C, Kernel, Unresolved]),
            wrapper: n.below(2) == 0,
        };
        let cuts = [NotRead, Moving, NotResident, UnknownPc, SpWrite, Corrupt, NoCfi, Depth];
        Stack { frames: self.some(6, frame), cut: self.maybe(|n| n.one_of(&cuts)) }
    }

    fn row(&mut self) -> Row {
        Row {
            class: self.one_of(&Class::ALL),
            source: self.one_of(&[Source::Walk, Source::Sample, Source::Switch, Source::Uprobe]),
            reason: self.maybe(Self::shared),
            stack: self.any() as u32,
            start: self.maybe(Self::shared),
            creator: self.maybe(Self::shared),
            labels: Arc::from(self.some(3, |n| (n.shared(), n.shared()))),
            count: self.amount(),
            on_cpu_ns: self.amount(),
            off_cpu_ns: self.amount(),
        }
    }

    fn batch(&mut self) -> Batch {
        Batch { alive_ns: self.any(), by_class: [(); Class::ALL.len()].map(|()| self.any()) }
    }

    fn moment(&mut self) -> Moment {
        let what = match self.below(15) {
            0 => What::Sample,
            1 => What::Out(self.below(2) == 0),
            2 => What::In,
            3 => What::Runnable,
            4 => What::NetworkReady,
            5 => What::Yield,
            6 => What::Run,
            7 => What::Park(self.maybe(Self::shared)),
            8 => What::Dead,
            9 => What::StwBegin(self.maybe(Self::shared)),
            10 => What::StwEnd,
            11 => What::GcBegin,
            12 => What::GcEnd,
            13 => What::AssistBegin,
            _ => What::Gap,
        };
        Moment {
            time_ns: self.any(),
            cpu: self.any() as u32,
            tid: self.any() as u32,
            p: self.any() as i32,
            goid: self.any(),
            by_goid: self.any(),
            go_pc: self.any(),
            stack: self.maybe(|n| n.any() as u32),
            what,
        }
    }

    fn transitions(&mut self) -> Transitions {
        let hop = |n: &mut Self| Hop {
            stack: n.any() as u32,
            reason: n.maybe(Self::shared),
            by: match n.below(4) {
                0 => Waker::Goroutine(n.any() as u32),
                1 => Waker::Network,
                2 => Waker::Timer,
                _ => Waker::Scheduler,
            },
        };
        Transitions {
            run_latency: self.some(4, |n| RunLatency {
                creator: n.maybe(Self::shared),
                place: n.maybe(|n| (n.shared(), n.any() as u32)),
                total_ns: n.any(),
                waits: n.waits(),
            }),
            blocked: self.some(4, |n| Blocked { reason: n.maybe(Self::shared), stack: n.any() as u32, count: n.any(), ns: n.amount() }),
            wakes: self.some(4, |n| WakePath { hops: n.some(4, hop), count: n.any(), ns: n.any() }),
            unpaired: self.any(),
            runnable_ns: self.maybe(Self::any),
        }
    }

    fn timeline(&mut self) -> Timeline {
        let present =
            |n: &mut Self| Present { goid: n.any(), state: n.one_of(&Class::ALL), reason: n.maybe(Self::shared), stack: n.any() as u32 };
        Timeline {
            clock: (self.any(), self.any()),
            present: self.some(4, present),
            moments: self.some(20, Self::moment),
            dropped: self.any(),
        }
    }

    fn counters(&mut self) -> Counters {
        let p = |n: &mut Self| PUse {
            id: n.any() as i32,
            time_slices: n.any(),
            syscalls: n.any(),
            queue_mean: n.float(),
            queue_max: n.any() as u32,
        };
        Counters {
            gomaxprocs: self.maybe(|n| n.any() as u32),
            time_slices: self.maybe(Self::any),
            syscalls: self.maybe(Self::any),
            created: self.maybe(Self::any),
            gc_cycles: self.maybe(Self::any),
            gc_pauses: self.some(4, |n| GcPause { end_unix_ns: n.any(), pause_ns: n.any() }),
            ps: self.some(4, p),
            idle_ps: self.maybe(Self::float),
            spinning_ms: self.maybe(Self::float),
            global_queue: self.maybe(Self::float),
            throttled: self.maybe(|n| Throttled { periods: n.any(), throttled_periods: n.any(), throttled_ns: n.any() }),
        }
    }

    fn plan(&mut self) -> Plan {
        let item = |n: &mut Self| Item {
            what: n.text().into(),
            payer: n.one_of(&[Payer::Target, Payer::Host]),
            per_second: n.float(),
            ns_each: n.float(),
        };
        Plan { tier: self.one_of(&Tier::ALL), hz: self.any() as u32, switch_stacks: self.below(2) == 0, items: self.some(4, item) }
    }

    fn stop(&mut self) -> Stop {
        Stop {
            kind: self.one_of(&[StopKind::World, StopKind::Collection]),
            begin_ns: self.any(),
            ns: self.amount(),
            goid: self.any(),
            stack: self.maybe(|n| n.any() as u32),
            last: self.maybe(|n| Holder { goid: n.any(), ns: n.amount(), stack: n.maybe(|n| n.any() as u32) }),
        }
    }

    fn glance(&mut self) -> Glance {
        Glance {
            at: SystemTime::UNIX_EPOCH + Duration::new(self.below(200_000_000_000), self.below(1_000_000_000) as u32),
            runnable_p50_ns: self.maybe(Self::any),
            runnable_p99_ns: self.maybe(Self::any),
            runnable_max_ns: self.maybe(Self::any),
            run_queue: self.maybe(Self::any),
            idle_ps: self.maybe(Self::any),
            time_slices_per_second: self.maybe(Self::float),
            created_per_second: self.maybe(Self::float),
            gc_pause_max_ns: self.maybe(Self::any),
            throttled_ns: self.maybe(Self::any),
        }
    }

    fn trigger(&mut self) -> (Trigger, f64) {
        let metric = self.one_of(&Metric::ALL.map(|(_, metric)| metric));
        (Trigger { metric, above: self.below(2) == 0, limit: self.float(), text: self.text() }, self.float())
    }

    fn window(&mut self) -> Window {
        let loss =
            |n: &mut Self| Loss { cpu: n.any() as u32, sent: n.amount(), received: n.amount(), lost: n.amount(), malformed: n.amount() };
        let thread = |n: &mut Self| ThreadUse {
            tid: n.any() as u32,
            name: n.text(),
            on_cpu_ns: n.amount(),
            waited_ns: n.amount(),
            switches: n.any(),
        };
        Window {
            captured_at: SystemTime::UNIX_EPOCH + Duration::new(self.below(200_000_000_000), self.below(1_000_000_000) as u32),
            target: TargetFacts {
                pid: self.any() as u32,
                start_ticks: self.any(),
                exe: self.text(),
                go_version: self.text(),
                main_module: self.text(),
                stripped: self.below(2) == 0,
                build_mode: self.text(),
            },
            length_ns: self.amount(),
            tier: self.one_of(&Tier::ALL),
            rows: self.some(8, Self::row),
            stacks: self.some(8, Self::stack),
            alive_ns: self.amount(),
            batches: self.some(25, Self::batch),
            threads: self.some(4, thread),
            run_queue: self.maybe(Self::waits),
            cpu_queue: self.maybe(Self::waits),
            counters: self.counters(),
            transitions: self.maybe(Self::transitions),
            timeline: self.maybe(Self::timeline),
            stops: self.maybe(|n| n.some(4, Self::stop)),
            before: self.some(4, Self::glance),
            trigger: self.maybe(Self::trigger),
            samples: self.amount(),
            cost: Cost {
                plan: self.maybe(Self::plan),
                probes_ns: self.maybe(Self::any),
                target_cpu_ns: self.any(),
                own_cpu_ns: self.any(),
                attach_ns: self.any(),
                detach_ns: self.any(),
            },
            quality: Quality {
                losses: self.some(4, loss),
                late: self.any(),
                not_followed: self.any(),
                truncated_stacks: self.any(),
                unresolved_frames: self.any(),
                walks: self.any(),
                torn: self.any(),
                skipped: self.any(),
                not_resident: self.any(),
                layout: self.text(),
                warnings: self.some(3, Self::text),
            },
        }
    }
}
