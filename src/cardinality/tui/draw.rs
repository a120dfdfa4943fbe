//! Draws the state, and changes nothing but the length of a page.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};
use unicode_width::UnicodeWidthStr;

use super::app::{App, Over, Row};
use crate::cardinality::report::wording::{bounded_name, dependency, percent, shape_name, thousands, verdict, verdict_name};
use crate::output::{bytes, escape, shorten};

const DIM: Style = Style::new().add_modifier(Modifier::DIM);
const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);
const SELECTED: Style = Style::new().add_modifier(Modifier::REVERSED);
const HELP: &str = "\
up, down, PgUp, PgDn, g, G   move
right, Enter                 open
left                         close
s                            order: series, name, bytes, values
/                            search names and values; Esc ends it
r                            the raw series of what is selected; left, right move along
q, Ctrl-Z                    leave, for good or until fg";

pub fn draw(app: &mut App<'_>, frame: &mut Frame<'_>) {
    let [head, body, foot] = Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)]).areas(frame.area());
    let [tree_area, detail_area] = Layout::horizontal([Constraint::Percentage(60), Constraint::Percentage(40)]).areas(body);
    app.page = usize::from(body.height.max(1));
    frame.render_widget(Paragraph::new(header(app)), head);
    tree(app, frame, tree_area);
    frame.render_widget(
        Paragraph::new(details(app)).wrap(Wrap { trim: false }).block(Block::default().borders(ratatui::widgets::Borders::LEFT)),
        detail_area,
    );
    frame.render_widget(Paragraph::new(footer(app)), foot);
    match &app.over {
        Over::Nothing => {}
        Over::Help => over(frame, "Keys", HELP.lines().map(Line::raw).collect()),
        Over::Raw { title, lines, top, left } => {
            let room = usize::from(frame.area().width).saturating_sub(2);
            let part = |line: &str| {
                let start = line.char_indices().nth(*left).map_or(line.len(), |(at, _)| at);
                Line::raw(shorten(&line[start..], room).into_owned())
            };
            let lines = lines.iter().skip(*top).take(app.page).map(|line| part(line)).collect();
            over(frame, title, lines);
        }
    }
}

fn header(app: &App<'_>) -> Line<'static> {
    let sources = escape(&app.profile.sources.join(", ")).into_owned();
    let total = format!("  {} series, {} metrics", thousands(app.scrape().series()), app.profile.metrics.len());
    Line::from(vec![Span::styled(sources, STRONG), Span::raw(total), Span::styled(format!("  by {}", app.sort.as_str()), DIM)])
}

fn footer(app: &App<'_>) -> Line<'static> {
    match (app.typing, app.search.is_empty()) {
        (true, _) => Line::raw(format!("/{}_", escape(&app.search))),
        (false, false) => Line::raw(format!("/{}  (Esc ends the search)  ? help  q quit", escape(&app.search))),
        (false, true) => Line::styled("? help  / search  s order  r raw  q quit", DIM),
    }
}

fn tree(app: &App<'_>, frame: &mut Frame<'_>, area: Rect) {
    let height = usize::from(area.height.max(1));
    // The selected row stays in the middle where there is enough above and below.
    let first = app.selected.saturating_sub(height / 2).min(app.rows.len().saturating_sub(height));
    let lines: Vec<Line<'_>> = app
        .rows
        .iter()
        .enumerate()
        .skip(first)
        .take(height)
        .map(|(at, row)| {
            let line = row_line(app, *row, usize::from(area.width));
            if at == app.selected { line.style(SELECTED) } else { line }
        })
        .collect();
    let lines = if lines.is_empty() { vec![Line::styled("nothing is found", DIM)] } else { lines };
    frame.render_widget(Paragraph::new(lines), area);
}

fn row_line(app: &App<'_>, row: Row, width: usize) -> Line<'static> {
    let mark = if app.is_open(row) { "- " } else { "+ " };
    let (indent, mark, name, series) = match row {
        Row::Metric(metric) => (0, mark, app.metric_name(metric), app.metric(metric).series),
        Row::Label(metric, label) => {
            let label = &app.metric(metric).without.labels[label];
            (2, mark, app.scrape().text(label.name), label.values)
        }
        Row::Value { value, series, .. } => (4, "  ", app.scrape().text(value), series),
    };
    let unit = if matches!(row, Row::Label(..)) { " values" } else { "" };
    let number = format!(" {}{unit} ", thousands(series));
    let room = width.saturating_sub(indent + 2 + number.len());
    let name = shorten(&escape(&shorten(name, room)), room).into_owned();
    let gap = " ".repeat(room.saturating_sub(name.width()));
    Line::raw(format!("{}{mark}{name}{gap}{number}", " ".repeat(indent)))
}

fn details(app: &App<'_>) -> Vec<Line<'static>> {
    let Some(row) = app.row() else { return Vec::new() };
    let fact = |name: &str, value: String| Line::from(vec![Span::styled(format!("{name:<15}"), DIM), Span::raw(told(&value))]);
    let (scrape, profile) = (app.scrape(), app.profile);
    let (Row::Metric(number) | Row::Label(number, _) | Row::Value { metric: number, .. }) = row;
    let metric = app.metric(number);
    let family = &scrape.families[metric.family];
    let mut lines = vec![Line::styled(told(app.metric_name(number)), STRONG)];
    match row {
        Row::Metric(_) => {
            lines.extend(family.help.map(|help| Line::raw(told(scrape.text(help)))));
            lines.push(fact("type", family.kind.as_str().to_owned()));
            lines.push(fact("series", format!("{}, {} of all", thousands(metric.series), percent(metric.share))));
            lines.push(fact("children", thousands(metric.children)));
            lines.push(fact("body", bytes(metric.bytes)));
            lines.push(fact("server memory", format!("{} (model)", bytes(profile.memory.metrics[metric.family].memory_bytes))));
            let outlook = &profile.outlooks[metric.family];
            lines.push(fact("outlook", verdict_name(verdict(outlook, &metric.shapes)).to_owned()));
            lines.extend(outlook.reasons.first().map(|reason| fact("", reason.text().to_owned())));
        }
        Row::Label(_, label) | Row::Value { label, .. } => {
            let (labels, shape) = (&metric.without.labels, &metric.shapes[label]);
            let label = &labels[label];
            lines.push(Line::styled(escape(scrape.text(label.name)).into_owned(), STRONG));
            if let Row::Value { value, series, .. } = row {
                lines.push(Line::raw(told(scrape.text(value))));
                lines.push(fact("series", thousands(series)));
            }
            lines.push(fact("values", thousands(label.values)));
            lines.push(fact("series without", thousands(label.series_without)));
            lines.extend(dependency(scrape, &metric.without, label).map(|text| fact("", text)));
            lines.push(fact("shape", format!("{}, {}", shape_name(shape), bounded_name(shape.bounded))));
            if !shape.advice.text().is_empty() {
                lines.push(Line::styled(shape.advice.text(), Style::new().fg(Color::Yellow)));
            }
        }
    }
    lines
}

/// As much of it as the eye takes in: a value may have megabytes.
fn told(text: &str) -> String {
    escape(&shorten(text, 1000)).into_owned()
}

/// A window over all.
fn over(frame: &mut Frame<'_>, title: &str, lines: Vec<Line<'_>>) {
    let area = frame.area();
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(title.to_owned()).title_bottom("Esc closes")), area);
}
