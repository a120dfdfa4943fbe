//! From sources to a [`Scrape`].

use super::halves;
use super::model::Scrape;
use super::source::{Fetched, Scraper};
use super::store::Store;
use crate::error::{Error, Result};
use crate::formats::exposition::{Format, Parser, Rules};

/// What all sources of a run serve at one moment.
pub struct Collected {
    pub scrape: Scrape,
    pub rules: Rules,
    /// URLs and paths, as they are shown.
    pub sources: Vec<String>,
    /// Sources of several that could not be read.
    pub failed: Vec<Error>,
    /// What a server would not do with a source that goscope reads.
    pub warnings: Vec<String>,
}

/// Scrapes all; the series of several sources get the label `instance`. `say` hears what is worth knowing meanwhile.
///
/// Errors: those of the only source, or of the first when none of several could be read.
pub fn collect(scrapers: &mut [Scraper], rules: Rules, say: &mut dyn FnMut(&str)) -> Result<Collected> {
    let several = scrapers.len() > 1;
    let (mut store, mut sources, mut failed, mut warnings) = (Store::new(), Vec::new(), Vec::new(), Vec::new());
    for scraper in scrapers {
        match one(scraper, several, rules, &mut store, say) {
            Ok((source, refused)) => {
                warnings.extend(refused);
                sources.push(source);
            }
            Err(error) => failed.push(error),
        }
    }
    match failed.pop() {
        Some(error) if sources.is_empty() => return Err(error),
        last => failed.extend(last),
    }
    Ok(Collected { scrape: store.finish(), rules, sources, failed, warnings })
}

/// Returns its name, and why a server refuses it.
fn one(
    scraper: &mut Scraper,
    several: bool,
    rules: Rules,
    store: &mut Store,
    say: &mut dyn FnMut(&str),
) -> Result<(String, Option<String>)> {
    let mut fetched = scraper.scrape(say)?;
    store.begin_body(fetched.format, several.then_some(("instance", fetched.instance.as_str())));
    match &fetched.plain_file {
        Some(file) if fetched.format == Format::Text && rules == Rules::Prometheus && file.bytes >= halves::WORTH => {
            halves::read(&file.path, file.bytes, store)
                .map_err(|error| Error::io(format!("cannot read {}", file.path.display())).because(error))?;
        }
        _ => read(&mut fetched, rules, store)?,
    }
    let refused = fetched.refused.map(|why| format!("a Prometheus server refuses this scrape: {why}"));
    Ok((fetched.url.unwrap_or(fetched.instance), refused))
}

/// Parses a body while it comes.
///
/// Errors, Io: it does not come whole.
fn read(fetched: &mut Fetched, rules: Rules, store: &mut Store) -> Result<()> {
    let mut parser = Parser::new(fetched.format, rules);
    let mut pending = Vec::new();
    while let Some(block) = fetched.body.next_block()? {
        store.count_bytes(block.len());
        pending.extend_from_slice(&block);
        fetched.body.recycle(block);
        let used = parser.parse(&pending, false, &mut |item| store.add(item));
        pending.drain(..used);
    }
    parser.parse(&pending, true, &mut |item| store.add(item));
    Ok(())
}
