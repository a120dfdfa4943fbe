//! The file of `--budget-file`: YAML, limits by metric and label, and waivers.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::model::{Budget, MetricBudget, Pattern, Waiver};
use crate::error::{Error, Result};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    total_series: Option<u64>,
    #[serde(default)]
    default: Metric,
    #[serde(default)]
    metrics: BTreeMap<String, Metric>,
    #[serde(default)]
    waivers: Vec<Excuse>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Metric {
    series: Option<u64>,
    label_values: Option<u64>,
    #[serde(default)]
    labels: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Excuse {
    metric: String,
    label: Option<String>,
    until: String,
    reason: String,
}

/// Errors: Io when it can't be read; Usage when it is not a budget, with the line.
pub fn read(path: &Path) -> Result<Budget> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| Error::io(format!("cannot read the budget file {name}")).because(error))?;
    let wrong = |why: String| {
        Error::usage(format!("{name}: {why}")).hint("its keys are total_series, default, metrics and waivers; see man goscope-cardinality")
    };
    let budget = parse(&text).map_err(wrong)?;
    match budget.is_empty() {
        true => Err(wrong("there is neither a limit nor a waiver in it".to_owned())),
        false => Ok(budget),
    }
}

fn parse(text: &str) -> std::result::Result<Budget, String> {
    let document: Document = serde_saphyr::from_str(text).map_err(|error| unreadable(&error))?;
    let waivers = document.waivers.into_iter().map(waiver).collect::<std::result::Result<_, String>>()?;
    // Longer patterns say more; `*` comes last.
    let mut metrics: Vec<(Pattern, MetricBudget)> =
        document.metrics.into_iter().map(|(name, metric)| (Pattern::new(name), budget(metric))).collect();
    metrics.sort_by_key(|(pattern, _)| (pattern.as_str().contains('*'), std::cmp::Reverse(pattern.as_str().len())));
    Ok(Budget { total_series: document.total_series, default: budget(document.default), metrics, waivers })
}

/// Its place, and what is wrong in words of budgets, not of the library.
fn unreadable(error: &serde_saphyr::Error) -> String {
    let message = error.to_string();
    let told = message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("not YAML");
    let told = told.strip_prefix("error: ").unwrap_or(told);
    let (place, what) = told.split_once(": ").filter(|(place, _)| place.starts_with("line ")).unwrap_or(("", told));
    let what = what.split(", set DuplicateKeyPolicy").next().unwrap_or(what);
    let what = match what {
        "invalid u64" => "expected a whole number, not below 0".to_owned(),
        "expected mapping start" => "expected `key: value`".to_owned(),
        what => what.replace("duplicate mapping key:", "there twice:"),
    };
    if place.is_empty() { what } else { format!("{place}: {what}") }
}

fn budget(metric: Metric) -> MetricBudget {
    MetricBudget { series: metric.series, label_values: metric.label_values, labels: metric.labels.into_iter().collect() }
}

/// A waiver holds on its last day too, in UTC.
fn waiver(excuse: Excuse) -> std::result::Result<Waiver, String> {
    let begin = humantime::parse_rfc3339_weak(&format!("{} 00:00:00", excuse.until));
    let begin: SystemTime = begin.map_err(|_| format!("until: '{}' is no date such as 2027-01-31", excuse.until))?;
    if excuse.reason.trim().is_empty() {
        return Err(format!("the waiver of {} says no reason", excuse.metric));
    }
    Ok(Waiver { metric: Pattern::new(excuse.metric), label: excuse.label, ends: begin + DAY, until: excuse.until, reason: excuse.reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "\
total_series: 20000
default:
  series: 1000
  label_values: 100
metrics:
  http_*:
    series: 5000
  http_requests_total:
    series: 300
    labels:
      path: 50
waivers:
  - metric: legacy_*
    label: user
    until: 2027-01-31
    reason: being replaced
";

    #[test]
    fn a_whole_budget() {
        let budget = parse(WHOLE).unwrap();
        assert_eq!(budget.total_series, Some(20_000));
        assert_eq!(budget.of("http_requests_total").labels, [("path".to_owned(), 50)]);
        assert_eq!(budget.of("http_other").series, Some(5000));
        assert_eq!(budget.of("go_goroutines").label_values, Some(100));
        let end = humantime::parse_rfc3339("2027-02-01T00:00:00Z").unwrap();
        assert_eq!((budget.waivers[0].ends, budget.waivers[0].label.as_deref()), (end, Some("user")));
        assert!(parse("{}").is_ok());
    }

    #[test]
    fn what_it_does_not_mean_is_told() {
        for (text, told) in [
            ("total: 5", "total"),
            ("total_series: many", "line 1 column 15: expected a whole number, not below 0"),
            ("metrics: {x: {series: -1}}", "expected a whole number"),
            ("total_series: 5\ntotal_series: 6", "line 2 column 1: there twice: total_series"),
            ("default: 5", "expected `key: value`"),
            ("waivers: [{metric: x, until: soon, reason: y}]", "'soon' is no date"),
            ("waivers: [{metric: x, until: 2027-01-31, reason: ''}]", "no reason"),
            ("- a", "line 1"),
            ("\"", "line 1"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(told) && !error.contains('\n'), "{text}: {error}");
            assert!(!["error: ", "u64", "Policy", "mapping"].iter().any(|word| error.contains(word)), "{text}: {error}");
        }
    }
}
