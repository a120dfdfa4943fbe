//! What is no exposition, or a broken one: told in a line with a way out, in bounded memory, with the right exit code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/scraped.rs"]
mod scraped;

use std::io::Write;
use std::process::Stdio;

use scraped::{cardinality, command, folder};
use wait4::Wait4;

#[test]
fn each_error_has_its_line_column_and_caret_and_the_rest_is_profiled() {
    for (body, told, series) in [
        ("a 1\r\nb 2\r\n", "1:4: ", 2),
        ("a{b=\"c\",b=\"d\"} 1\nc 1\n", "1:9: ", 1),
        ("a 1\nb{c=\"d} 2\ne 3\n", "2:5: ", 2),
        ("a one\nb 2\n", "1:3: ", 1),
        ("\u{feff}a 1\nb 2\n", "1:1: ", 1),
    ] {
        let folder = folder(&[("body.prom", body)]);
        let run = cardinality(folder.path(), &["body.prom", "--format", "json"]);
        assert_eq!(run.code, 5, "{body:?}: {}", run.stderr);
        let (first, hint) = run.stderr.split_once('\n').unwrap();
        assert!(first.starts_with("error: the body has ") && hint.starts_with("hint: --lenient"), "{}", run.stderr);
        let json = run.json();
        assert_eq!(json["total_series"], series, "{body:?}");
        let place = format!("{}:{}: ", json["errors"][0]["line"], json["errors"][0]["column"]);
        assert_eq!(place, told, "{body:?}: {}", json["errors"][0]);
        let table = cardinality(folder.path(), &["body.prom", "--lenient"]);
        assert_eq!(table.code, 0);
        assert!(table.stdout.contains(told) && table.stdout.contains('^'), "{}", table.stdout);
    }
}

#[test]
fn what_the_server_takes_is_no_error() {
    for (body, series) in [("a 1", 1), ("a{b=\"c\nd\"} 1\n", 1), ("", 0), ("# only a comment\n\n\n", 0)] {
        let folder = folder(&[("body.prom", body)]);
        let run = cardinality(folder.path(), &["body.prom", "--format", "json"]);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{body:?}");
        assert_eq!(run.json()["total_series"], series, "{body:?}");
    }
}

/// 30 MB, of which one series is worth keeping. Each sample took 25 bytes.
#[test]
fn a_body_that_says_the_same_without_end_does_not_fill_the_memory() {
    let folder = folder(&[]);
    let mut child = command(folder.path(), &["-", "--format", "json"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let block = "up 1\n".repeat(60_000);
    (0..100).for_each(|_| input.write_all(block.as_bytes()).unwrap());
    drop(input);
    let document: serde_json::Value = serde_json::from_reader(child.stdout.take().unwrap()).unwrap();
    let used = child.wait4().unwrap();
    assert!(used.status.success());
    assert_eq!((&document["total_series"], &document["quality"]["duplicates"]), (&1.into(), &5_999_999.into()));
    assert_eq!(document["quality"]["duplicate_series"], serde_json::json!(["up"]));
    assert!(used.rusage.maxrss < 60 << 20, "{} bytes", used.rusage.maxrss);
}

#[test]
fn a_program_is_a_process_by_its_name_and_no_scrape_by_its_path() {
    let folder = folder(&[]);
    std::fs::copy("/bin/true", folder.path().join("nobody-runs-this")).unwrap();
    let run = cardinality(folder.path(), &["nobody-runs-this", "--port", "9"]);
    assert_eq!(run.code, 3, "it is looked for among the processes: {}", run.stderr);
    let run = cardinality(folder.path(), &["./nobody-runs-this"]);
    assert_eq!((run.code, run.stdout.as_str()), (5, ""));
    assert!(run.stderr.starts_with("error: ./nobody-runs-this is a program, not a saved scrape\nhint: "), "{}", run.stderr);
}

#[test]
fn noise_is_told_in_few_lines_and_nobody_is_advised_to_take_it() {
    let folder = folder(&[]);
    let noise: Vec<u8> = (1..40_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(folder.path().join("noise"), noise).unwrap();
    let run = cardinality(folder.path(), &["noise"]);
    assert_eq!(run.code, 5);
    assert!(run.stderr.contains("nothing of it could be read as metrics") && !run.stderr.contains("--lenient"), "{}", run.stderr);
    assert!(run.stdout.len() < 2000, "{}", run.stdout);
}

/// Samples of one series side by side, and with others between them.
#[test]
fn series_that_are_there_twice_are_named() {
    let histogram = "# TYPE h histogram\nh_bucket{p=\"x\",le=\"1\"} 1\nh_bucket{p=\"x\",le=\"1\"} 2\nh_sum{p=\"x\"} 1\n";
    let folder =
        folder(&[("body.prom", &format!("a{{b=\"c\\nd\"}} 1\na{{b=\"c\\nd\"}} 2\na{{b=\"e\"}} 1\na{{b=\"c\\nd\"}} 3\n{histogram}"))]);
    let run = cardinality(folder.path(), &["body.prom", "--format", "json"]);
    let json = run.json();
    assert_eq!((run.code, &json["quality"]["duplicates"], &json["total_series"]), (0, &3.into(), &4.into()));
    let series = ["a{b=\"c\\nd\"}", "h_bucket{p=\"x\",le=\"1.0\"}"];
    assert_eq!(json["quality"]["duplicate_series"], serde_json::json!(series));
    let table = cardinality(folder.path(), &["body.prom"]).stdout;
    assert!(series.iter().all(|series| table.contains(&format!("in there more than once: {series}\n"))), "{table}");
}

#[test]
fn bytes_that_are_no_text_are_refused_line_by_line() {
    let folder = folder(&[]);
    std::fs::write(folder.path().join("body.prom"), b"a{b=\"\xff\xfe\"} 1\nc 2\n").unwrap();
    let run = cardinality(folder.path(), &["body.prom", "--format", "json"]);
    assert_eq!((run.code, &run.json()["total_series"]), (5, &1.into()), "{}", run.stderr);
}

/// Groups in groups, which a careless reader follows down.
#[test]
fn deep_protobuf_is_refused() {
    let folder = folder(&[]);
    let mut deep = vec![0x0a, 0x01, b'a', 0x18, 0x00];
    deep.extend(vec![0x53_u8; 1_000_000]); // field 10, start of a group
    let mut body = Vec::new();
    let mut length = deep.len();
    while length >= 0x80 {
        body.push(length as u8 | 0x80);
        length >>= 7;
    }
    body.push(length as u8);
    body.extend(deep);
    std::fs::write(folder.path().join("body.pb"), body).unwrap();
    let run = cardinality(folder.path(), &["body.pb", "--format", "json"]);
    assert_eq!(run.code, 5, "{} {}", run.stdout, run.stderr);
}

/// It comes through a pipe and is never in memory whole.
#[test]
fn a_line_of_a_gigabyte_takes_little_memory() {
    let folder = folder(&[]);
    let mut child = command(folder.path(), &["-", "--body-limit", "2GiB", "--format", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        let block = vec![b'a'; 1 << 20];
        input.write_all(b"before 1\n").unwrap();
        for _ in 0..1024 {
            input.write_all(&block).unwrap();
        }
        input.write_all(b"\nafter 2\n").unwrap();
    });
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let read = |from: &mut dyn std::io::Read| {
        let mut text = String::new();
        from.read_to_string(&mut text).unwrap();
        text
    };
    let (stdout, stderr) = (read(&mut out), read(&mut err));
    writer.join().unwrap();
    let used = child.wait4().unwrap();
    assert_eq!(used.status.code(), Some(5), "{stderr}");
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&json["total_series"], &json["quality"]["errors"]), (&2.into(), &1.into()));
    assert!(json["errors"][0]["message"].as_str().unwrap().contains("longer than 16 MiB"), "{}", json["errors"][0]);
    let peak = used.rusage.maxrss;
    assert!(peak < 200 << 20, "{peak} bytes");
}

/// As `kube_pod_labels`: the labels of all objects of a cluster, each on few of them.
#[test]
fn thousands_of_label_names_take_neither_hours_nor_all_memory() {
    let wide: String =
        (0..4000).map(|n| format!("pod_labels{{pod=\"p{n}\",label_{}=\"v\",label_{}=\"w\"}} 1\n", n % 400, n % 397 + 400)).collect();
    let endless: String = (0..12_000).map(|n| format!("a{{l{n}=\"v\"}} 1\n")).collect();
    let folder = folder(&[("wide.prom", &wide), ("endless.prom", &endless)]);
    let json = cardinality(folder.path(), &["wide.prom", "--format", "json"]).json();
    assert_eq!((&json["total_series"], &json["quality"]["exact"]), (&4000.into(), &true.into()));
    let mut child = command(folder.path(), &["endless.prom", "--format", "json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = String::new();
    std::io::Read::read_to_string(&mut child.stdout.take().unwrap(), &mut stdout).unwrap();
    let used = child.wait4().unwrap();
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let (kept, left_out) = (json["total_series"].as_u64().unwrap(), json["quality"]["left_out"].as_u64().unwrap());
    assert!(left_out > 0 && kept + left_out == 12_000, "{kept} and {left_out}");
    assert_eq!(json["quality"]["exact"], false);
    assert!(used.rusage.maxrss < 400 << 20, "{} bytes", used.rusage.maxrss);
}

#[test]
fn a_series_with_very_many_labels_takes_linear_time_and_few_lines() {
    let series = |count: u32| format!("m{{{}}} 1\n", (0..count).map(|n| format!("l{n}=\"v{n}\"")).collect::<Vec<String>>().join(","));
    let folder = folder(&[("few.prom", &series(20_000)), ("many.prom", &series(80_000))]);
    let seconds = |name: &str| {
        let mut child = command(folder.path(), &[name]).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = String::new();
        std::io::Read::read_to_string(&mut child.stdout.take().unwrap(), &mut stdout).unwrap();
        let used = child.wait4().unwrap().rusage;
        assert!(stdout.lines().count() < 50 && stdout.contains("more labels that tell less"), "{}", stdout.lines().count());
        used.utime.as_secs_f64()
    };
    // By the square it would be 16 times as much.
    let (few, many) = (seconds("few.prom"), seconds("many.prom"));
    assert!(many < 8.0 * few, "{few} and {many} seconds");
}
