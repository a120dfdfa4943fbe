use std::time::Duration;

use super::growth::{Model, growth};
use super::*;
use crate::cardinality::model::{Column, Id, Member};

/// xorshift64*, so that runs are equal.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// How often each of the things with these weights came, in `draws`.
    fn draw(&mut self, weights: &[f64], draws: usize) -> Vec<f64> {
        let mut ends: Vec<f64> = weights
            .iter()
            .scan(0.0, |sum, weight| {
                *sum += weight;
                Some(*sum)
            })
            .collect();
        let all = ends[ends.len() - 1];
        ends.iter_mut().for_each(|end| *end /= all);
        let mut counts = vec![0.0; weights.len()];
        for _ in 0..draws {
            let at = self.unit();
            counts[ends.partition_point(|end| *end <= at).min(weights.len() - 1)] += 1.0;
        }
        counts
    }
}

fn zipf(kinds: usize, power: f64) -> Vec<f64> {
    (1..=kinds).map(|rank| (rank as f64).powf(-power)).collect()
}

/// A family with one label, a child for each count; those that are 0 were never made.
fn counter(scrape: &mut Scrape, name: &str, kind: MetricType, counts: &[f64]) {
    let label = scrape.strings.intern("id");
    let name = scrape.strings.intern(name);
    let role = if kind == MetricType::Histogram { Role::Count } else { Role::Plain };
    let rows: Vec<(usize, f64)> = counts.iter().copied().enumerate().filter(|(_, count)| *count > 0.0).collect();
    let cells = rows.iter().map(|(index, _)| scrape.strings.intern(&format!("value-{index}"))).collect();
    scrape.families.push(Family {
        name,
        kind,
        columns: vec![Column { name: label, cells }],
        layouts: vec![vec![Member { role, bound: Id::EMPTY }]],
        layout: vec![0; rows.len()],
        first_value: (0..rows.len() as u32).collect(),
        values: rows.iter().map(|(_, count)| *count).collect(),
        ..Family::default()
    });
}

fn verdict(name: &str, kind: MetricType, counts: &[f64]) -> (Verdict, Vec<Reason>) {
    let mut scrape = Scrape::default();
    counter(&mut scrape, name, kind, counts);
    let outlook = outlooks(&scrape, None).remove(0);
    (outlook.verdict, outlook.reasons)
}

#[test]
fn the_interval_of_chao1_holds_the_truth_in_nine_of_ten_runs() {
    // Equal chances, and chances that differ by a factor of ten, sampled thinly and well.
    let uneven: Vec<f64> = (0..400).map(|kind| 1.0 + 9.0 * f64::from(kind) / 400.0).collect();
    for (name, weights, draws) in [
        ("equal, half seen", vec![1.0; 500], 350),
        ("equal, most seen", vec![1.0; 500], 1500),
        ("equal, small", vec![1.0; 40], 60),
        ("uneven, nearly all seen", uneven, 2500),
    ] {
        let truth = weights.len() as f64;
        let mut random = Random(0x1234_5678_9ABC_DEF1);
        let held = (0..300)
            .filter(|_| {
                let interval = Abundance::of(&random.draw(&weights, draws)).chao1();
                interval.low <= truth && truth <= interval.high
            })
            .count();
        assert!(held >= 270, "{name}: {held} of 300");
    }
}

#[test]
fn chao1_is_a_lower_bound_for_zipf() {
    let mut random = Random(77);
    let weights = zipf(2000, 1.0);
    let fine = (0..200)
        .filter(|_| {
            let abundance = Abundance::of(&random.draw(&weights, 5000));
            let interval = abundance.chao1();
            interval.low <= 2000.0 && interval.value > 1.2 * abundance.seen as f64
        })
        .count();
    assert!(fine >= 195, "{fine} of 200");
}

#[test]
fn good_turing_predicts_the_next_event() {
    let mut random = Random(5);
    let weights = zipf(1000, 1.0);
    let all: f64 = weights.iter().sum();
    let (mut predicted, mut true_chance) = (0.0, 0.0);
    for _ in 0..100 {
        let counts = random.draw(&weights, 2000);
        predicted += Abundance::of(&counts).next_opens() / 100.0;
        true_chance += counts.iter().zip(&weights).filter(|(count, _)| **count == 0.0).map(|(_, weight)| weight / all).sum::<f64>() / 100.0;
    }
    assert!((predicted - true_chance).abs() < 0.005, "{predicted} for {true_chance}");
}

#[test]
fn ids_grow_and_enumerations_do_not() {
    let mut random = Random(9);
    let codes = random.draw(&zipf(12, 1.0), 20_000);
    assert_eq!(verdict("http_requests_total", MetricType::Counter, &codes), (Verdict::Bounded, vec![]));
    let ids = random.draw(&vec![1.0; 1_000_000], 5000);
    assert_eq!(verdict("http_requests_total", MetricType::Counter, &ids), (Verdict::Growing, vec![]));
    assert_eq!(verdict("latency_seconds", MetricType::Histogram, &ids), (Verdict::Growing, vec![]));
    // Ten routes take all but one in fifty requests; ids in the rest.
    let mut mixed = vec![5000.0; 10];
    mixed.extend(vec![1.0; 1000]);
    assert_eq!(verdict("http_requests_total", MetricType::Counter, &mixed), (Verdict::Growing, vec![]));
}

#[test]
fn says_why_it_does_not_know() {
    use Reason::{Amounts, FewEvents, InBunches, NotCounted, NotIntegers};
    let mut random = Random(11);
    let ids = random.draw(&vec![1.0; 100_000], 3000);
    let unknown = |reason| (Verdict::Unknown, vec![reason]);
    assert_eq!(verdict("queue_length", MetricType::Gauge, &ids), unknown(NotCounted));
    assert_eq!(verdict("sent_bytes_total", MetricType::Counter, &ids), unknown(Amounts));
    assert_eq!(verdict("blocks_total", MetricType::Counter, &[512.0, 1024.0, 4096.0]), unknown(Amounts));
    assert_eq!(verdict("cost_total", MetricType::Counter, &[100.5, 77.0]), unknown(NotIntegers));
    assert_eq!(verdict("cost_total", MetricType::Counter, &[f64::INFINITY, 77.0]), unknown(NotIntegers));
    assert_eq!(verdict("starts_total", MetricType::Counter, &[1.0; 20]), unknown(FewEvents));
    // Each id has its request and its response.
    let twice: Vec<f64> = (0..500).map(|id| if id % 50 == 0 { 3.0 } else { 2.0 }).collect();
    assert_eq!(verdict("messages_total", MetricType::Counter, &twice), unknown(InBunches));
}

#[test]
fn a_young_process_may_grow_and_is_not_called_bounded() {
    let mut scrape = Scrape::default();
    counter(&mut scrape, "a_total", MetricType::Counter, &[501.0, 300.0, 200.0]);
    counter(&mut scrape, "b_total", MetricType::Counter, &[1.0; 200]);
    let found: Vec<(Verdict, Vec<Reason>)> =
        outlooks(&scrape, Some(30.0)).into_iter().map(|found| (found.verdict, found.reasons)).collect();
    assert_eq!(found, [(Verdict::Unknown, vec![Reason::Young]), (Verdict::Growing, vec![])]);
    assert_eq!(outlooks(&scrape, Some(3600.0))[0].verdict, Verdict::Bounded);
}

#[test]
fn draws_are_not_taken_for_bunches() {
    let mut random = Random(3);
    for run in 0..200 {
        let weights = if run % 2 == 0 { vec![1.0; 300] } else { zipf(1000, 0.8) };
        let counts = random.draw(&weights, 200 + 20 * run);
        assert!(!Abundance::of(&counts).in_bunches(), "run {run}");
    }
}

fn scrapes(counts: &[Vec<f64>]) -> Vec<Scrape> {
    let one = |(index, counts): (usize, &Vec<f64>)| {
        let mut scrape = Scrape::default();
        // Ids of strings differ from scrape to scrape.
        (0..index).for_each(|extra| {
            scrape.strings.intern(&format!("extra {extra}"));
        });
        counter(&mut scrape, "a_total", MetricType::Counter, counts);
        counter(&mut scrape, "b_total", MetricType::Counter, &[3.0, 4.0]);
        scrape
    };
    counts.iter().enumerate().map(one).collect()
}

fn grown(counts: &[Vec<f64>]) -> growth::Growth {
    let scrapes = scrapes(counts);
    let timed: Vec<(Duration, &Scrape)> =
        scrapes.iter().enumerate().map(|(index, scrape)| (Duration::from_secs(60 * index as u64), scrape)).collect();
    growth(&timed)
}

#[test]
fn churn_is_told_from_growth() {
    // Ten series at a time, five of them new in each scrape.
    let window = |start: usize| (0..100).map(|id| if (start..start + 10).contains(&id) { 1.0 } else { 0.0 }).collect::<Vec<f64>>();
    let found = grown(&[window(0), window(5), window(10)]);
    let (name, trend) = &found.families[0];
    assert_eq!(name, "a_total");
    assert_eq!((trend.appeared(), trend.gone()), (10, 10));
    assert_eq!(trend.growth_per_second(), None);
    assert_eq!(trend.until(1000), None);
    assert_eq!((found.families[1].1.appeared(), found.families[1].1.gone()), (0, 0));
    assert_eq!(found.total.points.iter().map(|point| (point.series, point.distinct)).collect::<Vec<_>>(), [(12, 12), (12, 17), (12, 22)]);
}

#[test]
fn steady_growth_reaches_the_budget_when_it_says() {
    let first = |count: usize| vec![1.0; count];
    let trend = grown(&[first(100), first(160), first(220), first(280)]).families.remove(0).1;
    assert!((trend.growth_per_second().unwrap() - 1.0).abs() < 1e-9);
    assert_eq!(trend.new_per_second(), Some(1.0));
    let eta = trend.until(280 + 7200).unwrap();
    assert!(eta.model == Model::Linear && (eta.hours - 2.0).abs() < 0.01, "{eta:?}");
    assert_eq!(trend.until(200).unwrap().hours, 0.0);
    let flat = grown(&[first(100), first(100)]);
    assert_eq!(flat.total.until(1000), None);
    assert_eq!(grown(&[first(100)]).total.until(1000), None);
    assert_eq!(growth(&[]).total.until(1), None);
}

#[test]
fn growth_that_slows_down_is_fitted_by_heaps_law() {
    // `series = 20 sqrt(events)`, 10,000 events a minute.
    let at = |minute: usize| {
        let events = 10_000.0 * minute as f64;
        let series = (20.0 * events.sqrt()).round() as usize;
        let mut counts = vec![1.0; series];
        counts[0] = events - (series - 1) as f64;
        counts
    };
    let trend = grown(&[at(1), at(2), at(3), at(4), at(5)]).families.remove(0).1;
    let now = trend.points[4].series;
    let eta = trend.until(2 * now).unwrap();
    // Twice the series need four times the events: fifteen minutes more.
    assert!(eta.model == Model::Heaps && (eta.hours - 0.25).abs() < 0.01, "{eta:?}");
    assert!(trend.until(now * 1000).is_some_and(|eta| eta.hours > 24.0));
}
