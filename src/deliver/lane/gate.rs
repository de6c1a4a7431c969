//! Whether a lane may send: what its receiver and its store have said.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::model::event::RoutedEvent;
use crate::model::time::Timestamp;
use crate::store::{Disabled, LaneState};

/// Shared by a lane and its attempts, so that an answer closes it before anything more is sent.
#[derive(Debug, Default)]
pub(super) struct Gate {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    state: LaneState,
    /// How often the receiver has closed the gate.
    closings: u64,
    /// What the store does not know yet.
    unsaved: Option<Vec<RoutedEvent>>,
    store_failures: u32,
    store_rests_until: Option<Timestamp>,
}

/// Whether a lane may send now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    Open,
    /// The receiver asked to be left alone until then.
    At(Timestamp),
    /// Someone has to enable the subscription.
    ByHand,
}

/// How long a lane leaves a store alone that failed: the first time, and at most.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(30);

impl Gate {
    /// Tells whether the receiver wants deliveries.
    pub fn opening(&self, now: Timestamp) -> Opening {
        let inner = self.lock();
        match (&inner.state.disabled, inner.state.paused_until) {
            (Some(_), _) => Opening::ByHand,
            (None, Some(until)) if until > now => Opening::At(until),
            (None, _) => Opening::Open,
        }
    }

    /// Closes the gate until the given time. Returns whether it was open.
    pub fn pause(&self, until: Timestamp, now: Timestamp) -> bool {
        let mut inner = self.lock();
        let before = inner.state.paused_until;
        if before.is_some_and(|before| before >= until) {
            return false;
        }
        inner.closings += 1;
        inner.state.paused_until = Some(until);
        inner.unsaved.get_or_insert_default();
        before.is_none_or(|before| before <= now)
    }

    /// Closes the gate until someone opens it. Returns whether it was not closed so already; only then the event that
    /// `news` makes is kept, to be stored with the state.
    pub fn disable(&self, disabled: Disabled, news: impl FnOnce(&Disabled) -> RoutedEvent) -> bool {
        let mut inner = self.lock();
        if inner.state.disabled.is_some() {
            return false;
        }
        let event = news(&disabled);
        inner.closings += 1;
        inner.state.disabled = Some(disabled);
        inner.unsaved.get_or_insert_default().push(event);
        true
    }

    /// How often the receiver has closed the gate, to be compared by [`Gate::load`].
    pub fn closings(&self) -> u64 {
        self.lock().closings
    }

    /// Takes over what the store says, unless it has yet to be told something, or said so before the gate was last
    /// closed: `closings` is from before the store was asked.
    pub fn load(&self, state: LaneState, closings: u64) {
        let mut inner = self.lock();
        if inner.unsaved.is_none() && inner.closings == closings {
            inner.state = state;
        }
    }

    /// Returns what the store has yet to be told, and takes it for told.
    pub fn take_unsaved(&self) -> Option<(LaneState, Vec<RoutedEvent>)> {
        let mut inner = self.lock();
        let news = inner.unsaved.take()?;
        Some((inner.state.clone(), news))
    }

    /// Takes back that the store was told.
    pub fn not_saved(&self, news: Vec<RoutedEvent>) {
        self.lock().unsaved.get_or_insert_default().splice(..0, news);
    }

    /// Until when the store is left alone, if it is.
    pub fn store_rests_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.lock().store_rests_until.filter(|until| *until > now)
    }

    /// Notes that the store failed, and returns until when it is left alone: longer each time, but once for all
    /// calls that were under way together.
    pub fn store_failed(&self, now: Timestamp) -> Timestamp {
        let mut inner = self.lock();
        if let Some(until) = inner.store_rests_until.filter(|until| *until > now) {
            return until;
        }
        let rest = FIRST_REST.saturating_mul(1 << inner.store_failures.min(10)).min(LONGEST_REST);
        inner.store_failures = inner.store_failures.saturating_add(1);
        let until = now + rest;
        inner.store_rests_until = Some(until);
        until
    }

    /// Notes that the store did what it was asked.
    pub fn store_worked(&self) {
        self.lock().store_failures = 0;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every method leaves a whole state behind, so a panic elsewhere does not spoil it.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::deliver::fixture;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::EPOCH + Duration::from_secs(seconds)
    }

    fn disabled() -> Disabled {
        Disabled { at: at(0), reason: "gone".to_owned(), url: "http://localhost/".to_owned() }
    }

    fn news() -> RoutedEvent {
        let event = fixture::event("pollhook", "subscription.disabled", &json!(null));
        RoutedEvent { event: Arc::new(event), subscriptions: Vec::new() }
    }

    #[test]
    fn the_longest_pause_counts_and_ends_by_itself() {
        let gate = Gate::default();
        assert!(gate.pause(at(10), at(0)));
        assert!(!gate.pause(at(20), at(0)));
        assert!(!gate.pause(at(5), at(0)));
        assert_eq!(gate.opening(at(19)), Opening::At(at(20)));
        assert_eq!(gate.opening(at(20)), Opening::Open);
    }

    #[test]
    fn a_disabled_subscription_tells_of_it_once_and_stays_disabled() {
        let gate = Gate::default();
        assert!(gate.disable(disabled(), |_| news()));
        assert!(!gate.disable(disabled(), |_| news()));
        assert_eq!(gate.opening(Timestamp::LAST), Opening::ByHand);
        assert_eq!(gate.take_unsaved().map(|(_, news)| news.len()), Some(1));
        assert!(gate.take_unsaved().is_none());
    }

    #[test]
    fn what_the_store_does_not_know_yet_is_not_overwritten_by_it() {
        let gate = Gate::default();
        gate.pause(at(10), at(0));
        gate.load(LaneState::default(), gate.closings());
        assert_eq!(gate.opening(at(0)), Opening::At(at(10)));
        let (_, news) = gate.take_unsaved().expect("unsaved");
        gate.not_saved(news);
        gate.load(LaneState::default(), gate.closings());
        assert_eq!(gate.opening(at(0)), Opening::At(at(10)));
        gate.take_unsaved();
        gate.load(LaneState::default(), gate.closings());
        assert_eq!(gate.opening(at(0)), Opening::Open);
    }

    #[test]
    fn what_the_store_said_before_the_gate_was_closed_does_not_open_it() {
        let gate = Gate::default();
        let before = gate.closings();
        gate.pause(at(10), at(0));
        gate.take_unsaved();
        gate.load(LaneState::default(), before);
        assert_eq!(gate.opening(at(0)), Opening::At(at(10)));
    }

    #[test]
    fn a_failing_store_is_left_alone_for_longer_each_time_up_to_half_a_minute() {
        let (gate, mut now) = (Gate::default(), at(0));
        for rest in [1, 2, 4, 8, 16, 30, 30] {
            let until = gate.store_failed(now);
            assert_eq!((until.since(now), gate.store_failed(now)), (Duration::from_secs(rest), until));
            now = until;
            assert_eq!(gate.store_rests_until(now), None);
        }
        gate.store_worked();
        assert_eq!(gate.store_failed(now), now + FIRST_REST);
    }
}
