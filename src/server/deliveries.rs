//! `/v1/deliveries`: what is on its way, has arrived, or is dead.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::ServerState;
use super::problem::Problem;
use super::wire::{DeliveryDetail, DeliveryView, LONGEST_LIST, List, USUAL_LIST};
use crate::model::delivery::DeathReason;
use crate::model::event_filter::EventFilter;
use crate::model::id::{ConnectorName, DeliveryId, SubscriptionName};
use crate::model::pattern::Pattern;
use crate::model::time::Timestamp;
use crate::store::{DeliveryQuery, DeliveryStateName};

/// Which deliveries are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveryParams {
    subscription: Option<SubscriptionName>,
    state: Option<DeliveryStateName>,
    reason: Option<DeathReason>,
    connector: Option<ConnectorName>,
    #[serde(rename = "type")]
    event_type: Option<Pattern>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    before: Option<DeliveryId>,
    limit: Option<usize>,
}

/// `GET /v1/deliveries`: those of the newest events first. A part may have fewer than its limit although more follow.
pub async fn list(
    State(state): State<Arc<ServerState>>,
    params: Result<Query<DeliveryParams>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<List<DeliveryView>>, Problem> {
    let Query(params) = params.map_err(|error| Problem::bad_request(error.body_text()))?;
    let DeliveryParams { connector, event_type, from, until, .. } = params;
    let query = DeliveryQuery {
        subscription: params.subscription,
        state: params.state,
        reason: params.reason,
        filter: EventFilter { connector, event_type, from, until },
        before: params.before,
        limit: params.limit.unwrap_or(USUAL_LIST).clamp(1, LONGEST_LIST),
    };
    Ok(Json(List::of_page(state.store.deliveries(query).await?)))
}

/// `GET /v1/deliveries/{id}`: one of them, with its attempts.
pub async fn one(
    State(state): State<Arc<ServerState>>,
    Path(id): Path<String>,
) -> Result<Json<DeliveryDetail>, Problem> {
    let id: DeliveryId = id.parse().map_err(Problem::bad_request)?;
    let (delivery, attempts) =
        state.store.delivery(&id).await?.ok_or_else(|| Problem::not_found(format_args!("delivery {id}")))?;
    Ok(Json(DeliveryDetail { delivery: delivery.into(), attempts }))
}
