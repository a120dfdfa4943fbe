//! Identifiers that are known by their form.

use super::kind::Kind;

/// Between these, in Unix seconds, a time inside an id is believed: 2005 to 2040.
const EARLIEST: u64 = 1_104_537_600;
const LATEST: u64 = 2_208_988_800;

/// An id that fills the whole value.
pub fn id(value: &str) -> Option<Kind> {
    match value.len() {
        36 if is_uuid_layout(value.as_bytes(), b'-') => Some(Kind::Uuid(uuid_version(value.as_bytes()))),
        26 if is_ulid(value) => Some(Kind::Ulid),
        27 if is_ksuid(value) => Some(Kind::Ksuid),
        24 if is_object_id(value) => Some(Kind::ObjectId),
        55 if is_traceparent(value) => Some(Kind::TraceId),
        16 if is_random_hex(value) => Some(Kind::SpanId),
        32 if is_random_hex(value) => Some(Kind::TraceId),
        40 if is_random_hex(value) => Some(Kind::Sha1),
        64 if is_random_hex(value) => Some(Kind::Digest),
        _ if is_digest(value) => Some(Kind::Digest),
        _ if is_jwt(value) => Some(Kind::Token),
        _ if is_phone(value) => Some(Kind::Phone),
        _ => None,
    }
}

/// Whether `bytes` begin with digits in the groups of a UUID, whatever its version: some generators set none.
fn is_uuid_layout(bytes: &[u8], separator: u8) -> bool {
    let fits = |(at, byte): (usize, &u8)| match at {
        8 | 13 | 18 | 23 => *byte == separator,
        _ => byte.is_ascii_hexdigit(),
    };
    bytes.get(..36).is_some_and(|bytes| bytes.iter().enumerate().all(fits))
}

/// Of a UUID with separators, 1 to 8; none if version and variant are not in their places.
fn uuid_version(bytes: &[u8]) -> Option<u8> {
    let version = bytes[14].wrapping_sub(b'0');
    ((1..=8).contains(&version) && matches!(bytes[19], b'8' | b'9' | b'a' | b'b' | b'A' | b'B')).then_some(version)
}

/// The version of a UUID without dashes.
pub fn bare_uuid(value: &str) -> Option<u8> {
    let bytes = value.as_bytes();
    let version = bytes.get(12)?.wrapping_sub(b'0');
    (bytes.len() == 32 && is_hex(value) && (1..=8).contains(&version) && matches!(bytes[16], b'8' | b'9' | b'a' | b'b')).then_some(version)
}

/// Hexadecimal digits in one case, at least one of them.
pub fn is_hex(value: &str) -> bool {
    let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let upper = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
    !value.is_empty() && (value.bytes().all(lower) || value.bytes().all(upper))
}

/// Hexadecimal, with digits and letters: neither a number nor a word.
pub fn is_mixed_hex(value: &str) -> bool {
    is_hex(value) && value.bytes().any(|byte| byte.is_ascii_digit()) && value.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Of 16 random digits, fewer than six different ones come once in 30,000 times.
pub fn is_random_hex(value: &str) -> bool {
    is_mixed_hex(value) && distinct_bytes(value) >= 6
}

fn distinct_bytes(value: &str) -> usize {
    value
        .bytes()
        .fold([false; 256], |mut seen, byte| {
            seen[byte as usize] = true;
            seen
        })
        .iter()
        .filter(|seen| **seen)
        .count()
}

/// 48 bits of milliseconds, then 80 random ones, in Crockford's base 32.
fn is_ulid(value: &str) -> bool {
    const ALPHABET: &[u8] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let one_case = !(value.bytes().any(|byte| byte.is_ascii_lowercase()) && value.bytes().any(|byte| byte.is_ascii_uppercase()));
    let digits: Option<Vec<u64>> = value.bytes().map(|byte| digit(ALPHABET, byte.to_ascii_uppercase())).collect();
    one_case && digits.is_some_and(|digits| in_time(digits[..10].iter().fold(0, |number, digit| number * 32 + digit) / 1000))
}

/// 32 bits of seconds since 2014-05-13, then 128 random ones, in base 62.
fn is_ksuid(value: &str) -> bool {
    const ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let digits: Option<Vec<u64>> = value.bytes().map(|byte| digit(ALPHABET, byte)).collect();
    let Some(digits) = digits else { return false };
    // The whole has 160 bits; the top digits are enough for the seconds.
    let top = digits[..11].iter().fold(0.0, |number, digit| number * 62.0 + *digit as f64);
    let seconds = (top * 62_f64.powi(16) / 128_f64.exp2()) as u64;
    let mixed = value.bytes().any(|byte| byte.is_ascii_lowercase()) && value.bytes().any(|byte| byte.is_ascii_uppercase());
    mixed && value.bytes().filter(u8::is_ascii_digit).count() >= 2 && seconds > 0 && in_time(1_400_000_000 + seconds)
}

/// `+` and 7 to 15 digits, as E.164 has it, with blanks and the like between or without.
pub fn is_phone(value: &str) -> bool {
    let Some(rest) = value.strip_prefix('+') else { return false };
    let digits = rest.bytes().filter(u8::is_ascii_digit).count();
    (7..=15).contains(&digits)
        && rest.starts_with(|c: char| c.is_ascii_digit() && c != '0')
        && rest.bytes().all(|byte| byte.is_ascii_digit() || b" -()/".contains(&byte))
}

/// 32 bits of seconds, then 64 that are random or counted.
fn is_object_id(value: &str) -> bool {
    is_random_hex(value) && value.get(..8).is_some_and(|time| u64::from_str_radix(time, 16).is_ok_and(in_time))
}

fn is_traceparent(value: &str) -> bool {
    let parts: Vec<&str> = value.split('-').collect();
    parts.iter().map(|part| part.len()).eq([2, 32, 16, 2]) && parts.iter().all(|part| is_hex(part)) && is_random_hex(parts[1])
}

/// `sha256:…`, also behind an image name and `@`, and `containerd://…`.
fn is_digest(value: &str) -> bool {
    if let Some((_, hash)) = value.split_once("://") {
        return hash.len() == 64 && is_random_hex(hash);
    }
    let Some((name, hash)) = value.rsplit_once(':') else { return false };
    let algorithm = name.rsplit_once('@').map_or(name, |(_, algorithm)| algorithm);
    let length = match algorithm {
        "md5" => 32,
        "sha1" => 40,
        "sha256" => 64,
        "sha512" => 128,
        _ => return false,
    };
    hash.len() == length && is_random_hex(hash)
}

fn is_jwt(value: &str) -> bool {
    let base64 = |part: &str| part.len() > 10 && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    value.starts_with("eyJ") && value.split('.').count() == 3 && value.split('.').all(base64)
}

/// Long, with digits and letters of both cases all over: a session or key in base 62 or 64. For a column of values of equal length.
pub fn is_token(value: &str) -> bool {
    let class = |byte: u8| match byte {
        b'0'..=b'9' => 0,
        b'a'..=b'z' => 1,
        b'A'..=b'Z' => 2,
        b'-' | b'_' | b'+' | b'/' | b'=' => 3,
        _ => 4,
    };
    let classes: Vec<u8> = value.bytes().map(class).collect();
    let changes = classes.windows(2).filter(|pair| pair[0] != pair[1]).count();
    value.len() >= 16 && !classes.contains(&4) && [0, 1, 2].iter().all(|class| classes.contains(class)) && changes * 3 >= value.len()
}

/// A UUID or a hash inside a longer name: where it begins and ends.
pub fn inside(value: &str) -> Option<(usize, usize)> {
    let bytes = value.as_bytes();
    let ends = |at: usize| bytes.get(at).is_none_or(|byte| !byte.is_ascii_alphanumeric());
    let dashed = |at: usize| [b'-', b'_'].iter().any(|separator| is_uuid_layout(&bytes[at..], *separator)) && ends(at + 36);
    if bytes.len() > 36
        && let Some(at) = (0..=bytes.len() - 36).find(|at| dashed(*at))
    {
        return Some((at, at + 36));
    }
    let mut start = 0;
    for run in value.split(|c: char| !c.is_ascii_alphanumeric()) {
        if matches!(run.len(), 32 | 40 | 64) && run.len() < value.len() && is_random_hex(run) {
            return Some((start, start + run.len()));
        }
        start += run.len();
        start += value[start..].chars().next().map_or(0, char::len_utf8);
    }
    None
}

fn digit(alphabet: &[u8], byte: u8) -> Option<u64> {
    alphabet.iter().position(|letter| *letter == byte).map(|at| at as u64)
}

fn in_time(seconds: u64) -> bool {
    (EARLIEST..LATEST).contains(&seconds)
}
