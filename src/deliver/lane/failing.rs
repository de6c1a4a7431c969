//! Since when a receiver acknowledges nothing.

use std::time::Duration;

use crate::model::lane::LanePolicy;
use crate::model::retry::RetryPolicy;
use crate::model::time::Timestamp;
use crate::store::LaneState;

/// How long failing has to last before a subscription is disabled, and what interrupts it.
#[derive(Debug)]
pub(super) struct Patience {
    disable_after: Option<Duration>,
    /// After so long without an attempt, a failure says nothing of the time between.
    longest_gap: Duration,
}

/// A receiver that acknowledged nothing for some time, although it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failing {
    /// When the first attempt failed that was not followed by an acknowledged one.
    pub since: Timestamp,
    /// When the last attempt failed.
    pub last: Timestamp,
    /// How many attempts failed; a few more where a restart forgot them.
    pub attempts: u32,
}

/// Failing is stored when it has lasted so long, so that a receiver that fails now and then costs no commits.
const STORED_AFTER: Duration = Duration::from_secs(60);

/// And then so often, so that a restart hardly forgets any of it.
const STORED_EVERY: Duration = Duration::from_secs(60 * 60);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Patience {
    /// Returns the patience with a subscription.
    pub fn new(lane: &LanePolicy, retry: &RetryPolicy) -> Self {
        let longest_wait = retry.waits().iter().copied().max().unwrap_or_default();
        Self { disable_after: lane.disable_after, longest_gap: 2 * longest_wait.max(DAY) }
    }

    /// Returns how a receiver fails after one more failed attempt.
    pub fn one_more(&self, before: Option<&Failing>, now: Timestamp) -> Failing {
        match before.filter(|before| now.since(before.last) <= self.longest_gap) {
            Some(before) => Failing { last: now, attempts: before.attempts.saturating_add(1), ..*before },
            None => Failing { since: now, last: now, attempts: 1 },
        }
    }

    /// Tells whether the subscription is to be disabled.
    pub fn has_ended(&self, failing: &Failing) -> bool {
        self.disable_after.is_some_and(|after| failing.last >= failing.since + after)
    }
}

impl Failing {
    /// Returns what a lane's state remembers.
    pub fn of(state: &LaneState) -> Option<Self> {
        let since = state.failing_since?;
        Some(Self { since, last: state.failed_at.unwrap_or(since), attempts: state.failed_attempts })
    }

    /// Makes the lane's state remember this, if that is worth a commit. Returns whether it did.
    pub fn remember(&self, state: &mut LaneState) -> bool {
        let is_known = state.failing_since == Some(self.since);
        let is_fresh = is_known && state.failed_at.is_some_and(|at| self.last.since(at) < STORED_EVERY);
        if self.last.since(self.since) < STORED_AFTER || is_fresh {
            return false;
        }
        self.write(state);
        true
    }

    /// Writes this into the lane's state.
    pub fn write(&self, state: &mut LaneState) {
        state.failing_since = Some(self.since);
        state.failed_at = Some(self.last);
        state.failed_attempts = self.attempts;
    }

    /// Takes all of it out of a lane's state. Returns whether there was something.
    pub fn forget(state: &mut LaneState) -> bool {
        state.failed_at = None;
        state.failed_attempts = 0;
        state.failing_since.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 60 * 60;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::EPOCH + Duration::from_secs(seconds)
    }

    fn patience() -> Patience {
        Patience::new(&LanePolicy::default(), &RetryPolicy::default())
    }

    /// Lets attempts fail at these times, in hours; returns how the receiver fails in the end and whether the
    /// subscription is to be disabled.
    fn failing_at(hours: &[u64]) -> (Failing, bool) {
        let mut failing = None;
        for hour in hours {
            failing = Some(patience().one_more(failing.as_ref(), at(hour * HOUR)));
        }
        let failing = failing.expect("an attempt");
        let has_ended = patience().has_ended(&failing);
        (failing, has_ended)
    }

    #[test]
    fn five_days_of_failing_are_too_long() {
        let (failing, has_ended) = failing_at(&[0, 1, 24, 48, 96, 119]);
        assert_eq!((failing.since, failing.last, failing.attempts), (at(0), at(119 * HOUR), 6));
        assert!(!has_ended);
        assert!(failing_at(&[0, 1, 24, 48, 96, 120]).1);
    }

    #[test]
    fn failures_with_days_of_silence_between_them_are_no_sustained_failing() {
        let (failing, has_ended) = failing_at(&[0, 24 * 30, 24 * 60]);
        assert_eq!((failing.since, failing.attempts, has_ended), (at(24 * 60 * HOUR), 1, false));
    }

    #[test]
    fn it_is_stored_rarely() {
        let (mut state, mut failing, mut stored) = (LaneState::default(), None, Vec::new());
        for second in 0..3 * HOUR {
            let next = patience().one_more(failing.as_ref(), at(second));
            if next.remember(&mut state) {
                stored.push(second);
                assert_eq!(Failing::of(&state), Some(next.clone()));
            }
            failing = Some(next);
        }
        assert_eq!(stored, [60, 60 + HOUR, 60 + 2 * HOUR]);
        assert!(Failing::forget(&mut state) && !Failing::forget(&mut state));
        assert_eq!(state, LaneState::default());
    }
}
