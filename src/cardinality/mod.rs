//! `goscope cardinality`: what explodes a /metrics endpoint.

pub mod analyze;
pub mod baseline_file;
pub mod budget_file;
mod children;
mod collect;
mod halves;
pub mod model;
pub mod profile;
pub mod relabel;
mod report;
pub mod source;
pub mod store;
pub mod tui;

pub use collect::{Collected, collect};
pub use report::{Format, View, finding_text, write};
