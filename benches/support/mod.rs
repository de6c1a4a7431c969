//! What all benchmarks share.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pollhook::store::embedded::{self, EmbeddedStore, Options};
use pollhook::telemetry::Telemetry;

/// The allocator of the `pollhook` command.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Returns the present moment.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures the time that really passes")]
pub fn now() -> Instant {
    Instant::now()
}

/// Returns the median of some durations.
pub fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort_unstable();
    durations[durations.len() / 2]
}

/// Prints one figure.
#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
pub fn figure(name: &str, value: impl std::fmt::Display) {
    println!("{name:<72} {value}");
}

/// Opens a store in a folder.
pub fn store(folder: &Path) -> Arc<EmbeddedStore> {
    Arc::new(embedded::open(folder, Options::default(), Telemetry::shared()).expect("a store"))
}
