//! What a scrape says. Pure: scrape in, figures out.

pub mod baseline;
pub mod buckets;
pub mod exemplars;
pub mod gate;
pub mod lint;
pub mod memory;
pub mod metrics;
pub mod outlook;
pub mod shapes;
pub mod simulate;
pub mod suggest;
pub mod unmatched;
pub mod without;
