//! The gateway (RFC 3875): a request in the environment and on standard input becomes a response.
//!
//! Owns the order of things: who is it, what is wanted, may that be, what does pen say. Asks pen through [`Ask`] and looks
//! variables up through a function, so that tests need neither.

use super::form::{FORM_BYTES_MAX, Form};
use super::guard::{Visit, new_token, set_cookie};
use super::page::{Said, Sheet, policy, render};
use super::views::{Ask, Content, View};
use pen_core::stats::parts::body_headers;
use pen_proto::addr::quoted;
use pen_proto::commands::{Line, Reach, without_community};
use pen_proto::parse;
use std::io::Read;

/// What goes to standard output and to standard error, which is the web server's error log.
#[derive(Debug, Default)]
pub struct Response {
    pub output: String,
    /// What was wrong, and everything that was changed.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    Ok,
    BadRequest,
    Forbidden,
    MethodNotAllowed,
    TooLarge,
    UnsupportedMediaType,
    BadGateway,
    Unavailable,
}

impl Code {
    /// Number and phrase, RFC 9110 section 15.
    fn line(self) -> &'static str {
        match self {
            Code::Ok => "200 OK",
            Code::BadRequest => "400 Bad Request",
            Code::Forbidden => "403 Forbidden",
            Code::MethodNotAllowed => "405 Method Not Allowed",
            Code::TooLarge => "413 Content Too Large",
            Code::UnsupportedMediaType => "415 Unsupported Media Type",
            Code::BadGateway => "502 Bad Gateway",
            Code::Unavailable => "503 Service Unavailable",
        }
    }
}

/// A web server's request.
struct Request {
    visit: Visit,
    /// What the administrator lets users do.
    allowed: Reach,
    path: String,
    is_tls: bool,
    is_head: bool,
}

/// Answers a request. `connect` opens a conversation with the pen at an address.
pub fn respond<A: Ask>(
    variable: impl Fn(&str) -> Option<String>,
    body: impl Read,
    connect: impl FnOnce(&str) -> Result<A, String>,
) -> Response {
    let get = |name: &str| variable(name).unwrap_or_default();
    let method = get("REQUEST_METHOD");
    if !["GET", "HEAD", "POST"].contains(&method.as_str()) {
        return plain(Code::MethodNotAllowed, Vec::new());
    }
    let address = get("PENCTL_CONTROL");
    if address.is_empty() {
        return plain(Code::Unavailable, vec!["which pen? Set PENCTL_CONTROL to its control socket".into()]);
    }
    let request = match Request::of(&get) {
        Ok(request) => request,
        Err(note) => return plain(Code::Unavailable, vec![note]),
    };
    let sent = match method.as_str() {
        "POST" => read_form(&get, body),
        _ => Form::parse(&get("QUERY_STRING")).map_err(|reason| (Code::BadRequest, reason)),
    };
    let form = match sent {
        Ok(form) => form,
        Err((code, _)) => return plain(code, Vec::new()),
    };
    let wanted = Wanted { is_post: method == "POST", form };
    request.answer(wanted, connect(&address))
}

/// What came with a request.
struct Wanted {
    is_post: bool,
    form: Form,
}

fn read_form(get: &impl Fn(&str) -> String, body: impl Read) -> Result<Form, (Code, String)> {
    let kind = get("CONTENT_TYPE");
    if !kind
        .split(';')
        .next()
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
    {
        return Err((Code::UnsupportedMediaType, String::new()));
    }
    let length: usize = get("CONTENT_LENGTH").parse().map_err(|_| (Code::BadRequest, String::new()))?;
    if length > FORM_BYTES_MAX {
        return Err((Code::TooLarge, String::new()));
    }
    let mut text = String::new();
    let read = body.take(length as u64).read_to_string(&mut text);
    read.map_err(|error| (Code::BadRequest, error.to_string()))?;
    Form::parse(&text).map_err(|reason| (Code::BadRequest, reason))
}

impl Request {
    fn of(get: &impl Fn(&str) -> String) -> Result<Request, String> {
        let allowed = match get("PENCTL_ALLOW") {
            word if word.is_empty() => Reach::Asks,
            word => match Reach::WORDS.iter().find(|(name, _)| *name == word) {
                Some((_, reach)) => *reach,
                None => {
                    return Err(format!("PENCTL_ALLOW: want read, servers or all, got {}", quoted(&word)));
                }
            },
        };
        let origin = match get("HTTP_ORIGIN") {
            origin if origin.is_empty() => get("HTTP_REFERER"),
            origin => origin,
        };
        let visit = Visit {
            user: get("REMOTE_USER"),
            address: get("REMOTE_ADDR"),
            host: get("HTTP_HOST"),
            origin,
            fetch_site: get("HTTP_SEC_FETCH_SITE"),
            cookies: get("HTTP_COOKIE"),
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._~-".contains(&byte);
        let is_path = |path: &str| path.starts_with('/') && path.bytes().all(is_plain);
        let path = Some(get("SCRIPT_NAME")).filter(|path| is_path(path)).unwrap_or_else(|| "/".into());
        let is_tls =
            get("HTTPS") == "on" || get("REQUEST_SCHEME") == "https" || visit.origin.starts_with("https://");
        Ok(Request { visit, allowed, path, is_tls, is_head: get("REQUEST_METHOD") == "HEAD" })
    }

    fn answer<A: Ask>(&self, wanted: Wanted, pen: Result<A, String>) -> Response {
        let known = self.visit.token().map(str::to_string);
        let token = match known.clone().map_or_else(new_token, Ok) {
            Ok(token) => token,
            Err(error) => return plain(Code::Unavailable, vec![format!("no random numbers: {error}")]),
        };
        let mut notes = Vec::new();
        let view = View::of(wanted.form.get("view"));
        let (mut code, said, content) = match pen {
            Ok(mut pen) => {
                let (code, said) = self.carry_out(&wanted, &mut pen, &mut notes);
                (code, said, Content::fetch(view, &mut pen))
            }
            Err(reason) => (Code::Ok, None, Err(reason)),
        };
        let content = content.map_err(|reason| {
            notes.push(reason);
            code = Code::BadGateway;
            "pen does not answer. Why is in the web server's error log.".to_string()
        });
        let (visit, path) = (&self.visit, self.path.as_str());
        let sheet =
            Sheet { visit, reach: visit.reach(self.allowed), path, token: &token, view, said, content };
        let cookie = if known.is_some() { String::new() } else { set_cookie(&token, path, self.is_tls) };
        let headers = body_headers("text/html; charset=utf-8", &policy(), "same-origin");
        let body = if self.is_head { String::new() } else { render(&sheet) };
        Response { output: format!("Status: {}\r\n{cookie}{headers}\r\n{body}", code.line()), notes }
    }

    /// Carries out what was asked for, if it may be. A query may only ask.
    fn carry_out(
        &self,
        wanted: &Wanted,
        pen: &mut impl Ask,
        notes: &mut Vec<String>,
    ) -> (Code, Option<Said>) {
        let refused =
            |code, command: String, reason: String| (code, Some(Said { command, outcome: Err(reason) }));
        if wanted.is_post
            && let Err(reason) = self.visit.check(wanted.form.get("token"))
        {
            notes.push(format!("refused: {} {reason}", self.who()));
            return refused(Code::Forbidden, String::new(), reason);
        }
        let line = match wanted.form.command() {
            Ok(line) => line,
            Err(reason) => return refused(Code::BadRequest, String::new(), reason),
        };
        let parsed = match parse::line(&line) {
            Ok(Some(Line { service: Some(_), command: None })) => {
                let reason = "want a command after the service: a page has no lines that follow".to_string();
                return refused(Code::BadRequest, line, reason);
            }
            Ok(Some(parsed)) => parsed,
            Ok(None) => return (Code::Ok, None),
            Err(error) => return refused(Code::BadRequest, line, error.to_string()),
        };
        let reach = if wanted.is_post { self.visit.reach(self.allowed) } else { Reach::Asks };
        if parsed.reach() > reach {
            notes.push(format!("refused: {}: {}", self.who(), quoted(&without_community(&line))));
            let reason = match (wanted.is_post, self.visit.user.is_empty()) {
                (false, _) => "A link cannot change anything.",
                (true, true) => "Only a user whom the web server knows may do that.",
                (true, false) => "This page may not do that.",
            };
            return refused(Code::Forbidden, line, reason.into());
        }
        let changes = parsed.reach() > Reach::Asks;
        let reply = match pen.ask(&line) {
            Ok(reply) => reply,
            Err(reason) => {
                notes.push(reason);
                return refused(Code::BadGateway, line, "pen did not answer.".into());
            }
        };
        if changes {
            let outcome = if reply.is_ok() { "done" } else { "failed" };
            notes.push(format!("{outcome}: {}: {}", self.who(), quoted(&without_community(&line))));
        }
        (Code::Ok, Some(Said { command: line, outcome: reply }))
    }

    /// For the log.
    fn who(&self) -> String {
        let user = if self.visit.user.is_empty() { "nobody" } else { &self.visit.user };
        format!("{} at {}", quoted(user), quoted(&self.visit.address))
    }
}

fn plain(code: Code, notes: Vec<String>) -> Response {
    let allow = if code == Code::MethodNotAllowed { "Allow: GET, HEAD, POST\r\n" } else { "" };
    let headers = body_headers("text/plain; charset=utf-8", "default-src 'none'", "no-referrer");
    let line = code.line();
    Response { output: format!("Status: {line}\r\n{allow}{headers}\r\n{line}\n"), notes }
}

#[cfg(test)]
#[path = "cgi_tests.rs"]
mod tests;
