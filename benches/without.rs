//! What a family of a million series would be without each of six labels and each of 15 pairs. The bar: 120 ms on two threads, planning
//! included, also where no label tells anything about another one.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use goscope::cardinality::analyze::without::{Scratch, Without, Workspace, plan};
use goscope::cardinality::model::{Column, Family, Id, Member, Role, Strings};

const SERIES: u32 = 1_000_000;
const LABELS: usize = 6;

fn family(strings: &mut Strings, layout: Vec<Member>, value: impl Fn(u32, usize) -> u32) -> Family {
    let size = layout.len() as u32;
    let children = SERIES / size;
    let column = |label: usize| Column {
        name: strings.intern(&format!("label{label}")),
        cells: (0..children).map(|child| strings.intern(&format!("{label}-{}", value(child, label)))).collect(),
    };
    Family {
        columns: (0..LABELS).map(column).collect(),
        layouts: vec![layout],
        layout: vec![0; children as usize],
        first_value: (0..children).map(|child| child * size).collect(),
        values: vec![0.0; (children * size) as usize],
        ..Family::default()
    }
}

fn random(child: u32, label: usize) -> u32 {
    let value = (u64::from(child) << 3 | label as u64).wrapping_add(1).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    ((value ^ (value >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 40) as u32
}

/// As a caller does it.
fn on_two_threads(family: &Family, strings: &Strings) -> Without {
    let plan = plan(family, 10, &mut Scratch::new(strings));
    let (next, counted) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        let mut workspace = Workspace::default();
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            if job >= plan.jobs() {
                break;
            }
            let found = plan.run(job, &mut workspace);
            counted.lock().unwrap().push(found);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    plan.finish(&counted.into_inner().unwrap(), &mut Workspace::default())
}

fn leave_one_out(c: &mut Criterion) {
    let plain = vec![Member { role: Role::Plain, bound: Id::EMPTY }];
    let mut strings = Strings::default();
    let buckets = (0..12).map(|le| Member { role: Role::Bucket, bound: strings.intern(&le.to_string()) });
    let histogram = buckets.chain([Role::Sum, Role::Count].map(|role| Member { role, bound: Id::EMPTY })).collect();
    // Each child is one of 6 x 8 x 4 kinds of 5,209 routes, which belong to 100 services of 7 teams.
    let service = |child: u32, label: usize| match label {
        0 => child % 6,
        1 => child / 6 % 8,
        2 => child / 48 % 4,
        3 => child / 192,
        4 => child / 192 % 100,
        _ => child / 192 % 100 % 7,
    };
    let cases = [
        ("service", family(&mut strings, plain.clone(), service)),
        ("independent", family(&mut strings, plain.clone(), |child, label| random(child, label) % 1000)),
        ("with_an_id", family(&mut strings, plain, |child, label| if label == 3 { child } else { random(child, label) % 50 })),
        ("histogram", family(&mut strings, histogram, service)),
    ];
    let mut group = c.benchmark_group("without_1m");
    group.throughput(Throughput::Elements(u64::from(SERIES))).sample_size(10);
    for (name, family) in &cases {
        group.bench_function(*name, |b| b.iter(|| black_box(on_two_threads(family, &strings))));
    }
}

criterion_group!(benches, leave_one_out);
criterion_main!(benches);
