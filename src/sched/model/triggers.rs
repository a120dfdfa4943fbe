//! Waiting for something to go wrong.

use std::time::SystemTime;

/// One second as the runtime's counters tell it; `None` where one is not known, or where nothing waited.
#[derive(Debug, Clone, PartialEq)]
pub struct Glance {
    pub at: SystemTime,
    /// Upper bounds of histogram buckets.
    pub runnable_p50_ns: Option<u64>,
    pub runnable_p99_ns: Option<u64>,
    pub runnable_max_ns: Option<u64>,
    /// Runnable goroutines in all queues at that moment.
    pub run_queue: Option<u64>,
    pub idle_ps: Option<u64>,
    pub time_slices_per_second: Option<f64>,
    pub created_per_second: Option<f64>,
    /// 0 when there was no collection.
    pub gc_pause_max_ns: Option<u64>,
    /// Of the control group.
    pub throttled_ns: Option<u64>,
}

/// `runnable_p99>50ms`: when to look closely.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    pub metric: Metric,
    pub above: bool,
    /// Nanoseconds, a number, or a number a second, as the metric has it.
    pub limit: f64,
    /// As it was written.
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    RunnableP50,
    RunnableP99,
    RunnableMax,
    RunQueue,
    IdlePs,
    TimeSlices,
    Created,
    GcPause,
    Throttled,
}

impl Metric {
    pub const ALL: [(&'static str, Metric); 9] = [
        ("runnable_p50", Metric::RunnableP50),
        ("runnable_p99", Metric::RunnableP99),
        ("runnable_max", Metric::RunnableMax),
        ("run_queue", Metric::RunQueue),
        ("idle_ps", Metric::IdlePs),
        ("time_slices", Metric::TimeSlices),
        ("created", Metric::Created),
        ("gc_pause", Metric::GcPause),
        ("throttled", Metric::Throttled),
    ];

    pub fn is_duration(self) -> bool {
        matches!(self, Metric::RunnableP50 | Metric::RunnableP99 | Metric::RunnableMax | Metric::GcPause | Metric::Throttled)
    }

    fn of(self, glance: &Glance) -> Option<f64> {
        let whole = |value: Option<u64>| value.map(|value| value as f64);
        match self {
            Metric::RunnableP50 => whole(glance.runnable_p50_ns),
            Metric::RunnableP99 => whole(glance.runnable_p99_ns),
            Metric::RunnableMax => whole(glance.runnable_max_ns),
            Metric::RunQueue => whole(glance.run_queue),
            Metric::IdlePs => whole(glance.idle_ps),
            Metric::TimeSlices => glance.time_slices_per_second,
            Metric::Created => glance.created_per_second,
            Metric::GcPause => whole(glance.gc_pause_max_ns),
            Metric::Throttled => whole(glance.throttled_ns),
        }
    }
}

impl Trigger {
    /// What it saw, if that is beyond the limit.
    pub fn fires(&self, glance: &Glance) -> Option<f64> {
        let seen = self.metric.of(glance)?;
        let beyond = if self.above { seen > self.limit } else { seen < self.limit };
        beyond.then_some(seen)
    }
}
