//! What is observed of polls.

use prometheus_client::registry::Registry;

/// What is observed of polls.
#[derive(Debug)]
pub struct PollTelemetry {}

impl PollTelemetry {
    pub(super) fn register(_registry: &mut Registry) -> Self {
        Self {}
    }
}
