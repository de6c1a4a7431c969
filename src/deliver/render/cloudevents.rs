//! The formats `cloudevents` and `cloudevents-batch`: CloudEvents 1.0 in JSON.
//!
//! The data is the item. What an event says beside it are extension attributes, which can be texts but no objects: `element`,
//! `changes` and `previous` are JSON texts.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::recipe::{RenderError, write_json};
use crate::model::event::Event;

/// The value of a CloudEvent's attribute.
pub(super) enum Attribute<'e> {
    Text(std::borrow::Cow<'e, str>),
    Boolean(bool),
}

/// Writes an event as a CloudEvent.
#[expect(clippy::unnecessary_wraps, reason = "the formats are written by functions of one form")]
pub(super) fn write(event: &Event, out: &mut Vec<u8>) -> Result<(), RenderError> {
    write_json(&CloudEvent(event), out);
    Ok(())
}

/// Returns the attributes that are small enough for headers, with those that every CloudEvent must have first.
pub(super) fn attributes(event: &Event) -> Vec<(&'static str, Attribute<'_>)> {
    let mut attributes = vec![
        ("specversion", Attribute::text("1.0")),
        ("id", Attribute::text(event.id.to_string())),
        ("source", Attribute::text(format!("pollhook/{}", event.connector))),
        ("type", Attribute::text(event.event_type.as_str())),
        ("time", Attribute::text(event.time.to_string())),
    ];
    // An attribute must not be empty.
    if !event.key.is_empty() {
        attributes.push(("subject", Attribute::text(event.key.as_str())));
    }
    attributes.push(("connector", Attribute::text(event.connector.as_str())));
    attributes.extend(event.element.as_ref().map(|element| ("element", Attribute::text(element.get()))));
    if event.reappeared {
        attributes.push(("reappeared", Attribute::Boolean(true)));
    }
    attributes
}

impl<'e> Attribute<'e> {
    fn text(text: impl Into<std::borrow::Cow<'e, str>>) -> Self {
        Self::Text(text.into())
    }
}

impl Serialize for Attribute<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Boolean(value) => serializer.serialize_bool(*value),
        }
    }
}

struct CloudEvent<'e>(&'e Event);

impl Serialize for CloudEvent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = self.0;
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in attributes(event) {
            map.serialize_entry(name, &value)?;
        }
        map.serialize_entry("datacontenttype", "application/json")?;
        for (name, value) in [("changes", &event.changes), ("previous", &event.previous)] {
            if let Some(value) = value {
                map.serialize_entry(name, value.get())?;
            }
        }
        map.serialize_entry("data", &event.data)?;
        map.end()
    }
}
