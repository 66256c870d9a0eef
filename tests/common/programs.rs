//! Other programs: those of this workspace, and those of the system.

use super::pen::Ended;
use super::skip_without;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// Where Debian puts programs that only root, or only another program, is expected to start.
const SYSTEM_PATHS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/lib/postfix/sbin", "/usr/lib/dovecot"];

/// Where the program is, also if it is not in `PATH`.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories = std::env::split_paths(&path).chain(SYSTEM_PATHS.map(PathBuf::from));
    directories.find_map(|directory| Some(directory.join(program)).filter(|file| file.is_file()))
}

pub fn is_installed(program: &str) -> bool {
    find(program).is_some()
}

/// Whether all of these programs, each with its Debian package, are there; says which is not.
pub fn all_installed(programs: &[(&str, &str)]) -> bool {
    let missing = programs.iter().find(|(program, _)| !is_installed(program));
    missing.inspect(|(_, package)| skip_without(package)).is_none()
}

/// The program, wherever it is.
pub fn command(program: &str) -> Command {
    Command::new(find(program).unwrap_or_else(|| program.into()))
}

/// Runs a program with this text as its standard input. `penctl` is the one of this workspace.
pub fn run(program: &str, words: &[&str], stdin: &str) -> Ended {
    let mut command = if program == "penctl" { Command::new(ours("penctl")) } else { command(program) };
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // A program that does not care for its input may have ended already.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Copies a program that is to be started. Another process writes it: what is open for writing here, a program that another
/// test starts at that moment inherits, and until that has begun the copy is busy.
pub fn copy(program: impl AsRef<Path>, to: impl AsRef<Path>) {
    let copied = Command::new("cp").arg(program.as_ref()).arg(to.as_ref()).status().expect("cp");
    assert!(copied.success());
}

/// Writes a script that is to be started, as [`copy`] does.
pub fn write_script(to: impl AsRef<Path>, text: &str) {
    let to = to.as_ref().to_str().expect("UTF-8");
    let written = run("sh", &["-c", "cat >\"$0\" && chmod 755 \"$0\"", to], text);
    assert_eq!(written.code, Some(0), "{written:?}");
}

/// Where a program of another package of this workspace is: beside pen. Cargo builds only the programs of the package it
/// tests, so it is asked for this one by the first who wants it.
pub fn ours(name: &'static str) -> PathBuf {
    static BUILT: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    let profile = Path::new(env!("CARGO_BIN_EXE_pen")).parent().unwrap();
    let mut built = BUILT.lock().unwrap();
    if !built.contains(&name) {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--bin", name, "--target-dir"]).arg(profile.parent().unwrap());
        cargo.args(profile.ends_with("release").then_some("--release"));
        let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo");
        assert!(status.success(), "{name} could not be built");
        built.push(name);
    }
    profile.join(name)
}
