//! What polls need of the house.

use std::sync::Arc;

use crate::clock::SharedClock;
use crate::http::HttpClient;
use crate::model::event::Route;
use crate::store::SharedStore;
use crate::telemetry::SharedTelemetry;

/// What polls need of the house. Clones share everything in it.
#[derive(Clone)]
pub struct PollContext {
    pub fetching: FetchContext,
    pub store: SharedStore,
    pub route: Arc<dyn Route>,
}

/// What fetching needs of the house, with or without a store. Clones share everything in it.
#[derive(Clone)]
pub struct FetchContext {
    pub http: HttpClient,
    pub clock: SharedClock,
    pub telemetry: SharedTelemetry,
}

impl FetchContext {
    /// Returns what fetching needs, without anything that has been configured.
    pub fn new(http: HttpClient, clock: SharedClock, telemetry: SharedTelemetry) -> Self {
        Self { http, clock, telemetry }
    }
}
