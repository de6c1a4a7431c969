//! One poll: lease, poll, commit.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::context::{FetchContext, PollContext};
use super::error::PollFailure;
use super::memo::Memo;
use super::pace::{listened, paced};
use super::plan::{Refused, memory_of};
use super::polling::{Broken, Polling, Prepared, longest_fetching};
use super::report::{PollOutcome, PollReport};
use crate::model::connector::Connector;
use crate::model::event::{Event, ServiceNews};
use crate::model::time::Timestamp;
use crate::store::{ConnectorState, PollCommit, PollLease, PollPart, StoreError};

/// After how many failed polls in a row an event tells of it.
pub const FAILURES_BEFORE_NEWS: u32 = 3;

/// How long a lease lasts beyond the work that is done under it, so that the commit finds it still held.
const TIME_TO_COMMIT: Duration = Duration::from_secs(60);

/// Polls one connector.
#[derive(Clone)]
pub struct Poller {
    pub(super) connector: Arc<Connector>,
    pub(super) context: PollContext,
    /// Of the last poll that read all pages.
    pub(super) memo: Arc<Mutex<Arc<Memo>>>,
}

impl Poller {
    /// Returns what polls a connector.
    pub fn new(connector: Arc<Connector>, context: PollContext) -> Self {
        Self { connector, context, memo: Arc::default() }
    }

    /// Returns the connector that is polled.
    pub fn connector(&self) -> &Connector {
        &self.connector
    }

    pub(super) fn shared_connector(&self) -> &Arc<Connector> {
        &self.connector
    }

    pub(super) fn context(&self) -> &PollContext {
        &self.context
    }

    /// Polls once. Fails only if the store does.
    pub async fn poll(&self) -> Result<PollReport, StoreError> {
        self.poll_until(&CancellationToken::new()).await
    }

    /// Polls once. When it is told to stop, it fetches no more, but a commit that has begun is finished.
    pub async fn poll_until(&self, stop: &CancellationToken) -> Result<PollReport, StoreError> {
        let PollContext { store, fetching: FetchContext { clock, telemetry, .. }, .. } = &self.context;
        let mut report = PollReport::begun(clock.now());
        let began = clock.monotonic();
        let details = self.connector.detail.as_ref().map_or(Duration::ZERO, |_| super::detail::LONGEST_FETCHING);
        let lease_for = longest_fetching(&self.connector, &self.context.fetching) + details + TIME_TO_COMMIT;
        if let Some(lease) = store.lease_poll(&self.connector.name, report.at, lease_for).await? {
            match self.poll_leased(lease, stop, &mut report, began).await {
                Ok(()) => {}
                Err(StoreError::StaleLease { .. }) => report.outcome = PollOutcome::Held,
                Err(error) => return Err(error),
            }
        }
        report.elapsed = clock.monotonic().saturating_sub(began);
        telemetry.poll.finished(&self.connector.name, &report);
        Ok(report)
    }

    async fn poll_leased(
        &self,
        lease: PollLease,
        stop: &CancellationToken,
        report: &mut PollReport,
        began: Duration,
    ) -> Result<(), StoreError> {
        let store = &self.context.store;
        let state = lease.state.clone();
        let mut polling =
            Polling { poller: self, lease: &lease, stop, report, refused: Refused::default(), ahead: HashSet::new() };
        let polled = polling.poll().await;
        let refused = polling.refused;
        let prepared = match polled {
            Ok(prepared) => prepared,
            Err(Broken::Stopped) => {
                report.outcome = PollOutcome::Stopped;
                return store.release_poll(lease).await;
            }
            Err(Broken::Store(error)) => {
                store.release_poll(lease).await?;
                return Err(error);
            }
            Err(Broken::Failure(PollFailure { not_before: Some(until), .. })) if report.requests == 0 => {
                report.outcome = PollOutcome::PutOff(until);
                return store.release_poll(lease).await;
            }
            Err(Broken::Failure(failure)) => {
                let mut state = self.failed(state.clone(), &failure, report.at);
                state.pass = refused.left_of(state.pass);
                report.outcome = PollOutcome::Failed(failure);
                Prepared::only(state)
            }
        };
        let failures_before = state.as_ref().map_or(0, |state| state.failures);
        report.failures = prepared.state.failures;
        report.recovered_after = if report.failures == 0 { failures_before } else { 0 };
        report.elapsed = self.context.fetching.clock.monotonic().saturating_sub(began);
        let news = self.news(state.as_ref(), &prepared.state, report.at);
        let Prepared { part: PollPart { updates, set_aside, dropped }, state, forget_before } = prepared;
        let state = paced(&self.connector, &self.context.fetching, state, report);
        let (state, silence) = listened(&self.connector, &self.context.fetching.telemetry.poll, state, report);
        let next = self.connector.schedule.due(Some(&state.past()), self.context.fetching.clock.now());
        let record = Some(report.record(next));
        let news = news.into_iter().chain(silence).map(|event| self.context.route.route(event)).collect();
        let commit = PollCommit {
            news,
            forget_before,
            set_aside,
            dropped,
            record,
            ..PollCommit::new(report.at, updates, state)
        };
        store.commit_poll(lease, commit).await
    }

    pub(super) fn succeeded(&self, state: Option<ConnectorState>, at: Timestamp) -> ConnectorState {
        ConnectorState {
            polled_at: at,
            succeeded_at: Some(at),
            failures: 0,
            failing_since: None,
            last_error: None,
            not_before: None,
            ..state.unwrap_or_else(|| ConnectorState::first(at, memory_of(&self.connector.digest)))
        }
    }

    /// Returns the state after a failure: what is remembered of pages is not to be relied on.
    pub(super) fn failed(&self, state: Option<ConnectorState>, failure: &PollFailure, at: Timestamp) -> ConnectorState {
        let state = state.unwrap_or_else(|| ConnectorState::first(at, memory_of(&self.connector.digest)));
        ConnectorState {
            polled_at: at,
            failures: state.failures.saturating_add(1),
            failing_since: state.failing_since.or(Some(at)),
            last_error: Some(failure.to_string()),
            not_before: failure.not_before,
            pages: Vec::new(),
            ..state
        }
    }

    /// Returns what there is to tell of the connector itself.
    fn news(&self, before: Option<&ConnectorState>, after: &ConnectorState, at: Timestamp) -> Vec<Event> {
        let failures_before = before.map_or(0, |state| state.failures);
        let name = self.connector.name.as_str();
        let mut news = Vec::new();
        if after.failures == FAILURES_BEFORE_NEWS {
            let data = json!({
                "failures": after.failures,
                "since": after.failing_since,
                "error": after.last_error,
            });
            news.push(Event::of_service(ServiceNews::ConnectorFailing, name, at, &data));
        } else if after.failures == 0 && failures_before >= FAILURES_BEFORE_NEWS {
            let data = json!({
                "failures": failures_before,
                "since": before.and_then(|state| state.failing_since),
            });
            news.push(Event::of_service(ServiceNews::ConnectorRecovered, name, at, &data));
        }
        if let (Some(hold), None) = (&after.hold, before.and_then(|state| state.hold.as_ref())) {
            news.push(Event::of_service(ServiceNews::ConnectorHeld, name, at, &json!(hold)));
            self.context.fetching.telemetry.poll.held(&self.connector.name, hold);
        } else if after.hold.is_none() && before.is_some_and(|state| state.hold.is_some()) {
            self.context.fetching.telemetry.poll.hold_ended(&self.connector.name);
        }
        news
    }
}
