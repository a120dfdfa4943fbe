//! All `unsafe` of the crate: one file a subject, a safe interface out.

pub mod bpf;
pub mod calibrate;
pub mod memfd;
pub mod memory;
pub mod ns;
pub mod perf;
pub mod pidfd;
pub mod ptrace;
pub mod users;
