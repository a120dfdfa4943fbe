//! `--watch`: snapshots at an interval, each compared with the one before.

use super::analyze::diff::{SiteCounts, live_by_site};
use super::model::Snapshot;
use crate::error::Result;

/// What there is to show.
pub enum Step<'a> {
    First(&'a Snapshot),
    Next { before: &'a Snapshot, after: &'a Snapshot },
}

/// Live user goroutines in the first and in the last snapshot.
#[derive(Debug)]
pub struct Watched {
    pub first: SiteCounts,
    pub last: SiteCounts,
}

/// Takes snapshots until `wait`, called between two of them, says stop, or `count` of them are taken. Two are kept at a time.
pub fn watch(
    count: Option<u64>,
    mut take: impl FnMut() -> Result<Snapshot>,
    mut wait: impl FnMut() -> Next,
    mut show: impl FnMut(Step<'_>) -> Result<()>,
) -> Result<Watched> {
    let mut before = take()?;
    show(Step::First(&before))?;
    let first = live_by_site(&before);
    let mut taken = 1;
    while count.is_none_or(|count| taken < count) && wait() == Next::Go {
        let after = take()?;
        show(Step::Next { before: &before, after: &after })?;
        before = after;
        taken += 1;
    }
    Ok(Watched { first, last: live_by_site(&before) })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Go,
    Stop,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::goroutines::model::{Quality, TargetFacts};

    fn snapshot(pid: u32) -> Snapshot {
        Snapshot {
            captured_at: std::time::SystemTime::UNIX_EPOCH,
            target: TargetFacts { pid, ..TargetFacts::default() },
            goroutines: Vec::new(),
            dead: 0,
            stacks: Vec::new(),
            quality: Quality::default(),
        }
    }

    /// Snapshots numbered by pid; each step as (before, after).
    fn run(count: Option<u64>, waits: u32, fails_at: u32) -> (Result<Watched>, Vec<(u32, u32)>) {
        let (mut taken, mut waited, mut shown) = (0, 0, Vec::new());
        let take = || {
            taken += 1;
            if taken == fails_at { Err(Error::target("gone")) } else { Ok(snapshot(taken)) }
        };
        let wait = || {
            waited += 1;
            if waited > waits { Next::Stop } else { Next::Go }
        };
        let show = |step: Step<'_>| {
            shown.push(match step {
                Step::First(first) => (0, first.target.pid),
                Step::Next { before, after } => (before.target.pid, after.target.pid),
            });
            Ok(())
        };
        let watched = watch(count, take, wait, show);
        (watched, shown)
    }

    #[test]
    fn ends_by_count_by_signal_and_by_error() {
        assert_eq!(run(Some(3), 99, 99).1, [(0, 1), (1, 2), (2, 3)]);
        assert_eq!(run(None, 1, 99).1, [(0, 1), (1, 2)]);
        assert_eq!(run(Some(1), 99, 99).1, [(0, 1)]);
        let (watched, shown) = run(None, 99, 3);
        assert_eq!(watched.unwrap_err().to_string(), "gone");
        assert_eq!(shown, [(0, 1), (1, 2)]);
    }
}
