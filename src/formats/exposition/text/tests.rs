use super::super::{Item, LONGEST_LINE, Severity};
use super::{Parser, State};

/// What is handed out, one line an item, in blocks of some size.
fn read(parser: &mut Parser, body: &[u8], block: usize) -> Vec<String> {
    let mut items = Vec::new();
    let mut each = |item: Item<'_>| {
        items.push(match item {
            Item::Sample(sample) => {
                let labels: Vec<String> = sample.labels.iter().map(|label| format!("{}={}", label.name, label.value)).collect();
                format!("{}{{{}}} @{}+{}", sample.name, labels.join(","), sample.offset, sample.length)
            }
            Item::Problem(problem) => {
                let shown = if problem.severity == Severity::Error { "" } else { "warning " };
                format!("{shown}{problem}")
            }
            Item::Type { name, kind } => format!("type {name} {}", kind.as_str()),
            Item::Help { name, text } => format!("help {name} {text}"),
            Item::Unit { name, unit } => format!("unit {name} {unit}"),
        });
    };
    let (mut start, mut end) = (0, 0);
    while end < body.len() {
        end = body.len().min(end + block);
        start += parser.parse(&body[start..end], end == body.len(), &mut each);
    }
    assert_eq!(start, body.len());
    items
}

fn items(body: &[u8]) -> Vec<String> {
    let whole = read(&mut Parser::new(), body, body.len().max(1));
    for block in [1, 7, 64] {
        if body.len() < 10_000 {
            assert_eq!(read(&mut Parser::new(), body, block), whole, "in blocks of {block}");
        }
    }
    whole
}

#[test]
fn a_problem_has_its_place_and_says_what_was_expected() {
    for (body, expected) in [
        ("\n# é\nb é\n", "3:3: not a number: expected a decimal one, NaN, +Inf or -Inf"),
        ("é 1\n", "1:1: expected a metric name, `{` or `#`"),
        ("<html>\n", "1:1: this is HTML or XML, not metrics: expected a metric name, `{` or `#`"),
        ("\u{feff}a 1\n", "1:1: a byte order mark: expected a metric name, `{` or `#`"),
        ("a{é=\"x\"} 1\n", "1:3: expected a label name or `}`"),
        ("a{b=\"é\",,} 1\n", "1:9: expected a label name or `}`"),
        ("a{b x} 1\n", "1:5: expected `=` after the label name"),
        ("a{b=c} 1\n", "1:5: expected a label value in double quotes"),
        ("a\n", "1:2: expected a value: a number, NaN, +Inf or -Inf"),
        ("a 1 1.5\n", "1:6: expected the end of the line after the timestamp, which is whole milliseconds"),
        ("a 1 -1\n", "1:5: expected the end of the line or a timestamp, in whole milliseconds"),
        ("a 1 # {} 1\n", "1:5: expected the end of the line: only OpenMetrics has exemplars"),
        ("{b=\"c\"} 1\n", "1:8: no metric name: expected one before or in the braces, as `{\"name\"}`"),
        ("a{b=\"c\",b=\"d\"} 1\n", "1:9: the label b occurs twice"),
        ("a{__name__=\"b\"} 1\n", "1:3: the metric has a name, and a second one in the label __name__"),
        ("# TYPE a info\n", "1:10: only OpenMetrics has this type: expected counter, gauge, histogram, summary or untyped"),
        ("# TYPE a gauge \n", "1:10: blanks around the type: expected one before it, and none behind"),
        ("# HELP 1\n", "1:8: expected a metric name after `# HELP`"),
        ("a{b=\"c", "1:5: the quote is not closed in this line"),
    ] {
        assert_eq!(items(body.as_bytes()), [expected], "{body:?}");
    }
    assert_eq!(items(b"a{b=\"x\xff\"} 1\n"), ["1:7: the label value is not UTF-8"]);
    assert_eq!(items(b"a{\"\xff\"=\"b\"} 1\n"), ["1:1: a name is not UTF-8"]);
}

#[test]
fn reading_goes_on_behind_an_error() {
    assert_eq!(
        items(b"a one\nb 1\nc two\n\n{\"d\"} 2\n"),
        [
            "1:3: not a number: expected a decimal one, NaN, +Inf or -Inf",
            "b{} @6+4",
            "3:3: not a number: expected a decimal one, NaN, +Inf or -Inf",
            "d{} @17+8"
        ]
    );
}

/// The lexer looks for the end of the quote in the lines behind, and fails somewhere there.
#[test]
fn a_missing_quote_is_seen_where_it_opens() {
    let found = items(b"a{b=\"c} 1\nd{e=\"f\"} 2\n");
    assert_eq!(found, ["1:5: the quote is not closed in this line", "d{e=f} @10+11"]);
    assert_eq!(items(b"a{b=\"c\nd\"} 1\ne x\n"), ["a{b=c\nd} @0+13", "3:3: not a number: expected a decimal one, NaN, +Inf or -Inf"]);
}

#[test]
fn carriage_returns_are_problems_but_the_samples_are_kept() {
    let wrong = "a carriage return: lines must end with a line feed alone";
    assert_eq!(
        items(b"# TYPE a histogram\r\na{le=\"1\"} 1\r\n"),
        [&format!("1:19: {wrong}"), "type a histogram", &format!("2:12: {wrong}"), "a{le=1.0} @20+13"]
    );
    assert_eq!(items(b"# EOF\r\n"), [""; 0]);
}

#[test]
fn carriage_returns_alone_are_told_where_the_first_one_is() {
    let wrong = "a carriage return: lines must end with a line feed alone";
    assert_eq!(items(b"a 1\rb 2\r"), [format!("1:4: {wrong}")]);
    assert_eq!(items(b"a{b=\"c\"} 1 2\rb 2\r"), [format!("1:13: {wrong}")]);
    assert_eq!(items(b"# TYPE a gauge\ra 1\r"), [format!("1:15: {wrong}")]);
    let swallowed = "warning 1:12: a carriage return: what is behind it is taken for a part of the help text";
    assert_eq!(items(b"# HELP a bc\ra 1\rb 2\r\nc 3\n"), ["help a bc\ra 1\rb 2\r", swallowed, "c{} @21+4"]);
}

#[test]
fn behind_what_the_server_takes_for_the_end_nothing_is_read() {
    let found = items(b"a 1\n\0\nb 1\nc\n");
    assert_eq!(found, ["a{} @0+4", "warning 2:1: a NUL byte here is taken for the end of the body: the server reads no further"]);
}

#[test]
fn a_line_that_is_too_long_is_passed_over() {
    let mut body = b"a 1\nb{c=\"".to_vec();
    body.resize(LONGEST_LINE + 100, b'x');
    body.extend(b"\"} 1\nd 1\n");
    let expected = ["a{} @0+4".to_owned(), "2:1: the line is longer than 16 MiB, and is passed over".to_owned(), {
        let offset = body.len() - 4;
        format!("d{{}} @{offset}+4")
    }];
    assert_eq!(items(&body), expected);
    assert_eq!(read(&mut Parser::new(), &body, 1 << 20), expected);
    // Not closed in as many bytes, but the lines behind are short.
    body.truncate(9);
    while body.len() <= LONGEST_LINE + 100 {
        body.extend(b"\nd 1 # ");
        body.resize(body.len() + (1 << 20), b'x');
    }
    let found = items(&body);
    assert_eq!(found[1], "2:5: the quote is not closed within 16 MiB");
    assert_eq!(found[2], "3:5: expected the end of the line: only OpenMetrics has exemplars");
    assert_eq!(read(&mut Parser::new(), &body, 1 << 20), found);
}

#[test]
fn many_labels_have_each_name_once() {
    let line = |last: &str| {
        let labels: Vec<String> = (0..20).map(|number| format!("l{number}=\"x\"")).chain([format!("{last}=\"y\"")]).collect();
        items(format!("a{{{}}} 1\n", labels.join(",")).as_bytes())
    };
    assert!(line("other")[0].ends_with("l19=x,other=y} @0+165"), "{:?}", line("other"));
    assert_eq!(line("l18"), ["1:153: the label l18 occurs twice"]);
}

#[test]
fn a_parser_that_resumes_reads_what_the_first_would() {
    let body = b"# TYPE a histogram\na_bucket{le=\"1\"} 1\nb x\na_bucket{le=\"2\"} 1\n# TYPE b summary\nb{quantile=\"1\"} 1\n# TYPE c gauge\nc{le=\"1\"} 1";
    let whole = items(body);
    let starts = (0..body.len()).filter(|&at| at == 0 || body[at - 1] == b'\n');
    for at in starts {
        let mut first = Parser::new();
        let mut found = read(&mut first, &body[..at], 1000);
        let mut second = Parser::resume(first.state(), first.bytes(), first.lines());
        found.extend(read(&mut second, &body[at..], 1000));
        assert_eq!(found, whole, "at {at}");
        assert_eq!((second.bytes(), second.lines()), (body.len() as u64, 7));
    }
    // Only what changes how lines are read is in the state.
    let state = |body: &[u8]| {
        let mut parser = Parser::new();
        read(&mut parser, body, 1000);
        parser.state()
    };
    assert_eq!(state(b"# TYPE a gauge\na 1\n"), State::default());
    assert_eq!(state(b"# TYPE a histogram\n"), state(b"x 1\n# TYPE b histogram\nb 1\n"));
    assert_ne!(state(b"# TYPE a histogram\n"), state(b"# TYPE a summary\n"));
}

#[test]
fn strict_rules_are_those_of_other_readers() {
    for (body, told) in [
        ("# TYPE a counter\n# HELP a x\na 1\n", ""),
        ("# TYPE a counter\na 1\n# TYPE a counter\n", "3:1: a second TYPE of a"),
        ("# HELP a x\n# HELP a y\na 1\n", "2:1: a second HELP of a"),
        ("a 1\n# TYPE a counter\n", "2:1: the TYPE of a stands behind its first sample"),
        ("h_bucket{le=\"1\"} 1\n# TYPE h histogram\n", "2:1: the TYPE of h stands behind its first sample"),
        ("a{b=\"c\",d=\"e\"} 1\na{d=\"e\",b=\"c\"} 2\n", "2:1: this series was there before"),
        ("a 1", "1:1: the last line has no line feed"),
    ] {
        let mut found = Vec::new();
        let mut take = |item: Item<'_>| {
            if let Item::Problem(problem) = item {
                found.push(problem.to_string());
            }
        };
        Parser::strict().parse(body.as_bytes(), true, &mut take);
        assert_eq!(found.join(", "), told, "{body}");
        let mut plain = 0;
        Parser::new().parse(body.as_bytes(), true, &mut |item| plain += usize::from(matches!(item, Item::Problem(_))));
        assert_eq!(plain, 0, "the server takes it: {body}");
    }
}
