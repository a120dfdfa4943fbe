//! Upper and lower case as Go's `strings.ToUpper` and `ToLower` have them: character by character. Rust's own follow the longer rules of
//! Unicode, by which `ß` becomes two letters.

pub fn lower(text: &str) -> String {
    let simple = |c: char| one(c.to_lowercase()).unwrap_or(if c == 'İ' { 'i' } else { c });
    text.chars().map(simple).collect()
}

pub fn upper(text: &str) -> String {
    let simple = |c: char| one(c.to_uppercase()).unwrap_or_else(|| greek_title(c).unwrap_or(c));
    text.chars().map(simple).collect()
}

fn one(mut mapped: impl Iterator<Item = char>) -> Option<char> {
    let first = mapped.next();
    if mapped.next().is_some() { None } else { first }
}

/// Greek letters with a iota below: their single upper-case letter, where the long rules write two.
fn greek_title(c: char) -> Option<char> {
    let distance = match c {
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => 8,
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => 9,
        _ => return None,
    };
    char::from_u32(c as u32 + distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_character_stays_one() {
        assert_eq!(upper("straße ŉ ﬁ ᾳ ᾀ é"), "STRAßE ŉ ﬁ ᾼ ᾈ É");
        assert_eq!(lower("İSTANBUL ΟΔΟΣ ẞ"), "istanbul οδοσ ß");
    }
}
