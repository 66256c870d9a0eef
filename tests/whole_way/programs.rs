//! The programs of others that take part.

use crate::common::programs::is_installed;
use crate::common::root;
use crate::common::skip::skip_outside_ci;
use std::process::{Command, Output};

/// Whether all of these programs are installed; says which is not.
pub fn found(programs: &[&str]) -> bool {
    let missing: Vec<&&str> = programs.iter().filter(|program| !is_installed(program)).collect();
    if !missing.is_empty() {
        skip_outside_ci(&format!("not installed: {missing:?}"));
    }
    missing.is_empty()
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
