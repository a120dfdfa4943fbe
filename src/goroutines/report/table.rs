//! `--format table`: for people.

use std::io::{self, Write};

use super::stack::write_stack;
use super::wording::{ages, created_by, kinds, labels, place_text, totals, wakes};
use crate::error::{Error, Result};
use crate::goroutines::analyze::{Ages, Group, Key, View};
use crate::goroutines::model::{Goroutine, Stack};
use crate::output::Page;
use crate::output::{Align, Paint, Style, Table, count};
use crate::target::frames::{Place, creator_shown};

/// Fits `style.width`; without one, nothing is cut.
pub fn write_table(view: &View<'_>, out: &mut impl Write, style: Style) -> Result<()> {
    write(view, &mut Page { out, style }).map_err(Error::write)
}

fn write(view: &View<'_>, page: &mut Page<'_, impl Write>) -> io::Result<()> {
    match &view.groups {
        None => {
            for g in view.iter() {
                write_goroutine(view, g, page)?;
            }
            let hidden = view.matched - view.goroutines.len() as u64;
            if hidden > 0 {
                page.line(&format!("... and {}", count(hidden, "more goroutine")), Paint::Dim)?;
                page.blank()?;
            }
        }
        Some(groups) => {
            let digits = groups.iter().map(|group| group.count.to_string().len()).max().unwrap_or(0).max(5);
            if groups.iter().all(|group| matches!(group.key, Key::Stack(_))) {
                for group in groups {
                    write_group(view, group, digits, page)?;
                }
            } else {
                write_rows(groups, page)?;
            }
            let hidden = view.groups_total - groups.len() as u64;
            if hidden > 0 {
                let goroutines = view.matched - groups.iter().map(|group| group.count).sum::<u64>();
                let text = format!("... and {} of {}", count(hidden, "more group"), count(goroutines, "goroutine"));
                page.line(&text, Paint::Dim)?;
                page.blank()?;
            }
        }
    }
    page.sentence(&totals(view))
}

fn write_group(view: &View<'_>, group: &Group<'_>, digits: usize, page: &mut Page<'_, impl Write>) -> io::Result<()> {
    let indent = digits + 2;
    let mut head = vec![kinds(group)];
    head.extend(ages(&group.ages));
    head.extend(group.wakes_in_ns.map(wakes));
    if group.locked > 0 {
        head.push(if group.count == 1 { "locked to thread".into() } else { format!("{} locked to threads", group.locked) });
    }
    if group.system > 0 {
        head.push(if group.system == group.count { "system".into() } else { format!("{} system", group.system) });
    }
    if group.count == 1 {
        head.push(format!("goroutine {}", group.example));
    } else {
        head.push(format!("e.g. goroutine {}", group.example));
    }
    page.head(&format!("{:>digits$}  ", group.count), &head)?;
    let creators = group.created_by.iter().filter_map(|(place, n)| {
        let place = (*place)?;
        let shown = view.runtime_frames || group.system > 0 || creator_shown(place.function);
        let times = if group.created_by.len() > 1 { format!(" ({n})") } else { String::new() };
        shown.then(|| (format!("created by {}", place.name()), place_text(place) + &times))
    });
    let creators: Vec<_> = creators.collect();
    write_stack(stack_of(view, group.stack), view.runtime_frames, view.depth, indent, &creators, page)
}

fn write_goroutine(view: &View<'_>, g: &Goroutine, page: &mut Page<'_, impl Write>) -> io::Result<()> {
    let mut head = vec![match &g.wait_reason {
        Some(reason) => format!("{}: {reason}", g.status.as_str()),
        None => g.status.as_str().to_owned(),
    }];
    head.extend(ages(&Ages::of(g)));
    head.extend(g.wakes_in_ns.map(|ns| wakes((ns, ns))));
    head.extend(g.blocked_on.as_ref().map(|on| format!("on {} {:#x}", on.what, on.address)));
    if let Some(thread) = g.thread {
        let mut text = match thread.tid {
            Some(tid) => format!("thread {tid}"),
            None => "thread ?".to_owned(),
        };
        text.extend(thread.m.map(|m| format!(" M{m}")));
        text.extend(thread.p.map(|p| format!(" P{p}")));
        head.push(text);
    }
    if g.locked {
        head.push("locked to thread".into());
    }
    if g.system {
        head.push("system".into());
    }
    if !g.labels.is_empty() {
        head.push(labels(&g.labels));
    }
    page.head(&format!("goroutine {}  ", g.id), &head)?;
    let creator = g.created_by.as_ref().filter(|by| view.runtime_frames || g.system || creator_shown(&by.frame.function));
    let creator = creator.map(|by| {
        let place = Place::of(&by.frame);
        let parent = by.goroutine.map_or(String::new(), |id| format!(" in goroutine {id}"));
        (format!("created by {}{parent}", place.name()), place_text(place))
    });
    write_stack(stack_of(view, g.stack), view.runtime_frames, view.depth, 4, creator.as_slice(), page)
}

fn stack_of<'a>(view: &View<'a>, stack: u32) -> &'a Stack {
    static EMPTY: Stack = Stack { frames: Vec::new(), cut: None };
    view.snapshot.stacks.get(stack as usize).unwrap_or(&EMPTY)
}

fn write_rows(groups: &[Group<'_>], page: &mut Page<'_, impl Write>) -> io::Result<()> {
    let header = match groups.first().map(|group| group.key) {
        Some(Key::Status(..)) => "STATUS",
        Some(Key::Func(_)) => "FUNCTION",
        Some(Key::CreatedBy(_)) => "CREATED BY",
        _ => "LABEL",
    };
    let by_status = header == "STATUS";
    let mut columns = vec![("COUNT", Align::Right), (header, Align::Shrink)];
    if header == "CREATED BY" {
        columns.push(("PLACE", Align::Left));
    }
    columns.push(("BLOCKED", Align::Left));
    if !by_status {
        columns.push(("STATUS", Align::Shrink));
    }
    let mut table = Table::new(&columns);
    for group in groups {
        let mut row = vec![group.count.to_string()];
        row.extend(key_cells(group, page.style));
        row.push(ages(&group.ages).unwrap_or_default());
        if !by_status {
            row.push(kinds(group));
        }
        table.row(row);
    }
    table.write_to(page.out, page.style)?;
    page.blank()
}

fn key_cells(group: &Group<'_>, style: Style) -> Vec<String> {
    let text = match group.key {
        Key::Stack(_) => String::new(),
        Key::Status(status, Some(reason)) => format!("{}: {reason}", status.as_str()),
        Key::Status(status, None) => status.as_str().to_owned(),
        Key::Func(name) => name.unwrap_or("(unknown)").to_owned(),
        Key::CreatedBy(place) => return created_by(place, style).into(),
        Key::Label(value) => value.unwrap_or("(none)").to_owned(),
    };
    vec![text]
}
