//! Throughput of the parsers of expositions: `cargo bench --bench exposition`, on one core.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use goscope::formats::exposition::{Format, Item, Parser, Rules};

/// As `benches/go/body` makes it: mostly buckets of histograms whose path holds an id, then counters with four to six labels; about 118 bytes a
/// line.
fn body(series: usize) -> String {
    let mut body = String::new();
    let mut random = 1u64;
    let mut next = move || {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        random >> 33
    };
    body.push_str("# HELP http_request_duration_seconds Time to answer.\n# TYPE http_request_duration_seconds histogram\n");
    const BOUNDS: [&str; 12] = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];
    for _ in 0..series * 7 / 10 / 14 {
        let id = format!("{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}", next(), next() & 0xffff, next() & 0xfff, next() & 0xfff, next());
        let labels = format!("method=\"GET\",code=\"200\",path=\"/api/orders/{id}\"");
        let mut count = 0;
        for bound in BOUNDS {
            count += next() % 50;
            writeln!(body, "http_request_duration_seconds_bucket{{{labels},le=\"{bound}\"}} {count}").unwrap();
        }
        writeln!(body, "http_request_duration_seconds_sum{{{labels}}} {}", next() as f64 / 1e6).unwrap();
        writeln!(body, "http_request_duration_seconds_count{{{labels}}} {count}").unwrap();
    }
    body.push_str("# TYPE grpc_server_handled_total counter\n");
    for index in 0..series * 3 / 10 {
        write!(body, "grpc_server_handled_total{{grpc_service=\"orders.v1.Orders\",grpc_method=\"Get{}\",grpc_code=\"OK\"", next() % 1000)
            .unwrap();
        for extra in 0..1 + index % 3 {
            write!(body, ",shard{extra}=\"{}\"", next() % 10_000).unwrap();
        }
        writeln!(body, "}} {}", next() % 1_000_000).unwrap();
    }
    body
}

fn text(criterion: &mut Criterion) {
    let body = body(100_000);
    let mut group = criterion.benchmark_group("exposition");
    group.throughput(Throughput::Bytes(body.len() as u64)).sample_size(20);
    group.bench_function("text", |bencher| {
        bencher.iter(|| {
            let mut labels = 0;
            let mut parser = Parser::new(Format::Text, Rules::Prometheus);
            let read = parser.parse(body.as_bytes(), true, &mut |item| match item {
                Item::Sample(sample) => labels += black_box(sample).labels.len(),
                Item::Problem(problem) => panic!("{problem}"),
                _ => {}
            });
            assert_eq!(read, body.len());
            labels
        });
    });
}

criterion_group!(benches, text);
criterion_main!(benches);
