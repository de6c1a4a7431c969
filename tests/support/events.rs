//! Events made durable without a poll.

use std::time::Duration;

use pollhook::model::change::ChangeKind;
use pollhook::model::event::{Event, EventType, Route, ServiceNews};
use pollhook::model::fingerprint::{BodyHash, Fingerprint, KeyHash};
use pollhook::model::id::{ConnectorName, EventId};
use pollhook::model::item::{Presence, SeenItem};
use pollhook::model::time::Timestamp;
use pollhook::store::{ConnectorState, PollCommit, PollStore, RulesMemory, SeenUpdate};
use serde_json::json;

/// Commits a poll of the connector `orders` that found items with these keys and so many bytes of text new. Returns their
/// events' ids.
pub async fn add(
    store: &dyn PollStore,
    route: &dyn Route,
    at: Timestamp,
    keys: impl IntoIterator<Item = String>,
    bytes: usize,
) -> Vec<EventId> {
    let orders: ConnectorName = "orders".parse().expect("a name");
    let lease = store.lease_poll(&orders, at, Duration::from_secs(60)).await.expect("the store works");
    let events: Vec<Event> = keys.into_iter().map(|key| event(&orders, &key, at, bytes)).collect();
    let ids = events.iter().map(|event| event.id).collect();
    let update = |event: Event| SeenUpdate { seen: seen(&event.key, at), kept: None, event: Some(route.route(event)) };
    let commit = PollCommit::new(at, events.into_iter().map(update).collect(), state(at));
    store.commit_poll(lease.expect("nobody polls"), commit).await.expect("the store works");
    ids
}

fn event(orders: &ConnectorName, key: &str, at: Timestamp, bytes: usize) -> Event {
    let data = json!({ "id": key, "note": "x".repeat(bytes) });
    let mut event = Event::of_service(ServiceNews::Test, key, at, &data);
    event.connector = orders.clone();
    event.event_type = EventType::of_change(orders, ChangeKind::Created);
    event
}

fn seen(key: &str, at: Timestamp) -> SeenItem {
    let key_hash = KeyHash::of(key);
    let fingerprint = Fingerprint(key_hash.0);
    SeenItem { key_hash, fingerprint, first_seen: at, last_seen: at, presence: Presence::Present, epoch: 0, key: None }
}

fn state(at: Timestamp) -> ConnectorState {
    let none = BodyHash([0; 32]);
    let rules = RulesMemory { pages: none, keys: none, fingerprints: none };
    ConnectorState { baselined: true, ..ConnectorState::first(at, rules) }
}
