//! `/v1/events`: what was detected.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::ServerState;
use super::problem::Problem;
use super::wire::{EventView, LONGEST_LIST, List, USUAL_LIST};
use crate::model::id::{ConnectorName, EventId};
use crate::store::EventQuery;

/// Which events are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventParams {
    connector: Option<ConnectorName>,
    before: Option<EventId>,
    limit: Option<usize>,
}

/// `GET /v1/events`: the newest first.
pub async fn list(
    State(state): State<Arc<ServerState>>,
    params: Result<Query<EventParams>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<List<EventView>>, Problem> {
    let Query(params) = params.map_err(|error| Problem::bad_request(error.body_text()))?;
    let limit = params.limit.unwrap_or(USUAL_LIST).clamp(1, LONGEST_LIST);
    let query = EventQuery { connector: params.connector, before: params.before, limit };
    let events: Vec<EventView> = state.store.events(query).await?.into_iter().map(EventView::from).collect();
    Ok(Json(List::part(events, limit, |view| view.event.id.to_string())))
}

/// `GET /v1/events/{id}`: one of them.
pub async fn one(State(state): State<Arc<ServerState>>, Path(id): Path<String>) -> Result<Json<EventView>, Problem> {
    let id: EventId = id.parse().map_err(Problem::bad_request)?;
    let event = state.store.event(id).await?;
    event.map(|event| Json(event.into())).ok_or_else(|| Problem::not_found(format_args!("event {id}")))
}
