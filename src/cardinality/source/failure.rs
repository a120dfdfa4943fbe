//! What went wrong on the network, in the words of who waits for metrics.

use std::error::Error as StdError;
use std::io;
use std::time::{Duration, SystemTime};

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error as Tls};

use super::tls::is_authority;
use crate::error::Error;
use crate::output::duration;

/// No answer.
pub struct Failed {
    pub error: Error,
    /// Somebody listens there, but not for this protocol.
    pub other_protocol: bool,
}

pub fn timed_out(url: &str, what: &str, limit: Duration) -> Failed {
    let error = Error::io(format!("{url}: {what} after {}", duration(limit)));
    Failed { error: error.hint("--timeout gives it longer; a Prometheus server has scrape_timeout, 10s by default"), other_protocol: false }
}

/// Sending the request failed.
pub fn no_answer(url: &str, error: reqwest::Error, limit: Duration) -> Failed {
    if error.is_redirect() {
        let error = Error::io(format!("{url}: the server redirects in circles, or more than 10 times"));
        return Failed { error, other_protocol: false };
    }
    if error.is_connect() && error.is_timeout() {
        return timed_out(url, "there was no connection (look-up of the name, TCP, TLS)", limit);
    }
    // The error's own text would repeat the URL, with what is secret in it.
    let error = error.without_url();
    let told = |what: &str| Error::io(format!("{url}: {what}"));
    if let Some(found) = find::<Tls>(&error) {
        return Failed { error: tls(url, found), other_protocol: matches!(found, Tls::InvalidMessage(_)) };
    }
    let cause = root(&error);
    let failed = if error.is_dns() {
        told("the name cannot be looked up").because(cause)
    } else if let Some(refused) = find::<io::Error>(&error).filter(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
        told(&format!("nothing listens there: {refused}"))
    } else if error.is_connect() {
        told("cannot connect").because(cause)
    } else {
        told("the server does not speak HTTP, or gave up").because(cause)
    };
    Failed { error: failed, other_protocol: !error.is_connect() }
}

/// Receiving the body failed.
pub fn broken(url: &str, error: reqwest::Error) -> Error {
    Error::io(format!("{url}: the body is cut off: the connection broke before its end")).because(root(&error.without_url()))
}

fn tls(url: &str, error: &Tls) -> Error {
    let failed = |what: &str| Error::io(format!("{url}: {what}"));
    match error {
        Tls::InvalidCertificate(CertificateError::UnknownIssuer) => {
            failed("its certificate is of an authority that is not trusted here").hint(TRUST)
        }
        Tls::InvalidCertificate(why) => failed(&format!("its certificate is not valid: {}", invalid(why))).hint(TRUST),
        Tls::InvalidMessage(_) => failed("the server does not speak TLS").hint("try http:// instead of https://"),
        Tls::AlertReceived(AlertDescription::CertificateRequired | AlertDescription::BadCertificate | AlertDescription::UnknownCA) => {
            failed(&format!("the server refuses this client's certificate, or the lack of one: {error}"))
                .hint("--cert FILE and --key FILE give one")
        }
        other => failed(&format!("TLS failed: {other}")),
    }
}

/// What the library says of some of these are names of its own.
fn invalid(why: &CertificateError) -> String {
    let day = |at: &UnixTime| humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_secs(at.as_secs()));
    match why {
        CertificateError::Expired => "it has expired".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => format!("it has expired, on {}", day(not_after)),
        CertificateError::NotValidYetContext { not_before, .. } => format!("it is valid from {} on", day(not_before)),
        CertificateError::BadEncoding => "it cannot be decoded".to_owned(),
        CertificateError::BadSignature => "its signature is wrong".to_owned(),
        CertificateError::Revoked => "it was revoked".to_owned(),
        CertificateError::InvalidPurpose => "it is not for servers".to_owned(),
        _ if is_authority(&Tls::InvalidCertificate(why.clone())) => "it is that of an authority, and in no file of --ca itself".to_owned(),
        CertificateError::Other(why) => why.to_string(),
        why => why.to_string(),
    }
}

const TRUST: &str = "--ca FILE trusts the authority in that file; --insecure trusts any certificate";

/// The first error of that type in the chain, also inside of an `io::Error`, which leaves it out of the chain.
pub fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = inner.and_then(|inner| find::<T>(inner)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The text of the last error in the chain, which says most.
fn root(error: &dyn StdError) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
