//! `--format json`: one document, written as it is made.

use serde::{Serialize, Serializer};

use super::schema::{Counts, Goroutine, Group, Quality, Stack};
use crate::goroutines::analyze::View;
use crate::output::Envelope;

/// The whole document. Only the stacks that what is shown refers to are part of it, numbered anew.
pub fn document<'a>(view: &'a View<'a>) -> impl Serialize + 'a {
    Document { view, stacks: KeptStacks::of(view) }
}

struct Document<'a> {
    view: &'a View<'a>,
    stacks: KeptStacks,
}

#[derive(Serialize)]
struct Body<'a> {
    counts: Counts,
    #[serde(serialize_with = "goroutines")]
    goroutines: &'a Document<'a>,
    #[serde(serialize_with = "stacks")]
    stacks: &'a Document<'a>,
    #[serde(serialize_with = "groups", skip_serializing_if = "not_grouped")]
    groups: &'a Document<'a>,
}

#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    goroutine: Goroutine<'a>,
    stack: Option<u32>,
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let snapshot = self.view.snapshot;
        let counts = Counts::of(&self.view.counts, self.view.matched);
        let body = Body { counts, goroutines: self, stacks: self, groups: self };
        let (target, quality) = (&snapshot.target, Quality::of(&snapshot.quality));
        Envelope::new("goroutines", snapshot.captured_at, target, quality, body).serialize(serializer)
    }
}

fn goroutines<S: Serializer>(document: &Document<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    let row = |g| Row { goroutine: Goroutine::of(g), stack: document.stacks.number(g.stack) };
    serializer.collect_seq(document.view.iter().map(row))
}

fn stacks<S: Serializer>(document: &Document<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    let all = &document.view.snapshot.stacks;
    serializer.collect_seq(document.stacks.kept.iter().filter_map(|&stack| all.get(stack as usize)).map(Stack::of))
}

fn groups<S: Serializer>(document: &Document<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    let groups = document.view.groups.iter().flatten();
    serializer.collect_seq(groups.map(|group| Group::of(group, document.stacks.number(group.stack))))
}

fn not_grouped(document: &&Document<'_>) -> bool {
    document.view.groups.is_none()
}

/// The stacks that are referred to, in order of first use.
struct KeptStacks {
    kept: Vec<u32>,
    numbers: Vec<Option<u32>>,
}

impl KeptStacks {
    fn of(view: &View<'_>) -> Self {
        let mut stacks = KeptStacks { kept: Vec::new(), numbers: vec![None; view.snapshot.stacks.len()] };
        let groups = view.groups.iter().flatten().map(|group| group.stack);
        for stack in view.iter().map(|g| g.stack).chain(groups) {
            if let Some(number @ None) = stacks.numbers.get_mut(stack as usize) {
                *number = Some(stacks.kept.len() as u32);
                stacks.kept.push(stack);
            }
        }
        stacks
    }

    fn number(&self, stack: u32) -> Option<u32> {
        self.numbers.get(stack as usize).copied().flatten()
    }
}
