//! Goroutines that stand still, read from outside: the runtime's records, their stacks, labels and threads.
//!
//! Nothing is named and nothing is stopped here: what runs is handed to the caller ([`parked::ParkedReader`]).

pub mod blocked;
pub mod labels;
pub mod model;
pub mod parked;
pub mod raw;
pub mod record;
pub mod threads;

pub use model::{BlockedOn, ReadState, Status, Thread};
