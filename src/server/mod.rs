//! The admin API, metrics and health, a file a resource.
//!
//! Everything is read from the store when it is asked for; the server keeps nothing of its own.

mod access;
mod connectors;
mod deliveries;
mod events;
mod explain;
mod health;
mod problem;
mod replays;
mod subscriptions;
pub mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clock::SharedClock;
use crate::config::{Configuration, Definitions};
use crate::deliver::Registry;
use crate::model::change::Decide;
use crate::model::connector::Connector;
use crate::model::id::ConnectorName;
use crate::model::secret::Secret;
use crate::store::SharedStore;
use crate::telemetry::SharedTelemetry;

/// What the resources are made from.
pub struct ServerState {
    connectors: BTreeMap<ConnectorName, Arc<Connector>>,
    token: Option<Secret>,
    registry: Arc<Registry>,
    definitions: Arc<Definitions>,
    store: SharedStore,
    decide: Arc<dyn Decide>,
    clock: SharedClock,
    telemetry: SharedTelemetry,
}

/// What the server asks, and has things done by.
pub struct ServerParts {
    /// The subscriptions as they are at present.
    pub registry: Arc<Registry>,
    /// Reads the subscriptions that are made here.
    pub definitions: Arc<Definitions>,
    pub store: SharedStore,
    /// Carries out what is decided about changes that are held.
    pub decide: Arc<dyn Decide>,
    pub clock: SharedClock,
    pub telemetry: SharedTelemetry,
}

impl ServerState {
    /// Returns the state of a server for this configuration.
    pub fn new(configuration: &Configuration, parts: ServerParts) -> Self {
        let connectors = configuration.connectors.iter().map(|one| (one.name.clone(), one.clone())).collect();
        let token = configuration.server.token.clone();
        let ServerParts { registry, definitions, store, decide, clock, telemetry } = parts;
        Self { connectors, token, registry, definitions, store, decide, clock, telemetry }
    }
}

/// Serves until it is told to stop; then requests under way are finished.
pub async fn run(listener: TcpListener, state: Arc<ServerState>, stop: CancellationToken) -> std::io::Result<()> {
    axum::serve(listener, router(state)).with_graceful_shutdown(stop.cancelled_owned()).await
}

fn router(state: Arc<ServerState>) -> Router {
    let guarded = Router::new()
        .route("/metrics", get(health::metrics))
        .route("/v1/connectors", get(connectors::list))
        .nest("/v1/connectors/{name}", connectors::routes())
        // The slash of a name such as `prices/rome` may be written as it is, unless what follows it is a word below.
        .nest("/v1/connectors/{name}/{element}", connectors::routes())
        .route("/v1/subscriptions", get(subscriptions::list).post(subscriptions::create))
        .nest("/v1/subscriptions/{name}", subscriptions::routes())
        .route("/v1/events", get(events::list))
        .route("/v1/events/{id}", get(events::one))
        .route("/v1/deliveries", get(deliveries::list))
        .route("/v1/deliveries/{id}", get(deliveries::one))
        .route("/v1/replays", get(replays::list).post(replays::create))
        .route("/v1/replays/{id}", get(replays::one))
        .route("/v1/replays/{id}/cancel", post(replays::cancel))
        .layer(middleware::from_fn_with_state(state.clone(), access::check));
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .merge(guarded)
        .fallback(problem::unknown_path)
        .method_not_allowed_fallback(problem::wrong_method)
        .with_state(state)
}

#[cfg(test)]
mod tests;
