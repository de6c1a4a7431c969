//! The schedule of one connector: polls when it is time, one at a time, until it is told to stop.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::context::{FetchContext, PollContext};
use super::fetch::home_host;
use super::poller::Poller;
use super::report::PollOutcome;
use crate::http::{Account, PollPlace};
use crate::model::connector::Connector;
use crate::model::limits::HostName;
use crate::model::time::Timestamp;
use crate::store::{ConnectorState, StoreError};

/// How long to leave a connector alone that someone else polls.
const WAIT_FOR_OTHERS: Duration = Duration::from_secs(5);

/// Polls a connector on its schedule until `stop`, which a commit that has begun does not obey.
///
/// When the service was down, times that passed are skipped. Ends with an error if the store fails.
pub async fn run(poller: Poller, stop: CancellationToken) -> Result<(), StoreError> {
    let PollContext { store, fetching, .. } = poller.context().clone();
    let connector = poller.connector();
    let mut earliest = Timestamp::EPOCH;
    while !stop.is_cancelled() {
        let state = store.connector_state(&connector.name).await?;
        let past = state.as_ref().map(ConnectorState::past);
        let Some(due) = connector.schedule.due(past.as_ref(), fetching.clock.now()) else {
            fetching.telemetry.poll.never_due(&connector.name);
            stop.cancelled().await;
            return Ok(());
        };
        let at = due.at.max(earliest) + connector.jitter.mul_f64(fastrand::f64());
        let host = home_host(connector, state.as_ref().and_then(|state| state.cursor.as_deref()), at);
        let begin = async {
            fetching.clock.sleep_until(at).await;
            match host {
                Some(host) => Some(place(&fetching, connector, &host).await),
                None => None,
            }
        };
        let place = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            place = begin => place,
        };
        let report = poller.poll_until(&stop).await?;
        drop(place);
        if report.outcome == PollOutcome::Held {
            // That left no trace in the state, so the connector still seems due.
            earliest = fetching.clock.now() + WAIT_FOR_OTHERS;
        }
    }
    Ok(())
}

/// Waits until a host has room for another poll, allows a request, and does not want to be left alone. Until then the poll
/// has not begun, so none of its deadlines runs, and nothing failed.
async fn place(context: &FetchContext, connector: &Connector, host: &HostName) -> PollPlace {
    let FetchContext { budgets, clock, telemetry, .. } = context;
    let account = Account::of(connector);
    let mut held = None;
    loop {
        if let Some(until) = budgets.quiet_until(host, account.credentials) {
            held = None;
            telemetry.poll.put_off(&connector.name, host, until);
            clock.sleep_until(until).await;
        }
        let place = match held.take() {
            Some(place) => place,
            None => budgets.poll_place(host).await,
        };
        // Meanwhile others may have been told to wait, or have spent what there was.
        let wait = budgets.wait(host, &account);
        if wait.is_zero() && budgets.quiet_until(host, account.credentials).is_none() {
            return place;
        }
        clock.sleep_until(clock.now() + wait).await;
        held = Some(place);
    }
}
