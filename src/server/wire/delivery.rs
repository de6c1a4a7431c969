//! Deliveries, as the API shows them.

use serde::{Deserialize, Serialize};

use crate::model::delivery::{Attempt, DeathReason, Delivery, DeliveryState, Outcome};
use crate::model::id::{DeliveryId, EventId, SubscriptionName};
use crate::model::time::Timestamp;
use crate::store::DeliveryStateName;

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
    /// What the last attempt came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Outcome>,
    /// The delivery that this one was joined to: it is a part of that batch, whose state and attempts are shown here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined_to: Option<DeliveryId>,
    /// How many further events it carries, as a batch.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub members: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "this is how serde calls it")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        let (state, due, settled_at, reason) = match delivery.state {
            DeliveryState::Pending { due } => (DeliveryStateName::Pending, Some(due), None, None),
            DeliveryState::Delivered { at } => (DeliveryStateName::Delivered, None, Some(at), None),
            DeliveryState::Dead { at, reason } => (DeliveryStateName::Dead, None, Some(at), Some(reason)),
        };
        let subscription = delivery.id.subscription.clone();
        Self {
            joined_to: delivery.joined_to.map(|event| DeliveryId { event, subscription }),
            members: delivery.members,
            event: delivery.id.event,
            subscription: delivery.id.subscription.clone(),
            id: delivery.id,
            state,
            due,
            settled_at,
            reason,
            attempts: delivery.attempts,
            last: delivery.last,
        }
    }
}

/// A delivery and all its attempts, the oldest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeliveryDetail {
    pub delivery: DeliveryView,
    pub attempts: Vec<Attempt>,
}
