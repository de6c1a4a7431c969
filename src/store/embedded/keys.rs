//! The layout of keys: one byte that says what it is, then names (ended by a zero byte) and ids and numbers in
//! big-endian order, so that keys sort as what they stand for does.

use crate::model::fingerprint::{BodyHash, KeyHash};
use crate::model::id::{ConnectorName, EventId, SubscriptionName};
use crate::model::replay::ReplayId;
use crate::model::time::Timestamp;

const META: u8 = b'M';
const CONNECTOR: u8 = b'C';
const SEEN: u8 = b'S';
const KEPT: u8 = b'K';
const EVENT: u8 = b'E';
const EVENT_OF: u8 = b'O';
const QUEUE: u8 = b'Q';
const DELIVERY: u8 = b'D';
const DETAIL: u8 = b'A';
const DEAD: u8 = b'L';
const LANE: u8 = b'N';
const PIECE: u8 = b'P';
const SET_ASIDE: u8 = b'W';
const POLL: u8 = b'R';
const GRANT: u8 = b'G';
const ADDED: u8 = b'T';
const SUBSCRIPTION: u8 = b'U';
const REPLAY: u8 = b'J';

const RECORD: u8 = 0;
const RUNNING: u8 = 1;
const REQUEST: u8 = 2;

const LANE_ORDER: u8 = b'B';
const JOINING: u8 = b'V';
const MEMBERS: u8 = b'J';
const JOINED: u8 = b'j';

const FIRST: u8 = 0;
const AGAIN: u8 = 1;
const BEHIND: u8 = 2;
const BEHIND_OF: u8 = 3;
const HEAD: u8 = 4;
const LATER: u8 = 5;

/// What tells the items of a lane apart.
pub(super) type Item = [u8; 16];

/// Where a delivery waits: the first attempts by event, the others by when they fall due. In a lane with an order it may
/// lie aside for another one meanwhile; see `order`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    First(EventId),
    Again(Timestamp, EventId),
}

impl Place {
    /// Returns the event whose delivery has this place.
    pub fn event(self) -> EventId {
        match self {
            Self::First(event) | Self::Again(_, event) => event,
        }
    }

    /// Returns when the delivery falls due.
    pub fn due(self) -> Timestamp {
        match self {
            Self::First(event) => event.time(),
            Self::Again(due, _) => due,
        }
    }
}

/// A range of keys: the first one, and the first one after it.
#[derive(Debug)]
pub(super) struct KeyRange {
    pub from: Vec<u8>,
    pub to: Vec<u8>,
}

/// The database's own id.
pub(super) fn database_id() -> Vec<u8> {
    vec![META, b'i']
}

/// The number of the last batch.
pub(super) fn sequence() -> Vec<u8> {
    vec![META, b's']
}

/// What is written to prove that writing works.
pub(super) fn marker() -> Vec<u8> {
    vec![META, b'w']
}

pub(super) fn connector(name: &ConnectorName) -> Vec<u8> {
    named(CONNECTOR, name.as_str(), &[])
}

/// The leaf of seen items that begins with this hash.
pub(super) fn seen_leaf(connector: &ConnectorName, lowest: &[u8; 16]) -> Vec<u8> {
    named(SEEN, connector.as_str(), &[lowest])
}

/// All leaves of a connector's seen items.
pub(super) fn seen_leaves(connector: &ConnectorName) -> KeyRange {
    all_below(named(SEEN, connector.as_str(), &[]))
}

/// The hash that a leaf begins with.
pub(super) fn lowest_of_leaf(key: &[u8]) -> Option<[u8; 16]> {
    key.last_chunk().copied()
}

pub(super) fn kept(connector: &ConnectorName, hash: &KeyHash) -> Vec<u8> {
    named(KEPT, connector.as_str(), &[&hash.0])
}

/// A change that is not yet an event.
pub(super) fn set_aside(connector: &ConnectorName, hash: &KeyHash) -> Vec<u8> {
    named(SET_ASIDE, connector.as_str(), &[&hash.0])
}

/// A connector's changes that are not yet events: those after a hash, or all.
pub(super) fn set_aside_after(connector: &ConnectorName, after: Option<&KeyHash>) -> KeyRange {
    let mut all = all_below(named(SET_ASIDE, connector.as_str(), &[]));
    if let Some(after) = after {
        all.from = set_aside(connector, after);
        all.from.push(0);
    }
    all
}

/// A poll in its connector's history, where its number follows that of the poll before it.
pub(super) fn poll(connector: &ConnectorName, at: Timestamp, number: u32) -> Vec<u8> {
    named(POLL, connector.as_str(), &[&at.as_millis().to_be_bytes(), &number.to_be_bytes()])
}

/// Reads the key of a poll: when it began, and its number.
pub(super) fn poll_of(key: &[u8]) -> Option<(Timestamp, u32)> {
    let rest: &[u8; 12] = key.last_chunk()?;
    let (at, number) = (i64::from_be_bytes(*rest.first_chunk()?), u32::from_be_bytes(*rest.last_chunk()?));
    Some((Timestamp::from_millis(at), number))
}

/// The polls of a connector's history that began before a time, or all.
pub(super) fn polls_before(connector: &ConnectorName, before: Option<Timestamp>) -> KeyRange {
    let mut all = all_below(named(POLL, connector.as_str(), &[]));
    if let Some(before) = before {
        all.to = named(POLL, connector.as_str(), &[&before.as_millis().to_be_bytes()]);
    }
    all
}

/// What a grant was rotated to.
pub(super) fn grant(id: &BodyHash) -> Vec<u8> {
    let mut key = vec![GRANT];
    key.extend_from_slice(&id.0);
    key
}

/// A subscription that was made over the API.
pub(super) fn subscription(name: &SubscriptionName) -> Vec<u8> {
    named(SUBSCRIPTION, name.as_str(), &[])
}

/// All subscriptions that were made over the API.
pub(super) fn subscriptions() -> KeyRange {
    KeyRange { from: vec![SUBSCRIPTION], to: vec![SUBSCRIPTION + 1] }
}

pub(super) fn event(id: EventId) -> Vec<u8> {
    let mut key = vec![EVENT];
    key.extend_from_slice(id.as_bytes());
    key
}

/// All events with smaller ids than this one, or all there are.
pub(super) fn events_before(before: Option<EventId>) -> KeyRange {
    KeyRange { from: vec![EVENT], to: before.map_or(vec![EVENT + 1], event) }
}

/// A subscription that an event was sent to later.
pub(super) fn added(event: EventId, subscription: &SubscriptionName) -> Vec<u8> {
    [&[ADDED], event.as_bytes().as_slice(), subscription.as_str().as_bytes()].concat()
}

/// All subscriptions that an event was sent to later.
pub(super) fn added_to(event: EventId) -> KeyRange {
    let of = |event: EventId| [&[ADDED], event.as_bytes().as_slice()].concat();
    KeyRange { from: of(event), to: of(event.next()) }
}

/// The subscription that an event was sent to later.
pub(super) fn subscription_of_added(key: &[u8]) -> Option<SubscriptionName> {
    std::str::from_utf8(key.get(17..)?).ok()?.parse().ok()
}

/// What finds an event by its connector.
pub(super) fn event_of_connector(connector: &ConnectorName, id: EventId) -> Vec<u8> {
    named(EVENT_OF, connector.as_str(), &[id.as_bytes()])
}

/// What finds a connector's events with smaller ids than this one, or all of them.
pub(super) fn events_of_connector_before(connector: &ConnectorName, before: Option<EventId>) -> KeyRange {
    bounded(named(EVENT_OF, connector.as_str(), &[]), before)
}

pub(super) fn queued(subscription: &SubscriptionName, place: Place) -> Vec<u8> {
    match place {
        Place::First(event) => named(QUEUE, subscription.as_str(), &[&[FIRST], event.as_bytes()]),
        Place::Again(due, event) => {
            named(QUEUE, subscription.as_str(), &[&[AGAIN], &due.as_millis().to_be_bytes(), event.as_bytes()])
        }
    }
}

/// All that wait for their first attempt, from the given event on.
pub(super) fn queued_first(subscription: &SubscriptionName, from: Option<EventId>) -> KeyRange {
    let all = all_below(named(QUEUE, subscription.as_str(), &[&[FIRST]]));
    KeyRange { from: from.map_or(all.from, |event| queued(subscription, Place::First(event))), to: all.to }
}

/// All that wait for another attempt, from the given place on.
pub(super) fn queued_again(subscription: &SubscriptionName, from: Option<(Timestamp, EventId)>) -> KeyRange {
    let all = all_below(named(QUEUE, subscription.as_str(), &[&[AGAIN]]));
    let from = from.map_or(all.from, |(due, event)| queued(subscription, Place::Again(due, event)));
    KeyRange { from, to: all.to }
}

/// A first attempt that waits for another delivery of its item, by its event.
pub(super) fn behind(subscription: &SubscriptionName, event: EventId) -> Vec<u8> {
    named(QUEUE, subscription.as_str(), &[&[BEHIND], event.as_bytes()])
}

/// A subscription's first attempts that wait for other deliveries, of events before this one, or all.
pub(super) fn behind_before(subscription: &SubscriptionName, before: Option<EventId>) -> KeyRange {
    bounded(named(QUEUE, subscription.as_str(), &[&[BEHIND]]), before)
}

/// A first attempt that waits for another delivery of its item, by the item.
pub(super) fn behind_of(subscription: &SubscriptionName, item: &Item, event: EventId) -> Vec<u8> {
    named(QUEUE, subscription.as_str(), &[&[BEHIND_OF], item, event.as_bytes()])
}

/// An item's first attempts that wait for other deliveries of it, of events before this one, or all.
pub(super) fn behind_of_before(subscription: &SubscriptionName, item: &Item, before: Option<EventId>) -> KeyRange {
    of_item(BEHIND_OF, subscription, item, before)
}

/// Of an item's deliveries that wait for another attempt, the one that the others wait for.
pub(super) fn head(subscription: &SubscriptionName, item: &Item) -> Vec<u8> {
    named(QUEUE, subscription.as_str(), &[&[HEAD], item])
}

/// All heads of a lane.
pub(super) fn heads(subscription: &SubscriptionName) -> KeyRange {
    all_below(named(QUEUE, subscription.as_str(), &[&[HEAD]]))
}

/// Another attempt that waits for the head of its item.
pub(super) fn later(subscription: &SubscriptionName, item: &Item, event: EventId) -> Vec<u8> {
    named(QUEUE, subscription.as_str(), &[&[LATER], item, event.as_bytes()])
}

/// All attempts of an item that wait for its head.
pub(super) fn later_of(subscription: &SubscriptionName, item: &Item) -> KeyRange {
    of_item(LATER, subscription, item, None)
}

/// All attempts of a lane that wait for a head.
pub(super) fn laters(subscription: &SubscriptionName) -> KeyRange {
    all_below(named(QUEUE, subscription.as_str(), &[&[LATER]]))
}

fn of_item(kind: u8, subscription: &SubscriptionName, item: &Item, before: Option<EventId>) -> KeyRange {
    let key = |event: EventId| named(QUEUE, subscription.as_str(), &[&[kind], item, event.as_bytes()]);
    KeyRange { from: key(EventId::from_bytes([0; 16])), to: key(before.unwrap_or(EventId::LAST)) }
}

/// The order that a lane is arranged by.
pub(super) fn lane_order(subscription: &SubscriptionName) -> Vec<u8> {
    named(LANE_ORDER, subscription.as_str(), &[])
}

/// Whether a lane joins deliveries; not there before anything was claimed.
pub(super) fn joining(subscription: &SubscriptionName) -> Vec<u8> {
    named(JOINING, subscription.as_str(), &[])
}

/// All that waits for the subscriptions after this one, or for any.
pub(super) fn queued_after(subscription: Option<&SubscriptionName>) -> KeyRange {
    let from = subscription.map_or(vec![QUEUE], |name| all_below(named(QUEUE, name.as_str(), &[])).to);
    KeyRange { from, to: vec![QUEUE + 1] }
}

/// The subscription that something queued waits for.
pub(super) fn subscription_of_queued(key: &[u8]) -> Option<SubscriptionName> {
    subscription_of(QUEUE, key)
}

fn subscription_of(prefix: u8, key: &[u8]) -> Option<SubscriptionName> {
    let name = key.strip_prefix(&[prefix])?.split(|byte| *byte == 0).next()?;
    std::str::from_utf8(name).ok()?.parse().ok()
}

/// Reads the key of something queued.
pub(super) fn place_of(key: &[u8]) -> Option<Place> {
    let name_end = key.iter().position(|byte| *byte == 0)?;
    let event = EventId::from_bytes(*key.last_chunk()?);
    match key.get(name_end + 1..)? {
        [FIRST, rest @ ..] if rest.len() == 16 => Some(Place::First(event)),
        [AGAIN, rest @ ..] if rest.len() == 24 => {
            let due = i64::from_be_bytes(*rest.first_chunk()?);
            Some(Place::Again(Timestamp::from_millis(due), event))
        }
        _ => None,
    }
}

pub(super) fn delivery(subscription: &SubscriptionName, event: EventId) -> Vec<u8> {
    named(DELIVERY, subscription.as_str(), &[event.as_bytes()])
}

/// The records of a subscription's deliveries of events before this one, or of all.
pub(super) fn deliveries_before(subscription: &SubscriptionName, before: Option<EventId>) -> KeyRange {
    bounded(named(DELIVERY, subscription.as_str(), &[]), before)
}

/// The records of a subscription's deliveries of events from one to another, both included.
pub(super) fn deliveries_from_to(subscription: &SubscriptionName, first: EventId, last: EventId) -> KeyRange {
    let mut to = delivery(subscription, last);
    to.push(0);
    KeyRange { from: delivery(subscription, first), to }
}

/// A part of what an attempt's answer said, if that is too long for the delivery's record.
pub(super) fn detail(subscription: &SubscriptionName, event: EventId, attempt: u32, part: u16) -> Vec<u8> {
    named(DETAIL, subscription.as_str(), &[event.as_bytes(), &attempt.to_be_bytes(), &part.to_be_bytes()])
}

/// A part of the list of events whose deliveries were joined to this event's.
pub(super) fn members(subscription: &SubscriptionName, event: EventId, part: u16) -> Vec<u8> {
    named(MEMBERS, subscription.as_str(), &[event.as_bytes(), &part.to_be_bytes()])
}

/// What finds a delivery that was joined to another one.
pub(super) fn joined(subscription: &SubscriptionName, event: EventId) -> Vec<u8> {
    named(JOINED, subscription.as_str(), &[event.as_bytes()])
}

/// What finds a subscription's deliveries that were joined to others, of events before this one, or all.
pub(super) fn joined_before(subscription: &SubscriptionName, before: Option<EventId>) -> KeyRange {
    bounded(named(JOINED, subscription.as_str(), &[]), before)
}

pub(super) fn dead(subscription: &SubscriptionName, event: EventId) -> Vec<u8> {
    named(DEAD, subscription.as_str(), &[event.as_bytes()])
}

/// A subscription's dead letters of events before this one, or all.
pub(super) fn dead_before(subscription: &SubscriptionName, before: Option<EventId>) -> KeyRange {
    bounded(named(DEAD, subscription.as_str(), &[]), before)
}

/// The dead letters of the subscriptions after this one, or of all.
pub(super) fn dead_after(subscription: Option<&SubscriptionName>) -> KeyRange {
    let from = subscription.map_or(vec![DEAD], |name| all_below(named(DEAD, name.as_str(), &[])).to);
    KeyRange { from, to: vec![DEAD + 1] }
}

/// The subscription that a dead letter was for.
pub(super) fn subscription_of_dead(key: &[u8]) -> Option<SubscriptionName> {
    subscription_of(DEAD, key)
}

/// A replay of many events.
pub(super) fn replay(id: ReplayId) -> Vec<u8> {
    [[REPLAY, RECORD].as_slice(), id.as_bytes()].concat()
}

/// The replays with smaller ids than this one, or all.
pub(super) fn replays_before(before: Option<ReplayId>) -> KeyRange {
    KeyRange { from: vec![REPLAY, RECORD], to: before.map_or(vec![REPLAY, RECORD + 1], replay) }
}

/// What finds a replay that runs.
pub(super) fn running_replay(id: ReplayId) -> Vec<u8> {
    [[REPLAY, RUNNING].as_slice(), id.as_bytes()].concat()
}

/// What finds all replays that run.
pub(super) fn running_replays() -> KeyRange {
    KeyRange { from: vec![REPLAY, RUNNING], to: vec![REPLAY, RUNNING + 1] }
}

/// The replay that a key ends with.
pub(super) fn replay_of(key: &[u8]) -> Option<ReplayId> {
    key.last_chunk().map(|id| ReplayId::from_bytes(*id))
}

/// What finds a replay by the key that its request was given.
pub(super) fn replay_request(key: &BodyHash) -> Vec<u8> {
    [[REPLAY, REQUEST].as_slice(), &key.0].concat()
}

/// A subscription's first attempts that wait, of events before this one, or all.
pub(super) fn queued_first_before(subscription: &SubscriptionName, before: Option<EventId>) -> KeyRange {
    bounded(named(QUEUE, subscription.as_str(), &[&[FIRST]]), before)
}

/// The event that a key ends with.
pub(super) fn event_of(key: &[u8]) -> Option<EventId> {
    key.last_chunk().map(|id| EventId::from_bytes(*id))
}

pub(super) fn lane(subscription: &SubscriptionName) -> Vec<u8> {
    named(LANE, subscription.as_str(), &[])
}

/// A piece of a large value: number 0 names the key that it belongs to.
pub(super) fn piece(group: u64, number: u32) -> Vec<u8> {
    let mut key = vec![PIECE];
    key.extend_from_slice(&group.to_be_bytes());
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// All pieces of the groups from this one on.
pub(super) fn pieces_from(group: u64) -> KeyRange {
    KeyRange { from: piece(group, 0), to: vec![PIECE + 1] }
}

/// Reads the key of a piece: its group and number.
pub(super) fn piece_of(key: &[u8]) -> Option<(u64, u32)> {
    let rest: &[u8; 12] = key.strip_prefix(&[PIECE])?.try_into().ok()?;
    Some((u64::from_be_bytes(*rest.first_chunk()?), u32::from_be_bytes(*rest.last_chunk()?)))
}

fn named(prefix: u8, name: &str, rest: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(2 + name.len() + rest.iter().map(|part| part.len()).sum::<usize>());
    key.push(prefix);
    key.extend_from_slice(name.as_bytes());
    key.push(0);
    for part in rest {
        key.extend_from_slice(part);
    }
    key
}

/// All keys that begin with this one, whose last byte is less than 255.
fn all_below(from: Vec<u8>) -> KeyRange {
    let mut to = from.clone();
    *to.last_mut().expect("a key begins with a prefix") += 1;
    KeyRange { from, to }
}

fn bounded(prefix: Vec<u8>, before: Option<EventId>) -> KeyRange {
    let mut all = all_below(prefix);
    if let Some(before) = before {
        all.to = [&all.from, before.as_bytes().as_slice()].concat();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive_their_keys_and_sort_as_the_keys_do() {
        let subscription: SubscriptionName = "erp".parse().expect("a name");
        let at = Timestamp::from_millis;
        let (one, two) = (EventId::new(at(1)), EventId::new(at(2)));
        let places = [Place::First(one), Place::First(two), Place::Again(at(5), two), Place::Again(at(256), one)];
        let keys: Vec<_> = places.iter().map(|place| queued(&subscription, *place)).collect();
        assert!(keys.is_sorted() && places.is_sorted());
        assert_eq!(keys.iter().map(|key| place_of(key)).collect::<Vec<_>>(), places.map(Some));
        assert_eq!(place_of(b"Qerp\0\x07"), None);
    }

    #[test]
    fn a_name_that_begins_like_another_has_its_own_range() {
        let (short, long): (ConnectorName, ConnectorName) =
            ("a".parse().expect("a name"), "ab".parse().expect("a name"));
        let range = seen_leaves(&short);
        let contains = |key: Vec<u8>| range.from <= key && key < range.to;
        assert!(contains(seen_leaf(&short, &[255; 16])) && contains(seen_leaf(&short, &[0; 16])));
        assert!(!contains(seen_leaf(&long, &[0; 16])));
    }
}
