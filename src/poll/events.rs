//! Changes → events.

use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::detect::Change;
use super::error::ItemProblem;
use super::patch;
use crate::model::change::ChangeKind;
use crate::model::connector::Connector;
use crate::model::event::{Event, EventType};
use crate::model::excerpt::Excerpt;
use crate::model::id::EventId;
use crate::model::item::{Item, KeptItem};
use crate::model::json;
use crate::model::time::Timestamp;

/// Why no event can be made of a change: something is wrong with the item.
#[derive(Debug, thiserror::Error)]
#[error("item {key}: {problem}{excerpt}")]
pub struct EventError {
    key: String,
    problem: ItemProblem,
    excerpt: Excerpt,
}

/// What an event tells of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub key: &'a str,
    /// The item as it was found; `None` if it is missing.
    pub value: Option<&'a Value>,
    /// The item as it was kept, if it was.
    pub kept: Option<&'a RawValue>,
}

/// Returns the event of an item's creation, as a poll at that time would send it.
pub fn created_event(connector: &Connector, item: &Item, at: Timestamp) -> Result<Event, EventError> {
    let change = Change { kind: ChangeKind::Created, reappeared: false };
    event(connector, change, Subject { key: &item.key, value: Some(&item.record.value()), kept: None }, at)
}

/// Returns the event of an item's update, as a poll at that time would send it; `kept` is the item as it was.
pub fn updated_event(
    connector: &Connector,
    item: &Item,
    kept: Option<&RawValue>,
    at: Timestamp,
) -> Result<Event, EventError> {
    let change = Change { kind: ChangeKind::Updated, reappeared: false };
    event(connector, change, Subject { key: &item.key, value: Some(&item.record.value()), kept }, at)
}

/// Returns the event of a change.
pub(super) fn event(
    connector: &Connector,
    change: Change,
    subject: Subject<'_>,
    at: Timestamp,
) -> Result<Event, EventError> {
    let fail = |value: &Value, problem| EventError {
        key: subject.key.to_owned(),
        problem,
        excerpt: Excerpt::of_value(&connector.redactor, value),
    };
    let present = match subject.value {
        Some(value) => Some(data(connector, value).map_err(|problem| fail(value, problem))?),
        None => None,
    };
    // What was kept in the days of other rules may not suit these: then there is no telling what it was.
    let kept = subject
        .kept
        .and_then(|kept| json::parse(kept.get().as_bytes()).ok())
        .and_then(|kept| data(connector, &kept).ok());
    let (data, changes, previous) = match (change.kind, present, kept) {
        (ChangeKind::Updated, Some(present), Some(kept)) => {
            let changes = patch::diff(&kept, &present);
            (present, Some(changes), Some(kept))
        }
        (_, Some(present), _) => (present, None, None),
        (_, None, kept) => (kept.unwrap_or_default(), None, None),
    };
    Ok(Event {
        event_type: EventType::of_change(&connector.events_as, change.kind),
        time: at,
        id: EventId::new(at),
        connector: connector.events_as.clone(),
        element: connector.element.as_ref().map(raw),
        key: subject.key.to_owned(),
        data: raw(&data),
        changes: changes.as_ref().map(raw),
        previous: previous.as_ref().map(raw),
        reappeared: change.reappeared,
    })
}

/// Returns an item's record in the form in which it is kept.
pub(super) fn keep(value: &Value) -> KeptItem {
    raw(value)
}

fn raw(value: &Value) -> Box<RawValue> {
    to_raw_value(value).expect("a JSON value is written without errors")
}

fn data(connector: &Connector, value: &Value) -> Result<Value, ItemProblem> {
    let Some(expression) = &connector.item.data else { return Ok(value.clone()) };
    let mut outputs = expression.outputs(value).map_err(|error| ItemProblem::Expression {
        setting: "item.data",
        expression: expression.source().to_owned(),
        error: error.message,
    })?;
    match outputs.len() {
        1 => Ok(outputs.swap_remove(0).into_owned()),
        found => Err(ItemProblem::Data { expression: expression.source().to_owned(), found }),
    }
}
