//! Responses: status codes, headers, bodies. Pure.

use chrono::{DateTime, Utc};
use pen_core::stats::parts;
use std::sync::Arc;

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

/// What a visitor gets.
#[derive(Debug, Clone)]
pub struct Response {
    pub code: Code,
    /// From [`body_headers`].
    pub headers: Arc<str>,
    /// Many visitors share one.
    pub body: Arc<[u8]>,
}

impl Response {
    pub fn new(code: Code, content_type: &str, policy: &str, body: Arc<[u8]>) -> Response {
        Response { code, headers: body_headers(content_type, policy).into(), body }
    }

    /// A few words for people and scripts.
    pub fn plain(code: Code, text: String) -> Response {
        Response::new(code, "text/plain; charset=utf-8", "default-src 'none'", text.into_bytes().into())
    }

    /// A page in the text format of Prometheus.
    pub fn metrics(text: String) -> Response {
        let content_type = "text/plain; version=0.0.4; charset=utf-8";
        Response::new(Code::Ok, content_type, "default-src 'none'", text.into_bytes().into())
    }

    /// How a check of health ended: 200 with what is `good`, or 503 and why, a line each.
    pub fn verdict(good: &str, troubles: &[String]) -> Response {
        match troubles {
            [] => Response::plain(Code::Ok, format!("{good}\n")),
            troubles => Response::plain(Code::Unavailable, troubles.join("\n") + "\n"),
        }
    }

    /// The code in words, where there is nothing more to say.
    pub fn refusal(code: Code) -> Response {
        Response::plain(code, format!("{}\n", code.line()))
    }

    /// Status line and headers, to the empty line.
    pub(crate) fn head(&self, now_epoch_ms: u64) -> Vec<u8> {
        let Response { code, headers, body } = self;
        let allow = if *code == Code::MethodNotAllowed { "Allow: GET, HEAD\r\n" } else { "" };
        let (line, date, length) = (code.line(), date(now_epoch_ms), body.len());
        let head = format!(
            "HTTP/1.1 {line}\r\nDate: {date}\r\n{allow}{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        head.into_bytes()
    }
}

/// What every response says about its body. There are no forms, so nobody need know where a visitor comes from.
pub fn body_headers(content_type: &str, policy: &str) -> String {
    parts::body_headers(content_type, policy, "no-referrer")
}

/// RFC 9110 section 5.6.7.
fn date(epoch_ms: u64) -> String {
    let now = DateTime::<Utc>::from_timestamp_millis(epoch_ms as i64).unwrap_or_default();
    now.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_ends_its_connection_and_tells_its_length() {
        let headers = body_headers("text/html; charset=utf-8", "default-src 'none'");
        let response = Response {
            code: Code::MethodNotAllowed,
            headers: headers.into(),
            body: b"1234567".to_vec().into(),
        };
        let head = String::from_utf8(response.head(1_795_224_206_007)).unwrap();
        assert!(
            head.starts_with("HTTP/1.1 405 Method Not Allowed\r\nDate: Sat, 21 Nov 2026 01:23:26 GMT\r\n"),
            "{head}"
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
}
