//! A snapshot of many goroutines into each format. The bar: 100k goroutines to JSON in 80 ms; groups linear in goroutines.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../tests/support/sample.rs"]
mod sample;

use std::hint::black_box;
use std::io::{BufWriter, Write};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use goscope::goroutines::analyze::diff::diff;
use goscope::goroutines::analyze::{Filter, GroupBy, Query, view};
use goscope::goroutines::model::*;
use goscope::goroutines::{report, saved};
use goscope::output::Style;

/// As a service has them: a few hundred distinct stacks, a few dozen creation sites, labels on some.
fn many(count: u64) -> Snapshot {
    let mut snapshot = sample::snapshot();
    let base = sample::stacks();
    snapshot.stacks = (0..300)
        .map(|i| {
            let mut stack = base[i % base.len()].clone();
            stack.frames.extend((0..8).map(|depth| {
                sample::go(
                    &format!("example.com/payments/internal/layer{depth}.(*Handler).step{i}"),
                    "/src/payments/internal/layer.go",
                    i as u32,
                )
            }));
            stack
        })
        .collect();
    let sites: Vec<_> = (0..40)
        .map(|line| sample::created_by("example.com/payments/internal/pool.(*Pool).Start", "/src/payments/internal/pool/pool.go", line, 1))
        .collect();
    let start = sample::go("example.com/payments/internal/pool.(*Pool).Start.func1", "/src/payments/internal/pool/pool.go", 9);
    let reasons: Vec<std::sync::Arc<str>> = ["chan receive", "select", "IO wait", "sync.Mutex.Lock"].map(Into::into).to_vec();
    let labels = [sample::label("tenant", "acme"), sample::label("route", "/v1/charges/{id}")];
    snapshot.goroutines = (0..count)
        .map(|id| Goroutine {
            wait_reason: Some(reasons[id as usize % reasons.len()].clone()),
            wait_min_ns: (id % 3 > 0).then_some(id * 1_000_000),
            created_by: sites[id as usize % sites.len()].clone(),
            start: Some(start.clone()),
            labels: if id % 10 == 0 { labels.to_vec() } else { Vec::new() },
            ..sample::goroutine(id, Status::Waiting, (id % 300) as u32)
        })
        .collect();
    snapshot
}

fn file() -> BufWriter<std::fs::File> {
    BufWriter::with_capacity(64 * 1024, std::fs::File::create("/dev/null").unwrap())
}

fn formats(c: &mut Criterion) {
    const COUNT: u64 = 100_000;
    let snapshot = many(COUNT);
    let mut group = c.benchmark_group("report_100k");
    group.throughput(Throughput::Elements(COUNT)).sample_size(10);
    let grouped = Query { group: Some(GroupBy::Stack), ..Query::default() };
    group.bench_function("json", |b| {
        b.iter(|| {
            let view = view(&snapshot, &grouped);
            let mut out = file();
            serde_json::to_writer(&mut out, &report::document(&view)).unwrap();
            out.flush().unwrap();
        });
    });
    let all = view(&snapshot, &Query::default());
    group.bench_function("jsonl", |b| b.iter(|| report::write_jsonl(&all, &mut file()).unwrap()));
    group.bench_function("text", |b| b.iter(|| report::write_text(&all, &mut file()).unwrap()));
    group.bench_function("folded", |b| b.iter(|| report::write_folded(&all, &mut file()).unwrap()));
    group.bench_function("pprof", |b| b.iter(|| report::write_pprof(&all, &mut file()).unwrap()));
    group.bench_function("table", |b| {
        b.iter(|| report::write_table(&view(&snapshot, &grouped), &mut file(), Style::default()).unwrap());
    });
    let json = serde_json::to_vec(&report::document(&all)).unwrap();
    println!("json: {} MB", json.len() / 1_000_000);
    group.bench_function("read_back", |b| b.iter_batched(|| &json, |json| saved::parse(json).unwrap(), BatchSize::LargeInput));
    group.bench_function("diff", |b| b.iter(|| black_box(diff(&snapshot, &snapshot, &Filter::default(), false))));
    group.finish();
}

fn groups(c: &mut Criterion) {
    let mut group = c.benchmark_group("group");
    group.sample_size(10);
    for count in [100_000, 1_000_000] {
        let snapshot = many(count);
        group.throughput(Throughput::Elements(count));
        for (name, by) in [("stack", GroupBy::Stack), ("created_by", GroupBy::CreatedBy), ("label", GroupBy::Label("tenant".into()))] {
            let query = Query { group: Some(by), ..Query::default() };
            group.bench_function(format!("{name}_{count}"), |b| b.iter(|| black_box(view(&snapshot, &query))));
        }
    }
    group.finish();
}

criterion_group!(benches, formats, groups);
criterion_main!(benches);
