//! Test events: sent to one subscription through its lane, to see whether its receiver works.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::super::ServerState;
use super::super::problem::Problem;
use super::super::wire::{LaneStatus, TestAnswer, TestDetail, TestHindrance};
use super::named;
use crate::deliver;
use crate::model::event::RoutedEvent;
use crate::model::id::DeliveryId;
use crate::model::time::Timestamp;
use crate::store::LaneState;

/// `POST /v1/subscriptions/{name}/test`: queues a `pollhook.test` event for one subscription, whatever it listens to.
pub async fn create(
    State(state): State<Arc<ServerState>>,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<TestAnswer>), Problem> {
    let present = state.registry.present();
    let subscription = named(&present, &name)?;
    let (name, now) = (&subscription.name, state.clock.now());
    let lane = state.store.lane_state(name).await?;
    if let Some(disabled) = deliver::disabled(subscription, &lane) {
        return Err(Problem::conflict(format!(
            "{name} is disabled since {}: {}. Nothing is sent to it, not even a test, until `pollhook subscriptions enable \
             {name}`",
            disabled.at, disabled.reason
        )));
    }
    let hindrance = hindrance(&lane, now);
    let event = deliver::test_event(name, now);
    let delivery = DeliveryId { event: event.id, subscription: name.clone() };
    let routed = RoutedEvent { event: Arc::new(event), subscriptions: vec![name.clone()] };
    state.store.record_events(vec![routed]).await?;
    Ok((StatusCode::ACCEPTED, Json(TestAnswer { delivery, hindrance })))
}

/// `GET /v1/subscriptions/{name}/tests/{event}`: what was sent of a test event, and what came of it.
pub async fn one(
    State(state): State<Arc<ServerState>>,
    Path((name, event)): Path<(String, String)>,
) -> Result<Json<TestDetail>, Problem> {
    let present = state.registry.present();
    let subscription = named(&present, &name)?;
    let id =
        DeliveryId { event: event.parse().map_err(Problem::bad_request)?, subscription: subscription.name.clone() };
    let not_there = || Problem::not_found(format_args!("test {event} of {name}"));
    let (delivery, attempts) = state.store.delivery(&id).await?.ok_or_else(not_there)?;
    let routed = state.store.event(id.event).await?.ok_or_else(not_there)?;
    let mut detail = TestDetail { delivery: delivery.into(), attempts, request: None, unsendable: None };
    if let Some(attempt) = detail.attempts.last() {
        match deliver::describe_test(subscription, routed.event, attempt.started_at) {
            Ok(request) => detail.request = Some(request),
            Err(unsendable) => detail.unsendable = Some(unsendable.message),
        }
    }
    Ok(Json(detail))
}

fn hindrance(lane: &LaneState, now: Timestamp) -> Option<TestHindrance> {
    let paused = lane.paused_until.map(|until| TestHindrance { status: LaneStatus::Paused, until });
    let failing = lane.breaker.as_ref().map(|open| TestHindrance { status: LaneStatus::Failing, until: open.until });
    failing.into_iter().chain(paused).filter(|hindrance| hindrance.until > now).max_by_key(|hindrance| hindrance.until)
}
