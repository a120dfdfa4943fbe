//! Relabel rules as YAML, ready to be pasted.

use crate::cardinality::model::Role;

/// One configuration of many pieces; empty where none has a rule.
pub fn document<'a>(pieces: impl Iterator<Item = &'a str>) -> String {
    let rules: String = pieces.collect();
    if rules.is_empty() { rules } else { format!("metric_relabel_configs:\n{rules}") }
}

/// One of the names; nothing in them means more than itself.
pub fn any_of(names: &[&str]) -> String {
    let escaped: Vec<String> = names.iter().map(|name| regex::escape(name)).collect();
    match escaped.as_slice() {
        [one] => one.clone(),
        several => format!("({})", several.join("|")),
    }
}

/// The names of all series of a metric, as expressions.
pub fn names_of(metric: &str, roles: impl Iterator<Item = Role>) -> Vec<String> {
    let mut suffixes: Vec<&str> = roles.map(Role::suffix).collect();
    suffixes.sort_unstable();
    suffixes.dedup();
    suffixes.iter().map(|suffix| format!("{}{suffix}", regex::escape(metric))).collect()
}

/// Drops series of one metric by the value of a label.
pub fn drop_values(names: &[String], label: &str, values: &str) -> String {
    let regex = format!("({});({values})", names.join("|"));
    format!("- source_labels: [__name__, {}]\n  regex: {}\n  action: drop\n", quoted(label), quoted(&regex))
}

/// Drops series by their whole name.
pub fn drop_names(patterns: &[String]) -> String {
    format!("- source_labels: [__name__]\n  regex: {}\n  action: drop\n", quoted(&patterns.join("|")))
}

/// Drops buckets of one histogram by their bound.
pub fn drop_bounds(metric: &str, bounds: &str) -> String {
    let regex = format!("{}_bucket;({bounds})", regex::escape(metric));
    format!("- source_labels: [__name__, le]\n  regex: {}\n  action: drop\n", quoted(&regex))
}

pub fn drop_label(label: &str) -> String {
    format!("- regex: {}\n  action: labeldrop\n", quoted(&regex::escape(label)))
}

/// Puts a part of the name into a label, then takes it out of the name. Both find the name that the scrape has.
pub fn fold(regex: &str, label: &str, word: &str, name: &str) -> String {
    let regex = quoted(regex);
    let first = format!("- source_labels: [__name__]\n  regex: {regex}\n  target_label: {label}\n  replacement: {}\n", quoted(word));
    format!("{first}- source_labels: [__name__]\n  regex: {regex}\n  target_label: __name__\n  replacement: {}\n", quoted(name))
}

/// In single quotes YAML takes everything as it is, except a quote, and except what no line can hold.
fn quoted(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let escaped: String = text
        .chars()
        .map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            c if c.is_control() => format!("\\u{:04x}", c as u32),
            c => c.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}
