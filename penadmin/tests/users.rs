//! The programs `penadmin user` and `penadmin import`, as an administrator and a script use it.

use pen_sys::tempdir::TempDir;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn penadmin() -> Command {
    Command::new(env!("CARGO_BIN_EXE_penadmin"))
}

fn user(file: &Path, words: &[&str], input: &str) -> Output {
    let mut command = penadmin();
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

/// What is in the users file after `penadmin import` of such users, whether it was content, and what it said.
fn import(directory: &TempDir, users: &str) -> (String, bool, String) {
    let text = format!("<config>\n <admin>\n{users} </admin>\n</config>\n");
    let (config, file) = (directory.file("config.xml", &text), directory.path().join("users"));
    let output = penadmin().arg("import").args([&config, &file]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let said = said.replace(&format!("{}/", directory.path().display()), "");
    (std::fs::read_to_string(&file).unwrap_or_default(), output.status.success(), said)
}

#[test]
fn users_of_txloadbalancer_come_without_their_passwords() {
    let directory = TempDir::new();
    let file = directory.path().join("users");
    let old = "  <user name=\"anna\" password=\"xxnq2mU0OJtn6\" access=\"full\"/>\n";
    let further = "  <user name=\"rob\" password=\"xxnq2mU0OJtn6\" access=\"readonly\"/>\n";
    let new_password = "cannot come in before a new password is set: penadmin user users";
    assert_eq!(
        import(&directory, old),
        ("anna:full:-\n".into(), true, format!("penadmin: config.xml:3:3: anna {new_password} anna full\n"))
    );
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    // Who is there keeps password and rights.
    assert!(user(&file, &["anna", "readonly"], "sesame\n").status.success());
    let before = std::fs::read_to_string(&file).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(
        import(&directory, &format!("{old}{further}")),
        (
            format!("{before}rob:readonly:-\n"),
            true,
            format!(
                "penadmin: config.xml:3:3: anna is in users already, and stays readonly as it is there\n\
                 penadmin: config.xml:4:3: rob {new_password} rob readonly\n"
            )
        )
    );
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640, "as it was");
    assert!(user(&file, &["rob", "readonly"], "sesame\n").status.success());
}

#[test]
fn a_broken_configuration_changes_no_users() {
    let directory = TempDir::new();
    let good = "  <user name=\"anna\" access=\"full\"/>\n";
    for (users, reason) in [
        ("", "config.xml: want a <user> in <admin>"),
        ("  <user name=\"a b\" access=\"full\"/>\n", "config.xml:4:3: <user>: name: want a name of letters"),
        (
            "  <user name=\"list\" access=\"full\"/>\n",
            "config.xml:4:3: <user>: name: nobody may be called list",
        ),
        ("  <user name=\"x\" access=\"all\"/>\n", "config.xml:4:3: <user>: access: want full or readonly"),
        ("  <user name=\"x\"\n", "config.xml:"),
    ] {
        let good = if users.is_empty() { "" } else { good };
        let (file, is_content, said) = import(&directory, &format!("{good}{users}"));
        assert!(said.starts_with(&format!("penadmin: {reason}")) && !is_content, "{users}: {said}");
        assert_eq!(file, "");
    }
}
