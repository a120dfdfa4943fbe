//! From a process to the port that serves its metrics.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use reqwest::{StatusCode, Url};

use super::body::Decoded;
use super::http::{Answer, Client, shown};
use super::options::FetchOptions;
use super::{Meta, accept, media};
use crate::error::{Error, Result};
use crate::target::process::Process;
use crate::target::process::sockets::{self, Socket};

/// For each port while there are several: a silent one must not use up the time of the right one.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where to look, in this order.
#[derive(Debug, Clone)]
pub struct Candidates {
    /// `payments (4711)`
    who: String,
    addresses: Vec<SocketAddr>,
    /// Asked for by name, so that its own error says most.
    chosen: bool,
}

impl Candidates {
    /// Errors: Target when it listens on no TCP socket, Permission when its sockets may not be looked at.
    pub fn of(process: &Process, port: Option<u16>) -> Result<Candidates> {
        let who = format!("{} ({})", process.comm, process.pid);
        if let Some(port) = port {
            // Also where the sockets cannot be looked at.
            let bound = sockets::listening(process).unwrap_or_default();
            let known = tcp(&bound).into_iter().find(|address| address.port() == port);
            let address = known.unwrap_or_else(|| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
            return Ok(Candidates { who, addresses: vec![address], chosen: true });
        }
        let bound = sockets::listening(process).map_err(|error| error.about(&who).hint("--port N needs no look at its sockets"))?;
        let addresses = tcp(&bound);
        if addresses.is_empty() {
            let unix = bound.iter().filter(|socket| matches!(socket, Socket::Unix(_))).count();
            let beside = if unix > 0 { ", only on unix sockets" } else { "" };
            let error = Error::target(format!("{who} listens on no TCP port{beside}"));
            return Err(error.hint("it may push its metrics, or another process may serve them"));
        }
        Ok(Candidates { who, addresses, chosen: false })
    }

    /// Asks one port after the other; the first that serves metrics is taken, the rest is asked too, so that all are known.
    ///
    /// `say` hears of each, once one is found; else the error names them. Errors: Target when none does, and what is in the way of a port that was chosen.
    pub fn search(&self, client: &Client, options: &FetchOptions, say: &dyn Fn(String)) -> Result<(Meta, Decoded)> {
        if self.chosen {
            let attempt = attempt(client, self.addresses[0], options, options.timeout);
            return attempt.map_err(|error| error.about(&self.who));
        }
        let limit = if self.addresses.len() > 1 { PATIENCE.min(options.timeout) } else { options.timeout };
        let (mut found, mut tried, mut told) = (None, Vec::new(), Vec::new());
        for address in &self.addresses {
            match attempt(client, *address, options, limit) {
                Ok((meta, decoded)) if found.is_none() => {
                    told.push(format!("{} serves metrics", shown(&meta.url)));
                    found = Some((meta, decoded));
                }
                Ok((meta, _)) => told.push(format!("{} serves metrics too: --port {} for those", shown(&meta.url), address.port())),
                Err(error) => {
                    told.push(format!("tried {error}"));
                    tried.push(error);
                }
            }
        }
        let (meta, decoded) = found.ok_or_else(|| self.nothing(&tried, options))?;
        told.into_iter().for_each(say);
        // The search took a part of its time.
        decoded.wait_for(options.timeout);
        Ok((meta, decoded))
    }

    fn nothing(&self, tried: &[Error], options: &FetchOptions) -> Error {
        let error = Error::target(format!("no port of {} serves metrics under {}", self.who, options.path));
        let error = tried.iter().fold(error, |error, why| error.hint(format!("tried {why}")));
        let hints = tried.iter().flat_map(|error| &error.hints).take(1);
        hints.fold(error.hint("--path and --port say where they are, a URL what to ask"), |error, hint| error.hint(hint))
    }
}

/// One for each port; of two with the same, the first, which is of IPv4.
fn tcp(sockets: &[Socket]) -> Vec<SocketAddr> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    let bound = sockets.iter().filter_map(|socket| match socket {
        Socket::Tcp(address) => Some(*address),
        Socket::Unix(_) => None,
    });
    for address in bound.map(sockets::reachable) {
        if !addresses.iter().any(|known| known.port() == address.port()) {
            addresses.push(address);
        }
    }
    addresses.sort_by_key(SocketAddr::port);
    addresses
}

/// Errors begin with the URL.
fn attempt(client: &Client, address: SocketAddr, options: &FetchOptions, limit: Duration) -> Result<(Meta, Decoded)> {
    let plain = url("http", address, &options.path)?;
    match client.get(&plain, limit) {
        Ok(answer) if answer.status == StatusCode::BAD_REQUEST => {
            // What servers of TLS say to plain HTTP, those of Go among them (`net/http/server.go`).
            let secure = client.get(&url("https", address, &options.path)?, limit);
            match secure {
                Err(failed) if failed.other_protocol => metrics(answer),
                secure => secure.map_err(|failed| failed.error).and_then(metrics),
            }
        }
        Ok(answer) => metrics(answer),
        Err(failed) if failed.other_protocol => match client.get(&url("https", address, &options.path)?, limit) {
            Ok(answer) => metrics(answer),
            Err(secure) if secure.other_protocol => Err(failed.error),
            Err(secure) => Err(secure.error),
        },
        Err(failed) => {
            let IpAddr::V6(ip) = address.ip() else { return Err(failed.error) };
            // Bound to all addresses, by both protocols, where there is no IPv6 loopback address.
            match ip.is_loopback() {
                true => attempt(client, SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()), options, limit),
                false => Err(failed.error),
            }
        }
    }
}

fn metrics(answer: Answer) -> Result<(Meta, Decoded)> {
    let (meta, mut decoded) = accept(answer)?;
    if media::is_certain(meta.content_type.as_deref()) || media::looks_like_metrics(decoded.begin()?) {
        return Ok((meta, decoded));
    }
    let content_type = meta.content_type.as_deref().unwrap_or("none");
    Err(Error::io(format!("{}: it answers, but not with metrics (Content-Type: {content_type})", shown(&meta.url))))
}

fn url(scheme: &str, address: SocketAddr, path: &str) -> Result<Url> {
    let text = format!("{scheme}://{address}{path}");
    Url::parse(&text).map_err(|error| Error::usage(format!("'{path}' is no path of a URL")).because(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_is_asked_once() {
        let bound = ["0.0.0.0:9090", "127.0.0.1:8080", "10.1.2.3:6060", "[::]:8080", "[::1]:7070"];
        let mut bound: Vec<Socket> = bound.iter().map(|text| Socket::Tcp(text.parse().unwrap())).collect();
        bound.push(Socket::Unix("/run/x".into()));
        let asked: Vec<String> = tcp(&bound).iter().map(ToString::to_string).collect();
        assert_eq!(asked, ["10.1.2.3:6060", "[::1]:7070", "127.0.0.1:8080", "127.0.0.1:9090"]);
    }
}
