//! How figures and facts read in human output.

use std::sync::Arc;
use std::time::Duration;

use crate::goroutines::analyze::group::Kind;
use crate::goroutines::analyze::{Ages, Group, View};
use crate::goroutines::model::Status;
use crate::output::{Style, count, duration};
use crate::target::frames::Place;

pub fn nanos(ns: u64) -> String {
    duration(Duration::from_nanos(ns))
}

/// `chan receive`, or with counts where there is more than one kind: `chan receive 1200, runnable 4`.
pub fn kinds(group: &Group<'_>) -> String {
    match group.kinds.as_slice() {
        [(only, _)] => kind(*only),
        kinds => kinds.iter().map(|(each, n)| format!("{} {n}", kind(*each))).collect::<Vec<_>>().join(", "),
    }
}

/// As the runtime words it: the reason says it all, but for a leaked goroutine.
fn kind(kind: Kind<'_>) -> String {
    match kind {
        (Status::Leaked, Some(reason)) => format!("{reason} (leaked)"),
        (_, Some(reason)) => reason.to_owned(),
        (status, None) => status.as_str().to_owned(),
    }
}

/// How long blocked. The runtime stamps a blocked goroutine at the first GC after it blocked: a stamp is a lower bound,
/// and none means that it blocked after the last GC.
pub fn ages(ages: &Ages) -> Option<String> {
    match (ages.min_ns, ages.max_ns) {
        (Some(min), Some(max)) => {
            let (min, max) = (nanos(min), nanos(max));
            Some(match (ages.since_gc > 0, min == max) {
                (true, _) => format!("since last GC .. >= {max}"),
                (false, true) => format!(">= {min}"),
                (false, false) => format!(">= {min} .. {max}"),
            })
        }
        _ if ages.since_gc > 0 => Some("since last GC".to_owned()),
        _ => None,
    }
}

/// When the first and the last sleeper wake.
pub fn wakes((first, last): (i64, i64)) -> String {
    let text = |ns: i64| if ns <= 0 { "now".to_owned() } else { format!("in {}", nanos(ns.unsigned_abs())) };
    match (text(first), text(last)) {
        (first, last) if first == last => format!("wakes {first}"),
        (first, last) => format!("wakes {first} .. {}", last.trim_start_matches("in ")),
    }
}

/// As the runtime prints them since Go 1.26: `{key: value, key: value}`.
pub fn labels(labels: &[(Arc<str>, Arc<str>)]) -> String {
    let pairs: Vec<_> = labels.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

pub fn place_text(place: Place<'_>) -> String {
    match (place.file, place.line) {
        ("", _) => "?".to_owned(),
        (file, 0) => file.to_owned(),
        (file, line) => format!("{file}:{line}"),
    }
}

/// Who started a goroutine, and where: two columns. The main goroutine has no creation site; that of another is unknown at most.
pub fn created_by(place: Option<Place<'_>>, style: Style) -> [String; 2] {
    match place {
        Some(place) => [place.name().into_owned(), short_place(place, style)],
        None => ["(main goroutine, or not known)".to_owned(), String::new()],
    }
}

/// Of the path, a terminal gets the last element: the function names the package.
fn short_place(place: Place<'_>, style: Style) -> String {
    let text = place_text(place);
    match text.rfind('/') {
        Some(slash) if style.width.is_some() => text[slash + 1..].to_owned(),
        _ => text,
    }
}

/// What is in the snapshot, what is not, and what it cost. The parts of one line.
pub fn totals(view: &View<'_>) -> Vec<String> {
    let (counts, quality) = (&view.counts, &view.snapshot.quality);
    let mut parts = vec![format!("{} ({} user, {} system)", count(counts.total, "goroutine"), counts.user, counts.system)];
    if view.matched != counts.total {
        parts.push(format!("{} shown", view.matched));
    }
    if view.groups.is_some() {
        parts.push(count(view.groups_total, "group"));
    }
    parts.push(format!("{} torn", quality.torn));
    parts.push(format!("{} skipped", quality.skipped));
    let but_zero = [
        (quality.not_read, format!("{} running but not read", quality.not_read)),
        (quality.not_resident, format!("{} not resident", count(quality.not_resident, "stack"))),
        (quality.truncated_stacks, count(quality.truncated_stacks, "incomplete stack")),
        (quality.unresolved_frames, count(quality.unresolved_frames, "unresolved frame")),
    ];
    parts.extend(but_zero.into_iter().filter(|(n, _)| *n > 0).map(|(_, text)| text));
    parts.push(match quality.threads_stopped {
        0 => "no thread stopped".to_owned(),
        n => format!("{} stopped for at most {}", count(n, "thread"), nanos(quality.longest_stop_ns)),
    });
    parts.push(format!("layout from {}", quality.layout));
    let captured_at = humantime::format_rfc3339_seconds(view.snapshot.captured_at);
    parts.push(format!("read in {} at {captured_at}", nanos(quality.capture_ns)));
    parts
}
