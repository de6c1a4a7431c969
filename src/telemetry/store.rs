//! What is observed of the store.

use std::io;
use std::path::Path;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::model::id::DeliveryId;
use crate::store::StoreError;

/// What is observed of the store.
#[derive(Debug)]
pub struct StoreTelemetry {
    operations: Counter,
    bytes: Counter,
    seconds: Histogram,
    failures: Counter,
    damaged: Counter,
}

impl StoreTelemetry {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let telemetry = Self {
            operations: Counter::default(),
            bytes: Counter::default(),
            seconds: Histogram::new([0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0]),
            failures: Counter::default(),
            damaged: Counter::default(),
        };
        let registry = registry.sub_registry_with_prefix("store");
        registry.register("operations", "Keys written or removed", telemetry.operations.clone());
        registry.register_with_unit("written", "Keys and values written", Unit::Bytes, telemetry.bytes.clone());
        registry.register_with_unit(
            "commit",
            "How long a commit takes until it is durable",
            Unit::Seconds,
            telemetry.seconds.clone(),
        );
        registry.register("commit_failures", "Commits that failed", telemetry.failures.clone());
        registry.register(
            "damaged_deliveries",
            "Claims of a delivery that could not be read",
            telemetry.damaged.clone(),
        );
        telemetry
    }

    /// A batch became durable.
    pub fn committed(&self, operations: usize, bytes: usize, duration: Duration) {
        self.operations.inc_by(operations as u64);
        self.bytes.inc_by(bytes as u64);
        self.seconds.observe(duration.as_secs_f64());
    }

    /// A batch could not be written, and nothing more will be until the store is opened anew.
    pub fn commit_failed(&self, error: &StoreError) {
        self.failures.inc();
        tracing::error!(error = chain(error), "the store can no longer be written to; restart when the cause is gone");
    }

    /// A delivery that is due cannot be read.
    pub fn delivery_damaged(&self, delivery: &DeliveryId, error: &StoreError) {
        self.damaged.inc();
        tracing::error!(%delivery, error = chain(error), "delivery {delivery} cannot be read, so it is not attempted");
    }

    /// The file that guards against lost data could not be written.
    pub fn canary_failed(&self, error: &io::Error) {
        tracing::warn!(%error, "cannot note how far the store has come; it is tried again at the next start");
    }

    /// The disk was full at the start.
    pub fn ballast_removed(&self, directory: &Path) {
        tracing::warn!(
            directory = %directory.display(),
            "the disk is full: deleted the ballast in {} to open the store; free some space soon",
            directory.display()
        );
    }

    /// There is no room for the ballast.
    pub fn ballast_missing(&self, error: &io::Error) {
        tracing::warn!(%error, "no space could be kept back for opening the store on a full disk; free some space soon");
    }

    /// The last start was interrupted.
    pub fn unfinished_snapshot_removed(&self, path: &Path) {
        tracing::info!(path = %path.display(), "removed an unfinished snapshot that an interrupted start left behind");
    }
}

/// Returns an error with all its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
