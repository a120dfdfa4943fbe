//! `goscope info`: what is this binary and its runtime, and what can goscope do with it.

pub mod analyze;
mod collect;
mod goroutines;
mod host;
pub mod model;
mod probe;
mod report;
pub mod runtime;

pub use collect::{file, process};
pub use report::write;
