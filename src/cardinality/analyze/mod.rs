//! What a scrape's tables say. Pure: scrape in, figures out.
