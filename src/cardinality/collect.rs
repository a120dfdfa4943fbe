//! From a source to a [`Scrape`].

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::model::Scrape;
use super::store::Store;
use crate::error::{Error, Result};
use crate::formats::exposition::{Format, Parser, Rules};

/// How much is read at once.
const BLOCK: usize = 1 << 20;

pub fn read(path: &Path, rules: Rules) -> Result<Scrape> {
    let cannot = |error: std::io::Error| Error::io(format!("cannot read {}", path.display())).because(error);
    let mut file = File::open(path).map_err(cannot)?;
    let format = Format::Text;
    let (mut parser, mut store) = (Parser::new(format, rules), Store::new());
    let (mut buffer, mut filled, mut bytes) = (vec![0; BLOCK], 0, 0);
    loop {
        if filled == buffer.len() {
            buffer.resize(2 * filled, 0);
        }
        let got = file.read(&mut buffer[filled..]).map_err(cannot)?;
        bytes += got as u64;
        filled += got;
        let used = parser.parse(&buffer[..filled], got == 0, &mut |item| store.add(item));
        buffer.copy_within(used..filled, 0);
        filled -= used;
        if got == 0 {
            break;
        }
    }
    let mut scrape = store.finish();
    scrape.quality.format = Some(format);
    scrape.quality.bytes = bytes;
    Ok(scrape)
}
