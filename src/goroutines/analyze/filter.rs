//! Which goroutines are asked for.

use regex::Regex;
use rustc_hash::FxHashSet;

use crate::goroutines::model::{Frame, Goroutine, Snapshot, Status};

/// Every condition must hold; an empty one always does.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Any of these; when empty, all but dead.
    pub statuses: Vec<Status>,
    /// Any of these.
    pub wait_reasons: Vec<WaitReason>,
    /// Matches the function of any frame of the stack, hidden ones included.
    pub function: Option<Regex>,
    /// Key and value of pprof labels; all of them.
    pub labels: Vec<(String, String)>,
    /// Known to be blocked for at least this long.
    pub min_wait_ns: Option<u64>,
    /// Any of these.
    pub ids: FxHashSet<u64>,
    pub scope: Scope,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    #[default]
    All,
    User,
    System,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitReason {
    Exact(String),
    /// Lower case; found anywhere in the reason, whatever its case.
    Contains(String),
}

impl WaitReason {
    /// `chan` finds `chan receive` and `chan send`; `=select` finds only `select`.
    pub fn parse(text: &str) -> Self {
        match text.strip_prefix('=') {
            Some(exact) => WaitReason::Exact(exact.to_owned()),
            None => WaitReason::Contains(text.to_lowercase()),
        }
    }

    fn matches(&self, reason: &str) -> bool {
        match self {
            WaitReason::Exact(text) => reason == text,
            WaitReason::Contains(text) => reason.to_lowercase().contains(text),
        }
    }
}

/// Indices of the goroutines that pass.
pub fn select(snapshot: &Snapshot, filter: &Filter) -> Vec<u32> {
    // Once for each distinct stack, not for each goroutine.
    let stacks: Option<Vec<bool>> = filter.function.as_ref().map(|regex| {
        let hit = |frames: &[Frame]| frames.iter().any(|f| regex.is_match(&f.function));
        snapshot.stacks.iter().map(|stack| hit(&stack.frames)).collect()
    });
    let passes = |g: &Goroutine| filter.accepts(g) && stacks.as_ref().is_none_or(|hits| hits.get(g.stack as usize) == Some(&true));
    (0u32..).zip(&snapshot.goroutines).filter(|(_, g)| passes(g)).map(|(i, _)| i).collect()
}

impl Filter {
    /// All conditions but the one on the stack.
    fn accepts(&self, g: &Goroutine) -> bool {
        let status = match self.statuses.as_slice() {
            [] => g.status != Status::Dead,
            list => list.contains(&g.status),
        };
        let scope = match self.scope {
            Scope::All => true,
            Scope::User => !g.system,
            Scope::System => g.system,
        };
        status
            && scope
            && (self.ids.is_empty() || self.ids.contains(&g.id))
            && self.min_wait_ns.is_none_or(|min| g.wait_min_ns.is_some_and(|wait| wait >= min))
            && (self.wait_reasons.is_empty()
                || g.wait_reason.as_deref().is_some_and(|r| self.wait_reasons.iter().any(|want| want.matches(r))))
            && self.labels.iter().all(|(k, v)| g.labels.iter().any(|(key, value)| **key == **k && **value == **v))
    }
}
