//! Deliveries that are joined into one. The record of the first one says how many others there are, and lists of these
//! lie beside it; the record of each other says what it was joined to. Only the first one waits in a queue. One that goes
//! alone has an empty list: whatever has a list is never joined again.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::committer::Transaction;
use super::deliveries::{current, read_record};
use super::keys;
use super::leases::lock;
use super::order::{LaneOrder, relocate};
use super::record::{DeliveryRecord, Stage};
use super::value::{damaged, unseal_whole};
use super::{Core, EmbeddedStore, put_whole};
use crate::model::delivery::Delivery;
use crate::model::id::{DeliveryId, EventId, SubscriptionName};
use crate::store::kv::KeyValue;
use crate::store::{DeliveryLease, MOST_UNDER_WAY, StoreError, cannot_be_joined};

/// How many deliveries one batch of changes joins to another: their ids are one part of its list.
const JOINED_AT_ONCE: usize = 256;

impl EmbeddedStore {
    /// Joins deliveries part by part: when a crash comes between, a smaller batch and what was not yet joined to it wait.
    pub(super) async fn join(&self, first: &DeliveryLease, others: Vec<DeliveryLease>) -> Result<(), StoreError> {
        let parts = others.chunks(JOINED_AT_ONCE).chain(others.is_empty().then_some([].as_slice()));
        for (index, part) in parts.enumerate() {
            let (first, part) = (first.clone(), part.to_vec());
            // Before anything is joined, all are looked at.
            let all = if index == 0 { others.clone() } else { part.clone() };
            let lane = self.core.leases.lane(&first.id.subscription);
            let lease = first.clone();
            let joined = self
                .commit(move |transaction, core| {
                    check(transaction, core, &first, &all, index == 0)?;
                    join_some(transaction, core, &first, &part)
                })
                .await;
            if joined.is_err() && index > 0 {
                // It must not be sent as if it were alone.
                lock(&lane).release(lease.id.event, lease.token);
            }
            joined?;
        }
        Ok(())
    }
}

/// Refuses what is no longer held, or was attempted or joined before, other than the first one if that has begun.
fn check(
    transaction: &Transaction<'_>,
    core: &Core,
    first: &DeliveryLease,
    others: &[DeliveryLease],
    is_beginning: bool,
) -> Result<(), StoreError> {
    let subscription = &first.id.subscription;
    let order = LaneOrder::read(|key| transaction.get(key), subscription)?;
    let joining = Joining::read(|key| transaction.get(key), subscription)?;
    let lane = core.leases.lane(subscription);
    let lane = lock(&lane);
    let mut events = BTreeSet::new();
    for (index, lease) in std::iter::once(first).chain(others).enumerate() {
        let event = lease.id.event;
        if !lane.is_holder(event, lease.token) || lease.id.subscription != *subscription || !events.insert(event) {
            return Err(StoreError::StaleLease { what: format!("delivery {}", lease.id) });
        }
        let has_begun = index == 0 && !is_beginning;
        let is_new = lane.is_untouched(event)
            || current(transaction, &lease.id)?
                .is_some_and(|(record, _)| record.attempted == 0 && (!record.is_closed() || has_begun));
        if !is_new || Joining::keeps_alone(joining, event) || order.is_some_and(|order| !order.is_leaving()) {
            return Err(cannot_be_joined(&lease.id));
        }
    }
    Ok(())
}

fn join_some(
    transaction: &mut Transaction<'_>,
    core: &Arc<Core>,
    first: &DeliveryLease,
    others: &[DeliveryLease],
) -> Result<(), StoreError> {
    let DeliveryId { event, subscription } = &first.id;
    let stale = |id: &DeliveryId| StoreError::StaleLease { what: format!("delivery {id}") };
    let (mut record, _) = current(transaction, &first.id)?.ok_or_else(|| stale(&first.id))?;
    let order = LaneOrder::read(|key| transaction.get(key), subscription)?;
    for DeliveryLease { id, .. } in others {
        let (other, place) = current(transaction, id)?.ok_or_else(|| stale(id))?;
        relocate(transaction, core, order, id, place, None)?;
        let joined = DeliveryRecord { stage: Stage::Joined(*event), ..other };
        put_whole(transaction, keys::delivery(subscription, id.event), &joined.encode());
        transaction.put(keys::joined(subscription, id.event), Vec::new());
    }
    let ids: Vec<EventId> = others.iter().map(|lease| lease.id.event).collect();
    put_part(transaction, &first.id, record.member_parts, &ids);
    record.members += others.len() as u32;
    record.member_parts += 1;
    put_whole(transaction, keys::delivery(subscription, *event), &record.encode());

    let lane = core.leases.lane(subscription);
    for lease in std::iter::once(first).chain(others) {
        lock(&lane).begin_settling(&lease.id, lease.token)?;
    }
    let first = *event;
    transaction.when_durable(move || {
        let mut lane = lock(&lane);
        for event in ids {
            lane.settled(event);
        }
        lane.note_record(first);
        lane.go_on(first);
    });
    Ok(())
}

/// Whether a lane joins deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joining {
    /// Each goes alone.
    No,
    /// Those of later events than this one are joined; the others may have been sent before that was so.
    After(EventId),
}

impl Joining {
    /// Reads it; `None` as long as nothing was claimed.
    pub fn read(
        get: impl Fn(&[u8]) -> Result<Option<Vec<u8>>, StoreError>,
        subscription: &SubscriptionName,
    ) -> Result<Option<Self>, StoreError> {
        let key = keys::joining(subscription);
        let Some(value) = get(&key)? else { return Ok(None) };
        match unseal_whole(&key, &value)? {
            [] => Ok(Some(Self::No)),
            id => {
                let id = id.try_into().map_err(|_| damaged(&key, "it has a wrong length"))?;
                Ok(Some(Self::After(EventId::from_bytes(id))))
            }
        }
    }

    /// Tells whether it is known that a lane joins, or that it does not.
    pub fn is_noted(kv: &dyn KeyValue, subscription: &SubscriptionName, joins: bool) -> Result<bool, StoreError> {
        let current = Self::read(|key| kv.get(key), subscription)?;
        Ok(current.is_some_and(|current| joins == (current != Self::No)))
    }

    /// Notes that a lane joins deliveries from now on, other than what it may have under way; or that it joins none.
    pub fn note(
        transaction: &mut Transaction<'_>,
        subscription: &SubscriptionName,
        joins: bool,
    ) -> Result<(), StoreError> {
        let before = Self::read(|key| transaction.get(key), subscription)?;
        let key = keys::joining(subscription);
        if !joins {
            put_whole(transaction, key, &[]);
            return Ok(());
        }
        let mut after = EventId::from_bytes([0; 16]);
        if before == Some(Self::No) {
            for range in [keys::queued_first(subscription, None), keys::behind_before(subscription, None)] {
                let oldest = transaction.first_of(&range, MOST_UNDER_WAY)?;
                after = oldest.last().and_then(|(key, _)| keys::event_of(key)).unwrap_or(after).max(after);
            }
        }
        if !matches!(before, Some(Self::After(_))) {
            put_whole(transaction, key, after.as_bytes());
        }
        Ok(())
    }

    /// Tells whether the delivery of an event stays alone, where it is known whether the lane joins.
    pub fn keeps_alone(current: Option<Self>, event: EventId) -> bool {
        matches!(current, Some(Self::After(alone_to)) if event <= alone_to)
    }
}

/// Returns the events that were joined to a delivery, in their order.
pub(super) fn read_members(
    get: impl Fn(&[u8]) -> Result<Option<Vec<u8>>, StoreError>,
    id: &DeliveryId,
    record: &DeliveryRecord,
) -> Result<Vec<EventId>, StoreError> {
    let mut members = Vec::with_capacity(record.members as usize);
    for part in 0..record.member_parts {
        members.extend(read_part(&get, id, part)?);
    }
    Ok(members)
}

/// Takes a delivery out of the batch that it is a part of.
pub(super) fn take_out(
    transaction: &mut Transaction<'_>,
    first: &DeliveryId,
    member: EventId,
) -> Result<(), StoreError> {
    transaction.delete(keys::joined(&first.subscription, member));
    let Some(mut record) = read_record(|key| transaction.get(key), first)? else { return Ok(()) };
    for part in 0..record.member_parts {
        let mut members = read_part(|key| transaction.get(key), first, part)?;
        if let Some(index) = members.iter().position(|event| *event == member) {
            members.remove(index);
            put_part(transaction, first, part, &members);
            record.members -= 1;
            put_whole(transaction, keys::delivery(&first.subscription, first.event), &record.encode());
            break;
        }
    }
    Ok(())
}

/// Returns the delivery that decides what becomes of this one, which has this record: itself, or the one that it was
/// joined to.
pub(super) fn deciding(
    get: impl Fn(&[u8]) -> Result<Option<Vec<u8>>, StoreError>,
    id: &DeliveryId,
    record: DeliveryRecord,
) -> Result<(DeliveryId, DeliveryRecord), StoreError> {
    let Stage::Joined(event) = record.stage else { return Ok((id.clone(), record)) };
    let first = DeliveryId { event, subscription: id.subscription.clone() };
    let missing =
        || damaged(&keys::delivery(&first.subscription, event), "others are joined to it but it is not there");
    let record = read_record(get, &first)?.ok_or_else(missing)?;
    Ok((first, record))
}

/// Returns what people see of the delivery that has this record: as a part of a batch, it stands as that does.
pub(super) fn describe(kv: &dyn KeyValue, id: DeliveryId, record: DeliveryRecord) -> Result<Delivery, StoreError> {
    let members = record.members;
    let (of, record) = deciding(|key| kv.get(key), &id, record)?;
    let joined_to = (of.event != id.event).then_some(of.event);
    Ok(Delivery { id, joined_to, members, ..record.delivery(of) })
}

fn put_part(transaction: &mut Transaction<'_>, first: &DeliveryId, part: u16, members: &[EventId]) {
    let body: Vec<u8> = members.iter().flat_map(EventId::as_bytes).copied().collect();
    put_whole(transaction, keys::members(&first.subscription, first.event, part), &body);
}

fn read_part(
    get: impl Fn(&[u8]) -> Result<Option<Vec<u8>>, StoreError>,
    first: &DeliveryId,
    part: u16,
) -> Result<Vec<EventId>, StoreError> {
    let key = keys::members(&first.subscription, first.event, part);
    let value = get(&key)?.ok_or_else(|| damaged(&key, "it is missing"))?;
    let (ids, rest) = unseal_whole(&key, &value)?.as_chunks();
    if !rest.is_empty() {
        return Err(damaged(&key, "it has a wrong length"));
    }
    Ok(ids.iter().map(|id| EventId::from_bytes(*id)).collect())
}
