//! As much of HTTP/1.1 as a load on loopback needs.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Connection {
    fn open(address: &str) -> io::Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Connection { stream: BufReader::new(stream), host: address.to_owned() })
    }

    fn get(&mut self, path: &str) -> io::Result<Answer> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        self.stream.get_mut().write_all(request.as_bytes())?;
        let status = self.line()?.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or_else(|| bad("no status"))?;
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(": ") {
                Some(("content-length", n)) => length = n.parse().map_err(|_| bad(n))?,
                Some(("transfer-encoding", "chunked")) => chunked = true,
                Some(_) => {}
                None => break,
            }
        }
        let mut body = Vec::new();
        if !chunked {
            self.take(length, &mut body)?;
        }
        while chunked {
            let size = usize::from_str_radix(&self.line()?, 16).map_err(|_| bad("no chunk size"))?;
            self.take(size, &mut body)?;
            self.line()?;
            chunked = size > 0;
        }
        Ok(Answer { status, body })
    }

    fn take(&mut self, size: usize, body: &mut Vec<u8>) -> io::Result<()> {
        let start = body.len();
        body.resize(start + size, 0);
        self.stream.read_exact(&mut body[start..])
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err(bad("the connection was closed")),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

pub fn get(address: &str, path: &str) -> io::Result<Answer> {
    Connection::open(address)?.get(path)
}

/// Clients that ask again as soon as an answer has come, until they are stopped; and others that asked once and stay connected.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
    _idle: Vec<Connection>,
}

const IDLE: usize = 200;

#[derive(Default)]
struct Shared {
    end: AtomicBool,
    answered: AtomicU64,
    longest_us: AtomicU64,
    failures: Mutex<Vec<String>>,
}

pub struct LoadResult {
    pub answered: u64,
    pub failed: usize,
    pub first_failure: String,
    pub longest: Duration,
}

impl Load {
    pub fn start(address: &str, paths: &'static [&'static str], clients: usize) -> Load {
        let shared = Arc::new(Shared::default());
        let client = |number: usize| {
            let (shared, address) = (shared.clone(), address.to_owned());
            std::thread::spawn(move || {
                let mut connection = None;
                for (count, path) in paths.iter().cycle().skip(number).enumerate() {
                    if shared.end.load(Ordering::Relaxed) {
                        return;
                    }
                    // A new connection now and then: goroutines that come and go.
                    if count % 50 == 0 {
                        connection = None;
                    }
                    let started = Instant::now();
                    let result = match &mut connection {
                        Some(open) => ask(open, path),
                        none => Connection::open(&address).and_then(|open| ask(none.insert(open), path)),
                    };
                    match result {
                        Ok(()) => shared.answered.fetch_add(1, Ordering::Relaxed),
                        Err(error) => {
                            shared.failures.lock().unwrap().push(format!("{path}: {error}"));
                            connection = None;
                            0
                        }
                    };
                    shared.longest_us.fetch_max(started.elapsed().as_micros() as u64, Ordering::Relaxed);
                }
            })
        };
        let clients = (0..clients).map(client).collect();
        let idle = |_| {
            let mut connection = Connection::open(address).unwrap();
            connection.get(paths[0]).unwrap();
            connection
        };
        Load { shared, clients, _idle: (0..IDLE).map(idle).collect() }
    }

    /// The idle ones stay.
    pub fn stop(&mut self) -> LoadResult {
        self.shared.end.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.join().unwrap();
        }
        let failures = self.shared.failures.lock().unwrap();
        LoadResult {
            answered: self.shared.answered.load(Ordering::Relaxed),
            failed: failures.len(),
            first_failure: failures.first().cloned().unwrap_or_default(),
            longest: Duration::from_micros(self.shared.longest_us.load(Ordering::Relaxed)),
        }
    }
}

fn ask(connection: &mut Connection, path: &str) -> io::Result<()> {
    match connection.get(path)?.status {
        200 => Ok(()),
        other => Err(bad(&format!("status {other}"))),
    }
}
