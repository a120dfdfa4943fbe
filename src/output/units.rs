//! Figures for people: at most three digits that matter, and the unit.

use std::time::Duration;

/// `0 B`, `512 B`, `1.5 KiB`, `24.0 MiB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 would be printed as 1024.0.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value >= 99.95 { format!("{value:.0} {}", UNITS[unit]) } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// The two biggest units, rounded down: `340ns`, `12us`, `3.4ms`, `9.6s`, `12m03s`, `5h07m`, `3d04h`.
pub fn duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let seconds = duration.as_secs();
    match seconds {
        0 if nanos < 1_000 => format!("{nanos}ns"),
        0 if nanos < 1_000_000 => tenths(nanos, 1_000, "us"),
        0 => tenths(nanos, 1_000_000, "ms"),
        1..=59 => tenths(nanos, 1_000_000_000, "s"),
        60..=3_599 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..=86_399 => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// As [`duration`], where figures stand in one column: `1.0s`, not `1s`, so that each but those of some ns has two digits.
pub fn two_digits(value: Duration) -> String {
    let text = duration(value);
    let unit = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, name) = text.split_at(unit);
    if digits.len() == 1 && matches!(name, "us" | "ms" | "s") { format!("{digits}.0{name}") } else { text }
}

fn tenths(nanos: u128, unit: u128, name: &str) -> String {
    let tenths = nanos * 10 / unit;
    if tenths < 100 && !tenths.is_multiple_of(10) {
        format!("{}.{}{name}", tenths / 10, tenths % 10)
    } else {
        format!("{}{name}", tenths / 10)
    }
}

/// `1 thread`, `2 threads`, `2 processes`, `2 switches`, `2 children`.
pub fn count(count: u64, singular: &str) -> String {
    let plural = match count {
        1 => "",
        _ if singular.ends_with("child") => "ren",
        _ if singular.ends_with('s') || singular.ends_with("ch") => "es",
        _ => "s",
    };
    format!("{count} {singular}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (value, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (25_165_824, "24.0 MiB"),
            (157_286_400, "150 MiB"),
            (1_048_575, "1.0 MiB"),
            (1_073_741_824, "1.0 GiB"),
            (u64::MAX, "16384 PiB"),
        ] {
            assert_eq!(bytes(value), text);
        }
    }

    #[test]
    fn durations() {
        for (nanos, text) in [
            (0, "0ns"),
            (340, "340ns"),
            (12_900, "12us"),
            (3_450_000, "3.4ms"),
            (9_600_000_000, "9.6s"),
            (59_999_999_999, "59s"),
            (723_000_000_000, "12m03s"),
            (18_420_000_000_000, "5h07m"),
            (273_600_000_000_000, "3d04h"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn figures_of_a_column_have_two_digits() {
        for (nanos, text) in [
            (0, "0ns"),
            (7, "7ns"),
            (1_000, "1.0us"),
            (2_040_000, "2.0ms"),
            (3_450_000, "3.4ms"),
            (10_000_000, "10ms"),
            (2_000_000_000, "2.0s"),
            (60_000_000_000, "1m00s"),
        ] {
            assert_eq!(two_digits(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn counts() {
        assert_eq!(count(1, "thread"), "1 thread");
        assert_eq!(count(0, "thread"), "0 threads");
        assert_eq!(count(2, "child"), "2 children");
        assert_eq!(count(2, "switch"), "2 switches");
    }
}
