//! What people look at and clean up, in memory.

use async_trait::async_trait;

use super::{MemoryStore, Place};
use crate::model::delivery::{Attempt, Delivery};
use crate::model::event::RoutedEvent;
use crate::model::id::{ConnectorName, DeliveryId, EventId, SubscriptionName};
use crate::model::poll_record::PollRecord;
use crate::model::time::Timestamp;
use crate::store::{DeliveryQuery, EventQuery, HistoryStore, LaneCounts, Page, Pruned, Retention, StoreError};

#[async_trait]
impl HistoryStore for MemoryStore {
    async fn events(&self, query: EventQuery) -> Result<Page<RoutedEvent, EventId>, StoreError> {
        let inner = self.open()?;
        let found = inner
            .events
            .values()
            .rev()
            .filter(|routed| query.before.is_none_or(|before| routed.event.id < before))
            .filter(|routed| query.filter.spans(routed.event.id) && query.wants(&routed.event))
            .take(query.limit);
        Ok(Page::up_to(query.limit, found.cloned().collect(), |routed| routed.event.id))
    }

    async fn event(&self, id: EventId) -> Result<Option<RoutedEvent>, StoreError> {
        Ok(self.open()?.events.get(&id).cloned())
    }

    async fn deliveries(&self, query: DeliveryQuery) -> Result<Page<Delivery, DeliveryId>, StoreError> {
        let inner = self.open()?;
        let mut ids: Vec<DeliveryId> = Vec::new();
        for (subscription, lane) in &inner.lanes {
            if query.subscription.as_ref().is_none_or(|wanted| wanted == subscription) {
                ids.extend(
                    lane.deliveries.keys().map(|&event| DeliveryId { event, subscription: subscription.clone() }),
                );
            }
        }
        ids.sort_unstable();
        let found = ids
            .into_iter()
            .rev()
            .filter(|id| query.before.as_ref().is_none_or(|before| id < before))
            .filter(|id| inner.events.get(&id.event).is_some_and(|routed| query.filter.matches(&routed.event)))
            .filter_map(|id| inner.delivery(id))
            .filter(|delivery| query.wants(delivery))
            .take(query.limit);
        Ok(Page::up_to(query.limit, found.collect(), |delivery| delivery.id.clone()))
    }

    async fn delivery(&self, id: &DeliveryId) -> Result<Option<(Delivery, Vec<Attempt>)>, StoreError> {
        let inner = self.open()?;
        let Some(delivery) = inner.delivery(id.clone()) else { return Ok(None) };
        Ok(inner.deciding(id).map(|(_, record)| (delivery, record.attempts.clone())))
    }

    async fn polls(
        &self,
        connector: &ConnectorName,
        before: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<PollRecord>, StoreError> {
        let inner = self.open()?;
        let Some(entry) = inner.connectors.get(connector) else { return Ok(Vec::new()) };
        let older = entry.polls.values().rev().filter(|record| before.is_none_or(|before| record.at < before));
        Ok(older.take(limit).cloned().collect())
    }

    async fn replay(&self, id: &DeliveryId, now: Timestamp) -> Result<(), StoreError> {
        let mut inner = self.open()?;
        if !inner.replay(id, now) {
            return Err(StoreError::NotFound { what: format!("delivery {id}") });
        }
        self.wakes.wake(&id.subscription);
        Ok(())
    }

    async fn send(&self, id: &DeliveryId, now: Timestamp) -> Result<(), StoreError> {
        let mut inner = self.open()?;
        if !inner.send(id, now) {
            return Err(StoreError::NotFound { what: format!("event {}", id.event) });
        }
        self.wakes.wake(&id.subscription);
        Ok(())
    }

    async fn lane_counts(&self, subscription: &SubscriptionName, most: usize) -> Result<LaneCounts, StoreError> {
        let inner = self.open()?;
        let mut counts = LaneCounts::default();
        for record in inner.lanes.get(subscription).into_iter().flat_map(|lane| lane.deliveries.values()) {
            let count = match record.place {
                Place::First => &mut counts.waiting,
                Place::Again(_) => &mut counts.retrying,
                Place::Dead(..) => &mut counts.dead,
                Place::Delivered(_) | Place::Joined(_) => continue,
            };
            *count = (*count + 1).min(most);
        }
        Ok(counts)
    }

    async fn prune(
        &self,
        now: Timestamp,
        retention: Retention,
        configured: &[SubscriptionName],
        most: usize,
    ) -> Result<Pruned, StoreError> {
        let mut inner = self.open()?;
        let inner = &mut *inner;
        inner.note_unconfigured(configured, now);
        let bound = EventId::first_of(now - retention.delivered.min(retention.dead));
        let looked_at: Vec<EventId> = inner
            .events
            .range(..bound)
            .map(|(id, _)| *id)
            .filter(|id| inner.pruned_to.is_none_or(|pruned_to| *id > pruned_to))
            .take(most)
            .collect();
        let mut pruned = Pruned { finished: looked_at.len() < most, ..Pruned::default() };
        inner.pruned_to = if pruned.finished { None } else { looked_at.last().copied() };
        for id in looked_at {
            if inner.is_over(&inner.events[&id], now, retention) {
                let routed = inner.events.remove(&id).expect("it was found a moment ago");
                pruned.events += 1;
                for subscription in routed.subscriptions {
                    pruned.deliveries += usize::from(inner.remove(&DeliveryId { event: id, subscription }));
                }
            }
        }
        Ok(pruned)
    }

    async fn check_writable(&self) -> Result<(), StoreError> {
        self.open().map(drop)
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.open()?.closed = true;
        Ok(())
    }
}
