//! Lists of events and deliveries, a bounded part at a time.

use std::collections::{BTreeMap, BTreeSet};

use super::batches::describe;
use super::history::{read_added, read_event, read_record_or_first, subscriptions_in, walk};
use super::keys::{self, KeyRange};
use super::record::{DeliveryRecord, EventHead};
use super::value::{assemble, damaged, unseal_whole};
use crate::model::delivery::Delivery;
use crate::model::event::RoutedEvent;
use crate::model::id::{DeliveryId, EventId, SubscriptionName};
use crate::store::kv::{KeyValue, Order};
use crate::store::{DeliveryQuery, EventQuery, Page, StoreError};

/// How many entries one part of a list looks at, if its limit is not greater.
const LOOKED_AT: usize = 2_000;

/// How many bytes of events it reads.
const BYTES_READ: usize = 16 << 20;

/// How many entries of each of some lists are read before they are merged.
const STRETCH: usize = 256;

/// How many entries of all lists are read before they are merged.
const STRETCH_OF_ALL: usize = 4_096;

/// Returns a part of the list of events.
pub(super) fn events(kv: &dyn KeyValue, query: &EventQuery) -> Result<Page<RoutedEvent, EventId>, StoreError> {
    let mut page = Page { found: Vec::new(), next: None };
    if query.limit == 0 {
        return Ok(page);
    }
    let before = [query.before, query.filter.bound()].into_iter().flatten().min();
    let mut range = match &query.filter.connector {
        Some(connector) => keys::events_of_connector_before(connector, before),
        None => keys::events_before(before),
    };
    if let Some(first) = query.filter.first() {
        range.from = match &query.filter.connector {
            Some(connector) => keys::event_of_connector(connector, first),
            None => keys::event(first),
        };
    }
    let mut room = Room::new(query.limit);
    walk_if_any(kv, &range, |key, _| {
        let id = keys::event_of(key).ok_or_else(|| damaged(key, "it names no event"))?;
        // One that was pruned in between is passed over.
        if let Some(routed) = read_event(kv, id)? {
            room.read(routed.event.size());
            if query.wants(&routed.event) {
                page.found.push(routed);
            }
        }
        room.looked_at_one();
        let goes_on = page.found.len() < query.limit && !room.is_used_up();
        page.next = (!goes_on).then_some(id);
        Ok(goes_on)
    })?;
    Ok(page)
}

/// Returns a part of the list of deliveries.
pub(super) fn deliveries(kv: &dyn KeyValue, query: &DeliveryQuery) -> Result<Page<Delivery, DeliveryId>, StoreError> {
    let mut listing = Listing { query, found: Vec::new(), room: Room::new(query.limit), last: None };
    let is_dead = query.asks_for_dead();
    match &query.subscription {
        _ if query.limit == 0 => {}
        Some(subscription) if is_dead => listing.dead(kv, subscription)?,
        Some(subscription) => listing.of_subscription(kv, subscription)?,
        None if is_dead => listing.dead_of_all(kv)?,
        None => listing.of_all(kv)?,
    }
    let next = if listing.goes_on() { None } else { listing.last };
    Ok(Page { found: listing.found, next })
}

/// How much may still be looked at.
struct Room {
    entries: usize,
    bytes: usize,
}

impl Room {
    fn new(limit: usize) -> Self {
        Self { entries: limit.max(LOOKED_AT), bytes: BYTES_READ }
    }

    fn looked_at_one(&mut self) {
        self.entries = self.entries.saturating_sub(1);
    }

    fn read(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    fn is_used_up(&self) -> bool {
        self.entries == 0 || self.bytes == 0
    }
}

/// A part of the list of deliveries being gathered, those of the newest events first.
struct Listing<'q> {
    query: &'q DeliveryQuery,
    found: Vec<Delivery>,
    room: Room,
    /// The last one that was looked at.
    last: Option<DeliveryId>,
}

impl Listing<'_> {
    fn goes_on(&self) -> bool {
        self.found.len() < self.query.limit && !self.room.is_used_up()
    }

    /// Takes in a delivery if it is asked for; tells whether to go on.
    fn offer(&mut self, kv: &dyn KeyValue, id: DeliveryId, record: DeliveryRecord) -> Result<bool, StoreError> {
        let query = self.query;
        if query.before.as_ref().is_some_and(|before| id >= *before) {
            return Ok(true);
        }
        self.room.looked_at_one();
        self.last = Some(id.clone());
        let delivery = describe(kv, id, record)?;
        if query.wants(&delivery) && query.filter.spans(delivery.id.event) && self.is_of_kind(kv, &delivery)? {
            self.found.push(delivery);
        }
        Ok(self.goes_on())
    }

    fn is_of_kind(&mut self, kv: &dyn KeyValue, delivery: &Delivery) -> Result<bool, StoreError> {
        if !self.query.filter.asks_for_kind() {
            return Ok(true);
        }
        let Some(routed) = read_event(kv, delivery.id.event)? else { return Ok(false) };
        self.room.read(routed.event.size());
        Ok(self.query.filter.matches_kind(&routed.event))
    }

    /// Returns the first event that is not asked for: the bound itself may have deliveries before it, by name.
    fn bound_after(&self) -> Option<EventId> {
        let before = self.query.before.as_ref().map(|before| before.event.next());
        [before, self.query.filter.bound()].into_iter().flatten().min()
    }

    /// Leaves of a range what is of events that are asked for; `of` makes the key of an event in it.
    fn since_first(&self, mut range: KeyRange, of: impl Fn(EventId) -> Vec<u8>) -> KeyRange {
        if let Some(first) = self.query.filter.first() {
            range.from = of(first);
        }
        range
    }

    fn dead_range(&self, subscription: &SubscriptionName, bound: Option<EventId>) -> KeyRange {
        self.since_first(keys::dead_before(subscription, bound), |event| keys::dead(subscription, event))
    }

    fn dead(&mut self, kv: &dyn KeyValue, subscription: &SubscriptionName) -> Result<(), StoreError> {
        walk_if_any(kv, &self.dead_range(subscription, self.bound_after()), |key, _| {
            let event = keys::event_of(key).ok_or_else(|| damaged(key, "it names no event"))?;
            let id = DeliveryId { event, subscription: subscription.clone() };
            self.offer_recorded(kv, id)
        })
    }

    fn offer_recorded(&mut self, kv: &dyn KeyValue, id: DeliveryId) -> Result<bool, StoreError> {
        match read_record_or_first(kv, &id)? {
            Some(record) => self.offer(kv, id, record),
            None => Ok(true),
        }
    }

    /// Goes through the dead letters of all subscriptions side by side.
    fn dead_of_all(&mut self, kv: &dyn KeyValue) -> Result<(), StoreError> {
        let subscriptions = subscriptions_in(kv, keys::dead_after, keys::subscription_of_dead)?;
        let most = (STRETCH_OF_ALL / subscriptions.len().max(1)).max(4);
        let mut bound = self.bound_after();
        loop {
            let mut stretch = BTreeSet::new();
            let mut known_to: Option<EventId> = None;
            for subscription in &subscriptions {
                let mut count = 0;
                walk_if_any(kv, &self.dead_range(subscription, bound), |key, _| {
                    let event = keys::event_of(key).ok_or_else(|| damaged(key, "it names no event"))?;
                    stretch.insert(DeliveryId { event, subscription: subscription.clone() });
                    count += 1;
                    if count == most {
                        known_to = known_to.max(Some(event));
                    }
                    Ok(count < most)
                })?;
            }
            for id in stretch.into_iter().rev() {
                if known_to.is_some_and(|known_to| id.event < known_to) {
                    break;
                }
                if !self.offer_recorded(kv, id)? {
                    return Ok(());
                }
            }
            match known_to {
                Some(event) => bound = Some(event),
                None => return Ok(()),
            }
        }
    }

    /// Goes through those that have a record and those that wait for their first attempt, in two places, side by side.
    fn of_subscription(&mut self, kv: &dyn KeyValue, subscription: &SubscriptionName) -> Result<(), StoreError> {
        let mut bound = self.bound_after();
        loop {
            // A stretch of each at a time: only above the higher of the two ends is everything known.
            let mut stretch = BTreeMap::new();
            let mut known_to: Option<EventId> = None;
            let mut read = |range: &KeyRange, of_record: bool| {
                let mut count = 0;
                walk_if_any(kv, range, |key, value| {
                    let event = keys::event_of(key).ok_or_else(|| damaged(key, "it names no event"))?;
                    let record = if of_record {
                        DeliveryRecord::decode(key, unseal_whole(key, value)?)?
                    } else {
                        DeliveryRecord::first(event)
                    };
                    stretch.entry(event).or_insert(record);
                    count += 1;
                    if count == STRETCH {
                        known_to = known_to.max(Some(event));
                    }
                    Ok(count < STRETCH)
                })
            };
            let records = keys::deliveries_before(subscription, bound);
            read(&self.since_first(records, |event| keys::delivery(subscription, event)), true)?;
            let queued = keys::queued_first_before(subscription, bound);
            read(&self.since_first(queued, |event| keys::queued(subscription, keys::Place::First(event))), false)?;
            let behind = keys::behind_before(subscription, bound);
            read(&self.since_first(behind, |event| keys::behind(subscription, event)), false)?;
            for (event, record) in stretch.into_iter().rev() {
                if known_to.is_some_and(|known_to| event < known_to) {
                    break;
                }
                let id = DeliveryId { event, subscription: subscription.clone() };
                if !self.offer(kv, id, record)? {
                    return Ok(());
                }
            }
            match known_to {
                Some(event) => bound = Some(event),
                None => return Ok(()),
            }
        }
    }

    fn of_all(&mut self, kv: &dyn KeyValue) -> Result<(), StoreError> {
        let range = self.since_first(keys::events_before(self.bound_after()), keys::event);
        walk_if_any(kv, &range, |key, value| {
            let body = assemble(kv, key, value)?;
            let event = keys::event_of(key).ok_or_else(|| damaged(key, "it names no event"))?;
            let mut subscriptions = EventHead::decode(key, &body)?.subscriptions;
            subscriptions.extend(read_added(kv, event)?);
            subscriptions.sort_unstable();
            subscriptions.dedup();
            self.room.read(body.len());
            for subscription in subscriptions.into_iter().rev() {
                if !self.offer_recorded(kv, DeliveryId { event, subscription })? {
                    return Ok(false);
                }
            }
            // One that goes to nobody is looked at as well, and the next part may begin behind it.
            if self.last.as_ref().is_none_or(|last| last.event > event) {
                self.room.looked_at_one();
                let lowest = "0".parse().expect("a digit is a name");
                self.last = Some(DeliveryId { event, subscription: lowest });
            }
            Ok(self.goes_on())
        })
    }
}

/// Shows the entries of a range, the last first; a range that ends before it begins has none.
fn walk_if_any(
    kv: &dyn KeyValue,
    range: &KeyRange,
    visit: impl FnMut(&[u8], &[u8]) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    if range.from < range.to { walk(kv, range, Order::Descending, visit) } else { Ok(()) }
}
