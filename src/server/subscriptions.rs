//! `/v1/subscriptions`: who is told, and how their lanes are doing.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};

use super::ServerState;
use super::problem::Problem;
use super::wire::{LaneStatus, List, MOST_COUNTED, SubscriptionView};
use crate::deliver;
use crate::model::subscription::Subscription;

/// `GET /v1/subscriptions`: all of them, by name.
pub async fn list(State(state): State<Arc<ServerState>>) -> Result<Json<List<SubscriptionView>>, Problem> {
    let mut views = Vec::with_capacity(state.subscriptions.len());
    for subscription in state.subscriptions.values() {
        views.push(view(&state, subscription).await?);
    }
    Ok(Json(List::whole(views)))
}

/// `GET /v1/subscriptions/{name}`: one of them.
pub async fn one(
    State(state): State<Arc<ServerState>>,
    Path(name): Path<String>,
) -> Result<Json<SubscriptionView>, Problem> {
    Ok(Json(view(&state, named(&state, &name)?).await?))
}

/// `POST /v1/subscriptions/{name}/enable`: sends again what waits, after the subscription was disabled or paused.
pub async fn enable(
    State(state): State<Arc<ServerState>>,
    Path(name): Path<String>,
) -> Result<Json<SubscriptionView>, Problem> {
    let subscription = named(&state, &name)?;
    deliver::enable(&*state.store, &subscription.name).await?;
    Ok(Json(view(&state, subscription).await?))
}

fn named<'a>(state: &'a ServerState, name: &str) -> Result<&'a Subscription, Problem> {
    let subscription = name.parse().ok().and_then(|name| state.subscriptions.get(&name));
    subscription.map(AsRef::as_ref).ok_or_else(|| Problem::not_found(format_args!("subscription {name}")))
}

async fn view(state: &ServerState, subscription: &Subscription) -> Result<SubscriptionView, Problem> {
    let lane = state.store.lane_state(&subscription.name).await?;
    let deliveries = state.store.lane_counts(&subscription.name, MOST_COUNTED).await?;
    let disabled = deliver::disabled(subscription, &lane).cloned();
    let paused_until = lane.paused_until.filter(|until| *until > state.clock.now());
    let status = if disabled.is_some() {
        LaneStatus::Disabled
    } else if paused_until.is_some() {
        LaneStatus::Paused
    } else if deliveries.retrying > 0 {
        LaneStatus::Retrying
    } else {
        LaneStatus::Ok
    };
    let url = subscription.redactor.redact(subscription.url.as_str());
    Ok(SubscriptionView { name: subscription.name.clone(), url, status, disabled, paused_until, deliveries })
}
