//! The program `pen`. Everything it does is in the library; see docs/architecture.md.

use std::process::ExitCode;

fn main() -> ExitCode {
    match pen_program::arguments() {
        Ok(arguments) => pen::start::run(&arguments),
        Err(error) => {
            pen::log::diag::fatal(format_args!("pen: {error}"));
            ExitCode::FAILURE
        }
    }
}
