//! Expressions about `le` and `quantile` that fit a bound as people write it, and not as the server stores it.

use std::collections::BTreeMap;

use crate::cardinality::model::{Family, Member, Scrape};
use crate::cardinality::relabel::{Action, Rule};

/// Values that an expression is tried with, at most.
const MOST_TRIED: usize = 100_000;
/// Children of one family, where a rule reads other labels, too.
const MOST_CHILDREN: usize = 200;
const MOST_TOLD: usize = 3;

/// How bounds are stored that a rule misses, by how it has them.
pub fn missed(scrape: &Scrape, rule: &Rule) -> BTreeMap<String, String> {
    let mut missed = BTreeMap::new();
    let bound = ["le", "quantile"].into_iter().find(|bound| rule.source_labels.iter().any(|label| label == bound));
    let Some(bound) = bound.filter(|_| matches!(rule.action, Action::Keep | Action::Drop | Action::Replace)) else { return missed };
    let others = rule.source_labels.iter().any(|label| label != bound && label != "__name__");
    let mut tried = 0;
    for family in &scrape.families {
        for child in children(family, others) {
            for member in family.members(child).iter().filter(|member| member.role.bound_label() == Some(bound)) {
                let stored = scrape.text(member.bound);
                for written in written(stored) {
                    tried += 1;
                    if tried > MOST_TRIED || missed.len() == MOST_TOLD {
                        return missed;
                    }
                    let value = |text: &str| joined(scrape, rule, family, child, member, text);
                    if !missed.contains_key(&written) && rule.regex.is_match(&value(&written)) && !rule.regex.is_match(&value(stored)) {
                        missed.insert(written, stored.to_owned());
                    }
                }
            }
        }
    }
    missed
}

/// One of each layout, or the first ones where their labels matter.
fn children(family: &Family, labels_matter: bool) -> Vec<usize> {
    if labels_matter {
        return (0..family.children().min(MOST_CHILDREN)).collect();
    }
    let first = |layout| family.layout.iter().position(|of_child| *of_child as usize == layout);
    (0..family.layouts.len().min(MOST_CHILDREN)).filter_map(first).collect()
}

/// `1.0` is also written `1`, and `1e+06` also `1000000` and `1e6`.
fn written(stored: &str) -> Vec<String> {
    if let Some(whole) = stored.strip_suffix(".0") {
        return vec![whole.to_owned()];
    }
    match (stored.split_once('e'), stored.parse::<f64>()) {
        (Some((mantissa, exponent)), Ok(number)) => {
            let exponent: String = exponent.parse::<i32>().map_or_else(|_| exponent.to_owned(), |exponent| exponent.to_string());
            vec![format!("{number}"), format!("{mantissa}e{exponent}")]
        }
        _ => Vec::new(),
    }
}

/// What a rule reads of one series, if its bound were this.
fn joined(scrape: &Scrape, rule: &Rule, family: &Family, child: usize, member: &Member, bound: &str) -> String {
    let value = |label: &String| match label.as_str() {
        "__name__" => scrape.series_name(family, member.role),
        label if Some(label) == member.role.bound_label() => bound.to_owned(),
        label => {
            let column = family.columns.iter().find(|column| scrape.text(column.name) == label);
            column.map(|column| scrape.text(column.cells[child]).to_owned()).unwrap_or_default()
        }
    };
    rule.source_labels.iter().map(value).collect::<Vec<String>>().join(&rule.separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_written_in_other_ways_than_they_are_stored() {
        assert_eq!(written("5.0"), ["5"]);
        assert_eq!(written("1e+06"), ["1000000", "1e6"]);
        assert_eq!(written("1e-05"), ["0.00001", "1e-5"]);
        assert!(["0.5", "+Inf", "NaN"].into_iter().all(|stored| written(stored).is_empty()));
    }
}
