//! What the poll side needs of a store.

use std::time::Duration;

use async_trait::async_trait;

use super::{ConnectorState, StoreError};
use crate::model::event::RoutedEvent;
use crate::model::fingerprint::{BodyHash, KeyHash};
use crate::model::id::{ConnectorName, LeaseToken};
use crate::model::item::{KeptItem, SeenItem, SetAside};
use crate::model::poll_record::PollRecord;
use crate::model::secret::Secret;
use crate::model::time::Timestamp;

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
