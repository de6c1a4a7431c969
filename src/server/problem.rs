//! Errors of the admin API, in the form of RFC 9457.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::config::{DefinitionMistake, DefinitionMistakes};
use crate::store::StoreError;
use crate::telemetry::describe_error;

/// An error answer: `application/problem+json`.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    /// Everything that is wrong with what was sent, each with its place in it.
    errors: Vec<DefinitionMistake>,
}

impl Problem {
    /// Returns a problem with this status; `detail` says what is wrong and what to do.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), errors: Vec::new() }
    }

    /// Returns the problem of asking for something that is not there.
    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no {what}"))
    }

    /// Returns the problem of what clashes with how things are; `detail` says what to do.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// Returns the problem of something that was understood and is wrong.
    pub fn mistakes(errors: Vec<DefinitionMistake>) -> Self {
        let detail = match errors.as_slice() {
            [mistake] if mistake.pointer.is_empty() => mistake.detail.clone(),
            [mistake] => format!("{}: {}", mistake.pointer, mistake.detail),
            _ => format!("there are {} mistakes", errors.len()),
        };
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, detail, errors }
    }

    /// Returns the problem of a request that cannot be understood.
    pub fn bad_request(detail: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if !self.errors.is_empty() {
            body["errors"] = json!(self.errors);
        }
        let mut response = (self.status, Json(body)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

impl From<DefinitionMistakes> for Problem {
    fn from(mistakes: DefinitionMistakes) -> Self {
        Self::mistakes(mistakes.0)
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { what } => Self::not_found(what),
            StoreError::Closed => Self::new(StatusCode::SERVICE_UNAVAILABLE, "the service is stopping"),
            StoreError::StaleLease { .. }
            | StoreError::Corrupt { .. }
            | StoreError::Io { .. }
            | StoreError::Refused(_) => {
                let detail = describe_error(&error);
                tracing::error!("a request to the admin API failed: {detail}");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
            }
        }
    }
}

/// Answers a request for a path that does not exist.
pub async fn unknown_path(uri: Uri) -> Problem {
    Problem::not_found(format_args!("resource {}", uri.path()))
}

/// Answers a request with a method that its path does not have.
pub async fn wrong_method(method: Method, uri: Uri) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take {method}", uri.path()))
}
