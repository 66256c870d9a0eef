//! Coming in and going: passwords become sessions, and requests belong to one.

use super::answers::{Answer, Problem, json};
use super::looks::Crowded;
use super::sessions::Session;
use super::{Cookie, House};
use crate::office::Visitor;
use crate::users::check_name;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use pen_proto::escape::Escaped;
use pen_sys::clock;
use pen_sys::program::complain;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::net::{IpAddr, SocketAddr};

/// Where the other end of a connection is.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    name: String,
    password: String,
}

/// `POST /api/login`.
pub async fn login(
    State(house): State<House>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let Credentials { name, password } = read(&headers, body)?;
    // Nobody has another name, and then it need not be remembered.
    let name = if check_name(&name).is_ok() { name } else { String::new() };
    let at_ms = clock::monotonic_ms();
    let attempt = house.throttle().attempt(&name, peer.ip(), at_ms);
    attempt.map_err(|seconds| Problem {
        retry_after: Some(seconds),
        ..Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many wrong passwords: wait a minute")
    })?;
    let user = house.users().get(&name).cloned();
    let (access, hash) = user.map_or((None, None), |user| (Some(user.access), user.hash));
    let is_known = house.throttle().is_known(peer.ip());
    let looked = house.looks.look(is_known, password, hash).await.map_err(|Crowded| Problem {
        retry_after: Some(1),
        ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many log in at once")
    })?;
    let (Some(access), Some(hash)) = (access, looked) else {
        say(format_args!("wrong password for \"{}\"", Escaped(&name)), peer.ip());
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "wrong name or password"));
    };
    house.throttle().was_right(&name, peer.ip(), at_ms);
    let opened = house.sessions().open(&name, &hash, at_ms);
    let (secret, session) = opened.map_err(|error| {
        complain(format_args!("penadmin: no random numbers: {error}"));
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the system has no random numbers")
    })?;
    say(format_args!("{name} came in by web"), peer.ip());
    let mut response = json(&serde_json::json!({ "csrf": session.csrf, "access": access.word() }));
    response.headers_mut().insert(header::SET_COOKIE, house.cookie.with(&secret));
    Ok(response)
}

/// For fail2ban and its like.
fn say(what: std::fmt::Arguments<'_>, from: IpAddr) {
    complain(format_args!("penadmin: {what} from {from}"));
}

/// `GET /api/session`: who am I?
pub async fn session(State(house): State<House>, headers: HeaderMap) -> Answer {
    let (visitor, session) = house.visitor(&headers)?;
    let content = serde_json::json!({
        "name": visitor.name,
        "access": visitor.access.word(),
        "csrf": session.csrf,
    });
    Ok(json(&content))
}

/// `POST /api/logout`.
pub async fn logout(State(house): State<House>, _: Changing, headers: HeaderMap) -> Answer {
    if let Some(secret) = house.cookie.of(&headers) {
        house.sessions().end(secret);
    }
    let mut response = json(&serde_json::json!({}));
    response.headers_mut().insert(header::SET_COOKIE, house.cookie.gone());
    Ok(response)
}

impl House {
    /// Whose request it is.
    pub fn visitor(&self, headers: &HeaderMap) -> Result<(Visitor, Session), Problem> {
        let nobody = || Problem::new(StatusCode::UNAUTHORIZED, "log in first");
        let secret = self.cookie.of(headers).ok_or_else(nobody)?;
        let is_idle = headers.contains_key("x-pen-poll");
        let session = self.sessions().find(secret, is_idle, clock::monotonic_ms()).ok_or_else(nobody)?;
        let users = self.users();
        match users.get(&session.name) {
            Some(user) if user.hash.as_ref() == Some(&session.hash) => {
                let visitor = Visitor { name: session.name.clone(), access: user.access, door: "web" };
                Ok((visitor, session))
            }
            // Was removed, or has another password.
            _ => {
                self.sessions().end(secret);
                Err(nobody())
            }
        }
    }

    /// Whose request it is, if it was surely sent by the page, or by a program that knows the token.
    fn changing_visitor(&self, headers: &HeaderMap) -> Result<Visitor, Problem> {
        let (visitor, session) = self.visitor(headers)?;
        let token = headers.get("x-csrf-token").and_then(|token| token.to_str().ok());
        match token {
            Some(token) if session.is_token(token) => Ok(visitor),
            _ => Err(Problem::new(StatusCode::FORBIDDEN, "want the token of the session in X-CSRF-Token")),
        }
    }
}

/// Who wants to change something. What stands before the body of a request is enough to know that, so that nobody else
/// has his body read.
pub struct Changing(pub Visitor);

impl FromRequestParts<House> for Changing {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, house: &House) -> Result<Changing, Problem> {
        house.changing_visitor(&parts.headers).map(Changing)
    }
}

impl Cookie {
    /// Cookies know no ports: two penadmins on a host must not take each other's. With this prefix a browser takes it
    /// from this very host alone, so that one next door under the same domain cannot give visitors a session of its own.
    pub fn new(port: u16, is_secure: bool) -> Cookie {
        let prefix = if is_secure { "__Host-" } else { "" };
        Cookie { name: format!("{prefix}penadmin-{port}"), is_secure }
    }

    /// The secret that the browser has of us.
    fn of<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs =
            cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == self.name).map(|(_, secret)| secret)
    }

    fn with(&self, secret: &str) -> HeaderValue {
        self.header(secret, "")
    }

    fn gone(&self) -> HeaderValue {
        self.header("", "; Max-Age=0")
    }

    fn header(&self, secret: &str, more: &str) -> HeaderValue {
        let secure = if self.is_secure { "; Secure" } else { "" };
        let text = format!("{}={secret}; Path=/; HttpOnly; SameSite=Strict{secure}{more}", self.name);
        HeaderValue::from_str(&text).expect("letters and digits")
    }
}

/// Reads the JSON of a body. Only what says that it is JSON is read: a form of another page cannot say so unasked.
pub fn read<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<T, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "want Content-Type: application/json"));
    }
    let body = body.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    serde_json::from_slice(&body).map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.to_string()))
}
