//! How an incremental API is asked.

use super::params::scalar;
use super::reader::{Fields, wrong_type};
use super::tree::{Entry, NodeValue};
use crate::model::connector::{JsonTemplate, Request, RequestBody};
use crate::model::cursor::{CursorInitial, CursorOverlap, CursorRules, CursorSource};
use crate::model::quantity::parse_duration;
use crate::model::template::Template;

/// Reads `cursor`.
pub(super) fn cursor(fields: &Fields<'_>) -> Option<CursorRules> {
    let value = match (fields.entry("value"), fields.entry("answer")) {
        (None, Some(_)) => fields.expression("answer").map(CursorSource::Answer),
        _ => fields.required("value").and_then(|_| fields.expression("value")).map(CursorSource::Item),
    };
    let initial = match fields.entry("initial") {
        Some(entry) => initial(fields, entry).map(Some),
        None => Some(None),
    };
    let overlap = match fields.entry("overlap") {
        Some(entry) => overlap(fields, entry).map(Some),
        None => Some(None),
    };
    let reconcile = match fields.entry("reconcile") {
        Some(_) => fields.duration("reconcile").map(Some),
        None => Some(None),
    };
    let too_old = match fields.entry("too_old") {
        Some(_) => fields.expression("too_old").map(Some),
        None => Some(None),
    };
    if let (Some(Some(CursorInitial::Ago(_))), Some(Some(CursorOverlap::Number(_))), Some(entry)) =
        (&initial, &overlap, fields.entry("overlap"))
    {
        let help = "write an amount of time, such as \"5m\"";
        fields.report.error_with_help(entry.node.place, "`initial` is a time, and `overlap` a number", help);
        return None;
    }
    let ascending = fields.boolean("ascending")?;
    if let (true, Some(entry)) = (ascending, fields.entry("answer")) {
        fields.report.error_with_help(
            entry.key_place,
            "`ascending` needs the cursor values of items",
            "a token of the answer as a whole says nothing about which items were read",
        );
        return None;
    }
    Some(CursorRules {
        value: value?,
        initial: initial?,
        overlap: overlap?,
        ascending,
        too_old: too_old?,
        reconcile: reconcile?,
    })
}

/// Reads an amount of time behind a `-`, or a literal.
fn initial(fields: &Fields<'_>, entry: &Entry) -> Option<CursorInitial> {
    let value = scalar(fields.report, &entry.node)?;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let ago = text.strip_prefix('-').filter(|_| matches!(entry.node.value, NodeValue::Text(_)));
    match ago.map(parse_duration) {
        Some(Ok(ago)) => Some(CursorInitial::Ago(ago)),
        Some(Err(error)) if text[1..].parse::<f64>().is_err() => {
            let help = "write a time ago, such as \"-24h\", or what the API is asked with";
            fields.report.error_with_help(entry.node.place, error.to_string(), help);
            None
        }
        _ if text.is_empty() => {
            fields.report.error(entry.node.place, "an empty text is no cursor; leave `initial` out");
            None
        }
        _ => Some(CursorInitial::Literal(text)),
    }
}

fn overlap(fields: &Fields<'_>, entry: &Entry) -> Option<CursorOverlap> {
    match &entry.node.value {
        NodeValue::Integer(number) => match u64::try_from(*number) {
            Ok(number) => Some(CursorOverlap::Number(number)),
            Err(_) => {
                fields.report.error(entry.node.place, "must be at least 0");
                None
            }
        },
        NodeValue::Text(text) => match parse_duration(text) {
            Ok(overlap) => Some(CursorOverlap::Time(overlap)),
            Err(error) => {
                fields.report.error(entry.node.place, error.to_string());
                None
            }
        },
        _ => {
            wrong_type(fields.report, &entry.node, "an amount of time such as \"5m\", or a whole number");
            None
        }
    }
}

/// Reports what does not fit together: where the request has `{{ cursor }}`, and whether there always is one.
pub(super) fn check_cursor(fields: &Fields<'_>, request: &Request, cursor: &CursorRules) -> bool {
    let place = fields.entry("cursor").map_or(fields.place, |entry| entry.key_place);
    let complaint = if !refers_to_cursor(request) {
        Some(("nothing in `request` has `{{ cursor }}`", "write for example request.query.since = \"{{ cursor }}\""))
    } else if !has_cursor(&request.url) {
        None
    } else if cursor.reconcile.is_some() {
        Some((
            "`reconcile` polls without the cursor, and `request.url` has `{{ cursor }}`",
            "write it in `request.query`, where it can be left out",
        ))
    } else if cursor.initial.is_none() {
        Some((
            "`request.url` has `{{ cursor }}`, and the first poll has none",
            "write `cursor.initial`, or `{{ cursor }}` in `request.query`, where it is left out when there is none",
        ))
    } else {
        None
    };
    if let Some((message, help)) = complaint {
        fields.report.error_with_help(place, message, help);
    }
    complaint.is_none()
}

fn refers_to_cursor(request: &Request) -> bool {
    let named = request.query.iter().chain(&request.headers).map(|(_, template)| template);
    has_cursor(&request.url)
        || named.into_iter().any(has_cursor)
        || match &request.body {
            None => false,
            Some(RequestBody::Text(text)) => has_cursor(text),
            Some(RequestBody::Form(form)) => form.iter().any(|(_, template)| has_cursor(template)),
            Some(RequestBody::Json(json)) => json_has_cursor(json),
        }
}

fn json_has_cursor(json: &JsonTemplate) -> bool {
    match json {
        JsonTemplate::Text(text) => has_cursor(text),
        JsonTemplate::Array(elements) => elements.iter().any(json_has_cursor),
        JsonTemplate::Object(members) => members.iter().any(|(_, member)| json_has_cursor(member)),
        JsonTemplate::Other(_) => false,
    }
}

fn has_cursor(template: &Template) -> bool {
    template.references().iter().any(|name| name == "cursor")
}
