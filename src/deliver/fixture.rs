//! What the tests of this room are made of.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::model::content::Content;
use crate::model::event::{Event, ServiceNews};
use crate::model::id::{DeliveryId, EventId, LeaseToken};
use crate::model::lane::LanePolicy;
use crate::model::retry::RetryPolicy;
use crate::model::secret::Redactor;
use crate::model::signing::Signing;
use crate::model::subscription::{Matching, Origin, Subscription};
use crate::model::time::Timestamp;
use crate::store::{ClaimedDelivery, DeliveryLease};

/// Returns a subscription to everything, unsigned.
pub(crate) fn subscription(name: &str, url: &str) -> Subscription {
    Subscription {
        name: name.parse().expect("a name"),
        url: url.parse().expect("a URL"),
        matching: Matching { connectors: Vec::new(), events: Vec::new(), filter: None },
        origin: Origin::Configuration,
        content: Content::default(),
        signing: Signing::none(),
        auth: None,
        tls: None,
        headers: Vec::new(),
        timeout: Duration::from_secs(5),
        lane: LanePolicy { concurrency: 4, ..LanePolicy::default() },
        retry: RetryPolicy::default(),
        redactor: Redactor::default(),
    }
}

/// Returns an event of this type, about the item `k`.
pub(crate) fn event(connector: &str, action: &str, data: &Value) -> Event {
    let time = Timestamp::parse("2026-11-20T12:00:00Z").expect("a time");
    let mut event = Event::of_service(ServiceNews::DeliveryDead, "k", time, data);
    event.connector = connector.parse().expect("a name");
    event.event_type = serde_json::from_value(Value::String(format!("{connector}.{action}"))).expect("a type");
    event
}

/// Returns an update of the order 1017 with all that an event can have, and always the same.
pub(crate) fn golden() -> Event {
    let raw = |text: &str| RawValue::from_string(text.to_owned()).expect("JSON");
    let mut event = event("orders", "updated", &Value::Null);
    event.time = Timestamp::parse("2026-11-20T12:00:00.123Z").expect("a time");
    event.id = EventId::from_bytes([7; 16]);
    event.element = Some(raw(r#"{"shop":"Ä 1"}"#));
    event.key = "1017".to_owned();
    event.data = raw(r#"{"id":1017,"status":"paid","n":9007199254740993,"f":1.0,"e":1e400,"z":0.1000}"#);
    event.changes = Some(raw(r#"[{"op":"replace","path":"/f","value":1.0}]"#));
    event.previous = Some(raw(r#"{"id":1017,"status":"open","f":2.50}"#));
    event
}

/// Returns a first attempt of these events together.
pub(crate) fn claimed(events: Vec<Event>) -> ClaimedDelivery {
    let mut events = events.into_iter().map(Arc::new);
    let event = events.next().expect("at least one event");
    let id = DeliveryId { event: event.id, subscription: "erp".parse().expect("a name") };
    let lease = DeliveryLease { id, token: LeaseToken::new(), until: Timestamp::LAST };
    let since = event.time;
    ClaimedDelivery { lease, event, joined: events.collect(), closed: false, since, attempts: 0, failures: 0 }
}
