use proptest::prelude::*;

use super::*;
use crate::cardinality::model::Member;
use crate::formats::exposition::MetricType;

const ALL: &[&str] = &["0.1", "0.5", "1.0", "2.0", "5.0", "10.0", "+Inf"];

/// A histogram of children, each with the values of its `le` and their counts.
fn histogram(strings: &mut Strings, children: &[(&[&str], &[f64])]) -> Family {
    let mut family = Family { name: strings.intern("latency_seconds"), kind: MetricType::Histogram, ..Family::default() };
    for (les, counts) in children {
        let mut layout: Vec<Member> = les.iter().map(|le| Member { role: Role::Bucket, bound: strings.intern(le) }).collect();
        layout.extend([Role::Sum, Role::Count].map(|role| Member { role, bound: Id::EMPTY }));
        let at = family.layouts.iter().position(|other| *other == layout).unwrap_or_else(|| {
            family.layouts.push(layout);
            family.layouts.len() - 1
        });
        family.layout.push(at as u32);
        family.first_value.push(family.values.len() as u32);
        family.values.extend(*counts);
        family.values.extend([1.5, counts.last().copied().unwrap_or(0.0)]);
    }
    family
}

fn of(children: &[(&[&str], &[f64])], wanted: &Wanted) -> (Buckets, Strings) {
    let mut strings = Strings::default();
    let family = histogram(&mut strings, children);
    (buckets(&family, &strings, wanted).unwrap(), strings)
}

fn idle(found: &Buckets) -> Vec<f64> {
    found.idle().map(|bucket| bucket.bound).collect()
}

#[test]
fn a_bucket_is_idle_if_it_separates_nothing_in_any_child() {
    let one: &[f64] = &[0.0, 4.0, 4.0, 4.0, 9.0, 9.0, 9.0];
    let two: &[f64] = &[0.0, 0.0, 0.0, 3.0, 3.0, 3.0, 3.0];
    let (found, _) = of(&[(ALL, one), (ALL, two)], &Wanted::default());
    assert_eq!(idle(&found), [0.1, 1.0, 10.0]);
    assert_eq!((found.idle_series(), found.observations), (6, 12.0));
    assert_eq!(found.cost, Cost { classic_series: 18, native_series: 2, custom_series: 2, custom_buckets: 3 });
    assert_eq!(found.selection, None, "too few observations");
}

#[test]
fn without_observations_no_bucket_is_called_idle() {
    let (found, _) = of(&[(ALL, &[0.0; 7])], &Wanted::default());
    assert!(idle(&found).is_empty());
}

#[test]
fn broken_children_are_told_and_not_computed_with() {
    let good: &[f64] = &[1.0, 1.0, 3.0];
    let children: &[(&[&str], &[f64])] = &[
        (&["1.0", "2.0", "+Inf"], good),
        (&["1.0", "2.0", "4.0"], good),
        (&["1.0", "2.0", "+Inf"], &[5.0, 1.0, 9.0]),
        (&["1.0", "2.0", "+Inf"], &[5.0, f64::NAN, 9.0]),
        (&["1.0", "2.0", "+Inf"], &[-1.0, 2.0, 9.0]),
        (&["1.0", "two", "+Inf"], good),
        (&["1.0", "1", "+Inf"], good),
        (&["+Inf", "2.0", "1.0"], &[3.0, 2.0, 1.0]),
        (&["0.1", "+Inf"], &[0.0, 2.0]),
    ];
    let (found, strings) = of(children, &Wanted::default());
    assert_eq!(found.refused, Refused { no_infinity: 1, not_a_number: 3, not_cumulative: 1, repeated: 1 });
    assert_eq!((found.children, found.layouts, found.unusual, found.observations), (9, 2, 1, 8.0));
    assert_eq!(idle(&found), [0.1, 4.0]);
    let one = found.bounds.iter().find(|bucket| bucket.bound == 1.0).unwrap();
    let written: Vec<&str> = one.le.iter().map(|le| strings.get(*le)).collect();
    assert_eq!((written, one.series), (vec!["1.0", "1"], 9));
}

#[test]
fn the_advice_can_be_pasted() {
    // All between 0.5 and 1, evenly enough that the two bounds around are all it takes.
    let counts: &[f64] = &[0.0, 0.0, 1000.0, 1000.0, 1000.0, 1000.0, 1000.0];
    let wanted = Wanted { keep: vec![5.0], ..Wanted::default() };
    let (found, strings) = of(&[(ALL, counts), (ALL, counts)], &wanted);
    let selection = found.selection.unwrap();
    assert_eq!(selection.judged, 2);
    assert_eq!(selection.choices.iter().map(|choice| choice.bounds.len()).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(selection.choices.last().unwrap().error, 0.0);
    let advice = selection.advice.unwrap();
    assert_eq!(advice.choice, Choice { bounds: vec![0.5, 1.0, 5.0], error: 0.0 });
    assert_eq!(advice.dropped.iter().map(|le| strings.get(*le)).collect::<Vec<_>>(), ["0.1", "2.0", "10.0"]);
    assert_eq!(advice.le_regex, r"0\.1|2(?:\.0)?|10(?:\.0)?");
    assert_eq!(advice.go_line, "Buckets: []float64{0.5, 1, 5},");
    assert_eq!((advice.series_saved, advice.unusual_error), (6, None));
}

#[test]
fn children_with_other_bounds_hold_the_advice_back() {
    let usual: &[f64] = &[0.0, 0.0, 1000.0, 1000.0, 1000.0, 1000.0, 1000.0];
    // Its quantiles lie around 2, which the others do not need.
    let other: (&[&str], &[f64]) = (&["1.0", "2.0", "10.0", "+Inf"], &[0.0, 900.0, 1000.0, 1000.0]);
    let (found, _) = of(&[(ALL, usual), (ALL, usual), other], &Wanted::default());
    assert_eq!(found.unusual, 1);
    let advice = found.selection.unwrap().advice.unwrap();
    assert_eq!(advice.choice.bounds, [0.5, 1.0, 2.0, 10.0]);
    assert!(advice.unusual_error.unwrap() <= 0.05);
}

/// The worst error of a choice, from the definition.
fn worst(bounds: &[f64], children: &[Vec<f64>], kept: &[f64], quantiles: &[f64]) -> f64 {
    let of = |counts: &Vec<f64>| loss(bounds, counts, |bound| bound.is_finite() && !kept.contains(&bound), quantiles).error;
    children.iter().map(of).fold(0.0, f64::max)
}

proptest! {
    /// Against all subsets.
    #[test]
    fn no_choice_is_better(
        increments in prop::collection::vec(prop::array::uniform7(0..40u32), 1..6),
        keep in prop::option::of(0..6usize),
        negative in any::<bool>(),
    ) {
        let mut bounds = vec![0.1, 0.5, 1.0, 2.0, 5.0, 10.0, f64::INFINITY];
        if negative {
            bounds[0] = -3.0;
            bounds[1] = 0.0;
        }
        let cumulate = |increments: &[u32; 7]| increments.iter().scan(0, |sum, count| { *sum += count; Some(f64::from(*sum)) }).collect();
        let children: Vec<Vec<f64>> = increments.iter().map(cumulate).filter(|counts: &Vec<f64>| counts[6] > 0.0).collect();
        let keep: Vec<f64> = keep.map(|at| bounds[at]).into_iter().collect();
        let quantiles = [0.5, 0.9, 0.99];
        let mut errors = select::Errors::new(&bounds);
        for counts in &children {
            errors.add(counts, &quantiles);
        }
        let choices = errors.choices(&keep);
        for count in 1..=6u32 {
            let subsets = (0..64u32).filter(|set| set.count_ones() == count);
            let subsets = subsets.map(|set| (0..6).filter(|at| set >> at & 1 == 1).map(|at| bounds[at]).collect::<Vec<f64>>());
            let subsets = subsets.filter(|kept| keep.iter().all(|bound| kept.contains(bound)));
            let best = subsets.map(|kept| worst(&bounds, &children, &kept, &quantiles)).reduce(f64::min).unwrap();
            match choices.iter().find(|choice| choice.bounds.len() == count as usize) {
                Some(choice) => {
                    prop_assert_eq!(choice.error, best);
                    prop_assert_eq!(worst(&bounds, &children, &choice.bounds, &quantiles), best);
                    prop_assert!(keep.iter().all(|bound| choice.bounds.contains(bound)));
                }
                None => prop_assert!(best.is_infinite()),
            }
        }
    }
}
