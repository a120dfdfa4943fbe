//! One hand-made snapshot in every format, compared as a whole.
#![allow(clippy::unwrap_used)]

#[path = "support/sample.rs"]
mod sample;

use goscope::goroutines::analyze::diff::{diff, growth, live_by_site};
use goscope::goroutines::analyze::{Filter, GroupBy, Query, Scope, Sort, View, WaitReason, view};
use goscope::goroutines::model::*;
use goscope::goroutines::report;
use goscope::output::Style;

fn golden(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("fixtures/data/goroutines");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let text = text.replace(&format!("\"goscope\":\"{}\"", env!("CARGO_PKG_VERSION")), "\"goscope\":\"VERSION\"");
    let text = text.replace(&format!("\"goscope\": \"{}\"", env!("CARGO_PKG_VERSION")), "\"goscope\": \"VERSION\"");
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn written(write: impl FnOnce(&mut Vec<u8>) -> goscope::error::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn table(query: &Query, style: Style) -> String {
    let snapshot = sample::snapshot();
    written(|out| report::write_table(&view(&snapshot, query), out, style))
}

fn grouped(by: GroupBy) -> Query {
    Query { group: Some(by), ..Query::default() }
}

const PIPED: Style = Style { color: false, width: None };
const TERMINAL: Style = Style { color: false, width: Some(80) };

#[test]
fn table_of_stacks() {
    golden("table_stack", &table(&grouped(GroupBy::Stack), PIPED));
    golden("table_stack_80", &table(&grouped(GroupBy::Stack), TERMINAL));
    golden("table_stack_runtime", &table(&Query { runtime_frames: true, limit: Some(2), ..grouped(GroupBy::Stack) }, PIPED));
    let color = Style { color: true, width: Some(100) };
    golden("table_stack_color", &table(&Query { limit: Some(2), ..grouped(GroupBy::Stack) }, color).replace('\x1b', "ESC"));
}

#[test]
fn a_terminal_line_is_never_too_long() {
    for width in [20, 40, 60, 79, 80, 120] {
        for query in [grouped(GroupBy::Stack), Query::default()] {
            for line in table(&query, Style { color: false, width: Some(width) }).lines() {
                assert!(line.chars().count() <= usize::from(width), "{width}: {line}");
            }
        }
    }
}

#[test]
fn no_control_character_reaches_the_terminal() {
    for query in [grouped(GroupBy::Stack), Query::default(), grouped(GroupBy::Label("note".into()))] {
        let text = table(&query, PIPED);
        assert!(text.contains("\\x"), "the sample has some: {text}");
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
    }
    assert!(!text_of(&Query::default()).chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
}

#[test]
fn table_of_goroutines() {
    golden("table_none", &table(&Query::default(), PIPED));
    golden("table_none_limit", &table(&Query { limit: Some(1), sort: Some(Sort::Wait), ..Query::default() }, PIPED));
}

#[test]
fn table_of_other_groups() {
    for (name, by) in [
        ("table_status", GroupBy::Status),
        ("table_func", GroupBy::Func),
        ("table_created_by", GroupBy::CreatedBy),
        ("table_label", GroupBy::Label("queue".into())),
    ] {
        golden(name, &table(&grouped(by), PIPED));
    }
}

fn text_of(query: &Query) -> String {
    let snapshot = sample::snapshot();
    written(|out| report::write_text(&view(&snapshot, query), out))
}

#[test]
fn text() {
    golden("text", &text_of(&Query::default()));
    let system = Filter { scope: Scope::System, ..Filter::default() };
    golden("text_system", &text_of(&Query { filter: system, ..Query::default() }));
}

#[test]
fn json() {
    let snapshot = sample::snapshot();
    let view = view(&snapshot, &grouped(GroupBy::Stack));
    golden("json", &serde_json::to_string_pretty(&report::document(&view)).unwrap());
}

#[test]
fn jsonl() {
    let snapshot = sample::snapshot();
    golden("jsonl", &written(|out| report::write_jsonl(&view(&snapshot, &Query::default()), out)));
}

#[test]
fn folded() {
    let snapshot = sample::snapshot();
    golden("folded", &written(|out| report::write_folded(&view(&snapshot, &Query::default()), out)));
}

#[test]
fn svg() {
    let snapshot = sample::snapshot();
    let draw = |view: &View<'_>| written(|out| report::write_svg(view, out));
    let all = view(&snapshot, &Query::default());
    let svg = draw(&all);
    assert!(svg.starts_with("<?xml") && svg.trim_end().ends_with("</svg>"));
    assert!(svg.contains("<title>main.(*Pool[...]).next (6 goroutines, 30.00%)</title>"), "{svg}");
    assert!(svg.contains("Goroutines of payments (4242)"));
    assert_eq!(svg, draw(&all), "the same stacks give the same picture");
    let nobody = Filter { min_wait_ns: Some(u64::MAX), ..Filter::default() };
    let error = report::write_svg(&view(&snapshot, &Query { filter: nobody, ..Query::default() }), &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "no goroutine passes the filter: there is nothing to draw");
}

/// Some time later: connections leaked, one worker moved on, one stack is gone.
fn later() -> Snapshot {
    let mut snapshot = sample::snapshot();
    snapshot.captured_at += std::time::Duration::from_secs(300);
    snapshot.goroutines.retain(|g| g.id != 52);
    for g in snapshot.goroutines.iter_mut().filter(|g| g.id == 18) {
        g.sp += 8;
    }
    for id in 100..112 {
        let serve = sample::created_by("net/http.(*Server).Serve", "/usr/local/go/src/net/http/server.go", 3454, 1);
        snapshot.goroutines.push(Goroutine { created_by: serve, ..sample::waiting(id, "IO wait", 2) });
    }
    snapshot.stacks.push(sample::stack(vec![sample::go("main.fresh", "/src/payments/fresh.go", 8)]));
    let stack = snapshot.stacks.len() as u32 - 1;
    let created_by = sample::created_by("main.main", "/src/payments/main.go", 60, 1);
    snapshot.goroutines.push(Goroutine { created_by, ..sample::waiting(120, "select", stack) });
    snapshot
}

#[test]
fn diff_of_one_process() {
    let (before, after) = (sample::snapshot(), later());
    let diff = diff(&before, &after, &Filter::default(), false);
    golden("diff_table", &written(|out| report::write_diff_table(&diff, None, out, PIPED)));
    golden("diff_table_80", &written(|out| report::write_diff_table(&diff, Some(2), out, TERMINAL)));
    golden("diff_json", &serde_json::to_string_pretty(&report::diff_document(&diff)).unwrap());
}

#[test]
fn diff_of_two_processes() {
    let (before, mut after) = (sample::snapshot(), later());
    after.target.start_ticks += 1;
    let diff = diff(&before, &after, &Filter::default(), false);
    assert!(diff.moves.is_none());
    assert!(diff.stacks.iter().all(|entry| entry.stuck == 0));
    let table = written(|out| report::write_diff_table(&diff, None, out, PIPED));
    assert!(!table.contains("STUCK") && table.contains("not known to be the same process"), "{table}");
}

#[test]
fn growth_by_creation_site() {
    let (before, after) = (live_by_site(&sample::snapshot()), live_by_site(&later()));
    assert!(growth(&before, &after, 12).is_empty());
    let grown = growth(&before, &after, 11);
    assert_eq!(
        report::growth_lines(&grown, 11),
        ["12 more goroutines (limit 11, 3 to 15): net/http.(*Server).Serve  /usr/local/go/src/net/http/server.go:3454"]
    );
    assert_eq!(growth(&before, &after, 0).len(), 2);
    assert!(growth(&after, &before, 0).iter().all(|g| g.after == 1), "only the select that ended since: {:?}", growth(&after, &before, 0));
}

#[test]
fn filters() {
    let ids = |filter: Filter| -> Vec<u64> {
        let snapshot = sample::snapshot();
        view(&snapshot, &Query { filter, ..Query::default() }).iter().map(|g| g.id).collect()
    };
    let all = Filter::default;
    assert_eq!(ids(all()).len(), 20);
    assert_eq!(ids(Filter { statuses: vec![Status::Running, Status::Syscall], ..all() }), [50, 51]);
    assert_eq!(ids(Filter { wait_reasons: vec![WaitReason::parse("GC worker")], ..all() }), [4, 5]);
    assert_eq!(ids(Filter { wait_reasons: vec![WaitReason::parse("gc "), WaitReason::parse("=select")], ..all() }), [3, 4, 5, 52]);
    assert_eq!(ids(Filter { wait_reasons: vec![WaitReason::parse("=GC worker")], ..all() }), [0u64; 0]);
    assert_eq!(ids(Filter { function: Some(regex::Regex::new("^runtime.cgocall$").unwrap()), ..all() }), [51]);
    let charges = vec![("queue".to_owned(), "charges".to_owned()), ("shard".to_owned(), "21".to_owned())];
    assert_eq!(ids(Filter { labels: charges[..1].to_vec(), ..all() }), [19, 21, 23]);
    assert_eq!(ids(Filter { labels: charges, ..all() }), [21]);
    assert_eq!(ids(Filter { min_wait_ns: Some(14 * sample::MINUTE), ..all() }), [1, 20, 21]);
    assert_eq!(ids(Filter { ids: [50, 1, 999].into_iter().collect(), ..all() }), [1, 50]);
    assert_eq!(ids(Filter { scope: Scope::System, ..all() }), [3, 4, 5]);
    assert_eq!(ids(Filter { scope: Scope::User, ..all() }).len(), 17);
}

#[test]
fn a_filtered_document_has_only_the_stacks_it_needs() {
    let snapshot = sample::snapshot();
    let filter = Filter { ids: [51].into_iter().collect(), ..Filter::default() };
    let json = serde_json::to_value(report::document(&view(&snapshot, &Query { filter, ..grouped(GroupBy::Stack) }))).unwrap();
    assert_eq!(json["stacks"].as_array().unwrap().len(), 1);
    assert_eq!(json["goroutines"][0]["stack"], 0);
    assert_eq!(json["groups"][0]["stack"], 0);
    assert_eq!(json["stacks"][0]["frames"][0]["function"], "clock_nanosleep");
    assert_eq!((json["counts"]["total"].clone(), json["counts"]["matched"].clone()), (20.into(), 1.into()));
}
