//! Replays of many events, in memory.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::{Inner, MemoryStore, Place, Record};
use crate::model::event::RoutedEvent;
use crate::model::event_filter::EventFilter;
use crate::model::id::{DeliveryId, EventId, SubscriptionName};
use crate::model::replay::{Replay, ReplayId, ReplaySource, ReplayState, RequestMark, SettledAs};
use crate::model::time::Timestamp;
use crate::store::{Candidate, CreatedReplay, LookBounds, Page, ReplayLook, ReplayStep, ReplayStore, StoreError};

#[async_trait]
impl ReplayStore for MemoryStore {
    async fn create_replay(&self, replay: Replay) -> Result<CreatedReplay, StoreError> {
        let mut inner = self.open()?;
        let is_repeat = |earlier: &&Replay| {
            let key = |replay: &Replay| replay.request.map(|request| request.key);
            replay.request.is_some()
                && key(&replay) == key(earlier)
                && replay.created_at < earlier.created_at + RequestMark::KEPT
        };
        if let Some(earlier) = inner.replays.values().rev().find(is_repeat) {
            let is_same = earlier.request == replay.request;
            return Ok(if is_same { CreatedReplay::Repeated(earlier.clone()) } else { CreatedReplay::OtherRequest });
        }
        inner.replays.insert(replay.id, replay.clone());
        self.replay_wake.notify_one();
        Ok(CreatedReplay::New(replay))
    }

    async fn one_replay(&self, id: ReplayId) -> Result<Option<Replay>, StoreError> {
        Ok(self.open()?.replays.get(&id).cloned())
    }

    async fn replays(&self, before: Option<ReplayId>, limit: usize) -> Result<Page<Replay, ReplayId>, StoreError> {
        let inner = self.open()?;
        let older = inner.replays.values().rev().filter(|replay| before.is_none_or(|before| replay.id < before));
        Ok(Page::up_to(limit, older.take(limit).cloned().collect(), |replay| replay.id))
    }

    async fn running_replays(&self, most: usize) -> Result<Vec<Replay>, StoreError> {
        Ok(self.open()?.replays.values().filter(|replay| replay.is_running()).take(most).cloned().collect())
    }

    async fn count_for_replay(&self, replay: &Replay, most: usize) -> Result<usize, StoreError> {
        Ok(self.open()?.to_look_at(replay).len().min(most))
    }

    async fn look_for_replay(&self, replay: &Replay, bounds: LookBounds) -> Result<ReplayLook, StoreError> {
        let inner = self.open()?;
        let events = inner.to_look_at(replay);
        let mut look = ReplayLook::default();
        let mut bytes = 0;
        for event in &events {
            if let Some(candidate) = inner.judge(replay, *event) {
                bytes += candidate.event.as_ref().map_or(0, |event| event.size());
                look.found.push(candidate);
            }
            look.looked_at += 1;
            let is_full = look.found.len() >= bounds.found || bytes >= bounds.bytes;
            if (is_full || look.looked_at >= bounds.looked_at) && look.looked_at < events.len() {
                look.after = Some(*event);
                break;
            }
        }
        Ok(look)
    }

    async fn step_replay(&self, step: ReplayStep) -> Result<Replay, StoreError> {
        let mut inner = self.open()?;
        let ReplayStep { replay: found, queue, looked_at, after, now, pause_each } = step;
        let mut replay = inner.existing_replay(found.id)?;
        if !replay.is_running() || replay.after != found.after {
            return Ok(replay);
        }
        let mut queued = 0;
        for event in queue {
            let id = DeliveryId { event, subscription: replay.selection.target().clone() };
            if inner.is_wanted(&replay, event) && inner.send(&id, now) {
                queued += 1;
                self.wakes.wake(&id.subscription);
            }
        }
        replay.stepped(looked_at, queued, after, now, pause_each);
        inner.replays.insert(replay.id, replay.clone());
        Ok(replay)
    }

    async fn end_replay(
        &self,
        id: ReplayId,
        state: ReplayState,
        cause: Option<String>,
        now: Timestamp,
    ) -> Result<Replay, StoreError> {
        let mut inner = self.open()?;
        let mut replay = inner.existing_replay(id)?;
        if replay.is_running() {
            replay.end(state, cause, now);
            inner.replays.insert(id, replay.clone());
            self.replay_wake.notify_one();
        }
        Ok(replay)
    }

    async fn prune_replays(&self, bound: Timestamp, most: usize) -> Result<usize, StoreError> {
        let mut inner = self.open()?;
        let is_over = |replay: &&Replay| replay.ended_at.is_some_and(|at| at < bound);
        let old: Vec<ReplayId> = inner.replays.values().filter(is_over).take(most).map(|replay| replay.id).collect();
        inner.replays.retain(|id, _| !old.contains(id));
        Ok(old.len())
    }

    fn replay_wake(&self) -> Arc<Notify> {
        Arc::clone(&self.replay_wake)
    }
}

impl Inner {
    fn existing_replay(&self, id: ReplayId) -> Result<Replay, StoreError> {
        self.replays.get(&id).cloned().ok_or_else(|| StoreError::NotFound { what: format!("replay {id}") })
    }

    /// Returns the events that a replay still has to look at, by ascending id.
    fn to_look_at(&self, replay: &Replay) -> Vec<EventId> {
        let is_left = |event: &EventId| replay.from().is_none_or(|from| from <= *event) && *event < replay.bound();
        let of = |subscription: &SubscriptionName, state: Option<SettledAs>| -> Vec<EventId> {
            let Some(lane) = self.lanes.get(subscription) else { return Vec::new() };
            let events = lane.deliveries.keys().filter(|event| is_left(event));
            let may_be_meant = |event: &&EventId| match state {
                None => true,
                Some(state) => self.is_settled(subscription, **event, state, Timestamp::LAST),
            };
            events.filter(may_be_meant).copied().collect()
        };
        match &replay.selection.source {
            ReplaySource::Again { subscription, state } => of(subscription, Some(*state)),
            ReplaySource::Copy { subscription, state, .. } => of(subscription, *state),
            ReplaySource::Backfill { .. } => {
                let of = &replay.selection.filter.connector;
                let is_of = |routed: &&RoutedEvent| of.as_ref().is_none_or(|of| *of == routed.event.connector);
                let events = self.events.values().filter(is_of).map(|routed| routed.event.id);
                events.filter(is_left).collect()
            }
        }
    }

    fn judge(&self, replay: &Replay, event: EventId) -> Option<Candidate> {
        let EventFilter { connector, event_type, .. } = &replay.selection.filter;
        let routed = self.events.get(&event)?;
        let kind =
            EventFilter { connector: connector.clone(), event_type: event_type.clone(), ..EventFilter::default() };
        if let ReplaySource::Copy { subscription, state: Some(state), .. } = &replay.selection.source
            && !self.is_settled(subscription, event, *state, replay.created_at)
        {
            return None;
        }
        let is_meant = kind.matches(&routed.event) && self.is_wanted(replay, event);
        let target = DeliveryId { event, subscription: replay.selection.target().clone() };
        let is_new = self.record(&target).is_none();
        // A part of a batch goes with the batch, if that is meant by its first event.
        let batch = self.delivery(target).and_then(|delivery| delivery.joined_to);
        let goes_with_batch = batch.is_some_and(|first| {
            self.events.get(&first).is_some_and(|routed| replay.selection.filter.matches(&routed.event))
        });
        (is_meant && !goes_with_batch)
            .then(|| Candidate { id: event, event: is_new.then(|| Arc::clone(&routed.event)) })
    }

    /// Tells whether a replay wants to queue an event, by how its delivery to the target stands.
    fn is_wanted(&self, replay: &Replay, event: EventId) -> bool {
        let target = replay.selection.target();
        let is_new = self.record(&DeliveryId { event, subscription: target.clone() }).is_none();
        let is_settled = |state| self.is_settled(target, event, state, replay.created_at);
        match replay.selection.source {
            ReplaySource::Again { state, .. } => is_settled(state),
            ReplaySource::Copy { .. } => is_new,
            ReplaySource::Backfill { again, .. } => is_new || again.is_some_and(is_settled),
        }
    }

    /// Queues an event for a subscription, whether it went there before or not; tells whether there is such an event.
    pub(super) fn send(&mut self, id: &DeliveryId, now: Timestamp) -> bool {
        let Some(routed) = self.events.get_mut(&id.event) else { return false };
        if !routed.subscriptions.contains(&id.subscription) {
            routed.subscriptions.push(id.subscription.clone());
            let lane = self.lanes.entry(id.subscription.clone()).or_default();
            lane.deliveries.insert(id.event, Record::waiting(Place::Again(now), now));
        }
        self.replay(id, now)
    }

    fn is_settled(&self, subscription: &SubscriptionName, event: EventId, state: SettledAs, until: Timestamp) -> bool {
        let delivery = self.delivery(DeliveryId { event, subscription: subscription.clone() });
        delivery.is_some_and(|delivery| state.includes(&delivery.state, until))
    }
}
