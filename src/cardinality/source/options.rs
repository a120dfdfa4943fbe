//! How a source is read: what the flags of the command line become.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};

/// Has no Debug: it holds secrets.
#[derive(Clone)]
pub struct FetchOptions {
    /// Sent beside the usual ones, or instead of those of the same name.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub auth: Option<Auth>,
    /// PEM file of the certificates that are trusted, instead of the system's.
    pub ca: Option<PathBuf>,
    /// PEM files of the client's certificate and key; the key may stand in the first.
    pub cert: Option<(PathBuf, Option<PathBuf>)>,
    /// Trust any certificate.
    pub insecure: bool,
    /// For a whole scrape, from the look-up of the name to the last byte.
    pub timeout: Duration,
    /// In bytes, decompressed; a body that reaches it is refused, as by `body_size_limit` of Prometheus.
    pub body_limit: u64,
    pub compression: Compression,
    pub accept: Accept,
    /// Of a process: the port, instead of a search among those that it listens on.
    pub port: Option<u16>,
    /// Of a process, and of a URL that has none.
    pub path: String,
}

impl Default for FetchOptions {
    fn default() -> Self {
        FetchOptions {
            headers: Vec::new(),
            auth: None,
            ca: None,
            cert: None,
            insecure: false,
            timeout: Duration::from_secs(10),
            body_limit: 1 << 30,
            compression: Compression::Gzip,
            accept: Accept::Prometheus,
            port: None,
            path: "/metrics".to_owned(),
        }
    }
}

#[derive(Clone)]
pub enum Auth {
    Bearer(String),
    Basic { user: String, password: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Compression {
    Gzip,
    Identity,
    Zstd,
}

impl Compression {
    /// As `acceptEncodingHeader` in Prometheus 3.16 (`scrape/scrape.go`).
    pub fn header(self) -> &'static str {
        match self {
            Compression::Gzip => "gzip",
            Compression::Identity => "identity",
            Compression::Zstd => "zstd,gzip",
        }
    }
}

/// Which formats the server is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Accept {
    /// All text formats, as a Prometheus server does by default
    Prometheus,
    /// As one that scrapes native histograms: protobuf first
    NativeHistograms,
    Text,
    Openmetrics,
    Openmetrics2,
    Protobuf,
}

const PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
const OPENMETRICS_2: &str = "application/openmetrics-text;version=2.0.0;escaping=allow-utf-8";
const OPENMETRICS_1: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8";
const OPENMETRICS_0: &str = "application/openmetrics-text;version=0.0.1";
const TEXT_1: &str = "text/plain;version=1.0.0;escaping=allow-utf-8";
const TEXT_0: &str = "text/plain;version=0.0.4";

impl Accept {
    /// As `acceptHeader` in Prometheus 3.16 (`scrape/scrape.go`) for the list that it has as `scrape_protocols`
    /// (`DefaultScrapeProtocols` and `DefaultProtoFirstScrapeProtocols` in `config/config.go`).
    pub fn header(self) -> String {
        let formats: &[&str] = match self {
            Accept::Prometheus => &[OPENMETRICS_1, OPENMETRICS_0, TEXT_1, TEXT_0],
            Accept::NativeHistograms => &[PROTOBUF, OPENMETRICS_1, OPENMETRICS_0, TEXT_1, TEXT_0],
            Accept::Text => &[TEXT_1, TEXT_0],
            Accept::Openmetrics => &[OPENMETRICS_1, OPENMETRICS_0],
            Accept::Openmetrics2 => &[OPENMETRICS_2],
            Accept::Protobuf => &[PROTOBUF],
        };
        // One more than the number of formats that this release knows.
        let weights = (1..=7).rev();
        let all = formats.iter().chain(&["*/*"]).zip(weights);
        all.map(|(format, weight)| format!("{format};q=0.{weight}")).collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first two are those of `TestAcceptHeader` in `scrape/scrape_test.go`.
    #[test]
    fn accept_headers_are_those_of_prometheus() {
        assert_eq!(
            Accept::Prometheus.header(),
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.7,application/openmetrics-text;version=0.0.1;q=0.6,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.3"
        );
        assert_eq!(
            Accept::NativeHistograms.header(),
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,\
             application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
        );
        assert_eq!(Accept::Openmetrics2.header(), "application/openmetrics-text;version=2.0.0;escaping=allow-utf-8;q=0.7,*/*;q=0.6");
    }
}
