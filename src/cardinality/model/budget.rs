//! What an endpoint may have.

use std::time::SystemTime;

/// Limits of a whole scrape, of each metric, and of each label.
#[derive(Debug, Clone, Default)]
pub struct Budget {
    pub total_series: Option<u64>,
    /// For metrics that no entry of `metrics` names.
    pub default: MetricBudget,
    /// The first that matches a metric counts.
    pub metrics: Vec<(Pattern, MetricBudget)>,
    pub waivers: Vec<Waiver>,
}

#[derive(Debug, Clone, Default)]
pub struct MetricBudget {
    pub series: Option<u64>,
    /// For labels that `labels` does not name.
    pub label_values: Option<u64>,
    pub labels: Vec<(String, u64)>,
}

/// A finding that is known and put up with for some time.
#[derive(Debug, Clone)]
pub struct Waiver {
    pub metric: Pattern,
    /// Of one label, or of the whole metric.
    pub label: Option<String>,
    /// The first moment at which it does not hold any more.
    pub ends: SystemTime,
    /// As it was written: `2027-01-31`.
    pub until: String,
    pub reason: String,
}

/// A name, in which `*` stands for anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    pub fn new(text: impl Into<String>) -> Self {
        Pattern(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else { return false };
        let parts: Vec<&str> = parts.collect();
        let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
        for part in between {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }
}

impl Budget {
    /// Neither limits nor excuses anything.
    pub fn is_empty(&self) -> bool {
        let limits = |metric: &MetricBudget| metric.series.is_some() || metric.label_values.is_some() || !metric.labels.is_empty();
        let mut all = self.metrics.iter().map(|(_, metric)| metric).chain([&self.default]);
        self.total_series.is_none() && self.waivers.is_empty() && !all.any(limits)
    }

    pub fn of(&self, metric: &str) -> &MetricBudget {
        self.metrics.iter().find(|(pattern, _)| pattern.matches(metric)).map_or(&self.default, |(_, budget)| budget)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        let matches = |pattern: &str, name: &str| Pattern::new(pattern).matches(name);
        assert!(matches("http_requests_total", "http_requests_total") && !matches("http", "http_requests"));
        assert!(matches("http_*", "http_requests") && matches("*_total", "a_total") && matches("*", "x") && matches("a*b*c", "aXbYc"));
        assert!(matches("a*b*b", "abb") && !matches("a*b*b", "ab") && !matches("a*a", "a") && !matches("*_total", "a_total_x"));
    }
}
