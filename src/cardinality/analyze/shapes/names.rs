//! Names that end in something random, as orchestrators make them, and words without such an end.

use std::collections::BTreeMap;

use super::ids;
use super::kind::Kind;

/// What Kubernetes takes random suffixes from (`apimachinery/pkg/util/rand/rand.go`): no vowels and nothing that looks like one.
const SAFE: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// What is left of them when the decimal digits of a pod template's hash are encoded in it (`SafeEncodeString`). Tools that make such names
/// themselves take all of them.
const HASHED: &[u8] = b"456789bcdf";

fn all(text: &str, alphabet: &[u8]) -> bool {
    !text.is_empty() && text.bytes().all(|byte| alphabet.contains(&byte))
}

fn is_suffix(text: &str) -> bool {
    text.len() == 5 && all(text, SAFE)
}

/// A suffix with a digit and a letter is no word.
fn is_mixed(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit()) && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// A name that one look is enough for: what it is, and the length of the part that stays.
pub fn name(value: &str) -> Option<(Kind, usize)> {
    if value.contains([' ', '/']) {
        return None;
    }
    if let Some((rest, suffix)) = value.rsplit_once('-') {
        let (workload, hash) = rest.rsplit_once('-').unwrap_or(("", rest));
        if is_suffix(suffix)
            && (7..=10).contains(&hash.len())
            && (all(hash, HASHED) || all(hash, SAFE) && is_mixed(hash))
            && !workload.is_empty()
        {
            return Some((Kind::Pod, workload.len()));
        }
        if is_suffix(suffix) && is_schedule(hash) && !workload.is_empty() {
            return Some((Kind::Job, workload.len()));
        }
        if is_schedule(suffix) && !rest.is_empty() {
            return Some((Kind::Job, rest.len()));
        }
    }
    interface(value).map(|kept| (Kind::Interface, kept))
}

/// What a CronJob puts behind its name: minutes since 1970 (from 2016 on, so that no `20240131` is one), or seconds in older releases.
fn is_schedule(text: &str) -> bool {
    let number = text.parse::<u64>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    number.is_some_and(|number| (24_192_000..36_816_000).contains(&number) || (1_451_606_400..2_051_222_400).contains(&number))
}

/// Ends of virtual cables and bridges: Docker, CNI bridge, Calico, Cilium, Azure, AWS.
fn interface(value: &str) -> Option<usize> {
    let prefix = ["veth", "cali", "lxc", "br-", "azv", "eni"].into_iter().find(|prefix| value.starts_with(prefix))?;
    let rest = &value[prefix.len()..];
    ((7..=12).contains(&rest.len()) && ids::is_hex(rest) && rest.bytes().any(|byte| byte.is_ascii_digit())).then_some(prefix.len())
}

/// Pods of DaemonSets and the like: several names that differ in a random suffix. Gives the names that are such.
pub fn suffixed<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut groups: BTreeMap<&str, Vec<&'a str>> = BTreeMap::new();
    for name in names {
        if let Some((rest, suffix)) = name.rsplit_once('-')
            && is_suffix(suffix)
            && !rest.is_empty()
        {
            groups.entry(rest).or_default().push(name);
        }
    }
    // A random suffix has a digit in 78 of 100 cases; words have none.
    let random = |group: &[&str]| group.iter().filter(|name| is_mixed(&name[name.len() - 5..])).count() * 2 >= group.len();
    let (pairs, singles): (Vec<_>, Vec<_>) = groups.into_values().filter(|group| random(group)).partition(|group| group.len() >= 2);
    let singles: Vec<&str> = singles.into_iter().flatten().collect();
    let mut found: Vec<&str> = pairs.into_iter().flatten().collect();
    if !found.is_empty() || singles.len() >= 3 && singles.len() * 2 >= names.len() {
        found.extend(singles);
    }
    found
}

/// `web-0`, `web-1`, …: names that differ in a number that counts from 0.
pub fn ordinals<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut groups: BTreeMap<&str, Vec<(usize, &'a str)>> = BTreeMap::new();
    for name in names {
        if let Some((rest, number)) = name.rsplit_once('-')
            && number.len() <= 4
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && (number == "0" || !number.starts_with('0'))
            && let Ok(number) = number.parse()
            && !rest.is_empty()
        {
            groups.entry(rest).or_default().push((number, name));
        }
    }
    let counted = |group: &Vec<(usize, &str)>| {
        let most = group.iter().map(|(number, _)| *number).max().unwrap_or_default();
        group.len() >= 2 && group.iter().any(|(number, _)| *number == 0) && most < 2 * group.len()
    };
    groups.into_values().filter(counted).flatten().map(|(_, name)| name).collect()
}

/// Many names that differ in a large number at their end, which no other value needs: `user-100037`. Error codes and machines are fewer,
/// or have smaller ones.
pub fn numbered<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut groups: BTreeMap<&str, Vec<&'a str>> = BTreeMap::new();
    for name in names {
        let (rest, number) = cut_number(name);
        if rest.bytes().any(|byte| byte.is_ascii_alphabetic()) && !number.is_empty() && !number.starts_with('0') {
            groups.entry(rest).or_default().push(name);
        }
    }
    let large = |group: &&Vec<&str>| {
        let long = |digits: usize| group.iter().filter(|name| cut_number(name).1.len() >= digits).count() * 10 >= group.len() * 8;
        group.len() >= 20 && long(5) || group.len() >= 100 && long(4)
    };
    groups.values().filter(large).flatten().copied().collect()
}

/// A name without the digits at its end, and these.
pub fn cut_number(name: &str) -> (&str, &str) {
    name.split_at(name.trim_end_matches(|c: char| c.is_ascii_digit()).len())
}

/// Lengths of hashes that tools make: up to 12 digits commits, containers and pod templates, 16 and 32 names of devices and checksums, 40 and
/// more digests.
fn is_of_a_tool(length: usize) -> bool {
    length <= 12 || matches!(length, 16 | 32 | 40..)
}

/// Words that are hashes as tools make them.
pub fn short_hashes<'a>(words: &[&'a str]) -> Vec<&'a str> {
    hashes(words, is_of_a_tool)
}

/// Words that are random digits of another length: ids.
pub fn long_hashes<'a>(words: &[&'a str]) -> Vec<&'a str> {
    hashes(words, |length| !is_of_a_tool(length))
}

/// Of equal length, with digits and letters up to f, and no other words of that kind.
fn hashes<'a>(words: &[&'a str], wanted: impl Fn(usize) -> bool) -> Vec<&'a str> {
    let mut lengths: BTreeMap<usize, Vec<&'a str>> = BTreeMap::new();
    for word in words.iter().filter(|word| (7..=63).contains(&word.len()) && wanted(word.len()) && ids::is_hex(word)) {
        lengths.entry(word.len()).or_default().push(word);
    }
    let random = |group: &Vec<&str>| group.len() >= 3 && group.iter().filter(|word| is_mixed(word)).count() * 10 >= group.len() * 8;
    lengths.into_values().filter(random).flatten().collect()
}

/// Words of one length that are random in all three alphabets.
pub fn tokens<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let mut lengths: BTreeMap<usize, Vec<&'a str>> = BTreeMap::new();
    for word in words.iter().filter(|word| ids::is_token(word)) {
        lengths.entry(word.len()).or_default().push(word);
    }
    lengths.into_values().filter(|group| group.len() >= 8).flatten().collect()
}
