//! Other programs: those of this workspace, and those of the system.

use super::pen::Ended;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Whether the program is found in `PATH`.
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// Where programs are that only root is expected to start.
const SYSTEM_PATHS: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Where the program is, also if only root has its directory in `PATH`.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories = std::env::split_paths(&path).chain(SYSTEM_PATHS.map(PathBuf::from));
    directories.find_map(|directory| Some(directory.join(program)).filter(|file| file.is_file()))
}

/// Runs a program with this text as its standard input. `penctl` is the one of this workspace.
pub fn run(program: &str, words: &[&str], stdin: &str) -> Ended {
    let program = if program == "penctl" { penctl() } else { Path::new(program) };
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // A program that does not care for its input may have ended already.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Built beside pen. Cargo builds only the programs of the package it tests, so it is asked for this one.
fn penctl() -> &'static Path {
    static PENCTL: OnceLock<PathBuf> = OnceLock::new();
    PENCTL.get_or_init(|| {
        let pen = Path::new(env!("CARGO_BIN_EXE_pen"));
        let profile = pen.parent().unwrap();
        let mut command = Command::new(env!("CARGO"));
        command
            .args(["build", "--quiet", "--package", "penctl", "--target-dir"])
            .arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            command.arg("--release");
        }
        let status = command.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo");
        assert!(status.success(), "penctl could not be built");
        profile.join("penctl")
    })
}
