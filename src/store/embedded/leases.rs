//! Who holds what. The directory is locked to one process, so leases live in its memory: when it dies, everything can
//! be taken again at once.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::StoreError;
use super::keys::Place;
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
    pub first_from: Option<EventId>,
    pub again_from: Option<(Timestamp, EventId)>,
    /// How many deliveries were claimed.
    pub claimed: u64,
}

#[derive(Debug)]
struct Hold {
    token: LeaseToken,
    until: Timestamp,
    place: Place,
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

    /// Tells whether a delivery cannot be claimed now.
    pub fn is_held(&self, event: EventId, now: Timestamp) -> bool {
        self.holds.get(&event).is_some_and(|hold| hold.settling || hold.until > now)
    }

    /// Returns when the delivery's lease ends, if it has one.
    pub fn held_until(&self, event: EventId) -> Option<Timestamp> {
        self.holds.get(&event).map(|hold| hold.until)
    }

    /// Returns when the first lease ends.
    pub fn first_end(&self) -> Option<Timestamp> {
        self.ends.first().map(|(until, _)| *until)
    }

    /// Takes a delivery that waits at the given place, also from a holder whose lease ended.
    pub fn take(&mut self, place: Place, token: LeaseToken, until: Timestamp) {
        self.remove(place.event());
        self.holds.insert(place.event(), Hold { token, until, place, settling: false });
        self.ends.insert((until, place.event()));
    }

    /// Returns where the delivery waits, if the token holds it.
    pub fn place_held(&self, event: EventId, token: LeaseToken) -> Option<Place> {
        self.holds.get(&event).filter(|hold| hold.token == token).map(|hold| hold.place)
    }

    /// Refuses a token that no longer holds the delivery; otherwise nobody takes over until [`Self::settled`].
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

    fn reread_from(&mut self, place: Place) {
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

    fn remove(&mut self, event: EventId) {
        if let Some(hold) = self.holds.remove(&event) {
            self.ends.remove(&(hold.until, event));
        }
    }
}

/// Locks, also after a panic elsewhere: what is behind these locks is consistent between any two statements.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
