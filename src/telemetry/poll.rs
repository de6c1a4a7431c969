//! What is observed of polls.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::model::change::{ChangeKind, Decided, Decision};
use crate::model::id::ConnectorName;
use crate::model::limits::HostName;
use crate::model::time::Timestamp;
use crate::poll::{PollOutcome, PollReport};
use crate::store::Hold;

/// What is observed of polls.
#[derive(Debug)]
pub struct PollTelemetry {
    polls: Family<OutcomeLabels, Counter>,
    duration: Family<ConnectorLabel, Histogram>,
    items: Family<ConnectorLabel, Gauge>,
    changes: Family<ChangeLabels, Counter>,
    bytes: Family<ConnectorLabel, Counter>,
    retries: Family<ConnectorLabel, Counter>,
    put_off: Family<ConnectorLabel, Counter>,
    succeeded: Family<ConnectorLabel, Gauge<f64, AtomicU64>>,
    failing: Family<ConnectorLabel, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConnectorLabel {
    connector: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    connector: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChangeLabels {
    connector: String,
    kind: &'static str,
}

/// From a local source's answer to a long walk, in seconds.
const DURATION_BUCKETS: [f64; 10] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0];

fn histogram() -> Histogram {
    Histogram::new(DURATION_BUCKETS)
}

impl PollTelemetry {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let telemetry = Self {
            polls: Family::default(),
            duration: Family::new_with_constructor(histogram),
            items: Family::default(),
            changes: Family::default(),
            bytes: Family::default(),
            retries: Family::default(),
            put_off: Family::default(),
            succeeded: Family::default(),
            failing: Family::default(),
        };
        registry.register("polls", "Polls, by what came of them", telemetry.polls.clone());
        registry.register_with_unit("poll_duration", "How long polls took", Unit::Seconds, telemetry.duration.clone());
        registry.register("poll_items", "Items that the last comparing poll found", telemetry.items.clone());
        registry.register("changes", "Changes that became events", telemetry.changes.clone());
        registry.register_with_unit(
            "poll_read",
            "Bytes of answers, after decompression",
            Unit::Bytes,
            telemetry.bytes.clone(),
        );
        registry.register("poll_retries", "Requests that were repeated within a poll", telemetry.retries.clone());
        registry.register("polls_put_off", "Polls that a host's budget put off", telemetry.put_off.clone());
        registry.register_with_unit(
            "poll_succeeded_at",
            "When a poll last succeeded, since 1970",
            Unit::Seconds,
            telemetry.succeeded.clone(),
        );
        registry.register("connector_failing", "Whether the last poll failed", telemetry.failing.clone());
        telemetry
    }

    /// A poll ended, one way or another.
    pub fn finished(&self, connector: &ConnectorName, report: &PollReport) {
        let label = || ConnectorLabel { connector: connector.to_string() };
        let outcome = report.outcome.as_str();
        self.polls.get_or_create(&OutcomeLabels { connector: connector.to_string(), outcome }).inc();
        self.duration.get_or_create(&label()).observe(report.elapsed.as_secs_f64());
        self.bytes.get_or_create(&label()).inc_by(report.bytes as u64);
        for kind in ChangeKind::ALL {
            let count = report.changes.of(kind) as u64;
            if count > 0 {
                let labels = ChangeLabels { connector: connector.to_string(), kind: kind.as_str() };
                self.changes.get_or_create(&labels).inc_by(count);
            }
        }
        match &report.outcome {
            PollOutcome::Held | PollOutcome::PutOff(_) | PollOutcome::Stopped => {}
            outcome => {
                let failed = outcome.failure().is_some();
                self.failing.get_or_create(&label()).set(i64::from(failed));
                if !failed {
                    self.succeeded.get_or_create(&label()).set(report.at.as_millis() as f64 / 1000.0);
                }
            }
        }
        if let PollOutcome::Compared(_) = report.outcome {
            self.items.get_or_create(&label()).set(i64::try_from(report.items).unwrap_or(i64::MAX));
        }
        Self::log(connector, report, outcome);
    }

    fn log(connector: &ConnectorName, report: &PollReport, outcome: &'static str) {
        let PollReport { pages, requests, bytes, items, changes, .. } = report;
        let (created, updated, removed) = (changes.created, changes.updated, changes.removed);
        let elapsed = format_args!("{}ms", report.elapsed.as_millis());
        macro_rules! line {
            ($level:ident, $($rest:tt)+) => {
                tracing::$level!(%connector, outcome, pages, requests, bytes, items, created, updated, removed, %elapsed, $($rest)+)
            };
        }
        match report.outcome.failure() {
            // A source that is down for long is not mentioned again and again.
            Some(failure) if report.failures.is_power_of_two() => {
                line!(warn, "poll {outcome}, {} in a row: {failure}", report.failures);
            }
            Some(failure) => line!(debug, "poll {outcome}, {} in a row: {failure}", report.failures),
            None if changes.total() > 0 => {
                line!(info, "{connector}: {created} created, {updated} updated, {removed} removed");
            }
            None => line!(debug, "{connector}: polled, {outcome}"),
        }
        if report.recovered_after > 0 {
            tracing::info!(%connector, "{connector}: polls succeed again after {} failures", report.recovered_after);
        }
        for note in &report.notes {
            tracing::debug!(%connector, "{connector}: {note}");
        }
    }

    /// A request failed and is repeated within the poll.
    pub fn retrying(&self, connector: &ConnectorName, reason: &str, wait: Duration) {
        self.retries.get_or_create(&ConnectorLabel { connector: connector.to_string() }).inc();
        let wait = crate::model::quantity::format_duration(wait);
        tracing::debug!(%connector, %wait, "{connector}: trying again in {wait}: {reason}");
    }

    /// A connector has had nothing new for longer than it should.
    pub fn silent(&self, connector: &ConnectorName, since: Timestamp) {
        tracing::warn!(%connector, %since, "{connector}: nothing has changed since {since} (limits.silence)");
    }

    /// A connector that was silent has something new.
    pub fn no_longer_silent(&self, connector: &ConnectorName) {
        tracing::info!(%connector, "{connector}: no longer silent");
    }

    /// A poll waits until its host wants to be asked again.
    pub fn put_off(&self, connector: &ConnectorName, host: &HostName, until: Timestamp) {
        self.put_off.get_or_create(&ConnectorLabel { connector: connector.to_string() }).inc();
        tracing::debug!(%connector, %host, %until, "{connector}: put off until {until}, because {host} allows no more");
    }

    /// A host's clock is not ours.
    pub fn clock_differs(&self, host: &HostName, difference: Duration, is_ahead: bool) {
        let difference = crate::model::quantity::format_duration(difference);
        let direction = if is_ahead { "ahead of" } else { "behind" };
        tracing::warn!(%host, %difference, "the clock of {host} is {difference} {direction} ours: check that ours is right");
    }

    /// So much changed at once that it is held for approval.
    pub fn held(&self, connector: &ConnectorName, hold: &Hold) {
        tracing::warn!(
            %connector,
            "{connector}: {}; its changes are held until somebody decides: pollhook approve, drop or baseline {connector}",
            hold.cause
        );
    }

    /// Nothing is held any more: the source has taken everything back.
    pub fn hold_ended(&self, connector: &ConnectorName) {
        tracing::info!(%connector, "{connector}: the source took back all changes that were held");
    }

    /// Somebody decided about changes that were held.
    pub fn decided(&self, connector: &ConnectorName, decision: Decision, decided: Decided) {
        match decided {
            Decided::Held { created, updated, removed } => tracing::info!(
                %connector, decision = decision.as_str(),
                "{connector}: decided about {created} created, {updated} updated, {removed} removed that were held: {}",
                decision.as_str()
            ),
            Decided::NextPoll => tracing::info!(%connector, "{connector}: the next complete poll is taken as seen"),
        }
    }

    /// A connector's schedule names no time that exists.
    pub fn never_due(&self, connector: &ConnectorName) {
        tracing::warn!(%connector, "{connector} is never polled: its schedule names a date that does not exist");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::item::Completeness;
    use crate::poll::ChangeCounts;
    use crate::telemetry::Telemetry;

    #[test]
    fn a_poll_is_counted_by_connector_outcome_and_kind_of_change() {
        let telemetry = Telemetry::shared();
        let report = PollReport {
            outcome: PollOutcome::Compared(Completeness::Complete),
            at: crate::model::time::Timestamp::from_millis(1_795_000_000_500),
            elapsed: Duration::from_millis(300),
            pages: 1,
            requests: 1,
            bytes: 1000,
            items: 7,
            changes: ChangeCounts { created: 2, updated: 1, removed: 0 },
            held: 0,
            failures: 0,
            recovered_after: 0,
            fresh_for: None,
            cause: None,
            notes: Vec::new(),
        };
        let connector = "orders".parse().expect("a name");
        telemetry.poll.finished(&connector, &report);
        telemetry.poll.finished(&connector, &PollReport { outcome: PollOutcome::Unchanged, ..report });
        telemetry.poll.retrying(&connector, "no answer", Duration::from_secs(1));
        let metrics = telemetry.metrics();
        for line in [
            r#"pollhook_polls_total{connector="orders",outcome="complete"} 1"#,
            r#"pollhook_polls_total{connector="orders",outcome="unchanged"} 1"#,
            r#"pollhook_changes_total{connector="orders",kind="created"} 4"#,
            r#"pollhook_poll_duration_seconds_bucket{le="0.5",connector="orders"} 2"#,
            r#"pollhook_poll_items{connector="orders"} 7"#,
            r#"pollhook_poll_read_bytes_total{connector="orders"} 2000"#,
            r#"pollhook_poll_retries_total{connector="orders"} 1"#,
            r#"pollhook_poll_succeeded_at_seconds{connector="orders"} 1795000000.5"#,
            r#"pollhook_connector_failing{connector="orders"} 0"#,
        ] {
            assert!(metrics.contains(line), "{line} is not in\n{metrics}");
        }
    }
}
