//! For people: sections of `name  value` lines, then tables.

use std::io::Write;

use super::runtime;
use crate::error::{Error, Result};
use crate::info::model::{Check, Info, Listener, Live, State};
use crate::output::{self, Align, Output, Paint, Table};
use crate::target::buildinfo::{BuildInfo, Module};

pub fn write(info: &Info, out: &mut Output) -> Result<()> {
    let mut page = Page { out, begun: false };
    if let Some(live) = &info.live {
        process(&mut page, info, live)?;
    }
    if let Some(live) = &info.live {
        runtime::write(&mut page, info, live)?;
    }
    binary(&mut page, info)?;
    dependencies(&mut page, &info.binary.build)?;
    if let Some(live) = &info.live {
        listening(&mut page, live)?;
    }
    doctor(&mut page, &info.checks)
}

pub(super) struct Page<'a> {
    out: &'a mut Output,
    begun: bool,
}

impl Page<'_> {
    pub(super) fn heading(&mut self, text: &str) -> Result<()> {
        if self.begun {
            self.line("")?;
        }
        self.begun = true;
        let heading = self.out.style().paint(Paint::Heading, text);
        self.line(&heading)
    }

    pub(super) fn field(&mut self, name: &str, value: &str) -> Result<()> {
        let name = self.out.style().paint(Paint::Dim, &format!("{name:<13}"));
        self.line(&format!("  {name} {}", output::escape(value)))
    }

    pub(super) fn line(&mut self, text: &str) -> Result<()> {
        writeln!(self.out, "{}", text.trim_end()).map_err(Error::write)
    }
}

fn process(page: &mut Page, info: &Info, live: &Live) -> Result<()> {
    page.heading("Process")?;
    let inner = live.inner_pid.map_or_else(String::new, |inner| format!(" ({inner} in its own pid namespace)"));
    page.field("pid", &format!("{}{inner}", live.pid))?;
    page.field("name", &live.comm)?;
    page.field("user", &if live.user.is_empty() { live.uid.to_string() } else { format!("{} ({})", live.user, live.uid) })?;
    let started = info.captured_at.checked_sub(live.age).map(output::timestamp).unwrap_or_default();
    page.field("started", &format!("{} ago, {}", output::duration(live.age), started.split('.').next().unwrap_or_default()))?;
    let swapped = if live.swap_bytes > 0 { format!(", {} swapped out", output::bytes(live.swap_bytes)) } else { String::new() };
    page.field("memory", &format!("{} RSS{swapped}", output::bytes(live.rss_bytes)))?;
    page.field("threads", &live.threads.to_string())?;
    if let Some(container) = &live.container {
        page.field("container", container)?;
    }
    if !live.other_namespaces.is_empty() {
        page.field("namespaces", &format!("its own: {}", live.other_namespaces.join(", ")))?;
    }
    match &live.cpu_quota {
        Some(quota) => page.field("CPU quota", &format!("{} CPUs ({})", quota.cpus, quota.source.display())),
        None => page.field("CPU quota", "none found"),
    }
}

fn binary(page: &mut Page, info: &Info) -> Result<()> {
    let (binary, build) = (&info.binary, &info.binary.build);
    page.heading("Binary")?;
    let deleted = info.live.as_ref().is_some_and(|live| live.exe_deleted);
    let deleted = if deleted { " (deleted or replaced since; read as the kernel holds it)" } else { "" };
    page.field("file", &format!("{}, {}{deleted}", info.exe.display(), output::bytes(info.exe_bytes)))?;
    page.field("go", &format!("{}, linux/{}", build.go_version, binary.machine.as_str()))?;
    if !build.path.is_empty() {
        page.field("main package", &build.path)?;
    }
    if let Some(main) = &build.main {
        page.field("module", &module(main))?;
        if let Some(replace) = &main.replace {
            page.field("", &format!("=> {}", module(replace)))?;
        }
    }
    if let Some(vcs) = build.vcs() {
        let dirty = if vcs.modified { ", with changes" } else { "" };
        page.field("revision", &format!("{} {}{dirty}, {}", vcs.system, vcs.revision, vcs.time))?;
    }
    let marks = [if binary.stripped { "stripped" } else { "with symbol table" }, if binary.dwarf { "with DWARF" } else { "without DWARF" }];
    page.field("link", &format!("{}, {}", binary.mode.as_str(), marks.join(", ")))?;
    for (index, (key, value)) in build.settings.iter().enumerate() {
        page.field(if index == 0 { "settings" } else { "" }, &format!("{key}={value}"))?;
    }
    Ok(())
}

/// `path version sum`
fn module(module: &Module) -> String {
    [module.path.as_str(), &module.version, &module.sum].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" ")
}

fn dependencies(page: &mut Page, build: &BuildInfo) -> Result<()> {
    if build.deps.is_empty() {
        return Ok(());
    }
    page.heading(&format!("Dependencies ({})", build.deps.len()))?;
    let mut table = Table::new(&[("  MODULE", Align::Shrink), ("VERSION", Align::Left), ("SUM", Align::Shrink)]);
    for dep in &build.deps {
        table.row([format!("  {}", dep.path), dep.version.clone(), dep.sum.clone()]);
        if let Some(replace) = &dep.replace {
            table.row([format!("  => {}", replace.path), replace.version.clone(), replace.sum.clone()]);
        }
    }
    table.write(page.out)
}

fn listening(page: &mut Page, live: &Live) -> Result<()> {
    page.heading("Listening")?;
    match &live.listening {
        Ok(all) if all.is_empty() => page.line("  on no socket"),
        Ok(all) => all.iter().try_for_each(|listener| {
            page.field(listener.protocol, &listener.address)?;
            answers(page, listener)
        }),
        Err(why) => page.line(&format!("  unknown: {}", output::escape(why))),
    }
}

fn answers(page: &mut Page, listener: &Listener) -> Result<()> {
    listener.http.iter().try_for_each(|answer| {
        let told = match (&answer.status, answer.recognised, answer.path) {
            (Ok(_), true, "/metrics") => "200, serves metrics".to_owned(),
            (Ok(_), true, _) => "200, serves pprof".to_owned(),
            (Ok(status), false, _) => status.to_string(),
            (Err(why), ..) => why.clone(),
        };
        page.field("", &format!("GET {}: {told}", answer.path))
    })
}

fn doctor(page: &mut Page, checks: &[Check]) -> Result<()> {
    page.heading("What goscope can do with it")?;
    let style = page.out.style();
    let widest = checks.iter().map(|check| check.subject.len()).max().unwrap_or(0);
    for check in checks {
        let paint = match check.state {
            State::Ok => Paint::Good,
            State::Limited => Paint::Warning,
            State::Missing => Paint::Bad,
        };
        let state = style.paint(paint, &format!("{:<7}", check.state.as_str()));
        page.line(&format!("  {state}  {:<widest$}  {}", check.subject, output::escape(&check.detail)))?;
        let commands = if check.state == State::Ok { String::new() } else { format!("needed by {}", check.commands.join(", ")) };
        for told in std::iter::once(commands).chain(check.fixes.iter().map(|fix| format!("to do: {fix}"))).filter(|told| !told.is_empty()) {
            let told = style.paint(Paint::Dim, &output::escape(&told));
            page.line(&format!("  {:<7}  {:<widest$}  {told}", "", ""))?;
        }
    }
    let count = |state| checks.iter().filter(|check| check.state == state).count();
    page.line("")?;
    page.line(
        &style.paint(Paint::Dim, &format!("{} ok, {} limited, {} missing", count(State::Ok), count(State::Limited), count(State::Missing))),
    )
}
