//! `goscope cardinality` over HTTPS: which certificates are trusted, and what is said about the others.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/web.rs"]
mod web;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use goscope::cardinality::source::{FetchOptions, Scraper, Source};
use goscope::error::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use web::{Server, TEXT};

const BODY: &str = "up 1\n";

/// An authority that nobody trusts yet, with its certificate in a file.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Authority {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // As there is no other of that name, it is the name that tells that a certificate is of none that is trusted.
        params.distinguished_name.push(DnType::CommonName, format!("authority {}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Authority { issuer, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A certificate for these names, with its key.
    fn sign(&self, names: &[&str]) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        Arc::new(roots)
    }
}

/// The port of an HTTPS server with a certificate for `name`, that wants one of its clients if `clients` is given.
fn serve(authority: &Authority, name: &str, clients: Option<&Authority>) -> u16 {
    let (certificate, key) = authority.sign(&[name]);
    present(certificate.der(), &key, clients)
}

/// The same, with that certificate.
fn present(certificate: &CertificateDer<'static>, key: &KeyPair, clients: Option<&Authority>) -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(clients.roots(), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain: Vec<CertificateDer> = vec![certificate.clone()];
    let config = Arc::new(builder.with_single_cert(chain, PrivateKeyDer::try_from(key.serialize_der()).unwrap()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut tls = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream.unwrap());
            if web::head(&mut tls).is_empty() {
                continue; // the handshake failed
            }
            let answer = format!("HTTP/1.1 200 OK\r\n{TEXT}Content-Length: {}\r\nConnection: close\r\n\r\n{BODY}", BODY.len());
            let _ = tls.write_all(answer.as_bytes()).and_then(|()| tls.flush());
            tls.conn.send_close_notify();
            let _ = tls.flush();
        }
    });
    port
}

fn scrape(url: &str, options: FetchOptions) -> Result<Vec<u8>> {
    let options = FetchOptions { timeout: Duration::from_secs(20), ..options };
    let source = Source::parse(url, &options)?;
    let mut fetched = Scraper::new(source, options, |_| unreachable!())?.scrape(&mut |_| ())?;
    let mut all = Vec::new();
    while let Some(block) = fetched.body.next_block()? {
        all.extend(block);
    }
    Ok(all)
}

fn refused(url: &str, options: FetchOptions, told: &[&str]) {
    let error = scrape(url, options).expect_err("the certificate must be refused");
    let text = format!("{error} {:?}", error.hints);
    assert_eq!(error.kind.exit_code(), 5, "{text}");
    assert!(told.iter().all(|part| text.contains(part)), "{told:?} is missing: {text}");
}

fn trusting(authority: &Authority) -> FetchOptions {
    FetchOptions { ca: Some(authority.file("ca.pem")), ..FetchOptions::default() }
}

#[test]
fn a_certificate_must_be_of_a_trusted_authority_and_for_that_host() {
    let authority = Authority::new();
    let port = serve(&authority, "localhost", None);
    let url = format!("https://localhost:{port}/metrics");
    assert_eq!(scrape(&url, trusting(&authority)).unwrap(), BODY.as_bytes());
    refused(&url, FetchOptions::default(), &["authority that is not trusted", "--ca FILE", "--insecure"]);
    refused(&url, trusting(&Authority::new()), &["authority that is not trusted"]);
    let by_address = format!("https://127.0.0.1:{port}/metrics");
    refused(&by_address, trusting(&authority), &["not valid", "localhost", "--insecure"]);
    for url in [&url, &by_address] {
        assert_eq!(scrape(url, FetchOptions { insecure: true, ..FetchOptions::default() }).unwrap(), BODY.as_bytes());
    }
}

/// As `openssl req -x509` makes it: its own issuer, said to be an authority's, and for the names of a server.
fn self_signed(names: &[&str], days: std::ops::Range<i64>) -> (rcgen::Certificate, KeyPair) {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "self-signed");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let day = |offset: i64| {
        let at = std::time::SystemTime::now() + Duration::from_secs(86_400 * 1000) - Duration::from_secs((86_400 * (1000 - offset)) as u64);
        at.into()
    };
    (params.not_before, params.not_after) = (day(days.start), day(days.end));
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap(), key)
}

#[test]
fn a_self_signed_certificate_that_is_trusted_itself_is_taken_for_its_names_while_it_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let trusting = |name: &str, certificate: &rcgen::Certificate| {
        let file = folder.path().join(name);
        std::fs::write(&file, certificate.pem()).unwrap();
        FetchOptions { ca: Some(file), ..FetchOptions::default() }
    };
    let (own, key) = self_signed(&["localhost"], -1..1);
    let url = format!("https://localhost:{}/metrics", present(own.der(), &key, None));
    assert_eq!(scrape(&url, trusting("own.pem", &own)).unwrap(), BODY.as_bytes());
    let by_address = url.replace("localhost", "127.0.0.1");
    refused(&by_address, trusting("own.pem", &own), &["not valid for name", "localhost"]);
    let (other, _) = self_signed(&["localhost"], -1..1);
    refused(&url, trusting("other.pem", &other), &["--ca FILE", "--insecure"]);
    let (old, key) = self_signed(&["localhost"], -9..-3);
    let url = format!("https://localhost:{}/metrics", present(old.der(), &key, None));
    refused(&url, trusting("old.pem", &old), &["it has expired, on 20"]);
}

#[test]
fn a_key_of_another_certificate_is_told_as_such() {
    let authority = Authority::new();
    let (certificate, _) = authority.sign(&["client"]);
    std::fs::write(authority.file("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(authority.file("key.pem"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let cert = Some((authority.file("cert.pem"), Some(authority.file("key.pem"))));
    for options in [FetchOptions { cert: cert.clone(), ..FetchOptions::default() }, FetchOptions { cert, ..trusting(&authority) }] {
        refused("https://localhost:1/", options, &["key.pem is not that of the certificate in ", "cert.pem"]);
    }
}

#[test]
fn a_client_shows_its_certificate_when_it_has_one() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let url = format!("https://localhost:{}/metrics", serve(&authority, "localhost", Some(&clients)));
    refused(&url, trusting(&authority), &["refuses this client's certificate", "--cert FILE"]);
    let (certificate, key) = clients.sign(&["client"]);
    std::fs::write(authority.file("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(authority.file("key.pem"), key.serialize_pem()).unwrap();
    std::fs::write(authority.file("both.pem"), certificate.pem() + &key.serialize_pem()).unwrap();
    for cert in [(authority.file("cert.pem"), Some(authority.file("key.pem"))), (authority.file("both.pem"), None)] {
        let options = FetchOptions { cert: Some(cert), ..trusting(&authority) };
        assert_eq!(scrape(&url, options).unwrap(), BODY.as_bytes());
    }
    let (foreign, key) = authority.sign(&["client"]);
    std::fs::write(authority.file("foreign.pem"), foreign.pem() + &key.serialize_pem()).unwrap();
    let options = FetchOptions { cert: Some((authority.file("foreign.pem"), None)), ..trusting(&authority) };
    refused(&url, options, &["refuses this client's certificate"]);
}

#[test]
fn files_that_hold_no_certificate_are_named() {
    let authority = Authority::new();
    std::fs::write(authority.file("empty.pem"), "nothing\n").unwrap();
    let ca = |name| FetchOptions { ca: Some(authority.file(name)), ..FetchOptions::default() };
    refused("https://localhost:1/", ca("empty.pem"), &["no certificate in", "empty.pem", "PEM"]);
    refused("https://localhost:1/", ca("none.pem"), &["cannot read", "none.pem"]);
    let options = FetchOptions { cert: Some((authority.file("ca.pem"), None)), ..FetchOptions::default() };
    refused("https://localhost:1/", options, &["no certificate with its key", "ca.pem"]);
}

#[test]
fn the_wrong_scheme_is_told() {
    let plain = Server::with("200 OK", TEXT, BODY);
    refused(&format!("https://{}/metrics", plain.address), FetchOptions::default(), &["does not speak TLS", "http://"]);
    // As a Go server says it to plain HTTP on a port of HTTPS (net/http/server.go).
    let go = Server::start(|_, stream| {
        stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")?;
        stream.read(&mut [0]).map(drop)
    });
    refused(&go.url(), FetchOptions::default(), &["400", "https://"]);
}
