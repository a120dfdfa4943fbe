//! What the Prometheus server itself makes of a body: `tests/fixtures/go/oracle`, kept running and asked line by line.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Ends when dropped.
pub struct Oracle {
    child: Child,
    /// None while it is being ended.
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

/// A question to `parse`. The switches are those of a server's configuration, off by default.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Scrape {
    pub content_type: String,
    pub body_base64: String,
    pub native_histograms: bool,
    pub classic_too: bool,
    pub openmetrics2: bool,
    pub start_timestamps: bool,
}

/// The answer of `parse`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Parsed {
    /// Why the server refuses the scrape; empty when it takes all.
    pub error: String,
    /// All up to that error, in the order of the body.
    pub entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[allow(clippy::large_enum_variant)] // most are series
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Entry {
    Type { name: Option<String>, text: Option<String> },
    Help { name: Option<String>, text: Option<String> },
    Unit { name: Option<String>, text: Option<String> },
    Series(Series),
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Series {
    /// Sorted, with `__name__`.
    pub labels: Vec<(String, String)>,
    /// As Go prints it; none for a native histogram.
    pub value: Option<String>,
    /// In ms, as `start`.
    pub timestamp: Option<i64>,
    pub start: Option<i64>,
    pub histogram: Option<Native>,
    #[serde(default)]
    pub exemplars: Vec<Exemplar>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Exemplar {
    pub labels: Vec<(String, String)>,
    pub value: String,
    pub timestamp: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Native {
    pub schema: i32,
    pub zero_threshold: String,
    pub zero_count: String,
    pub count: String,
    pub sum: String,
    pub negative: Vec<Bucket>,
    pub positive: Vec<Bucket>,
    #[serde(default)]
    pub custom_values: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Bucket {
    pub index: i32,
    /// Absolute.
    pub count: String,
}

impl Scrape {
    pub fn new(content_type: &str, body: &[u8]) -> Scrape {
        Scrape { content_type: content_type.to_owned(), body_base64: base64(body), ..Scrape::default() }
    }

    pub fn text(body: &[u8]) -> Scrape {
        Scrape::new("text/plain; version=0.0.4", body)
    }

    pub fn openmetrics(body: &[u8]) -> Scrape {
        Scrape::new("application/openmetrics-text; version=1.0.0", body)
    }

    pub fn protobuf(body: &[u8]) -> Scrape {
        Scrape::new("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited", body)
    }
}

impl Oracle {
    /// Fails with what to do when it is not built.
    pub fn start(subcommand: &str) -> Oracle {
        let mut child = command(subcommand).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Oracle { child, stdin, stdout }
    }

    pub fn ask<A: DeserializeOwned>(&mut self, question: &impl Serialize) -> A {
        let mut line = serde_json::to_vec(question).unwrap();
        line.push(b'\n');
        self.stdin.as_mut().unwrap().write_all(&line).unwrap();
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: the oracle answered {answer:?}"))
    }

    pub fn parse(&mut self, scrape: &Scrape) -> Parsed {
        self.ask(scrape)
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

/// The version of the Prometheus module in it, as `v0.316.0`.
pub fn version() -> String {
    let output = command("version").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn command(subcommand: &str) -> Command {
    let file = "target/fixtures/oracle/oracle";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    assert!(path.exists(), "{file} is not built: run `tests/fixtures/build.sh oracle`");
    let mut command = Command::new(path);
    command.arg(subcommand);
    command
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            text.push(if place <= group.len() { ALPHABET[(bits >> (18 - 6 * place)) as usize & 63] as char } else { '=' });
        }
    }
    text
}
