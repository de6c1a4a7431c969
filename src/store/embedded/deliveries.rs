//! What the push side needs, on disk.

use std::ops::ControlFlow;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::committer::Transaction;
use super::history::read_event_alone;
use super::keys::Place;
use super::leases::{Lane, lock};
use super::polls::parse;
use super::record::DeliveryRecord;
use super::value::{damaged, unseal_whole};
use super::{Core, EmbeddedStore, StagedEvent, add_events, announce, keys, put_whole};
use crate::model::delivery::DeliveryState;
use crate::model::event::RoutedEvent;
use crate::model::id::{DeliveryId, LeaseToken, SubscriptionName};
use crate::model::time::Timestamp;
use crate::store::kv::{KeyValue, Order};
use crate::store::{
    Claim, Claimed, ClaimedDelivery, DeliveryLease, DeliveryStore, LaneState, Settlement, StoreError, Verdict,
    retries_among,
};

#[async_trait]
impl DeliveryStore for EmbeddedStore {
    async fn claim_deliveries(
        &self,
        subscription: &SubscriptionName,
        now: Timestamp,
        claim: Claim,
    ) -> Result<Claimed, StoreError> {
        self.kv()?;
        self.core.committer.check()?;
        let subscription = subscription.clone();
        let Claim { most, lease_for, .. } = claim;
        let (claimed, applying) = self
            .read(move |kv, core| {
                let leases = take_due(kv, core, &subscription, now, most, now + lease_for)?;
                // What the scan saw may be of a batch that is not durable yet.
                let applying = core.committer.applying();
                let mut claimed = Vec::with_capacity(leases.len());
                for lease in leases {
                    match read_claimed(kv, lease.clone()) {
                        Ok(delivery) => claimed.push(delivery),
                        // It stays leased, so that it is not in the way of the others.
                        Err(error) => core.telemetry.store.delivery_damaged(&lease.id, &error),
                    }
                }
                Ok((claimed, applying))
            })
            .await?;
        self.core.committer.durable(applying).await?;
        Ok(Claimed { more: claimed.len() == most, deliveries: claimed })
    }

    async fn join_deliveries(&self, first: &DeliveryLease, _others: Vec<DeliveryLease>) -> Result<(), StoreError> {
        Err(StoreError::NotFound { what: format!("way to join delivery {} with others", first.id) })
    }

    async fn settle_deliveries(&self, settlements: Vec<Settlement>) -> Vec<Result<(), StoreError>> {
        let mut results = Vec::with_capacity(settlements.len());
        let mut settlements = settlements.into_iter().peekable();
        while settlements.peek().is_some() {
            let mut step = Vec::new();
            let mut bytes = 0;
            while let Some(settlement) =
                settlements.next_if(|next| step.is_empty() || bytes + next.attempt.answer.len() <= LARGEST_STEP_BYTES)
            {
                bytes += settlement.attempt.answer.len();
                step.push(settlement);
                if step.len() == LARGEST_STEP {
                    break;
                }
            }
            results.extend(self.settle_step(step).await);
        }
        results
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
        let subscription = subscription.clone();
        self.read(move |kv, core| {
            let lane = core.leases.lane(&subscription);
            let lane = lock(&lane);
            let mut first = keys::queued_first(&subscription, lane.first_from);
            let mut dues: Vec<Timestamp> = lane.first_end().into_iter().collect();
            for range in [&mut first, &mut keys::queued_again(&subscription, lane.again_from)] {
                kv.scan(&range.from, &range.to, Order::Ascending, &mut |key, _| match keys::place_of(key) {
                    Some(place) if lane.held_until(place.event()).is_none() => {
                        dues.push(match place {
                            Place::First(event) => event.time(),
                            Place::Again(due, _) => due,
                        });
                        ControlFlow::Break(())
                    }
                    _ => ControlFlow::Continue(()),
                })?;
            }
            Ok(dues.into_iter().min())
        })
        .await
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
                part.is_empty() || (bytes <= LARGEST_STEP_BYTES && operations <= 2 * LARGEST_STEP)
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

/// The most settlements, and bytes of answers, that are given to the committer as one unit.
const LARGEST_STEP: usize = 200;
const LARGEST_STEP_BYTES: usize = 32 * 1024;

impl EmbeddedStore {
    /// Settles deliveries in one atomic step, leaving out those that cannot be settled.
    async fn settle_step(&self, settlements: Vec<Settlement>) -> Vec<Result<(), StoreError>> {
        let count = settlements.len();
        let mut staged = Vec::with_capacity(count);
        for mut settlement in settlements {
            match self.stage(std::mem::take(&mut settlement.news)).await {
                Ok(news) => staged.push((settlement, news)),
                Err(error) => return repeated(error, count),
            }
        }
        let settled = self.commit(move |transaction, core| {
            let settle = |(settlement, news)| settle(transaction, core, settlement, news);
            Ok(staged.into_iter().map(settle).collect::<Vec<_>>())
        });
        settled.await.unwrap_or_else(|error| repeated(error, count))
    }
}

/// Returns the failure of a whole step as that of each of its settlements.
fn repeated(error: StoreError, count: usize) -> Vec<Result<(), StoreError>> {
    let text = error.to_string();
    let mut errors = vec![Err(error)];
    errors.resize_with(count, || Err(StoreError::Refused(text.clone())));
    errors
}

/// Records what came of a delivery. If that fails, nothing of it is written.
fn settle(
    transaction: &mut Transaction<'_>,
    core: &Arc<Core>,
    settlement: Settlement,
    news: Vec<StagedEvent>,
) -> Result<(), StoreError> {
    let Settlement { lease: DeliveryLease { id, token, .. }, attempt, verdict, .. } = settlement;
    let lane = core.leases.lane(&id.subscription);
    let stale = || StoreError::StaleLease { what: format!("delivery {id}") };
    let held_at = lock(&lane).place_held(id.event, token).ok_or_else(stale)?;
    let (mut record, place) = match held_at {
        // It was never settled or replayed, so it has no record, unless one was written a moment ago.
        Place::First(event) if !transaction.has_changed(&keys::delivery(&id.subscription, event)) => {
            (DeliveryRecord::first(event), Some(held_at))
        }
        _ => current(transaction, &id)?.ok_or_else(stale)?,
    };
    lock(&lane).begin_settling(&id, token)?;

    let at = attempt.started_at + attempt.duration;
    let index = record.attempts.len();
    for (part, detail) in (0..).zip(record.add(attempt)) {
        put_whole(transaction, keys::detail(&id.subscription, id.event, index, part), &detail);
    }
    if verdict != Verdict::Delivered {
        record.failures += 1;
    }
    let state = match verdict {
        Verdict::Delivered => DeliveryState::Delivered { at },
        Verdict::Retry(due) => DeliveryState::Pending { due },
        Verdict::Dead(reason) => DeliveryState::Dead { at, reason },
    };
    let event = id.event;
    transaction.when_durable(move || lock(&lane).settled(event));
    move_to(transaction, core, &id, record, place, state);
    add_events(transaction, core, news);
    Ok(())
}

/// Takes what is due under leases. No two callers see the same delivery.
fn take_due(
    kv: &dyn KeyValue,
    core: &Core,
    subscription: &SubscriptionName,
    now: Timestamp,
    most: usize,
    until: Timestamp,
) -> Result<Vec<DeliveryLease>, StoreError> {
    let lane = core.leases.lane(subscription);
    let mut lane = lock(&lane);
    lane.lapse(now);
    let mut first = free_places(kv, &lane, subscription, now, most, Queue::First)?;
    let mut again = free_places(kv, &lane, subscription, now, most, Queue::Again)?;
    let reserved = retries_among(lane.claimed, most).min(again.len());
    first.truncate(most - reserved);
    again.truncate(most - first.len());

    // What lies before the last one taken is held by now; what was not taken is read again.
    if let Some(Place::First(event)) = first.last() {
        lane.first_from = Some(*event);
    }
    if let Some(Place::Again(due, event)) = again.last() {
        lane.again_from = Some((*due, *event));
    }
    lane.claimed += (first.len() + again.len()) as u64;
    let leases = first.into_iter().chain(again).map(|place| {
        let token = LeaseToken::new();
        lane.take(place, token, until);
        let id = DeliveryId { event: place.event(), subscription: subscription.clone() };
        DeliveryLease { id, token, until }
    });
    Ok(leases.collect())
}

/// The two queues of a lane.
#[derive(Clone, Copy)]
enum Queue {
    First,
    Again,
}

/// Returns up to `most` places, in order, that are due and that nobody holds.
fn free_places(
    kv: &dyn KeyValue,
    lane: &Lane,
    subscription: &SubscriptionName,
    now: Timestamp,
    most: usize,
    queue: Queue,
) -> Result<Vec<Place>, StoreError> {
    let range = match queue {
        Queue::First => keys::queued_first(subscription, lane.first_from),
        Queue::Again => keys::queued_again(subscription, lane.again_from),
    };
    let mut free = Vec::new();
    let mut outcome = Ok(());
    kv.scan(&range.from, &range.to, Order::Ascending, &mut |key, _| {
        match keys::place_of(key) {
            Some(Place::Again(due, _)) if due > now => return ControlFlow::Break(()),
            Some(place) if !lane.is_held(place.event(), now) && free.len() < most => free.push(place),
            Some(_) => {}
            None => outcome = Err(damaged(key, "it is no place in a queue")),
        }
        if outcome.is_err() || free.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    outcome.map(|()| free)
}

fn read_claimed(kv: &dyn KeyValue, lease: DeliveryLease) -> Result<ClaimedDelivery, StoreError> {
    let event = read_event_alone(kv, lease.id.event)?
        .ok_or_else(|| damaged(&keys::event(lease.id.event), "it is queued but it is not there"))?;
    let record = read_record(|key| kv.get(key), &lease.id)?;
    let (attempts, failures) = record.map_or((0, 0), |record| (record.attempts.len() as u32, record.failures));
    let since = event.event.time;
    Ok(ClaimedDelivery { lease, event: event.event, joined: Vec::new(), since, attempts, failures })
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
    let first = Place::First(id.event);
    let waits = transaction.get(&keys::queued(&id.subscription, first))?.is_some();
    Ok(waits.then(|| (DeliveryRecord::first(id.event), Some(first))))
}

/// Writes a delivery's new state, and moves it from where it waited to where it waits now.
pub(super) fn move_to(
    transaction: &mut Transaction<'_>,
    core: &Arc<Core>,
    id: &DeliveryId,
    mut record: DeliveryRecord,
    place: Option<Place>,
    state: DeliveryState,
) {
    if let Some(place) = place {
        transaction.delete(keys::queued(&id.subscription, place));
    }
    if matches!(record.state, DeliveryState::Dead { .. }) {
        transaction.delete(keys::dead(&id.subscription, id.event));
    }
    record.state = state;
    if matches!(record.state, DeliveryState::Dead { .. }) {
        transaction.put(keys::dead(&id.subscription, id.event), Vec::new());
    }
    if let Some(place) = record.place(id.event) {
        transaction.put(keys::queued(&id.subscription, place), Vec::new());
        announce(transaction, core, vec![(id.subscription.clone(), place)]);
    }
    put_whole(transaction, keys::delivery(&id.subscription, id.event), &record.encode());
}
