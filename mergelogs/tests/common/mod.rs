//! Logs in a directory of their own, and the program under test. Shared by the test targets of this crate.
#![allow(dead_code, reason = "each test target uses its part")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

#[path = "../../../tests/common/skip.rs"]
pub mod skip;

pub use pen_sys::tempdir::TempDir;

/// What a program left behind.
#[derive(Debug)]
pub struct Ran {
    pub stdout: String,
    pub stderr: String,
    pub status: Option<i32>,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            status: output.status.code(),
        }
    }
}

/// mergelogs with these arguments, separated by blanks, working in the directory. The zone is UTC.
pub fn mergelogs(directory: &TempDir, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mergelogs"));
    command.args(arguments.split_whitespace()).current_dir(directory.path()).env("TZ", "UTC");
    command
}

pub fn run(directory: &TempDir, arguments: &str) -> Ran {
    mergelogs(directory, arguments).output().unwrap().into()
}

pub fn run_with_input(directory: &TempDir, arguments: &str, input: &[u8]) -> Ran {
    let mut command = mergelogs(directory, arguments);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap().into()
}
