//! Replays of many events: what of them must survive, and how they are carried out in steps.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::{Page, StoreError};
use crate::model::event::Event;
use crate::model::id::EventId;
use crate::model::replay::{Replay, ReplayId, ReplayState};
use crate::model::time::Timestamp;

/// What replays need of a store.
#[async_trait]
pub trait ReplayStore: Send + Sync + 'static {
    /// Keeps a new replay, to be carried out, and wakes whoever does that. If its request was made before with the same
    /// key, not longer ago than a repeated request is recognised, nothing is done.
    async fn create_replay(&self, replay: Replay) -> Result<CreatedReplay, StoreError>;

    /// Returns a replay.
    async fn one_replay(&self, id: ReplayId) -> Result<Option<Replay>, StoreError>;

    /// Returns replays, the newest first: at most `limit`, and those with smaller ids than `before`.
    async fn replays(&self, before: Option<ReplayId>, limit: usize) -> Result<Page<Replay, ReplayId>, StoreError>;

    /// Returns the oldest replays that run, at most `most`.
    async fn running_replays(&self, most: usize) -> Result<Vec<Replay>, StoreError>;

    /// Counts what a replay has to look at, up to `most`.
    async fn count_for_replay(&self, replay: &Replay, most: usize) -> Result<usize, StoreError>;

    /// Looks for what a replay queues next: goes on after the last event that it looked at, and stops at one of the
    /// bounds. What cannot be read is passed over.
    async fn look_for_replay(&self, replay: &Replay, bounds: LookBounds) -> Result<ReplayLook, StoreError>;

    /// Queues what was found and moves the replay on, in one atomic step; returns the replay as it is then. What is no
    /// longer as the replay wants it, is not queued. When this returns, it is on disk.
    ///
    /// Nothing is done if the replay does not run any more, or has moved on since the step was found.
    async fn step_replay(&self, step: ReplayStep) -> Result<Replay, StoreError>;

    /// Ends a replay that runs; returns it as it is then, which is unchanged if it had ended already.
    async fn end_replay(
        &self,
        id: ReplayId,
        state: ReplayState,
        cause: Option<String>,
        now: Timestamp,
    ) -> Result<Replay, StoreError>;

    /// Removes replays that ended before the bound, at most `most`, the oldest first; returns how many.
    async fn prune_replays(&self, bound: Timestamp, most: usize) -> Result<usize, StoreError>;

    /// Returns what is notified when a replay was made or ended.
    fn replay_wake(&self) -> Arc<Notify>;
}

/// What became of the request for a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreatedReplay {
    /// It will be carried out.
    New(Replay),
    /// The request had been made before: this is the replay of then.
    Repeated(Replay),
    /// Another request had been made with this key.
    OtherRequest,
}

/// How far a look goes at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookBounds {
    /// The most to find.
    pub found: usize,
    /// The most to look at.
    pub looked_at: usize,
    /// The most bytes of events to read, unless a single one has more.
    pub bytes: usize,
}

/// What a look found.
#[derive(Debug, Clone, Default)]
pub struct ReplayLook {
    /// What is meant, by ascending id.
    pub found: Vec<Candidate>,
    pub looked_at: usize,
    /// The last event that was looked at; `None` if all were.
    pub after: Option<EventId>,
}

/// An event that a replay may queue.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub id: EventId,
    /// Present where the target would get it for the first time, so that it must want it.
    pub event: Option<Arc<Event>>,
}

/// What a replay does at once.
#[derive(Debug, Clone)]
pub struct ReplayStep {
    /// As it was when the step was found.
    pub replay: Replay,
    /// The events whose deliveries are queued, by ascending id.
    pub queue: Vec<EventId>,
    pub looked_at: usize,
    /// The last event that was looked at; `None` ends the replay.
    pub after: Option<EventId>,
    pub now: Timestamp,
    /// How much later than `now` the next step is made at the earliest, for each delivery that is queued.
    pub pause_each: std::time::Duration,
}

/// The most that a step of a replay queues.
pub const LARGEST_REPLAY_STEP: usize = 100;
