//! Words of a metric's name that are units.
//!
//! The tables are those of promlint (client_golang `prometheus/testutil/promlint/validations/units.go`) 1.25.

/// A unit, and the base unit to use in its place.
const UNITS: [(&str, &str); 24] = [
    ("amperes", "amperes"),
    ("bits", "bytes"),
    ("bytes", "bytes"),
    ("calories", "joules"),
    ("celsius", "celsius"),
    ("days", "seconds"),
    ("fahrenheit", "celsius"),
    ("grams", "grams"),
    ("hours", "seconds"),
    ("inches", "meters"),
    ("joules", "joules"),
    ("kelvin", "kelvin"),
    ("kelvins", "kelvin"),
    ("meters", "meters"),
    ("metres", "metres"),
    ("miles", "meters"),
    ("minutes", "seconds"),
    ("ounces", "grams"),
    ("pounds", "grams"),
    ("rankine", "celsius"),
    ("seconds", "seconds"),
    ("volts", "volts"),
    ("weeks", "seconds"),
    ("yards", "meters"),
];

const PREFIXES: [&str; 18] = [
    "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega", "mebi", "giga", "gibi", "tera", "tebi",
    "peta", "pebi",
];

const ABBREVIATIONS: [&str; 14] = ["s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"];

/// The base unit of a word, where the word is a unit.
pub fn base_of(word: &str) -> Option<&'static str> {
    let plain = |word: &str| UNITS.iter().find(|(unit, _)| *unit == word).map(|(_, base)| *base);
    plain(word).or_else(|| PREFIXES.iter().find_map(|prefix| word.strip_prefix(prefix).and_then(plain)))
}

/// The first unit in a name: the word, its base unit and where among the words it is.
pub fn first_unit(name: &str) -> Option<(&str, &'static str, usize)> {
    name.split('_').enumerate().find_map(|(index, word)| base_of(word).map(|base| (word, base, index)))
}

/// Compares without regard to case: `_MB`, `_ms`.
pub fn is_abbreviation(word: &str) -> bool {
    ABBREVIATIONS.iter().any(|abbreviation| word.eq_ignore_ascii_case(abbreviation))
}
