//! What an answer means.

use crate::model::delivery::DeathReason;
use crate::model::retry::RetryPolicy;
use crate::model::time::Timestamp;
use crate::store::Verdict;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The receiver answered, and asked for nothing to be sent before `retry_after`, if that is set.
    Answered { status: u16, retry_after: Option<Timestamp> },
    /// There was no whole answer.
    Failed,
    /// Nothing could be sent, and trying again will not change that.
    Unsendable(DeathReason),
}

/// What becomes of the delivery, and of its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Judgement {
    pub verdict: Verdict,
    pub effect: LaneEffect,
}

/// What an answer means for the other deliveries of the lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LaneEffect {
    None,
    /// Nothing is sent before this.
    Pause(Timestamp),
    /// Nothing is sent until someone enables the subscription again.
    Disable,
}

/// Judges an attempt of a delivery that had failed `failures` times before on its present way through the schedule.
/// `jitter` from 0 to 1 lengthens the wait before the next attempt.
pub(super) fn judge(outcome: Outcome, failures: u32, retry: &RetryPolicy, jitter: f64, now: Timestamp) -> Judgement {
    let not_before = match outcome {
        Outcome::Answered { status: 200..=299, .. } => {
            return Judgement { verdict: Verdict::Delivered, effect: LaneEffect::None };
        }
        Outcome::Answered { status: 410, .. } => {
            return Judgement { verdict: Verdict::Dead(DeathReason::Gone), effect: LaneEffect::Disable };
        }
        Outcome::Unsendable(reason) => {
            return Judgement { verdict: Verdict::Dead(reason), effect: LaneEffect::None };
        }
        // Only with these does the header say something of the whole receiver.
        Outcome::Answered { status: 429 | 503, retry_after } => retry_after.filter(|at| *at > now),
        Outcome::Answered { .. } | Outcome::Failed => None,
    };
    let verdict = match retry.wait_after(failures.saturating_add(1), jitter) {
        Some(wait) => Verdict::Retry((now + wait).max(not_before.unwrap_or(now))),
        None => Verdict::Dead(DeathReason::Exhausted),
    };
    Judgement { verdict, effect: not_before.map_or(LaneEffect::None, LaneEffect::Pause) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::EPOCH;

    fn after(seconds: u64) -> Timestamp {
        NOW + Duration::from_secs(seconds)
    }

    fn answered(status: u16) -> Outcome {
        Outcome::Answered { status, retry_after: None }
    }

    fn asked_to_wait(status: u16, seconds: u64) -> Outcome {
        Outcome::Answered { status, retry_after: Some(after(seconds)) }
    }

    /// Judges with waits of 10 and 60 seconds, without jitter.
    #[track_caller]
    fn check(outcome: Outcome, failures: u32, verdict: Verdict, effect: LaneEffect) {
        let retry = RetryPolicy::new(vec![Duration::from_secs(10), Duration::from_secs(60)]);
        assert_eq!(judge(outcome, failures, &retry, 0.0, NOW), Judgement { verdict, effect }, "{outcome:?}");
    }

    #[test]
    fn every_2xx_is_an_acknowledgement() {
        for status in [200, 201, 202, 204, 299] {
            check(answered(status), 2, Verdict::Delivered, LaneEffect::None);
        }
        check(asked_to_wait(200, 60), 0, Verdict::Delivered, LaneEffect::None);
    }

    #[test]
    fn what_fails_is_tried_again_on_schedule_until_that_ends() {
        for outcome in
            [Outcome::Failed].into_iter().chain([100, 301, 302, 307, 400, 401, 404, 408, 429, 500, 503].map(answered))
        {
            check(outcome, 0, Verdict::Retry(after(10)), LaneEffect::None);
            check(outcome, 1, Verdict::Retry(after(60)), LaneEffect::None);
            check(outcome, 2, Verdict::Dead(DeathReason::Exhausted), LaneEffect::None);
        }
    }

    #[test]
    fn gone_disables_at_once() {
        check(answered(410), 0, Verdict::Dead(DeathReason::Gone), LaneEffect::Disable);
        check(asked_to_wait(410, 60), 2, Verdict::Dead(DeathReason::Gone), LaneEffect::Disable);
    }

    #[test]
    fn a_busy_receiver_pauses_the_lane_and_is_tried_no_earlier_than_the_schedule_says() {
        for status in [429, 503] {
            check(asked_to_wait(status, 30), 0, Verdict::Retry(after(30)), LaneEffect::Pause(after(30)));
            check(asked_to_wait(status, 5), 0, Verdict::Retry(after(10)), LaneEffect::Pause(after(5)));
            check(asked_to_wait(status, 0), 0, Verdict::Retry(after(10)), LaneEffect::None);
            check(asked_to_wait(status, 30), 2, Verdict::Dead(DeathReason::Exhausted), LaneEffect::Pause(after(30)));
        }
        check(asked_to_wait(500, 30), 0, Verdict::Retry(after(10)), LaneEffect::None);
    }

    #[test]
    fn what_cannot_be_sent_is_not_tried_again() {
        check(
            Outcome::Unsendable(DeathReason::Unsendable),
            0,
            Verdict::Dead(DeathReason::Unsendable),
            LaneEffect::None,
        );
    }

    #[test]
    fn jitter_only_lengthens() {
        let retry = RetryPolicy::new(vec![Duration::from_secs(10)]);
        for jitter in [0.0, 0.3, 1.0] {
            let Verdict::Retry(at) = judge(Outcome::Failed, 0, &retry, jitter, NOW).verdict else { panic!("a retry") };
            assert!((after(10)..=after(11)).contains(&at), "{at}");
        }
    }
}
