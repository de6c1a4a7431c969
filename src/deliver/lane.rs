//! One subscription's lane: takes its due deliveries, attempts them, settles them.

mod alarm;
mod breaker;
mod buffer;
mod failing;
mod gate;
mod pace;
mod worker;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use self::alarm::Alarm;
use self::buffer::{Buffer, Ready};
use self::gate::Opening;
use self::pace::Pace;
use self::worker::{Attempted, Look, Worker, memory_of_url};
use super::render::Renderer;
use crate::auth::Credentials;
use crate::clock::SharedClock;
use crate::http::HttpClient;
use crate::model::event::Route;
use crate::model::id::SubscriptionName;
use crate::model::lane::Order;
use crate::model::subscription::Subscription;
use crate::model::time::Timestamp;
use crate::store::{ClaimedDelivery, Disabled, LaneState, MOST_UNDER_WAY, Settlement, SharedStore, Store, StoreError};
use crate::telemetry::SharedTelemetry;

/// What all lanes share.
#[derive(Clone)]
pub struct DeliverContext {
    pub http: HttpClient,
    pub store: SharedStore,
    pub clock: SharedClock,
    /// Where the lanes' own news go.
    pub route: Arc<dyn Route>,
    pub renderer: Arc<Renderer>,
    /// What was given at run time to prove with who requests are from.
    pub credentials: Credentials,
    pub telemetry: SharedTelemetry,
}

/// One subscription's own queue.
///
/// Dropping the future of [`Lane::run`] at any point loses nothing: what it held falls due when its lease ends.
pub struct Lane {
    worker: Arc<Worker>,
    order: Order,
    /// Claimed, but not yet under way.
    buffer: Buffer,
    /// How many deliveries are claimed at a time, and the least that this is.
    claim_size: usize,
    least_claim_size: usize,
    /// When as much was last claimed as was asked for.
    filled_at: Option<Timestamp>,
    /// Whether the last look left something that is due.
    more: bool,
    /// How many looks in a row were in vain although something was due.
    refusals: u32,
    /// `None` if attempts follow each other as they can.
    pace: Option<Pace>,
    waits_for_pace: bool,
    /// One permit for each attempt that may be under way.
    slots: Arc<Semaphore>,
    /// Attempts under way.
    attempts: JoinSet<Option<Attempted>>,
    /// What came of attempts, and is to be settled next.
    unsettled: Vec<Settlement>,
    /// How many settlements are being made durable.
    settling: usize,
    /// The most attempts that are not settled.
    most_attempts: usize,
    /// Whether the store may have something to claim.
    look: bool,
    /// When to look again without having been woken.
    look_at: Timestamp,
    pending_look: Pending<Result<Look, StoreError>>,
    pending_settling: Pending<Option<Timestamp>>,
    alarm: Alarm,
}

/// Something that the store is doing for the lane, if it is.
type Pending<T> = Option<Pin<Box<dyn Future<Output = T> + Send>>>;

/// How much is claimed at a time to begin with, as a multiple of the concurrency and at least.
const CLAIM_FACTOR: usize = 2;
const SMALLEST_CLAIM: usize = 32;

/// How much is claimed at a time when a receiver is so quick that what was claimed lasts no longer than [`SHORT_CLAIM`].
const LARGEST_CLAIM: usize = 1024;
const LARGEST_CLAIM_BYTES: usize = 4 * 1024 * 1024;
const SHORT_CLAIM: Duration = Duration::from_secs(1);

/// The most bytes of events that a lane holds without sending them.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// How many attempts may be over and waiting to be settled, as a multiple of the concurrency and at least.
const SETTLING_FACTOR: usize = 4;
const FEWEST_SETTLING: usize = 128;

/// What cannot be sent so soon because of the rate is not claimed, and given back.
const LONGEST_HOLD: Duration = Duration::from_secs(30);

/// How long to wait when the store says that something is due but does not hand it out: the first time, and at most.
const FIRST_REST_AFTER_REFUSAL: Duration = Duration::from_secs(1);
const LONGEST_REST_AFTER_REFUSAL: Duration = Duration::from_secs(60);

impl Lane {
    /// Returns a subscription's lane. Nothing happens until it is run.
    pub fn new(subscription: Arc<Subscription>, context: DeliverContext) -> Self {
        let policy = &subscription.lane;
        let concurrency = policy.concurrency.clamp(1, Semaphore::MAX_PERMITS);
        let buffer = Buffer::new(&subscription.content, MOST_BYTES);
        let least_claim_size = concurrency
            .saturating_mul(CLAIM_FACTOR)
            .clamp(SMALLEST_CLAIM, LARGEST_CLAIM)
            .max(CLAIM_FACTOR * buffer.most_in_one());
        Self {
            order: policy.order,
            buffer,
            claim_size: least_claim_size,
            least_claim_size,
            filled_at: None,
            more: false,
            refusals: 0,
            pace: policy.rate.map(|rate| Pace::new(rate, policy.burst)),
            waits_for_pace: false,
            slots: Arc::new(Semaphore::new(concurrency)),
            attempts: JoinSet::new(),
            unsettled: Vec::new(),
            settling: 0,
            most_attempts: (concurrency + concurrency.saturating_mul(SETTLING_FACTOR).max(FEWEST_SETTLING))
                .min(MOST_UNDER_WAY),
            look: true,
            look_at: Timestamp::LAST,
            pending_look: None,
            pending_settling: None,
            alarm: Alarm::default(),
            worker: Arc::new(Worker::new(subscription, context)),
        }
    }

    /// Sends what falls due until `shutdown` is cancelled; then lets the attempts under way finish and settle, gives
    /// back what it holds, and returns.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let wake = self.worker.store().wake(self.worker.name());
        let mut woken = pin!(wake.notified());
        let mut stopped = pin!(shutdown.cancelled());
        loop {
            self.worker.save_state().await;
            let may_send = self.proceed().await;
            tokio::select! {
                biased;
                () = &mut stopped => break,
                Some(attempted) = self.attempts.join_next() => {
                    self.attempted(attempted);
                    while let Some(attempted) = self.attempts.try_join_next() {
                        self.attempted(attempted);
                    }
                }
                due = finished(&mut self.pending_settling) => {
                    self.pending_settling = None;
                    self.settled(due);
                }
                looked = finished(&mut self.pending_look) => {
                    self.pending_look = None;
                    self.found(looked);
                }
                slot = Arc::clone(&self.slots).acquire_owned(), if may_send => {
                    self.send(slot.expect("the slots are never closed")).await;
                }
                () = woken.as_mut() => {
                    woken.set(wake.notified());
                    self.look = true;
                    if !self.buffer.is_empty() {
                        // What is claimed would go out before the next look, whoever has disabled the subscription.
                        self.worker.refresh_state().await;
                    }
                }
                () = self.alarm.ring() => {}
            }
        }
        self.finish().await;
    }

    /// Begins what the store can do now, and sets the alarm to when there may be more to do. Returns whether something
    /// is to be sent as soon as there is a slot.
    async fn proceed(&mut self) -> bool {
        let now = self.worker.now();
        let opening = self.worker.gate.opening(now);
        let rest = self.worker.gate.store_rests_until(now);
        let pace = self.pace.as_ref().map_or(Duration::ZERO, |pace| pace.wait(self.worker.monotonic()));
        if !opening.lets_send() || pace > LONGEST_HOLD {
            self.give_back_all().await;
        }
        if let Opening::At(until) = opening {
            self.look_at = self.look_at.min(until);
        }
        self.look |= now >= self.look_at || self.worker.gate.store_fails();
        if rest.is_none() {
            self.begin_look(opening, pace);
            self.begin_settling();
        }
        let ready = self.ready(opening, now);
        self.note_pace(ready == Ready::Now && !pace.is_zero());
        self.set_alarm(ready, pace, rest, now);
        ready == Ready::Now && pace.is_zero() && rest.is_none() && self.under_way() < self.most_attempts
    }

    /// Lets the attempts under way finish and settle, and gives the rest back.
    async fn finish(mut self) {
        if let Some(look) = self.pending_look.take() {
            let looked = look.await;
            self.found(looked);
        }
        self.give_back_all().await;
        if let Some(settling) = self.pending_settling.take() {
            settling.await;
        }
        while let Some(attempted) = self.attempts.join_next().await {
            self.attempted(attempted);
        }
        Arc::clone(&self.worker).settle(std::mem::take(&mut self.unsettled)).await;
        self.worker.save_state().await;
    }

    /// How many attempts have begun and are not settled.
    fn under_way(&self) -> usize {
        self.attempts.len() + self.unsettled.len() + self.settling
    }

    /// Asks the store for what is due, if that is wanted and there is room for it.
    fn begin_look(&mut self, opening: Opening, pace: Duration) {
        let held = self.buffer.len();
        // One after the other: the store hands out nothing before what it handed out is settled.
        let is_single = opening == Opening::Trial || self.order == Order::All;
        let room = match opening {
            // Only the lane's state is read.
            Opening::At(_) | Opening::ByHand => 1,
            _ if pace > LONGEST_HOLD => 0,
            _ if is_single => usize::from(held + self.under_way() == 0),
            _ if self.buffer.bytes() > MOST_BYTES / 2 => 0,
            _ => {
                let most = self.claim_size.min(self.most_by_pace());
                if held <= most / 2 { most - held } else { 0 }
            }
        };
        if !self.look || self.pending_look.is_some() || room == 0 {
            return;
        }
        (self.look, self.look_at) = (false, Timestamp::LAST);
        let most_bytes = MOST_BYTES - self.buffer.bytes().min(MOST_BYTES);
        self.pending_look = Some(Box::pin(Arc::clone(&self.worker).look(room, most_bytes)));
    }

    /// Settles what is over, together: what ends meanwhile follows with the next ones.
    fn begin_settling(&mut self) {
        if self.pending_settling.is_none() && !self.unsettled.is_empty() {
            let settlements = std::mem::take(&mut self.unsettled);
            self.settling = settlements.len();
            self.pending_settling = Some(Box::pin(Arc::clone(&self.worker).settle(settlements)));
        }
    }

    /// Returns the most deliveries that the rate lets out soon.
    fn most_by_pace(&self) -> usize {
        self.pace.as_ref().map_or(usize::MAX, |pace| {
            pace.most_within(self.worker.monotonic(), LONGEST_HOLD).saturating_mul(self.buffer.most_in_one())
        })
    }

    fn ready(&self, opening: Opening, now: Timestamp) -> Ready {
        match opening {
            Opening::Open => self.buffer.ready(now, self.more && self.pending_look.is_some()),
            Opening::Trial if self.attempts.is_empty() && !self.buffer.is_empty() => Ready::Now,
            _ => Ready::Nothing,
        }
    }

    fn note_pace(&mut self, waits: bool) {
        if waits && !self.waits_for_pace {
            self.worker.telemetry().waits_for_rate();
        }
        self.waits_for_pace = waits;
    }

    fn set_alarm(&mut self, ready: Ready, pace: Duration, rest: Option<Timestamp>, now: Timestamp) {
        // While a look is wanted or under way, its time does not matter.
        let mut at = if self.look { Timestamp::LAST } else { self.look_at };
        if let Ready::At(closes_at) = ready {
            at = at.min(closes_at);
        }
        if !pace.is_zero() && (self.look || ready != Ready::Nothing) {
            // Rounded up, because times are in whole milliseconds.
            at = at.min(now + pace + Duration::from_nanos(999_999));
        }
        // Nothing happens before the end of the store's rest.
        self.alarm.set(self.worker.clock(), rest.unwrap_or(at));
    }

    /// Takes over what a look found.
    fn found(&mut self, looked: Result<Look, StoreError>) {
        match looked {
            Ok(Look { claimed, more, next, refused }) => {
                self.worker.gate.store_worked();
                self.more = more && !claimed.is_empty();
                if self.more {
                    self.resize_claims(&claimed);
                }
                let now = self.worker.now();
                self.refusals = if refused { self.refusals.saturating_add(1) } else { 0 };
                let next = if refused { now + self.rest_after_refusal() } else { next };
                // An attempt that ended meanwhile may have said that its delivery falls due earlier.
                self.look_at = self.look_at.min(next);
                self.buffer.extend(claimed, |event| self.worker.body_size(event));
            }
            Err(error) => {
                self.worker.store_failed("claim deliveries", &error);
                self.look = true;
            }
        }
    }

    fn rest_after_refusal(&self) -> Duration {
        let doubled = 2_u32.saturating_pow(self.refusals.saturating_sub(1));
        FIRST_REST_AFTER_REFUSAL.saturating_mul(doubled).min(LONGEST_REST_AFTER_REFUSAL)
    }

    /// Claims more at a time from now on if what is claimed lasts but shortly, unless that becomes large.
    fn resize_claims(&mut self, claimed: &[ClaimedDelivery]) {
        let now = self.worker.now();
        let is_short = self.filled_at.is_some_and(|before| now.since(before) < SHORT_CLAIM);
        self.filled_at = Some(now);
        let bytes: usize = claimed.iter().map(|claimed| claimed.event.size()).sum();
        if bytes > LARGEST_CLAIM_BYTES {
            self.claim_size = self.least_claim_size;
        } else if is_short && 2 * bytes <= LARGEST_CLAIM_BYTES {
            self.claim_size = (2 * self.claim_size).min(LARGEST_CLAIM).max(self.least_claim_size);
        }
    }

    /// Begins the next attempt, if its leases last until it is over.
    async fn send(&mut self, slot: OwnedSemaphorePermit) {
        // While the slot was waited for, an answer may have closed the gate.
        let opening = self.worker.gate.opening(self.worker.now());
        if !opening.lets_send() {
            return;
        }
        let shipment = if opening == Opening::Trial { self.buffer.take_one() } else { self.buffer.take() };
        if shipment.iter().all(|claimed| self.worker.is_covered(claimed)) {
            if let Some(pace) = &mut self.pace {
                pace.take(self.worker.monotonic());
            }
            self.attempts.spawn(Arc::clone(&self.worker).attempt(shipment, slot));
            return;
        }
        // Whatever was claimed with it has waited as long.
        self.claim_size = self.least_claim_size;
        let late = self.buffer.take_all();
        self.worker.give_back(shipment.into_iter().chain(late)).await;
        self.look = true;
    }

    async fn give_back_all(&mut self) {
        if !self.buffer.is_empty() {
            self.worker.give_back(self.buffer.take_all()).await;
            self.look = true;
        }
    }

    fn attempted(&mut self, attempted: Result<Option<Attempted>, JoinError>) {
        match attempted {
            Ok(Some(Attempted { settlement, too_many })) => {
                self.unsettled.push(settlement);
                if let Some(events) = too_many {
                    self.buffer.shrink(events);
                }
            }
            // It was given back.
            Ok(None) => self.look = true,
            Err(error) => self.worker.attempt_panicked(&error),
        }
    }

    /// Notes that settlements are done, and when the first of their deliveries falls due again.
    fn settled(&mut self, due: Option<Timestamp>) {
        self.settling = 0;
        self.look_at = due.unwrap_or(self.look_at).min(self.look_at);
        // What waited for them may go on.
        self.look |= self.order != Order::None;
    }
}

/// Waits for what the store is doing; for ever if that is nothing.
async fn finished<T>(pending: &mut Pending<T>) -> T {
    match pending {
        Some(pending) => pending.await,
        None => std::future::pending().await,
    }
}

/// Returns since when and why nothing is sent to a subscription, if that is so. Another URL than the one that was
/// disabled is sent to.
pub fn disabled<'s>(subscription: &Subscription, state: &'s LaneState) -> Option<&'s Disabled> {
    state.disabled.as_ref().filter(|disabled| disabled.url == memory_of_url(subscription))
}

/// Disables a subscription until someone enables it.
pub async fn disable(
    store: &dyn Store,
    subscription: &Subscription,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let name = &subscription.name;
    let disabled = Disabled { at: now, reason: reason.to_owned(), url: memory_of_url(subscription) };
    let state = LaneState { disabled: Some(disabled), ..store.lane_state(name).await? };
    store.set_lane_state(name, state, Vec::new()).await?;
    store.wake(name).notify_one();
    Ok(())
}

/// Enables a subscription that is disabled or paused. Returns whether it was.
pub async fn enable(store: &dyn Store, subscription: &SubscriptionName) -> Result<bool, StoreError> {
    let enabled = LaneState::default();
    if store.lane_state(subscription).await? == enabled {
        return Ok(false);
    }
    store.set_lane_state(subscription, enabled, Vec::new()).await?;
    store.wake(subscription).notify_one();
    Ok(true)
}
