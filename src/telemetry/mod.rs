//! What the service says of itself. Each thing worth observing is one method that makes the log line and the metric
//! together, so that they cannot drift apart. A log line reads alone and carries its ids as fields.

mod auth;
mod deliver;
mod poll;
mod store;

use std::sync::Arc;

use prometheus_client::registry::Registry;

pub use auth::AuthTelemetry;
pub use deliver::{DeliverTelemetry, LaneTelemetry};
pub use poll::PollTelemetry;
pub use store::StoreTelemetry;

/// Everything that the service observes of itself.
#[derive(Debug)]
pub struct Telemetry {
    pub poll: PollTelemetry,
    pub deliver: DeliverTelemetry,
    pub store: StoreTelemetry,
    pub auth: AuthTelemetry,
    registry: Registry,
}

/// Telemetry that many tasks share.
pub type SharedTelemetry = Arc<Telemetry>;

impl Telemetry {
    /// Returns telemetry with all metrics at zero.
    pub fn shared() -> SharedTelemetry {
        let mut registry = Registry::with_prefix("pollhook");
        let poll = PollTelemetry::register(&mut registry);
        let deliver = DeliverTelemetry::register(&mut registry);
        let store = StoreTelemetry::register(&mut registry);
        let auth = AuthTelemetry::register(&mut registry);
        Arc::new(Self { poll, deliver, store, auth, registry })
    }

    /// Returns all metrics in the OpenMetrics text format.
    pub fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)
            .expect("a string takes whatever is written to it");
        text
    }
}

/// Returns an error and its causes in one line.
pub fn describe_error(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
