//! Replays of many events, on disk.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::batches::{deciding, describe};
use super::committer::Transaction;
use super::deliveries::current;
use super::history::{read_event, read_record_or_first, send_one, walk};
use super::keys::KeyRange;
use super::polls::parse;
use super::value::{damaged, unseal_whole};
use super::{Core, EmbeddedStore, keys, put_whole};
use crate::model::delivery::Delivery;
use crate::model::id::{DeliveryId, EventId, SubscriptionName};
use crate::model::replay::{Replay, ReplayId, ReplaySource, ReplayState, RequestMark, SettledAs};
use crate::model::time::Timestamp;
use crate::store::kv::{KeyValue, Order};
use crate::store::{Candidate, CreatedReplay, LookBounds, Page, ReplayLook, ReplayStep, ReplayStore, StoreError};

#[async_trait]
impl ReplayStore for EmbeddedStore {
    async fn create_replay(&self, replay: Replay) -> Result<CreatedReplay, StoreError> {
        self.commit(move |transaction, core| {
            if let Some(earlier) = earlier_request(transaction, &replay)? {
                let is_same = earlier.request == replay.request;
                return Ok(if is_same { CreatedReplay::Repeated(earlier) } else { CreatedReplay::OtherRequest });
            }
            if let Some(RequestMark { key, .. }) = &replay.request {
                put_whole(transaction, keys::replay_request(key), replay.id.as_bytes());
            }
            transaction.put(keys::running_replay(replay.id), Vec::new());
            write(transaction, &replay);
            wake(transaction, core);
            Ok(CreatedReplay::New(replay))
        })
        .await
    }

    async fn one_replay(&self, id: ReplayId) -> Result<Option<Replay>, StoreError> {
        let kv = self.kv()?;
        read(|key| kv.get(key), id)
    }

    async fn replays(&self, before: Option<ReplayId>, limit: usize) -> Result<Page<Replay, ReplayId>, StoreError> {
        self.read(move |kv, _| {
            let mut found: Vec<Replay> = Vec::new();
            walk(kv, &keys::replays_before(before), Order::Descending, |key, value| {
                if found.len() < limit {
                    found.push(parse(key, unseal_whole(key, value)?)?);
                }
                Ok(found.len() < limit)
            })?;
            Ok(Page::up_to(limit, found, |replay| replay.id))
        })
        .await
    }

    async fn running_replays(&self, most: usize) -> Result<Vec<Replay>, StoreError> {
        self.read(move |kv, _| {
            let mut ids = Vec::new();
            walk(kv, &keys::running_replays(), Order::Ascending, |key, _| {
                ids.extend(keys::replay_of(key));
                Ok(ids.len() < most)
            })?;
            ids.into_iter().filter_map(|id| read(|key| kv.get(key), id).transpose()).collect()
        })
        .await
    }

    async fn count_for_replay(&self, replay: &Replay, most: usize) -> Result<usize, StoreError> {
        let ranges = ranges(replay);
        self.read(move |kv, _| {
            let mut count = 0;
            for range in ranges.iter().filter(|range| range.from < range.to) {
                walk(kv, range, Order::Ascending, |_, _| {
                    count = (count + 1).min(most);
                    Ok(count < most)
                })?;
            }
            Ok(count)
        })
        .await
    }

    async fn look_for_replay(&self, replay: &Replay, bounds: LookBounds) -> Result<ReplayLook, StoreError> {
        let replay = replay.clone();
        self.read(move |kv, core| {
            let (events, known_to) = stretch(kv, &ranges(&replay), bounds.looked_at)?;
            let mut look = ReplayLook { after: known_to, ..ReplayLook::default() };
            let mut bytes = 0;
            for event in events {
                match judge(kv, &replay, event, &mut bytes) {
                    Ok(candidate) => look.found.extend(candidate),
                    Err(error @ StoreError::Corrupt { .. }) => {
                        let id = DeliveryId { event, subscription: replay.selection.target().clone() };
                        core.telemetry.store.delivery_damaged(&id, &error);
                    }
                    Err(error) => return Err(error),
                }
                look.looked_at += 1;
                if look.found.len() >= bounds.found || bytes >= bounds.bytes {
                    look.after = Some(event);
                    break;
                }
            }
            Ok(look)
        })
        .await
    }

    async fn step_replay(&self, step: ReplayStep) -> Result<Replay, StoreError> {
        self.commit(move |transaction, core| {
            let ReplayStep { replay: found, queue, looked_at, after, now, pause_each } = step;
            let mut replay = existing(transaction, found.id)?;
            if !replay.is_running() || replay.after != found.after {
                return Ok(replay);
            }
            let mut queued: u32 = 0;
            for event in queue {
                match queue_one(transaction, core, &replay, event, now) {
                    Ok(is_queued) => queued += u32::from(is_queued),
                    Err(error @ StoreError::Corrupt { .. }) => {
                        let id = DeliveryId { event, subscription: replay.selection.target().clone() };
                        core.telemetry.store.delivery_damaged(&id, &error);
                    }
                    Err(error) => return Err(error),
                }
            }
            replay.stepped(looked_at, queued, after, now, pause_each);
            if !replay.is_running() {
                transaction.delete(keys::running_replay(replay.id));
            }
            write(transaction, &replay);
            Ok(replay)
        })
        .await
    }

    async fn end_replay(
        &self,
        id: ReplayId,
        state: ReplayState,
        cause: Option<String>,
        now: Timestamp,
    ) -> Result<Replay, StoreError> {
        self.commit(move |transaction, core| {
            let mut replay = existing(transaction, id)?;
            if replay.is_running() {
                replay.end(state, cause, now);
                transaction.delete(keys::running_replay(id));
                write(transaction, &replay);
                wake(transaction, core);
            }
            Ok(replay)
        })
        .await
    }

    async fn prune_replays(&self, bound: Timestamp, most: usize) -> Result<usize, StoreError> {
        let old = self
            .read(move |kv, _| {
                let mut old: Vec<Replay> = Vec::new();
                walk(kv, &keys::replays_before(None), Order::Ascending, |key, value| {
                    let replay: Replay = parse(key, unseal_whole(key, value)?)?;
                    let goes_on = replay.created_at < bound && old.len() < most;
                    if goes_on && replay.ended_at.is_some_and(|at| at < bound) {
                        old.push(replay);
                    }
                    Ok(goes_on)
                })?;
                Ok(old)
            })
            .await?;
        if old.is_empty() {
            return Ok(0);
        }
        self.commit(move |transaction, _| {
            for replay in &old {
                transaction.delete(keys::replay(replay.id));
                let Some(RequestMark { key, .. }) = &replay.request else { continue };
                // The key may have been used anew.
                if request_of(transaction, key)? == Some(replay.id) {
                    transaction.delete(keys::replay_request(key));
                }
            }
            Ok(old.len())
        })
        .await
    }

    fn replay_wake(&self) -> Arc<Notify> {
        Arc::clone(&self.core.replay_wake)
    }
}

/// Returns the replay that was made with the key of this one's request, as long as that counts.
fn earlier_request(transaction: &Transaction<'_>, replay: &Replay) -> Result<Option<Replay>, StoreError> {
    let Some(RequestMark { key, .. }) = &replay.request else { return Ok(None) };
    let Some(id) = request_of(transaction, key)? else { return Ok(None) };
    let earlier = read(|key| transaction.get(key), id)?;
    Ok(earlier.filter(|earlier| replay.created_at < earlier.created_at + RequestMark::KEPT))
}

fn request_of(
    transaction: &Transaction<'_>,
    key: &crate::model::fingerprint::BodyHash,
) -> Result<Option<ReplayId>, StoreError> {
    let key = keys::replay_request(key);
    let Some(value) = transaction.get(&key)? else { return Ok(None) };
    let id = unseal_whole(&key, &value)?.try_into().map_err(|_| damaged(&key, "it names no replay"))?;
    Ok(Some(ReplayId::from_bytes(id)))
}

fn read(
    get: impl Fn(&[u8]) -> Result<Option<Vec<u8>>, StoreError>,
    id: ReplayId,
) -> Result<Option<Replay>, StoreError> {
    let key = keys::replay(id);
    get(&key)?.map(|value| parse(&key, unseal_whole(&key, &value)?)).transpose()
}

fn existing(transaction: &Transaction<'_>, id: ReplayId) -> Result<Replay, StoreError> {
    read(|key| transaction.get(key), id)?.ok_or_else(|| StoreError::NotFound { what: format!("replay {id}") })
}

fn write(transaction: &mut Transaction<'_>, replay: &Replay) {
    let json = serde_json::to_vec(replay).expect("a replay is written to memory without errors");
    put_whole(transaction, keys::replay(replay.id), &json);
}

/// Has whoever carries out replays woken when the transaction is durable.
fn wake(transaction: &mut Transaction<'_>, core: &Arc<Core>) {
    let wake = Arc::clone(&core.replay_wake);
    transaction.when_durable(move || wake.notify_one());
}

/// Returns where the events lie that a replay still has to look at.
fn ranges(replay: &Replay) -> Vec<KeyRange> {
    let (from, bound) = (replay.from(), Some(replay.bound()));
    let dead = |of| starting(keys::dead_before(of, bound), from, |event| keys::dead(of, event));
    let settled = |of| starting(keys::deliveries_before(of, bound), from, |event| keys::delivery(of, event));
    let joined = |of| starting(keys::joined_before(of, bound), from, |event| keys::joined(of, event));
    let of_state = |of, state| if state == SettledAs::Dead { vec![dead(of), joined(of)] } else { vec![settled(of)] };
    match &replay.selection.source {
        ReplaySource::Again { subscription, state } | ReplaySource::Copy { subscription, state: Some(state), .. } => {
            of_state(subscription, *state)
        }
        ReplaySource::Copy { subscription: of, state: None, .. } => {
            let first = keys::queued_first_before(of, bound);
            let behind = starting(keys::behind_before(of, bound), from, |event| keys::behind(of, event));
            vec![settled(of), starting(first, from, |event| keys::queued(of, keys::Place::First(event))), behind]
        }
        ReplaySource::Backfill { .. } => match &replay.selection.filter.connector {
            Some(of) => {
                let events = keys::events_of_connector_before(of, bound);
                vec![starting(events, from, |event| keys::event_of_connector(of, event))]
            }
            None => vec![starting(keys::events_before(bound), from, keys::event)],
        },
    }
}

fn starting(mut range: KeyRange, from: Option<EventId>, of: impl Fn(EventId) -> Vec<u8>) -> KeyRange {
    if let Some(from) = from {
        range.from = of(from);
    }
    range
}

/// Returns the first events of several ranges, at most so many of each, up to where all of the ranges are known; and
/// that place, unless the ranges have no more.
fn stretch(
    kv: &dyn KeyValue,
    ranges: &[KeyRange],
    most: usize,
) -> Result<(BTreeSet<EventId>, Option<EventId>), StoreError> {
    let mut events = BTreeSet::new();
    let mut known_to: Option<EventId> = None;
    for range in ranges.iter().filter(|range| range.from < range.to) {
        let mut count = 0;
        walk(kv, range, Order::Ascending, |key, _| {
            let event = keys::event_of(key).ok_or_else(|| damaged(key, "it names no event"))?;
            events.insert(event);
            count += 1;
            if count >= most {
                known_to = Some(known_to.map_or(event, |known_to| known_to.min(event)));
            }
            Ok(count < most)
        })?;
    }
    if let Some(known_to) = known_to {
        events.retain(|event| *event <= known_to);
    }
    Ok((events, known_to))
}

/// Returns an event if the replay means it; adds to the bytes what was read of events.
fn judge(
    kv: &dyn KeyValue,
    replay: &Replay,
    event: EventId,
    bytes: &mut usize,
) -> Result<Option<Candidate>, StoreError> {
    let record = |subscription: &SubscriptionName| {
        let id = DeliveryId { event, subscription: subscription.clone() };
        read_record_or_first(kv, &id)?.map(|record| describe(kv, id, record)).transpose()
    };
    if let ReplaySource::Copy { subscription, state, .. } = &replay.selection.source {
        let of_source = record(subscription)?;
        let is_meant = |source: &Delivery| state.is_none_or(|state| state.includes(&source.state, replay.created_at));
        if !of_source.as_ref().is_some_and(is_meant) {
            return Ok(None);
        }
    }
    let of_target = record(replay.selection.target())?;
    if !is_wanted(replay, of_target.as_ref()) {
        return Ok(None);
    }
    if goes_with_batch(kv, replay, of_target.as_ref())? {
        return Ok(None);
    }
    let is_new = of_target.is_none();
    if !is_new && !replay.selection.filter.asks_for_kind() {
        return Ok(Some(Candidate { id: event, event: None }));
    }
    let Some(routed) = read_event(kv, event)? else { return Ok(None) };
    *bytes += routed.event.size();
    let is_meant = replay.selection.filter.matches_kind(&routed.event);
    Ok(is_meant.then(|| Candidate { id: event, event: is_new.then_some(routed.event) }))
}

/// Tells whether a delivery is a part of a batch that the replay means as a whole, by its first event.
fn goes_with_batch(kv: &dyn KeyValue, replay: &Replay, of_target: Option<&Delivery>) -> Result<bool, StoreError> {
    let Some(first) = of_target.and_then(|delivery| delivery.joined_to) else { return Ok(false) };
    let filter = &replay.selection.filter;
    if !filter.spans(first) || !filter.asks_for_kind() {
        return Ok(filter.spans(first));
    }
    Ok(read_event(kv, first)?.is_some_and(|routed| filter.matches_kind(&routed.event)))
}

/// Tells whether a replay wants to queue an event whose delivery to the target stands so.
fn is_wanted(replay: &Replay, of_target: Option<&Delivery>) -> bool {
    let is_settled =
        |state: SettledAs| of_target.is_some_and(|record| state.includes(&record.state, replay.created_at));
    match &replay.selection.source {
        ReplaySource::Again { state, .. } => is_settled(*state),
        ReplaySource::Copy { .. } => of_target.is_none(),
        ReplaySource::Backfill { again, .. } => of_target.is_none() || again.is_some_and(is_settled),
    }
}

/// Queues an event's delivery to the target if that is still wanted; tells whether it did.
fn queue_one(
    transaction: &mut Transaction<'_>,
    core: &Arc<Core>,
    replay: &Replay,
    event: EventId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let id = DeliveryId { event, subscription: replay.selection.target().clone() };
    let of_target = match current(transaction, &id)? {
        Some((record, _)) => {
            let (of, record) = deciding(|key| transaction.get(key), &id, record)?;
            Some(record.delivery(of))
        }
        None => None,
    };
    if !is_wanted(replay, of_target.as_ref()) {
        return Ok(false);
    }
    send_one(transaction, core, &id, now)
}
