//! Columns of numbers. One number says little: what it is shows in all of them.

use super::kind::{Kind, Unit};
use super::net::EPHEMERAL;
use super::time;

/// Decimal digits, with a sign or without.
pub fn is_integer(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    (1..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

pub fn is_float(value: &str) -> bool {
    let bare = value.strip_prefix(['-', '+']).unwrap_or(value);
    matches!(value, "+Inf" | "-Inf" | "NaN")
        || (bare.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            && bare.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte))
            && bare.parse::<f64>().is_ok())
}

/// 2015 to 2035, in seconds: a number of ten digits between is one of four.
const EPOCH: std::ops::Range<i128> = 1_420_070_400..2_051_222_400;

/// Different whole numbers, `all` in the whole column.
pub fn integers(values: &[&str], all: u64) -> Kind {
    let mut numbers: Vec<i128> = values.iter().filter_map(|value| value.parse().ok()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let (Some(least), Some(most)) = (numbers.first().copied(), numbers.last().copied()) else { return Kind::Integers };
    let count = numbers.len();
    let within = |low: i128, high: i128| least >= low && most < high;
    if count >= 3 {
        let units = [(Unit::Seconds, 1), (Unit::Milliseconds, 1_000), (Unit::Microseconds, 1_000_000), (Unit::Nanoseconds, 1_000_000_000)];
        let unit = units.into_iter().find(|(_, factor)| within(EPOCH.start * factor, EPOCH.end * factor)).map(|(unit, _)| unit);
        if within(10_000_000_000_000_000, 4_000_000_000_000_000_000) && (unit != Some(Unit::Nanoseconds) || is_numbered(&numbers)) {
            return Kind::Snowflake;
        }
        if let Some(unit) = unit {
            return Kind::Epoch(unit);
        }
        if values.iter().all(|value| time::is_compact_day(value)) {
            return Kind::Date;
        }
    }
    if count >= 20 && within(i128::from(EPHEMERAL), 65_536) {
        return Kind::EphemeralPort;
    }
    let dense = count as i128 * 2 > most - least || all as i128 * 2 > most - least;
    match () {
        () if most < 1000 && least > -1000 => {
            if count >= 20 && dense && all > 256 {
                Kind::DenseIntegers
            } else {
                Kind::Integers
            }
        }
        () if count >= 20 && dense => Kind::DenseIntegers,
        () if count >= 20 && most >= 10_000 && !are_round(&numbers) => Kind::SparseIntegers,
        () => Kind::Integers,
    }
}

/// The lowest twelve bits of a snowflake count ids of one millisecond, and seldom come far.
fn is_numbered(numbers: &[i128]) -> bool {
    numbers.iter().filter(|number| *number & 0xFFF < 64).count() * 2 > numbers.len()
}

/// Two digits and zeros, or powers of two: somebody chose them.
fn are_round(numbers: &[i128]) -> bool {
    let round = |number: i128| {
        let mut left = number.unsigned_abs();
        while left >= 100 && left.is_multiple_of(10) {
            left /= 10;
        }
        let odd = number.unsigned_abs() >> number.unsigned_abs().trailing_zeros().min(127);
        left < 100 || odd <= 3
    };
    numbers.iter().filter(|number| round(**number)).count() * 10 >= numbers.len() * 8
}

/// `1.20`, `3.10`: no float is written so.
pub fn are_versions(values: &[&str]) -> bool {
    let parts = |value: &str| {
        let (major, minor) = value.split_once('.')?;
        let short = |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        (short(major) && short(minor)).then(|| minor.len() == 2 && minor.ends_with('0'))
    };
    let found: Option<Vec<bool>> = values.iter().map(|value| parts(value)).collect();
    found.is_some_and(|found| found.contains(&true))
}
