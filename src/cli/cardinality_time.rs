//! Flags of `goscope cardinality` that look at several moments.

use std::path::Path;
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
    #[arg(long, value_name = "DURATION", value_parser = values::period, allow_hyphen_values = true)]
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

#[derive(Default)]
pub struct Scrapes {
    /// At least one, oldest first, and when each was taken.
    pub taken: Vec<(SystemTime, Collected)>,
    /// Why there are fewer than were asked for.
    pub broken_off: Option<Error>,
}

impl TimeArgs {
    /// Errors: those of the first scrape.
    pub fn scrapes(&self, mut scrapers: Vec<Scraper>, rules: Rules, context: &Context) -> Result<Scrapes> {
        let mut once: Vec<&Path> = scrapers.iter().filter_map(Scraper::reads_once).collect();
        if let Some(path) = once.first().filter(|_| self.interval.is_some() && !self.successive) {
            let error = Error::usage(format!("--interval reads its sources again, and {} can be read only once", path.display()));
            return Err(error.hint("give a URL or a process; of saved scrapes, --successive tells what grew"));
        }
        once.sort();
        if let Some(pair) = once.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::usage(format!("{} is given twice, and can be read only once", pair[0].display())));
        }
        let mut say = |text: &str| context.console.hint(text);
        if self.successive {
            return self.saved(scrapers, rules, &mut say);
        }
        let mut take = || Ok((SystemTime::now(), collect(&mut scrapers, rules, &mut say)?));
        let mut scrapes = Scrapes { taken: vec![take()?], broken_off: None };
        if let Some(interval) = self.interval {
            context.signals.open_window();
            while scrapes.taken.len() < self.count as usize && !context.signals.wait(interval) {
                match take() {
                    Ok(scrape) => scrapes.taken.push(scrape),
                    Err(error) => {
                        scrapes.broken_off = Some(error);
                        break;
                    }
                }
            }
        }
        if self.interval.is_some() && scrapes.taken.len() == 1 && scrapes.broken_off.is_none() {
            context.console.warning("there was one scrape only: growth cannot be told");
        }
        Ok(scrapes)
    }

    fn saved(&self, scrapers: Vec<Scraper>, rules: Rules, say: &mut dyn FnMut(&str)) -> Result<Scrapes> {
        if scrapers.len() < 2 {
            return Err(Error::usage("--successive takes two scrapes or more").hint("goscope cardinality --successive old.prom new.prom"));
        }
        let mut scrapes = Scrapes::default();
        for mut scraper in scrapers {
            let written = scraper.written_at();
            let at = match (self.interval, scrapes.taken.last()) {
                (Some(interval), Some((before, _))) => *before + interval,
                _ => written.unwrap_or_else(SystemTime::now),
            };
            if scrapes.taken.last().is_some_and(|(before, _)| *before >= at) {
                return Err(Error::usage("the files of --successive were not written one after the other")
                    .hint("give them oldest first, or say with --interval how far they are apart"));
            }
            scrapes.taken.push((at, collect(std::slice::from_mut(&mut scraper), rules, say)?));
        }
        Ok(scrapes)
    }

    /// `None` of a single scrape.
    pub fn growth(&self, scrapes: &Scrapes, budget: Option<u64>) -> Option<Growing> {
        let scrapes = &scrapes.taken;
        let (first, _) = scrapes.first().filter(|_| scrapes.len() > 1)?;
        let since = |at: &SystemTime| at.duration_since(*first).unwrap_or_default();
        let all: Vec<_> = scrapes.iter().map(|(at, collected)| (since(at), &collected.scrape)).collect();
        Some(Growing { growth: growth(&all), budget })
    }
}
