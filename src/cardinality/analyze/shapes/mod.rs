//! What the values of a label are, told by looking at them and never at the label's name.
//!
//! A wrong word here sends somebody to change a label that is fine, so a kind must be certain: by form where a value has one (a UUID), by the
//! column where only all together tell (numbers, random suffixes). The rest are words.

mod drift;
mod ids;
mod kind;
mod names;
mod net;
mod numbers;
mod paths;
mod prose;
mod template;
mod time;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;

use rustc_hash::FxHasher;

pub use drift::Spellings;
pub use kind::{Advice, Bounded, Kind, Unit};
pub use paths::is_garbage;
pub use template::{Check, Template, normalise, verify};

/// About so many values of a label are looked at: of more, those with the lowest hashes, so that neither order nor scrape matters.
pub const LOOKED_AT: usize = 5_000;

#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// What most of the values are.
    pub kind: Kind,
    /// Of the values looked at, 0 to 1.
    pub share: f64,
    /// More than one value in twenty is of another kind.
    pub mixed: bool,
    /// All kinds with their number of values, most first.
    pub kinds: Vec<(Kind, u64)>,
    /// What values have in common when ids are cut out, most values first; empty where nothing would be left, and where nothing varies.
    pub templates: Vec<Template>,
    /// Paths that only scanners ask for; not among the templates.
    pub garbage: u64,
    /// Values that mean the same, in several spellings.
    pub drift: Vec<Spellings>,
    pub bounded: Bounded,
    pub advice: Advice,
    /// Up to three values; of mail addresses and secrets only the start.
    pub examples: Vec<String>,
    /// Different values looked at, of so many.
    pub looked_at: u64,
    pub values: u64,
}

/// What one value is as far as it tells itself.
enum Form {
    Known(Kind),
    Path,
    Integer,
    Float,
    Word,
}

/// The different values of a label, each with the number of series that have it. An empty one means that the label is absent, and is not
/// counted.
pub fn shape(all: &[(&str, u64)]) -> Shape {
    let present = all.iter().filter(|(value, _)| !value.is_empty());
    let total = present.clone().count() as u64;
    let values: Vec<(&str, u64)> = present.copied().filter(|(value, _)| is_looked_at(value, total)).collect();
    if values.is_empty() {
        return Shape::empty(total);
    }
    if drift::is_boolean(&values) {
        return Shape::new(vec![(Kind::Boolean, values.len() as u64)], &values, total, Vec::new(), 0, drift::of_booleans(&values));
    }
    let column = Column::sort(&values, total);
    let mut templates = Vec::new();
    let paths = column.paths(&mut templates);
    let mut kinds = column.kinds;
    kinds.extend(paths);
    let mut kinds: Vec<(Kind, u64)> = kinds.into_iter().filter(|(_, count)| *count > 0).collect();
    kinds.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    templates.extend(column.templates);
    if templates.iter().all(|template| !template.varies) {
        templates.clear();
    }
    template::sort(&mut templates);
    let plain = kinds.iter().all(|(kind, _)| matches!(kind, Kind::Enum | Kind::Words | Kind::Text));
    let drift = if plain { drift::of_words(&values) } else { Vec::new() };
    Shape::new(kinds, &values, total, templates, column.garbage, drift)
}

fn is_looked_at(value: &str, total: u64) -> bool {
    if total <= LOOKED_AT as u64 {
        return true;
    }
    let mut hasher = FxHasher::default();
    hasher.write(value.as_bytes());
    let hash = hasher.finish().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    hash * total < (LOOKED_AT as u64) << 32
}

/// The values of a column, by what they are.
#[derive(Default)]
struct Column<'a> {
    kinds: BTreeMap<Kind, u64>,
    paths: Vec<(&'a str, u64)>,
    garbage: u64,
    templates: Vec<Template>,
}

impl<'a> Column<'a> {
    fn sort(values: &[(&'a str, u64)], total: u64) -> Column<'a> {
        let mut column = Column::default();
        let (mut integers, mut floats, mut words, mut uuids) = (Vec::new(), Vec::new(), Vec::new(), BTreeMap::<u8, u64>::new());
        let mut ending = Vec::new();
        for &(value, weight) in values {
            match form(value) {
                Form::Known(Kind::Uuid(Some(version))) => *uuids.entry(version).or_default() += 1,
                Form::Known(kind) => {
                    *column.kinds.entry(kind).or_default() += 1;
                    if matches!(kind, Kind::Pod | Kind::Job | Kind::Interface | Kind::NameWithId) {
                        ending.push((normalise(value), weight));
                    }
                }
                Form::Path if paths::is_garbage(value) => column.garbage += 1,
                Form::Path => column.paths.push((value, weight)),
                Form::Integer => integers.push(value),
                Form::Float => floats.push(value),
                Form::Word => words.push((value, weight)),
            }
        }
        // With others among them, those with a version have it by chance.
        if let Some(others) = column.kinds.remove(&Kind::Uuid(None)) {
            uuids.insert(0, others);
        }
        column.bare_uuids(values, &mut uuids);
        column.random_hex(values, &mut words);
        column.traces(values);
        column.clients(values, &mut ending);
        if !uuids.is_empty() {
            let version = if uuids.len() == 1 { uuids.keys().next().copied().filter(|version| *version > 0) } else { None };
            column.kinds.insert(Kind::Uuid(version), uuids.values().sum());
        }
        if !floats.is_empty() {
            let all: Vec<&str> = floats.iter().chain(&integers).copied().collect();
            let kind = match () {
                () if numbers::are_versions(&floats) => Kind::Version,
                () if numbers::are_bounds(&all) => Kind::Bounds,
                () => Kind::Floats,
            };
            *column.kinds.entry(kind).or_default() += (floats.len() + integers.len()) as u64;
        } else if !integers.is_empty() {
            *column.kinds.entry(numbers::integers(&integers, total)).or_default() += integers.len() as u64;
        }
        column.words(&words, &mut ending);
        column.templates = template::collect(ending.into_iter());
        column
    }

    /// 32 digits are UUIDs where at least eight of them, and all, have version and variant in their places: by chance one in 32 does.
    fn bare_uuids(&mut self, values: &[(&str, u64)], uuids: &mut BTreeMap<u8, u64>) {
        let bare: Vec<Option<u8>> = values
            .iter()
            .filter(|(value, _)| value.len() == 32 && ids::is_random_hex(value))
            .map(|(value, _)| ids::bare_uuid(value))
            .collect();
        if bare.len() >= 8 && bare.iter().all(Option::is_some) && self.kinds.get(&Kind::TraceId) == Some(&(bare.len() as u64)) {
            self.kinds.remove(&Kind::TraceId);
            bare.into_iter().flatten().for_each(|version| *uuids.entry(version).or_default() += 1);
        }
    }

    /// The first digits of ObjectIds are a time. Where others of that length have none, these have theirs by chance.
    fn random_hex(&mut self, values: &[(&'a str, u64)], words: &mut Vec<(&'a str, u64)>) {
        let others = words.iter().filter(|(word, _)| word.len() == 24 && ids::is_mixed_hex(word)).count() as u64;
        if others * 10 > self.kinds.get(&Kind::ObjectId).copied().unwrap_or(u64::MAX / 10) {
            self.kinds.remove(&Kind::ObjectId);
            words.extend(values.iter().filter(|(value, _)| ids::id(value) == Some(Kind::ObjectId)));
        }
    }

    /// Ids of traces are random from the first digit on, and there are several; names of ports and disks share their maker's digits.
    fn traces(&mut self, values: &[(&str, u64)]) {
        for (kind, length) in [(Kind::TraceId, 32), (Kind::SpanId, 16)] {
            let ids = values.iter().map(|(value, _)| *value).filter(|value| value.len() == length && ids::is_random_hex(value));
            let starts: BTreeSet<&str> = ids.clone().map(|id| &id[..4]).collect();
            let count = ids.count() as u64;
            if self.kinds.contains_key(&kind) && count > 0 && (count < 5 || starts.len() as u64 * 10 < count.min(1000) * 8) {
                let traces = self.kinds.remove(&kind).unwrap_or_default();
                *self.kinds.entry(Kind::Hex).or_default() += count;
                self.kinds.insert(kind, traces - count);
            }
        }
    }

    /// Endpoints are of clients where half of the ports are ephemeral.
    fn clients(&mut self, values: &[(&str, u64)], ending: &mut Vec<(Template, u64)>) {
        let Some(count) = self.kinds.get(&Kind::Endpoint).copied() else { return };
        let endpoints = || values.iter().filter_map(|(value, weight)| net::endpoint(value).map(|(_, port)| (*value, port, *weight)));
        let ephemeral = endpoints().filter(|(_, port, _)| *port >= net::EPHEMERAL).count() as u64;
        if count >= 5 && ephemeral * 2 >= count {
            self.kinds.remove(&Kind::Endpoint);
            self.kinds.insert(Kind::ClientEndpoint, count);
            ending.extend(endpoints().map(|(value, _, weight)| (normalise(value), weight)));
        }
    }

    /// Tells random words from others, which takes several of them.
    fn words(&mut self, words: &[(&'a str, u64)], ending: &mut Vec<(Template, u64)>) {
        let mut left: Vec<&str> = words.iter().map(|(word, _)| *word).filter(|word| !word.trim().contains(' ')).collect();
        *self.kinds.entry(Kind::Text).or_default() += (words.len() - left.len()) as u64;
        let weights: BTreeMap<&str, u64> = words.iter().copied().collect();
        for (kind, find) in [
            (Kind::Pod, names::suffixed as fn(&[&'a str]) -> Vec<&'a str>),
            (Kind::Ordinal, names::ordinals),
            (Kind::Hex, names::short_hashes),
            (Kind::HexId, names::long_hashes),
            (Kind::NumberedName, names::numbered),
            (Kind::Token, names::tokens),
        ] {
            let found: BTreeSet<&str> = find(&left).into_iter().collect();
            *self.kinds.entry(kind).or_default() += found.len() as u64;
            if kind == Kind::Pod {
                ending.extend(found.iter().map(|name| (template::suffixed(name), weights[name])));
            }
            if kind == Kind::NumberedName {
                ending.extend(found.iter().map(|name| (template::numbered(name), weights[name])));
            }
            left.retain(|word| !found.contains(word));
        }
        let kind = if left.len() <= 50 { Kind::Enum } else { Kind::Words };
        *self.kinds.entry(kind).or_default() += left.len() as u64;
    }

    /// Paths are of one kind, with ids when one in twenty has them.
    fn paths(&self, templates: &mut Vec<Template>) -> Option<(Kind, u64)> {
        let count = self.paths.len() as u64 + self.garbage;
        if count == 0 {
            return None;
        }
        *templates = paths::induce(&self.paths);
        let with_ids: u64 = templates.iter().filter(|template| template.varies).map(|template| template.values).sum();
        Some((if with_ids > 0 && with_ids * 20 >= count { Kind::PathWithIds } else { Kind::Path }, count))
    }
}

fn form(value: &str) -> Form {
    if let Some(kind) = prose::text(value).or_else(|| ids::id(value)).or_else(|| net::address(value)).or_else(|| time::time(value)) {
        return Form::Known(kind);
    }
    if prose::email(value) {
        return Form::Known(Kind::Email);
    }
    if paths::is_path(value) {
        return Form::Path;
    }
    if numbers::is_integer(value) {
        return Form::Integer;
    }
    if numbers::is_float(value) {
        return Form::Float;
    }
    if let Some((kind, _)) = names::name(value) {
        return Form::Known(kind);
    }
    if prose::error(value) {
        return Form::Known(Kind::ErrorText);
    }
    if ids::inside(value).is_some() && !value.contains(' ') {
        return Form::Known(Kind::NameWithId);
    }
    if prose::version(value) { Form::Known(Kind::Version) } else { Form::Word }
}

impl Shape {
    fn empty(values: u64) -> Shape {
        Shape::new(vec![(Kind::Empty, 0)], &[], values, Vec::new(), 0, Vec::new())
    }

    fn new(
        kinds: Vec<(Kind, u64)>,
        values: &[(&str, u64)],
        total: u64,
        templates: Vec<Template>,
        garbage: u64,
        drift: Vec<Spellings>,
    ) -> Shape {
        let looked_at = values.len() as u64;
        let (kind, count) = kinds.first().copied().unwrap_or((Kind::Empty, 0));
        let share = if looked_at == 0 { 0.0 } else { count as f64 / looked_at as f64 };
        // Of the whole column as many as of those looked at.
        let scaled = |count: u64| if looked_at == 0 { 0 } else { (u128::from(count) * u128::from(total) / u128::from(looked_at)) as u64 };
        let unbounded = kinds.iter().any(|(kind, count)| *count * 20 >= looked_at && kind.bounded(scaled(*count)) == Bounded::Unbounded);
        let bounded = match kind.bounded(scaled(count)) {
            _ if garbage > 0 || unbounded => Bounded::Unbounded,
            Bounded::Bounded if count < looked_at && kinds.iter().any(|(kind, count)| kind.bounded(*count) != Bounded::Bounded) => {
                Bounded::Unknown
            }
            bounded => bounded,
        };
        let advice = match kind {
            _ if !drift.is_empty() => Advice::OneSpelling,
            Kind::Floats if bounded != Bounded::Unbounded => Advice::Nothing,
            Kind::Path if garbage > 0 => Advice::RoutePattern,
            kind => kind.advice(),
        };
        let private = kinds.iter().any(|(kind, _)| kind.is_private());
        let examples = values.iter().take(3).map(|(value, _)| example(value, private)).collect();
        Shape {
            kind,
            share,
            mixed: share < 0.95 && looked_at > 0,
            kinds,
            templates,
            garbage,
            drift,
            bounded,
            advice,
            examples,
            looked_at,
            values: total,
        }
    }
}

/// At most 120 characters.
fn example(value: &str, private: bool) -> String {
    let length = if private { 3.min(value.chars().count() / 2) } else { 120 };
    let mut short: String = value.chars().take(length).collect();
    if short.len() < value.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests;
