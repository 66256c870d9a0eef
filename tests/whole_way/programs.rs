//! The programs that take part: ours, which stand beside pen, and those of others.

use crate::common::{root, skip};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Once;

/// Where one of our programs is; built when this is the first that needs it.
pub fn ours(name: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    let pen = Path::new(env!("CARGO_BIN_EXE_pen"));
    let release = pen.parent().is_some_and(|directory| directory.ends_with("release"));
    BUILT.call_once(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args([
            "build",
            "--quiet",
            "--package",
            "mergelogs",
            "--package",
            "penlogd",
            "--package",
            "webstats",
            "--package",
            "penctl",
        ]);
        cargo.args(release.then_some("--release")).current_dir(env!("CARGO_MANIFEST_DIR"));
        assert!(cargo.status().expect("cargo").success(), "{cargo:?}");
    });
    let path = pen.with_file_name(name);
    assert!(path.exists(), "{} was not built", path.display());
    path
}

/// Whether all of these programs are installed; says which is not.
pub fn found(programs: &[&str]) -> bool {
    let missing: Vec<&&str> = programs.iter().filter(|program| which(program).is_none()).collect();
    if !missing.is_empty() {
        skip(&format!("not installed: {missing:?}"));
    }
    missing.is_empty()
}

fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    directories.map(|directory| directory.join(program)).find(|candidate| candidate.is_file())
}

/// The program, also when it is one of those for the administrator.
pub fn command(program: &str) -> Command {
    Command::new(which(program).unwrap_or_else(|| program.into()))
}

/// Runs it to its end.
///
/// # Panics
/// When it fails, with what it said.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// A user without privileges to become, for programs that refuse to work as root.
pub fn unprivileged() -> Option<&'static str> {
    root().then_some("nobody")
}
