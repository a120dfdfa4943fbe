//! `--format pprof`, `folded` and `svg`: series by metric, then by the value of one label after the other.

use std::io::Write;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::wording::thousands;
use crate::cardinality::analyze::metrics::Metric;
use crate::cardinality::model::{Family, Id, Scrape};
use crate::cardinality::profile::Profile;
use crate::error::{Error, Result};
use crate::formats::folded::push_line;
use crate::formats::pprof::{Builder, Place};
use crate::output::{escape, flame_graph, timestamp};

/// In a picture, each label of a metric shows so many values; the others are one box.
const MOST_VALUES: usize = 50;

/// Sorted by metric, biggest first; exact.
pub fn write_folded(profile: &Profile, out: &mut impl Write) -> Result<()> {
    out.write_all(folded(profile, None).as_bytes()).map_err(Error::write)
}

pub fn write_svg(profile: &Profile, out: &mut impl Write) -> Result<()> {
    if profile.metrics.is_empty() {
        return Err(Error::io("there are no series: there is nothing to draw"));
    }
    let title = format!("Series of {}", escape(&profile.sources.join(", ")));
    let subtitle = format!("{} series, {}", thousands(profile.scrape.series()), timestamp(profile.captured_at));
    flame_graph(&folded(profile, Some(MOST_VALUES)), &title, &subtitle, "series", out)
}

pub fn write_pprof(profile: &Profile, out: &mut impl Write) -> Result<()> {
    let mut builder = Builder::new(&[("series", "count")]);
    builder.taken_at(profile.captured_at, Duration::ZERO);
    for metric in &profile.metrics {
        stacks(&profile.scrape, metric, None, |stack, series| {
            let place = |name: &String| builder.location(0, &[Place { function: name, file: "", line: 0 }]);
            let locations: Vec<u64> = stack.iter().rev().map(place).collect();
            builder.sample(locations, &[series], []);
        });
    }
    builder.executable(&profile.sources.join(", "));
    builder.comment(&format!("goscope {}: series by metric and label", env!("CARGO_PKG_VERSION")));
    builder.write(out).map_err(Error::write)
}

fn folded(profile: &Profile, most: Option<usize>) -> String {
    let mut text = String::new();
    for metric in &profile.metrics {
        let mut counts: Vec<(Vec<String>, u64)> = Vec::new();
        let mut known: FxHashMap<Vec<String>, usize> = FxHashMap::default();
        stacks(&profile.scrape, metric, most, |stack, series| match known.get(stack) {
            Some(&at) => counts[at].1 += series,
            None => {
                known.insert(stack.to_vec(), counts.len());
                counts.push((stack.to_vec(), series));
            }
        });
        for (stack, series) in counts {
            push_line(&mut text, stack.iter().map(String::as_str), series);
        }
    }
    text
}

/// The metric, then its labels, those with the fewest values first, so that the tree stays small for long; for each child its series.
fn stacks(scrape: &Scrape, metric: &Metric, most: Option<usize>, mut each: impl FnMut(&[String], u64)) {
    let family = &scrape.families[metric.family];
    let mut columns: Vec<usize> = (0..family.columns.len()).collect();
    columns.sort_by_key(|column| metric.without.labels[*column].values);
    let shown: Vec<Option<rustc_hash::FxHashSet<Id>>> =
        columns.iter().map(|column| most.map(|most| biggest(family, *column, most))).collect();
    let name = scrape.text(family.name).to_owned();
    let mut stack = Vec::new();
    for child in 0..family.children() {
        stack.clear();
        stack.push(name.clone());
        for (column, shown) in columns.iter().zip(&shown) {
            let (label, value) = (&family.columns[*column], family.columns[*column].cells[child]);
            if value == Id::EMPTY {
                continue;
            }
            let text = match shown {
                Some(shown) if !shown.contains(&value) => format!("{}=(other values)", scrape.text(label.name)),
                _ => format!("{}={}", scrape.text(label.name), scrape.text(value)),
            };
            stack.push(escape(&text).into_owned());
        }
        each(&stack, family.members(child).len() as u64);
    }
}

/// The values of a label with most series.
fn biggest(family: &Family, column: usize, most: usize) -> rustc_hash::FxHashSet<Id> {
    let mut counts: FxHashMap<Id, u64> = FxHashMap::default();
    for (child, value) in family.columns[column].cells.iter().enumerate() {
        *counts.entry(*value).or_default() += family.members(child).len() as u64;
    }
    let mut values: Vec<(Id, u64)> = counts.into_iter().collect();
    values.sort_by_key(|(value, series)| (std::cmp::Reverse(*series), *value));
    values.into_iter().take(most).map(|(value, _)| value).collect()
}
