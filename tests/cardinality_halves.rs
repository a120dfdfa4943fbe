//! A file that is big enough for two threads says what the same bytes say through a pipe, which one thread reads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/scraped.rs"]
mod scraped;

use std::process::Stdio;

use scraped::{cardinality, command, folder};

fn body(quoted: bool) -> String {
    let value = if quoted { "a\nb".repeat(40) } else { "value".repeat(20) };
    let mut text = "# TYPE h histogram\n".to_owned();
    let mut number = 0;
    while text.len() < 9 << 20 {
        text += &format!("h_bucket{{id=\"{number}\",v=\"{value}\",le=\"1\"}} 1\nh_bucket{{id=\"{number}\",v=\"{value}\",le=\"+Inf\"}} 2\n");
        number += 1;
        if number % 1000 == 0 {
            text += "wrong {\n";
        }
    }
    text
}

#[test]
fn two_threads_tell_what_one_tells() {
    for quoted in [false, true] {
        let folder = folder(&[("body.prom", &body(quoted))]);
        let args = |source: &'static str| [source, "--format", "json", "--lenient", "--show", "lint"];
        let mut whole = cardinality(folder.path(), &args("body.prom")).json();
        let input = std::fs::File::open(folder.path().join("body.prom")).unwrap();
        let piped = command(folder.path(), &args("-")).stdin(Stdio::from(input)).output().unwrap();
        let piped: serde_json::Value = serde_json::from_slice(&piped.stdout).unwrap();
        for error in whole["errors"].as_array_mut().unwrap() {
            assert_eq!(error["source"], "body.prom");
            error["source"] = "-".into();
        }
        for key in ["total_series", "metrics", "errors", "quality"] {
            assert_eq!(whole[key], piped[key], "{key}");
        }
        assert!(whole["quality"]["errors"].as_u64().unwrap() > 10);
    }
}
