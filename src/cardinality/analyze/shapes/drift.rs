//! One thing spelled in several ways.

use std::collections::BTreeMap;

/// Spellings that mean the same, the most frequent first, which is the one to keep.
pub type Spellings = Vec<String>;

const TRUE: [&str; 5] = ["true", "yes", "on", "t", "y"];
const FALSE: [&str; 5] = ["false", "no", "off", "f", "n"];

/// Whether the column is of truth values: only those, and at least one that is a word.
pub fn is_boolean(values: &[(&str, u64)]) -> bool {
    let long = |word: &str| ["true", "false", "yes", "no", "on", "off"].contains(&word);
    let words: Vec<String> = values.iter().map(|(value, _)| value.trim().to_ascii_lowercase()).collect();
    let fits = |word: &String| TRUE.contains(&word.as_str()) || FALSE.contains(&word.as_str()) || word == "1" || word == "0";
    values.len() <= 20 && words.iter().all(fits) && words.iter().any(|word| long(word))
}

/// Truth values of which one is written in several ways.
pub fn of_booleans(values: &[(&str, u64)]) -> Vec<Spellings> {
    group(values, |value| {
        let word = value.trim().to_ascii_lowercase();
        if word == "1" || TRUE.contains(&word.as_str()) { "true".to_owned() } else { "false".to_owned() }
    })
}

/// Short words that differ in case or in blanks around them.
pub fn of_words(values: &[(&str, u64)]) -> Vec<Spellings> {
    // Names of functions, files and the like may differ in case alone, and mean different things.
    let word = |value: &str| value.trim().len() <= 24 && !value.contains(['.', '/', '(', ':', '=', '+']);
    if values.len() > 200 {
        return Vec::new();
    }
    let words: Vec<(&str, u64)> = values.iter().copied().filter(|(value, _)| word(value) && value.trim().len() >= 2).collect();
    // `GetAttr` and `Getattr` are names in two versions of NFS: one of the spellings has to be in one case.
    let one_case = |value: &String| value.trim() == value.to_lowercase().trim() || value.trim() == value.to_uppercase().trim();
    let mut found = group(&words, |value| value.trim().to_lowercase());
    found.retain(|spellings| spellings.iter().any(one_case));
    found
}

fn group(values: &[(&str, u64)], normal: impl Fn(&str) -> String) -> Vec<Spellings> {
    let mut groups: BTreeMap<String, Vec<(u64, &str)>> = BTreeMap::new();
    for (value, weight) in values {
        groups.entry(normal(value)).or_default().push((*weight, value));
    }
    let several = groups.into_values().filter(|group| group.len() > 1);
    several
        .map(|mut group| {
            group.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
            group.into_iter().map(|(_, value)| value.to_owned()).collect()
        })
        .collect()
}
