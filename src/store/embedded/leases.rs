//! Who holds what. The directory is locked to one process, so leases live in its memory: when it dies, everything can
//! be taken again at once.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::StoreError;
use super::keys::{Item, Place};
use crate::model::id::{ConnectorName, DeliveryId, EventId, LeaseToken, SubscriptionName};
use crate::model::time::Timestamp;

/// All leases of a store.
#[derive(Debug, Default)]
pub(super) struct Leases {
    polls: Mutex<HashMap<ConnectorName, PollHold>>,
    lanes: Mutex<HashMap<SubscriptionName, Arc<Mutex<Lane>>>>,
}

#[derive(Debug)]
struct PollHold {
    token: LeaseToken,
    until: Timestamp,
    /// Set while a commit of the holder is being written: until that is done, nobody can take over.
    committing: bool,
}

impl Leases {
    /// Takes a connector's poll; `false` if someone holds it.
    pub fn take_poll(&self, connector: &ConnectorName, token: LeaseToken, now: Timestamp, until: Timestamp) -> bool {
        let mut polls = lock(&self.polls);
        if polls.get(connector).is_some_and(|hold| hold.committing || hold.until > now) {
            return false;
        }
        polls.insert(connector.clone(), PollHold { token, until, committing: false });
        true
    }

    /// Gives a poll back if the token still holds it.
    pub fn release_poll(&self, connector: &ConnectorName, token: LeaseToken) {
        let mut polls = lock(&self.polls);
        if polls.get(connector).is_some_and(|hold| hold.token == token) {
            polls.remove(connector);
        }
    }

    /// Refuses a token that no longer holds the poll; otherwise nobody takes over until [`Self::poll_committed`].
    pub fn begin_poll_commit(&self, connector: &ConnectorName, token: LeaseToken) -> Result<(), StoreError> {
        match lock(&self.polls).get_mut(connector) {
            Some(hold) if hold.token == token => {
                hold.committing = true;
                Ok(())
            }
            _ => Err(StoreError::StaleLease { what: format!("connector {connector}") }),
        }
    }

    /// Ends what [`Self::begin_poll_commit`] began; the lease goes on.
    pub fn poll_committed(&self, connector: &ConnectorName, token: LeaseToken) {
        if let Some(hold) = lock(&self.polls).get_mut(connector).filter(|hold| hold.token == token) {
            hold.committing = false;
        }
    }

    /// Returns the leases of a subscription's lane.
    pub fn lane(&self, subscription: &SubscriptionName) -> Arc<Mutex<Lane>> {
        Arc::clone(lock(&self.lanes).entry(subscription.clone()).or_default())
    }
}

/// The leases of one lane, and up to where its queues need not be read again: what waits before is held.
#[derive(Debug, Default)]
pub(super) struct Lane {
    holds: HashMap<EventId, Hold>,
    ends: BTreeSet<(Timestamp, EventId)>,
    /// The items of what is held, as far as they are known: if the lane has an order.
    items: BTreeSet<(Item, EventId)>,
    pub first_from: Option<EventId>,
    pub again_from: Option<(Timestamp, EventId)>,
    /// How many deliveries were claimed.
    pub claimed: u64,
}

/// What a holder has.
#[derive(Debug)]
pub(super) struct Hold {
    token: LeaseToken,
    until: Timestamp,
    place: Place,
    item: Option<Item>,
    /// Whether the delivery has a record, although it waits for its first attempt.
    recorded: bool,
    /// Set while the holder's settlement is being written: until that is done, nobody can take over.
    settling: bool,
}

impl Lane {
    /// Makes what was held by leases that ended readable again.
    pub fn lapse(&mut self, now: Timestamp) {
        let ended: Vec<EventId> = self.ends.range(..=(now, EventId::LAST)).map(|(_, event)| *event).collect();
        for event in ended {
            if let Some(hold) = self.holds.get(&event) {
                self.reread_from(hold.place);
            }
        }
    }

    /// Ends the leases that are over, other than those whose holder is settling.
    pub fn end_lapsed(&mut self, now: Timestamp) {
        self.lapse(now);
        while let Some(&(until, event)) = self.ends.first() {
            if until > now {
                break;
            }
            self.remove(event);
        }
    }

    /// Returns what is held of which the item is not known.
    pub fn held_without_item(&self) -> Vec<EventId> {
        self.holds.iter().filter(|(_, hold)| hold.item.is_none()).map(|(event, _)| *event).collect()
    }

    /// Notes the item of what is held.
    pub fn note_item(&mut self, event: EventId, item: Item) {
        if let Some(hold) = self.holds.get_mut(&event) {
            hold.item = Some(item);
            self.items.insert((item, event));
        }
    }

    /// Forgets the items of what is held.
    pub fn forget_items(&mut self) {
        self.items.clear();
        self.holds.values_mut().for_each(|hold| hold.item = None);
    }

    /// Returns the item of what is held, if it is known.
    pub fn item_held(&self, event: EventId) -> Option<Item> {
        self.holds.get(&event)?.item
    }

    /// Tells whether a delivery of an item is held.
    pub fn holds_of(&self, item: Item) -> bool {
        self.held_of(item).next().is_some()
    }

    /// Tells whether a delivery of an item and an older event is held.
    pub fn holds_before(&self, item: Item, event: EventId) -> bool {
        self.held_of(item).next().is_some_and(|held| held < event)
    }

    /// Tells whether a delivery of an item and an older event is held that its holder is yet to settle.
    pub fn awaits_settling_before(&self, item: Item, event: EventId) -> bool {
        let is_awaited = |held: &EventId| self.holds.get(held).is_some_and(|hold| !hold.settling);
        self.held_of(item).take_while(|held| *held < event).any(|held| is_awaited(&held))
    }

    fn held_of(&self, item: Item) -> impl Iterator<Item = EventId> {
        let first = EventId::from_bytes([0; 16]);
        self.items.range((item, first)..=(item, EventId::LAST)).map(|(_, event)| *event)
    }

    /// Tells whether somebody holds a delivery or once did, and nobody took it over since.
    pub fn has_hold(&self, event: EventId) -> bool {
        self.holds.contains_key(&event)
    }

    /// Notes that a delivery that waits for its first attempt has a record.
    pub fn note_record(&mut self, event: EventId) {
        if let Some(hold) = self.holds.get_mut(&event) {
            hold.recorded = true;
        }
    }

    /// Tells whether a delivery cannot be claimed now.
    pub fn is_held(&self, event: EventId, now: Timestamp) -> bool {
        self.holds.get(&event).is_some_and(|hold| hold.settling || hold.until > now)
    }

    /// Returns when the first lease ends.
    pub fn first_end(&self) -> Option<Timestamp> {
        self.ends.first().map(|(until, _)| *until)
    }

    /// Takes a delivery that waits at the given place, also from a holder whose lease ended; returns what that one had.
    pub fn take(&mut self, place: Place, item: Option<Item>, token: LeaseToken, until: Timestamp) -> Option<Hold> {
        let before = self.remove(place.event());
        self.insert(place.event(), Hold { token, until, place, item, recorded: false, settling: false });
        before
    }

    /// Leaves a delivery that was taken as it was before, if the token still holds it.
    pub fn leave(&mut self, event: EventId, token: LeaseToken, before: Option<Hold>) {
        if self.release(event, token)
            && let Some(before) = before
        {
            self.insert(event, before);
        }
    }

    /// Tells whether the token holds the delivery.
    pub fn is_holder(&self, event: EventId, token: LeaseToken) -> bool {
        self.holds.get(&event).is_some_and(|hold| hold.token == token && !hold.settling)
    }

    /// Tells whether what is held waits for its first attempt and has no record.
    pub fn is_untouched(&self, event: EventId) -> bool {
        self.holds.get(&event).is_some_and(|hold| !hold.recorded && hold.place == Place::First(event))
    }

    /// Refuses a token that no longer holds the delivery; otherwise nobody takes over until [`Self::settled`], or
    /// [`Self::go_on`].
    pub fn begin_settling(&mut self, id: &DeliveryId, token: LeaseToken) -> Result<(), StoreError> {
        match self.holds.get_mut(&id.event) {
            Some(hold) if hold.token == token && !hold.settling => {
                hold.settling = true;
                // It must not fall due while it is being settled.
                self.ends.remove(&(hold.until, id.event));
                Ok(())
            }
            _ => Err(StoreError::StaleLease { what: format!("delivery {id}") }),
        }
    }

    /// Lets a lease go on that was not to be disturbed.
    pub fn go_on(&mut self, event: EventId) {
        if let Some(hold) = self.holds.get_mut(&event) {
            hold.settling = false;
            self.ends.insert((hold.until, event));
        }
    }

    /// Ends a lease whose settlement is written.
    pub fn settled(&mut self, event: EventId) {
        self.remove(event);
    }

    /// Gives a delivery back if the token still holds it and nothing was settled; tells whether it did.
    pub fn release(&mut self, event: EventId, token: LeaseToken) -> bool {
        let Some(hold) = self.holds.get(&event).filter(|hold| hold.token == token && !hold.settling) else {
            return false;
        };
        let place = hold.place;
        self.remove(event);
        self.reread_from(place);
        true
    }

    /// Notes that something waits at this place from now on.
    pub fn queued(&mut self, place: Place) {
        if let Some(hold) = self.holds.get_mut(&place.event()) {
            hold.place = place;
        }
        self.reread_from(place);
    }

    /// Has the queue read again from a place on.
    pub fn reread_from(&mut self, place: Place) {
        match place {
            Place::First(event) => {
                if self.first_from.is_some_and(|from| from > event) {
                    self.first_from = Some(event);
                }
            }
            Place::Again(due, event) => {
                if self.again_from.is_some_and(|from| from > (due, event)) {
                    self.again_from = Some((due, event));
                }
            }
        }
    }

    fn insert(&mut self, event: EventId, hold: Hold) {
        self.ends.insert((hold.until, event));
        self.items.extend(hold.item.map(|item| (item, event)));
        self.holds.insert(event, hold);
    }

    fn remove(&mut self, event: EventId) -> Option<Hold> {
        let hold = self.holds.remove(&event)?;
        self.ends.remove(&(hold.until, event));
        if let Some(item) = hold.item {
            self.items.remove(&(item, event));
        }
        Some(hold)
    }
}

/// Locks, also after a panic elsewhere: what is behind these locks is consistent between any two statements.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
