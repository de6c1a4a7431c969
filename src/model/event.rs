//! Changes made durable.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::change::ChangeKind;
use super::id::{ConnectorName, EventId, SubscriptionName};
use super::time::Timestamp;

/// What an event says, in dotted words: `orders.updated`, `pollhook.subscription.disabled`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventType(Arc<str>);

impl EventType {
    /// Returns the type of an item's change.
    pub fn of_change(connector: &ConnectorName, kind: ChangeKind) -> Self {
        Self(format!("{connector}.{kind}").into())
    }

    /// Returns the type of one of the service's own events.
    pub fn of_service(news: ServiceNews) -> Self {
        Self(format!("pollhook.{}", news.as_str()).into())
    }

    /// Returns the whole type as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the type without its connector: `created`, `subscription.disabled`.
    pub fn action(&self) -> &str {
        self.0.split_once('.').map_or(&*self.0, |(_, action)| action)
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What the service itself has to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceNews {
    ConnectorFailing,
    ConnectorRecovered,
    ConnectorSilent,
    ConnectorHeld,
    SubscriptionDisabled,
    DeliveryDead,
    /// Sent to a subscription to see whether it works.
    Test,
}

impl ServiceNews {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ConnectorFailing,
        Self::ConnectorRecovered,
        Self::ConnectorSilent,
        Self::ConnectorHeld,
        Self::SubscriptionDisabled,
        Self::DeliveryDead,
        Self::Test,
    ];

    /// Returns the words after `pollhook.`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConnectorFailing => "connector.failing",
            Self::ConnectorRecovered => "connector.recovered",
            Self::ConnectorSilent => "connector.silent",
            Self::ConnectorHeld => "connector.held",
            Self::SubscriptionDisabled => "subscription.disabled",
            Self::DeliveryDead => "delivery.dead",
            Self::Test => "test",
        }
    }
}

/// A change made durable. It never changes again.
///
/// Its JSON form is the body of the `standard` format.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// When the change was detected.
    #[serde(rename = "timestamp")]
    pub time: Timestamp,
    pub id: EventId,
    pub connector: ConnectorName,
    /// The element of the connector's `each` that the item comes from, without secrets: items of two elements may have
    /// the same key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element: Option<Box<RawValue>>,
    /// The key of the item; of the service's own events, the name of what they are about.
    pub key: String,
    /// The item, or what the connector's `data` makes of it; `null` for a removed item that was not kept.
    pub data: Box<RawValue>,
    /// What an update changed, as a JSON Patch (RFC 6902) from the previous item to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Box<RawValue>>,
    /// The item before an update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Box<RawValue>>,
    /// Whether a created item had been removed before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reappeared: bool,
}

/// An event and the subscriptions that it goes to.
#[derive(Debug, Clone)]
pub struct RoutedEvent {
    pub event: Arc<Event>,
    pub subscriptions: Vec<SubscriptionName>,
}

/// Decides which subscriptions an event goes to.
pub trait Route: Send + Sync + 'static {
    /// Returns the subscriptions that match the event.
    fn subscriptions(&self, event: &Event) -> Vec<SubscriptionName>;

    /// Returns the event with the subscriptions that match it.
    fn route(&self, event: Event) -> RoutedEvent {
        let subscriptions = self.subscriptions(&event);
        RoutedEvent { event: Arc::new(event), subscriptions }
    }
}

impl Event {
    /// Returns about how many bytes the event takes.
    pub fn size(&self) -> usize {
        let optional = |raw: &Option<Box<RawValue>>| raw.as_ref().map_or(0, |raw| raw.get().len());
        let optional = [&self.element, &self.changes, &self.previous].map(optional);
        self.key.len() + self.data.get().len() + optional.iter().sum::<usize>()
    }

    /// Returns one of the service's own events, about the thing with this name.
    pub fn of_service(news: ServiceNews, about: &str, time: Timestamp, data: &serde_json::Value) -> Self {
        Self {
            event_type: EventType::of_service(news),
            time,
            id: EventId::new(time),
            connector: ConnectorName::service(),
            element: None,
            key: about.to_owned(),
            data: serde_json::value::to_raw_value(data).expect("a JSON value is written without errors"),
            changes: None,
            previous: None,
            reappeared: false,
        }
    }
}
