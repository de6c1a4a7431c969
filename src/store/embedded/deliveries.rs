//! What the push side needs, on disk.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::future::join_all;
use tokio::sync::Notify;

use super::committer::Transaction;
use super::keys::Place;
use super::leases::{Lane, lock};
use super::order::{LaneOrder, relocate};
use super::polls::parse;
use super::record::{Beside, DeliveryRecord, Stage};
use super::value::unseal_whole;
use super::{Core, EmbeddedStore, StagedEvent, add_events, keys, put_whole};
use crate::model::event::RoutedEvent;
use crate::model::id::{DeliveryId, SubscriptionName};
use crate::model::time::Timestamp;
use crate::store::{Claim, Claimed, DeliveryLease, DeliveryStore, LaneState, Settlement, StoreError, Verdict};

#[async_trait]
impl DeliveryStore for EmbeddedStore {
    async fn claim_deliveries(
        &self,
        subscription: &SubscriptionName,
        now: Timestamp,
        claim: Claim,
    ) -> Result<Claimed, StoreError> {
        self.claim(subscription, now, claim).await
    }

    async fn join_deliveries(&self, first: &DeliveryLease, others: Vec<DeliveryLease>) -> Result<(), StoreError> {
        self.join(first, others).await
    }

    async fn settle_deliveries(&self, settlements: Vec<Settlement>) -> Vec<Result<(), StoreError>> {
        // All are handed over before any is waited for, so they are written together.
        let parts = in_parts(settlements).into_iter().map(|part| self.settle(part));
        join_all(parts).await.into_iter().flatten().collect()
    }

    async fn release_deliveries(&self, leases: Vec<DeliveryLease>) -> Result<(), StoreError> {
        self.kv()?;
        for DeliveryLease { id, token, .. } in leases {
            let released = lock(&self.core.leases.lane(&id.subscription)).release(id.event, token);
            if released {
                self.core.wakes.wake(&id.subscription);
            }
        }
        Ok(())
    }

    async fn next_due(&self, subscription: &SubscriptionName) -> Result<Option<Timestamp>, StoreError> {
        self.earliest_due(subscription).await
    }

    async fn lane_state(&self, subscription: &SubscriptionName) -> Result<LaneState, StoreError> {
        let kv = self.kv()?;
        read_lane(|key| kv.get(key), subscription)
    }

    async fn set_lane_state(
        &self,
        subscription: &SubscriptionName,
        state: LaneState,
        news: Vec<RoutedEvent>,
    ) -> Result<(), StoreError> {
        let key = keys::lane(subscription);
        let state = serde_json::to_vec(&state).expect("a state is written to memory without errors");
        let news = self.stage(news).await?;
        self.commit(move |transaction, core| {
            put_whole(transaction, key, &state);
            add_events(transaction, core, news);
            Ok(())
        })
        .await
    }

    async fn record_events(&self, events: Vec<RoutedEvent>) -> Result<(), StoreError> {
        self.kv()?;
        let mut events = events.into_iter().peekable();
        while events.peek().is_some() {
            let mut part = Vec::new();
            let (mut bytes, mut operations) = (0, 0);
            while let Some(routed) = events.next_if(|routed| {
                bytes += routed.event.size();
                operations += 2 + routed.subscriptions.len();
                part.is_empty() || (bytes <= LARGEST_PART_BYTES && operations <= LARGEST_PART)
            }) {
                part.push(routed);
            }
            let part = self.stage(part).await?;
            self.commit(move |transaction, core| {
                add_events(transaction, core, part);
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    fn wake(&self, subscription: &SubscriptionName) -> Arc<Notify> {
        self.core.wakes.of(subscription)
    }
}

/// The most bytes of events, and their places in the store, that are given to the committer as one unit.
const LARGEST_PART_BYTES: usize = 32 * 1024;
const LARGEST_PART: usize = 400;

/// Divides settlements into parts that are given to the committer as one unit, each of one lane.
fn in_parts(settlements: Vec<Settlement>) -> Vec<Vec<Settlement>> {
    let mut parts: Vec<Vec<Settlement>> = Vec::new();
    let (mut bytes, mut operations) = (0, 0);
    for settlement in settlements {
        let (more_bytes, more_operations) = most_written(&settlement);
        bytes += more_bytes;
        operations += more_operations;
        let goes_on = |part: &&mut Vec<Settlement>| {
            let is_same = part[0].lease.id.subscription == settlement.lease.id.subscription;
            is_same && bytes <= LARGEST_PART_BYTES && operations <= LARGEST_PART
        };
        match parts.last_mut().filter(goes_on) {
            Some(part) => part.push(settlement),
            None => {
                (bytes, operations) = (more_bytes, more_operations);
                parts.push(vec![settlement]);
            }
        }
    }
    parts
}

/// Returns about how many bytes and operations a settlement takes at most.
fn most_written(Settlement { attempt, news, .. }: &Settlement) -> (usize, usize) {
    let failure = attempt.failure.as_ref().map_or(0, |failure| failure.message.len());
    let of_news: usize = news.iter().map(|routed| routed.event.size()).sum();
    let places: usize = news.iter().map(|routed| 2 + routed.subscriptions.len()).sum();
    (512 + attempt.answer.len() + failure + of_news, 8 + places)
}

impl EmbeddedStore {
    /// Settles deliveries of one lane, each of which succeeds or fails by itself unless nothing can be written.
    async fn settle(&self, settlements: Vec<Settlement>) -> Vec<Result<(), StoreError>> {
        let count = settlements.len();
        let settled = self.settle_together(settlements).await;
        settled.unwrap_or_else(|error| std::iter::repeat_with(|| Err(copy_of(&error))).take(count).collect())
    }

    async fn settle_together(&self, settlements: Vec<Settlement>) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let Some(first) = settlements.first() else { return Ok(Vec::new()) };
        let subscription = first.lease.id.subscription.clone();
        let mut staged = Vec::with_capacity(settlements.len());
        for mut settlement in settlements {
            let news = self.stage(std::mem::take(&mut settlement.news)).await?;
            staged.push((settlement, news));
        }
        self.commit(move |transaction, core| {
            let order = LaneOrder::read(|key| transaction.get(key), &subscription)?;
            let lane = core.leases.lane(&subscription);
            let settle =
                |(settlement, news)| transaction.part(|part| settle(part, core, (&lane, order), settlement, news));
            Ok(staged.into_iter().map(settle).collect())
        })
        .await
    }
}

/// Returns an error that says the same.
fn copy_of(error: &StoreError) -> StoreError {
    match error {
        StoreError::StaleLease { what } => StoreError::StaleLease { what: what.clone() },
        StoreError::NotFound { what } => StoreError::NotFound { what: what.clone() },
        StoreError::Corrupt { what, detail } => StoreError::Corrupt { what: what.clone(), detail: detail.clone() },
        StoreError::Io { action, place, source } => {
            let source = std::io::Error::new(source.kind(), source.to_string());
            StoreError::Io { action, place: place.clone(), source }
        }
        StoreError::Refused(reason) => StoreError::Refused(reason.clone()),
        StoreError::Closed => StoreError::Closed,
    }
}

/// Records what came of a delivery of this lane, which has this order.
fn settle(
    transaction: &mut Transaction<'_>,
    core: &Arc<Core>,
    (lane, order): (&Arc<Mutex<Lane>>, Option<LaneOrder>),
    settlement: Settlement,
    news: Vec<StagedEvent>,
) -> Result<(), StoreError> {
    let Settlement { lease: DeliveryLease { id, token, .. }, attempt, verdict, .. } = settlement;
    let stale = || StoreError::StaleLease { what: format!("delivery {id}") };
    let is_untouched = {
        let lane = lock(lane);
        if !lane.is_holder(id.event, token) {
            return Err(stale());
        }
        lane.is_untouched(id.event)
    };
    let (mut record, place) = if is_untouched {
        (DeliveryRecord::first(id.event), Some(Place::First(id.event)))
    } else {
        current(transaction, &id)?.ok_or_else(stale)?
    };

    let at = attempt.started_at + attempt.duration;
    let Beside { added: (number, parts), dropped } = record.add(attempt);
    for (part, detail) in (0..).zip(parts) {
        put_whole(transaction, keys::detail(&id.subscription, id.event, number, part), &detail);
    }
    if let Some((number, parts)) = dropped {
        for part in 0..parts {
            transaction.delete(keys::detail(&id.subscription, id.event, number, part));
        }
    }
    if verdict != Verdict::Delivered {
        record.failures += 1;
    }
    let stage = match verdict {
        Verdict::Delivered => Stage::Delivered(at),
        Verdict::Retry(due) => Stage::Again(due),
        Verdict::Dead(reason) => Stage::Dead(at, reason),
    };
    let (event, held) = (id.event, Arc::clone(lane));
    transaction.when_durable(move || lock(&held).settled(event));
    move_to(transaction, core, order, &id, record, place, stage)?;
    add_events(transaction, core, news);
    lock(lane).begin_settling(&id, token)
}

/// Returns the record of a delivery, if it has one.
pub(super) fn read_record(
    get: impl Fn(&[u8]) -> Result<Option<Vec<u8>>, StoreError>,
    id: &DeliveryId,
) -> Result<Option<DeliveryRecord>, StoreError> {
    let key = keys::delivery(&id.subscription, id.event);
    let Some(value) = get(&key)? else { return Ok(None) };
    DeliveryRecord::decode(&key, unseal_whole(&key, &value)?).map(Some)
}

/// Returns a lane's state.
pub(super) fn read_lane(
    get: impl Fn(&[u8]) -> Result<Option<Vec<u8>>, StoreError>,
    subscription: &SubscriptionName,
) -> Result<LaneState, StoreError> {
    let key = keys::lane(subscription);
    get(&key)?.map_or_else(|| Ok(LaneState::default()), |value| parse(&key, unseal_whole(&key, &value)?))
}

/// Returns a delivery's record and where it waits, if it does; `None` if there is no such delivery.
pub(super) fn current(
    transaction: &Transaction<'_>,
    id: &DeliveryId,
) -> Result<Option<(DeliveryRecord, Option<Place>)>, StoreError> {
    if let Some(record) = read_record(|key| transaction.get(key), id)? {
        let place = record.place(id.event);
        return Ok(Some((record, place)));
    }
    let waits = is_first_queued(|key| transaction.get(key), id)?;
    Ok(waits.then(|| (DeliveryRecord::first(id.event), Some(Place::First(id.event)))))
}

/// Tells whether a delivery without a record waits for its first attempt.
pub(super) fn is_first_queued(
    get: impl Fn(&[u8]) -> Result<Option<Vec<u8>>, StoreError>,
    id: &DeliveryId,
) -> Result<bool, StoreError> {
    let queued = get(&keys::queued(&id.subscription, Place::First(id.event)))?;
    Ok(queued.is_some() || get(&keys::behind(&id.subscription, id.event))?.is_some())
}

/// Writes a delivery's new stage, and moves it from where it waited to where it waits now in its lane, which has this
/// order.
pub(super) fn move_to(
    transaction: &mut Transaction<'_>,
    core: &Arc<Core>,
    order: Option<LaneOrder>,
    id: &DeliveryId,
    mut record: DeliveryRecord,
    place: Option<Place>,
    stage: Stage,
) -> Result<(), StoreError> {
    let dead = keys::dead(&id.subscription, id.event);
    if matches!(record.stage, Stage::Dead(..)) {
        transaction.delete(dead.clone());
    }
    record.stage = stage;
    if matches!(record.stage, Stage::Dead(..)) {
        transaction.put(dead, Vec::new());
    }
    relocate(transaction, core, order, id, place, record.place(id.event))?;
    put_whole(transaction, keys::delivery(&id.subscription, id.event), &record.encode());
    Ok(())
}
