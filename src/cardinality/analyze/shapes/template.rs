//! Templates: what stays of values when their ids are taken out, with the regular expression that a relabel rule needs.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::kind::Kind;
use super::{ids, names, net, numbers, paths, time};

/// What several values have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Template {
    /// `/users/:id/orders`, `coredns-*`, `10.0.0.1:*`; a value itself where nothing in it varies.
    pub text: String,
    /// Matches these values whole, in the syntax that RE2 and Rust share; not anchored, as Prometheus anchors it.
    pub regex: String,
    /// Different values that were looked at.
    pub values: u64,
    /// The sum of their weights.
    pub weight: u64,
    /// Whether the template has a variable part.
    pub varies: bool,
}

/// What stands in for a part of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    Integer,
    Uuid,
    Ulid,
    Ksuid,
    /// Hexadecimal digits, this many.
    Hex(usize),
    Digest,
    Date,
    Ipv4,
    Ipv6,
    Email,
    /// Anything but a slash or a question mark.
    Any,
}

impl Class {
    /// The class that one look at a segment is enough for. A number is none: `/2/` may be the version of an interface.
    pub fn of(segment: &str) -> Option<Class> {
        if segment.len() < 7 && !segment.contains([':', '@']) {
            return None;
        }
        let id = match ids::id(segment) {
            Some(Kind::Uuid(_)) => Some(Class::Uuid),
            Some(Kind::Ulid) => Some(Class::Ulid),
            Some(Kind::Ksuid) => Some(Class::Ksuid),
            Some(Kind::Digest) if segment.contains(':') => Some(Class::Digest),
            Some(Kind::ObjectId | Kind::SpanId | Kind::TraceId | Kind::Sha1 | Kind::Digest) if ids::is_hex(segment) => {
                Some(Class::Hex(segment.len()))
            }
            _ => None,
        };
        let other = || match () {
            () if time::time(segment) == Some(Kind::Date) => Some(Class::Date),
            () if net::ip(segment).is_some() && !segment.contains('%') => {
                Some(if segment.contains(':') { Class::Ipv6 } else { Class::Ipv4 })
            }
            () if super::prose::email(segment) => Some(Class::Email),
            () => None,
        };
        id.or_else(other)
    }

    pub fn name(self) -> &'static str {
        match self {
            Class::Uuid => ":uuid",
            Class::Digest | Class::Hex(32..) => ":hash",
            Class::Date => ":date",
            Class::Ipv4 | Class::Ipv6 => ":address",
            Class::Email => ":email",
            Class::Any => ":name",
            Class::Integer | Class::Ulid | Class::Ksuid | Class::Hex(_) => ":id",
        }
    }

    pub fn regex(self) -> String {
        match self {
            Class::Integer => "[0-9]+".to_owned(),
            Class::Uuid => "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}".to_owned(),
            Class::Ulid => "[0-9A-Za-z]{26}".to_owned(),
            Class::Ksuid => "[0-9A-Za-z]{27}".to_owned(),
            Class::Hex(length) => format!("[0-9a-fA-F]{{{length}}}"),
            Class::Digest => "(?:[^/?@]+@)?[0-9a-z]+:[0-9a-fA-F]{32,128}".to_owned(),
            Class::Date => "[0-9]{4}-[0-9]{2}-[0-9]{2}".to_owned(),
            Class::Ipv4 => "[0-9]+\\.[0-9]+\\.[0-9]+\\.[0-9]+".to_owned(),
            Class::Ipv6 => "[0-9a-fA-F.\\[\\]]*:[0-9a-fA-F.:\\[\\]]*".to_owned(),
            Class::Email => "[^/?@]+@[^/?@]+".to_owned(),
            Class::Any => "[^/?]+".to_owned(),
        }
    }

    /// Exactly whether [`Class::regex`] takes this segment, which may be of another class or of none.
    pub fn covers(self, segment: &str) -> bool {
        let alphanumeric = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match self {
            Class::Integer => number(segment),
            Class::Uuid => segment.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && segment.split('-').all(hex),
            Class::Ulid => segment.len() == 26 && alphanumeric(segment),
            Class::Ksuid => segment.len() == 27 && alphanumeric(segment),
            Class::Hex(length) => segment.len() == length && hex(segment),
            Class::Date => segment.split('-').map(str::len).eq([4, 2, 2]) && segment.split('-').all(number),
            Class::Digest => segment.rsplit_once(':').is_some_and(|(name, hash)| {
                let (image, algorithm) = name.rsplit_once('@').unwrap_or(("-", name));
                let lower = algorithm.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase());
                !image.is_empty()
                    && !image.contains(['@', '?'])
                    && lower
                    && !algorithm.is_empty()
                    && (32..=128).contains(&hash.len())
                    && hex(hash)
            }),
            Class::Ipv4 => segment.split('.').count() == 4 && segment.split('.').all(number),
            Class::Ipv6 => segment.contains(':') && segment.bytes().all(|byte| byte.is_ascii_hexdigit() || b".:[]".contains(&byte)),
            Class::Email => segment.split('@').count() == 2 && segment.split('@').all(|part| !part.is_empty() && !part.contains('?')),
            Class::Any => !segment.is_empty() && !segment.contains('?'),
        }
    }
}

/// The classes of one place as one group.
pub fn alternatives(classes: &BTreeSet<Class>) -> String {
    let each: Vec<String> = classes.iter().map(|class| class.regex()).collect();
    if let [one] = &each[..] { one.clone() } else { format!("(?:{})", each.join("|")) }
}

impl Template {
    pub fn new(text: String, regex: String, varies: bool) -> Template {
        Template { text, regex, values: 1, weight: 0, varies }
    }
}

/// The template of one value, by itself: what can be told without other values is taken out. `/users/17` stays as it is; in a column with
/// `/users/18` it does not ([`super::shape`]).
pub fn normalise(value: &str) -> Template {
    if paths::is_path(value) {
        return paths::template_of_one(value);
    }
    let starred = |kept: &str, regex: &str| Template::new(format!("{kept}*"), format!("{}{regex}", regex::escape(kept)), true);
    if let Some(class) = Class::of(value) {
        return Template::new(class.name().to_owned(), class.regex(), true);
    }
    if let Some((kind, kept)) = names::name(value) {
        return match kind {
            Kind::Interface => starred(&value[..kept], "[0-9a-fA-F]{7,12}"),
            Kind::Pod => starred(&value[..=kept], "[bcdfghjklmnpqrstvwxz2-9]{7,10}-[bcdfghjklmnpqrstvwxz2-9]{5}"),
            _ => starred(&value[..=kept], "[0-9]{8,10}(?:-[bcdfghjklmnpqrstvwxz2-9]{5})?"),
        };
    }
    if let Some((host, _)) = net::endpoint(value) {
        return starred(&format!("{host}:"), "[0-9]+");
    }
    if let Some((start, end)) = ids::inside(value) {
        let (before, after) = (&value[..start], &value[end..]);
        let class = if value[start..end].len() == 36 {
            "[0-9a-fA-F]{8}(?:[-_][0-9a-fA-F]{4}){3}[-_][0-9a-fA-F]{12}".to_owned()
        } else {
            Class::Hex(end - start).regex()
        };
        return Template::new(format!("{before}*{after}"), format!("{}{class}{}", regex::escape(before), regex::escape(after)), true);
    }
    Template::new(value.to_owned(), regex::escape(value), false)
}

/// A pod of a DaemonSet: only its fellows tell that its end is random.
pub fn suffixed(value: &str) -> Template {
    let kept = value.len().saturating_sub(5);
    Template::new(format!("{}*", &value[..kept]), format!("{}[bcdfghjklmnpqrstvwxz2-9]{{5}}", regex::escape(&value[..kept])), true)
}

/// A name with a number at its end, which its fellows have, too.
pub fn numbered(value: &str) -> Template {
    let (rest, _) = super::names::cut_number(value);
    Template::new(format!("{rest}*"), format!("{}[0-9]+", regex::escape(rest)), true)
}

/// Adds up equal templates; those with most values first.
pub fn collect(all: impl Iterator<Item = (Template, u64)>) -> Vec<Template> {
    let mut merged: BTreeMap<(String, String), Template> = BTreeMap::new();
    for (template, weight) in all {
        let entry =
            merged.entry((template.text.clone(), template.regex.clone())).or_insert_with(|| Template { values: 0, weight: 0, ..template });
        entry.values += 1;
        entry.weight += weight;
    }
    let mut templates: Vec<Template> = merged.into_values().collect();
    sort(&mut templates);
    templates
}

pub fn sort(templates: &mut [Template]) {
    templates.sort_by(|a, b| b.values.cmp(&a.values).then_with(|| a.text.cmp(&b.text)));
}

/// How templates and values fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Check {
    /// Values that no template matches.
    pub unmatched: u64,
    /// Values that more than one matches: two templates are not told apart.
    pub ambiguous: u64,
    /// Templates that match another number of values than they were made from.
    pub miscounted: u64,
}

impl Check {
    /// Each value is matched by one template, and each template by the values it was made from.
    pub fn is_exact(self) -> bool {
        self == Check::default()
    }
}

/// Runs the regular expressions over values: all of those that the templates were made from.
pub fn verify<'a>(templates: &[Template], values: impl Iterator<Item = &'a str>) -> Check {
    let fixed: BTreeMap<&str, usize> = templates
        .iter()
        .enumerate()
        .filter(|(_, template)| !template.varies)
        .map(|(index, template)| (template.text.as_str(), index))
        .collect();
    let varying: Vec<(usize, Option<Regex>)> = templates
        .iter()
        .enumerate()
        .filter(|(_, template)| template.varies)
        .map(|(index, template)| (index, Regex::new(&format!("^(?s:{})$", template.regex)).ok()))
        .collect();
    let mut counts = vec![0_u64; templates.len()];
    let mut check = Check::default();
    for value in values {
        let fixed = fixed.get(value).copied();
        let varying =
            varying.iter().filter(|(_, regex)| regex.as_ref().is_some_and(|regex| regex.is_match(value))).map(|(index, _)| *index);
        let matching: Vec<usize> = fixed.into_iter().chain(varying).collect();
        check.unmatched += u64::from(matching.is_empty());
        check.ambiguous += u64::from(matching.len() > 1);
        matching.iter().for_each(|index| counts[*index] += 1);
    }
    check.miscounted = templates.iter().zip(&counts).filter(|(template, count)| template.values != **count).count() as u64;
    check
}

/// Whether a segment is a number that can be an id.
pub fn is_number(segment: &str) -> bool {
    numbers::is_integer(segment) && !segment.starts_with('-')
}
