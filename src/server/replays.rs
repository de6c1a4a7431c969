//! `/v1/replays`: queueing past events again, or for somebody who did not get them.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::ServerState;
use super::problem::Problem;
use super::wire::{DryRun, LONGEST_LIST, List, ReplayAnswer, ReplayExample, ReplayRequest, ReplayView, USUAL_LIST};
use crate::deliver::replay::{Preview, preview};
use crate::model::fingerprint::BodyHash;
use crate::model::replay::{Replay, ReplayId, ReplaySelection, ReplayState, RequestMark, WrittenSelection};
use crate::model::subscription::Subscription;
use crate::store::CreatedReplay;

/// What there is to look at is counted up to here.
const MOST_COUNTED: usize = 100_000;

/// The longest key of a request, in bytes.
const LONGEST_KEY: usize = 255;

/// `POST /v1/replays`: queues one delivery again, or makes a replay that goes on by itself.
pub async fn create(
    State(state): State<Arc<ServerState>>,
    headers: HeaderMap,
    request: Result<Json<ReplayRequest>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(request) = request.map_err(|error| Problem::bad_request(error.body_text()))?;
    let mark = request_mark(&headers, &request)?;
    if let Some(id) = &request.delivery {
        if request != (ReplayRequest { delivery: request.delivery.clone(), ..ReplayRequest::default() }) {
            return Err(Problem::bad_request("`delivery` stands alone: give either it, or what selects many"));
        }
        if mark.is_some() {
            return Err(Problem::bad_request(
                "an Idempotency-Key is for replays of many: a delivery that waits already is not queued twice",
            ));
        }
        state.store.replay(id, state.clock.now()).await?;
        return Ok(Json(ReplayAnswer { queued: 1 }).into_response());
    }
    let selection = selection(&request)?;
    let subscription = target(&state, &selection)?;
    let rate = request.rate.unwrap_or(Replay::USUAL_RATE);
    let mut replay = Replay { request: mark, ..Replay::new(selection, rate, state.clock.now()) };
    if request.dry_run {
        return Ok(Json(dry_run(&state, &subscription, replay).await?).into_response());
    }
    let count = state.store.count_for_replay(&replay, MOST_COUNTED).await?;
    replay.of = (count < MOST_COUNTED).then_some(count as u64);
    match state.store.create_replay(replay).await? {
        CreatedReplay::New(replay) | CreatedReplay::Repeated(replay) => {
            Ok((StatusCode::ACCEPTED, Json(ReplayView::from(replay))).into_response())
        }
        CreatedReplay::OtherRequest => Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "this Idempotency-Key was given to another request in the last 24 hours; use a new one",
        )),
    }
}

fn selection(request: &ReplayRequest) -> Result<ReplaySelection, Problem> {
    let written = request.selection();
    match &request.dead_of {
        None => written.try_into().map_err(Problem::bad_request),
        Some(subscription) if written == WrittenSelection::default() => {
            Ok(ReplaySelection::dead_of(subscription.clone()))
        }
        Some(_) => Err(Problem::bad_request(
            "`dead_of` stands alone: give either it, or `subscription` with `state` and what else selects",
        )),
    }
}

/// Returns the subscription that gets the deliveries.
fn target(state: &ServerState, selection: &ReplaySelection) -> Result<Arc<Subscription>, Problem> {
    let name = selection.target();
    let found = state.registry.present().get(name).cloned();
    found.ok_or_else(|| Problem::not_found(format_args!("subscription {name}, so nobody would get anything")))
}

/// Reads the key that the client gave the request.
fn request_mark(headers: &HeaderMap, request: &ReplayRequest) -> Result<Option<RequestMark>, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    if key.is_empty() || key.len() > LONGEST_KEY {
        return Err(Problem::bad_request(format_args!("an Idempotency-Key has 1 to {LONGEST_KEY} characters")));
    }
    let request = serde_json::to_vec(request).expect("a request is written to memory without errors");
    Ok(Some(RequestMark { key: BodyHash::of(key.as_bytes()), request: BodyHash::of(&request) }))
}

async fn dry_run(state: &ServerState, subscription: &Subscription, replay: Replay) -> Result<DryRun, Problem> {
    let Preview { count, is_whole, looked_at, examples: ids } =
        preview(state.store.as_ref(), subscription, replay).await?;
    let mut examples = Vec::new();
    for id in ids {
        // One that was pruned in between is passed over.
        examples.extend(state.store.event(id).await?.map(|routed| ReplayExample {
            event: id,
            event_type: routed.event.event_type.clone(),
            key: routed.event.key.clone(),
            time: routed.event.time,
        }));
    }
    Ok(DryRun { count, at_least: !is_whole, looked_at, examples })
}

/// Which replays are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayParams {
    before: Option<ReplayId>,
    limit: Option<usize>,
}

/// `GET /v1/replays`: the newest first.
pub async fn list(
    State(state): State<Arc<ServerState>>,
    params: Result<Query<ReplayParams>, QueryRejection>,
) -> Result<Json<List<ReplayView>>, Problem> {
    let Query(params) = params.map_err(|error| Problem::bad_request(error.body_text()))?;
    let limit = params.limit.unwrap_or(USUAL_LIST).clamp(1, LONGEST_LIST);
    Ok(Json(List::of_page(state.store.replays(params.before, limit).await?)))
}

/// `GET /v1/replays/{id}`: one of them.
pub async fn one(State(state): State<Arc<ServerState>>, Path(id): Path<String>) -> Result<Json<ReplayView>, Problem> {
    let id: ReplayId = id.parse().map_err(Problem::bad_request)?;
    let replay = state.store.one_replay(id).await?;
    replay.map(|replay| Json(replay.into())).ok_or_else(|| Problem::not_found(format_args!("replay {id}")))
}

/// `POST /v1/replays/{id}/cancel`: ends a replay that runs; what it queued stays queued.
pub async fn cancel(
    State(state): State<Arc<ServerState>>,
    Path(id): Path<String>,
) -> Result<Json<ReplayView>, Problem> {
    let id: ReplayId = id.parse().map_err(Problem::bad_request)?;
    let replay = state.store.end_replay(id, ReplayState::Cancelled, None, state.clock.now()).await?;
    Ok(Json(replay.into()))
}
