//! BPF for every feature that needs it: compiled probes are loaded and attached, their events streamed, their stacks walked.
//!
//! Nothing here writes to the target. Everything attached hangs on descriptors of this process and ends with it.

mod load;
pub mod price;
pub mod queue;
pub mod sites;
mod stacks;
mod stream;
mod tls;
mod uprobes;
pub mod wire;

pub use load::{Links, MOST_SINGLE_LINKS, Probes, Switches, Wanted};
pub use stacks::StackWalker;
pub use stream::{Counted, Loss, Stream};
