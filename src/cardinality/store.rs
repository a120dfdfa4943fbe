//! Puts the samples of a body into the tables of a [`Scrape`].
//!
//! Samples of one child stand together in nearly every body, and repeat what the sample before them said. So each family keeps its last
//! child open, and a label is looked up only when it differs from that child's.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::children;
use super::model::{Column, DUPLICATES_KEPT, Exemplar, Family, Found, Id, Member, PROBLEMS_KEPT, Quality, Role, Scrape, Strings};
use crate::formats::exposition::{self, Format, Item, Label, MetricType, Problem, Sample, Severity, Value};

#[derive(Default)]
pub struct Store {
    scrape: Scrape,
    /// Family by its name.
    families: FxHashMap<Id, usize>,
    /// Where samples of a name go.
    bookings: FxHashMap<Id, Booking>,
    last: Option<(Id, Booking)>,
    /// For each family.
    open: Vec<Open>,
    /// A TYPE stood behind samples that it is about.
    late_type: bool,
    /// The name of the body, for what is wrong with it.
    source: Arc<str>,
    /// A label that every series gets, as a server adds `instance`.
    target: Option<(String, String)>,
}

#[derive(Clone, Copy)]
struct Booking {
    family: usize,
    role: Role,
}

/// So many are looked through one by one.
const FEW_COLUMNS: usize = 32;

/// The child of a family that the last sample belonged to.
#[derive(Default)]
struct Open {
    /// For each column of the family.
    cells: Vec<Id>,
    members: Vec<Member>,
    values: Vec<f64>,
    /// Columns of the last sample's labels, in its order.
    order: Vec<usize>,
    /// The column of each name, of families with more than [`FEW_COLUMNS`].
    by_name: FxHashMap<Id, usize>,
    layouts: FxHashMap<Vec<Member>, u32>,
    last_layout: u32,
    /// Members of the child when they were last looked through for duplicates, and what was found.
    looked_through: usize,
    twice: Twice,
    /// Rows of the family when they were last put together.
    united: usize,
    /// Cells of the sample that is being added.
    next: Vec<Id>,
}

/// Samples of one child that were there already.
#[derive(Default)]
struct Twice {
    count: u64,
    /// The first few.
    members: Vec<Member>,
}

impl Twice {
    /// Of the child that was closed last.
    #[inline]
    fn tell(&self, family: &Family, strings: &Strings, quality: &mut Quality) {
        if self.count > 0
            && let Some(child) = family.children().checked_sub(1)
        {
            let series = self.members.iter().map(|member| family.series_text(strings, child, *member)).collect();
            quality.add_duplicates(self.count, series);
        }
    }
}

impl Store {
    pub fn new() -> Self {
        Self::default()
    }

    /// What is added from now on is of another body, called `source`. With a label, its series get that: one of the same name that the endpoint itself serves
    /// gets `exported_` before its name, as Prometheus has it without `honor_labels` (scrape/scrape.go, resolveConflictingExposedLabels).
    pub fn begin_body(&mut self, source: &str, format: Format, target: Option<(&str, &str)>) {
        self.source = source.into();
        self.scrape.quality.format = Some(format);
        self.target = target.map(|(name, value)| (name.to_owned(), value.to_owned()));
    }

    /// An empty one for what is further behind in the same body.
    pub fn for_the_rest(&self) -> Store {
        Store { source: self.source.clone(), target: self.target.clone(), ..Store::default() }
    }

    pub fn count_bytes(&mut self, bytes: usize) {
        self.scrape.quality.bytes += bytes as u64;
    }

    pub fn add(&mut self, item: Item<'_>) {
        match item {
            Item::Sample(sample) => self.sample(&sample),
            Item::Type { name, kind } => {
                let number = self.family(name);
                let family = &mut self.scrape.families[number];
                self.late_type |= family.children() > 0 || !self.open[number].members.is_empty();
                if family.kind == MetricType::Unknown {
                    family.kind = kind;
                }
            }
            Item::Help { name, text } => {
                let (family, text) = (self.family(name), self.scrape.strings.intern(text));
                self.scrape.families[family].help.get_or_insert(text);
            }
            Item::Unit { name, unit } => {
                let (family, unit) = (self.family(name), self.scrape.strings.intern(unit));
                self.scrape.families[family].unit.get_or_insert(unit);
            }
            Item::Problem(problem) => self.problem(problem),
        }
    }

    pub fn problem(&mut self, problem: &Problem) {
        let quality = &mut self.scrape.quality;
        match problem.severity {
            Severity::Warning => quality.warnings += 1,
            Severity::Error => quality.errors += 1,
        }
        if quality.problems.len() < PROBLEMS_KEPT {
            quality.problems.push(Found { source: self.source.clone(), problem: problem.clone() });
        }
    }

    /// A server does not take the body at all, whatever is in it.
    pub fn refuse(&mut self, why: &str) {
        let message = format!("a Prometheus server refuses this scrape: {why}");
        let (offset, line, column, caret) = (0, 0, 0, 0);
        self.problem(&Problem { offset, line, column, message, excerpt: String::new(), caret, severity: Severity::Error });
    }

    fn sample(&mut self, sample: &Sample<'_>) {
        let booking = self.booking(sample);
        self.scrape.quality.samples += 1;
        self.scrape.quality.timestamped += u64::from(sample.timestamp_ms.is_some());
        let (family, open) = (&mut self.scrape.families[booking.family], &mut self.open[booking.family]);
        if is_full(family) {
            self.scrape.quality.left_out += 1;
            return;
        }
        family.bytes += u64::from(sample.length);
        let role = role_of(booking.role, family.kind, sample);
        let mut member = Member { role, bound: Id::EMPTY };
        let bound_label = role.bound_label().unwrap_or_default();

        open.next.clear();
        open.next.resize(family.columns.len(), Id::EMPTY);
        let mut place = 0;
        for label in sample.labels {
            if label.name == bound_label {
                // As a rule that of the same member of the child before.
                let layout = family.layouts.get(open.last_layout as usize);
                let expected = layout.and_then(|layout| layout.get(open.members.len()).or(layout.first()));
                member.bound = match expected {
                    Some(expected) if self.scrape.strings.get(expected.bound) == label.value => expected.bound,
                    _ => self.scrape.strings.intern(label.value),
                };
                continue;
            }
            let exported = self.target.as_ref().filter(|(name, _)| name == label.name).map(|(name, _)| format!("exported_{name}"));
            let label = Label { name: exported.as_deref().unwrap_or(label.name), ..*label };
            open.set(family, &mut self.scrape.strings, place, label);
            place += 1;
        }
        if let Some((name, value)) = &self.target {
            open.set(family, &mut self.scrape.strings, place, Label { name, value });
        }

        if open.next != open.cells || open.members.is_empty() {
            let twice = open.close(family);
            twice.tell(family, &self.scrape.strings, &mut self.scrape.quality);
            if family.children() >= MANY_ROWS.max(2 * open.united) {
                open.unite(family, &self.scrape.strings, &mut self.scrape.quality);
            }
            std::mem::swap(&mut open.cells, &mut open.next);
        }
        open.members.push(member);
        open.values.push(match sample.value {
            Value::Float(value) => value,
            Value::Native(histogram) => histogram.count,
        });
        let child = family.layout.len() as u32;
        if let Value::Native(histogram) = sample.value {
            family.native.push((child, histogram.clone()));
        }
        family.exemplars.extend(sample.exemplars.iter().map(|exemplar| summarize(exemplar, child, member)));
        if open.members.len() >= CROWD.max(2 * open.looked_through) {
            open.look_through();
        }
    }

    /// Where a sample goes: into the family that declares its name, or its name without the suffix of a type.
    fn booking(&mut self, sample: &Sample<'_>) -> Booking {
        if let Some((name, booking)) = self.last
            && self.scrape.strings.get(name) == sample.name
        {
            return booking;
        }
        let name = self.scrape.strings.intern(sample.name);
        let booking = match self.bookings.get(&name) {
            Some(booking) => *booking,
            None => {
                let booking = self.new_booking(sample.name);
                self.bookings.insert(name, booking);
                booking
            }
        };
        self.last = Some((name, booking));
        booking
    }

    fn new_booking(&mut self, name: &str) -> Booking {
        let declared = |name: &str| self.scrape.strings.find(name).and_then(|id| self.families.get(&id).copied());
        let kind = |family: usize| self.scrape.families[family].kind;
        if let Some(family) = declared(name) {
            return Booking { family, role: Role::Plain };
        }
        let by_suffix = SUFFIXES.iter().find_map(|(role, kinds)| {
            let family = declared(name.strip_suffix(role.suffix())?)?;
            kinds.contains(&kind(family)).then_some(Booking { family, role: *role })
        });
        by_suffix.unwrap_or_else(|| Booking { family: self.family(name), role: Role::Plain })
    }

    fn family(&mut self, name: &str) -> usize {
        let name = self.scrape.strings.intern(name);
        *self.families.entry(name).or_insert_with(|| {
            self.scrape.families.push(Family { name, ..Family::default() });
            self.open.push(Open::default());
            self.open.len() - 1
        })
    }

    /// Families without samples are left out; children that came in several pieces are put together.
    pub fn finish(mut self) -> Scrape {
        self.close();
        for (family, open) in self.scrape.families.iter_mut().zip(&mut self.open) {
            open.unite(family, &self.scrape.strings, &mut self.scrape.quality);
        }
        self.scrape.families.retain(|family| family.children() > 0);
        self.scrape
    }

    fn close(&mut self) {
        for (family, open) in self.scrape.families.iter_mut().zip(&mut self.open) {
            let twice = open.close(family);
            twice.tell(family, &self.scrape.strings, &mut self.scrape.quality);
        }
    }

    /// Whether a name that both have means the same to both: where its TYPE stands behind its first samples, one store knows it and the other
    /// does not.
    pub fn agrees(&self, other: &Store) -> bool {
        let agrees = |family: &Family, role: Role| {
            let name = format!("{}{}", other.scrape.text(family.name), role.suffix());
            let booking = self.scrape.strings.find(&name).and_then(|id| self.bookings.get(&id));
            booking.is_none_or(|booking| {
                let own = self.scrape.text(self.scrape.families[booking.family].name);
                own == other.scrape.text(family.name) && booking.role.suffix() == role.suffix()
            })
        };
        let mut typed = other.scrape.families.iter().enumerate().filter(|(_, family)| family.kind != MetricType::Unknown);
        !other.late_type
            && typed.all(|(number, family)| {
                let members = family.layouts.iter().flatten().chain(&other.open[number].members);
                members.map(|member| member.role).all(|role| agrees(family, role))
            })
    }

    /// Adds what another store holds of the same body, further behind. That one may not have seen the `# TYPE` of what it read.
    /// `lines`: how many there are before it.
    pub fn absorb(&mut self, mut other: Store, lines: u64) {
        self.close();
        other.scrape.quality.problems.iter_mut().for_each(|found| found.problem.line += lines);
        other.close();
        let ids: Vec<Id> =
            (0..other.scrape.strings.len()).map(|id| self.scrape.strings.intern(other.scrape.strings.get(Id(id as u32)))).collect();
        for mut family in std::mem::take(&mut other.scrape.families) {
            children::renumber(&mut family, &ids);
            let name = self.scrape.strings.get(family.name).to_owned();
            let booking = match family.kind {
                MetricType::Unknown => self.new_booking(&name),
                _ => Booking { family: self.family(&name), role: Role::Plain },
            };
            let role = match (booking.role, self.scrape.families[booking.family].kind, family.kind) {
                (Role::Plain, MetricType::Summary, MetricType::Unknown) => Role::Quantile,
                (role, ..) => role,
            };
            if role != Role::Plain {
                let bound = role.bound_label().and_then(|label| self.scrape.strings.find(label));
                children::give_role(&mut family, role, bound);
            }
            let into = &mut self.scrape.families[booking.family];
            if into.kind == MetricType::Unknown {
                into.kind = family.kind;
            }
            into.help = into.help.or(family.help);
            into.unit = into.unit.or(family.unit);
            children::append(into, family, &mut self.open[booking.family].layouts);
        }
        self.scrape.quality.add(std::mem::take(&mut other.scrape.quality));
    }
}

impl Open {
    /// Takes over one label of the sample that is being added; `place` is its number among them.
    fn set(&mut self, family: &mut Family, strings: &mut Strings, place: usize, label: Label<'_>) {
        let column = match self.order.get(place) {
            Some(&column) if strings.get(family.columns[column].name) == label.name => column,
            _ => {
                let name = strings.intern(label.name);
                let column = self.column(family, name).unwrap_or_else(|| {
                    family.columns.push(Column { name, cells: vec![Id::EMPTY; family.layout.len()] });
                    family.columns.len() - 1
                });
                self.order.truncate(place);
                self.order.push(column);
                column
            }
        };
        if column >= self.next.len() {
            self.next.resize(column + 1, Id::EMPTY);
            self.cells.resize(column + 1, Id::EMPTY);
        }
        let known = self.cells.get(column).copied().unwrap_or_default();
        self.next[column] = if strings.get(known) == label.value { known } else { strings.intern(label.value) };
    }

    fn column(&mut self, family: &Family, name: Id) -> Option<usize> {
        if family.columns.len() <= FEW_COLUMNS {
            return family.columns.iter().position(|column| column.name == name);
        }
        for column in self.by_name.len()..family.columns.len() {
            self.by_name.insert(family.columns[column].name, column);
        }
        self.by_name.get(&name).copied()
    }

    /// Makes the open child a row; returns those of its samples that were duplicates.
    fn close(&mut self, family: &mut Family) -> Twice {
        if self.members.is_empty() {
            return Twice::default();
        }
        if family.layouts.get(self.last_layout as usize) != Some(&self.members) {
            self.last_layout = match self.layouts.get(&self.members) {
                Some(layout) => *layout,
                None => {
                    self.look_through();
                    children::layout_number(&mut self.layouts, &mut family.layouts, &self.members)
                }
            };
        }
        for (column, cell) in family.columns.iter_mut().zip(&self.cells) {
            column.cells.push(*cell);
        }
        // Columns that are newer than the child.
        let rows = family.layout.len() + 1;
        for column in &mut family.columns[self.cells.len()..] {
            column.cells.resize(rows, Id::EMPTY);
        }
        family.layout.push(self.last_layout);
        family.first_value.push(family.values.len() as u32);
        family.values.append(&mut self.values);
        self.members.clear();
        self.looked_through = 0;
        std::mem::take(&mut self.twice)
    }

    /// Of equal members of the child the first one stays.
    fn look_through(&mut self) {
        let again = remove_duplicates(&mut self.members, &mut self.values);
        self.twice.count += again.len() as u64;
        self.twice.members.extend(again.into_iter().take(DUPLICATES_KEPT.saturating_sub(self.twice.members.len())));
        self.looked_through = self.members.len();
    }

    /// Puts the pieces of each child of the family together, while none is open.
    fn unite(&mut self, family: &mut Family, strings: &Strings, quality: &mut Quality) {
        let (count, twice) = children::unite(family);
        self.united = family.children();
        self.layouts = family.layouts.iter().cloned().zip(0..).collect();
        let series = twice.into_iter().map(|(child, member)| family.series_text(strings, child, member)).collect();
        quality.add_duplicates(count, series);
    }
}

/// A child with more series is looked through for duplicates at times, and a family with more rows for pieces of one child: a body that says
/// the same without end must not fill the memory. Small in tests, so that these get there.
const CROWD: usize = if cfg!(test) { 4 } else { 4096 };
const MANY_ROWS: usize = if cfg!(test) { 8 } else { 4 << 20 };

/// A table with a column for each of thousands of labels is nearly empty, and takes memory by the square of the body.
fn is_full(family: &Family) -> bool {
    family.columns.len() > MANY_LABELS && family.columns.len() * (family.children() + 1) > MOST_CELLS
}

const MANY_LABELS: usize = 128;
/// Of 4 bytes each.
const MOST_CELLS: usize = 32 << 20;

/// Suffixes that samples have, and the types whose samples have them.
const SUFFIXES: [(Role, &[MetricType]); 8] = [
    (Role::Bucket, &[MetricType::Histogram, MetricType::GaugeHistogram]),
    (Role::Sum, &[MetricType::Histogram, MetricType::Summary]),
    (Role::Count, &[MetricType::Histogram, MetricType::Summary]),
    (Role::Total, &[MetricType::Counter]),
    (Role::Created, &[MetricType::Counter, MetricType::Histogram, MetricType::Summary, MetricType::GaugeHistogram]),
    (Role::Info, &[MetricType::Info]),
    (Role::GaugeSum, &[MetricType::GaugeHistogram]),
    (Role::GaugeCount, &[MetricType::GaugeHistogram]),
];

/// The name decides the role, but a summary's own name is that of its quantiles, and a histogram's that of a native one.
fn role_of(booked: Role, kind: MetricType, sample: &Sample<'_>) -> Role {
    match (booked, sample.value) {
        (Role::Plain, Value::Native(_)) => Role::Native,
        (Role::Plain, _) if kind == MetricType::Summary && has_quantile(sample) => Role::Quantile,
        _ => booked,
    }
}

fn has_quantile(sample: &Sample<'_>) -> bool {
    sample.labels.iter().any(|label| label.name == "quantile" && !label.value.is_empty())
}

/// The first of equal members stays; returns the others.
fn remove_duplicates(members: &mut Vec<Member>, values: &mut Vec<f64>) -> Vec<Member> {
    let mut seen = rustc_hash::FxHashSet::default();
    let first: Vec<bool> = members.iter().map(|member| seen.insert(*member)).collect();
    let removed = members.iter().zip(&first).filter(|(_, first)| !**first).map(|(member, _)| *member).collect();
    let mut keep = first.iter();
    members.retain(|_| keep.next().copied().unwrap_or(true));
    let mut keep = first.iter();
    values.retain(|_| keep.next().copied().unwrap_or(true));
    removed
}

fn summarize(exemplar: &exposition::Exemplar<'_>, child: u32, member: Member) -> Exemplar {
    let texts = || exemplar.labels.iter().flat_map(|label| [label.name, label.value]);
    Exemplar {
        child,
        member,
        characters: texts().map(|text| text.chars().count() as u32).sum(),
        bytes: texts().map(|text| text.len() as u32).sum(),
        timestamped: exemplar.timestamp_ms.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::exposition::{Parser, Rules};

    fn read(body: &str) -> Scrape {
        let mut store = Store::new();
        Parser::new(Format::OpenMetrics1, Rules::Prometheus).parse(body.as_bytes(), true, &mut |item| store.add(item));
        store.finish()
    }

    /// Series with their values and exemplars, in order.
    fn told(scrape: &Scrape) -> Vec<String> {
        let mut told = Vec::new();
        for family in &scrape.families {
            for child in 0..family.children() {
                let exemplars = family.exemplars.iter().filter(|exemplar| exemplar.child as usize == child).count();
                let members = family.members(child).iter().zip(family.values(child));
                let series = members.map(|(member, value)| format!("{} {value}", scrape.series_text(family, child, *member)));
                told.extend(series.chain([format!("{exemplars} exemplars")]));
            }
        }
        told
    }

    #[test]
    fn what_is_said_again_and_again_is_kept_once() {
        let child = |a: usize, value: usize| {
            format!(
                "h_bucket{{a=\"{a}\",le=\"1.0\"}} {value} # {{t=\"{a}\"}} 1\nh_bucket{{a=\"{a}\",le=\"+Inf\"}} {value}\nh_count{{a=\"{a}\"}} {value}\n"
            )
        };
        let head = "# TYPE h histogram\n";
        let once: String = (0..5).map(|a| child(a, 1)).collect();
        let plain = read(&format!("{head}{once}# EOF\n"));
        for rounds in 1..40 {
            let again: String = (0..rounds).flat_map(|round| (0..5).map(move |a| child(a, 1 + round))).collect();
            let scrape = read(&format!("{head}{again}# EOF\n"));
            let series = |scrape: &Scrape| told(scrape).into_iter().filter(|line| !line.ends_with("exemplars")).collect::<Vec<_>>();
            assert_eq!(series(&scrape), series(&plain), "{rounds} rounds");
            assert_eq!(scrape.quality.duplicates, 15 * (rounds as u64 - 1));
            assert_eq!(scrape.families[0].exemplars.len(), 5 * rounds);
            assert!(scrape.families[0].exemplars.iter().all(|exemplar| scrape.text(scrape.families[0].columns[0].cells[exemplar.child as usize]).parse() == Ok(exemplar.child)));
            let side_by_side: String = (0..5).map(|a| child(a, 1).repeat(rounds)).collect();
            let scrape = read(&format!("{head}{side_by_side}# EOF\n"));
            assert_eq!(series(&scrape), series(&plain), "{rounds} times");
            assert_eq!(scrape.quality.duplicates, 15 * (rounds as u64 - 1));
            let named = if rounds == 1 { 0 } else { DUPLICATES_KEPT };
            assert_eq!(scrape.quality.duplicate_series.len(), named.min(15), "{rounds}: {:?}", scrape.quality.duplicate_series);
        }
        assert_eq!(told(&plain)[3], "1 exemplars");
    }
}
