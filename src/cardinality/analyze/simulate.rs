//! What a relabel configuration does to a scrape: each series run through each rule, as a server would, and what is lost on the way.

mod bounds;
mod harm;
mod idle;
mod text;

use hashbrown::HashTable;
use rustc_hash::FxHashMap;

use crate::cardinality::model::{Family, Id, Role, Scrape};
use crate::cardinality::relabel::{Action, Applies, Config, Labels, Rule, Runner};
use crate::formats::exposition::MetricType;

pub use harm::{Harm, Harmed};
pub use idle::Idle;

/// Pairs of series that become one, named for each rule.
pub const EXAMPLES: usize = 5;

/// `series` are those that a server would store, one sample each in a scrape.
#[derive(Debug, Clone, Default)]
pub struct Simulation {
    /// In the order of the configuration.
    pub rules: Vec<RuleEffect>,
    pub total: Total,
    /// Those that some rule did something to, in the order of the scrape.
    pub families: Vec<FamilyEffect>,
    /// At most [`EXAMPLES`] for each rule; `RuleEffect::merged` counts all.
    pub collisions: Vec<Collision>,
    /// The first series that the server would refuse, and with it the whole scrape.
    pub refused: Option<Refusal>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleEffect {
    /// In the file.
    pub line: u64,
    pub action: Action,
    /// Series that no rule before it has dropped.
    pub series_in: u64,
    /// Series that its expression or comparison fits; for rules about names, that have a label which fits.
    pub matched: u64,
    /// Series whose labels it made others.
    pub changed: u64,
    pub dropped: u64,
    /// Series lost because this rule made their labels equal to those of another that is kept. A server notices that only after the last
    /// rule, so later rules still see them.
    pub merged: u64,
    /// What is odd about it: why it did nothing, or not what it seems to say.
    pub idle: Option<Idle>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Total {
    pub series_in: u64,
    pub dropped: u64,
    /// Series that are left and that some rule changed.
    pub changed: u64,
    /// Series lost because an earlier one ended with the same labels: the server keeps the first sample of each scrape and says nothing.
    pub merged: u64,
    /// Series without a metric name or with a name that is not allowed.
    pub invalid: u64,
    /// One such is enough for the server to refuse the whole scrape: then all that is not dropped or merged.
    pub refused: u64,
    /// `series_in` less `dropped`, `merged` and `refused`.
    pub series_left: u64,
    /// Names and values of the labels of all series, `__name__` included, as text.
    pub label_bytes_in: u64,
    pub label_bytes_left: u64,
}

/// What happens to one family.
#[derive(Debug, Clone, PartialEq)]
pub struct FamilyEffect {
    pub name: String,
    pub kind: MetricType,
    pub series_in: u64,
    pub dropped: u64,
    pub changed: u64,
    pub merged: u64,
    /// Where its series no longer fit together.
    pub harms: Vec<Harmed>,
}

/// Two series that become one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collision {
    /// Index of the rule after which they are equal.
    pub rule: usize,
    /// As `name{label="value"}`, before any rule.
    pub kept: String,
    pub lost: String,
    /// After all rules.
    pub result: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Before any rule.
    pub series: String,
    /// After all rules.
    pub result: String,
}

impl FamilyEffect {
    /// No series of it is left, under whatever name.
    pub fn is_gone(&self) -> bool {
        self.dropped == self.series_in
    }
}

impl Simulation {
    /// Metrics of which nothing is left, those with most series first.
    pub fn gone(&self) -> Vec<&FamilyEffect> {
        let mut gone: Vec<&FamilyEffect> = self.families.iter().filter(|family| family.is_gone()).collect();
        gone.sort_by_key(|family| std::cmp::Reverse(family.series_in));
        gone
    }

    /// Metrics that are left, and answer less than before.
    pub fn poorer(&self) -> usize {
        self.families.iter().filter(|family| !family.is_gone() && !family.harms.is_empty()).count()
    }

    /// No series is lost to another, no family broken, nothing refused: what is left means what it meant.
    pub fn is_harmless(&self) -> bool {
        let wrong = |family: &FamilyEffect| family.harms.iter().any(|harmed| harmed.harm.is_wrong());
        self.total.merged == 0 && self.total.refused == 0 && !self.families.iter().any(wrong)
    }
}

/// Runs `config` over all series of `scrape`. Takes time and memory linear in the number of series.
pub fn simulate(scrape: &Scrape, config: &Config) -> Simulation {
    let mut run = Run::new(scrape, config);
    for index in 0..scrape.families.len() {
        run.family(index);
    }
    run.finish()
}

/// Where a series is in a scrape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct At {
    family: u32,
    child: u32,
    /// Index into the members of the child.
    member: u32,
}

struct Kept {
    hash: u64,
    at: At,
}

/// What became of a series.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Dropped { rule: usize },
    Left(Left),
}

#[derive(Debug, Clone, Copy)]
struct Left {
    /// The first rule that changed it.
    changed: Option<usize>,
    /// The rule that made it equal to another series, which is kept in its place.
    merged: Option<usize>,
    /// The metric, as it is called now.
    name: Id,
    /// The value of `le` or `quantile`, where it had one, as it is now.
    bound: Id,
    /// Hash of all other labels.
    rest: u64,
}

struct Run<'a> {
    scrape: &'a Scrape,
    config: &'a Config,
    runner: Runner<'a>,
    /// How many to run: rules about targets are not run over samples by any server.
    rules: usize,
    /// No rule changes labels, so no two series can become equal.
    only_drops: bool,
    kept: HashTable<Kept>,
    slots: Vec<Slots>,
    known: Known,
    /// The name of a metric without the end that a role gives it.
    bases: FxHashMap<(Id, Role), Option<Id>>,
    result: Simulation,
    /// Scratch.
    labels: Labels,
    pair: [Labels; 2],
}

/// Labels with a meaning of their own.
struct Known {
    name: Id,
    le: Id,
    quantile: Id,
}

/// In which order the labels of a family's series come, and what its series are called.
struct Slots {
    /// By name, as Prometheus has them.
    order: Vec<Slot>,
    names: FxHashMap<Role, Id>,
}

#[derive(Clone, Copy)]
enum Slot {
    Name,
    /// `le` or `quantile`, for roles that have it.
    Bound(Id, &'static str),
    Column(usize),
}

impl<'a> Run<'a> {
    fn new(scrape: &'a Scrape, config: &'a Config) -> Self {
        let mut runner = Runner::new(config, &scrape.strings);
        let known = Known { name: runner.intern("__name__"), le: runner.intern("le"), quantile: runner.intern("quantile") };
        let slots = scrape.families.iter().map(|family| Slots::new(scrape, family, &known, &mut runner)).collect();
        let drops = |action| matches!(action, Action::Keep | Action::Drop | Action::KeepEqual | Action::DropEqual);
        Run {
            scrape,
            config,
            runner,
            rules: if config.applies == Applies::Targets { 0 } else { config.rules.len() },
            only_drops: config.rules.iter().all(|rule| drops(rule.action)),
            kept: HashTable::new(),
            slots,
            known,
            bases: FxHashMap::default(),
            result: Simulation { rules: config.rules.iter().map(RuleEffect::new).collect(), ..Simulation::default() },
            labels: Labels::default(),
            pair: Default::default(),
        }
    }

    fn family(&mut self, index: usize) {
        let scrape = self.scrape;
        let family = &scrape.families[index];
        let mut effect = FamilyEffect::new(scrape.text(family.name), family);
        let mut harms = harm::Harms::new(scrape, family);
        let mut fates = Vec::new();
        for child in 0..family.children() {
            fates.clear();
            for member in 0..family.members(child).len() {
                let fate = self.series(At { family: index as u32, child: child as u32, member: member as u32 });
                effect.count(&fate);
                fates.push(fate);
            }
            harms.child(child, &fates, |name, role| self.base_name(name, role));
        }
        effect.harms = harms.finish();
        if effect.dropped + effect.changed + effect.merged > 0 {
            self.result.families.push(effect);
        }
    }

    fn series(&mut self, at: At) -> Fate {
        let mut labels = std::mem::take(&mut self.labels);
        self.load(at, &mut labels);
        let bytes_in = self.bytes(&labels);
        self.result.total.series_in += 1;
        self.result.total.label_bytes_in += bytes_in;
        let fate = match self.run(&mut labels) {
            Err(rule) => {
                self.result.total.dropped += 1;
                Fate::Dropped { rule }
            }
            Ok(changed) => self.store(at, &labels, changed, bytes_in),
        };
        self.labels = labels;
        fate
    }

    /// Returns the first rule that changed the series, or fails with the one that dropped it.
    fn run(&mut self, labels: &mut Labels) -> Result<Option<usize>, usize> {
        let (mut first, mut last) = (None, 0);
        for rule in 0..self.rules {
            let step = self.runner.step(rule, labels);
            let effect = &mut self.result.rules[rule];
            effect.series_in += 1;
            effect.matched += u64::from(step.matched);
            if step.changed {
                effect.changed += 1;
                first.get_or_insert(rule);
                last = rule;
            }
            if step.dropped {
                effect.dropped += 1;
                return Err(rule);
            }
        }
        // A sample without any label is passed over without an error: append in scrape/scrape.go.
        if labels.pairs().is_empty() && first.is_some() {
            self.result.rules[last].dropped += 1;
            return Err(last);
        }
        Ok(first)
    }

    /// What the server makes of a series that no rule dropped.
    fn store(&mut self, at: At, labels: &Labels, changed: Option<usize>, bytes_in: u64) -> Fate {
        let member = self.scrape.families[at.family as usize].members(at.child as usize)[at.member as usize];
        let bound_label = match member.role.bound_label() {
            None => Id::EMPTY,
            Some("le") => self.known.le,
            Some(_) => self.known.quantile,
        };
        // Hashes of the pairs, added up, do not depend on their order.
        let (mut rest, mut own) = (0u64, 0u64);
        let (mut name, mut bound) = (Id::EMPTY, Id::EMPTY);
        for pair in labels.pairs() {
            let sum = if pair.0 == self.known.name || pair.0 == bound_label { &mut own } else { &mut rest };
            *sum = sum.wrapping_add(pair_hash(*pair));
            if pair.0 == self.known.name {
                name = pair.1;
            } else if pair.0 == bound_label {
                bound = pair.1;
            }
        }
        let mut left = Left { changed, merged: None, name, bound, rest };
        if changed.is_some() && self.config.applies == Applies::Samples && !self.is_allowed(name, labels) {
            self.result.total.invalid += 1;
            if self.result.refused.is_none() {
                let (series, result) = (self.original(at), self.written(labels));
                self.result.refused = Some(Refusal { series, result });
            }
            return Fate::Left(left);
        }
        if !self.only_drops {
            left.merged = self.keep(at, rest.wrapping_add(own), labels);
        }
        if left.merged.is_some() {
            self.result.total.merged += 1;
        } else {
            self.result.total.changed += u64::from(changed.is_some());
            self.result.total.series_left += 1;
            self.result.total.label_bytes_left += if changed.is_some() { self.bytes(labels) } else { bytes_in };
        }
        Fate::Left(left)
    }

    /// Notes that a series with these labels is kept; or, where one with the same labels is already, returns the rule that made them equal.
    fn keep(&mut self, at: At, hash: u64, labels: &Labels) -> Option<usize> {
        let mut kept = std::mem::take(&mut self.kept);
        let mut rule = None;
        // An equal hash is not believed: the other series is run again, and its labels compared.
        let found = kept.find(hash, |other| {
            other.hash == hash && {
                let equal = self.equal_after(other.at, at);
                rule = equal.flatten();
                equal.is_some()
            }
        });
        let first = found.map(|other| other.at);
        if first.is_none() {
            kept.insert_unique(hash, Kept { hash, at }, |other| other.hash);
        }
        self.kept = kept;
        let rule = rule?;
        self.result.rules[rule].merged += 1;
        if self.result.rules[rule].merged <= EXAMPLES as u64 {
            let (kept, lost) = (first.map_or_else(String::new, |first| self.original(first)), self.original(at));
            self.result.collisions.push(Collision { rule, kept, lost, result: self.written(labels) });
        }
        Some(rule)
    }

    /// Whether two series have the same labels after all rules, and if so after which for the first time: none where they had from the
    /// start, which is nothing that a rule did.
    fn equal_after(&mut self, first: At, second: At) -> Option<Option<usize>> {
        let mut pair = std::mem::take(&mut self.pair);
        self.load(first, &mut pair[0]);
        self.load(second, &mut pair[1]);
        let mut since = pair[0].same(&pair[1]).then_some(None);
        for rule in 0..self.rules {
            self.runner.step(rule, &mut pair[0]);
            self.runner.step(rule, &mut pair[1]);
            since = match pair[0].same(&pair[1]) {
                true => since.or(Some(Some(rule))),
                false => None,
            };
        }
        self.pair = pair;
        since
    }

    fn load(&self, at: At, labels: &mut Labels) {
        let family = &self.scrape.families[at.family as usize];
        let child = at.child as usize;
        let member = family.members(child)[at.member as usize];
        let slots = &self.slots[at.family as usize];
        let bound_label = member.role.bound_label();
        labels.reset(slots.order.iter().filter_map(|slot| match *slot {
            Slot::Name => Some((self.known.name, slots.names.get(&member.role).copied().unwrap_or_default())),
            Slot::Bound(label, text) if bound_label == Some(text) => Some((label, member.bound)),
            Slot::Bound(..) => None,
            Slot::Column(column) => Some((family.columns[column].name, family.columns[column].cells[child])),
        }));
    }

    fn is_allowed(&self, name: Id, labels: &Labels) -> bool {
        let names = self.config.names;
        names.allow_metric(self.runner.text(name)) && labels.pairs().iter().all(|(label, _)| names.allow_label(self.runner.text(*label)))
    }

    fn bytes(&self, labels: &Labels) -> u64 {
        labels.pairs().iter().map(|(name, value)| (self.runner.text(*name).len() + self.runner.text(*value).len()) as u64).sum()
    }

    fn written(&self, labels: &Labels) -> String {
        text::series(labels.pairs().iter().map(|(name, value)| (self.runner.text(*name), self.runner.text(*value))))
    }

    fn original(&self, at: At) -> String {
        let mut labels = Labels::default();
        self.load(at, &mut labels);
        self.written(&labels)
    }

    fn base_name(&mut self, name: Id, role: Role) -> Option<Id> {
        if let Some(base) = self.bases.get(&(name, role)) {
            return *base;
        }
        let base = self.runner.text(name).strip_suffix(role.suffix()).map(str::to_owned);
        let base = base.map(|base| self.runner.intern(&base));
        self.bases.insert((name, role), base);
        base
    }

    fn finish(mut self) -> Simulation {
        let total = &mut self.result.total;
        if total.invalid > 0 {
            total.refused = total.series_in - total.dropped - total.merged;
            (total.changed, total.series_left, total.label_bytes_left) = (0, 0, 0);
        }
        for (index, effect) in self.result.rules.iter_mut().enumerate() {
            effect.idle = idle::why(self.scrape, self.config, index, effect);
        }
        self.result
    }
}

impl Slots {
    fn new(scrape: &Scrape, family: &Family, known: &Known, runner: &mut Runner<'_>) -> Self {
        let mut roles: Vec<Role> = family.layouts.iter().flatten().map(|member| member.role).collect();
        roles.sort_unstable();
        roles.dedup();
        let mut order: Vec<(&str, Slot)> = vec![("__name__", Slot::Name)];
        let bounds = [(known.le, "le"), (known.quantile, "quantile")];
        let has = |text| roles.iter().any(|role| role.bound_label() == Some(text));
        order.extend(bounds.into_iter().filter(|(_, text)| has(*text)).map(|(id, text)| (text, Slot::Bound(id, text))));
        order.extend(family.columns.iter().enumerate().map(|(column, labels)| (scrape.text(labels.name), Slot::Column(column))));
        order.sort_by_key(|(name, _)| *name);
        let names = roles.iter().map(|role| (*role, runner.intern(&scrape.series_name(family, *role)))).collect();
        Slots { order: order.into_iter().map(|(_, slot)| slot).collect(), names }
    }
}

impl RuleEffect {
    fn new(rule: &Rule) -> Self {
        let (line, action) = (rule.line, rule.action);
        RuleEffect { line, action, series_in: 0, matched: 0, changed: 0, dropped: 0, merged: 0, idle: None }
    }
}

impl FamilyEffect {
    fn new(name: &str, family: &Family) -> Self {
        let (kind, series_in) = (family.kind, family.series());
        FamilyEffect { name: name.to_owned(), kind, series_in, dropped: 0, changed: 0, merged: 0, harms: Vec::new() }
    }

    fn count(&mut self, fate: &Fate) {
        match fate {
            Fate::Dropped { .. } => self.dropped += 1,
            Fate::Left(left) if left.merged.is_some() => self.merged += 1,
            Fate::Left(left) => self.changed += u64::from(left.changed.is_some()),
        }
    }
}

fn pair_hash((name, value): (Id, Id)) -> u64 {
    let both = u64::from(name.0) << 32 | u64::from(value.0);
    let product = u128::from(both ^ 0x9E37_79B9_7F4A_7C15) * 0xD6E8_FEB8_6659_FD93;
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests;
