//! What the push side needs, in memory.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::{MemoryStore, Place};
use crate::model::delivery::DeliveryState;
use crate::model::event::RoutedEvent;
use crate::model::id::{DeliveryId, LeaseToken, SubscriptionName};
use crate::model::time::Timestamp;
use crate::store::{
    Claim, Claimed, ClaimedDelivery, DeliveryLease, DeliveryStore, LaneState, Settlement, StoreError, Verdict,
    retries_among,
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
        record.attempts.push(attempt);
        record.place = match verdict {
            Verdict::Delivered => Place::Settled(DeliveryState::Delivered { at }),
            Verdict::Dead(reason) => Place::Settled(DeliveryState::Dead { at, reason }),
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
        let Claim { most, lease_for, .. } = claim;
        let mut inner = self.open()?;
        let inner = &mut *inner;
        let lane = inner.lanes.entry(subscription.clone()).or_default();
        let mut first = Vec::new();
        let mut again = Vec::new();
        for (&id, record) in lane.deliveries.iter().filter(|(_, record)| !record.is_held(now)) {
            match record.place {
                Place::First => first.push(id),
                Place::Again(due) if due <= now => again.push((due, id)),
                _ => {}
            }
        }
        again.sort_unstable();
        let reserved = retries_among(lane.claimed, most).min(again.len());
        first.truncate(most - reserved);
        again.truncate(most - first.len());
        lane.claimed += (first.len() + again.len()) as u64;

        let mut claimed = Vec::new();
        for event in first.into_iter().chain(again.into_iter().map(|(_, id)| id)) {
            let record = lane.deliveries.get_mut(&event).expect("it was found a moment ago");
            let id = DeliveryId { event, subscription: subscription.clone() };
            let lease = DeliveryLease { id, token: LeaseToken::new(), until: now + lease_for };
            record.lease = Some(lease.clone());
            claimed.push(ClaimedDelivery {
                lease,
                event: Arc::clone(&inner.events[&event].event),
                joined: Vec::new(),
                since: event.time(),
                attempts: record.attempts.len() as u32,
                failures: record.failures,
            });
        }
        Ok(Claimed { more: claimed.len() == most, deliveries: claimed })
    }

    async fn join_deliveries(&self, first: &DeliveryLease, _others: Vec<DeliveryLease>) -> Result<(), StoreError> {
        Err(StoreError::NotFound { what: format!("way to join delivery {} with others", first.id) })
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
        let due = lane.deliveries.iter().filter_map(|(id, record)| {
            let due = match record.place {
                Place::First => id.time(),
                Place::Again(due) => due,
                Place::Settled(_) => return None,
            };
            Some(record.lease.as_ref().map_or(due, |lease| lease.until))
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
