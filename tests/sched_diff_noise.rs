//! `sched diff` of simulated windows whose observations come together: an unchanged load is no change, and a changed one is still found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/window.rs"]
mod window;

use goscope::sched::analyze::diff::diff;
use goscope::sched::model::{Batch, Class, Quality, Row, Source, Window};

const LENGTH_MS: usize = 10_000;
const PART_MS: usize = LENGTH_MS / 20;
const MS: u64 = 1_000_000;
const GOROUTINES: u64 = 400;

/// Numbers below one, the same in each run (Marsaglia's xorshift).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// With this mean.
    fn exponential(&mut self, mean: f64) -> f64 {
        -(self.next() + 1e-12).ln() * mean
    }
}

/// Bursts in which goroutines queue for two CPUs, for so many ms, so many ms apart; in between one CPU is busy half of the time.
#[derive(Debug, Clone, Copy)]
struct Load {
    burst_ms: f64,
    apart_ms: f64,
    periodic: bool,
    crowd: f64,
}

/// On a CPU, runnable and waiting, for each ms.
fn simulate(load: Load, draw: &mut Draw) -> Vec<[u64; 3]> {
    let mut moments = Vec::with_capacity(LENGTH_MS);
    let (mut left, mut crowd) = (draw.next() * load.apart_ms, 0.0);
    while moments.len() < LENGTH_MS {
        left -= 1.0;
        if left <= 0.0 {
            let ends = crowd > 0.0;
            let mean = if ends { load.apart_ms } else { load.burst_ms };
            left += if load.periodic { mean } else { draw.exponential(mean) };
            crowd = if ends { 0.0 } else { load.crowd * (0.5 + draw.next()) };
        }
        let on_cpu = if crowd > 0.0 { 2 } else { u64::from(draw.next() < 0.5) };
        let runnable = crowd.round() as u64;
        moments.push([on_cpu, runnable, GOROUTINES - on_cpu - runnable]);
    }
    moments
}

/// As `collect` sees it: walks at random intervals, each for half the time to the next ones; and 97 samples a second of each CPU.
fn look(load: Load, draw: &mut Draw) -> Window {
    let moments = simulate(load, draw);
    let mut batches = vec![Batch::default(); 20];
    let mut sums = [(0u64, 0u64); 3];
    let (mut walks, mut last) = (1, 0);
    while last < LENGTH_MS - 1 {
        let next = (last + 50 + (draw.next() * 100.0) as usize).min(LENGTH_MS - 1);
        for (at, span) in [(last, last..(last + next) / 2), (next, (last + next) / 2..next)] {
            for (state, class) in [(1, Class::Runnable), (2, Class::Waiting)] {
                let there = moments[at][state];
                span.clone().for_each(|ms| batches[ms / PART_MS].by_class[class as usize] += there * MS);
                let met = u64::from(there > 0 && (at == next || last == 0));
                sums[state] = (sums[state].0 + there * MS * span.len() as u64, sums[state].1 + met);
            }
            span.clone().for_each(|ms| batches[ms / PART_MS].alive_ns += GOROUTINES * MS);
        }
        (walks, last) = (walks + 1, next);
    }
    let cpu_ns: u64 = moments.iter().map(|moment| moment[0] * MS).sum();
    let mut sampled = [0u64; 20];
    for tick in 0..97 * LENGTH_MS / 1000 {
        let ms = tick * 1000 / 97;
        sampled[ms / PART_MS] += moments[ms][0];
    }
    let samples: u64 = sampled.iter().sum();
    batches.iter_mut().zip(sampled).for_each(|(batch, n)| batch.by_class[Class::OnCpu as usize] = cpu_ns * n / samples);
    sums[0] = (cpu_ns, samples);
    let full = window::window();
    let row = |class, source, (ns, count): (u64, u64)| Row { class, source, count, on_cpu_ns: 0, off_cpu_ns: ns, ..full.rows[0].clone() };
    let rows = vec![
        row(Class::OnCpu, Source::Sample, sums[0]),
        row(Class::Runnable, Source::Walk, sums[1]),
        row(Class::Waiting, Source::Walk, sums[2]),
    ];
    let alive_ns = GOROUTINES * MS * LENGTH_MS as u64;
    let quality = Quality { walks, ..Quality::default() };
    Window { length_ns: LENGTH_MS as u64 * MS, rows, alive_ns, batches, transitions: None, quality, ..full }
}

fn loads() -> Vec<Load> {
    let load = |burst_ms, apart_ms, periodic| Load { burst_ms, apart_ms, periodic, crowd: 8.0 };
    let mut loads = Vec::new();
    for (burst_ms, apart_ms) in [(5.0, 50.0), (20.0, 100.0), (100.0, 400.0), (300.0, 1500.0)] {
        loads.extend([load(burst_ms, apart_ms, false), load(burst_ms, apart_ms, true)]);
    }
    loads
}

#[test]
fn an_unchanged_load_whose_sightings_come_together_is_changed_in_at_most_one_of_twenty_pairs() {
    let mut draw = Draw(88_172_645_463_325_252);
    for load in loads() {
        let mut pairs = || (look(load, &mut draw), look(load, &mut draw));
        let changed = |(before, after): &(Window, Window)| diff(before, after).states.iter().any(|change| change.is_resolvable());
        let pairs: Vec<(Window, Window)> = (0..200).map(|_| pairs()).collect();
        let changed = |pairs: &[(Window, Window)]| pairs.iter().filter(|pair| changed(pair)).count();
        if load.burst_ms > 200.0 && !load.periodic {
            let without = |window: &Window| Window { batches: Vec::new(), ..window.clone() };
            let without: Vec<_> = pairs.iter().map(|(before, after)| (without(before), without(after))).collect();
            assert!(changed(&without) > 10, "bursts are what parts are needed for");
        }
        let changed = changed(&pairs);
        assert!(changed <= 10, "{changed} of 200 with bursts of {} ms, periodic: {}", load.burst_ms, load.periodic);
    }
}

/// The margin is no excuse: where it promises to see a change, it does.
#[test]
fn a_change_of_twice_the_margin_is_found() {
    let mut draw = Draw(88_172_645_463_325_252);
    // Few enough in a burst that the share has room to grow.
    for load in loads().into_iter().map(|load| Load { crowd: 1.5, ..load }) {
        let share = |window: &Window| diff(window, window).states[1].before.value();
        let mean = |load, draw: &mut Draw| (0..30).map(|_| share(&look(load, draw))).sum::<f64>() / 30.0;
        let usual = mean(load, &mut draw);
        // So many more in each burst that the share grows by twice what such a pair of windows cannot tell.
        let changed = (1..30).map(|n| Load { crowd: load.crowd + f64::from(n * n) / 4.0, ..load }).find(|more| {
            let mut margin = || diff(&look(load, &mut draw), &look(*more, &mut draw)).states[1].margin();
            let margin = (0..10).map(|_| margin()).sum::<f64>() / 10.0;
            mean(*more, &mut draw) - usual > 2.0 * margin
        });
        let Some(more) = changed else { panic!("no change is ever found with bursts of {} ms", load.burst_ms) };
        let found = (0..40).filter(|_| diff(&look(load, &mut draw), &look(more, &mut draw)).states[1].is_resolvable()).count();
        assert!(
            found >= 32,
            "{found} of 40 with bursts of {} ms, periodic: {}, {} instead of {}",
            load.burst_ms,
            load.periodic,
            more.crowd,
            load.crowd
        );
    }
}
