//! A Go process or binary: what it is, where its runtime keeps things, how to read and name them.

pub mod binary;
pub mod buildinfo;
pub mod elf;
pub mod globals;
pub mod goroutines;
pub mod layout;
pub mod memory;
pub mod moduledata;
pub mod native;
pub mod pclntab;
pub mod process;
pub mod runtime;
pub mod scan;
pub mod scheduler;
pub mod stack;
pub mod symbols;
pub mod time_histogram;
pub mod unwind;
pub mod variables;
pub mod wait_reasons;
pub mod walk;
