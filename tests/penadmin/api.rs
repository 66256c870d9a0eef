//! The API: who comes in, what they may do, and what is written down.

use crate::common::backend::Backend;
use crate::common::pen::Pen;
use crate::common::programs::{all_installed, ours, run};
use crate::common::tempdir::TempDir;
use crate::common::wait::eventually;
use crate::desk::{Answer, Desk, Login, PASSWORD, add_user, control};
use nix::sys::signal::Signal;
use serde_json::json;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixListener;

fn rows(desk: &Desk, login: &Login, path: &str, wanted: usize) -> serde_json::Value {
    let answer = eventually(
        path,
        || desk.get(login, path),
        |answer: &Answer| answer.json().as_array().is_some_and(|rows| rows.len() == wanted),
    );
    answer.json()
}

#[test]
fn a_user_sees_and_changes_servers_and_that_is_written_down() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let pen = Pen::before([&a, &b]).start();
    let desk = Desk::before(&[&format!("shop={}", control(&pen))]);
    let anna = desk.login("anna");
    let servers = rows(&desk, &anna, "/api/servers", 2);
    assert_eq!(servers[1]["pen"], "shop");
    assert_eq!(servers[1]["service"], "main");
    assert_eq!(servers[1]["state"], "up");
    assert_eq!(rows(&desk, &anna, "/api/services", 1)[0]["kind"], "tcp");
    let pens = rows(&desk, &anna, "/api/pens", 1);
    assert_eq!(pens[0]["reachable"], true, "{pens}");
    assert!(pens[0]["commands"].as_array().unwrap().contains(&json!("blacklist")));

    assert_eq!(desk.command(&anna, "blacklist 17").json(), json!({"reply": "17\n"}));
    assert_eq!(desk.command(&anna, "server 1 disable").status, 200);
    assert_eq!(pen.control("blacklist"), "17\n");
    eventually(
        "the page shows it",
        || desk.get(&anna, "/api/servers").json()[1]["state"].clone(),
        |state| state == "disabled",
    );
    let wrong = desk.command(&anna, "server 1 weight x");
    assert_eq!(wrong.status, 400);
    assert!(wrong.error().starts_with("server 1: weight: want"), "{wrong:?}");
    assert_eq!(desk.command(&anna, "blacklist").json(), json!({"reply": "17\n"}));
    assert_eq!(desk.command(&anna, "server 1 load snmp hush").status, 200);

    let audit = desk.text("audit");
    let lines: Vec<_> = audit.lines().map(|line| line.split_once('\t').unwrap().1).collect();
    assert_eq!(
        lines,
        [
            "anna\tweb\tshop\tblacklist 17",
            "anna\tweb\tshop\tserver 1 disable",
            "anna\tweb\tshop\tserver 1 weight x",
            "anna\tweb\tshop\tserver 1 load snmp (hidden)"
        ]
    );
    fs::rename(desk.path("audit"), desk.path("audit.1")).unwrap();
    desk.signal(Signal::SIGHUP);
    eventually("a new audit file", || desk.path("audit").exists(), |is_there| *is_there);
    assert_eq!(desk.command(&anna, "server 1 enable").status, 200);
    assert_eq!(desk.text("audit").lines().count(), 1);
}

#[test]
fn clients_and_connections_are_listed() {
    let a = Backend::named("A");
    let pen = Pen::before([&a]).start();
    let desk = Desk::before(&[&control(&pen)]);
    let anna = desk.login("anna");
    let mut clients: Vec<_> = (0..3).map(|_| pen.connect()).collect();
    clients.iter_mut().for_each(|client| drop(client.line()));
    let connections = rows(&desk, &anna, "/api/connections", 3);
    assert_eq!(connections[0]["service"], "main");
    let first = desk.get(&anna, "/api/connections?limit=1");
    assert_eq!(first.json().as_array().unwrap().len(), 1);
    assert!(first.head.contains("x-total-count: 3"), "{first:?}");
    assert_eq!(rows(&desk, &anna, "/api/clients", 1)[0]["address"], "127.0.0.1");
    let history = eventually(
        "a sample",
        || desk.get(&anna, "/api/history"),
        |answer| answer.json()[0]["samples"][0]["connections"] == 3,
    );
    assert_eq!(history.json()[0]["service"], "main");
    for (query, status) in [
        ("?limit=0", 400),
        ("?limit=x", 400),
        ("?frob=1", 400),
        ("?pen=/nowhere", 404),
        ("?service=frob", 200),
    ] {
        assert_eq!(desk.get(&anna, &format!("/api/connections{query}")).status, status, "{query}");
    }
}

#[test]
fn who_may_only_look_only_looks() {
    let pen = Pen::before(["127.0.0.1:1"]).start();
    let desk = Desk::before(&[&control(&pen)]);
    let rob = desk.login("rob");
    assert_eq!(desk.command(&rob, "blacklist").status, 200);
    assert_eq!(desk.command(&rob, "service main servers json").status, 200);
    for line in [
        "blacklist 17",
        "server 0 disable",
        "service main server 0 disable",
        "write /tmp/x",
        "exit",
        "status",
    ] {
        assert_eq!(desk.command(&rob, line).status, 403, "{line}");
    }
    assert_eq!(desk.get(&rob, "/api/settings").status, 403);
    let text = json!({"text": "blacklist 9\n", "apply": false});
    assert_eq!(desk.post(&rob, "/api/settings", &text).status, 403);
    assert_eq!(pen.control("blacklist"), "30\n");
    assert_eq!(desk.text("audit"), "");
}

#[test]
fn clones_are_shown_for_each_service_that_has_some() {
    let servers = ["A", "B"].map(Backend::named);
    let pen = Pen::before(&servers).command("server 1 role clone").start();
    pen.control("service add other");
    let desk = Desk::before(&[&format!("shop={}", control(&pen))]);
    let anna = desk.login("anna");
    assert_eq!(pen.ask(), "A");
    let rows = || desk.get(&anna, "/api/clones").json();
    let rows = eventually("a comparison", rows, |rows| rows[0]["compared"] == 1);
    assert_eq!(rows.as_array().map(Vec::len), Some(1), "{rows}");
    let named = ["pen", "service", "state"].map(|key| rows[0][key].as_str().unwrap_or_default());
    assert_eq!(named, ["shop", "main", "enabled"]);
    assert_eq!(rows[0]["differences"][0]["example"]["clone"], "B");
}

#[test]
fn without_a_login_or_a_token_nothing_is_done() {
    let pen = Pen::before(["127.0.0.1:1"]).start();
    let desk = Desk::before(&[&control(&pen)]);
    let anna = desk.login("anna");
    let paths = "pens services servers history clients connections groups clones settings session";
    for path in paths.split(' ') {
        assert_eq!(desk.send("GET", &format!("/api/{path}"), &[], "").status, 401, "{path}");
    }
    let json_body = "Content-Type: application/json";
    let body = r#"{"line":"blacklist 17"}"#;
    let cookie = format!("Cookie: {}", anna.cookie);
    let token = format!("X-CSRF-Token: {}", anna.csrf);
    for (headers, status) in [
        (&[json_body][..], 401),
        (&[json_body, "Cookie: penadmin=x"], 401),
        (&[json_body, &cookie], 403),
        (&[json_body, &cookie, "X-CSRF-Token: x"], 403),
        (&[json_body, &cookie, &token, "Origin: http://evil.example"], 403),
        (&[json_body, &cookie, &token, "Sec-Fetch-Site: cross-site"], 403),
        (&[json_body, &cookie, &token, "Host: evil.example"], 421),
        (&["Content-Type: text/plain", &cookie, &token], 415),
        (&[&cookie, &token], 415),
    ] {
        assert_eq!(desk.send("POST", "/api/command", headers, body).status, status, "{headers:?}");
    }
    let all = [json_body, &cookie, &token];
    for body in ["", "{", "[]", r#"{"line":7}"#, r#"{"line":"mode","more":1}"#, r#"{"line":"mode\nexit"}"#] {
        assert_eq!(desk.send("POST", "/api/command", &all, body).status, 400, "{body}");
    }
    let long = json!({"line": "x".repeat(1 << 20)}).to_string();
    assert_eq!(desk.send("POST", "/api/command", &all, &long).status, 413);
    assert_eq!(pen.control("blacklist"), "30\n");
    assert_eq!(desk.text("audit"), "");
    assert_eq!(desk.send("POST", "/api/command", &all, body).status, 200);

    assert_eq!(desk.get(&anna, "/api/session").json()["name"], "anna");
    assert_eq!(desk.post(&anna, "/api/logout", &json!({})).status, 200);
    assert_eq!(desk.get(&anna, "/api/session").status, 401);
}

#[test]
fn after_five_wrong_passwords_nobody_looks_at_more_from_there() {
    let desk = Desk::before(&["/nowhere/control"]);
    for name in ["anna", "nobody", "anna", "x y", "anna", "anna", "anna"] {
        let answer = desk.try_login(name, "wrong");
        assert_eq!(answer.status, 401, "{answer:?}");
        assert_eq!(answer.error(), "wrong name or password");
    }
    let answer = desk.try_login("anna", PASSWORD);
    assert_eq!(answer.status, 429);
    assert!(answer.head.contains("retry-after: "), "{answer:?}");
    let said = desk.text("stderr");
    assert!(said.contains("wrong password for \"anna\" from 127.0.0.1\n"), "{said}");
    // A stranger keeps out nobody who comes from elsewhere, and no other name.
    assert_eq!(desk.try_login_from("127.0.0.2", "anna", PASSWORD).status, 200);
    assert_eq!(desk.try_login("rob", PASSWORD).status, 200);
    let said = desk.text("stderr");
    assert!(said.contains("penadmin: anna came in by web from 127.0.0.2\n"), "{said}");
    assert_eq!(desk.try_login("anna", PASSWORD).status, 429);
}

/// Memory of strangers is bounded: their bodies are not waited for.
#[test]
fn who_has_not_logged_in_sends_nothing_long() {
    let desk = Desk::before(&["/nowhere/control"]);
    let headers = ["Content-Type: application/json", "Content-Length: 5000000"];
    for path in ["command", "settings", "logout"] {
        assert_eq!(desk.send("POST", &format!("/api/{path}"), &headers, "").status, 401, "{path}");
    }
    let long = "x".repeat(10_000);
    assert_eq!(desk.send("POST", "/api/login", &headers[..1], &long).status, 413);
    let long = "\u{1}".repeat(1024);
    assert_eq!(desk.try_login("anna", &long).status, 401, "in JSON, that is six times as long");
}

#[test]
fn the_users_file_counts_at_once() {
    let desk = Desk::before(&["/nowhere/control"]);
    let [anna, rob] = ["anna", "rob"].map(|name| desk.login(name));
    assert_eq!(desk.command(&rob, "write").status, 403);
    add_user(&desk.path("users"), &["rob", "full"]);
    assert_eq!(desk.get(&rob, "/api/session").status, 401, "another hash ends the session");
    let users = desk.text("users");
    let without_anna: String =
        users.lines().filter(|line| !line.starts_with("anna")).map(|l| format!("{l}\n")).collect();
    fs::write(desk.path("users"), without_anna).unwrap();
    assert_eq!(desk.get(&anna, "/api/session").status, 401);
    let rob = desk.login("rob");
    assert_eq!(desk.get(&rob, "/api/session").json()["access"], "full");
}

#[test]
fn a_pen_that_hangs_harms_nobody() {
    let pen = Pen::before(["127.0.0.1:1"]).start();
    let hanging = pen.path("hanging");
    let deaf = UnixListener::bind(&hanging).unwrap();
    let hanging = hanging.display().to_string();
    let gone = "/nowhere/control".to_string();
    let desk = Desk::before(&[&hanging, &control(&pen), &gone]);
    let anna = desk.login("anna");
    assert_eq!(rows(&desk, &anna, "/api/servers", 1)[0]["pen"], control(&pen));
    let line = json!({"pen": gone, "line": "mode"});
    let answer = desk.post(&anna, "/api/command", &line);
    assert_eq!(answer.status, 502);
    assert!(answer.error().contains("no such file"), "{answer:?}");
    assert_eq!(desk.command(&anna, "mode").status, 400, "which one?");
    std::thread::scope(|scope| {
        // More than a pen has places: those for whom there is none hear it at once.
        let asking: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    desk.post(&anna, "/api/command", &json!({"pen": hanging, "line": "mode"})).status
                })
            })
            .collect();
        let fine = desk.post(&anna, "/api/command", &json!({"pen": control(&pen), "line": "blacklist"}));
        assert_eq!(fine.json()["reply"], "30\n");
        let pens = eventually(
            "a verdict on all",
            || desk.get(&anna, "/api/pens").json(),
            |pens| (0..3).all(|index| pens[index]["trouble"].is_null() == (index == 1)),
        );
        assert_eq!(pens[1]["reachable"], true);
        assert_eq!(pens[0]["reachable"], false);
        // The sixth and the fifth are told; the others wait for it to answer, which it does by closing.
        let told = || asking.iter().any(std::thread::ScopedJoinHandle::is_finished);
        eventually("one without a place to be told", told, |told| *told);
        drop(deaf);
        let statuses: Vec<u16> = asking.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(statuses.iter().all(|status| [502, 503].contains(status)), "{statuses:?}");
        assert!(statuses.contains(&503), "{statuses:?}");
    });
}

#[test]
fn with_tls_the_cookie_stays_inside_of_it() {
    if !all_installed(&[("openssl", "openssl"), ("curl", "curl")]) {
        return;
    }
    let files = TempDir::new();
    let [chain, key] = ["chain", "key"].map(|name| files.path().join(name).display().to_string());
    let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
                 -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout";
    let words: Vec<&str> = words.split_whitespace().chain([key.as_str(), "-out", &chain]).collect();
    assert_eq!(run("openssl", &words, "").code, Some(0));
    let desk = Desk::with(&["--tls-cert", &chain, "--tls-key", &key], &["/nowhere/control"]);
    let body = json!({"name": "anna", "password": PASSWORD}).to_string();
    let url = format!("https://localhost:{}/api/login", desk.address.port());
    let answer = run(
        "curl",
        &["-sS", "-i", "--cacert", &chain, "-H", "Content-Type: application/json", "--data", "@-", &url],
        &body,
    );
    let head = answer.stdout.to_lowercase();
    assert!(head.starts_with("http/1.1 200"), "{answer:?}");
    let cookie = format!("set-cookie: __host-penadmin-{}=", desk.address.port());
    assert!(head.contains(&cookie) && head.contains("; samesite=strict; secure\r\n"), "{answer:?}");
    assert!(head.contains("strict-transport-security: max-age="), "{answer:?}");
    // Who speaks no TLS harms nobody.
    assert!(TcpStream::connect(desk.address).unwrap().write_all(b"GET / HTTP/1.1\r\n\r\n").is_ok());
    fs::write(&chain, "no certificate").unwrap();
    desk.signal(Signal::SIGHUP);
    eventually("a complaint", || desk.text("stderr"), |said| said.contains("chain: "));
    assert_eq!(run("curl", &["-sS", "-k", &url], "").code, Some(0), "the old one stays in use");
}

#[test]
fn other_machines_come_in_through_tls_alone() {
    let desk = Desk::before(&["/nowhere/control"]);
    let users = desk.path("users").display().to_string();
    let program = ours("penadmin").display().to_string();
    let ended = run(&program, &["--users", &users, "--listen", "0.0.0.0:0", "/nowhere/control"], "");
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("other machines reach 0.0.0.0: give --tls-cert and --tls-key"),
        "{ended:?}"
    );
}

#[test]
fn answers_tell_browsers_what_not_to_do() {
    let desk = Desk::before(&["/nowhere/control"]);
    let page = desk.send("GET", "/", &[], "");
    assert_eq!(page.status, 200);
    for header in [
        "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self';",
        "x-content-type-options: nosniff",
        "x-frame-options: deny",
        "referrer-policy: no-referrer",
        "cache-control: no-cache",
        "content-type: text/html; charset=utf-8",
    ] {
        assert!(page.head.contains(header), "{header}: {page:?}");
    }
    assert!(!page.head.contains("-inline") && !page.head.contains("-eval"), "{page:?}");
    let tag = page.head.split("etag: ").nth(1).unwrap().split_whitespace().next().unwrap();
    assert_eq!(desk.send("GET", "/", &[&format!("If-None-Match: {tag}")], "").status, 304);
    let login = desk.try_login("anna", PASSWORD);
    assert!(login.head.contains("; path=/; httponly; samesite=strict\r\n"), "{login:?}");
    assert!(login.head.contains("cache-control: no-store"), "{login:?}");
    assert_eq!(login.json().as_object().unwrap().len(), 2, "{login:?}");
    assert_eq!(desk.send("GET", "/frob", &[], "").status, 404);
    assert_eq!(desk.send("DELETE", "/api/pens", &[], "").status, 405);
    assert_eq!(desk.send("GET", "/", &["Host: rebound.example"], "").status, 421);
}
