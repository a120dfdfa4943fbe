//! Whatever a snapshot holds: nothing panics, nothing is lost, and what is saved is read back the same.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/property.rs"]
mod property;
#[path = "support/sample.rs"]
mod sample;

use std::time::{Duration, SystemTime};

use goscope::goroutines::analyze::diff::{diff, growth, live_by_site};
use goscope::goroutines::analyze::{Filter, GroupBy, Query, Sort, view};
use goscope::goroutines::model::*;
use goscope::goroutines::{report, saved};
use goscope::output::Style;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Few enough that stacks and sites repeat.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(vec!["main.f", "main.(*T).g", "runtime.gopark", "runtime.gopanic", "runtime.goexit", "x;y z", ""])
            .prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn frame() -> impl Strategy<Value = Frame> {
    let kind = prop::sample::select(vec![FrameKind::Go, FrameKind::Inlined, FrameKind::C, FrameKind::Kernel, FrameKind::Unresolved]);
    (name(), name(), 0u32..3, 0u64..4, 0u64..4, kind, any::<bool>()).prop_map(|(function, file, line, address, entry, kind, wrapper)| {
        Frame { function: function.into(), file: file.into(), line, address, entry, kind, wrapper }
    })
}

fn stack() -> impl Strategy<Value = Stack> {
    let cut = prop::sample::select(vec![
        Cut::NotRead,
        Cut::Moving,
        Cut::NotResident,
        Cut::UnknownPc,
        Cut::SpWrite,
        Cut::Corrupt,
        Cut::NoCfi,
        Cut::Depth,
    ]);
    (vec(frame(), 0..5), option::of(cut)).prop_map(|(frames, cut)| Stack { frames, cut })
}

fn goroutine(stacks: u32) -> impl Strategy<Value = Goroutine> {
    let status = prop::sample::select(Status::ALL.to_vec());
    let reason = option::of(prop_oneof![Just("select".to_owned()), Just("sleep".to_owned()), any::<String>()]);
    let created_by = option::of((frame(), option::of(any::<u64>())));
    let thread = option::of((option::of(any::<u32>()), option::of(any::<i64>()), option::of(any::<i32>())));
    let labels = prop::collection::btree_map(name(), any::<String>(), 0..3);
    let waits = (option::of(any::<u64>()), option::of(any::<i64>()));
    let blocked_on =
        option::of((prop::sample::select(vec!["channel", "mutex", "rwmutex", "waitgroup", "cond", "semaphore", "fd"]), any::<u64>()));
    let read = prop::sample::select(vec![ReadState::Consistent, ReadState::Stopped, ReadState::Torn, ReadState::NotRead]);
    let flags = (any::<bool>(), any::<bool>(), 0..stacks, any::<u64>(), read);
    let parts = (any::<u64>(), status, reason, created_by, option::of(frame()), thread, labels, waits, blocked_on, flags);
    parts.prop_map(|(id, status, reason, created_by, start, thread, labels, waits, blocked_on, flags)| Goroutine {
        id,
        status,
        wait_reason: reason.map(Into::into),
        wait_min_ns: waits.0,
        wakes_in_ns: waits.1,
        created_by: created_by.map(|(frame, goroutine)| CreatedBy { frame, goroutine }),
        start,
        labels: labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
        thread: thread.map(|(tid, m, p)| Thread { tid, m, p }),
        locked: flags.0,
        system: flags.1,
        blocked_on: blocked_on.map(|(what, address)| BlockedOn { what, address }),
        stack: flags.2,
        sp: flags.3,
        read: flags.4,
    })
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    let stacks = vec(stack(), 1..6);
    let parts = stacks.prop_flat_map(|stacks| (vec(goroutine(stacks.len() as u32), 0..12), Just(stacks)));
    (parts, 0u64..4_000_000_000_000_000, any::<u32>(), vec(any::<String>(), 0..2)).prop_map(
        |((goroutines, stacks), micros, n, warnings)| Snapshot {
            captured_at: SystemTime::UNIX_EPOCH + Duration::from_micros(micros),
            target: TargetFacts { pid: n, start_ticks: u64::from(n) * 7, exe: "/bin/\"x\"\n".into(), ..TargetFacts::default() },
            goroutines,
            dead: u64::from(n),
            stacks,
            quality: Quality { torn: 1, retried: 2, not_read: 3, capture_ns: 4, layout: "dwarf".into(), warnings, ..Quality::default() },
        },
    )
}

fn all_groups() -> [GroupBy; 5] {
    [GroupBy::Stack, GroupBy::Status, GroupBy::Func, GroupBy::CreatedBy, GroupBy::Label("main.f".into())]
}

/// What survives being saved: a creation site and a start function are places, without addresses and kinds.
fn comparable(snapshot: &Snapshot) -> String {
    let place = |frame: &Frame| Frame { address: 0, entry: 0, kind: FrameKind::Go, wrapper: false, ..frame.clone() };
    let mut goroutines: Vec<_> = snapshot.goroutines.iter().filter(|g| g.status != Status::Dead).cloned().collect();
    goroutines.sort_by_key(|g| g.id);
    let goroutines = goroutines.iter().map(|g| {
        let created_by = g.created_by.as_ref().map(|by| CreatedBy { frame: place(&by.frame), goroutine: by.goroutine });
        let plain = Goroutine { created_by, start: g.start.as_ref().map(place), stack: 0, ..g.clone() };
        (plain, &snapshot.stacks[g.stack as usize])
    });
    format!("{:#?} {:#?} {:?} {:#?}", snapshot.captured_at, snapshot.target, snapshot.quality, goroutines.collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(property::cases(256))]

    #[test]
    fn groups_lose_no_goroutine(snapshot in snapshot(), limit in 0usize..4) {
        for by in all_groups() {
            for sort in [None, Some(Sort::Wait), Some(Sort::Id), Some(Sort::Status), Some(Sort::Func)] {
                let query = Query { group: Some(by.clone()), sort, ..Query::default() };
                let whole = view(&snapshot, &query);
                let groups = whole.groups.as_ref().unwrap();
                prop_assert_eq!(groups.iter().map(|g| g.count).sum::<u64>(), whole.matched);
                prop_assert_eq!(groups.len() as u64, whole.groups_total);
                for group in groups {
                    prop_assert_eq!(group.statuses.values().sum::<u64>(), group.count);
                    prop_assert_eq!(group.kinds.iter().map(|(_, n)| n).sum::<u64>(), group.count);
                    prop_assert_eq!(group.created_by.iter().map(|(_, n)| n).sum::<u64>(), group.count);
                    prop_assert!(group.distinct_stacks >= 1 && group.ages.min_ns <= group.ages.max_ns);
                }
                let cut = view(&snapshot, &Query { limit: Some(limit), ..query });
                prop_assert_eq!(cut.groups_total, whole.groups_total);
                let kept: Vec<_> = cut.groups.iter().flatten().map(|g| g.key).collect();
                let want: Vec<_> = groups.iter().take(limit).map(|g| g.key).collect();
                prop_assert_eq!(kept, want);
            }
        }
    }

    #[test]
    fn counts_add_up(snapshot in snapshot()) {
        let counts = view(&snapshot, &Query::default()).counts;
        prop_assert_eq!(counts.user + counts.system, counts.total);
        prop_assert_eq!(counts.by_status.values().sum::<u64>(), counts.total);
        prop_assert_eq!(counts.total + counts.dead, snapshot.goroutines.len() as u64 + snapshot.dead);
    }

    #[test]
    fn saved_is_read_back(snapshot in snapshot()) {
        let query = Query { runtime_frames: true, ..Query::default() };
        let json = serde_json::to_vec(&report::document(&view(&snapshot, &query))).unwrap();
        let back = saved::parse(&json).unwrap();
        prop_assert!(back.complete);
        prop_assert_eq!(comparable(&back.snapshot), comparable(&snapshot));
    }

    #[test]
    fn nothing_panics_and_no_line_breaks(snapshot in snapshot(), width in option::of(1u16..120)) {
        let style = Style { color: false, width };
        for group in all_groups().map(Some).into_iter().chain([None]) {
            let view = view(&snapshot, &Query { group, ..Query::default() });
            let mut out = Vec::new();
            report::write_table(&view, &mut out, style).unwrap();
            let text = String::from_utf8(out).unwrap();
            prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
        }
        let view = view(&snapshot, &Query::default());
        let mut out = Vec::new();
        report::write_text(&view, &mut out).unwrap();
        report::write_pprof(&view, &mut Vec::new()).unwrap();
        let mut folded = Vec::new();
        report::write_folded(&view, &mut folded).unwrap();
        let folded = String::from_utf8(folded).unwrap();
        let total: u64 = folded.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum();
        prop_assert_eq!(total, view.matched);
        if view.matched > 0 {
            report::write_svg(&view, &mut Vec::new()).unwrap();
        }
    }

    #[test]
    fn a_diff_adds_up(before in snapshot(), mut after in snapshot(), same in any::<bool>()) {
        if same {
            after.target = before.target.clone();
        }
        let diff = diff(&before, &after, &Filter::default(), false);
        let sum = |f: fn(&(u64, u64, u64)) -> u64, of: &[(u64, u64, u64)]| of.iter().map(f).sum::<u64>();
        let stacks: Vec<_> = diff.stacks.iter().map(|e| (e.before, e.after, e.stuck)).collect();
        let sites: Vec<_> = diff.sites.iter().map(|e| (e.before, e.after, e.stuck)).collect();
        for entries in [&stacks, &sites] {
            prop_assert_eq!(sum(|e| e.0, entries), diff.goroutines.0);
            prop_assert_eq!(sum(|e| e.1, entries), diff.goroutines.1);
            prop_assert_eq!(sum(|e| e.2, entries), diff.moves.map_or(0, |moves| moves.stuck));
        }
        report::write_diff_table(&diff, None, &mut Vec::new(), Style::default()).unwrap();
        serde_json::to_vec(&report::diff_document(&diff)).unwrap();
    }

    #[test]
    fn nothing_differs_from_itself(snapshot in snapshot()) {
        let diff = diff(&snapshot, &snapshot, &Filter::default(), true);
        prop_assert!(diff.stacks.iter().all(|entry| entry.delta() == 0));
        prop_assert!(diff.sites.iter().all(|entry| entry.delta() == 0));
        let counts = live_by_site(&snapshot);
        prop_assert!(growth(&counts, &counts, 0).is_empty());
    }

    #[test]
    fn a_broken_document_is_an_error(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let snapshot = sample::snapshot();
        let mut json = serde_json::to_vec(&report::document(&view(&snapshot, &Query::default()))).unwrap();
        let at = at.index(json.len());
        json[at] = byte;
        if let Err(message) = saved::parse(&json) {
            prop_assert!(!message.contains('\n'));
        }
        prop_assert!(saved::parse(&json[..at]).is_err());
    }
}

#[test]
fn what_is_not_a_saved_snapshot_is_told() {
    let check = |text: &str, want: &str| {
        let message = saved::parse(text.as_bytes()).unwrap_err();
        assert!(message.contains(want), "{text}: {message}");
    };
    check("", "EOF");
    check("{}", "it has no schema");
    check("{\"schema\":\"goscope.ps\",\"schema_version\":1}", "its schema is \"goscope.ps\"");
    check("{\"schema\":\"goscope.goroutines\",\"schema_version\":2}", "its schema version is 2");
    check("{\"schema\":\"goscope.goroutines\",\"schema_version\":1}", "missing field");
    let snapshot = sample::snapshot();
    let mut jsonl = Vec::new();
    report::write_jsonl(&view(&snapshot, &Query::default()), &mut jsonl).unwrap();
    check(std::str::from_utf8(&jsonl).unwrap(), "it is jsonl");
    let json = serde_json::to_string(&report::document(&view(&snapshot, &Query::default()))).unwrap();
    check(&json.replace("\"stack\":1}", "\"stack\":77}"), "goroutine 3 has stack 77, and there are 10 stacks");
    check(&json.replace("\"status\":\"syscall\"", "\"status\":\"napping\""), "unknown status \"napping\"");

    let error = saved::read(std::path::Path::new("/nonexistent/a.json")).unwrap_err();
    assert_eq!(error.kind.exit_code(), 5);
    assert_eq!(error.to_string(), "cannot read /nonexistent/a.json: No such file or directory (os error 2)");
}

#[test]
fn a_filtered_document_is_not_complete() {
    let snapshot = sample::snapshot();
    let json = serde_json::to_vec(&report::document(&view(&snapshot, &Query { limit: Some(3), ..Query::default() }))).unwrap();
    assert!(!saved::parse(&json).unwrap().complete);
}
