//! One window in each format.

use super::{Mode, SchedFormat};
use crate::cli::Context;
use crate::error::Result;
use crate::output::{self, Output};
use crate::sched::analyze::By;
use crate::sched::model::{Class, Row, Source, Window};
use crate::sched::report::{self, Weight};
use crate::target::frames::is_all_runtime;

/// What of a window is shown.
pub enum View {
    /// All goroutine time.
    Sched { limit: Option<usize> },
    /// Time of one kind, by function.
    Profile { mode: Mode, by: By, limit: Option<usize>, hide_runtime: bool },
}

impl SchedFormat {
    /// Needs to know what happened when.
    pub fn draws_time(self) -> bool {
        matches!(self, SchedFormat::Perfetto | SchedFormat::Trace)
    }

    fn binary(self) -> Option<&'static str> {
        match self {
            SchedFormat::Pprof => Some("pprof"),
            SchedFormat::Perfetto => Some("perfetto"),
            SchedFormat::Trace => Some("trace"),
            _ => None,
        }
    }
}

pub fn open(format: SchedFormat, context: &Context) -> Result<Output> {
    match format.binary() {
        Some(name) => context.open_binary(name),
        None => context.open(),
    }
}

pub fn render(window: &Window, format: SchedFormat, view: &View, out: &mut Output) -> Result<()> {
    let rows: Vec<&Row> = window.rows.iter().filter(|row| view.has(row, window)).collect();
    let (command, weight) = (view.command(), view.weight());
    match format {
        SchedFormat::Table => {
            let style = out.style();
            match view {
                View::Sched { limit } => report::write_table(window, *limit, out, style),
                View::Profile { by, limit, hide_runtime, .. } => {
                    let profile = report::Profile { title: weight.title, by, limit: *limit, hide_runtime: *hide_runtime };
                    report::write_profile_table(window, &rows, &profile, out, style)
                }
            }
        }
        SchedFormat::Json => output::write_json(out, &report::document(command, window, &rows)),
        SchedFormat::Jsonl => report::write_jsonl(command, window, &rows, out),
        SchedFormat::Folded => report::write_folded(window, &rows, &weight, out),
        SchedFormat::Pprof => report::write_pprof(window, &rows, &weight, out),
        SchedFormat::Svg => report::write_svg(window, &rows, &weight, out),
        SchedFormat::Speedscope => report::write_speedscope(window, &rows, &weight, out),
        SchedFormat::Perfetto => report::write_perfetto(window, out),
        SchedFormat::Trace => report::write_trace(window, out),
    }
}

impl View {
    fn command(&self) -> &'static str {
        match self {
            View::Sched { .. } => "sched",
            View::Profile { .. } => "profile",
        }
    }

    /// CPU time by function comes from samples.
    pub fn needs_probes(&self) -> bool {
        matches!(self, View::Profile { mode: Mode::Cpu, .. })
    }

    fn has(&self, row: &Row, window: &Window) -> bool {
        let hidden = |stack: u32| window.stacks.get(stack as usize).is_some_and(is_all_runtime);
        match self {
            View::Profile { hide_runtime: true, .. } if hidden(row.stack) => false,
            View::Sched { .. } => true,
            View::Profile { mode: Mode::Cpu, .. } => row.on_cpu_ns > 0,
            View::Profile { mode: Mode::OffCpu, .. } => matches!(row.class, Class::NoCpu | Class::Syscall) && row.off_cpu_ns > 0,
            View::Profile { mode: Mode::Wall, .. } => row.class != Class::Scheduler,
            View::Profile { mode: Mode::Goroutine, .. } => row.source == Source::Walk,
        }
    }

    fn weight(&self) -> Weight {
        let (counts, kind, title, hide_runtime) = match self {
            View::Sched { .. } => ("events", "wall", "Goroutine time", false),
            View::Profile { mode, hide_runtime, .. } => {
                let (counts, kind, title) = match mode {
                    Mode::Cpu => ("samples", "cpu", "CPU time"),
                    Mode::OffCpu => ("events", "off_cpu", "Off-CPU time"),
                    Mode::Wall => ("samples", "wall", "Wall-clock time of goroutines"),
                    Mode::Goroutine => ("samples", "goroutine", "Time of goroutines met by walks"),
                };
                (counts, kind, title, *hide_runtime)
            }
        };
        Weight { unit: "us", counts, kind, title, hide_runtime }
    }
}
