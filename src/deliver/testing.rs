//! Test events: what they say, and what was sent of one.

use std::sync::Arc;

use serde_json::json;

use super::render::Renderer;
use super::request::{RequestDescription, RequestWriter, Unsendable};
use crate::model::event::{Event, ServiceNews};
use crate::model::id::{DeliveryId, LeaseToken, SubscriptionName};
use crate::model::subscription::Subscription;
use crate::model::time::Timestamp;
use crate::store::{ClaimedDelivery, DeliveryLease};

/// Returns a new event that tells a subscription's receiver that it is only a test.
pub fn test_event(subscription: &SubscriptionName, now: Timestamp) -> Event {
    let data = json!({
        "message": "This is a test: pollhook reaches you. There is nothing to do.",
        "subscription": subscription,
        "sent_at": now,
    });
    Event::of_service(ServiceNews::Test, subscription.as_str(), now, &data)
}

/// Returns the request that was sent of a test event at the time of an attempt, as people may see it.
pub fn describe_test(
    subscription: &Arc<Subscription>,
    event: Arc<Event>,
    attempted_at: Timestamp,
) -> Result<RequestDescription, Unsendable> {
    describe_first_attempt(subscription, event, attempted_at)
}

/// Returns the request that an event would be sent with to a subscription at that time, as people may see it.
pub fn describe_first_attempt(
    subscription: &Arc<Subscription>,
    event: Arc<Event>,
    attempted_at: Timestamp,
) -> Result<RequestDescription, Unsendable> {
    let id = DeliveryId { event: event.id, subscription: subscription.name.clone() };
    let lease = DeliveryLease { id, token: LeaseToken::new(), until: attempted_at };
    let sent = ClaimedDelivery {
        lease,
        since: event.time,
        event,
        joined: Vec::new(),
        closed: false,
        attempts: 0,
        failures: 0,
    };
    RequestWriter::new(Arc::clone(subscription), Arc::new(Renderer::default())).describe(&sent, attempted_at)
}
