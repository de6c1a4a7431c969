//! `cursor`: the answer holds what the next page is asked with.

use serde_json::Value;

use super::{At, PageRead, Step, Truncation};
use crate::http::header::HeaderMap;
use crate::model::pagination::TokenSource;

/// Returns the token that an answer holds.
pub(super) fn token(source: &TokenSource, in_body: Option<&Value>, headers: &HeaderMap) -> Option<Value> {
    match source {
        TokenSource::Body(_) => in_body.cloned(),
        TokenSource::Header(name) => {
            let text = String::from_utf8_lossy(headers.get(name)?.as_bytes()).trim().to_owned();
            (!text.is_empty()).then(|| Value::from(text))
        }
    }
}

/// Returns what follows a page that was asked for with `at` and holds this token.
pub(super) fn step(page: &PageRead<'_>, number: usize, at: &At, token: Option<Value>) -> Step {
    match (token, page.clues.more) {
        (_, Some(false)) | (None, None) => Step::Last,
        (None, Some(true)) => Step::Stop(Truncation::LeadsNowhere { page: number }),
        // Some sources always give a token, to ask with later.
        (Some(token), None) if page.rows.is_empty() && matches!(at, At::Token(asked) if *asked == token) => Step::Last,
        (Some(token), _) => Step::To(At::Token(token)),
    }
}
