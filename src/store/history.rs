//! What people look at and clean up in a store.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::model::delivery::{Attempt, DeathReason, Delivery, DeliveryState};
use crate::model::event::{Event, RoutedEvent};
use crate::model::event_filter::EventFilter;
use crate::model::id::{ConnectorName, DeliveryId, EventId, SubscriptionName};
use crate::model::poll_record::PollRecord;
use crate::model::time::Timestamp;

/// What people look at and clean up.
#[async_trait]
pub trait HistoryStore: Send + Sync + 'static {
    /// Returns events, newest first. Looks at a bounded number of them, so that fewer than the limit may come, and more
    /// follow.
    async fn events(&self, query: EventQuery) -> Result<Page<RoutedEvent, EventId>, StoreError>;

    /// Returns an event and the subscriptions that it goes to.
    async fn event(&self, id: EventId) -> Result<Option<RoutedEvent>, StoreError>;

    /// Returns deliveries, those of the newest events first. Looks at a bounded number of them, as [`Self::events`] does.
    /// Among dead letters, a batch is listed once: what was joined to another delivery is not.
    async fn deliveries(&self, query: DeliveryQuery) -> Result<Page<Delivery, DeliveryId>, StoreError>;

    /// Returns a delivery and its last attempts, the oldest first. What was joined to another one shows the state and
    /// the attempts of that batch.
    async fn delivery(&self, id: &DeliveryId) -> Result<Option<(Delivery, Vec<Attempt>)>, StoreError>;

    /// Returns the last polls of a connector, newest first: at most `limit`, and those that began before `before`.
    async fn polls(
        &self,
        connector: &ConnectorName,
        before: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<PollRecord>, StoreError>;

    /// Queues a delivery again, whatever became of it, with its retry schedule from the beginning. A delivery that
    /// waits already becomes due at once. With the first delivery of a batch the whole batch is queued; any other one
    /// is taken out of its batch and queued alone, as if it had not been attempted.
    async fn replay(&self, id: &DeliveryId, now: Timestamp) -> Result<(), StoreError>;

    /// Queues an event for a subscription, whether it went there before or not: like [`Self::replay`] if it did, and
    /// from then on as one of those that the event goes to if it did not.
    async fn send(&self, id: &DeliveryId, now: Timestamp) -> Result<(), StoreError>;

    /// Counts a subscription's deliveries that wait and that are dead, each up to `most`.
    async fn lane_counts(&self, subscription: &SubscriptionName, most: usize) -> Result<LaneCounts, StoreError>;

    /// Removes events whose deliveries were all settled before the retention's bounds, looking at no more than
    /// `most` of them. Goes on where the last call stopped.
    ///
    /// An event is kept while a batch that it is the first of has other events. What waits for a subscription that was
    /// in no call's `configured` for as long as dead letters are kept counts as settled: it waits for nobody.
    async fn prune(
        &self,
        now: Timestamp,
        retention: Retention,
        configured: &[SubscriptionName],
        most: usize,
    ) -> Result<Pruned, StoreError>;

    /// Proves that the store can be written to: commits a marker and returns when it is durable.
    async fn check_writable(&self) -> Result<(), StoreError>;

    /// Writes what is still to be written and closes the store; later calls fail with [`StoreError::Closed`].
    async fn close(&self) -> Result<(), StoreError>;
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, Id> {
    pub found: Vec<T>,
    /// Where the next part begins, to be given as `before`; `None` at the end of the list.
    pub next: Option<Id>,
}

impl<T, Id> Page<T, Id> {
    /// Returns what was found up to a limit, behind which there may be more.
    pub(super) fn up_to(limit: usize, found: Vec<T>, id: impl Fn(&T) -> Id) -> Self {
        let next = (found.len() == limit).then(|| found.last().map(id)).flatten();
        Self { found, next }
    }
}

impl<T, Id> std::ops::Deref for Page<T, Id> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.found
    }
}

impl<T, Id> IntoIterator for Page<T, Id> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.found.into_iter()
    }
}

impl<'p, T, Id> IntoIterator for &'p Page<T, Id> {
    type Item = &'p T;
    type IntoIter = std::slice::Iter<'p, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.found.iter()
    }
}

/// Which events are asked for.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    pub filter: EventFilter,
    /// Only events of the item with this key; of the service's own events, those about the thing with this name.
    pub key: Option<String>,
    /// Only events with smaller ids: where the last page ended.
    pub before: Option<EventId>,
    /// The most to return.
    pub limit: usize,
}

impl EventQuery {
    /// Tells whether an event is asked for, as far as it says so beside its id.
    pub(super) fn wants(&self, event: &Event) -> bool {
        self.filter.matches_kind(event) && self.key.as_ref().is_none_or(|key| *key == event.key)
    }
}

/// Which deliveries are asked for.
#[derive(Debug, Clone, Default)]
pub struct DeliveryQuery {
    pub subscription: Option<SubscriptionName>,
    pub state: Option<DeliveryStateName>,
    /// Why they are dead, if they are.
    pub reason: Option<DeathReason>,
    /// Of which events.
    pub filter: EventFilter,
    /// Only deliveries with smaller ids: where the last page ended.
    pub before: Option<DeliveryId>,
    /// The most to return.
    pub limit: usize,
}

impl DeliveryQuery {
    /// Tells whether a delivery is asked for, as far as its state says.
    pub(super) fn wants(&self, delivery: &Delivery) -> bool {
        let reason = if let DeliveryState::Dead { reason, .. } = delivery.state { Some(reason) } else { None };
        let is_of_batch = delivery.joined_to.is_some() && self.asks_for_dead();
        self.state.is_none_or(|wanted| wanted == DeliveryStateName::of(&delivery.state))
            && self.reason.is_none_or(|wanted| reason == Some(wanted))
            && !is_of_batch
    }

    /// Tells whether only dead letters are asked for.
    pub(super) fn asks_for_dead(&self) -> bool {
        self.state == Some(DeliveryStateName::Dead) || (self.state.is_none() && self.reason.is_some())
    }
}

/// A delivery's state without its details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryStateName {
    Pending,
    Delivered,
    Dead,
}

impl DeliveryStateName {
    /// Returns the name of a state.
    pub fn of(state: &DeliveryState) -> Self {
        match state {
            DeliveryState::Pending { .. } => Self::Pending,
            DeliveryState::Delivered { .. } => Self::Delivered,
            DeliveryState::Dead { .. } => Self::Dead,
        }
    }
}

/// How many deliveries a subscription has, counted up to a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LaneCounts {
    /// Waiting for their first attempt, those under way included.
    pub waiting: usize,
    /// Waiting for another attempt.
    pub retrying: usize,
    pub dead: usize,
}

/// How long settled deliveries are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Delivered ones, their attempts, and events that went to nobody.
    pub delivered: Duration,
    /// Dead letters.
    pub dead: Duration,
}

impl Default for Retention {
    /// 7 days for what was delivered, 30 for dead letters.
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self { delivered: Duration::from_secs(7 * DAY), dead: Duration::from_secs(30 * DAY) }
    }
}

/// What a step of pruning did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    pub events: usize,
    pub deliveries: usize,
    /// Whether all events that could be too old were looked at, so that the next call begins anew.
    pub finished: bool,
}
