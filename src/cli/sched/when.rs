//! `--when`: what a trigger may say.

use std::time::Duration;

use crate::cli::values;
use crate::sched::model::{Metric, Trigger};

/// `runnable_p99>50ms`, `run_queue > 100`, `idle_ps<1`.
pub fn parse(text: &str) -> Result<Trigger, String> {
    let metrics = || Metric::ALL.map(|(name, _)| name).join(", ");
    let at = text.find(['>', '<']).ok_or_else(|| format!("write `METRIC>VALUE` or `METRIC<VALUE`, with a metric of {}", metrics()))?;
    let (name, value) = (text[..at].trim(), text[at + 1..].trim());
    let (_, metric) =
        Metric::ALL.into_iter().find(|(known, _)| *known == name).ok_or_else(|| format!("no metric '{name}'; there are {}", metrics()))?;
    let limit = match metric.is_duration() {
        true if value.ends_with(|c: char| c.is_ascii_digit()) => {
            return Err(format!("'{value}' has no unit: write {value}ms, or {value}us or {value}s"));
        }
        true => nanos(values::duration(value)?),
        false => value.parse::<f64>().ok().filter(|limit| limit.is_finite()).ok_or_else(|| format!("'{value}' is not a number"))?,
    };
    Ok(Trigger { metric, above: text.as_bytes().get(at) == Some(&b'>'), limit, text: format!("{name}{}{value}", &text[at..=at]) })
}

fn nanos(duration: Duration) -> f64 {
    duration.as_nanos() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triggers_are_a_metric_and_a_limit() {
        let trigger = parse("runnable_p99 > 50ms").unwrap();
        assert_eq!((trigger.metric, trigger.above, trigger.limit), (Metric::RunnableP99, true, 5e7));
        assert_eq!(trigger.text, "runnable_p99>50ms");
        assert!(!parse("idle_ps<1").unwrap().above);
        for wrong in ["runnable_p99", "x>1", "run_queue>fast", "runnable_p99>50", "runnable_p99>50 parsecs", ">1", "run_queue>NaN", ""] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
