//! A scrape compared with what it was before, of which only counts and hashes are known.

use std::collections::BTreeMap;

use super::gate::{Finding, Rule};
use crate::cardinality::model::{Baseline, Column, Family, Id, MetricSketch, Role, Scrape, Sketch, mix};

/// How one metric has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub metric: String,
    pub before: u64,
    pub now: u64,
    pub new: u64,
    pub gone: u64,
    /// `new` and `gone` are counted; else estimated from hashes.
    pub exact: bool,
    /// The label with most new values: its name, how many values it had and has, and how many are new.
    pub label: Option<LabelChange>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelChange {
    pub name: String,
    pub before: u64,
    pub now: u64,
    pub new: u64,
}

/// Growth by fewer series than this is noise: a metric of three series has grown by a third when one comes along.
pub const LEAST_GROWTH: u64 = 10;

/// What to keep of a scrape, by metric.
pub fn sketch(scrape: &Scrape, salt: u64) -> BTreeMap<String, MetricSketch> {
    let hashes: Vec<u64> = (0..scrape.strings.len()).map(|id| hash(scrape.strings.get(Id(id as u32)), salt)).collect();
    scrape.families.iter().map(|family| (scrape.text(family.name).to_owned(), sketch_family(scrape, family, &hashes, salt))).collect()
}

fn sketch_family(scrape: &Scrape, family: &Family, hashes: &[u64], salt: u64) -> MetricSketch {
    let of = |id: Id| hashes[id.index()];
    let mut series = Vec::with_capacity(family.values.len());
    for child in 0..family.children() {
        // A sum, so that the order in which labels came does not matter.
        let labels = family.labels(child).map(|(name, value)| mix(of(name) ^ of(value).rotate_left(1))).fold(0_u64, u64::wrapping_add);
        let suffix = |role: Role| hash(role.suffix(), salt).rotate_left(3);
        series.extend(family.members(child).iter().map(|member| mix(labels ^ of(member.bound).rotate_left(2) ^ suffix(member.role))));
    }
    let values = |column: &Column| {
        let mut values: Vec<Id> = column.cells.iter().copied().filter(|value| *value != Id::EMPTY).collect();
        values.sort_unstable();
        values.dedup();
        Sketch::of(values.into_iter().map(of).collect())
    };
    let labels = family.columns.iter().map(|column| (scrape.text(column.name).to_owned(), values(column))).collect();
    MetricSketch { series: Sketch::of(series), labels }
}

/// Salted, so that files of different endpoints can't be compared with each other, nor with a list of hashes made beforehand.
fn hash(text: &str, salt: u64) -> u64 {
    let (chunks, rest) = text.as_bytes().as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let words = chunks.iter().chain([&last]).map(|chunk| u64::from_le_bytes(*chunk));
    words.fold(mix(salt ^ text.len() as u64), |hash, word| mix(hash.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ word))
}

/// Metrics that changed, those with most new series first.
pub fn changes(before: &Baseline, now: &BTreeMap<String, MetricSketch>) -> Vec<Change> {
    let nothing = MetricSketch::default();
    let names = before.metrics.keys().chain(now.keys().filter(|name| !before.metrics.contains_key(*name)));
    let change = |name: &String| {
        let (old, new) = (before.metrics.get(name).unwrap_or(&nothing), now.get(name).unwrap_or(&nothing));
        let ((added, exact), (gone, _)) = (new.series.beyond(&old.series), old.series.beyond(&new.series));
        let label = |(label, values): (&String, &Sketch)| {
            let known = old.labels.get(label).cloned().unwrap_or_default();
            LabelChange { name: label.clone(), before: known.count, now: values.count, new: values.beyond(&known).0 }
        };
        let label = new.labels.iter().map(label).filter(|label| label.new > 0).max_by_key(|label| label.new);
        Change { metric: name.clone(), before: old.series.count, now: new.series.count, new: added, gone, exact, label }
    };
    let mut changes: Vec<Change> = names.map(change).filter(|change| change.new > 0 || change.gone > 0).collect();
    changes.sort_by(|a, b| b.new.cmp(&a.new).then(b.gone.cmp(&a.gone)).then(a.metric.cmp(&b.metric)));
    changes
}

/// Metrics that have grown by more than a share of what they were (`0.1`: a tenth), and by [`LEAST_GROWTH`] series.
pub fn findings(changes: &[Change], most_growth: f64) -> Vec<Finding> {
    let limit = |change: &Change| change.before + ((change.before as f64 * most_growth) as u64).max(LEAST_GROWTH - 1);
    let grown = changes.iter().filter(|change| change.now > limit(change));
    let finding = |change: &Change| Finding {
        rule: if change.before == 0 { Rule::New } else { Rule::Growth },
        metric: change.metric.clone(),
        label: change.label.as_ref().map(|label| label.name.clone()),
        limit: limit(change),
        seen: change.now,
        waiver: None,
    };
    grown.map(finding).collect()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::cardinality::store::Store;
    use crate::formats::exposition::text::Parser;

    fn sketched(body: &str, salt: u64) -> BTreeMap<String, MetricSketch> {
        let mut store = Store::new();
        Parser::new().parse(body.as_bytes(), true, &mut |item| store.add(item));
        sketch(&store.finish(), salt)
    }

    fn changed(before: &str, now: &str) -> Vec<Change> {
        let baseline = Baseline { captured_at: SystemTime::UNIX_EPOCH, salt: 7, metrics: sketched(before, 7) };
        changes(&baseline, &sketched(now, 7))
    }

    #[test]
    fn the_order_of_series_and_labels_does_not_matter() {
        let (one, other) = ("a{x=\"1\",y=\"2\"} 1\na{x=\"3\"} 1\n", "a{x=\"3\"} 9\na{y=\"2\",x=\"1\"} 9\n");
        assert_eq!(changed(one, other), []);
        assert_ne!(sketched(one, 1), sketched(one, 2), "another salt, other hashes");
        // Names and values are not mixed up.
        assert_eq!(changed("a{x=\"y\"} 1\n", "a{y=\"x\"} 1\n")[0].new, 1);
    }

    #[test]
    fn new_and_gone_are_told_with_the_label_that_has_new_values() {
        let found = changed("a{x=\"1\"} 1\na{x=\"2\"} 1\nb 1\n", "a{x=\"2\"} 1\na{x=\"3\"} 1\na{x=\"4\"} 1\nc 1\n");
        let summary: Vec<_> = found.iter().map(|change| (change.metric.as_str(), change.new, change.gone, change.exact)).collect();
        assert_eq!(summary, [("a", 2, 1, true), ("c", 1, 0, true), ("b", 0, 1, true)]);
        let label = found[0].label.as_ref().unwrap();
        assert_eq!((label.name.as_str(), label.before, label.now, label.new), ("x", 2, 3, 2));
        assert_eq!(findings(&found, 0.1), [], "so few new series are no growth");
    }

    #[test]
    fn many_series_are_estimated_and_the_growth_is_exact() {
        let body = |from: u32, to: u32| -> String { (from..to).map(|n| format!("a{{x=\"{n}\"}} 1\n")).collect() };
        let found = changed(&body(0, 20_000), &body(5_000, 30_000));
        assert!(!found[0].exact && found[0].new.abs_diff(10_000) < 3_000 && found[0].gone.abs_diff(5_000) < 3_000, "{:?}", found[0]);
        let finding = &findings(&found, 0.1)[0];
        assert_eq!((finding.seen, finding.limit), (25_000, 22_000));
    }
}
