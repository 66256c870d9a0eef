//! The page as CGI (RFC 3875): called by a web server, once for each visit.
//!
//! Owns the response. Of the request only the method counts; path, query and headers are never looked at, and neither
//! are arguments, which some web servers make of a query. Changes nothing but what asking pen changes.

use crate::archive;
use crate::history::History;
use crate::options;
use crate::page;
use crate::watch::{Audience, Watch};
use pen_web::Code;
use pen_web::response::body_headers;

/// What goes to standard output and to standard error, which is the web server's error log.
pub struct Response {
    pub output: String,
    pub complaints: Vec<String>,
}

/// Answers a request, with a function that looks up environment variables.
pub fn respond(variable: impl Fn(&str) -> Option<String>) -> Response {
    let method = variable("REQUEST_METHOD").unwrap_or_default();
    if method != "GET" && method != "HEAD" {
        return plain(Code::MethodNotAllowed, Vec::new());
    }
    let mut response = match options::from_environment(variable) {
        Ok(settings) => show(settings),
        Err(reason) => plain(Code::Unavailable, vec![reason]),
    };
    if method == "HEAD" {
        let headers = response.output.find("\r\n\r\n").map_or(0, |end| end + 4);
        response.output.truncate(headers);
    }
    response
}

fn show(settings: options::Settings) -> Response {
    let mut complaints = Vec::new();
    let history = settings.history.as_deref().map_or(Ok((History::default(), None)), archive::load);
    let (history, warning) = history.unwrap_or_else(|sentence| (History::default(), Some(sentence)));
    complaints.extend(warning);
    let mut watch = Watch::new(settings.sources, history, settings.timeout_seconds);
    watch.ask();
    complaints.extend(watch.troubles().map(str::to_string));
    let code = if watch.any_answer() { Code::Ok } else { Code::Unavailable };
    let html = watch.page(Audience::Public, settings.refresh_seconds, None);
    let headers = body_headers("text/html; charset=utf-8", &page::policy());
    Response { output: format!("Status: {}\r\n{headers}\r\n{html}", code.line()), complaints }
}

fn plain(code: Code, complaints: Vec<String>) -> Response {
    let allow = if code == Code::MethodNotAllowed { "Allow: GET, HEAD\r\n" } else { "" };
    let headers = body_headers("text/plain; charset=utf-8", "default-src 'none'");
    let line = code.line();
    Response { output: format!("Status: {line}\r\n{allow}{headers}\r\n{line}\n"), complaints }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn respond_to(variables: &[(&'static str, &'static str)]) -> Response {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        respond(|name| variables.get(name).map(|value| value.to_string()))
    }

    #[test]
    fn only_reading_is_allowed() {
        for method in ["POST", "DELETE", "get", ""] {
            let response =
                respond_to(&[("REQUEST_METHOD", method), ("WEBSTATS_CONTROL", "/nowhere/pen.ctl")]);
            assert!(response.output.starts_with("Status: 405 Method Not Allowed\r\nAllow: GET, HEAD\r\n"));
        }
    }

    #[test]
    fn the_reason_is_for_the_operator_alone() {
        let response = respond_to(&[("REQUEST_METHOD", "GET"), ("WEBSTATS_CONTROL", "/nowhere/pen.ctl")]);
        assert!(
            response
                .output
                .starts_with("Status: 503 Service Unavailable\r\nContent-Type: text/html; charset=utf-8\r\n")
        );
        assert!(response.output.contains("pen does not answer") && !response.output.contains("nowhere"));
        assert_eq!(response.complaints, ["/nowhere/pen.ctl: no such socket; is pen running, with -C?"]);
    }

    #[test]
    fn nothing_from_the_request_comes_back() {
        let response = respond_to(&[
            ("REQUEST_METHOD", "GET"),
            ("QUERY_STRING", "-o/tmp/evil"),
            ("PATH_INFO", "/evil"),
            ("HTTP_HOST", "evil.example"),
            ("HTTP_WEBSTATS_CONTROL", "/evil/pen.ctl"),
        ]);
        assert!(response.output.starts_with("Status: 503"));
        assert!(!response.output.contains("evil") && !response.complaints.concat().contains("evil"));
        assert!(response.complaints[0].contains("WEBSTATS_CONTROL for -c"));
    }

    #[test]
    fn head_is_get_without_the_page() {
        let variables = |method| [("REQUEST_METHOD", method), ("WEBSTATS_CONTROL", "/nowhere/pen.ctl")];
        let (get, head) = (respond_to(&variables("GET")).output, respond_to(&variables("HEAD")).output);
        assert!(head.ends_with("\r\n\r\n") && get.starts_with(&head) && get.len() > head.len());
    }
}
