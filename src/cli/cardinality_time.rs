//! Flags of `goscope cardinality` that look at several moments.

use std::time::{Duration, SystemTime};

use clap::Args;

use super::{Context, values};
use crate::cardinality::analyze::outlook::growth::growth;
use crate::cardinality::profile::Growing;
use crate::cardinality::source::Scraper;
use crate::cardinality::{Collected, collect};
use crate::error::{Error, Result};
use crate::formats::exposition::Rules;

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Growth")]
pub struct TimeArgs {
    /// Scrape again after this time, and tell what grew; Ctrl-C ends it with what was seen
    #[arg(long, value_name = "DURATION", value_parser = values::period)]
    interval: Option<Duration>,
    /// How many scrapes
    #[arg(long, value_name = "N", requires = "interval", default_value_t = 2, value_parser = clap::value_parser!(u32).range(2..))]
    count: u32,
    /// The sources are saved scrapes of one endpoint, oldest first
    ///
    /// Each was taken when its file was last written, or --interval after the one before.
    #[arg(long)]
    successive: bool,
}

/// When each was taken.
pub type Scrapes = Vec<(SystemTime, Collected)>;

impl TimeArgs {
    /// At least one, oldest first.
    pub fn scrapes(&self, mut scrapers: Vec<Scraper>, rules: Rules, context: &Context) -> Result<Scrapes> {
        let mut say = |text: &str| context.console.hint(text);
        if self.successive {
            return self.saved(scrapers, rules, &mut say);
        }
        let mut take = || Ok((SystemTime::now(), collect(&mut scrapers, rules, &mut say)?));
        let mut scrapes = vec![take()?];
        if let Some(interval) = self.interval {
            context.signals.open_window();
            while scrapes.len() < self.count as usize && !context.signals.wait(interval) {
                match take() {
                    Ok(scrape) => scrapes.push(scrape),
                    Err(error) => {
                        context.console.warning(&format!("{error}; what was seen until then is told"));
                        break;
                    }
                }
            }
        }
        Ok(scrapes)
    }

    fn saved(&self, scrapers: Vec<Scraper>, rules: Rules, say: &mut dyn FnMut(&str)) -> Result<Scrapes> {
        if scrapers.len() < 2 {
            return Err(Error::usage("--successive takes two scrapes or more").hint("goscope cardinality --successive old.prom new.prom"));
        }
        let mut scrapes: Scrapes = Vec::new();
        for mut scraper in scrapers {
            let written = scraper.written_at();
            let at = match (self.interval, scrapes.last()) {
                (Some(interval), Some((before, _))) => *before + interval,
                _ => written.unwrap_or_else(SystemTime::now),
            };
            if scrapes.last().is_some_and(|(before, _)| *before >= at) {
                return Err(Error::usage("the files of --successive were not written one after the other")
                    .hint("give them oldest first, or say with --interval how far they are apart"));
            }
            scrapes.push((at, collect(std::slice::from_mut(&mut scraper), rules, say)?));
        }
        Ok(scrapes)
    }

    /// `None` of a single scrape.
    pub fn growth(&self, scrapes: &Scrapes, budget: Option<u64>) -> Option<Growing> {
        let (first, _) = scrapes.first().filter(|_| scrapes.len() > 1)?;
        let since = |at: &SystemTime| at.duration_since(*first).unwrap_or_default();
        let all: Vec<_> = scrapes.iter().map(|(at, collected)| (since(at), &collected.scrape)).collect();
        Some(Growing { growth: growth(&all), budget })
    }
}
