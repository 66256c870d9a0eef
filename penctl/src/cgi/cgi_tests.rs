//! Requests as a web server passes them on, to a pen that only remembers what it was asked.

use super::*;
use crate::views::tests::FakePen;
use std::collections::HashMap;

const TOKEN: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// What a web server says about a visit by a user who may do everything.
fn variables() -> HashMap<&'static str, String> {
    [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("REQUEST_METHOD", "GET"),
        ("SCRIPT_NAME", "/penctl"),
        ("QUERY_STRING", ""),
        ("REMOTE_ADDR", "192.0.2.7"),
        ("REMOTE_USER", "anna"),
        ("HTTP_HOST", "lb.example"),
        ("PENCTL_CONTROL", "/run/pen.ctl"),
        ("PENCTL_ALLOW", "all"),
    ]
    .map(|(name, value)| (name, value.to_string()))
    .into()
}

fn with(changes: &[(&'static str, &str)]) -> HashMap<&'static str, String> {
    let mut variables = variables();
    variables.extend(changes.iter().map(|(name, value)| (*name, value.to_string())));
    variables
}

/// The response, and what pen was asked besides what the page shows.
fn respond_to(variables: &HashMap<&str, String>, body: &str) -> (Response, Vec<String>) {
    let pen = FakePen::default();
    let response = respond(|name| variables.get(name).cloned(), body.as_bytes(), |_| Ok(pen.clone()));
    // Whatever is shown of servers, services are asked for first.
    (response, pen.asked().into_iter().filter(|line| line != "services json").collect())
}

/// A form as a browser sends it from our page, with these changes.
fn post(body: &str, changes: &[(&'static str, &str)]) -> (Response, Vec<String>) {
    let cookie = format!("penctl_token={TOKEN}");
    let length = body.len().to_string();
    let mut all = vec![
        ("REQUEST_METHOD", "POST"),
        ("CONTENT_TYPE", "application/x-www-form-urlencoded"),
        ("CONTENT_LENGTH", length.as_str()),
        ("HTTP_ORIGIN", "https://lb.example"),
        ("HTTP_COOKIE", cookie.as_str()),
    ];
    all.extend(changes);
    respond_to(&with(&all), body)
}

fn with_token(fields: &str) -> String {
    format!("token={TOKEN}&{fields}")
}

fn status(response: &Response) -> &str {
    response.output.lines().next().and_then(|line| line.strip_prefix("Status: ")).expect("a status line")
}

#[test]
fn a_visit_gets_a_page_and_a_token() {
    let (response, asked) = respond_to(&variables(), "");
    assert_eq!((status(&response), asked), ("200 OK", vec!["servers json".to_string()]));
    let cookie =
        response.output.lines().find(|line| line.starts_with("Set-Cookie: penctl_token=")).expect("a cookie");
    assert!(cookie.ends_with("; Path=/penctl; HttpOnly; SameSite=Strict"), "{cookie}");
    for header in [
        "Content-Type: text/html; charset=utf-8",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Referrer-Policy: same-origin",
    ] {
        assert!(response.output.lines().any(|line| line == header), "{header}");
    }
    assert!(response.output.contains("form-action 'self'; frame-ancestors 'none'"));
    assert!(response.notes.is_empty());
    let known = with(&[("HTTP_COOKIE", &format!("penctl_token={TOKEN}"))]);
    let (again, _) = respond_to(&known, "");
    assert!(!again.output.contains("Set-Cookie") && again.output.contains(TOKEN), "the token lasts");
}

#[test]
fn head_is_get_without_the_page() {
    let (head, _) = respond_to(&with(&[("REQUEST_METHOD", "HEAD")]), "");
    assert!(head.output.starts_with("Status: 200 OK\r\n") && head.output.ends_with("\r\n\r\n"));
}

#[test]
fn a_form_from_the_page_is_carried_out_and_noted() {
    let (response, asked) = post(&with_token("command=server+0&:max=7&:hard="), &[]);
    assert_eq!(status(&response), "200 OK");
    assert_eq!(asked[0], "server 0 max 7");
    assert_eq!(response.notes, ["done: \"anna\" at \"192.0.2.7\": \"server 0 max 7\""]);
    assert!(response.output.contains("<p>Done.</p>"));
    let (response, _) = post(&with_token("command=server+7&:max=7"), &[]);
    assert!(
        response.output.contains("no such server") && response.notes[0].starts_with("failed: "),
        "{:?}",
        response.notes
    );
    let (response, asked) = post(&with_token("view=settings&command=mode"), &[]);
    assert_eq!((status(&response), asked[0].as_str()), ("200 OK", "mode"));
    assert!(response.notes.is_empty(), "a question is no change");
}

#[test]
fn what_somebody_else_sent_is_not() {
    let other = "f".repeat(64);
    for (body, changes) in [
        (with_token("command=exit"), ("HTTP_ORIGIN", "http://evil.example")),
        (with_token("command=exit"), ("HTTP_ORIGIN", "null")),
        (with_token("command=exit"), ("HTTP_ORIGIN", "")),
        (with_token("command=exit"), ("HTTP_SEC_FETCH_SITE", "cross-site")),
        (with_token("command=exit"), ("HTTP_COOKIE", "")),
        (with_token("command=exit"), ("HTTP_COOKIE", "penctl_token=x")),
        ("command=exit".into(), ("REMOTE_USER", "anna")),
        (format!("token={other}&command=exit"), ("REMOTE_USER", "anna")),
    ] {
        let (response, asked) = post(&body, &[changes]);
        assert_eq!(
            (status(&response), asked),
            ("403 Forbidden", vec!["servers json".into()]),
            "{body} {changes:?}"
        );
        assert!(response.notes[0].starts_with("refused: \"anna\" at \"192.0.2.7\""), "{:?}", response.notes);
    }
}

#[test]
fn nobody_does_more_than_is_allowed() {
    /// PENCTL_ALLOW, the user, and which commands go through.
    type Case = (&'static str, &'static str, &'static [(&'static str, bool)]);
    let cases: &[Case] = &[
        (
            "",
            "anna",
            &[("mode", true), ("server 0 blacklist 30", false), ("close 1", false), ("exit", false)],
        ),
        ("read", "anna", &[("servers", true), ("server 0 max 1", false), ("hash", false)]),
        (
            "servers",
            "anna",
            &[
                ("mode", true),
                ("server 0 max 1", true),
                ("close 7", true),
                ("blacklist 5", false),
                ("write", false),
            ],
        ),
        (
            "all",
            "anna",
            &[("mode", true), ("server 0 max 1", true), ("blacklist 5", true), ("include x", true)],
        ),
        ("all", "", &[("mode", true), ("server 0 max 1", false), ("exit", false)]),
    ];
    for (allow, user, commands) in cases {
        for (command, may) in *commands {
            let body = with_token(&format!("command={}", command.replace(' ', "+")));
            let (response, asked) = post(&body, &[("PENCTL_ALLOW", allow), ("REMOTE_USER", user)]);
            assert_eq!(asked[0] == *command, *may, "{allow:?} {user:?} {command}");
            assert_eq!(
                status(&response),
                if *may { "200 OK" } else { "403 Forbidden" },
                "{allow:?} {user:?} {command}"
            );
        }
    }
}

#[test]
fn a_link_only_asks() {
    let (response, asked) = respond_to(&with(&[("QUERY_STRING", "view=command&command=help")]), "");
    assert_eq!((status(&response), asked[0].as_str()), ("200 OK", "help"));
    for query in ["command=exit", "command=server+0+blacklist+3600", "command=status", "command=close+0"] {
        let (response, asked) = respond_to(&with(&[("QUERY_STRING", query)]), "");
        assert_eq!((status(&response), asked), ("403 Forbidden", vec!["servers json".into()]), "{query}");
    }
}

#[test]
fn nonsense_is_answered_and_pen_not_bothered() {
    for (query, reason) in [
        ("command=bogus", "no such command"),
        ("command=blacklist+x", "want 0..1000000000 seconds"),
        ("command=mode%0aexit", "a command is one line"),
    ] {
        let (response, asked) = respond_to(&with(&[("QUERY_STRING", query)]), "");
        assert_eq!((status(&response), asked), ("400 Bad Request", vec!["servers json".into()]), "{query}");
        assert!(response.output.contains(reason), "{query}");
    }
    assert_eq!(status(&respond_to(&with(&[("QUERY_STRING", "command=%zz")]), "").0), "400 Bad Request");
}

#[test]
fn what_is_no_form_is_refused() {
    let long = format!("command={}", "x".repeat(FORM_BYTES_MAX));
    for (body, changes, expected) in [
        ("{}", ("CONTENT_TYPE", "application/json"), "415 Unsupported Media Type"),
        ("command=mode", ("CONTENT_TYPE", ""), "415 Unsupported Media Type"),
        ("command=mode", ("CONTENT_TYPE", "text/plain"), "415 Unsupported Media Type"),
        ("command=mode", ("CONTENT_LENGTH", ""), "400 Bad Request"),
        ("command=mode", ("CONTENT_LENGTH", "-1"), "400 Bad Request"),
        (&long, ("REMOTE_USER", "anna"), "413 Content Too Large"),
    ] {
        let (response, asked) = post(body, &[changes]);
        assert_eq!((status(&response), asked), (expected, Vec::new()), "{changes:?}");
    }
    for method in ["PUT", "DELETE", "OPTIONS", "get", ""] {
        let (response, asked) = respond_to(&with(&[("REQUEST_METHOD", method)]), "");
        assert_eq!((status(&response), asked), ("405 Method Not Allowed", Vec::new()));
        assert!(response.output.contains("\r\nAllow: GET, HEAD, POST\r\n"));
    }
}

#[test]
fn what_the_administrator_forgot_is_for_the_log_alone() {
    for (changes, note) in [
        (("PENCTL_CONTROL", ""), "which pen? Set PENCTL_CONTROL to its control socket"),
        (("PENCTL_ALLOW", "everything"), "PENCTL_ALLOW: want read, servers or all, got \"everything\""),
    ] {
        let (response, _) = respond_to(&with(&[changes]), "");
        assert_eq!(status(&response), "503 Service Unavailable");
        assert_eq!(response.notes, [note]);
    }
}

#[test]
fn a_pen_that_does_not_answer_is_told_without_its_address() {
    let variables = variables();
    let connect = |address: &str| Err::<FakePen, _>(format!("{address}: no such file or directory"));
    let response = respond(|name| variables.get(name).cloned(), &b""[..], connect);
    assert_eq!(status(&response), "502 Bad Gateway");
    assert!(response.output.contains("pen does not answer") && !response.output.contains("/run/pen.ctl"));
    assert_eq!(response.notes, ["/run/pen.ctl: no such file or directory"]);
}

#[test]
fn nothing_from_the_request_becomes_markup() {
    let evil = "\"><script>alert(1)</script>";
    let query = "view=%22%3E%3Cscript%3E&command=%22%3E%3Cscript%3Ealert(1)%3C/script%3E";
    let variables = with(&[
        ("QUERY_STRING", query),
        ("REMOTE_USER", evil),
        ("SCRIPT_NAME", "/a\"><script>"),
        ("HTTP_HOST", evil),
    ]);
    let (response, _) = respond_to(&variables, "");
    assert!(!response.output.contains("<script"), "{}", response.output);
    let (response, _) = respond_to(&with(&[("SCRIPT_NAME", "/a;Path=/\r\nX: y")]), "");
    assert!(response.output.contains("; Path=/; HttpOnly"), "{}", response.output);
}

#[test]
fn a_line_for_a_service_is_judged_by_its_command() {
    let (response, asked) =
        post(&with_token("command=service+web+server+1&:blacklist=30"), &[("PENCTL_ALLOW", "servers")]);
    assert_eq!((status(&response), asked[0].as_str()), ("200 OK", "service web server 1 blacklist 30"));
    for (command, wanted) in [
        ("service+web+hash", "403 Forbidden"),
        ("service+remove+web", "403 Forbidden"),
        ("service+web", "400 Bad Request"),
    ] {
        let (response, asked) =
            post(&with_token(&format!("command={command}")), &[("PENCTL_ALLOW", "servers")]);
        assert_eq!(status(&response), wanted, "{command}");
        assert!(!asked.contains(&command.replace('+', " ")), "{asked:?}");
    }
}
