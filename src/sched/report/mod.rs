//! How a window is printed.

mod before;
mod graph;
mod plan;
mod schema;
mod table;
mod timeline;
mod transitions;

pub use graph::{Weight, write_folded, write_pprof, write_speedscope, write_svg};
pub use plan::{line as plan_line, write as write_plan};
pub use schema::{document, write_jsonl};
pub use table::{Profile, write_profile_table, write_table};
pub use timeline::{write_perfetto, write_trace};
