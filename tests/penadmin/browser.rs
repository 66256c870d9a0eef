//! The page in a real browser, and a program that tries whatever the API's description allows.

use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::pen::Pen;
use crate::common::ports::free_port;
use crate::common::programs::find;
use crate::common::skip::skip_outside_ci;
use crate::common::tempdir::TempDir;
use crate::desk::{Desk, control};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

/// Where `tests/run` installs what comes from the registries of other languages.
fn installed(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(path);
    if path.exists() {
        return Some(path);
    }
    skip_outside_ci(&format!("tests/run has not installed {}", path.display()));
    None
}

fn succeeds(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{command:?}\n{}\n{}", said[0], said[1]);
}

/// A pen with a service `web` that has two groups, and where that listens.
fn pen_with_groups(servers: &[Backend; 2]) -> (Pen, SocketAddr) {
    let pen = Pen::before([] as [&str; 0]).start();
    let listen: SocketAddr = format!("127.0.0.1:{}", free_port()).parse().unwrap();
    pen.control("service add web");
    for line in [
        format!("listen {listen}"),
        format!("server add web1={}", servers[0].address()),
        format!("server add web2={}", servers[1].address()),
        "server web1 group blue".into(),
        "server web2 group green".into(),
    ] {
        let reply = pen.control(&format!("service web {line}"));
        assert!(!reply.starts_with("error"), "{line}: {reply}");
    }
    (pen, listen)
}

/// A pen whose service has a name that is markup, as no real one has.
fn strange_pen(path: &Path) {
    const NAME: &str = "<img src=x onerror=alert(1)>";
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut out = stream.try_clone().unwrap();
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let reply = match line.as_str() {
                        "services json" => format!(
                            r#"[{{"name":"{NAME}","kind":"tcp","connections":0,"servers":0,"listen":["{NAME}"]}}]"#
                        ),
                        line if line.ends_with(" json") => "[]".into(),
                        _ => String::new(),
                    };
                    if write!(out, "ok {}\n{reply}", reply.len()).is_err() {
                        break;
                    }
                }
            });
        }
    });
}

/// `SCREENSHOTS=DIRECTORY` keeps pictures of it.
#[test]
fn the_page_does_what_it_says_in_a_browser() {
    let Some(modules) = installed("npm/node_modules") else { return };
    if find("chromium").is_none() || find("node").is_none() {
        return skip_outside_ci("chromium or node is not installed");
    }
    let servers = ["A", "B"].map(Backend::named);
    let (pen, listen) = pen_with_groups(&servers);
    let directory = TempDir::new();
    let strange = directory.path().join("strange");
    strange_pen(&strange);
    let desk = Desk::before(&[&format!("shop={}", control(&pen)), &format!("strange={}", strange.display())]);
    let mut client = Client::connect(listen);
    client.line();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/penadmin/page.mjs");
    let mut node = Command::new("node");
    node.arg(script).arg(modules).arg(format!("http://{}/", desk.address));
    node.args(std::env::var_os("SCREENSHOTS"));
    succeeds(&mut node);
    let audit = desk.text("audit");
    assert!(audit.contains("\tanna\tweb\tshop\tservice web server web1 weight 2.5\n"), "{audit}");
    assert!(!audit.contains("\trob\t"), "{audit}");
}

#[test]
fn the_description_of_the_api_is_true() {
    let Some(schemathesis) = installed("schemathesis/bin/schemathesis") else { return };
    let servers = ["A", "B"].map(Backend::named);
    let (pen, _) = pen_with_groups(&servers);
    let desk = Desk::before(&[&format!("shop={}", control(&pen))]);
    let anna = desk.login("anna");
    let work = TempDir::new();
    work.file("schemathesis.toml", include_str!("schemathesis.toml"));
    let mut command = Command::new(schemathesis);
    command.current_dir(work.path()).args(["--no-color", "--config-file", "schemathesis.toml", "run"]);
    command.arg(format!("http://{}/api/openapi.json", desk.address));
    command.args(["--phases", "examples,coverage,fuzzing", "--max-examples", "15", "--seed", "1"]);
    // It would end the session of all that follows.
    command.args(["--exclude-path", "/api/logout"]);
    let secret = anna.cookie.split_once('=').unwrap().1;
    command.env("PENADMIN_SESSION", secret).env("PENADMIN_TOKEN", &anna.csrf);
    succeeds(&mut command);
    assert!(desk.text("audit").contains("server 1 drain 30"), "the examples were carried out");
}
