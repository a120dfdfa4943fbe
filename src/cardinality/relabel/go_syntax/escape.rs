//! Escapes and named classes: what a backslash or `[:` begins.

use crate::cardinality::relabel::regexp::Refused;

/// General categories that mean the same in both; not `C` and `Cn`, to which Go counts other characters.
const CATEGORIES: &[&str] = &[
    "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd", "Nl", "No", "P", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S",
    "Sc", "Sk", "Sm", "So", "Z", "Zl", "Zp", "Zs", "Cc", "Cf", "Co",
];
const SCRIPTS: &[&str] = &[
    "Arabic",
    "Armenian",
    "Bengali",
    "Cyrillic",
    "Devanagari",
    "Georgian",
    "Greek",
    "Han",
    "Hangul",
    "Hebrew",
    "Hiragana",
    "Katakana",
    "Latin",
    "Thai",
];

/// What stands between `[:` and `:]`, as ranges.
const POSIX: &[(&str, &str)] = &[
    ("alnum", "0-9A-Za-z"),
    ("alpha", "A-Za-z"),
    ("ascii", r"\x00-\x7f"),
    ("blank", r"\t\x20"),
    ("cntrl", r"\x00-\x1f\x7f"),
    ("digit", "0-9"),
    ("graph", r"\x21-\x7e"),
    ("lower", "a-z"),
    ("print", r"\x20-\x7e"),
    ("punct", r"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e"),
    ("space", r"\x09-\x0d\x20"),
    ("upper", "A-Z"),
    ("word", r"0-9A-Za-z\x5f"),
    ("xdigit", "0-9A-Fa-f"),
];

pub enum Item {
    Char(char),
    /// A class in brackets.
    Set(String),
}

pub fn set_only(found: Option<(Item, usize)>) -> Option<(String, usize)> {
    match found {
        Some((Item::Set(set), length)) => Some((set, length)),
        _ => None,
    }
}

/// `\d`, `\pL`, `\p{Greek}`, and the length of what was read; none for another escape or no escape.
pub fn class_escape(text: &str) -> Result<Option<(Item, usize)>, Refused> {
    let Some(after) = text.strip_prefix('\\') else { return Ok(None) };
    let Some(kind) = after.chars().next() else { return Ok(None) };
    let ranges = match kind {
        'd' | 'D' => "0-9",
        's' | 'S' => r"\t\n\x0c\r\x20",
        'w' | 'W' => r"0-9A-Za-z\x5f",
        'p' | 'P' => return unicode_class(text).map(Some),
        _ => return Ok(None),
    };
    let negation = if kind.is_ascii_uppercase() { "^" } else { "" };
    Ok(Some((Item::Set(format!("[{negation}{ranges}]")), 2)))
}

fn unicode_class(text: &str) -> Result<(Item, usize), Refused> {
    let after = &text[2..];
    let (name, length) = match (after.strip_prefix('{'), after.chars().next()) {
        (Some(inner), _) => match inner.find('}') {
            Some(end) => (&inner[..end], 2 + end + 2),
            None => return Err(Refused::by_go(format!("`{}`: missing closing }}", excerpt(text)))),
        },
        (None, Some(letter)) => (&after[..letter.len_utf8()], 2 + letter.len_utf8()),
        (None, None) => return Err(Refused::by_go(format!("`{text}`: the name of a class is missing"))),
    };
    let (bare, inverted) = name.strip_prefix('^').map_or((name, false), |bare| (bare, true));
    let negated = text.starts_with(r"\P") != inverted;
    let class = if CATEGORIES.contains(&bare) {
        format!("gc={bare}")
    } else if SCRIPTS.contains(&bare) {
        format!("sc={bare}")
    } else if bare == "Any" {
        return Ok((Item::Set(if negated { r"[^\x00-\x{10ffff}]" } else { r"[\x00-\x{10ffff}]" }.to_owned()), length));
    } else {
        return Err(Refused::by_goscope(format!("the character class `{}`", &text[..length])));
    };
    Ok((Item::Set(format!(r"[{}\p{{{class}}}]", if negated { "^" } else { "" })), length))
}

/// `[:alpha:]` within a class, and its length.
pub fn posix_class(text: &str) -> Result<Option<(String, usize)>, Refused> {
    let Some(end) = text.strip_prefix("[:").and_then(|inner| inner.find(":]")) else { return Ok(None) };
    let (name, length) = (&text[2..2 + end], end + 4);
    let (bare, negation) = name.strip_prefix('^').map_or((name, ""), |bare| (bare, "^"));
    match POSIX.iter().find(|(known, _)| *known == bare) {
        Some((_, ranges)) => Ok(Some((format!("[{negation}{ranges}]"), length))),
        None => Err(Refused::by_go(format!("`{}`: no such character class", &text[..length]))),
    }
}

/// An escape that stands for one character, and its length.
pub fn char_escape(text: &str) -> Result<(Item, usize), Refused> {
    let bad = |length: usize| {
        let end = text.char_indices().map(|(at, c)| at + c.len_utf8()).find(|end| *end >= length).unwrap_or(text.len());
        Refused::by_go(format!("`{}`: no such escape", &text[..end]))
    };
    let bytes = text.as_bytes();
    let code = |code: u32, length: usize| match char::from_u32(code) {
        Some(c) => Ok((Item::Char(c), length)),
        None if code > 0x10_ffff => Err(bad(length)),
        None => Err(Refused::by_goscope(format!("the surrogate `{}`", &text[..length]))),
    };
    let Some(&kind) = bytes.get(1) else { return Err(Refused::by_go("a backslash at the end")) };
    let octal = |at: usize| bytes.get(at).filter(|byte| (b'0'..=b'7').contains(byte)).map(|byte| u32::from(byte - b'0'));
    match kind {
        b'1'..=b'7' if octal(2).is_none() => Err(Refused::by_go(format!("`{}`: references to groups do not exist", &text[..2]))),
        b'0'..=b'7' => {
            let digits: Vec<u32> = (1..4).map_while(octal).collect();
            code(digits.iter().fold(0, |code, digit| code * 8 + digit), 1 + digits.len())
        }
        b'x' if bytes.get(2) == Some(&b'{') => {
            let digits = text[3..].split_once('}').map(|(digits, _)| digits).ok_or_else(|| bad(3))?;
            let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            let length = 3 + digits.len() + 1;
            let significant = digits.trim_start_matches('0');
            match u32::from_str_radix(if significant.is_empty() { "0" } else { significant }, 16) {
                Ok(value) if valid => code(value, length),
                _ => Err(bad(length)),
            }
        }
        b'x' => match text.get(2..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            Some(digits) => code(u32::from_str_radix(digits, 16).map_err(|_| bad(4))?, 4),
            None => Err(bad(4)),
        },
        b'a' => code(0x07, 2),
        b'f' => code(0x0c, 2),
        b'n' => code(0x0a, 2),
        b'r' => code(0x0d, 2),
        b't' => code(0x09, 2),
        b'v' => code(0x0b, 2),
        byte if byte.is_ascii() && !byte.is_ascii_alphanumeric() => code(u32::from(byte), 2),
        _ => Err(bad(2)),
    }
}

/// The beginning of it, for a message.
pub fn excerpt(text: &str) -> &str {
    text.char_indices().nth(12).map_or(text, |(end, _)| &text[..end])
}
