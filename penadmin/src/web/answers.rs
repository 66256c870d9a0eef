//! Answers of the API: JSON, and an object with the word `error` for what went wrong.

use crate::office::Failure;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use serde::Serialize;

/// An answer that is no success.
#[derive(Debug)]
pub struct Problem {
    pub status: StatusCode,
    pub reason: String,
    /// After how many seconds it may go better.
    pub retry_after: Option<u64>,
}

impl Problem {
    pub fn new(status: StatusCode, reason: impl Into<String>) -> Problem {
        Problem { status, reason: reason.into(), retry_after: None }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Problem {
        match failure {
            Failure::Wrong(reason) => Problem::new(StatusCode::BAD_REQUEST, reason),
            Failure::Forbidden(reason) => Problem::new(StatusCode::FORBIDDEN, reason),
            Failure::NoPen(reason) => Problem::new(StatusCode::NOT_FOUND, reason),
            Failure::Lost(reason) => Problem::new(StatusCode::BAD_GATEWAY, reason),
            Failure::Unavailable(reason) => {
                Problem { retry_after: Some(1), ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, reason) }
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let mut response = json(&serde_json::json!({ "error": self.reason }));
        *response.status_mut() = self.status;
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            // There is no scheme of HTTP for a cookie; browsers must not ask for a password by themselves.
            let scheme = HeaderValue::from_static("Session realm=\"penadmin\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// What a handler returns.
pub type Answer = Result<Response<Body>, Problem>;

/// A success with this content.
pub fn json(content: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(content) {
        Ok(bytes) => ([(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
