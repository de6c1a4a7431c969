//! `/v1/events`: what was detected.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::ServerState;
use super::problem::Problem;
use super::wire::{EventView, LONGEST_LIST, List, USUAL_LIST};
use crate::model::event_filter::EventFilter;
use crate::model::id::{ConnectorName, EventId};
use crate::model::pattern::Pattern;
use crate::model::time::Timestamp;
use crate::store::EventQuery;

/// Which events are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventParams {
    connector: Option<ConnectorName>,
    key: Option<String>,
    #[serde(rename = "type")]
    event_type: Option<Pattern>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    before: Option<EventId>,
    limit: Option<usize>,
}

/// `GET /v1/events`: the newest first. A part may have fewer than its limit although more follow.
pub async fn list(
    State(state): State<Arc<ServerState>>,
    params: Result<Query<EventParams>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<List<EventView>>, Problem> {
    let Query(params) = params.map_err(|error| Problem::bad_request(error.body_text()))?;
    let EventParams { connector, key, event_type, from, until, before, limit } = params;
    let limit = limit.unwrap_or(USUAL_LIST).clamp(1, LONGEST_LIST);
    let query = EventQuery { filter: EventFilter { connector, event_type, from, until }, key, before, limit };
    Ok(Json(List::of_page(state.store.events(query).await?)))
}

/// `GET /v1/events/{id}`: one of them.
pub async fn one(State(state): State<Arc<ServerState>>, Path(id): Path<String>) -> Result<Json<EventView>, Problem> {
    let id: EventId = id.parse().map_err(Problem::bad_request)?;
    let event = state.store.event(id).await?;
    event.map(|event| Json(event.into())).ok_or_else(|| Problem::not_found(format_args!("event {id}")))
}
