//! What the push side needs, in memory.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::{MemoryStore, Place};
use crate::model::event::RoutedEvent;
use crate::model::id::{DeliveryId, EventId, LeaseToken, SubscriptionName};
use crate::model::lane::Order;
use crate::model::time::Timestamp;
use crate::store::{
    ATTEMPTS_KEPT, Claim, Claimed, ClaimedDelivery, DeliveryLease, DeliveryStore, LaneState, MOST_UNDER_WAY,
    Settlement, StoreError, Verdict, cannot_be_joined, is_turn_of_retries,
};

impl MemoryStore {
    fn settle(&self, settlement: Settlement) -> Result<(), StoreError> {
        let Settlement { lease, attempt, verdict, news } = settlement;
        let mut inner = self.open()?;
        let record = inner
            .record_mut(&lease.id)
            .filter(|record| record.lease.as_ref().is_some_and(|held| held.token == lease.token))
            .ok_or_else(|| StoreError::StaleLease { what: format!("delivery {}", lease.id) })?;
        let at = attempt.started_at + attempt.duration;
        record.lease = None;
        record.attempted += 1;
        record.attempts.push(attempt);
        if record.attempts.len() > ATTEMPTS_KEPT {
            record.attempts.remove(0);
        }
        record.place = match verdict {
            Verdict::Delivered => Place::Delivered(at),
            Verdict::Dead(reason) => Place::Dead(at, reason),
            Verdict::Retry(due) => Place::Again(due),
        };
        if verdict != Verdict::Delivered {
            record.failures += 1;
        }
        if let Verdict::Retry(_) = verdict {
            self.wakes.wake(&lease.id.subscription);
        }
        for routed in news {
            inner.add(routed, &self.wakes);
        }
        Ok(())
    }
}

#[async_trait]
impl DeliveryStore for MemoryStore {
    async fn claim_deliveries(
        &self,
        subscription: &SubscriptionName,
        now: Timestamp,
        claim: Claim,
    ) -> Result<Claimed, StoreError> {
        let mut inner = self.open()?;
        let inner = &mut *inner;
        let lane = inner.lanes.entry(subscription.clone()).or_default();
        if claim.joins && lane.alone_to.is_none() {
            let waiting = lane.deliveries.iter().filter(|(_, record)| lane.sent_alone && record.place == Place::First);
            let last = waiting.map(|(id, _)| *id).take(MOST_UNDER_WAY).last();
            lane.alone_to = last.or(Some(EventId::from_bytes([0; 16])));
            lane.sent_alone = false;
        }
        lane.order = claim.order;
        if lane.order != Order::None {
            for record in lane.deliveries.values_mut().filter(|record| !record.is_held(now)) {
                record.lease = None;
            }
        }
        let mut first = VecDeque::new();
        let mut again = Vec::new();
        for (&id, record) in lane.deliveries.iter().filter(|(_, record)| !record.is_held(now)) {
            match record.place {
                Place::First if lane.is_next(id, &inner.events) => first.push_back(id),
                Place::Again(due) if due <= now && lane.is_next(id, &inner.events) => again.push((due, id)),
                _ => {}
            }
        }
        again.sort_unstable();
        let mut again: VecDeque<EventId> = again.into_iter().map(|(_, id)| id).collect();

        let (mut first_tries, mut retries) = (Vec::new(), Vec::new());
        let (mut count, mut bytes, mut is_full) = (0, 0, false);
        while count < claim.most {
            let is_retry = first.is_empty() || (!again.is_empty() && is_turn_of_retries(lane.claimed));
            let (queue, taken) = if is_retry { (&mut again, &mut retries) } else { (&mut first, &mut first_tries) };
            let Some(event) = queue.pop_front() else { break };
            let record = lane.deliveries.get_mut(&event).expect("it was found a moment ago");
            let of = |id: &EventId| Arc::clone(&inner.events[id].event);
            let (of_first, joined) = (of(&event), record.members.iter().map(of).collect::<Vec<_>>());
            bytes += of_first.size() + joined.iter().map(|event| event.size()).sum::<usize>();
            if count > 0 && bytes > claim.most_bytes {
                is_full = true;
                break;
            }
            count += 1;
            lane.claimed += 1;
            let id = DeliveryId { event, subscription: subscription.clone() };
            let lease = DeliveryLease { id, token: LeaseToken::new(), until: now + claim.lease_for };
            record.lease = Some(lease.clone());
            let (since, attempts, failures) = (record.since, record.attempted, record.failures);
            let closed = record.closed || lane.alone_to.is_some_and(|alone_to| event <= alone_to);
            taken.push(ClaimedDelivery { lease, event: of_first, joined, closed, since, attempts, failures });
        }
        first_tries.append(&mut retries);
        if !claim.joins && count > 0 {
            (lane.sent_alone, lane.alone_to) = (true, None);
        }
        let more = claim.order != Order::All && (is_full || count == claim.most);
        Ok(Claimed { deliveries: first_tries, more })
    }

    async fn join_deliveries(&self, first: &DeliveryLease, others: Vec<DeliveryLease>) -> Result<(), StoreError> {
        let mut inner = self.open()?;
        let lane = inner.lanes.entry(first.id.subscription.clone()).or_default();
        let mut events = BTreeSet::new();
        for lease in std::iter::once(first).chain(&others) {
            let record = lane.deliveries.get(&lease.id.event).filter(|record| {
                let is_held = record.lease.as_ref().is_some_and(|held| held.token == lease.token);
                is_held && lease.id.subscription == first.id.subscription && events.insert(lease.id.event)
            });
            let record = record.ok_or_else(|| StoreError::StaleLease { what: format!("delivery {}", lease.id) })?;
            let is_old = lane.alone_to.is_some_and(|alone_to| lease.id.event <= alone_to);
            if record.attempted > 0 || record.closed || is_old || lane.order != Order::None {
                return Err(cannot_be_joined(&lease.id));
            }
        }
        let mut members = Vec::new();
        for DeliveryLease { id, .. } in others {
            let record = lane.deliveries.get_mut(&id.event).expect("it was found a moment ago");
            (record.place, record.lease) = (Place::Joined(first.id.event), None);
            members.push(id.event);
        }
        let record = lane.deliveries.get_mut(&first.id.event).expect("it was found a moment ago");
        (record.members, record.closed) = (members, true);
        Ok(())
    }

    async fn settle_deliveries(&self, settlements: Vec<Settlement>) -> Vec<Result<(), StoreError>> {
        settlements.into_iter().map(|settlement| self.settle(settlement)).collect()
    }

    async fn release_deliveries(&self, leases: Vec<DeliveryLease>) -> Result<(), StoreError> {
        let mut inner = self.open()?;
        for lease in leases {
            if let Some(record) = inner.record_mut(&lease.id)
                && record.lease.as_ref().is_some_and(|held| held.token == lease.token)
            {
                record.lease = None;
                self.wakes.wake(&lease.id.subscription);
            }
        }
        Ok(())
    }

    async fn next_due(&self, subscription: &SubscriptionName) -> Result<Option<Timestamp>, StoreError> {
        let inner = self.open()?;
        let Some(lane) = inner.lanes.get(subscription) else { return Ok(None) };
        let due = lane.deliveries.iter().filter_map(|(&id, record)| {
            let due = match record.place {
                Place::First => id.time(),
                Place::Again(due) => due,
                _ => return None,
            };
            match &record.lease {
                Some(lease) => Some(lease.until),
                None => lane.is_next(id, &inner.events).then_some(due),
            }
        });
        Ok(due.min())
    }

    async fn lane_state(&self, subscription: &SubscriptionName) -> Result<LaneState, StoreError> {
        Ok(self.open()?.lanes.get(subscription).map(|lane| lane.state.clone()).unwrap_or_default())
    }

    async fn set_lane_state(
        &self,
        subscription: &SubscriptionName,
        state: LaneState,
        news: Vec<RoutedEvent>,
    ) -> Result<(), StoreError> {
        let mut inner = self.open()?;
        inner.lanes.entry(subscription.clone()).or_default().state = state;
        for routed in news {
            inner.add(routed, &self.wakes);
        }
        Ok(())
    }

    async fn record_events(&self, events: Vec<RoutedEvent>) -> Result<(), StoreError> {
        let mut inner = self.open()?;
        for routed in events {
            inner.add(routed, &self.wakes);
        }
        Ok(())
    }

    fn wake(&self, subscription: &SubscriptionName) -> Arc<Notify> {
        self.wakes.of(subscription)
    }
}
