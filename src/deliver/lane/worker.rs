//! What a lane and each of its attempts do with the store and the receiver.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinError;

use super::DeliverContext;
use super::breaker::Change;
use super::buffer::Shipment;
use super::failing::Failing;
use super::gate::{Gate, Noted, Opening};
use crate::clock::SharedClock;
use crate::deliver::news;
use crate::deliver::send::Sender;
use crate::deliver::verdict::{self, Health, Judgement, LaneEffect, Outcome, Standing};
use crate::http;
use crate::model::delivery::{Attempt, AttemptFailure, DeathReason, FailureClass};
use crate::model::event::Event;
use crate::model::id::{DeliveryId, SubscriptionName};
use crate::model::quantity::format_duration;
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

/// What a look into the store found.
#[derive(Debug)]
pub(super) struct Look {
    pub claimed: Vec<ClaimedDelivery>,
    /// Whether more may be due than was claimed.
    pub more: bool,
    /// When to look again.
    pub next: Timestamp,
    /// Whether something was due that the store did not hand out.
    pub refused: bool,
}

/// What came of an attempt.
#[derive(Debug)]
pub(super) struct Attempted {
    pub settlement: Settlement,
    /// How many events were in a batch that was too large.
    pub too_many: Option<usize>,
}

/// How often the store is looked into without a wake-up, about: each lane at times of its own. A store of one process
/// loses no wake-up, so this only limits how long anything unforeseen could last.
const LOOK_EVERY: Duration = Duration::from_secs(10 * 60);

/// How long a delivery may wait for a slot before it is given back.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How long a settlement may take before the lease is lost.
const SETTLING: Duration = Duration::from_secs(10);

impl Worker {
    pub fn new(subscription: Arc<Subscription>, context: DeliverContext) -> Self {
        let sender = Sender::new(Arc::clone(&subscription), &context);
        let telemetry = context.telemetry.deliver.lane(&subscription.name);
        let receiver = memory_of_url(&subscription);
        let gate = Gate::new(&subscription.lane, &subscription.retry);
        Self { gate, subscription, sender, telemetry, context, receiver }
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

    pub fn monotonic(&self) -> Duration {
        self.context.clock.monotonic()
    }

    pub fn clock(&self) -> &SharedClock {
        &self.context.clock
    }

    pub fn telemetry(&self) -> &LaneTelemetry {
        &self.telemetry
    }

    /// Reads the lane's state and, if it may send, claims up to `most` deliveries.
    pub async fn look(self: Arc<Self>, most: usize, most_bytes: usize) -> Result<Look, StoreError> {
        let (store, name) = (self.store(), self.name());
        self.load_state().await?;
        let now = self.now();
        let latest = now + LOOK_EVERY.mul_f64(0.75 + fastrand::f64() / 2.0);
        let nothing = |next| Ok(Look { claimed: Vec::new(), more: false, next, refused: false });
        let most = match self.gate.opening(now) {
            Opening::ByHand => return nothing(latest),
            Opening::At(until) => return nothing(until.min(latest)),
            Opening::Trial => 1,
            Opening::Open => most,
        };
        let (order, joins) = (self.subscription.lane.order, self.joins());
        let claim = Claim { order, joins, most, most_bytes, lease_for: self.lease_for() };
        let Claimed { deliveries: claimed, more } = store.claim_deliveries(name, now, claim).await?;
        let next = if more { now } else { store.next_due(name).await?.map_or(latest, |due| due.min(latest)) };
        // What falls due a moment later was not refused.
        let refused = claimed.is_empty() && !more && next <= now;
        Ok(Look { claimed, more, next, refused })
    }

    /// Tells whether several deliveries may go out as one.
    fn joins(&self) -> bool {
        self.subscription.content.batch.is_some()
    }

    /// How long leases are taken for.
    fn lease_for(&self) -> Duration {
        let gathering = self.subscription.content.batch.map(|batch| batch.wait).unwrap_or_default();
        gathering + LONGEST_WAIT + self.subscription.timeout + SETTLING
    }

    /// Reads what somebody may have changed by hand.
    pub async fn refresh_state(&self) {
        if let Err(error) = self.load_state().await {
            self.store_failed("read the lane's state", &error);
        }
    }

    async fn load_state(&self) -> Result<(), StoreError> {
        let changes = self.gate.changes();
        let mut state = self.store().lane_state(self.name()).await?;
        if state.disabled.as_ref().is_some_and(|disabled| disabled.url != self.receiver) {
            // It was another receiver that was gone.
            state = LaneState::default();
            self.store().set_lane_state(self.name(), state.clone(), Vec::new()).await?;
        }
        let now = self.now();
        self.gate.load(state, changes, now);
        self.telemetry.is_disabled(self.gate.opening(now) == Opening::ByHand);
        self.telemetry.is_broken(self.gate.broken_since().is_some());
        Ok(())
    }

    /// Stores what the receiver said of the whole lane, if there is something new.
    pub async fn save_state(&self) {
        if !self.gate.is_unsaved() || self.gate.store_rests_until(self.now()).is_some() {
            return;
        }
        let stored = self.store().lane_state(self.name()).await;
        if let Ok(stored) = &stored {
            self.gate.adopt(stored);
        }
        let Some((state, news)) = self.gate.take_unsaved() else { return };
        let saved = match stored {
            Ok(_) => self.store().set_lane_state(self.name(), state.clone(), news.clone()).await,
            Err(error) => Err(error),
        };
        match saved {
            Ok(()) => self.gate.saved(&state),
            Err(error) => {
                self.gate.not_saved(news);
                self.store_failed("store what its receiver said", &error);
            }
        }
    }

    /// Tells whether a delivery's lease lasts until an attempt begun now is settled.
    pub fn is_covered(&self, claimed: &ClaimedDelivery) -> bool {
        claimed.lease.until >= self.now() + self.subscription.timeout + SETTLING
    }

    /// Returns how many bytes an event takes in a body, or somewhat more; `None` if it must not be joined with others.
    pub fn body_size(&self, event: &Event) -> Option<usize> {
        self.sender.most_bytes(event)
    }

    /// Gives deliveries back that were not attempted.
    pub async fn give_back(&self, claimed: impl IntoIterator<Item = ClaimedDelivery>) {
        let leases = claimed.into_iter().map(|claimed| claimed.lease).collect();
        if let Err(error) = self.store().release_deliveries(leases).await {
            self.store_failed("give deliveries back", &error);
        }
    }

    /// Attempts what goes out together; its slot is free as soon as the exchange is over. Returns what is to be settled;
    /// `None` if it was given back instead.
    pub async fn attempt(self: Arc<Self>, shipment: Shipment, slot: OwnedSemaphorePermit) -> Option<Attempted> {
        let claimed = self.join(shipment).await?;
        let (mut attempt, outcome) = self.sender.attempt(&claimed).await;
        if let Outcome::Answered { status, .. } = outcome
            && attempt.failure.is_none()
        {
            attempt.failure = status_failure(status);
        }
        let now = self.now();
        let Subscription { lane, retry, .. } = &*self.subscription;
        let standing = Standing { failures: claimed.failures, since: claimed.since };
        let Judgement { verdict, effect } = verdict::judge(outcome, standing, (lane, retry), fastrand::f64(), now);
        self.apply(effect, now);
        if let Some(health) = outcome.health() {
            self.note(health, &attempt, now);
        }
        drop(slot);
        self.telemetry.attempt_finished(&claimed, &attempt, verdict, now);
        let news = match verdict {
            Verdict::Dead(reason) => news::delivery_dead(&self.subscription, &claimed, &attempt, reason, now),
            Verdict::Delivered | Verdict::Retry(_) => None,
        };
        let news = news.map(|event| self.context.route.route(event)).into_iter().collect();
        let is_too_large = attempt.status == Some(413) || verdict == Verdict::Dead(DeathReason::TooLarge);
        let too_many = (is_too_large && !claimed.joined.is_empty()).then_some(1 + claimed.joined.len());
        Some(Attempted { settlement: Settlement { lease: claimed.lease, attempt, verdict, news }, too_many })
    }

    /// Makes one delivery of what goes out together, to which nothing is joined ever after: also of a single one, since
    /// it may have been sent when the next thing that happens is a crash. Returns `None` if all of it was given back,
    /// because it could not be joined, or because nothing may be sent any more when that was done.
    async fn join(&self, shipment: Shipment) -> Option<ClaimedDelivery> {
        let mut shipment = shipment.into_iter();
        let mut first = shipment.next()?;
        let others: Vec<ClaimedDelivery> = shipment.collect();
        if others.is_empty() && !(self.joins() && first.is_open()) {
            return Some(first);
        }
        let opening = self.gate.opening(self.now());
        let leases = others.iter().map(|other| other.lease.clone()).collect();
        match self.store().join_deliveries(&first.lease, leases).await {
            Ok(()) => self.gate.store_worked(),
            Err(error) => {
                match error {
                    StoreError::StaleLease { .. } | StoreError::NotFound { .. } => {
                        self.telemetry.lease_lost(&first.lease.id);
                    }
                    error => self.store_failed("join deliveries", &error),
                }
                self.give_back(std::iter::once(first).chain(others)).await;
                return None;
            }
        }
        first.joined = others.into_iter().map(|other| other.event).collect();
        first.closed = true;
        if !first.joined.is_empty() {
            self.telemetry.joined(1 + first.joined.len());
        }
        match self.gate.opening(self.now()) {
            Opening::Open => return Some(first),
            Opening::Trial if opening == Opening::Trial => return Some(first),
            _ => {}
        }
        self.give_back([first]).await;
        None
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
            LaneEffect::Disable => self.disable("the receiver answered 410 Gone", now),
        }
    }

    /// Takes into account what an attempt said of the receiver.
    fn note(&self, health: Health, attempt: &Attempt, now: Timestamp) {
        let Noted { breaker, failed_too_long } = self.gate.attempted(health, attempt.started_at, now);
        match breaker {
            Change::None => {}
            Change::Opened(open, share) => self.telemetry.breaker_opened(share.failed, share.all, open.until),
            Change::StaysOpen(open) => self.telemetry.breaker_stays_open(open.failed_trials, open.until),
            Change::Closed => self.telemetry.breaker_closed(),
        }
        if let Some(failing) = failed_too_long {
            self.disable(&reason_of(&failing, attempt), now);
        }
    }

    fn disable(&self, reason: &str, now: Timestamp) {
        let disabled = Disabled { at: now, reason: reason.to_owned(), url: self.receiver.clone() };
        let news =
            |disabled: &Disabled| self.context.route.route(news::subscription_disabled(&self.subscription, disabled));
        if self.gate.disable(disabled, news) {
            self.telemetry.is_disabled(true);
            self.telemetry.disabled(reason);
        }
    }
}

/// Returns why a subscription is disabled whose receiver acknowledges nothing.
fn reason_of(failing: &Failing, last: &Attempt) -> String {
    let Failing { since, attempts, .. } = failing;
    let minutes = failing.last.since(*since).as_secs() / 60;
    let lasted = format_duration(Duration::from_secs(60 * minutes));
    let outcome = last.failure.as_ref().map_or("no answer", |failure| failure.message.as_str());
    format!(
        "nothing was acknowledged for {lasted}, since {since}: at least {attempts} attempts failed, the last one with: \
         {outcome}"
    )
}

/// Returns how an answer failed that is no acknowledgement.
fn status_failure(status: u16) -> Option<AttemptFailure> {
    let phrase = http::reason(status).map(|phrase| format!(" {phrase}")).unwrap_or_default();
    let hint = if (300..400).contains(&status) { ", and redirects are not followed" } else { "" };
    let message = format!("the receiver answered {status}{phrase}{hint}");
    (!(200..300).contains(&status)).then_some(AttemptFailure { class: FailureClass::Status, message })
}

/// Returns the subscription's URL as it may be stored: secrets are taken out, and a hash stands for them, so that
/// another secret still makes another receiver.
pub(super) fn memory_of_url(subscription: &Subscription) -> String {
    let url = subscription.url.as_str();
    let redacted = subscription.redactor.redact(url);
    if redacted == url { redacted } else { format!("{redacted} ({})", &blake3::hash(url.as_bytes()).to_hex()[..16]) }
}
