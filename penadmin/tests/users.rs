//! The program `penadmin user`, as an administrator and a script use it.

use pen_sys::tempdir::TempDir;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn user(file: &Path, words: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_penadmin"));
    let pipes = command.arg("user").arg(file).args(words).stdin(Stdio::piped());
    let mut child = pipes.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that refuses its arguments reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn users_are_made_listed_and_removed() {
    let directory = TempDir::new();
    let file = directory.path().join("users");
    assert!(user(&file, &["anna", "full"], "sesame\n").status.success());
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGOOZ2UWwG2hYJgPUxgDK5kKFqH3TYxJTdNMCwPiB1lz bob@host";
    assert!(user(&file, &["bob", "readonly", "--key", key], "").status.success());
    let listed = user(&file, &["list"], "");
    assert_eq!(
        String::from_utf8_lossy(&listed.stdout),
        "anna full password\nbob readonly - ssh-ed25519\n",
        "{listed:?}"
    );
    assert!(!std::fs::read_to_string(&file).unwrap().contains("sesame"));
    assert!(user(&file, &["remove", "anna"], "").status.success());
    let again = user(&file, &["remove", "anna"], "");
    assert_eq!(again.status.code(), Some(1));
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(said.starts_with("penadmin: ") && said.ends_with("users: no user anna\n"), "{said}");
    let nobody = user(&file, &["carl", "full"], "");
    assert_eq!(nobody.status.code(), Some(1));
}
