//! `goscope goroutines`: its command line.

mod diff;
mod run;

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
use regex::Regex;

pub use diff::DiffArgs;
pub use run::run;

use super::target::Wait;
use super::values;
use crate::error::Result;
use crate::goroutines::analyze::{self, Filter, GroupBy, Query, Scope};
use crate::goroutines::collect::{self, Stopping};
use crate::goroutines::model::{self, Status};
use crate::goroutines::pause;
use crate::target::runtime::GoProcess;

const EXAMPLES: &str = "\
Examples:
  goscope goroutines payments                    alike ones together, biggest group first
  goscope goroutines 4711 --status waiting --min-wait 5m
  goscope goroutines 4711 --format text          the shape of the runtime's own dump
  goscope goroutines 4711 --format svg -o g.svg  a flame graph
  goscope goroutines 4711 --watch 5s             what grows, what is stuck
  goscope goroutines diff before.json after.json --fail-on-growth 10";

/// Show what every goroutine does: where, since when, started by whom
///
/// Parked goroutines are read without stopping anything. Only threads that run Go code at that very
/// moment are stopped, one at a time, for microseconds; `--no-stop` leaves those alone too.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, after_help = EXAMPLES)]
pub struct GoroutinesArgs {
    #[command(subcommand)]
    pub command: Option<GoroutinesCommand>,

    /// Process id or name
    #[arg(value_name = "TARGET", required = true)]
    pub target: Option<String>,
    #[command(flatten)]
    pub wait: Wait,

    /// How to print
    #[arg(long, value_enum, default_value = "table", env = "GOSCOPE_FORMAT", hide_env_values = true)]
    pub format: GoroutinesFormat,

    /// Stop the threads that run Go code while goroutines are copied, for one consistent view; `all` also those inside C
    #[arg(long, value_enum, value_name = "WHICH", num_args = 0..=1, require_equals = true, default_missing_value = "go")]
    #[arg(help_heading = "Reading")]
    pub pause: Option<Pause>,
    /// Never stop a thread, not even for microseconds; running goroutines are then marked not read
    #[arg(long, conflicts_with = "pause", help_heading = "Reading")]
    pub no_stop: bool,
    /// Longest pause; what is not read by then is read unpaused and marked
    #[arg(long, value_name = "DURATION", value_parser = values::period, allow_hyphen_values = true, default_value = "50ms", help_heading = "Reading")]
    pub max_pause: Duration,
    /// Also read stacks that are swapped out; this faults pages into the target
    #[arg(long, help_heading = "Reading")]
    pub swap_in: bool,

    #[command(flatten)]
    pub filter: FilterArgs,
    #[command(flatten)]
    pub view: ViewArgs,

    /// Take a snapshot every DURATION and show what is new, gone, grown and stuck
    #[arg(long, value_name = "DURATION", value_parser = values::period, allow_hyphen_values = true, help_heading = "Watch")]
    pub watch: Option<Duration>,
    /// End after N snapshots
    #[arg(long, value_name = "N", requires = "watch", value_parser = clap::value_parser!(u64).range(2..), help_heading = "Watch")]
    pub count: Option<u64>,
    /// Exit 1 when any creation site has more than N more live user goroutines at the end than at the start
    #[arg(long, value_name = "N", requires = "watch", help_heading = "Watch")]
    pub fail_on_growth: Option<u64>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Filter")]
pub struct FilterArgs {
    /// Only goroutines of these statuses; without it, all but dead ones
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = statuses())]
    pub status: Vec<Status>,
    /// Only goroutines whose wait reason holds this text (`chan` finds `chan receive` and `chan send`); `=TEXT` is exact
    #[arg(long, value_name = "TEXT", value_delimiter = ',')]
    pub wait_reason: Vec<String>,
    /// Only goroutines with a function on their stack that matches
    #[arg(long, value_name = "REGEX", value_parser = values::regex)]
    pub func: Option<Regex>,
    /// Only goroutines with this pprof label; repeat it for more, all of which must match
    #[arg(long, value_name = "KEY=VALUE", value_parser = values::key_value)]
    pub label: Vec<(String, String)>,
    /// Only goroutines blocked at least this long; the runtime stamps a blocked goroutine at the next GC
    #[arg(long, value_name = "DURATION", value_parser = values::duration, allow_hyphen_values = true)]
    pub min_wait: Option<Duration>,
    /// Only these goroutine ids
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub goid: Vec<u64>,
    /// Only goroutines that the program started
    #[arg(long, conflicts_with = "system")]
    pub user: bool,
    /// Only goroutines that the runtime started for itself
    #[arg(long)]
    pub system: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "View")]
pub struct ViewArgs {
    /// Put goroutines together: none, stack, status, func, created-by, label=KEY
    #[arg(long, value_name = "BY", value_parser = Group::parse, default_value = "stack")]
    pub group: Group,
    /// Order of groups or goroutines
    #[arg(long, value_enum, value_name = "KEY", default_value = "count")]
    pub sort: Sort,
    /// Show at most N groups or goroutines
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Show at most N frames of a stack, in a table or text
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub depth: Option<u32>,
    /// Show the runtime's own frames too
    #[arg(long)]
    pub runtime_frames: bool,
}

#[derive(Debug, Subcommand)]
pub enum GoroutinesCommand {
    Diff(DiffArgs),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pause {
    /// Threads that run Go code
    Go,
    /// Threads inside C too; a blocked C call may return EINTR
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GoroutinesFormat {
    /// For people
    Table,
    /// One document
    Json,
    /// One object a line
    Jsonl,
    /// As the runtime's own traceback
    Text,
    /// Stacks with counts, for flame graph tools
    Folded,
    /// For `go tool pprof`
    Pprof,
    /// Flame graph
    Svg,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Group {
    None,
    Stack,
    Status,
    Func,
    CreatedBy,
    Label(String),
}

impl Group {
    fn parse(text: &str) -> std::result::Result<Self, String> {
        match text {
            "none" => Ok(Group::None),
            "stack" => Ok(Group::Stack),
            "status" => Ok(Group::Status),
            "func" => Ok(Group::Func),
            "created-by" => Ok(Group::CreatedBy),
            _ => match text.strip_prefix("label=") {
                Some(key) if !key.is_empty() => Ok(Group::Label(key.to_owned())),
                _ => Err("write none, stack, status, func, created-by or label=KEY".to_owned()),
            },
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// Most goroutines first
    Count,
    /// Longest blocked first
    Wait,
    /// By goroutine id
    Id,
    /// By function
    Func,
    /// By status
    Status,
}

fn statuses() -> impl TypedValueParser<Value = Status> {
    let known = Status::ALL.map(Status::as_str);
    PossibleValuesParser::new(known).try_map(|text| Status::ALL.into_iter().find(|status| status.as_str() == text).ok_or("no such status"))
}

impl GoroutinesArgs {
    fn take(&self, process: &GoProcess) -> Result<model::Snapshot> {
        let stopping = match self.pause {
            Some(which) => Stopping::Together(pause::Pause { all: which == Pause::All, at_most: self.max_pause }),
            None if self.no_stop => Stopping::Never,
            None => Stopping::Running,
        };
        collect::snapshot(process, collect::Options { stopping })
    }

    fn query(&self) -> Query {
        let filter = Filter {
            statuses: self.filter.status.clone(),
            wait_reasons: self.filter.wait_reason.iter().map(|text| analyze::WaitReason::parse(text)).collect(),
            function: self.filter.func.clone(),
            labels: self.filter.label.clone(),
            min_wait_ns: self.filter.min_wait.map(|d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)),
            ids: self.filter.goid.iter().copied().collect(),
            scope: match (self.filter.user, self.filter.system) {
                (true, _) => Scope::User,
                (_, true) => Scope::System,
                _ => Scope::All,
            },
        };
        Query {
            filter,
            sort: Some(match self.view.sort {
                Sort::Count => analyze::Sort::Count,
                Sort::Wait => analyze::Sort::Wait,
                Sort::Id => analyze::Sort::Id,
                Sort::Func => analyze::Sort::Func,
                Sort::Status => analyze::Sort::Status,
            }),
            group: match &self.view.group {
                Group::None => None,
                Group::Stack => Some(GroupBy::Stack),
                Group::Status => Some(GroupBy::Status),
                Group::Func => Some(GroupBy::Func),
                Group::CreatedBy => Some(GroupBy::CreatedBy),
                Group::Label(key) => Some(GroupBy::Label(key.clone())),
            },
            limit: self.view.limit,
            runtime_frames: self.view.runtime_frames,
            depth: self.view.depth.map(|depth| depth as usize),
        }
    }
}
