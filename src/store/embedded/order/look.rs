//! What a claim finds in the queues of a lane that has an order.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use super::{ALL, LaneOrder};
use crate::model::id::{EventId, SubscriptionName};
use crate::model::lane::Order;
use crate::model::time::Timestamp;
use crate::store::StoreError;
use crate::store::embedded::committer::Transaction;
use crate::store::embedded::history::walk;
use crate::store::embedded::keys::{self, Item, Place};
use crate::store::embedded::leases::{Lane, lock};
use crate::store::embedded::value::damaged;
use crate::store::embedded::{Core, put_whole};
use crate::store::kv::{self, KeyValue};

/// How many first tries a claim looks at, in a lane with an order.
const LOOKED_AT: usize = 250;

/// What a claim finds among what may go.
#[derive(Default)]
pub(in crate::store::embedded) struct Looked {
    /// What may go, with its item.
    pub free: Vec<(Place, Item)>,
    /// First tries that wait for other deliveries of their items.
    pub blocked: Vec<(EventId, Item)>,
    /// The first place that was passed over although nobody holds it: from there on everything is to be looked at again.
    pub passed: Option<Place>,
    /// Whether enough was looked at before the end was reached.
    pub is_cut_off: bool,
}

/// The items of some events.
pub(in crate::store::embedded) type Items = HashMap<EventId, Item>;

/// Reads the items of the first tries that are likely to be looked at, so that the lane is not locked meanwhile: events
/// may be large, and what becomes durable waits for that lock.
pub(in crate::store::embedded) fn read_items(
    kv: &dyn KeyValue,
    lane: &Mutex<Lane>,
    current: LaneOrder,
    subscription: &SubscriptionName,
    most: usize,
) -> Result<Items, StoreError> {
    let mut items = Items::new();
    if most == 0 || current.order == Order::All {
        return Ok(items);
    }
    let mut different = HashSet::new();
    let from = lock(lane).first_from;
    walk(kv, &keys::queued_first(subscription, from), kv::Order::Ascending, |key, value| {
        let event = keys::event_of(key).ok_or_else(|| damaged(key, "it is no place in a queue"))?;
        if !lock(lane).has_hold(event) {
            let item = current.item_queued(kv, key, value, event);
            items.insert(event, item);
            different.insert(item);
        }
        Ok(different.len() < most && items.len() < LOOKED_AT)
    })?;
    Ok(items)
}

/// Looks for first tries that nobody holds and that wait for no other delivery.
pub(in crate::store::embedded) fn look_at_first_tries(
    kv: &dyn KeyValue,
    lane: &Lane,
    current: LaneOrder,
    subscription: &SubscriptionName,
    items: &Items,
    most: usize,
) -> Result<Looked, StoreError> {
    let mut looked = Looked::default();
    let is_closed = || Ok::<_, StoreError>(lane.holds_of(ALL) || kv.get(&keys::head(subscription, &ALL))?.is_some());
    if most == 0 || (current.order == Order::All && is_closed()?) {
        return Ok(looked);
    }
    // The first one of each item, and whether it is only passed over.
    let mut ahead: HashMap<Item, bool> = HashMap::new();
    walk(kv, &keys::queued_first(subscription, lane.first_from), kv::Order::Ascending, |key, value| {
        let event = keys::event_of(key).ok_or_else(|| damaged(key, "it is no place in a queue"))?;
        if lane.has_hold(event) {
            return Ok(true);
        }
        let item = items.get(&event).copied().unwrap_or_else(|| current.item_queued(kv, key, value, event));
        let is_behind = lane.holds_before(item, event)
            || kv.get(&keys::head(subscription, &item))?.is_some()
            || is_any_behind(kv, subscription, item, event)?;
        // What waits only for deliveries of newer events, which were taken when the lane had no order, stays where it
        // is: they do not bring it out.
        let is_passed = !is_behind && lane.holds_of(item);
        let earlier = ahead.get(&item).copied();
        ahead.entry(item).or_insert(is_passed);
        if is_passed || (!is_behind && earlier == Some(true)) {
            looked.passed = looked.passed.or(Some(Place::First(event)));
        } else if is_behind || earlier.is_some() {
            looked.passed = looked.passed.or(Some(Place::First(event)));
            looked.blocked.push((event, item));
        } else {
            looked.free.push((Place::First(event), item));
        }
        looked.is_cut_off = looked.free.len() + looked.blocked.len() == LOOKED_AT;
        Ok(looked.free.len() < most && !looked.is_cut_off)
    })?;
    Ok(looked)
}

/// Looks for retries, due at a time or ever, that nobody holds and whose items nobody holds. Only heads are among them.
pub(in crate::store::embedded) fn look_at_retries(
    kv: &dyn KeyValue,
    lane: &Lane,
    current: LaneOrder,
    subscription: &SubscriptionName,
    due_at: Option<Timestamp>,
    most: usize,
) -> Result<Looked, StoreError> {
    let mut looked = Looked::default();
    if most == 0 {
        return Ok(looked);
    }
    walk(kv, &keys::queued_again(subscription, lane.again_from), kv::Order::Ascending, |key, value| {
        let Some(place @ Place::Again(due, event)) = keys::place_of(key) else {
            return Err(damaged(key, "it is no place in a queue"));
        };
        if due_at.is_some_and(|now| due > now) {
            return Ok(false);
        }
        if lane.has_hold(event) {
            return Ok(true);
        }
        let item = current.item_queued(kv, key, value, event);
        if lane.holds_of(item) {
            looked.passed = looked.passed.or(Some(place));
        } else {
            looked.free.push((place, item));
        }
        Ok(looked.free.len() < most)
    })?;
    Ok(looked)
}

/// Notes the items of what is held since before the lane had its order.
pub(in crate::store::embedded) fn note_items(kv: &dyn KeyValue, lane: &mut Lane, current: LaneOrder) {
    for event in lane.held_without_item() {
        lane.note_item(event, current.item(kv, event).unwrap_or(*event.as_bytes()));
    }
}

/// Puts first tries behind that were found blocked, if they still are.
pub(in crate::store::embedded) fn put_behind(
    transaction: &mut Transaction<'_>,
    core: &Core,
    subscription: &SubscriptionName,
    blocked: Vec<(EventId, Item)>,
) -> Result<(), StoreError> {
    let is_kept = LaneOrder::read(|key| transaction.get(key), subscription)?.is_some_and(LaneOrder::is_kept);
    let lane = core.leases.lane(subscription);
    let lane = lock(&lane);
    for (event, item) in blocked {
        let queued = keys::queued(subscription, Place::First(event));
        if !is_kept || lane.has_hold(event) || transaction.get(&queued)?.is_none() {
            continue;
        }
        // Something must be left ahead of it that brings it out. What is being settled has looked already, and what is
        // of a newer event would have to wait for it.
        let is_blocked = lane.awaits_settling_before(item, event)
            || transaction.get(&keys::head(subscription, &item))?.is_some()
            || !transaction.first_of(&keys::behind_of_before(subscription, &item, Some(event)), 1)?.is_empty();
        if is_blocked {
            transaction.delete(queued);
            put_whole(transaction, keys::behind(subscription, event), &item);
            transaction.put(keys::behind_of(subscription, &item, event), Vec::new());
        }
    }
    Ok(())
}

fn is_any_behind(
    kv: &dyn KeyValue,
    subscription: &SubscriptionName,
    item: Item,
    before: EventId,
) -> Result<bool, StoreError> {
    let mut is_any = false;
    walk(kv, &keys::behind_of_before(subscription, &item, Some(before)), kv::Order::Ascending, |_, _| {
        is_any = true;
        Ok(false)
    })?;
    Ok(is_any)
}
