//! From a source to a [`Scrape`].

use super::model::Scrape;
use super::source::Fetched;
use super::store::Store;
use crate::error::Result;
use crate::formats::exposition::{Parser, Rules};

/// Parses a body while it comes.
///
/// Errors, Io: it does not come whole.
pub fn read(fetched: &mut Fetched, rules: Rules) -> Result<Scrape> {
    let (mut parser, mut store) = (Parser::new(fetched.format, rules), Store::new());
    let (mut pending, mut bytes) = (Vec::new(), 0);
    while let Some(block) = fetched.body.next_block()? {
        bytes += block.len() as u64;
        pending.extend_from_slice(&block);
        fetched.body.recycle(block);
        let used = parser.parse(&pending, false, &mut |item| store.add(item));
        pending.drain(..used);
    }
    parser.parse(&pending, true, &mut |item| store.add(item));
    let mut scrape = store.finish();
    scrape.quality.format = Some(fetched.format);
    scrape.quality.bytes = bytes;
    Ok(scrape)
}
