//! The runtime's dump of a quiesced process against goscope's snapshot of it.

use super::dump;
use super::rules::Rules;
use super::snapshot::{self, Snapshot};

/// Every difference, one text each; none if goscope tells the truth. `dumper` made the dump and was doing something else before:
/// it is left out.
pub fn differences(dump: &[dump::Goroutine], snapshot: &Snapshot, rules: Rules, dumper: Option<u64>) -> Vec<String> {
    let mut found = Vec::new();
    for theirs in dump.iter().filter(|theirs| Some(theirs.id) != dumper) {
        let mut same_id = snapshot.goroutines.iter().filter(|ours| ours.id == theirs.id);
        match (same_id.next(), same_id.next()) {
            (None, _) => found.push(format!("goroutine {} [{}] is missing: {:?}", theirs.id, theirs.state, theirs.frames.first())),
            (Some(_), Some(_)) => found.push(format!("goroutine {} is there twice", theirs.id)),
            (Some(ours), None) => goroutine(theirs, ours, rules, &mut found),
        }
    }
    for ours in &snapshot.goroutines {
        let hidden = ours.system && !rules.system; // as `tracebackothers` does
        if !hidden && Some(ours.id) != dumper && !dump.iter().any(|theirs| theirs.id == ours.id) {
            found.push(format!("goroutine {} [{}] does not exist: {:?}", ours.id, ours.status, ours.frames.first()));
        }
    }
    found
}

fn goroutine(theirs: &dump::Goroutine, ours: &snapshot::Goroutine, rules: Rules, found: &mut Vec<String>) {
    let id = theirs.id;
    let mut check = |what: &str, expected: String, got: String| {
        if expected != got {
            found.push(format!("goroutine {id}: {what}: expected {expected}, got {got}"));
        }
    };
    let state = match (ours.status.as_str(), &ours.wait_reason) {
        ("waiting", Some(reason)) => reason.as_str(),
        (status, _) => status,
    };
    // Some wait reasons have the word in their own text (`chan receive (durable)`), to others the runtime adds it.
    let state = state.strip_suffix(" (durable)").unwrap_or(state);
    check("state", theirs.state.clone(), state.to_owned());
    check("locked to thread", theirs.locked.to_string(), ours.locked.to_string());
    if !theirs.labels.is_empty() {
        check("labels", format!("{:?}", theirs.labels), format!("{:?}", ours.labels));
    }
    if ours.system && !rules.system {
        check("system goroutine", "false".to_owned(), "true".to_owned());
    }
    check("created by", creator_of_dump(theirs), creator(ours, rules));
    if theirs.unavailable {
        return;
    }
    check("cut", "None".to_owned(), format!("{:?}", ours.cut));
    let printed = rules.printed(&ours.frames);
    check("elided", format!("{:?}", theirs.elided), format!("{:?}", printed.elided));
    let expected: Vec<String> = theirs.frames.iter().map(|f| frame(&f.function, &f.file, f.line, f.inlined)).collect();
    let got: Vec<String> = printed.frames.iter().map(|f| frame(&f.function, &f.file, f.line, f.inlined)).collect();
    if let Some(at) = (0..expected.len().max(got.len())).find(|&i| expected.get(i) != got.get(i)) {
        let context = |list: &[String]| list[at.saturating_sub(1).min(list.len())..list.len().min(at + 3)].join("\n      ");
        found.push(format!(
            "goroutine {id} [{}]: frame {at} of {}:\n    expected\n      {}\n    got ({} frames)\n      {}",
            theirs.state,
            expected.len(),
            context(&expected),
            got.len(),
            context(&got)
        ));
    }
}

fn frame(function: &str, file: &str, line: u32, inlined: bool) -> String {
    format!("{function} {file}:{line}{}", if inlined { " (inlined)" } else { "" })
}

fn creator_of_dump(theirs: &dump::Goroutine) -> String {
    match &theirs.created_by {
        Some(by) => format!("{} {}:{} in {:?}", by.function, by.file, by.line, by.goroutine),
        None => "nobody".to_owned(),
    }
}

/// As `printcreatedby`: nothing for the main goroutine and for creators inside the runtime.
fn creator(ours: &snapshot::Goroutine, rules: Rules) -> String {
    match &ours.created_by {
        Some(by) if ours.id != 1 && rules.shows_creator(&by.function) => {
            format!("{} {}:{} in {:?}", by.function, by.file, by.line, by.goroutine)
        }
        _ => "nobody".to_owned(),
    }
}
