//! Which events are meant.

use serde::{Deserialize, Serialize};

use super::event::Event;
use super::id::{ConnectorName, EventId};
use super::pattern::Pattern;
use super::time::Timestamp;

/// Which events are meant, by what they say of themselves; the default means all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFilter {
    pub connector: Option<ConnectorName>,
    /// A type, whole (`orders.created`) or without its connector (`created`).
    pub event_type: Option<Pattern>,
    /// Detected then or later.
    pub from: Option<Timestamp>,
    /// Detected before.
    pub until: Option<Timestamp>,
}

impl EventFilter {
    /// Returns the filter for a connector's events.
    pub fn of_connector(connector: ConnectorName) -> Self {
        Self { connector: Some(connector), ..Self::default() }
    }

    /// Tells whether an event is meant.
    pub fn matches(&self, event: &Event) -> bool {
        self.spans(event.id) && self.matches_kind(event)
    }

    /// Tells whether an event is meant, as far as its connector and type say.
    pub fn matches_kind(&self, event: &Event) -> bool {
        let is_wanted = |pattern: &Pattern| {
            pattern.matches(event.event_type.as_str()) || pattern.matches(event.event_type.action())
        };
        self.connector.as_ref().is_none_or(|connector| *connector == event.connector)
            && self.event_type.as_ref().is_none_or(is_wanted)
    }

    /// Tells whether the event with this id is meant, as far as its time says.
    pub fn spans(&self, id: EventId) -> bool {
        self.first().is_none_or(|first| first <= id) && self.bound().is_none_or(|bound| id < bound)
    }

    /// Tells whether more than an event's id must be known to judge it.
    pub fn asks_for_kind(&self) -> bool {
        self.connector.is_some() || self.event_type.is_some()
    }

    /// Returns the smallest id that is meant; `None` if there is no bound.
    pub fn first(&self) -> Option<EventId> {
        self.from.map(EventId::first_of)
    }

    /// Returns the smallest id that is not meant any more; `None` if there is no bound.
    pub fn bound(&self) -> Option<EventId> {
        self.until.map(EventId::first_of)
    }
}
