//! Every log format that Debian ships, as Apache and nginx write it, for users who are called what they like: each line
//! gets its client from mergelogs and from penlogd, and nothing else in it changes.

use crate::apache::{Apache, load};
use crate::common::pen::Pen;
use crate::common::ports::free_port;
use crate::common::process::listening;
use crate::common::programs::{command, ours};
use crate::common::real::Server;
use crate::common::tempdir::TempDir;
use crate::common::wait::eventually;
use crate::logs::Penlogd;
use crate::programs::{found, succeed};
use crate::site;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Of Debian's apache2.conf, and one with a fraction of a second.
const FORMATS: &str = r#"
LogFormat "%v:%p %h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\"" vhost_combined
LogFormat "%h %l %u %t \"%r\" %>s %O" common
LogFormat "%{Referer}i -> %U" referer
LogFormat "%{User-agent}i" agent
LogFormat "%h %l %u [%{%d/%b/%Y:%T}t.%{usec_frac}t %{%z}t] \"%r\" %>s %O" exact
"#;

/// Lines of these have a client and a request.
const JOINED: [&str; 4] = ["vhost_combined", "combined", "common", "exact"];

/// There is nothing in these that could be joined.
const OTHERS: [&str; 2] = ["referer", "agent"];

/// No colon can be in them. Apache writes the first one as `""`, and nginx as nothing.
const USERS: [&str; 6] = ["", "u[x", "a b", "[", "q\"q", "x [9] \"GET / HTTP/1.0\" 200 1"];

const SERVER: &str = "127.0.0.11";

fn visitor(number: usize) -> String {
    format!("127.0.1.{}", number + 1)
}

/// Each visitor is another user, and says in the path who it is.
fn visit_all(pen: &Pen) {
    for (number, user) in USERS.iter().enumerate() {
        let visitor = visitor(number);
        let url = format!("http://{}/?{visitor}", pen.address);
        let mut curl = command("curl");
        curl.args(["--silent", "--fail", "--max-time", "20", "--noproxy", "*", "--interface", &visitor]);
        curl.args([
            "--user",
            &format!("{user}:x"),
            "--user-agent",
            "B \"GET /\" [x]",
            "--referer",
            "http://a/",
        ]);
        succeed(curl.arg(&url));
    }
    // A client that says nothing of worth: an empty request for nginx, none for Apache.
    pen.connect_from("127.0.1.99").send("\r\n");
}

/// `site` is what stands before the client. Every line is as the web server wrote it, but for the client, and for the
/// zone of the time.
fn assert_joined(name: &str, original: &str, joined: &str) {
    let request =
        |line: &str| line.split_once(" \"GET /?").map(|(before, rest)| (before.to_owned(), rest.to_owned()));
    let mut visits = 0;
    for (was, is) in original.lines().filter_map(request).zip(joined.lines().filter_map(request)) {
        assert_eq!(was.1, is.1, "{name}");
        let visitor = is.1.split(' ').next().unwrap();
        let site = if name == "vhost_combined" { 1 } else { 0 };
        let client = is.0.split(' ').nth(site).unwrap();
        assert_eq!(client, visitor, "{name}: {is:?}");
        // Up to the time stamp, which is the last one.
        let names =
            |text: &str| text.rsplit_once(" [").unwrap().0.replacen("127.0.0.1 ", &format!("{visitor} "), 1);
        assert_eq!(names(&was.0), names(&is.0), "{name}");
        visits += 1;
    }
    assert_eq!(visits, USERS.len(), "{name}\n{original}\n{joined}");
}

struct Join {
    _penlogd: Penlogd,
    port: u16,
    dir: TempDir,
}

impl Join {
    fn new() -> Join {
        let (port, dir) = (free_port(), TempDir::new());
        Join { _penlogd: Penlogd::start(port, &dir), port, dir }
    }

    /// What penlogd makes of a log, of which it takes so many lines.
    fn live(&self, log: &Path, lines: usize) -> String {
        let joined = self.dir.path().join("access_log");
        fs::write(&joined, "").unwrap();
        let mut penlog = Command::new(ours("penlog"));
        penlog.args(["127.0.0.1", &self.port.to_string(), SERVER]).stdin(fs::File::open(log).unwrap());
        succeed(penlog.stdout(Stdio::null()));
        let text = || fs::read_to_string(&joined).unwrap();
        eventually("the joined log", text, |text| text.lines().count() == lines)
    }

    /// Has everybody visit the server at this port, by a pen with a file and by one that tells penlogd, and compares.
    fn visit(&self, port: u16, log_of: impl Fn(&str) -> PathBuf, formats: &[&str], others: &[&str]) {
        let server = format!("{SERVER}:{port}");
        let afterwards = Pen::before([&server]).options("-l pen.log").start();
        let live = Pen::before([&server]).options("-l").word(format_args!("127.0.0.1:{}", self.port)).start();
        visit_all(&afterwards);
        visit_all(&live);
        let text = |name: &str| fs::read_to_string(log_of(name)).unwrap_or_default();
        let visits = |text: &str| text.matches("\"GET /?").count();
        for name in formats {
            eventually("the server's log", || text(name), |text| visits(text) == 2 * USERS.len());
        }
        eventually(
            "pen's log",
            || afterwards.text("pen.log"),
            |text| text.matches("GET /?").count() == USERS.len(),
        );
        let merged = |name: &str| {
            let web_log = format!("{SERVER}:{}", log_of(name).display());
            succeed(Command::new(ours("mergelogs")).arg("-p").arg(afterwards.path("pen.log")).arg(web_log))
        };
        for name in formats {
            let output = merged(name);
            let joined = String::from_utf8(output.stdout).unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{name}: every line is one");
            assert_eq!(joined.lines().count(), text(name).lines().count(), "{name}");
            assert_joined(name, &first_half(&text(name)), &first_half(&joined));
            let joined = self.live(&log_of(name), text(name).lines().count());
            assert_joined(name, &first_half(&text(name)), &first_half(&joined));
        }
        for name in others {
            let output = merged(name);
            assert_eq!(output.stdout, b"", "{name}");
            assert!(String::from_utf8_lossy(&output.stderr).contains(" left out, the first is "), "{name}");
            // A line behind them tells when they have been read.
            const LAST: &str = "w - - [t] \"GET /last\" 200 1\n";
            let log = self.dir.file(name, &format!("{}{LAST}", text(name)));
            assert_eq!(self.live(&log, 1), LAST, "{name}");
        }
    }
}

/// The same visitors came twice and are matched both times, because pen knows who asked for a path that names the visitor.
fn first_half(log: &str) -> String {
    let visits: Vec<&str> = log.lines().filter(|line| line.contains("\"GET /?")).collect();
    visits[..visits.len() / 2].join("\n")
}

#[test]
fn of_apache() {
    if !found(&["apache2", "curl"]) {
        return;
    }
    let join = Join::new();
    let modules: String = ["authn_core", "authz_user", "auth_basic", "authn_anon"].iter().map(load).collect();
    let users: String = USERS[1..].iter().map(|user| format!(" \"{}\"", user.replace('"', "\\\""))).collect();
    let logs: String =
        JOINED.iter().chain(&OTHERS).map(|name| format!("CustomLog @DIR@/{name}.log {name}\n")).collect();
    let port = site::port();
    let apache = Apache::start(
        SERVER,
        port,
        &format!(
            "{modules}{FORMATS}{logs}<Location />\nAuthType Basic\nAuthName x\nAuthBasicProvider anon\n\
             Anonymous_NoUserID On\nAnonymous_MustGiveEmail Off\nAnonymous{users}\nRequire valid-user\n</Location>\n"
        ),
    );
    join.visit(port, |name| apache.path(&format!("{name}.log")), &JOINED, &OTHERS);
    let combined = apache.text("combined.log");
    assert!(combined.contains(" - \"\" [") && combined.contains(" - u[x ["), "{combined}");
}

#[test]
fn of_nginx() {
    if !found(&["nginx", "curl"]) {
        return;
    }
    let join = Join::new();
    let (dir, port) = (TempDir::new(), site::port());
    let here = dir.path().display().to_string();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {here}/{name};\n"))
        .collect();
    let config = dir.file(
        "nginx.conf",
        &format!(
            "daemon off;\nworker_processes 1;\npid {here}/nginx.pid;\nerror_log {here}/error.log;\nevents {{}}\n\
             http {{\n{temporary}access_log {here}/combined.log;\n\
             server {{ listen {SERVER}:{port}; location / {{ return 200 \"It works\\n\"; }} }}\n}}\n"
        ),
    );
    let (config, errors) = (config.display().to_string(), format!("{here}/error.log"));
    let words = ["-p", &here, "-e", &errors, "-c", &config];
    let nginx = Server::start(dir, format!("{SERVER}:{port}"), "nginx", &words, || listening(port));
    join.visit(port, |name| nginx.dir.path().join(format!("{name}.log")), &["combined"], &[]);
}
