//! Relabeling as Prometheus does it: a configuration read, checked, and run over label sets.

mod case;
mod config;
mod engine;
mod go_syntax;
mod regexp;
mod rule;

pub use config::{Applies, Config};
pub use engine::{Labels, Runner, Step};
pub use regexp::{Refused, Regexp, Unfilled};
pub use rule::{Action, NameEffect, Names, Rule};
