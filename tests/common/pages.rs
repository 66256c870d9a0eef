//! HTML pages as other programs see them. Knows no page; for the unit tests of those who write some.

#[path = "skip.rs"]
mod skip;

use skip::skip_outside_ci;
use std::io::Write;
use std::process::{Command, Stdio};

/// Asserts that a policy with this hash admits the style: a stale one would leave the page bare.
pub fn assert_is_sha256(hash: &str, style: &str) {
    let script = "import base64,hashlib,sys\n\
                  digest = hashlib.sha256(sys.stdin.buffer.read()).digest()\n\
                  print(base64.b64encode(digest).decode(), end='')";
    if let Some(right) = run("python3", &["-c", script], style) {
        assert_eq!(right, hash, "put the left one in the place of the right one");
    }
}

/// Has a parser assert that every element is closed where it was opened and that every table has as many cells in each
/// row as in its head. Returns COLUMNSxROWS of each table; `None` without python3.
pub fn table_shapes(page: &str) -> Option<String> {
    run("python3", &["-c", include_str!("../check_page.py")], page)
}

/// `tidy` (the Debian package of that name) reads the page as a browser would and reports what is not HTML5.
pub fn assert_tidy(page: &str, options: &[&str]) {
    let common = ["-q", "-e", "-utf8", "--drop-empty-elements", "no"];
    run("tidy", &[&common, options].concat(), page);
}

/// What `program` prints when it reads `input`. It must succeed without a word on standard error; `None` when it is not
/// installed.
fn run(program: &str, arguments: &[&str], input: &str) -> Option<String> {
    let spawned = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = spawned else {
        skip_outside_ci(&format!("{program} is not installed"));
        return None;
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{program}: {}: {complaints}", output.status);
    Some(String::from_utf8(output.stdout).unwrap())
}
