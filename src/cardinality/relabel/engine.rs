//! Runs a configuration over label sets, each question asked once: what a rule does depends on the values of its source labels only, or on
//! the name of a label, and those are few compared with the series.

use hashbrown::HashMap;
use rustc_hash::{FxBuildHasher, FxHashMap};

use super::config::Config;
use super::rule::{Effect, NameEffect};
use crate::cardinality::model::{Id, Strings};

/// Answers that one rule remembers; more would take more memory than the series themselves.
const REMEMBERED: usize = 1 << 18;

/// The labels of a series while rules run over them, in the order in which Prometheus' `labels.Builder` walks them: those that the series
/// came with by name, then those that were set, oldest first. `labelmap` shows the difference.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    pairs: Vec<(Id, Id)>,
    /// Where those that were set begin.
    set: usize,
}

impl Labels {
    /// `pairs` are ordered by name. Those with an empty value are left out.
    pub fn reset(&mut self, pairs: impl IntoIterator<Item = (Id, Id)>) {
        self.pairs.clear();
        self.pairs.extend(pairs.into_iter().filter(|pair| pair.1 != Id::EMPTY));
        self.set = self.pairs.len();
    }

    /// Name and value.
    pub fn pairs(&self) -> &[(Id, Id)] {
        &self.pairs
    }

    /// [`Id::EMPTY`] where there is no such label.
    pub fn get(&self, name: Id) -> Id {
        self.pairs.iter().find(|pair| pair.0 == name).map_or(Id::EMPTY, |pair| pair.1)
    }

    /// Whether both have the same labels, in whatever order.
    pub fn same(&self, other: &Labels) -> bool {
        self.pairs.len() == other.pairs.len() && self.pairs.iter().all(|(name, value)| other.get(*name) == *value)
    }

    /// Returns whether that changed something.
    fn set(&mut self, name: Id, value: Id) -> bool {
        let at = self.pairs.iter().position(|pair| pair.0 == name);
        let before = at.map_or(Id::EMPTY, |at| self.pairs[at].1);
        match at {
            Some(at) if value != Id::EMPTY && at >= self.set => self.pairs[at].1 = value,
            _ => {
                if let Some(at) = at {
                    self.pairs.remove(at);
                    self.set -= usize::from(at < self.set);
                }
                if value != Id::EMPTY {
                    self.pairs.push((name, value));
                }
            }
        }
        before != value
    }
}

/// What one rule did to one series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The rule applies: its expression or comparison fits, the label that it maps or drops is there.
    pub matched: bool,
    pub changed: bool,
    pub dropped: bool,
}

/// A configuration, ready to run over series whose strings are in a [`Strings`].
pub struct Runner<'a> {
    config: &'a Config,
    base: &'a Strings,
    /// Strings that rules made. Their ids follow those of `base`.
    made: Strings,
    rules: Vec<Prepared>,
    /// Scratch.
    key: Vec<Id>,
    copies: Vec<(Id, Id)>,
}

struct Prepared {
    /// Labels that the answer depends on: the source labels, and the target label for `keepequal` and `dropequal`.
    inputs: Vec<Id>,
    by_value: FxHashMap<Id, Answer>,
    by_values: HashMap<Box<[Id]>, Answer, FxBuildHasher>,
    by_name: FxHashMap<Id, NameAnswer>,
}

#[derive(Clone, Copy)]
enum Answer {
    None { matched: bool },
    Drop { matched: bool },
    Set { target: Id, value: Id, matched: bool },
}

#[derive(Clone, Copy)]
enum NameAnswer {
    None,
    Stay,
    Remove,
    Copy(Id),
}

impl<'a> Runner<'a> {
    pub fn new(config: &'a Config, strings: &'a Strings) -> Self {
        let mut runner = Runner { config, base: strings, made: Strings::default(), rules: Vec::new(), key: Vec::new(), copies: Vec::new() };
        for rule in &config.rules {
            use super::rule::Action::{DropEqual, KeepEqual};
            let target = matches!(rule.action, DropEqual | KeepEqual).then_some(&rule.target_label);
            let inputs = rule.source_labels.iter().chain(target).map(|label| runner.intern(label)).collect();
            let (by_value, by_values, by_name) = Default::default();
            runner.rules.push(Prepared { inputs, by_value, by_values, by_name });
        }
        runner
    }

    pub fn intern(&mut self, text: &str) -> Id {
        match self.base.find(text) {
            Some(id) => id,
            None => Id(self.base.len() as u32 + self.made.intern(text).0),
        }
    }

    pub fn text(&self, id: Id) -> &str {
        match id.index().checked_sub(self.base.len()) {
            None => self.base.get(id),
            Some(index) => self.made.get(Id(index as u32)),
        }
    }

    /// Runs rule number `index` over `labels`.
    pub fn step(&mut self, index: usize, labels: &mut Labels) -> Step {
        if self.config.rules[index].action.is_about_names() {
            return self.name_step(index, labels);
        }
        match self.answer(index, labels) {
            Answer::None { matched } => Step { matched, changed: false, dropped: false },
            Answer::Drop { matched } => Step { matched, changed: false, dropped: true },
            Answer::Set { target, value, matched } => Step { matched, changed: labels.set(target, value), dropped: false },
        }
    }

    /// Runs all rules over `labels`, and returns whether the series is kept.
    pub fn run(&mut self, labels: &mut Labels) -> bool {
        (0..self.config.rules.len()).all(|index| !self.step(index, labels).dropped)
    }

    fn answer(&mut self, index: usize, labels: &Labels) -> Answer {
        let rule = &mut self.rules[index];
        if let [input] = rule.inputs[..] {
            let value = labels.get(input);
            if let Some(answer) = rule.by_value.get(&value) {
                return *answer;
            }
            let answer = self.ask(index, &[value]);
            let memory = &mut self.rules[index].by_value;
            if memory.len() >= REMEMBERED {
                memory.clear();
            }
            memory.insert(value, answer);
            return answer;
        }
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        key.extend(rule.inputs.iter().map(|input| labels.get(*input)));
        let answer = match rule.by_values.get(key.as_slice()) {
            Some(answer) => *answer,
            None => {
                let answer = self.ask(index, &key);
                let memory = &mut self.rules[index].by_values;
                if memory.len() >= REMEMBERED {
                    memory.clear();
                }
                memory.insert(key.as_slice().into(), answer);
                answer
            }
        };
        self.key = key;
        answer
    }

    fn ask(&mut self, index: usize, inputs: &[Id]) -> Answer {
        let config = self.config;
        let rule = &config.rules[index];
        let (sources, target) = inputs.split_at(rule.source_labels.len());
        let values: Vec<&str> = sources.iter().map(|id| self.text(*id)).collect();
        let value = values.join(&rule.separator);
        let target = target.first().map_or("", |id| self.text(*id));
        match rule.effect(config.names, &value, target) {
            Effect::None { matched } => Answer::None { matched },
            Effect::Drop { matched } => Answer::Drop { matched },
            Effect::Set { target, value: result } => Answer::Set {
                target: self.intern(&target),
                value: self.intern(&result),
                // Actions without an expression apply where there is something to apply to.
                matched: rule.action == super::rule::Action::Replace || sources.iter().any(|id| *id != Id::EMPTY),
            },
        }
    }

    fn name_step(&mut self, index: usize, labels: &mut Labels) -> Step {
        let mut step = Step { matched: false, changed: false, dropped: false };
        let mut copies = std::mem::take(&mut self.copies);
        copies.clear();
        let mut at = 0;
        while let Some(&(name, value)) = labels.pairs.get(at) {
            at += 1;
            match self.name_answer(index, name) {
                NameAnswer::None => {}
                NameAnswer::Stay => step.matched = true,
                NameAnswer::Remove => {
                    at -= 1;
                    labels.set(name, Id::EMPTY);
                    step.changed = true;
                    step.matched |= self.config.rules[index].action == super::rule::Action::LabelDrop;
                }
                NameAnswer::Copy(to) => copies.push((to, value)),
            }
        }
        step.matched |= !copies.is_empty();
        for (name, value) in &copies {
            step.changed |= labels.set(*name, *value);
        }
        self.copies = copies;
        step
    }

    fn name_answer(&mut self, index: usize, name: Id) -> NameAnswer {
        if let Some(answer) = self.rules[index].by_name.get(&name) {
            return *answer;
        }
        let answer = match self.config.rules[index].name_effect(self.text(name)) {
            NameEffect::None => NameAnswer::None,
            NameEffect::Stay => NameAnswer::Stay,
            NameEffect::Remove => NameAnswer::Remove,
            NameEffect::Copy(to) => NameAnswer::Copy(self.intern(&to)),
        };
        self.rules[index].by_name.insert(name, answer);
        answer
    }
}

impl Config {
    /// The labels that Prometheus makes of these, ordered by name; none where the series is dropped. Names are in there once.
    pub fn process(&self, labels: &[(String, String)]) -> Option<Vec<(String, String)>> {
        let mut strings = Strings::default();
        let mut sorted: Vec<_> = labels.iter().filter(|(_, value)| !value.is_empty()).collect();
        sorted.sort();
        let pairs: Vec<(Id, Id)> = sorted.iter().map(|(name, value)| (strings.intern(name), strings.intern(value))).collect();
        let mut runner = Runner::new(self, &strings);
        let mut labels = Labels::default();
        labels.reset(pairs);
        if !runner.run(&mut labels) {
            return None;
        }
        let text = |id| runner.text(id).to_owned();
        let mut result: Vec<(String, String)> = labels.pairs().iter().map(|(name, value)| (text(*name), text(*value))).collect();
        result.sort();
        Some(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(rules: &str, labels: &[(&str, &str)]) -> Option<String> {
        let labels: Vec<_> = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let result = Config::parse(rules, None).unwrap().process(&labels)?;
        Some(result.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_label_set_twice_stays_where_it_was_set() {
        // What comes last wins: `b` was set by a rule, and so comes after `c`.
        let rules = "[{target_label: b, replacement: new}, {action: labelmap, regex: '[bc]', replacement: x}]";
        assert_eq!(run(rules, &[("b", "old"), ("c", "C")]).unwrap(), "b=new c=C x=new");
        assert_eq!(run("[{action: labelmap, regex: '[bc]', replacement: x}]", &[("b", "B"), ("c", "C")]).unwrap(), "b=B c=C x=C");
    }

    #[test]
    fn an_empty_result_removes_the_label() {
        let rules = "[{source_labels: [__name__], regex: a, target_label: path, replacement: ''}]";
        assert_eq!(run(rules, &[("__name__", "a"), ("path", "/x")]).unwrap(), "__name__=a");
        assert_eq!(run(rules, &[("__name__", "b"), ("path", "/x")]).unwrap(), "__name__=b path=/x");
    }

    #[test]
    fn keep_and_drop_end_it() {
        let rules = "[{source_labels: [a, b], regex: 1;2, action: drop}, {source_labels: [a], regex: 1, action: keep}]";
        assert_eq!(run(rules, &[("a", "1"), ("b", "2")]), None);
        assert_eq!(run(rules, &[("a", "2")]), None);
        assert_eq!(run(rules, &[("a", "1"), ("b", "3")]).unwrap(), "a=1 b=3");
    }

    #[test]
    fn the_memory_of_a_rule_is_bounded_and_forgetting_changes_nothing() {
        let config = Config::parse("[{source_labels: [a], regex: '.*(.)', target_label: b}]", None).unwrap();
        let mut strings = Strings::default();
        let name = strings.intern("a");
        let values: Vec<Id> = (0..REMEMBERED + 10).map(|n| strings.intern(&format!("v{n}"))).collect();
        let mut runner = Runner::new(&config, &strings);
        let b = runner.intern("b");
        let mut labels = Labels::default();
        for (n, value) in values.iter().enumerate() {
            labels.reset([(name, *value)]);
            assert!(runner.run(&mut labels));
            assert_eq!(runner.text(labels.get(b)), (n % 10).to_string());
        }
        assert!(runner.rules[0].by_value.len() <= REMEMBERED);
    }
}
