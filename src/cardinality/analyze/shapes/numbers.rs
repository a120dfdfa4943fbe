//! Columns of numbers. One number says little: what it is shows in all of them.

use std::collections::BTreeSet;

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

/// Whether somebody chose these floats, as bounds of buckets: few digits, or each the same factor above the one before.
pub fn are_bounds(values: &[&str]) -> bool {
    let digits = |value: &str| {
        let mantissa = value.split(['e', 'E']).next().unwrap_or_default();
        let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
        let whole = !mantissa.contains('.');
        let from_first = digits.trim_start_matches('0');
        if whole { from_first.trim_end_matches('0').len() } else { from_first.len() }
    };
    // `1.0` and `2.0` are written by machines.
    let few = values.iter().filter(|value| digits(value.strip_suffix(".0").unwrap_or(value)) <= 2).count();
    if few * 10 >= values.len() * 8 {
        return true;
    }
    let mut numbers: Vec<f64> =
        values.iter().filter_map(|value| value.parse().ok()).filter(|number: &f64| *number > 0.0 && number.is_finite()).collect();
    numbers.sort_unstable_by(f64::total_cmp);
    let factors: Vec<f64> = numbers.windows(2).map(|pair| pair[1] / pair[0]).collect();
    let usual = factors.get(factors.len() / 2).copied().unwrap_or(1.0);
    factors.len() >= 2
        && usual > 1.01
        && factors.iter().filter(|factor| (**factor / usual - 1.0).abs() < 0.01).count() * 10 >= factors.len() * 8
}

/// `1.20`, `3.10`: no float is written so, except where all have two decimals, as amounts of money.
pub fn are_versions(values: &[&str]) -> bool {
    let short = |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    if !values.iter().all(|value| value.split_once('.').is_some_and(|(major, minor)| short(major) && short(minor))) {
        return false;
    }
    let found = || values.iter().filter_map(|value| value.split_once('.'));
    let majors: BTreeSet<&str> = found().map(|(major, _)| major).collect();
    let amounts = values.len() >= 10 && majors.len() > 3 && found().all(|(_, minor)| minor.len() == 2);
    !amounts && found().any(|(_, minor)| minor.len() == 2 && minor.ends_with('0'))
}
