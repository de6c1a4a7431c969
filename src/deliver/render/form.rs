//! The format `form`: a field for each member of the event, or of what the subscription's `body` makes of it.

use indexmap::IndexMap;
use serde_json::value::RawValue;
use url::form_urlencoded::Serializer;

use super::Rendered;
use super::recipe::{RenderError, described, rendered, written};
use crate::model::event::Event;

/// The field that holds several events, as JSON.
const LIST: &str = "events";

/// Returns the fields in the order of the members: texts as they are, `null` empty, all else as its JSON text.
pub(super) fn render(
    events: &[&Event],
    list: bool,
    write: impl Fn(&Event, &mut Vec<u8>) -> Result<(), RenderError>,
) -> Result<Rendered, RenderError> {
    let json = written(events, list, write)?;
    let mut form = Serializer::new(String::with_capacity(json.len()));
    if list {
        form.append_pair(LIST, std::str::from_utf8(&json).expect("JSON is text"));
    } else {
        let members: IndexMap<String, &RawValue> = serde_json::from_slice(&json)
            .map_err(|_| RenderError::NoObject { event: described(events[0]), found: kind(&json) })?;
        for (name, value) in members {
            form.append_pair(&name, &field(value.get()));
        }
    }
    Ok(rendered("application/x-www-form-urlencoded", form.finish().into_bytes()))
}

fn field(json: &str) -> std::borrow::Cow<'_, str> {
    match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(json).map_or(json.into(), Into::into),
        Some(b'n') => "".into(),
        _ => json.into(),
    }
}

fn kind(json: &[u8]) -> &'static str {
    match json.first() {
        Some(b'[') => "a list",
        Some(b'"') => "a text",
        Some(b'n') => "null",
        Some(b't' | b'f') => "a truth value",
        _ => "a number",
    }
}
