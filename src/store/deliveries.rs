//! What the push side needs of a store.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::StoreError;
use crate::model::delivery::{Attempt, DeathReason};
use crate::model::event::{Event, RoutedEvent};
use crate::model::id::{DeliveryId, LeaseToken, SubscriptionName};
use crate::model::lane::Order;
use crate::model::time::Timestamp;

/// What the push side needs of a store.
#[async_trait]
pub trait DeliveryStore: Send + Sync + 'static {
    /// Takes due deliveries of a subscription under leases: first tries ahead of retries, the oldest first, but a
    /// quarter of them retries if enough of those are due. What is returned is durable.
    ///
    /// With [`Order::Item`], what waits for another delivery of its item is not taken: of an item, at most one delivery
    /// is held, what failed or was replayed goes before first tries, also while it is not due yet, and of either that
    /// of the older event first. With [`Order::All`], the same holds as if all were of one item.
    ///
    /// When a lane begins to join that was claimed from before without that, what it had under way by then may have been
    /// sent, and must not come again as a part of something else, which has another id: the oldest [`MOST_UNDER_WAY`]
    /// that wait for their first attempt, and all that is older, stay alone.
    ///
    /// In a lane with an order, a lease that ended is given back by the next claim. A lane whose order changes is
    /// arranged anew by its next claims, if much waits by several, which meanwhile may take nothing and say that there
    /// is more.
    async fn claim_deliveries(
        &self,
        subscription: &SubscriptionName,
        now: Timestamp,
        claim: Claim,
    ) -> Result<Claimed, StoreError>;

    /// Joins claimed deliveries that were never attempted into one, to be attempted and settled together for ever
    /// after: the first one carries the others, in their order, and their leases end. When this returns, it is on disk.
    ///
    /// A delivery of a lane that joins has to be joined before it is attempted, with no others if it goes alone: else
    /// others could be joined to it after a crash, and its receiver would not know it again.
    ///
    /// In counts and among dead letters, such a batch is one delivery, the first. Nothing is done if any of the leases
    /// is no longer held. What was attempted or joined before cannot be joined, nor what was claimed as closed, nor
    /// deliveries of a lane that has an order. After an error the leases are to be given back: what they stand for may
    /// no longer be as it was claimed.
    async fn join_deliveries(&self, first: &DeliveryLease, others: Vec<DeliveryLease>) -> Result<(), StoreError>;

    /// Records what came of claimed deliveries and gives their leases back. When this returns, it is on disk. Each
    /// settlement succeeds or fails by itself; the results are in their order.
    async fn settle_deliveries(&self, settlements: Vec<Settlement>) -> Vec<Result<(), StoreError>>;

    /// Records what came of one claimed delivery, as [`Self::settle_deliveries`] does.
    async fn settle_delivery(&self, settlement: Settlement) -> Result<(), StoreError> {
        self.settle_deliveries(vec![settlement]).await.pop().unwrap_or(Err(StoreError::Closed))
    }

    /// Gives claimed deliveries back that were not attempted. Leases that are no longer held are ignored.
    async fn release_deliveries(&self, leases: Vec<DeliveryLease>) -> Result<(), StoreError>;

    /// Returns when the next delivery falls due, which may be in the past; `None` if none waits. One that is held
    /// falls due when its lease ends.
    async fn next_due(&self, subscription: &SubscriptionName) -> Result<Option<Timestamp>, StoreError>;

    /// Returns what outlives a restart of a subscription's lane.
    async fn lane_state(&self, subscription: &SubscriptionName) -> Result<LaneState, StoreError>;

    /// Replaces a lane's state, together with events that tell of it.
    async fn set_lane_state(
        &self,
        subscription: &SubscriptionName,
        state: LaneState,
        news: Vec<RoutedEvent>,
    ) -> Result<(), StoreError>;

    /// Makes events durable that no poll found, and queues their deliveries. Each event succeeds with its deliveries;
    /// many events are made durable one part after the other.
    async fn record_events(&self, events: Vec<RoutedEvent>) -> Result<(), StoreError>;

    /// Returns what is notified when the subscription may have got work. It carries no data and may be notified in
    /// vain: what is due is always asked for.
    fn wake(&self, subscription: &SubscriptionName) -> Arc<Notify>;
}

/// The most deliveries that a lane may have sent and not settled.
pub const MOST_UNDER_WAY: usize = 5000;

/// How much is claimed, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    pub order: Order,
    /// Whether the lane joins deliveries.
    pub joins: bool,
    /// The most deliveries.
    pub most: usize,
    /// The most bytes of events, unless a single delivery has more.
    pub most_bytes: usize,
    pub lease_for: Duration,
}

impl Claim {
    /// Returns a claim of at most so many deliveries, whatever their order.
    pub fn up_to(most: usize, lease_for: Duration) -> Self {
        Self { order: Order::None, joins: false, most, most_bytes: usize::MAX, lease_for }
    }
}

/// What was claimed.
#[derive(Debug, Clone, Default)]
pub struct Claimed {
    pub deliveries: Vec<ClaimedDelivery>,
    /// Whether more may be due: the claim ended at one of its bounds.
    pub more: bool,
}

/// The right to attempt a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryLease {
    pub id: DeliveryId,
    pub token: LeaseToken,
    /// When the right ends.
    pub until: Timestamp,
}

/// A delivery to be attempted now.
#[derive(Debug, Clone)]
pub struct ClaimedDelivery {
    pub lease: DeliveryLease,
    pub event: Arc<Event>,
    /// The further events of a batch, in their order.
    pub joined: Vec<Arc<Event>>,
    /// Whether nothing may be joined to it any more, and it to nothing: it may have been sent as it is.
    pub closed: bool,
    /// When it was queued, or last replayed.
    pub since: Timestamp,
    /// How many attempts were made before, replays included.
    pub attempts: u32,
    /// How many attempts have failed since the delivery was created or last replayed: its place on the retry schedule.
    pub failures: u32,
}

impl ClaimedDelivery {
    /// Tells whether it may become a part of another delivery, or another one of it. What was sent once keeps its body,
    /// and with it those that it was sent with.
    pub fn is_open(&self) -> bool {
        self.attempts == 0 && !self.closed
    }
}

/// What came of a claimed delivery.
#[derive(Debug)]
pub struct Settlement {
    pub lease: DeliveryLease,
    pub attempt: Attempt,
    pub verdict: Verdict,
    /// The service's own events that tell of it.
    pub news: Vec<RoutedEvent>,
}

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver acknowledged it.
    Delivered,
    /// It is attempted again at or after this time.
    Retry(Timestamp),
    /// It becomes a dead letter.
    Dead(DeathReason),
}

/// What outlives a restart of a subscription's lane.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneState {
    /// Set while nothing is sent, until someone enables the subscription again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<Disabled>,
    /// The receiver asked for nothing to be sent before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<Timestamp>,
    /// Set while the receiver fails so often that nothing is sent but a trial now and then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<OpenBreaker>,
    /// Since when no attempt was acknowledged, if the last one was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// When the last of the attempts since then failed, as far as was stored: that is done rarely.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<Timestamp>,
    /// How many attempts failed since then, as far as was stored.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed_attempts: u32,
    /// When pruning first found that deliveries wait although nobody configures this subscription any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unconfigured_since: Option<Timestamp>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// A lane that stopped sending because its receiver fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenBreaker {
    pub since: Timestamp,
    /// Before this nothing is sent, then a single attempt.
    pub until: Timestamp,
    /// How many trials failed since.
    pub failed_trials: u32,
}

/// Since when and why a subscription is disabled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disabled {
    pub at: Timestamp,
    /// In words, secrets taken out.
    pub reason: String,
    /// The URL that was disabled: configuring another one enables the subscription.
    pub url: String,
}

/// How many attempts of a delivery are kept: the last ones.
pub const ATTEMPTS_KEPT: usize = 40;

/// Tells whether the next delivery is a retry, if one is due, when this many were claimed before: every fourth is, so
/// that also a lane that claims one at a time comes to its retries.
pub(super) fn is_turn_of_retries(claimed: u64) -> bool {
    claimed % 4 == 3
}

pub(super) fn cannot_be_joined(id: &DeliveryId) -> StoreError {
    StoreError::Refused(format!(
        "delivery {id} cannot be joined with others: it was attempted or joined before, or its lane keeps an order"
    ))
}
