//! Numbers as Prometheus reads and writes them: Go's `strconv.ParseFloat` and `FormatFloat`.

/// A sample's value. As `parseFloat` of `model/textparse/promparse.go`: what Go takes, without hexadecimal floats and underscores. A value
/// too large for a float is none.
pub fn value(text: &[u8]) -> Option<f64> {
    // Most are whole numbers, and exact in a float below 16 digits.
    if text.len() < 16 && !text.is_empty() {
        let mut whole = 0u64;
        if text.iter().all(|&byte| {
            whole = whole.wrapping_mul(10).wrapping_add(u64::from(byte.wrapping_sub(b'0')));
            byte.is_ascii_digit()
        }) {
            return Some(whole as f64);
        }
    }
    decimal(std::str::from_utf8(text).ok()?)
}

/// A timestamp in seconds, as the server stores it: cut off to milliseconds as Go converts on amd64, where what does not fit becomes the
/// lowest number.
pub fn milliseconds(seconds: f64) -> i64 {
    let milliseconds = seconds * 1000.0;
    if milliseconds.abs() < i64::MAX as f64 { milliseconds as i64 } else { i64::MIN }
}

/// Rust reads what Go does, and more: a sign before NaN, and too large numbers as infinite.
fn decimal(text: &str) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    let letter = text.trim_start_matches(['+', '-']).bytes().next().unwrap_or(b'0');
    match letter {
        b'n' | b'N' if text.len() != 3 => None,
        b'n' | b'N' => Some(NORMAL_NAN),
        b'i' | b'I' => Some(value),
        _ => value.is_finite().then_some(value),
    }
}

/// `NormalNaN` of `model/value/value.go`.
const NORMAL_NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);

/// A value of `le` or `quantile` in the form in which Prometheus stores it, added to `out`: `1` becomes `1.0`, `1000000` becomes `1e+06`. None
/// where it is no number; it stays as it is then. As `normalizeFloatsInLabelValues` of `model/textparse/promparse.go`.
pub fn canonical(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let value = decimal(text).or_else(|| go_literal(text))?;
    out.extend_from_slice(openmetrics(value).as_bytes());
    Some(())
}

/// As `FormatOpenMetricsFloat` of `model/labels/float.go`: the shortest digits that give the same float, an exponent below -4 and from 6 on
/// (`%g` of Go), and always a sign that it is a float.
pub fn openmetrics(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    if value == 0.0 {
        return "0.0".to_owned();
    }
    let (digits, exponent) = shortest(value.abs());
    let sign = if value < 0.0 { "-" } else { "" };
    let point = usize::try_from(exponent + 1).unwrap_or(0);
    match exponent {
        -4..0 => format!("{sign}0.{}{digits}", "0".repeat(exponent.unsigned_abs() as usize - 1)),
        0..6 if digits.len() > point => format!("{sign}{}.{}", &digits[..point], &digits[point..]),
        0..6 => format!("{sign}{digits}{}.0", "0".repeat(point - digits.len())),
        _ => {
            let (dot, power) = (if digits.len() > 1 { "." } else { "" }, if exponent < 0 { '-' } else { '+' });
            format!("{sign}{}{dot}{}e{power}{:02}", &digits[..1], &digits[1..], exponent.unsigned_abs())
        }
    }
}

/// The shortest digits that give the same float, and the exponent of the first. Of two that are as near, Go takes the even one, Rust the
/// greater.
fn shortest(value: f64) -> (String, i32) {
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits = digits.replace('.', "");
    if let Ok(number) = digits.parse::<u64>()
        && number % 2 == 1
        && digits.len() > 1
    {
        let even = (number - 1).to_string();
        // Longer than any that ends right behind these digits, so exact where it ends there.
        let exact = format!("{value:.40e}").replace('.', "");
        let middle = exact.strip_prefix(&even).and_then(|rest| rest.strip_prefix('5')).and_then(|rest| rest.split('e').next());
        if middle.is_some_and(|rest| rest.bytes().all(|byte| byte == b'0')) {
            return (even, exponent.parse().unwrap_or(0));
        }
    }
    (digits, exponent.parse().unwrap_or(0))
}

/// What `strconv.ParseFloat` takes beside decimal numbers: underscores between digits, and hexadecimal floats.
fn go_literal(text: &str) -> Option<f64> {
    if !text.contains('_') {
        return hexadecimal(text);
    }
    if !underscores_fit(text.trim_start_matches(['+', '-'])) {
        return None;
    }
    let plain = text.replace('_', "");
    // `i_nf` has none of the digits that an underscore can separate, so only numbers come here.
    decimal(&plain).or_else(|| hexadecimal(&plain))
}

/// Each has a digit, or the sign of hexadecimals, before it, and a digit after it.
fn underscores_fit(text: &str) -> bool {
    let hex = text.starts_with("0x") || text.starts_with("0X");
    let digit = |byte: u8| if hex { byte.is_ascii_hexdigit() } else { byte.is_ascii_digit() };
    let bytes = text.as_bytes();
    (0..bytes.len()).filter(|&at| bytes[at] == b'_').all(|at| {
        let before = at > 0 && (digit(bytes[at - 1]) || (hex && at == 2));
        before && bytes.get(at + 1).copied().is_some_and(digit)
    })
}

/// `0x1.8p-2`, rounded to even. Too large is none.
fn hexadecimal(text: &str) -> Option<f64> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (digits, exponent) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X"))?.split_once(['p', 'P'])?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if whole.len() + fraction.len() == 0 || unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Beyond four digits all is zero or too large.
    let size = unsigned.parse().unwrap_or(10_000i64).min(10_000);
    let mut power = if exponent.starts_with('-') { -size } else { size } - 4 * fraction.len() as i64;
    // The highest 64 bits, and whether any bit below is set.
    let (mut bits, mut below) = (0u64, false);
    for digit in whole.chars().chain(fraction.chars()) {
        let digit = digit.to_digit(16)?;
        if bits >> 60 == 0 {
            bits = bits << 4 | u64::from(digit);
        } else {
            below |= digit != 0;
            power += 4;
        }
    }
    let value = if bits == 0 { 0.0 } else { rounded(bits, below, power)? };
    Some(if negative { -value } else { value })
}

/// `bits`, which is not 0, and a little more if `below`, times two to the `power`.
fn rounded(bits: u64, below: bool, power: i64) -> Option<f64> {
    let shift = bits.leading_zeros();
    let top = power + 63 - i64::from(shift);
    if top < -1075 {
        return Some(0.0);
    }
    // Of the 72 bits: 53 stay, or fewer where the float is subnormal.
    let wide = u128::from(bits << shift) << 8 | u128::from(below);
    let drop = 19 + (-1022 - top).max(0);
    let (mut kept, rest, half) = (wide >> drop, wide & ((1 << drop) - 1), 1u128 << (drop - 1));
    if rest > half || (rest == half && kept & 1 == 1) {
        kept += 1;
    }
    let unit = top - 71 + drop;
    // In two steps, since the smallest unit is no normal float.
    let power_of_two = |power: i64| f64::from_bits(((power + 1023) as u64) << 52);
    if top > 1023 {
        return None;
    }
    let value = kept as f64 * power_of_two(unit / 2) * power_of_two(unit - unit / 2);
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canon(text: &str) -> Option<String> {
        let mut out = Vec::new();
        canonical(text, &mut out)?;
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn values_are_what_go_takes() {
        for (text, expected) in [
            ("1", Some(1.0)),
            ("0", Some(0.0)),
            ("-0.5e-3", Some(-0.0005)),
            ("+1.", Some(1.0)),
            (".5", Some(0.5)),
            ("123456789012345678", Some(123456789012345678.0)),
            ("inf", Some(f64::INFINITY)),
            ("+InFinity", Some(f64::INFINITY)),
            ("-Inf", Some(f64::NEG_INFINITY)),
            ("1e-400", Some(0.0)),
        ] {
            assert_eq!(value(text.as_bytes()), expected, "{text}");
        }
        for text in ["", ".", "+", "1e", "1e400", "-1e400", "0x1p3", "1_0", "+nan", "1 ", "1\r", "one", "１"] {
            assert_eq!(value(text.as_bytes()), None, "{text}");
        }
        assert_eq!(value(b"nAn").map(f64::to_bits), Some(NORMAL_NAN.to_bits()));
        assert_eq!(value(b"-0").map(f64::to_bits), Some((-0.0f64).to_bits()));
    }

    #[test]
    fn bounds_are_stored_in_one_form() {
        for (text, expected) in [
            ("1", "1.0"),
            ("0.10", "0.1"),
            ("-0", "0.0"),
            ("100000", "100000.0"),
            ("1000000", "1e+06"),
            ("1234567.5", "1.2345675e+06"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("+inf", "+Inf"),
            ("nan", "NaN"),
            ("-1e300", "-1e+300"),
            ("-120", "-120.0"),
            ("1739289340533294.25", "1.7392893405332942e+15"),
            ("1_0", "10.0"),
            ("0x1p-2", "0.25"),
            ("0x_1.8p1", "3.0"),
        ] {
            assert_eq!(canon(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "a", "1e400", "1_", "_1", "1__0", "0x1", "0xp1", "0x1p", "0x1p99999"] {
            assert_eq!(canon(text), None, "{text}");
        }
    }

    #[test]
    fn hexadecimal_floats_are_rounded_to_even() {
        for (text, expected) in [
            ("0x1p-1074", f64::from_bits(1)),
            ("0x1p-1075", 0.0),
            ("0x1.8p-1075", f64::from_bits(1)),
            ("0x1.00000000000008p0", 1.0),
            ("0x1.000000000000080000000000001p0", 1.0 + f64::EPSILON),
            ("0x1.00000000000018p0", 1.0 + 2.0 * f64::EPSILON),
            ("0x1.fffffffffffffp1023", f64::MAX),
            ("-0x10p0", -16.0),
        ] {
            assert_eq!(hexadecimal(text), Some(expected), "{text}");
        }
        assert_eq!(hexadecimal("0x1.fffffffffffff8p1023"), None);
    }
}
