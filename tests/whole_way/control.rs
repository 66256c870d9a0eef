//! Control from a browser: penctl-cgi under Apache, with its passwords, as docs/status-page.md sets it up.

use crate::apache::Apache;
use crate::browser::{self, Look};
use crate::common::backend::Backend;
use crate::common::pen::Pen;
use crate::common::programs::{command, copy, ours};
use crate::common::tempdir::TempDir;
use crate::programs::{found, succeed};
use crate::site;
use std::fs;
use std::os::unix::fs::PermissionsExt;

const APACHE: &[&str] = &["apache2", "htpasswd", "curl"];
const PASSWORD: &str = "anna:secret";

/// Everybody may look at /look; users may change servers at /penctl, and fetch what is in /private.
const SITE: &str = r#"
LoadModule authn_core_module @MODULES@/mod_authn_core.so
LoadModule authn_file_module @MODULES@/mod_authn_file.so
LoadModule auth_basic_module @MODULES@/mod_auth_basic.so
LoadModule authz_user_module @MODULES@/mod_authz_user.so
ScriptAlias /penctl @DIR@/cgi-bin/penctl.cgi
ScriptAlias /look @DIR@/cgi-bin/penctl.cgi
SetEnv PENCTL_CONTROL @CONTROL@
<Location /look>
    SetEnv PENCTL_ALLOW all
</Location>
<LocationMatch ^/(penctl|private)>
    SetEnv PENCTL_ALLOW servers
    AuthType Basic
    AuthName pen
    AuthUserFile @DIR@/passwords
    Require valid-user
</LocationMatch>
"#;

/// A pen before two servers, and an Apache that controls it.
fn under_apache() -> (Pen, [Backend; 2], Apache) {
    let servers = ["A", "B"].map(Backend::named);
    // Apache's user may not use a control socket, unless the administrator lets its group.
    let start = Pen::before(&servers).options("-r").command("control_mode 666");
    let pen = start.command("control_group nogroup").start();
    let dir = TempDir::new();
    fs::create_dir(dir.path().join("cgi-bin")).unwrap();
    let program = dir.path().join("cgi-bin/penctl.cgi");
    copy(ours("penctl-cgi"), &program);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let (user, password) = PASSWORD.split_once(':').unwrap();
    let entry = succeed(command("htpasswd").args(["-nb", user, password])).stdout;
    dir.file("passwords", &String::from_utf8(entry).unwrap());
    let more = SITE.replace("@MODULES@", crate::apache::MODULES);
    let more = more.replace("@CONTROL@", &pen.path("control").display().to_string());
    let apache = Apache::start_in(dir, "127.0.0.1", site::port(), &more);
    (pen, servers, apache)
}

/// The status line and the page.
fn curl(apache: &Apache, path: &str, words: &[&str]) -> (String, String) {
    curl_with("cookies", apache, path, words)
}

/// The same, with the cookies of one browser among others.
fn curl_with(jar: &str, apache: &Apache, path: &str, words: &[&str]) -> (String, String) {
    let jar = apache.path(jar).display().to_string();
    let mut curl = command("curl");
    curl.args([
        "--silent",
        "--include",
        "--max-time",
        "20",
        "--noproxy",
        "*",
        "--cookie",
        &jar,
        "--cookie-jar",
        &jar,
    ]);
    let output = succeed(curl.args(words).arg(format!("http://{}{path}", apache.listen)));
    let answer = String::from_utf8(output.stdout).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap_or("").to_string(), body.to_string())
}

/// The value of the token in a page's forms.
fn token(page: &str) -> String {
    let rest = page.split_once("name=\"token\" value=\"").unwrap_or_else(|| panic!("no token in\n{page}")).1;
    rest.split('"').next().unwrap().to_string()
}

fn blacklisted(pen: &Pen) -> Vec<bool> {
    let servers: serde_json::Value = serde_json::from_str(&pen.control("servers json")).unwrap();
    servers.as_array().unwrap().iter().map(|server| server["blacklisted_seconds"] != 0).collect()
}

#[test]
fn visitors_look_and_users_change_what_they_may() {
    if !found(APACHE) {
        return;
    }
    let (pen, _servers, apache) = under_apache();
    let (status, page) = curl(&apache, "/look", &[]);
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(
        page.contains("Visitors may look.") && page.contains("server 1") && !page.contains("method=\"post\"")
    );
    assert!(curl(&apache, "/look?view=command&command=mode", &[]).1.contains("<pre>no hash roundrobin"));
    assert_eq!(curl(&apache, "/penctl", &[]).0, "HTTP/1.1 401 Unauthorized");

    let user = ["--user", PASSWORD];
    let (status, page) = curl(&apache, "/penctl", &user);
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(page.contains("anna may change servers and close connections."), "{page}");
    let token = format!("token={}", token(&page));
    let origin = format!("Origin: http://{}", apache.listen);
    let form = [user[0], user[1], "--header", &origin, "--data", &token, "--data"];
    let send = |path: &str, fields: &str| curl(&apache, path, &[&form[..], &[fields]].concat());

    let (status, page) = send("/penctl", "command=server+0&:blacklist=3600");
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(
        page.contains("<p>Done.</p>") && page.contains("blacklisted, 1 h") && page.contains(">Release<"),
        "{page}"
    );
    assert_eq!(blacklisted(&pen), [true, false]);
    assert_eq!(pen.asks(3), "BBB");
    assert_eq!(send("/penctl", "command=server+0+blacklist+0").0, "HTTP/1.1 200 OK");
    assert_eq!(blacklisted(&pen), [false, false]);
    let log = apache.text("error.log");
    assert!(log.contains(r#"done: "anna" at "127.0.0.1": "server 0 blacklist 3600""#), "{log}");

    for (path, fields, why) in [
        ("/penctl", "command=blacklist+7", "users may change servers only"),
        ("/look", "command=server+0+blacklist+3600", "the web server was not asked who that is"),
    ] {
        assert_eq!(send(path, fields).0, "HTTP/1.1 403 Forbidden", "{why}");
    }
    assert_eq!((pen.control("blacklist").as_str(), blacklisted(&pen)), ("30\n", vec![false, false]));
}

#[test]
fn what_another_page_sends_changes_nothing() {
    if !found(APACHE) {
        return;
    }
    let (pen, _servers, apache) = under_apache();
    let user = ["--user", PASSWORD];
    let token = token(&curl(&apache, "/penctl", &user).1);
    let own = format!("Origin: http://{}", apache.listen);
    let with_token = format!("token={token}&command=server+0+blacklist+3600");
    let without = "command=server+0+blacklist+3600";
    let cases: &[(&str, &[&str], &str)] = &[
        ("cookies", &["--header", "Origin: http://evil.example", "--data", &with_token], "another page"),
        ("cookies", &["--header", "Origin: null", "--data", &with_token], "a page that hides where it is"),
        ("cookies", &["--data", &with_token], "a page that does not say where it is"),
        ("cookies", &["--header", &own, "--data", without], "no token"),
        ("no cookies", &["--header", &own, "--data", &with_token], "the token of another browser"),
        ("cookies", &["--header", &own, "--get", "--data", &with_token], "a link"),
    ];
    for (jar, words, why) in cases {
        let (status, _) = curl_with(jar, &apache, "/penctl", &[words, &user[..]].concat());
        assert_eq!(status, "HTTP/1.1 403 Forbidden", "{why}");
        assert_eq!(blacklisted(&pen), [false, false], "{why}");
    }
    let (status, _) =
        curl(&apache, "/penctl", &["--user", PASSWORD, "--header", &own, "--data", &with_token]);
    assert_eq!(
        (status.as_str(), blacklisted(&pen)),
        ("HTTP/1.1 200 OK", vec![true, false]),
        "the page itself"
    );
}

#[test]
fn a_pen_that_is_gone_is_told() {
    if !found(APACHE) {
        return;
    }
    let (pen, _servers, apache) = under_apache();
    fs::remove_file(pen.path("control")).unwrap();
    let (status, page) = curl(&apache, "/look", &[]);
    assert_eq!(status, "HTTP/1.1 502 Bad Gateway");
    assert!(page.contains("pen does not answer") && !page.contains("/control"), "{page}");
    assert!(apache.text("error.log").contains("no such file or directory"), "{}", apache.text("error.log"));
}

/// A script that sends a form in place of a visitor, with the token of the page when it can get at it. It does so before
/// its own page is complete, so that what the browser shows in the end is the answer.
const SENDING_PAGE: &str = r#"<!DOCTYPE html>
<title>sends</title>
<form method="post" action="http://@TARGET@/penctl">
<input name="token">
<input name="command" value="server 0 blacklist 3600">
</form>
<script>
let token = "0".repeat(64);
try {
  const request = new XMLHttpRequest();
  request.open("GET", "http://@TARGET@/penctl", false);
  request.withCredentials = true;
  request.send();
  token = request.responseText.match(/name="token" value="([0-9a-f]+)"/)[1];
} catch (refusal) {}
document.forms[0].token.value = token;
document.forms[0].submit();
</script>
"#;

#[test]
fn a_browser_can_send_its_own_forms_and_no_other() {
    if !found(APACHE) || !found(&["chromium"]) {
        return;
    }
    let (pen, _servers, apache) = under_apache();
    fs::create_dir(apache.path("htdocs/private")).unwrap();
    fs::write(apache.path("htdocs/private/send.html"), SENDING_PAGE.replace("@TARGET@", &apache.listen))
        .unwrap();
    let dom = browser::document(&format!("http://{PASSWORD}@{}/private/send.html", apache.listen));
    assert!(dom.contains("<p>Done.</p>"), "{dom}\n{}", apache.text("error.log"));
    assert_eq!(blacklisted(&pen), [true, false]);
    pen.control("server 0 blacklist 0");

    // The same from another site. The browser is told the password there, too, and would send it along.
    let other = Apache::start("127.0.0.1", site::port(), "");
    let target = format!("{PASSWORD}@{}", apache.listen);
    fs::write(other.path("htdocs/send.html"), SENDING_PAGE.replace("@TARGET@", &target)).unwrap();
    let dom = browser::document(&format!("http://{}/send.html", other.listen));
    assert!(dom.contains("This was not sent from the page itself."), "{dom}");
    assert_eq!(blacklisted(&pen), [false, false]);
}

#[test]
fn the_page_is_seen_in_light_dark_and_narrow() {
    if !found(APACHE) || !found(&["chromium"]) {
        return;
    }
    let (pen, _servers, apache) = under_apache();
    pen.control("server 1 blacklist 3600");
    for look in [Look::LIGHT, Look::DARK, Look::NARROW] {
        let seen = browser::visit(&format!("http://{PASSWORD}@{}/penctl", apache.listen), look);
        assert!(
            seen.dom.contains("blacklisted, ") && seen.dom.contains("<button>Blacklist</button>"),
            "{}",
            seen.dom
        );
        browser::assert_styled(&seen);
    }
}
