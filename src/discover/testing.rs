//! Answers for tests.

use serde_json::Value;

use super::{About, Answer, Draft, Finding, discover};

/// Returns an answer that is this JSON.
pub(super) fn answer(value: &Value) -> Answer {
    Answer {
        url: "https://api.example.com/v1/things".parse().expect("an address"),
        status: 200,
        headers: [("content-type".parse().expect("a name"), "application/json".parse().expect("a value"))]
            .into_iter()
            .collect(),
        body: value.to_string().into(),
    }
}

/// Returns the draft of an answer that is this JSON, and of another one later.
pub(super) fn draft(first: &Value, again: Option<&Value>) -> Draft {
    let again = again.map(answer);
    discover(&answer(first), again.as_ref()).unwrap_or_else(|error| panic!("{first}: {error}"))
}

/// Writes a setting and how sure it is, such as `.id certain`.
pub(super) fn said(draft: &Draft, about: About, path: &str) -> String {
    let Some(Finding { sureness, because, .. }) = draft.about(about) else { return "nothing".to_owned() };
    assert!(!because.is_empty(), "{about:?}");
    match draft.setting(path) {
        None => format!("unset {sureness}"),
        Some(Value::String(text)) => format!("{text} {sureness}"),
        Some(other) => format!("{other} {sureness}"),
    }
}
