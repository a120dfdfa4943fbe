//! HTTP: one request with the headers that a Prometheus server sends, and its answer as it comes.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use reqwest::{Identity, StatusCode, Url, redirect};
use tokio::runtime::Runtime;
use tokio::time::{Instant as Deadline, timeout_at};

use super::body::{Encoding, Link, Raw, cannot_read};
use super::failure::{Failed, broken, find, no_answer, timed_out};
use super::options::{Auth, FetchOptions};
use super::tls;
use crate::error::{Error, Result};

/// As Go's HTTP client, and so a Prometheus server.
const MOST_REDIRECTS: usize = 10;
const SCRAPE_TIMEOUT: HeaderName = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");

/// What a URL is called in all output: a password in it is not for others, nor what else lets somebody in.
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    if !url.username().is_empty() || url.password().is_some() {
        let _ = url.set_username("***"); // fails only without a host
        let _ = url.set_password(None);
    }
    if let Some(query) = url.query() {
        let hide = |pair: &str| match pair.split_once('=') {
            Some((key, value)) if !value.is_empty() && is_secret(key) => format!("{key}=***"),
            _ => pair.to_owned(),
        };
        let query: Vec<String> = query.split('&').map(hide).collect();
        url.set_query(Some(&query.join("&")));
    }
    url.to_string()
}

/// By the names that are used for such parameters; all other parameters tell what was asked for.
fn is_secret(key: &str) -> bool {
    const WORDS: [&str; 10] = ["token", "secret", "passw", "pwd", "auth", "key", "credential", "signature", "session", "jwt"];
    let key = key.to_ascii_lowercase();
    WORDS.iter().any(|word| key.contains(word)) || key == "sig" || key == "code"
}

/// Its connections live in the network namespace of the thread that made it.
pub struct Client {
    runtime: Rc<Runtime>,
    client: reqwest::Client,
    options: FetchOptions,
}

/// Status line and headers; the body is still to come.
pub struct Answer {
    /// After redirects.
    pub url: Url,
    pub status: StatusCode,
    pub content_type: Option<String>,
    /// Or the one that goscope does not know.
    pub encoding: std::result::Result<Encoding, String>,
    body: Incoming,
}

impl Client {
    /// Errors: Io when a certificate or key cannot be read or used.
    pub fn new(options: FetchOptions) -> Result<Client> {
        let _ = rustls::crypto::ring::default_provider().install_default(); // it is there already
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Error::io("cannot wait for the network").because(error))?;
        let unusable = |error: reqwest::Error| match (find::<rustls::Error>(&error), &options.cert) {
            (Some(rustls::Error::InconsistentKeys(_)), Some((cert, key))) => other_key(cert, key.as_deref()),
            _ => Error::io("cannot set up HTTP").because(error),
        };
        let client = match builder(&options)?.build() {
            // A container may have no certificates at all, and needs none for plain HTTP. No TLS certificate is trusted then.
            Err(_) if options.ca.is_none() => builder(&options)?.tls_certs_only([]).build().map_err(unusable)?,
            built => built.map_err(unusable)?,
        };
        Ok(Client { runtime: Rc::new(runtime), client, options })
    }

    /// Sends one GET request and waits for status and headers no longer than `limit`; for the body, as long as the options say.
    pub fn get(&self, url: &Url, limit: Duration) -> std::result::Result<Answer, Failed> {
        let begin = Instant::now();
        let mut url = url.clone();
        if self.options.auth.is_some() {
            let _ = url.set_username("").and_then(|()| url.set_password(None)); // fails only without a host
        }
        let name = shown(&url);
        let request = self.client.get(url).headers(self.headers());
        let request = match &self.options.auth {
            Some(Auth::Bearer(token)) => request.bearer_auth(token),
            Some(Auth::Basic { user, password }) => request.basic_auth(user, Some(password)),
            None => request,
        };
        let deadline = Deadline::from_std(begin + limit);
        let answer = self.runtime.block_on(async { timeout_at(deadline, request.send()).await });
        let response = match answer {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(no_answer(&name, error, limit)),
            Err(_) => return Err(timed_out(&name, "there was no answer", limit)),
        };
        let header = |name: HeaderName| response.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let encoding = match header(CONTENT_ENCODING).unwrap_or_default().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Encoding::Identity),
            "gzip" | "x-gzip" => Ok(Encoding::Gzip),
            "zstd" => Ok(Encoding::Zstd),
            other => Err(other.to_owned()),
        };
        Ok(Answer {
            url: response.url().clone(),
            status: response.status(),
            content_type: header(CONTENT_TYPE),
            encoding,
            body: Incoming {
                runtime: self.runtime.clone(),
                name,
                response,
                chunk: Bytes::new(),
                at_end: false,
                begin,
                limit: self.options.timeout,
                link: Rc::new(Link { deadline: Cell::new(Some(begin + self.options.timeout)), ..Link::default() }),
            },
        })
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut add = |name: HeaderName, value: &str| HeaderValue::from_str(value).map(|value| headers.insert(name, value));
        let seconds = self.options.timeout.as_secs_f64().to_string();
        // Texts of our own, which are all valid.
        let _ = add(ACCEPT, &self.options.accept.header());
        let _ = add(ACCEPT_ENCODING, self.options.compression.header());
        let _ = add(USER_AGENT, concat!("goscope/", env!("CARGO_PKG_VERSION")));
        let _ = add(SCRAPE_TIMEOUT, &seconds);
        for (name, _) in &self.options.headers {
            headers.remove(name);
        }
        for (name, value) in &self.options.headers {
            headers.append(name, value.clone());
        }
        headers
    }
}

fn builder(options: &FetchOptions) -> Result<reqwest::ClientBuilder> {
    // An environment's proxy is not used, nor is it by a server without `proxy_from_environment`.
    let mut builder = reqwest::Client::builder().no_proxy().referer(false).redirect(redirect::Policy::limited(MOST_REDIRECTS));
    // Shorter than the whole, so that it is told which of both was too long.
    builder = builder.connect_timeout(options.timeout.mul_f64(0.95)).tls_danger_accept_invalid_certs(options.insecure);
    let identity = options.cert.as_ref().map(|(cert, key)| identity(cert, key.as_deref())).transpose()?;
    if let Some(path) = &options.ca
        && !options.insecure
    {
        let trusted = tls::certificates(&read(path)?).ok_or_else(|| no_pem(path, "certificate"))?;
        let config =
            tls::config(trusted, identity.as_ref().map(|(pem, _)| pem.as_slice())).map_err(|error| match (error, &options.cert) {
                (rustls::Error::InconsistentKeys(_), Some((cert, key))) => other_key(cert, key.as_deref()),
                (error, _) => Error::io(format!("the certificates in {} cannot be used", path.display())).because(error),
            })?;
        return Ok(builder.tls_backend_preconfigured(config));
    }
    Ok(match identity {
        Some((_, identity)) => builder.identity(identity),
        None => builder,
    })
}

/// The client's certificate and key: as PEM, and as what is made of that.
fn identity(cert: &Path, key: Option<&Path>) -> Result<(Vec<u8>, Identity)> {
    let mut pem = read(cert)?;
    if let Some(key) = key {
        pem.push(b'\n');
        pem.extend(read(key)?);
    }
    let identity = Identity::from_pem(&pem).map_err(|_| no_pem(key.unwrap_or(cert), "certificate with its key"))?;
    Ok((pem, identity))
}

fn other_key(cert: &Path, key: Option<&Path>) -> Error {
    let key = key.unwrap_or(cert).display();
    Error::io(format!("the key in {key} is not that of the certificate in {}", cert.display()))
        .hint("--cert and --key take the two files that were made together")
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| cannot_read(&path.display().to_string(), error))
}

fn no_pem(path: &Path, what: &str) -> Error {
    Error::io(format!("there is no {what} in {} that can be used", path.display())).hint("it must be in PEM form (-----BEGIN …)")
}

impl Answer {
    /// Its bytes as they come, and how they are encoded.
    pub fn into_raw(self) -> Result<(Raw, Encoding)> {
        let encoding = self.encoding.map_err(|other| {
            Error::io(format!("{}: the body has the encoding '{other}', which was not asked for", self.body.name))
                .hint("--compression identity asks for none")
        })?;
        let (name, link, begin) = (self.body.name.clone(), self.body.link.clone(), self.body.begin);
        Ok((Raw { name, reader: Box::new(self.body), link, begin }, encoding))
    }
}

/// The body, as it comes from the network.
struct Incoming {
    runtime: Rc<Runtime>,
    name: String,
    response: reqwest::Response,
    chunk: Bytes,
    at_end: bool,
    begin: Instant,
    limit: Duration,
    link: Rc<Link>,
}

impl BufRead for Incoming {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.chunk.is_empty() && !self.at_end {
            let deadline = Deadline::from_std(self.link.deadline.get().unwrap_or(self.begin + self.limit));
            let response = &mut self.response;
            let next = self.runtime.block_on(async { timeout_at(deadline, response.chunk()).await });
            let failed = match next {
                Ok(Ok(Some(chunk))) => {
                    self.chunk = chunk;
                    continue;
                }
                Ok(Ok(None)) => {
                    self.at_end = true;
                    break;
                }
                Ok(Err(error)) => broken(&self.name, error),
                Err(_) => timed_out(&self.name, "the body was not complete", self.limit).error,
            };
            *self.link.failure.borrow_mut() = Some(failed);
            return Err(io::Error::other("the body did not come"));
        }
        Ok(&self.chunk)
    }

    fn consume(&mut self, amount: usize) {
        let _ = self.chunk.split_to(amount.min(self.chunk.len()));
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.fill_buf()?.read(buffer)?;
        self.consume(got);
        Ok(got)
    }
}
