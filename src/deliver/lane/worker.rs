//! What a lane and each of its attempts do with the store and the receiver.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinError;

use super::gate::{Gate, Opening};
use super::{DeliverContext, Look};
use crate::deliver::news;
use crate::deliver::send::Sender;
use crate::deliver::verdict::{self, Judgement, LaneEffect};
use crate::model::id::{DeliveryId, SubscriptionName};
use crate::model::lane::Order;
use crate::model::subscription::Subscription;
use crate::model::time::Timestamp;
use crate::store::{
    Claim, Claimed, ClaimedDelivery, Disabled, LaneState, Settlement, SharedStore, StoreError, Verdict,
};
use crate::telemetry::LaneTelemetry;

/// Shared by a lane and its attempts.
pub(super) struct Worker {
    pub gate: Gate,
    subscription: Arc<Subscription>,
    sender: Sender,
    telemetry: LaneTelemetry,
    context: DeliverContext,
    /// How the store remembers which receiver was disabled.
    receiver: String,
}

/// How often the store is looked into without a wake-up: wake-ups are only hints.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How long to wait when the store says that something is due but does not hand it out.
const REST_AFTER_REFUSAL: Duration = Duration::from_secs(1);

/// How long a delivery may wait for a slot before it is given back.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The most bytes of events that are claimed at a time.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// How long a settlement may take before the lease is lost.
const SETTLING: Duration = Duration::from_secs(10);

impl Worker {
    pub fn new(subscription: Arc<Subscription>, context: DeliverContext) -> Self {
        let sender = Sender::new(Arc::clone(&subscription), &context);
        let telemetry = context.telemetry.deliver.lane(&subscription.name);
        let receiver = memory_of_url(&subscription);
        Self { gate: Gate::default(), subscription, sender, telemetry, context, receiver }
    }

    pub fn name(&self) -> &SubscriptionName {
        &self.subscription.name
    }

    pub fn store(&self) -> &SharedStore {
        &self.context.store
    }

    pub fn now(&self) -> Timestamp {
        self.context.clock.now()
    }

    pub async fn sleep_until(&self, at: Timestamp) {
        self.context.clock.sleep_until(at).await;
    }

    /// Reads the lane's state and, if it may send, claims up to `most` deliveries.
    pub async fn look(self: Arc<Self>, most: usize) -> Result<Look, StoreError> {
        let (store, name) = (self.store(), self.name());
        self.load_state().await?;
        let now = self.now();
        let latest = now + LOOK_EVERY;
        match self.gate.opening(now) {
            Opening::ByHand => return Ok(Look { claimed: Vec::new(), filled: false, next: latest }),
            Opening::At(until) => return Ok(Look { claimed: Vec::new(), filled: false, next: until.min(latest) }),
            Opening::Open => {}
        }
        let lease_for = LONGEST_WAIT + self.subscription.timeout + SETTLING;
        let claim = Claim { order: Order::None, most, most_bytes: MOST_BYTES, lease_for };
        let Claimed { deliveries: claimed, more } = store.claim_deliveries(name, now, claim).await?;
        if more {
            return Ok(Look { claimed, filled: true, next: now });
        }
        let next = match store.next_due(name).await? {
            // It was due before, but the store did not hand it out: asking at once would give the same answer.
            Some(due) if due <= now => now + REST_AFTER_REFUSAL,
            Some(due) => due.min(latest),
            None => latest,
        };
        Ok(Look { claimed, filled: false, next })
    }

    async fn load_state(&self) -> Result<(), StoreError> {
        let closings = self.gate.closings();
        let mut state = self.store().lane_state(self.name()).await?;
        if state.disabled.as_ref().is_some_and(|disabled| disabled.url != self.receiver) {
            // It was another receiver that was gone.
            state = LaneState::default();
            self.store().set_lane_state(self.name(), state.clone(), Vec::new()).await?;
        }
        self.gate.load(state, closings);
        self.telemetry.is_disabled(self.gate.opening(self.now()) == Opening::ByHand);
        Ok(())
    }

    /// Stores what the receiver said of the whole lane, if there is something new.
    pub async fn save_state(&self) {
        if self.gate.store_rests_until(self.now()).is_some() {
            return;
        }
        let Some((state, news)) = self.gate.take_unsaved() else { return };
        if let Err(error) = self.store().set_lane_state(self.name(), state, news.clone()).await {
            self.gate.not_saved(news);
            self.store_failed("store that it is paused or disabled", &error);
        }
    }

    /// Tells whether a delivery's lease lasts until an attempt begun now is settled.
    pub fn is_covered(&self, claimed: &ClaimedDelivery) -> bool {
        claimed.lease.until >= self.now() + self.subscription.timeout + SETTLING
    }

    /// Gives deliveries back that were not attempted.
    pub async fn give_back(&self, claimed: impl IntoIterator<Item = ClaimedDelivery>) {
        let leases = claimed.into_iter().map(|claimed| claimed.lease).collect();
        if let Err(error) = self.store().release_deliveries(leases).await {
            self.store_failed("give deliveries back", &error);
        }
    }

    /// Attempts a delivery; its slot is free as soon as the exchange is over. Returns what is to be settled.
    pub async fn attempt(self: Arc<Self>, claimed: ClaimedDelivery, slot: OwnedSemaphorePermit) -> Settlement {
        let (attempt, outcome) = self.sender.attempt(&claimed).await;
        let now = self.now();
        let Judgement { verdict, effect } =
            verdict::judge(outcome, claimed.failures, &self.subscription.retry, fastrand::f64(), now);
        self.apply(effect, now);
        drop(slot);
        self.telemetry.attempt_finished(&claimed.event, &attempt, verdict, now);
        let news = match verdict {
            Verdict::Dead(reason) => news::delivery_dead(&self.subscription, &claimed, &attempt, reason, now),
            Verdict::Delivered | Verdict::Retry(_) => None,
        };
        let news = news.map(|event| self.context.route.route(event)).into_iter().collect();
        Settlement { lease: claimed.lease, attempt, verdict, news }
    }

    /// Settles deliveries. Returns when the first of them falls due again, if one does.
    pub async fn settle(self: Arc<Self>, settlements: Vec<Settlement>) -> Option<Timestamp> {
        let settled: Vec<(DeliveryId, Verdict)> =
            settlements.iter().map(|settlement| (settlement.lease.id.clone(), settlement.verdict)).collect();
        let results = self.store().settle_deliveries(settlements).await;
        let mut failure = None;
        let mut due = None;
        for ((id, verdict), result) in settled.into_iter().zip(results) {
            match result {
                Ok(()) => {
                    self.gate.store_worked();
                    if let Verdict::Retry(at) = verdict {
                        due = Some(due.map_or(at, |due: Timestamp| due.min(at)));
                    }
                }
                Err(StoreError::StaleLease { .. } | StoreError::NotFound { .. }) => self.telemetry.lease_lost(&id),
                // The first one says it for all that failed with it.
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if let Some(error) = failure {
            self.store_failed("settle deliveries, which will be sent again", &error);
        }
        due
    }

    /// Notes that the store failed, so that the lane leaves it alone for a while.
    pub fn store_failed(&self, action: &str, error: &StoreError) {
        let until = self.gate.store_failed(self.now());
        self.telemetry.store_failed(action, error, until);
    }

    pub fn attempt_panicked(&self, error: &JoinError) {
        self.telemetry.attempt_panicked(error);
    }

    fn apply(&self, effect: LaneEffect, now: Timestamp) {
        match effect {
            LaneEffect::None => {}
            LaneEffect::Pause(until) => {
                if self.gate.pause(until, now) {
                    self.telemetry.paused(until);
                }
            }
            LaneEffect::Disable => {
                let reason = "the receiver answered 410 Gone".to_owned();
                let disabled = Disabled { at: now, reason: reason.clone(), url: self.receiver.clone() };
                let news = |disabled: &Disabled| {
                    self.context.route.route(news::subscription_disabled(&self.subscription, disabled))
                };
                if self.gate.disable(disabled, news) {
                    self.telemetry.is_disabled(true);
                    self.telemetry.disabled(&reason);
                }
            }
        }
    }
}

/// Returns the subscription's URL as it may be stored: secrets are taken out, and a hash stands for them, so that
/// another secret still makes another receiver.
pub(super) fn memory_of_url(subscription: &Subscription) -> String {
    let url = subscription.url.as_str();
    let redacted = subscription.redactor.redact(url);
    if redacted == url { redacted } else { format!("{redacted} ({})", &blake3::hash(url.as_bytes()).to_hex()[..16]) }
}
