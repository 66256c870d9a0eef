//! The little of HTTP/1.1 that serving two read-only documents takes: requests understood, responses begun.
//!
//! Owns the limits on a request and the status codes. Pure: bytes in, bytes out; `live` has the sockets, `cgi` borrows the
//! headers.

use pen_core::stats::parts;
use std::net::IpAddr;

/// A request line and headers may have so many bytes together.
pub const HEAD_BYTES_MAX: usize = 8192;
const LINES_MAX: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    /// Begins with `/`; without the query, not decoded.
    pub path: String,
    /// The name or address in the Host header, without port; lower case. `None` in HTTP/1.0.
    pub host: Option<String>,
}

/// What the bytes so far are.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// The beginning of a request.
    Nothing,
    Request(Request),
    /// No request that will be served.
    Refused(Code),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    Ok,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    Misdirected,
    HeadersTooLarge,
    NotImplemented,
    Unavailable,
    VersionNotSupported,
}

impl Code {
    /// Number and phrase, RFC 9110 section 15.
    pub fn line(self) -> &'static str {
        match self {
            Code::Ok => "200 OK",
            Code::BadRequest => "400 Bad Request",
            Code::NotFound => "404 Not Found",
            Code::MethodNotAllowed => "405 Method Not Allowed",
            Code::RequestTimeout => "408 Request Timeout",
            Code::Misdirected => "421 Misdirected Request",
            Code::HeadersTooLarge => "431 Request Header Fields Too Large",
            Code::NotImplemented => "501 Not Implemented",
            Code::Unavailable => "503 Service Unavailable",
            Code::VersionNotSupported => "505 HTTP Version Not Supported",
        }
    }
}

/// Understands the bytes from the start of a connection.
pub fn hear(bytes: &[u8]) -> Heard {
    let Some(end) = head_end(bytes) else {
        return if bytes.len() >= HEAD_BYTES_MAX {
            Heard::Refused(Code::HeadersTooLarge)
        } else {
            Heard::Nothing
        };
    };
    if end > HEAD_BYTES_MAX {
        return Heard::Refused(Code::HeadersTooLarge);
    }
    // Anything beyond ASCII has no business in a request that could be served.
    let head = bytes[..end].is_ascii().then(|| str::from_utf8(&bytes[..end]).ok()).flatten();
    match head.ok_or(Code::BadRequest).and_then(understand) {
        Ok(request) => Heard::Request(request),
        Err(code) => Heard::Refused(code),
    }
}

/// Where the lines before the empty one end. A lone line feed ends a line too, as RFC 9112 section 2.2 allows; empty
/// lines before the request are ignored.
fn head_end(bytes: &[u8]) -> Option<usize> {
    let mut line_start = bytes.iter().position(|byte| !b"\r\n".contains(byte))?;
    for line in bytes[line_start..].split_inclusive(|byte| *byte == b'\n') {
        if line == b"\n" || line == b"\r\n" {
            return Some(line_start);
        }
        line_start += line.len();
    }
    None
}

fn understand(head: &str) -> Result<Request, Code> {
    let mut lines = head.trim_start_matches(['\r', '\n']).lines();
    let (method, path, version) = request_line(lines.next().unwrap_or(""))?;
    let mut host = None;
    for (number, line) in lines.enumerate() {
        if number >= LINES_MAX {
            return Err(Code::HeadersTooLarge);
        }
        let (name, value) = header(line)?;
        if name.eq_ignore_ascii_case("host") && host.replace(host_name(value)?).is_some() {
            return Err(Code::BadRequest);
        }
    }
    match (version, &host) {
        // RFC 9112 section 3.2: without Host it is no request.
        (Version::One, None) => Err(Code::BadRequest),
        _ => Ok(Request { method, path, host }),
    }
}

#[derive(Clone, Copy)]
enum Version {
    Zero,
    One,
}

fn request_line(line: &str) -> Result<(Method, String, Version), Code> {
    let words: Vec<&str> = line.split(' ').collect();
    let [method, target, version] = words[..] else { return Err(Code::BadRequest) };
    let version = match version {
        "HTTP/1.0" => Version::Zero,
        version if version.starts_with("HTTP/1.") => Version::One,
        version if version.starts_with("HTTP/") => return Err(Code::VersionNotSupported),
        _ => return Err(Code::BadRequest),
    };
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" | "PUT" | "DELETE" | "OPTIONS" | "TRACE" | "CONNECT" | "PATCH" => {
            return Err(Code::MethodNotAllowed);
        }
        _ => return Err(Code::NotImplemented),
    };
    let path = target.split(['?', '#']).next().unwrap_or("");
    match path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok((method, path.to_string(), version)),
        false => Err(Code::BadRequest),
    }
}

fn header(line: &str) -> Result<(&str, &str), Code> {
    let (name, value) = line.split_once(':').ok_or(Code::BadRequest)?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let sound = !name.is_empty()
        && name.bytes().all(is_token)
        && !value.bytes().any(|b| b.is_ascii_control() && b != b'\t');
    if sound { Ok((name, value.trim())) } else { Err(Code::BadRequest) }
}

/// Without the port; an IPv6 address without its brackets.
fn host_name(value: &str) -> Result<String, Code> {
    let (name, port) = match value.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or(Code::BadRequest)?,
        None => value.split_at(value.find(':').unwrap_or(value.len())),
    };
    let port_is_sound = port.is_empty()
        || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    if port_is_sound && !name.is_empty() && name.bytes().all(is_name) {
        Ok(name.to_ascii_lowercase())
    } else {
        Err(Code::BadRequest)
    }
}

/// Whether a server on a loopback address may answer to this name. Any other name leads here only when somebody made a
/// name of the Internet point to loopback, to read with a visitor's browser what is not for them (DNS rebinding).
pub fn is_local_name(host: Option<&str>) -> bool {
    match host {
        None => true,
        Some(name) => name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok(),
    }
}

/// What every response of ours says about its body. There are no forms, so nobody need know where a visitor comes from.
pub fn body_headers(content_type: &str, policy: &str) -> String {
    parts::body_headers(content_type, policy, "no-referrer")
}

/// Status line and headers, to the empty line. `date` is an HTTP date.
pub fn head(code: Code, date: &str, body_headers: &str, body_bytes: usize) -> String {
    let allow = if code == Code::MethodNotAllowed { "Allow: GET, HEAD\r\n" } else { "" };
    format!(
        "HTTP/1.1 {}\r\nDate: {date}\r\nServer: webstats\r\n{allow}{body_headers}Content-Length: {body_bytes}\r\n\
         Connection: close\r\n\r\n",
        code.line()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(path: &str, host: Option<&str>) -> Heard {
        Heard::Request(Request { method: Method::Get, path: path.into(), host: host.map(str::to_string) })
    }

    #[test]
    fn requests_are_understood() {
        for (bytes, path, host) in [
            ("GET / HTTP/1.1\r\nHost: localhost:8081\r\n\r\n", "/", Some("localhost")),
            (
                "GET /status.json?x=/../ HTTP/1.1\r\nhost:\t[::1]:80 \r\nAccept: */*\r\n\r\n",
                "/status.json",
                Some("::1"),
            ),
            ("\r\n\r\nGET /a HTTP/1.0\n\n", "/a", None),
            ("GET / HTTP/1.1\r\nHost: LB.example\r\n\r\nbody", "/", Some("lb.example")),
        ] {
            assert_eq!(hear(bytes.as_bytes()), request(path, host), "{bytes:?}");
        }
        let head = hear(b"HEAD / HTTP/1.0\r\n\r\n");
        assert_eq!(head, Heard::Request(Request { method: Method::Head, path: "/".into(), host: None }));
    }

    #[test]
    fn what_will_not_be_served_has_a_code() {
        let many = format!("GET / HTTP/1.0\r\n{}\r\n", "a: b\r\n".repeat(101));
        let long = format!("GET /{} HTTP/1.0\r\n\r\n", "a".repeat(HEAD_BYTES_MAX));
        let endless = "a".repeat(HEAD_BYTES_MAX);
        for (bytes, code) in [
            ("GET / HTTP/1.1\r\n\r\n", Code::BadRequest),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Code::BadRequest),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Code::BadRequest),
            ("GET / HTTP/1.1\r\nHost: a:x\r\n\r\n", Code::BadRequest),
            ("GET / HTTP/1.0\r\nno colon\r\n\r\n", Code::BadRequest),
            ("GET / HTTP/1.0\r\na: b\r\n folded\r\n\r\n", Code::BadRequest),
            ("GET / HTTP/1.0\r\nbad name: b\r\n\r\n", Code::BadRequest),
            ("GET  / HTTP/1.0\r\n\r\n", Code::BadRequest),
            ("GET http://a/ HTTP/1.0\r\n\r\n", Code::BadRequest),
            ("GET /\u{e9} HTTP/1.0\r\n\r\n", Code::BadRequest),
            ("GET /\r\n\r\n", Code::BadRequest),
            ("GET / HTTP/2.0\r\n\r\n", Code::VersionNotSupported),
            ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", Code::MethodNotAllowed),
            ("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", Code::NotImplemented),
            (&many, Code::HeadersTooLarge),
            (&long, Code::HeadersTooLarge),
            (&endless, Code::HeadersTooLarge),
        ] {
            assert_eq!(hear(bytes.as_bytes()), Heard::Refused(code), "{bytes:.60?}");
        }
    }

    #[test]
    fn a_request_in_pieces_is_waited_for() {
        let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for end in 0..bytes.len() {
            assert_eq!(hear(&bytes[..end]), Heard::Nothing, "{end}");
        }
        assert_eq!(hear(bytes), request("/", Some("a")));
    }

    #[test]
    fn names_that_others_could_point_here_are_not_local() {
        for (host, local) in [
            (None, true),
            (Some("localhost"), true),
            (Some("pen.localhost"), true),
            (Some("127.0.0.1"), true),
            (Some("::1"), true),
            (Some("192.0.2.7"), true),
            (Some("evil.example"), false),
            (Some("localhost.evil.example"), false),
        ] {
            assert_eq!(is_local_name(host), local, "{host:?}");
        }
    }

    #[test]
    fn a_response_ends_its_connection_and_tells_its_length() {
        let headers = body_headers("text/html; charset=utf-8", "default-src 'none'");
        let head = head(Code::MethodNotAllowed, "Sat, 21 Nov 2026 01:23:26 GMT", &headers, 7);
        assert!(
            head.starts_with("HTTP/1.1 405 Method Not Allowed\r\nDate: Sat, 21 Nov 2026 01:23:26 GMT\r\n")
        );
        assert!(head.ends_with("\r\nContent-Length: 7\r\nConnection: close\r\n\r\n"));
        for line in [
            "Allow: GET, HEAD",
            "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'",
            "Cache-Control: no-store",
        ] {
            assert!(head.lines().any(|found| found == line), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_heard(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            hear(&bytes);
        }

        #[test]
        fn anything_like_a_request_is_heard(
            method in "[A-Z]{0,6}", target in "[ -~\u{e9}]{0,20}", version in "HTTP/[0-9.]{0,4}",
            lines in prop::collection::vec("(Host|host|X)?:?[ -~\t]{0,12}", 0..4), end in "\r?\n(\r?\n)?",
        ) {
            let text = format!("{method} {target} {version}\r\n{}{end}", lines.join("\r\n"));
            if let Heard::Request(request) = hear(text.as_bytes()) {
                prop_assert!(request.path.starts_with('/'));
                prop_assert!(!request.path.contains(['?', ' ', '\r', '\n']));
            }
        }

        #[test]
        fn what_comes_after_the_head_changes_nothing(rest in prop::collection::vec(any::<u8>(), 0..50)) {
            let bytes = [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".as_slice(), &rest].concat();
            prop_assert_eq!(hear(&bytes), request("/", Some("a")));
        }
    }
}
