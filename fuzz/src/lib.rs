//! What the fuzzers run. See `smoke.sh` for how.
#![allow(clippy::expect_used)]

pub mod targets;
