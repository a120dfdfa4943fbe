//! What a Content-Type says about a body.

use crate::formats::exposition::Format;

/// The format, and why a Prometheus server with its default settings refuses the scrape (`extractMediaType` in its
/// `model/textparse/interface.go`). No format: the body itself must tell.
pub fn read(content_type: Option<&str>) -> (Option<Format>, Option<String>) {
    let Some(content_type) = content_type.filter(|text| !text.trim().is_empty()) else {
        return (None, Some("there is no Content-Type".to_owned()));
    };
    let mut parts = content_type.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default().to_ascii_lowercase();
    let version = parts.filter_map(|part| part.split_once('=')).find(|(key, _)| key.trim().eq_ignore_ascii_case("version"));
    let version = version.map(|(_, value)| value.trim().trim_matches('"'));
    match (media.as_str(), version) {
        ("text/plain", _) => (Some(Format::Text), None),
        // That a server takes it with a feature only is up to its parser to say, for files say nothing of a type.
        ("application/openmetrics-text", Some("2.0.0")) => (Some(Format::OpenMetrics2), None),
        ("application/openmetrics-text", _) => (Some(Format::OpenMetrics1), None),
        ("application/vnd.google.protobuf", _) => (Some(Format::Protobuf), None),
        _ => (None, Some(format!("the Content-Type '{content_type}' is no format of metrics"))),
    }
}

/// Whether it can be nothing but metrics.
pub fn is_certain(content_type: Option<&str>) -> bool {
    match read(content_type).0 {
        // Also what a server says of any text.
        Some(Format::Text) => content_type.is_some_and(|text| text.to_ascii_lowercase().contains("version=")),
        other => other.is_some(),
    }
}

pub fn is_web_page(content_type: Option<&str>) -> bool {
    let media = content_type.and_then(|text| text.split(';').next()).unwrap_or_default().trim();
    ["text/html", "application/xhtml+xml"].iter().any(|page| media.eq_ignore_ascii_case(page))
}

/// Whether the beginning of a body looks like metrics in a text format.
pub fn looks_like_metrics(begin: &[u8]) -> bool {
    let text = String::from_utf8_lossy(begin);
    let Some(line) = text.lines().map(str::trim).find(|line| !line.is_empty()) else { return false };
    if let Some(comment) = line.strip_prefix('#') {
        return ["HELP ", "TYPE ", "UNIT ", "EOF"].iter().any(|word| comment.trim_start().starts_with(word));
    }
    let name = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | ':' | '{');
    let mut words = line.rsplit(' ').take(2);
    line.starts_with(name) && words.any(|word| word.parse::<f64>().is_ok())
}

/// Whether a file begins as an executable of Linux does.
pub fn is_program(begin: &[u8]) -> bool {
    begin.starts_with(b"\x7fELF")
}

/// Whether the beginning of a body is that of a web page. No format of metrics begins with `<`.
pub fn is_html(begin: &[u8]) -> bool {
    let begin = begin.strip_prefix(b"\xef\xbb\xbf").unwrap_or(begin).trim_ascii_start();
    [&b"<!doctype"[..], b"<html", b"<head"].iter().any(|tag| begin.get(..tag.len()).is_some_and(|word| word.eq_ignore_ascii_case(tag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types() {
        let format = |text| read(Some(text)).0;
        assert_eq!(format("text/plain; version=0.0.4; charset=utf-8; escaping=values"), Some(Format::Text));
        assert_eq!(format("Text/Plain"), Some(Format::Text));
        assert_eq!(format("application/openmetrics-text; version=1.0.0; charset=utf-8"), Some(Format::OpenMetrics1));
        assert_eq!(format("application/openmetrics-text;version=\"2.0.0\""), Some(Format::OpenMetrics2));
        let protobuf = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
        assert_eq!(read(Some(protobuf)), (Some(Format::Protobuf), None));
        for refused in [None, Some(""), Some("application/json"), Some("text/html; charset=utf-8"), Some("text")] {
            let (format, why) = read(refused);
            assert!(format.is_none() && why.is_some(), "{refused:?}");
        }
        assert!(is_certain(Some("text/plain; version=0.0.4")) && !is_certain(Some("text/plain; charset=utf-8")) && !is_certain(None));
    }

    #[test]
    fn beginnings_of_bodies() {
        for metrics in ["# HELP a b\n", "\n#TYPE a counter\n", "a 1\n", "a{b=\"c d\"} 2.5 1234\n", "{\"utf.8\"} NaN\n", "# EOF\n"] {
            assert!(looks_like_metrics(metrics.as_bytes()), "{metrics}");
        }
        for other in ["", "ok\n", "hello world\n", "404 page not found\n", "<html>", "{\"a\":1}", "# a comment\n"] {
            assert!(!looks_like_metrics(other.as_bytes()), "{other}");
        }
        assert!(is_html(b"\n <!DOCTYPE html><html>") && is_html(b"<HTML>") && !is_html(b"a 1\n") && !is_html(b""));
    }
}
