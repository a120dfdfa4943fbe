//! `goscope cardinality`: its command line.

use std::time::SystemTime;

use clap::{Args, ValueEnum};

use super::Context;
use super::cardinality_source::SourceArgs;
use super::target::{self, Wait};
use crate::cardinality::analyze::buckets::Wanted;
use crate::cardinality::analyze::exemplars::Sampling;
use crate::cardinality::profile::{Options, Profile};
use crate::cardinality::source::{Scraper, Source};
use crate::cardinality::{self, View};
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
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CardinalityArgs {
    /// URL, file, `-` for standard input, or process: its id, or its name where no file is called so
    #[arg(value_name = "SOURCE")]
    source: String,
    #[command(flatten)]
    wait: Wait,
    /// How to print
    #[arg(long, value_enum, default_value = "table", env = "GOSCOPE_FORMAT", hide_env_values = true)]
    format: Format,
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
        self.show.contains(&section) || self.show.is_empty() && self.format != Format::Table
    }

    fn profile_options(&self) -> Options {
        Options {
            top: self.top,
            buckets: self.shows(Section::Buckets).then(Wanted::default),
            exemplars: self.shows(Section::Exemplars).then(Sampling::default),
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Parser {
    /// What the Prometheus server takes and refuses
    Prometheus,
    /// What the specification of OpenMetrics demands
    Strict,
}

pub fn run(args: &CardinalityArgs, context: &Context) -> Result<()> {
    let mut out = context.open()?;
    let rules = match args.parser {
        Parser::Prometheus => Rules::Prometheus,
        Parser::Strict => Rules::Strict,
    };
    let options = args.reading.options()?;
    let source = Source::parse(&args.source, &options)?;
    let mut scraper = Scraper::new(source, options, |word| target::resolve(word, &args.wait, context.console))?;
    let mut fetched = scraper.scrape(&mut |text| context.console.hint(text))?;
    if let Some(why) = &fetched.refused {
        context.console.warning(&format!("a Prometheus server refuses this scrape: {why}"));
    }
    let scrape = cardinality::read(&mut fetched, rules)?;
    let sources = vec![fetched.url.unwrap_or(fetched.instance)];
    let profile = Profile::new(scrape, sources, SystemTime::now(), &args.profile_options());
    let format = match args.format {
        Format::Table => cardinality::Format::Table,
        Format::Json => cardinality::Format::Json,
        Format::Jsonl => cardinality::Format::Jsonl,
    };
    cardinality::write(&profile, format, View { limit: args.limit, detailed: args.detail }, &mut out)?;
    out.finish()?;
    match profile.scrape.quality.errors {
        0 => Ok(()),
        _ if args.lenient => Ok(()),
        errors => Err(Error::io(format!("the body has {}; what could be read is profiled", count(errors, "error")))
            .hint("--lenient takes that for a success")),
    }
}
