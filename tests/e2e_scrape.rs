//! `goscope cardinality`: bodies of real servers, good and bad, over HTTP; and files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/web.rs"]
mod web;

use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use goscope::cardinality::source::{Accept, Auth, Compression, Encoding, FetchOptions, Fetched, Scraper, Source};
use goscope::error::{Error, Result};
use goscope::formats::exposition::Format;
use web::{Server, TEXT};

const BODY: &str = "# TYPE up gauge\nup{job=\"a\"} 1\nup{job=\"b\"} 0\n";

fn scrape(word: &str, options: FetchOptions) -> Result<(Fetched, Vec<u8>)> {
    let source = Source::parse(word, &options)?;
    let mut fetched = Scraper::new(source, options, |name| panic!("{name} is taken for a process"))?.scrape(&mut |_| ())?;
    let mut all = Vec::new();
    while let Some(block) = fetched.body.next_block()? {
        all.extend_from_slice(&block);
        fetched.body.recycle(block);
    }
    Ok((fetched, all))
}

fn body(word: &str, options: FetchOptions) -> Vec<u8> {
    scrape(word, options).unwrap_or_else(|error| panic!("{error} {:?}", error.hints)).1
}

/// Exit code 5, and these texts in the error or its hints.
fn refused(word: &str, options: FetchOptions, told: &[&str]) -> Error {
    let Err(error) = scrape(word, options) else { panic!("{word} is taken, instead of: {told:?}") };
    assert_eq!(error.kind.exit_code(), 5, "{error}");
    let text = format!("{error} {:?}", error.hints);
    for part in told {
        assert!(text.contains(part), "'{part}' is missing: {text}");
    }
    assert!(!text.contains('\n'), "one line: {text}");
    error
}

fn default() -> FetchOptions {
    FetchOptions::default()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_server_is_asked_as_prometheus_asks() {
    let server = Server::with("200 OK", TEXT, BODY);
    let (fetched, text) = scrape(&server.url(), default()).ok().unwrap();
    assert_eq!(text, BODY.as_bytes());
    assert_eq!((fetched.instance, fetched.url), (server.address.to_string(), Some(server.url())));
    assert_eq!((fetched.format, fetched.refused, fetched.encoding), (Format::Text, None, Encoding::Identity));
    assert_eq!(fetched.body.received_bytes(), BODY.len() as u64);
    let request = server.requests.recv().unwrap();
    let header = |name: &str| {
        let of = |line: &str| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned());
        request.lines().filter_map(of).collect::<Vec<_>>()
    };
    assert!(request.starts_with("GET /metrics HTTP/1.1\r\n"), "{request}");
    assert_eq!(header("accept"), [Accept::Prometheus.header()]);
    assert_eq!(header("accept-encoding"), ["gzip"]);
    assert_eq!(header("x-prometheus-scrape-timeout-seconds"), ["10"]);
    assert_eq!(header("user-agent"), [concat!("goscope/", env!("CARGO_PKG_VERSION"))]);
    assert_eq!(header("host"), [server.address.to_string()]);
    assert!(header("authorization").is_empty() && header("referer").is_empty());

    let named = |name: &'static str, value: &'static str| (name.parse().unwrap(), value.parse().unwrap());
    let options = FetchOptions {
        headers: vec![named("X-Scope-OrgID", "1|2"), named("User-Agent", "other"), named("X-Twice", "a"), named("X-Twice", "b")],
        auth: Some(Auth::Bearer("s3cr3t".to_owned())),
        accept: Accept::Protobuf,
        compression: Compression::Zstd,
        timeout: Duration::from_millis(2500),
        ..default()
    };
    assert_eq!(body(&server.url(), options), BODY.as_bytes());
    let request = server.requests.recv().unwrap().to_ascii_lowercase();
    for line in [
        "x-scope-orgid: 1|2\r\n",
        "user-agent: other\r\n",
        "x-twice: a\r\n",
        "x-twice: b\r\n",
        "authorization: bearer s3cr3t\r\n",
        "accept-encoding: zstd,gzip\r\n",
        "x-prometheus-scrape-timeout-seconds: 2.5\r\n",
        "encoding=delimited;q=0.7,*/*;q=0.6\r\n",
    ] {
        assert!(request.contains(line), "{line} is missing: {request}");
    }
    assert!(!request.contains("goscope/"), "{request}");
}

#[test]
fn a_url_without_a_path_is_asked_for_metrics() {
    let server = Server::with("200 OK", TEXT, BODY);
    for (word, path) in [
        (format!("http://{}", server.address), "/metrics"),
        (format!("http://{}/", server.address), "/"),
        (format!("http://{}/probe?target=a&module=b", server.address), "/probe?target=a&module=b"),
    ] {
        body(&word, default());
        let request = server.requests.recv().unwrap();
        assert!(request.starts_with(&format!("GET {path} HTTP/1.1\r\n")), "{request}");
    }
}

#[test]
fn compressed_and_chunked_bodies_come_out_whole() {
    let text: Vec<u8> = (0..300_000u32).flat_map(|n| format!("m{{a=\"{}\"}} {n}\n", n % 977).into_bytes()).collect();
    let zstd = ruzstd::encoding::compress_to_vec(&text[..], ruzstd::encoding::CompressionLevel::Fastest);
    for (name, sent) in [("gzip", gzip(&text)), ("zstd", zstd)] {
        let length = sent.len() as u64;
        let server = Server::with("200 OK", &format!("{TEXT}Content-Encoding: {name}\r\n"), sent);
        let (fetched, all) = scrape(&server.url(), default()).ok().unwrap();
        assert!(all == text, "{name}: {} of {} bytes", all.len(), text.len());
        assert_eq!((fetched.encoding.as_str(), fetched.body.received_bytes()), (name, length));
        assert!(fetched.body.elapsed() > Duration::ZERO);
    }
    let chunks = text.clone();
    let server = Server::start(move |_, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\n{TEXT}Transfer-Encoding: chunked\r\n\r\n")?;
        for chunk in chunks.chunks(77_777) {
            write!(stream, "{:x}\r\n", chunk.len())?;
            stream.write_all(chunk)?;
            write!(stream, "\r\n")?;
        }
        write!(stream, "0\r\n\r\n")
    });
    assert!(body(&server.url(), default()) == text);
}

#[test]
fn what_the_content_type_says_is_handed_on() {
    for (header, format, refused) in [
        ("Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n", Format::OpenMetrics1, None),
        ("Content-Type: application/json\r\n", Format::Text, Some("application/json")),
        ("", Format::Text, Some("no Content-Type")),
    ] {
        let server = Server::with("200 OK", header, BODY);
        let fetched = scrape(&server.url(), default()).ok().unwrap().0;
        assert_eq!(fetched.format, format);
        match refused {
            Some(why) => assert!(fetched.refused.as_ref().unwrap().contains(why), "{:?}", fetched.refused),
            None => assert_eq!(fetched.refused, None),
        }
    }
}

#[test]
fn answers_that_are_no_metrics_are_refused_with_the_reason() {
    let html = "Content-Type: text/html; charset=utf-8\r\n";
    for (server, told) in [
        (Server::with("500 Internal Server Error", TEXT, "\nout of memory\nmore"), &["500 Internal Server Error: out of memory"][..]),
        (Server::with("503 Service Unavailable", html, "<html>\n<body>"), &["the server answered 503 Service Unavailable"]),
        (Server::with("401 Unauthorized", TEXT, ""), &["401", "--bearer-token-file"]),
        (Server::with("404 Not Found", TEXT, "404 page not found\n"), &["404", "is the path right"]),
        (Server::with("204 No Content", TEXT, ""), &["204"]),
        (Server::with("200 OK", html, "<!DOCTYPE html><html>"), &["web page", "http://localhost:9090/metrics"]),
        (Server::with("200 OK", TEXT, " <html><body>Prometheus</body></html>"), &["web page"]),
        (Server::with("200 OK", &format!("{TEXT}Content-Encoding: br\r\n"), "x"), &["'br'", "--compression identity"]),
        (Server::with("200 OK", &format!("{TEXT}Content-Encoding: gzip\r\n"), BODY), &["no valid gzip"]),
        (Server::with("301 Moved Permanently", "Location: /metrics\r\n", ""), &["redirects in circles"]),
        (Server::start(|_, stream| stream.write_all(b"220 mail.example.org ESMTP\r\n")), &["does not speak HTTP"]),
        (Server::start(|_, _| Ok(())), &["does not speak HTTP, or gave up"]),
    ] {
        let error = refused(&server.url(), default(), told);
        assert!(error.to_string().starts_with(&server.url()), "{error}");
    }
}

#[test]
fn nobody_there() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    refused(&format!("http://127.0.0.1:{port}/metrics"), default(), &["nothing listens there", "refused"]);
    refused("http://no-such-host.invalid/metrics", default(), &["the name cannot be looked up"]);
}

#[test]
fn a_password_in_a_url_is_sent_and_never_shown() {
    let server = Server::with("200 OK", TEXT, BODY);
    let url = format!("http://me:s3cr3t@{}/metrics", server.address);
    let fetched = scrape(&url, default()).ok().unwrap().0;
    assert_eq!(fetched.url, Some(server.url()));
    assert_eq!(fetched.instance, server.address.to_string());
    // base64 of me:s3cr3t
    assert!(server.requests.recv().unwrap().to_ascii_lowercase().contains("authorization: basic bwu6cznjcjn0"));
    let broken = Server::with("500 Internal Server Error", TEXT, "");
    for address in [broken.address.to_string(), "no-such-host.invalid".to_owned(), "127.0.0.1:1".to_owned(), "bad host".to_owned()] {
        let error = scrape(&format!("http://me:s3cr3t@{address}/metrics"), default()).err().unwrap();
        assert!(!format!("{error} {:?} {error:?}", error.hints).contains("s3cr3t"), "{error:?}");
    }
    // Who asks is said once.
    let options = FetchOptions { auth: Some(Auth::Basic { user: "you".into(), password: "other".into() }), ..default() };
    body(&url, options);
    let request = server.requests.recv().unwrap().to_ascii_lowercase();
    assert_eq!(request.matches("authorization").count(), 1, "{request}");
    assert!(request.contains("authorization: basic ew91om90agvy"), "{request}");
}

#[test]
fn a_token_in_a_url_is_sent_and_never_shown() {
    let server = Server::with("503 Service Unavailable", TEXT, "");
    let url = format!("{}?module=http&access_token=S3CR3T&X-Api-Key=S3CR3T", server.url());
    let (code, _, told) = goscope(&[&url], b"");
    assert_eq!(code, Some(5));
    assert!(server.requests.recv().unwrap().contains("?module=http&access_token=S3CR3T&X-Api-Key=S3CR3T "));
    assert!(told.contains("?module=http&access_token=***&X-Api-Key=***: ") && !told.contains("S3CR3T"), "{told}");
    let server = Server::with("200 OK", TEXT, BODY);
    let (code, document, told) = goscope(&[&format!("{}?token=S3CR3T", server.url()), "--format", "json"], b"");
    assert!(code == Some(0) && document.contains("?token=***") && !document.contains("S3CR3T") && told.is_empty(), "{document}");
}

#[test]
fn redirects_are_followed_without_credentials_for_another_server() {
    let last = Server::with("200 OK", TEXT, BODY);
    let location = format!("Location: {}?from=first\r\n", last.url());
    let first = Server::with("302 Found", &location, "");
    let options = FetchOptions { auth: Some(Auth::Bearer("s3cr3t".to_owned())), ..default() };
    let (fetched, text) = scrape(&first.url(), options).ok().unwrap();
    assert_eq!(text, BODY.as_bytes());
    assert_eq!(fetched.url, Some(format!("{}?from=first", last.url())));
    assert_eq!(fetched.instance, first.address.to_string(), "as a server would name it");
    assert!(first.requests.recv().unwrap().contains("s3cr3t"));
    assert!(!last.requests.recv().unwrap().contains("s3cr3t"));
}

/// Until the other side closes the connection.
fn hang(stream: &mut std::net::TcpStream) -> std::io::Result<()> {
    std::io::copy(stream, &mut std::io::sink()).map(drop)
}

#[test]
fn a_scrape_ends_when_its_time_is_up_in_whatever_phase() {
    let limit = Duration::from_millis(700);
    let options = || FetchOptions { timeout: limit, ..default() };
    let silent = Server::start(|_, stream| hang(stream));
    let stops = Server::start(|_, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\n{TEXT}Content-Length: 1000000\r\n\r\n{BODY}")?;
        hang(stream)
    });
    let drips = Server::start(|_, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\n{TEXT}\r\n")?;
        loop {
            stream.write_all(b"up 1\n")?;
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    // A TLS handshake that gets no answer.
    let handshake = silent.url().replace("http:", "https:");
    for (url, told) in [
        (handshake, "there was no connection"),
        (silent.url(), "there was no answer"),
        (stops.url(), "the body was not complete"),
        (drips.url(), "the body was not complete"),
    ] {
        let begin = Instant::now();
        refused(&url, options(), &[told, "after 700ms", "--timeout"]);
        let took = begin.elapsed();
        assert!(took >= limit.mul_f64(0.9) && took < limit + Duration::from_secs(5), "{told}: {took:?}");
    }
}

#[test]
fn bodies_that_are_cut_off_hand_over_what_was_whole() {
    let text = BODY.repeat(100_000);
    let whole = gzip(text.as_bytes());
    let half = whole[..whole.len() / 2].to_vec();
    let gzipped = Server::with("200 OK", &format!("{TEXT}Content-Encoding: gzip\r\n"), half);
    let short = Server::start(|_, stream| write!(stream, "HTTP/1.1 200 OK\r\n{TEXT}Content-Length: 1000\r\n\r\n{BODY}"));
    let chunked = Server::start(|_, stream| write!(stream, "HTTP/1.1 200 OK\r\n{TEXT}Transfer-Encoding: chunked\r\n\r\n4\r\n# TY"));
    for (server, told) in [(gzipped, "gzip data is cut off"), (short, "the connection broke"), (chunked, "the connection broke")] {
        let source = Source::parse(&server.url(), &default()).unwrap();
        let mut fetched = Scraper::new(source, default(), |_| unreachable!()).unwrap().scrape(&mut |_| ()).ok().unwrap();
        let mut all = Vec::new();
        let error = loop {
            match fetched.body.next_block() {
                Ok(Some(block)) => all.extend(block),
                Ok(None) => panic!("it is taken for whole, instead of: {told}"),
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains(told) && error.kind.exit_code() == 5, "{error}");
        assert!(!all.is_empty() && text.as_bytes().starts_with(&all), "{told}: {} bytes", all.len());
        assert!(fetched.body.next_block().unwrap().is_none(), "the error is told once");
    }
}

#[test]
fn no_body_is_read_past_the_limit() {
    let options = || FetchOptions { body_limit: 5 << 20, ..default() };
    // 256 MiB in about 1 MiB.
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let zeros = vec![b'0'; 1 << 20];
    (0..256).for_each(|_| bomb.write_all(&zeros).unwrap());
    let bomb = Server::with("200 OK", &format!("{TEXT}Content-Encoding: gzip\r\n"), bomb.finish().unwrap());
    let endless = Server::start(|_, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\n{TEXT}\r\n")?;
        loop {
            stream.write_all(&[b'x'; 1 << 16])?;
        }
    });
    for server in [bomb, endless] {
        let begin = Instant::now();
        refused(&server.url(), options(), &["5.0 MiB", "--body-limit"]);
        assert!(begin.elapsed() < Duration::from_secs(8), "it waits for the time to be up");
    }
}

#[test]
fn files_are_read_as_they_are_or_decompressed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (plain, gz, zst, fifo) = (path("plain"), path("gz"), path("zst"), path("fifo"));
    let text = BODY.repeat(60_000);
    std::fs::write(&plain, &text).unwrap();
    std::fs::write(&gz, gzip(text.as_bytes())).unwrap();
    std::fs::write(&zst, ruzstd::encoding::compress_to_vec(text.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest)).unwrap();
    let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    let writer = std::thread::spawn({
        let (fifo, text) = (fifo.clone(), text.clone());
        move || std::fs::write(fifo, text).unwrap()
    });
    for (word, encoding) in [(&plain, Encoding::Identity), (&gz, Encoding::Gzip), (&zst, Encoding::Zstd), (&fifo, Encoding::Identity)] {
        let (fetched, all) = scrape(word, default()).ok().unwrap();
        assert!(all == text.as_bytes(), "{word}: {} of {} bytes", all.len(), text.len());
        assert_eq!((fetched.encoding, fetched.instance.as_str(), fetched.url), (encoding, word.as_str(), None));
        let known = fetched.plain_file.map(|file| (file.path.to_str().unwrap().to_owned(), file.bytes));
        assert_eq!(known, (*word == plain).then(|| (plain.clone(), text.len() as u64)));
    }
    writer.join().unwrap();
    let page = path("page.html");
    std::fs::write(&page, "<html>").unwrap();
    refused(&page, default(), &["web page"]);
    refused(folder.path().to_str().unwrap(), default(), &["is a folder"]);
    refused(&path("none"), default(), &["cannot read", "none"]);
    std::fs::write(path("cut.gz"), &gzip(text.as_bytes())[..1000]).unwrap();
    refused(&path("cut.gz"), default(), &["cut off"]);
}

#[test]
fn what_a_source_is() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("saved");
    std::fs::write(&here, "").unwrap();
    let parse = |word: &str| Source::parse(word, &default());
    assert_eq!(parse("-").unwrap(), Source::Stdin);
    assert_eq!(parse("4711").unwrap(), Source::Process("4711".into()));
    assert_eq!(parse("payments").unwrap(), Source::Process("payments".into()));
    assert_eq!(parse(here.to_str().unwrap()).unwrap(), Source::File(here));
    assert_eq!(parse("Cargo.toml").unwrap(), Source::File("Cargo.toml".into()), "a file of that name goes before a process");
    assert_eq!(parse("no/such/file").unwrap(), Source::File("no/such/file".into()));
    assert!(matches!(parse("HTTPS://host").unwrap(), Source::Url(url) if url.as_str() == "https://host/metrics"));
    for (word, told) in [("localhost:9090", "http://localhost:9090"), ("ftp://host/x", "not supported"), ("http://", "not valid")] {
        let error = parse(word).unwrap_err();
        assert_eq!(error.kind.exit_code(), 2);
        assert!(format!("{error} {:?}", error.hints).contains(told), "{error}");
    }
}

fn goscope(args: &[&str], input: &[u8]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_goscope"));
    command.arg("cardinality").args(args).env("GOSCOPE_BEARER_TOKEN", "s3cr3t");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(input); // it may not be read
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_command_reads_urls_and_standard_input_and_ends_with_the_code_of_what_went_wrong() {
    let good = Server::with("200 OK", TEXT, BODY);
    let compressed = gzip(BODY.as_bytes());
    for (args, input) in [(&[good.url().as_str(), "--format", "json"][..], &[][..]), (&["-", "--format", "json"], &compressed)] {
        let (code, out, told) = goscope(args, input);
        assert_eq!(code, Some(0), "{told}");
        let document: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(document["total_series"], 2, "{document}");
    }
    assert!(good.requests.recv().unwrap().contains("Bearer s3cr3t"), "from the environment");
    let json = Server::with("200 OK", "Content-Type: application/json\r\n", BODY);
    let (code, _, told) = goscope(&[&json.url()], b"");
    assert_eq!(code, Some(5));
    assert!(told.contains("a Prometheus server refuses this scrape") && told.contains("application/json"), "{told}");
    let broken = Server::with("500 Internal Server Error", TEXT, "on fire");
    for (args, code, part) in [
        (&[broken.url().as_str()][..], 5, "500 Internal Server Error: on fire"),
        (&["http://127.0.0.1:1/metrics"], 5, "nothing listens there"),
        (&["no-such-process"], 3, "no-such-process"),
        (&["localhost:9090"], 2, "http://localhost:9090"),
        (&["x", "--header", "none"], 2, "--header"),
        (&["x", "--body-limit", "much"], 2, "512MiB"),
    ] {
        let (found, out, told) = goscope(args, b"");
        assert_eq!(found, Some(code), "{args:?}: {told}");
        assert!(told.contains(part) && out.is_empty() && !told.contains("s3cr3t"), "{args:?}: {told}");
    }
}
