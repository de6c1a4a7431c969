//! What the admin API answers, as the commands read it.

mod connector;
mod subscription;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::delivery::{Attempt, DeathReason, Delivery, DeliveryState};
use crate::model::event::{Event, RoutedEvent};
use crate::model::id::{DeliveryId, EventId, SubscriptionName};
use crate::model::time::Timestamp;
use crate::store::DeliveryStateName;

pub use connector::{ConnectorStatus, ConnectorView, DecisionAnswer, HeldCounts, NextPoll};
pub use subscription::{
    ChangedSubscription, DisableRequest, LaneStatus, MadeView, RotateRequest, SubscriptionView, TestAnswer,
    TestHindrance,
};

/// A part of a list, and where the next part begins.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct List<T> {
    pub data: Vec<T>,
    /// To be given as `before`, or as `after` where a list goes by name, to get what follows; absent at the end of the
    /// list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> List<T> {
    /// Returns a list that is all there is.
    pub fn whole(data: Vec<T>) -> Self {
        Self { data, next: None }
    }

    /// Returns a part of a list that was asked for with this limit; `id` names an entry.
    pub fn part(data: Vec<T>, limit: usize, id: impl Fn(&T) -> String) -> Self {
        let next = (data.len() == limit).then(|| data.last().map(id)).flatten();
        Self { data, next }
    }
}

/// Deliveries are counted up to here; a count that has reached it means "so many or more".
pub const MOST_COUNTED: usize = 10_000;

/// An event and where it goes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventView {
    /// The event in the form of the `standard` format.
    pub event: Event,
    pub subscriptions: Vec<SubscriptionName>,
}

impl From<RoutedEvent> for EventView {
    fn from(routed: RoutedEvent) -> Self {
        Self { event: (*routed.event).clone(), subscriptions: routed.subscriptions }
    }
}

/// A delivery.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeliveryView {
    pub id: DeliveryId,
    pub event: EventId,
    pub subscription: SubscriptionName,
    pub state: DeliveryStateName,
    /// When it is attempted next, while it is pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// When it was settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<Timestamp>,
    /// Why it is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<DeathReason>,
    pub attempts: u32,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        let (state, due, settled_at, reason) = match delivery.state {
            DeliveryState::Pending { due } => (DeliveryStateName::Pending, Some(due), None, None),
            DeliveryState::Delivered { at } => (DeliveryStateName::Delivered, None, Some(at), None),
            DeliveryState::Dead { at, reason } => (DeliveryStateName::Dead, None, Some(at), Some(reason)),
        };
        Self {
            event: delivery.id.event,
            subscription: delivery.id.subscription.clone(),
            id: delivery.id,
            state,
            due,
            settled_at,
            reason,
            attempts: delivery.attempts,
        }
    }
}

/// A delivery and all its attempts, the oldest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeliveryDetail {
    pub delivery: DeliveryView,
    pub attempts: Vec<Attempt>,
}

/// What is to be queued again: one delivery, or all dead letters of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryId>,
    /// Queues all dead letters of this subscription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_of: Option<SubscriptionName>,
}

/// How many deliveries were queued again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayAnswer {
    pub queued: usize,
}

/// The most entries of a list that one request gets.
pub const LONGEST_LIST: usize = 500;

/// The entries of a list that a request gets if it does not say how many.
pub const USUAL_LIST: usize = 50;

/// How long a command waits for the service to answer.
pub const SLOWEST_ANSWER: Duration = Duration::from_secs(30);
