//! What the end-to-end tests share: running fixtures, the runtime's own dump, and its rules for printing a stack.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // each test uses a part of it, and helpers may unwrap

pub mod compare;
pub mod dump;
pub mod fixture;
pub mod oracle;
pub mod rules;
pub mod snapshot;
