//! When a connector is due, and why then.

use std::time::Duration;

use super::Schedule;
use crate::model::poll_record::NextReason;
use crate::model::time::Timestamp;

/// The longest that failures put a poll off, unless its schedule is slower than that: so that a source that works again
/// is noticed soon. Jitter comes on top.
const LONGEST_BACKOFF: Duration = Duration::from_secs(15 * 60);

/// The same, in intervals of the schedule: a connector that polls every second is not left alone for minutes.
const LONGEST_BACKOFF_IN_INTERVALS: u32 = 60;

/// How much a wait after failures is lengthened, at most: so that connectors that failed together do not all come back
/// together.
const BACKOFF_JITTER: f64 = 0.25;

/// How long after the beginning of the last poll the next one begins when there is more to read.
const WHEN_BEHIND: Duration = Duration::from_secs(1);

/// What is known of a connector that was polled before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// When the last poll began.
    pub polled_at: Timestamp,
    /// How many polls in a row have failed.
    pub failures: u32,
    /// The source asked not to be polled before this.
    pub not_before: Option<Timestamp>,
    /// The interval that an adaptive schedule has come to.
    pub interval: Option<Duration>,
    /// Whether there is more to read than the last poll could.
    pub is_behind: bool,
    /// Differs between connectors and stays as it is: jitter comes from it, so that a restart does not change it.
    pub seed: u64,
}

/// When a connector is due, and why then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    pub at: Timestamp,
    pub because: NextReason,
}

impl Schedule {
    /// Returns when a connector is to be polled next, and why then. The time may be in the past, which means at once.
    /// `None` means never. It depends on what is kept of the connector alone, so a restart changes nothing.
    pub fn due(&self, past: Option<&Past>, now: Timestamp) -> Option<Due> {
        let Some(past) = past else { return Some(Due { at: self.next(None, now)?, because: self.reason() }) };
        let due = self.due_by_itself(past, now)?;
        match past.not_before.filter(|not_before| *not_before > due.at) {
            Some(at) => Some(Due { at, because: NextReason::AskedToWait }),
            None => Some(due),
        }
    }

    fn due_by_itself(&self, past: &Past, now: Timestamp) -> Option<Due> {
        let last = past.polled_at;
        let interval = self.interval(past);
        if past.failures == 0 && past.is_behind {
            return Some(Due { at: last + WHEN_BEHIND.min(interval?), because: NextReason::Behind });
        }
        if past.failures < 2 {
            let at = match self {
                Self::Adaptive(_) => (last + interval?).max(now),
                Self::Every(_) | Self::Cron(_) => self.next(Some(last), now)?,
            };
            return Some(Due { at, because: self.reason() });
        }
        let interval = interval?;
        let intervals = 2_u32.saturating_pow(past.failures - 1).min(LONGEST_BACKOFF_IN_INTERVALS);
        let backoff = interval.saturating_mul(intervals).min(LONGEST_BACKOFF.max(interval));
        let at = match self {
            Self::Every(_) | Self::Adaptive(_) => last + backoff.mul_f64(1.0 + BACKOFF_JITTER * past.random()),
            // The first of its times that is not sooner. Its times are kept: somebody chose them.
            Self::Cron(_) => self.next(Some(last), now.max(last + backoff - Duration::from_millis(1)))?,
        };
        Some(Due { at, because: NextReason::Backoff })
    }

    /// Returns the time between two polls without failures.
    fn interval(&self, past: &Past) -> Option<Duration> {
        Some(match self {
            Self::Every(interval) => *interval,
            Self::Adaptive(bounds) => past.interval.unwrap_or(bounds.min).clamp(bounds.min, bounds.max),
            Self::Cron(_) => self.next(Some(past.polled_at), past.polled_at)?.since(past.polled_at),
        })
    }

    fn reason(&self) -> NextReason {
        match self {
            Self::Every(_) | Self::Cron(_) => NextReason::Schedule,
            Self::Adaptive(_) => NextReason::Adaptive,
        }
    }
}

impl Past {
    /// Returns a number from 0 to 1 that is another one after each poll.
    fn random(&self) -> f64 {
        let poll = self.polled_at.as_millis().unsigned_abs();
        fastrand::Rng::with_seed(self.seed ^ poll.rotate_left(32)).f64()
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;
    use crate::model::quantity::{format_duration, parse_duration};
    use crate::model::schedule::{Adaptive, Cron};

    fn midnight() -> Timestamp {
        Timestamp::parse("2026-11-20T00:00:00Z").expect("a time")
    }

    fn past(failures: u32) -> Past {
        Past { polled_at: midnight(), failures, not_before: None, interval: None, is_behind: false, seed: 0 }
    }

    fn span(text: &str) -> Duration {
        parse_duration(text).expect("a duration")
    }

    fn every(interval: &str) -> Schedule {
        Schedule::Every(span(interval))
    }

    fn adaptive() -> Schedule {
        Schedule::Adaptive(Adaptive { min: span("30s"), max: span("1h") })
    }

    fn cron(expression: &str) -> Schedule {
        Schedule::Cron(Cron::parse(expression, Tz::UTC).expect("a cron expression"))
    }

    /// Returns how long after the last poll the next one is due, a second after that one, and why then.
    fn due(schedule: &Schedule, past: &Past) -> (Duration, NextReason) {
        let due = schedule.due(Some(past), midnight() + span("1s")).expect("a time");
        (due.at.since(midnight()), due.because)
    }

    #[track_caller]
    fn check(schedule: &Schedule, past: &Past, expected: &str, because: NextReason) {
        let (after, reason) = due(schedule, past);
        assert_eq!((format_duration(after).as_str(), reason), (expected, because), "{schedule}, {past:?}");
    }

    #[test]
    fn failures_put_a_poll_off_but_not_for_ever() {
        use NextReason::{Backoff, Schedule as Usual};
        check(&every("30s"), &past(0), "30s", Usual);
        check(&every("30s"), &past(1), "30s", Usual);
        let between = |schedule: Schedule, failures: u32, least: &str, most: &str| {
            for seed in 0..100 {
                let (after, because) = due(&schedule, &Past { seed, ..past(failures) });
                assert!(span(least) <= after && after <= span(most), "{schedule} after {failures}: {after:?}");
                assert_eq!(because, Backoff);
            }
        };
        between(every("30s"), 2, "1m", "1m15s");
        between(every("30s"), 5, "8m", "10m");
        between(every("30s"), 99, "15m", "18m45s");
        between(every("1s"), 99, "1m", "1m15s");
        between(every("2h"), 99, "2h", "2h30m");
        between(adaptive(), 2, "1m", "1m15s");
        check(&cron("*/5 * * * *"), &past(2), "10m", Backoff);
        check(&cron("*/5 * * * *"), &past(u32::MAX), "15m", Backoff);
        check(&cron("*/5 * * * *"), &past(1), "5m", Usual);
        check(&cron("30 9 * * *"), &past(7), "9h30m", Backoff);
    }

    #[test]
    fn connectors_that_failed_together_do_not_come_back_together_and_a_restart_changes_nothing() {
        let times = |polled_at| {
            (0..50).map(|seed| due(&every("30s"), &Past { polled_at, seed, ..past(5) }).0).collect::<Vec<_>>()
        };
        let first = times(midnight());
        assert!(first.iter().max() > first.iter().min().map(|least| *least + span("1m")).as_ref(), "{first:?}");
        assert_eq!(times(midnight()), first, "it depends on what is kept alone");
        assert_ne!(times(midnight() + span("10ms")), first, "it is another one after another poll");
    }

    #[test]
    fn a_source_is_not_polled_before_it_wants_to_be() {
        let check = |schedule: Schedule, not_before: &str, expected: &str, because| {
            let past = Past { not_before: Some(midnight() + span(not_before)), ..past(1) };
            check(&schedule, &past, expected, because);
        };
        check(every("30s"), "10s", "30s", NextReason::Schedule);
        check(every("30s"), "2h", "2h", NextReason::AskedToWait);
        check(cron("0 * * * *"), "3h7m", "3h7m", NextReason::AskedToWait);
    }

    #[test]
    fn an_adaptive_schedule_goes_by_the_interval_that_it_has_come_to_within_its_bounds() {
        let check = |interval: Option<&str>, expected| {
            let past = Past { interval: interval.map(span), ..past(0) };
            check(&adaptive(), &past, expected, NextReason::Adaptive);
        };
        check(None, "30s");
        check(Some("7m"), "7m");
        check(Some("1d"), "1h");
        check(Some("2s"), "30s");
    }

    #[test]
    fn a_poll_with_more_to_read_is_followed_at_once_unless_it_failed() {
        let behind = |failures| Past { is_behind: true, ..past(failures) };
        check(&every("30s"), &behind(0), "1s", NextReason::Behind);
        check(&cron("0 * * * *"), &behind(0), "1s", NextReason::Behind);
        check(&every("30s"), &behind(1), "30s", NextReason::Schedule);
        let asked = Past { not_before: Some(midnight() + span("5m")), ..behind(0) };
        check(&every("30s"), &asked, "5m", NextReason::AskedToWait);
    }

    #[test]
    fn times_that_passed_while_the_service_was_down_are_skipped() {
        let check = |schedule: Schedule, past: Option<&Past>, expected: &str| {
            let now = midnight() + span("10h1m");
            let due = schedule.due(past, now).map(|due| format_duration(due.at.since(now)));
            assert_eq!(due.as_deref(), Some(expected), "{schedule}");
        };
        let polled = past(0);
        check(every("30s"), None, "0s");
        check(every("30s"), Some(&polled), "0s");
        check(every("12h"), Some(&polled), "1h59m");
        check(adaptive(), Some(&polled), "0s");
        check(cron("0 * * * *"), None, "59m");
        check(cron("0 * * * *"), Some(&polled), "59m");
    }
}
