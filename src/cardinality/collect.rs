//! From sources to a [`Scrape`].

use super::halves;
use super::model::Scrape;
use super::source::{Fetched, Scraper};
use super::store::Store;
use crate::error::{Error, Kind, Result};
use crate::formats::exposition::{Format, Parser, Rules};

/// What all sources of a run serve at one moment.
pub struct Collected {
    pub scrape: Scrape,
    pub rules: Rules,
    /// URLs and paths, as they are shown.
    pub sources: Vec<String>,
    /// Sources of several that could not be read.
    pub failed: Vec<Error>,
}

/// Scrapes all; the series of several sources get the label `instance`. `say` hears what is worth knowing meanwhile.
///
/// Errors: those of the only source, or of all together when none of several could be read.
pub fn collect(scrapers: &mut [Scraper], rules: Rules, say: &mut dyn FnMut(&str)) -> Result<Collected> {
    let several = scrapers.len() > 1;
    let (mut store, mut sources, mut failed) = (Store::new(), Vec::new(), Vec::new());
    for scraper in scrapers {
        match one(scraper, several, rules, &mut store, say) {
            Ok(source) => sources.push(source),
            Err(error) => failed.push(error),
        }
    }
    if sources.is_empty() {
        return Err(none_of(failed));
    }
    Ok(Collected { scrape: store.finish(), rules, sources, failed })
}

/// All of them in one: the kind that goes before the others, what each says, and each hint once.
fn none_of(mut failed: Vec<Error>) -> Error {
    if failed.len() == 1 {
        return failed.remove(0);
    }
    let kind = failed.iter().map(|error| error.kind).min().unwrap_or(Kind::Io);
    let told: Vec<String> = failed.iter().map(ToString::to_string).collect();
    let error = Error::new(kind, format!("none of {} sources could be read: {}", failed.len(), told.join("; ")));
    let mut hints: Vec<String> = failed.into_iter().flat_map(|error| error.hints).collect();
    hints.sort();
    hints.dedup();
    hints.into_iter().fold(error, Error::hint)
}

/// Returns its name.
fn one(scraper: &mut Scraper, several: bool, rules: Rules, store: &mut Store, say: &mut dyn FnMut(&str)) -> Result<String> {
    let mut fetched = scraper.scrape(say)?;
    let name = fetched.url.clone().unwrap_or_else(|| fetched.instance.clone());
    store.begin_body(&name, fetched.format, several.then_some(("instance", fetched.instance.as_str())));
    fetched.refused.iter().for_each(|why| store.refuse(why));
    match &fetched.plain_file {
        Some(file) if fetched.format == Format::Text && rules == Rules::Prometheus && file.bytes >= halves::WORTH => {
            halves::read(&file.path, file.bytes, store)
                .map_err(|error| Error::io(format!("cannot read {}", file.path.display())).because(error))?;
        }
        _ => read(&mut fetched, rules, store)?,
    }
    Ok(name)
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
