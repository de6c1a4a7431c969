//! The service's own events about deliveries.

use serde_json::json;

use crate::model::delivery::{Attempt, DeathReason};
use crate::model::event::{Event, ServiceNews};
use crate::model::subscription::Subscription;
use crate::model::time::Timestamp;
use crate::store::{ClaimedDelivery, Disabled};

/// Returns the event that tells of a dead letter; `None` for a dead letter that carries nothing but the service's own
/// events, since such news could make news without end.
pub(super) fn delivery_dead(
    subscription: &Subscription,
    claimed: &ClaimedDelivery,
    attempt: &Attempt,
    reason: DeathReason,
    now: Timestamp,
) -> Option<Event> {
    let mut events = std::iter::once(&claimed.event).chain(&claimed.joined);
    if events.all(|event| event.connector.is_service()) {
        return None;
    }
    let mut data = json!({
        "delivery": claimed.lease.id,
        "event": claimed.event.id,
        "type": claimed.event.event_type,
        "connector": claimed.event.connector,
        "key": claimed.event.key,
        "subscription": subscription.name,
        "reason": reason,
        "attempts": attempt.number,
        "status": attempt.status,
        "failure": attempt.failure,
    });
    if !claimed.joined.is_empty() {
        data["joined"] = claimed.joined.iter().map(|event| json!(event.id)).collect();
    }
    Some(Event::of_service(ServiceNews::DeliveryDead, &claimed.lease.id.to_string(), now, &data))
}

/// Returns the event that tells of a disabled subscription.
pub(super) fn subscription_disabled(subscription: &Subscription, disabled: &Disabled) -> Event {
    let data = json!({ "subscription": subscription.name, "reason": disabled.reason, "at": disabled.at });
    Event::of_service(ServiceNews::SubscriptionDisabled, subscription.name.as_str(), disabled.at, &data)
}
