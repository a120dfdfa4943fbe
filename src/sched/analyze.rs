//! From a window to the account of goroutine time that its tables and documents show.

use std::collections::BTreeMap;

use super::model::{Class, Row, Window};

/// Goroutine-nanoseconds by what was done in them; the parts sum to `total_ns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    pub total_ns: u64,
    pub on_cpu_ns: u64,
    pub runnable_ns: u64,
    pub no_cpu_ns: u64,
    pub waiting_ns: u64,
    pub syscall_ns: u64,
    pub gc_assist_ns: u64,
    /// Goroutines were alive, and nothing saw what they did.
    pub unobserved_ns: u64,
    /// On a CPU without a goroutine; not part of the total.
    pub scheduler_ns: u64,
}

impl Account {
    pub fn of(window: &Window) -> Account {
        let sum = |class| window.rows.iter().filter(|row| row.class == class).map(Row::ns).sum::<u64>();
        let mut account = Account {
            on_cpu_ns: sum(Class::OnCpu),
            runnable_ns: sum(Class::Runnable),
            no_cpu_ns: sum(Class::NoCpu),
            waiting_ns: sum(Class::Waiting),
            syscall_ns: sum(Class::Syscall),
            gc_assist_ns: sum(Class::GcAssist),
            scheduler_ns: sum(Class::Scheduler),
            ..Account::default()
        };
        let observed = account.parts().iter().map(|(_, ns)| ns).sum::<u64>();
        account.unobserved_ns = window.alive_ns.saturating_sub(observed);
        account.total_ns = observed + account.unobserved_ns;
        account
    }

    /// In the order they are shown.
    pub fn parts(&self) -> [(&'static str, u64); 7] {
        [
            ("on CPU", self.on_cpu_ns),
            ("runnable, no P", self.runnable_ns),
            ("P but no CPU", self.no_cpu_ns),
            ("syscall or C", self.syscall_ns),
            ("GC assist", self.gc_assist_ns),
            ("waiting", self.waiting_ns),
            ("not observed", self.unobserved_ns),
        ]
    }
}

/// Time of one class by reason, most first; reasons that have none of their own are `-`.
pub fn by_reason(window: &Window, class: Class) -> Vec<(String, u64)> {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for row in window.rows.iter().filter(|row| row.class == class) {
        *sums.entry(row.reason.as_deref().unwrap_or("-")).or_default() += row.ns();
    }
    let mut sums: Vec<(String, u64)> = sums.into_iter().map(|(reason, ns)| (reason.to_owned(), ns)).collect();
    sums.sort_by_key(|(_, ns)| std::cmp::Reverse(*ns));
    sums
}
