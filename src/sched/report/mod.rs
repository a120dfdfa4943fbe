//! How a window is printed.

mod graph;
mod schema;
mod table;
mod transitions;

pub use graph::{Weight, write_folded, write_pprof, write_svg};
pub use schema::{document, write_jsonl};
pub use table::{write_profile_table, write_table};
