//! Answers that report a failure, whatever their status.

use serde_json::Value;

/// The most members of an answer that says nothing but what went wrong.
const MOST_MEMBERS: usize = 8;

/// The most characters of what an API says.
const LONGEST: usize = 300;

/// Where APIs say what went wrong.
const NAMES: &[&str] = &[
    "error",
    "errors",
    "error_description",
    "errorMessage",
    "Error",
    "fault",
    "message",
    "Message",
    "detail",
    "title",
];

/// Returns what an answer of a success reports as a failure, if it does.
pub(super) fn reported(value: &Value) -> Option<String> {
    let members = value.as_object().filter(|members| members.len() <= MOST_MEMBERS)?;
    let is_said = |name: &str| members.get(name).is_some_and(says_something);
    let is_denied = ["ok", "success", "successful"].iter().any(|name| members.get(*name) == Some(&Value::Bool(false)));
    let status = members.get("status").or_else(|| members.get("stat")).or_else(|| members.get("result"));
    let is_bad = match status {
        Some(Value::String(status)) => {
            ["error", "fail", "failed", "failure"].contains(&status.to_ascii_lowercase().as_str())
        }
        Some(Value::Number(status)) => status.as_u64().is_some_and(|status| (400..600).contains(&status)),
        _ => false,
    };
    // Whatever else is there makes it an object with a message rather than a message.
    let is_message = ["message", "Message", "detail"].iter().any(|name| is_said(name))
        && members.keys().all(|name| {
            [
                "message",
                "Message",
                "detail",
                "code",
                "status",
                "documentation_url",
                "type",
                "title",
                "path",
                "timestamp",
            ]
            .contains(&name.as_str())
        });
    let is_error = ["error", "errors", "Error", "fault", "errorMessage"].iter().any(|name| is_said(name));
    (is_denied || is_bad || is_message || is_error).then(|| words_of(value)).flatten()
}

/// Returns what an answer says of a failure, in its own words.
pub(in crate::discover) fn words_of(value: &Value) -> Option<String> {
    let words = match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(elements) => elements.first().and_then(words_of),
        Value::Object(members) => {
            let said = NAMES.iter().filter_map(|name| members.get(*name)).find(|said| says_something(said));
            said.and_then(words_of).or_else(|| members.get("code").and_then(words_of))
        }
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) => None,
    }?;
    let shown: String = words.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST).collect();
    (!shown.is_empty()).then_some(shown)
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(elements) => !elements.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Number(number) => number.as_i64() != Some(0),
    }
}
