//! Texts: errors, SQL, stack traces, addresses of people, versions.

use super::kind::Kind;

pub fn stack_trace(value: &str) -> bool {
    if !value.contains(['\n', '(', '[']) {
        return false;
    }
    let go = value.starts_with("goroutine ") && value.contains('[');
    let lines = value.contains('\n')
        && (value.contains(".go:") || value.contains("\tat ") || value.contains("    at ") || value.contains("Traceback (most recent"));
    let joined =
        value.matches(".java:").count() + value.matches(".go:").count() + value.matches(".py\", line").count() >= 2 && value.contains('(');
    go || lines || joined
}

/// A statement: its verb, and the keyword that goes with it.
pub fn sql(value: &str) -> bool {
    if !value.contains(' ') {
        return false;
    }
    let mut words = value.split_ascii_whitespace().map(str::to_ascii_uppercase);
    let Some(verb) = words.next() else { return false };
    let rest: Vec<String> = words.collect();
    let has = |word: &str| rest.iter().skip(1).any(|other| other == word);
    let next = |word: &str| rest.first().is_some_and(|other| other == word) && rest.len() >= 2;
    match verb.as_str() {
        "SELECT" => has("FROM"),
        "WITH" => has("AS") && has("SELECT") || has("(SELECT"),
        "INSERT" | "REPLACE" => next("INTO"),
        "UPDATE" => has("SET"),
        "DELETE" => next("FROM"),
        "CREATE" | "ALTER" | "DROP" | "TRUNCATE" => next("TABLE") || next("INDEX"),
        _ => false,
    }
}

pub fn email(value: &str) -> bool {
    let Some((local, domain)) = value.split_once('@') else { return false };
    let Some((host, top)) = domain.rsplit_once('.') else { return false };
    // Template units of systemd have an `@`, too.
    const UNITS: [&str; 11] = ["service", "socket", "slice", "scope", "mount", "automount", "target", "timer", "path", "device", "swap"];
    let local_fits = local.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".!#$%&'*+-=?^_{|}~".contains(&byte));
    let host_fits =
        host.split('.').all(|label| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
    !local.is_empty()
        && local_fits
        && host_fits
        && (2..=18).contains(&top.len())
        && top.bytes().all(|byte| byte.is_ascii_alphabetic())
        && !UNITS.contains(&top)
}

/// `1.2.3`, `v1.2`, `go1.22.1`, `1.2.3-rc.1+build`, a pseudo-version of a Go module.
pub fn version(value: &str) -> bool {
    let bare = value.strip_prefix("go").or_else(|| value.strip_prefix(['v', 'V'])).unwrap_or(value);
    let numbers = bare.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
    let count = numbers.split('.').filter(|number| !number.is_empty() && number.len() <= 8).count();
    let rest = &bare[numbers.len()..];
    let rest_fits = rest.is_empty()
        || (rest.starts_with(['-', '+', '~', '_', 'r', 'a', 'b', 'p'])
            && rest.len() < 64
            && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-+~_.".contains(&byte)));
    let prefixed = bare.len() < value.len();
    count == numbers.split('.').count() && (count >= 3 || (prefixed && count == 2)) && count <= 5 && rest_fits
}

/// What Go programs write: wrapped with colons, or one of the usual phrases.
pub fn error(value: &str) -> bool {
    const PHRASES: [&str; 20] = [
        "context deadline exceeded",
        "context canceled",
        "connection refused",
        "connection reset by peer",
        "i/o timeout",
        "rpc error: code = ",
        "no such file or directory",
        "invalid memory address",
        "broken pipe",
        "unexpected EOF",
        "no such host",
        "permission denied",
        "failed to ",
        "cannot ",
        "could not ",
        "unable to ",
        "unexpected ",
        "not found",
        "invalid ",
        "timed out",
    ];
    let words = value.split_ascii_whitespace().count();
    let lower = value.bytes().filter(u8::is_ascii_lowercase).count();
    let upper = value.bytes().filter(u8::is_ascii_uppercase).count();
    if words < 2 || value.len() < 15 || lower < 3 * upper || lower * 3 < value.len() {
        return false;
    }
    let phrase = PHRASES.iter().any(|phrase| value.contains(phrase));
    let chain = value.split(": ").count() - 1;
    let variable = value.contains("0x") || value.contains('"') || value.contains("error") || value.contains("Error");
    phrase && (words >= 3 || chain > 0) || chain > 0 && variable && words >= 4
}

/// What a text is.
pub fn text(value: &str) -> Option<Kind> {
    if stack_trace(value) {
        Some(Kind::StackTrace)
    } else if sql(value) {
        Some(Kind::Sql)
    } else {
        None
    }
}
