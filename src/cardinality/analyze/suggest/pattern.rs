//! What is left of a label when only the pattern of each value stays: the route of a path, the workload of a pod, the host of a client.

use std::rc::Rc;

use regex::RegexSet;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::cardinality::analyze::shapes::{Advice, Shape, is_garbage};
use crate::cardinality::model::{Column, Id, Scrape};

/// One pattern for each value that has one.
#[derive(Debug, Clone, PartialEq)]
pub struct Patterns {
    /// From a value to another one with the same pattern, which stands for it.
    pub same: Rc<FxHashMap<Id, Id>>,
    /// Distinct values of the column, before and after.
    pub values: [u64; 2],
    verb: &'static str,
}

/// None where the advice for such values is another one, or where they would not become fewer.
pub fn patterns(scrape: &Scrape, column: &Column, shape: &Shape) -> Option<Patterns> {
    let verb = match shape.advice {
        Advice::RoutePattern => "put the route's pattern into",
        Advice::StripSuffix => "cut the random part off",
        Advice::CutPort => "cut the port off",
        _ => return None,
    };
    let varying: Vec<String> =
        shape.templates.iter().filter(|template| template.varies).map(|template| format!("^(?s:{})$", template.regex)).collect();
    let templates = RegexSet::new(&varying).ok().filter(|_| !varying.is_empty())?;
    let distinct: FxHashSet<Id> = column.cells.iter().copied().filter(|value| *value != Id::EMPTY).collect();
    let mut values: Vec<Id> = distinct.into_iter().collect();
    values.sort_unstable();
    // What scanners ask for has no route: a server books all of it on one.
    let no_route = varying.len();
    let mut first: FxHashMap<usize, Id> = FxHashMap::default();
    let mut same = FxHashMap::default();
    for value in &values {
        let text = scrape.text(*value);
        let garbage = (shape.advice == Advice::RoutePattern && is_garbage(text)).then_some(no_route);
        if let Some(pattern) = garbage.or_else(|| templates.matches(text).iter().next()) {
            same.insert(*value, *first.entry(pattern).or_insert(*value));
        }
    }
    let after = values.len() - same.len() + first.len();
    (after < values.len()).then(|| Patterns { same: Rc::new(same), values: [values.len() as u64, after as u64], verb })
}

impl Patterns {
    /// What to do with the label, in a few words.
    pub fn what(&self, label: &str) -> String {
        format!("{} the label {label} ({} values become {})", self.verb, self.values[0], self.values[1])
    }
}
