//! What to make of events, and what may go wrong.

use std::sync::Arc;

use bytes::Bytes;

use super::body::Body;
use super::{Rendered, body, cloudevents, cloudevents_binary, form, raw};
use crate::http::header::HeaderMap;
use crate::model::content::{Content, DeliveryFormat};
use crate::model::event::Event;
use crate::model::expression::ExpressionError;
use crate::model::fingerprint::BodyHash;

/// What a subscription's receiver reads of each delivery.
#[derive(Debug, Clone)]
pub struct Recipe {
    id: RecipeId,
    body: Option<Body>,
}

/// What tells recipes apart: what is made by the same one of the same event are the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct RecipeId {
    format: DeliveryFormat,
    /// Whether a single event is a list as well.
    always_list: bool,
    body: Option<BodyHash>,
}

/// Why there is nothing to be read of an event.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("the expression in `body` failed on {event}")]
    Failed {
        event: String,
        #[source]
        source: ExpressionError,
    },
    #[error("the expression in `body` gives nothing for {event}")]
    Nothing { event: String },
    #[error("a form is made of an object, and the expression in `body` gives {found} for {event}")]
    NoObject { event: String, found: &'static str },
    #[error("{event} cannot be read by the expression in `body`")]
    Unreadable {
        event: String,
        #[source]
        source: serde_json::Error,
    },
}

impl Recipe {
    /// Returns the recipe for contents like these.
    pub fn new(content: &Content) -> Self {
        let body = Body::of(content);
        let id = body.as_ref().map(Body::id);
        Self { id: RecipeId { format: content.format, always_list: content.batch.is_some(), body: id }, body }
    }

    pub(super) fn id(&self) -> RecipeId {
        self.id
    }

    /// Makes of events, which are at least one, what the receiver reads.
    pub fn render(&self, events: &[&Event]) -> Result<Rendered, RenderError> {
        let list = self.id.always_list || events.len() > 1;
        let own = |event: &Event, out: &mut Vec<u8>| body::write(self.body.as_ref(), event, out);
        Ok(match self.id.format {
            DeliveryFormat::Standard => json(written(events, list, own)?),
            DeliveryFormat::Form => form::render(events, list, own)?,
            DeliveryFormat::Raw => json(written(events, list, raw::write)?),
            DeliveryFormat::CloudEventsBinary if !list => cloudevents_binary::render(events[0]),
            DeliveryFormat::CloudEvents if !list => {
                rendered("application/cloudevents+json", written(events, false, cloudevents::write)?)
            }
            DeliveryFormat::CloudEvents | DeliveryFormat::CloudEventsBinary | DeliveryFormat::CloudEventsBatch => {
                rendered("application/cloudevents-batch+json", written(events, true, cloudevents::write)?)
            }
        })
    }

    /// Returns how many bytes an event takes in a body, or somewhat more; `None` if it cannot be rendered. Cheap unless
    /// there is an expression in `body`, which then has to be evaluated.
    pub fn most_bytes(&self, event: &Event) -> Option<usize> {
        if self.body.is_some() {
            return self.render(&[event]).ok().map(|rendered| rendered.body.len());
        }
        let bytes = match self.id.format {
            DeliveryFormat::Standard => event.size(),
            // In a string, each quote of JSON takes a byte more.
            DeliveryFormat::CloudEvents | DeliveryFormat::CloudEventsBatch => 2 * event.size() - event.data.get().len(),
            // Percent-encoded, a byte takes three.
            DeliveryFormat::Form => 3 * event.size(),
            DeliveryFormat::CloudEventsBinary | DeliveryFormat::Raw => event.data.get().len(),
        };
        // A control character of the key takes six bytes.
        Some(bytes + 6 * event.key.len() + LONGEST_ENVELOPE)
    }
}

/// What an event has beside key, data, changes and previous, in bytes, with the names of all members.
const LONGEST_ENVELOPE: usize = 640;

/// Returns events as a list of JSON texts, or the only one by itself.
pub(super) fn written(
    events: &[&Event],
    list: bool,
    write: impl Fn(&Event, &mut Vec<u8>) -> Result<(), RenderError>,
) -> Result<Vec<u8>, RenderError> {
    let mut out = Vec::with_capacity(events.iter().map(|event| event.size() + LONGEST_ENVELOPE).sum());
    if list {
        out.push(b'[');
    }
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(event, &mut out)?;
    }
    if list {
        out.push(b']');
    }
    Ok(out)
}

pub(super) fn json(body: Vec<u8>) -> Rendered {
    rendered("application/json", body)
}

pub(super) fn rendered(content_type: &'static str, body: Vec<u8>) -> Rendered {
    Rendered { content_type, headers: Arc::new(HeaderMap::new()), body: Bytes::from(body) }
}

/// Returns which event is meant, for people.
pub(super) fn described(event: &Event) -> String {
    format!("{} ({}, {:?})", event.id, event.event_type, event.key)
}

/// Writes something as JSON behind what is there.
pub(super) fn write_json(value: &impl serde::Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("an event is written without errors");
}
