//! `goscope cardinality`: what explodes a /metrics endpoint.

pub mod model;
