//! What is observed of the store.

use prometheus_client::registry::Registry;

/// What is observed of the store.
#[derive(Debug)]
pub struct StoreTelemetry {}

impl StoreTelemetry {
    pub(super) fn register(_registry: &mut Registry) -> Self {
        Self {}
    }
}
