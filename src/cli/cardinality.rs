//! `goscope cardinality`: its command line.

use std::io::IsTerminal;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::Context;
use super::cardinality_gate::{self, GateArgs};
use super::cardinality_plan::PlanArgs;
use super::cardinality_source::SourceArgs;
use super::cardinality_time::{Scrapes, TimeArgs};
use super::target::{self, Wait};
use crate::cardinality::analyze::simulate::simulate;
use crate::cardinality::model::Found;
use crate::cardinality::profile::{Options, Profile};
use crate::cardinality::source::{Scraper, Source};
use crate::cardinality::{self, View, tui};
use crate::error::{Error, Result};
use crate::formats::exposition::Rules;
use crate::output::count;

const EXAMPLES: &str = "\
Examples:
  goscope cardinality http://localhost:9090/metrics
  goscope cardinality payments                           the port of that process that serves them
  curl -s localhost:9090/metrics | goscope cardinality -
  goscope cardinality scrape.prom --format json | jq '.metrics[0]'";

/// Profile what explodes a /metrics endpoint
///
/// How many series it has, which metric and which label makes them, and what would be left without that label.
///
/// A child is one set of label values, with one series or, in a histogram, many. BODY is what a metric takes of the response. OUTLOOK is what the
/// counts say of the future: growing where more children are to come, bounded where all seem to be there.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, allow_negative_numbers = true)]
pub struct CardinalityArgs {
    /// URL, file, `-` for standard input, or process: its id, or its name where no file but its program is called so
    ///
    /// Series of several sources are told apart by the label `instance`.
    #[arg(value_name = "SOURCE", required = true)]
    sources: Vec<String>,
    #[command(flatten)]
    wait: Wait,
    /// How to print
    #[arg(long, value_enum, default_value = "table", env = "GOSCOPE_FORMAT", hide_env_values = true)]
    format: Format,
    /// Walk through the result in the terminal: metrics, labels, values
    #[arg(long)]
    tui: bool,
    /// Whose rules decide what is an error
    #[arg(long, value_enum, default_value = "prometheus")]
    parser: Parser,
    /// Exit with 0 although the body has errors
    #[arg(long)]
    lenient: bool,
    /// Show at most N metrics
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Show the labels of the N biggest metrics
    #[arg(long, value_name = "N", default_value_t = 3)]
    detail: usize,
    /// Show at most N values of each label
    #[arg(long, value_name = "N", default_value_t = 5)]
    top: usize,
    /// Add sections to the result; documents have all of them unless some are named
    #[arg(long, value_enum, value_name = "SECTION", value_delimiter = ',')]
    show: Vec<Section>,
    #[command(flatten)]
    time: TimeArgs,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    gate: GateArgs,
    #[command(flatten)]
    reading: SourceArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Section {
    /// What the buckets of histograms cost, and how few would do
    Buckets,
    /// What exemplars cost, and what is left when only the busiest children have some
    Exemplars,
    /// What is wrong with names, help texts and units
    Lint,
}

impl CardinalityArgs {
    fn shows(&self, section: Section) -> bool {
        self.show.contains(&section) || self.show.is_empty() && matches!(self.format, Format::Json | Format::Jsonl)
    }

    fn profile_options(&self) -> Options {
        Options {
            top: self.top,
            buckets: self.shows(Section::Buckets).then(|| self.plan.buckets()),
            exemplars: (self.shows(Section::Exemplars) || self.plan.limits_exemplars()).then(|| self.plan.sampling()),
            lint: self.shows(Section::Lint),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// One document
    Json,
    /// One object a line
    Jsonl,
    /// Series by metric, label and value, for `go tool pprof`
    Pprof,
    /// The same as text, one stack a line
    Folded,
    /// The same as a flame graph
    Svg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Parser {
    /// What the Prometheus server takes and refuses
    Prometheus,
    /// What the specification of OpenMetrics demands
    Strict,
}

pub fn run(args: &CardinalityArgs, context: &Context) -> Result<()> {
    let limits = args.gate.limits()?;
    let simulated = args.plan.config()?;
    if args.tui {
        terminal_wanted(context)?;
    }
    let mut out = match args.format {
        Format::Pprof => context.open_binary("pprof")?,
        _ => context.open()?,
    };
    let mut scrapes = args.time.scrapes(args.scrapers(context)?, args.rules(), context)?;
    let growth = args.time.growth(&scrapes, args.gate.max_series);
    let Some((captured_at, last)) = scrapes.taken.pop() else { return Ok(()) };
    let Scrapes { taken: before, broken_off } = scrapes;

    let mut profile = Profile::new(last, captured_at, &args.profile_options());
    // What was missing at any moment makes the growth wrong.
    profile.failed.extend(before.iter().flat_map(|(_, collected)| &collected.failed).map(ToString::to_string));
    profile.failed.extend(broken_off.as_ref().map(ToString::to_string));
    drop(before);
    profile.growth = growth;
    profile.simulation = simulated.map(|config| simulate(&profile.scrape, &config));
    args.plan.suggest(&mut profile);
    profile.gate = args.gate.check(&limits, &profile);
    let unmatched = profile.gate.iter().flat_map(|gate| &gate.unmatched).cloned();
    unmatched.chain(args.plan.unmatched(&profile)).for_each(|text| context.console.warning(&text));
    let unreadable = match broken_off {
        Some(error) => Some(error.about("the scrapes ended early, what was seen until then is told")),
        None => args.unreadable(&profile, context),
    };
    let unreadable = args.gate.save(&profile, unreadable)?;
    if args.tui {
        context.signals.open_window();
        tui::run(&profile, || context.signals.wait(Duration::ZERO))?;
        return args.outcome(&profile, unreadable, context);
    }
    let view = View { limit: args.limit, detailed: args.detail };
    cardinality::write(&profile, args.format.into(), view, &mut out)?;
    out.finish()?;
    args.outcome(&profile, unreadable, context)
}

fn terminal_wanted(context: &Context) -> Result<()> {
    // Where standard input is a pipe, keys are read from the terminal itself, as crossterm does.
    let keys = || std::io::stdin().is_terminal() || std::fs::File::open("/dev/tty").is_ok();
    match context.open()?.style().width.is_some() && keys() {
        true => Ok(()),
        false => Err(Error::usage("--tui needs a terminal on standard output, and for keys").hint("--format table prints the same")),
    }
}

impl CardinalityArgs {
    fn rules(&self) -> Rules {
        match self.parser {
            Parser::Prometheus => Rules::Prometheus,
            Parser::Strict => Rules::Strict,
        }
    }

    fn scrapers(&self, context: &Context) -> Result<Vec<Scraper>> {
        let options = self.reading.options()?;
        let scraper = |word: &String| {
            let source = Source::parse(word, &options)?;
            Scraper::new(source, options.clone(), |word| target::resolve(word, target::Programs::Any, &self.wait, context.console))
        };
        self.sources.iter().map(scraper).collect()
    }

    /// What makes the run fail, the highest exit code first; the rest is told as well.
    fn outcome(&self, profile: &Profile, unreadable: Option<Error>, context: &Context) -> Result<()> {
        let passed = cardinality_gate::verdict(profile.gate.as_ref());
        match (unreadable, passed) {
            (None, passed) => passed,
            (Some(error), Ok(())) => Err(error),
            (Some(error), Err(findings)) => {
                context.console.error(&findings);
                Err(error)
            }
        }
    }

    /// Why it is not the profile of all that was asked for; sources that failed are told one by one.
    fn unreadable(&self, profile: &Profile, context: &Context) -> Option<Error> {
        profile.failed.iter().for_each(|failed| context.console.warning(failed));
        let quality = &profile.scrape.quality;
        match (profile.failed.len(), quality.errors) {
            (0, 0) => None,
            (0, _) if self.lenient => None,
            (0, _) if profile.scrape.series() == 0 && quality.problems.iter().all(|found| found.problem.line > 0) => {
                let problems = count(quality.errors, "error");
                let error = Error::io(format!("nothing of it could be read as metrics: {problems}"));
                Some(
                    error.hint(
                        "a scrape is Prometheus text, OpenMetrics or protobuf, as /metrics serves it; may be compressed by gzip or zstd",
                    ),
                )
            }
            (0, errors) => {
                let error = match quality.problems.iter().find(|found| found.problem.line == 0) {
                    Some(Found { source, problem }) => Error::io(format!("{source}: {problem}; it is profiled all the same")),
                    None => Error::io(format!("the body has {}; what could be read is profiled", count(errors, "error"))),
                };
                Some(error.hint("--lenient takes that for a success"))
            }
            (failed, _) => Some(Error::io(format!("{} could not be read; the others are profiled", count(failed as u64, "source")))),
        }
    }
}

impl From<Format> for cardinality::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Table => cardinality::Format::Table,
            Format::Json => cardinality::Format::Json,
            Format::Jsonl => cardinality::Format::Jsonl,
            Format::Pprof => cardinality::Format::Pprof,
            Format::Folded => cardinality::Format::Folded,
            Format::Svg => cardinality::Format::Svg,
        }
    }
}
