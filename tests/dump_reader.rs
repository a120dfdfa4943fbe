//! The tools of the truth tests, tested themselves: the reader of the runtime's dump on recorded dumps of every release, the rules for
//! printing a stack, and the comparison, which must notice every kind of lie.
//!
//! `tests/fixtures/data/dumps/*.txt` are a few goroutines each of the fixture's dumps, built with `-trimpath`.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of a test may unwrap

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::dump::{self, Elided};
use common::rules::Rules;
use common::{compare, snapshot};

const RELEASES: [&str; 12] =
    ["1.18.10", "1.19.13", "1.20.14", "1.21.13", "1.22.12", "1.23.0", "1.23.12", "1.24.0", "1.24.13", "1.25.14", "1.26.11", "1.27.4"];

fn recorded(name: &str) -> Vec<dump::Goroutine> {
    dump::parse(&read(name))
}

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/data/dumps/{name}.txt"));
    std::fs::read_to_string(path).unwrap()
}

/// The goroutine that has a function on its stack, by the end of its name.
fn in_function<'a>(dump: &'a [dump::Goroutine], function: &str) -> &'a dump::Goroutine {
    dump.iter().find(|g| g.frames.iter().any(|f| f.function.ends_with(function))).unwrap_or_else(|| panic!("nobody is in {function}"))
}

#[test]
fn headers_and_frames_of_every_release() {
    for version in RELEASES {
        let minor = Rules::of(version, false).minor;
        let dump = recorded(&format!("go{version}"));
        assert_eq!((dump[0].id, dump[0].state.as_str()), (1, "running"), "go{version}");

        let g = in_function(&dump, "/inline.threeLevels");
        assert_eq!(g.state, "chan receive");
        let frames: Vec<_> = g.frames.iter().map(|f| (f.function.rsplit('/').next().unwrap(), f.line, f.inlined)).collect();
        assert_eq!(frames[..3], [("inline.third", 50, true), ("inline.second", 46, true), ("inline.first", 41, true)], "go{version}");
        assert_eq!((frames[3].0, frames[3].1, frames.len()), ("inline.threeLevels", 36, 4), "go{version}");
        assert_eq!(g.frames[3].file, "goscope.test/fixtures/traits/inline/inline.go");
        let by = g.created_by.as_ref().unwrap();
        assert_eq!((by.function.as_str(), by.line), ("goscope.test/fixtures/traits/inline.Start", 9));
        assert_eq!(by.goroutine, (minor >= 21).then_some(1), "go{version}");

        assert_eq!(in_function(&dump, "/waits.chanReceiveNil").state, "chan receive (nil chan)");
        assert_eq!(in_function(&dump, "/waits.selectNoCases").state, "select (no cases)");
        let locked = in_function(&dump, "/locked.inSyscall");
        assert_eq!((locked.state.as_str(), locked.locked), ("syscall", true));
        assert!(in_function(&dump, "/panicking.nested").frames.iter().any(|f| f.function == "runtime.gopanic"), "go{version}");
        assert!(in_function(&dump, "/inline.throughGenericMethod").frames[0].function.contains("box[...]"), "go{version}");

        let deep = in_function(&dump, "/recursion.down");
        let elided = if minor >= 21 { Some(Elided { after: 50, frames: Some(202) }) } else { None };
        assert_eq!(
            deep.elided, elided,
            "go{version}: what is cut at 100 real frames is not marked until 1.21, unless all of them are shown"
        );
    }
}

#[test]
fn labels_in_both_forms() {
    let expected = BTreeMap::from(
        [("path", "/a b?c=1&d=\"e\""), ("empty", ""), ("multi\nline", "tab\there"), ("ключ", "значение ✓"), ("colon:comma,", "]}[{")]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    for version in ["1.26.11", "1.27.4"] {
        assert_eq!(in_function(&recorded(&format!("go{version}")), "/labels.odd").labels, expected, "go{version}");
    }
}

#[test]
fn dump_of_sigquit() {
    for version in ["1.18.10", "1.22.12", "1.27.4"] {
        let dump = dump::parse_quit(&read(&format!("go{version}-system")));
        let g = in_function(&dump, "/inline.threeLevels");
        assert_eq!(g.frames[0].function, "runtime.gopark");
        assert!(g.frames.iter().all(|f| f.pc.is_some() != f.inlined), "go{version}");
        assert!(dump.iter().any(|g| g.state == "GC worker (idle)"), "go{version}");
    }
}

#[test]
fn marks_of_a_bubble() {
    let dump = recorded("go1.27.4-synctest");
    let sleeper = in_function(&dump, "/synctested.sleep");
    assert_eq!((sleeper.state.as_str(), sleeper.durable, sleeper.bubble), ("sleep", true, Some(1)));
    let root = in_function(&dump, "/synctested.root");
    assert_eq!((root.state.as_str(), root.durable, root.bubble), ("chan receive", false, Some(1)));
}

/// What goscope would say if it saw exactly what the runtime prints.
fn snapshot_of(dump: &[dump::Goroutine]) -> snapshot::Snapshot {
    let goroutines = dump.iter().map(|g| snapshot::Goroutine {
        id: g.id,
        status: if matches!(g.state.as_str(), "running" | "syscall") { g.state.clone() } else { "waiting".to_owned() },
        wait_reason: Some(g.state.clone()),
        locked: g.locked,
        system: false,
        labels: g.labels.clone(),
        created_by: g.created_by.as_ref().map(|by| snapshot::CreatedBy {
            function: by.function.clone(),
            file: by.file.clone(),
            line: by.line,
            goroutine: by.goroutine,
        }),
        frames: g.frames.iter().map(|f| frame(&f.function, &f.file, f.line, f.inlined)).collect(),
        cut: None,
    });
    snapshot::Snapshot { goroutines: goroutines.collect(), document: serde_json::Value::Null }
}

fn frame(function: &str, file: &str, line: u32, inlined: bool) -> snapshot::Frame {
    let kind = if inlined { "inlined" } else { "go" };
    snapshot::Frame {
        function: function.to_owned(),
        file: file.to_owned(),
        line,
        address: 0,
        inlined,
        kind: kind.to_owned(),
        wrapper: false,
    }
}

#[test]
fn every_lie_is_noticed() {
    let rules = Rules::of("1.27.4", false);
    let mut dump = recorded("go1.27.4");
    dump.retain(|g| g.elided.is_none());
    let victim = dump.iter().position(|g| g.frames.len() > 3 && g.frames[0].inlined).unwrap();
    assert_eq!(compare::differences(&dump, &snapshot_of(&dump), rules, Some(1)), Vec::<String>::new());

    type Lie = fn(&mut snapshot::Goroutine);
    let lies: [(&str, Lie); 14] = [
        ("id", |g| g.id += 100_000),
        ("status", |g| g.status = "runnable".to_owned()),
        ("wait reason", |g| g.wait_reason = Some("select".to_owned())),
        ("locked", |g| g.locked = !g.locked),
        ("system", |g| g.system = true),
        ("no creator", |g| g.created_by = None),
        ("creator's line", |g| g.created_by.as_mut().unwrap().line += 1),
        ("creator's goroutine", |g| g.created_by.as_mut().unwrap().goroutine = Some(7)),
        ("function", |g| g.frames[1].function.push('x')),
        ("file", |g| g.frames[1].file.push('x')),
        ("line", |g| g.frames[1].line += 1),
        ("not inlined", |g| g.frames[0].inlined = false),
        ("a frame too few", |g| drop(g.frames.pop())),
        ("cut", |g| g.cut = Some("unknown_pc".to_owned())),
    ];
    for (name, lie) in lies {
        let mut snapshot = snapshot_of(&dump);
        lie(&mut snapshot.goroutines[victim]);
        assert!(!compare::differences(&dump, &snapshot, rules, Some(1)).is_empty(), "{name}");
    }
    let mut snapshot = snapshot_of(&dump);
    snapshot.goroutines.remove(victim);
    assert_eq!(compare::differences(&dump, &snapshot, rules, Some(1)).len(), 1, "a goroutine too few");

    let labelled = dump.iter().position(|g| !g.labels.is_empty()).unwrap();
    let mut snapshot = snapshot_of(&dump);
    snapshot.goroutines[labelled].labels.clear();
    assert_eq!(compare::differences(&dump, &snapshot, rules, Some(1)).len(), 1, "labels");
}

#[test]
fn hidden_frames() {
    let mut wrapper = frame("main.(*T).Wait", "<autogenerated>", 1, false);
    wrapper.wrapper = true;
    let frames = [
        frame("runtime.gopark", "proc.go", 1, false),
        frame("runtime.chanrecv1", "chan.go", 1, false),
        frame("main.T.Wait", "main.go", 1, false),
        wrapper.clone(),
        frame("main.main", "main.go", 2, false),
        frame("runtime.gopanic", "panic.go", 1, false),
        wrapper,
        frame("runtime.goexit", "asm_amd64.s", 1, false),
    ];
    let names = |rules: Rules| -> Vec<&str> { rules.printed(&frames).frames.iter().map(|f| f.function.as_str()).collect() };
    // The wrapper that called a panic function is shown, the one that called the wrapped method is not.
    assert_eq!(names(Rules::of("1.27.4", false)), ["main.T.Wait", "main.main", "runtime.gopanic", "main.(*T).Wait"]);
    assert_eq!(names(Rules::of("1.27.4", true)).len(), frames.len());
    // A stack of hidden frames only is shown whole.
    assert_eq!(Rules::of("1.27.4", false).printed(&frames[..2]).frames.len(), 2);
}

#[test]
fn elision() {
    let stack = |n: usize| -> Vec<_> { (0..n).map(|i| frame(&format!("main.f{i}"), "main.go", 1, false)).collect() };
    let lengths = |version: &str, n: usize| {
        let frames = stack(n);
        let printed = Rules::of(version, false).printed(&frames);
        (printed.frames.len(), printed.elided, printed.frames.last().unwrap().function.clone())
    };
    assert_eq!(lengths("1.21.13", 100), (100, None, "main.f99".to_owned()));
    assert_eq!(lengths("1.21.13", 101), (100, Some(Elided { after: 50, frames: Some(1) }), "main.f100".to_owned()));
    assert_eq!(lengths("1.20.14", 99), (99, None, "main.f98".to_owned()));
    assert_eq!(lengths("1.20.14", 101), (100, Some(Elided { after: 100, frames: None }), "main.f99".to_owned()));
}
