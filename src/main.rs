//! The program `pen`. Everything it does is in the library; see docs/architecture.md.

use std::process::ExitCode;

fn main() -> ExitCode {
    match pen_sys::program::arguments() {
        Ok(arguments) => pen::run_as(std::env::args_os().next().as_deref(), &arguments),
        Err(error) => {
            pen_sys::diag::fatal(format_args!("pen: {error}"));
            ExitCode::FAILURE
        }
    }
}
