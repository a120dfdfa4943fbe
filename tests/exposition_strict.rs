//! What the specification of OpenMetrics 1.0 demands: for each rule a body that keeps it and one that breaks it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use goscope::formats::exposition::{Format, Item, Parser, Problem, Rules};

fn problems(format: Format, body: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    Parser::new(format, Rules::Strict).parse(body.as_bytes(), true, &mut |item| {
        if let Item::Problem(problem) = item {
            problems.push(problem.clone());
        }
    });
    problems
}

/// Rule, a body that keeps it, one that breaks it and nothing else, where: line and column. All without `# EOF`.
type Case = (&'static str, &'static str, &'static str, (u64, u64));

const CASES: &[Case] = &[
    // Lines.
    ("one blank before a value", "x 1\n", "x  1\n", (1, 3)),
    ("no blank line", "x 1\ny 1\n", "x 1\n\ny 1\n", (2, 1)),
    ("no other comments", "# HELP x y\n", "# NOTE x y\n", (1, 3)),
    ("no carriage return", "x 1\n", "x 1\r\n", (1, 4)),
    ("no comma behind the last label", "x{l=\"v\"} 1\n", "x{l=\"v\",} 1\n", (1, 8)),
    ("no quoted names", "x{l=\"v\"} 1\n", "x{\"l\"=\"v\"} 1\n", (1, 3)),
    ("a NUL byte only in a string", "x{l=\"a\0b\"} 1\n", "x{l=\"a\"\0} 1\n", (1, 8)),
    ("numbers are decimal", "x 1e3\n", "x 0x10\n", (1, 3)),
    ("timestamps are finite", "x 1 1.5e3\n", "x 1 -Inf\n", (1, 5)),
    ("one exemplar at most", "# TYPE x counter\nx_total 1 # {} 1\n", "# TYPE x counter\nx_total 1 # {} 1 # {} 1\n", (2, 18)),
    // Metadata.
    ("one TYPE a family", "# TYPE x gauge\n# TYPE y gauge\n", "# TYPE x gauge\n# TYPE x gauge\n", (2, 8)),
    ("one HELP a family", "# HELP x a\n# HELP y a\n", "# HELP x a\n# HELP x b\n", (2, 8)),
    ("one UNIT a family", "# UNIT x_s s\n# UNIT y_s s\n", "# UNIT x_s s\n# UNIT x_s \n", (2, 8)),
    ("TYPE stands before the samples", "# TYPE x gauge\nx 1\n", "x 1\n# TYPE x gauge\n", (2, 8)),
    ("HELP stands before the samples", "# HELP x a\nx 1\n", "# TYPE x gauge\nx 1\n# HELP x a\n", (3, 8)),
    ("UNIT stands before the samples", "# UNIT x_s s\nx_s 1\n", "# TYPE x_s gauge\nx_s 1\n# UNIT x_s s\n", (3, 8)),
    ("the unit ends the name", "# UNIT x_bytes bytes\n", "# UNIT x_byte bytes\n", (1, 15)),
    ("the unit is a word of the name", "# UNIT x_s s\n", "# UNIT xs s\n", (1, 11)),
    ("an info has no unit", "# TYPE x_s info\n# UNIT x_s \n", "# TYPE x_s info\n# UNIT x_s s\n", (2, 8)),
    ("a stateset has no unit", "# UNIT x_s s\n# TYPE x_s gauge\n", "# UNIT x_s s\n# TYPE x_s stateset\n", (2, 8)),
    ("types are those of OpenMetrics", "# TYPE x unknown\n", "# TYPE x untyped\n", (1, 10)),
    // Families.
    ("a family stands together", "x 1\ny 1\n", "x{l=\"1\"} 1\ny 1\nx{l=\"2\"} 1\n", (3, 1)),
    ("a typed family stands together", "# TYPE x counter\nx_total 1\ny 1\n", "# TYPE x counter\ny 1\nx_total 1\n", (3, 1)),
    ("a family has its metadata once", "# HELP x a\n# TYPE x gauge\n", "# HELP x a\n# HELP y a\n# TYPE x gauge\n", (3, 8)),
    (
        "names of families do not clash",
        "# TYPE x_sum gauge\nx_sum 1\n# TYPE y summary\ny_sum 1\n",
        "# TYPE x_sum gauge\nx_sum 1\n# TYPE x summary\nx_sum 1\n",
        (4, 1),
    ),
    (
        "nor with names that are only possible",
        "# TYPE x gauge\n# TYPE x_created gauge\nx_created 1\n",
        "# TYPE x counter\n# TYPE x_created gauge\nx_created 1\n",
        (3, 1),
    ),
    ("names do not begin with an underscore", "x_ 1\n", "_x 1\n", (1, 1)),
    ("a counter ends with _total", "# TYPE x counter\nx_total 1\n", "# TYPE x counter\nx 1\n", (2, 1)),
    ("an info ends with _info", "# TYPE x info\nx_info 1\n", "# TYPE x info\nx 1\n", (2, 1)),
    ("a histogram has no sample of its name", "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 1\n", "# TYPE x histogram\nx 1\n", (2, 1)),
    (
        "a gauge histogram ends with _gsum",
        "# TYPE x gaugehistogram\nx_bucket{le=\"+Inf\"} 1\nx_gsum 1\nx_gcount 1\n",
        "# TYPE x gaugehistogram\nx 1\n",
        (2, 1),
    ),
    // Children.
    (
        "a child stands together",
        "x{l=\"1\"} 1\nx{l=\"2\"} 1\n",
        "# TYPE x summary\nx_sum{l=\"1\"} 1\nx_sum{l=\"2\"} 1\nx_count{l=\"1\"} 1\n",
        (4, 1),
    ),
    (
        "whatever the order of labels",
        "x{a=\"1\",b=\"2\"} 1\nx{a=\"2\",b=\"1\"} 1\n",
        "x{a=\"1\",b=\"2\"} 1\nx{b=\"2\",a=\"1\"} 1\n",
        (2, 1),
    ),
    ("an empty label is none", "x{a=\"1\"} 1\nx{a=\"\"} 1\n", "x{a=\"\"} 1\nx{b=\"\"} 1\n", (2, 1)),
    (
        "a series is there once",
        "# TYPE x summary\nx{quantile=\"0.5\"} 1\nx{quantile=\"0.6\"} 1\n",
        "# TYPE x summary\nx{quantile=\"0.5\"} 1\nx{quantile=\"0.50\"} 1\n",
        (3, 1),
    ),
    ("a state is there once", "# TYPE x stateset\nx{x=\"a\"} 1\nx{x=\"b\"} 0\n", "# TYPE x stateset\nx{x=\"a\"} 1\nx{x=\"a\"} 1\n", (3, 1)),
    ("labels are there once", "x{a=\"1\",b=\"1\"} 1\n", "x{a=\"1\",a=\"1\"} 1\n", (1, 9)),
    ("labels do not begin with an underscore", "x{a_=\"1\"} 1\n", "x{_a=\"1\"} 1\n", (1, 3)),
    // Points.
    ("all or none have a timestamp", "x 1 1\nx 1 2\n", "x 1 1\nx 1\n", (2, 4)),
    ("none or all have a timestamp", "x{l=\"1\"} 1\nx{l=\"2\"} 1 1\n", "# TYPE x summary\nx_sum 1\nx_count 1 1\n", (3, 11)),
    ("timestamps do not go back", "x 1 -2\nx 1 -2\nx 1 -1.5\n", "x 1 1.0002\nx 1 1.0001\n", (2, 5)),
    (
        "points stand together",
        "# TYPE x summary\nx_sum 1 1\nx_count 1 1\nx_sum 1 2\n",
        "# TYPE x summary\nx_sum 1 1\nx_sum 1 2\nx_count 1 1\n",
        (4, 11),
    ),
    // Counters.
    ("a counter is a number", "# TYPE x counter\nx_total +Inf\n", "# TYPE x counter\nx_total NaN\n", (2, 9)),
    ("a counter is not negative", "# TYPE x counter\nx_total 0\n", "# TYPE x counter\nx_total -0.5\n", (2, 9)),
    ("a counter has a total", "# TYPE x counter\nx_created 1\nx_total 1\n", "# TYPE x counter\nx_created 1\n", (2, 1)),
    ("the creation is a time", "# TYPE x counter\nx_total 1\nx_created 1.5\n", "# TYPE x counter\nx_total 1\nx_created NaN\n", (3, 11)),
    // Histograms.
    (
        "a bucket has le",
        "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 1\n",
        "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 1\nx_bucket 1\n",
        (3, 1),
    ),
    (
        "le is a number",
        "# TYPE x histogram\nx_bucket{le=\"01e0\"} 1\nx_bucket{le=\"+Inf\"} 1\n",
        "# TYPE x histogram\nx_bucket{le=\"one\"} 1\nx_bucket{le=\"+Inf\"} 1\n",
        (2, 10),
    ),
    (
        "only buckets have le",
        "# TYPE x gauge\nx{le=\"1\"} 1\n",
        "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 1\nx_sum{le=\"1\"} 1\nx_count 1\n",
        (3, 7),
    ),
    (
        "there is a bucket +Inf",
        "# TYPE x histogram\nx_bucket{le=\"1\"} 1\nx_bucket{le=\"+Inf\"} 1\n",
        "# TYPE x histogram\nx_bucket{le=\"1\"} 1\n",
        (2, 1),
    ),
    (
        "+Inf is written so",
        "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 1\n",
        "# TYPE x histogram\nx_bucket{le=\"1\"} 1\nx_bucket{le=\"+Inf\"} 1\nx_bucket{le=\"inf\"} 1\n",
        (4, 10),
    ),
    (
        "buckets are in order",
        "# TYPE x histogram\nx_bucket{le=\"9\"} 1\nx_bucket{le=\"10\"} 1\nx_bucket{le=\"+Inf\"} 1\n",
        "# TYPE x histogram\nx_bucket{le=\"10\"} 1\nx_bucket{le=\"9\"} 1\nx_bucket{le=\"+Inf\"} 1\n",
        (3, 1),
    ),
    (
        "a bucket is there once",
        "# TYPE x histogram\nx_bucket{le=\"1\"} 1\nx_bucket{le=\"+Inf\"} 1\n",
        "# TYPE x histogram\nx_bucket{le=\"1\"} 1\nx_bucket{le=\"1.0\"} 1\nx_bucket{le=\"+Inf\"} 1\n",
        (3, 1),
    ),
    (
        "buckets are cumulative",
        "# TYPE x histogram\nx_bucket{le=\"1\"} 2\nx_bucket{le=\"+Inf\"} 2\n",
        "# TYPE x histogram\nx_bucket{le=\"1\"} 2\nx_bucket{le=\"+Inf\"} 1\n",
        (3, 21),
    ),
    (
        "a bucket is a whole number",
        "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 2.0\n",
        "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 2.5\n",
        (2, 21),
    ),
    (
        "a bucket is not negative",
        "# TYPE x gaugehistogram\nx_bucket{le=\"+Inf\"} 0\n",
        "# TYPE x gaugehistogram\nx_bucket{le=\"+Inf\"} -1\n",
        (2, 21),
    ),
    ("a bucket is a number", "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 0\n", "# TYPE x histogram\nx_bucket{le=\"+Inf\"} NaN\n", (2, 21)),
    (
        "the count is the last bucket",
        "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 2\nx_sum 1\nx_count 2\n",
        "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 2\nx_sum 1\nx_count 3\n",
        (2, 1),
    ),
    (
        "a sum needs a count",
        "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 2\nx_count 2\nx_sum 1\n",
        "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 2\nx_sum 1\n",
        (2, 1),
    ),
    (
        "a count needs a sum",
        "# TYPE x gaugehistogram\nx_bucket{le=\"+Inf\"} 2\nx_gcount 2\nx_gsum 1\n",
        "# TYPE x gaugehistogram\nx_bucket{le=\"+Inf\"} 2\nx_gcount 2\n",
        (2, 1),
    ),
    (
        "a sum is not negative",
        "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 2\nx_count 2\nx_sum 0\n",
        "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 2\nx_count 2\nx_sum -1\n",
        (4, 7),
    ),
    (
        "no sum with buckets below 0",
        "# TYPE x histogram\nx_bucket{le=\"-1\"} 1\nx_bucket{le=\"+Inf\"} 2\n",
        "# TYPE x histogram\nx_bucket{le=\"-1\"} 1\nx_bucket{le=\"+Inf\"} 2\nx_count 2\nx_sum 1\n",
        (2, 1),
    ),
    (
        "a gauge sum may be negative with buckets below 0",
        "# TYPE x gaugehistogram\nx_bucket{le=\"-1\"} 1\nx_bucket{le=\"+Inf\"} 2\nx_gcount 2\nx_gsum -1\n",
        "# TYPE x gaugehistogram\nx_bucket{le=\"1\"} 1\nx_bucket{le=\"+Inf\"} 2\nx_gcount 2\nx_gsum -1\n",
        (2, 1),
    ),
    (
        "each child is whole",
        "# TYPE x histogram\nx_bucket{l=\"1\",le=\"+Inf\"} 1\nx_bucket{l=\"2\",le=\"+Inf\"} 1\n",
        "# TYPE x histogram\nx_bucket{l=\"1\",le=\"+Inf\"} 1\nx_bucket{l=\"2\",le=\"1\"} 1\nx_bucket{l=\"3\",le=\"+Inf\"} 1\n",
        (3, 1),
    ),
    (
        "each point is whole",
        "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 1 1\nx_bucket{le=\"+Inf\"} 1 2\n",
        "# TYPE x histogram\nx_bucket{le=\"1\"} 1 1\nx_bucket{le=\"+Inf\"} 1 2\n",
        (2, 1),
    ),
    // Summaries.
    ("a quantile is a label", "# TYPE x summary\nx{quantile=\"0\"} 1\n", "# TYPE x summary\nx 1\n", (2, 1)),
    ("a quantile is from 0 to 1", "# TYPE x summary\nx{quantile=\"1\"} 1\n", "# TYPE x summary\nx{quantile=\"1.5\"} 1\n", (2, 3)),
    ("only quantiles have that label", "# TYPE x summary\nx_sum{l=\"0\"} 1\n", "# TYPE x summary\nx_sum{quantile=\"0\"} 1\n", (2, 7)),
    ("a quantile is not negative", "# TYPE x summary\nx{quantile=\"1\"} NaN\n", "# TYPE x summary\nx{quantile=\"1\"} -1\n", (2, 17)),
    ("the count of a summary is whole", "# TYPE x summary\nx_count 1e3\n", "# TYPE x summary\nx_count 0.5\n", (2, 9)),
    ("the sum of a summary is a number", "# TYPE x summary\nx_sum 0.5\n", "# TYPE x summary\nx_sum NaN\n", (2, 7)),
    // Info and stateset.
    ("an info is 1", "# TYPE x info\nx_info{v=\"2\"} 1.0\n", "# TYPE x info\nx_info{v=\"2\"} 0\n", (2, 15)),
    ("a state is 0 or 1", "# TYPE x stateset\nx{x=\"a\"} 0\nx{x=\"b\"} 1\n", "# TYPE x stateset\nx{x=\"a\"} 0.5\n", (2, 10)),
    ("a state has the label of its family", "# TYPE x stateset\nx{x=\"a\"} 0\n", "# TYPE x stateset\nx{y=\"a\"} 0\n", (2, 1)),
    // Exemplars.
    ("gauges have none", "# TYPE x counter\nx_total 1 # {} 1\n", "# TYPE x gauge\nx 1 # {} 1\n", (2, 7)),
    ("sums have none", "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 1 # {} 1\n", "# TYPE x summary\nx_sum 1 # {} 1\n", (2, 11)),
    (
        "an exemplar is in its bucket",
        "# TYPE x histogram\nx_bucket{le=\"1\"} 1 # {} 1\nx_bucket{le=\"+Inf\"} 1 # {} 2\n",
        "# TYPE x histogram\nx_bucket{le=\"1\"} 1 # {} 2\nx_bucket{le=\"+Inf\"} 1\n",
        (2, 22),
    ),
    (
        "labels of exemplars are there once",
        "# TYPE x counter\nx_total 1 # {a=\"1\",b=\"1\"} 1\n",
        "# TYPE x counter\nx_total 1 # {a=\"1\",a=\"1\"} 1\n",
        (2, 13),
    ),
];

#[test]
fn each_rule_is_kept_by_one_body_and_broken_by_another() {
    let mut wrong = Vec::new();
    for (rule, good, bad, place) in CASES {
        let found = problems(Format::OpenMetrics1, &format!("{good}# EOF\n"));
        if !found.is_empty() {
            wrong.push(format!("{rule}: {good:?}: {found:?}"));
        }
        let found = problems(Format::OpenMetrics1, &format!("{bad}# EOF\n"));
        let places: Vec<_> = found.iter().map(|problem| (problem.line, problem.column)).collect();
        if places != [*place] {
            wrong.push(format!("{rule}: {bad:?}: expected {place:?}, {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_body_ends_with_its_end() {
    for (body, accepted) in [
        ("# EOF\n", true),
        ("# EOF", true),
        ("x 1\n# EOF", true),
        ("", false),
        ("x 1\n", false),
        ("x 1\n# EOF\n\n", false),
        ("x 1\n# EOF\ny 1\n", false),
        ("x 1\n# EOF\n# EOF\n", false),
    ] {
        assert_eq!(problems(Format::OpenMetrics1, body).is_empty(), accepted, "{body:?}");
    }
}

/// Escapes and bytes of a character count for nothing.
#[test]
fn an_exemplar_has_128_characters_at_most() {
    for character in ["a", "ü", "\\n", "\\\"", "\\\\"] {
        for (count, accepted) in [(127, true), (128, false)] {
            let body = format!("# TYPE x counter\nx_total 1 # {{l=\"{}\"}} 1\n# EOF\n", character.repeat(count));
            assert_eq!(problems(Format::OpenMetrics1, &body).is_empty(), accepted, "{count} times {character}");
        }
    }
}
