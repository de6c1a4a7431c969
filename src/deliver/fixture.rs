//! What the tests of this room are made of.

use std::time::Duration;

use serde_json::Value;

use crate::model::content::Content;
use crate::model::event::{Event, ServiceNews};
use crate::model::lane::LanePolicy;
use crate::model::retry::RetryPolicy;
use crate::model::secret::Redactor;
use crate::model::signing::Signing;
use crate::model::subscription::{Matching, Origin, Subscription};
use crate::model::time::Timestamp;

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
