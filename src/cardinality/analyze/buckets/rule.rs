//! What to write down so that bounds go.

use std::collections::BTreeSet;

/// The values of `le` as an RE2 expression, for a rule of `metric_relabel_configs`, which is anchored. A whole number matches as `1.0`, which
/// is what Prometheus stores for a histogram, and as `1`, which it stores where `# TYPE` is missing.
pub(super) fn le_regex<'a>(values: impl Iterator<Item = &'a str>) -> String {
    let mut seen = BTreeSet::new();
    let patterns = values.map(pattern).filter(|pattern| seen.insert(pattern.clone()));
    patterns.collect::<Vec<String>>().join("|")
}

fn pattern(le: &str) -> String {
    let whole = le.strip_suffix(".0").unwrap_or(le);
    let optional = if whole.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') { r"(?:\.0)?" } else { "" };
    format!("{}{optional}", whole.replace('.', r"\.").replace('+', r"\+"))
}

/// The field of `prometheus.HistogramOpts` with these bounds; the library adds +Inf.
pub(super) fn go_line(bounds: &[f64]) -> String {
    let bounds: Vec<String> = bounds.iter().map(|bound| go_float(*bound)).collect();
    format!("Buckets: []float64{{{}}},", bounds.join(", "))
}

fn go_float(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-5..1e15).contains(&size) { format!("{value}") } else { format!("{value:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_match_as_prometheus_stores_them() {
        assert_eq!(le_regex(["0.005", "1.0", "1", "1e-05", "1e+06", "-2.0"].into_iter()), r"0\.005|1(?:\.0)?|1e-05|1e\+06|-2(?:\.0)?");
        let regex = regex::Regex::new(&format!("^(?:{})$", le_regex(["10.0", "1e+06"].into_iter()))).unwrap();
        for (le, matches) in [("10.0", true), ("10", true), ("1e+06", true), ("100", false), ("10.00", false), ("+Inf", false)] {
            assert_eq!(regex.is_match(le), matches, "{le}");
        }
    }

    #[test]
    fn the_line_is_go() {
        assert_eq!(go_line(&[0.005, 1.0, 2.5, 1e18, 1e-9]), "Buckets: []float64{0.005, 1, 2.5, 1e18, 1e-9},");
    }
}
