//! What is observed of deliveries.

use prometheus_client::registry::Registry;

/// What is observed of deliveries.
#[derive(Debug)]
pub struct DeliverTelemetry {}

impl DeliverTelemetry {
    pub(super) fn register(_registry: &mut Registry) -> Self {
        Self {}
    }
}
