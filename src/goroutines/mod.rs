//! `goscope goroutines`: what is every goroutine doing, where, since when, who started it.

pub mod analyze;
pub mod collect;
mod computing;
mod in_c;
pub mod model;
mod naming;
pub mod pause;
pub mod report;
mod running;
pub mod saved;
pub mod watch;
