//! Whether a lane may send: what its receiver and its store have said.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::breaker::{Breaker, Change};
use super::failing::{Failing, Patience};
use crate::deliver::verdict::Health;
use crate::model::event::RoutedEvent;
use crate::model::lane::LanePolicy;
use crate::model::retry::RetryPolicy;
use crate::model::time::Timestamp;
use crate::store::{Disabled, LaneState, OpenBreaker};

/// Shared by a lane and its attempts, so that an answer closes it before anything more is sent.
#[derive(Debug)]
pub(super) struct Gate {
    patience: Patience,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: LaneState,
    /// Whether the store says that the subscription is disabled, as far as is known here.
    stored_disabled: Option<Disabled>,
    /// How often attempts have changed the state.
    changes: u64,
    /// What the store does not know yet.
    unsaved: Option<Vec<RoutedEvent>>,
    /// `None` if the lane goes on whatever the answers are.
    breaker: Option<Breaker>,
    /// Set while the last attempt was not acknowledged. It becomes part of the state when it lasts.
    failing: Option<Failing>,
    store_failures: u32,
    store_rests_until: Option<Timestamp>,
}

/// Whether a lane may send now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    Open,
    /// One attempt at a time, to see whether the receiver works again.
    Trial,
    /// Not before then: the receiver asked to be left alone, or fails too often.
    At(Timestamp),
    /// Someone has to enable the subscription.
    ByHand,
}

/// What an attempt changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Noted {
    pub breaker: Change,
    /// Set if the receiver has acknowledged nothing for so long that the subscription is to be disabled.
    pub failed_too_long: Option<Failing>,
}

/// How long a lane leaves a store alone that failed: the first time, and at most.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(30);

impl Opening {
    /// Tells whether something may be sent.
    pub fn lets_send(self) -> bool {
        matches!(self, Self::Open | Self::Trial)
    }
}

impl Gate {
    /// Returns the gate of a lane of which nothing is known yet.
    pub fn new(lane: &LanePolicy, retry: &RetryPolicy) -> Self {
        let inner = Inner {
            state: LaneState::default(),
            stored_disabled: None,
            changes: 0,
            unsaved: None,
            breaker: lane.breaker.map(Breaker::new),
            failing: None,
            store_failures: 0,
            store_rests_until: None,
        };
        Self { patience: Patience::new(lane, retry), inner: Mutex::new(inner) }
    }

    /// Tells whether the receiver wants deliveries.
    pub fn opening(&self, now: Timestamp) -> Opening {
        let LaneState { disabled, paused_until, breaker, .. } = &self.lock().state;
        let until = breaker.as_ref().map(|open| open.until).max(*paused_until);
        match until.filter(|until| *until > now) {
            _ if disabled.is_some() => Opening::ByHand,
            Some(until) => Opening::At(until),
            None if breaker.is_some() => Opening::Trial,
            None => Opening::Open,
        }
    }

    /// Takes into account what an attempt that began at `began` said of the receiver.
    pub fn attempted(&self, health: Health, began: Timestamp, now: Timestamp) -> Noted {
        let mut inner = self.lock();
        let Inner { state, breaker, failing, .. } = &mut *inner;
        let is_new;
        if health == Health::Acknowledges {
            *failing = None;
            is_new = Failing::forget(state);
        } else {
            let one_more = self.patience.one_more(failing.as_ref(), now);
            is_new = one_more.remember(state);
            *failing = Some(one_more);
        }
        let change = match breaker {
            Some(breaker) => breaker.note(state.breaker.as_ref(), health == Health::Fails, began, now),
            None => Change::None,
        };
        match &change {
            Change::None => {}
            Change::Opened(open, _) | Change::StaysOpen(open) => state.breaker = Some(open.clone()),
            Change::Closed => state.breaker = None,
        }
        let failed_too_long = failing.clone().filter(|failing| self.patience.has_ended(failing));
        if is_new || change != Change::None {
            inner.changed();
        }
        Noted { breaker: change, failed_too_long }
    }

    /// Closes the gate until the given time. Returns whether it was open.
    pub fn pause(&self, until: Timestamp, now: Timestamp) -> bool {
        let mut inner = self.lock();
        let before = inner.state.paused_until;
        if before.is_some_and(|before| before >= until) {
            return false;
        }
        inner.state.paused_until = Some(until);
        inner.changed();
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
        inner.state.disabled = Some(disabled);
        inner.changed().push(event);
        true
    }

    /// How often attempts have changed the state, to be compared by [`Gate::load`].
    pub fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Takes over what the store says, unless it has yet to be told something, or said so before the state was last
    /// changed here: `changes` is from before the store was asked.
    pub fn load(&self, mut state: LaneState, changes: u64, now: Timestamp) {
        let mut inner = self.lock();
        if inner.unsaved.is_some() || inner.changes != changes {
            return;
        }
        let was_enabled = inner.state.disabled.is_some() && state.disabled.is_none();
        let was_forgiven = inner.state.failing_since.is_some() && state.failing_since.is_none();
        if was_enabled || was_forgiven {
            inner.failing = None;
            inner.breaker.iter_mut().for_each(Breaker::forget);
        } else if inner.failing.is_none() {
            inner.failing = Failing::of(&state);
        }
        // The policy may be another one than when the breaker opened.
        state.breaker = state.breaker.zip(inner.breaker.as_ref()).map(|(open, breaker)| {
            let until = open.until.min(now + breaker.longest_rest());
            OpenBreaker { until, ..open }
        });
        inner.stored_disabled.clone_from(&state.disabled);
        inner.state = state;
    }

    /// Takes over who disabled or enabled the subscription by hand while attempts changed the state: `stored` is what
    /// would be overwritten.
    pub fn adopt(&self, stored: &LaneState) {
        let mut inner = self.lock();
        if inner.stored_disabled != stored.disabled {
            inner.stored_disabled.clone_from(&stored.disabled);
            inner.state.disabled.clone_from(&stored.disabled);
            if stored.disabled.is_none() {
                inner.failing = None;
                inner.breaker.iter_mut().for_each(Breaker::forget);
            }
        }
    }

    /// Tells whether the store has yet to be told something.
    pub fn is_unsaved(&self) -> bool {
        self.lock().unsaved.is_some()
    }

    /// Notes that the store was told this.
    pub fn saved(&self, state: &LaneState) {
        self.lock().stored_disabled.clone_from(&state.disabled);
    }

    /// Since when the breaker is open, if it is.
    pub fn broken_since(&self) -> Option<Timestamp> {
        self.lock().state.breaker.as_ref().map(|open| open.since)
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

    /// Tells whether the store failed when it was last asked.
    pub fn store_fails(&self) -> bool {
        self.lock().store_failures > 0
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

impl Inner {
    /// Notes that the store has to be told of the state, and returns the events that go with it.
    fn changed(&mut self) -> &mut Vec<RoutedEvent> {
        self.changes += 1;
        self.unsaved.get_or_insert_default()
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

    fn gate() -> Gate {
        Gate::new(&LanePolicy::default(), &RetryPolicy::default())
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
        let gate = gate();
        assert!(gate.pause(at(10), at(0)));
        assert!(!gate.pause(at(20), at(0)));
        assert!(!gate.pause(at(5), at(0)));
        assert_eq!(gate.opening(at(19)), Opening::At(at(20)));
        assert_eq!(gate.opening(at(20)), Opening::Open);
    }

    #[test]
    fn a_disabled_subscription_tells_of_it_once_and_stays_disabled() {
        let gate = gate();
        assert!(gate.disable(disabled(), |_| news()));
        assert!(!gate.disable(disabled(), |_| news()));
        assert_eq!(gate.opening(Timestamp::LAST), Opening::ByHand);
        assert_eq!(gate.take_unsaved().map(|(_, news)| news.len()), Some(1));
        assert!(gate.take_unsaved().is_none());
    }

    #[test]
    fn what_the_store_does_not_know_yet_is_not_overwritten_by_it() {
        let gate = gate();
        gate.pause(at(10), at(0));
        gate.load(LaneState::default(), gate.changes(), at(0));
        assert_eq!(gate.opening(at(0)), Opening::At(at(10)));
        let (_, news) = gate.take_unsaved().expect("unsaved");
        gate.not_saved(news);
        gate.load(LaneState::default(), gate.changes(), at(0));
        assert_eq!(gate.opening(at(0)), Opening::At(at(10)));
        gate.take_unsaved();
        gate.load(LaneState::default(), gate.changes(), at(0));
        assert_eq!(gate.opening(at(0)), Opening::Open);
    }

    #[test]
    fn what_the_store_said_before_the_gate_was_closed_does_not_open_it() {
        let gate = gate();
        let before = gate.changes();
        gate.pause(at(10), at(0));
        gate.take_unsaved();
        gate.load(LaneState::default(), before, at(0));
        assert_eq!(gate.opening(at(0)), Opening::At(at(10)));
    }

    #[test]
    fn a_failing_store_is_left_alone_for_longer_each_time_up_to_half_a_minute() {
        let (gate, mut now) = (gate(), at(0));
        for rest in [1, 2, 4, 8, 16, 30, 30] {
            let until = gate.store_failed(now);
            assert_eq!((until.since(now), gate.store_failed(now)), (Duration::from_secs(rest), until));
            now = until;
            assert_eq!(gate.store_rests_until(now), None);
        }
        assert!(gate.store_fails());
        gate.store_worked();
        assert!(!gate.store_fails());
        assert_eq!(gate.store_failed(now), now + FIRST_REST);
    }

    /// Lets so many attempts fail, one each second from `from` on; returns what the last one changed.
    fn fail(gate: &Gate, from: u64, count: u64) -> Noted {
        let fail = |second| gate.attempted(Health::Fails, at(second), at(second));
        (from..from + count).map(fail).last().expect("an attempt")
    }

    #[test]
    fn a_receiver_that_only_fails_is_left_alone_and_then_tried() {
        let gate = gate();
        assert_eq!(fail(&gate, 0, 9).breaker, Change::None);
        assert!(matches!(fail(&gate, 9, 1).breaker, Change::Opened(..)));
        assert_eq!(gate.opening(at(18)), Opening::At(at(19)));
        assert_eq!(gate.opening(at(19)), Opening::Trial);
        assert!(matches!(fail(&gate, 19, 1).breaker, Change::StaysOpen(_)));
        assert_eq!(gate.opening(at(38)), Opening::At(at(39)));
        assert!(gate.pause(at(60), at(38)));
        assert_eq!(gate.opening(at(39)), Opening::At(at(60)), "the longer of both counts");
        assert_eq!(gate.attempted(Health::Answers, at(60), at(61)).breaker, Change::Closed);
        assert_eq!(gate.opening(at(61)), Opening::Open);
        assert_eq!(gate.take_unsaved().map(|(state, _)| state.breaker), Some(None));
    }

    #[test]
    fn an_open_breaker_outlives_a_restart_but_not_its_policy() {
        let before = gate();
        fail(&before, 0, 10);
        let (state, _) = before.take_unsaved().expect("a state");
        let after = gate();
        after.load(state.clone(), 0, at(10));
        assert_eq!(after.opening(at(10)), Opening::At(at(19)));
        let without = Gate::new(&LanePolicy { breaker: None, ..LanePolicy::default() }, &RetryPolicy::default());
        without.load(state, 0, at(10));
        assert_eq!(without.opening(at(10)), Opening::Open);
    }

    #[test]
    fn failing_counts_on_after_a_restart_and_from_the_beginning_after_enabling() {
        const HOUR: u64 = 60 * 60;
        let lane = LanePolicy { breaker: None, ..LanePolicy::default() };
        let gate = || Gate::new(&lane, &RetryPolicy::default());
        let before = gate();
        for hour in 0..=100 {
            assert_eq!(fail(&before, hour * HOUR, 1).failed_too_long, None);
        }
        let (state, _) = before.take_unsaved().expect("a state");
        let after = gate();
        after.load(state, 0, at(101 * HOUR));
        let failing = fail(&after, 120 * HOUR, 1).failed_too_long.expect("it is too long");
        assert_eq!((failing.since, failing.attempts), (at(0), 102));

        after.disable(disabled(), |_| news());
        after.take_unsaved();
        after.load(LaneState::default(), after.changes(), at(121 * HOUR));
        assert_eq!(fail(&after, 121 * HOUR, 1).failed_too_long, None);
    }

    #[test]
    fn a_receiver_that_flaps_costs_no_commits() {
        let gate = gate();
        for second in 0..1000 {
            let health = if second % 9 == 0 { Health::Acknowledges } else { Health::Fails };
            gate.attempted(health, at(second), at(second));
        }
        assert!(gate.take_unsaved().is_none());
    }

    #[test]
    fn what_somebody_decides_by_hand_is_not_overwritten() {
        let gate = gate();
        gate.pause(at(10), at(0));
        let by_hand = LaneState { disabled: Some(disabled()), ..LaneState::default() };
        gate.adopt(&by_hand);
        let (state, _) = gate.take_unsaved().expect("a state");
        assert_eq!((state.disabled.clone(), state.paused_until), (by_hand.disabled, Some(at(10))));
        gate.saved(&state);

        gate.pause(at(20), at(0));
        gate.adopt(&LaneState::default());
        assert_eq!(gate.opening(at(0)), Opening::At(at(20)), "it was enabled by hand");

        gate.disable(disabled(), |_| news());
        gate.adopt(&LaneState::default());
        assert_eq!(gate.opening(at(0)), Opening::ByHand, "nobody has touched it since");
    }
}
