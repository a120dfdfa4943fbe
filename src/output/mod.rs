//! What every feature prints through: the JSON envelope, tables, colour, progress, stdout or a file.

mod address;
mod console;
mod envelope;
mod escape;
mod flame;
mod page;
mod sink;
mod style;
mod table;
mod units;

pub use address::Address;
pub use console::{Console, Progress};
pub use envelope::{Envelope, timestamp, write_json, write_line};
pub use escape::escape;
pub use flame::flame_graph;
pub use page::Page;
pub use sink::Output;
pub use style::{Color, Format, Paint, Style};
pub use table::{Align, Table, shorten};
pub use units::{bytes, count, duration, two_digits};
