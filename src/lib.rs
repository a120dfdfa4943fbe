//! goscope looks into a running Go process from outside.
//!
//! One feature module for each question a user asks, on a small shared base.
//! Inside a feature data flows one way: `args -> collect -> analyze -> report`.
//! Who may use whom is written in ARCHITECTURE.md and checked by `tests/deps.rs`.
#![deny(unsafe_code)]

pub mod cardinality;
pub mod cli;
pub mod error;
pub mod formats;
pub mod goroutines;
pub mod info;
pub mod output;
pub mod probes;
pub mod ps;
pub mod sched;
pub mod target;

/// All `unsafe` of the crate: system calls behind a safe interface.
#[allow(unsafe_code)]
pub mod sys;
