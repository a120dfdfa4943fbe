//! Puts the list in order.

use super::model::{Process, Sort};

/// Biggest and oldest first; names from A to Z. Equal ones by pid.
pub fn sort(processes: &mut [Process], by: Sort) {
    processes.sort_by(|a, b| {
        let order = match by {
            Sort::Pid => std::cmp::Ordering::Equal,
            Sort::Name => a.name.cmp(&b.name),
            Sort::User => a.user.cmp(&b.user).then(a.uid.cmp(&b.uid)),
            Sort::Go => {
                let version = |process: &Process| process.binary.build.version();
                version(a).cmp(&version(b))
            }
            Sort::Age => b.age.cmp(&a.age),
            Sort::Rss => b.rss_bytes.cmp(&a.rss_bytes),
            Sort::Threads => b.threads.cmp(&a.threads),
        };
        order.then(a.pid.cmp(&b.pid))
    });
}
