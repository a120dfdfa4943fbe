//! Prints a profile.

mod details;
mod findings;
mod graph;
mod growth;
mod plan;
mod schema;
mod schema_details;
mod simulation;
mod table;
pub(super) mod wording;

use crate::error::Result;
use crate::output::{self, Output};

use super::profile::Profile;

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Table,
    Json,
    Jsonl,
    Pprof,
    Folded,
    Svg,
}

/// How much is shown to people; machines get all of it.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Metrics listed.
    pub limit: usize,
    /// Of those, how many with their labels.
    pub detailed: usize,
}

pub use wording::finding_text;

pub fn write(profile: &Profile, format: Format, view: View, out: &mut Output) -> Result<()> {
    match format {
        Format::Table => table::write(profile, view, out),
        Format::Json => output::write_json(out, &schema::document(profile)),
        Format::Pprof => graph::write_pprof(profile, out),
        Format::Folded => graph::write_folded(profile, out),
        Format::Svg => graph::write_svg(profile, out),
        Format::Jsonl => schema::lines(profile, |line| output::write_line(out, line)),
    }
}
