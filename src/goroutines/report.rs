//! Prints a snapshot in every format. Nothing here touches the target.

mod diff;
mod graph;
mod json;
mod jsonl;
mod schema;
mod stack;
mod table;
mod text;
mod wording;

pub use diff::{diff_document, diff_header, diff_line, diff_summary, growth_lines, write_diff_table};
pub use graph::{write_folded, write_pprof, write_svg};
pub use json::document;
pub use jsonl::write_jsonl;
pub(super) use schema::cut_of_key;
pub use table::write_table;
pub use text::write_text;
