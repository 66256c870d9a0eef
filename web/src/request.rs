//! Requests, as far as they are understood: GET and HEAD of a path. Pure.
//!
//! The crate httparse reads them; this file owns the limits, and which requests are served at all.

use crate::response::Code;
use httparse::{EMPTY_HEADER, Error, Status};
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

/// Understands the bytes from the start of a connection.
pub fn hear(bytes: &[u8]) -> Heard {
    let mut lines = [EMPTY_HEADER; LINES_MAX];
    let mut request = httparse::Request::new(&mut lines);
    let understood = match request.parse(bytes) {
        Ok(Status::Complete(bytes)) if bytes <= HEAD_BYTES_MAX => understand(&request),
        Ok(Status::Partial) if bytes.len() < HEAD_BYTES_MAX => return Heard::Nothing,
        Ok(_) | Err(Error::TooManyHeaders) => Err(Code::HeadersTooLarge),
        // Of a later version of HTTP, or of something else.
        Err(Error::Version) if request.path.is_some() && names_a_version(bytes) => {
            Err(Code::VersionNotSupported)
        }
        Err(_) => Err(Code::BadRequest),
    };
    match understood {
        Ok(request) => Heard::Request(request),
        Err(code) => Heard::Refused(code),
    }
}

fn names_a_version(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty());
    let version = line.and_then(|line| line.split(|byte| *byte == b' ').nth(2));
    version.is_some_and(|version| version.starts_with(b"HTTP/"))
}

fn understand(request: &httparse::Request<'_, '_>) -> Result<Request, Code> {
    let method = match request.method.unwrap_or_default() {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" | "PUT" | "DELETE" | "OPTIONS" | "TRACE" | "CONNECT" | "PATCH" => {
            return Err(Code::MethodNotAllowed);
        }
        _ => return Err(Code::NotImplemented),
    };
    let path = request.path.and_then(|target| target.split(['?', '#']).next()).unwrap_or_default();
    if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Code::BadRequest);
    }
    let mut host = None;
    for header in request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host")) {
        let value = str::from_utf8(header.value).map_err(|_| Code::BadRequest)?;
        if host.replace(host_name(value.trim())?).is_some() {
            return Err(Code::BadRequest);
        }
    }
    match (request.version, &host) {
        // RFC 9112 section 3.2: without Host it is no request.
        (Some(1), None) => Err(Code::BadRequest),
        _ => Ok(Request { method, path: path.to_string(), host }),
    }
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
