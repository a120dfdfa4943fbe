//! Samples land in the tables of their family, whatever the order in which they come.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/property.rs"]
mod property;
#[path = "support/stored.rs"]
mod stored;

use std::collections::BTreeMap;

use goscope::cardinality::model::Scrape;
use goscope::cardinality::store::Store;
use goscope::formats::exposition::{Format, Item, Label, MetricType, Sample, Value};
use proptest::prelude::*;
use stored::{Series, series};

fn sample<'a>(name: &'a str, labels: &'a [Label<'a>], value: f64) -> Item<'a> {
    let value = Value::Float(value);
    Item::Sample(Sample { name, labels, value, timestamp_ms: None, start_ms: None, exemplars: &[], offset: 0, length: 10 })
}

fn add(store: &mut Store, name: &str, labels: &[(&str, &str)], value: f64) {
    let labels: Vec<Label<'_>> = labels.iter().map(|(name, value)| Label { name, value }).collect();
    store.add(sample(name, &labels, value));
}

#[test]
fn a_histogram_is_one_child_with_all_its_series() {
    let mut store = Store::new();
    store.add(Item::Type { name: "x", kind: MetricType::Histogram });
    for path in ["/a", "/b"] {
        for le in ["0.1", "1.0", "+Inf"] {
            add(&mut store, "x_bucket", &[("path", path), ("le", le)], 1.0);
        }
        add(&mut store, "x_sum", &[("path", path)], 2.0);
        add(&mut store, "x_count", &[("path", path)], 3.0);
    }
    add(&mut store, "y", &[], 1.0);
    let scrape = store.finish();
    assert_eq!(scrape.families.len(), 2);
    let family = &scrape.families[0];
    assert_eq!((family.children(), family.layouts.len(), family.series()), (2, 1, 10));
    assert_eq!(family.events(1), Some(3.0));
    assert_eq!(scrape.text(family.columns[0].name), "path");
    assert_eq!(family.columns.len(), 1, "le is no column");
}

#[test]
fn series_are_booked_by_their_name_not_by_the_last_type() {
    let mut store = Store::new();
    store.add(Item::Type { name: "x", kind: MetricType::Histogram });
    add(&mut store, "x_count", &[], 3.0);
    add(&mut store, "stray", &[], 1.0);
    add(&mut store, "other_count", &[], 1.0);
    let scrape = store.finish();
    let names: Vec<&str> = scrape.families.iter().map(|family| scrape.text(family.name)).collect();
    assert_eq!(names, ["x", "stray", "other_count"]);
}

#[test]
fn a_server_adds_its_own_label_and_renames_the_endpoints() {
    let mut store = Store::new();
    store.begin_body("a", Format::Text, Some(("instance", "a:1")));
    add(&mut store, "x", &[("instance", "inner")], 1.0);
    let scrape = store.finish();
    let labels = [("exported_instance", "inner"), ("instance", "a:1")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    assert_eq!(series(&scrape).into_keys().collect::<Vec<_>>(), [("x".to_owned(), labels.to_vec())]);
}

fn any_sample() -> impl Strategy<Value = Series> {
    let name =
        prop::sample::select(vec!["h_bucket", "h_sum", "h_count", "c_total", "c_created", "s", "s_sum", "s_count", "g", "h", "other"]);
    let label = (prop::sample::select(vec!["a", "b", "c", "le", "quantile"]), prop::sample::select(vec!["", "1", "2"]));
    (name, prop::collection::btree_map(label.clone().prop_map(|l| l.0), label.prop_map(|l| l.1), 0..4))
        .prop_map(|(name, labels)| (name.to_owned(), labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
}

proptest! {
    #![proptest_config(property::cases(512))]
    #[test]
    fn no_series_is_lost_and_none_invented(all in prop::collection::vec(any_sample(), 0..60)) {
        let mut store = Store::new();
        for (name, kind) in [("h", MetricType::Histogram), ("c", MetricType::Counter), ("s", MetricType::Summary), ("g", MetricType::Gauge)] {
            store.add(Item::Type { name, kind });
        }
        let mut expected = BTreeMap::new();
        let mut duplicates = 0;
        for (number, (name, labels)) in all.iter().enumerate() {
            let given: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            add(&mut store, name, &given, number as f64);
            // An empty label is no label; the first of equal series wins. An `le` that is empty is kept where it tells buckets apart.
            let bound = match name.as_str() { "h_bucket" => "le", "s" if given.iter().any(|l| l.0 == "quantile" && !l.1.is_empty()) => "quantile", _ => "" };
            let mut key: Vec<(String, String)> = labels.iter().filter(|l| !l.1.is_empty() && l.0 != bound).cloned().collect();
            if !bound.is_empty() {
                key.push((bound.to_owned(), labels.iter().find(|l| l.0 == bound).map(|l| l.1.clone()).unwrap_or_default()));
            }
            key.sort();
            match expected.entry((name.clone(), key)) {
                std::collections::btree_map::Entry::Vacant(entry) => { entry.insert(number as f64); }
                std::collections::btree_map::Entry::Occupied(_) => duplicates += 1,
            }
        }
        let scrape = store.finish();
        prop_assert_eq!(series(&scrape), expected);
        prop_assert_eq!(scrape.quality.duplicates, duplicates);
    }

    /// The second store sees no `# TYPE` at all.
    #[test]
    fn two_halves_make_the_whole(all in prop::collection::vec(any_sample(), 0..60), cut in 0_usize..60) {
        let types = |store: &mut Store| {
            for (name, kind) in [("h", MetricType::Histogram), ("c", MetricType::Counter), ("s", MetricType::Summary)] {
                store.add(Item::Type { name, kind });
            }
        };
        let (mut whole, mut first, mut second) = (Store::new(), Store::new(), Store::new());
        types(&mut whole);
        types(&mut first);
        for (number, (name, labels)) in all.iter().enumerate() {
            let labels: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            add(&mut whole, name, &labels, number as f64);
            add(if number < cut { &mut first } else { &mut second }, name, &labels, number as f64);
        }
        first.absorb(second, 0);
        let (whole, joined) = (whole.finish(), first.finish());
        prop_assert_eq!(series(&joined), series(&whole));
        prop_assert_eq!(joined.quality.duplicates, whole.quality.duplicates);
        let names = |scrape: &Scrape| -> BTreeMap<String, usize> {
            scrape.families.iter().map(|family| (scrape.text(family.name).to_owned(), family.children())).collect()
        };
        prop_assert_eq!(names(&joined), names(&whole));
    }
}
