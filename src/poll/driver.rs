//! The schedule of one connector: polls when it is time, one at a time, until it is told to stop.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::context::{FetchContext, PollContext};
use super::poller::Poller;
use super::report::PollOutcome;
use crate::model::schedule::Schedule;
use crate::model::time::Timestamp;
use crate::store::{ConnectorState, StoreError};

/// The longest that failures put a poll off, unless its schedule is slower than that: so that a source that works again
/// is noticed soon.
const LONGEST_BACKOFF: Duration = Duration::from_secs(15 * 60);

/// The same, in intervals of the schedule: a connector that polls every second is not left alone for minutes.
const LONGEST_BACKOFF_IN_INTERVALS: u32 = 60;

/// How long to leave a connector alone that someone else polls.
const WAIT_FOR_OTHERS: Duration = Duration::from_secs(5);

/// Polls a connector on its schedule until `stop`, which a commit that has begun does not obey.
///
/// When the service was down, times that passed are skipped. Ends with an error if the store fails.
pub async fn run(poller: Poller, stop: CancellationToken) -> Result<(), StoreError> {
    let PollContext { store, fetching: FetchContext { clock, telemetry, .. }, .. } = poller.context().clone();
    let connector = poller.connector();
    let mut earliest = Timestamp::EPOCH;
    while !stop.is_cancelled() {
        let state = store.connector_state(&connector.name).await?;
        let Some(due) = due(&connector.schedule, state.as_ref(), clock.now()) else {
            telemetry.poll.never_due(&connector.name);
            stop.cancelled().await;
            return Ok(());
        };
        let at = due.max(earliest) + connector.jitter.mul_f64(fastrand::f64());
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = clock.sleep_until(at) => {}
        }
        let report = poller.poll_until(&stop).await?;
        if report.outcome == PollOutcome::Held {
            // That left no trace in the state, so the connector still seems due.
            earliest = clock.now() + WAIT_FOR_OTHERS;
        }
    }
    Ok(())
}

/// Returns when a connector is to be polled next; `None` means never.
fn due(schedule: &Schedule, state: Option<&ConnectorState>, now: Timestamp) -> Option<Timestamp> {
    let Some(state) = state else { return schedule.next(None, now) };
    let last = state.polled_at;
    let due = match state.failures {
        0 | 1 => schedule.next(Some(last), now)?,
        failures => {
            let interval = match schedule {
                Schedule::Every(interval) => *interval,
                Schedule::Cron(_) => schedule.next(Some(last), last)?.since(last),
            };
            let intervals = 2_u32.saturating_pow(failures - 1).min(LONGEST_BACKOFF_IN_INTERVALS);
            let backoff = interval.saturating_mul(intervals).min(LONGEST_BACKOFF.max(interval));
            match schedule {
                Schedule::Every(_) => last + backoff,
                // The first of its times that is not sooner.
                Schedule::Cron(_) => schedule.next(Some(last), now.max(last + backoff - Duration::from_millis(1)))?,
            }
        }
    };
    Some(state.not_before.map_or(due, |not_before| due.max(not_before)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fingerprint::BodyHash;
    use crate::model::quantity::{format_duration, parse_duration};
    use crate::model::schedule::Cron;
    use crate::store::RulesMemory;

    fn state(polled_at: Timestamp, failures: u32, not_before: Option<Timestamp>) -> ConnectorState {
        let hash = BodyHash::of(b"");
        let digest = RulesMemory { pages: hash, keys: hash, fingerprints: hash };
        ConnectorState { baselined: true, failures, not_before, ..ConnectorState::first(polled_at, digest) }
    }

    fn midnight() -> Timestamp {
        Timestamp::parse("2026-11-20T00:00:00Z").expect("a time")
    }

    fn every(interval: &str) -> Schedule {
        Schedule::Every(parse_duration(interval).expect("a duration"))
    }

    fn cron(expression: &str) -> Schedule {
        Schedule::Cron(Cron::parse(expression, chrono_tz::UTC).expect("a cron expression"))
    }

    #[test]
    fn failures_put_a_poll_off_but_not_for_ever() {
        // How long after the last poll the next one is due, a second after that one.
        let check = |schedule: Schedule, failures: u32, expected: &str| {
            let now = midnight() + Duration::from_secs(1);
            let due = due(&schedule, Some(&state(midnight(), failures, None)), now).expect("a time");
            assert_eq!(format_duration(due.since(midnight())), expected, "{schedule} after {failures}");
        };
        check(every("30s"), 0, "30s");
        check(every("30s"), 1, "30s");
        check(every("30s"), 2, "1m");
        check(every("30s"), 5, "8m");
        check(every("30s"), 99, "15m");
        check(every("1s"), 99, "1m");
        check(every("2h"), 99, "2h");
        check(cron("*/5 * * * *"), 1, "5m");
        check(cron("*/5 * * * *"), 2, "10m");
        check(cron("*/5 * * * *"), u32::MAX, "15m");
        check(cron("30 9 * * *"), 7, "9h30m");
    }

    #[test]
    fn a_source_is_not_polled_before_it_wants_to_be() {
        let check = |schedule: Schedule, not_before: &str, expected: &str| {
            let after = |text: &str| midnight() + parse_duration(text).expect("a duration");
            let state = state(midnight(), 1, Some(after(not_before)));
            assert_eq!(due(&schedule, Some(&state), after("1s")), Some(after(expected)));
        };
        check(every("30s"), "10s", "30s");
        check(every("30s"), "2h", "2h");
        check(cron("0 * * * *"), "3h7m", "3h7m");
    }

    #[test]
    fn times_that_passed_while_the_service_was_down_are_skipped() {
        let check = |schedule: Schedule, state: Option<&ConnectorState>, expected: &str| {
            let now = midnight() + Duration::from_secs(10 * 60 * 60 + 60);
            let due = due(&schedule, state, now).map(|due| format_duration(due.since(now)));
            assert_eq!(due.as_deref(), Some(expected), "{schedule}");
        };
        let polled = state(midnight(), 0, None);
        check(every("30s"), None, "0s");
        check(every("30s"), Some(&polled), "0s");
        check(every("12h"), Some(&polled), "1h59m");
        check(cron("0 * * * *"), None, "59m");
        check(cron("0 * * * *"), Some(&polled), "59m");
    }
}
