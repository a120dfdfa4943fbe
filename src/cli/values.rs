//! Parsers of option values that clap does not have.

use std::time::Duration;

use regex::Regex;

/// `10s`, `1m30s`, `250ms`; a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
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
