//! How a lane keeps an order: which of its deliveries wait for which.
//!
//! The queues of a lane are sorted by event and by time, so what waits for another delivery of its item must not lie in
//! them: looking for what may go would lead past all of it again and again. In a lane with an order,
//!
//! - of an item's deliveries that wait for another attempt, only that of the oldest event, the *head*, is in its queue.
//!   The others are *later*.
//! - a first try that a claim finds blocked is put *behind*, where claims do not look.
//!
//! What is later or behind has another delivery of its item ahead of it that is not, and that brings out the next one
//! when it leaves its queue for good, in the same batch. So nothing is forgotten, whatever the moment of a crash. With
//! [`Order::All`] everything is one item, and nothing has to be put behind.

mod look;

use std::sync::Arc;

use super::committer::Transaction;
use super::keys::{self, Item, Place};
use super::leases::lock;
use super::record::EventHead;
use super::value::{Decoder, Encoder, assemble, damaged, seal, unseal_whole};
use super::{Core, announce, put_whole};
use crate::model::id::{DeliveryId, EventId, SubscriptionName};
use crate::model::lane::Order;
use crate::model::time::Timestamp;
use crate::store::StoreError;
use crate::store::kv::KeyValue;

pub(super) use look::{Items, Looked, look_at_first_tries, look_at_retries, note_items, put_behind, read_items};

/// The item of everything in a lane whose deliveries all wait for each other.
const ALL: Item = [0; 16];

/// How many deliveries one batch arranges.
const ARRANGED_AT_ONCE: usize = 200;

/// What a lane is arranged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LaneOrder {
    order: Order,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Retries that waited before it had this order are looked through; up to here that is done.
    Entering(Option<(Timestamp, EventId)>),
    Kept,
    /// It is to have this order no more: what is later or behind is brought out.
    Leaving,
}

impl LaneOrder {
    /// Reads what a lane is arranged by; `None` if it has no order.
    pub fn read(
        get: impl Fn(&[u8]) -> Result<Option<Vec<u8>>, StoreError>,
        subscription: &SubscriptionName,
    ) -> Result<Option<Self>, StoreError> {
        let key = keys::lane_order(subscription);
        let Some(value) = get(&key)? else { return Ok(None) };
        let mut decoder = Decoder(unseal_whole(&key, &value)?);
        let mut read = || {
            let order = match decoder.u8()? {
                1 => Order::Item,
                2 => Order::All,
                _ => return None,
            };
            let stage = match decoder.u8()? {
                0 => Stage::Entering(None),
                1 => Stage::Entering(Some(read_due(&mut decoder)?)),
                2 => Stage::Kept,
                3 => Stage::Leaving,
                _ => return None,
            };
            Some(Self { order, stage })
        };
        read().map(Some).ok_or_else(|| damaged(&key, "its fields cannot be read"))
    }

    fn write(self, transaction: &mut Transaction<'_>, subscription: &SubscriptionName) {
        let mut encoder = Encoder::default();
        encoder.u8(if self.order == Order::All { 2 } else { 1 });
        match self.stage {
            Stage::Entering(None) => encoder.u8(0),
            Stage::Entering(Some((due, event))) => {
                encoder.u8(1);
                encoder.i64(due.as_millis());
                encoder.0.extend_from_slice(event.as_bytes());
            }
            Stage::Kept => encoder.u8(2),
            Stage::Leaving => encoder.u8(3),
        }
        put_whole(transaction, keys::lane_order(subscription), &encoder.0);
    }

    /// Tells whether everything in the lane is arranged by its order.
    pub fn is_kept(self) -> bool {
        self.stage == Stage::Kept
    }

    /// Tells whether the lane is to have the order no more.
    pub fn is_leaving(self) -> bool {
        self.stage == Stage::Leaving
    }

    /// Returns the item of an event.
    fn item(self, kv: &dyn KeyValue, event: EventId) -> Result<Item, StoreError> {
        if self.order == Order::All {
            return Ok(ALL);
        }
        let key = keys::event(event);
        let value = kv.get(&key)?.ok_or_else(|| damaged(&key, "it is queued but it is not there"))?;
        EventHead::decode(&key, &assemble(kv, &key, &value)?)?.item(&key)
    }

    /// Returns the item of an event, as a queue has it or as the event says. One that cannot be read is its own item.
    fn item_queued(self, kv: &dyn KeyValue, key: &[u8], value: &[u8], event: EventId) -> Item {
        if self.order == Order::All {
            return ALL;
        }
        // What the lane had another order for does not count.
        let queued = unseal_whole(key, value).ok().and_then(|item| item.try_into().ok()).filter(|item| *item != ALL);
        queued.or_else(|| self.item(kv, event).ok()).unwrap_or(*event.as_bytes())
    }
}

/// Tells whether a lane is arranged by an order; `None` is arranged by when nothing is left of another one.
pub(super) fn is_arranged(
    kv: &dyn KeyValue,
    subscription: &SubscriptionName,
    wanted: Order,
) -> Result<bool, StoreError> {
    Ok(match LaneOrder::read(|key| kv.get(key), subscription)? {
        None => wanted == Order::None,
        Some(current) => current.order == wanted && current.is_kept(),
    })
}

/// Arranges a part of a lane by an order; tells whether nothing is left to be done.
pub(super) fn arrange(
    transaction: &mut Transaction<'_>,
    core: &Arc<Core>,
    subscription: &SubscriptionName,
    wanted: Order,
) -> Result<bool, StoreError> {
    let current = LaneOrder::read(|key| transaction.get(key), subscription)?;
    match current {
        None if wanted == Order::None => Ok(true),
        None => {
            // What they are was found out for another order, if at all.
            lock(&core.leases.lane(subscription)).forget_items();
            enter_some(transaction, core, subscription, LaneOrder { order: wanted, stage: Stage::Entering(None) })
        }
        Some(current) if current.order != wanted || current.stage == Stage::Leaving => {
            let is_done = leave_some(transaction, core, subscription, current)?;
            Ok(is_done && wanted == Order::None)
        }
        Some(current) => enter_some(transaction, core, subscription, current),
    }
}

fn enter_some(
    transaction: &mut Transaction<'_>,
    core: &Arc<Core>,
    subscription: &SubscriptionName,
    mut current: LaneOrder,
) -> Result<bool, StoreError> {
    let Stage::Entering(done) = current.stage else { return Ok(true) };
    let mut range = keys::queued_again(subscription, done);
    if done.is_some() {
        range.from.push(0);
    }
    let some = transaction.first_of(&range, ARRANGED_AT_ONCE)?;
    current.stage = Stage::Kept;
    for (key, value) in &some {
        let Some(Place::Again(due, event)) = keys::place_of(key) else {
            return Err(damaged(key, "it is no place in a queue"));
        };
        let item = current.item_queued(transaction.kv(), key, value, event);
        transaction.delete(key.clone());
        enter(transaction, core, subscription, item, due, event)?;
        if some.len() == ARRANGED_AT_ONCE {
            current.stage = Stage::Entering(Some((due, event)));
        }
    }
    current.write(transaction, subscription);
    Ok(current.is_kept())
}

fn leave_some(
    transaction: &mut Transaction<'_>,
    core: &Arc<Core>,
    subscription: &SubscriptionName,
    mut current: LaneOrder,
) -> Result<bool, StoreError> {
    current.stage = Stage::Leaving;
    let behind = transaction.first_of(&keys::behind_before(subscription, None), ARRANGED_AT_ONCE)?;
    let later = transaction.first_of(&keys::laters(subscription), ARRANGED_AT_ONCE - behind.len())?;
    let heads = transaction.first_of(&keys::heads(subscription), ARRANGED_AT_ONCE - behind.len() - later.len())?;
    for (key, value) in &behind {
        let event = keys::event_of(key).ok_or_else(|| damaged(key, "it names no event"))?;
        transaction.delete(key.clone());
        transaction.delete(keys::behind_of(subscription, &read_item(key, value)?, event));
        put_queued(transaction, core, subscription, Place::First(event), None);
    }
    for (key, value) in &later {
        let event = keys::event_of(key).ok_or_else(|| damaged(key, "it names no event"))?;
        transaction.delete(key.clone());
        put_queued(transaction, core, subscription, Place::Again(read_later(key, value)?, event), None);
    }
    for (key, _) in &heads {
        transaction.delete(key.clone());
    }
    let is_done = behind.len() + later.len() + heads.len() < ARRANGED_AT_ONCE;
    if is_done {
        transaction.delete(keys::lane_order(subscription));
    } else {
        current.write(transaction, subscription);
    }
    Ok(is_done)
}

/// Moves a delivery from where it waits to where it waits from now on, or out of its lane, which has this order.
pub(super) fn relocate(
    transaction: &mut Transaction<'_>,
    core: &Arc<Core>,
    order: Option<LaneOrder>,
    id: &DeliveryId,
    from: Option<Place>,
    to: Option<Place>,
) -> Result<(), StoreError> {
    let subscription = &id.subscription;
    let Some(current) = order else {
        if let Some(place) = from {
            transaction.delete(keys::queued(subscription, place));
        }
        if let Some(place) = to {
            put_queued(transaction, core, subscription, place, None);
        }
        return Ok(());
    };
    let held = lock(&core.leases.lane(subscription)).item_held(id.event);
    let item = held.or_else(|| current.item(transaction.kv(), id.event).ok()).unwrap_or(*id.event.as_bytes());
    let was_ahead = match from {
        Some(place) => remove(transaction, subscription, item, place)?,
        None => false,
    };
    match to {
        Some(Place::Again(due, event)) if current.stage != Stage::Leaving => {
            enter(transaction, core, subscription, item, due, event)?;
        }
        Some(place) => put_queued(transaction, core, subscription, place, None),
        None => {}
    }
    if was_ahead && current.stage != Stage::Leaving {
        bring_out_next(transaction, core, subscription, item)?;
    }
    Ok(())
}

/// Removes a delivery from where it waits; tells whether others of its item may have waited for it.
fn remove(
    transaction: &mut Transaction<'_>,
    subscription: &SubscriptionName,
    item: Item,
    place: Place,
) -> Result<bool, StoreError> {
    transaction.delete(keys::queued(subscription, place));
    match place {
        Place::First(event) => {
            let key = keys::behind(subscription, event);
            let Some(value) = transaction.get(&key)? else { return Ok(true) };
            transaction.delete(keys::behind_of(subscription, &read_item(&key, &value)?, event));
            transaction.delete(key);
            Ok(false)
        }
        Place::Again(_, event) => {
            let later = keys::later(subscription, &item, event);
            let was_later = transaction.get(&later)?.is_some();
            transaction.delete(later);
            let head = keys::head(subscription, &item);
            if read_head(transaction, &head)?.is_some_and(|(_, of)| of == event) {
                transaction.delete(head);
            }
            Ok(!was_later)
        }
    }
}

/// Lets a delivery wait for another attempt: as the head of its item, or for the head.
fn enter(
    transaction: &mut Transaction<'_>,
    core: &Arc<Core>,
    subscription: &SubscriptionName,
    item: Item,
    due: Timestamp,
    event: EventId,
) -> Result<(), StoreError> {
    let head = keys::head(subscription, &item);
    if let Some((head_due, head_event)) = read_head(transaction, &head)? {
        if head_event < event {
            put_whole(transaction, keys::later(subscription, &item, event), &due.as_millis().to_le_bytes());
            return Ok(());
        }
        transaction.delete(keys::queued(subscription, Place::Again(head_due, head_event)));
        if head_event > event {
            let later = keys::later(subscription, &item, head_event);
            put_whole(transaction, later, &head_due.as_millis().to_le_bytes());
        }
    }
    let mut encoder = Encoder::default();
    encoder.i64(due.as_millis());
    encoder.0.extend_from_slice(event.as_bytes());
    put_whole(transaction, head, &encoder.0);
    put_queued(transaction, core, subscription, Place::Again(due, event), Some(item));
    Ok(())
}

/// Lets the next delivery of an item go, unless its head waits.
fn bring_out_next(
    transaction: &mut Transaction<'_>,
    core: &Arc<Core>,
    subscription: &SubscriptionName,
    item: Item,
) -> Result<(), StoreError> {
    if transaction.get(&keys::head(subscription, &item))?.is_some() {
        return Ok(());
    }
    if let Some((key, value)) = transaction.first_of(&keys::later_of(subscription, &item), 1)?.pop() {
        let event = keys::event_of(&key).ok_or_else(|| damaged(&key, "it names no event"))?;
        let due = read_later(&key, &value)?;
        transaction.delete(key);
        return enter(transaction, core, subscription, item, due, event);
    }
    if let Some((key, _)) = transaction.first_of(&keys::behind_of_before(subscription, &item, None), 1)?.pop() {
        let event = keys::event_of(&key).ok_or_else(|| damaged(&key, "it names no event"))?;
        transaction.delete(key);
        transaction.delete(keys::behind(subscription, event));
        put_queued(transaction, core, subscription, Place::First(event), Some(item));
    }
    Ok(())
}

fn put_queued(
    transaction: &mut Transaction<'_>,
    core: &Arc<Core>,
    subscription: &SubscriptionName,
    place: Place,
    item: Option<Item>,
) {
    let key = keys::queued(subscription, place);
    let value = item.map_or_else(Vec::new, |item| seal(&key, &item));
    transaction.put(key, value);
    announce(transaction, core, vec![(subscription.clone(), place)]);
}

fn read_head(transaction: &Transaction<'_>, key: &[u8]) -> Result<Option<(Timestamp, EventId)>, StoreError> {
    let Some(value) = transaction.get(key)? else { return Ok(None) };
    let head = read_due(&mut Decoder(unseal_whole(key, &value)?));
    head.map(Some).ok_or_else(|| damaged(key, "its fields cannot be read"))
}

fn read_due(decoder: &mut Decoder<'_>) -> Option<(Timestamp, EventId)> {
    Some((Timestamp::from_millis(decoder.i64()?), EventId::from_bytes(decoder.chunk()?)))
}

fn read_later(key: &[u8], value: &[u8]) -> Result<Timestamp, StoreError> {
    let due = Decoder(unseal_whole(key, value)?).i64();
    due.map(Timestamp::from_millis).ok_or_else(|| damaged(key, "its fields cannot be read"))
}

fn read_item(key: &[u8], value: &[u8]) -> Result<Item, StoreError> {
    unseal_whole(key, value)?.try_into().map_err(|_| damaged(key, "it names no item"))
}
