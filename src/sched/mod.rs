//! `goscope sched` and `goscope profile`: who runs, who waits for a P or a CPU, who blocks on what, and where time goes.

pub mod analyze;
pub mod collect;
pub mod model;
pub mod recording;
pub mod report;
