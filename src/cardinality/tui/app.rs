//! What is open, selected and searched for. Knows no terminal.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::cardinality::analyze::metrics::Metric;
use crate::cardinality::model::{Id, Scrape};
use crate::cardinality::profile::Profile;
use crate::output::escape;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Stay,
    /// Ctrl-Z, which a terminal in raw mode hands over as a key.
    Suspend,
    Leave,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Series,
    Name,
    Bytes,
    Values,
}

impl Sort {
    pub fn as_str(self) -> &'static str {
        match self {
            Sort::Series => "series",
            Sort::Name => "name",
            Sort::Bytes => "bytes",
            Sort::Values => "values",
        }
    }

    fn next(self) -> Sort {
        match self {
            Sort::Series => Sort::Name,
            Sort::Name => Sort::Bytes,
            Sort::Bytes => Sort::Values,
            Sort::Values => Sort::Series,
        }
    }
}

/// A line of the tree; numbers are those of `Profile::metrics` and of the metric's labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    Metric(usize),
    Label(usize, usize),
    Value { metric: usize, label: usize, value: Id, series: u64 },
}

/// What lies over the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Over {
    Nothing,
    Help,
    /// Lines of the exposition, and the first line and column that are shown.
    Raw {
        title: String,
        lines: Vec<String>,
        top: usize,
        left: usize,
    },
}

/// Columns that a raw line moves at a time.
const SIDEWAYS: usize = 20;
/// More raw lines than this are not made.
const MOST_LINES: usize = 20_000;

pub struct App<'a> {
    pub profile: &'a Profile,
    pub rows: Vec<Row>,
    pub selected: usize,
    pub sort: Sort,
    pub search: String,
    /// Keys go into the search.
    pub typing: bool,
    pub over: Over,
    /// Lines that fit, as the last drawing found.
    pub page: usize,
    open_metrics: FxHashSet<usize>,
    open_labels: FxHashSet<(usize, usize)>,
    /// Strings that hold what is searched for; `None` without a search.
    found: Option<FxHashSet<Id>>,
}

impl<'a> App<'a> {
    pub fn new(profile: &'a Profile) -> Self {
        let mut app = App {
            profile,
            rows: Vec::new(),
            selected: 0,
            sort: Sort::Series,
            search: String::new(),
            typing: false,
            over: Over::Nothing,
            page: 10,
            open_metrics: FxHashSet::default(),
            open_labels: FxHashSet::default(),
            found: None,
        };
        app.rebuild();
        app
    }

    pub fn scrape(&self) -> &'a Scrape {
        &self.profile.scrape
    }

    pub fn metric(&self, number: usize) -> &'a Metric {
        &self.profile.metrics[number]
    }

    pub fn metric_name(&self, number: usize) -> &'a str {
        self.scrape().text(self.scrape().families[self.metric(number).family].name)
    }

    pub fn row(&self) -> Option<Row> {
        self.rows.get(self.selected).copied()
    }

    pub fn is_open(&self, row: Row) -> bool {
        match row {
            Row::Metric(metric) => self.open_metrics.contains(&metric),
            Row::Label(metric, label) => self.open_labels.contains(&(metric, label)),
            Row::Value { .. } => false,
        }
    }

    pub fn on_key(&mut self, key: KeyEvent) -> Next {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Next::Leave;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('z') {
            return Next::Suspend;
        }
        if self.typing {
            self.on_search_key(key.code);
            return Next::Stay;
        }
        if self.over != Over::Nothing {
            self.on_over_key(key.code);
            return Next::Stay;
        }
        match key.code {
            KeyCode::Char('q') => return Next::Leave,
            KeyCode::Esc => self.search_for(String::new()),
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char('?') => self.over = Over::Help,
            KeyCode::Char('s') => {
                self.sort = self.sort.next();
                self.rebuild();
            }
            KeyCode::Char('r') => self.show_raw(),
            KeyCode::Enter | KeyCode::Char(' ') => self.toggle(),
            KeyCode::Right | KeyCode::Char('l') => self.open(),
            KeyCode::Left | KeyCode::Char('h') => self.close(),
            code => self.selected = moved(code, self.selected, self.rows.len(), self.page),
        }
        Next::Stay
    }

    fn on_search_key(&mut self, code: KeyCode) {
        let mut search = self.search.clone();
        match code {
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.typing = false;
                self.search_for(String::new());
            }
            KeyCode::Backspace => {
                search.pop();
                self.search_for(search);
            }
            KeyCode::Char(c) => {
                search.push(c);
                self.search_for(search);
            }
            _ => {}
        }
    }

    fn on_over_key(&mut self, code: KeyCode) {
        if let Over::Raw { lines, top, left, .. } = &mut self.over
            && !matches!(code, KeyCode::Esc | KeyCode::Char('q' | 'r'))
        {
            let longest = || lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
            match code {
                KeyCode::Left | KeyCode::Char('h') => *left = left.saturating_sub(SIDEWAYS),
                KeyCode::Right | KeyCode::Char('l') if *left + SIDEWAYS < longest() => *left += SIDEWAYS,
                code => *top = moved(code, *top, lines.len(), self.page),
            }
            return;
        }
        self.over = Over::Nothing;
    }

    fn search_for(&mut self, search: String) {
        let needle = search.to_lowercase();
        let strings = &self.scrape().strings;
        let ids = || (0..strings.len() as u32).map(Id).filter(|id| strings.get(*id).to_lowercase().contains(&needle)).collect();
        self.found = (!needle.is_empty()).then(ids);
        self.search = search;
        self.selected = 0;
        self.rebuild();
    }

    fn toggle(&mut self) {
        match self.row() {
            Some(row) if self.is_open(row) => self.close(),
            _ => self.open(),
        }
    }

    fn open(&mut self) {
        match self.row() {
            Some(Row::Metric(metric)) => drop(self.open_metrics.insert(metric)),
            Some(Row::Label(metric, label)) => drop(self.open_labels.insert((metric, label))),
            _ => return,
        }
        self.rebuild();
    }

    /// What is closed already takes its parent along.
    fn close(&mut self) {
        let Some(row) = self.row() else { return };
        let row = match row {
            Row::Value { metric, label, .. } => Row::Label(metric, label),
            Row::Label(metric, label) if !self.open_labels.contains(&(metric, label)) => Row::Metric(metric),
            row => row,
        };
        match row {
            Row::Metric(metric) => drop(self.open_metrics.remove(&metric)),
            Row::Label(metric, label) => drop(self.open_labels.remove(&(metric, label))),
            Row::Value { .. } => {}
        }
        self.rebuild();
        self.selected = self.rows.iter().position(|other| *other == row).unwrap_or(0);
    }

    /// The rows, from what is open, the order and the search.
    fn rebuild(&mut self) {
        let mut order: Vec<usize> = (0..self.profile.metrics.len()).collect();
        let values = |metric: usize| self.metric(metric).without.labels.iter().map(|label| label.values).max().unwrap_or(0);
        match self.sort {
            Sort::Series => {}
            Sort::Name => order.sort_by_key(|metric| self.metric_name(*metric)),
            Sort::Bytes => order.sort_by_key(|metric| std::cmp::Reverse(self.metric(*metric).bytes)),
            Sort::Values => order.sort_by_key(|metric| std::cmp::Reverse(values(*metric))),
        }
        let mut rows = Vec::new();
        for metric in order.into_iter().filter(|metric| self.holds_metric(*metric)) {
            rows.push(Row::Metric(metric));
            if self.open_metrics.contains(&metric) {
                self.push_labels(metric, &mut rows);
            }
        }
        self.rows = rows;
        self.selected = self.selected.min(self.rows.len().saturating_sub(1));
    }

    fn push_labels(&self, metric: usize, rows: &mut Vec<Row>) {
        let labels = &self.metric(metric).without.labels;
        let named = self.is_found(self.scrape().families[self.metric(metric).family].name);
        let mut order: Vec<usize> = (0..labels.len()).collect();
        match self.sort {
            Sort::Name => order.sort_by_key(|label| self.scrape().text(labels[*label].name)),
            _ => order.sort_by_key(|label| (labels[*label].series_without, std::cmp::Reverse(labels[*label].values))),
        }
        for label in order {
            let all = named || self.is_found(labels[label].name);
            if !all && !self.holds_value(metric, label) {
                continue;
            }
            rows.push(Row::Label(metric, label));
            if self.open_labels.contains(&(metric, label)) {
                let values = self.values(metric, label).into_iter().filter(|(value, _)| all || self.is_found(*value));
                rows.extend(values.map(|(value, series)| Row::Value { metric, label, value, series }));
            }
        }
    }

    fn is_found(&self, id: Id) -> bool {
        self.found.as_ref().is_none_or(|found| found.contains(&id))
    }

    fn holds_metric(&self, metric: usize) -> bool {
        let labels = &self.metric(metric).without.labels;
        self.found.is_none()
            || self.is_found(self.scrape().families[self.metric(metric).family].name)
            || (0..labels.len()).any(|label| self.is_found(labels[label].name) || self.holds_value(metric, label))
    }

    fn holds_value(&self, metric: usize, label: usize) -> bool {
        let cells = &self.scrape().families[self.metric(metric).family].columns[label].cells;
        self.found.is_none() || cells.iter().any(|cell| *cell != Id::EMPTY && self.is_found(*cell))
    }

    /// All values of a label with their series; most first, or by name.
    pub fn values(&self, metric: usize, label: usize) -> Vec<(Id, u64)> {
        let family = &self.scrape().families[self.metric(metric).family];
        let mut counts: FxHashMap<Id, u64> = FxHashMap::default();
        for (child, value) in family.columns[label].cells.iter().enumerate().filter(|(_, value)| **value != Id::EMPTY) {
            *counts.entry(*value).or_default() += family.members(child).len() as u64;
        }
        let mut values: Vec<(Id, u64)> = counts.into_iter().collect();
        values.sort_by_key(|(value, series)| {
            let most = if self.sort == Sort::Name { 0 } else { *series };
            (std::cmp::Reverse(most), self.scrape().text(*value))
        });
        values
    }

    /// The series of what is selected, as an endpoint would write them.
    fn show_raw(&mut self) {
        let Some(row) = self.row() else { return };
        let (metric, wanted) = match row {
            Row::Metric(metric) | Row::Label(metric, _) => (metric, None),
            Row::Value { metric, label, value, .. } => (metric, Some((label, value))),
        };
        let family = &self.scrape().families[self.metric(metric).family];
        let mut lines = Vec::new();
        for child in 0..family.children() {
            if wanted.is_some_and(|(label, value)| family.columns[label].cells[child] != value) {
                continue;
            }
            for (member, value) in family.members(child).iter().zip(family.values(child)) {
                let series = self.scrape().series_text(family, child, *member);
                lines.push(escape(&format!("{series} {value}")).into_owned());
            }
            if lines.len() >= MOST_LINES && child + 1 < family.children() {
                lines.push("(and more)".to_owned());
                break;
            }
        }
        let title = format!("{}, rebuilt from what was read", escape(self.metric_name(metric)));
        self.over = Over::Raw { title, lines, top: 0, left: 0 };
    }
}

/// Where a key that moves leads to, in a list of `count`.
fn moved(code: KeyCode, at: usize, count: usize, page: usize) -> usize {
    let last = count.saturating_sub(1);
    match code {
        KeyCode::Up | KeyCode::Char('k') => at.saturating_sub(1),
        KeyCode::Down | KeyCode::Char('j') => (at + 1).min(last),
        KeyCode::PageUp => at.saturating_sub(page),
        KeyCode::PageDown => (at + page).min(last),
        KeyCode::Home | KeyCode::Char('g') => 0,
        KeyCode::End | KeyCode::Char('G') => last,
        _ => at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cardinality::collect::Collected;
    use crate::cardinality::profile::Options;
    use crate::cardinality::store::Store;
    use crate::formats::exposition::text::Parser;

    const BODY: &str = "# TYPE small gauge\nsmall 1\n# TYPE big_total counter\nbig_total{path=\"/a\",m=\"GET\"} 1\n\
                        big_total{path=\"/b\",m=\"GET\"} 2\nbig_total{path=\"/b\",m=\"PUT\"} 3\n";

    fn profile() -> Profile {
        let mut store = Store::new();
        Parser::new().parse(BODY.as_bytes(), true, &mut |item| store.add(item));
        let collected =
            Collected { scrape: store.finish(), rules: Default::default(), sources: vec!["test".to_owned()], failed: Vec::new() };
        let options = Options { top: 5, buckets: None, exemplars: None, lint: false };
        Profile::new(collected, std::time::SystemTime::UNIX_EPOCH, &options)
    }

    fn press(app: &mut App<'_>, keys: &str) -> Next {
        let code = |key| match key {
            '>' => KeyCode::Right,
            '<' => KeyCode::Left,
            'v' => KeyCode::Down,
            '^' => KeyCode::Esc,
            '$' => KeyCode::Enter,
            key => KeyCode::Char(key),
        };
        keys.chars().fold(Next::Stay, |_, key| app.on_key(KeyEvent::from(code(key))))
    }

    /// Rows as text, the selected one with a star.
    fn rows(app: &App<'_>) -> Vec<String> {
        let text = |row: &Row| match *row {
            Row::Metric(metric) => app.metric_name(metric).to_owned(),
            Row::Label(metric, label) => format!(" {}", app.scrape().text(app.metric(metric).without.labels[label].name)),
            Row::Value { value, series, .. } => format!("  {} {series}", app.scrape().text(value)),
        };
        let star = |at| if at == app.selected { "*" } else { "" };
        app.rows.iter().enumerate().map(|(at, row)| format!("{}{}", text(row), star(at))).collect()
    }

    #[test]
    fn the_tree_opens_down_to_the_values_and_closes_again() {
        let profile = profile();
        let mut app = App::new(&profile);
        assert_eq!(rows(&app), ["big_total*", "small"]);
        press(&mut app, ">");
        assert_eq!(rows(&app), ["big_total*", " path", " m", "small"]);
        press(&mut app, "v>");
        assert_eq!(rows(&app), ["big_total", " path*", "  /b 2", "  /a 1", " m", "small"]);
        press(&mut app, "v<");
        assert_eq!(rows(&app), ["big_total", " path*", " m", "small"]);
        press(&mut app, "<");
        assert_eq!(rows(&app), ["big_total*", "small"]);
        assert_eq!(press(&mut app, "jjjjkg"), Next::Stay);
        assert_eq!(press(&mut app, "q"), Next::Leave);
    }

    #[test]
    fn a_search_finds_names_and_values() {
        let profile = profile();
        let mut app = App::new(&profile);
        press(&mut app, "/PUT");
        assert_eq!(rows(&app), ["big_total*"]);
        press(&mut app, "$>v>");
        assert_eq!(rows(&app), ["big_total", " m*", "  PUT 1"]);
        press(&mut app, "^");
        assert_eq!(rows(&app).len(), 6);
        press(&mut app, "/small");
        assert_eq!(rows(&app), ["small*"]);
        press(&mut app, "x");
        assert!(rows(&app).is_empty());
        assert_eq!(press(&mut app, "q"), Next::Stay, "q is typed, too");
    }

    #[test]
    fn orders_and_raw_series() {
        let profile = profile();
        let mut app = App::new(&profile);
        press(&mut app, "sss");
        assert_eq!(app.sort, Sort::Values);
        press(&mut app, "s>v>vr");
        let Over::Raw { lines, .. } = &app.over else { panic!("{:?}", app.over) };
        assert_eq!(*lines, ["big_total{path=\"/b\",m=\"GET\"} 2", "big_total{path=\"/b\",m=\"PUT\"} 3"]);
        assert_eq!(press(&mut app, "q"), Next::Stay, "it closes what lies over the tree");
        assert_eq!(app.over, Over::Nothing);
        press(&mut app, "?");
        assert_eq!(app.over, Over::Help);
    }

    #[test]
    fn it_is_drawn_at_any_size() {
        let profile = profile();
        for (width, height) in [(1, 1), (20, 5), (80, 24), (200, 60)] {
            let mut terminal = ratatui::Terminal::new(ratatui::backend::TestBackend::new(width, height)).unwrap();
            let mut app = App::new(&profile);
            for keys in ["", ">v>v", "r", "^?", "^/none"] {
                press(&mut app, keys);
                terminal.draw(|frame| super::super::draw::draw(&mut app, frame)).unwrap();
            }
        }
        let mut terminal = ratatui::Terminal::new(ratatui::backend::TestBackend::new(80, 12)).unwrap();
        let mut app = App::new(&profile);
        press(&mut app, ">v");
        terminal.draw(|frame| super::super::draw::draw(&mut app, frame)).unwrap();
        let text = terminal.backend().to_string();
        for part in ["- big_total", "+ path", "2 values", "series without", "+ small"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }
}
