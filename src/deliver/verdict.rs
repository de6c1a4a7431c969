//! What an answer means.

use crate::model::delivery::DeathReason;
use crate::model::lane::LanePolicy;
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
    /// What proves who it is from could not be had, and will not be before this, if that is set.
    Unproven { not_before: Option<Timestamp> },
    /// Nothing could be sent, and trying again will not change that.
    Unsendable(DeathReason),
}

/// Where a delivery stands on its way through the retry schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// How many attempts failed before.
    pub failures: u32,
    /// When it was queued, or last replayed.
    pub since: Timestamp,
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

/// What an attempt says of its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// It took the delivery.
    Acknowledges,
    /// It works, but did not want this delivery.
    Answers,
    /// It does not work now, or not for us.
    Fails,
}

impl Outcome {
    /// Returns what this says of the receiver; `None` if it was not asked.
    ///
    /// An answer 4xx comes from a receiver that read the request and judged it. But 408, 425 and 429 say that it has no
    /// time for requests, and a redirect that it is somewhere else: other deliveries will fare no better.
    pub fn health(self) -> Option<Health> {
        match self {
            Self::Answered { status: 200..=299, .. } => Some(Health::Acknowledges),
            Self::Answered { status: 408 | 425 | 429, .. } => Some(Health::Fails),
            Self::Answered { status: 400..=499, .. } => Some(Health::Answers),
            Self::Answered { .. } | Self::Failed | Self::Unproven { .. } => Some(Health::Fails),
            Self::Unsendable(_) => None,
        }
    }
}

/// Judges an attempt by a subscription's lane and retry policy. `jitter` from 0 to 1 lengthens the wait before the next
/// attempt.
pub(super) fn judge(
    outcome: Outcome,
    standing: Standing,
    (lane, retry): (&LanePolicy, &RetryPolicy),
    jitter: f64,
    now: Timestamp,
) -> Judgement {
    let (not_before, is_refused) = match outcome {
        Outcome::Answered { status: 200..=299, .. } => {
            return Judgement { verdict: Verdict::Delivered, effect: LaneEffect::None };
        }
        Outcome::Answered { status: 410, .. } => {
            return Judgement { verdict: Verdict::Dead(DeathReason::Gone), effect: LaneEffect::Disable };
        }
        Outcome::Unsendable(reason) => {
            return Judgement { verdict: Verdict::Dead(reason), effect: LaneEffect::None };
        }
        Outcome::Answered { status, retry_after } => {
            // Only with these does the header say something of the whole receiver.
            let not_before = retry_after.filter(|at| *at > now && matches!(status, 429 | 503));
            (not_before, retry.gives_up_on(status))
        }
        // Nor will the other deliveries of the lane fare better.
        Outcome::Unproven { not_before } => (not_before.filter(|at| *at > now), false),
        Outcome::Failed => (None, false),
    };
    let last_wait = || lane.never_gives_up().then(|| retry.last_wait(jitter)).flatten();
    let wait = retry.wait_after(standing.failures.saturating_add(1), jitter).or_else(last_wait);
    let due = wait.map(|wait| (now + wait).max(not_before.unwrap_or(now)));
    let is_in_time = |due: &Timestamp| retry.give_up_after.is_none_or(|after| *due <= standing.since + after);
    let verdict = match due.filter(is_in_time) {
        _ if is_refused => Verdict::Dead(DeathReason::Refused),
        Some(due) => Verdict::Retry(due),
        None => Verdict::Dead(DeathReason::Exhausted),
    };
    Judgement { verdict, effect: not_before.map_or(LaneEffect::None, LaneEffect::Pause) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::lane::{Order, WhenBlocked};

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

    /// Returns a policy with waits of 10 and 60 seconds.
    fn waits() -> RetryPolicy {
        RetryPolicy::new(vec![Duration::from_secs(10), Duration::from_secs(60)])
    }

    /// Judges with waits of 10 and 60 seconds, without jitter.
    #[track_caller]
    fn check(outcome: Outcome, failures: u32, verdict: Verdict, effect: LaneEffect) {
        let standing = Standing { failures, since: NOW };
        let judgement = judge(outcome, standing, (&LanePolicy::default(), &waits()), 0.0, NOW);
        assert_eq!(judgement, Judgement { verdict, effect }, "{outcome:?}");
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
    fn a_lane_that_cannot_prove_who_it_is_waits_until_it_can() {
        let unproven = |seconds| Outcome::Unproven { not_before: Some(after(seconds)) };
        check(unproven(30), 0, Verdict::Retry(after(30)), LaneEffect::Pause(after(30)));
        check(unproven(5), 0, Verdict::Retry(after(10)), LaneEffect::Pause(after(5)));
        check(unproven(0), 0, Verdict::Retry(after(10)), LaneEffect::None);
        check(Outcome::Unproven { not_before: None }, 2, Verdict::Dead(DeathReason::Exhausted), LaneEffect::None);
    }

    #[test]
    fn what_cannot_be_sent_is_not_tried_again() {
        for reason in [DeathReason::Unsendable, DeathReason::TooLarge] {
            check(Outcome::Unsendable(reason), 0, Verdict::Dead(reason), LaneEffect::None);
        }
    }

    #[test]
    fn jitter_only_lengthens() {
        let retry = RetryPolicy::new(vec![Duration::from_secs(10)]);
        for jitter in [0.0, 0.3, 1.0] {
            let standing = Standing { failures: 0, since: NOW };
            let judgement = judge(Outcome::Failed, standing, (&LanePolicy::default(), &retry), jitter, NOW);
            let Verdict::Retry(at) = judgement.verdict else { panic!("a retry") };
            assert!((after(10)..=after(11)).contains(&at), "{at}");
        }
    }

    #[test]
    fn some_answers_are_given_up_on_at_once_and_still_pause_the_lane() {
        let give_up_on = ["4xx", "503"].map(|text| text.parse().expect("statuses")).to_vec();
        let mut retry = waits();
        retry.give_up_on = give_up_on;
        let check = |outcome, verdict, effect| {
            let standing = Standing { failures: 0, since: NOW };
            let judgement = judge(outcome, standing, (&LanePolicy::default(), &retry), 0.0, NOW);
            assert_eq!(judgement, Judgement { verdict, effect }, "{outcome:?}");
        };
        check(answered(422), Verdict::Dead(DeathReason::Refused), LaneEffect::None);
        check(asked_to_wait(503, 30), Verdict::Dead(DeathReason::Refused), LaneEffect::Pause(after(30)));
        check(answered(429), Verdict::Retry(after(10)), LaneEffect::None);
        check(Outcome::Failed, Verdict::Retry(after(10)), LaneEffect::None);
        check(answered(410), Verdict::Dead(DeathReason::Gone), LaneEffect::Disable);
    }

    #[test]
    fn nothing_is_put_off_until_after_the_end_of_patience() {
        let check = |outcome, failures, now: u64, verdict| {
            let mut retry = waits();
            retry.give_up_after = Some(Duration::from_secs(70));
            let standing = Standing { failures, since: NOW };
            let judgement = judge(outcome, standing, (&LanePolicy::default(), &retry), 0.0, after(now));
            assert_eq!(judgement.verdict, verdict, "{outcome:?} at {now}");
        };
        check(Outcome::Failed, 0, 0, Verdict::Retry(after(10)));
        check(Outcome::Failed, 1, 10, Verdict::Retry(after(70)));
        check(Outcome::Failed, 1, 11, Verdict::Dead(DeathReason::Exhausted));
        check(asked_to_wait(503, 71), 0, 0, Verdict::Dead(DeathReason::Exhausted));
        check(Outcome::Failed, 0, 500, Verdict::Dead(DeathReason::Exhausted));
        check(answered(200), 0, 500, Verdict::Delivered);
    }

    #[test]
    fn a_lane_that_waits_for_its_head_goes_on_at_the_last_wait() {
        let lane = LanePolicy { order: Order::All, when_blocked: WhenBlocked::Wait, ..LanePolicy::default() };
        let check = |outcome, failures, verdict| {
            let standing = Standing { failures, since: NOW };
            assert_eq!(judge(outcome, standing, (&lane, &waits()), 0.0, NOW).verdict, verdict, "{outcome:?}");
        };
        check(Outcome::Failed, 0, Verdict::Retry(after(10)));
        check(Outcome::Failed, 1000, Verdict::Retry(after(60)));
        check(Outcome::Unsendable(DeathReason::TooLarge), 1000, Verdict::Dead(DeathReason::TooLarge));
        check(answered(410), 1000, Verdict::Dead(DeathReason::Gone));
    }

    #[test]
    fn an_answer_about_one_delivery_comes_from_a_receiver_that_works() {
        let check = |outcome: Outcome, expected| assert_eq!(outcome.health(), expected, "{outcome:?}");
        check(answered(204), Some(Health::Acknowledges));
        for status in [400, 401, 404, 409, 410, 413, 422] {
            check(answered(status), Some(Health::Answers));
        }
        for status in [100, 302, 408, 425, 429, 500, 503] {
            check(answered(status), Some(Health::Fails));
        }
        check(Outcome::Failed, Some(Health::Fails));
        check(Outcome::Unsendable(DeathReason::Unsendable), None);
    }
}
