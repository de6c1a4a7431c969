//! A store that forgets everything when it is dropped: plain maps under one lock.
//!
//! It is the reference that other stores are held against, so it shares no code with them and prefers being obviously
//! right to being fast.

mod polls;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use self::polls::Connector;
use super::wake::Wakes;
use super::{
    ClaimedDelivery, DeliveryLease, DeliveryQuery, DeliveryStateName, DeliveryStore, EventQuery, HistoryStore,
    LaneCounts, LaneState, Pruned, Retention, Settlement, StoreError, Verdict, retries_among,
};
use crate::model::delivery::{Attempt, Delivery, DeliveryState};
use crate::model::event::RoutedEvent;
use crate::model::fingerprint::BodyHash;
use crate::model::id::{ConnectorName, DeliveryId, EventId, LeaseToken, SubscriptionName};
use crate::model::poll_record::PollRecord;
use crate::model::secret::Secret;
use crate::model::time::Timestamp;

/// A store in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
    wakes: Wakes,
}

#[derive(Debug, Default)]
struct Inner {
    closed: bool,
    connectors: HashMap<ConnectorName, Connector>,
    events: BTreeMap<EventId, RoutedEvent>,
    lanes: HashMap<SubscriptionName, Lane>,
    grants: HashMap<BodyHash, Secret>,
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
            lane.deliveries.insert(
                routed.event.id,
                Record { place: Place::First, failures: 0, attempts: Vec::new(), lease: None },
            );
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
        Some(Delivery { id, state, attempts: record.attempts.len() as u32 })
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

impl MemoryStore {
    fn settle(&self, settlement: Settlement) -> Result<(), StoreError> {
        let Settlement { lease, attempt, verdict, news } = settlement;
        let mut inner = self.open()?;
        let record = inner
            .record_mut(&lease.id)
            .filter(|record| record.lease.as_ref().is_some_and(|held| held.token == lease.token))
            .ok_or_else(|| StoreError::StaleLease { what: format!("delivery {}", lease.id) })?;
        let at = attempt.started_at + attempt.duration;
        record.lease = None;
        record.attempts.push(attempt);
        record.place = match verdict {
            Verdict::Delivered => Place::Settled(DeliveryState::Delivered { at }),
            Verdict::Dead(reason) => Place::Settled(DeliveryState::Dead { at, reason }),
            Verdict::Retry(due) => Place::Again(due),
        };
        if verdict != Verdict::Delivered {
            record.failures += 1;
        }
        if let Verdict::Retry(_) = verdict {
            self.wakes.wake(&lease.id.subscription);
        }
        for routed in news {
            inner.add(routed, &self.wakes);
        }
        Ok(())
    }
}

#[async_trait]
impl DeliveryStore for MemoryStore {
    async fn claim_deliveries(
        &self,
        subscription: &SubscriptionName,
        now: Timestamp,
        most: usize,
        lease_for: Duration,
    ) -> Result<Vec<ClaimedDelivery>, StoreError> {
        let mut inner = self.open()?;
        let inner = &mut *inner;
        let lane = inner.lanes.entry(subscription.clone()).or_default();
        let mut first = Vec::new();
        let mut again = Vec::new();
        for (&id, record) in lane.deliveries.iter().filter(|(_, record)| !record.is_held(now)) {
            match record.place {
                Place::First => first.push(id),
                Place::Again(due) if due <= now => again.push((due, id)),
                _ => {}
            }
        }
        again.sort_unstable();
        let reserved = retries_among(lane.claimed, most).min(again.len());
        first.truncate(most - reserved);
        again.truncate(most - first.len());
        lane.claimed += (first.len() + again.len()) as u64;

        let mut claimed = Vec::new();
        for event in first.into_iter().chain(again.into_iter().map(|(_, id)| id)) {
            let record = lane.deliveries.get_mut(&event).expect("it was found a moment ago");
            let id = DeliveryId { event, subscription: subscription.clone() };
            let lease = DeliveryLease { id, token: LeaseToken::new(), until: now + lease_for };
            record.lease = Some(lease.clone());
            claimed.push(ClaimedDelivery {
                lease,
                event: Arc::clone(&inner.events[&event].event),
                attempts: record.attempts.len() as u32,
                failures: record.failures,
            });
        }
        Ok(claimed)
    }

    async fn settle_deliveries(&self, settlements: Vec<Settlement>) -> Vec<Result<(), StoreError>> {
        settlements.into_iter().map(|settlement| self.settle(settlement)).collect()
    }

    async fn release_deliveries(&self, leases: Vec<DeliveryLease>) -> Result<(), StoreError> {
        let mut inner = self.open()?;
        for lease in leases {
            if let Some(record) = inner.record_mut(&lease.id)
                && record.lease.as_ref().is_some_and(|held| held.token == lease.token)
            {
                record.lease = None;
                self.wakes.wake(&lease.id.subscription);
            }
        }
        Ok(())
    }

    async fn next_due(&self, subscription: &SubscriptionName) -> Result<Option<Timestamp>, StoreError> {
        let inner = self.open()?;
        let Some(lane) = inner.lanes.get(subscription) else { return Ok(None) };
        let due = lane.deliveries.iter().filter_map(|(id, record)| {
            let due = match record.place {
                Place::First => id.time(),
                Place::Again(due) => due,
                Place::Settled(_) => return None,
            };
            Some(record.lease.as_ref().map_or(due, |lease| lease.until))
        });
        Ok(due.min())
    }

    async fn lane_state(&self, subscription: &SubscriptionName) -> Result<LaneState, StoreError> {
        Ok(self.open()?.lanes.get(subscription).map(|lane| lane.state.clone()).unwrap_or_default())
    }

    async fn set_lane_state(
        &self,
        subscription: &SubscriptionName,
        state: LaneState,
        news: Vec<RoutedEvent>,
    ) -> Result<(), StoreError> {
        let mut inner = self.open()?;
        inner.lanes.entry(subscription.clone()).or_default().state = state;
        for routed in news {
            inner.add(routed, &self.wakes);
        }
        Ok(())
    }

    fn wake(&self, subscription: &SubscriptionName) -> Arc<Notify> {
        self.wakes.of(subscription)
    }
}

#[async_trait]
impl HistoryStore for MemoryStore {
    async fn events(&self, query: EventQuery) -> Result<Vec<RoutedEvent>, StoreError> {
        let inner = self.open()?;
        let found = inner
            .events
            .values()
            .rev()
            .filter(|routed| query.before.is_none_or(|before| routed.event.id < before))
            .filter(|routed| query.connector.as_ref().is_none_or(|connector| routed.event.connector == *connector))
            .take(query.limit);
        Ok(found.cloned().collect())
    }

    async fn event(&self, id: EventId) -> Result<Option<RoutedEvent>, StoreError> {
        Ok(self.open()?.events.get(&id).cloned())
    }

    async fn deliveries(&self, query: DeliveryQuery) -> Result<Vec<Delivery>, StoreError> {
        let inner = self.open()?;
        let mut ids: Vec<DeliveryId> = Vec::new();
        for (subscription, lane) in &inner.lanes {
            if query.subscription.as_ref().is_none_or(|wanted| wanted == subscription) {
                ids.extend(
                    lane.deliveries.keys().map(|&event| DeliveryId { event, subscription: subscription.clone() }),
                );
            }
        }
        ids.sort_unstable();
        let found = ids
            .into_iter()
            .rev()
            .filter(|id| query.before.as_ref().is_none_or(|before| id < before))
            .filter_map(|id| inner.delivery(id))
            .filter(|delivery| query.state.is_none_or(|state| state == DeliveryStateName::of(&delivery.state)))
            .take(query.limit);
        Ok(found.collect())
    }

    async fn delivery(&self, id: &DeliveryId) -> Result<Option<(Delivery, Vec<Attempt>)>, StoreError> {
        let inner = self.open()?;
        let Some(delivery) = inner.delivery(id.clone()) else { return Ok(None) };
        Ok(inner.record(id).map(|record| (delivery, record.attempts.clone())))
    }

    async fn polls(
        &self,
        connector: &ConnectorName,
        before: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<PollRecord>, StoreError> {
        let inner = self.open()?;
        let Some(entry) = inner.connectors.get(connector) else { return Ok(Vec::new()) };
        let older = entry.polls.values().rev().filter(|record| before.is_none_or(|before| record.at < before));
        Ok(older.take(limit).cloned().collect())
    }

    async fn replay(&self, id: &DeliveryId, now: Timestamp) -> Result<(), StoreError> {
        let mut inner = self.open()?;
        let missing = || StoreError::NotFound { what: format!("delivery {id}") };
        inner.record_mut(id).ok_or_else(missing)?.replay(now);
        self.wakes.wake(&id.subscription);
        Ok(())
    }

    async fn replay_dead(
        &self,
        subscription: &SubscriptionName,
        now: Timestamp,
        most: usize,
    ) -> Result<usize, StoreError> {
        let mut inner = self.open()?;
        let lane = inner.lanes.entry(subscription.clone()).or_default();
        let dead = lane
            .deliveries
            .values_mut()
            .filter(|record| matches!(record.place, Place::Settled(DeliveryState::Dead { .. })))
            .take(most);
        let replayed = dead.map(|record| record.replay(now)).count();
        if replayed > 0 {
            self.wakes.wake(subscription);
        }
        Ok(replayed)
    }

    async fn lane_counts(&self, subscription: &SubscriptionName, most: usize) -> Result<LaneCounts, StoreError> {
        let inner = self.open()?;
        let mut counts = LaneCounts::default();
        for record in inner.lanes.get(subscription).into_iter().flat_map(|lane| lane.deliveries.values()) {
            let count = match record.place {
                Place::First => &mut counts.waiting,
                Place::Again(_) => &mut counts.retrying,
                Place::Settled(DeliveryState::Dead { .. }) => &mut counts.dead,
                Place::Settled(_) => continue,
            };
            *count = (*count + 1).min(most);
        }
        Ok(counts)
    }

    async fn prune(
        &self,
        now: Timestamp,
        retention: Retention,
        configured: &[SubscriptionName],
        most: usize,
    ) -> Result<Pruned, StoreError> {
        let mut inner = self.open()?;
        let inner = &mut *inner;
        inner.note_unconfigured(configured, now);
        let bound = EventId::first_of(now - retention.delivered.min(retention.dead));
        let looked_at: Vec<EventId> = inner
            .events
            .range(..bound)
            .map(|(id, _)| *id)
            .filter(|id| inner.pruned_to.is_none_or(|pruned_to| *id > pruned_to))
            .take(most)
            .collect();
        let mut pruned = Pruned { finished: looked_at.len() < most, ..Pruned::default() };
        inner.pruned_to = if pruned.finished { None } else { looked_at.last().copied() };
        for id in looked_at {
            if inner.is_over(&inner.events[&id], now, retention) {
                let routed = inner.events.remove(&id).expect("it was found a moment ago");
                pruned.events += 1;
                for subscription in &routed.subscriptions {
                    let lane = inner.lanes.entry(subscription.clone()).or_default();
                    pruned.deliveries += usize::from(lane.deliveries.remove(&id).is_some());
                }
            }
        }
        Ok(pruned)
    }

    async fn check_writable(&self) -> Result<(), StoreError> {
        self.open().map(drop)
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.open()?.closed = true;
        Ok(())
    }
}
