//! How a window is printed.

mod before;
mod diff;
mod diff_schema;
mod graph;
mod plan;
mod schema;
mod table;
mod timeline;
mod transitions;
mod wakes;

pub use diff::{passed_line, write_diff_table};
pub use diff_schema::{diff_document, write_diff_jsonl};
pub use graph::{Weight, write_folded, write_pprof, write_speedscope, write_svg};
pub use plan::{document as plan_document, line as plan_line, write as write_plan};
pub use schema::{document, write_jsonl};
pub use table::{Profile, write_profile_table, write_table};
pub use timeline::{write_perfetto, write_trace};
