//! Recordings: what is written is read back, anybody's bytes are survived, and `report` prints what `sched` and `profile` print.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/any_window.rs"]
mod any_window;
#[path = "support/property.rs"]
mod property;
#[path = "support/timeline.rs"]
mod timeline;
#[path = "support/window.rs"]
mod window;

use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Output};

use any_window::any_window;
use goscope::error::Result;
use goscope::output::Style;
use goscope::sched::analyze::By;
use goscope::sched::model::{Class, Row, Tier, Window};
use goscope::sched::recording::{self, Unreadable};
use goscope::sched::report::{self, Weight};
use proptest::prelude::*;

fn full_window() -> Window {
    Window { timeline: Some(timeline::timeline()), ..window::window() }
}

fn written(window: &Window) -> Vec<u8> {
    let mut bytes = Vec::new();
    recording::write(window, &mut bytes).unwrap();
    bytes
}

/// Magic number and version.
const HEAD: usize = 14;

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut pieces = Vec::new();
    flate2::read::ZlibDecoder::new(&bytes[HEAD..]).read_to_end(&mut pieces).unwrap();
    pieces
}

fn packed(pieces: &[u8]) -> Vec<u8> {
    let head = written(&window::window())[..HEAD].to_vec();
    let mut stream = flate2::write::ZlibEncoder::new(head, flate2::Compression::fast());
    stream.write_all(pieces).unwrap();
    stream.finish().unwrap()
}

const PROFILE: report::Profile<'static> = report::Profile { title: "CPU time", by: &By::Function, limit: None, hide_runtime: false };

#[test]
fn a_window_is_read_back_as_it_was() {
    for window in [window::window(), full_window(), Window { rows: Vec::new(), stacks: Vec::new(), ..full_window() }] {
        assert_eq!(recording::parse(&written(&window)[..]).unwrap(), window);
    }
}

#[test]
fn a_long_timeline_is_read_back_across_its_parts() {
    let mut window = full_window();
    let timeline = window.timeline.as_mut().unwrap();
    let some = timeline.moments.clone();
    timeline.moments = (0..40_000).map(|i| some[i * 7 % some.len()].clone()).collect();
    window.stacks = (0..1000).flat_map(|_| window.stacks.clone()).collect();
    let bytes = written(&window);
    assert!(bytes.len() < 150_000, "{} bytes", bytes.len());
    assert_eq!(recording::parse(&bytes[..]).unwrap(), window);
}

#[test]
fn what_is_no_whole_recording_is_named() {
    let bytes = written(&full_window());
    for end in 0..bytes.len() {
        let error = recording::parse(&bytes[..end]).unwrap_err();
        match error {
            Unreadable::Foreign if end < HEAD => {}
            Unreadable::Truncated if end >= HEAD => {}
            other => panic!("{end} of {} bytes: {other:?}", bytes.len()),
        }
    }
    let mut newer = bytes.clone();
    newer[HEAD - 1] += 1;
    assert!(matches!(recording::parse(&newer[..]), Err(Unreadable::Newer(2))));
    assert!(matches!(recording::parse(&b"{\"schema\":\"goscope.sched\"}"[..]), Err(Unreadable::Foreign)));
    assert!(matches!(recording::parse(&[&bytes[..], b"x"].concat()[..]), Err(Unreadable::Corrupt(_))));
    // The stream's checksum.
    let mut changed = bytes.clone();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    assert!(matches!(recording::parse(&changed[..]), Err(Unreadable::Corrupt(_))));
}

proptest! {
    #![proptest_config(property::cases(256))]

    #[test]
    fn any_window_is_read_back_as_it_was(window in any_window()) {
        let read = recording::parse(&written(&window)[..]);
        prop_assert_eq!(read.map_err(|error| error.to_string()), Ok(window));
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(matches!(recording::parse(&bytes[..]), Err(Unreadable::Foreign)));
        let _ = recording::parse(&[&packed(&[])[..HEAD], &bytes[..]].concat()[..]);
        let _ = recording::parse(&packed(&bytes)[..]);
    }

    /// What still is a recording can be written, and then it is the same.
    #[test]
    fn changed_recordings_are_survived(
        window in any_window(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let mut pieces = unpacked(&written(&window));
        for (at, value) in changes {
            let at = at.index(pieces.len());
            pieces[at] = value;
        }
        cut.iter().for_each(|cut| pieces.truncate(cut.index(pieces.len())));
        if let Ok(read) = recording::parse(&packed(&pieces)[..]) {
            let bytes = written(&read);
            let again = recording::parse(&bytes[..]).unwrap();
            // Of the bytes, for a NaN is not equal to itself.
            prop_assert_eq!(written(&again), bytes);
            let mut out = Vec::new();
            report::write_table(&read, None, &mut out, Style::default()).unwrap();
            report::write_jsonl("sched", &read, &read.rows.iter().collect::<Vec<_>>(), &mut out).unwrap();
        }
    }
}

fn goscope(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_goscope"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GOSCOPE_")) {
        command.env_remove(name);
    }
    command.args(args).output().unwrap()
}

fn file(dir: &tempfile::TempDir, bytes: &[u8]) -> PathBuf {
    let path = dir.path().join("window.rec");
    fs::write(&path, bytes).unwrap();
    path
}

/// What the report of the very window is, in each format, beside what `goscope report` prints of its recording.
fn assert_reported(window: &Window, format: &str, mode: Option<&str>, expected: Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, &written(window));
    let mut args = vec!["report", path.to_str().unwrap(), "--format", format];
    args.extend(mode.iter().flat_map(|mode| ["--mode", mode]));
    let output = goscope(&args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    assert!(
        output.stdout == expected,
        "{format}: {}\nis not\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&expected)
    );
    assert!(!expected.is_empty());
}

fn of(write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    out
}

#[test]
fn report_prints_what_sched_prints_in_every_format() {
    let window = full_window();
    let rows: Vec<&Row> = window.rows.iter().collect();
    let weight = Weight { unit: "us", counts: "events", kind: "wall", title: "Goroutine time", hide_runtime: false };
    let json = serde_json::to_vec(&report::document("sched", &window, &rows)).unwrap();
    assert_reported(&window, "table", None, of(|out| report::write_table(&window, None, out, Style::default())));
    assert_reported(&window, "json", None, [&json[..], b"\n"].concat());
    assert_reported(&window, "jsonl", None, of(|out| report::write_jsonl("sched", &window, &rows, out)));
    assert_reported(&window, "folded", None, of(|out| report::write_folded(&window, &rows, &weight, out)));
    assert_reported(&window, "pprof", None, of(|out| report::write_pprof(&window, &rows, &weight, out)));
    assert_reported(&window, "svg", None, of(|out| report::write_svg(&window, &rows, &weight, out)));
    assert_reported(&window, "speedscope", None, of(|out| report::write_speedscope(&window, &rows, &weight, out)));
    assert_reported(&window, "perfetto", None, of(|out| report::write_perfetto(&window, out)));
    assert_reported(&window, "trace", None, of(|out| report::write_trace(&window, out)));
}

#[test]
fn report_with_a_mode_prints_what_profile_prints() {
    let window = full_window();
    let rows: Vec<&Row> = window.rows.iter().filter(|row| row.on_cpu_ns > 0).collect();
    let weight = Weight { unit: "us", counts: "samples", kind: "cpu", title: "CPU time", hide_runtime: false };
    let table = of(|out| report::write_profile_table(&window, &rows, &PROFILE, out, Style::default()));
    assert_reported(&window, "table", Some("cpu"), table);
    assert_reported(&window, "folded", Some("cpu"), of(|out| report::write_folded(&window, &rows, &weight, out)));
    let off: Vec<&Row> = window.rows.iter().filter(|row| matches!(row.class, Class::NoCpu | Class::Syscall)).collect();
    assert_reported(&window, "jsonl", Some("off-cpu"), of(|out| report::write_jsonl("profile", &window, &off, out)));
}

#[test]
fn a_bad_file_exits_5_and_says_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = written(&full_window());
    let mut newer = bytes.clone();
    newer[HEAD - 1] = 9;
    for (bytes, says) in [
        (&b"not a recording"[..], "is not a recording of goscope"),
        (b"", "is not a recording of goscope"),
        (&newer, "was recorded by a newer goscope: its format has version 9, and this goscope knows version 1"),
        (&bytes[..bytes.len() / 2], "is only a part of a recording: it ends too early"),
        (&packed(b"\x05hello"), "is a damaged recording: "),
    ] {
        let path = file(&dir, bytes);
        let name = path.to_str().unwrap();
        for args in [&["report", name][..], &["sched", "diff", name, name]] {
            let output = goscope(args);
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(5), "{stderr}");
            assert!(stderr.contains(&format!("error: {name} {says}")) && stderr.contains("hint: "), "{stderr}");
            assert!(output.stdout.is_empty());
        }
    }
    let output = goscope(&["report", "/nonexistent/file"]);
    assert_eq!(output.status.code(), Some(5));
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot read /nonexistent/file"));
}

#[test]
fn what_a_recording_does_not_hold_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, &written(&Window { tier: Tier::Switches, ..full_window() }));
    let output = goscope(&["report", path.to_str().unwrap(), "--format", "trace"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("recorded with tier 1"));
    let path = file(&dir, &written(&window::window()));
    let output = goscope(&["report", path.to_str().unwrap(), "--format", "perfetto"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("this recording has no timeline"));
    let path = file(&dir, &written(&Window { timeline: Some(Default::default()), ..window::window() }));
    let output = goscope(&["report", path.to_str().unwrap(), "--format", "perfetto"]);
    assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(2), true));
    assert!(String::from_utf8(output.stderr).unwrap().contains("this recording has none"));
    // Tier 0 takes no samples.
    let path = file(&dir, &written(&Window { tier: Tier::Counters, ..window::window() }));
    let output = goscope(&["report", path.to_str().unwrap(), "--mode", "cpu"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("needs samples, and tier 0 takes none"));
    assert_eq!(goscope(&["report", path.to_str().unwrap(), "--mode", "wall"]).status.code(), Some(0));
    let output = goscope(&["profile", "1", "--tier", "0"]);
    assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(2), true));
    assert!(String::from_utf8(output.stderr).unwrap().contains("use --tier 1, or --mode wall"));
}

#[test]
fn a_recording_goes_into_a_file_of_its_own() {
    for (args, says) in [
        (&["--record", "-"][..], "would mix the recording with the result"),
        (&["--record", "/tmp/x", "--output", "/tmp/x"], "--record and --output name the same file"),
        (&["--record", "/tmp/x", "--plan"], "cannot be used with"),
    ] {
        let output = goscope(&[&["sched", "1"], args].concat());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(says), "{stderr}");
    }
    let output = goscope(&["profile", "1", "--record", "/nonexistent/x"]);
    assert_eq!(output.status.code(), Some(5));
    assert!(String::from_utf8(output.stderr).unwrap().contains("give --record a file"));
}
