//! What must survive: seen items, cursors, validators, events, deliveries.
//!
//! The poll side hands over to the push side here and nowhere else, in one atomic and durable commit a poll. Nothing
//! in these traits assumes that there is one process: polls and deliveries are taken under leases with fencing
//! tokens, and a stale holder's commit is refused.

pub mod embedded;
pub mod kv;
pub mod memory;

mod guard;
mod replays;
mod sled;
mod state;
mod subscriptions;
mod wake;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::model::delivery::{Attempt, DeathReason, Delivery, DeliveryState};
use crate::model::event::{Event, RoutedEvent};
use crate::model::event_filter::EventFilter;
use crate::model::fingerprint::{BodyHash, KeyHash};
use crate::model::id::{ConnectorName, DeliveryId, EventId, LeaseToken, SubscriptionName};
use crate::model::item::{KeptItem, SeenItem, SetAside};
use crate::model::lane::Order;
use crate::model::poll_record::PollRecord;
use crate::model::secret::Secret;
use crate::model::time::Timestamp;

pub use replays::{Candidate, CreatedReplay, LARGEST_REPLAY_STEP, LookBounds, ReplayLook, ReplayStep, ReplayStore};
pub use state::{ConnectorState, Hold, Pass, RulesMemory};
pub use subscriptions::{StoredSubscription, SubscriptionStore};

/// Everything that a store does.
pub trait Store: PollStore + DeliveryStore + HistoryStore + ReplayStore + SubscriptionStore {}

impl<S: PollStore + DeliveryStore + HistoryStore + ReplayStore + SubscriptionStore> Store for S {}

/// A store that many tasks share.
pub type SharedStore = Arc<dyn Store>;

/// Why the store did not do what was asked. Nothing of the request was done, unless a method says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Someone else holds the lease by now, or it ended.
    #[error("the lease on {what} is no longer held")]
    StaleLease { what: String },
    /// There is nothing with this id.
    #[error("there is no {what}")]
    NotFound { what: String },
    /// What is on disk is not what was written.
    #[error("{what} is damaged: {detail}")]
    Corrupt { what: String, detail: String },
    /// The disk is full, read-only or broken. The store takes no more writes until it is opened anew.
    #[error("cannot {action} the store at {place}")]
    Io {
        action: &'static str,
        place: String,
        #[source]
        source: std::io::Error,
    },
    /// The store was opened by somebody else, is behind what it had acknowledged, or cannot be opened for another
    /// reason; the text says which, and what to do.
    #[error("{0}")]
    Refused(String),
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}

/// What the poll side needs of a store.
#[async_trait]
pub trait PollStore: Send + Sync + 'static {
    /// Takes a connector's poll under a lease, with its state; `None` if someone else holds it.
    async fn lease_poll(
        &self,
        connector: &ConnectorName,
        now: Timestamp,
        lease_for: Duration,
    ) -> Result<Option<PollLease>, StoreError>;

    /// Gives a lease back without a commit. A lease that is no longer held is ignored.
    async fn release_poll(&self, lease: PollLease) -> Result<(), StoreError>;

    /// Returns a connector's state without a lease; `None` if it was never polled.
    async fn connector_state(&self, connector: &ConnectorName) -> Result<Option<ConnectorState>, StoreError>;

    /// Makes a part of a poll's outcome durable ahead of the rest, and keeps the lease: after a crash or failure, the
    /// next poll makes up the rest. For polls that are too large to be kept in memory until they end. Large parts are
    /// themselves made in steps, as [`Self::commit_poll`] does.
    async fn commit_items(&self, lease: &PollLease, part: PollPart) -> Result<(), StoreError>;

    /// Returns changes that were set aside, by ascending key hash: those with these hashes, or up to so many that
    /// follow a hash.
    async fn set_aside(&self, connector: &ConnectorName, selection: SeenSelection)
    -> Result<Vec<SetAside>, StoreError>;

    /// Returns what a token endpoint rotated a grant to; `None` if nothing was kept under this id.
    async fn kept_grant(&self, id: BodyHash) -> Result<Option<Secret>, StoreError>;

    /// Keeps what a token endpoint rotated a grant to. When this returns, it is on disk.
    async fn keep_grant(&self, id: BodyHash, grant: Secret) -> Result<(), StoreError>;

    /// Returns what is remembered of a connector's items, by ascending key hash.
    async fn seen_items(
        &self,
        connector: &ConnectorName,
        selection: SeenSelection,
    ) -> Result<Vec<SeenItem>, StoreError>;

    /// Returns the items that were kept under these hashes, each in its place.
    async fn kept_items(
        &self,
        connector: &ConnectorName,
        keys: Vec<KeyHash>,
    ) -> Result<Vec<Option<KeptItem>>, StoreError>;

    /// Makes a poll's outcome durable and gives the lease back. When this returns, everything is on disk.
    ///
    /// Large commits are made in several steps. Each step holds items together with their events and deliveries, and
    /// the last one holds the state: after a crash between steps, the next poll with the same state makes up the rest
    /// and repeats nothing.
    async fn commit_poll(&self, lease: PollLease, commit: PollCommit) -> Result<(), StoreError>;
}

/// Which seen items are asked for.
#[derive(Debug, Clone)]
pub enum SeenSelection {
    /// Those with these hashes; ascending, without repeats.
    Keys(Vec<KeyHash>),
    /// All of the connector's.
    All,
    /// Those with greater hashes than this one, or from the first; at most so many.
    After(Option<KeyHash>, usize),
}

/// The right to poll a connector, and its state when the right was taken.
#[derive(Debug)]
pub struct PollLease {
    pub connector: ConnectorName,
    pub token: LeaseToken,
    /// When the right ends.
    pub until: Timestamp,
    /// `None` if the connector was never polled.
    pub state: Option<ConnectorState>,
}

/// All that a poll changes.
#[derive(Debug, Clone)]
pub struct PollCommit {
    /// When the poll was made.
    pub at: Timestamp,
    /// Each item whose memory changes, with its event, if it has one. At most one for a key.
    pub updates: Vec<SeenUpdate>,
    /// The service's own events, committed with the state.
    pub news: Vec<RoutedEvent>,
    /// The state after the poll.
    pub state: ConnectorState,
    /// Items last seen before this may be forgotten, a few at a time.
    pub forget_before: Option<Timestamp>,
    /// Changes that do not become events yet, each in place of an earlier one with its key; at most one for a key. What
    /// was set aside before for a key ends by itself, in the same step, with an update of that key.
    pub set_aside: Vec<SetAside>,
    /// Keys for which nothing is set aside any more.
    pub dropped: Vec<KeyHash>,
    /// The poll's entry in the history; `None` for a commit that is no poll.
    pub record: Option<PollRecord>,
}

impl PollCommit {
    /// Returns the commit of these updates and this state, and nothing else.
    pub fn new(at: Timestamp, updates: Vec<SeenUpdate>, state: ConnectorState) -> Self {
        Self {
            at,
            updates,
            news: Vec::new(),
            state,
            forget_before: None,
            set_aside: Vec::new(),
            dropped: Vec::new(),
            record: None,
        }
    }
}

/// A part of what a poll changes, made durable ahead of its end.
#[derive(Debug, Clone, Default)]
pub struct PollPart {
    /// As in [`PollCommit`].
    pub updates: Vec<SeenUpdate>,
    /// As in [`PollCommit`].
    pub set_aside: Vec<SetAside>,
    /// As in [`PollCommit`].
    pub dropped: Vec<KeyHash>,
}

impl From<Vec<SeenUpdate>> for PollPart {
    fn from(updates: Vec<SeenUpdate>) -> Self {
        Self { updates, ..Self::default() }
    }
}

/// How many attempts of a delivery are kept: the last ones.
pub const ATTEMPTS_KEPT: usize = 40;

/// How many polls of a connector its history keeps: the last ones. One that began at the same millisecond as another
/// takes its place, and one that began before others ends those, because the clock was set back.
pub const POLLS_KEPT: usize = 50;

/// What a poll remembers of an item from now on, and what it says about it.
#[derive(Debug, Clone)]
pub struct SeenUpdate {
    pub seen: SeenItem,
    /// The item's record, if the connector keeps items; `None` leaves what is kept.
    pub kept: Option<KeptItem>,
    pub event: Option<RoutedEvent>,
}

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
    /// In counts and among dead letters, such a batch is one delivery, the first. Nothing is done if any of the leases
    /// is no longer held. What was attempted or joined before cannot be joined, nor can deliveries of a lane that has an
    /// order. After an error the leases are to be given back: what they stand for may no longer be as it was claimed.
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

/// How much is claimed, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    pub order: Order,
    /// The most deliveries.
    pub most: usize,
    /// The most bytes of events, unless a single delivery has more.
    pub most_bytes: usize,
    pub lease_for: Duration,
}

impl Claim {
    /// Returns a claim of at most so many deliveries, whatever their order.
    pub fn up_to(most: usize, lease_for: Duration) -> Self {
        Self { order: Order::None, most, most_bytes: usize::MAX, lease_for }
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
    /// When it was queued, or last replayed.
    pub since: Timestamp,
    /// How many attempts were made before, replays included.
    pub attempts: u32,
    /// How many attempts have failed since the delivery was created or last replayed: its place on the retry schedule.
    pub failures: u32,
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

/// What people look at and clean up.
#[async_trait]
pub trait HistoryStore: Send + Sync + 'static {
    /// Returns events, newest first. Looks at a bounded number of them, so that fewer than the limit may come, and more
    /// follow.
    async fn events(&self, query: EventQuery) -> Result<Page<RoutedEvent, EventId>, StoreError>;

    /// Returns an event and the subscriptions that it goes to.
    async fn event(&self, id: EventId) -> Result<Option<RoutedEvent>, StoreError>;

    /// Returns deliveries, those of the newest events first. Looks at a bounded number of them, as [`Self::events`] does.
    /// Among dead letters, a batch is listed once: what was joined to another delivery is not.
    async fn deliveries(&self, query: DeliveryQuery) -> Result<Page<Delivery, DeliveryId>, StoreError>;

    /// Returns a delivery and its last attempts, the oldest first. What was joined to another one shows the state and
    /// the attempts of that batch.
    async fn delivery(&self, id: &DeliveryId) -> Result<Option<(Delivery, Vec<Attempt>)>, StoreError>;

    /// Returns the last polls of a connector, newest first: at most `limit`, and those that began before `before`.
    async fn polls(
        &self,
        connector: &ConnectorName,
        before: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<PollRecord>, StoreError>;

    /// Queues a delivery again, whatever became of it, with its retry schedule from the beginning. A delivery that
    /// waits already becomes due at once. With the first delivery of a batch the whole batch is queued; any other one
    /// is taken out of its batch and queued alone, as if it had not been attempted.
    async fn replay(&self, id: &DeliveryId, now: Timestamp) -> Result<(), StoreError>;

    /// Queues an event for a subscription, whether it went there before or not: like [`Self::replay`] if it did, and
    /// from then on as one of those that the event goes to if it did not.
    async fn send(&self, id: &DeliveryId, now: Timestamp) -> Result<(), StoreError>;

    /// Queues the dead letters of a subscription again, the oldest first and at most `most`; returns how many.
    async fn replay_dead(
        &self,
        subscription: &SubscriptionName,
        now: Timestamp,
        most: usize,
    ) -> Result<usize, StoreError>;

    /// Counts a subscription's deliveries that wait and that are dead, each up to `most`.
    async fn lane_counts(&self, subscription: &SubscriptionName, most: usize) -> Result<LaneCounts, StoreError>;

    /// Removes events whose deliveries were all settled before the retention's bounds, looking at no more than
    /// `most` of them. Goes on where the last call stopped.
    ///
    /// An event is kept while a batch that it is the first of has other events. What waits for a subscription that was
    /// in no call's `configured` for as long as dead letters are kept counts as settled: it waits for nobody.
    async fn prune(
        &self,
        now: Timestamp,
        retention: Retention,
        configured: &[SubscriptionName],
        most: usize,
    ) -> Result<Pruned, StoreError>;

    /// Proves that the store can be written to: commits a marker and returns when it is durable.
    async fn check_writable(&self) -> Result<(), StoreError>;

    /// Writes what is still to be written and closes the store; later calls fail with [`StoreError::Closed`].
    async fn close(&self) -> Result<(), StoreError>;
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, Id> {
    pub found: Vec<T>,
    /// Where the next part begins, to be given as `before`; `None` at the end of the list.
    pub next: Option<Id>,
}

impl<T, Id> Page<T, Id> {
    /// Returns what was found up to a limit, behind which there may be more.
    fn up_to(limit: usize, found: Vec<T>, id: impl Fn(&T) -> Id) -> Self {
        let next = (found.len() == limit).then(|| found.last().map(id)).flatten();
        Self { found, next }
    }
}

impl<T, Id> std::ops::Deref for Page<T, Id> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.found
    }
}

impl<T, Id> IntoIterator for Page<T, Id> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.found.into_iter()
    }
}

impl<'p, T, Id> IntoIterator for &'p Page<T, Id> {
    type Item = &'p T;
    type IntoIter = std::slice::Iter<'p, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.found.iter()
    }
}

/// Which events are asked for.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    pub filter: EventFilter,
    /// Only events with smaller ids: where the last page ended.
    pub before: Option<EventId>,
    /// The most to return.
    pub limit: usize,
}

/// Which deliveries are asked for.
#[derive(Debug, Clone, Default)]
pub struct DeliveryQuery {
    pub subscription: Option<SubscriptionName>,
    pub state: Option<DeliveryStateName>,
    /// Why they are dead, if they are.
    pub reason: Option<DeathReason>,
    /// Of which events.
    pub filter: EventFilter,
    /// Only deliveries with smaller ids: where the last page ended.
    pub before: Option<DeliveryId>,
    /// The most to return.
    pub limit: usize,
}

impl DeliveryQuery {
    /// Tells whether a delivery is asked for, as far as its state says.
    fn wants(&self, delivery: &Delivery) -> bool {
        let reason = if let DeliveryState::Dead { reason, .. } = delivery.state { Some(reason) } else { None };
        let is_of_batch = delivery.joined_to.is_some() && self.asks_for_dead();
        self.state.is_none_or(|wanted| wanted == DeliveryStateName::of(&delivery.state))
            && self.reason.is_none_or(|wanted| reason == Some(wanted))
            && !is_of_batch
    }

    /// Tells whether only dead letters are asked for.
    fn asks_for_dead(&self) -> bool {
        self.state == Some(DeliveryStateName::Dead) || (self.state.is_none() && self.reason.is_some())
    }
}

/// A delivery's state without its details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryStateName {
    Pending,
    Delivered,
    Dead,
}

impl DeliveryStateName {
    /// Returns the name of a state.
    pub fn of(state: &DeliveryState) -> Self {
        match state {
            DeliveryState::Pending { .. } => Self::Pending,
            DeliveryState::Delivered { .. } => Self::Delivered,
            DeliveryState::Dead { .. } => Self::Dead,
        }
    }
}

/// How many deliveries a subscription has, counted up to a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LaneCounts {
    /// Waiting for their first attempt, those under way included.
    pub waiting: usize,
    /// Waiting for another attempt.
    pub retrying: usize,
    pub dead: usize,
}

/// How long settled deliveries are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Delivered ones, their attempts, and events that went to nobody.
    pub delivered: Duration,
    /// Dead letters.
    pub dead: Duration,
}

impl Default for Retention {
    /// 7 days for what was delivered, 30 for dead letters.
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self { delivered: Duration::from_secs(7 * DAY), dead: Duration::from_secs(30 * DAY) }
    }
}

/// What a step of pruning did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    pub events: usize,
    pub deliveries: usize,
    /// Whether all events that could be too old were looked at, so that the next call begins anew.
    pub finished: bool,
}

/// Tells whether the next delivery is a retry, if one is due, when this many were claimed before: every fourth is, so
/// that also a lane that claims one at a time comes to its retries.
fn is_turn_of_retries(claimed: u64) -> bool {
    claimed % 4 == 3
}

fn cannot_be_joined(id: &DeliveryId) -> StoreError {
    StoreError::Refused(format!(
        "delivery {id} cannot be joined with others: it was attempted or joined before, or its lane keeps an order"
    ))
}
