//! What a poll leaves behind for the time of the next one.

use std::time::Duration;

use super::context::FetchContext;
use super::fetch::home_host;
use super::report::PollReport;
use crate::model::connector::Connector;
use crate::model::schedule::{Schedule, Signs};
use crate::store::ConnectorState;

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
            let signs = Signs { changes: report.changes.total(), fresh_for: report.fresh_for };
            let next = adaptive.next(state.interval.map(Duration::from_millis), signs);
            u64::try_from(next.as_millis()).ok()
        }
        Schedule::Every(_) | Schedule::Cron(_) => None,
    };
    let host = home_host(connector, state.cursor.as_deref(), report.at);
    let credentials = connector.redactor.identity();
    let not_before = host.and_then(|host| context.budgets.quiet_until(&host, credentials));
    ConnectorState { not_before, interval, ..state }
}
