//! Addresses.

// Plain data of addresses; nothing here opens a socket.
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::kind::Kind;

pub const EPHEMERAL: u16 = 32_768;

pub fn address(value: &str) -> Option<Kind> {
    if let Some(ip) = ip(value) {
        return Some(if is_private(ip) { Kind::PrivateIp } else { Kind::PublicIp });
    }
    if is_mac(value) {
        return Some(Kind::Mac);
    }
    endpoint(value).map(|_| Kind::Endpoint)
}

/// With brackets and a zone, too.
pub fn ip(value: &str) -> Option<IpAddr> {
    if !value.contains(['.', ':']) {
        return None;
    }
    let bare = value.strip_prefix('[').and_then(|value| value.strip_suffix(']')).unwrap_or(value);
    let (bare, zone) = bare.split_once('%').unwrap_or((bare, "-"));
    let address: IpAddr = bare.parse().ok()?;
    (!is_mac(value) && !zone.is_empty()).then_some(address)
}

/// Of this machine, of this network, or of no one.
fn is_private(ip: IpAddr) -> bool {
    let v4 = |ip: Ipv4Addr| {
        let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xC0 == 64;
        ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast() || shared
    };
    let v6 = |ip: Ipv6Addr| {
        let first = ip.segments()[0];
        ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || first & 0xFE00 == 0xFC00 || first & 0xFFC0 == 0xFE80
    };
    match ip {
        IpAddr::V4(ip) => v4(ip),
        IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or_else(|| v6(ip), v4),
    }
}

/// Six or eight bytes, in pairs.
fn is_mac(value: &str) -> bool {
    [':', '-'].iter().any(|separator| {
        let parts = value.split(*separator).count();
        matches!(parts, 6 | 8) && value.split(*separator).all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
    })
}

/// Host and port. A host without dots is believed where the port is a client's; `main.go:12` has a dot and is none.
pub fn endpoint(value: &str) -> Option<(&str, u16)> {
    let (host, port) = value.rsplit_once(':')?;
    let number: u16 = port.parse().ok().filter(|number| *number > 0 && !port.starts_with(['0', '+']))?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    if ip(host).is_some_and(|ip| ip.is_ipv4() || bracketed) {
        return Some((host, number));
    }
    let label = |label: &str| {
        !label.is_empty() && label.len() < 64 && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if !host.split('.').all(label) {
        return None;
    }
    match host.rsplit_once('.') {
        Some((_, last)) => (last.len() > 1 && last.bytes().all(|byte| byte.is_ascii_lowercase()) && !is_source(last) && number >= 80)
            .then_some((host, number)),
        None => (host == "localhost" || number >= EPHEMERAL).then_some((host, number)),
    }
}

/// Ends of the names of source files, which a line number follows.
fn is_source(extension: &str) -> bool {
    [
        "go", "rs", "cc", "cpp", "cxx", "hh", "hpp", "py", "rb", "js", "ts", "jsx", "tsx", "java", "kt", "php", "pl", "sh", "cs", "lua",
        "proto", "sql", "yaml", "yml",
    ]
    .contains(&extension)
}
