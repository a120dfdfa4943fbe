//! Paths and URLs: templates for whole columns, made place by place.
//!
//! Two templates never match one value: all ids of a place become one variable, and a fixed word that the variable's expression would take
//! becomes part of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use super::template::{self, Class, Template};

/// `/…`, `GET /…`, `https://…`; without blanks otherwise.
pub fn is_path(value: &str) -> bool {
    const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
    let path = value.split_once(' ').filter(|(method, _)| METHODS.contains(method)).map_or(value, |(_, path)| path);
    let schemed = path.split_once("://").is_some_and(|(scheme, rest)| {
        !rest.is_empty() && !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'+')
    });
    (path.starts_with('/') || schemed) && !path.contains([' ', '\n', '\t'])
}

/// What scanners ask for.
pub fn is_garbage(value: &str) -> bool {
    static SIGNS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let words =
            r"\.php|\.asp|\.cgi|/cgi-bin|/wp-|/\.env|/\.git/|/\.aws|/\.ssh|/\.\.|/etc/passwd|phpmyadmin|%2e%2e|%00|\\x|<script|/boaform";
        Regex::new(&format!("(?i){words}")).ok()
    });
    SIGNS.as_ref().is_some_and(|signs| signs.is_match(value))
}

/// By the segments alone, without other values.
pub fn template_of_one(value: &str) -> Template {
    induce(&[(value, 0)]).pop().unwrap_or_else(|| Template::new(value.to_owned(), regex::escape(value), false))
}

/// Templates of different paths, with their weights: with most values first.
pub fn induce(values: &[(&str, u64)]) -> Vec<Template> {
    let split = |(value, weight): &(&'_ str, u64)| {
        let (path, query) = value.split_once('?').map_or((*value, false), |(path, _)| (path, true));
        (path.len(), query, *weight)
    };
    let paths: Vec<Path> = values
        .iter()
        .map(|value| {
            let (end, query, weight) = split(value);
            Path { segments: value.0[..end].split('/').collect(), query, weight }
        })
        .collect();
    let mut found = Vec::new();
    let all: Vec<&Path> = paths.iter().collect();
    descend(&all, 0, &mut Vec::new(), &mut found);
    template::sort(&mut found);
    found
}

struct Path<'a> {
    segments: Vec<&'a str>,
    query: bool,
    weight: u64,
}

/// A place in a template.
enum Part<'a> {
    Fixed(&'a str),
    /// With the extension behind it: `:id.png`.
    Variable(BTreeSet<Class>, &'a str),
}

/// Paths that agree up to `depth`.
fn descend<'a>(paths: &[&Path<'a>], depth: usize, prefix: &mut Vec<Part<'a>>, found: &mut Vec<Template>) {
    for query in [false, true] {
        let ended: Vec<&&Path> = paths.iter().filter(|path| path.segments.len() == depth && path.query == query).collect();
        if !ended.is_empty() {
            let mut template = write(prefix, query);
            template.values = ended.len() as u64;
            template.weight = ended.iter().map(|path| path.weight).sum();
            found.push(template);
        }
    }
    let mut children: BTreeMap<&str, Vec<&Path<'a>>> = BTreeMap::new();
    for path in paths.iter().filter(|path| path.segments.len() > depth) {
        children.entry(path.segments[depth]).or_default().push(path);
    }
    // Extension -> classes and paths.
    let mut variables: BTreeMap<&str, (BTreeSet<Class>, Vec<&Path<'a>>)> = BTreeMap::new();
    let mut fixed = Vec::new();
    let classes = place(&children, depth);
    for (segment, below) in children {
        let (stem, extension) = stem(segment);
        // Whole first: an address has points, too.
        let taken = [("", segment), (extension, stem)].into_iter().find_map(|(extension, text)| {
            let classes = classes.get(extension)?;
            classes.iter().any(|class| class.covers(text)).then_some((extension, classes))
        });
        match taken {
            Some((extension, classes)) => {
                let (_, paths) = variables.entry(extension).or_insert_with(|| (classes.clone(), Vec::new()));
                paths.extend(below);
            }
            None => fixed.push((segment, below)),
        }
    }
    for (segment, below) in fixed {
        prefix.push(Part::Fixed(segment));
        descend(&below, depth + 1, prefix, found);
        prefix.pop();
    }
    for (extension, (classes, below)) in variables {
        prefix.push(Part::Variable(classes, extension));
        descend(&below, depth + 1, prefix, found);
        prefix.pop();
    }
}

/// The classes that vary at one place, by extension.
fn place<'a>(children: &BTreeMap<&'a str, Vec<&Path<'a>>>, depth: usize) -> BTreeMap<&'a str, BTreeSet<Class>> {
    let mut classes: BTreeMap<&str, BTreeSet<Class>> = BTreeMap::new();
    let mut numbers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for segment in children.keys() {
        let (stem, extension) = stem(segment);
        if let Some(class) = Class::of(segment) {
            classes.entry("").or_default().insert(class);
        } else if let Some(class) = Class::of(stem) {
            classes.entry(extension).or_default().insert(class);
        } else if template::is_number(stem) {
            numbers.entry(extension).or_default().push(segment);
        }
    }
    for (extension, segments) in numbers {
        if classes.contains_key(extension) || are_ids(&segments, children, depth) {
            classes.entry(extension).or_default().insert(Class::Integer);
        }
    }
    if are_names(children, depth) {
        // All that stands here, the ids too: nothing tells a name from them.
        classes.clear();
        classes.insert("", BTreeSet::from([Class::Any]));
    }
    classes
}

/// Numbers at one place are ids where there are five, or three when they are large or the same routes are below them.
fn are_ids(segments: &[&str], children: &BTreeMap<&str, Vec<&Path>>, depth: usize) -> bool {
    let large = |segment: &&str| stem(segment).0.len() >= 4;
    let routes = |segment: &&str| below(&children[*segment], depth);
    let share = || {
        let first = segments.first().map(routes).unwrap_or_default();
        first.iter().any(Option::is_some) && segments.iter().all(|segment| routes(segment) == first)
    };
    segments.len() >= 5 || segments.len() >= 3 && (segments.iter().any(large) || share())
}

/// What follows at the next place; `None` is the end.
fn below<'a>(paths: &[&Path<'a>], depth: usize) -> BTreeSet<Option<&'a str>> {
    paths.iter().map(|path| path.segments.get(depth + 1).copied()).collect()
}

/// Words at one place are names of users, files and the like where many have the same routes below them. Fifty, or ten of which half have
/// digits or capitals; versions below them (`/apis/apps/v1`) do not count, and words that nothing follows could be routes themselves.
fn are_names(children: &BTreeMap<&str, Vec<&Path>>, depth: usize) -> bool {
    // The first place is empty, a method or a scheme.
    if depth == 0 || children.len() < 10 {
        return false;
    }
    // Ids of another kind are cut out anyway.
    let is_word = |segment: &str| {
        let (stem, _) = stem(segment);
        !template::is_number(stem) && Class::of(segment).is_none() && Class::of(stem).is_none()
    };
    let words: Vec<&str> = children.keys().copied().filter(|segment| is_word(segment)).collect();
    if words.len() < 10 {
        return false;
    }
    let odd =
        words.iter().filter(|word| word.bytes().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase() || byte == b'%')).count();
    if words.len() < 50 && odd * 2 < words.len() {
        return false;
    }
    let is_version = |segment: &str| segment.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let mut routes: BTreeMap<BTreeSet<Option<&str>>, usize> = BTreeMap::new();
    for word in &words {
        *routes.entry(below(&children[word], depth)).or_default() += 1;
    }
    let usual = routes.into_iter().max_by_key(|(_, count)| *count);
    usual.is_some_and(|(next, count)| {
        let named = next
            .iter()
            .flatten()
            .any(|segment| !segment.is_empty() && !is_version(segment) && Class::of(segment).is_none() && !template::is_number(segment));
        named && count * 10 >= words.len() * 8
    })
}

/// A segment without its extension, and the extension with its point.
fn stem(segment: &str) -> (&str, &str) {
    match segment.rfind('.') {
        Some(at)
            if at > 0 && (2..=6).contains(&(segment.len() - at)) && segment[at + 1..].bytes().all(|byte| byte.is_ascii_lowercase()) =>
        {
            segment.split_at(at)
        }
        _ => (segment, ""),
    }
}

fn write(parts: &[Part<'_>], query: bool) -> Template {
    let mut text = Vec::new();
    let mut regex = Vec::new();
    for part in parts {
        match part {
            Part::Fixed(segment) => {
                text.push((*segment).to_owned());
                regex.push(regex::escape(segment));
            }
            Part::Variable(classes, extension) => {
                let name = match classes.first() {
                    Some(class) if classes.len() == 1 => class.name(),
                    _ => ":id",
                };
                text.push(format!("{name}{extension}"));
                regex.push(format!("{}{}", template::alternatives(classes), regex::escape(extension)));
            }
        }
    }
    let varies = query || parts.iter().any(|part| matches!(part, Part::Variable(..)));
    let (mark, tail) = if query { ("?*", "\\?.*") } else { ("", "") };
    Template::new(format!("{}{mark}", text.join("/")), format!("{}{tail}", regex.join("/")), varies)
}
