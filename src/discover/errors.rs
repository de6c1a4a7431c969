//! What beside the items says that all is well: an answer that says otherwise is a failure, whatever its status.

use serde_json::{Map, Value};

use super::path::{Path, Step, plain};
use super::{About, Finding, Listing, Page, Setting, Sureness, shape};
use crate::model::expression::Expression;
use crate::model::format::ResponseFormat;

/// Names, as [`plain`] has them, of what is `true` where all is well.
const WELL: &[&str] = &["ok", "success", "successful", "succeeded", "issuccess", "issuccessful", "issuccessstatuscode"];

/// Names of what is empty, `null`, `false` or 0 where all is well.
const ILL: &[&str] = &[
    "error",
    "errors",
    "err",
    "iserror",
    "haserror",
    "haserrors",
    "errorcode",
    "errormessage",
    "errcode",
    "errno",
    "errmsg",
    "fault",
    "exception",
    "retcode",
];

/// Names of a text that says in a word whether all is well.
const STATES: &[&str] = &["status", "stat", "result"];

/// Words that say that it is. `OK` in capitals is left out: beside that there are words such as `ZERO_RESULTS`, which are
/// no failures.
const WELL_WORDS: &[&str] = &["ok", "success"];

/// Names of numbers that say whether all is well, where a message is beside them.
const CODES: &[&str] = &["code", "cod", "status", "statuscode"];

/// Names of what says it for people.
const MESSAGES: &[&str] = &["msg", "message", "errmsg", "errormessage"];

/// Names of members at the top that have such a sign in themselves.
const PLACES: &[&str] = &["status", "meta", "header", "head", "responseheader", "result"];

/// A sign that all is well.
struct Sign {
    path: Path,
    /// What gives something, as far as possible what went wrong, where all is not well.
    expression: String,
    /// What it is now.
    now: String,
}

/// Returns what tells an answer that reports a failure from one that lists items, if the answer has a sign of that.
pub(super) fn find(page: &Page<'_>, listing: &Listing) -> Option<Finding> {
    if !matches!(page.format, ResponseFormat::Json) || [".", ".[]", "to_entries[]"].contains(&&*listing.expression) {
        // Whatever is there belongs to the items.
        return None;
    }
    let members = page.value.as_object()?;
    let places = members.iter().filter(|(name, _)| PLACES.contains(&&*plain(name)));
    let within = places.filter_map(|(name, place)| Some((Path::of([name.as_str()]), place.as_object()?)));
    let is_of_items = |path: &Path| !path.0.is_empty() && listing.expression.starts_with(&path.to_string());
    let mut places = std::iter::once((Path::default(), members)).chain(within).filter(|(path, _)| !is_of_items(path));
    let sign = places.find_map(|(path, members)| sign(&path, members, &listing.expression));
    let (expression, found, because) = match sign {
        Some(Sign { path, expression, now }) => {
            let because = format!("that is {now} in this answer; one that says otherwise is a failure and no list");
            (expression, format!("`{path}`"), because)
        }
        None if is_graphql(page, listing) => (
            ".errors[0]?.message".to_owned(),
            "`.errors`".to_owned(),
            "GraphQL reports failures there, with a status of success".to_owned(),
        ),
        None => return None,
    };
    // It must not call the answer at hand a failure.
    let is_well = !Expression::parse(&expression).ok()?.is_truthy(&page.value).ok()?;
    is_well.then(|| Finding {
        about: About::Errors,
        settings: vec![Setting::new("response.error", expression)],
        found,
        sureness: Sureness::Likely,
        because,
    })
}

fn sign(place: &Path, members: &Map<String, Value>, items: &str) -> Option<Sign> {
    let at = |name: &str| place.then(Step::Member(name.to_owned()));
    let beside = |names: &[&str], name: &str| {
        // What says it for people; an object may have the items in it.
        let says = |value: &Value| !value.is_object();
        let mut others = members.iter().filter(|(other, value)| *other != name && says(value));
        others.find(|(other, _)| names.contains(&&*plain(other))).map(|(name, _)| at(name))
    };
    let reason = |name: &str| {
        let said = beside(&["error"], name).map(|path| path.to_string());
        let said = said.or_else(|| beside(&["errors"], name).map(|path| format!("{path}[0]?")));
        let said = said.or_else(|| beside(MESSAGES, name).map(|path| path.to_string()));
        let said = said.unwrap_or_else(|| format!("{} // {}", at("error"), at("message")));
        format!("{said} // \"{name} is missing or says otherwise\"")
    };
    let named = |names: &'static [&str]| {
        members
            .iter()
            .filter(move |(name, _)| names.contains(&&*plain(name)))
            .map(|(name, value)| (name.as_str(), value))
    };
    let flag = named(WELL).find(|(_, value)| **value == Value::Bool(true)).map(|(name, _)| {
        let path = at(name);
        Sign { expression: format!("select({path} | not) | {}", reason(name)), now: "`true`".to_owned(), path }
    });
    let empty = || {
        named(ILL).find_map(|(name, value)| {
            let path = at(name);
            let (expression, now) = match value {
                Value::Null | Value::Bool(false) => (path.to_string(), format!("`{value}`")),
                Value::Array(elements) if elements.is_empty() => (format!("{path}[]?"), "empty".to_owned()),
                Value::Object(members) if members.is_empty() => (format!("{path}[]?"), "empty".to_owned()),
                Value::String(text) if text.is_empty() => (format!("{path} | select(. != \"\")"), "empty".to_owned()),
                Value::Number(number) if number.as_i64() == Some(0) => {
                    (format!("{path} | select(. != 0)"), "0".to_owned())
                }
                _ => return None,
            };
            (!items.starts_with(&path.to_string())).then_some(Sign { path, expression, now })
        })
    };
    // What has an id is a thing of its own, and its status is not the answer's.
    let is_thing = members.keys().any(|name| shape::says_id(name) || ["sha", "url"].contains(&&**name));
    let word = || {
        named(STATES).filter(|_| !is_thing).find_map(|(name, value)| {
            let word = value.as_str().filter(|word| WELL_WORDS.contains(word))?;
            let path = at(name);
            let expression = format!("select({path} != \"{word}\") | {}", reason(name));
            Some(Sign { path, expression, now: format!("`{word}`") })
        })
    };
    let code = || {
        named(CODES).find_map(|(name, value)| {
            let number = value.as_i64().filter(|number| [0, 200].contains(number))?;
            let message = beside(MESSAGES, name)?;
            let path = at(name);
            let expression = format!("select({path} != {number}) | {message} // \"{name} is not {number}\"");
            Some(Sign { path, expression, now: number.to_string() })
        })
    };
    flag.or_else(empty).or_else(word).or_else(code)
}

/// Tells whether an answer is one of GraphQL: all that it has is in `data`, and its items are in a connection.
fn is_graphql(page: &Page<'_>, listing: &Listing) -> bool {
    let has_only_data = page.value.as_object().is_some_and(|members| {
        members.contains_key("data") && members.keys().all(|name| ["data", "extensions"].contains(&name.as_str()))
    });
    let expression = &listing.expression;
    let is_connection = expression.ends_with(".nodes[]") || expression.ends_with(".edges[].node");
    let is_asked = page.answer.url.path_segments().and_then(Iterator::last).is_some_and(|last| last == "graphql");
    has_only_data && expression.starts_with(".data.") && (is_connection || is_asked)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::discover::testing::{draft, said};

    /// Checks what is proposed for an answer, and what that makes of another one.
    #[track_caller]
    fn check(answer: &Value, expected: &str, failure: &Value, message: Option<&str>) {
        let draft = draft(answer, None);
        assert_eq!(said(&draft, About::Errors, "response.error"), format!("{expected} likely"), "{answer}");
        let expression = Expression::parse(expected).expect("an expression");
        let said = expression.first_output(failure).expect("no error");
        let text = said.filter(|said| !said.is_null()).map(|said| said.as_str().unwrap_or("no text").to_owned());
        assert_eq!(text.as_deref(), message, "{expected} of {failure}");
    }

    fn rows() -> Value {
        json!([{"id": 1, "name": "a"}, {"id": 2, "name": "b"}, {"id": 3, "name": "c"}])
    }

    #[test]
    fn a_sign_beside_the_items_tells_failures_from_answers() {
        let slack = json!({"ok": true, "messages": rows()});
        let expected = "select(.ok | not) | .error // .message // \"ok is missing or says otherwise\"";
        check(&slack, expected, &json!({"ok": false, "error": "invalid_auth"}), Some("invalid_auth"));
        check(&slack, expected, &json!({"messages": []}), Some("ok is missing or says otherwise"));
        check(&slack, expected, &json!({"ok": true, "messages": []}), None);
        check(
            &json!({"status": "ok", "totalResults": 3, "articles": rows()}),
            "select(.status != \"ok\") | .error // .message // \"status is missing or says otherwise\"",
            &json!({"status": "error", "error": "apiKeyMissing"}),
            Some("apiKeyMissing"),
        );
        check(
            &json!({"errors": [], "results": rows()}),
            ".errors[]?",
            &json!({"errors": ["no"], "results": []}),
            Some("no"),
        );
        check(&json!({"error": null, "results": rows()}), ".error", &json!({"error": "no"}), Some("no"));
        check(
            &json!({"errmsg": "", "results": rows()}),
            ".errmsg | select(. != \"\")",
            &json!({"errmsg": "no"}),
            Some("no"),
        );
        check(
            &json!({"code": 0, "msg": "fine", "data": rows()}),
            "select(.code != 0) | .msg // \"code is not 0\"",
            &json!({"code": 7, "msg": "no"}),
            Some("no"),
        );
        check(
            &json!({"status": {"error_code": 0, "error_message": null, "credit_count": 1}, "data": rows()}),
            ".status.error_code | select(. != 0)",
            &json!({"status": {"error_code": 0}}),
            None,
        );
        check(
            &json!({"data": {"issues": {"nodes": rows(), "pageInfo": {"endCursor": "x"}}}}),
            ".errors[0]?.message",
            &json!({"errors": [{"message": "no"}], "data": null}),
            Some("no"),
        );
    }

    #[test]
    fn nothing_is_proposed_where_nothing_is_beside_the_items() {
        for answer in [
            rows(),
            json!({"items": rows()}),
            json!({"status": "ok", "version": "1.2", "uptime": 7}),
            json!({"status": "OK", "results": rows()}),
            json!({"code": 200, "items": rows()}),
            json!({"status": "open", "items": rows()}),
            json!({"id": 17, "status": "success", "steps": rows()}),
        ] {
            assert_eq!(said(&draft(&answer, None), About::Errors, "response.error"), "nothing", "{answer}");
        }
    }
}
