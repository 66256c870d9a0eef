//! The program `pen`. Everything it does is in the library; see docs/architecture.md.

use std::process::ExitCode;

fn main() -> ExitCode {
    match pen_sys::program::arguments() {
        Ok(arguments) => pen::run(&arguments),
        Err(error) => {
            pen_sys::diag::fatal(format_args!("pen: {error}"));
            ExitCode::FAILURE
        }
    }
}
