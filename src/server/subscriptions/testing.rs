//! Test events: sent to one subscription through its lane, to see whether its receiver works.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::json;

use super::super::ServerState;
use super::super::problem::Problem;
use super::super::wire::{LaneStatus, TestAnswer, TestHindrance};
use super::named;
use crate::deliver;
use crate::model::event::{Event, RoutedEvent, ServiceNews};
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
    let data = json!({
        "message": "This is a test. If you can read it, pollhook reaches you.",
        "subscription": name,
        "sent_at": now,
    });
    let event = Event::of_service(ServiceNews::Test, name.as_str(), now, &data);
    let delivery = DeliveryId { event: event.id, subscription: name.clone() };
    let routed = RoutedEvent { event: Arc::new(event), subscriptions: vec![name.clone()] };
    state.store.set_lane_state(name, lane, vec![routed]).await?;
    Ok((StatusCode::ACCEPTED, Json(TestAnswer { delivery, hindrance })))
}

fn hindrance(lane: &LaneState, now: Timestamp) -> Option<TestHindrance> {
    let paused = lane.paused_until.map(|until| TestHindrance { status: LaneStatus::Paused, until });
    let failing = lane.breaker.as_ref().map(|open| TestHindrance { status: LaneStatus::Failing, until: open.until });
    failing.into_iter().chain(paused).filter(|hindrance| hindrance.until > now).max_by_key(|hindrance| hindrance.until)
}
