//! `/v1/connectors`: what is polled, and how the polls went.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};

use super::ServerState;
use super::problem::Problem;
use super::wire::{ConnectorView, List};
use crate::model::connector::Connector;

/// `GET /v1/connectors`: all of them, by name.
pub async fn list(State(state): State<Arc<ServerState>>) -> Result<Json<List<ConnectorView>>, Problem> {
    let mut views = Vec::with_capacity(state.connectors.len());
    for connector in state.connectors.values() {
        views.push(view(&state, connector).await?);
    }
    Ok(Json(List::whole(views)))
}

/// `GET /v1/connectors/{name}`: one of them.
pub async fn one(
    State(state): State<Arc<ServerState>>,
    Path(name): Path<String>,
) -> Result<Json<ConnectorView>, Problem> {
    let connector = name.parse().ok().and_then(|name| state.connectors.get(&name));
    let connector = connector.ok_or_else(|| Problem::not_found(format_args!("connector {name}")))?;
    Ok(Json(view(&state, connector).await?))
}

async fn view(state: &ServerState, connector: &Connector) -> Result<ConnectorView, Problem> {
    let polls = state.store.connector_state(&connector.name).await?;
    let schedule = connector.schedule.to_string();
    Ok(ConnectorView::new(connector.name.clone(), connector.title.clone(), schedule, polls))
}
