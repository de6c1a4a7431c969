//! Whether the process lives, whether it makes progress, and its metrics.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use super::ServerState;
use super::problem::Problem;
use crate::telemetry::describe_error;

/// How long the store may take to make a marker durable before the service counts as not ready.
const SLOWEST_COMMIT: Duration = Duration::from_secs(5);

/// `GET /healthz`: the process lives.
pub async fn alive() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: it makes progress, because the store makes what it is given durable.
pub async fn ready(State(state): State<Arc<ServerState>>) -> Result<&'static str, Problem> {
    let deadline = state.clock.now() + SLOWEST_COMMIT;
    let detail = tokio::select! {
        written = state.store.check_writable() => match written {
            Ok(()) => return Ok("ok\n"),
            Err(error) => describe_error(&error),
        },
        () = state.clock.sleep_until(deadline) => format!("the store has not committed within {SLOWEST_COMMIT:?}"),
    };
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail))
}

/// `GET /metrics`: all metrics in the OpenMetrics text format, for Prometheus.
pub async fn metrics(State(state): State<Arc<ServerState>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], state.telemetry.metrics())
}
