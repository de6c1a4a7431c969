//! `/v1/replays`: queueing deliveries again.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;

use super::ServerState;
use super::problem::Problem;
use super::wire::{ReplayAnswer, ReplayRequest};

/// How many dead letters are queued at once.
const STEP: usize = 500;

/// `POST /v1/replays`: queues one delivery again, or all dead letters of a subscription.
pub async fn create(
    State(state): State<Arc<ServerState>>,
    request: Result<Json<ReplayRequest>, JsonRejection>,
) -> Result<Json<ReplayAnswer>, Problem> {
    let Json(request) = request.map_err(|error| Problem::bad_request(error.body_text()))?;
    let queued = match (request.delivery, request.dead_of) {
        (Some(id), None) => {
            state.store.replay(&id, state.clock.now()).await?;
            1
        }
        (None, Some(subscription)) => {
            // Counted first: a dead letter that dies again meanwhile is not queued twice by one request.
            let dead = state.store.lane_counts(&subscription, usize::MAX).await?.dead;
            let mut queued = 0;
            while queued < dead {
                let step = state.store.replay_dead(&subscription, state.clock.now(), STEP.min(dead - queued)).await?;
                if step == 0 {
                    break;
                }
                queued += step;
            }
            queued
        }
        _ => return Err(Problem::bad_request("give either `delivery`, an id, or `dead_of`, a subscription's name")),
    };
    Ok(Json(ReplayAnswer { queued }))
}
