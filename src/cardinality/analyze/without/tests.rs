use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::cardinality::model::{Column, Member, Role, Strings};
use crate::formats::exposition::MetricType;

/// A family of rows of cells, "" for an absent label, each with the number of its layout.
fn family(strings: &mut Strings, layouts: Vec<Vec<Member>>, rows: &[(Vec<String>, u32)]) -> Family {
    let width = rows.first().map_or(0, |(cells, _)| cells.len());
    let mut family = Family { name: strings.intern("http_requests"), kind: MetricType::Histogram, layouts, ..Family::default() };
    for column in 0..width {
        let name = strings.intern(&format!("label{column}"));
        family.columns.push(Column { name, cells: rows.iter().map(|(cells, _)| strings.intern(&cells[column])).collect() });
    }
    for (_, layout) in rows {
        family.layout.push(*layout);
        family.first_value.push(family.values.len() as u32);
        let size = family.layouts[*layout as usize].len();
        family.values.extend(std::iter::repeat_n(0.0, size));
    }
    family
}

fn member(role: Role, bound: &str, strings: &mut Strings) -> Member {
    Member { role, bound: strings.intern(bound) }
}

fn plain() -> Vec<Vec<Member>> {
    vec![vec![Member { role: Role::Plain, bound: Id::EMPTY }]]
}

/// Each series as text, as a server would tell them apart, without some of its labels.
fn naive(family: &Family, strings: &Strings, gone: &[&str]) -> u64 {
    let mut series = BTreeSet::new();
    for child in 0..family.children() {
        for member in family.members(child) {
            let bound = member.role.bound_label().map(|label| (label, strings.get(member.bound)));
            let labels = family.labels(child).map(|(name, value)| (strings.get(name), strings.get(value))).chain(bound);
            let mut labels: Vec<_> = labels.filter(|(name, value)| !gone.contains(name) && !value.is_empty()).collect();
            labels.sort_unstable();
            series.insert(format!("{}{}{labels:?}", strings.get(family.name), member.role.suffix()));
        }
    }
    series.len() as u64
}

fn compare(family: &Family, strings: &Strings) {
    let mut scratch = Scratch::new(strings);
    let found = without(family, 3, &mut scratch, &mut Workspace::default());
    let name = |label: usize| strings.get(found.labels[label].name);
    assert_eq!(found.series, naive(family, strings, &[]));
    for (index, label) in found.labels.iter().enumerate() {
        assert_eq!(label.series_without, naive(family, strings, &[name(index)]), "without {}", name(index));
        compare_values(family, index, label);
    }
    assert_eq!(found.pairs.len(), family.columns.len() * family.columns.len().saturating_sub(1) / 2);
    for pair in &found.pairs {
        let names = pair.labels.map(name);
        assert_eq!(pair.series_without, naive(family, strings, &names), "without {names:?}");
    }
    if let Some(more) = &found.together {
        let names: Vec<&str> = more.labels.iter().map(|label| name(*label)).collect();
        assert!(names.len() > 2 && more.series_without <= found.series * 3 / 4, "{names:?}");
        assert_eq!(more.series_without, naive(family, strings, &names), "without {names:?}");
        for needed in &names {
            let others: Vec<&str> = names.iter().copied().filter(|name| name != needed).collect();
            assert!(naive(family, strings, &others) > found.series * 3 / 4, "{needed} of {names:?}");
        }
    }
    for bound in &found.bounds {
        assert_eq!(bound.series_without, naive(family, strings, &[bound.name]), "without {}", bound.name);
    }
    compare_dependencies(family, &found);
    compare_hashed(family, &mut scratch, &found);
}

fn compare_values(family: &Family, index: usize, label: &Label) {
    let cells = &family.columns[index].cells;
    let values: BTreeSet<Id> = cells.iter().copied().filter(|value| *value != Id::EMPTY).collect();
    let series =
        |value: Id| (0..family.children()).filter(|child| cells[*child] == value).map(|child| family.members(child).len() as u64).sum();
    assert_eq!(label.values, values.len() as u64);
    assert_eq!(label.absent, series(Id::EMPTY));
    let mut all: Vec<u64> = values.iter().map(|value| series(*value)).collect();
    all.sort_unstable_by_key(|series| std::cmp::Reverse(*series));
    all.truncate(3);
    assert_eq!(label.top.iter().map(|value| value.series).collect::<Vec<u64>>(), all);
    assert!(label.top.iter().all(|value| series(value.value) == value.series));
}

fn compare_dependencies(family: &Family, found: &Without) {
    let cells = |column: usize| &family.columns[column].cells;
    let pairs = |a: usize, b: usize| cells(a).iter().zip(cells(b)).collect::<BTreeSet<_>>().len();
    let states = |a: usize| cells(a).iter().collect::<BTreeSet<_>>().len();
    for (b, label) in found.labels.iter().enumerate() {
        assert_eq!(label.constant, states(b) == 1);
        let others: Vec<usize> = (0..found.labels.len()).filter(|a| *a != b && !label.constant).collect();
        let those = |wanted: &dyn Fn(usize) -> bool| others.iter().copied().filter(|a| wanted(*a)).collect::<Vec<usize>>();
        assert_eq!(label.determined_by, those(&|a| pairs(a, b) == states(a)));
        assert_eq!(label.equivalent, those(&|a| pairs(a, b) == states(a) && states(a) == states(b)));
        assert_eq!(label.mirrored, those(&|a| cells(a) == cells(b)));
    }
}

/// The figures must not depend on the kind of key.
fn compare_hashed(family: &Family, scratch: &mut Scratch, expected: &Without) {
    let mut plan = plan(family, 3, scratch);
    plan.keys = Keys::Hashed { sums: sums(family) };
    let counted: Vec<Counted> = (0..plan.jobs()).rev().map(|job| plan.run(job, &mut Workspace::default())).collect();
    assert_eq!(&plan.finish(&counted, &mut Workspace::default()), expected);
}

fn distinct_rows(rows: Vec<(Vec<String>, u32)>) -> Vec<(Vec<String>, u32)> {
    let mut seen = BTreeSet::new();
    rows.into_iter().filter(|(cells, _)| seen.insert(cells.clone())).collect()
}

fn cell(value: u8) -> String {
    if value == 0 { String::new() } else { format!("v{value}") }
}

proptest! {
    #[test]
    fn as_sets_of_strings_have_it(
        width in 0..5usize,
        rows in prop::collection::vec((prop::array::uniform5(0..5u8), 0..4u32), 0..60),
        mirror in any::<bool>(),
        members in prop::collection::vec(prop::collection::btree_set(0..9usize, 1..9), 4),
    ) {
        let mut strings = Strings::default();
        let all = [
            member(Role::Bucket, "0.5", &mut strings),
            member(Role::Bucket, "1.0", &mut strings),
            member(Role::Bucket, "+Inf", &mut strings),
            member(Role::Sum, "", &mut strings),
            member(Role::Count, "", &mut strings),
            member(Role::Created, "", &mut strings),
            member(Role::Plain, "", &mut strings),
            member(Role::Quantile, "0.5", &mut strings),
            member(Role::Quantile, "0.9", &mut strings),
        ];
        let layouts = members.iter().map(|members| members.iter().map(|member| all[*member]).collect()).collect();
        let row = |(cells, layout): ([u8; 5], u32)| {
            let mut cells: Vec<String> = cells[..width].iter().map(|value| cell(*value)).collect();
            if mirror && width > 2 {
                cells[1] = cells[0].clone();
            }
            (cells, layout)
        };
        let rows = distinct_rows(rows.into_iter().map(row).collect());
        compare(&family(&mut strings, layouts, &rows), &strings);
    }

    #[test]
    fn as_sets_of_strings_have_it_in_one_layout(rows in prop::collection::vec(prop::array::uniform4(0..9u8), 0..400)) {
        let mut strings = Strings::default();
        let rows = distinct_rows(rows.into_iter().map(|cells| (cells.map(cell).to_vec(), 0)).collect());
        compare(&family(&mut strings, plain(), &rows), &strings);
    }
}

#[test]
fn more_children_than_one_partition_has() {
    let mut strings = Strings::default();
    let row = |n: u32| vec![format!("p{}", n / 20), format!("m{}", n % 4), format!("s{}", n % 20 / 4), format!("x{}", n * 7919 % 997)];
    let rows: Vec<_> = (0..9000).map(|n| (row(n), 0)).collect();
    compare(&family(&mut strings, plain(), &rows), &strings);
}

#[test]
fn labels_that_need_more_bits_than_a_key_has() {
    let mut strings = Strings::default();
    let row = |n: u32| (0..10u32).map(|c| format!("{}", n * (2 * c + 1) / 3 % 200)).collect();
    let rows = distinct_rows((0..600).map(|n| (row(n), 0)).collect());
    let family = family(&mut strings, plain(), &rows);
    assert!(matches!(plan(&family, 1, &mut Scratch::new(&strings)).keys, Keys::Hashed { .. }));
    compare(&family, &strings);
}

#[test]
fn what_others_tell_is_not_counted() {
    let mut strings = Strings::default();
    let row = |n: u32| vec![format!("id{n}"), format!("job{}", n % 7), "eu".to_owned(), format!("job{}", n % 7)];
    let rows: Vec<_> = (0..100).map(|n| (row(n), 0)).collect();
    let family = family(&mut strings, plain(), &rows);
    let plan = plan(&family, 1, &mut Scratch::new(&strings));
    let counted: Vec<(usize, bool, usize)> = plan.jobs.iter().map(|job| (job.column, job.alone, job.with.len())).collect();
    // Without the id, each of the two equal labels tells the other; only both at once are not told, and the id tells these.
    assert_eq!(counted, [(0, true, 0)]);
    compare(&family, &strings);
}

#[test]
fn of_very_many_labels_each_alone_is_exact_and_the_biggest_are_compared() {
    let mut strings = Strings::default();
    let cell = |row: u32, column: u32| match (row * 7 + column * 13) % (column + 2) {
        0 => String::new(),
        value => format!("v{value}"),
    };
    let rows = distinct_rows((0..60).map(|row| ((0..50).map(|column| cell(row, column)).collect(), 0)).collect());
    let family = family(&mut strings, plain(), &rows);
    let found = without(&family, 3, &mut Scratch::new(&strings), &mut Workspace::default());
    let name = |label: usize| strings.get(found.labels[label].name);
    for (index, label) in found.labels.iter().enumerate() {
        assert_eq!(label.series_without, naive(&family, &strings, &[name(index)]), "without {}", name(index));
    }
    assert_eq!(found.pairs.len(), MOST_COMPARED * (MOST_COMPARED - 1) / 2);
    for pair in &found.pairs {
        assert_eq!(pair.series_without, naive(&family, &strings, &pair.labels.map(name)));
    }
}

#[test]
fn labels_that_each_follow_from_the_others_are_found_together() {
    let mut strings = Strings::default();
    // The method says something else, and so does the time, which most users have alone.
    let row = |n: u32| vec![format!("u{n}"), format!("m{}", n % 3), format!("mail{n}"), format!("t{}", n / 2 * 2), format!("s{n}")];
    let rows: Vec<_> = (0..300).map(|n| (row(n), 0)).collect();
    let family = family(&mut strings, plain(), &rows);
    let found = without(&family, 1, &mut Scratch::new(&strings), &mut Workspace::default());
    assert!(found.labels.iter().all(|label| label.series_without == 300) && found.pairs.iter().all(|pair| pair.series_without == 300));
    let more = found.together.clone().unwrap();
    assert_eq!((more.labels, more.series_without), (vec![0, 2, 4, 3], 3));
    compare(&family, &strings);
}

/// Rows of these labels, and what makes most of their series.
fn culprit(rows: impl Iterator<Item = Vec<String>>) -> Option<(Vec<usize>, u64)> {
    let mut strings = Strings::default();
    let rows: Vec<_> = distinct_rows(rows.map(|row| (row, 0)).collect());
    let family = family(&mut strings, plain(), &rows);
    without(&family, 1, &mut Scratch::new(&strings), &mut Workspace::default()).culprit()
}

#[test]
fn labels_are_the_culprit_together_only_if_they_do_more_than_each_alone() {
    let text = |n: u32| format!("v{n}");
    assert_eq!(culprit((0..60).map(|n| vec![text(n / 3), text(n % 3)])), Some((vec![0], 3)), "independent");
    assert_eq!(culprit((0..60).map(|n| vec![text(n / 3), text(n % 3), text(n / 3)])), Some((vec![0, 2], 3)), "twins beside a phase");
    let twins_that_share_a_few = (0..60).map(|n| vec![text(n), text(n.max(2)), text(n % 2)]);
    assert_eq!(culprit(twins_that_share_a_few), Some((vec![0, 1], 2)));
    let triplets = (0..60).map(|n| vec![text(n / 3), text(n % 3), text(n / 3 + 100), text(n / 3 + 200)]);
    assert_eq!(culprit(triplets), Some((vec![0, 2, 3], 3)));
    assert_eq!(culprit(std::iter::once(vec![text(1), text(2)])), None);
}
