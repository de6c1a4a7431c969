//! Events that lanes hold: those that hold the same one share it, which is read once for all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use super::leases::lock;
use crate::model::event::{Event, RoutedEvent};
use crate::model::id::EventId;
use crate::store::StoreError;

/// What lanes hold of events that go to several. It keeps none of them.
#[derive(Debug, Default)]
pub(super) struct HeldEvents {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    events: HashMap<EventId, Weak<Event>>,
    /// With how many entries those are removed that nobody holds any more.
    sweep_at: usize,
}

/// With how few entries nothing is removed.
const FEW: usize = 1024;

impl HeldEvents {
    /// Returns an event that somebody holds, or reads it.
    pub fn get_or_read(
        &self,
        id: EventId,
        read: impl FnOnce() -> Result<RoutedEvent, StoreError>,
    ) -> Result<Arc<Event>, StoreError> {
        let held = lock(&self.held).events.get(&id).and_then(Weak::upgrade);
        if let Some(event) = held {
            return Ok(event);
        }
        let RoutedEvent { event, subscriptions } = read()?;
        if subscriptions.len() > 1 {
            lock(&self.held).insert(id, &event);
        }
        Ok(event)
    }
}

impl Held {
    fn insert(&mut self, id: EventId, event: &Arc<Event>) {
        if self.events.len() >= self.sweep_at.max(FEW) {
            self.events.retain(|_, event| event.strong_count() > 0);
            self.sweep_at = 2 * self.events.len();
        }
        self.events.insert(id, Arc::downgrade(event));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::event::ServiceNews;
    use crate::model::time::Timestamp;

    fn read(id: EventId, subscriptions: usize) -> RoutedEvent {
        let event = Event::of_service(ServiceNews::DeliveryDead, "k", Timestamp::EPOCH, &json!(null));
        let name = |number| format!("s{number}").parse().expect("a name");
        RoutedEvent { event: Arc::new(Event { id, ..event }), subscriptions: (0..subscriptions).map(name).collect() }
    }

    fn get(events: &HeldEvents, id: EventId, subscriptions: usize) -> Arc<Event> {
        events.get_or_read(id, || Ok(read(id, subscriptions))).expect("it is read")
    }

    #[test]
    fn an_event_is_read_once_while_somebody_holds_it() {
        let (events, id) = (HeldEvents::default(), EventId::from_bytes([7; 16]));
        let one = get(&events, id, 2);
        let unread = || panic!("it is held");
        assert!(Arc::ptr_eq(&one, &events.get_or_read(id, unread).expect("it is held")));
        drop(one);
        let fails = events.get_or_read(id, || Err(StoreError::Closed));
        assert!(matches!(fails, Err(StoreError::Closed)), "nobody holds it");
    }

    #[test]
    fn what_goes_to_one_lane_or_is_held_no_more_takes_no_room() {
        let events = HeldEvents::default();
        let ids = (0..10 * FEW).map(|number| EventId::from_bytes((number as u128).to_be_bytes()));
        let held: Vec<_> = ids.clone().take(FEW / 2).map(|id| get(&events, id, 2)).collect();
        for id in ids.skip(FEW / 2) {
            get(&events, id, 2);
        }
        let room = lock(&events.held).events.len();
        assert!((held.len()..=FEW).contains(&room), "{room}");

        let alone = EventId::LAST;
        let _held = get(&events, alone, 1);
        assert!(!lock(&events.held).events.contains_key(&alone));
    }
}
