//! Parsers of option values that clap does not have.

use std::time::Duration;

use regex::Regex;

/// `10s`, `1m30s`, `250ms`; a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    if text.starts_with('-') {
        return Err("a duration is not negative (write `10s`, `1m30s` or `250ms`)".to_owned());
    }
    let bare = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let with_unit = if bare { format!("{text}s") } else { text.to_owned() };
    humantime::parse_duration(&with_unit).map_err(|error| format!("{error} (write `10s`, `1m30s` or `250ms`)"))
}

/// As `duration`, and not zero.
pub fn period(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must be longer than zero".to_owned()),
        period => Ok(period),
    }
}

/// Bytes: `512`, `64KiB`, `1.5GiB`; `k`, `M` and `GB` mean the same powers of 1024.
pub fn size(text: &str) -> Result<u64, String> {
    let bad = || "write `512MiB`, `1GiB` or a number of bytes".to_owned();
    let (number, unit) = text.split_at(text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit = unit.trim_start().to_ascii_lowercase();
    let power = match unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(&unit) {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return Err(bad()),
    };
    let bytes = number.parse::<f64>().map_err(|_| bad())? * 1024f64.powi(power);
    if bytes < 1.0 || bytes > u64::MAX as f64 { Err(bad()) } else { Ok(bytes as u64) }
}

/// `10%`, `10` or `2.5`, not negative; the result is a share: 0.1.
pub fn percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').trim().parse::<f64>() {
        Ok(percent) if percent.is_finite() && percent >= 0.0 => Ok(percent / 100.0),
        _ => Err("write a percentage such as `10%`".to_owned()),
    }
}

/// `key=value`, the key not empty.
pub fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write `key=value`".to_owned()),
    }
}

/// The regex crate's own message spans lines; its last one says what is wrong.
pub fn regex(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| {
        let message = error.to_string();
        let last = message.lines().last().unwrap_or_default();
        format!("not a regular expression: {}", last.trim_start_matches("error: "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("250ms", 250),
            ("2", 2_000),
            ("1.5", 1_500),
            ("0.5s", 500),
            ("0", 0),
            ("1h 2m", 3_720_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1", "1..5", ".", "ten", "1 apple", "99999999999999999999"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(period("0").is_err() && period("0s").is_err());
    }

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("1", 1), ("512", 512), ("64KiB", 65_536), ("1.5 MiB", 1_572_864), ("2g", 2 << 30), ("1GB", 1 << 30), ("9b", 9)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "GiB", "-1", "1.2.3", "1 apple", "1e3", "99999999999TiB", "ib"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn percentages() {
        assert_eq!((percent("10%"), percent("2.5"), percent("0")), (Ok(0.1), Ok(0.025), Ok(0.0)));
        assert!(percent("").is_err() && percent("-1%").is_err() && percent("nan").is_err() && percent("ten").is_err());
    }

    #[test]
    fn key_values() {
        assert_eq!(key_value("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(key_value("a="), Ok(("a".into(), String::new())));
        assert!(key_value("=b").is_err() && key_value("a").is_err());
    }

    #[test]
    fn a_bad_regex_is_told_in_one_line() {
        let message = regex("main.(").unwrap_err();
        assert!(message.contains("unclosed group") && !message.contains('\n'), "{message}");
    }
}
