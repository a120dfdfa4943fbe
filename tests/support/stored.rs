//! The series that a scrape's tables hold, as the oracle names them.

use std::collections::BTreeMap;

use goscope::cardinality::model::{Id, Scrape};

/// Name, and labels sorted.
pub type Series = (String, Vec<(String, String)>);

/// Every series with its value. Fails where one is there twice.
pub fn series(scrape: &Scrape) -> BTreeMap<Series, f64> {
    let mut all = BTreeMap::new();
    for family in &scrape.families {
        for child in 0..family.children() {
            for (member, value) in family.members(child).iter().zip(family.values(child)) {
                let text = |id: Id| scrape.text(id).to_owned();
                let mut labels: Vec<(String, String)> = family.labels(child).map(|(name, value)| (text(name), text(value))).collect();
                if let Some(label) = member.role.bound_label() {
                    labels.push((label.to_owned(), text(member.bound)));
                }
                labels.sort();
                let key = (scrape.series_name(family, member.role), labels);
                assert!(all.insert(key.clone(), *value).is_none(), "twice: {key:?}");
            }
        }
    }
    assert_eq!(all.len() as u64, scrape.series());
    all
}
