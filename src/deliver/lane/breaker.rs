//! When a lane stops sending to a receiver that fails, and when it goes on.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::lane::BreakerPolicy;
use crate::model::time::Timestamp;
use crate::store::OpenBreaker;

/// Looks at what came of the last attempts. Whether the breaker is open is part of the lane's state, which is stored.
#[derive(Debug)]
pub(super) struct Breaker {
    policy: BreakerPolicy,
    /// Whether each of the last attempts failed, at most as many as the policy looks at.
    recent: VecDeque<bool>,
    failed: usize,
}

/// What an attempt changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// So many of so many attempts failed.
    Opened(OpenBreaker, Share),
    /// The trial failed.
    StaysOpen(OpenBreaker),
    Closed,
}

/// So many of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    pub failed: usize,
    pub all: usize,
}

impl Breaker {
    /// Returns a breaker that has seen no attempts.
    pub fn new(policy: BreakerPolicy) -> Self {
        Self { policy, recent: VecDeque::new(), failed: 0 }
    }

    /// Takes an attempt into account that began at `began`, and says what that changes. `open` is how the breaker stood
    /// before.
    pub fn note(&mut self, open: Option<&OpenBreaker>, failed: bool, began: Timestamp, now: Timestamp) -> Change {
        let Some(open) = open else { return self.note_usual(failed, now) };
        if began < open.until {
            // It was under way when the breaker opened, which was decided without it.
            return Change::None;
        }
        if !failed {
            return Change::Closed;
        }
        let failed_trials = open.failed_trials.saturating_add(1);
        let until = now + self.rest(failed_trials);
        Change::StaysOpen(OpenBreaker { since: open.since, until, failed_trials })
    }

    /// Forgets all attempts.
    pub fn forget(&mut self) {
        self.recent.clear();
        self.failed = 0;
    }

    /// Returns the longest that the breaker stays open without a trial.
    pub fn longest_rest(&self) -> Duration {
        self.policy.longest_rest.max(self.policy.rest)
    }

    fn note_usual(&mut self, failed: bool, now: Timestamp) -> Change {
        let attempts = self.policy.attempts.max(1) as usize;
        if self.recent.len() == attempts && self.recent.pop_front() == Some(true) {
            self.failed -= 1;
        }
        self.recent.push_back(failed);
        self.failed += usize::from(failed);
        let share = Share { failed: self.failed, all: self.recent.len() };
        let is_too_many = 100 * share.failed >= usize::from(self.policy.failure_percent) * share.all;
        if !failed || share.all < attempts || !is_too_many {
            return Change::None;
        }
        self.forget();
        Change::Opened(OpenBreaker { since: now, until: now + self.rest(0), failed_trials: 0 }, share)
    }

    fn rest(&self, failed_trials: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failed_trials);
        self.policy.rest.saturating_mul(doubled).min(self.longest_rest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker(failure_percent: u8, attempts: u32) -> Breaker {
        let (rest, longest_rest) = (Duration::from_secs(10), Duration::from_secs(60));
        Breaker::new(BreakerPolicy { failure_percent, attempts, rest, longest_rest })
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::EPOCH + Duration::from_secs(seconds)
    }

    /// Checks after which of these attempts, `x` for one that failed, the breaker opens; counted from 1, and 0 for never.
    #[track_caller]
    fn check(failure_percent: u8, attempts: u32, outcomes: &str, expected: usize) {
        let mut breaker = breaker(failure_percent, attempts);
        let opens = |outcome| matches!(breaker.note(None, outcome == 'x', at(0), at(0)), Change::Opened(..));
        assert_eq!(outcomes.chars().position(opens).map_or(0, |index| index + 1), expected, "{outcomes}");
    }

    #[test]
    fn it_opens_when_enough_of_the_last_attempts_failed() {
        check(100, 3, "xxx", 3);
        check(100, 3, "xx.xx.xx", 0);
        check(100, 3, ".xxx", 4);
        check(50, 4, "xx..", 0);
        check(50, 4, "xxx", 0);
        check(50, 4, "xx.x", 4);
        check(50, 4, "x....x", 0);
        check(50, 4, "x...xx", 6);
        check(50, 4, "....x.x", 7);
        check(1, 1, ".x", 2);
    }

    #[test]
    fn it_rests_twice_as_long_after_each_trial_that_fails_and_one_success_closes_it() {
        let mut breaker = breaker(100, 1);
        let Change::Opened(mut open, share) = breaker.note(None, true, at(0), at(5)) else { panic!("it opens") };
        assert_eq!((open.since, open.until, share), (at(5), at(15), Share { failed: 1, all: 1 }));
        let mut now = open.until;
        for rest in [20, 40, 60, 60] {
            let Change::StaysOpen(next) = breaker.note(Some(&open), true, now, now) else { panic!("it stays open") };
            assert_eq!((next.since, next.until.since(now)), (at(5), Duration::from_secs(rest)));
            (open, now) = (next.clone(), next.until);
        }
        assert_eq!(breaker.note(Some(&open), false, now, now), Change::Closed);
    }

    #[test]
    fn what_was_under_way_when_it_opened_is_no_trial() {
        let mut breaker = breaker(100, 1);
        let Change::Opened(open, _) = breaker.note(None, true, at(0), at(5)) else { panic!("it opens") };
        for failed in [true, false] {
            assert_eq!(breaker.note(Some(&open), failed, at(4), at(30)), Change::None);
        }
    }
}
