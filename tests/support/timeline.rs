//! A timeline built by hand: one of each moment.
#![allow(dead_code)]

use goscope::sched::model::*;

pub fn timeline() -> Timeline {
    let whats = [
        What::Sample,
        What::Out(true),
        What::In,
        What::Runnable,
        What::Run,
        What::Park(Some("chan receive".into())),
        What::NetworkReady,
        What::Run,
        What::Yield,
        What::Run,
        What::StwBegin(Some("GC mark termination".into())),
        What::StwEnd,
        What::GcBegin,
        What::AssistBegin,
        What::GcEnd,
        What::Gap,
        What::Run,
        What::Park(None),
        What::StwBegin(None),
        What::Out(false),
        What::Dead,
    ];
    let moment = |(i, what): (usize, What)| Moment {
        time_ns: 1_000_000 + 100 * i as u64,
        cpu: i as u32 % 2,
        tid: 7,
        p: i as i32 % 3 - 1,
        goid: 18,
        by_goid: if i % 2 == 0 { 18 } else { 1 },
        go_pc: 0x47_2000,
        stack: (i % 3 != 0).then_some(i as u32 % 4),
        what,
    };
    Timeline {
        clock: (1_000_000, 1_700_000_000_000_000_000),
        present: vec![
            Present { goid: 1, state: Class::Waiting, reason: Some("chan receive".into()), stack: 1 },
            Present { goid: 18, state: Class::Runnable, reason: None, stack: 0 },
        ],
        moments: whats.into_iter().enumerate().map(moment).collect(),
        dropped: 3,
    }
}
