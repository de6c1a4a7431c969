//! Removing what is over, in small steps: events whose deliveries were all settled long ago, and what a crash left of
//! large values.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::batches::{deciding, take_out};
use super::committer::{MOST_OPERATIONS, Transaction};
use super::deliveries::{read_lane, read_record};
use super::history::{subscriptions_in, walk};
use super::leases::lock;
use super::order::{LaneOrder, relocate};
use super::record::{DeliveryRecord, EventHead, Stage};
use super::value::{Body, Reference, assemble, damaged, unseal, unseal_whole};
use super::{Core, EmbeddedStore, keys, put_whole};
use crate::model::id::{ConnectorName, DeliveryId, EventId, SubscriptionName};
use crate::model::time::Timestamp;
use crate::store::kv::{Batch, KeyValue, Order};
use crate::store::{LaneState, Pruned, Retention, StoreError};

/// How many events one batch removes at most.
const REMOVED_AT_ONCE: usize = 100;

/// Where pruning has come to.
#[derive(Debug)]
pub(super) struct Pruning {
    /// The last event that was looked at.
    event: Option<EventId>,
    /// The large values not yet looked at whose record may have been lost in a crash: from the first, below the second.
    groups: std::ops::Range<u64>,
}

impl Pruning {
    /// Returns the beginning. Groups of pieces below the bound were written before the store was opened.
    pub fn new(groups_bound: u64) -> Self {
        Self { event: None, groups: 0..groups_bound }
    }
}

/// An event that may be over.
struct Candidate {
    id: EventId,
    connector: ConnectorName,
    subscriptions: Vec<SubscriptionName>,
    pieces: Option<Reference>,
}

impl EmbeddedStore {
    pub(super) async fn prune_some(
        &self,
        now: Timestamp,
        retention: Retention,
        configured: &[SubscriptionName],
        most: usize,
    ) -> Result<Pruned, StoreError> {
        self.kv()?;
        let mut pruning = self.core.pruning.lock().await;
        self.remove_orphan(&mut pruning).await?;
        let abandoned = Arc::new(self.abandoned(configured, now, now - retention.dead).await?);

        let bound = EventId::first_of(now - retention.delivered.min(retention.dead));
        let after = pruning.event;
        let mut candidates = self.read(move |kv, _| candidates(kv, after, bound, most)).await?;
        let mut pruned = Pruned { finished: candidates.len() < most, ..Pruned::default() };
        let last = candidates.last().map(|candidate| candidate.id);
        while !candidates.is_empty() {
            let rest = candidates.split_off(candidates.len().min(REMOVED_AT_ONCE));
            let some = std::mem::replace(&mut candidates, rest);
            let abandoned = Arc::clone(&abandoned);
            let (events, deliveries) = self
                .commit(move |transaction, core| {
                    let mut removed = (0, 0);
                    for candidate in some {
                        if let Some(deliveries) = remove(transaction, core, candidate, &abandoned, now, retention)? {
                            removed.0 += 1;
                            removed.1 += deliveries;
                        }
                    }
                    Ok(removed)
                })
                .await?;
            pruned.events += events;
            pruned.deliveries += deliveries;
        }
        pruning.event = if pruned.finished { None } else { last };
        Ok(pruned)
    }

    /// Notes since when nobody configures the subscriptions that deliveries wait for; returns those of which that was
    /// noted before the bound.
    async fn abandoned(
        &self,
        configured: &[SubscriptionName],
        now: Timestamp,
        bound: Timestamp,
    ) -> Result<BTreeSet<SubscriptionName>, StoreError> {
        let configured: BTreeSet<SubscriptionName> = configured.iter().cloned().collect();
        let (abandoned, changed) = self
            .read(move |kv, _| {
                let (mut abandoned, mut changed) = (BTreeSet::new(), Vec::new());
                let unconfigured: Vec<_> = subscriptions_in(kv, keys::queued_after, keys::subscription_of_queued)?
                    .into_iter()
                    .filter(|name| !configured.contains(name))
                    .collect();
                for name in unconfigured {
                    match read_lane(|key| kv.get(key), &name)?.unconfigured_since {
                        Some(since) if since < bound => drop(abandoned.insert(name)),
                        Some(_) => {}
                        None => changed.push((name, Some(now))),
                    }
                }
                for name in configured {
                    if read_lane(|key| kv.get(key), &name)?.unconfigured_since.is_some() {
                        changed.push((name, None));
                    }
                }
                Ok((abandoned, changed))
            })
            .await?;
        if !changed.is_empty() {
            self.commit(move |transaction, _| {
                for (name, unconfigured_since) in changed {
                    let state = LaneState { unconfigured_since, ..read_lane(|key| transaction.get(key), &name)? };
                    let json = serde_json::to_vec(&state).expect("a state is written to memory without errors");
                    put_whole(transaction, keys::lane(&name), &json);
                }
                Ok(())
            })
            .await?;
        }
        Ok(abandoned)
    }

    /// Removes the next group of pieces that nothing refers to.
    async fn remove_orphan(&self, pruning: &mut Pruning) -> Result<(), StoreError> {
        if pruning.groups.is_empty() {
            return Ok(());
        }
        let groups = pruning.groups.clone();
        let (next, orphan) = self.read(move |kv, _| next_orphan(kv, groups)).await?;
        if let Some(batch) = orphan {
            self.commit_batch(batch).await?;
        }
        pruning.groups.start = next;
        Ok(())
    }
}

fn candidates(
    kv: &dyn KeyValue,
    after: Option<EventId>,
    bound: EventId,
    most: usize,
) -> Result<Vec<Candidate>, StoreError> {
    let mut range = keys::events_before(Some(bound));
    if let Some(after) = after {
        range.from = keys::event(after.next());
    }
    let mut found = Vec::new();
    if range.from >= range.to || most == 0 {
        return Ok(found);
    }
    walk(kv, &range, Order::Ascending, |key, value| {
        let pieces = match unseal(key, value)? {
            Body::Whole(_) => None,
            Body::InPieces(reference) => Some(reference),
        };
        let body = assemble(kv, key, value)?;
        let EventHead { connector, subscriptions, .. } = EventHead::decode(key, &body)?;
        found.extend(keys::event_of(key).map(|id| Candidate { id, connector, subscriptions, pieces }));
        Ok(found.len() < most)
    })?;
    Ok(found)
}

/// Removes an event and its deliveries if all of them are over, or wait for abandoned subscriptions; returns how many
/// deliveries it had.
fn remove(
    transaction: &mut Transaction<'_>,
    core: &Arc<Core>,
    candidate: Candidate,
    abandoned: &BTreeSet<SubscriptionName>,
    now: Timestamp,
    retention: Retention,
) -> Result<Option<usize>, StoreError> {
    let Candidate { id, connector, mut subscriptions, pieces } = candidate;
    let added = transaction.first_of(&keys::added_to(id), usize::MAX)?;
    for (key, _) in &added {
        subscriptions.push(keys::subscription_of_added(key).ok_or_else(|| damaged(key, "it names no subscription"))?);
    }
    if subscriptions.is_empty() && id.time() >= now - retention.delivered {
        return Ok(None);
    }
    subscriptions.sort_unstable();
    subscriptions.dedup();
    let mut over = Vec::with_capacity(subscriptions.len());
    for subscription in subscriptions {
        let delivery = DeliveryId { event: id, subscription };
        let record = read_record(|key| transaction.get(key), &delivery)?;
        let record = record.unwrap_or_else(|| DeliveryRecord::first(id));
        // While others are joined to it, it is needed.
        let is_over = record.members == 0 && {
            let (of, record) = deciding(|key| transaction.get(key), &delivery, record.clone())?;
            match record.stage {
                Stage::First | Stage::Again(_) | Stage::Joined(_) => {
                    abandoned.contains(&of.subscription)
                        && !lock(&core.leases.lane(&of.subscription)).is_held(of.event, now)
                }
                Stage::Delivered(at) => at < now - retention.delivered,
                Stage::Dead(at, _) => at < now - retention.dead,
            }
        };
        if !is_over {
            return Ok(None);
        }
        over.push((delivery, record));
    }
    let count = over.len();
    for (delivery, record) in over {
        remove_delivery(transaction, core, &delivery, &record)?;
    }
    let mut batch = Batch::default();
    batch.delete(keys::event(id));
    batch.delete(keys::event_of_connector(&connector, id));
    for (key, _) in added {
        batch.delete(key);
    }
    if let Some(reference) = pieces {
        reference.delete(&mut batch);
    }
    transaction.append(batch);
    Ok(Some(count))
}

fn remove_delivery(
    transaction: &mut Transaction<'_>,
    core: &Arc<Core>,
    id: &DeliveryId,
    record: &DeliveryRecord,
) -> Result<(), StoreError> {
    let DeliveryId { event, subscription } = id;
    if let Some(place) = record.place(*event) {
        let order = LaneOrder::read(|key| transaction.get(key), subscription)?;
        relocate(transaction, core, order, id, Some(place), None)?;
    }
    if let Stage::Joined(first) = record.stage {
        take_out(transaction, &DeliveryId { event: first, ..id.clone() }, *event)?;
    }
    transaction.delete(keys::delivery(subscription, *event));
    transaction.delete(keys::dead(subscription, *event));
    for part in 0..record.member_parts {
        transaction.delete(keys::members(subscription, *event, part));
    }
    for (number, stored) in (record.first_kept()..).zip(&record.attempts) {
        for part in 0..stored.detail_parts {
            transaction.delete(keys::detail(subscription, *event, number, part));
        }
    }
    // A lease that ended and was not taken over is good for nothing now.
    lock(&core.leases.lane(subscription)).settled(*event);
    Ok(())
}

/// Looks for the first group of pieces that nothing refers to; returns where to go on, and the removal of (a part of)
/// that group.
fn next_orphan(kv: &dyn KeyValue, groups: std::ops::Range<u64>) -> Result<(u64, Option<Batch>), StoreError> {
    let mut next = groups.start;
    while next < groups.end {
        let range = keys::pieces_from(next);
        let mut first = None;
        walk(kv, &range, Order::Ascending, |key, value| {
            if let Some((group, number)) = keys::piece_of(key) {
                let owner = if number == 0 { Some(unseal_whole(key, value)?.to_vec()) } else { None };
                first = Some((group, owner));
            }
            Ok(false)
        })?;
        let Some((group, owner)) = first.filter(|(group, _)| groups.contains(group)) else {
            return Ok((groups.end, None));
        };
        if owner.map_or(Ok(false), |owner| refers_to(kv, &owner, group))? {
            next = group + 1;
            continue;
        }
        return orphan(kv, group).map(|(batch, is_all)| (if is_all { group + 1 } else { group }, Some(batch)));
    }
    Ok((groups.end, None))
}

fn refers_to(kv: &dyn KeyValue, owner: &[u8], group: u64) -> Result<bool, StoreError> {
    let Some(value) = kv.get(owner)? else { return Ok(false) };
    Ok(matches!(unseal(owner, &value)?, Body::InPieces(reference) if reference.group() == group))
}

/// Returns the removal of a group, the last pieces first, and whether it removes all of them.
fn orphan(kv: &dyn KeyValue, group: u64) -> Result<(Batch, bool), StoreError> {
    let range = keys::KeyRange { from: keys::piece(group, 0), to: keys::piece(group + 1, 0) };
    let mut batch = Batch::default();
    let mut is_all = true;
    walk(kv, &range, Order::Descending, |key, _| {
        is_all = batch.operations() < MOST_OPERATIONS;
        if is_all {
            batch.delete(key.to_vec());
        }
        Ok(is_all)
    })?;
    Ok((batch, is_all))
}
