//! Which format a saved body is in, where nothing else says so.

use super::Format;

/// From its beginning, and its end where that is known. What could be several formats is the first of Prometheus text,
/// OpenMetrics 1.0 and 2.0.
pub fn sniff(begin: &[u8], end: &[u8]) -> Format {
    if is_protobuf(begin) {
        return Format::Protobuf;
    }
    let begin = String::from_utf8_lossy(begin);
    let ended = [begin.as_bytes(), end].iter().any(|part| part.trim_ascii_end().ends_with(b"# EOF"));
    let composite = begin.lines().any(|line| !line.starts_with('#') && (line.contains("{count:") || line.contains(" st@")));
    match (composite, ended || begin.lines().any(is_openmetrics)) {
        (true, _) => Format::OpenMetrics2,
        (false, true) => Format::OpenMetrics1,
        (false, false) => Format::Text,
    }
}

/// Lines that Prometheus text does not have.
fn is_openmetrics(line: &str) -> bool {
    let Some(comment) = line.strip_prefix("# ") else {
        return line.contains(" # {"); // an exemplar
    };
    let mut words = comment.split(' ');
    match (words.next(), words.next(), words.next()) {
        (Some("UNIT"), Some(_), _) => true,
        (Some("TYPE"), Some(_), Some(kind)) => matches!(kind, "unknown" | "info" | "stateset" | "gaugehistogram"),
        _ => false,
    }
}

/// A length, then field 1 of `MetricFamily`, its name, of which both are texts of a length that fits.
fn is_protobuf(begin: &[u8]) -> bool {
    let Some((length, rest)) = varint(begin) else { return false };
    let Some(name) = rest.strip_prefix(b"\n").and_then(varint) else { return false };
    let (size, text) = name;
    let text = text.get(..(size as usize).min(text.len())).unwrap_or_default();
    // `\n\n` begins a text too, where it means an empty name.
    size > 0 && size < length && text.iter().all(|byte| !byte.is_ascii_control())
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let last = bytes.iter().take(5).position(|byte| byte & 0x80 == 0)?;
    let value = bytes[..=last].iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f));
    Some((value, &bytes[last + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let of = |text: &str| sniff(text.as_bytes(), b"");
        assert_eq!(of(""), Format::Text);
        assert_eq!(of("# HELP a b # {c}\n# TYPE a counter\na{b=\"# EOF\"} 1\n"), Format::Text);
        assert_eq!(of("\n\n# TYPE a untyped\na 1\n"), Format::Text);
        assert_eq!(of("# TYPE a counter\na_total 1\n# EOF\n"), Format::OpenMetrics1);
        assert_eq!(sniff(b"a 1\n", b"b 2\n# EOF"), Format::OpenMetrics1);
        assert_eq!(of("# TYPE a unknown\na 1\n"), Format::OpenMetrics1);
        assert_eq!(of("# UNIT a_seconds seconds\n"), Format::OpenMetrics1);
        assert_eq!(of("a_bucket{le=\"1\"} 1 # {trace_id=\"b\"} 0.5\n"), Format::OpenMetrics1);
        assert_eq!(of("# TYPE a histogram\na {count:1,sum:2,bucket:[+Inf:1]} st@1.5\n# EOF\n"), Format::OpenMetrics2);
        assert_eq!(of("a_total 1 st@1520879607.789\n# EOF\n"), Format::OpenMetrics2);
        let family = b"\x0f\x0a\x02up\x12\x01x\x18\x01\x22\x04\x12\x02\x09\x00";
        assert_eq!(sniff(family, b""), Format::Protobuf);
    }
}
