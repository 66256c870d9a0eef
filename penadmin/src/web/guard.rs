//! What every request passes and every answer has: a host that is ours, and headers that tell browsers what not to do.
//!
//! A page of somebody else can have a name that leads to this address (DNS rebinding), and would then be of the same
//! origin as ours. So only hosts are taken that no stranger can have: addresses, `localhost`, and names that the
//! administrator gave. With TLS the certificate sees to it, and any name goes.

use super::House;
use super::answers::Problem;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::middleware::Next;
use axum::response::IntoResponse;
use std::net::IpAddr;

/// Nothing but our own files; no script or style in a page, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

const HEADERS: [(header::HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The middleware around everything.
pub async fn guard(State(house): State<House>, request: Request, next: Next) -> Response<Body> {
    let verdict = check_host(request.headers(), house.cookie.is_secure, &house.names)
        .and_then(|host| check_origin(request.headers(), host));
    let mut response = match verdict {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if house.cookie.is_secure {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    response
}

/// The host that the browser looked for, with its port.
fn check_host<'a>(headers: &'a HeaderMap, is_tls: bool, names: &[String]) -> Result<&'a str, Problem> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next().map(HeaderValue::to_str), hosts.next()) {
        (Some(Ok(host)), None) if !host.is_empty() => host,
        _ => return Err(Problem::new(StatusCode::BAD_REQUEST, "want one header Host")),
    };
    let name = without_port(host);
    let is_ours = is_tls
        || name.eq_ignore_ascii_case("localhost")
        || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
        || names.iter().any(|ours| ours.eq_ignore_ascii_case(name));
    if is_ours {
        return Ok(host);
    }
    let reason = "not under this name: penadmin --name allows it";
    Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, reason))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

/// A browser says where a request comes from. One that comes from another page is refused, whatever it wants to do; who
/// follows a link to the page comes from nowhere.
fn check_origin(headers: &HeaderMap, host: &str) -> Result<(), Problem> {
    let refused = || Problem::new(StatusCode::FORBIDDEN, "this was not sent from the page itself");
    if let Some(origin) = headers.get(header::ORIGIN) {
        let from = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        if !from.is_some_and(|(_, from)| from.eq_ignore_ascii_case(host)) {
            return Err(refused());
        }
    }
    let site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
    let mode = headers.get("sec-fetch-mode").and_then(|value| value.to_str().ok());
    match site {
        Some("cross-site" | "same-site") if mode != Some("navigate") => Err(refused()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_name_that_a_stranger_can_have_is_refused() {
        let names = ["admin.example".to_string()];
        for host in ["127.0.0.1:8088", "localhost", "LOCALHOST:1", "[::1]:8088", "[::1]", "admin.example:80"]
        {
            assert!(check_host(&headers(&[("host", host)]), false, &names).is_ok(), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "admin.example.x:80"]
        {
            let problem = check_host(&headers(&[("host", host)]), false, &names).unwrap_err();
            assert_eq!(problem.status, StatusCode::MISDIRECTED_REQUEST, "{host}");
            assert!(check_host(&headers(&[("host", host)]), true, &names).is_ok(), "{host}");
        }
        assert!(check_host(&headers(&[]), true, &names).is_err());
        assert!(check_host(&headers(&[("host", "localhost"), ("host", "localhost")]), true, &names).is_err());
    }

    #[test]
    fn what_another_page_sends_is_refused() {
        let host = "localhost:8088";
        for fine in [
            &[][..],
            &[("origin", "http://localhost:8088")],
            &[("origin", "https://LOCALHOST:8088"), ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")],
        ] {
            assert!(check_origin(&headers(fine), host).is_ok(), "{fine:?}");
        }
        for bad in [
            &[("origin", "null")][..],
            &[("origin", "http://localhost")],
            &[("origin", "http://evil.example")],
            &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")],
            &[("sec-fetch-site", "same-site")],
        ] {
            assert!(check_origin(&headers(bad), host).is_err(), "{bad:?}");
        }
    }
}
