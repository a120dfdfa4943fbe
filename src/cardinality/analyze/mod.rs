//! What a scrape's tables say. Pure: scrape in, figures out.

pub mod buckets;
pub mod lint;
pub mod outlook;
pub mod without;
