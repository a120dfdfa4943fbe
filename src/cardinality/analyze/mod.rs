//! What a scrape's tables say. Pure: scrape in, figures out.

pub mod lint;
pub mod outlook;
