//! A store that forgets everything when it is dropped: plain maps under one lock.
//!
//! It is the reference that other stores are held against, so it shares no code with them and prefers being obviously
//! right to being fast.

mod deliveries;
mod history;
mod polls;
mod replays;
mod subscriptions;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use self::polls::Connector;
use super::wake::Wakes;
use super::{DeliveryLease, LaneState, Retention, StoreError, StoredSubscription};
use crate::model::delivery::{Attempt, DeathReason, Delivery, DeliveryState};
use crate::model::event::RoutedEvent;
use crate::model::fingerprint::BodyHash;
use crate::model::id::{ConnectorName, DeliveryId, EventId, SubscriptionName};
use crate::model::lane::Order;
use crate::model::replay::{Replay, ReplayId};
use crate::model::secret::Secret;
use crate::model::time::Timestamp;

/// A store in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
    wakes: Wakes,
    replay_wake: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Inner {
    closed: bool,
    connectors: HashMap<ConnectorName, Connector>,
    events: BTreeMap<EventId, RoutedEvent>,
    lanes: HashMap<SubscriptionName, Lane>,
    grants: HashMap<BodyHash, Secret>,
    replays: BTreeMap<ReplayId, Replay>,
    subscriptions: BTreeMap<SubscriptionName, StoredSubscription>,
    /// The last event that pruning looked at.
    pruned_to: Option<EventId>,
}

#[derive(Debug, Default)]
struct Lane {
    state: LaneState,
    deliveries: BTreeMap<EventId, Record>,
    /// How many deliveries were claimed.
    claimed: u64,
    /// That of the last claim.
    order: Order,
    /// Whether something was claimed that would go alone.
    sent_alone: bool,
    /// Up to which event nothing is joined, if anything is.
    alone_to: Option<EventId>,
}

#[derive(Debug)]
struct Record {
    place: Place,
    /// When it was queued or last replayed.
    since: Timestamp,
    failures: u32,
    /// How many attempts were made.
    attempted: u32,
    /// The last ones.
    attempts: Vec<Attempt>,
    /// The events of the deliveries that were joined to this one.
    members: Vec<EventId>,
    /// Whether nothing may be joined to it any more.
    closed: bool,
    lease: Option<DeliveryLease>,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It waits for its first attempt.
    First,
    /// It waits for another attempt.
    Again(Timestamp),
    /// It is a part of another delivery.
    Joined(EventId),
    Delivered(Timestamp),
    Dead(Timestamp, DeathReason),
}

impl MemoryStore {
    /// Returns an empty store.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Forgets what other stores lose in a crash: leases, and where claiming and pruning had come to.
    pub fn crash(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.pruned_to = None;
        for connector in inner.connectors.values_mut() {
            connector.lease = None;
        }
        for lane in inner.lanes.values_mut() {
            lane.claimed = 0;
            for record in lane.deliveries.values_mut() {
                record.lease = None;
            }
        }
    }

    fn open(&self) -> Result<MutexGuard<'_, Inner>, StoreError> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.closed { Err(StoreError::Closed) } else { Ok(inner) }
    }
}

impl Inner {
    /// Adds an event and its deliveries, and wakes whom it goes to.
    fn add(&mut self, routed: RoutedEvent, wakes: &Wakes) {
        for subscription in &routed.subscriptions {
            let lane = self.lanes.entry(subscription.clone()).or_default();
            lane.deliveries.insert(routed.event.id, Record::waiting(Place::First, routed.event.time));
            wakes.wake(subscription);
        }
        self.events.insert(routed.event.id, routed);
    }

    fn record(&self, id: &DeliveryId) -> Option<&Record> {
        self.lanes.get(&id.subscription)?.deliveries.get(&id.event)
    }

    fn record_mut(&mut self, id: &DeliveryId) -> Option<&mut Record> {
        self.lanes.get_mut(&id.subscription)?.deliveries.get_mut(&id.event)
    }

    /// Returns the delivery that decides what becomes of this one: itself, or the one that it was joined to.
    fn deciding(&self, id: &DeliveryId) -> Option<(EventId, &Record)> {
        let record = self.record(id)?;
        match record.place {
            Place::Joined(first) => Some((first, self.record(&DeliveryId { event: first, ..id.clone() })?)),
            _ => Some((id.event, record)),
        }
    }

    fn delivery(&self, id: DeliveryId) -> Option<Delivery> {
        let members = self.record(&id)?.members.len() as u32;
        let (event, record) = self.deciding(&id)?;
        let state = match record.place {
            Place::First | Place::Joined(_) => DeliveryState::Pending { due: event.time() },
            Place::Again(due) => DeliveryState::Pending { due },
            Place::Delivered(at) => DeliveryState::Delivered { at },
            Place::Dead(at, reason) => DeliveryState::Dead { at, reason },
        };
        let joined_to = (event != id.event).then_some(event);
        let last = record.attempts.last().map(Attempt::outcome);
        Some(Delivery { id, state, attempts: record.attempted, last, joined_to, members })
    }

    /// Removes a delivery, also from the batch that it is a part of; tells whether there was one.
    fn remove(&mut self, id: &DeliveryId) -> bool {
        let lane = self.lanes.entry(id.subscription.clone()).or_default();
        lane.leave_batch(id.event);
        lane.deliveries.remove(&id.event).is_some()
    }

    /// Queues a delivery again; tells whether there is one.
    fn replay(&mut self, id: &DeliveryId, now: Timestamp) -> bool {
        let Some(lane) = self.lanes.get_mut(&id.subscription) else { return false };
        lane.leave_batch(id.event);
        let Some(record) = lane.deliveries.get_mut(&id.event) else { return false };
        if record.place != Place::First {
            (record.place, record.since, record.failures) = (Place::Again(now), now, 0);
        }
        true
    }

    /// Notes since when nobody configures the subscriptions that deliveries wait for.
    fn note_unconfigured(&mut self, configured: &[SubscriptionName], now: Timestamp) {
        for (name, lane) in &mut self.lanes {
            if configured.contains(name) {
                lane.state.unconfigured_since = None;
            } else if lane.deliveries.values().any(Record::is_waiting) {
                lane.state.unconfigured_since.get_or_insert(now);
            }
        }
    }

    /// Tells whether all deliveries of an event were settled before the retention's bounds, or wait for nobody.
    fn is_over(&self, routed: &RoutedEvent, now: Timestamp, retention: Retention) -> bool {
        let is_abandoned = |subscription: &SubscriptionName| {
            let since = self.lanes.get(subscription).and_then(|lane| lane.state.unconfigured_since);
            since.is_some_and(|since| since < now - retention.dead)
        };
        let is_settled = |subscription: &SubscriptionName| {
            let id = DeliveryId { event: routed.event.id, subscription: subscription.clone() };
            let Some((_, deciding)) = self.deciding(&id) else { return false };
            let is_over = match deciding.place {
                Place::Delivered(at) => at < now - retention.delivered,
                Place::Dead(at, _) => at < now - retention.dead,
                _ => is_abandoned(subscription) && !deciding.is_held(now),
            };
            is_over && self.record(&id).is_some_and(|record| record.members.is_empty())
        };
        match routed.subscriptions.as_slice() {
            [] => routed.event.id.time() < now - retention.delivered,
            subscriptions => subscriptions.iter().all(is_settled),
        }
    }
}

impl Lane {
    /// Tells whether the order lets a delivery that waits and is not held be attempted before all others of its item.
    fn is_next(&self, id: EventId, events: &BTreeMap<EventId, RoutedEvent>) -> bool {
        if self.order == Order::None {
            return true;
        }
        let item = |id: &EventId| {
            let event = &events[id].event;
            (&event.connector, event.element.as_ref().map(|element| element.get()), &event.key)
        };
        let is_again = |record: &Record| matches!(record.place, Place::Again(_));
        let rank = |id: EventId, record: &Record| (!is_again(record), id);
        let own = rank(id, &self.deliveries[&id]);
        let mut others = self.deliveries.iter().filter(|(other, record)| {
            let of_same_item = || self.order == Order::All || item(other) == item(&id);
            **other != id && record.is_waiting() && of_same_item()
        });
        others.all(|(other, record)| record.lease.is_none() && own < rank(*other, record))
    }

    /// Takes a delivery out of the batch that it is a part of, if it is.
    fn leave_batch(&mut self, event: EventId) {
        let Some(Place::Joined(first)) = self.deliveries.get(&event).map(|record| record.place) else { return };
        if let Some(batch) = self.deliveries.get_mut(&first) {
            batch.members.retain(|member| *member != event);
        }
    }
}

impl Record {
    fn waiting(place: Place, since: Timestamp) -> Self {
        Self {
            place,
            since,
            failures: 0,
            attempted: 0,
            attempts: Vec::new(),
            members: Vec::new(),
            closed: false,
            lease: None,
        }
    }

    fn is_waiting(&self) -> bool {
        matches!(self.place, Place::First | Place::Again(_))
    }

    fn is_held(&self, now: Timestamp) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.until > now)
    }
}
