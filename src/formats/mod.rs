//! Public formats: plain data to bytes. Nothing here knows a feature.

pub mod exposition;
pub mod folded;
pub mod gotrace;
pub mod perfetto;
pub mod pprof;
pub mod speedscope;
