//! Where the bytes of a scrape come from: a URL, a file, standard input, or the port that a process serves its metrics on.

mod body;
mod discover;
mod failure;
mod http;
mod media;
mod options;
mod tls;

use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Instant, SystemTime};

use reqwest::{StatusCode, Url};

pub use body::{BLOCK, Body, Encoding};
pub use http::shown;
pub use options::{Accept, Auth, Compression, FetchOptions};

use body::{BEGIN, Decoded, Link, Raw, cannot_read, web_page};
use discover::Candidates;
use http::{Answer, Client};

use crate::error::{Error, Result};
use crate::formats::exposition::{self, Format};
use crate::sys::ns;
use crate::target::process::{Process, sockets};

/// What a SOURCE on the command line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Begins with `http://` or `https://`.
    Url(Url),
    File(PathBuf),
    /// `-`
    Stdin,
    /// A process id or name, which the caller looks up.
    Process(String),
}

impl Source {
    /// A word of digits is a process id. Any other word that has a slash, or that a file is called, is that file, unless it is a program: to
    /// mean a process where another file has its name, give the process id. The rest are names of processes.
    ///
    /// Errors, Usage: a bad URL, or `host:port` without `http://`.
    pub fn parse(word: &str, options: &FetchOptions) -> Result<Source> {
        if word == "-" {
            return Ok(Source::Stdin);
        }
        if let Some((scheme, rest)) = word.split_once("://") {
            if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
                return Err(Error::usage(format!("'{scheme}://' is not supported")).hint("metrics come by http:// or https://"));
            }
            // The word itself may hold a password.
            let mut url = Url::parse(word).map_err(|error| Error::usage("the URL is not valid").because(error))?;
            if !rest.contains(['/', '?', '#']) {
                url.set_path(&options.path);
            }
            return Ok(Source::Url(url));
        }
        if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Source::Process(word.to_owned()));
        }
        let path = Path::new(word);
        let host_and_port = word.split('/').next().and_then(|host| host.rsplit_once(':'));
        if host_and_port.is_some_and(|(_, port)| port.parse::<u16>().is_ok()) && !path.exists() {
            return Err(
                Error::usage(format!("'{word}' is no file, and no URL without http://")).hint(format!("goscope cardinality http://{word}"))
            );
        }
        match word.contains('/') || path.exists() && !is_program(path) {
            true => Ok(Source::File(path.to_owned())),
            false => Ok(Source::Process(word.to_owned())),
        }
    }
}

/// A source that can be scraped, again and again.
pub struct Scraper {
    origin: Origin,
    options: FetchOptions,
}

enum Origin {
    Url(Url),
    File(PathBuf),
    Stdin,
    /// And where it serves its metrics, once that is known.
    Process(Process, Option<Url>),
}

/// The beginning of a scrape.
pub struct Fetched {
    /// `host:port`; `name/pid:port` of a process; else the name of the file, or `-`.
    pub instance: String,
    /// After redirects, without a password.
    pub url: Option<String>,
    pub content_type: Option<String>,
    pub encoding: Encoding,
    /// As the server says, else as the body looks.
    pub format: Format,
    /// Why a Prometheus server with its default settings refuses the scrape.
    pub refused: Option<String>,
    /// Where the body is an uncompressed regular file, that may be opened and read again, in parts.
    pub plain_file: Option<PlainFile>,
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainFile {
    pub path: PathBuf,
    pub bytes: u64,
}

/// What the headers of an answer tell.
struct Meta {
    url: Url,
    content_type: Option<String>,
    encoding: Encoding,
    format: Format,
    refused: Option<String>,
}

impl Scraper {
    /// `find` looks a process up by its id or name. Errors: those of `find`.
    pub fn new(source: Source, options: FetchOptions, find: impl FnOnce(&str) -> Result<Process>) -> Result<Scraper> {
        let origin = match source {
            Source::Url(url) => Origin::Url(url),
            Source::File(path) => Origin::File(path),
            Source::Stdin => Origin::Stdin,
            Source::Process(word) => Origin::Process(find(&word)?, None),
        };
        Ok(Scraper { origin, options })
    }

    /// What cannot be read a second time: standard input, a pipe.
    pub fn reads_once(&self) -> Option<&Path> {
        match &self.origin {
            Origin::Stdin => Some(Path::new("-")),
            Origin::File(path) => {
                Some(path.as_path()).filter(|path| path.metadata().is_ok_and(|about| !about.is_file() && !about.is_dir()))
            }
            Origin::Url(_) | Origin::Process(..) => None,
        }
    }

    /// When a file was last written; `None` of all other sources.
    pub fn written_at(&self) -> Option<SystemTime> {
        match &self.origin {
            Origin::File(path) => path.metadata().and_then(|about| about.modified()).ok(),
            _ => None,
        }
    }

    /// Begins a scrape; `say` hears which ports of a process are tried.
    ///
    /// Errors: Io when there is no answer, an answer other than 200, a web page, an unreadable file. Of a process: Target when no port
    /// serves metrics, Permission when its sockets cannot be seen or its network namespace cannot be entered.
    pub fn scrape(&mut self, say: &mut dyn FnMut(&str)) -> Result<Fetched> {
        match &mut self.origin {
            Origin::Stdin => stdin(self.options.body_limit),
            Origin::File(path) => file(path, self.options.body_limit),
            Origin::Url(url) => {
                let instance = authority(url);
                by_url(url.clone(), None, &self.options, say).map(|(meta, body)| fetched(instance, meta, body))
            }
            Origin::Process(process, found) => {
                let (meta, body) = by_process(process, found.as_ref(), &self.options, say)?;
                let port = meta.url.port_or_known_default().unwrap_or_default();
                let instance = format!("{}/{}:{port}", process.comm, process.pid);
                *found = Some(meta.url.clone());
                Ok(fetched(instance, meta, body))
            }
        }
    }
}

fn fetched(instance: String, meta: Meta, body: Body) -> Fetched {
    let Meta { url, content_type, encoding, format, refused } = meta;
    Fetched { instance, url: Some(shown(&url)), content_type, encoding, format, refused, plain_file: None, body }
}

/// `host:port`, as the label `instance` has it.
fn authority(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

fn by_url(url: Url, network: Option<File>, options: &FetchOptions, say: &mut dyn FnMut(&str)) -> Result<(Meta, Body)> {
    let options = options.clone();
    let limit = options.body_limit;
    let open = move |_: &dyn Fn(String)| {
        enter(network)?;
        let timeout = options.timeout;
        let answer = Client::new(options)?.get(&url, timeout).map_err(|failed| failed.error)?;
        accept(answer)
    };
    body::start(limit, open, say)
}

fn by_process(process: &Process, found: Option<&Url>, options: &FetchOptions, say: &mut dyn FnMut(&str)) -> Result<(Meta, Body)> {
    if !process.is_alive_same() {
        return Err(process.gone());
    }
    let network = sockets::other_network(process).map_err(|error| process.explain("ns/net", error))?;
    if let Some(found) = found {
        return by_url(found.clone(), network, options, say);
    }
    let candidates = Candidates::of(process, options.port)?;
    let limit = options.body_limit;
    let (options, who) = (options.clone(), format!("{} ({})", process.comm, process.pid));
    let open = move |say: &dyn Fn(String)| {
        enter(network).map_err(|error| error.about(who))?;
        let client = Client::new(options.clone())?;
        candidates.search(&client, &options, say)
    };
    body::start(limit, open, say)
}

/// Moves the thread for good; what it starts moves along.
fn enter(network: Option<File>) -> Result<()> {
    let Some(network) = network else { return Ok(()) };
    ns::enter_network(&network).map_err(|error| {
        Error::permission("it is in another network namespace, and that cannot be entered")
            .because(error)
            .hint("run goscope as root, or give a URL that can be reached from here")
    })
}

/// What is to be read of an answer, if it is one to be read.
///
/// Errors, Io: any status other than 200, a web page, an unknown encoding.
fn accept(answer: Answer) -> Result<(Meta, Decoded)> {
    let (url, status, content_type) = (answer.url.clone(), answer.status, answer.content_type.clone());
    let name = shown(&url);
    let page = media::is_web_page(content_type.as_deref());
    if status != StatusCode::OK {
        let body = answer.into_raw().map(|(raw, encoding)| Decoded::new(raw, encoding));
        return Err(other_status(&name, status, body.ok().filter(|_| !page)));
    }
    if page {
        return Err(web_page().about(name));
    }
    let (raw, encoding) = answer.into_raw()?;
    let mut decoded = Decoded::new(raw, encoding);
    let begin = decoded.begin()?;
    if media::is_html(begin) {
        return Err(web_page().about(name));
    }
    let (format, refused) = media::read(content_type.as_deref());
    let format = format.unwrap_or_else(|| exposition::sniff(begin, b""));
    Ok((Meta { url, content_type, encoding, format, refused }, decoded))
}

/// The first line of the body often says why.
fn other_status(name: &str, status: StatusCode, body: Option<Decoded>) -> Error {
    // That it cannot be had is no news.
    let begin = body.and_then(|mut body| body.begin().ok().map(<[u8]>::to_vec)).filter(|begin| !media::is_html(begin)).unwrap_or_default();
    let begin = String::from_utf8_lossy(&begin);
    let line: String = begin.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().chars().take(200).collect();
    let error = match line.as_str() {
        "" => Error::io(format!("{name}: the server answered {status}")),
        line => Error::io(format!("{name}: the server answered {status}: {line}")),
    };
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            error.hint("--bearer-token-file, --basic-auth-file, --cert and --header say who asks")
        }
        StatusCode::BAD_REQUEST if line.contains("HTTPS") => error.hint("try https:// instead of http://"),
        StatusCode::NOT_FOUND => error.hint("is the path right? Most serve them under /metrics"),
        _ => error,
    }
}

fn file(path: &Path, limit: u64) -> Result<Fetched> {
    let shown = path.display().to_string();
    let cannot = |error| cannot_read(&shown, error);
    let mut file = File::open(path).map_err(cannot)?;
    let about = file.metadata().map_err(cannot)?;
    if about.is_dir() {
        return Err(Error::io(format!("{shown} is a folder")).hint("give the file of a saved scrape"));
    }
    if !about.is_file() {
        return stream(shown, limit, move || Ok(Box::new(file)));
    }
    let mut begin = Vec::new();
    file.by_ref().take(BEGIN as u64).read_to_end(&mut begin).map_err(cannot)?;
    let mut end = [0; 64];
    let end = file.read_at(&mut end, about.len().saturating_sub(64)).map(|got| &end[..got]).and_then(|end| file.rewind().map(|()| end));
    if media::is_html(&begin) {
        return Err(web_page().about(shown));
    }
    if media::is_program(&begin) {
        let name = path.file_name().unwrap_or_default().display();
        return Err(Error::io(format!("{shown} is a program, not a saved scrape"))
            .hint(format!("for a process that runs it: goscope cardinality {name}, or its process id")));
    }
    if Encoding::of(&begin) != Encoding::Identity {
        return stream(shown, limit, move || Ok(Box::new(file)));
    }
    Ok(Fetched {
        instance: shown.clone(),
        url: None,
        content_type: None,
        encoding: Encoding::Identity,
        format: exposition::sniff(&begin, end.map_err(cannot)?),
        refused: None,
        plain_file: Some(PlainFile { path: path.to_owned(), bytes: about.len() }),
        body: Body::of_file(file, shown),
    })
}

fn is_program(path: &Path) -> bool {
    let mut begin = [0; 4];
    let is_file = path.metadata().is_ok_and(|about| about.is_file());
    is_file && File::open(path).and_then(|mut file| file.read_exact(&mut begin)).is_ok() && media::is_program(&begin)
}

fn stdin(limit: u64) -> Result<Fetched> {
    if io::stdin().is_terminal() {
        return Err(Error::usage("standard input is a terminal").hint("pipe the metrics in: curl … | goscope cardinality -"));
    }
    stream("-".to_owned(), limit, || Ok(Box::new(io::stdin())))
}

/// Bytes that can be read once only, or that must be decompressed.
fn stream(instance: String, limit: u64, open: impl FnOnce() -> Result<Box<dyn Read>> + Send + 'static) -> Result<Fetched> {
    let name = instance.clone();
    let open = move |_: &dyn Fn(String)| {
        let begin = Instant::now();
        let mut reader = BufReader::with_capacity(256 << 10, open()?);
        let encoding = Encoding::of(io::BufRead::fill_buf(&mut reader).map_err(|error| cannot_read(&name, error))?);
        let mut decoded = Decoded::new(Raw { name, reader: Box::new(reader), link: Rc::new(Link::default()), begin }, encoding);
        // Of a small body, the end is seen too.
        let format = exposition::sniff(decoded.begin()?, b"");
        Ok(((encoding, format), decoded))
    };
    let ((encoding, format), body) = body::start(limit, open, &mut |_| ())?;
    Ok(Fetched { instance, url: None, content_type: None, encoding, format, refused: None, plain_file: None, body })
}
