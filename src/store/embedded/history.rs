//! What people look at and clean up, on disk.

use std::ops::ControlFlow;
use std::sync::Arc;

use async_trait::async_trait;

use super::batches::{deciding, describe, take_out};
use super::committer::Transaction;
use super::deliveries::{current, is_first_queued, move_to, read_record};
use super::keys::{KeyRange, Place};
use super::leases::lock;
use super::order::LaneOrder;
use super::polls::parse;
use super::record::{DeliveryRecord, EventHead, Stage, decode_detail};
use super::value::{assemble, damaged, load, unseal_whole};
use super::{Core, EmbeddedStore, keys, listing, put_whole};
use crate::model::delivery::{Attempt, Delivery};
use crate::model::event::RoutedEvent;
use crate::model::id::{ConnectorName, DeliveryId, EventId, SubscriptionName};
use crate::model::poll_record::PollRecord;
use crate::model::time::Timestamp;
use crate::store::guard::Canary;
use crate::store::kv::{KeyValue, Order};
use crate::store::{DeliveryQuery, EventQuery, HistoryStore, LaneCounts, Page, Pruned, Retention, StoreError};

#[async_trait]
impl HistoryStore for EmbeddedStore {
    async fn events(&self, query: EventQuery) -> Result<Page<RoutedEvent, EventId>, StoreError> {
        self.read(move |kv, _| listing::events(kv, &query)).await
    }

    async fn event(&self, id: EventId) -> Result<Option<RoutedEvent>, StoreError> {
        self.read(move |kv, _| read_event(kv, id)).await
    }

    async fn deliveries(&self, query: DeliveryQuery) -> Result<Page<Delivery, DeliveryId>, StoreError> {
        self.read(move |kv, _| listing::deliveries(kv, &query)).await
    }

    async fn delivery(&self, id: &DeliveryId) -> Result<Option<(Delivery, Vec<Attempt>)>, StoreError> {
        let id = id.clone();
        self.read(move |kv, _| {
            let Some(record) = read_record_or_first(kv, &id)? else { return Ok(None) };
            let delivery = describe(kv, id.clone(), record.clone())?;
            let (of, record) = deciding(|key| kv.get(key), &id, record)?;
            Ok(Some((delivery, read_attempts(kv, &of, record)?)))
        })
        .await
    }

    async fn polls(
        &self,
        connector: &ConnectorName,
        before: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<PollRecord>, StoreError> {
        let range = keys::polls_before(connector, before);
        self.read(move |kv, _| {
            let mut found = Vec::new();
            walk(kv, &range, Order::Descending, |key, value| {
                if found.len() < limit {
                    found.push(parse(key, &assemble(kv, key, value)?)?);
                }
                Ok(found.len() < limit)
            })?;
            Ok(found)
        })
        .await
    }

    async fn replay(&self, id: &DeliveryId, now: Timestamp) -> Result<(), StoreError> {
        let id = id.clone();
        self.commit(move |transaction, core| {
            let replayed = replay_one(transaction, core, &id, now)?;
            if replayed { Ok(()) } else { Err(StoreError::NotFound { what: format!("delivery {id}") }) }
        })
        .await
    }

    async fn send(&self, id: &DeliveryId, now: Timestamp) -> Result<(), StoreError> {
        let id = id.clone();
        self.commit(move |transaction, core| {
            let sent = send_one(transaction, core, &id, now)?;
            if sent { Ok(()) } else { Err(StoreError::NotFound { what: format!("event {}", id.event) }) }
        })
        .await
    }

    async fn lane_counts(&self, subscription: &SubscriptionName, most: usize) -> Result<LaneCounts, StoreError> {
        let subscription = subscription.clone();
        self.read(move |kv, _| {
            let count = |ranges: &[KeyRange]| {
                let mut count = 0;
                for range in ranges {
                    walk(kv, range, Order::Ascending, |_, _| {
                        count = (count + 1).min(most);
                        Ok(count < most)
                    })?;
                }
                Ok::<_, StoreError>(count)
            };
            let (first, behind) = (keys::queued_first(&subscription, None), keys::behind_before(&subscription, None));
            let (again, later) = (keys::queued_again(&subscription, None), keys::laters(&subscription));
            Ok(LaneCounts {
                waiting: count(&[first, behind])?,
                retrying: count(&[again, later])?,
                dead: count(&[keys::dead_before(&subscription, None)])?,
            })
        })
        .await
    }

    async fn prune(
        &self,
        now: Timestamp,
        retention: Retention,
        configured: &[SubscriptionName],
        most: usize,
    ) -> Result<Pruned, StoreError> {
        self.prune_some(now, retention, configured, most).await
    }

    async fn check_writable(&self) -> Result<(), StoreError> {
        self.commit(|transaction, _| {
            put_whole(transaction, keys::marker(), b"");
            Ok(())
        })
        .await
    }

    async fn close(&self) -> Result<(), StoreError> {
        let kv = lock(&self.kv).take().ok_or(StoreError::Closed)?;
        let core = Arc::clone(&self.core);
        let stopped = tokio::task::spawn_blocking(move || {
            let canary = core.committer.stop();
            drop(kv);
            if let Some(Err(error)) = canary.map(Canary::seal) {
                core.telemetry.store.canary_failed(&error);
            }
        });
        stopped.await.map_err(|_| StoreError::Closed)?;
        self.core.committer.check()
    }
}

/// Returns an event and the subscriptions that it goes to.
pub(super) fn read_event(kv: &dyn KeyValue, id: EventId) -> Result<Option<RoutedEvent>, StoreError> {
    let Some(mut routed) = read_event_alone(kv, id)? else { return Ok(None) };
    routed.subscriptions.extend(read_added(kv, id)?);
    Ok(Some(routed))
}

/// Returns the subscriptions that an event was sent to later.
pub(super) fn read_added(kv: &dyn KeyValue, id: EventId) -> Result<Vec<SubscriptionName>, StoreError> {
    let mut added = Vec::new();
    walk(kv, &keys::added_to(id), Order::Ascending, |key, _| {
        added.push(keys::subscription_of_added(key).ok_or_else(|| damaged(key, "it names no subscription"))?);
        Ok(true)
    })?;
    Ok(added)
}

/// Returns an event and the subscriptions that it went to when it was made.
pub(super) fn read_event_alone(kv: &dyn KeyValue, id: EventId) -> Result<Option<RoutedEvent>, StoreError> {
    let key = keys::event(id);
    let Some(body) = load(kv, &key)? else { return Ok(None) };
    EventHead::decode(&key, &body)?.event(&key).map(Some)
}

/// Shows the entries of a range until the visitor says that it has enough.
pub(super) fn walk(
    kv: &dyn KeyValue,
    range: &KeyRange,
    order: Order,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let mut outcome = Ok(());
    kv.scan(&range.from, &range.to, order, &mut |key, value| match visit(key, value) {
        Ok(true) => ControlFlow::Continue(()),
        Ok(false) => ControlFlow::Break(()),
        Err(error) => {
            outcome = Err(error);
            ControlFlow::Break(())
        }
    })?;
    outcome
}

/// Returns the subscriptions that have a key in the ranges that `after` gives; reads one key for each.
pub(super) fn subscriptions_in(
    kv: &dyn KeyValue,
    after: impl Fn(Option<&SubscriptionName>) -> KeyRange,
    subscription_of: impl Fn(&[u8]) -> Option<SubscriptionName>,
) -> Result<Vec<SubscriptionName>, StoreError> {
    let mut found: Vec<SubscriptionName> = Vec::new();
    loop {
        let mut next = None;
        walk(kv, &after(found.last()), Order::Ascending, |key, _| {
            next = Some(subscription_of(key).ok_or_else(|| damaged(key, "it names no subscription"))?);
            Ok(false)
        })?;
        match next {
            Some(name) => found.push(name),
            None => return Ok(found),
        }
    }
}

/// Returns the record of a delivery, or the one that stands for it while it waits for its first attempt.
pub(super) fn read_record_or_first(kv: &dyn KeyValue, id: &DeliveryId) -> Result<Option<DeliveryRecord>, StoreError> {
    if let Some(record) = read_record(|key| kv.get(key), id)? {
        return Ok(Some(record));
    }
    Ok(is_first_queued(|key| kv.get(key), id)?.then(|| DeliveryRecord::first(id.event)))
}

/// Returns the attempts that a record has, with what lies beside it.
fn read_attempts(kv: &dyn KeyValue, id: &DeliveryId, record: DeliveryRecord) -> Result<Vec<Attempt>, StoreError> {
    let mut attempts = Vec::with_capacity(record.attempts.len());
    for (number, mut stored) in (record.first_kept()..).zip(record.attempts) {
        let mut detail = Vec::new();
        for part in 0..stored.detail_parts {
            let key = keys::detail(&id.subscription, id.event, number, part);
            let value = kv.get(&key)?.ok_or_else(|| damaged(&key, "it is missing"))?;
            detail.extend_from_slice(unseal_whole(&key, &value)?);
        }
        if stored.detail_parts > 0 {
            let key = keys::delivery(&id.subscription, id.event);
            decode_detail(&key, &detail, &mut stored.attempt)?;
        }
        attempts.push(stored.attempt);
    }
    Ok(attempts)
}

/// Queues an event for a subscription, whether it went there before or not; tells whether there is such an event.
pub(super) fn send_one(
    transaction: &mut Transaction<'_>,
    core: &Arc<Core>,
    id: &DeliveryId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if replay_one(transaction, core, id, now)? {
        return Ok(true);
    }
    if transaction.get(&keys::event(id.event))?.is_none() {
        return Ok(false);
    }
    transaction.put(keys::added(id.event, &id.subscription), Vec::new());
    let record = DeliveryRecord { since: now, ..DeliveryRecord::first(id.event) };
    let order = LaneOrder::read(|key| transaction.get(key), &id.subscription)?;
    move_to(transaction, core, order, id, record, None, Stage::Again(now))?;
    Ok(true)
}

/// Queues a delivery again if it is there; tells whether it did.
fn replay_one(
    transaction: &mut Transaction<'_>,
    core: &Arc<Core>,
    id: &DeliveryId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some((mut record, place)) = current(transaction, id)? else { return Ok(false) };
    if let Some(Place::First(_)) = place {
        // It waits for its first attempt and is due already.
        let (core, subscription) = (Arc::clone(core), id.subscription.clone());
        transaction.when_durable(move || core.wakes.wake(&subscription));
        return Ok(true);
    }
    if let Stage::Joined(event) = record.stage {
        take_out(transaction, &DeliveryId { event, ..id.clone() }, id.event)?;
    }
    (record.failures, record.since) = (0, now);
    let order = LaneOrder::read(|key| transaction.get(key), &id.subscription)?;
    move_to(transaction, core, order, id, record, place, Stage::Again(now))?;
    Ok(true)
}
