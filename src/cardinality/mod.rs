//! `goscope cardinality`: what explodes a /metrics endpoint.

pub mod analyze;
mod children;
mod collect;
pub mod model;
pub mod relabel;
pub mod store;

pub use collect::read;
