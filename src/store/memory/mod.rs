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
use crate::model::delivery::{Attempt, Delivery, DeliveryState};
use crate::model::event::RoutedEvent;
use crate::model::fingerprint::BodyHash;
use crate::model::id::{ConnectorName, DeliveryId, EventId, SubscriptionName};
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
}

#[derive(Debug)]
struct Record {
    place: Place,
    failures: u32,
    attempts: Vec<Attempt>,
    lease: Option<DeliveryLease>,
}

/// Where a delivery stands.
#[derive(Debug)]
enum Place {
    /// It waits for its first attempt.
    First,
    /// It waits for another attempt.
    Again(Timestamp),
    Settled(DeliveryState),
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
            lane.deliveries.insert(routed.event.id, Record::waiting(Place::First));
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

    fn delivery(&self, id: DeliveryId) -> Option<Delivery> {
        let record = self.record(&id)?;
        let state = match &record.place {
            Place::First => DeliveryState::Pending { due: id.event.time() },
            Place::Again(due) => DeliveryState::Pending { due: *due },
            Place::Settled(state) => state.clone(),
        };
        let last = record.attempts.last().map(Attempt::outcome);
        Some(Delivery { id, state, attempts: record.attempts.len() as u32, last })
    }

    /// Notes since when nobody configures the subscriptions that deliveries wait for.
    fn note_unconfigured(&mut self, configured: &[SubscriptionName], now: Timestamp) {
        for (name, lane) in &mut self.lanes {
            if configured.contains(name) {
                lane.state.unconfigured_since = None;
            } else if lane.deliveries.values().any(|record| !matches!(record.place, Place::Settled(_))) {
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
            let Some(record) = self.record(&id) else { return false };
            match record.place {
                Place::Settled(DeliveryState::Delivered { at }) => at < now - retention.delivered,
                Place::Settled(DeliveryState::Dead { at, .. }) => at < now - retention.dead,
                _ => is_abandoned(subscription) && !record.is_held(now),
            }
        };
        match routed.subscriptions.as_slice() {
            [] => routed.event.id.time() < now - retention.delivered,
            subscriptions => subscriptions.iter().all(is_settled),
        }
    }
}

impl Record {
    fn waiting(place: Place) -> Self {
        Self { place, failures: 0, attempts: Vec::new(), lease: None }
    }

    fn replay(&mut self, now: Timestamp) {
        self.failures = 0;
        if !matches!(self.place, Place::First) {
            self.place = Place::Again(now);
        }
    }

    fn is_held(&self, now: Timestamp) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.until > now)
    }
}
