//! A big file of Prometheus text, read by two threads.
//!
//! The second one begins at a line that looks like the start of one, with a guess of what the lines before it say. Whether both were right
//! is known when the first thread gets there; if not (a line feed within quotes, a TYPE far back or behind its samples), what the second has read is thrown away,
//! and the first reads on.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::store::Store;
use crate::formats::exposition::text::{Parser, State};
use crate::formats::exposition::{Item, MetricType};

/// Smaller files are not worth a thread.
pub const WORTH: u64 = 8 << 20;
const BLOCK: usize = 1 << 20;

/// Adds the file to the store.
pub fn read(path: &Path, bytes: u64, store: &mut Store) -> io::Result<()> {
    let file = File::open(path)?;
    match cut(&file, bytes)? {
        Some((at, state)) => read_at(&file, at, state, store),
        None => Part::new(Parser::new(), 0).read(&file, u64::MAX, store),
    }
}

fn read_at(file: &File, at: u64, state: State, store: &mut Store) -> io::Result<()> {
    let mut second = store.for_the_rest();
    let mut first = Part::new(Parser::new(), 0);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| Part::new(Parser::resume(state, at, 0), at).read(file, u64::MAX, &mut second));
        let done = first.read(file, at, store);
        let also_done = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        done.and(also_done)
    })?;
    if first.pending.is_empty() && first.parser.bytes() == at && first.parser.state() == state && store.agrees(&second) {
        store.absorb(second, first.parser.lines());
        return Ok(());
    }
    first.read(file, u64::MAX, store)
}

/// A part of the file, as far as it is read.
struct Part {
    parser: Parser,
    /// Read from the file, and not by the parser.
    pending: Vec<u8>,
    at: u64,
}

impl Part {
    fn new(parser: Parser, at: u64) -> Part {
        Part { parser, pending: Vec::new(), at }
    }

    /// Up to `end`, or to the end of the file.
    fn read(&mut self, file: &File, end: u64, store: &mut Store) -> io::Result<()> {
        let mut each = |item: Item<'_>| store.add(item);
        let mut count = 0;
        while self.at < end {
            let length = usize::try_from(end - self.at).unwrap_or(BLOCK).min(BLOCK);
            let before = self.pending.len();
            self.pending.resize(before + length, 0);
            let got = file.read_at(&mut self.pending[before..], self.at)?;
            self.pending.truncate(before + got);
            self.at += got as u64;
            count += got;
            let last = got == 0;
            let used = self.parser.parse(&self.pending, last, &mut each);
            self.pending.drain(..used);
            if last {
                break;
            }
        }
        store.count_bytes(count);
        Ok(())
    }
}

/// Where the second half may begin, and what would be known there: at a TYPE, else at any line.
fn cut(file: &File, bytes: u64) -> io::Result<Option<(u64, State)>> {
    let middle = bytes / 2;
    let window = window(file, middle)?;
    let found = memchr::memmem::find(&window, TYPE).or_else(|| memchr::memchr(b'\n', &window));
    let Some(feed) = found else { return Ok(None) };
    let at = middle + feed as u64 + 1;
    Ok(Some((at, before_it(file, at)?)))
}

const TYPE: &[u8] = b"\n# TYPE ";

/// By the last TYPE of the block before, or of the first block of the file.
fn before_it(file: &File, at: u64) -> io::Result<State> {
    let start = at.saturating_sub(BLOCK as u64);
    let before = window(file, start)?;
    let before = &before[..before.len().min((at - start) as usize)];
    let kind = match last_type(before) {
        Some(kind) => Some(kind),
        None => last_type(&window(file, 0)?),
    };
    Ok(State::after(kind.unwrap_or_default()))
}

fn last_type(text: &[u8]) -> Option<MetricType> {
    let at = memchr::memmem::rfind(text, TYPE).map(|at| at + 1).or_else(|| text.starts_with(&TYPE[1..]).then_some(0))?;
    let line = text[at..].split(|byte| *byte == b'\n').next().unwrap_or_default();
    Some(match line.rsplit(|byte| *byte == b' ').next() {
        Some(b"histogram") => MetricType::Histogram,
        Some(b"summary") => MetricType::Summary,
        _ => MetricType::Unknown,
    })
}

fn window(file: &File, at: u64) -> io::Result<Vec<u8>> {
    let mut window = vec![0; BLOCK];
    let got = file.read_at(&mut window, at)?;
    window.truncate(got);
    Ok(window)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::cardinality::model::Scrape;

    fn whole(text: &str) -> Scrape {
        let mut store = Store::new();
        Parser::new().parse(text.as_bytes(), true, &mut |item| store.add(item));
        store.finish()
    }

    fn at(text: &str, cut: usize, state: State) -> Scrape {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let mut store = Store::new();
        read_at(&file, cut as u64, state, &mut store).unwrap();
        store.finish()
    }

    /// All that is told of a scrape.
    fn told(scrape: &Scrape) -> (Vec<String>, Vec<String>, [u64; 4]) {
        let mut series = Vec::new();
        for family in &scrape.families {
            for child in 0..family.children() {
                let mut labels: Vec<String> =
                    family.labels(child).map(|(name, value)| format!("{}={}", scrape.text(name), scrape.text(value))).collect();
                labels.sort();
                let members = family.members(child).iter().zip(family.values(child));
                series.extend(members.map(|(member, value)| {
                    format!("{:?} {}{labels:?} {} {value}", family.kind, scrape.series_name(family, member.role), scrape.text(member.bound))
                }));
            }
        }
        series.sort();
        let quality = &scrape.quality;
        let problems = quality
            .problems
            .iter()
            .map(|found| &found.problem)
            .map(|problem| format!("{}@{} {problem}", problem.offset, problem.excerpt))
            .collect();
        (series, problems, [quality.samples, quality.duplicates, quality.errors, quality.timestamped])
    }

    const LINES: [&str; 12] = [
        "# TYPE h histogram\n",
        "# TYPE s summary\n",
        "# TYPE c counter\n",
        "# HELP h some\n",
        "h_bucket{a=\"x\",le=\"1\"} 1\n",
        "h_bucket{a=\"x\",le=\"+Inf\"} 2\n",
        "h_count{a=\"x\"} 2\n",
        "s{quantile=\"0.5\"} 3\n",
        "c{b=\"line\nfeed\"} 4\n",
        "c{b=\"y\"} 5 123\n",
        "wrong {\n",
        "\n",
    ];

    proptest! {
        #[test]
        fn two_halves_tell_what_the_whole_tells(lines in prop::collection::vec(0..LINES.len(), 0..40), cut in 0..1000usize, guess in 0..3usize) {
            let text: String = lines.iter().map(|line| LINES[*line]).collect();
            let cut = cut.min(text.len());
            let state = State::after([MetricType::Unknown, MetricType::Histogram, MetricType::Summary][guess]);
            prop_assert_eq!(told(&at(&text, cut, state)), told(&whole(&text)));
        }
    }

    #[test]
    fn a_cut_is_at_a_line_with_what_was_said_before() {
        let mut file = tempfile::tempfile().unwrap();
        let text = format!("# TYPE h histogram\n{}# TYPE s summary\ns 1\n", "h_bucket{le=\"1\"} 1\n".repeat(100));
        file.write_all(text.as_bytes()).unwrap();
        let (at, state) = cut(&file, text.len() as u64).unwrap().unwrap();
        assert!(text[at as usize..].starts_with("# TYPE s"));
        assert_eq!(state, State::after(MetricType::Histogram));
        let (at, state) = cut(&file, 400).unwrap().unwrap();
        assert!(text[at as usize..].starts_with("# TYPE s"), "the next TYPE");
        assert_eq!(state, State::after(MetricType::Histogram));
    }
}
