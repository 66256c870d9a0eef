//! The page: by cron, as CGI under Apache, live.

use crate::apache::{self, Apache};
use crate::browser::{self, Look};
use crate::common::backend::Backend;
use crate::common::pen::{Pen, Start};
use crate::common::programs::{command, copy, ours};
use crate::common::tempdir::TempDir;
use crate::common::wait::eventually;
use crate::common::{root, skip};
use crate::programs::{found, succeed};
use crate::site;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

/// The line for cron in a document that has these words; what comes after the five columns of times.
fn cron_command(document: &str, words: &str) -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(document)).unwrap();
    let is_it = |line: &&str| line.starts_with(|c: char| c.is_ascii_digit()) && line.contains(words);
    let line = text.lines().find(is_it).unwrap_or_else(|| panic!("{document} has no line with {words}"));
    line.splitn(6, ' ').nth(5).unwrap().to_string()
}

/// As cron would, with our programs before all others.
fn as_cron(command: &str) -> Command {
    let programs = ours("webstats").parent().unwrap().display().to_string();
    let mut sh = Command::new("sh");
    sh.args(["-c", command]).env("PATH", format!("{programs}:/usr/bin:/bin"));
    sh
}

fn in_dir(command: &str, pen: &Pen) -> String {
    let dir = pen.path("").display().to_string();
    command.replace("/var/run/", &dir).replace("/var/www/", &dir).replace("/var/lib/pen/", &dir)
}

/// A pen with a page and a pid file before two servers, and one connection.
fn with_page() -> (Pen, [Backend; 2]) {
    let servers = ["A", "B"].map(Backend::named);
    let pen = Pen::before(&servers).options("-p pen.pid -w pen/webstats.html").directory("pen").start();
    assert_ne!(pen.ask_from("127.0.0.6"), "-");
    (pen, servers)
}

#[test]
fn cron_makes_a_page_of_pens() {
    let (pen, _servers) = with_page();
    let webstats = in_dir(&cron_command("docs/status-page.md", "webstats -p"), &pen);
    for _ in 0..2 {
        // The second time pen replaces the page that webstats has put in the place of pen's.
        let output = succeed(&mut as_cron(&webstats));
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let page = pen.text("pen/webstats.html");
        for part in ["<title>All 2 servers are up</title>", "<th scope=\"row\">127.0.0.6</th>", "</html>"] {
            assert!(page.contains(part), "{part}");
        }
    }
    assert!(!pen.text("pen/webstats.html.history").is_empty());
}

#[test]
fn the_line_for_cron_and_webstats_after_it() {
    let (pen, _servers) = with_page();
    let kill = in_dir(&cron_command("docs/daily-use.md", "kill -USR1"), &pen);
    succeed(&mut as_cron(&kill));
    eventually("pen's page", || pen.text("pen/webstats.html"), |page| page.ends_with("</html>\n"));
    let webstats = in_dir(&cron_command("docs/status-page.md", "webstats -w"), &pen);
    succeed(&mut as_cron(&webstats));
    assert!(pen.text("index.html").contains("<title>All 2 servers are up</title>"));
    assert!(pen.text("pen/webstats.html").contains("Pen status page"));
}

/// cron's job is root's, the page is in a directory of root's, and pen is nobody: each must be able to write again what
/// the other wrote.
#[test]
fn a_pen_without_privileges_can_write_its_page_again() {
    if !root() {
        return skip("needs root");
    }
    let server = Backend::named("A");
    let start = Pen::before([&server]).options("-p pen.pid -w www/webstats.html -u nobody").directory("www");
    let page = start.path("www/webstats.html");
    fs::write(&page, "").unwrap();
    chown(&page, Some(65_534), Some(65_534)).unwrap();
    let pen = start.start();
    for _ in 0..3 {
        let mut webstats = Command::new(ours("webstats"));
        webstats.args(["-p", "pen.pid", "-w", "www/webstats.html"]).current_dir(pen.path(""));
        assert!(succeed(&mut webstats).stderr.is_empty());
        assert!(pen.text("www/webstats.html").contains("The server is up"));
    }
}

#[test]
fn a_pen_that_writes_no_page_is_noticed() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).options("-p pen.pid").start();
    let mut webstats = Command::new(ours("webstats"));
    let output = webstats
        .args(["-p", "pen.pid", "-w", "page.html", "-t", "1"])
        .current_dir(pen.path(""))
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "webstats: page.html: no new page in time; was pen started with -w and this name?\n"
    );
    assert_eq!(output.status.code(), Some(1));
}

/// An Apache that runs `cgi-bin/webstats` in its directory as these lines of its configuration say.
fn cgi(more: &str) -> Apache {
    let dir = TempDir::new();
    fs::create_dir(dir.path().join("cgi-bin")).unwrap();
    let program = dir.path().join("cgi-bin/webstats");
    copy(ours("webstats"), &program);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    Apache::start_in(dir, "127.0.0.1", site::port(), more)
}

/// Head and body of what Apache answers.
fn get(apache: &Apache, path: &str) -> (String, String) {
    curl(apache, path, &[])
}

/// The same for somebody who says `NAME:PASSWORD`.
fn get_as(apache: &Apache, path: &str, user: &str) -> (String, String) {
    curl(apache, path, &["--user", user])
}

fn curl(apache: &Apache, path: &str, options: &[&str]) -> (String, String) {
    let mut curl = command("curl");
    curl.args(["--silent", "--include", "--max-time", "20", "--noproxy", "*"]).args(options);
    let output = succeed(curl.arg(format!("http://{}{path}", apache.listen)));
    let answer = String::from_utf8(output.stdout).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_string(), body.to_string())
}

#[test]
fn as_cgi_under_apache() {
    if !found(&["apache2", "curl"]) {
        return;
    }
    let (pen, _servers) = with_page();
    // Apache's user may not use a control socket, unless the administrator lets it.
    fs::set_permissions(pen.path("control"), fs::Permissions::from_mode(0o666)).unwrap();
    let control = pen.path("control").display().to_string();
    let apache =
        cgi(&format!("ScriptAlias /status @DIR@/cgi-bin/webstats\nSetEnv WEBSTATS_CONTROL {control}\n"));
    let (head, body) = get(&apache, "/status?%3Cscript%3E");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    for line in [
        "Content-Type: text/html; charset=utf-8",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
    ] {
        assert!(head.lines().any(|found| found == line), "{line}: {head}");
    }
    assert!(body.contains("<title>All 2 servers are up</title>") && !body.contains("script"));
    fs::remove_file(pen.path("control")).unwrap();
    let (head, body) = get(&apache, "/status");
    assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{head}");
    assert!(body.contains("pen does not answer") && !body.contains("/control"));
    assert!(apache.text("error.log").contains("no such socket"), "{}", apache.text("error.log"));
}

#[test]
fn as_cgi_from_the_page_that_pen_wrote() {
    if !found(&["apache2", "curl"]) {
        return;
    }
    let (pen, _servers) = with_page();
    succeed(&mut as_cron(&in_dir(&cron_command("docs/daily-use.md", "kill -USR1"), &pen)));
    eventually("pen's page", || pen.text("pen/webstats.html"), |page| page.ends_with("</html>\n"));
    let lines = in_dir(&apache_lines("ScriptAlias /status /usr/local/bin/webstats"), &pen);
    let lines = lines.replace("/usr/local/bin/", "@DIR@/cgi-bin/");
    let here = lines.replace("10.0.0.0/8", "127.0.0.0/8");
    assert_ne!(lines, here);
    let apache = cgi(&(apache::load(&"authz_host") + &here));
    let (head, body) = get(&apache, "/status");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body.contains("<title>All 2 servers are up</title>"));
    let apache = cgi(&(apache::load(&"authz_host") + &lines));
    assert!(get(&apache, "/status").0.starts_with("HTTP/1.1 403 Forbidden\r\n"), "a visitor from elsewhere");
}

/// webstats as a server of its own, ended when dropped; and where it serves.
struct Live(Child, String);

impl Live {
    fn start(pen: &Pen) -> Live {
        let mut webstats = Command::new(ours("webstats"));
        webstats.args(["--listen", "127.0.0.1:0", "--control"]).arg(pen.path("control"));
        let mut child = webstats.stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim_end().strip_prefix("webstats: serving ").unwrap_or_else(|| panic!("{line}"));
        Live(child, url.to_string())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The lines for Apache's configuration in docs/status-page.md that begin with `first`, to the end of their section.
fn apache_lines(first: &str) -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/status-page.md")).unwrap();
    let (_, rest) =
        text.split_once(&format!("\n{first}\n")).unwrap_or_else(|| panic!("docs/status-page.md: {first}"));
    let (inside, _) = rest.split_once("</Location>").expect("a section that ends");
    format!("{first}\n{inside}</Location>\n")
}

#[test]
fn live_behind_an_apache_that_asks_for_a_password() {
    if !found(&["apache2", "htpasswd", "curl"]) {
        return;
    }
    let (pen, _servers) = with_page();
    let live = Live::start(&pen);
    let dir = TempDir::new();
    let passwords = dir.path().join("passwords");
    succeed(command("htpasswd").args(["-bc"]).arg(&passwords).args(["boss", "sesame"]));
    let modules = ["proxy", "proxy_http", "auth_basic", "authn_core", "authn_file", "authz_user"];
    let section = apache_lines("<Location /pen/>")
        .replace("/etc/apache2/pen.passwords", &passwords.display().to_string())
        .replace("http://127.0.0.1:8081/", &live.1);
    assert!(section.contains(&live.1), "{section}");
    let more: String = modules.iter().map(apache::load).chain([section]).collect();
    let apache = Apache::start_in(dir, "127.0.0.1", site::port(), &more);
    for path in ["/pen/", "/pen/status.json"] {
        let (head, body) = get(&apache, path);
        assert!(head.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{head}");
        assert!(!body.contains("127.0.0.6"), "{body}");
    }
    let (head, body) = get_as(&apache, "/pen/", "boss:sesame");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(body.contains("<title>All 2 servers are up</title>"), "{body}");
    // Links lead back through Apache.
    assert!(body.contains("href=\"status.json\""), "{body}");
    let (head, body) = get_as(&apache, "/pen/status.json", "boss:sesame");
    assert!(head.contains("Content-Type: application/json"), "{head}");
    assert!(body.contains("127.0.0.6"), "{body}");
}

/// Three servers: one as it should be, one full, one gone.
fn troubled() -> (Start, [Backend; 3]) {
    let servers = [Backend::named("A"), Backend::named("B"), Backend::refusing("C")];
    let full = format!("{}:1", servers[1]);
    let start = Pen::before([&servers[2].to_string(), &full, &servers[0].to_string()]);
    (start.options("-r -b 3600"), servers)
}

#[test]
fn live_in_a_browser() {
    if !found(&["chromium"]) {
        return;
    }
    let (start, _servers) = troubled();
    let pen = start.start();
    let mut held = pen.connect_from("127.0.0.7");
    assert_eq!(held.line(), "B");
    assert_eq!(pen.asks(3), "AAA");
    let live = Live::start(&pen);
    let seen = browser::visit(&live.1, Look::LIGHT);
    for words in [
        "<title>1 of 3 servers is skipped</title>",
        "listening on 127.0.0.1:",
        "server 0</b> <span class=\"badge bad\">down, ",
        "server 1</b> <span class=\"badge warn\">full</span>",
        "server 2</b> <span class=\"badge good\">up</span>",
        "<th scope=\"row\">127.0.0.7</th>",
        "content=\"5\"",
    ] {
        assert!(seen.dom.contains(words), "{words} is not in\n{}", seen.dom);
    }
    browser::assert_styled(&seen);
}

/// A page worth showing, always the same: eight servers and a day of an imaginary site.
fn show_page(dir: &TempDir) -> String {
    dir.file("history", &browser::show::history());
    let control = UnixListener::bind(dir.path().join("control")).unwrap();
    let pen = thread::spawn(move || {
        let (stream, _) = control.accept().unwrap();
        assert_eq!(BufReader::new(&stream).lines().next().unwrap().unwrap(), "status json");
        (&stream).write_all(pen_core::stats::json::render(&browser::show::status()).as_bytes()).unwrap();
    });
    let mut webstats = Command::new(ours("webstats"));
    succeed(webstats.args(["-c", "./control", "-o", "show.html", "-H", "history"]).current_dir(dir.path()));
    pen.join().unwrap();
    format!("file://{}/show.html", dir.path().display())
}

#[test]
fn the_page_is_seen_in_light_dark_narrow_and_on_paper() {
    if !found(&["chromium"]) {
        return;
    }
    let dir = TempDir::new();
    let url = show_page(&dir);
    for look in [Look::LIGHT, Look::DARK, Look::NARROW] {
        let seen = browser::visit(&url, look);
        assert!(seen.dom.contains("<h2>The last day</h2>"));
        browser::assert_styled(&seen);
        if look == Look::LIGHT {
            browser::keep_picture(&seen);
        }
    }
    browser::assert_prints(&url);
}
