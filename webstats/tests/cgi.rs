//! webstats as a web server calls it.

mod common;

use common::{NOW, TempDir, json, play_pen, status, stderr, webstats};

#[test]
fn a_visit_gets_a_page() {
    let dir = TempDir::new();
    let control = dir.path().join("ctl");
    play_pen(&control, vec![json(&status(NOW))]);
    let history = dir.file("history", "{\"pen\":\"\",\"time\":1795220606,\"uptime\":1,\"servers\":[]}\n");
    // Some web servers turn a query without an equals sign into arguments.
    let output = webstats(&dir)
        .args(["-o", "evil.html", "--listen", "127.0.0.1:0"])
        .env("GATEWAY_INTERFACE", "CGI/1.1")
        .env("REQUEST_METHOD", "GET")
        .env("QUERY_STRING", "<script>evil")
        .env("WEBSTATS_CONTROL", &control)
        .env("WEBSTATS_HISTORY", &history)
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", stderr(&output));
    let answer = String::from_utf8(output.stdout).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    assert_eq!(lines.next(), Some("Status: 200 OK"));
    assert_eq!(lines.next(), Some("Content-Type: text/html; charset=utf-8"));
    assert!(head.contains(
        "\r\nCache-Control: no-store\r\nContent-Security-Policy: default-src 'none'; style-src 'sha256-"
    ));
    assert!(body.contains("1 of 2 servers is skipped") && body.contains("The last 1 h"), "{body}");
    assert!(!answer.contains("evil") && !dir.path().join("evil.html").exists());
    assert_eq!(std::fs::read_to_string(history).unwrap().lines().count(), 1, "only read");
}
