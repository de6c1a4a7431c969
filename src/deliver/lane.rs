//! One subscription's lane: takes its due deliveries, attempts them, settles them.

mod gate;
mod worker;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use self::gate::Opening;
use self::worker::{Worker, memory_of_url};
use super::render::Renderer;
use crate::auth::Credentials;
use crate::clock::SharedClock;
use crate::http::HttpClient;
use crate::model::event::Route;
use crate::model::id::SubscriptionName;
use crate::model::subscription::Subscription;
use crate::model::time::Timestamp;
use crate::store::{ClaimedDelivery, Disabled, LaneState, Settlement, SharedStore, Store, StoreError};
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
    /// Claimed, but not yet under way; at most `batch`.
    buffer: VecDeque<ClaimedDelivery>,
    batch: usize,
    smallest_batch: usize,
    /// When as much was last claimed as was asked for.
    filled_at: Option<Timestamp>,
    /// One permit for each attempt that may be under way.
    slots: Arc<Semaphore>,
    /// Attempts under way.
    attempts: JoinSet<Settlement>,
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
}

/// What a look into the store found.
#[derive(Debug)]
struct Look {
    claimed: Vec<ClaimedDelivery>,
    /// Whether as much was claimed as was asked for, so that there may be more.
    filled: bool,
    /// When to look again.
    next: Timestamp,
}

/// Something that the store is doing for the lane, if it is.
type Pending<T> = Option<Pin<Box<dyn Future<Output = T> + Send>>>;

/// How much is claimed at a time to begin with, as a multiple of the concurrency and at least.
const BATCH_FACTOR: usize = 2;
const SMALLEST_BATCH: usize = 32;

/// How much is claimed at a time when a receiver is so quick that batches last no longer than [`SHORT_BATCH`].
const LARGEST_BATCH: usize = 1024;
const LARGEST_BATCH_BYTES: usize = 4 * 1024 * 1024;
const SHORT_BATCH: Duration = Duration::from_secs(1);

/// How many attempts may be over and waiting to be settled, as a multiple of the concurrency and at least.
const SETTLING_FACTOR: usize = 4;
const FEWEST_SETTLING: usize = 128;

impl Lane {
    /// Returns a subscription's lane. Nothing happens until it is run.
    pub fn new(subscription: Arc<Subscription>, context: DeliverContext) -> Self {
        let concurrency = subscription.lane.concurrency.clamp(1, Semaphore::MAX_PERMITS);
        let look_at = context.clock.now();
        let smallest_batch = concurrency.saturating_mul(BATCH_FACTOR).clamp(SMALLEST_BATCH, LARGEST_BATCH);
        Self {
            worker: Arc::new(Worker::new(subscription, context)),
            buffer: VecDeque::new(),
            batch: smallest_batch,
            smallest_batch,
            filled_at: None,
            slots: Arc::new(Semaphore::new(concurrency)),
            attempts: JoinSet::new(),
            unsettled: Vec::new(),
            settling: 0,
            most_attempts: concurrency + concurrency.saturating_mul(SETTLING_FACTOR).max(FEWEST_SETTLING),
            look: true,
            look_at,
        }
    }

    /// Sends what falls due until `shutdown` is cancelled; then lets the attempts under way finish and settle, gives
    /// back what it holds, and returns.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let worker = Arc::clone(&self.worker);
        let wake = worker.store().wake(worker.name());
        let mut woken = pin!(wake.notified());
        let mut stopped = pin!(shutdown.cancelled());
        let mut pending_look: Pending<Result<Look, StoreError>> = None;
        let mut pending_settling: Pending<Option<Timestamp>> = None;
        let mut alarm = Alarm::default();
        loop {
            self.worker.save_state().await;
            let now = self.worker.now();
            let opening = self.worker.gate.opening(now);
            let rest = self.worker.gate.store_rests_until(now);
            if opening != Opening::Open {
                self.give_back_all().await;
            }
            if let Opening::At(until) = opening {
                self.look_at = self.look_at.min(until);
            }
            let has_room = opening != Opening::Open || self.buffer.len() <= self.batch / 2;
            if self.look && has_room && rest.is_none() && pending_look.is_none() {
                (self.look, self.look_at) = (false, Timestamp::LAST);
                let most = self.batch - self.buffer.len();
                pending_look = Some(Box::pin(Arc::clone(&self.worker).look(most)));
            }
            let may_send = opening == Opening::Open
                && rest.is_none()
                && !self.buffer.is_empty()
                && self.attempts.len() + self.unsettled.len() + self.settling < self.most_attempts;
            if pending_settling.is_none() && !self.unsettled.is_empty() && rest.is_none() {
                // Together: what ends while these are being made durable follows with the next ones.
                let settlements = std::mem::take(&mut self.unsettled);
                self.settling = settlements.len();
                pending_settling = Some(Box::pin(Arc::clone(&self.worker).settle(settlements)));
            }
            // While a look is wanted or under way, only the end of the store's rest is worth waiting for.
            alarm.set(&self.worker, rest.unwrap_or(if self.look { Timestamp::LAST } else { self.look_at }));

            tokio::select! {
                biased;
                () = &mut stopped => break,
                Some(attempted) = self.attempts.join_next() => {
                    self.attempted(attempted);
                    while let Some(attempted) = self.attempts.try_join_next() {
                        self.attempted(attempted);
                    }
                }
                due = finished(&mut pending_settling) => {
                    pending_settling = None;
                    self.settled(due);
                }
                looked = finished(&mut pending_look) => {
                    pending_look = None;
                    self.found(looked);
                }
                slot = Arc::clone(&self.slots).acquire_owned(), if may_send => {
                    self.send(slot.expect("the slots are never closed")).await;
                }
                () = woken.as_mut() => {
                    woken.set(wake.notified());
                    self.look = true;
                }
                () = alarm.ring() => self.look = true,
            }
        }
        if let Some(look) = pending_look {
            let looked = look.await;
            self.found(looked);
        }
        self.give_back_all().await;
        if let Some(settling) = pending_settling {
            settling.await;
        }
        while let Some(attempted) = self.attempts.join_next().await {
            self.attempted(attempted);
        }
        Arc::clone(&self.worker).settle(std::mem::take(&mut self.unsettled)).await;
        self.worker.save_state().await;
    }

    /// Takes over what a look found.
    fn found(&mut self, looked: Result<Look, StoreError>) {
        match looked {
            Ok(Look { claimed, next, filled }) => {
                self.worker.gate.store_worked();
                if filled {
                    self.resize_batch(&claimed);
                }
                // An attempt that ended meanwhile may have said that its delivery falls due earlier.
                self.look_at = self.look_at.min(next);
                self.buffer.extend(claimed);
            }
            Err(error) => {
                self.worker.store_failed("claim deliveries", &error);
                self.look = true;
            }
        }
    }

    /// Claims more at a time from now on if batches last but shortly, unless they become large.
    fn resize_batch(&mut self, claimed: &[ClaimedDelivery]) {
        let now = self.worker.now();
        let is_short = self.filled_at.is_some_and(|before| now.since(before) < SHORT_BATCH);
        self.filled_at = Some(now);
        let bytes: usize = claimed.iter().map(|claimed| claimed.event.size()).sum();
        if bytes > LARGEST_BATCH_BYTES {
            self.batch = self.smallest_batch;
        } else if is_short && 2 * bytes <= LARGEST_BATCH_BYTES {
            self.batch = (2 * self.batch).min(LARGEST_BATCH);
        }
    }

    /// Begins the next attempt, if its lease lasts until it is over.
    async fn send(&mut self, slot: OwnedSemaphorePermit) {
        // While the slot was waited for, an answer may have closed the gate.
        if self.worker.gate.opening(self.worker.now()) != Opening::Open {
            return;
        }
        let Some(claimed) = self.buffer.pop_front() else { return };
        if self.worker.is_covered(&claimed) {
            self.attempts.spawn(Arc::clone(&self.worker).attempt(claimed, slot));
            return;
        }
        // Whatever was claimed with it has waited as long.
        self.buffer.push_front(claimed);
        self.batch = self.smallest_batch;
        let (covered, late) = self.buffer.drain(..).partition(|claimed| self.worker.is_covered(claimed));
        self.buffer = covered;
        self.worker.give_back(late).await;
        self.look = true;
    }

    async fn give_back_all(&mut self) {
        if !self.buffer.is_empty() {
            self.worker.give_back(std::mem::take(&mut self.buffer)).await;
        }
    }

    fn attempted(&mut self, attempted: Result<Settlement, JoinError>) {
        match attempted {
            Ok(settlement) => self.unsettled.push(settlement),
            Err(error) => self.worker.attempt_panicked(&error),
        }
    }

    /// Notes that settlements are done, and when the first of their deliveries falls due again.
    fn settled(&mut self, due: Option<Timestamp>) {
        self.settling = 0;
        self.look_at = due.unwrap_or(self.look_at).min(self.look_at);
    }
}

/// Waits for what the store is doing; for ever if that is nothing.
async fn finished<T>(pending: &mut Pending<T>) -> T {
    match pending {
        Some(pending) => pending.await,
        None => std::future::pending().await,
    }
}

/// A wait that is set anew only when its time changes.
#[derive(Default)]
struct Alarm {
    at: Option<Timestamp>,
    sleep: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Alarm {
    fn set(&mut self, worker: &Arc<Worker>, at: Timestamp) {
        if self.at != Some(at) {
            let worker = Arc::clone(worker);
            self.at = Some(at);
            self.sleep = Some(Box::pin(async move { worker.sleep_until(at).await }));
        }
    }

    async fn ring(&mut self) {
        match &mut self.sleep {
            Some(sleep) => {
                sleep.await;
                *self = Self::default();
            }
            None => std::future::pending().await,
        }
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
