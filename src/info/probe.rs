//! `--probe-http`: asks each listening socket for the two paths that a Go service may serve.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::model::{Answer, Listener};
use crate::sys::ns;
use crate::target::process::{Process, sockets};

pub const PATHS: [&str; 2] = ["/debug/pprof/", "/metrics"];
/// For one request, from connecting to the last byte.
const LIMIT: Duration = Duration::from_millis(200);
const MOST_BYTES: usize = 4096;

/// Adds the answers; a request that fails says why.
pub fn probe(process: &Process, listeners: &mut [Listener]) {
    let namespace = sockets::other_network(process);
    // setns moves one thread for good, so it gets one of its own.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let entered = namespace.and_then(|namespace: Option<File>| namespace.map_or(Ok(()), |file| ns::enter_network(&file)));
            let entered = entered.map_err(|error| format!("cannot enter its network namespace: {error}"));
            for listener in listeners.iter_mut().filter(|listener| listener.protocol != "unix") {
                let Ok(address) = listener.address.parse::<SocketAddr>() else { continue };
                listener.http = PATHS.iter().map(|path| ask(sockets::reachable(address), path, &entered)).collect();
            }
        });
    });
}

fn ask(address: SocketAddr, path: &'static str, entered: &Result<(), String>) -> Answer {
    let answer = entered.clone().and_then(|()| get(address, path).map_err(|error| error.to_string()));
    match answer {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            match status_code(&text) {
                Some(status) => Answer { path, status: Ok(status), recognised: status == 200 && is_known(path, &text) },
                None => Answer { path, status: Err("does not speak HTTP".to_owned()), recognised: false },
            }
        }
        Err(error) => Answer { path, status: Err(error), recognised: false },
    }
}

/// The first bytes of the answer.
fn get(address: SocketAddr, path: &str) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + LIMIT;
    // A zero time-out would mean none at all.
    let left = || Some(deadline.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero()).ok_or(io::ErrorKind::TimedOut);
    let mut stream = TcpStream::connect_timeout(&address, left()?)?;
    stream.set_write_timeout(Some(left()?))?;
    let version = env!("CARGO_PKG_VERSION");
    let headers = format!("Host: {address}\r\nUser-Agent: goscope/{version}\r\nAccept: text/plain, text/html\r\nConnection: close");
    // In one piece: a server that answers and closes at once must have read all of it.
    stream.write_all(format!("GET {path} HTTP/1.1\r\n{headers}\r\n\r\n").as_bytes())?;
    let mut answer = vec![0; MOST_BYTES];
    let mut filled = 0;
    while filled < MOST_BYTES {
        let Ok(left) = left() else { break };
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut answer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(_) if filled > 0 => break,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer within 200 ms"));
            }
            Err(error) => return Err(error),
        }
    }
    answer.truncate(filled);
    Ok(answer)
}

/// `HTTP/1.1 200 OK`
fn status_code(answer: &str) -> Option<u16> {
    let rest = answer.strip_prefix("HTTP/1.")?;
    rest.get(2..5)?.parse().ok()
}

fn is_known(path: &str, answer: &str) -> bool {
    match path {
        "/metrics" => answer.contains("\n# HELP ") || answer.contains("\n# TYPE ") || answer.contains("openmetrics-text"),
        _ => answer.contains("goroutine") && answer.contains("pprof"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn serve(answer: &'static [u8], hang: bool) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; 1024];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(answer);
                if hang {
                    // Until the other side gives up.
                    let _ = stream.read(&mut request);
                }
            }
        });
        address
    }

    #[test]
    fn answers() {
        let ask = |answer, path| ask(serve(answer, false), path, &Ok(()));
        let metrics = ask(b"HTTP/1.1 200 OK\r\n\r\n# HELP up x\nup 1\n", "/metrics");
        assert_eq!((metrics.status, metrics.recognised), (Ok(200), true));
        let missing = ask(b"HTTP/1.1 404 Not Found\r\n\r\n404 page not found", "/metrics");
        assert_eq!((missing.status, missing.recognised), (Ok(404), false));
        let tls = ask(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.", "/metrics");
        assert_eq!(tls.status, Ok(400));
        assert!(ask(b"+PONG\r\n", "/metrics").status.unwrap_err().contains("does not speak HTTP"));
        assert!(ask(b"HTTP/1.", "/metrics").status.is_err());
        assert!(ask(b"", "/metrics").status.is_err());
    }

    #[test]
    fn a_silent_or_endless_server_does_not_hold_us() {
        let begin = Instant::now();
        let silent = ask(serve(b"", true), "/metrics", &Ok(()));
        assert!(silent.status.unwrap_err().contains("200 ms"));
        let endless = ask(serve(b"HTTP/1.1 200 OK\r\n\r\n# TYPE a b\n", true), "/metrics", &Ok(()));
        assert_eq!((endless.status, endless.recognised), (Ok(200), true));
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
}
