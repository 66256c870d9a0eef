//! What the API knows: pens, what they have, how they did, and commands for them.
//!
//! Services and servers are what the watches have seen; clients, connections, groups and clones are asked of pen when
//! somebody wants them. Rows are pen's own, with the names of pen and service.

use super::answers::{Answer, Problem, json};
use super::login::{self, Changing, read};
use super::{House, assets, guard};
use crate::office::Failure;
use crate::pens::exchange::{Deed, TEXT_BYTES_MAX};
use crate::pens::watch::{self, Row};
use crate::pens::{Pen, Trouble};
use crate::rights::LINE_BYTES_MAX;
use crate::users::{NAME_BYTES_MAX, password};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// Rows of clients and connections where no `limit` is given, and at most.
const ROWS: usize = 200;
const ROWS_MAX: usize = 10_000;

/// What every program that reads JSON has exactly.
const SINCE_MAX: u64 = 1 << 53;

/// The body of a login, with room for every letter to be written as six. Strangers send it.
const LOGIN_BYTES_MAX: usize = 6 * (NAME_BYTES_MAX + password::BYTES_MAX) + 1024;
/// A body with a line: JSON may write a byte in six letters.
const COMMAND_BYTES_MAX: usize = 6 * LINE_BYTES_MAX + 4096;
const SETTINGS_BYTES_MAX: usize = 6 * TEXT_BYTES_MAX as usize + 4096;

/// All routes.
pub fn routes(house: House) -> Router {
    Router::new()
        .route("/api/login", post(login::login).layer(DefaultBodyLimit::max(LOGIN_BYTES_MAX)))
        .route("/api/logout", post(login::logout))
        .route("/api/session", get(login::session))
        .route("/api/pens", get(pens))
        .route("/api/services", get(services))
        .route("/api/servers", get(servers))
        .route("/api/history", get(history))
        .route("/api/clients", get(async |s, h, q| listing(s, h, q, "clients").await))
        .route("/api/connections", get(async |s, h, q| listing(s, h, q, "connections").await))
        .route("/api/groups", get(async |s, h, q| listing(s, h, q, "groups").await))
        .route("/api/clones", get(async |s, h, q| listing(s, h, q, "clones").await))
        .route("/api/command", post(command))
        .layer(DefaultBodyLimit::max(COMMAND_BYTES_MAX))
        .merge(
            Router::new()
                .route("/api/settings", get(settings).post(compare))
                .layer(DefaultBodyLimit::max(SETTINGS_BYTES_MAX)),
        )
        .route("/api/openapi.json", get(description))
        .merge(assets::routes())
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "no such page"))
        .layer(from_fn_with_state(house.clone(), guard::guard))
        .with_state(house)
}

/// The description of all this, with the name that the cookie has here.
async fn description(State(house): State<House>) -> Response<Body> {
    let text = include_str!("../../page/openapi.json").replace("penadmin-PORT", &house.cookie.name);
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// What a query may say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    pen: Option<String>,
    service: Option<String>,
    limit: Option<usize>,
    /// Samples after this time alone.
    since: Option<u64>,
}

type WantedQuery = Result<Query<Wanted>, QueryRejection>;

impl Wanted {
    fn of(query: WantedQuery) -> Result<Wanted, Problem> {
        let Query(wanted) =
            query.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
        let wrong = match (wanted.limit, wanted.since) {
            (Some(limit), _) if !(1..=ROWS_MAX).contains(&limit) => {
                format!("limit: want 1..{ROWS_MAX}, got {limit}")
            }
            (_, Some(since)) if since > SINCE_MAX => format!("since: want 0..{SINCE_MAX}, got {since}"),
            _ => return Ok(wanted),
        };
        Err(Problem::new(StatusCode::BAD_REQUEST, wrong))
    }

    /// The pen that is meant, or all.
    fn pens(&self, house: &House) -> Result<Vec<Arc<Pen>>, Problem> {
        match &self.pen {
            Some(name) => Ok(vec![house.office.pen(Some(name))?.clone()]),
            None => Ok(house.office.pens.clone()),
        }
    }

    fn is_meant(&self, service: &str) -> bool {
        self.service.as_ref().is_none_or(|meant| meant == service)
    }
}

/// A row of pen's with the names of pen and service.
fn placed(pen: &Pen, service: &str, row: &Row) -> Value {
    let mut placed = Row::new();
    placed.insert("pen".into(), pen.name.clone().into());
    placed.insert("service".into(), service.into());
    placed.extend(row.iter().map(|(key, value)| (key.clone(), value.clone())));
    Value::Object(placed)
}

async fn pens(State(house): State<House>, headers: HeaderMap, query: WantedQuery) -> Answer {
    house.visitor(&headers)?;
    let wanted = Wanted::of(query)?;
    let row = |pen: &Arc<Pen>| {
        let view = pen.watch().look();
        let services = view.services.as_deref().unwrap_or_default();
        let connections = services.iter().filter_map(|service| service.row.get("connections")?.as_u64());
        serde_json::json!({
            "pen": pen.name,
            "address": pen.address(),
            "reachable": view.services.is_some(),
            "trouble": view.trouble,
            "version": view.version,
            "commands": view.words,
            "services": services.len(),
            "connections": connections.sum::<u64>(),
        })
    };
    Ok(json(&wanted.pens(&house)?.iter().map(row).collect::<Vec<_>>()))
}

async fn services(State(house): State<House>, headers: HeaderMap, query: WantedQuery) -> Answer {
    house.visitor(&headers)?;
    let wanted = Wanted::of(query)?;
    let mut rows = Vec::new();
    for pen in wanted.pens(&house)? {
        let view = pen.watch().look();
        let services = view.services.iter().flatten().filter(|service| wanted.is_meant(&service.name));
        rows.extend(services.map(|service| placed(&pen, &service.name, &service.row)));
    }
    Ok(json(&rows))
}

async fn servers(State(house): State<House>, headers: HeaderMap, query: WantedQuery) -> Answer {
    house.visitor(&headers)?;
    let wanted = Wanted::of(query)?;
    let mut rows = Vec::new();
    for pen in wanted.pens(&house)? {
        let view = pen.watch().look();
        for service in view.services.iter().flatten().filter(|service| wanted.is_meant(&service.name)) {
            rows.extend(service.servers.iter().map(|row| placed(&pen, &service.name, row)));
        }
    }
    Ok(json(&rows))
}

async fn history(State(house): State<House>, headers: HeaderMap, query: WantedQuery) -> Answer {
    house.visitor(&headers)?;
    let wanted = Wanted::of(query)?;
    let mut rows = Vec::new();
    for pen in wanted.pens(&house)? {
        let view = pen.watch().look();
        for (service, samples) in view.history.iter().filter(|(service, _)| wanted.is_meant(service)) {
            let since = wanted.since.unwrap_or(0);
            let samples: Vec<_> = samples.iter().filter(|sample| sample.epoch_ms > since).collect();
            rows.push(serde_json::json!({ "pen": pen.name, "service": service, "samples": samples }));
        }
    }
    Ok(json(&rows))
}

/// What pen lists when it is asked. Of several pens those that do not answer have no rows; `/api/pens` says why.
async fn listing(
    State(house): State<House>,
    headers: HeaderMap,
    query: WantedQuery,
    what: &'static str,
) -> Answer {
    house.visitor(&headers)?;
    let wanted = Arc::new(Wanted::of(query)?);
    let mut asked = Vec::new();
    for pen in wanted.pens(&house)? {
        let wanted = wanted.clone();
        asked.push(tokio::task::spawn_blocking(move || rows_of(&pen, &wanted, what)));
    }
    let mut rows = Vec::new();
    for answer in asked {
        match answer.await.unwrap_or_else(|error| Err(Failure::Lost(error.to_string()))) {
            Ok(more) => rows.extend(more),
            Err(failure) if wanted.pen.is_some() => return Err(failure.into()),
            Err(_) => {}
        }
    }
    let total = rows.len();
    rows.truncate(wanted.limit.unwrap_or(ROWS));
    let mut response = json(&rows);
    response.headers_mut().insert("x-total-count", HeaderValue::from(total));
    Ok(response)
}

fn rows_of(pen: &Pen, wanted: &Wanted, what: &str) -> Result<Vec<Value>, Failure> {
    let view = pen.watch().look();
    let Some(services) = &view.services else {
        return Err(Failure::Lost(view.trouble.clone().unwrap_or_default()));
    };
    let mut rows = Vec::new();
    // A pen that does not know the word has none of it.
    for service in
        services.iter().filter(|service| wanted.is_meant(&service.name) && view.words.contains(what))
    {
        let Ok(text) = pen.ask(&format!("service {} {what} json", service.name))? else { continue };
        let own = match what {
            // All that a service's clones did is one row; one that has none has nothing to show.
            "clones" => watch::parse(&format!("[{text}]")).map(|mut own| {
                own.retain(has_clones);
                own
            }),
            _ => watch::parse(&text),
        };
        let own = own.map_err(Trouble::Lost)?;
        rows.extend(own.iter().map(|row| placed(pen, &service.name, row)));
    }
    // The newest are of most interest, and have the highest numbers.
    if what == "connections" {
        rows.reverse();
    }
    Ok(rows)
}

/// Whether what pen says of a service's clones is about any.
fn has_clones(row: &Row) -> bool {
    let had_some = row.get("clone").and_then(|clone| clone.get("connections")).and_then(Value::as_u64);
    row.get("state").and_then(Value::as_str) != Some("disabled") || had_some.is_some_and(|count| count > 0)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandBody {
    pen: Option<String>,
    line: String,
}

async fn command(
    State(house): State<House>,
    Changing(visitor): Changing,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let CommandBody { pen, line } = read(&headers, body)?;
    let office = house.office.clone();
    reply(move || office.carry_out(&visitor, pen.as_deref(), &line)).await
}

async fn settings(State(house): State<House>, headers: HeaderMap, query: WantedQuery) -> Answer {
    let (visitor, _) = house.visitor(&headers)?;
    let wanted = Wanted::of(query)?;
    let office = house.office.clone();
    reply(move || office.settings(&visitor, wanted.pen.as_deref())).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsBody {
    pen: Option<String>,
    text: String,
    apply: bool,
}

async fn compare(
    State(house): State<House>,
    Changing(visitor): Changing,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let SettingsBody { pen, text, apply } = read(&headers, body)?;
    let deed = if apply { Deed::Apply } else { Deed::Diff };
    let office = house.office.clone();
    reply(move || office.compare(&visitor, pen.as_deref(), deed, &text)).await
}

/// Has the office do something on a thread that may block.
async fn reply(work: impl FnOnce() -> Result<String, Failure> + Send + 'static) -> Answer {
    let done = tokio::task::spawn_blocking(work).await;
    let reply = done.unwrap_or_else(|error| Err(Failure::Unavailable(error.to_string())))?;
    Ok(json(&serde_json::json!({ "reply": reply })))
}
