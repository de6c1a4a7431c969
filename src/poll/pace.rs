//! What a poll leaves behind for the time of the next one.

use std::time::Duration;

use serde_json::json;

use super::context::FetchContext;
use super::fetch::home_host;
use super::report::PollReport;
use crate::model::connector::Connector;
use crate::model::event::{Event, ServiceNews};
use crate::model::quantity::format_duration;
use crate::model::schedule::{Schedule, Signs};
use crate::store::ConnectorState;
use crate::telemetry::PollTelemetry;

/// Returns the state after a poll with all in it that decides when the next one is due.
pub(super) fn paced(
    connector: &Connector,
    context: &FetchContext,
    state: ConnectorState,
    report: &PollReport,
) -> ConnectorState {
    // Failures say nothing of how often the source changes, and have said themselves until when to wait.
    if state.failures > 0 {
        return state;
    }
    let interval = match &connector.schedule {
        Schedule::Adaptive(adaptive) => {
            let signs = Signs { changes: report.changes.total() + report.held, fresh_for: report.fresh_for };
            let next = adaptive.next(state.interval.map(Duration::from_millis), signs);
            u64::try_from(next.as_millis()).ok()
        }
        Schedule::Every(_) | Schedule::Cron(_) => None,
    };
    let host = home_host(connector, state.cursor.as_deref(), report.at);
    let credentials = connector.redactor.identity();
    let not_before = host.and_then(|host| context.budgets.quiet_until(&host, credentials));
    ConnectorState { not_before: not_before.max(state.not_before), interval, ..state }
}

/// Returns the state after a poll with what it knows of the source's silence, and the event that tells of it, once, if it
/// has become too long.
pub(super) fn listened(
    connector: &Connector,
    telemetry: &PollTelemetry,
    state: ConnectorState,
    report: &PollReport,
) -> (ConnectorState, Option<Event>) {
    let at = report.at;
    if report.changes.total() > 0 {
        if state.is_silent {
            telemetry.no_longer_silent(&connector.name);
        }
        return (ConnectorState { changed_at: Some(at), is_silent: false, ..state }, None);
    }
    let since = state.changed_at.unwrap_or(at);
    let is_silent = connector.silence.is_some_and(|longest| at.since(since) >= longest);
    let news = (is_silent && !state.is_silent).then(|| {
        telemetry.silent(&connector.name, since);
        let data = json!({ "since": since, "longest": connector.silence.map(format_duration) });
        Event::of_service(ServiceNews::ConnectorSilent, connector.name.as_str(), at, &data)
    });
    (ConnectorState { changed_at: Some(since), is_silent, ..state }, news)
}
