//! `goscope ps`: which Go processes run here.

pub mod analyze;
mod collect;
pub mod model;
mod report;

pub use collect::collect;
pub use report::write;
