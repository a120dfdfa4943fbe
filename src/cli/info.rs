//! `goscope info`: its command line.

use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::Context;
use super::target::{self, Wait};
use crate::error::Result;
use crate::info;
use crate::output::{Format, duration};

const EXAMPLES: &str = "\
Examples:
  goscope info payments
  goscope info ./payments               the binary alone: a path holds a slash
  goscope info 4711 --probe-http        does it serve pprof or metrics?
  goscope info 4711 --format json | jq '.build.deps[] | .path + \" \" + .version'";

/// Show what a Go process or binary is made of, and what goscope can do with it
///
/// Build information, modules and settings; scheduler and garbage collector figures; user, container and CPU quota;
/// listening sockets; and for everything that goscope can do, whether it can be done here and what is missing.
/// TARGET may also be the path of a binary.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct InfoArgs {
    /// Process id, name, or path of a binary
    #[arg(value_name = "TARGET")]
    target: String,
    #[command(flatten)]
    wait: Wait,
    /// How to print
    #[arg(long, value_enum, default_value = "table", env = "GOSCOPE_FORMAT", hide_env_values = true)]
    format: Format,
    /// GET /debug/pprof/ and /metrics on each TCP socket it listens on (200 ms and 4 KiB at most for each)
    #[arg(long)]
    probe_http: bool,
}

pub fn run(args: &InfoArgs, context: &Context) -> Result<()> {
    let mut out = context.open()?;
    let info = if args.target.contains('/') {
        info::file(Path::new(&args.target))?
    } else {
        let process = target::resolve(&args.target, target::Programs::Go, &args.wait, context.console)?;
        info::process(&process, args.probe_http)?
    };
    context.console.note(&format!("looked at in {}", duration(Duration::from_nanos(info.capture_ns))));
    info.warnings.iter().for_each(|warning| context.console.warning(warning));
    info::write(&info, args.format, &mut out)?;
    out.finish()
}
