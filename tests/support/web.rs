//! Small HTTP servers on the loopback device that answer what a test tells them to, however wrong.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // each test uses a part of it

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

pub const TEXT: &str = "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n";

pub struct Server {
    pub address: SocketAddr,
    /// The head of each request, in order.
    pub requests: Receiver<String>,
}

impl Server {
    /// `answer` writes to each connection, after its request has been read; then it is closed.
    pub fn start(answer: impl Fn(&str, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (told, requests) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let request = head(&mut stream);
                let _ = told.send(request.clone()); // the test may not look
                let _ = answer(&request, &mut stream); // the client may have had enough
            }
        });
        Server { address, requests }
    }

    /// The same bytes for all: header lines, each ending in CRLF, and a body.
    pub fn with(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Server {
        let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.as_ref().len());
        let answer = [head.as_bytes(), body.as_ref()].concat();
        Server::start(move |_, stream| stream.write_all(&answer))
    }

    pub fn url(&self) -> String {
        format!("http://{}/metrics", self.address)
    }
}

/// Of a request without a body. A client that begins with TLS (record type 22) gets its answer at once.
pub fn head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head != [22] && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}
