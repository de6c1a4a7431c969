//! The admin API, metrics and health, a file a resource.
//!
//! Everything is read from the store when it is asked for; the server keeps nothing of its own.

mod access;
mod connectors;
mod deliveries;
mod events;
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
use crate::config::Configuration;
use crate::model::change::Decide;
use crate::model::connector::Connector;
use crate::model::id::{ConnectorName, SubscriptionName};
use crate::model::secret::Secret;
use crate::model::subscription::Subscription;
use crate::store::SharedStore;
use crate::telemetry::SharedTelemetry;

/// What the resources are made from.
pub struct ServerState {
    connectors: BTreeMap<ConnectorName, Arc<Connector>>,
    subscriptions: BTreeMap<SubscriptionName, Arc<Subscription>>,
    token: Option<Secret>,
    store: SharedStore,
    decide: Arc<dyn Decide>,
    clock: SharedClock,
    telemetry: SharedTelemetry,
}

impl ServerState {
    /// Returns the state of a server for this configuration and store, that has decisions carried out by `decide`.
    pub fn new(
        configuration: &Configuration,
        store: SharedStore,
        decide: Arc<dyn Decide>,
        clock: SharedClock,
        telemetry: SharedTelemetry,
    ) -> Self {
        let connectors = configuration.connectors.iter().map(|one| (one.name.clone(), one.clone())).collect();
        let subscriptions = configuration.subscriptions.iter().map(|one| (one.name.clone(), one.clone())).collect();
        let token = configuration.server.token.clone();
        Self { connectors, subscriptions, token, store, decide, clock, telemetry }
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
        .route("/v1/subscriptions", get(subscriptions::list))
        .route("/v1/subscriptions/{name}", get(subscriptions::one))
        .route("/v1/subscriptions/{name}/enable", post(subscriptions::enable))
        .route("/v1/events", get(events::list))
        .route("/v1/events/{id}", get(events::one))
        .route("/v1/deliveries", get(deliveries::list))
        .route("/v1/deliveries/{id}", get(deliveries::one))
        .route("/v1/replays", post(replays::create))
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
