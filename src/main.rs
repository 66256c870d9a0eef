//! The program `pen`. Everything it does is in the library; see docs/architecture.md.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    pen::start::run(&arguments)
}
