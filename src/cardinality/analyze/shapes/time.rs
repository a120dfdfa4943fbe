//! Points in time, written out.

use super::kind::Kind;

/// RFC 3339 and its like (`T` or a blank, with or without a zone), HTTP dates, and days alone.
pub fn time(value: &str) -> Option<Kind> {
    if is_http_date(value) {
        return Some(Kind::DateTime);
    }
    let day = value.get(..10).filter(|day| is_day(day))?;
    let rest = &value[day.len()..];
    if rest.is_empty() {
        return Some(Kind::Date);
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let clock = rest.get(..5).filter(|clock| pattern(clock, "00:00"))?;
    let zone = rest[clock.len()..].trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, ':' | '.' | ','));
    let offset = zone.strip_prefix(['+', '-']);
    let fits = zone.is_empty()
        || zone.starts_with(['Z', 'z', ' '])
        || offset.is_some_and(|offset| offset.len() <= 6 && offset.starts_with(|c: char| c.is_ascii_digit()));
    fits.then_some(Kind::DateTime)
}

/// `2024-01-31` or with slashes.
fn is_day(value: &str) -> bool {
    (pattern(value, "0000-00-00") || pattern(value, "0000/00/00")) && is_date(&value[..4], &value[5..7], &value[8..])
}

/// `20240131`
pub fn is_compact_day(value: &str) -> bool {
    pattern(value, "00000000") && is_date(&value[..4], &value[4..6], &value[6..])
}

fn is_date(year: &str, month: &str, day: &str) -> bool {
    let within = |text: &str, low: u32, high: u32| text.parse::<u32>().is_ok_and(|number| (low..=high).contains(&number));
    within(year, 1970, 2040) && within(month, 1, 12) && within(day, 1, 31)
}

/// `Mon, 02 Jan 2006 15:04:05 GMT`
fn is_http_date(value: &str) -> bool {
    value.len() >= 29 && value.as_bytes()[3] == b',' && value.get(17..25).is_some_and(|clock| pattern(clock, "00:00:00"))
}

/// A digit for each 0, other characters as they are.
fn pattern(value: &str, pattern: &str) -> bool {
    value.len() == pattern.len()
        && value.bytes().zip(pattern.bytes()).all(|(byte, wanted)| if wanted == b'0' { byte.is_ascii_digit() } else { byte == wanted })
}
