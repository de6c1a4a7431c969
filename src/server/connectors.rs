//! `/v1/connectors`: what is polled, how the polls went, and what is decided about changes that are held.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;

use super::problem::Problem;
use super::wire::{ConnectorView, DecisionAnswer, LONGEST_LIST, List, USUAL_LIST};
use super::{ServerState, explain};
use crate::model::change::{Decision, DecisionError};
use crate::model::connector::Connector;
use crate::model::id::ConnectorName;
use crate::model::poll_record::PollRecord;
use crate::model::time::Timestamp;
use crate::telemetry::describe_error;

/// Returns what there is below the path of one connector.
pub fn routes() -> Router<Arc<ServerState>> {
    Router::new()
        .route("/", get(one))
        .route("/polls", get(polls))
        .route("/approve", post(|state, name| decide(state, name, Decision::Approve)))
        .route("/drop", post(|state, name| decide(state, name, Decision::Drop)))
        .route("/baseline", post(|state, name| decide(state, name, Decision::Baseline)))
        .route("/remembered", post(explain::remembered).layer(DefaultBodyLimit::max(LARGEST_QUESTION)))
        .route("/match", post(explain::matching).layer(DefaultBodyLimit::max(LARGEST_QUESTION)))
}

/// The most bytes of what is asked about items: a thousand of the longest keys, or the largest event.
const LARGEST_QUESTION: usize = 64 << 20;

/// A connector's name, as a path has it.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    name: String,
    element: Option<String>,
}

impl Named {
    /// Returns the connector that it names.
    pub fn find(self, state: &ServerState) -> Result<&Arc<Connector>, Problem> {
        let name = match self.element {
            Some(element) => format!("{}/{element}", self.name),
            None => self.name,
        };
        let connector = name.parse().ok().and_then(|name| state.connectors.get(&name));
        connector.ok_or_else(|| unknown(state, &name))
    }
}

/// The most elements of `each` that an answer names.
const MOST_NAMED: usize = 10;

/// Returns the problem of asking for a connector that is not there; what is configured with `each` is there in elements.
fn unknown(state: &ServerState, name: &str) -> Problem {
    let is_element = |one: &&str| one.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
    let elements: Vec<&str> =
        state.connectors.keys().map(ConnectorName::as_str).filter(is_element).take(MOST_NAMED).collect();
    if elements.is_empty() {
        return Problem::not_found(format_args!("connector {name}"));
    }
    Problem::not_found(format_args!(
        "connector {name} as a whole; ask for one of its elements: {}",
        elements.join(", ")
    ))
}

/// `GET /v1/connectors`: all of them, by name.
pub async fn list(State(state): State<Arc<ServerState>>) -> Result<Json<List<ConnectorView>>, Problem> {
    let mut views = Vec::with_capacity(state.connectors.len());
    for connector in state.connectors.values() {
        views.push(view(&state, connector).await?);
    }
    Ok(Json(List::whole(views)))
}

/// `GET /v1/connectors/{name}`: one of them.
async fn one(State(state): State<Arc<ServerState>>, Path(name): Path<Named>) -> Result<Json<ConnectorView>, Problem> {
    let connector = name.find(&state)?;
    Ok(Json(view(&state, connector).await?))
}

/// Which polls are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PollParams {
    before: Option<Timestamp>,
    limit: Option<usize>,
}

/// `GET /v1/connectors/{name}/polls`: its last polls, the newest first.
async fn polls(
    State(state): State<Arc<ServerState>>,
    Path(name): Path<Named>,
    params: Result<Query<PollParams>, QueryRejection>,
) -> Result<Json<List<PollRecord>>, Problem> {
    let Query(params) = params.map_err(|error| Problem::bad_request(error.body_text()))?;
    let connector = name.find(&state)?;
    let limit = params.limit.unwrap_or(USUAL_LIST).clamp(1, LONGEST_LIST);
    let polls = state.store.polls(&connector.name, params.before, limit).await?;
    Ok(Json(List::part(polls, limit, |poll| poll.at.to_string())))
}

/// `POST /v1/connectors/{name}/approve`, `…/drop` and `…/baseline`.
async fn decide(
    State(state): State<Arc<ServerState>>,
    Path(name): Path<Named>,
    decision: Decision,
) -> Result<Json<DecisionAnswer>, Problem> {
    let name = &name.find(&state)?.name;
    let decided = state.decide.decide(name, decision).await.map_err(|error| match error {
        DecisionError::NothingHeld => {
            let what = decision.as_str();
            Problem::new(StatusCode::CONFLICT, format!("no changes of {name} are held, so there is nothing to {what}"))
        }
        DecisionError::PollUnderWay => {
            Problem::new(StatusCode::CONFLICT, format!("{name} is being polled just now; try again in a moment"))
        }
        DecisionError::UnknownConnector => Problem::not_found(format_args!("connector {name}")),
        DecisionError::Failed(source) => {
            let detail = describe_error(&*source);
            tracing::error!("a decision about {name} could not be carried out: {detail}");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
        }
    })?;
    Ok(Json(DecisionAnswer::new(decision, decided)))
}

async fn view(state: &ServerState, connector: &Connector) -> Result<ConnectorView, Problem> {
    let polls = state.store.connector_state(&connector.name).await?;
    let last_poll = state.store.polls(&connector.name, None, 1).await?.pop();
    Ok(ConnectorView::new(connector, polls, last_poll, state.clock.now()))
}
