//! Flame graphs as SVG.

use std::io::Write;

use inferno::flamegraph::{self, Options};

use crate::error::{Error, Result};

/// Of folded stacks. `unit` names what is counted. The same stacks give the same picture, colours included.
pub fn flame_graph(folded: &str, title: &str, subtitle: &str, unit: &str, out: &mut impl Write) -> Result<()> {
    let mut options = Options::default();
    options.title = title.to_owned();
    options.subtitle = Some(subtitle.to_owned());
    options.count_name = unit.to_owned();
    options.deterministic = true;
    flamegraph::from_lines(&mut options, folded.lines(), out).map_err(Error::write)
}
