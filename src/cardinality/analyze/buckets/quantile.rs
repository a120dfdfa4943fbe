//! Quantiles as `histogram_quantile` estimates them from classic buckets (Prometheus, promql/quantile.go, `BucketQuantile`): linear between
//! two bounds, from 0 below the lowest one if that is positive, and the highest finite bound for all above it.

/// The value at which `rank` of the observations are reached, from the bounds around it and the observations up to each. `None` for
/// the lower one: there is no lower bucket. An infinite upper one: there is no higher bucket.
pub(super) fn estimate(rank: f64, lower: Option<(f64, f64)>, upper: (f64, f64)) -> Option<f64> {
    let (bound, count) = upper;
    match lower {
        None if bound.is_infinite() => None,
        None if bound <= 0.0 => Some(bound),
        Some((from, _)) if bound.is_infinite() => Some(from),
        _ => {
            let (from, below) = lower.unwrap_or((0.0, 0.0));
            Some(from + (bound - from) * ((rank - below) / (count - below)))
        }
    }
}

/// The bucket that a rank is in: of the counts, which grow, the first that reaches it.
pub(super) fn bucket_of(rank: f64, counts: &[f64]) -> usize {
    counts[..counts.len() - 1].partition_point(|count| *count < rank)
}

/// Of one child, from its bounds, ascending with +Inf at the end, and how many observations are up to each. `None`: there are no
/// observations, or only the bucket +Inf.
pub(super) fn quantile(q: f64, buckets: &[(f64, f64)]) -> Option<f64> {
    let (_, observations) = buckets.last().filter(|(_, observations)| *observations > 0.0)?;
    let rank = q * observations;
    let bucket = buckets[..buckets.len() - 1].partition_point(|(_, count)| *count < rank);
    estimate(rank, bucket.checked_sub(1).map(|below| buckets[below]), buckets[bucket])
}

/// How far an estimate is off, as a share of what it should be.
pub(super) fn error(estimate: f64, exact: f64) -> f64 {
    if estimate == exact { 0.0 } else { ((estimate - exact) / exact).abs() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INF: f64 = f64::INFINITY;

    #[test]
    fn between_two_bounds_it_is_linear() {
        let buckets = [(0.1, 50.0), (0.5, 90.0), (1.0, 100.0), (INF, 100.0)];
        assert_eq!(quantile(0.25, &buckets), Some(0.05));
        assert_eq!(quantile(0.5, &buckets), Some(0.1));
        assert_eq!(quantile(0.7, &buckets), Some(0.1 + 0.4 * 0.5));
        assert_eq!(quantile(0.95, &buckets), Some(0.75));
    }

    #[test]
    fn the_ends_are_as_prometheus_has_them() {
        assert_eq!(quantile(0.99, &[(0.1, 1.0), (1.0, 2.0), (INF, 10.0)]), Some(1.0));
        assert_eq!(quantile(0.1, &[(-5.0, 5.0), (1.0, 8.0), (INF, 10.0)]), Some(-5.0));
        assert_eq!(quantile(0.5, &[(0.0, 5.0), (INF, 10.0)]), Some(0.0));
        assert_eq!(quantile(0.5, &[(INF, 10.0)]), None);
        assert_eq!(quantile(0.5, &[(1.0, 0.0), (INF, 0.0)]), None);
    }
}
