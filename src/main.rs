//! Parse, run, map an error to an exit code.

use std::process::ExitCode;

use goscope::cli;
use goscope::error::Kind;

fn main() -> ExitCode {
    let (cli, console) = match cli::parse(std::env::args_os()) {
        cli::Parsed::Run(cli, console) => (cli, console),
        cli::Parsed::Exit(code) => return ExitCode::from(code),
    };
    match cli::run(cli, &console) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A reader that went away (`| head`) is not worth a word.
            if error.kind != Kind::ClosedPipe {
                console.error(&error);
            }
            ExitCode::from(error.kind.exit_code())
        }
    }
}
