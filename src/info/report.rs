//! Prints what was found.

mod page;
mod runtime;
mod schema;

use crate::error::Result;
use crate::info::model::Info;
use crate::output::{self, Format, Output};

pub fn write(info: &Info, format: Format, out: &mut Output) -> Result<()> {
    match format {
        Format::Table => page::write(info, out),
        Format::Json => output::write_json(out, &schema::document(info)),
        Format::Jsonl => {
            output::write_line(out, &schema::document(info).header())?;
            output::write_line(out, &schema::summary(info))
        }
    }
}
