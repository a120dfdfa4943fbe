//! Listening sockets of a process, in its own network namespace, and the way there.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustc_hash::FxHashSet;

use super::{Process, own_namespace};
use crate::error::{Error, Kind, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Socket {
    Tcp(SocketAddr),
    /// By the path or the abstract name (`@…`) that it is bound to.
    Unix(String),
}

impl Socket {
    /// As the kernel names the table that it stands in.
    pub fn protocol(&self) -> &'static str {
        match self {
            Socket::Tcp(SocketAddr::V4(_)) => "tcp",
            Socket::Tcp(SocketAddr::V6(_)) => "tcp6",
            Socket::Unix(_) => "unix",
        }
    }
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Socket::Tcp(address) => address.fmt(f),
            Socket::Unix(path) => f.write_str(path),
        }
    }
}

/// Errors: Permission when its sockets or open files may not be looked at, else Io.
pub fn listening(process: &Process) -> Result<Vec<Socket>> {
    // /proc/PID/net shows the process's namespace, not goscope's.
    let table = |name: &str| process.read(&format!("net/{name}")).map(|text| String::from_utf8_lossy(&text).into_owned());
    let tcp = table("tcp").map_err(|error| cannot("cannot read its socket tables", error))?;
    let mut candidates: Vec<(u64, Socket)> = Vec::new();
    for text in [tcp, table("tcp6").unwrap_or_default()] {
        candidates.extend(text.lines().filter_map(listening_tcp).map(|(inode, address)| (inode, Socket::Tcp(address))));
    }
    let unix = table("unix").unwrap_or_default();
    candidates.extend(unix.lines().filter_map(listening_unix).map(|(inode, path)| (inode, Socket::Unix(path))));
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    let own = socket_inodes(process).map_err(|error| cannot("cannot read its open files", error))?;
    Ok(candidates.into_iter().filter(|(inode, _)| own.contains(inode)).map(|(_, socket)| socket).collect())
}

fn cannot(what: &str, error: io::Error) -> Error {
    let kind = if error.kind() == io::ErrorKind::PermissionDenied { Kind::Permission } else { Kind::Io };
    Error::new(kind, what).because(error)
}

/// The process's network namespace, where it is not goscope's, for [`crate::sys::ns::enter_network`].
pub fn other_network(process: &Process) -> io::Result<Option<File>> {
    match process.namespace("net") == own_namespace("net") {
        true => Ok(None),
        false => process.open_file("ns/net").map(Some),
    }
}

/// A socket bound to all addresses is reached through the loopback one.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn socket_inodes(process: &Process) -> io::Result<FxHashSet<u64>> {
    let inode = |target: &str| target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok();
    let links = fs::read_dir(process.path("fd"))?.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    Ok(links.filter_map(|link| inode(link.to_str()?)).collect())
}

/// A line of /proc/net/tcp or tcp6: `sl local remote st tx:rx tr:when retrnsmt uid timeout inode …` (`get_tcp4_sock`, net/ipv4/tcp_ipv4.c).
pub fn listening_tcp(line: &str) -> Option<(u64, SocketAddr)> {
    const TCP_LISTEN: &str = "0A";
    let mut fields = line.split_ascii_whitespace();
    let local = fields.nth(1)?;
    if fields.nth(1)? != TCP_LISTEN {
        return None;
    }
    let inode = fields.nth(5)?.parse().ok()?;
    let (address, port) = local.split_once(':')?;
    Some((inode, SocketAddr::new(ip(address)?, u16::from_str_radix(port, 16).ok()?)))
}

/// 32-bit words, each printed as a number: network order in memory, so reversed by a little-endian kernel.
fn ip(hex: &str) -> Option<IpAddr> {
    let word = |index: usize| u32::from_str_radix(hex.get(8 * index..8 * index + 8)?, 16).ok().map(u32::to_ne_bytes);
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let bytes = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into())
        }
        _ => None,
    }
}

/// A line of /proc/net/unix: `num refcount protocol flags type st inode [path]`; __SO_ACCEPTCON is 1 << 16.
pub fn listening_unix(line: &str) -> Option<(u64, String)> {
    let mut fields = line.split_ascii_whitespace();
    let flags = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
    let inode = fields.nth(2)?.parse().ok()?;
    let path = fields.next().unwrap_or("(unnamed)");
    (flags & (1 << 16) != 0).then(|| (inode, path.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn own_sockets_are_found_and_others_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let v4 = TcpListener::bind("127.0.0.1:0").unwrap();
        let v6 = TcpListener::bind("[::1]:0");
        let unix = UnixListener::bind(&path).unwrap();
        let process = Process::open(std::process::id()).unwrap();
        let found = listening(&process).unwrap();
        let has = |protocol: &str, address: &str| found.iter().any(|s| s.protocol() == protocol && s.to_string() == address);
        assert!(has("tcp", &v4.local_addr().unwrap().to_string()), "{found:?}");
        if let Ok(v6) = v6 {
            assert!(has("tcp6", &v6.local_addr().unwrap().to_string()), "{found:?}");
        }
        assert!(has("unix", path.to_str().unwrap()), "{found:?}");
        let gone = v4.local_addr().unwrap().to_string();
        drop((v4, unix));
        let found = listening(&process).unwrap();
        assert!(!found.iter().any(|s| s.to_string() == gone), "{found:?}");
    }

    #[test]
    fn kernel_lines() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12345 1 0 100 0 0 10 0";
        assert_eq!(listening_tcp(line), Some((12345, "127.0.0.1:8080".parse().unwrap())));
        assert_eq!(listening_tcp(&line.replace(" 0A ", " 01 ")), None);
        assert_eq!(ip("B80D0120000000000000000001000000"), Some("2001:db8::1".parse().unwrap()));
        for bad in ["", "sl local_address", "0: x:y 0 0A", "0: 0100007F:1F90 00000000:0000 0A"] {
            assert_eq!(listening_tcp(bad), None);
        }
        assert_eq!(ip("zz00007F"), None);
        assert_eq!(listening_unix("0: 00000002 00000000 00010000 0001 01 77 /run/x"), Some((77, "/run/x".into())));
        assert_eq!(listening_unix("0: 00000002 00000000 00000000 0001 01 77 /run/x"), None);
    }
}
