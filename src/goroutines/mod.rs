//! `goscope goroutines`: what is every goroutine doing, where, since when, who started it.

pub mod analyze;
mod blocked;
pub mod collect;
mod computing;
mod in_c;
pub mod labels;
pub mod model;
mod naming;
mod parked;
pub mod pause;
mod raw;
pub mod record;
pub mod report;
mod running;
pub mod saved;
pub mod threads;
pub mod watch;
