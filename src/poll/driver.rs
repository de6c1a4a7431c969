//! The schedule of one connector: polls when it is time, one at a time, until it is told to stop.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::poller::{PollOutcome, Poller};
use crate::model::connector::Connector;
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
    let context = poller.context().clone();
    let connector = poller.connector();
    let mut earliest = Timestamp::EPOCH;
    while !stop.is_cancelled() {
        let state = context.store.connector_state(&connector.name).await?;
        let Some(due) = due(connector, state.as_ref(), context.clock.now()) else {
            context.telemetry.poll.never_due(&connector.name);
            stop.cancelled().await;
            return Ok(());
        };
        let at = due.max(earliest) + connector.jitter.mul_f64(fastrand::f64());
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = context.clock.sleep_until(at) => {}
        }
        let report = poller.poll_until(&stop).await?;
        if report.outcome == PollOutcome::Held {
            // That left no trace in the state, so the connector still seems due.
            earliest = context.clock.now() + WAIT_FOR_OTHERS;
        }
    }
    Ok(())
}

/// Returns when a connector is to be polled next; `None` means never.
fn due(connector: &Connector, state: Option<&ConnectorState>, now: Timestamp) -> Option<Timestamp> {
    let schedule = &connector.schedule;
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
